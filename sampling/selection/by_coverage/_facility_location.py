"""Facility location: greedy maximization of the similarity of all rows to the kept rows."""

import math
import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check
from ...clustering import Neighbours
from ...record import Selection
from ...types import Floats, Indices
from ..core._cost import Cost, Sizes, copy_bytes, log2
from ..core._inputs import embeddings_of
from ..core._memory import bytes_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ..core._task import Picks, Task
from ._geometry import (
    GivenNeighbours,
    Work,
    by_key,
    graph_of,
    holds_copy,
    is_cosine,
    kept_before,
    tiles,
    width_of,
    work_rows,
)
from ._greedy_coverage import Coverage, pick_all, pick_among_samples, pick_on_graph

__all__ = ["facility_location"]

_LIMIT = 2**30  # of the memory for all pairs, by default
_CENTERS = 2**22  # numbers of picks compared at a time: 16 MiB


def _cost(sizes: Sizes) -> Cost:
    n, pairs = sizes.N, sizes.N**2 * sizes.D
    rest = _rest(n, sizes.k if sizes.given("num_neighbours") else None)
    limit = _LIMIT if sizes.max_memory is None else sizes.max_memory
    if sizes.given("num_neighbours"):
        memory = rest + copy_bytes(n, sizes.D, rest, sizes.max_memory)
        return Cost(pairs, n * sizes.k * log2(n), memory)
    memory = rest + copy_bytes(n, sizes.D, rest, limit)
    return Cost(pairs * log2(sizes.M), memory=memory, optional=16 * n + 1.1 * n * n)


def _rest(n: float, k: float | None) -> float:
    """Return the bytes that do not depend on D; with all pairs, those that are not optional."""
    return 64 * n if k is None else 60 * n + 100 * n * k


@method(
    local_only=True,
    needs="embeddings",
    label="recommended",
    ranked=True,
    weights="rows nearest to each pick, sum N",
    cost=_cost,
)
def facility_location(  # noqa: PLR0913  # each is a choice of the caller
    embeddings: ArrayLike,
    budget: float,
    *,
    metric: str = "cosine",
    optimizer: str = "lazy",
    num_neighbours: GivenNeighbours | None = None,
    epsilon: float = 0.01,
    **options: Unpack[Options],
) -> Selection:
    """Maximize the facility-location objective greedily: keep rows that represent all rows.

    The objective is the sum over all rows of the similarity to the nearest kept row. Unlike
    `k_center`, it prefers the middle of dense regions and picks outliers last.

    Parameters
    ----------
    embeddings : array of shape (N, D)
        Converted to float32. If `max_memory` is too small for a float32 copy, the copy is in a
        temporary file.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    metric : {"cosine", "euclidean"}, default "cosine"
        "cosine": the similarity is (1 + cosine) / 2. "euclidean": c - distance, where c is twice
        the largest distance to the mean, an upper bound of all distances; on a graph c is the
        longest edge.
    optimizer : {"lazy", "naive", "stochastic"}, default "lazy"
        "lazy" and "naive" make the same picks up to rounding; "naive" updates the gain of every row
        at each pick, and is slower. "stochastic" evaluates N / M * log(1 / epsilon) random rows for
        each pick.
    num_neighbours : int or Neighbours, optional
        Compare each row only with its k nearest rows, and with the rows whose k nearest include it;
        all other similarities are 0. By default all pairs.
    epsilon : float in (0, 1), default 0.01
        For "stochastic": the probability of missing a good row. At 0.9, used elsewhere, the picks
        are nearly random.
    **options
        Keywords of every selector; see `Options`. Rows already selected (with groups, of the same
        group) cover the rows similar to them. `max_memory`, 1 GiB by default, limits the memory for
        the pairs that can still gain; less is slower. With `num_neighbours` it has its usual
        meaning.

    Returns
    -------
    Selection
        Ranked (unless "stochastic"). Weights are the numbers of rows nearest to each pick, and add
        up to the number of eligible rows. `info` holds the "path", the "objective" (the sum of the
        similarities of all rows to the nearest kept row), and "no_gain", the number of picks that
        added nothing: copies of others.

    Raises
    ------
    ValueError
        If a row is not finite, or is a zero vector under cosine, unless `on_bad="drop"` (the
        message names it); if an argument is out of range.

    Notes
    -----
    Order
        In selection order; ties broken by a hash of (seed, id). Similarities are float32: rows
        whose gains agree to 7 digits may swap positions on another machine.
    Cost
        O(N^2 D log M) time, or O(N^2 D + N k log N) with `num_neighbours`; 4 N D + 64 N bytes and
        the pairs that fit into `max_memory`, or 4 N D + 60 N + 100 N k bytes with `num_neighbours`.
        If `max_memory` is less, the first 4 N D bytes are in a temporary file.
        All pairs: O(N^2 D (1 + log t)) for the first t picks, made in blocks until the pairs that
        can still gain fit into memory; later picks use only these. Never stores N x N numbers at a
        time. On a graph: O(N^2 D) to build it.
    Gradients
        With the weights, the gradients of the kept rows approximate those of all rows.
    Source
        Minoux, 1978, lazy greedy; Mirzasoleiman et al., "Lazier Than Lazy Greedy", AAAI 2015,
        stochastic greedy. Within 1 - 1/e of the best M rows.

    Examples
    --------
    >>> rows = [[0.0], [1.0], [2.0], [3.0], [8.0], [9.0], [11.0]]
    >>> found = facility_location(rows, 2, metric="euclidean")
    >>> found.indices, found.weights
    (array([3, 5]), array([4., 3.]))
    """
    cosine = is_cosine(metric)
    optimizer = _check.choice("optimizer", optimizer, ("lazy", "naive", "stochastic"))
    epsilon = _check.number("epsilon", epsilon, "(0, 1)")
    max_memory = bytes_of(options.get("max_memory"), _LIMIT)
    if num_neighbours is not None:
        if not isinstance(num_neighbours, Neighbours):
            num_neighbours = _check.integer("num_neighbours", num_neighbours, 1)
        if optimizer != "lazy":
            raise ValueError(
                f"optimizer must be 'lazy' if num_neighbours is given, got {optimizer!r}"
            )
    rows, bad = embeddings_of("embeddings", embeddings, options, cosine=cosine)
    path = "all pairs, in blocks" if num_neighbours is None else "neighbour graph"
    k = None if num_neighbours is None else width_of(num_neighbours, len(rows))
    default = _LIMIT if k is None else None
    held = holds_copy(len(rows), rows.shape[1], _rest(len(rows), k), options, default)

    def core(task: Task) -> Picks:
        order = by_key(task)
        before = kept_before(task, bad, own=True)
        nodes = np.concatenate([task.rows[order], before])
        with work_rows(rows, nodes, cosine=cosine, held=held) as (work, scale):
            cover = Coverage(work, order.size, task.budget, cosine, scale)
            if num_neighbours is not None:
                graph = graph_of(num_neighbours, work, nodes, len(rows), metric, scale)
                pick_on_graph(cover, graph)
            elif optimizer == "stochastic":
                pick_among_samples(cover, math.log(1 / epsilon), task.key)
            else:
                pick_all(cover, max_memory, lazy=optimizer == "lazy")
            weights = _weights(work, order.size, cover.picks, cosine)
        info = {"path": path, "objective": cover.objective, "no_gain": cover.no_gain}
        added = {"objective": operator.add, "no_gain": operator.add}
        return Picks(order[cover.picks], weights, info=info, merge=added)

    arguments: dict[str, Any] = {"metric": metric, "optimizer": optimizer}
    arguments |= {"num_neighbours": num_neighbours, "epsilon": epsilon, "max_memory": max_memory}
    return select(
        "facility_location", len(rows), budget, options, core, arguments=arguments, bad=bad,
        ranked=optimizer != "stochastic",  # the number of rows it evaluates depends on the budget
    )  # fmt: skip


def _weights(work: Work, size: int, picks: Indices, cosine: bool) -> Floats:
    """Return the number of the first `size` rows that are nearest to each pick.

    Ties go to the earlier pick.
    """
    nearest, best = np.zeros(size, np.int64), np.full(size, -np.inf, np.float32)
    step = max(1, _CENTERS // work.shape[1])
    for start in range(0, picks.size, step):
        centers = work[picks[start : start + step]]
        half = 0.0 if cosine else 0.5 * np.einsum("md,md->m", centers, centers)
        for part in tiles(size, max(len(centers), work.shape[1])):
            values = work[part] @ centers.T - half
            column = values.argmax(axis=1)
            high = values[np.arange(len(values)), column]
            better = high > best[part]
            nearest[part][better] = start + column[better]
            best[part][better] = high[better]
    nearest[picks] = np.arange(picks.size)  # also for copies
    return np.bincount(nearest, minlength=picks.size).astype(np.float64)
