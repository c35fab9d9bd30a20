"""Facility location: greedy maximization of the similarity of all rows to the kept rows."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check
from ...clustering import Neighbours
from ...record import Selection
from ...types import Floats, Indices, Scores
from ..core._cost import Cost, Sizes, copy_bytes, log2, neighbours_products, products_of
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
from ._greedi import check_rounds, part_size, parts_of, through, two_rounds
from ._greedy_coverage import Coverage, pick_all, pick_among_samples, pick_on_graph

__all__ = ["facility_location"]

_LIMIT = 2**30  # of the memory for all pairs, by default
_CENTERS = 2**22  # numbers of picks compared at a time: 16 MiB


def _cost(sizes: Sizes) -> Cost:
    n, d = sizes.N, sizes.D
    rest = _rest(n, sizes.k if sizes.given("num_neighbours") else None)
    limit = _LIMIT if sizes.max_memory is None else sizes.max_memory
    if sizes.arguments.get("rounds") == 2:  # the parts, what they picked, and the weights
        part = min(part_size(n, sizes.M, d), n)
        picks = (n / part + 1) * _picking(part, d, limit)
        memory = 40 * n + (16 * d + 64) * part
        return Cost(picks + 2 * products_of(n, sizes.M, d), 0, memory, 5.1 * part * part)
    if sizes.given("num_neighbours"):
        memory = rest + copy_bytes(n, d, rest, sizes.max_memory)
        return Cost(neighbours_products(n, d), 10 * n * sizes.k * log2(n), memory)
    memory = rest + copy_bytes(n, d, rest, limit)
    return Cost(_picking(n, d, limit), memory=memory, optional=16 * n + 5.1 * n * n)


def _picking(n: float, d: float, limit: int) -> float:
    """Return the operations of all picks: most are gains of all pairs, for the first picks."""
    passes = 1 if 5.1 * n * n < limit else 2  # over the products; once if they are held
    return passes * products_of(n, n, d) + 270 * n * n


def _rest(n: float, k: float | None) -> float:
    """Return the bytes that do not depend on D; with all pairs, those that are not optional."""
    return 64 * n if k is None else 60 * n + 100 * n * k


@method(
    local_only=True,
    elsewhere={"rounds": 2},
    needs="embeddings",
    label="baseline",
    source="Minoux 1978; Mirzasoleiman 2015",
    evidence="the objective of apricot and submodlib, 3 to 19 times as fast",
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
    rounds: int = 1,
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
    rounds : {1, 2}, default 1
        2: parts of the rows pick M each, and the picks are made among these, each with the weight
        of the rows nearest to it. Other picks than those of one round, with a lower objective; see
        the notes. Much faster, and required inside another engine than `Local`, whose workers
        process the parts. "stochastic" then applies to the parts.
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
        added nothing: copies of others. `info["rounds"]` holds the number of parts and of the rows
        that they picked, if there were two rounds.

    Raises
    ------
    ValueError
        If a row is not finite, or is a zero vector under cosine, unless `on_bad="drop"` (the
        message names it); if an argument is out of range, or `num_neighbours` is combined with
        `rounds=2`.

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
    Two rounds
        On the first 16,384 of a set of sentence embeddings of 384 dimensions, under cosine, the
        objective was 0.6 % lower than that of one round at M = 100 and 0.5 % at M = 500 (4 parts),
        in a quarter of the time; on 50,000 rows in 500 clumps of unequal size in 64 dimensions,
        under euclidean, 0.5 % at M = 100 and 0.2 % at M = 1,000 (2 parts), in half. Another pass
        over the rows gives the weights and the objective of all. A worker holds max(sqrt(N M),
        2**21 / D) rows, and `max_memory` for its pairs; this process as many rows that the parts
        picked.
    Gradients
        With the weights, the gradients of the kept rows approximate those of all rows.
    Source
        Minoux, 1978, lazy greedy; Mirzasoleiman et al., "Lazier Than Lazy Greedy", AAAI 2015,
        stochastic greedy. Within 1 - 1/e of the best M rows. Two rounds: Mirzasoleiman et al.,
        "Distributed Submodular Maximization", NIPS 2013.

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
    rounds = check_rounds(rounds, num_neighbours=num_neighbours)
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
        before = kept_before(task, bad, own=True)
        parts = parts_of(task, rows.shape[1]) if rounds == 2 else []
        if len(parts) > 1:
            return _in_two_rounds(
                rows, task, parts, cosine, before, _greedy_of(optimizer, epsilon, max_memory)
            )
        order = by_key(task)
        nodes = np.concatenate([task.rows[order], before])
        with work_rows(rows, nodes, cosine=cosine, held=held) as (work, scale):
            cover = Coverage(work, order.size, task.budget, cosine, scale)
            if num_neighbours is not None:
                graph = graph_of(num_neighbours, work, nodes, len(rows), metric, scale)
                pick_on_graph(cover, graph)
            else:
                _greedy_of(optimizer, epsilon, max_memory)(cover, task.key)
            weights = _weights(work, order.size, cover.picks, cosine)
        info = {"path": path, "objective": cover.objective, "no_gain": cover.no_gain}
        added = {"objective": operator.add, "no_gain": operator.add}
        return Picks(order[cover.picks], weights, info=info, merge=added)

    arguments: dict[str, Any] = {"metric": metric, "optimizer": optimizer}
    arguments |= {"num_neighbours": num_neighbours, "epsilon": epsilon, "max_memory": max_memory}
    arguments["rounds"] = rounds
    return select(
        "facility_location", len(rows), budget, options, core, arguments=arguments, bad=bad,
        ranked=optimizer != "stochastic",  # the number of rows it evaluates depends on the budget
    )  # fmt: skip


def _greedy_of(optimizer: str, epsilon: float, max_memory: int) -> Callable[[Coverage, Any], None]:
    """Return the function that makes the picks among all pairs, given a random key."""

    def greedy(cover: Coverage, key: np.uint64) -> None:
        if optimizer == "stochastic" and cover.weights is None:
            pick_among_samples(cover, math.log(1 / epsilon), key)
        else:
            pick_all(cover, max_memory, lazy=optimizer != "naive")

    return greedy


def _in_two_rounds(  # noqa: PLR0913  # what `core` has
    rows: Any,  # array or Rows
    task: Task,
    parts: list[slice],
    cosine: bool,
    before: Indices,
    greedy: Callable[[Coverage, Any], None],
) -> Picks:
    """Pick among the picks of parts of the rows."""
    others = np.asarray(rows[before], np.float32)

    def pick(
        block: NDArray[Any], own: Task, first: int, weights: Floats | None
    ) -> tuple[Indices, Floats, int]:
        order = by_key(own)
        nodes = np.concatenate([order, np.arange(len(block), len(block) + len(others))])
        array = np.concatenate([block, others]) if len(others) else block
        with work_rows(array, nodes, cosine=cosine) as (work, scale):
            heavy = None if weights is None else weights[order].astype(np.float32)
            cover = Coverage(work, order.size, own.budget, cosine, scale, weights=heavy)
            greedy(cover, own.key)
            counts = _weights(work, order.size, cover.picks, cosine)
        return order[cover.picks], counts, cover.no_gain

    places, no_gain, facts = two_rounds(rows, task, parts, pick)
    counts, objective = _represented(rows, task, places, others, cosine)
    path = f"two rounds, {len(parts)} parts: not the picks of one round"
    info = {"path": path, "objective": objective, "no_gain": no_gain, "rounds": facts}
    added = {"objective": operator.add, "no_gain": operator.add}
    return Picks(places, counts, info=info, merge=added)


def _represented(
    rows: Any, task: Task, places: Indices, others: Scores, cosine: bool
) -> tuple[Floats, float]:
    """Return the number of rows nearest to each pick, and the objective over all rows.

    others : rows that are already selected, which cover but have no weights
    """
    shift, zero = np.zeros(rows.shape[1]), 0.0
    if not cosine:
        sums = through(lambda block: block.sum(axis=0, dtype=np.float64), rows, task)
        total = sum(sums, others.sum(axis=0, dtype=np.float64))
        shift = total / (task.rows.size + len(others))

        def farthest(block: NDArray[Any]) -> float:
            return float(np.sqrt(np.square(block - shift).sum(axis=1).max()))

        zero = 2.0 * max([*through(farthest, rows, task), *map(farthest, others[:, None])])

    def directed(block: NDArray[Any]) -> Floats:
        wide = block.astype(np.float64) - shift
        return wide / np.sqrt(np.square(wide).sum(axis=1))[:, None] if cosine else wide

    count = places.size
    centers = directed(np.concatenate([np.asarray(rows[task.rows[places]]), others]))
    narrow = centers.astype(np.float32)

    def work(block: NDArray[Any], picked: NDArray[np.bool_]) -> tuple[Indices, float]:
        wide = directed(block)
        own = wide.astype(np.float32)
        nearest = _nearest(own, len(own), count, lambda part: narrow[:count][part], cosine)
        best = nearest
        if len(others):
            best = _nearest(own, len(own), len(narrow), lambda part: narrow[part], cosine)
        near = centers[best]
        values = 0.5 + 0.5 * np.einsum("nd,nd->n", wide, near) if cosine else (
            zero - np.sqrt(np.square(wide - near).sum(axis=1))
        )  # fmt: skip
        return np.bincount(nearest[~picked], minlength=count), float(values.sum())

    flags = np.zeros(task.rows.size, np.bool_)
    flags[places] = True
    counts, objective = np.ones(count), 0.0  # each pick is nearest to itself, also copies
    for found, value in through(work, rows, task, flags):
        counts += found
        objective += value
    return counts, objective


def _weights(work: Work, size: int, picks: Indices, cosine: bool) -> Floats:
    """Return the number of the first `size` rows that are nearest to each pick.

    Ties go to the earlier pick.
    """
    nearest = _nearest(work, size, picks.size, lambda part: work[picks[part]], cosine)
    nearest[picks] = np.arange(picks.size)  # also for copies
    return np.bincount(nearest, minlength=picks.size).astype(np.float64)


def _nearest(
    work: Work, size: int, count: int, centers_of: Callable[[slice], Scores], cosine: bool
) -> Indices:
    """Return the nearest of `count` centers to each of the first `size` rows; ties to the first."""
    nearest, best = np.zeros(size, np.int64), np.full(size, -np.inf, np.float32)
    step = max(1, _CENTERS // work.shape[1])
    for start in range(0, count, step):
        centers = centers_of(slice(start, start + step))
        half = 0.0 if cosine else 0.5 * np.einsum("md,md->m", centers, centers)
        for part in tiles(size, max(len(centers), work.shape[1])):
            values = work[part] @ centers.T - half
            column = values.argmax(axis=1)
            high = values[np.arange(len(values)), column]
            better = high > best[part]
            nearest[part][better] = start + column[better]
            best[part][better] = high[better]
    return nearest
