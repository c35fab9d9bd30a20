"""Clusters of a selector, given or computed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _check
from ..._check import _labels
from ...clustering import Clustering, kmeans
from ...engine import gathered
from ...types import Floats, Indices
from ._memory import bytes_of
from ._options import Options

GivenClusters = Clustering | int | None


def default_clusters(size: int) -> int:
    """Return the default number of clusters for `size` rows: about sqrt(N / 2)."""
    return max(1, round(math.sqrt(size / 2)))


def check_clusters(given: GivenClusters, name: str = "clusters") -> None:
    """Refuse an argument that is neither a clustering nor a number of clusters."""
    if given is not None and not isinstance(given, Clustering):
        _check.integer(name, given, 1)


def clusters_of(
    rows: NDArray[Any],
    bad: NDArray[np.bool_] | None,
    given: GivenClusters,
    options: Options,
    *,
    spherical: bool,
) -> tuple[Indices, Floats, NDArray[np.float32]]:
    """Return the cluster of each row (N,), its distance to the center (N,), and centers (K, D).

    Cluster -1 and distance 0 for bad rows. A `Clustering` is used as given; for a number, or None,
    the rows are clustered.
    """
    size = len(rows)
    if isinstance(given, Clustering):
        if len(given.labels) != size:
            raise ValueError(f"clusters must be of all {size} rows, got {len(given.labels)}")
        return given.labels, given.distances.astype(np.float64), given.centers
    good = np.arange(size) if bad is None else np.flatnonzero(~bad)
    count = _check.integer("clusters", default_clusters(size) if given is None else given, 1)
    count = min(count, good.size)
    own = rows if bad is None else gathered(rows, good)
    found = kmeans(
        own,
        count,
        spherical=spherical,
        seed=options.get("seed", 0),
        max_points_per_centroid=points_limit(options.get("max_memory"), own.shape, count),
    )
    labels, distances = np.full(size, -1), np.zeros(size)
    labels[good], distances[good] = found.labels, found.distances
    return labels, distances, found.centers


def points_limit(limit: int | str | None, shape: tuple[int, ...], count: int) -> int | None:
    """Return how many rows per center k-means may train on within `max_memory`.

    None for all rows. Float32 rows and a copy in the stored dtype take half of the memory.
    """
    size, dimensions = shape
    most = bytes_of(limit, 2**62)
    if 16 * size * dimensions <= most:
        return None
    return max(1, most // (16 * dimensions * count))


def labels_of(name: str, values: ArrayLike, size: int) -> tuple[Indices, NDArray[Any]]:
    """Return the group number of each row, in [0, G), and the names of the groups."""
    names, codes = _labels.grouped(name, values)
    _check.same_length(name, codes, "the data", size)
    return codes, names
