"""Orders of rows that depend on their ids only: the highest first, at random, or by weight."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...types import Floats, Indices, Keys

__all__ = ["best", "noise", "shuffled"]


def best(values: NDArray[Any], count: int, keys: Keys) -> Indices:
    """Return the positions of the `count` highest values, in descending order, ties by lower key.

    (n,) -> (count,); O(n + count log count)
    """
    if count == 0:
        return np.zeros(0, np.int64)
    if count >= values.size:
        return np.lexsort((keys, -values))
    threshold = np.partition(values, values.size - count)[values.size - count]
    above = np.flatnonzero(values > threshold)
    at = np.flatnonzero(values == threshold)
    need = count - above.size
    if need < at.size:
        at = at[np.argpartition(keys[at], need - 1)[:need]]
    found = np.concatenate([above, at])
    return found[np.lexsort((keys[found], -values[found]))]


def shuffled(keys: Keys, key: np.uint64) -> Indices:
    """Return the positions in a random order that depends on ids, not on the order of the rows."""
    return np.argsort(keys ^ key, kind="stable")


def noise(keys: Keys) -> Floats:
    """Return standard Gumbel noise, one number for each key."""
    points = ((keys >> np.uint64(11)) + 0.5) * 2.0**-53  # in (0, 1)
    drawn: Floats = -np.log(-np.log(points))
    return drawn
