"""Kernels of the score table.

Callers: scores/_table.py, scores/_exposure.py, distributed/_ranks.py, samplers/core/_plan.py,
samplers/core/_tables.py, samplers/static/_curriculum.py, samplers/dynamic/_dynamic_random.py,
samplers/dynamic/_hidden.py, samplers/static/_repeat_factor.py, samplers/static/_sensitivity.py,
_warm.py.

Contract, the same for every kernel in this file
    Checked   `count_up` relies on `first_outside` having returned -1 for the indices;
              `add_written` on it for those that other ranks sent.
    Types     Scores float32 (N,), NaN = never seen. Losses float32 or float64. Counts unsigned
              ints (N,), of 8 bits or more.
    Threads   Serial.

kernel         reads                         writes           time   oracle
first_outside  indices (B,), n               -                O(B)   outside_by_numpy
update         indices (B,), losses (B,)     scores, touched  O(B)   update_by_loop
count_up       indices (B,), most            counts, own      O(B)   counts_by_counter
add_written    indices (B,), values (B,)     sums, counts     O(B)   means_by_dictionary
store_means    -                             scores, sums, counts  O(N)  means_by_dictionary
fill_uniform   key                           out (N,)         O(N)   uniform_in_integers
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._rng import value


@kernel
def first_outside(indices: NDArray[np.int64], n: int) -> int:
    """Return the first position whose index is not in [0, n), or -1."""
    for j in range(indices.size):
        if indices[j] < 0 or indices[j] >= n:
            return j
    return -1


@first_outside.twin(call=1e4, entry=1)
def _first_outside(indices: NDArray[np.int64], n: int) -> int:  # by numpy
    outside = (indices < 0) | (indices >= n)
    return int(outside.argmax()) if outside.any() else -1


@kernel
def update(
    scores: NDArray[np.float32],
    touched: NDArray[np.bool_],
    indices: NDArray[np.int64],
    losses: NDArray[np.float32],
    ema: float,
) -> int:
    """Update the score of each index by its loss; return how many losses were not finite.

    It stops at an index outside [0, N) in row j, and returns -1 - j.

    scores  : float32 (N,)    score <- ema * loss + (1 - ema) * score; a first loss is stored
    touched : bool (N,) or (0,)  set where a score was written; empty if ranks do not merge
    """
    ema = np.float64(ema)
    skipped = 0
    for j in range(indices.size):
        i = indices[j]
        if i < 0 or i >= scores.size:
            return -1 - j
        loss = np.float32(losses[j])
        if not np.isfinite(loss):
            skipped += 1
            continue
        if ema == 1.0 or np.isnan(scores[i]):
            scores[i] = loss
        else:
            scores[i] = np.float32(ema * loss + (1.0 - ema) * scores[i])
        if touched.size > 0:
            touched[i] = True
    return skipped


@kernel
def count_up(
    counts: NDArray[np.unsignedinteger[Any]],
    own: NDArray[np.unsignedinteger[Any]],
    indices: NDArray[np.int64],
    most: np.uint64,
) -> int:
    """Add 1 to the count of each index, once per occurrence, until a count would overflow.

    counts : unsigned int (N,)
    own    : of the same dtype, (N,) or (0,)  counted in the same way; empty if ranks do not merge;
                                              no count exceeds that in `counts`
    most   : uint64 ()  the largest number of their dtype

    Return the position of the first index whose count is at `most`, where it stops; B if none is.
    """
    one = np.uint64(1)  # with an int64, numba would add a uint64 as a float
    for j in range(indices.size):
        i = indices[j]
        if np.uint64(counts[i]) == most:
            return j
        counts[i] += one
        if own.size > 0:
            own[i] += one
    return indices.size


@kernel
def add_written(
    sums: NDArray[np.float64],
    counts: NDArray[np.int32],
    indices: NDArray[np.int32],
    values: NDArray[np.float32],
) -> None:
    """Add what one rank wrote to the sums and counts of a block, (N,), at its indices (B,)."""
    for j in range(indices.size):
        i = indices[j]
        sums[i] += np.float64(values[j])
        counts[i] += 1


@add_written.twin(call=1e4, entry=3)
def _add_written(
    sums: NDArray[np.float64],
    counts: NDArray[np.int32],
    indices: NDArray[np.int32],
    values: NDArray[np.float32],
) -> None:
    sums[indices] += values  # a rank writes each index once
    counts[indices] += 1


@kernel
def store_means(
    scores: NDArray[np.float32], sums: NDArray[np.float64], counts: NDArray[np.int32]
) -> None:
    """Set each score that was written, by its mean; clear sums and counts for the next block.

    scores, sums, counts : (N,)
    """
    for i in range(scores.size):
        if counts[i] > 0:
            scores[i] = np.float32(sums[i] / np.float64(counts[i]))
            sums[i] = 0.0
            counts[i] = 0


@store_means.twin(call=2e4, entry=3)
def _store_means(
    scores: NDArray[np.float32], sums: NDArray[np.float64], counts: NDArray[np.int32]
) -> None:
    written = np.flatnonzero(counts)
    scores[written] = (sums[written] / counts[written]).astype(np.float32)
    sums[written], counts[written] = 0.0, 0


@kernel
def fill_uniform(key: np.uint64, out: NDArray[np.float32]) -> None:
    """Fill `out` with numbers in [0, 1), multiples of 2**-24, each a hash of (key, position)."""
    for i in range(out.size):
        out[i] = np.float32(value(key, np.uint64(i)) >> np.uint64(40)) * np.float32(2.0**-24)
