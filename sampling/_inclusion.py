"""Expected draws in proportion to weights, of which no sample has more than a given number."""

from __future__ import annotations

import numpy as np

from .types import Floats


def certain_or_scaled(weights: Floats, num_samples: int, most: int = 1) -> tuple[Floats, float]:
    """Return (w, c) such that most * min(1, c * w) sums to `num_samples`: water-filling.

    w is `weights`, or 0 and 1 if every sample of positive weight is drawn `most` times.
    """
    positive = int(np.count_nonzero(weights))
    if num_samples > most * positive:
        raise ValueError(
            f"num_samples must be at most max_repeats_per_epoch times the {positive} positive "
            f"weights, {most * positive}, got {num_samples}"
        )
    draws = num_samples / most
    if draws == positive:
        return (weights > 0).astype(np.float64), 1.0
    certain, rest = 0, float(weights.sum())
    while True:  # each round adds the samples whose probability reached 1 at the last scale
        if rest < 2.0**-900:  # the remaining weights are so small that the scale would overflow
            with np.errstate(over="ignore"):  # of those certain: infinity is as certain
                weights = np.ldexp(weights, 900)
            rest = float(np.ldexp(rest, 900))
        scale = (draws - certain) / rest
        with np.errstate(over="ignore"):
            over = weights * scale >= 1.0
        found = int(np.count_nonzero(over))
        if found >= draws:  # the other weights are so small that no draw is left for them
            return over.astype(np.float64), 1.0
        if found <= certain:
            return weights, scale
        certain, rest = found, float(weights[~over].sum())
