"""Carry weights that were learnt on a few rows over to all rows, by nearness.

Learning a weight for each row is dear; learning them for a core set is not. Neighbours in the core
set, of the same class, then vote on the weight of every other row.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check, _labels
from .._keywords import told
from ..types import Floats, Indices, Selection
from ._inputs import embeddings_of

__all__ = ["propagate"]

BLOCK = 2**22  # distances looked at together
SPARE = 4  # candidates beyond the neighbours asked for, as products round


@told
def propagate(
    core: Selection | ArrayLike,
    weights: ArrayLike,
    embeddings: ArrayLike,
    *,
    num_neighbours: int = 5,
    labels: ArrayLike | None = None,
    max_weight: float | None = None,
) -> Floats:
    """Return a weight for every row from those of a core set, by its nearest neighbours there.

    A row's weight is the mean of its k nearest core rows', a core row at distance d counting
    exp(-d^2 / (2 h^2)) with h the distance of the k-th.

    Parameters
    ----------
    core : Selection, or int array of shape (M,)
        The rows whose weights are known, none twice.
    weights : array of shape (M,)
        Finite and >= 0, in the order of `core`.
    embeddings : array of shape (N, D)
        Finite. A memory-mapped array is read in blocks.
    num_neighbours : int >= 1, default 5
        k; all core rows of the class where it has fewer.
    labels : int or str array of shape (N,), optional
        Class of each row: only core rows of the same class are asked.
    max_weight : float > 0, optional
        Weights are cut off there before they are scaled to mean 1.

    Returns
    -------
    float64 array of shape (N,)
        Of mean 1. A row of a class without core rows has weight 1; a row at the place of core rows
        has their mean weight, up to the scale.

    Raises
    ------
    ValueError
        If a row is not finite or a weight negative, the message names it; if all weights come out
        as 0.

    Notes
    -----
    Order
        A pure function of its inputs; of core rows at one distance those that come first.
    Cost
        O(N M D) time, with labels within each class; one pass with labels per class, O(M D) memory
        and blocks of 32 MiB.
    Gradients
        Multiplying the losses by the weights trains on the reweighted data.
    Source
        After the abstract of "The Power of Few: Accelerating and Enhancing Data Reweighting with
        Coreset Selection", ICASSP 2024; kernel and neighbours are our reading of it.

    Examples
    --------
    >>> propagate([0, 2], [1.0, 3.0], [[0.0], [0.0], [9.0], [9.0]], num_neighbours=1)
    array([0.5, 0.5, 1.5, 1.5])
    """
    rows, _ = embeddings_of("embeddings", embeddings, {})
    size = len(rows)
    indices = core.indices if isinstance(core, Selection) else core
    known = _check.unique_rows("core", indices, size)
    values = _check.floats("weights", weights, "finite and >= 0")
    _check.same_length("weights", values, "core", known.size)
    wanted = _check.integer("num_neighbours", num_neighbours, 1)
    if max_weight is not None:
        values = np.minimum(values, _check.number("max_weight", max_weight, "(0, inf)"))
    codes = np.zeros(size, np.int64)
    if labels is not None:
        codes = _labels.grouped("labels", labels)[1]
        _check.same_length("labels", codes, "embeddings", size)
    found = np.ones(size)
    reached = np.isin(codes, codes[known])
    for code in np.unique(codes[known]):
        own = codes[known] == code
        members = np.flatnonzero(codes == code)
        found[members] = _voted(rows, members, known[own], values[own], wanted)
    total = found[reached].sum()
    if total <= 0:
        raise ValueError("weights must not all be 0 at the nearest core rows, got a sum of 0")
    found[reached] *= np.count_nonzero(reached) / total
    return found


def _voted(
    rows: NDArray[np.generic], members: Indices, known: Indices, values: Floats, wanted: int
) -> Floats:
    """Return the votes of the core rows `known` on the weights of `members`: (n,)."""
    core = np.asarray(rows[known], np.float64)
    middle = core.mean(axis=0)  # taken off, so that products lose few digits
    core -= middle
    count = min(wanted, known.size)
    nearest = _search(core, min(count + SPARE, known.size))
    out = np.empty(members.size)
    step = max(1, BLOCK // max(known.size, rows.shape[1]))
    for start in range(0, members.size, step):
        at = slice(start, start + step)
        block = np.asarray(rows[members[at]], np.float64) - middle
        near = nearest(block)
        squares = np.empty(near.shape)
        for place, column in enumerate(near.T):  # once more, exactly: copies are at distance 0
            gaps = block - core[column]
            squares[:, place] = np.einsum("nd,nd->n", gaps, gaps)
        order = np.argsort(squares, axis=1, kind="stable")[:, :count]
        squares = np.take_along_axis(squares, order, axis=1)
        votes = _votes(squares)
        asked = values[np.take_along_axis(near, order, axis=1)]
        out[at] = (votes * asked).sum(axis=1) / votes.sum(axis=1)
    return out


def _search(core: Floats, count: int) -> Callable[[Floats], Indices]:
    """Return what finds the places of the `count` nearest core rows, by place: (b, D) -> (b, c)."""
    if count == len(core):
        return lambda block: np.broadcast_to(np.arange(count), (len(block), count))
    from sklearn.neighbors import NearestNeighbors  # late: half a second, for this function alone

    index = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(core)
    return lambda block: np.sort(index.kneighbors(block, return_distance=False), axis=1)


def _votes(squares: Floats) -> Floats:
    """Return what each neighbour counts, by rising squared distance: (n, k) -> (n, k)."""
    widths = squares[:, -1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        votes = np.exp(-0.5 * squares / widths)
    return np.where(squares[:, :1] == 0, squares == 0, votes)
