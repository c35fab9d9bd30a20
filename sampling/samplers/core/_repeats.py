"""How often a sample is drawn in one epoch: a warning, and limits on the shares of groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..._warning import warn
from ...types import Floats
from ._quotas import SPAN

_MANY = 50  # draws of one sample in an epoch; few methods gain from more, and many overfit
_LIMIT = "max_repeats_per_epoch sets a limit, and the other samples then share the draws"


def check_run(most: int, draws: int, population: int, who: str = "samples") -> None:
    """Refuse a limit on the uses of a sample in a run that is too small, or cannot be counted.

    draws, population : of the run, and the number of samples that share them
    who : what they are, in the plural
    """
    if most * population >= SPAN:
        raise ValueError(
            f"max_repeats must be at most {(SPAN - 1) // population} for {population} {who}, whose "
            f"draws in the run are counted in 64 bits, got {most}"
        )
    if most * population < draws:
        raise ValueError(
            f"max_repeats must be at least {-(-draws // population)} for {draws} draws of "
            f"{population} {who} in the run, got {most}: or take fewer epochs or draws an epoch"
        )


def refuse_replacing(method: str, max_repeats: int | None) -> None:
    """Refuse other weights in a run whose draws are limited as a whole."""
    if max_repeats is not None:
        raise ValueError(
            f"{method} must not be called with max_repeats, which limits the draws of a run of "
            f"equal epochs, got {max_repeats}: use max_repeats_per_epoch"
        )


def note_repeats(uses: float, average: float, who: str, remedy: str = _LIMIT) -> bool:
    """Warn if a sample is drawn very often in each epoch: `uses` times, where others are `average`.

    who : what is drawn so often, such as "sample 3"
    """
    often = uses > _MANY * max(1.0, average)
    if often:
        warn(
            f"{who} is drawn about {uses:.0f} times in each epoch: the model may memorise it; "
            f"{remedy}"
        )
    return often


def limited_shares(shares: Floats, sizes: NDArray[np.int64], num_samples: int, most: int) -> Floats:
    """Return shares of groups such that no sample is expected more than `most` times.

    shares (C,), sum 1; sizes (C,) -> (C,), sum 1. The groups below their limit share what the
    others may not take in proportion to their shares.
    """
    room = int(sizes[shares > 0].sum()) * most
    if num_samples > room:
        raise ValueError(
            "num_samples must be at most max_repeats_per_epoch times the samples of classes with "
            f"a share, {room}, got {num_samples}"
        )
    limits = float(most) * sizes / num_samples
    free = shares > 0
    while True:  # each round adds the groups that reached their limit at the last scale
        if not free.any():
            full = np.where(shares > 0, limits, 0.0)
            full /= full.sum()
            return full
        scale = (1.0 - limits[~free & (shares > 0)].sum()) / shares[free].sum()
        over = free & (shares * scale > limits)
        if not over.any():
            found: Floats = np.where(free, shares * scale, np.where(shares > 0, limits, 0.0))
            return found
        free &= ~over
