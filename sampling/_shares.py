"""Shares of classes and domains from their sizes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .types import Floats


def effective_sizes(counts: NDArray[np.int64] | Floats, beta: float) -> Floats:
    """Return 1 - beta**n of each class, in proportion to its effective number of samples: (C,).

    counts : (C,), > 0; beta : in [0, 1). Without cancellation; 1 for all at beta = 0.
    """
    found: Floats = np.ones(counts.size)
    if beta > 0:
        found = -np.expm1(counts * np.log(beta))
    return found


def temperature_shares(sizes: Floats, temperature: float) -> Floats:
    """Return sizes ** (1 / temperature), normalised to sum 1: float64 (K,).

    sizes : (K,), > 0; temperature : > 0, may be infinite
    """
    logs = np.log(sizes)
    with np.errstate(over="ignore"):  # near temperature 0 only the largest remains
        powers = np.exp((logs - logs.max()) / temperature)
    shares: Floats = powers / powers.sum()
    return shares


def effective_size(weights: Floats) -> float:
    """Return (sum w)**2 / sum w**2, without overflow; weights (N,), >= 0, not all 0."""
    scaled = weights / weights.max()
    return float(scaled.sum()) ** 2 / float(np.square(scaled).sum())
