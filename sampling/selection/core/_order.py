"""Orders of rows that depend on their ids only: the highest first, at random, or by weight."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...record.keys import by_digits, by_value
from ...types import Floats, Indices, Keys

__all__ = ["best", "highest", "noise", "shuffled"]


def best(values: NDArray[Any], count: int, keys: Keys) -> Indices:
    """Return the positions of the `count` highest values, in descending order, ties by lower key.

    (n,) -> (count,); O(n + count log count)
    """
    found = highest(values, count, keys)
    return found[by_value(-values[found], keys[found])]


def highest(values: NDArray[Any], count: int, keys: Keys) -> Indices:
    """Return the positions that `best` returns, in no particular order: O(n)."""
    if count == 0:
        return np.zeros(0, np.int64)
    if count >= values.size:
        return np.arange(values.size)
    threshold = np.partition(values, values.size - count)[values.size - count]
    above = np.flatnonzero(values > threshold)
    at = np.flatnonzero(values == threshold)
    need = count - above.size
    if need < at.size:
        at = at[np.argpartition(keys[at], need - 1)[:need]]
    return np.concatenate([above, at])


def shuffled(keys: Keys, key: np.uint64) -> Indices:
    """Return the positions in a random order that depends on ids, not on the order of the rows."""
    return by_digits(keys ^ key)


def noise(keys: Keys) -> Floats:
    """Return standard Gumbel noise, one number for each key."""
    points = ((keys >> np.uint64(11)) + 0.5) * 2.0**-53  # in (0, 1)
    drawn: Floats = -np.log(-np.log(points))
    return drawn
