"""Texts in blocks, as sets of character n-grams and as digests."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..._check._texts import Texts
from ...kernels._text import gram_sets
from ...types import Indices, Keys
from ._normalize import Normalize, normalized

__all__ = ["Sets", "blocks_of", "digests_of", "sets_of"]

_CHARACTERS = 2**20  # of a block: 12 MiB of code points and n-grams
_ROWS = 2**12  # of a block


@dataclass(frozen=True)
class Sets:
    """Sets of n-grams, one after the other.

    Attributes
    ----------
    grams : uint64 array of shape (g,)
        Ascending within a set.
    starts : int64 array of shape (n + 1,)
    """

    grams: Keys
    starts: Indices

    @classmethod
    def joined(cls, parts: Iterable["Sets"], sizes: Indices) -> "Sets":
        """Return the sets of several blocks, copied one by one; `sizes` are those of the sets."""
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        grams, used = np.empty(int(starts[-1]), np.uint64), 0
        for part in parts:
            grams[used : used + part.grams.size] = part.grams
            used += part.grams.size
        return cls(grams, starts)


def blocks_of(lengths: Indices, rows: Indices) -> list[Indices]:
    """Split rows (n,) into blocks of limited numbers of rows and of characters, at least a row."""
    last = np.cumsum(lengths[rows])
    blocks, start = [], 0
    while start < rows.size:
        before = int(last[start - 1]) if start else 0
        stop = int(np.searchsorted(last, before + _CHARACTERS, side="right"))
        stop = min(max(stop, start + 1), start + _ROWS)
        blocks.append(rows[start:stop])
        start = stop
    return blocks


def digests_of(
    texts: Texts, rows: Indices, how: Normalize, classes: Indices | None
) -> tuple[NDArray[np.uint64], Indices]:
    """Return a digest of each normalized text and its class, (n, 2), and its characters (n,)."""
    digests = bytearray()
    lengths = np.empty(rows.size, np.int64)
    for place, text in enumerate(texts.take(rows)):
        same = normalized(text, how)
        lengths[place] = len(same)
        label = b"" if classes is None else int(classes[rows[place]]).to_bytes(8, "little")
        data = same.encode("utf-8", "surrogatepass")
        digests += hashlib.blake2b(data, digest_size=16, key=label).digest()
    return np.frombuffer(bytes(digests), np.dtype("<u8")).reshape(-1, 2), lengths


def sets_of(texts: Texts, rows: Indices, how: Normalize, width: int) -> Sets:
    """Return the sets of n-grams of the normalized texts."""
    words = [normalized(each, how) for each in texts.take(rows)]
    ends = np.cumsum(np.fromiter(map(len, words), np.int64, len(words)))
    data = "".join(words).encode("utf-32-le", "surrogatepass")
    points = np.frombuffer(data, np.dtype("<u4")).astype(np.uint32, copy=False)
    out, counts = np.empty(points.size, np.uint64), np.empty(len(words), np.int64)
    used = gram_sets(points, ends, width, out, counts)
    return Sets(out[:used].copy(), np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]))
