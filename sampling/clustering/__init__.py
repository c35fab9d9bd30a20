"""Clustering on faiss, made seeded, checked and exact where faiss rounds."""

from ._kmeans import Clustering, kmeans
from ._neighbours import Neighbours, neighbours
from ._save import load_clustering, save_clustering

__all__ = [
    "Clustering",
    "Neighbours",
    "kmeans",
    "load_clustering",
    "neighbours",
    "save_clustering",
]
