"""Kernels of the pruning plan: group samples by score, thin the groups, find the kept ones.

Callers: samplers/_pruning.py, samplers/_tables.py.

Contract, the same for every kernel in this file
    Checked   Scores are finite or NaN (never seen). A kernel checks nothing.
    Codes     uint8 (N,): 0 = left out, 1 = never seen, 2 + g = in group g. After `thin` a code
              other than 0 means "dealt in this epoch", and tells the weight.
    Types     Counters int64, sums float64.
    Random    Keys are arguments; the decision on sample i is a hash of (key, i).
    Memory    Everything of size N comes from the caller.
    Threads   Serial.

kernel      reads                                  writes             time   oracle
summarise   scores (N,)                            -                  O(N)   summary_by_numpy
assign      scores, thresholds (G-1,)              codes, counts      O(N)   groups_by_numpy
thin        codes, counts, quotas (G,), key        codes              O(N)   thin_by_sequence
count_kept  codes                                  cumulative (N/64)  O(N)   kept_by_numpy
take_kept   codes, cumulative, guide, slots (m,)   out (m,)           O(m)   kept_by_numpy
"""

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._rng import unit, value
from ..types import Packed
from ._draw import find

LEFT_OUT = 0
UNSEEN = 1
FIRST_GROUP = 2
BLOCK = 64  # codes that one entry of the directory stands for: a cache line


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
    """Put each sample in the group of its score, and count the groups.

    thresholds : float64 (G-1,)  rising; a score equal to one belongs to the group above it
    codes      : uint8 (N,)      filled
    counts     : int64 (G,)      filled; samples never seen are in none
    """
    counts[:] = 0
    for i in range(scores.size):
        score = np.float64(scores[i])
        if score != score:  # noqa: PLR0124
            codes[i] = UNSEEN
            continue
        group = 0
        while group < thresholds.size and score >= thresholds[group]:
            group += 1
        counts[group] += 1
        codes[i] = FIRST_GROUP + group


@kernel
def thin(
    codes: NDArray[np.uint8],
    counts: NDArray[np.int64],
    quotas: NDArray[np.int64],
    key: np.uint64,
) -> None:
    """Leave out samples until each group holds its quota, every subset of that size alike.

    codes  : uint8 (N,)  changed in place: a sample left out gets code 0
    counts : int64 (G,)  sizes of the groups
    quotas : int64 (G,)  how many of each to keep

    Selection sampling (Fan, Muller, Rezucha 1962): keep the next with probability
    (still wanted) / (still to come), which ends at the exact count in one pass without a list.
    """
    wanted, coming = quotas.copy(), counts.copy()
    for i in range(codes.size):
        if codes[i] < FIRST_GROUP:
            continue
        group = codes[i] - FIRST_GROUP
        if wanted[group] < coming[group]:
            jitter = unit(value(key, np.uint64(i)))
            if jitter * np.float64(coming[group]) < np.float64(wanted[group]):
                wanted[group] -= 1
            else:
                codes[i] = LEFT_OUT
            coming[group] -= 1


@kernel
def count_kept(codes: NDArray[np.uint8], cumulative: NDArray[np.float64]) -> None:
    """Fill the directory: how many samples are dealt up to the end of each block of 64."""
    kept = 0
    for block in range(cumulative.size):
        for i in range(block * BLOCK, min((block + 1) * BLOCK, codes.size)):
            kept += codes[i] != LEFT_OUT
        cumulative[block] = kept


@kernel
def take_kept(
    codes: NDArray[np.uint8],
    cumulative: NDArray[np.float64],
    guide: Packed,
    slots: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """Return the sample number `slot` among those dealt, for each slot.

    The directory finds the block, a walk along one cache line the sample: 5 bytes a sample in all,
    where a list of the kept ones would add four.
    """
    for j in range(slots.size):
        block = find(cumulative, guide, np.float64(slots[j]))
        left = slots[j] - (np.int64(cumulative[block - 1]) if block > 0 else 0)
        i = block * BLOCK
        while True:
            if codes[i] != LEFT_OUT:
                if left == 0:
                    break
                left -= 1
            i += 1
        out[j] = i
