"""Clustering on faiss: seeded, with checked arguments, and exact where faiss rounds.

    found = kmeans(embeddings, 1000, seed=0)
    sampler = ClusterClipSampler(found.labels)

Clusters
    kmeans                                  k-means, spherical or Euclidean, also larger than memory
    Clustering                              its result: labels, centers, distances
    second_nearest                          the second nearest center of each row

Neighbours
    neighbours, Neighbours                  the k nearest other rows, by exhaustive search
    hard_negatives                          the k nearest rows of another class

Files
    save_clustering, load_clustering        two Parquet files
    save_neighbours, load_neighbours        one Parquet file
    clustering_outputs, neighbour_outputs   which files will be written, for `io.check_outputs`

Checks before a row is read
    check_kmeans, check_neighbours
"""

from __future__ import annotations

from ._before import check_kmeans, check_neighbours
from ._hard_negatives import hard_negatives
from ._kmeans import Clustering, kmeans, second_nearest
from ._neighbours import Neighbours, neighbours
from ._save import (
    clustering_outputs,
    load_clustering,
    load_neighbours,
    neighbour_outputs,
    save_clustering,
    save_neighbours,
)

__all__ = [
    "Clustering",
    "Neighbours",
    "check_kmeans",
    "check_neighbours",
    "clustering_outputs",
    "hard_negatives",
    "kmeans",
    "load_clustering",
    "load_neighbours",
    "neighbour_outputs",
    "neighbours",
    "save_clustering",
    "save_neighbours",
    "second_nearest",
]
