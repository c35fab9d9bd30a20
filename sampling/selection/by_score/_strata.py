"""Strata of a score, and the same number of random rows from each; for `stratified` and `ccs`.

Strata of equal width follow the published method; if a heavy tail leaves most of them empty, those
of equal numbers of rows ("quantile") are better.
"""

import numpy as np
from numpy.typing import NDArray

from ... import _rng
from ...record.keys import by_group
from ...types import Floats, Keys
from ..core._budget import water_fill
from ..core._task import Picks

__all__ = ["spread"]


def spread(values: Floats, budget: int, bins: int, kind: str, keys: Keys, key: np.uint64) -> Picks:
    """Draw the same number of random rows from each stratum."""
    codes = _strata_of(values, bins, kind)
    sizes = np.bincount(codes, minlength=bins)
    counts = water_fill(sizes, budget)
    order = by_group(codes, keys ^ _rng.subkey(key, 0))
    starts = np.cumsum(sizes) - sizes
    place = np.arange(values.size) - np.repeat(starts, sizes)
    kept = order[place < np.repeat(counts, sizes)]
    held = np.flatnonzero(sizes)
    found = [[int(counts[each]), int(sizes[each])] for each in held]
    return Picks(kept, info={"strata": found})


def _strata_of(values: Floats, bins: int, kind: str) -> NDArray[np.int64]:
    """Return the stratum of each value, the last one closed: (n,) -> (n,) in [0, bins)."""
    if kind == "quantile":
        edges = np.quantile(values, np.arange(1, bins) / bins)
        return np.searchsorted(edges, values, side="right")
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.zeros(values.size, np.int64)
    # Halved, because the width of the whole range may overflow.
    scaled = (values / 2 - low / 2) / (high / 2 - low / 2)
    return np.minimum((scaled * bins).astype(np.int64), bins - 1)
