"""Near-duplicates: the most similar earlier row of each row, within its clusters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..._check._rows import Rows
from ..._checkpoint import part as part_of
from ...engine import blocks, each, over, steady
from ...io import regrouped
from ...kernels._dedup import keep_greedily, refine
from ...record.copies import ends_of
from ...types import Indices, Scores
from ._bounds import PAIR, sketched

_ROWS, _COLUMNS = 512, 1024  # of one block of similarities: 2 MiB, which fit into a cache
_PIECE = 2**29  # pairs that a thread compares at a time, approximately
_HELD = 4  # parts held for pieces that may be processed elsewhere; pieces come in order
_ZERO = 1e-12  # a row of smaller norm has no direction
_Found: TypeAlias = tuple[Scores, Indices, list[tuple[Indices, Indices, Scores]]]


@dataclass
class Copies:
    """Result of `find_copies`.

    Attributes
    ----------
    similarity : float32 array of shape (N,)
        Cosine similarity of each row to its most similar earlier row; -1 for none.
    twin : int64 array of shape (N,)
        The most similar earlier row; -1 for none.
    rank : int64 array of shape (N,)
        Earlier rows have lower ranks; N for rows that are not compared.
    earlier, later : int64 arrays of shape (p,)
        Ranks of the pairs above the floor, if requested; sorted by `later`.
    pairs : float32 array of shape (p,)
        Their similarities.
    """

    similarity: Scores
    twin: Indices
    rank: Indices
    earlier: Indices
    later: Indices
    pairs: Scores

    def kept(self, rule: str, threshold: float) -> NDArray[np.bool_]:
        """Return which rows a rule keeps at a threshold: bool (N,); False for rows not compared."""
        count = int((self.rank < self.rank.size).sum())
        if rule == "any_earlier":
            return (self.similarity <= threshold) & (self.rank < self.rank.size)
        by_rank = np.ones(count, np.bool_)
        if rule == "greedy":
            starts = np.searchsorted(self.later, np.arange(count + 1))
            keep_greedily(starts, self.earlier, self.pairs, threshold, by_rank)
        else:
            above = self.pairs > threshold
            _, labels = _components(self.earlier[above], self.later[above], count)
            by_rank[:] = False
            by_rank[np.unique(labels, return_index=True)[1]] = True  # the lowest rank of each
        kept = np.zeros(self.rank.size, np.bool_)
        inside = self.rank < self.rank.size
        kept[inside] = by_rank[self.rank[inside]]
        return kept

    def kept_instead(self, rule: str, threshold: float) -> Indices:
        """Return the row that a rule keeps instead of each copy: int64 (N,), -1 for no copy."""
        kept = self.kept(rule, threshold)
        if rule == "any_earlier":
            return np.where(kept, -1, ends_of(self.twin, kept))
        inside = np.flatnonzero(self.rank < self.rank.size)
        rows = np.empty(inside.size, np.int64)  # by rank
        rows[self.rank[inside]] = inside
        above = self.pairs > threshold
        earlier, later, pairs = self.earlier[above], self.later[above], self.pairs[above]
        own = np.full(rows.size, -1)
        if rule == "greedy":
            to_kept = kept[rows[earlier]] & ~kept[rows[later]]
            order = np.lexsort((-earlier[to_kept], pairs[to_kept]))  # the last one stays
            own[later[to_kept][order]] = earlier[to_kept][order]
        else:
            _, labels = _components(earlier, later, rows.size)
            first = np.unique(labels, return_index=True)[1]  # the lowest rank of each
            own = np.where(kept[rows], -1, first[labels])
        found = np.full(self.rank.size, -1)
        found[rows] = np.where(own < 0, -1, rows[own])
        return found


def _components(earlier: Indices, later: Indices, count: int) -> tuple[int, Indices]:
    """Return the connected components of `count` ranks, and the number of each one's."""
    ends = (earlier, later)
    graph = coo_array((np.ones(earlier.size, np.int8), ends), shape=(count, count))
    number, labels = connected_components(graph, directed=False)
    return int(number), labels


@dataclass
class Members:
    """The rows of each cluster, and the visiting rows that are only compared with them.

    Attributes
    ----------
    slots : int64 array of shape (n,)
        Rows sorted by cluster, then by number; a row may occur in two clusters.
    visits : bool array of shape (n,)
        Whether the row belongs to another cluster, and is only compared with the members.
    parts : list of slice
        Slices of `slots`, one for each cluster with pairs to compare, sorted by descending work, so
        that no thread starts a large part last.
    comparisons : int
        Number of pairs of rows that are compared.
    """

    slots: Indices
    visits: NDArray[np.bool_]
    parts: list[slice]
    comparisons: int

    @classmethod
    def of(cls, rows: Indices, codes: Indices, others: Indices | None = None) -> Members:
        """Assign ascending rows to the clusters `codes`; they visit `others`, -1 for none."""
        visits = np.zeros(rows.size, np.bool_)
        if others is not None:
            codes = np.stack([codes, others], axis=1).ravel()
            there = np.flatnonzero(codes >= 0)
            codes, rows, visits = codes[there], rows[there // 2], there % 2 == 1
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes))
        visiting = np.bincount(codes, visits).astype(np.int64)
        sizes = np.diff(ends, prepend=0)
        own = sizes - visiting
        work = own * (own - 1) // 2 + own * visiting
        wanted = np.argsort(-work, kind="stable")[: np.count_nonzero(work)]
        parts = [slice(int(ends[at] - sizes[at]), int(ends[at])) for at in wanted]
        return cls(rows[order], visits[order], parts, int(work.sum()))

    def pieces(self) -> list[tuple[slice, int, int]]:
        """Return (part, k, n): the k-th of the n pieces in which a part is processed."""
        cut = []
        for part in self.parts:
            count = -(-((part.stop - part.start) ** 2) // _PIECE)
            cut += [(part, number, count) for number in range(count)]
        return cut


def find_copies(rows: NDArray[Any], members: Members, rank: Indices, floor: float | None) -> Copies:
    """Compare the rows of each cluster with its earlier rows.

    rows    : (N, D), finite for all rows that are compared
    members : rows of each cluster
    rank    : int64 (N,), distinct except for N
    floor   : pairs above it are returned; None for no pairs
    """
    similarity = np.full(len(rows), -1.0, np.float32)
    twin = np.full(len(rows), -1, np.int64)
    found: list[tuple[Indices, Indices, Scores]] = []
    pieces, done = members.pieces(), 0
    with part_of("comparing rows") as own:
        if own.state:
            similarity[:], twin[:] = own.state["similarity"], own.state["twin"]
            done = int(own.state["done"])
            found += [(each["earlier"], each["later"], each["pairs"]) for each in own.added]

        def state() -> dict[str, NDArray[Any]]:
            return {"similarity": similarity, "twin": twin, "done": np.array(done)}

        own.make = state
        if done < len(pieces):
            results = _results(rows, members, rank, floor, pieces[done:])
            for part, high, place, pairs in results:
                slots = members.slots[part]
                better = high > similarity[slots]
                similarity[slots[better]] = high[better]
                twin[slots[better]] = slots[place[better]]
                for at, over_, cosine in pairs:
                    first, second = rank[slots[over_]], rank[slots[at]]
                    found.append((first, second, cosine))
                    own.add(earlier=first, later=second, pairs=cosine)
                done += 1
                own.tick()
        own.done(**state())
    if not found:
        none = np.zeros(0, np.int64)
        return Copies(similarity, twin, rank, none, none, np.zeros(0, np.float32))
    first, second, cosine = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((first, second))
    new = np.ones(order.size, np.bool_)  # a pair may occur in two clusters
    new[1:] = (np.diff(first[order]) != 0) | (np.diff(second[order]) != 0)
    order = order[new]
    return Copies(similarity, twin, rank, first[order], second[order], cosine[order])


def _results(
    rows: NDArray[Any],
    members: Members,
    rank: Indices,
    floor: float | None,
    pieces: list[tuple[slice, int, int]],
) -> Iterator[tuple[slice, Scores, Indices, list[tuple[Indices, Indices, Scores]]]]:
    """Compare the rows of some pieces; yield each with what `_Compare` found."""
    given = _Given(pieces, members, rank)
    with _laid_out(rows, members) as (laid, wanted):
        parts = _Wanted(pieces, wanted)
        results = over(_Compare(floor), laid, parts=parts, given=given, title="comparing rows")
        for (part, _, _), (_, found) in zip(pieces, results, strict=True):
            yield (part, *found)


@contextmanager
def _laid_out(rows: Any, members: Members) -> Iterator[tuple[Any, Any]]:
    """Yield rows, and the row of each slot, None if they are in this order: (rows, int64 (n,)).

    Rows on disk are written in the order of the slots; each part of them is then contiguous.
    """
    if not isinstance(rows, Rows):
        yield steady(rows), members.slots
        return
    with regrouped(rows, members.slots, each) as laid:
        yield laid, None


@dataclass
class _Wanted(Sequence[Any]):
    """The rows of each piece: all rows of its part, as a slice of the slots or their numbers."""

    pieces: list[tuple[slice, int, int]]
    slots: Indices | None

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, at: Any) -> Any:
        part = self.pieces[at][0]
        return part if self.slots is None else self.slots[part]


@dataclass
class _Given(Sequence[Any]):
    """What a piece is compared with, in addition to its rows."""

    pieces: list[tuple[slice, int, int]]
    members: Members
    rank: Indices

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, at: Any) -> Any:
        part, number, count = self.pieces[at]
        ranks = self.rank[self.members.slots[part]]
        return part.start, number, count, ranks, self.members.visits[part]


class _Compare:
    """Compare the rows of a piece with earlier rows of its part.

    Parts are prepared once for all their pieces, as far as these are in this process.
    """

    def __init__(self, floor: float | None) -> None:
        self._floor = floor
        self._shared = _Shared()

    def __reduce__(self) -> Any:  # a process has its own parts
        return _Compare, (self._floor,)

    def __call__(  # noqa: PLR0913  # a piece
        self,
        rows: NDArray[Any],
        start: int,
        number: int,
        count: int,
        ranks: Indices,
        visits: NDArray[np.bool_],
    ) -> _Found:
        def prepare() -> _Part:
            order = np.lexsort((ranks, visits))
            directions = unit(rows[order])
            home = int(order.size - visits.sum())
            return _Part(order, ranks[order], directions, home, sketched(directions, self._floor))

        own = self._shared.get(start, count, prepare)
        order = own.order
        starts = range(number * _ROWS, order.size, count * _ROWS)
        high, nearest, pairs = _compared(own, self._floor, starts)
        back = np.empty_like(order)
        back[order] = np.arange(order.size)
        return high[back], order[nearest][back], [(order[a], order[b], c) for a, b, c in pairs]


@dataclass
class _Part:
    """A cluster, in the order in which it is compared: members, then visiting rows, both by rank.

    order      : int64 (n,), positions among the slots of the part
    rank       : int64 (n,)
    directions : float32 (n, D), of length 1 or 0
    home       : number of members
    sketch     : float32 (n, h + 2), products of which are bounds of cosines; None for no bounds
    """

    order: Indices
    rank: Indices
    directions: Scores
    home: int
    sketch: Scores | None


@dataclass
class _Use:
    left: int
    lock: Any = field(default_factory=Lock)  # the type of Lock() is private
    value: _Part | None = None


class _Shared:
    """Parts, each prepared once for all its pieces, and held until the last one takes it.

    Of parts whose other pieces go elsewhere, the last few are held.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._uses: dict[int, _Use] = {}

    def get(self, start: int, pieces: int, prepare: Callable[[], _Part]) -> _Part:
        """Return the part that begins at a slot, for one of so many pieces."""
        with self._lock:
            use = self._uses.setdefault(start, _Use(pieces))
            use.left -= 1
            if use.left == 0:
                del self._uses[start]
            while len(self._uses) > _HELD:
                del self._uses[next(iter(self._uses))]
        with use.lock:
            if use.value is None:
                use.value = prepare()
            return use.value


def _compared(own: _Part, floor: float | None, starts: range) -> _Found:
    """Compare rows of a cluster with earlier rows, including the rows that visit it.

    `starts` of the blocks of later rows -> highest cosine (n,) with an earlier row, -1 for none;
    the first such row in the order of the part; pairs (later, earlier, cosine) above the floor
    """
    rank, size = own.rank, own.rank.size
    highest, nearest = np.full(size, -1.0, np.float32), np.full(size, size)
    pairs: list[tuple[Indices, Indices, Scores]] = []
    home, away = slice(0, own.home), slice(own.home, size)
    sketch, computed, compared = own.sketch, 0, 0
    for later, earlier in ((home, home), (away, home), (home, away)):
        before = np.searchsorted(rank[earlier], rank[later])  # number of earlier rows
        # Large blocks first, to learn soon whether bounds pay. Neighbours in rank first: where rows
        # are ranked by the distance to their center, they are similar, and bounds of others fail.
        for start in reversed(range(starts.start, before.size, starts.step)):
            stop = min(start + _ROWS, before.size)
            at = slice(later.start + start, later.start + stop)
            for left in reversed(range(0, int(before[stop - 1]), _COLUMNS)):
                right = min(left + _COLUMNS, int(before[stop - 1]))
                others = slice(earlier.start + left, earlier.start + right)
                counts = np.minimum(before[start:stop], right) - left
                if sketch is None:
                    cosines = _products(own, at, others, counts, highest, nearest)
                else:
                    block = (at, others, counts)
                    cosines, done = _refined(own, sketch, *block, floor, highest, nearest)
                    computed, compared = computed + done, compared + cosines.size
                if floor is not None:
                    some = np.flatnonzero(cosines.max(axis=1) > floor)  # few
                    row, above = np.nonzero(cosines[some] > floor)
                    row = some[row]
                    pairs.append((at.start + row, others.start + above, cosines[row, above]))
            if sketch is not None:
                saved = 1.0 - sketch.shape[1] / own.directions.shape[1]
                if PAIR * computed > saved * compared:
                    sketch = None  # the sample was not like these rows
    return highest, np.minimum(nearest, size - 1), pairs


def _products(  # noqa: PLR0913  # a block, and what is known of its rows
    own: _Part, at: slice, others: slice, counts: Indices, highest: Scores, nearest: Indices
) -> Scores:
    """Return the cosines of a block, -1 to rows that are not earlier; update the highest of all."""
    cosines: Scores = own.directions[at] @ own.directions[others].T
    np.clip(cosines, -1.0, 1.0, out=cosines)
    _forget(cosines, counts)
    column = cosines.argmax(axis=1)
    high = cosines[np.arange(len(cosines)), column]
    column += others.start
    same = (high == highest[at]) & (column < nearest[at])
    better = np.flatnonzero((high > highest[at]) | same)
    highest[at.start + better] = high[better]
    nearest[at.start + better] = column[better]
    return cosines


def _refined(  # noqa: PLR0913  # a block, and what is known of its rows
    own: _Part,
    sketch: Scores,
    at: slice,
    others: slice,
    counts: Indices,
    floor: float | None,
    highest: Scores,
    nearest: Indices,
) -> tuple[Scores, int]:
    """Update the highest cosines, computing only those that may be higher, or above the floor.

    Returns the cosines of the block, of which those that are not above the floor may be bounds, and
    how many were computed.
    """
    bounds: Scores = sketch[at] @ sketch[others].T
    column = nearest[at] - others.start
    limit = np.float32(np.inf if floor is None else floor)
    done = refine(
        bounds, bounds.argmax(axis=1), counts, own.directions[at], own.directions[others], limit,
        highest[at], column,
    )  # fmt: skip
    nearest[at] = column + others.start
    if floor is not None:
        _forget(bounds, counts)
    return bounds, done


def _forget(cosines: Scores, counts: Indices) -> None:
    """Set the cosines to rows that are not earlier to -1; the first `counts` of each row are."""
    width = cosines.shape[1]
    if counts[0] < width:
        cosines[np.arange(width) >= counts[:, None]] = -1.0


def unit(rows: NDArray[Any]) -> Scores:
    """Return float32 rows scaled to length 1; rows without a direction as zeros."""
    scaled = np.empty(rows.shape, np.float32)
    for part in blocks(rows):
        wide = np.asarray(rows[part], np.float64)
        norms = np.sqrt(np.einsum("nd,nd->n", wide, wide))
        lost = norms < _ZERO
        scaled[part] = wide / np.where(lost, 1.0, norms)[:, None]
        scaled[part][lost] = 0.0
    return scaled
