"""Copies among texts: equal ones by their digests, similar ones by buckets, and their kept rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..._check._texts import Texts
from ...engine import each
from ...kernels._text import ANY_EARLIER, COMPONENTS, GREEDY, jaccards, join_buckets, match_earlier
from ...record.keys import by_digits
from ...types import Floats, Indices
from ._bands import buckets_of, keys_of, sketcher
from ._grams import Block, Blocks, Sets, cuts, sets_of
from ._normalize import Normalize

__all__ = ["Matches", "Rule", "Search", "equal_texts", "similar_texts"]

Rule = Literal["greedy", "any_earlier", "components"]
_CODES = {"any_earlier": ANY_EARLIER, "greedy": GREEDY, "components": COMPONENTS}
_CROWD = 256  # comparisons of a text after its first match; see `match_earlier`
_STEP = 2**13  # texts that are compared between two chances to interrupt


@dataclass(frozen=True)
class Search:
    """How texts are compared.

    Attributes
    ----------
    rule : {"greedy", "any_earlier", "components"}
        By which copies are dropped.
    threshold : float
    shape : (int, int)
        Number of bands, and their size; (0, 0) if only equal texts are copies.
    seed : int
        Of the signatures.
    normalize : {"casefold", "nfkc", "none"}
    ngram : int
        Characters of an n-gram.
    """

    rule: Rule
    threshold: float
    shape: tuple[int, int]
    seed: int
    normalize: Normalize
    ngram: int


@dataclass
class Matches:
    """Copies among rows in order of rank.

    Attributes
    ----------
    similarity : float64 array of shape (n,)
        To the most similar earlier row that was found; 0 for none.
    kept : bool array of shape (n,)
    twin : int64 array of shape (n,)
        Rank of the kept row that a dropped one belongs to; its own for a kept row.
    with_twin : float64 array of shape (n,)
        Similarity to it; 1 for a kept row.
    compared : int
        Pairs whose similarity was computed.
    bounded : int
        Rows of which `similarity` is a lower bound.
    library : str
        That computed the signatures; "" if none were needed.
    """

    similarity: Floats
    kept: NDArray[np.bool_]
    twin: Indices
    with_twin: Floats
    compared: int = 0
    bounded: int = 0
    library: str = ""

    @classmethod
    def none(cls, size: int, **counts: Any) -> Matches:
        """Return the result for rows without copies."""
        kept, alone = np.ones(size, np.bool_), np.arange(size)
        return cls(np.zeros(size), kept, alone, np.ones(size), **counts)


def equal_texts(digests: NDArray[np.uint64]) -> Indices:
    """Return the first row with an equal digest: (n, 2) -> int64 (n,), its own if it is first."""
    size = len(digests)
    order = by_digits(digests[:, 0], digests[:, 1])  # ties by position
    new = np.ones(size, np.bool_)
    new[1:] = (digests[order][1:] != digests[order][:-1]).any(axis=1)
    first = np.empty(size, np.int64)
    first[order] = order[new][np.cumsum(new) - 1]
    return first


def similar_texts(
    texts: Texts, rows: Indices, classes: Indices | None, forced: int, search: Search
) -> Matches:
    """Find copies among distinct texts.

    rows    : int64 (n,), in order of rank
    classes : int64 (N,), or None
    forced  : how many of the first rows are kept in any case
    """
    _, library = sketcher()
    size = rows.size
    kinds = None if classes is None else classes[rows]

    def signed(block: Block) -> NDArray[np.uint32]:
        words, own = block
        sketch, there = sketcher()  # of the process that does the work
        if there != library:
            raise ValueError(f"every worker must have {library}, as this process, got {there}")
        sets = sets_of(words, search.normalize, search.ngram)
        return keys_of(sketch, sets, own, search.shape, search.seed)

    blocks = Blocks(texts, rows, classes)
    keys = np.empty((size, search.shape[0]), np.uint32)
    for part, some in zip(blocks.slices, each(signed, blocks, title="signing texts"), strict=True):
        keys[part] = some
    buckets, count = buckets_of(keys)
    del keys
    among = np.flatnonzero((buckets >= 0).any(axis=0))  # the others have nothing to compare with
    buckets = np.ascontiguousarray(buckets[:, among])
    own = None if kinds is None else kinds[among].astype(np.int32)
    lots = _Lots(texts, rows[among], buckets, count, own, int(np.searchsorted(among, forced)))
    code = _CODES[search.rule]

    def compared(lot: _Lot) -> Matches:
        sets = sets_of(lot.texts, search.normalize, search.ngram)
        return _compared(sets, lot, code, search.threshold)

    found = Matches.none(size, library=library)
    made = each(compared, lots, title="comparing texts")
    for members, lot in zip(lots.members(), made, strict=True):
        places = among[members]
        found.similarity[places], found.kept[places] = lot.similarity, lot.kept
        found.twin[places], found.with_twin[places] = places[lot.twin], lot.with_twin
        found.compared += lot.compared
        found.bounded += lot.bounded
    return found


@dataclass
class _Lot:
    """Texts in order of rank, of which no other text shares a bucket."""

    texts: list[str]
    buckets: NDArray[np.int32]  # (b, m)
    classes: NDArray[np.int32]  # (m,)
    forced: int  # how many of the first are kept in any case


class _Lots(Sequence[_Lot]):
    """All texts that share buckets, in lots that can be compared independently.

    Buckets connect texts to components, and the decision about a text depends on those of its
    component alone. A lot holds whole components: one, if it is large.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # what is compared
        self,
        texts: Texts,
        rows: Indices,
        buckets: NDArray[np.int32],
        count: int,
        classes: NDArray[np.int32] | None,
        forced: int,
    ) -> None:
        self._texts, self._rows, self._buckets, self._classes = texts, rows, buckets, classes
        self._forced = forced
        roots = np.arange(rows.size, dtype=np.int32)
        join_buckets(buckets, np.full(count, -1, np.int32), roots)
        self._order = np.argsort(roots, kind="stable")
        roots = roots[self._order]
        ends = np.append(np.flatnonzero(roots[1:] != roots[:-1]) + 1, rows.size)
        self._cuts = cuts(texts.lengths[rows[self._order]], ends)

    def __len__(self) -> int:
        return len(self._cuts)

    def members(self) -> Iterator[Indices]:
        """Yield the positions of the texts of each lot, ascending."""
        for cut in self._cuts:
            yield np.sort(self._order[cut])

    def __getitem__(self, at: Any) -> Any:  # an int
        own = np.sort(self._order[self._cuts[at]])
        classes = np.zeros(own.size, np.int32) if self._classes is None else self._classes[own]
        forced = int(np.searchsorted(own, self._forced))
        return _Lot(self._texts.take(self._rows[own]), self._buckets[:, own], classes, forced)


def _compared(sets: Sets, lot: _Lot, rule: int, threshold: float) -> Matches:
    """Compare each text with the earlier ones in its buckets."""
    size, shared = lot.classes.size, lot.buckets >= 0
    names, numbers = np.unique(lot.buckets[shared], return_inverse=True)
    buckets = np.full(lot.buckets.shape, -1, np.int32)
    buckets[shared] = numbers
    similarity, nearest = np.zeros(size), np.full(size, -1, np.int32)
    kept = np.ones(size, np.bool_)
    roots = np.arange(size, dtype=np.int32)
    scratch: Any = (
        np.full((2, names.size), -1, np.int32), np.full(buckets.shape, -1, np.int32),
        np.zeros(names.size, np.int32), np.full(size, -1, np.int32), roots,
    )  # fmt: skip
    tally = np.zeros(2, np.int64)
    texts = (sets.grams, sets.starts, lot.classes)
    settings = (float(threshold), rule, lot.forced, _CROWD)
    found = (similarity, nearest, kept)
    for start in range(0, size, _STEP):
        match_earlier(
            start, min(start + _STEP, size), buckets, texts, settings, scratch, found, tally
        )
    twin = np.where(kept, np.arange(size), nearest).astype(np.int64)
    if rule == COMPONENTS:
        twin = _ends(roots.astype(np.int64))
        kept = (twin == np.arange(size)) | (np.arange(size) < lot.forced)
        twin[kept] = np.flatnonzero(kept)
    twin = _ends(twin)
    with_twin = np.ones(size)
    gone = np.flatnonzero(~kept)
    own = np.empty(gone.size)
    jaccards(gone, twin[gone], sets.grams, sets.starts, own)
    with_twin[gone] = own
    return Matches(similarity, kept, twin, with_twin, int(tally[0]), int(tally[1]))


def _ends(to: Indices) -> Indices:
    """Follow links to earlier rows to their end, a row that is linked to itself: (n,) -> (n,)."""
    while True:
        further = to[to]
        if np.array_equal(further, to):
            return to
        to = further
