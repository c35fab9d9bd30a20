"""Kernels of the pruning plan: group samples by score, thin the groups, find the kept ones.

Callers: samplers/dynamic/_thinning.py, samplers/dynamic/_pruning.py,
samplers/dynamic/_infobatch.py, samplers/dynamic/_ucb.py, samplers/core/_tables.py.

Contract, the same for every kernel in this file
    Checked   Scores are finite or NaN (never seen). A kernel checks nothing.
    Codes     uint8 (N,), below 128: 0 = excluded, 1 = never seen, 2 + g = in group g. After
              thinning a code other than 0 means "drawn in this epoch", and determines the weight.
    Types     Counters int64, sums float64.
    Random    Keys are arguments; the decision on sample i is a hash of (key, i).
    Memory    Everything of size N comes from the caller.
    Threads   Serial. The first four work on some of the samples, so that threads can share them.

kernel          reads                                     writes            time    oracle
summarise       scores (N,)                               -                 O(N)    summary_by_numpy
assign          scores, thresholds (G-1,)                 codes, counts     O(N G)  groups_by_numpy
thin            codes, key, low, high (128,)              codes, near       O(N)    thin_by_sample
drop_marked     codes                                     codes             O(N)    without_marks
count_kept      codes as words                            cumulative (N/64) O(N)    kept_by_numpy
list_kept       codes                                     out (M,)          O(N)    kept_by_numpy
take_kept       codes as words, cumulative, guide, slots  out (m,)          O(m)    kept_by_numpy
first_left_out  codes, indices (B,)                       -                 O(B)    kept_by_numpy
fold_losses     fresh (N,), decay                         average, spread   O(N)    folded_in_floats
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._rng import value
from ..types import Packed
from ._draw import find_block
from ._permute import BLOCK as MANY

LEFT_OUT = 0
UNSEEN = 1
FIRST_GROUP = 2
MARK = 128
MOST_GROUPS = MARK - FIRST_GROUP  # `kept_bytes` carries into the next byte from code 129 on
BLOCK = 64  # codes per entry of the directory: a cache line

LARGEST = float(np.finfo(np.float32).max)

_ONES = np.uint64(0x0101010101010101)
_SEVENS = np.uint64(0x7F7F7F7F7F7F7F7F)
_EIGHTS = np.uint64(0x8080808080808080)
_SEVEN = np.uint64(7)
_TOP = np.uint64(56)


@kernel
def summarise(scores: NDArray[np.float32]) -> tuple[int, float, float]:
    """Return how many samples have a score, the sum of the scores, and the largest."""
    seen, total, largest = 0, 0.0, -np.inf
    for i in range(scores.size):
        score = np.float64(scores[i])
        if score == score:  # noqa: PLR0124  # false for NaN only
            seen += 1
            total += score
            largest = max(largest, score)
    return seen, total, largest


@kernel
def assign(
    scores: NDArray[np.float32],
    thresholds: NDArray[np.float64],
    codes: NDArray[np.uint8],
    counts: NDArray[np.int64],
) -> None:
    """Assign each sample to the group of its score, and count the groups.

    scores     : float32 (N,)
    thresholds : float64 (G-1,)  ascending; a score equal to one belongs to the group above it
    codes      : uint8 (N,)      filled
    counts     : int64 (G,)      filled; samples never seen are not counted
    """
    # One pass per threshold without branches: 15 ms for 10^7 samples and two groups, against 86
    # with a search for each sample.
    found = 0
    for i in range(scores.size):
        known = scores[i] == scores[i]  # noqa: PLR0124  # false for NaN only
        codes[i] = UNSEEN + known
        found += known
    for g in range(thresholds.size):
        counts[g] = found
        found = 0
        threshold = thresholds[g]
        for i in range(scores.size):
            above = np.float64(scores[i]) >= threshold
            codes[i] += above
            found += above
        counts[g] -= found
    counts[thresholds.size] = found


@kernel
def thin(
    codes: NDArray[np.uint8],
    first: int,
    key: np.uint64,
    low: NDArray[np.uint64],
    high: NDArray[np.uint64],
    kept: NDArray[np.int64],
    near: NDArray[np.int64],
    hashes: NDArray[np.uint64],
) -> int:
    """Mark the samples whose hash is too large for their group, and list those near the limit.

    Returns how many are near. More than `near` holds are counted, but not listed.

    codes     : uint8 (n,)     of samples first, first + 1, ...; MARK is added if it is excluded
    low, high : uint64 (128,)  by code: a hash below `low` is kept, one above `high` is excluded
    kept      : int64 (128,)   by code: increased by the number below `low`
    near      : int64 (L,)     filled with the positions in `codes` of the others, not marked
    hashes    : uint64 (L,)    filled with their hashes
    """
    # No branch on the outcome, which is unpredictable, and no counter that the next sample waits
    # for: 2.8 ns a sample, against 11 for selection sampling (Fan, Muller, Rezucha 1962). Hashes
    # computed in a separate loop, or a list without a branch, are slower.
    width, counts = kept.size, np.zeros(4 * kept.size, np.int64)
    found, last = 0, near.size - 1
    for i in range(codes.size):
        code, hashed = codes[i], value(key, np.uint64(first + i))
        below, within = hashed < low[code], hashed <= high[code]
        codes[i] = code if within else code | MARK
        counts[(i & 3) * width + np.int64(code)] += below
        if below != within:
            if found <= last:
                near[found] = i
                hashes[found] = hashed
            found += 1
    for j in range(counts.size):
        kept[j % width] += counts[j]
    return found


@kernel
def drop_marked(codes: NDArray[np.uint8]) -> None:
    """Exclude the samples marked by `thin`: code 0."""
    for i in range(codes.size):
        code = codes[i]
        codes[i] = LEFT_OUT if code >= MARK else code


@kernel
def kept_bytes(word: np.uint64) -> np.uint64:
    """Return a 1 in each byte of eight codes that is not 0; codes are below 128."""
    return ((word + _SEVENS) >> _SEVEN) & _ONES


@kernel
def count_kept(words: NDArray[np.uint64], cumulative: NDArray[np.float64]) -> None:
    """Fill the directory: the number of samples drawn up to the end of each block of 64.

    words      : uint64 (8 blocks,)  the codes, eight to a word, padded with 0 to whole blocks
    cumulative : float64 (blocks,)   filled
    """
    kept = 0
    for block in range(cumulative.size):
        for word in words[block * 8 : block * 8 + 8]:
            kept += np.int64((kept_bytes(word) * _ONES) >> _TOP)
        cumulative[block] = kept


@kernel
def list_kept(codes: NDArray[np.uint8], out: Packed) -> None:
    """List the samples drawn, ascending.

    out : int (M,)  filled; M is their number
    """
    found, i = 0, 0
    while found < out.size:  # no branch on the code; it ends at the last sample drawn
        out[found] = i
        found += codes[i] != LEFT_OUT
        i += 1


@kernel
def take_kept(
    words: NDArray[np.uint64],
    cumulative: NDArray[np.float64],
    guide: Packed,
    slots: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """Write the sample number `slot` among those drawn, for each slot.

    The directory finds the block, and one cache line of codes the sample: 1.2 bytes a sample, where
    a list of the samples drawn takes four bytes for each.

    slots : int64 (m,)
    out   : int64 (m,)  may be `slots` itself
    """
    points = np.empty(MANY, np.float64)
    blocks, lefts = np.empty(MANY, np.int64), np.empty(MANY, np.int64)
    start = 0
    while start < slots.size:
        size = min(MANY, slots.size - start)
        taken = slots[start : start + size]
        for j in range(size):
            points[j] = np.float64(taken[j])
        find_block(cumulative, guide, points[:size], lefts, blocks, blocks)
        for j in range(size):
            before = blocks[j] - 1
            lefts[j] = taken[j] - (np.int64(cumulative[before]) if before >= 0 else 0)
        for j in range(size):
            left, i = lefts[j], blocks[j] * 8
            running = kept_bytes(words[i]) * _ONES  # byte b: how many of the codes 0..b are kept
            while np.int64(running >> _TOP) <= left:
                left -= np.int64(running >> _TOP)
                i += 1
                running = kept_bytes(words[i]) * _ONES
            # A byte of `reached` is 1 where at most `left` codes are kept up to there: those
            # before it.
            reached = (((np.uint64(left) * _ONES) | _EIGHTS) - running) >> _SEVEN & _ONES
            out[start + j] = i * 8 + np.int64((reached * _ONES) >> _TOP)
        start += size


@kernel
def first_left_out(codes: NDArray[np.uint8], indices: NDArray[np.int64]) -> int:
    """Return the first position whose index is out of range or excluded; -1 if there is none."""
    for j in range(indices.size):
        i = indices[j]
        if i < 0 or i >= codes.size or codes[i] == LEFT_OUT:
            return j
    return -1


@kernel
def fold_losses(
    fresh: NDArray[np.float32],
    average: NDArray[np.float32],
    spread: NDArray[np.float32],
    decay: float,
) -> None:
    """Update the average of each sample's losses, and their spread, by the losses of an epoch.

    fresh   : float32 (N,)  NaN if a sample was not seen; its statistics are kept
    average : float32 (N,)  <- average + decay (loss - average); a first loss is stored unchanged
    spread  : float32 (N,)  <- (1 - decay) spread + decay (loss - average before)^2, always finite
    """
    for i in range(fresh.size):
        loss, before = np.float64(fresh[i]), np.float64(average[i])
        if loss != loss:  # noqa: PLR0124  # true for NaN only
            continue
        if before != before:  # noqa: PLR0124
            average[i] = np.float32(loss)
            continue
        change = loss - before
        wider = (1.0 - decay) * np.float64(spread[i]) + decay * change * change
        spread[i] = np.float32(min(wider, LARGEST))
        average[i] = np.float32(before + decay * change)
