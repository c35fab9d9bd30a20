"""D2 pruning: message passing of difficulty on a neighbour graph; picks lower their neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check
from ...clustering import Neighbours
from ...kernels._greedy import add_messages, pick_messages
from ...record import Selection
from ...types import Floats, Scores
from ..core._cost import Cost, Sizes, copy_bytes, log2, neighbours_products
from ..core._inputs import AnyScores, either, embeddings_of, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ..core._task import Picks, Task
from ._geometry import (
    GivenNeighbours,
    by_key,
    graph_of,
    holds_copy,
    joined,
    kept_before,
    width_of,
    work_rows,
)

__all__ = ["d2"]

_FAR = np.float32(1e30)  # distance for missing neighbours, in medians


def _cost(sizes: Sizes) -> Cost:
    n, d, k = sizes.N, sizes.D, sizes.k
    steps, rest = n * k + sizes.M * k * log2(n), _rest(n, k)
    return Cost(neighbours_products(n, d), steps, rest + copy_bytes(n, d, rest, sizes.max_memory))


def _rest(n: float, k: float) -> float:
    """Return the bytes that do not depend on D."""
    return 100 * n + 28 * n * k


@method(
    local_only=True,
    needs="scores and embeddings",
    label="recommended",
    source="Maharana 2024",
    ranked=True,
    minds={"scores": ("harder", "keep")},
    cost=_cost,
)
def d2(
    scores: AnyScores,
    budget: float,
    *,
    embeddings: ArrayLike,
    num_neighbours: GivenNeighbours = 10,
    gamma: float = 1.0,
    **options: Unpack[Options],
) -> Selection:
    """Prune by message passing on a neighbour graph: keep hard rows that are not redundant.

    Forward messages initialize each row with its own difficulty plus that of its neighbours,
    weighted by proximity. Each pick then sends reverse messages that lower its neighbours in
    proportion to its own value. Two rows are neighbours if either is among the k nearest of the
    other: the graph is undirected.

    Parameters
    ----------
    scores : Score, or float array of shape (N,)
        Finite, of any sign. A `Score` is negated if necessary so that high is hard, or worth
        keeping; an array is assumed to be so. Scaled to [0, 1]; equal scores are all 1.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    embeddings : array of shape (N, D)
        Converted to float32; distances are Euclidean, in units of their median over the graph. If
        `max_memory` is too small for a float32 copy, the copy is in a temporary file.
    num_neighbours : int or Neighbours, default 10
        k. A given graph must be of all rows and euclidean; it is made undirected. With more copies
        of a row than k, a pick lowers only some of them.
    gamma : float, default 1.0
        A pick lowers a neighbour at distance d by exp(-gamma d) of its value: 0 spreads the picks
        most; a large value keeps the initial order.
    **options
        Keywords of every selector; see `Options`. Rows already selected (with groups, of the same
        group) send their messages first.

    Returns
    -------
    Selection
        Ranked, without weights. `scores` are the given scores, oriented so that high is hard.

    Raises
    ------
    ValueError
        If a score or a row is not finite, unless `on_bad="drop"`; the message names it.

    Notes
    -----
    Order
        In selection order; ties broken by a hash of (seed, id).
    Cost
        O(N^2 D + N k^2 + M k log N) time; 4 N D + 100 N + 28 N k bytes. O(N^2 D) for the graph, O(N
        k^2) to make it undirected, O((N + M) k log N) for the picks. If `max_memory` is less, the
        first 4 N D bytes are in a temporary file.
    Gradients
        No weights; the loss over the kept rows is unweighted.
    Source
        Maharana, Yadav, Bansal, "D2 Pruning", ICLR 2024, arXiv:2310.07931. Its settings for a tenth
        of CIFAR-10, in the README of the code, are k = 5, gamma = 0.1, forgetting scores, and two
        additional steps: the hardest 40 % of the rows are dropped beforehand, and classes are
        selected separately, as with `groups=labels`. Unlike the released code: scores are shifted
        to >= 0 with hard rows high (negative scores reversed the effect of diversity), distances
        are in units of their median, a row is excluded from its neighbours by its number, no value
        below 0 is sent, and a given graph is made undirected too (the code follows the lists only).

    Examples
    --------
    >>> scores, embeddings = [1.0, 1.0, 0.9, 0.2], [[0.0], [0.0], [5.0], [6.0]]
    >>> d2(scores, 2, embeddings=embeddings, num_neighbours=1, gamma=0.5).indices.tolist()[1]
    2
    """
    if not isinstance(num_neighbours, Neighbours):
        num_neighbours = _check.integer("num_neighbours", num_neighbours, 1)
    gamma = _check.number("gamma", gamma, "[0, inf)")
    values, bad_score = scores_of("scores", scores, options)
    rows, bad_row = embeddings_of("embeddings", embeddings, options)
    _check.same_length("embeddings", rows, "scores", values.size)
    bad = either(bad_score, bad_row)
    rest = _rest(len(rows), width_of(num_neighbours, len(rows)))
    held = holds_copy(len(rows), rows.shape[1], rest, options)

    def core(task: Task) -> Picks:
        order = by_key(task)
        before = kept_before(task, bad, own=True)
        nodes = np.concatenate([task.rows[order], before])
        with work_rows(rows, nodes, cosine=False, held=held) as (work, _):
            graph = graph_of(num_neighbours, work, nodes, len(rows), "euclidean")
        starts, ends, gaps = joined(graph)
        del graph
        unit = _middle(gaps)
        start = np.empty(nodes.size)
        add_messages(starts, ends, gaps, unit, _unit(values[nodes]), start)
        gaps /= np.float32(unit)
        np.minimum(gaps, _FAR, out=gaps)
        gaps *= np.float32(-min(gamma, 1e8))  # at most 1e38: 0 times infinity is NaN
        pull = np.exp(gaps, out=gaps)
        bounds = start.copy()
        heap = np.argsort(-start[: order.size], kind="stable")
        picks = np.empty(task.budget, np.int64)
        ahead = np.arange(order.size, nodes.size)
        pick_messages(starts, ends, pull, ahead, start, bounds, heap, picks)
        return Picks(order[picks])

    arguments = {"embeddings": rows, "num_neighbours": num_neighbours, "gamma": gamma}
    return select(
        "d2", values.size, budget, options, core, arguments=arguments, bad=bad, scores=values
    )


def _middle(gaps: Scores) -> float:
    """Return the median distance; of the positive ones if more than half are 0."""
    middle = float(np.median(gaps)) if gaps.size else 0.0
    if middle == 0.0 and gaps.any():
        middle = float(np.median(gaps[gaps > 0]))
    return middle or 1.0


def _unit(values: Floats) -> Floats:
    """Return scores scaled to [0, 1]; all 1 if they are equal."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.ones_like(values)
    return (values / 2 - low / 2) / (high / 2 - low / 2)  # halves: no overflow
