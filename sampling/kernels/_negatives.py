"""Kernel for the nearest rows of another class.

Callers: clustering/_hard_negatives.py.

Contract, the same for every kernel in this file
    Checked   Codes are >= -1, -1 for none; products are finite.
    Sizes     q = rows that search, n = rows of a block, w = candidates kept.
    Types     Products float32, codes int32, rows int64.
    Random    Nothing is random.
    Memory    The caller allocates everything.
    Threads   Serial.

kernel        reads                            writes        time   oracle (tests/oracles.py)
keep_nearest  products (q,n), kinds, groups    scores, rows  O(qn)  nearest_of_other_kinds
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel


@kernel
def keep_nearest(
    products: NDArray[np.float32],
    kinds: NDArray[np.int32],
    groups: NDArray[np.int32],
    other_kinds: NDArray[np.int32],
    other_groups: NDArray[np.int32],
    first: int,
    scores: NDArray[np.float32],
    rows: NDArray[np.int64],
) -> None:
    """Keep, for each row that searches, the w highest products with rows of another kind.

    products     : float32 (q, n)  larger is nearer
    kinds        : int32 (q,)      classes of the rows that search; -1: not searched
    groups       : int32 (q,)      only rows of the same group are kept; -1: not searched
    other_kinds  : int32 (n,)      classes of the block's rows; -1: never kept
    other_groups : int32 (n,)
    first        : int64           number of the block's first row
    scores       : float32 (q, w)  descending, -inf where empty; updated
    rows         : int64 (q, w)    the rows of those scores, -1 where empty; updated
    """
    last = scores.shape[1] - 1
    for i in range(products.shape[0]):
        kind, group = kinds[i], groups[i]
        if kind < 0 or group < 0:
            continue
        least = scores[i, last]
        for j in range(products.shape[1]):
            # Few rows reach the threshold, so that it is compared first.
            score = products[i, j]
            if score <= least or other_kinds[j] == kind:
                continue
            if other_kinds[j] < 0 or other_groups[j] != group:
                continue
            at = last
            while at > 0 and scores[i, at - 1] < score:
                scores[i, at] = scores[i, at - 1]
                rows[i, at] = rows[i, at - 1]
                at -= 1
            scores[i, at] = score
            rows[i, at] = first + j
            least = scores[i, last]
