"""Hashed n-grams of words: counts of many texts in the memory of the buckets.

For `dsir_scores`. Deduplication compares n-grams of characters instead; see `_grams.py`.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _check
from ..._check._keywords import told
from ..._check._texts import Texts
from ..._check._texts import texts as read_texts
from ...engine import each
from ...kernels._ngrams import MARK, SPACE, WORD, hashed_ngrams
from ...types import Floats, Indices
from ._grams import Blocks

__all__ = ["NgramCounts"]

Hashing = Literal["fast", "sha256"]
Hashed = tuple[Indices, Indices]  # buckets of all n-grams, text after text; tokens of each text

_TOKENS = re.compile(r"\w+|[^\w\s]+")
_CODES = 0x110000  # of Unicode


@told
class NgramCounts:
    """Counts of hashed n-grams of words, of any number of texts.

    Texts are lower-cased and split into tokens, runs of word characters or of other characters that
    are not white space. Every sequence of 1 to `ngram` tokens has one of `num_buckets` numbers.

    Parameters
    ----------
    texts : str array of shape (N,), optional
        The first texts to count: any container of strings.
    num_buckets : int, default 10_000
        V: more buckets distinguish more n-grams, and need more texts.
    ngram : int in [1, 16), default 2
        Largest number of tokens of an n-gram.
    hashing : {"fast", "sha256"}, default "fast"
        Hash of 64 bits, or the one of the released code of DSIR: the same buckets as it has, at
        about forty times the time.

    Attributes
    ----------
    counts : int64 array of shape (V,)
        N-grams in each bucket.
    num_texts : int

    Notes
    -----
    Order
        Counts depend neither on the order of the texts nor on the blocks.
    Cost
        O(characters) time; 8 V bytes, and blocks of about a million characters.

    Examples
    --------
    >>> counts = NgramCounts(["to be or not to be"], num_buckets=1000)
    >>> counts.update(["to be"])
    >>> int(counts.counts.sum()), counts.num_texts  # 6 + 5, 2 + 1
    (14, 2)
    """

    def __init__(
        self,
        texts: ArrayLike | None = None,
        *,
        num_buckets: int = 10_000,
        ngram: int = 2,
        hashing: Hashing = "fast",
    ) -> None:
        self.num_buckets = _check.integer("num_buckets", num_buckets, 1, 2**31)
        self.ngram = _check.integer("ngram", ngram, 1, 16)
        self.hashing: Hashing = _check.choice("hashing", hashing, ("fast", "sha256"))
        self.counts: Indices = np.zeros(self.num_buckets, np.int64)
        self.num_texts = 0
        if texts is not None:
            self.update(texts)

    def update(self, texts: ArrayLike) -> None:
        """Add the n-grams of texts.

        Parameters
        ----------
        texts : str array of shape (N,)
            Any container of strings. A missing text has no n-grams.
        """
        add_texts(self, read_texts("texts", texts))

    def merge(self, other: NgramCounts) -> None:
        """Add the counts of other texts, such as those of another process.

        Parameters
        ----------
        other : NgramCounts
            With equal settings.
        """
        check_alike("other", other, self)
        self.counts += other.counts
        self.num_texts += other.num_texts

    def hashed(self, block: list[str]) -> Hashed:
        """Return the buckets of all n-grams of texts, text after text, and their tokens.

        Parameters
        ----------
        block : list of str
            n texts, all in memory.

        Returns
        -------
        buckets : int64 array of shape (g,)
        tokens : int64 array of shape (n,)
            Number of tokens of each text.
        """
        lower = [text.lower() for text in block]
        if self.hashing == "sha256":
            return _by_sha256(lower, self.ngram, self.num_buckets)
        ends = np.cumsum(np.fromiter(map(len, lower), np.int64, len(lower)))
        data = "".join(lower).encode("utf-32-le", "surrogatepass")
        points = np.frombuffer(data, np.dtype("<u4")).astype(np.uint32, copy=False)
        out = np.empty(points.size * self.ngram, np.int64)
        tokens = np.empty(len(lower), np.int64)
        recent = np.empty(self.ngram, np.uint64)
        used = hashed_ngrams(points, ends, _kinds(), recent, self.num_buckets, out, tokens)
        return out[:used], tokens

    def shares(self, pseudo_count: float = 0.0) -> Floats:
        """Return the share of each bucket of all n-grams.

        Parameters
        ----------
        pseudo_count : float, default 0.0
            Added to every count.

        Returns
        -------
        float64 array of shape (V,)
            Sum 1.
        """
        return shares_of("texts", self, pseudo_count)

    @property
    def settings(self) -> tuple[Any, ...]:
        """What two counts must share to be compared: num_buckets, ngram and hashing."""
        return self.num_buckets, self.ngram, self.hashing


class Listed(Blocks):
    """Blocks of all texts, each a list."""

    def __init__(self, held: Texts) -> None:
        super().__init__(held, np.arange(len(held)))

    def __getitem__(self, at: Any) -> Any:  # an int
        return super().__getitem__(at)[0]


def add_texts(counts: NgramCounts, held: Texts) -> None:
    """Add the n-grams of texts to counts."""
    size = counts.num_buckets

    def counted(block: list[str]) -> Indices:
        return np.bincount(counts.hashed(block)[0], minlength=size)

    for found in each(counted, Listed(held), title="counting n-grams"):
        counts.counts += found
    counts.num_texts += len(held)


def shares_of(name: str, counts: NgramCounts, pseudo_count: float = 0.0) -> Floats:
    """Return the shares of counts; refuse those of no tokens, under the name of an argument."""
    found = counts.counts + pseudo_count
    total = found.sum()
    if total == 0:
        raise ValueError(f"{name} must have a token at least, got none in {counts.num_texts} texts")
    return np.asarray(found / total, np.float64)


def check_alike(name: str, given: NgramCounts, other: NgramCounts) -> None:
    """Refuse counts of other buckets."""
    if given.settings != other.settings:
        raise ValueError(
            f"{name} must have the num_buckets, ngram and hashing {other.settings}, got "
            f"{given.settings}"
        )


def counts_of(name: str, given: ArrayLike | NgramCounts, like: NgramCounts | None) -> NgramCounts:
    """Return counts as given, or of texts, with the settings of other counts."""
    if isinstance(given, NgramCounts):
        if like is not None:
            check_alike(name, given, like)
        return given
    made = NgramCounts() if like is None else empty_like(like)
    add_texts(made, read_texts(name, given))
    return made


def empty_like(other: NgramCounts) -> NgramCounts:
    """Return counts of no texts, with the settings of others."""
    return NgramCounts(num_buckets=other.num_buckets, ngram=other.ngram, hashing=other.hashing)


def grams_per_text(tokens: Indices, width: int) -> Indices:
    """Return the number of n-grams of texts with given numbers of tokens: (n,) -> (n,)."""
    found: Indices = np.sum([np.maximum(tokens - k, 0) for k in range(width)], axis=0)
    return found


def _by_sha256(lower: list[str], width: int, modulus: int) -> Hashed:
    """Return what `hashed_ngrams` does, with the hash of the released code."""
    buckets, tokens = [], []
    for text in lower:
        words = _TOKENS.findall(text)
        tokens.append(len(words))
        for at in range(len(words)):
            for length in range(1, min(at + 1, width) + 1):
                gram = " ".join(words[at + 1 - length : at + 1])
                digest = hashlib.sha256(gram.encode("utf-8", "surrogatepass")).digest()
                buckets.append(int.from_bytes(digest, "big") % modulus)
    return np.array(buckets, np.int64), np.array(tokens, np.int64)


@functools.cache
def _kinds() -> NDArray[np.uint8]:
    r"""Return the kind of each character: WORD for \w, SPACE for \s, MARK for all others."""
    characters = np.arange(_CODES, dtype="<u4").view("<U1")
    kinds = np.full(_CODES, MARK, np.uint8)
    kinds[np.char.isalnum(characters)] = WORD
    kinds[ord("_")] = WORD
    kinds[np.char.isspace(characters)] = SPACE
    return kinds
