"""Selection of rows whose column has the histogram of a target.

For one number of each row, such as a length, a loss or a date. If the target is known only as other
rows with embeddings, use `density_ratio_weights`; as texts, `dsir_scores`. For classes pass shares
as `group_budgets` to any selector.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check, _rng
from ...record import Selection
from ...types import Floats, Indices
from ..core._budget import share_out
from ..core._cost import Cost, log2
from ..core._inputs import AnyScores, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ..core._task import Picks, Task
from ._strata import drawn_of_each

__all__ = ["match_histogram"]

_OUTSIDE = "outside of the histogram"


@method(
    needs="scores",
    label="recommended",
    ranked=False,
    cost=lambda s: Cost(steps=1.5 * s.N * log2(s.N), memory=74 * s.N),
)
def match_histogram(
    scores: AnyScores,
    budget: float,
    *,
    target: ArrayLike | Mapping[str, ArrayLike],
    num_bins: int = 20,
    **options: Unpack[Options],
) -> Selection:
    """Choose random rows such that the histogram of a score is that of a target.

    Parameters
    ----------
    scores : Score, or float array of shape (N,)
        Finite: the column, such as the length of each text.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    target : float array of shape (T,), or {"edges": (K + 1,), "shares": (K,)}
        The values of the column in the target data, T of any length; or the edges of the bins,
        ascending, and the relative share of each.
    num_bins : int, default 20
        K bins with equal numbers of the target's values; fewer if values repeat or there are fewer.
        Ignored if edges are given.
    **options
        Keywords of every selector; see `Options`. With `groups` each group has the histogram.

    Returns
    -------
    Selection
        Sorted by bin, without weights. `info["histogram"]` holds, of each bin, its edges, its
        share of the target, and the numbers of kept and of eligible rows;
        `info["distance"]` is the total variation distance between the histograms of target and
        selection, in [0, 1]: how much of the target could not be matched.

    Raises
    ------
    ValueError
        If a score or the target is not finite (the message names the row), edges are not ascending,
        or all shares are 0.

    Notes
    -----
    Order
        Within a bin by a hash of (seed, id). Exactly M rows: where a bin has too few, the others
        share the remainder in proportion to the target. Rows outside of all bins, or in bins of
        share 0, are kept only if no others are left.
    Cost
        O(N log N) time; 74 N bytes. One pass.
    Gradients
        No weights. The mean over the selection estimates that over the target as far as the column
        explains the difference between the two.
    Source
        Post-stratification by largest remainders; no single paper.

    Examples
    --------
    >>> lengths = [1, 2, 3, 4, 5, 60, 70, 80, 90]
    >>> picked = match_histogram(lengths, 4, target={"edges": [0, 50, 100], "shares": [1, 3]})
    >>> picked.info["histogram"], picked.info["distance"]
    ([[0.0, 50.0, 0.25, 1, 5], [50.0, 100.0, 0.75, 3, 4]], 0.0)
    """
    edges, shares = _histogram(target, _check.integer("num_bins", num_bins, 1))
    values, bad = scores_of("scores", scores, options)

    def core(task: Task) -> Picks:
        own = task.of(values)
        codes = _bins_of(own, edges)
        sizes = np.bincount(codes, minlength=shares.size + 1)
        counts = _counts(shares, sizes, task.budget)
        places = drawn_of_each(codes, counts, task.keys ^ _rng.subkey(task.key, 0))
        held = zip(edges[:-1], edges[1:], shares, counts[:-1], sizes[:-1], strict=True)
        reached = counts / task.budget
        distance = float(np.abs(np.append(shares, 0.0) - reached).sum()) / 2
        info = {
            "histogram": [
                [float(low), float(high), float(share), int(count), int(size)]
                for low, high, share, count, size in held
            ],
            "distance": distance,
        }
        out = codes == shares.size
        return Picks(places, None, [(out, _OUTSIDE)] if out.any() else [], info, {"distance": max})

    return select(
        "match_histogram", values.size, budget, options, core, bad=bad, scores=values,
        arguments={"target": target, "num_bins": num_bins},
    )  # fmt: skip


def _histogram(target: ArrayLike | Mapping[str, ArrayLike], num_bins: int) -> tuple[Floats, Floats]:
    """Return the edges (K + 1,), distinct but for a bin of one value, and shares (K,), sum 1."""
    if not isinstance(target, Mapping):
        found = _check.floats("target", target)
        # values of the target itself: an interpolated edge may overflow, or bound an empty bin
        levels = np.arange(num_bins + 1) / num_bins
        edges = np.unique(np.quantile(found, levels, method="inverted_cdf"))
        if edges.size == 1:
            edges = np.repeat(edges, 2)
        counts = np.bincount(_bins_of(found, edges), minlength=edges.size - 1)
        return edges, counts / found.size
    _refuse_keys(target)
    edges = _check.floats("edges of target", target["edges"])
    shares = _check.weights("shares of target", target["shares"])
    if edges.size != shares.size + 1 or (np.diff(edges) <= 0).any():
        raise ValueError(
            f"edges of target must be {shares.size + 1} in ascending order, one more than shares, "
            f"got {edges.size}: {edges[:8]}"
        )
    return edges, shares / shares.sum()


def _refuse_keys(target: Mapping[str, Any]) -> None:
    if set(target) != {"edges", "shares"}:
        raise ValueError(
            "target must be the values of the target data, or have the keys 'edges' and 'shares', "
            f"got the keys {sorted(map(str, target))}"
        )


def _bins_of(values: Floats, edges: Floats) -> Indices:
    """Return the bin of each value, the last one closed, K outside of all: (n,) in [0, K]."""
    last = edges.size - 1
    codes = np.searchsorted(edges, values, side="right") - 1
    codes[values == edges[-1]] = last - 1
    codes[(values < edges[0]) | (values > edges[-1])] = last
    return codes


def _counts(shares: Floats, sizes: Indices, budget: int) -> Indices:
    """Return how many rows of each bin to keep, and of those outside: int64 (K + 1,)."""
    counts = np.append(share_out(shares, budget, sizes[:-1]), 0)
    left = budget - int(counts.sum())
    if left:  # bins of share 0 first, then rows outside of all
        counts[:-1] += np.diff(np.minimum(np.cumsum(sizes[:-1] - counts[:-1]), left), prepend=0)
        counts[-1] = budget - int(counts[:-1].sum())
    return counts
