"""What other libraries do for the same task, called as their documentation says.

Each returns the rows picked. None of them is needed: `harness.peer` raises `LeftOut` for a library
that is not installed, and the row is left out with that reason.
"""

from collections.abc import Callable
from importlib.metadata import distributions, version

import numpy as np
from harness import peer

Picks = np.ndarray
PACKAGES = (
    "apricot-select", "submodlib-py", "fpsample", "scikit-activeml", "scikit-learn", "semhash",
    "usearch", "aum",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return the versions of the peers that are installed."""
    return {name: version(name) for name in PACKAGES if next(distributions(name=name), None)}


# ------------------------------------------------------------------ k-center, from a first row


def running_minimum(rows: np.ndarray, count: int, first: int) -> Picks:
    """Pick by one product of a matrix and a vector each step, in torch."""
    import torch

    points = torch.from_numpy(rows)
    squares = (points * points).sum(1)
    nearest = torch.full((len(points),), torch.inf)
    picks = [first]
    for _ in range(count - 1):
        square = squares - 2 * (points @ points[picks[-1]]) + squares[picks[-1]]
        torch.minimum(nearest, square, out=nearest)
        picks.append(int(nearest.argmax()))
    return np.array(picks)


def fpsample() -> Callable[[np.ndarray, int, int], Picks]:
    """Return fpsample's plain farthest point sampling; its k-d trees are for few dimensions."""
    library = peer("fpsample")
    return lambda rows, count, first: library.fps_sampling(rows, count, start_idx=first).astype(int)


def scikit_activeml() -> Callable[[np.ndarray, int, int], Picks]:
    """Return scikit-activeml's core set; the first row is the one that is labelled."""
    pool = peer("skactiveml.pool")

    def pick(rows: np.ndarray, count: int, first: int) -> Picks:
        labels = np.full(len(rows), np.nan)
        labels[first] = 0
        found = pool.CoreSet(random_state=0).query(rows, labels, batch_size=count - 1)
        return np.concatenate([[first], found])

    return pick


# ------------------------------------------------------------------ facility location


def similarities(unit: np.ndarray) -> np.ndarray:
    """Return (1 + cosine) / 2 of all pairs of unit rows: (N, N)."""
    found: np.ndarray = unit @ unit.T
    found += 1
    found /= 2
    return found


def apricot() -> Callable[[np.ndarray, int], Picks]:
    """Return apricot's lazy greedy on the whole matrix, which is made in its time."""
    library = peer("apricot")

    def pick(unit: np.ndarray, count: int) -> Picks:
        made = library.FacilityLocationSelection(count, "precomputed", optimizer="lazy")
        return np.asarray(made.fit(similarities(unit)).ranking)

    return pick


def submodlib() -> Callable[[np.ndarray, int], Picks]:
    """Return submodlib's lazy greedy on the same."""
    library = peer("submodlib")

    def pick(unit: np.ndarray, count: int) -> Picks:
        made = library.FacilityLocationFunction(
            n=len(unit), mode="dense", sijs=similarities(unit), separate_rep=False
        )
        return _maximised(made, count)

    return pick


def _maximised(made: object, count: int) -> Picks:
    found = made.maximize(  # type: ignore[attr-defined]
        budget=count, optimizer="LazyGreedy", stopIfZeroGain=False, stopIfNegativeGain=False,
        show_progress=False,
    )  # fmt: skip
    return np.array([row for row, _ in found])


def graph_of(unit: np.ndarray, neighbours: int) -> object:
    """Return the graph of nearest neighbours, in either direction, by scikit-learn: csr (N, N)."""
    from sklearn.neighbors import kneighbors_graph

    graph = kneighbors_graph(unit, neighbours, mode="distance", metric="cosine")
    graph.data = 1 - graph.data / 2
    graph = graph.maximum(graph.T)
    graph.setdiag(1.0)
    return graph.tocsr()


def apricot_on_graph() -> Callable[[np.ndarray, int, int], tuple[Picks, object]]:
    """Return the same on a graph, which is made in its time."""
    library = peer("apricot")

    def pick(unit: np.ndarray, count: int, neighbours: int) -> tuple[Picks, object]:
        graph = graph_of(unit, neighbours)
        made = library.FacilityLocationSelection(count, "precomputed", optimizer="lazy")
        return np.asarray(made.fit(graph).ranking), graph

    return pick


def submodlib_on_graph() -> Callable[[np.ndarray, int, int], tuple[Picks, object]]:
    """Return the same by submodlib."""
    library = peer("submodlib")

    def pick(unit: np.ndarray, count: int, neighbours: int) -> tuple[Picks, object]:
        graph = graph_of(unit, neighbours)
        made = library.FacilityLocationFunction(
            n=len(unit), mode="sparse", sijs=graph, num_neighbors=neighbours
        )
        return _maximised(made, count), graph

    return pick


# ------------------------------------------------------------------ near copies


def semhash() -> Callable[[np.ndarray, float], Picks]:
    """Return semhash over embeddings, which keeps the rows; index and search are in its time."""
    library = peer("semhash")
    peer("usearch")

    def keep(rows: np.ndarray, threshold: float) -> Picks:
        names = [str(row) for row in range(len(rows))]
        index = library.SemHash.from_embeddings(rows, names, model=None)
        return np.sort([int(name) for name in index.self_deduplicate(threshold).selected])

    return keep
