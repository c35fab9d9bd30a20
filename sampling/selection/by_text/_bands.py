"""MinHash signatures, in bands: two texts are compared if any band of their signatures is equal.

A hash of two sets is equal with a probability of their Jaccard similarity s, so a band of r hashes
is with s^r, and any of b bands with 1 - (1 - s^r)^b: the recall at s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._optional import require
from ..._rng import mix
from ...types import Indices
from ._grams import Sets

__all__ = ["MOST_HASHES", "RECALL", "bands_for", "buckets_of", "keys_of", "recall_at",
           "sketcher", "text_note"]  # fmt: skip

RECALL = 0.99  # at the threshold; that of more similar pairs is higher
MOST_HASHES = 4096
_HASHES = 128  # of a signature, if as many suffice
_LOW = np.uint64(32)


def recall_at(similarity: float, num_bands: int, band_size: int) -> float:
    """Return the probability that two texts of a similarity are compared."""
    return 1.0 - (1.0 - similarity**band_size) ** num_bands


def bands_for(threshold: float) -> tuple[int, int]:
    """Return the number of bands and their size for a recall of `RECALL` at the threshold.

    The largest bands of which 128 hashes suffice, since these make the fewest candidates; more
    hashes only where bands of one hash need them.
    """
    best = (0, 0)
    for size in range(1, _HASHES + 1):
        equal = threshold**size
        if equal < 1.0 / MOST_HASHES**2:
            break
        count = 1 if equal >= RECALL else math.ceil(math.log(1 - RECALL) / math.log1p(-equal))
        if size == 1 or count * size <= _HASHES:
            best = (count, size)
    if not 0 < best[0] * best[1] <= MOST_HASHES:
        lowest = 1.0 - (1.0 - RECALL) ** (1.0 / MOST_HASHES)
        raise ValueError(
            f"threshold must be at least {lowest:.3g}, for which {MOST_HASHES:,} hashes find "
            f"{RECALL:.0%} of the pairs, got {threshold:g}: give num_bands and band_size"
        )
    return best


def text_note(facts: Mapping[str, Any]) -> str:
    """Return the report line on the search for similar texts."""
    if facts["exact"]:
        return "texts were compared for equality only"
    shown = min(facts["expected_recall"], 0.9999)
    return (
        f"{facts['compared']:,} pairs of similar texts were compared; the search is expected to "
        f"find {100 * shown:.4g} % of the pairs at the threshold, more of those above"
    )


def sketcher() -> tuple[Any, str]:
    """Return the class that computes signatures, and the version of its library and algorithm."""
    found = require("rensa", "text", "dedup_text with similar texts").RMinHash
    return found, f"rensa {metadata.version('rensa')}, algorithm {found.ALGORITHM_VERSION}"


def keys_of(
    sketch: Any,  # the class of rensa
    sets: Sets,
    classes: Indices | None,
    shape: tuple[int, int],
    seed: int,
) -> NDArray[np.uint32]:
    """Return a key for each band of each set, equal for equal bands and classes: (n, b).

    Keys of 32 bits: n texts get n^2 / 2^33 candidates a band by chance, which cost a comparison.
    """
    num_bands, band_size = shape
    if not sets.grams.size:
        return np.zeros((sets.starts.size - 1, num_bands), np.uint32)
    signed = sketch.digest_matrix_from_flat_token_hashes(
        sets.grams, sets.starts.astype(np.uint64), num_bands * band_size, seed
    )
    hashes = np.array(signed.to_rows(), np.uint64).reshape(-1, num_bands, band_size)
    state: Any = np.zeros(hashes.shape[:2], np.uint64)
    if classes is not None:
        state += classes.astype(np.uint64)[:, None]
    for place in range(band_size):
        state = mix.py_func(state ^ hashes[:, :, place])  # of arrays, as `_rng.values` does
    keys: NDArray[np.uint32] = (state >> _LOW).astype(np.uint32)
    return keys


def buckets_of(keys: NDArray[np.uint32]) -> tuple[NDArray[np.int32], int]:
    """Return the bucket of each text in each band, (b, n), -1 if it is alone; and their number."""
    size, num_bands = keys.shape
    found = np.full((num_bands, size), -1, np.int32)
    total, places = 0, np.arange(size, dtype=np.uint64)
    for band in range(num_bands):
        order = (keys[:, band].astype(np.uint64) << _LOW) | places
        order.sort()
        rows = (order & np.uint64(0xFFFFFFFF)).astype(np.int64)
        order >>= _LOW
        same = order[1:] == order[:-1]
        shared = np.zeros(size, np.bool_)
        shared[1:] = same
        shared[:-1] |= same
        first = shared.copy()
        first[1:] &= ~same
        numbers = total + np.cumsum(first) - 1
        found[band, rows[shared]] = numbers[shared]
        total += int(first.sum())
        if total >= 2**31:
            raise ValueError(f"texts must share fewer than 2**31 buckets, got more in {size} texts")
    return found, total
