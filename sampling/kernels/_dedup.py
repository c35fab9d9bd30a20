"""Kernels that find near-duplicates, and decide greedily which are kept.

Callers: selection/by_cluster/_copies.py.

Contract, the same for every kernel in this file
    Checked   Pairs are (earlier, later) by rank, grouped by the later one; bounds are at least the
              float32 cosines of `cosine`.
    Sizes     n = rows in order of rank, p = pairs; a = later rows, b = earlier rows of a block,
              D = dimensions.
    Types     Ranks and positions int64, similarities float32.
    Random    None.
    Memory    The caller allocates all outputs. Scratch: one run of positions.
    Threads   Serial: each row depends on those before it.

kernel        reads                                       writes     time      oracle
keep_greedily starts (n+1,), earlier (p,), similar (p,)   kept (n,)  O(n + p)  keep_by_comparing
refine        bounds (a,b), first, counts, rows (a,D) ..  highest .. O(a b)    nearest_by_products
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel, summing_kernel

_RUN = 64  # earlier rows at a time, 96 KiB for 384 dimensions: they stay in the cache


@kernel
def keep_greedily(
    starts: NDArray[np.int64],
    earlier: NDArray[np.int64],
    similar: NDArray[np.float32],
    threshold: float,
    kept: NDArray[np.bool_],
) -> int:
    """Drop each row that is a near-duplicate of an earlier *kept* one; return how many are kept.

    starts  : int64 (n + 1,), first pair of each row
    earlier : int64 (p,), rank of the earlier row
    similar : float32 (p,)
    kept    : bool (n,)
    """
    count = 0
    for row in range(kept.size):
        kept[row] = True
        for i in range(starts[row], starts[row + 1]):
            if similar[i] > threshold and kept[earlier[i]]:
                kept[row] = False
                break
        count += kept[row]
    return count


@summing_kernel
def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> np.float32:
    """Return the product of two rows of length 1, limited to [-1, 1]: (D,), (D,) -> ()."""
    total = np.float32(0.0)
    for i in range(one.size):
        total += one[i] * other[i]
    return min(max(total, np.float32(-1.0)), np.float32(1.0))


@kernel
def reaching(values: NDArray[np.float32], level: np.float32) -> np.int32:
    """Return how many values are at least `level`; without a branch, so that it is vectorized."""
    count = np.int32(0)
    for i in range(values.size):
        count += np.int32(values[i] >= level)
    return count


@kernel
def take_higher(
    value: np.float32, at: int, i: int, highest: NDArray[np.float32], nearest: NDArray[np.int64]
) -> None:
    """Let row i have its highest cosine at position `at`, the first of equals, if it is higher."""
    if value > highest[i] or (value == highest[i] and at < nearest[i]):
        highest[i], nearest[i] = value, at


@kernel
def refine(
    bounds: NDArray[np.float32],
    first: NDArray[np.int64],
    counts: NDArray[np.int64],
    later: NDArray[np.float32],
    earlier: NDArray[np.float32],
    floor: np.float32,
    highest: NDArray[np.float32],
    nearest: NDArray[np.int64],
) -> int:
    """Compute the cosines of a block that may exceed the highest so far, or `floor`.

    bounds  : float32 (a, b), upper bounds of the cosines; cosines replace those computed
    first   : int64 (a,), position of the highest bound of each row, computed first
    counts  : int64 (a,), how many of the b rows are earlier than each row
    later   : float32 (a, D)
    earlier : float32 (b, D)
    floor   : all cosines above it are computed; infinity for none
    highest : float32 (a,), highest cosine so far; updated
    nearest : int64 (a,), position of its row, the first of equals, in the block or outside; updated

    Returns how many cosines were computed. Bounds that were not replaced are at most `floor`, for
    the earlier rows.
    """
    some = np.empty(_RUN, np.int64)
    done = 0
    for i in range(counts.size):
        j = first[i]
        if j < counts[i] and bounds[i, j] >= highest[i]:
            take_higher(cosine(later[i], earlier[j]), j, i, highest, nearest)
            done += 1
    for start in range(0, bounds.shape[1], _RUN):
        for i in range(counts.size):
            row = bounds[i, start : max(start, min(start + _RUN, counts[i]))]
            level = min(highest[i], floor)
            if reaching(row, level) == 0:
                continue
            found = 0  # collected without a branch, which would be mispredicted
            for j in range(row.size):
                some[found] = j
                found += row[j] >= level
            for k in range(found):
                j, at = some[k], start + some[k]
                if row[j] < min(highest[i], floor):
                    continue
                value = cosine(later[i], earlier[at])
                done += 1
                row[j] = value
                take_higher(value, at, i, highest, nearest)
    return done
