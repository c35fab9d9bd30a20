"""Draw evenly from clusters, to balance the distribution; `kmq` draws by quality within them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ...record import Selection
from ..core._clusters import GivenClusters, check_clusters, clusters_of
from ..core._cost import Cost, kmeans_cost, log2
from ..core._inputs import embeddings_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ..core._task import Picks, Task
from ._allocation import first_of_clusters, rows_of_clusters

__all__ = ["cluster_uniform"]


@method(
    version=2,
    needs="embeddings",
    label="baseline",
    source="after Shao 2024",
    ranked=False,
    weights="size of the cluster / rows kept of it",
    cost=lambda s: kmeans_cost(s) + Cost(steps=s.N * log2(s.N), memory=100 * s.N),
)
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
        O(I N K D + N log N) time; R + 100 N bytes. k-means makes I passes over the rows, none if
        clusters are given, and holds R bytes of them: 4 N D, or half of `max_memory`.
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
        counts = rows_of_clusters(task, sizes, "equal")
        places = first_of_clusters(codes, counts, (task.keys ^ task.key).astype(np.float64))
        own = codes[places]
        return Picks(places, sizes[own] / counts[own], info={"clusters": count})

    return select(
        "cluster_uniform", len(rows), budget, options, core, bad=bad,
        arguments={"clusters": clusters},
    )  # fmt: skip
