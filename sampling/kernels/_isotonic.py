"""Kernels of isotonic regression: the nearest non-decreasing sequence, by pooling neighbours.

Callers: weighting/_spectra.py.

Contract, the same for every kernel in this file
    Checked   Values are finite; shares are >= 0 and some are > 0.
    Sizes     n = losses of a batch, in ascending order.
    Types     float64, float32 has too few digits for sums of logarithms; counters int64.
    Memory    The caller allocates, including the work arrays: the stack of blocks found so far.
    Threads   Serial.

kernel       reads                     writes  time  oracle (tests/oracle_isotonic.py)
pool_means   values (n,)               out     O(n)  isotonic_by_minimax
pool_shares  logits (n,), shares (n,)  out     O(n)  shares_by_minimax
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel


@kernel
def pool_means(
    values: NDArray[np.float64],
    out: NDArray[np.float64],
    sums: NDArray[np.float64],
    starts: NDArray[np.int64],
) -> None:
    """Fill `out` with the non-decreasing sequence of least squared distance to `values`.

    values : float64 (n,)
    out    : float64 (n,)
    sums   : float64 (n,)  work: sum of each block
    starts : int64 (n,)    work: first position of each block

    A block whose mean is below that of the previous block is merged with it (pool adjacent
    violators). Means are compared by their sums and sizes.
    """
    blocks = 0
    for i in range(values.size):
        starts[blocks], sums[blocks] = i, values[i]
        blocks += 1
        while blocks > 1:
            last, before = starts[blocks - 1], starts[blocks - 2]
            if sums[blocks - 2] / (last - before) <= sums[blocks - 1] / (i + 1 - last):
                break
            sums[blocks - 2] += sums[blocks - 1]
            blocks -= 1
    for b in range(blocks):
        stop = starts[b + 1] if b + 1 < blocks else values.size
        for i in range(starts[b], stop):
            out[i] = sums[b] / (stop - starts[b])


@kernel
def pool_shares(
    logits: NDArray[np.float64],
    shares: NDArray[np.float64],
    out: NDArray[np.float64],
    masses: NDArray[np.float64],
    sums: NDArray[np.float64],
    starts: NDArray[np.int64],
) -> None:
    """Spread shares as exp(logits) within blocks, by the fewest pools that keep scales ordered.

    logits : float64 (n,)  in ascending order
    shares : float64 (n,)  in ascending order; the first may be 0
    out    : float64 (n,)  has the same sum as the shares
    masses : float64 (n,)  work: log of the sum of exp(logits) of each block
    sums   : float64 (n,)  work: sum of the shares of each block
    starts : int64 (n,)    work: first position of each block

    The scale of a block, mass / share, must not decrease from block to block. A block without a
    share has an infinite scale: no logarithm of 0 is taken.
    """
    blocks = 0
    for i in range(logits.size):
        starts[blocks], masses[blocks], sums[blocks] = i, logits[i], shares[i]
        blocks += 1
        while blocks > 1:
            high, low = masses[blocks - 1], masses[blocks - 2]
            mine, theirs = sums[blocks - 1], sums[blocks - 2]
            if mine == 0.0 or (theirs > 0.0 and low - math.log(theirs) <= high - math.log(mine)):
                break
            top = max(high, low)
            masses[blocks - 2] = top + math.log(math.exp(high - top) + math.exp(low - top))
            sums[blocks - 2] += mine
            blocks -= 1
    for b in range(blocks):
        stop = starts[b + 1] if b + 1 < blocks else logits.size
        for i in range(starts[b], stop):
            out[i] = sums[b] * math.exp(logits[i] - masses[b])
