"""Iterations of k-means at large K, on lists, against faiss's: time, objective, recall.

Both begin at the same rows, do the same number of iterations and are timed in turn. The objective
is that of all rows and the centers returned, by one exact search. "recall" is the part of the rows
for which an iteration on lists finds the center that an exact search finds, at the worst of two.
"""

from collections.abc import Callable

import copies
import faiss
import numpy as np
from harness import Row, race, shrunk

from sampling.clustering._lloyd import lloyd

ITERATIONS, CLUSTERS = 10, 10_000


def normal(size: int, dimensions: int) -> np.ndarray:
    """Return a Gaussian, the data with the least to find."""
    return np.random.default_rng(0).standard_normal((size, dimensions), np.float32)


def ours(work: np.ndarray, first: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return the centers of lists."""
    return lloyd(work, first, order, ITERATIONS, spherical=False)[0]


def theirs(work: np.ndarray, first: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return the centers that faiss trains."""
    trained = faiss.Kmeans(
        work.shape[1],
        len(first),
        niter=ITERATIONS,
        min_points_per_centroid=1,
        max_points_per_centroid=2**31 - 1,
    )
    trained.train(work, init_centroids=first)
    return np.asarray(trained.centroids)


def objective(work: np.ndarray, centers: np.ndarray) -> float:
    """Return the sum of squared distances to the nearest center."""
    return sum(
        float(faiss.knn(part, centers, 1)[0].sum(dtype=np.float64))
        for part in np.array_split(work, max(1, len(work) // 2**17))
    )


def recall(work: np.ndarray, first: np.ndarray, order: np.ndarray) -> float:
    """Return the recall of the third or the last iteration, the lower one, on 10,000 rows."""
    probes, found = np.sort(order[:10_000]), []
    for iteration in (3, ITERATIONS):
        centers, _, _ = lloyd(work, first, order, iteration - 1, spherical=False)
        _, labels, _ = lloyd(work, first, order, iteration, spherical=False)
        near = faiss.knn(work[probes], centers, 1)[1][:, 0]
        found.append(float(np.mean(near == labels[probes])))
    return min(found)


def row(name: str, work: np.ndarray, runs: int) -> Row:
    """Time both on the same rows."""
    work, count = np.ascontiguousarray(work), shrunk(CLUSTERS)
    _, distinct = np.unique(work[:, :8], axis=0, return_index=True)
    first = work[np.random.default_rng(1).permutation(np.sort(distinct))[:count]]
    order = np.random.default_rng(2).permutation(len(work))
    small = (work[:2_000], work[:50], np.arange(2_000))
    made = race(ours, theirs, (work, first, order), small, (runs, 1))
    apart = objective(work, made.found) / objective(work, made.peer_found) - 1
    notes = {"objective above": apart}
    if len(work) <= 100_000:
        notes["recall"] = recall(work, first, order)
    aim = "faster >= 2; objective above <= 0.01"
    return Row(name, made.ours, made.peer, "faiss, exact", aim, notes=notes)


def of_text(rate: float, runs: int) -> Row:
    """Sentence embeddings."""
    rows = copies.text()
    return row("k-means, text embeddings, 63,666 x 384, K = 10,000", rows - rows.mean(axis=0), runs)


def of_normal(rate: float, runs: int) -> Row:
    """Time a Gaussian, the data with the least to find; once, as it takes minutes."""
    return row("k-means, Gaussian, 10^6 x 64, K = 10,000", normal(shrunk(10**6), 64), 1)


ROWS: dict[str, Callable[[float, int], Row]] = {
    "k-means text": of_text,
    "k-means Gaussian million": of_normal,
}
