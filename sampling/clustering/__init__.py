"""Clustering on faiss, made seeded, checked and exact where faiss rounds."""

from ._kmeans import Clustering, kmeans
from ._neighbours import Neighbours, neighbours
from ._save import load_clustering, load_neighbours, save_clustering, save_neighbours

__all__ = [
    "Clustering",
    "Neighbours",
    "kmeans",
    "load_clustering",
    "load_neighbours",
    "neighbours",
    "save_clustering",
    "save_neighbours",
]
