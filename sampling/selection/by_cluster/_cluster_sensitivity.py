"""Clustering-based sensitivity sampling, from the losses at the cluster centers only."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check, _rng
from ..._warning import warn
from ...record import Selection
from ...types import Floats, Indices
from ..core._clusters import GivenClusters, check_clusters, clusters_of
from ..core._cost import Cost, kmeans_cost, log2
from ..core._inclusion import draw_fixed, inclusion_probabilities
from ..core._inputs import embeddings_of
from ..core._method import method
from ..core._options import Options
from ..core._order import shuffled
from ..core._select import select
from ..core._task import Picks, Task

__all__ = ["cluster_sensitivity"]


@method(
    version=2,
    needs="embeddings",
    label="recommended",
    source="Axiotis 2024",
    ranked=False,
    weights="1 / inclusion probability, or 1 / (M p)",
    cost=lambda s: (
        kmeans_cost(s) + Cost(steps=4 * s.N * log2(s.N), memory=130 * s.N, reads=40 * s.N * s.D)
    ),
)
def cluster_sensitivity(
    embeddings: ArrayLike,
    budget: float,
    *,
    center_losses: ArrayLike,
    clusters: GivenClusters,
    holder_constant: float,
    exponent: float = 2.0,
    replacement: bool = False,
    **options: Unpack[Options],
) -> Selection:
    """Draw rows in proportion to an upper bound of their loss, derived from the center losses.

    If the loss is Hoelder continuous in the embedding, the loss of a row is at most that of its
    center plus holder_constant * distance^exponent. One forward pass per cluster is enough.

    Parameters
    ----------
    embeddings : array of shape (N, D)
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    center_losses : float array of shape (K,)
        Loss of the row nearest to each center (`Clustering.nearest`).
    clusters : Clustering
        The clustering that the losses belong to.
    holder_constant : float >= 0
        lambda. A value that is too small can be worse than uniform sampling, one that is too large
        costs little: estimate it from a few losses per cluster (`sampling.samplers.HolderFit`), and
        round up. A value of 0 gives a warning.
    exponent : float > 0, default 2.0
        z: 2 for k-means, 1 for k-median.
    replacement : bool, default False
        Draw M times independently, as in the paper: a row may be drawn more than once, and weights
        are 1 / (M p). By default M distinct rows are drawn, with weights 1 / inclusion probability.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Rows in ascending order. The weighted sum of any loss over the kept rows is an unbiased
        estimate of the sum over all rows. `scores` are the bounds.

    Raises
    ------
    ValueError
        If a row or a loss is not finite, or lengths differ; if all bounds are 0, one is too large
        for a float64, or their sum is.

    Notes
    -----
    Order
        Random decisions by (seed, id).
    Cost
        O(I N K D + N log N) time; R + 130 N bytes. k-means makes I passes over the rows, none if
        clusters are given, and holds R bytes of them: 4 N D, or half of `max_memory`.
    Gradients
        With the weights, an unbiased estimate of the gradient over all rows.
    Source
        Axiotis et al., "Data-Efficient Learning via Clustering-Based Sensitivity Sampling", ICML
        2024. Negative losses are shifted so that the minimum is 0.

    Examples
    --------
    >>> from sampling.clustering import kmeans
    >>> rows = [[0.0], [1.0], [10.0], [12.0]]
    >>> found = kmeans(rows, 2)
    >>> picked = cluster_sensitivity(
    ...     rows, 2, center_losses=[1.0, 1.0], clusters=found, holder_constant=1.0
    ... )
    >>> len(picked)
    2
    """
    replacement = _check.flag("replacement", replacement)
    lipschitz = _check.number("holder_constant", holder_constant, "[0, inf)")
    power = _check.number("exponent", exponent, "(0, inf)")
    check_clusters(clusters)
    losses = _check.floats("center_losses", center_losses)
    rows, bad = embeddings_of("embeddings", embeddings, options)
    labels, distances, centers = clusters_of(rows, bad, clusters, options, spherical=False)
    count = len(centers)
    _check.same_length("center_losses", losses, "the clusters", count)
    if lipschitz == 0:
        _warn_of_zero()
    with np.errstate(over="ignore", invalid="ignore"):  # overflow is refused
        bounds = (losses - min(0.0, float(losses.min())))[labels] + lipschitz * distances**power
    if bad is not None:
        bounds[bad] = 0.0
    _check.weights("bounds (center loss + holder_constant * distance ** exponent)", bounds)

    def core(task: Task) -> Picks:
        own = task.of(bounds)
        if replacement:
            return _independent(own, task)
        pi = inclusion_probabilities(own, task.budget)
        key = _rng.subkey(task.key, 1)
        places = draw_fixed(pi, shuffled(task.keys, task.key), key, task.budget)
        return Picks(places, 1.0 / pi[places], info={"clusters": count})

    return select(
        "cluster_sensitivity", len(rows), budget, options, core, bad=bad, scores=bounds,
        arguments={"center_losses": center_losses, "clusters": clusters,
                   "holder_constant": lipschitz, "exponent": power,
                   "replacement": replacement},
    )  # fmt: skip


def _independent(bounds: Floats, task: Task) -> Picks:
    """Draw with replacement; weights 1 / (M p)."""
    bounds = _check.weights("bounds", bounds)
    probabilities = bounds / bounds.sum()
    words = [int(_rng.value(task.key, np.uint64(draw))) for draw in range(task.budget)]
    points = (np.array(words, np.uint64) >> np.uint64(11)) * 2.0**-53
    cumulative = np.cumsum(probabilities)
    places: Indices = np.searchsorted(cumulative, points * cumulative[-1], side="right")
    places = np.sort(np.minimum(places, bounds.size - 1))
    return Picks(places, 1.0 / (task.budget * probabilities[places]))


def _warn_of_zero() -> None:
    warn(
        "holder_constant is 0: rows count as their centers do, which can be worse than uniform "
        "sampling; estimate it",
    )
