"""Clustering on faiss, made seeded, checked and exact where faiss rounds."""

from ._kmeans import Clustering, kmeans

__all__ = ["Clustering", "kmeans"]
