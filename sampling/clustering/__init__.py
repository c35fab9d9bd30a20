"""Clustering on faiss, made seeded, checked and exact where faiss rounds."""

from ._kmeans import Clustering, kmeans
from ._neighbours import Neighbours, neighbours

__all__ = ["Clustering", "Neighbours", "kmeans", "neighbours"]
