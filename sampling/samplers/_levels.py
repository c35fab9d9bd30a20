"""Thresholds on scores that meet a count, for the pruning engine."""

import numpy as np

from ..types import Floats, Scores


def highest(scores: Scores, count: int, below: float = 0.0) -> tuple[Floats, Floats]:
    """Return thresholds and shares that keep the `count` highest scores, ties by lot.

    scores : float32 (N,); NaN takes no part
    below  : share to keep of the other scores
    """
    seen = scores[~np.isnan(scores)]
    if count >= seen.size:
        return np.empty(0), np.array([1.0])
    if count <= 0:
        return np.empty(0), np.array([below])
    place = seen.size - count
    level = np.partition(seen, place)[place]
    above, ties = int(np.count_nonzero(seen > level)), int(np.count_nonzero(seen == level))
    share = (count - above) / ties
    tied = share + (1.0 - share) * below  # those of the ties that lose the lot are of the others
    if above == 0:  # nothing is left for a third group, nor room for a threshold above infinity
        return np.array([level], np.float64), np.array([below, tied])
    thresholds = np.array([level, np.nextafter(np.float64(level), np.inf)])
    return thresholds, np.array([below, tied, 1.0])
