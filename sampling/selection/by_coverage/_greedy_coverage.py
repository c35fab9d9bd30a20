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

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ... import _rng
from ...clustering import Neighbours
from ...kernels._greedy import SAME, change_gains, gather_pairs, pick_gains, to_distances
from ...types import Floats, Indices, Scores
from ._geometry import Work, put, tiles

__all__ = ["Coverage", "pick_all", "pick_among_samples", "pick_on_graph"]

_ROWS, _COLUMNS = 1024, 4096  # of a block: 16 MiB
_DENSE = 0.125  # the fraction of all pairs up to which a list is faster than blocks
_PROBES = 256
_ALL = slice(None)


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
        for part in tiles(*self.work.shape):
            block = self.work[part]
            if self.cosine:
                block = block * np.float32(0.5**0.5)
                put(self.work, part, block)
            self.squares[part] = np.einsum("nd,nd->n", block, block)
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
        kept = np.empty((self.size, self.size), np.float32)
        for start in range(0, self.size, _ROWS):
            rows = slice(start, min(start + _ROWS, self.size))
            for columns, values in self.blocks(rows):
                kept[rows, columns] = values
        self.kept = kept

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
            yield columns, self.product(left, squares, self.work[columns], self.squares[columns])

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
    if 4 * cover.size**2 + 8 * room <= memory:
        cover.keep()
    open_ = np.ones(cover.size, np.bool_)
    every = np.arange(cover.size)
    if cover.cosine and cover.size == len(cover.work):  # nothing is covered yet: sums of products
        gains = _sums(cover)
    else:
        gains = _gains(cover, every, None, cover.current)
    drift = 0.0  # error of gains that were updated by differences
    for count in range(cover.count):
        if count and room and _few(cover, open_, room):
            pairs = _pairs(cover, open_, room)
            if pairs is not None:
                _pick_on_pairs(cover, pairs, gains, open_, count)
                return
        pick = int(np.where(open_, gains, -np.inf).argmax())
        if gains[pick] <= drift:
            gains = _gains(cover, every, None, cover.current)
            drift, pick = 0.0, int(np.where(open_, gains, -np.inf).argmax())
        if gains[pick] <= 0.0:
            left = np.flatnonzero(open_)[: cover.count - count]
            cover.picks[count:], cover.no_gain = left, cover.no_gain + left.size
            return
        cover.picks[count], open_[pick] = pick, False
        similar = cover.similar(pick)
        better = np.flatnonzero(similar > cover.current)
        old, new = cover.current[better], similar[better]
        cover.current[better] = new
        if count + 1 == cover.count:
            return
        if 2 * better.size > cover.size:
            gains, drift = _gains(cover, every, None, cover.current), 0.0
        else:
            gains += _gains(cover, better, old, new)
            drift += float(SAME) * better.size


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


def _gains(cover: Coverage, rows: Indices, old: Scores | None, new: Scores) -> Floats:
    """Return the change in gain of each column as rows (r,) change from `old` to `new`.

    Without `old`, return the gain from these rows itself.
    """
    before = np.full(rows.size, np.inf, np.float32) if old is None else old
    gains = np.zeros(cover.size)
    for start in range(0, rows.size, _ROWS):
        part = slice(start, min(start + _ROWS, rows.size))
        some = part if rows.size == cover.size else rows[part]
        for columns, values in cover.blocks(some):
            values = cover.weighted(values, some, 0)
            change_gains(values, before[part], new[part], gains[columns])
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


def _pairs(cover: Coverage, open_: NDArray[np.bool_], room: int) -> Pairs | None:
    """Return starts and lengths (n,), rows and similarities (L,); None if they do not fit."""
    rows, similarities = np.empty(room, np.int32), np.empty(room, np.float32)
    starts, lengths = np.zeros(cover.size, np.int64), np.zeros(cover.size, np.int64)
    places = np.flatnonzero(open_)
    step = max(1, 2**22 // cover.size)
    begin = 0
    for first in range(0, places.size, step):
        some = places[first : first + step]
        found = np.empty(some.size, np.int64)
        values = cover.weighted(cover.of(some))
        end = gather_pairs(values, cover.current, begin, rows, similarities, found)
        if end < 0:
            return None
        lengths[some] = found
        starts[some] = begin + np.cumsum(found) - found
        begin = end
    return starts, lengths, rows, similarities


def _pick_on_pairs(
    cover: Coverage, pairs: Pairs, gains: Floats, open_: NDArray[np.bool_], count: int
) -> None:
    """Make the picks from number `count` onwards."""
    heap = np.flatnonzero(open_)
    heap = heap[np.argsort(-gains[heap], kind="stable")]
    picks = cover.picks[count:]
    pick_gains(*pairs, cover.current, gains, heap, picks)
    cover.no_gain += int(np.count_nonzero(gains[picks] <= SAME))


# ------------------------------------------------------------------ samples


def pick_among_samples(cover: Coverage, width: float, key: np.uint64) -> None:
    """Make each pick among n / m * `width` random rows."""
    cover.cover_before()
    left = np.arange(cover.size)
    wanted = max(1, int(np.ceil(cover.size / cover.count * width)))
    for count in range(cover.count):
        words = _rng.subkey(key, count)
        some = min(wanted, left.size)
        for at in range(some):  # the first entries of a shuffle
            word = _rng.subkey(words, at)
            other = at + int(_rng.uniform(word) * (left.size - at))
            left[at], left[other] = left[other], left[at]
        tried = np.sort(left[:some])
        gains = np.zeros(some)
        never = np.full(_COLUMNS, np.inf, np.float32)
        some_rows, squares = cover.work[tried], cover.squares[tried]
        for first in range(0, cover.size, _COLUMNS):
            part = slice(first, min(first + _COLUMNS, cover.size))
            values = cover.product(cover.work[part], cover.squares[part], some_rows, squares)
            change_gains(values, never[: part.stop - first], cover.current[part], gains)
        pick = int(tried[gains.argmax()])
        cover.no_gain += bool(gains.max() <= SAME)
        cover.picks[count] = pick
        at = int(np.flatnonzero(left[:some] == pick)[0])
        left[at] = left[-1]
        left = left[:-1]
        np.maximum(cover.current, cover.similar(pick), out=cover.current)


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
    _pick_on_pairs(cover, pairs, gains, open_, 0)
    cover.current = cover.current[: cover.size]
