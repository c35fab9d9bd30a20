"""Kernels that turn weights into sample indices.

Callers: samplers/core/_cumulative.py, samplers/core/_tables.py, samplers/static/_limited.py,
kernels/_prune.py, selection/core/_inclusion.py.

Contract, the same for every kernel in this file
    Checked   Weights are finite, >= 0, with a sum of at least 2**-900, since G over it must be
              finite; 0 <= slot < size. A kernel checks nothing.
    Sizes     N = samples in the dataset, m = draws asked for, G = cells of the guide table.
    Types     Weights float64: a float32 running sum of ones stops growing at 2**24.
    Random    Keys are arguments; a draw's randomness is a hash of (key, slot) or (key, position).
    Memory    The caller allocates `out`. Nothing of size N is allocated here.
    Threads   Serial. These run in the process that later forks DataLoader workers.

kernel        reads                                 writes       time      oracle (tests/oracles.py)
build_guide   cumulative (N,)                       guide (G+1,) O(N + G)  guide_by_bisection
find_block    cumulative, guide, points (m,)        out (m,)     O(m)*     find_by_bisection
stratified    cumulative, guide, key, slots (m,)    out (m,)     O(m)*     stratified_by_bisection
independent   cumulative, guide, key, slots (m,)    out (m,)     O(m)*     independent_by_bisection
systematic    weights (N,), scale, key, offset      out (M,)     O(N)      systematic_by_loop

* expected, for weights whose large values are not concentrated in one cell; at worst O(log N)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._rng import unit, value
from ..types import Packed
from ._permute import BLOCK, permute


@kernel
def build_guide(cumulative: NDArray[np.float64], guide: Packed) -> None:
    """Record for each of G equal cells of the total weight the sample in which it begins.

    cumulative : float64 (N,)          running sum of the weights; its last entry is the total W
    guide      : int32 or int64 (G+1,) guide[g] = first i with cumulative[i] > g * W / G; the last
                                       entry is the last sample of positive weight
    """
    # Each sample writes its successor to the first cell that begins at or after its end, and a
    # running maximum does the rest: 2.9 ns a sample, against 6.0 for a walk along both, whose
    # branches cannot be predicted.
    cells = guide.size - 1
    last = cumulative.size - 1
    while last > 0 and cumulative[last - 1] == cumulative[last]:
        last -= 1
    total, most = cumulative[last], np.float64(cells)
    step, scale = total / cells, cells / total if last > 0 else 0.0
    guide[:] = 0
    cell = np.empty(BLOCK, np.float64)
    start = 0
    while start < last:
        size = min(BLOCK, last - start)
        ends = cumulative[start : start + size]
        for j in range(size):  # in floats, which the compiler vectorises
            end = ends[j]
            at = np.floor(end * scale)  # rounded, so at most two cells before the one meant
            at = at + 1.0 if at * step < end else at
            at = at + 1.0 if at * step < end else at
            cell[j] = min(at, most)
        for j in range(size):
            guide[np.int64(cell[j])] = start + j + 1
        start += size
    reached = guide[0]
    for g in range(cells):
        reached = max(reached, guide[g])
        guide[g] = reached
    guide[cells] = last


@kernel
def find_block(
    cumulative: NDArray[np.float64],
    guide: Packed,
    points: NDArray[np.float64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """Find the first i with cumulative[i] > point, the sample there, for each of a few points.

    A sample of weight 0 is at no point. Points at W or above belong to the last sample.

    points    : float64 (m,)
    low, high : int64 (m,)    scratch
    out       : int64 (m,)    filled

    In phases, none of which waits for a read of the one before on the same point, so that the
    cache misses of all points overlap: 70 ns a draw from 10^7 samples, against 150 one by one.
    """
    cells = guide.size - 1
    last = np.int64(guide[cells])
    scale = cells / cumulative[last]
    for j in range(points.size):
        low[j] = min(np.int64(points[j] * scale), cells - 1)
    for j in range(points.size):
        cell = low[j]
        low[j], high[j] = guide[cell], guide[cell + 1]
    for j in range(points.size):  # one halving without a branch
        first, end = low[j], high[j]
        middle = (first + end) >> 1
        beyond = (first < end) & (cumulative[middle] <= points[j])
        low[j] = middle + 1 if beyond else first
        high[j] = end if beyond else middle
    for j in range(points.size):
        first, end, point = low[j], high[j], points[j]
        while first < end:
            middle = (first + end) >> 1
            if cumulative[middle] <= point:
                first = middle + 1
            else:
                end = middle
        while first > 0 and cumulative[first - 1] > point:  # the cell was rounded up
            first -= 1
        while first < last and cumulative[first] <= point:  # or down
            first += 1
        out[j] = first


@kernel
def stratified(
    cumulative: NDArray[np.float64],
    guide: Packed,
    key: np.uint64,
    size: int,
    slots: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """Draw at one jittered point in each of `size` equal slices of the total weight.

    slots : int64 (m,)  which slices, each in [0, size)
    out   : int64 (m,)  may be `slots` itself
    """
    step = cumulative[guide[guide.size - 1]] / size
    points = np.empty(BLOCK, np.float64)
    low, high = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64)
    start = 0
    while start < slots.size:
        count = min(BLOCK, slots.size - start)
        for j in range(count):
            slot = slots[start + j]
            points[j] = (np.float64(slot) + unit(value(key, np.uint64(slot)))) * step
        found = out[start : start + count]
        find_block(cumulative, guide, points[:count], low, high, found)
        start += count


@kernel
def independent(
    cumulative: NDArray[np.float64],
    guide: Packed,
    key: np.uint64,
    slots: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """Draw at independent uniform points.

    slots : int64 (m,)  identifiers of the draws
    out   : int64 (m,)  may be `slots` itself
    """
    total = cumulative[guide[guide.size - 1]]
    points = np.empty(BLOCK, np.float64)
    low, high = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64)
    start = 0
    while start < slots.size:
        count = min(BLOCK, slots.size - start)
        for j in range(count):
            points[j] = unit(value(key, np.uint64(slots[start + j]))) * total
        found = out[start : start + count]
        find_block(cumulative, guide, points[:count], low, high, found)
        start += count


@kernel
def systematic(
    weights: NDArray[np.float64],
    scale: float,
    key: np.uint64,
    offset: float,
    out: Packed,
) -> int:
    """Choose out.size samples, sample i with probability min(1, scale * weights[i]) exactly.

    Returns how many it chose: fewer only if the probabilities do not sum to out.size.

    weights : float64 (N,)
    scale   : float64        such that the probabilities sum to out.size
    key     : uint64         key of the random order in which the samples are visited
    offset  : float64        in [0, 1): the only random number, given the order
    out     : int (M,)       the chosen samples, in the order visited

    Systematic sampling (Madow 1949): accumulate the probabilities and choose the sample at each of
    offset, offset + 1, ... A new random order in every epoch ensures that no two samples always
    exclude each other. Samples of probability 1 are chosen directly, so that rounding of the
    running sum can neither miss one nor choose it twice.
    """
    n = weights.size
    passed = np.empty(BLOCK, np.int64)
    probabilities = np.empty(BLOCK, np.float64)
    reached, chosen, crossed, spare = 0.0, 0, 0, np.int64(-1)
    start = 0
    while start < n:
        size = min(BLOCK, n - start)
        block = passed[:size]
        for j in range(size):
            block[j] = start + j
        permute(key, n, block, block)
        for j in range(size):  # separate from the sum, so that the cache misses overlap
            probabilities[j] = scale * weights[block[j]]
        for j in range(size):
            probability = probabilities[j]
            if probability >= 1.0:
                take = True
            else:
                reached += probability
                take = reached > crossed + offset
                if take:
                    crossed += 1
                elif probability > 0.0:
                    spare = block[j]
            if take and chosen < out.size:
                out[chosen] = block[j]
                chosen += 1
        start += size
    if chosen < out.size and spare >= 0:  # the sum ended below the last point by rounding
        out[chosen] = spare
        chosen += 1
    return chosen
