"""Iterations of k-means at large K, on lists, against faiss's: time, objective, recall.

    python benchmarks/kmeans.py [part of a row's name] [--runs 3] [--embeddings rows.npy]

Both begin at the same rows, do the same number of iterations and are timed in turn. The objective
is that of all rows and the centers returned, by one exact search. "recall" is the part of the rows
for which an iteration on lists finds the center that an exact search finds, at the worst of two.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import faiss
import numpy as np
from harness import RESULTS, Row, human, machine, seconds

from sampling.clustering._lloyd import lloyd

KEPT = RESULTS.with_name("kmeans.json")
ITERATIONS = 10


def normal(size: int, dimensions: int) -> np.ndarray:
    """Return a Gaussian, the data with the least to find."""
    return np.random.default_rng(0).standard_normal((size, dimensions), np.float32)


def mixture(size: int, dimensions: int, parts: int = 20_000) -> np.ndarray:
    """Return many Gaussians whose middles are three times as far apart as they are wide."""
    random = np.random.default_rng(0)
    middles = random.standard_normal((parts, dimensions), np.float32) * np.float32(3)
    return middles[random.integers(0, parts, size)] + normal(size, dimensions)


def loaded(path: Path) -> np.ndarray:
    """Return embeddings of a file, less their mean."""
    rows = np.load(path).astype(np.float32)
    return rows - rows.mean(axis=0)


def peers(work: np.ndarray, first: np.ndarray) -> np.ndarray:
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


def row(name: str, work: np.ndarray, n_clusters: int, runs: int) -> Row:
    """Time both on the same rows."""
    work = np.ascontiguousarray(work)
    _, distinct = np.unique(work[:, : min(8, work.shape[1])], axis=0, return_index=True)
    first = work[np.random.default_rng(1).permutation(np.sort(distinct))[:n_clusters]]
    order = np.random.default_rng(2).permutation(len(work))
    lloyd(work[:2_000], work[:50], np.arange(2_000), 3, spherical=False)  # compile, load
    times: tuple[list[float], list[float]] = [], []
    made: dict[str, tuple[np.ndarray, dict[str, int]]] = {}

    def ours() -> None:
        centers, _, counts = lloyd(work, first, order, ITERATIONS, spherical=False)
        made["ours"] = centers, counts

    def faiss_alone() -> None:
        made["faiss"] = peers(work, first), {}

    for _ in range(runs):
        times[0].append(seconds(ours))
        times[1].append(seconds(faiss_alone))
    (centers, counts), (theirs, _) = made["ours"], made["faiss"]
    notes = {"objective": objective(work, centers) / objective(work, theirs)}
    if len(work) <= 100_000:
        notes["recall"] = recall(work, first, order)
    notes["filled"] = counts["filled"]
    size = f"{len(work)} x {work.shape[1]}, K = {n_clusters}"
    return Row(f"{name}, {size}", *times, "faiss", "2x", notes=notes)


def rows_of(runs: int, path: Path | None) -> dict[str, Callable[[], Row]]:
    """Return what makes each row, by name."""
    made: dict[str, Callable[[], Row]] = {}
    if path is not None:
        for k in (500, 1_000, 2_000, 5_000, 10_000):
            made[f"embeddings {k}"] = lambda k=k: row("embeddings", loaded(path), k, runs)
    for d in (8, 16, 32, 64):
        for k in (500, 1_000, 2_000, 5_000):
            made[f"small {d} {k}"] = lambda d=d, k=k: row("Gaussian", normal(50_000, d), k, runs)
    made["200,000"] = lambda: row("Gaussian", normal(200_000, 64), 10_000, 1)
    made["mixture"] = lambda: row("mixture", mixture(200_000, 64), 10_000, 1)
    made["million"] = lambda: row("Gaussian", normal(10**6, 64), 10_000, 1)
    made["mixed million"] = lambda: row("mixture", mixture(10**6, 64), 10_000, 1)
    return made


def main() -> None:
    """Run the rows asked for and keep the others as they were."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="?", default="")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--embeddings", type=Path)
    asked = parser.parse_args()
    results = json.loads(KEPT.read_text()) if KEPT.exists() else {"rows": {}}
    for name, make in rows_of(asked.runs, asked.embeddings).items():
        if asked.only not in name:
            continue
        made = make()
        kept = {key: value for key, value in asdict(made).items() if key != "name"}
        results["rows"][made.name] = {**kept, "machine": machine()}
        print(
            f"{made.name}: {human(statistics.median(made.ours))}, faiss "
            f"{human(statistics.median(made.peer))}, {made.ratio:.3g}x; {made.notes}",
            flush=True,
        )
        KEPT.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
