"""Clustering on faiss: seeded, with checked arguments, and exact where faiss rounds."""

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
