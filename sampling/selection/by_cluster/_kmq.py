"""Selection within clusters, evenly or by quality: `cluster_uniform` and `kmq`."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ...record import Selection
from ...types import Floats, Indices
from ..by_score._gumbel import noise
from ..core._budget import share_out, water_fill
from ..core._clusters import GivenClusters, check_clusters, clusters_of
from ..core._inputs import AnyScores, either, embeddings_of, scores_of
from ..core._registry import method
from ..core._task import Options, Picks, Task, select

__all__ = ["cluster_uniform", "kmq", "reweight_clusters"]

Allocation = Literal["equal", "proportional", "sqrt"]


@method(
    needs="embeddings", label="baseline", ranked=False, time="I N K D + N log N",
    memory="R + 100 N bytes", weights="size of the cluster / rows kept of it",
)  # fmt: skip
def cluster_uniform(
    embeddings: ArrayLike,
    budget: float,
    *,
    clusters: GivenClusters = None,
    **options: Unpack[Options],
) -> Selection:
    """Draw the same number of random rows from every cluster, to balance the distribution.

    Parameters
    ----------
    embeddings : array of shape (N, D)
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N. All rows of a cluster with too few rows are
        kept, and the others share the remainder evenly. If M < K, M clusters contribute one row
        each.
    clusters : Clustering or int, optional
        A clustering, or the number of clusters; by default about sqrt(N / 2).
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Sorted by cluster. Weights are the size of the cluster divided by the rows kept of it, so
        that they add up to the rows of the clusters drawn from; ignore them to train on the
        balanced distribution.

    Raises
    ------
    ValueError
        If a row is not finite; the message names it.

    Notes
    -----
    Order
        Within a cluster by a hash of (seed, id).
    Cost
        That of k-means, then O(N log N); 4 N D + 100 N bytes.
    Gradients
        With the weights, an estimate of the gradient sum over all rows, if every cluster has a kept
        row.
    Source
        The uniform draw over clusters of Shao et al., "Balanced Data Sampling for Language Model
        Training with Clustering", Findings of ACL 2024, as a subset.

    Examples
    --------
    >>> rows = [[0.0], [0.1], [0.2], [0.3], [9.0]]
    >>> sorted(cluster_uniform(rows, 2, clusters=2).weights.tolist())
    [1.0, 4.0]
    """
    check_clusters(clusters)
    rows, bad = embeddings_of("embeddings", embeddings, options)
    labels, _, centers = clusters_of(rows, bad, clusters, options, spherical=False)
    count = len(centers)

    def core(task: Task) -> Picks:
        codes = task.of(labels)
        sizes = np.bincount(codes, minlength=count)
        counts = _given(task, sizes, "equal")
        places = _first(codes, counts, (task.keys ^ task.key).astype(np.float64))
        own = codes[places]
        return Picks(places, sizes[own] / counts[own], info={"clusters": count})

    return select(
        "cluster_uniform", len(rows), budget, options, core, bad=bad,
        arguments={"clusters": clusters},
    )  # fmt: skip


@method(
    needs="embeddings", label="recommended", ranked=False, time="I N K D + N log N",
    memory="R + 100 N bytes", minds={"quality": ("keep",)},
)  # fmt: skip
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
        That of k-means, then O(N log N); 4 N D + 100 N bytes.
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
        counts = _given(task, sizes, allocation, shares)
        logs = own if weighting == "softmax" else np.log(np.maximum(own, 1e-300))
        places = _first(codes, counts, -(logs + noise(task.keys ^ task.key)))
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


def _given(
    task: Task, sizes: Indices, allocation: Allocation, shares: Floats | None = None
) -> Indices:
    """Return the number of rows to keep of each cluster: (K,), adding up to the budget."""
    if shares is None and allocation == "equal":
        filled = water_fill(sizes, task.budget)
        level = int(filled[filled < sizes].min()) if (filled < sizes).any() else int(sizes.max())
        counts = np.minimum(sizes, level)
        # The clusters with one more row are random, not the largest: with M < K only these keep a
        # row.
        room = np.flatnonzero(sizes > level)
        order = np.argsort([int(_rng.subkey(task.key, int(each))) for each in room])
        counts[room[order[: task.budget - int(counts.sum())]]] += 1
        return counts
    weights = shares if shares is not None else sizes.astype(np.float64)
    if shares is None and allocation == "sqrt":
        weights = np.sqrt(weights)
    counts = share_out(weights, task.budget, sizes)
    missing = task.budget - int(counts.sum())  # the remainder comes from clusters of weight 0
    return counts + share_out(np.maximum(sizes, 1), missing, sizes - counts)


def _first(codes: Indices, counts: Indices, rank: Floats) -> Indices:
    """Return the positions of the first counts[c] rows of each cluster by ascending rank."""
    order = np.lexsort((rank, codes))
    sizes = np.bincount(codes, minlength=counts.size)
    place = np.arange(codes.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return order[place < np.repeat(counts, sizes)]
