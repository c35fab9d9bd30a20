"""Kernel that decides greedily which near-duplicates are kept.

Callers: selection/by_cluster/_copies.py.

Contract, the same for every kernel in this file
    Checked   Pairs are (earlier, later) by rank, grouped by the later one.
    Sizes     n = rows in order of rank, p = pairs.
    Types     Ranks int64, similarities float32.
    Random    None.
    Memory    The caller allocates `kept`.
    Threads   Serial: each row depends on those before it.

kernel        reads                                       writes     time      oracle
keep_greedily starts (n+1,), earlier (p,), similar (p,)   kept (n,)  O(n + p)  keep_by_comparing
"""

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel


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
