"""Strata of a score, and random rows from each; for `stratified`, `ccs` and `match_histogram`.

Strata of equal width follow the published method; if a heavy tail leaves most of them empty, those
of equal numbers of rows ("quantile") are better.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ... import _rng
from ...record.keys import by_group
from ...types import Floats, Indices, Keys
from ..core._budget import water_fill
from ..core._task import Picks

__all__ = ["drawn_of_each", "spread"]


def spread(values: Floats, budget: int, bins: int, kind: str, keys: Keys, key: np.uint64) -> Picks:
    """Draw the same number of random rows from each stratum; weights are rows / rows drawn."""
    codes = _strata_of(values, bins, kind)
    sizes = np.bincount(codes, minlength=bins)
    counts = water_fill(sizes, budget)
    kept = drawn_of_each(codes, counts, keys ^ _rng.subkey(key, 0))
    held = np.flatnonzero(sizes)
    found = [[int(counts[each]), int(sizes[each])] for each in held]
    weights = np.repeat(sizes / np.maximum(counts, 1), counts)
    return Picks(kept, weights, info={"strata": found})


def drawn_of_each(codes: Indices, counts: Indices, keys: Keys) -> Indices:
    """Return the positions of `counts` rows of each group, those with the lowest keys, by group.

    codes  : int64 (n,), in [0, G)
    counts : int64 (G,), at most the sizes of the groups
    keys   : uint64 (n,)
    """
    sizes = np.bincount(codes, minlength=counts.size)
    order = by_group(codes, keys)
    starts = np.cumsum(sizes) - sizes
    place = np.arange(codes.size) - np.repeat(starts, sizes)
    found: Indices = order[place < np.repeat(counts, sizes)]
    return found


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
