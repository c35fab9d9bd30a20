"""A keyed, stateless, counter-based generator for every random decision of the package.

A *key* is a 64-bit hash of (seed, epoch, purpose). The value at `counter` is a hash of key and
counter, so any value can be computed directly, in any order, on any machine, and does not depend on
the numpy release or the platform. The package never uses a global random state.

`mix` is the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014; constants of D. Stafford):
a bijection of 64-bit words in which every input bit flips each output bit with probability 1/2.
"""

from __future__ import annotations

import hashlib
import struct

import numpy as np
from numpy.typing import NDArray

from ._numba import kernel

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLY_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = np.uint64(0x94D049BB133111EB)
_SHIFT_1 = np.uint64(30)
_SHIFT_2 = np.uint64(27)
_SHIFT_3 = np.uint64(31)
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_DOUBLE = np.uint64(11)
_ULP = 2.0**-53
_WORD = 2**64 - 1


def key(seed: int, epoch: int, purpose: str) -> np.uint64:
    """Return the 64-bit key of one random decision.

    The three are hashed as three 64-bit words, so (seed 0, epoch 1) and (seed 1, epoch 0) give
    unrelated keys, as do two purposes within an epoch.
    """
    name = hashlib.blake2b(purpose.encode(), digest_size=8).digest()
    words = struct.pack("<QQ", seed, epoch) + name
    return np.uint64(int.from_bytes(hashlib.blake2b(words, digest_size=8).digest(), "little"))


def uniform(key: np.uint64) -> float:
    """Return one number in [0, 1), for a single decision outside of kernels."""
    return (int(key) >> 11) * _ULP


def subkey(key: np.uint64, number: int) -> np.uint64:
    """Return the key of decision `number` inside the decision of `key`."""
    word = (int(key) + (number + 1) * int(GOLDEN)) & _WORD  # `value`, without compiled code
    word = (word ^ (word >> 30)) * int(_MULTIPLY_1) & _WORD
    word = (word ^ (word >> 27)) * int(_MULTIPLY_2) & _WORD
    return np.uint64(word ^ (word >> 31))


def values(key: np.uint64, counters: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the values at many counters of `key`, as `value` does, in numpy."""
    return mix.py_func(key + (counters + np.uint64(1)) * GOLDEN)


@kernel
def mix(word: np.uint64) -> np.uint64:
    """Hash 64 bits to 64 bits, one to one."""
    word = (word ^ (word >> _SHIFT_1)) * _MULTIPLY_1
    word = (word ^ (word >> _SHIFT_2)) * _MULTIPLY_2
    return word ^ (word >> _SHIFT_3)


@kernel
def value(key: np.uint64, counter: np.uint64) -> np.uint64:
    """Return the value at `counter` of `key`; also the key of a decision inside `key`."""
    return mix(key + (counter + np.uint64(1)) * GOLDEN)


@kernel
def unit(word: np.uint64) -> float:
    """Turn 64 random bits into a float64 in [0, 1), a multiple of 2**-53."""
    return np.float64(word >> _DOUBLE) * _ULP


@kernel
def below(word: np.uint64, n: np.uint64) -> np.uint64:
    """Turn 64 random bits into an integer in [0, n), n <= 2**32: floor(word * n / 2**64)."""
    return ((word >> _HALF) * n + (((word & _LOW) * n) >> _HALF)) >> _HALF
