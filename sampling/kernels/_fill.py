"""Kernel that takes rows in order of rank for as long as their cost fits.

Callers: selection/_quota.py.

Contract, the same for every kernel in this file
    Checked   Costs are >= 0, order is a permutation of some rows, codes are in [0, G).
    Sizes     n = rows, m = rows in the order, G = groups.
    Types     Costs and rooms int64.
    Random    None.
    Memory    The caller allocates all arrays.
    Threads   Serial: each row needs what those before it left.

kernel        reads                       writes                 time  oracle (tests/oracles.py)
take_fitting  order (m,), costs, codes    room (G,), taken (n,)  O(m)  take_by_walking
"""

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel


@kernel
def take_fitting(
    order: NDArray[np.int64],
    costs: NDArray[np.int64],
    codes: NDArray[np.int64],
    room: NDArray[np.int64],
    total: int,
    taken: NDArray[np.bool_],
) -> int:
    """Take each row that fits into what is left for its group and for all; return what is left.

    order : int64 (m,)
    costs : int64 (n,)
    codes : int64 (n,)
    room  : int64 (G,), becomes what is left of each group
    total : int64, left for all groups together
    taken : bool (n,), rows taken before are passed over, those taken now are added
    """
    for i in range(order.size):
        row = order[i]
        cost = costs[row]
        if not taken[row] and cost <= total and cost <= room[codes[row]]:
            taken[row] = True
            total -= cost
            room[codes[row]] -= cost
    return total
