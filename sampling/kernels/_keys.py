"""Kernels that hash the id of each row to a key, by which ties are broken.

Callers: record/keys.py, selection/core/_whiten.py, batch_selection/_random_keys.py.

Contract, the same for every kernel in this file
    Checked   Ids are int64, or byte strings padded with zeros to whole 64-bit words.
    Sizes     n = rows, w = words of an id.
    Types     Keys uint64; ids that differ have keys that differ, strings but for one pair in 2^64.
    Random    The key of the decision is an argument.
    Memory    The caller allocates `out`.
    Threads   Serial: memory speed.

kernel        reads                        writes      time      oracle (tests/oracles.py)
keys_of_ids   ids (n,), key ()             out (n,)    O(n)      keys_of_ids_by_integers
keys_of_words words (n, w), key ()         out (n,)    O(n w)    keys_of_words_by_integers
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._rng import mix, value


@kernel
def keys_of_ids(ids: NDArray[np.int64], key: np.uint64, out: NDArray[np.uint64]) -> None:
    """Write value number id of `key` for each id.

    ids : int64 (n,)
    key : uint64 ()
    out : uint64 (n,)
    """
    for i in range(ids.size):
        out[i] = value(key, np.uint64(ids[i]))


@kernel
def keys_of_words(words: NDArray[np.uint64], key: np.uint64, out: NDArray[np.uint64]) -> None:
    """Write a hash of each row of words, which depends on their order.

    words : uint64 (n, w)
    key   : uint64 ()
    out   : uint64 (n,)
    """
    for i in range(words.shape[0]):
        state = key
        for j in range(words.shape[1]):
            state = mix(state ^ words[i, j])
        out[i] = value(state, np.uint64(words.shape[1]))
