"""Kernels of importance sampling: from scores to sampling probabilities and their moments.

Callers: samplers/dynamic/_importance.py, samplers/dynamic/_variance_budget.py.

Contract, the same for every kernel in this file
    Checked   Scores are finite or NaN (never seen), and at least one is not NaN if `least` or a
              scale is required. A kernel checks nothing.
    Sizes     N = samples, 512 = half octaves of the float32 numbers >= 0.
    Types     Scores float32 (N,); sums float64, in order, so that they are equal on every machine.
    Random    None.
    Memory    The caller allocates.
    Threads   Serial.

kernel    reads                                  writes           time  oracle
extremes  scores (N,)                            -                O(N)  extremes_by_sorting
moments   scores, least                          -                O(N)  moments_by_fsum
powers    scores, least, power                   out (N,)         O(N)  powers_by_list
relative  shares (N,), scale, floor              shares           O(N)  relative_by_formula
octaves   scores, the same as words              counts, squares  O(N)  octaves_by_frexp
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel

HALF_OCTAVES = 512
MANTISSA_BITS = 22  # all but the first bit of a float32's mantissa


@kernel
def extremes(scores: NDArray[np.float32]) -> tuple[int, float, float]:
    """Return how many samples have a score, the smallest score and the largest."""
    seen, least, largest = 0, np.inf, -np.inf
    for i in range(scores.size):
        score = np.float64(scores[i])
        seen += score == score  # noqa: PLR0124  # false for NaN only
        least = score if score < least else least
        largest = score if score > largest else largest
    return seen, least, largest


@kernel
def moments(scores: NDArray[np.float32], least: float) -> tuple[float, float]:
    """Return the sums of g and of g ** 2, where g = score - least; `least` is a lower bound."""
    total, squares = 0.0, 0.0
    for i in range(scores.size):
        g = np.float64(scores[i]) - least
        if g == g:  # noqa: PLR0124  # false for NaN only
            total += g
            squares += g * g
    return total, squares


@kernel
def powers(
    scores: NDArray[np.float32], least: float, power: float, out: NDArray[np.float64]
) -> float:
    """Write (score - least) ** power, NaN without a score, and return the sum.

    least : float64       lower bound of the scores
    power : float64       in (0, 1]; a square root is the same on every machine, other powers may
                          differ in the last digit
    out   : float64 (N,)
    """
    total = 0.0
    for i in range(scores.size):
        g = np.float64(scores[i]) - least
        if power == 0.5:
            g = np.sqrt(g)
        elif power != 1.0:
            g = g**power
        out[i] = g
        total += g if g == g else 0.0  # noqa: PLR0124  # false for NaN only
    return total


@kernel
def relative(shares: NDArray[np.float64], scale: float, floor: float) -> None:
    """Convert powers of scores to N p = floor + scale * power; 1, the mean, if never seen.

    shares : float64 (N,)  changed in place
    scale  : float64       (1 - floor) / mean of the powers
    floor  : float64       in (0, 1]
    """
    for i in range(shares.size):
        share = floor + scale * shares[i]
        shares[i] = share if share == share else 1.0  # noqa: PLR0124  # false for NaN only


@kernel
def octaves(
    scores: NDArray[np.float32],
    words: NDArray[np.uint32],
    counts: NDArray[np.int64],
    squares: NDArray[np.float64],
) -> None:
    """Count the scores in each half octave [2**k, 1.5 * 2**k), [1.5 * 2**k, 2 * 2**k), and sum.

    scores  : float32 (N,)   >= 0, or NaN, which is not counted
    words   : uint32 (N,)    their bits: exponent and first bit of the mantissa give the number of
                             the half octave without a search
    counts  : int64 (512,)   incremented
    squares : float64 (512,) sum of the squared scores, incremented
    """
    for i in range(scores.size):
        score = np.float64(scores[i])
        if score == score:  # noqa: PLR0124  # false for NaN only
            octave = (words[i] & np.uint32(0x7FFFFFFF)) >> np.uint32(MANTISSA_BITS)  # -0.0 is 0.0
            counts[octave] += 1
            squares[octave] += score * score
