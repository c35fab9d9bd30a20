"""Divide samples into groups by score, and exclude some of each group at random.

Of each group the samples with the smallest hashes are kept, as many as its quota: every subset of
that size is equally likely, and which samples are kept depends neither on the order of the passes
nor on the number of threads. Where the largest hash kept will be is known to within a few standard
deviations, so one pass decides on nearly all samples and lists the few others, which are sorted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...kernels import _prune
from ...types import Floats, Indices, Scores
from ..core._threads import in_parts

Words = NDArray[np.uint64]

_LARGEST = 2**64 - 1
_DEVIATIONS = 9.0  # the largest hash kept is farther from its mean once in 10^16 plans


def summary(scores: Scores) -> tuple[int, float, float]:
    """Return how many samples have a score, the sum of the scores, and the largest."""
    found = in_parts(lambda start, stop: _prune.summarise(scores[start:stop]), scores.size)
    seen, totals, largest = zip(*found, strict=True)
    return sum(seen), sum(totals), max(largest)


def divide(scores: Scores, thresholds: Floats, codes: NDArray[np.uint8]) -> Indices:
    """Fill the codes of the samples' groups, and return the sizes of the groups: int64 (G,).

    See `kernels._prune.assign`.
    """

    def part(start: int, stop: int) -> Indices:
        counts = np.empty(thresholds.size + 1, np.int64)
        _prune.assign(scores[start:stop], thresholds, codes[start:stop], counts)
        return counts

    counts: Indices = np.sum(in_parts(part, codes.size), axis=0)
    return counts


def thin(codes: NDArray[np.uint8], counts: Indices, quotas: Indices, key: np.uint64) -> None:
    """Exclude samples until each group has its quota, every subset of that size equally likely.

    codes  : uint8 (N,)  changed in place: an excluded sample gets code 0
    counts : int64 (G,)  sizes of the groups
    quotas : int64 (G,)  how many of each to keep
    """
    if not _thinned(codes, counts, quotas, key, _DEVIATIONS):
        codes &= _prune.MARK - 1  # as before
        _thinned(codes, counts, quotas, key, np.inf)
    in_parts(lambda start, stop: _prune.drop_marked(codes[start:stop]), codes.size)


def _thinned(
    codes: NDArray[np.uint8], counts: Indices, quotas: Indices, key: np.uint64, deviations: float
) -> bool:
    """Mark the samples to exclude; False if the hashes to keep end outside of the range expected.

    deviations : half the width of the range, in standard deviations
    """
    low, high, expected = _ranges(counts, quotas, deviations)
    least = min(expected + expected // 4 + 1024, codes.size)

    def part(start: int, stop: int) -> tuple[Indices, Indices, Words, int]:
        kept = np.zeros(_prune.MARK, np.int64)
        near = np.empty(min(least, stop - start), np.int64)
        hashes = np.empty(near.size, np.uint64)
        found = _prune.thin(codes[start:stop], start, key, low, high, kept, near, hashes)
        return kept, near[:found] + start, hashes[:found].copy(), max(found - near.size, 0)

    kept, near, hashes, lost = zip(*in_parts(part, codes.size), strict=True)
    wanted = quotas - np.sum(kept, axis=0)[_prune.FIRST_GROUP :][: quotas.size]
    rows, hashed = np.concatenate(near), np.concatenate(hashes)
    groups = codes[rows].astype(np.int64) - _prune.FIRST_GROUP
    rows, hashed, groups = (each[groups >= 0] for each in (rows, hashed, groups))
    available = np.bincount(groups, minlength=quotas.size)
    if any(lost) or (wanted < 0).any() or (wanted > available).any():
        return False
    order = np.lexsort((hashed, groups))
    places = np.arange(order.size) - (np.cumsum(available) - available)[groups[order]]
    codes[rows[order[places >= wanted[groups[order]]]]] = _prune.LEFT_OUT
    return True


def _ranges(counts: Indices, quotas: Indices, deviations: float) -> tuple[Words, Words, int]:
    """Return where the largest hash kept will be, by code: low (128,), high (128,).

    Also how many samples have a hash in the range of their group, on average.
    """
    low = np.full(_prune.MARK, _LARGEST, np.uint64)  # of other codes every hash is kept
    high = low.copy()
    expected = 0.0
    for group, (count, quota) in enumerate(zip(counts.tolist(), quotas.tolist(), strict=True)):
        share = quota / max(count, 1)
        # The number below a hash is binomial; the second term is for its tail at few samples.
        half = deviations * np.sqrt(share * (1.0 - share) / max(count, 1)) + 64 / max(count, 1)
        half = min(half, 1.0) if deviations < np.inf else 1.0
        ends = max(share - half, 0.0), min(share + half, 1.0)
        code = _prune.FIRST_GROUP + group
        low[code], high[code] = (min(int(end * 2.0**64), _LARGEST) for end in ends)
        expected += count * (ends[1] - ends[0])
    return low, high, int(expected)
