"""The slow, obvious twins of `sampling.clustering`: everything at once, in float64."""

import numpy as np


def rows_of(embeddings, spherical=False):
    rows = np.asarray(embeddings, dtype=np.float32).astype(np.float64)
    if spherical:
        lengths = np.sqrt((rows**2).sum(axis=1))
        pairs = zip(rows, lengths, strict=True)
        rows = np.array([r / n if n >= 1e-12 else 0 * r for r, n in pairs])
    return rows


def all_squares(embeddings, centers, spherical=False):
    """Squared distance of every row to every center: (N, D), (K, D) -> (N, K)."""
    rows, centers = rows_of(embeddings, spherical), rows_of(centers, spherical)
    squares = ((rows[:, None] - centers[None]) ** 2).sum(axis=2)
    if spherical:
        squares[~rows.any(axis=1)] = 2.0
    return squares


def lloyd(embeddings, centers, n_iter, spherical=False):
    """Assign and average n_iter times from `centers`; no cluster may run empty."""
    rows = rows_of(embeddings, spherical)
    for _ in range(n_iter):
        labels = all_squares(embeddings, centers, spherical).argmin(axis=1)
        centers = np.array([rows[labels == k].mean(axis=0) for k in range(len(centers))])
        if spherical:
            centers /= np.sqrt((centers**2).sum(axis=1, keepdims=True))
    squares = all_squares(embeddings, centers, spherical)
    return centers, squares.argmin(axis=1), float(squares.min(axis=1).sum())
