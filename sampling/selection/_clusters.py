"""Clusters that a selector is given, or makes."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from ..clustering import Clustering, kmeans
from ..types import Floats, Indices
from ._task import Options

GivenClusters = Clustering | int | None


def clusters_of(
    rows: NDArray[Any],
    bad: NDArray[np.bool_] | None,
    given: GivenClusters,
    options: Options,
    *,
    default: int,
    spherical: bool,
) -> tuple[Indices, Floats, int]:
    """Return the cluster of each row (N,), its distance to the center (N,), and K.

    -1 and 0 for bad rows. A `Clustering` is taken as it is; a number, or None, is made into one.
    """
    size = len(rows)
    if isinstance(given, Clustering):
        if len(given.labels) != size:
            raise ValueError(f"clusters must be of all {size} rows, got {len(given.labels)}")
        return given.labels, given.distances.astype(np.float64), len(given.centers)
    good = np.arange(size) if bad is None else np.flatnonzero(~bad)
    count = _check.integer("clusters", default if given is None else given, 1)
    found = kmeans(
        rows if bad is None else rows[good],
        min(count, good.size),
        spherical=spherical,
        seed=options.get("seed", 0),
    )
    labels, distances = np.full(size, -1), np.zeros(size)
    labels[good], distances[good] = found.labels, found.distances
    return labels, distances, len(found.centers)


def points_limit(limit: int | None, shape: tuple[int, ...], count: int) -> int | None:
    """Return from how many rows a center k-means may find its centers, within `max_memory` bytes.

    None for all of them: float32 rows and a copy as they are stored, in half of the memory.
    """
    size, dimensions = shape
    if limit is None or 16 * size * dimensions <= limit:
        return None
    return max(1, limit // (16 * dimensions * count))


def labels_of(name: str, values: ArrayLike, size: int) -> tuple[Indices, NDArray[Any]]:
    """Return a number in [0, G) for each row's group, and the groups' names."""
    array = _check.labels(name, values)
    _check.same_length(name, array, "the data", size)
    names, codes = np.unique(array, return_inverse=True)
    return codes, names
