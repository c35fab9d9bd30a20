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
from ...types import Floats, Indices, Scores
from ..core._cost import Cost, Sizes, log2, neighbours_products, products_of
from ..core._inputs import embeddings_of
from ..core._memory import bytes_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ..core._task import Picks, Task
from ._geometry import (
    GivenNeighbours,
    by_key,
    graph_of,
    is_cosine,
    kept_before,
    tiles,
    work_rows,
)
from ._greedy_coverage import Coverage, pick_all, pick_among_samples, pick_on_graph

__all__ = ["facility_location"]


def _cost(sizes: Sizes) -> Cost:
    n, d = sizes.N, sizes.D
    if sizes.given("num_neighbours"):
        memory = 4 * n * sizes.D + 60 * n + 100 * n * sizes.k
        return Cost(neighbours_products(n, d), 10 * n * sizes.k * log2(n), memory)
    memory = 4 * n * sizes.D + 64 * n
    pairs = products_of(n, n, d + 60)  # with the gains of each, at the first picks
    return Cost(3 * pairs, memory=memory, optional=16 * n + 1.1 * n * n)


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
        Converted to float32.
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
    max_memory = bytes_of(options.get("max_memory"), 2**30)
    if num_neighbours is not None:
        if not isinstance(num_neighbours, Neighbours):
            num_neighbours = _check.integer("num_neighbours", num_neighbours, 1)
        if optimizer != "lazy":
            raise ValueError(
                f"optimizer must be 'lazy' if num_neighbours is given, got {optimizer!r}"
            )
    rows, bad = embeddings_of("embeddings", embeddings, options, cosine=cosine)
    path = "all pairs, in blocks" if num_neighbours is None else "neighbour graph"

    def core(task: Task) -> Picks:
        order = by_key(task)
        before = kept_before(task, bad, own=True)
        nodes = np.concatenate([task.rows[order], before])
        work, scale = work_rows(rows, nodes, cosine=cosine)
        cover = Coverage(work, order.size, task.budget, cosine, scale)
        if num_neighbours is not None:
            pick_on_graph(cover, graph_of(num_neighbours, work, nodes, len(rows), metric, scale))
        elif optimizer == "stochastic":
            pick_among_samples(cover, math.log(1 / epsilon), task.key)
        else:
            pick_all(cover, max_memory, lazy=optimizer == "lazy")
        info = {"path": path, "objective": cover.objective, "no_gain": cover.no_gain}
        added = {"objective": operator.add, "no_gain": operator.add}
        weights = _weights(work[: order.size], cover.picks, cosine)
        return Picks(order[cover.picks], weights, info=info, merge=added)

    arguments: dict[str, Any] = {"metric": metric, "optimizer": optimizer}
    arguments |= {"num_neighbours": num_neighbours, "epsilon": epsilon, "max_memory": max_memory}
    return select(
        "facility_location", len(rows), budget, options, core, arguments=arguments, bad=bad,
        ranked=optimizer != "stochastic",  # the number of rows it evaluates depends on the budget
    )  # fmt: skip


def _weights(work: Scores, picks: Indices, cosine: bool) -> Floats:
    """Return the number of rows (n, D) nearest to each pick; ties go to the earlier pick."""
    centers = work[picks]
    half = 0.0 if cosine else 0.5 * np.einsum("md,md->m", centers, centers)
    nearest = np.empty(len(work), np.int64)
    for part in tiles(len(work), max(picks.size, work.shape[1])):
        nearest[part] = (work[part] @ centers.T - half).argmax(axis=1)
    nearest[picks] = np.arange(picks.size)  # also for copies
    return np.bincount(nearest, minlength=picks.size).astype(np.float64)
