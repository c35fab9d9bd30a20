"""Student's t and what it needs, over arrays: `scipy.special` alone, loaded at the first call.

`scipy.stats` has the same functions and takes a second to import; these take milliseconds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def t_tail(t: ArrayLike, df: ArrayLike) -> Floats:
    """P(T > t) for Student's t with df degrees of freedom; the normal distribution at infinity."""
    from scipy.special import ndtr, stdtr

    t, df = np.broadcast_arrays(np.asarray(t, float), np.asarray(df, float))
    finite = np.where(np.isfinite(df), df, 1.0)
    found = np.where(np.isposinf(df), ndtr(-t), stdtr(finite, -t))
    return np.where(np.isnan(df) | np.isnan(t), np.nan, found)


def t_quantile(tail: ArrayLike, df: ArrayLike) -> Floats:
    """Return the t that P(T > t) = tail belongs to, for a tail in [0, 1/2]; infinite at 0."""
    from scipy.special import ndtri, stdtrit

    tail, df = np.broadcast_arrays(np.asarray(tail, float), np.asarray(df, float))
    finite = np.where(np.isfinite(df), df, 1.0)
    inside = np.where(tail > 0, tail, 0.5)
    found = -np.where(np.isposinf(df), ndtri(inside), stdtrit(finite, inside))
    found = np.where(tail > 0, found, np.inf)
    return np.where(np.isnan(df) | np.isnan(tail), np.nan, found)


def t_power(shift: ArrayLike, df: ArrayLike, level: ArrayLike) -> Floats:
    """Return the power of a one-sided t test: P(T' > quantile), T' noncentral by `shift`."""
    from scipy.special import nctdtr

    return np.asarray(1 - nctdtr(df, shift, t_quantile(level, df)), float)


def chi_square_quantile(below: float, df: ArrayLike) -> Floats:
    """Return the x with P(chi-square < x) = below."""
    from scipy.special import chdtri

    return np.asarray(chdtri(df, 1 - below), float)


def digamma(x: ArrayLike) -> Floats:
    """Return the derivative of the logarithm of the gamma function."""
    from scipy.special import digamma as psi

    return np.asarray(psi(x), float)


def trigamma(x: ArrayLike) -> Floats:
    """Return the derivative of `digamma`, which descends from infinity to 0."""
    from scipy.special import polygamma

    return np.asarray(polygamma(1, x), float)


def inverse_trigamma(y: ArrayLike) -> Floats:
    """Return the x > 0 with trigamma(x) = y, for y > 0.

    Newton's method for 1 / trigamma, which is convex: the iterates of Smyth (2004, appendix)
    ascend to the solution from 1/2 + 1/y.
    """
    from scipy.special import polygamma

    y = np.asarray(y, float)
    large, small = y > 1e7, y < 1e-6  # where 1/x**2 and 1/x are trigamma to 7 digits
    inside = np.where(large | small, 1.0, y)
    x = 0.5 + 1 / inside
    for _ in range(50):
        slope = polygamma(1, x)
        step = slope * (1 - slope / inside) / polygamma(2, x)
        x = x + step
        if np.all(-step < 1e-10 * x):
            break
    return np.asarray(np.where(large, 1 / np.sqrt(y), np.where(small, 1 / y, x)), float)
