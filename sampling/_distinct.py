"""The distinct values of an array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["distinct"]


def distinct(values: NDArray[Any]) -> NDArray[Any]:
    """Return the distinct values in ascending order, as `numpy.unique` does.

    That of numpy 2.3 and later, by a hash table, took 6.0 s for 4.6 million increasing int64, where
    sorting takes 0.05 s.

    Parameters
    ----------
    values : array without NaN

    Examples
    --------
    >>> distinct(np.array([3, 1, 3]))
    array([1, 3])
    """
    ordered = np.sort(values, axis=None)
    first = np.ones(ordered.size, np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]
