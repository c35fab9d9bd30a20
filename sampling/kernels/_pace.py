"""Kernels of curricula: draws from the front of an order, where the front grows.

Callers: samplers/static/_curriculum.py.

Contract, the same for every kernel in this file
    Checked   1 <= front < 2**31, 0 <= place < size < 2**32: products stay below 2**63.
    Sizes     M = draws of the epoch (`size`), m = draws asked for.
    Types     Positions (`places`), fronts and ranks int64.
    Random    A key is an argument; a draw's randomness is a hash of (key, place).
    Memory    The caller allocates `out`. Nothing of size M is allocated here.
    Threads   Serial.

kernel      reads                              writes      time    oracle (tests/oracles.py)
draw_front  key, size, places, fronts (m,)     out (m,)    O(m)    front_in_integers
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._rng import below, value


@kernel
def draw_front(
    key: np.uint64,
    size: int,
    places: NDArray[np.int64],
    fronts: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """Draw a rank from the front of each position, as evenly as the positions are spread.

    places : int64 (m,)  each in [0, size); over an epoch a permutation of range(size)
    fronts : int64 (m,)  number of ranks from which the draw may choose
    out    : int64 (m,)  filled with ranks, out[j] in [0, fronts[j])

    Position p of M owns the slice [p, p + 1) / M of the front and takes a random point of it. A
    single point, with p random, is uniform on the front; together the draws of an epoch are
    stratified. In integers, so that a front of M ranks is drawn as a permutation, each rank once.
    """
    for j in range(places.size):
        front = fronts[j]
        jitter = np.int64(below(value(key, np.uint64(places[j])), np.uint64(front)))
        out[j] = (places[j] * front + jitter) // size
