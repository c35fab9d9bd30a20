"""Selection by geometry against plain loops and peers: rows of `selection.py`.

Peers that are not installed are left out. scikit-activeml's k-center at M = 6,000 (about four
minutes, an M x N table of doubles) and submodlib's dense facility location at N = 20,000 (minutes,
20 GB) are not run; on a graph both peers run on fewer rows.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
import peers
from harness import LeftOut, Race, Row, in_child, race, shrunk

Make = Callable[[float, int], Row]
Picker = Callable[[np.ndarray, int, int], np.ndarray]
D = 64
FASHION = Path("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz")
NEIGHBOURS = 50


def normal(size: int = 60_000) -> np.ndarray:
    """Return a Gaussian (size, 64)."""
    return np.random.default_rng(0).normal(size=(shrunk(size), D)).astype(np.float32)


def mixture(size: int = 60_000) -> np.ndarray:
    """Return 50 Gaussians (size, 64) whose middles are as far apart as they are wide."""
    random, size = np.random.default_rng(0), shrunk(size)
    middles = random.normal(size=(50, D))[random.integers(0, 50, size)]
    return (middles + random.normal(size=(size, D))).astype(np.float32)


@cache
def fashion() -> np.ndarray:
    """Return the first 64 principal components of Fashion-MNIST's 60,000 images."""
    from sklearn.decomposition import PCA

    from sampling.bench.tasks._idx import read_idx

    if not FASHION.exists():
        raise LeftOut("Debian's dataset-fashion-mnist is not installed")
    images = read_idx(FASHION, 3)[: shrunk(60_000)].reshape(-1, 784).astype(np.float32) / 255
    return np.ascontiguousarray(PCA(D, svd_solver="covariance_eigh").fit_transform(images))


# ------------------------------------------------------------------ k-center


def radius(rows: np.ndarray, picks: np.ndarray) -> float:
    """Return the largest distance of a row to the nearest pick, in float64."""
    centers = rows[picks]
    squares = (centers * centers).sum(1) / 2
    worst = 0.0
    for part in np.array_split(rows, 64):
        nearest = picks[(part @ centers.T - squares).argmax(axis=1)]
        worst = max(worst, ((part - rows[nearest].astype(np.float64)) ** 2).sum(1).max())
    return float(np.sqrt(worst))


def k_center_row(
    name: str, rows: np.ndarray, count: int, peer_name: str, theirs: Picker, runs: tuple[int, int]
) -> Row:
    """Time k-center against a peer that begins at the same row."""
    from sampling.selection import k_center

    asked, first = shrunk(count), int(k_center(rows, 1).indices[0])

    def ours(given: np.ndarray, size: int, _: int) -> np.ndarray:
        return k_center(given, size).indices

    made = race(ours, theirs, (rows, asked, first), (rows[:500], 20, 0), runs)
    wide, other = radius(rows, made.found), radius(rows, made.peer_found)
    notes = {
        "picks in common": float(np.isin(made.found, made.peer_found).mean()),
        "radius apart": abs(wide / other - 1),
    }
    aim = "faster >= 2" if theirs is peers.running_minimum else "faster >= 8"
    title = f"k-center, {name}, 60,000 x 64, M = {count:,}"
    return Row(title, made.ours, made.peer, peer_name, aim, notes=notes)


def k_center_loop(make: Callable[[], np.ndarray], name: str, count: int) -> Make:
    """Return what times k-center against the loop; a long loop runs once."""

    def timed(rate: float, runs: int) -> Row:
        loop, loops = peers.running_minimum, runs if count <= 600 else 1
        row = k_center_row(name, make(), count, "loop in torch", loop, (runs, loops))
        if make is normal:
            setup = "from geometry import normal; from sampling.selection import k_center"
            call = f"k_center(rows, {shrunk(count)})"
            made = in_child(f"{setup}; rows = normal()", "k_center(rows[:500], 20)", call)
            row.notes["peak MiB"] = made[2]
        return row

    return timed


def k_center_peer(make: Callable[[], np.ndarray], name: str, count: int, library: str) -> Make:
    """Return what times k-center against a library; once, as it is slow."""

    def timed(rate: float, runs: int) -> Row:
        theirs = {"fpsample": peers.fpsample, "scikit-activeml": peers.scikit_activeml}[library]()
        return k_center_row(name, make(), count, library, theirs, (runs, 1))

    return timed


# ------------------------------------------------------------------ herding


def herding_row(rate: float, runs: int) -> Row:
    """Time herding; its error against that of random rows."""
    from sampling.selection import herding

    rows, asked = normal(), shrunk(600)
    made = race(lambda *task: herding(*task), lambda *_: None, (rows, asked), (), (runs, 0))
    random, mean = np.random.default_rng(1), rows.mean(axis=0, dtype=np.float64)
    chosen = [random.choice(len(rows), asked, replace=False) for _ in range(20)]
    errors = [np.linalg.norm(rows[some].mean(axis=0, dtype=np.float64) - mean) for some in chosen]
    own = rows[made.found.indices].mean(axis=0, dtype=np.float64)
    notes = {"times below random": float(np.mean(errors) / np.linalg.norm(own - mean))}
    aim = "seconds <= 2; times below random >= 10"
    name = "herding, Gaussian, 60,000 x 64, M = 600"
    return Row(name, made.ours, [], "–", aim, notes=notes)


# ------------------------------------------------------------------ facility location


def unit_of(rows: np.ndarray) -> np.ndarray:
    """Return rows of length 1."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def covered(unit: np.ndarray, picks: np.ndarray) -> float:
    """Return the sum of (1 + cosine) / 2 to the most similar pick."""
    best = np.concatenate([(part @ unit[picks].T).max(axis=1) for part in np.array_split(unit, 16)])
    return float(((1 + best.astype(np.float64)) / 2).sum())


def apart(
    made: Race, objective: Callable[[np.ndarray], float], peer: np.ndarray
) -> dict[str, float]:
    """Compare picks and objectives, recomputed here for both."""
    return {
        "picks in common": float(np.isin(made.found, peer).mean()),
        "objective apart": abs(objective(made.found) / objective(peer) - 1),
    }


def facility(size: int, library: str) -> Make:
    """Return what times facility location on all pairs against a library's lazy greedy."""

    def timed(rate: float, runs: int) -> Row:
        from sampling.selection import facility_location

        theirs = {"apricot": peers.apricot, "submodlib": peers.submodlib}[library]()
        unit = unit_of(mixture(size))
        asked = len(unit) // 10
        made = race(
            lambda *task: facility_location(*task).indices, theirs, (unit, asked), (unit[:100], 10),
            (runs, runs) if size <= 5_000 else (1, 1),
        )  # fmt: skip
        notes = apart(made, lambda picks: covered(unit, picks), made.peer_found)
        aim = "faster >= 4; objective apart <= 1e-6"
        if library == "apricot":
            # It compiles anew in each fit; how long that takes is seen on 100 rows.
            again = race(lambda *_: None, theirs, (unit[:100], 10), (unit[:100], 10), (0, 1))
            notes["of the peer's time compiling, s"] = again.peer[0]
            notes["faster without that"] = (median(made.peer) - again.peer[0]) / median(made.ours)
            setup = "from geometry import mixture; from sampling.selection import facility_location"
            call = f"facility_location(rows, {asked})"
            warm = "facility_location(rows[:500], 20)"
            notes["peak MiB"] = in_child(f"{setup}; rows = mixture({size})", warm, call)[2]
            aim += "; peak MiB <= 1024" if size == 20_000 else ""
        name = f"facility location, all pairs, N = {size:,}, M = N / 10"
        return Row(name, made.ours, made.peer, f"{library} lazy", aim, notes=notes)

    return timed


def facility_graph(rate: float, runs: int) -> Row:
    """Time facility location on a graph of 50 neighbours, the graph included, in a process."""
    setup = "from geometry import mixture; from sampling.selection import facility_location as pick"
    elapsed, _, peak = in_child(
        f"{setup}; rows = mixture()",
        "pick(rows[:1000], 100, num_neighbours=50)",
        f"pick(rows, {shrunk(6_000)}, num_neighbours=50)",
    )
    name = f"facility location, {NEIGHBOURS}-NN graph, N = 60,000, M = 6,000"
    return Row(name, [elapsed], [], "–", "seconds <= 90", notes={"peak MiB": peak})


def facility_graph_peer(size: int, library: str) -> Make:
    """Return what times the same on fewer rows against a library on scikit-learn's graph."""

    def timed(rate: float, runs: int) -> Row:
        from sampling.selection import facility_location

        known = {"apricot": peers.apricot_on_graph, "submodlib": peers.submodlib_on_graph}
        theirs = known[library]()
        unit = unit_of(mixture(size))
        made = race(
            lambda rows, count, k: facility_location(rows, count, num_neighbours=k).indices,
            theirs, (unit, len(unit) // 10, min(NEIGHBOURS, len(unit) - 1)), (unit[:200], 20, 10),
            (runs, 1),
        )  # fmt: skip
        picks, graph = made.peer_found
        notes = apart(made, lambda some: graph[:, some].max(axis=1).toarray().sum(), picks)
        name = f"facility location, {NEIGHBOURS}-NN graph, N = {size:,}, M = N / 10"
        peer_name = f"{library} lazy, graph by scikit-learn"
        return Row(name, made.ours, made.peer, peer_name, "–", notes=notes)

    return timed


DATA: dict[str, Callable[[], np.ndarray]] = {
    "Gaussian": normal, "mixture": mixture, "Fashion-MNIST features": fashion,
}  # fmt: skip
ROWS: dict[str, Make] = {
    **{
        f"k-center {name} {count} loop": k_center_loop(make, name, count)
        for count in (600, 6_000)
        for name, make in DATA.items()
    },
    **{
        f"k-center {name} 600 fpsample": k_center_peer(make, name, 600, "fpsample")
        for name, make in DATA.items()
    },
    "k-center Gaussian 600 scikit-activeml": k_center_peer(
        normal, "Gaussian", 600, "scikit-activeml"
    ),
    "k-center Gaussian 6000 fpsample": k_center_peer(normal, "Gaussian", 6_000, "fpsample"),
    "herding": herding_row,
    "facility 5000 apricot": facility(5_000, "apricot"),
    "facility 5000 submodlib": facility(5_000, "submodlib"),
    "facility 20000 apricot": facility(20_000, "apricot"),
    "facility graph 60000": facility_graph,
    "facility graph 20000 apricot": facility_graph_peer(20_000, "apricot"),
    "facility graph 2000 submodlib": facility_graph_peer(2_000, "submodlib"),
}
