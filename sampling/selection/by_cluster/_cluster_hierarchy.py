"""Draw evenly from a tree of clusters, so that frequent concepts and their parts are balanced.

`cluster_uniform` balances one level of clusters: a concept with many clusters keeps many rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ...clustering._assign import Space, assign
from ...engine import gathered
from ...record import Selection
from ...record.keys import by_value
from ...types import Floats, Indices, Scores
from ..core._clusters import clusters_of, default_clusters
from ..core._cost import Cost, Sizes, kmeans_cost, log2, products_of
from ..core._inputs import embeddings_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ..core._task import Picks, Task
from ._allocation import first_of_clusters, rows_of_clusters

__all__ = ["cluster_hierarchy"]


def _cost(sizes: Sizes) -> Cost:
    given = sizes.arguments.get("num_clusters")
    steps = sizes.arguments.get("resampling_steps")
    if isinstance(given, list | tuple) and given and isinstance(given[0], int | np.integer):
        sizes = replace(sizes, K=max(1, min(int(given[0]), sizes.N)))
    again = steps if isinstance(steps, int) and steps > 0 else 0  # others are refused
    points = sizes.arguments.get("resampling_size")
    points = points if isinstance(points, int) and points > 0 else 1
    near = min(sizes.N, points * sizes.K)
    each = 1.4 * products_of(sizes.N, sizes.K, sizes.D) + 50 * products_of(near, sizes.K, sizes.D)
    held = 24 * sizes.D * (near if again else sizes.K)
    steps = sizes.N * log2(sizes.N)
    return kmeans_cost(sizes) + Cost(again * each, steps, memory=120 * sizes.N + held)


@method(
    needs="embeddings",
    label="for replication",
    source="Vo 2024",
    ranked=False,
    weights="size of the lowest cluster / rows kept of it",
    cost=_cost,
)
def cluster_hierarchy(
    embeddings: ArrayLike,
    budget: float,
    *,
    num_clusters: Sequence[int] | None = None,
    resampling_steps: int = 0,
    resampling_size: int = 10,
    keep: Literal["random", "nearest"] = "random",
    **options: Unpack[Options],
) -> Selection:
    """Draw evenly from the branches of a tree of clusters, by k-means of the centers of k-means.

    The rows are clustered, then the centers of their clusters, and so on. From the top down, each
    cluster shares its budget among those below it: the same number for all, as far as
    they have rows.

    Parameters
    ----------
    embeddings : array of shape (N, D)
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    num_clusters : sequence of int, optional
        Clusters of each level, descending, the lowest level first; those of a level are at most as
        many as were found below it. By default two levels of about sqrt(N / 2) and the root of
        that.
    resampling_steps : int, default 0
        Steps of resampling at each level: k-means again, on the points nearest to each center
        alone, and all points are assigned to the new centers. It moves centers from dense regions
        to sparse ones.
    resampling_size : int, default 10
        Points nearest to each center in such a step.
    keep : {"random", "nearest"}, default "random"
        Rows kept of a cluster of the lowest level: random ones, or those nearest to its center.
    **options
        Keywords of every selector; see `Options`. With `groups` the tree is that of all rows, and
        the budget of each group is shared by the rows of the group.

    Returns
    -------
    Selection
        Sorted by cluster of the lowest level. Weights are the size of this cluster divided by the
        rows kept of it; ignore them to train on the balanced distribution. `info["clusters"]` are
        the clusters found at each level.

    Raises
    ------
    ValueError
        If a row is not finite (the message names it), or `num_clusters` does not descend.

    Notes
    -----
    Order
        Within a cluster by a hash of (seed, id), or by distance, ties broken by the hash. If a
        budget cannot be divided evenly, the branches with one more row are random.
    Cost
        O(I N K D + N log N) time; R + 120 N + 24 K D bytes. K are the clusters of the lowest level.
        A step of resampling takes O(K^2 s D) time and 24 K s D bytes for s points of each cluster,
        and reads the rows once more. k-means holds R bytes of rows: 4 N D, or half of `max_memory`.
        10^5 rows, D = 64, clusters 1,000 and 30: 6.0 s of one core.
    Gradients
        With the weights, an estimate of the gradient sum over all rows, if every cluster has a kept
        row.
    Source
        Vo et al., "Automatic Data Curation for Self-Supervised Learning: A Clustering-Based
        Approach", TMLR 2024, arXiv:2405.15613. Its trees for web images have four levels, the
        lowest with millions of clusters; the default here is a choice of this package. Resampling
        and the upper levels begin with k-means++ seeds, as in the authors' code, and the lowest
        level with random rows, as `clustering.kmeans`.

    Examples
    --------
    >>> rows = [[0.0], [1.0], [2.0], [3.0], [90.0], [91.0]]  # two concepts, of 4 and 2 rows
    >>> picked = cluster_hierarchy(rows, 4, num_clusters=[6, 2])
    >>> sorted(picked.indices.tolist())[2:]
    [4, 5]
    """
    counts = _counts(num_clusters)
    steps = _check.integer("resampling_steps", resampling_steps, 0)
    points = _check.integer("resampling_size", resampling_size, 1)
    keep = _check.choice("keep", keep, ("random", "nearest"))
    rows, bad = embeddings_of("embeddings", embeddings, options)
    good = np.arange(len(rows)) if bad is None else np.flatnonzero(~bad)
    own = rows if bad is None else gathered(rows, good)
    labels, distances = np.full(len(rows), -1), np.zeros(len(rows))
    tree = _tree(own, counts or _default(good.size), steps, points, options)
    labels[good], distances[good] = tree.labels, tree.distances

    def core(task: Task) -> Picks:
        codes = task.of(labels)
        sizes = np.bincount(codes, minlength=tree.levels[0])
        kept = _rows_of_tree(task, sizes, tree.parents)
        if keep == "random":
            rank = (task.keys ^ task.key).astype(np.float64)
        else:
            rank = np.empty(codes.size)
            rank[by_value(task.of(distances), task.keys)] = np.arange(codes.size)
        places = first_of_clusters(codes, kept, rank)
        leaf = codes[places]
        return Picks(places, sizes[leaf] / kept[leaf], info={"clusters": tree.levels})

    return select(
        "cluster_hierarchy", len(rows), budget, options, core, bad=bad,
        arguments={"num_clusters": counts, "resampling_steps": steps, "resampling_size": points,
                   "keep": keep},
    )  # fmt: skip


def _counts(given: Sequence[int] | None) -> list[int] | None:
    """Return the clusters of each level; refuse levels that do not descend."""
    if given is None:
        return None
    found = [
        _check.integer("num_clusters", each, 1) for each in _check.listed("num_clusters", given)
    ]
    if not found or any(two >= one for one, two in zip(found[:-1], found[1:], strict=True)):
        raise ValueError(
            "num_clusters must be at least one number of clusters, and descend from the lowest "
            f"level up, got {found}"
        )
    return found


def _default(size: int) -> list[int]:
    lowest = default_clusters(size)
    above = max(1, round(lowest**0.5))
    return [lowest, above] if above < lowest else [lowest]


@dataclass(frozen=True)
class _Tree:
    """The cluster of each row, and the cluster above each cluster.

    labels    : int64 (n,), of the lowest level
    distances : float64 (n,), to its center
    levels    : clusters of each level, the lowest first
    parents   : int64 (K_l,) for each level but the highest
    """

    labels: Indices
    distances: Floats
    levels: list[int]
    parents: list[Indices]


def _tree(
    rows: NDArray[Any], counts: list[int], steps: int, points: int, options: Options
) -> _Tree:
    """Cluster rows, then centers, level by level."""
    seed = int(_rng.key(_check.seed(options.get("seed", 0)), 0, "cluster_hierarchy")) % 2**32
    labels, distances, centers = clusters_of(rows, None, counts[0], options, spherical=False)
    for _ in range(steps):
        labels, distances, centers = _resampled(rows, labels, distances, points, seed)
    levels, parents = [len(centers)], []
    for count in counts[1:]:
        below = centers
        above, gaps, centers = _assigned(below, _plus_plus(below, count, seed))
        for _ in range(steps):
            above, gaps, centers = _resampled(below, above, gaps, points, seed)
        parents.append(above)
        levels.append(len(centers))
    return _Tree(labels, distances, levels, parents)


def _resampled(
    rows: NDArray[Any], labels: Indices, distances: Floats, points: int, seed: int
) -> tuple[Indices, Floats, Scores]:
    """Return labels, distances and centers of k-means on the points nearest to each center."""
    count = int(labels.max()) + 1
    near = np.sort(first_of_clusters(labels, np.full(count, points), distances))
    return _assigned(rows, _plus_plus(gathered(rows, near), count, seed))


def _assigned(rows: NDArray[Any], centers: Scores) -> tuple[Indices, Floats, Scores]:
    """Return the nearest center of each row, its distance, and the centers that have rows."""
    found = assign(rows, centers, Space.of(rows, spherical=False))
    present, labels = np.unique(found.labels, return_inverse=True)
    return labels, np.sqrt(found.squares), centers[present]


def _plus_plus(rows: NDArray[Any], count: int, seed: int) -> Scores:
    """Return centers of k-means from k-means++ seeds: float32 (k, D), k <= count.

    `clustering.kmeans` begins with random rows, most of them in the largest branch: of a few
    centers none might be in a small one, and resampling would not leave the dense regions.
    """
    from sklearn.cluster import KMeans  # imported here: it takes half a second

    points = np.asarray(rows, np.float64)
    middle = points.mean(axis=0)
    scale = float(np.abs(points - middle).max()) or 1.0  # squares of any float32 are finite
    points = (points - middle) / scale
    distinct = len(np.unique(points, axis=0))
    fit = KMeans(min(count, distinct), n_init=1, max_iter=25, random_state=seed).fit(points)
    centers: Scores = (fit.cluster_centers_ * scale + middle).astype(np.float32)
    return centers


def _rows_of_tree(task: Task, sizes: Indices, parents: list[Indices]) -> Indices:
    """Return the number of rows to keep of each cluster of the lowest level: (K,)."""
    every = [sizes]  # rows of the clusters of each level
    for above in parents:
        every.append(np.bincount(above, every[-1], int(above.max()) + 1).astype(np.int64))
    kept = rows_of_clusters(task, every[-1], "equal")
    for level in range(len(parents) - 1, -1, -1):
        above, key = parents[level], _rng.subkey(task.key, level + 1)
        shares = np.zeros(above.size, np.int64)
        order = np.argsort(above, kind="stable")
        for node, own in enumerate(np.split(order, np.cumsum(np.bincount(above))[:-1])):
            if kept[node]:
                part = replace(task, budget=int(kept[node]), key=_rng.subkey(key, node))
                shares[own] = rows_of_clusters(part, every[level][own], "equal")
        kept = shares
    return kept
