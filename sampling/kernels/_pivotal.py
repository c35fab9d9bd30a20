"""Kernels that draw a fixed number of rows with given inclusion probabilities.

Callers: selection/core/_inclusion.py.

Contract, the same for every kernel in this file
    Checked   Probabilities are in [0, 1] and finite; order is a permutation of 0..n-1.
    Sizes     n = rows.
    Types     Probabilities float64, positions int64.
    Random    Value number i of a key decides duel i.
    Memory    The caller allocates `out`.
    Threads   Serial: each duel depends on the previous one.

kernel        reads                               writes      time    oracle (tests/oracles.py)
pivotal_walk  pi (n,), order (n,), key ()         out (n,)    O(n)    pivotal_by_duels
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._rng import unit, value

_SNAP = 1e-9  # a probability nearer than this to 0 or 1 is taken as 0 or 1
_ROUNDED = 1e-6  # rounding error of an integer sum that is tolerated at the end


@kernel
def pivotal_walk(
    pi: NDArray[np.float64],
    order: NDArray[np.int64],
    key: np.uint64,
    out: NDArray[np.bool_],
) -> None:
    """Draw rows by the pivotal method: neighbours in an order duel until all are decided.

    pi    : float64 (n,)
    order : int64 (n,)
    key   : uint64 ()
    out   : bool (n,), whether each row is drawn

    Two undecided rows with a and b: if a + b <= 1 one of them is rejected and the other continues
    with a + b; else one is drawn and the other continues with a + b - 1. Marginals are kept
    exactly, and the last row is drawn with the remaining probability, which is 0 or 1 up to
    rounding if pi sums to an integer. The same random point lets the same row win on both sides of
    a + b = 1, where rounding decides the side.
    """
    active = -1
    weight = 0.0
    duels = np.uint64(0)
    for i in range(order.size):
        row = order[i]
        chance = pi[row]
        if chance <= _SNAP or chance >= 1.0 - _SNAP:
            out[row] = chance > 0.5
            continue
        if active < 0:
            active = row
            weight = chance
            continue
        point = unit(value(key, duels))
        duels += np.uint64(1)
        total = weight + chance
        if total <= 1.0:
            if point * total < weight:  # the active one continues
                out[row] = False
            else:
                out[active] = False
                active = row
            weight = total
        else:
            if point * (2.0 - total) < 1.0 - chance:  # the active one is drawn
                out[active] = True
                active = row
            else:
                out[row] = True
            weight = total - 1.0
        if weight <= _SNAP or weight >= 1.0 - _SNAP:
            out[active] = weight > 0.5
            active = -1
    if active >= 0:
        if weight <= _ROUNDED or weight >= 1.0 - _ROUNDED:
            out[active] = weight > 0.5
        else:
            out[active] = unit(value(key, duels)) < weight
