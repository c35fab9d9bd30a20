"""Kernels that turn texts into hashed n-grams of words.

Callers: selection/by_text/_ngrams.py.

Contract, the same for every kernel in this file
    Checked   Texts are code points below 2**21, all of which `kinds` has an entry for.
    Sizes     n = texts, c = characters of all, g = n-grams of all.
    Types     Code points uint32, kinds uint8, buckets int64.
    Random    None: hashes of the characters alone.
    Memory    The caller allocates all outputs: at most c n-grams of each length.
    Threads   Serial; each block of texts is a call of its own.

kernel         reads                                            writes            oracle
hashed_ngrams  points (c,), ends (n,), kinds, width, modulus    out (g,), tokens  ngrams_by_words
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._rng import mix

SPACE, WORD, MARK = 0, 1, 2  # kinds of characters

_ONE = np.uint64(1)


@kernel
def hashed_ngrams(  # noqa: PLR0913  # the texts, the rule, and the outputs
    points: NDArray[np.uint32],
    ends: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    recent: NDArray[np.uint64],
    modulus: int,
    out: NDArray[np.int64],
    tokens: NDArray[np.int64],
) -> int:
    """Write the bucket of every n-gram of 1 to `width` tokens of each text; return how many.

    points  : uint32 (c,), code points of all texts
    ends    : int64 (n,), where each text ends
    kinds   : uint8, kind of each code point: a token is a run of characters of one kind, WORD or
              MARK
    recent  : uint64 (width,), scratch: hashes of the last tokens
    modulus : number of buckets
    out     : int64 (g,), buckets, text after text
    tokens  : int64 (n,), number of tokens of each text
    """
    width, used, start = recent.size, 0, 0
    size = np.uint64(modulus)
    for i in range(ends.size):
        count, at = 0, start
        while at < ends[i]:
            kind = kinds[points[at]]
            if kind == SPACE:
                at += 1
                continue
            code = np.uint64(0)
            while at < ends[i] and kinds[points[at]] == kind:
                code = mix(code) ^ (np.uint64(points[at]) + _ONE)
                at += 1
            recent[count % width] = mix(code)
            count += 1
            for length in range(1, min(count, width) + 1):
                gram = np.uint64(0)
                for k in range(count - length, count):
                    gram = mix(gram ^ recent[k % width])
                out[used] = np.int64(gram % size)
                used += 1
        tokens[i] = count
        start = ends[i]
    return used
