"""Texts in blocks, as sets of character n-grams and as digests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._check._texts import Texts
from ...kernels._text import gram_sets
from ...types import Indices, Keys
from ._normalize import Normalize, normalized

__all__ = ["Block", "Blocks", "Sets", "cuts", "digests_of", "sets_of"]

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


def cuts(lengths: Indices, ends: Indices) -> list[slice]:
    """Split texts into blocks of limited numbers of texts and of characters.

    lengths : int64 (n,)
    ends    : int64, ascending to n, where a block may end; it may exceed the limits if the next
              such number is farther
    """
    last = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    blocks, start = [], 0
    while start < lengths.size:
        full = int(np.searchsorted(last, last[start] + _CHARACTERS, side="right")) - 1
        full = min(full, start + _ROWS)
        at = int(np.searchsorted(ends, full, side="right")) - 1
        stop = int(ends[at]) if at >= 0 else start
        if stop <= start:
            stop = int(ends[np.searchsorted(ends, start, side="right")])
        blocks.append(slice(start, stop))
        start = stop
    return blocks


Block = tuple[list[str], Indices | None]  # texts, and their classes


class Blocks(Sequence[Block]):
    """Rows (n,) in blocks of limited numbers of rows and of characters, at least a row.

    An entry holds the texts, read when it is accessed: it can be sent to another process, which
    needs no other text.
    """

    def __init__(self, texts: Texts, rows: Indices, classes: Indices | None = None) -> None:
        self._texts, self._rows, self._classes = texts, rows, classes
        self.slices = cuts(texts.lengths[rows], np.arange(1, rows.size + 1))

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, at: Any) -> Any:  # an int
        rows = self._rows[self.slices[at]]
        return self._texts.take(rows), None if self._classes is None else self._classes[rows]


def digests_of(block: Block, how: Normalize) -> tuple[NDArray[np.uint64], Indices]:
    """Return a digest of each normalized text and its class, (n, 2), and its characters (n,)."""
    texts, classes = block
    digests = bytearray()
    lengths = np.empty(len(texts), np.int64)
    for place, text in enumerate(texts):
        same = normalized(text, how)
        lengths[place] = len(same)
        label = b"" if classes is None else int(classes[place]).to_bytes(8, "little")
        data = same.encode("utf-8", "surrogatepass")
        digests += hashlib.blake2b(data, digest_size=16, key=label).digest()
    return np.frombuffer(bytes(digests), np.dtype("<u8")).reshape(-1, 2), lengths


def sets_of(texts: list[str], how: Normalize, width: int) -> Sets:
    """Return the sets of n-grams of the normalized texts."""
    words = [normalized(each, how) for each in texts]
    ends = np.cumsum(np.fromiter(map(len, words), np.int64, len(words)))
    data = "".join(words).encode("utf-32-le", "surrogatepass")
    points = np.frombuffer(data, np.dtype("<u4")).astype(np.uint32, copy=False)
    out, counts = np.empty(points.size, np.uint64), np.empty(len(words), np.int64)
    used = gram_sets(points, ends, width, out, counts)
    return Sets(out[:used].copy(), np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]))
