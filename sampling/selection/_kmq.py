"""Cluster first, then keep evenly, or by quality, inside each cluster: cluster_uniform and kMQ."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from .. import _check, _rng
from .._keywords import told
from ..types import Floats, Indices, Selection
from ._budget import share_out, water_fill
from ._clusters import GivenClusters, check_clusters, clusters_of
from ._gumbel import noise
from ._inputs import AnyScores, either, embeddings_of, scores_of
from ._registry import method
from ._task import Options, Picks, Task, select

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
    """Keep the same number of rows of every cluster, at random: flatten the distribution.

    Parameters
    ----------
    embeddings : array of shape (N, D)
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N. A cluster with too few rows gives all, and
        the others share the rest evenly. With fewer than K, that many clusters give one row.
    clusters : Clustering or int, optional
        Or their number; by default about sqrt(N / 2).
    **options
        Those of every selector: see `Options`.

    Returns
    -------
    Selection
        Cluster by cluster. Weights: rows of the cluster over rows kept of it, so that they add up
        to the rows of the clusters drawn from; leave them out to train on the flat distribution.

    Raises
    ------
    ValueError
        If a row is not finite, the message names it.

    Notes
    -----
    Order
        Within a cluster by a hash of (seed, id).
    Cost
        k-means, then O(N log N); 4 N D + 100 N bytes.
    Gradients
        With the weights an estimate of the sum over all rows, if every cluster gave one.
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
    """Share the budget out over clusters, and draw by quality inside each.

    Parameters
    ----------
    embeddings : array of shape (N, D)
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    quality : Score, or float array of shape (N,)
        Higher is better.
    clusters : Clustering or int, optional
        Or their number; by default about sqrt(N / 2).
    allocation : {"equal", "proportional", "sqrt"}, default "equal"
        Rows of each cluster: the same, as in the authors' code, or by its size or the root of it.
        What a small cluster cannot give goes to the others.
    weighting : {"softmax", "linear"}, default "softmax"
        Draw in proportion to exp(quality), as in their code, or to quality, as in their text, which
        then must be >= 0.
    cluster_weights : float array of shape (K,), optional
        Shares of the clusters instead of `allocation`: see `reweight_clusters`.
    **options
        Those of every selector: see `Options`.

    Returns
    -------
    Selection
        Cluster by cluster in the order of the draws, without weights.

    Raises
    ------
    ValueError
        If a row or a quality is not finite, the message names it.

    Notes
    -----
    Order
        Draws without replacement, noise hashed from (seed, id).
    Cost
        k-means, then O(N log N); 4 N D + 100 N bytes.
    Gradients
        No weights.
    Source
        Yu, Chen, Ahmadian, Fadaee, "Diversify and Conquer", 2024. Their code keeps nothing where M
        < K, and less than M where clusters are small; here M rows always.

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
    """Return the next round's log weights of the clusters, from what the last round gained.

    Parameters
    ----------
    log_weights : float array of shape (K,)
        Of the last round; zeros at first. `numpy.exp` of them is `cluster_weights` of `kmq`.
    gains : float array of shape (m,)
        For each row trained on: how much there is to gain, such as the reward of the reference
        answer less that of the model's.
    clusters : int array of shape (m,)
        The cluster of each.
    rate : float in [0, 1], default 0.5
        w <- rate * mean gain + (1 - rate) * w. A cluster without a row keeps its weight.

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
    """Return how many rows of each cluster to keep: (K,), adding up to the budget."""
    if shares is None and allocation == "equal":
        filled = water_fill(sizes, task.budget)
        level = int(filled[filled < sizes].min()) if (filled < sizes).any() else int(sizes.max())
        counts = np.minimum(sizes, level)
        # Who gives one more is random, and not the largest: with M < K it is all that is kept.
        room = np.flatnonzero(sizes > level)
        order = np.argsort([int(_rng.subkey(task.key, int(each))) for each in room])
        counts[room[order[: task.budget - int(counts.sum())]]] += 1
        return counts
    weights = shares if shares is not None else sizes.astype(np.float64)
    if shares is None and allocation == "sqrt":
        weights = np.sqrt(weights)
    counts = share_out(weights, task.budget, sizes)
    missing = task.budget - int(counts.sum())  # clusters of weight 0 give what is still missing
    return counts + share_out(np.maximum(sizes, 1), missing, sizes - counts)


def _first(codes: Indices, counts: Indices, rank: Floats) -> Indices:
    """Return the places of the first counts[c] rows of each cluster by rising rank."""
    order = np.lexsort((rank, codes))
    sizes = np.bincount(codes, minlength=counts.size)
    place = np.arange(codes.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return order[place < np.repeat(counts, sizes)]
