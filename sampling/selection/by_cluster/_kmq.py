"""kMQ: draw by quality within clusters; `cluster_uniform` ignores quality."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check
from ..._check._keywords import told
from ...record import Selection
from ...types import Floats
from ..core._clusters import GivenClusters, check_clusters, clusters_of
from ..core._cost import Cost, kmeans_cost, log2
from ..core._inputs import AnyScores, either, embeddings_of, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._order import noise
from ..core._select import select
from ..core._task import Picks, Task
from ._allocation import Allocation, first_of_clusters, rows_of_clusters

__all__ = ["kmq", "reweight_clusters"]


@method(
    version=2,
    needs="embeddings",
    label="recommended",
    source="Yu 2024",
    ranked=False,
    minds={"quality": ("keep",)},
    cost=lambda s: kmeans_cost(s) + Cost(steps=s.N * log2(s.N), memory=100 * s.N),
)
def kmq(
    embeddings: ArrayLike,
    budget: float,
    *,
    quality: AnyScores,
    clusters: GivenClusters = None,
    allocation: Allocation = "equal",
    weighting: Literal["softmax", "linear"] = "softmax",
    cluster_weights: ArrayLike | None = None,
    **options: Unpack[Options],
) -> Selection:
    """Apportion the budget to clusters, and draw by quality within each cluster (kMQ).

    Parameters
    ----------
    embeddings : array of shape (N, D)
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    quality : Score, or float array of shape (N,)
        Higher is better.
    clusters : Clustering or int, optional
        A clustering, or the number of clusters; by default about sqrt(N / 2).
    allocation : {"equal", "proportional", "sqrt"}, default "equal"
        Rows of each cluster: equal, as in the authors' code, or in proportion to its size or the
        square root of it. The shortfall of a small cluster is redistributed.
    weighting : {"softmax", "linear"}, default "softmax"
        Draw in proportion to exp(quality), as in the authors' code, or to quality, as in their
        paper, which must then be >= 0.
    cluster_weights : float array of shape (K,), optional
        Shares of the clusters instead of `allocation`: see `reweight_clusters`.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Sorted by cluster, then in draw order, without weights.

    Raises
    ------
    ValueError
        If a row or a quality is not finite; the message names it.

    Notes
    -----
    Order
        Draws without replacement, with noise hashed from (seed, id).
    Cost
        O(I N K D + N log N) time; R + 100 N bytes. k-means makes I passes over the rows, none if
        clusters are given, and holds R bytes of them: 4 N D, or half of `max_memory`.
    Gradients
        No weights.
    Source
        Yu, Chen, Ahmadian, Fadaee, "Diversify and Conquer", 2024. Their code keeps nothing if M <
        K, and fewer than M rows if clusters are small; here always M rows.

    Examples
    --------
    >>> rows = [[0.0], [0.1], [9.0], [9.1]]
    >>> sorted(kmq(rows, 2, quality=[0.0, 90.0, 90.0, 0.0], clusters=2).indices.tolist())
    [1, 2]
    """
    allocation = _check.choice("allocation", allocation, ("equal", "proportional", "sqrt"))
    weighting = _check.choice("weighting", weighting, ("softmax", "linear"))
    check_clusters(clusters)
    rows, bad = embeddings_of("embeddings", embeddings, options)
    values, worse = scores_of("quality", quality, options)
    _check.same_length("quality", values, "embeddings", len(rows))
    bad = either(bad, worse)
    if weighting == "linear" and (values < 0).any():
        row = int(np.flatnonzero(values < 0)[0])
        raise ValueError(f"quality must be >= 0 if linear, got {values[row]} in row {row}")
    labels, _, centers = clusters_of(rows, bad, clusters, options, spherical=False)
    count = len(centers)
    shares = None if cluster_weights is None else _check.weights("cluster_weights", cluster_weights)
    if shares is not None:
        _check.same_length("cluster_weights", shares, "the clusters", count)

    def core(task: Task) -> Picks:
        codes, own = task.of(labels), task.of(values)
        sizes = np.bincount(codes, minlength=count)
        counts = rows_of_clusters(task, sizes, allocation, shares)
        logs = own if weighting == "softmax" else np.log(np.maximum(own, 1e-300))
        places = first_of_clusters(codes, counts, -(logs + noise(task.keys ^ task.key)))
        return Picks(places, info={"clusters": count})

    return select(
        "kmq", len(rows), budget, options, core, bad=bad, scores=values,
        arguments={"clusters": clusters, "allocation": allocation, "weighting": weighting,
                   "cluster_weights": cluster_weights},
    )  # fmt: skip


@told
def reweight_clusters(
    log_weights: ArrayLike, gains: ArrayLike, clusters: ArrayLike, *, rate: float = 0.5
) -> Floats:
    """Update the log weights of the clusters from the gains of the last round.

    Parameters
    ----------
    log_weights : float array of shape (K,)
        Log weights of the last round; initially zeros. `cluster_weights` of `kmq` are their
        `numpy.exp`.
    gains : float array of shape (m,)
        Gain of each row trained on, such as the reward of the reference answer minus that of the
        model's answer.
    clusters : int array of shape (m,)
        Cluster of each of these rows.
    rate : float in [0, 1], default 0.5
        w <- rate * mean gain + (1 - rate) * w. A cluster without rows keeps its weight.

    Returns
    -------
    float64 array of shape (K,)

    Examples
    --------
    >>> reweight_clusters([0.0, 0.0, 1.0], [2.0, 4.0], [0, 0])
    array([1.5, 0. , 1. ])
    """
    part = _check.number("rate", rate, "[0, 1]")
    weights = _check.floats("log_weights", log_weights).copy()
    found = _check.floats("gains", gains)
    codes = _check.one_dimensional("clusters", clusters)
    _check.same_length("clusters", codes, "gains", found.size)
    _check.codes("clusters", codes, weights.size)
    counts = np.bincount(codes, minlength=weights.size)
    means = np.bincount(codes, found, weights.size) / np.maximum(counts, 1)
    return np.where(counts > 0, part * means + (1.0 - part) * weights, weights)
