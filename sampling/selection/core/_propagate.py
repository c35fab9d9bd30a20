"""Propagate weights learned on a core set to all rows, by nearest neighbours.

Learning a weight for each row is expensive; for a core set it is not. The weight of every other row
is then an average over its neighbours of the same class in the core set.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _check
from ..._check import _labels
from ..._check._keywords import told
from ...record import Selection
from ...types import Floats, Indices
from ._inputs import embeddings_of

__all__ = ["propagate"]

BLOCK = 2**22  # distances computed at a time
SPARE = 4  # additional candidates, because products are rounded


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
    """Return the weight of every row, averaged over its nearest neighbours in a core set.

    The weight of a row is the mean over its k nearest core rows, in which a core row at distance d
    has weight exp(-d^2 / (2 h^2)), with h the distance of the k-th.

    Parameters
    ----------
    core : Selection, or int array of shape (M,)
        The distinct rows whose weights are known.
    weights : array of shape (M,)
        Finite and >= 0, in the order of `core`.
    embeddings : array of shape (N, D)
        Finite. A memory-mapped array is read in blocks.
    num_neighbours : int >= 1, default 5
        k; all core rows of the class if it has fewer.
    labels : int or str array of shape (N,), optional
        Class of each row: only core rows of the same class are used.
    max_weight : float > 0, optional
        Upper limit of the weights, applied before they are scaled to mean 1.

    Returns
    -------
    float64 array of shape (N,)
        Weights of mean 1. A row of a class without core rows has weight 1; a row identical to core
        rows has their mean weight, up to the scale.

    Raises
    ------
    ValueError
        If a row is not finite or a weight is negative (the message names it); if all resulting
        weights are 0.

    Notes
    -----
    Order
        A pure function of its inputs; of core rows at equal distance, the first are used.
    Cost
        O(N M D) time, with labels within each class; one pass, with labels one per class; O(M D)
        memory and blocks of 32 MiB.
    Gradients
        Multiplying the losses by the weights trains on the reweighted data.
    Source
        After the abstract of "The Power of Few: Accelerating and Enhancing Data Reweighting with
        Coreset Selection", ICASSP 2024; the kernel and the neighbours are our interpretation.

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
    """Return the weights of `members` averaged over the core rows `known`: (n,)."""
    core = np.asarray(rows[known], np.float64)
    middle = core.mean(axis=0)  # subtracted, so that products lose few digits
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
        for place, column in enumerate(near.T):  # again, exactly: copies have distance 0
            gaps = block - core[column]
            squares[:, place] = np.einsum("nd,nd->n", gaps, gaps)
        order = np.argsort(squares, axis=1, kind="stable")[:, :count]
        squares = np.take_along_axis(squares, order, axis=1)
        votes = _votes(squares)
        asked = values[np.take_along_axis(near, order, axis=1)]
        out[at] = (votes * asked).sum(axis=1) / votes.sum(axis=1)
    return out


def _search(core: Floats, count: int) -> Callable[[Floats], Indices]:
    """Return a search for the positions of the `count` nearest core rows: (b, D) -> (b, c)."""
    if count == len(core):
        return lambda block: np.broadcast_to(np.arange(count), (len(block), count))
    # imported here: it takes half a second, only for this function
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(core)
    return lambda block: np.sort(index.kneighbors(block, return_distance=False), axis=1)


def _votes(squares: Floats) -> Floats:
    """Return the weights of neighbours in ascending squared distance: (n, k) -> (n, k)."""
    widths = squares[:, -1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        votes = np.exp(-0.5 * squares / widths)
    return np.where(squares[:, :1] == 0, squares == 0, votes)
