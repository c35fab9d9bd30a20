"""Kernels of the keyed permutation: a shuffle whose value at any position is computed directly.

A number below n is written as a pair (left, right) in Z_a x Z_b with a = ceil(sqrt(n)) and
b = ceil(n / a), and passed through a Feistel network: each round adds a keyed hash of one half to
the other, modulo that half's own size. The pairs exceed n by less than a, so repeating the network
for the rare result >= n costs next to nothing, just above a power of two as anywhere.
Source: Black and Rogaway (CT-RSA 2002), generalised Feistel and cycle walking.

Callers: samplers/core/_permutation.py, kernels/_groups.py, kernels/_draw.py, kernels/_blocks.py,
kernels/_mixture.py, clustering/_kmeans.py.

Contract, the same for every kernel in this file
    Checked   0 <= position < n <= 2**62. A kernel checks nothing and raises nothing.
    Random    A key is an argument; the same key and n give the same permutation everywhere.
    Memory    The caller allocates `out`. Nothing of size n is allocated here.
    Threads   Serial.

kernel    reads                     writes       time    oracle (tests/oracles.py)
permute   key, n, positions (m,)    out (m,)     O(m)    permute_in_integers
shuffle   key                       out (n,)     O(n)    shuffle_in_integers
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._rng import GOLDEN, below, mix, value, values

# Half-rounds. Small n would need many more (at n = 5 the 120 orders are still uneven after 16, and
# for some n no number of rounds reaches the odd orders), so samplers/core/_permutation.py shuffles
# up to 65,536 explicitly. Above, tests/samplers/core/test_permutation.py rejects 4 with one key and
# 6 with about seventy (pairs with equal right halves keep the distance of their left ones too
# often), and rejects neither 7 nor 8.
ROUNDS = 8
BLOCK = 512

# Up to here a shuffle is made explicitly and is exactly uniform; above, it is computed by position.
EXACT = 65_536

_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_MULTIPLY_1 = np.uint32(0x85EBCA6B)  # the 32-bit finaliser of MurmurHash3, with a key inside
_MULTIPLY_2 = np.uint32(0xC2B2AE35)
_SHIFT_1 = np.uint32(15)
_SHIFT_2 = np.uint32(16)


@kernel
def halves(n: int) -> tuple[int, int]:
    """Return (a, b), the sizes of the two halves: a * b >= n, a * b - n < a, both <= 2**31."""
    a = np.int64(np.sqrt(np.float64(n)))
    while a * a < n:
        a += 1
    while (a - 1) * (a - 1) >= n:
        a -= 1
    return a, (n + a - 1) // a


@kernel
def add_hash(
    target: NDArray[np.uint32], source: NDArray[np.uint32], modulus: int, key: np.uint64
) -> None:
    """Add to each target a keyed hash of its source, modulo `modulus`.

    32-bit arithmetic without branches, so that the compiler vectorises it by eight: 9 ns per
    index in total, against 26 with 64-bit hashes and 67 if each index is processed alone.
    """
    key_1, key_2 = np.uint32(key), np.uint32(key >> _HALF)
    size, size_32 = np.uint64(modulus), np.uint32(modulus)
    for j in range(target.size):
        word = np.uint32((source[j] ^ key_1) * _MULTIPLY_1)
        word = np.uint32((word ^ (word >> _SHIFT_1) ^ key_2) * _MULTIPLY_2)
        word = np.uint32(word ^ (word >> _SHIFT_2))
        total = np.uint32(target[j] + np.uint32((np.uint64(word) * size) >> _HALF))
        target[j] = min(total, np.uint32(total - size_32))  # a wrap below 0 is the larger one


@kernel
def pass_through(
    key: np.uint64, a: int, b: int, positions: NDArray[np.int64], out: NDArray[np.int64]
) -> None:
    """Pass numbers below a * b through the network once."""
    divisor = np.uint64(b)
    left_block = np.empty(BLOCK, np.uint32)
    right_block = np.empty(BLOCK, np.uint32)
    start = 0
    while start < positions.size:
        size = min(BLOCK, positions.size - start)
        left, right = left_block[:size], right_block[:size]
        for j in range(size):
            position = np.uint64(positions[start + j])
            left[j] = np.uint32(position // divisor)
            right[j] = np.uint32(position % divisor)
        for round_ in range(0, ROUNDS, 2):
            add_hash(left, right, a, mix(key + np.uint64(round_) * GOLDEN))
            add_hash(right, left, b, mix(key + np.uint64(round_ + 1) * GOLDEN))
        for j in range(size):
            out[start + j] = np.int64(left[j]) * b + np.int64(right[j])
        start += size


@kernel
def permute(key: np.uint64, n: int, positions: NDArray[np.int64], out: NDArray[np.int64]) -> None:
    """Map each position by the permutation of range(n) that `key` identifies.

    positions : int64 (m,)  each in [0, n)
    out       : int64 (m,)  may be `positions` itself
    """
    # The rare repetition is a loop: a kernel that calls itself crashes once compiled for a second
    # kind of array and read from the cache (numba 0.68).
    a, b = halves(n)
    pass_through(key, a, b, positions, out)
    for j in range(positions.size):
        while out[j] >= n:
            pass_through(key, a, b, out[j : j + 1], out[j : j + 1])


@kernel
def shuffle(key: np.uint64, out: NDArray[np.int64]) -> None:
    """Fill `out` with a uniformly random order of range(out.size), by Fisher-Yates.

    `below` deviates from uniform by less than n / 2**64, which no run could detect.
    """
    for i in range(out.size):
        out[i] = i
    for i in range(out.size - 1, 0, -1):
        j = np.int64(below(value(key, np.uint64(i)), np.uint64(i + 1)))
        out[i], out[j] = out[j], out[i]


# ---------------------------------------------------------------------- the first draws, by numpy


@permute.twin(call=1e5, entry=50)
def _permute(key: np.uint64, n: int, positions: NDArray[np.int64], out: NDArray[np.int64]) -> None:
    a = math.isqrt(n - 1) + 1
    b = -(-n // a)
    keys = values(key, np.arange(-1, ROUNDS - 1).astype(np.uint64))

    def passed(places: NDArray[np.int64]) -> NDArray[np.int64]:
        left, right = (half.astype(np.uint32) for half in np.divmod(places, b))
        for round_ in range(0, ROUNDS, 2):
            left = _hash_added(left, right, a, keys[round_])
            right = _hash_added(right, left, b, keys[round_ + 1])
        return left * np.int64(b) + right

    found = passed(positions)
    while (outside := np.flatnonzero(found >= n)).size:
        found[outside] = passed(found[outside])
    out[:] = found


def _hash_added(
    target: NDArray[np.uint32], source: NDArray[np.uint32], modulus: int, key: np.uint64
) -> NDArray[np.uint32]:
    """Return what `add_hash` makes of the target."""
    word = (source ^ np.uint32(key & _LOW)) * _MULTIPLY_1
    word = (word ^ (word >> _SHIFT_1) ^ np.uint32(key >> _HALF)) * _MULTIPLY_2
    word ^= word >> _SHIFT_2
    total = target + ((word * np.uint64(modulus)) >> _HALF).astype(np.uint32)
    return np.minimum(total, total - np.uint32(modulus))


@shuffle.twin(call=5e4, entry=400)
def _shuffle(key: np.uint64, out: NDArray[np.int64]) -> None:
    sizes = np.arange(out.size, 1, -1, dtype=np.uint64)
    places = below.py_func(values(key, sizes - np.uint64(1)), sizes)
    order = list(range(out.size))
    for i, j in zip(range(out.size - 1, 0, -1), places.tolist(), strict=True):
        order[i], order[j] = order[j], order[i]
    out[:] = order
