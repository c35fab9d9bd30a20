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


def lloyd_on_lists(rows, centers, order, n_iter, width, spherical=False):
    """`_lloyd.lloyd` one row and one cluster at a time -> centers, labels."""
    rows, centers = rows.astype(np.float64), centers.astype(np.float64)
    for iteration in range(n_iter):
        squares = ((rows[:, None] - centers[None]) ** 2).sum(axis=2)
        if iteration == 0 or iteration % 10 == 1:
            lists = np.argsort(squares, axis=1, kind="stable")[:, :width].tolist()
            labels = [near[0] for near in lists]
        else:
            nearer = [[k, *near] for k, near in zip(labels, lists, strict=True)]
            labels = [min(ks, key=lambda k: squares[i, k]) for i, ks in enumerate(nearer)]
        empty = [k for k in range(len(centers)) if k not in labels]
        own = [squares[i, k] for i, k in enumerate(labels)]
        for i in sorted(order.tolist(), key=lambda i: -own[i]):
            if empty and own[i] > 0 and labels.count(labels[i]) > 1:
                labels[i] = empty.pop(0)
        for k in set(labels):
            mean = rows[np.array(labels) == k].mean(axis=0)
            if not spherical:
                centers[k] = mean
            elif np.linalg.norm(mean) > 1e-12:
                centers[k] = mean / np.linalg.norm(mean)
    return centers, labels
