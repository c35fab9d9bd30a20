"""Kernel that takes rows in order of rank as long as their cost fits.

Callers: selection/by_score/_quota.py.

Contract, the same for every kernel in this file
    Checked   Costs are >= 0, order is a permutation of some rows, codes are in [0, G).
    Sizes     n = rows, m = rows in the order, G = groups.
    Types     Costs and rooms int64.
    Random    None.
    Memory    The caller allocates all arrays.
    Threads   Serial: each row depends on the room left by those before it.

kernel        reads                       writes                 time  oracle (tests/oracles.py)
take_fitting  order (m,), costs, codes    room (G,), taken (n,)  O(m)  take_by_walking
"""

from __future__ import annotations

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
    """Take each row that fits into the room left for its group and in total; return the total left.

    order : int64 (m,)
    costs : int64 (n,)
    codes : int64 (n,)
    room  : int64 (G,), replaced by the room left of each group
    total : int64, room left for all groups together
    taken : bool (n,), rows already taken are skipped; rows taken now are set
    """
    for i in range(order.size):
        row = order[i]
        cost = costs[row]
        if not taken[row] and cost <= total and cost <= room[codes[row]]:
            taken[row] = True
            total -= cost
            room[codes[row]] -= cost
    return total
