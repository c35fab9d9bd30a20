"""Kernels of a running sum in half the memory: 16 sums to a line, as differences of their bits.

The bits of floats >= 0 are ordered as the floats are, so the bits of a sum less those of the end of
the line before are a small integer: below 2**32 if the sum grows by less than one part in 2**20 in
the line, as it does nearly everywhere in a long sum. The other lines are stored as floats. The sums
are equal to those of `numpy.cumsum` to the last bit.

Callers: samplers/core/_cumulative.py.

Contract, the same for every kernel in this file
    Checked   Weights are finite, >= 0, with a sum in [2**-900, inf). A kernel checks nothing.
    Sizes     N = samples, L = ceil(N / 16) lines, X = lines stored as floats, m = points.
    Types     Sums float64. offsets uint32 (16 L,): sum by sum, the difference of its bits to those
              of the end of the line before; in a line stored as floats WIDE, and then its row in
              `wide`. ends float64 (L,): the last sum of each line. wide float64 (X, 16).
    Random    Keys are arguments; a draw's randomness is a hash of (key, slot).
    Memory    The caller allocates what is written. Nothing of size N is allocated here.
    Threads   Serial.

kernel     reads                              writes               time  oracle (tests/oracles.py)
pack       weights (n,), before, rows         offsets, ends, wide  O(n)  unpacked_by_numpy
unpack     offsets, ends, wide, indices (m,)  out (m,)             O(m)  unpacked_by_numpy
find_in    offsets, ends, wide, points, last  lines (m,)           O(m)  find_by_bisection
jitters    key, slots (m,)                    out (m,)             O(m)  jitters_in_integers
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._rng import unit, value

LINE = 16
WIDE = 2**32 - 1


@kernel
def pack(
    weights: NDArray[np.float64],
    before: float,
    rows: int,
    offsets: NDArray[np.uint32],
    ends: NDArray[np.float64],
    wide: NDArray[np.float64],
) -> int:
    """Pack the running sum of the weights of some lines; return how many are stored as floats.

    weights : float64 (n,)     of whole lines, except at the end of all
    before  : float64          the sum of all earlier weights
    rows    : int64            rows of `wide` used by earlier lines
    offsets : uint32 (16 l,)   filled; sums past the end repeat the last
    ends    : float64 (l,)     filled
    wide    : float64 (l, 16)  its first rows are filled
    """
    sums = np.empty(LINE + 1, np.float64)  # the end of the line before, and the line
    bits = sums.view(np.uint64)
    sums[LINE] = before
    added = 0
    for line in range(ends.size):
        sums[0] = sums[LINE]
        start = line * LINE
        total = sums[0]
        for j in range(LINE):
            if start + j < weights.size:
                total += weights[start + j]
            sums[j + 1] = total
        ends[line] = total
        if bits[LINE] - bits[0] < np.uint64(WIDE):
            for j in range(LINE):
                offsets[start + j] = np.uint32(bits[j + 1] - bits[0])
        else:
            offsets[start : start + LINE] = WIDE
            offsets[start + 1] = rows + added
            wide[added] = sums[1:]
            added += 1
    return added


@kernel
def unpack(
    offsets: NDArray[np.uint32],
    ends: NDArray[np.float64],
    wide: NDArray[np.float64],
    indices: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:
    """Write the running sum up to and including each sample.

    indices : int64 (m,)    each in [0, 16 L)
    out     : float64 (m,)  filled
    """
    bits, found = ends.view(np.uint64), out.view(np.uint64)
    for j in range(indices.size):
        line, place = indices[j] // LINE, indices[j] % LINE
        if offsets[line * LINE] == WIDE:
            out[j] = wide[offsets[line * LINE + 1], place]
        else:
            before = bits[line - 1] if line > 0 else np.uint64(0)
            found[j] = before + np.uint64(offsets[indices[j]])


@kernel
def find_in(
    offsets: NDArray[np.uint32],
    ends: NDArray[np.float64],
    wide: NDArray[np.float64],
    points: NDArray[np.float64],
    last: int,
    lines: NDArray[np.int64],
) -> None:
    """Find the first sample whose running sum exceeds each point, in the line known to hold it.

    points : float64 (m,)
    last   : int64        the last sample of positive weight, found for points at the total or above
    lines  : int64 (m,)   the line of each point; overwritten with the sample
    """
    # First one entry of each line is read, so that the cache misses overlap: 100 ns a point in 10^8
    # samples, against 170 line by line.
    bits, wanted = ends.view(np.uint64), points.view(np.uint64)
    heads, ahead = np.empty(lines.size, np.uint32), np.empty(lines.size, np.uint32)
    for j in range(lines.size):
        line = lines[j]
        heads[j] = offsets[line * LINE]
        before = bits[line - 1] if line > 0 else np.uint64(0)
        ahead[j] = np.uint32(min(wanted[j] - before, np.uint64(WIDE)))
    for j in range(lines.size):
        place = lines[j] * LINE
        if heads[j] == WIDE:
            row = offsets[place + 1]
            for k in range(LINE):
                place += wide[row, k] <= points[j]
        else:
            place += 8 * (offsets[place + 7] <= ahead[j])
            place += 4 * (offsets[place + 3] <= ahead[j])
            place += 2 * (offsets[place + 1] <= ahead[j])
            place += offsets[place] <= ahead[j]
        lines[j] = min(place, last)


@kernel
def jitters(key: np.uint64, slots: NDArray[np.int64], out: NDArray[np.float64]) -> None:
    """Write the random number of each slot, in [0, 1)."""
    for j in range(slots.size):
        out[j] = unit(value(key, np.uint64(slots[j])))
