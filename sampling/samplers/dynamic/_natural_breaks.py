"""Natural breaks of scores: k-means in one dimension, for the pruning engine."""

from __future__ import annotations

import numpy as np

from ...types import Floats, Indices, Scores
from ..core._permutation import Permutation

# Sorting 10^7 scores takes most of a second. The breaks of a random sample of this size put only a
# few scores in a thousand into another group.
SAMPLE = 65_536
BINS = 256


def natural_breaks(scores: Scores, groups: int, key: np.uint64) -> Floats:
    """Return ascending thresholds between groups with the least within-group sum of squares.

    scores : float32 (N,); NaN is ignored
    groups : >= 1; fewer distinct scores make fewer groups
    key    : of the random sample of scores, if there are more than `SAMPLE`

    Exact for up to 2 `BINS` distinct scores. For more, the best of the cuts between bins is found,
    and refined by k-means until each score is nearest to the mean of its own group.
    """
    seen = scores[~np.isnan(scores)]
    if seen.size > SAMPLE:
        seen = seen[Permutation(seen.size, key)(np.arange(SAMPLE))]
    values, counts = np.unique(seen.astype(np.float64), return_counts=True)
    groups = min(groups, values.size)
    if groups <= 1:
        return np.empty(0)
    sums = _Sums(values - np.average(values, weights=counts), counts)
    edges = np.arange(values.size + 1)
    if values.size > 2 * BINS:
        levels = np.searchsorted(values, np.linspace(values[0], values[-1], BINS))
        ranks = np.linspace(0, values.size, BINS + 1).astype(np.int64)
        edges = np.unique(np.concatenate([levels, ranks]))
    starts = _settled(sums, _best_cuts(sums, edges, groups))
    return (values[starts - 1] + values[starts]) / 2


class _Sums:
    """Prefix sums of sorted values around 0, which give the cost of any range as one group."""

    def __init__(self, values: Floats, counts: Indices) -> None:
        self.values = values
        self._counts, self._sums, self._squares = (
            np.concatenate([[0.0], np.cumsum(counts * values**power)]) for power in range(3)
        )

    def means(self, edges: Indices) -> Floats:
        """Return the mean of each range between two edges: int64 (m + 1,) -> (m,)."""
        found: Floats = np.diff(self._sums[edges]) / np.diff(self._counts[edges])
        return found

    def costs(self, edges: Indices) -> Floats:
        """Return the cost of the values from one edge to another: (m,) -> (m, m).

        Sum of squared distances from their mean; infinite unless the second edge is above the
        first.
        """
        counts, sums, squares = (
            each[edges][None, :] - each[edges][:, None]
            for each in (self._counts, self._sums, self._squares)
        )
        above = counts > 0
        costs = np.full(counts.shape, np.inf)
        costs[above] = squares[above] - sums[above] ** 2 / counts[above]
        return costs


def _best_cuts(sums: _Sums, edges: Indices, groups: int) -> Indices:
    """Return the first position of groups 1, 2, ... with the least total cost: (G - 1,)."""
    costs = sums.costs(edges)
    best, before = costs[0], []
    for _ in range(groups - 1):
        totals = best[:, None] + costs
        before.append(totals.argmin(axis=0))
        best = totals.min(axis=0)
    at, found = edges.size - 1, []
    for cut in reversed(before):
        at = int(cut[at])
        found.append(at)
    return edges[found[::-1]]


def _settled(sums: _Sums, starts: Indices) -> Indices:
    """Move each start to the midpoint of the adjacent means until none moves."""
    size = sums.values.size
    for _ in range(100):  # a few suffice from a start this good
        means = sums.means(np.concatenate([[0], starts, [size]]))
        moved = np.searchsorted(sums.values, (means[1:] + means[:-1]) / 2)
        if (moved == starts).all() or (np.diff(moved, prepend=0, append=size) <= 0).any():
            break
        starts = moved
    return starts
