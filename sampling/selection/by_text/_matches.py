"""Copies among texts: equal ones by their digests, similar ones by buckets, and their kept rows."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ..._check._texts import Texts
from ...engine import each
from ...kernels._text import ANY_EARLIER, COMPONENTS, GREEDY, jaccards, match_earlier
from ...record.keys import by_digits
from ...types import Floats, Indices
from ._bands import buckets_of, keys_of, sketcher
from ._grams import Sets, blocks_of, sets_of
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
    def none(cls, size: int, **counts: Any) -> "Matches":
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
    sketch, library = sketcher()
    lengths, size = texts.lengths, rows.size
    kinds = None if classes is None else classes[rows]

    def signed(block: slice) -> tuple[NDArray[np.uint32], Indices]:
        own = None if kinds is None else kinds[block]
        sets = sets_of(texts, rows[block], search.normalize, search.ngram)
        return keys_of(sketch, sets, own, search.shape, search.seed), np.diff(sets.starts)

    def gathered(block: Indices) -> Sets:
        return sets_of(texts, block, search.normalize, search.ngram)

    ends = np.cumsum([0, *(block.size for block in blocks_of(lengths, rows))])
    parts = [slice(*pair) for pair in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]
    keys = np.empty((size, search.shape[0]), np.uint32)
    sizes = np.empty(size, np.int64)
    for part, made in zip(parts, each(signed, parts, title="signing texts"), strict=True):
        keys[part], sizes[part] = made
    buckets, count = buckets_of(keys)
    del keys
    among = np.flatnonzero((buckets >= 0).any(axis=0))  # the others have nothing to compare with
    buckets = np.ascontiguousarray(buckets[:, among])
    blocks = blocks_of(lengths, rows[among])
    sets = Sets.joined(each(gathered, blocks, title="reading similar texts"), sizes[among])
    codes = np.zeros(among.size, np.int32) if kinds is None else kinds[among].astype(np.int32)
    kept_first = int(np.searchsorted(among, forced))
    rule = _CODES[search.rule]
    own = _compared(sets, buckets, count, codes, kept_first, rule, search.threshold)
    found = Matches.none(size, compared=own.compared, bounded=own.bounded, library=library)
    found.similarity[among], found.kept[among] = own.similarity, own.kept
    found.twin[among], found.with_twin[among] = among[own.twin], own.with_twin
    return found


def _compared(  # noqa: PLR0913  # what is compared, and how
    sets: Sets,
    buckets: NDArray[np.int32],
    count: int,
    classes: NDArray[np.int32],
    forced: int,
    rule: int,
    threshold: float,
) -> Matches:
    """Compare each text with the earlier ones in its buckets."""
    size = classes.size
    similarity, nearest = np.zeros(size), np.full(size, -1, np.int32)
    kept = np.ones(size, np.bool_)
    roots = np.arange(size, dtype=np.int32)
    scratch: Any = (
        np.full((2, count), -1, np.int32), np.full(buckets.shape, -1, np.int32),
        np.zeros(count, np.int32), np.full(size, -1, np.int32), roots,
    )  # fmt: skip
    tally = np.zeros(2, np.int64)
    texts, settings = (sets.grams, sets.starts, classes), (float(threshold), rule, forced, _CROWD)
    found = (similarity, nearest, kept)
    with tqdm(total=size, desc="comparing texts", leave=False, disable=None, delay=2.0) as bar:
        for start in range(0, size, _STEP):
            stop = min(start + _STEP, size)
            match_earlier(start, stop, buckets, texts, settings, scratch, found, tally)
            bar.update(stop - start)
    twin = np.where(kept, np.arange(size), nearest).astype(np.int64)
    if rule == COMPONENTS:
        twin = _ends(roots.astype(np.int64))
        kept = (twin == np.arange(size)) | (np.arange(size) < forced)
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
