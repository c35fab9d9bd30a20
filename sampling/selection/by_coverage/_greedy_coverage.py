"""Greedy facility location: over all pairs in blocks, over pairs that can still gain, or a graph.

A gain sums max(0, similarity - current), where current is the similarity of a row to its pick. If
rows have weights, both are multiplied by that of the row, so kernels know of none.

Current values only grow, and a pair below them never contributes again. After a few picks, which
need products of all pairs, the pairs that still contribute are few enough to be stored, and the
remaining picks use only these. All pairs are computed once if memory allows, otherwise in blocks
for each pick.

The products are few and large. BLAS splits each among its threads and waits for the last one; if
other processes keep the cores busy, this costs a time slice of the system, 10 to 50 ms, even if the
product takes 1 ms.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import _rng
from ..._checkpoint import Part
from ..._checkpoint import part as part_of
from ..._progress import Steps
from ...clustering import Neighbours
from ...kernels._greedy import SAME, change_gains, gather_pairs, pick_gains, to_distances
from ...types import Floats, Indices, Scores
from ._geometry import Work, put, tiles

__all__ = ["Coverage", "pick_all", "pick_among_samples", "pick_on_graph"]

_ROWS, _COLUMNS = 1024, 4096  # of a block: 16 MiB
_DENSE = 0.125  # the fraction of all pairs up to which a list is faster than blocks
_PROBES = 256
_ALL = slice(None)
_PICKS = 256  # on a list, between two states
_LONG = 10.0  # seconds after which a list is saved instead of being made again


@dataclass
class Coverage:
    """Rows, picks, and the similarity of each row to its pick.

    Similarities are half the cosine, or minus the distance: they are lower than those of the public
    docstring by the constant `zero`.
    """

    work: Work  # (n, D); under cosine of length sqrt(1/2)
    size: int  # rows that may be picked; the rows behind are already selected
    count: int
    cosine: bool
    scale: float
    picks: Indices = field(init=False)
    current: Scores = field(init=False)  # (size,)
    kept: Scores | None = None  # (size, size), all similarities
    no_gain: int = 0
    weights: Scores | None = None  # (size,), how often each row counts; once by default

    def __post_init__(self) -> None:
        self.picks = np.empty(self.count, np.int64)
        self.squares = np.empty(len(self.work), np.float32)
        for rows in tiles(*self.work.shape):
            block = self.work[rows]
            if self.cosine:
                block = block * np.float32(0.5**0.5)
                put(self.work, rows, block)
            self.squares[rows] = np.einsum("nd,nd->n", block, block)
        if self.cosine:
            self.zero = 0.5
        else:
            self.zero = 2.0 * float(np.sqrt(self.squares.max())) * (1 + 1e-6)
        self.current = self.weighted(np.full(self.size, -self.zero, np.float32))

    def cover_before(self) -> None:
        """Cover rows by those already selected."""
        for row in range(self.size, len(self.work)):
            np.maximum(self.current, self.similar(row), out=self.current)

    def weighted(self, values: Scores, rows: Indices | slice = _ALL, axis: int = -1) -> Scores:
        """Return similarities to rows, along an axis, times the weights of these rows."""
        if self.weights is None:
            return values
        some = self.weights[rows]
        return values * (some[:, None] if axis == 0 else some)

    def keep(self) -> None:
        """Compute and store all similarities."""
        rows, squares = self.work[: self.size], self.squares[: self.size]
        self.kept = self.product(rows, squares, rows, squares)

    def blocks(self, rows: Indices | slice) -> Iterator[tuple[slice, Scores]]:
        """Yield blocks of the columns, and the similarities (b, w) of rows to them.

        Stored similarities are one block.
        """
        if self.kept is not None:
            yield slice(0, self.size), self.kept[rows]
            return
        left, squares = self.work[rows], self.squares[rows]
        for start in range(0, self.size, _COLUMNS):
            columns = slice(start, min(start + _COLUMNS, self.size))
            # numpy computes products of an array with itself in another way, to other bits.
            same = isinstance(rows, slice) and rows == columns
            right = left if same else self.work[columns]
            yield columns, self.product(left, squares, right, self.squares[columns])

    def product(
        self, left: Scores, left_squares: Scores, right: Scores, right_squares: Scores
    ) -> Scores:
        """Compute the similarities (b, w) of work rows (b, D) to others (w, D)."""
        values: Scores = left @ right.T
        if not self.cosine:
            to_distances(values, left, right, left_squares, right_squares)
        return values

    def of(self, rows: Indices | slice) -> Scores:
        """Return the similarities (b, size) of rows to all rows that may be picked."""
        if self.kept is not None:
            return self.kept[rows]
        values = np.empty((len(self.squares[rows]), self.size), np.float32)
        for columns, some in self.blocks(rows):
            values[:, columns] = some
        return values

    def similar(self, place: int) -> Scores:
        """Return the weighted similarities of one row to all that may be picked: (size,)."""
        if place < self.size:
            return self.weighted(self.of(slice(place, place + 1)).ravel())
        kept, self.kept = self.kept, None  # which has no rows that are already selected
        try:
            return self.weighted(self.of(slice(place, place + 1)).ravel())
        finally:
            self.kept = kept

    @property
    def objective(self) -> float:
        """The sum of similarities covered."""
        total = float(self.current.sum(dtype=np.float64)) + self.zero * self.size
        return total / self.scale


# ------------------------------------------------------------------ all pairs


def pick_all(cover: Coverage, max_memory: int, *, lazy: bool) -> None:
    """Make all picks over all pairs; if `lazy`, over a list of pairs once it fits into memory."""
    cover.cover_before()
    held = cover.work.nbytes if isinstance(cover.work, np.ndarray) else 0
    memory = max(0, max_memory - held - 64 * cover.size - 3 * 2**24)
    room = min(memory // 8, int(1.1 * _DENSE * cover.size**2) + 2 * cover.size) if lazy else 0
    read = 0 if held else 4 * cover.size * cover.work.shape[1]
    if 4 * cover.size**2 + 8 * room + read <= memory:
        cover.keep()
    with part_of("all pairs") as own, Steps("picking rows", cover.count, even=False) as bar:
        _AllPairs(cover, own, bar, room).run()


class _AllPairs:
    """The picks over all pairs, and their state.

    A step changes nothing before all that takes long in it is computed, so that a step which was
    interrupted begins again with the same state.
    """

    def __init__(self, cover: Coverage, own: Part, bar: Steps, room: int) -> None:
        self._cover, self._own, self._bar, self._room = cover, own, bar, room
        self._every = np.arange(cover.size)
        self._open = np.ones(cover.size, np.bool_)
        self._count, self._listed = 0, False
        self._drift = 0.0  # error of gains that were updated by differences
        if own.state:
            saved = own.state
            cover.current[:], self._gains = saved["current"], saved["gains"]
            self._open, self._drift = saved["open"], float(saved["drift"])
            self._count, self._listed = saved["picks"].size, bool(saved["listed"])
            cover.picks[: self._count], cover.no_gain = saved["picks"], int(saved["no_gain"])
            bar.skip(self._count)
        elif cover.cosine and cover.size == len(cover.work):  # nothing is covered yet
            self._gains = _sums(cover)
        else:
            self._gains = _gains(cover, self._every, None, cover.current, "first")
        own.make = self._state

    def _state(self) -> dict[str, NDArray[Any]]:
        cover = self._cover
        return {
            "current": cover.current, "gains": self._gains, "open": self._open,
            "drift": np.array(self._drift), "picks": cover.picks[: self._count],
            "listed": np.array(self._listed), "no_gain": np.array(cover.no_gain),
        }  # fmt: skip

    def run(self) -> None:
        """Make all picks."""
        cover, own = self._cover, self._own
        while self._count < cover.count:
            if self._listed or (self._count and self._room and _few(cover, self._open, self._room)):
                pairs = _pairs(cover, self._open, self._room, str(self._count))
                if pairs is not None:
                    self._listed = True
                    if own.owner is not None:  # the pairs are those of this state
                        own.make = _frozen(self._state())
                    _pick_on_pairs(cover, pairs, self._gains, self._open, self._count, self._bar)
                    break
            if not self._step():
                break
            self._bar.update()
            own.tick()
        self._count = cover.count
        own.done(**self._state())

    def _step(self) -> bool:
        """Make a pick; return False if none adds anything, and the rest are filled up."""
        cover, count = self._cover, self._count
        pick = int(np.where(self._open, self._gains, -np.inf).argmax())
        if self._gains[pick] <= self._drift:
            self._gains = _gains(cover, self._every, None, cover.current, f"exact {count}")
            self._drift, pick = 0.0, int(np.where(self._open, self._gains, -np.inf).argmax())
        if self._gains[pick] <= 0.0:
            left = np.flatnonzero(self._open)[: cover.count - count]
            cover.picks[count:], cover.no_gain = left, cover.no_gain + left.size
            return False
        similar = cover.similar(pick)
        better = np.flatnonzero(similar > cover.current)
        old, new = cover.current[better], similar[better]
        now = cover.current.copy()
        now[better] = new
        if count + 1 == cover.count:
            pass
        elif 2 * better.size > cover.size:
            self._gains = _gains(cover, self._every, None, now, f"all {count}")
            self._drift = 0.0
        else:
            self._gains = self._gains + _gains(cover, better, old, new, f"some {count}")
            self._drift += float(SAME) * better.size
        cover.picks[count], self._open[pick], cover.current = pick, False, now
        self._count += 1
        return True


def _frozen(state: dict[str, NDArray[Any]]) -> Callable[[], dict[str, NDArray[Any]]]:
    """Return what returns a copy of a state, as it is now."""
    copied = {name: each.copy() for name, each in state.items()}
    return lambda: copied


def _sums(cover: Coverage) -> Floats:
    """Return the weighted sum of the similarities of each column to all rows."""
    parts = list(tiles(*cover.work.shape))
    total = np.zeros(cover.work.shape[1])
    for part in parts:
        total += cover.weighted(cover.work[part], part, 0).sum(axis=0, dtype=np.float64)
    gains = np.empty(cover.size)
    for part in parts:
        gains[part] = cover.work[part] @ total
    rows = cover.size if cover.weights is None else float(cover.weights.sum(dtype=np.float64))
    gains += cover.zero * rows
    return gains


def _gains(cover: Coverage, rows: Indices, old: Scores | None, new: Scores, name: str) -> Floats:
    """Return the change in gain of each column as rows (r,) change from `old` to `new`.

    Without `old`, return the gain from these rows itself.

    name : of this computation among those of the picks, for the saved state
    """
    before = np.full(rows.size, np.inf, np.float32) if old is None else old
    gains, start = np.zeros(cover.size), 0
    with part_of(f"gains, {name}") as own:
        if own.state:
            gains, start = own.state["gains"], int(own.state["start"])
        own.make = lambda: {"gains": gains, "start": np.array(start)}
        while start < rows.size:
            block = slice(start, min(start + _ROWS, rows.size))
            some = block if rows.size == cover.size else rows[block]
            for columns, values in cover.blocks(some):
                values = cover.weighted(values, some, 0)
                change_gains(values, before[block], new[block], gains[columns])
            start = block.stop
            own.tick()
    return gains


def _few(cover: Coverage, open_: NDArray[np.bool_], room: int) -> bool:
    """Return whether the pairs that can still gain are estimated to fit into `room`."""
    probes = np.unique(np.linspace(0, cover.size - 1, _PROBES).astype(np.int64))
    found = 0
    for some, values in cover.blocks(probes):
        values = cover.weighted(values, probes, 0)
        above = values - cover.current[probes, None] > SAME
        found += int(np.count_nonzero(above[:, open_[some]]))
    return 1.05 * found / probes.size * cover.size + cover.size <= room


Pairs = tuple[Indices, Indices, NDArray[np.int32], Scores]


def _pairs(cover: Coverage, open_: NDArray[np.bool_], room: int, name: str) -> Pairs | None:
    """Return starts and lengths (n,), rows and similarities (L,); None if they do not fit.

    name : of this list, for the saved state
    """
    rows, similarities = np.empty(room, np.int32), np.empty(room, np.float32)
    starts, lengths = np.zeros(cover.size, np.int64), np.zeros(cover.size, np.int64)
    places = np.flatnonzero(open_)
    step = max(1, 2**22 // cover.size)
    begin, first, began = 0, 0, time.monotonic()
    with part_of(f"pairs, {name}") as own:
        if own.state:
            starts, lengths = own.state["starts"], own.state["lengths"]
            first = int(own.state["first"])
            for added in own.added:
                end = begin + added["rows"].size
                rows[begin:end], similarities[begin:end] = added["rows"], added["similarities"]
                begin = end
            own.added = []

        def state() -> dict[str, NDArray[Any]]:
            return {"starts": starts, "lengths": lengths, "first": np.array(first)}

        own.make = state
        while first < places.size:
            some = places[first : first + step]
            found = np.empty(some.size, np.int64)
            values = cover.weighted(cover.of(some))
            end = gather_pairs(values, cover.current, begin, rows, similarities, found)
            if end < 0:
                own.forget()
                return None
            lengths[some] = found
            starts[some] = begin + np.cumsum(found) - found
            own.add(rows=rows[begin:end], similarities=similarities[begin:end])
            begin, first = end, first + some.size
            own.tick()
        if time.monotonic() - began > _LONG:
            own.done(**state())
            own.flush()  # before the picks change them
        else:
            own.forget()
    return starts, lengths, rows, similarities


def _pick_on_pairs(  # noqa: PLR0913, PLR0917  # what the picks change
    cover: Coverage,
    pairs: Pairs,
    gains: Floats,
    open_: NDArray[np.bool_],
    count: int,
    bar: Steps,
) -> None:
    """Make the picks from number `count` onwards."""
    heap = np.flatnonzero(open_)
    heap = heap[np.argsort(-gains[heap], kind="stable")]
    picks, done = cover.picks[count:], 0
    with part_of("listed pairs") as own:
        if own.state:
            saved = own.state
            cover.current[:], gains[:] = saved["current"], saved["gains"]
            heap, done = saved["heap"], saved["picks"].size
            picks[:done] = saved["picks"]
            bar.skip(done)
        own.make = lambda: {
            "current": cover.current, "gains": gains, "heap": heap, "picks": picks[:done]
        }  # fmt: skip
        while done < picks.size:
            some = picks[done : done + _PICKS]
            pick_gains(*pairs, cover.current, gains, heap, some)
            heap = heap[: heap.size - some.size]
            done += some.size
            bar.update(some.size)
            own.tick()
        cover.no_gain += int(np.count_nonzero(gains[picks] <= SAME))
        own.done(current=cover.current, gains=gains, heap=heap, picks=picks)


# ------------------------------------------------------------------ samples


def pick_among_samples(cover: Coverage, width: float, key: np.uint64) -> None:
    """Make each pick among n / m * `width` random rows."""
    cover.cover_before()
    left, count = np.arange(cover.size), 0
    wanted = max(1, int(np.ceil(cover.size / cover.count * width)))
    with part_of("samples") as own, Steps("picking rows", cover.count, even=False) as bar:
        if own.state:
            saved = own.state
            cover.current, left, count = saved["current"], saved["left"], saved["picks"].size
            cover.picks[:count], cover.no_gain = saved["picks"], int(saved["no_gain"])
            bar.skip(count)
        own.make = lambda: {
            "current": cover.current, "left": left, "picks": cover.picks[:count],
            "no_gain": np.array(cover.no_gain),
        }  # fmt: skip
        while count < cover.count:
            left = _pick_among(cover, left, wanted, _rng.subkey(key, count), count)
            count += 1
            bar.update()
            own.tick()
        own.done(**own.make())


def _pick_among(
    cover: Coverage, left: Indices, wanted: int, words: np.uint64, count: int
) -> Indices:
    """Make pick number `count` among `wanted` random rows; return the rows that are left."""
    some = min(wanted, left.size)
    for at in range(some):  # the first entries of a shuffle
        word = _rng.subkey(words, at)
        other = at + int(_rng.uniform(word) * (left.size - at))
        left[at], left[other] = left[other], left[at]
    tried = np.sort(left[:some])
    gains = np.zeros(some)
    never = np.full(_COLUMNS, np.inf, np.float32)
    rows, squares = cover.work[tried], cover.squares[tried]
    for first in range(0, cover.size, _COLUMNS):
        block = slice(first, min(first + _COLUMNS, cover.size))
        values = cover.product(cover.work[block], cover.squares[block], rows, squares)
        change_gains(values, never[: block.stop - first], cover.current[block], gains)
    pick = int(tried[gains.argmax()])
    cover.no_gain += bool(gains.max() <= SAME)
    cover.picks[count] = pick
    np.maximum(cover.current, cover.similar(pick), out=cover.current)
    at = int(np.flatnonzero(left[:some] == pick)[0])
    left[at] = left[-1]
    return left[:-1]


# ------------------------------------------------------------------ a graph


def pick_on_graph(cover: Coverage, graph: Neighbours) -> None:
    """Make all picks on the symmetrised graph of nearest neighbours."""
    n = len(cover.work)
    there = graph.indices >= 0
    if cover.cosine:
        values = 1.0 - 0.5 * graph.distances
        cover.zero = 0.0
        own = np.float32(1.0)
    else:
        longest = float(graph.distances[there].max()) if there.any() else 0.0
        values = np.float32(longest) - graph.distances
        cover.zero, own = 0.0, np.float32(longest)
    columns = np.repeat(np.arange(n), there.sum(axis=1))
    others, values = graph.indices[there], values[there]
    codes = np.concatenate([columns * n + others, others * n + columns, np.arange(n) * (n + 1)])
    values = np.concatenate([values, values, np.full(n, own, np.float32)]).astype(np.float32)
    codes, first = np.unique(codes, return_index=True)
    columns, rows, values = codes // n, (codes % n).astype(np.int32), values[first]
    cover.current = np.zeros(n, np.float32)
    behind = columns >= cover.size  # an already selected row covers its neighbours
    np.maximum.at(cover.current, rows[behind], values[behind])
    lengths = np.bincount(columns, minlength=n).astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    gains = np.bincount(columns, weights=values, minlength=n).astype(np.float64)
    pairs: Pairs = starts, lengths, rows, values
    open_ = np.arange(n) < cover.size
    with Steps("picking rows", cover.count, even=False) as bar:
        _pick_on_pairs(cover, pairs, gains, open_, 0, bar)
    cover.current = cover.current[: cover.size]
