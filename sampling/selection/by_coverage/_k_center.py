"""k-center: minimize the covering radius greedily, by repeatedly picking the farthest row."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check
from ..._checkpoint import part as part_of
from ..._progress import Steps
from ...kernels._greedy import come_nearer, farthest, look_ahead
from ...record import Selection
from ...types import Floats, Indices, Scores
from ..core._cost import Cost, Sizes, products_of
from ..core._inputs import embeddings_of
from ..core._method import method
from ..core._options import Options
from ..core._order import best
from ..core._select import select
from ..core._task import Picks, Task
from ._geometry import is_cosine, kept_before, power, rounding, tiles
from ._greedi import (
    check_rounds,
    part_size,
    parts_of,
    place_of,
    task_of,
    through,
    two_rounds,
)

__all__ = ["k_center"]

_WIDE = 64  # candidates evaluated at a time
_FAR = "among the farthest from the mean"
_OFFSET = 16.0  # a mean whose square is this many times the variance is subtracted


def _cost(sizes: Sizes) -> Cost:
    n, m, d = sizes.N, sizes.M, sizes.D
    if sizes.arguments.get("rounds") == 2:  # and the radius
        part = min(part_size(n, m, d), n)
        memory = 24 * n + (12 * d + 60) * part
        return Cost(2 * products_of(2 * n + part, m, d), 24 * n * d, memory)
    return Cost(2 * products_of(n, m, d), 12 * n * d, 60 * n)


@method(
    local_only=True,
    elsewhere={"rounds": 2},
    needs="embeddings",
    label="baseline",
    source="Gonzalez 1985; Sener 2018",
    evidence="the picks of a loop in torch, 2.5 to 5.5 times as fast; 60,000 x 64",
    ranked=True,
    cost=_cost,
)
def k_center(  # noqa: PLR0913  # each is a choice of the caller
    embeddings: ArrayLike,
    budget: float,
    *,
    metric: str = "euclidean",
    start: str | int = "medoid",
    robust: float = 0.0,
    rounds: int = 1,
    **options: Unpack[Options],
) -> Selection:
    """Minimize the largest distance to a kept row greedily, by picking the farthest row each time.

    Use it to cover the data, rare regions first, and to thin out copies. At small budgets it picks
    outliers, and training on them is worse than on random rows.

    Parameters
    ----------
    embeddings : array of shape (N, D)
        Converted to float32. A memory-mapped array is read in blocks, once for every 16 to 128
        picks.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    metric : {"euclidean", "cosine"}, default "euclidean"
        "cosine" is the Euclidean distance of rows scaled to length 1.
    start : {"medoid", "random"} or int, default "medoid"
        The first pick: the row nearest to the mean, a random row, or the row of this number.
        "medoid" and "random" are ignored if rows are already selected: these are the first centers.
    robust : float in [0, 1), default 0.0
        Fraction of the rows (of each group) that is dropped first, those farthest from the mean:
        they are not picked and do not count in the radius. For outliers around a single cluster.
    rounds : {1, 2}, default 1
        2: parts of the rows pick M each, and the picks are made among these. Other picks than those
        of one round, with a larger radius; see the notes. Required inside another engine than
        `Local`, whose workers process the parts.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Ranked, without weights. `info["radius"]` is the largest distance of a row to the nearest
        kept row, `info["duplicates"]` the number of picks that are copies of others because no
        other rows were left. `info["rounds"]` holds the number of parts and of the rows that they
        picked, if there were two rounds.

    Raises
    ------
    ValueError
        If a row is not finite, or is a zero vector under cosine, unless `on_bad="drop"` (the
        message names it); if `start` cannot be picked; if `robust` leaves fewer rows than the
        budget, or is combined with `costs` or `rounds=2`.

    Notes
    -----
    Order
        In selection order; ties broken by a hash of (seed, id). Every decisive distance is computed
        from differences in float64, so the picks are exact. The radius is at most twice the optimal
        radius for M rows.
    Cost
        O(N M D) time; 60 N bytes. The time is mostly in matrix products over many candidates, in
        blocks of a few MiB. If all distances are small compared with the distance to the mean,
        float32 cannot rule out rows, and it takes about 10 times as long.
    Two rounds
        On 63,666 sentence embeddings of 384 dimensions, under cosine, the radius was 1.3 % larger
        than that of one round at M = 100 (12 parts), and 2.9 % at M = 1,000 (8 parts); on 60,000
        rows in 500 clumps of unequal size in 64 dimensions 0.04 % and 10 % (2 parts). At most 4
        times the optimal radius, where one round is at most twice. Another pass over the rows gives
        the radius of all. A worker holds max(sqrt(N M), 2**21 / D) rows, and this process as many
        rows that the parts picked.
    Gradients
        No weights; the loss over the kept rows is unweighted.
    Source
        Gonzalez, Theor. Comput. Sci. 38, 1985, 293-306; for selection Sener, Savarese, "Active
        Learning for CNNs: A Core-Set Approach", ICLR 2018. Two rounds: Malkomes et al., "Fast
        Distributed k-Center Clustering with Outliers on Massive Data", NIPS 2015.

    Examples
    --------
    >>> found = k_center([[0.0], [1.0], [2.0], [6.0], [10.0]], 3, start=0)
    >>> found.indices, found.info["radius"]
    (array([0, 4, 3]), 2.0)
    """
    cosine = is_cosine(metric)
    if isinstance(start, str):
        start = _check.choice("start", start, ("medoid", "random"))
    else:
        start = _check.integer("start", start, 0)
    robust = _check.number("robust", robust, "[0, 1)")
    if robust and options.get("costs") is not None:
        raise ValueError(f"robust must be 0 with costs, got {robust}")
    rounds = check_rounds(rounds, robust=robust)
    rows, bad = embeddings_of("embeddings", embeddings, options, cosine=cosine)
    if not isinstance(start, str):
        start = _check.integer("start", start, 0, len(rows))

    def core(whole: Task) -> Picks:
        parts = parts_of(whole, rows.shape[1]) if rounds == 2 else []
        if len(parts) > 1:
            _refuse_start(whole, start, options)
            return _in_two_rounds(rows, whole, parts, cosine, start, kept_before(whole, bad))
        task, kept = whole, np.arange(whole.rows.size)
        cover = _Cover(rows, task, metric == "cosine")
        far = _farthest(cover, robust)
        if far.size:
            kept = np.setdiff1d(kept, far, assume_unique=True)
            task = replace(task, rows=task.rows[kept], keys=task.keys[kept])
            cover = _Cover(rows, task, metric == "cosine")
        before = kept_before(task, bad)
        first = _first(cover, start, before.size > 0, options)
        places, copies = _pick(cover, before, first)
        info = {"radius": cover.radius(), "duplicates": copies}
        merge: dict[str, Callable[..., Any]] = {"radius": max, "duplicates": operator.add}
        return Picks(kept[places], ruled=[(far, _FAR)] if far.size else [], info=info, merge=merge)

    arguments = {"metric": metric, "start": start, "robust": robust, "rounds": rounds}
    return select("k_center", len(rows), budget, options, core, arguments=arguments, bad=bad)


def _in_two_rounds(  # noqa: PLR0913  # what `core` has
    rows: Any,  # array or Rows
    task: Task,
    parts: list[slice],
    cosine: bool,
    start: str | int,
    before: Indices,
) -> Picks:
    """Pick among the picks of parts of the rows."""
    named = start if isinstance(start, str) else "medoid"
    centers = np.ascontiguousarray(rows[before], np.float32)

    def covered(block: NDArray[Any], own: Task, others: Scores) -> _Cover:
        cover = _Cover(block, own, cosine)
        for at in range(0, len(others), _WIDE):
            cover.add(others[at : at + _WIDE])
        return cover

    def pick(
        block: NDArray[Any], own: Task, first: int, weights: Floats | None
    ) -> tuple[Indices, Floats, int]:
        cover = covered(block, own, centers)
        chosen = _first(cover, named, len(centers) > 0, {}) if first < 0 else first
        places, copies = _pick(cover, before[:0], chosen)
        return places, np.ones(places.size), copies

    row = None if isinstance(start, str) else start
    places, copies, facts = two_rounds(rows, task, parts, pick, row)
    picked = np.ascontiguousarray(rows[task.rows[places]], np.float32)
    every = np.concatenate([centers, picked])
    seed, key = task.seed, task.key

    def radius(block: NDArray[Any]) -> float:
        own = task_of(len(block), 1, np.zeros(len(block), np.uint64), seed, key)
        return covered(block, own, every).radius()

    info = {"radius": max(through(radius, rows, task)), "duplicates": copies, "rounds": facts}
    merge: dict[str, Callable[..., Any]] = {"radius": max, "duplicates": operator.add}
    return Picks(places, info=info, merge=merge)


@dataclass
class _Cover:
    """The squared distance of each row to its nearest center, exact at all times.

    Squares are in units in which rows are of magnitude about 1; picked rows have -1.
    """

    array: NDArray[Any]
    task: Task
    cosine: bool
    shift: Scores | None = None  # None if not necessary: subtracting is slower than a product
    scale: float = 1.0
    factors: Floats = field(init=False)  # the scale of each row
    low: Floats = field(init=False)  # half the squared distance to the mean, minus the error
    distances: Floats = field(init=False)

    def __post_init__(self) -> None:
        n, dimensions = self.task.rows.size, self.array.shape[1]
        self.parts = list(tiles(n, dimensions))
        # allocated once: page faults are slow
        self.dots = np.empty(self.parts[0].stop * _WIDE, np.float32)
        self.distances = np.full(n, np.inf)
        self.factors, self.low = np.ones(n), np.empty(n)
        total, squares, high = np.zeros(dimensions), 0.0, 0.0
        for part in self.parts:
            block = self.block(part).astype(np.float64)
            if self.cosine:
                self.factors[part] = 1.0 / np.sqrt(np.square(block).sum(axis=1))
                block *= self.factors[part, None]
            total += block.sum(axis=0)
            squares += float(np.square(block).sum())
            high = max(high, float(np.abs(block).max()))
        self.mean = total / n
        if not self.cosine:
            self.scale = power(high)
            self.factors *= self.scale
            offset = float(np.square(self.mean).sum())
            if offset > _OFFSET * (squares / n - offset):
                self.shift = self.mean.astype(np.float32)
        for part in self.parts:
            self.low[part] = self.half(self.work(self.block(part)), self.factors[part])

    def half(self, work: Scores, factors: Floats) -> Floats:
        """Return half the squares of work rows, minus the error of a product with another row."""
        squares: Floats = np.einsum("nd,nd->n", work, work, dtype=np.float64)
        return squares * (0.5 * (1.0 - rounding(work.shape[1])) * np.square(factors))

    def read(self, rows: Indices) -> Scores:
        """Return rows of the input as float32."""
        return np.ascontiguousarray(self.array[rows], np.float32)

    def block(self, part: slice) -> Scores:
        """Return a block of the eligible rows; float32 rows in memory are not copied."""
        if self.task.rows.size == self.task.size:
            return np.ascontiguousarray(self.array[part], np.float32)
        return self.read(self.task.rows[part])

    def work(self, raw: Scores) -> Scores:
        """Return rows without the offset, which would cost digits in products."""
        return raw if self.shift is None else raw - self.shift

    def add(self, centers: Scores) -> None:
        """Add centers (P, D), rows of the input."""
        wide = centers.astype(np.float64)
        lengths = np.sqrt(np.square(wide).sum(axis=1)) if self.cosine else np.ones(len(wide))
        factors = self.scale / lengths
        work = self.work(centers)
        offsets = self.half(work, factors).astype(np.float32)
        turned = np.ascontiguousarray((work * factors[:, None].astype(np.float32)).T)
        exact = wide * factors[:, None]
        for part in self.parts:
            raw = self.block(part)
            dots = self.dots[: len(raw) * len(wide)].reshape(len(raw), len(wide))
            np.matmul(self.work(raw), turned, out=dots)
            come_nearer(
                raw, self.factors[part], dots, self.low[part], exact, offsets, self.distances[part]
            )

    def take(self, places: Indices) -> None:
        """Mark positions as picked."""
        self.distances[places] = -1.0
        self.add(self.read(self.task.rows[places]))

    def from_mean(self) -> Floats:
        """Return the squared distances to the mean (n,)."""
        squares = np.empty(self.task.rows.size)
        for part in self.parts:
            block = self.block(part).astype(np.float64)
            if self.cosine:
                block *= self.factors[part, None]
            squares[part] = np.square((block - self.mean) * self.scale).sum(axis=1)
        return squares

    def radius(self) -> float:
        """Return the largest distance to a center."""
        return float(np.sqrt(max(0.0, self.distances.max()))) / self.scale


def _farthest(cover: _Cover, share: float) -> Indices:
    """Return the positions of a fraction of the rows, those farthest from the mean."""
    task = cover.task
    count = int(share * task.rows.size + 0.5)
    if task.budget > task.rows.size - count:
        raise ValueError(
            f"budget must be at most {task.rows.size - count}, the rows that robust={share} "
            f"leaves, got {task.budget}"
        )
    return best(cover.from_mean(), count, task.keys) if count else np.zeros(0, np.int64)


def _first(cover: _Cover, start: str | int, begun: bool, options: Options) -> int | None:
    """Return the position of the first pick; None if there are centers already."""
    task = cover.task
    if not isinstance(start, str):
        place = place_of(task.rows, start)
        if place >= 0:
            return place
        _refuse_start(task, start, options)
        # in another group: this group starts from its own medoid
    if begun:
        return None
    if start == "random":
        return int(np.argmin(task.keys ^ task.key))
    squares = cover.from_mean()
    # The last digits of the mean depend on the row order: distances equal up to these are ties.
    near = np.flatnonzero(squares <= squares.min() * (1 + 1e-9) + 1e-18)
    return int(near[np.argmin(task.keys[near])])


def _refuse_start(task: Task, start: str | int, options: Options) -> None:
    """Refuse a first pick that is not eligible; without groups, as it may be in another one."""
    if isinstance(start, str) or options.get("groups") is not None:
        return
    if place_of(task.rows, start) < 0:
        raise ValueError(f"start must be a row that can be picked, got {start}")


def _pick(cover: _Cover, before: Indices, first: int | None) -> tuple[Indices, int]:
    """Return the positions of the picks (M,), and how many of them are copies of centers.

    before : rows of the input that are centers already, (a,)
    """
    task, distances = cover.task, cover.distances
    places, count, added = np.empty(task.budget, np.int64), 0, 0
    with (
        part_of("farthest rows") as own,
        Steps("picking rows", before.size + task.budget) as bar,
    ):
        if own.state:
            distances[:], added = own.state["distances"], int(own.state["added"])
            count = own.state["places"].size
            places[:count] = own.state["places"]
            bar.skip(added + count)

        def state() -> dict[str, NDArray[Any]]:
            return {"distances": distances, "places": places[:count], "added": np.array(added)}

        own.make = state
        while added < before.size:
            some = before[added : added + _WIDE]
            cover.add(cover.read(some))
            added += some.size
            bar.update(some.size)
            own.tick()
        if first is not None and count == 0:
            places[0], count = first, 1
            cover.take(places[:1])
        while count < task.budget:
            top = np.empty(min(_WIDE, distances.size), np.int64)
            farthest(distances, task.keys, top)
            if distances[top[0]] <= 0.0:
                break
            rows = cover.read(task.rows[top]).astype(np.float64) * cover.factors[top, None]
            out = np.empty(min(top.size, task.budget - count), np.int64)
            found = look_ahead(rows, distances[top], task.keys[top], out)
            new = top[out[:found]]
            places[count : count + found] = new
            count += found
            cover.take(new)
            bar.update(found)
            own.tick()
        own.done(**state())
    copies = task.budget - count
    if copies:
        left = np.flatnonzero(distances >= 0.0)
        places[count:] = left[np.argsort(task.keys[left], kind="stable")[:copies]]
    return places, copies
