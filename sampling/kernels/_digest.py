"""Kernel that computes a checksum of large arrays at memory speed.

Callers: _identity.py.

Contract, the same for every kernel in this file
    Checked   The caller passes whole 64-bit words.
    Sizes     m = words.
    Types     uint64 in, uint64 out; sums wrap around.
    Random    None: the key is a constant of the caller.
    Memory    Nothing is allocated.
    Threads   Serial: 4 GB/s, where blake2b reads 0.5.

kernel        reads                        writes      time    oracle (tests/oracles.py)
checksum      words (m,), key ()           returned    O(m)    checksum_by_words
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._rng import GOLDEN, mix


@kernel
def checksum(words: NDArray[np.uint64], key: np.uint64) -> np.uint64:
    """Return the sum over i of mix(words[i] ^ (key + i * GOLDEN)), modulo 2**64.

    words : uint64 (m,)
    key   : uint64 ()

    Each term is a bijection of its word, so one changed word always changes the sum; it depends on
    the position too, so an exchange of two words changes it.
    """
    total = key
    for i in range(words.size):
        total += mix(words[i] ^ (key + np.uint64(i) * GOLDEN))
    return total


@checksum.twin(call=2e4, entry=20)
def _checksum(words: NDArray[np.uint64], key: np.uint64) -> np.uint64:  # by numpy
    keys = key + np.arange(words.size, dtype=np.uint64) * GOLDEN
    return mix.py_func(words ^ keys).sum(dtype=np.uint64, initial=key)
