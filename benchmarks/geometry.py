"""Selection by geometry against plain loops and peers: rows as `speed.py` has them.

    python benchmarks/geometry.py [part of a row's name] [--runs 3]

Peers that are not installed (apricot-select, fpsample) are left out.
"""

import argparse
import importlib
import statistics
import subprocess
import sys
from collections.abc import Callable

import numpy as np
from harness import Row, human, in_turn, machine

N, D = 60_000, 64


def normal(size: int = N) -> np.ndarray:
    """Return a Gaussian (size, 64)."""
    return np.random.default_rng(0).normal(size=(size, D)).astype(np.float32)


def mixture(size: int = N) -> np.ndarray:
    """Return 50 Gaussians (size, 64) whose middles are as far apart as they are wide."""
    random = np.random.default_rng(0)
    middles = random.normal(size=(50, D))[random.integers(0, 50, size)]
    return (middles + random.normal(size=(size, D))).astype(np.float32)


def peer(module: str) -> object | None:
    """Return a module, or None where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


# ------------------------------------------------------------------ k-center


def running_minimum(rows: np.ndarray, count: int, first: int) -> np.ndarray:
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


def k_center_row(rows: np.ndarray, name: str, count: int, runs: int) -> Row:
    """Time k-center against the loop; with fpsample as a note."""
    from sampling.selection import k_center

    first = int(k_center(rows, 1).indices[0])
    ours, loop = in_turn(
        lambda: k_center(rows, count), lambda: running_minimum(rows, count, first), runs
    )
    same = np.isin(k_center(rows, count).indices, running_minimum(rows, count, first)).mean()
    notes = {"picks in common": float(same)}
    fpsample = peer("fpsample")
    if fpsample is not None:
        other, _ = in_turn(lambda: fpsample.fps_sampling(rows, count, start_idx=first), None, 1)
        notes["fpsample, s"] = other[0]
    return Row(f"k-center, {name}, M = {count}", ours, loop, "loop in torch", "2x", notes=notes)


# ------------------------------------------------------------------ the others


def herding_row(runs: int) -> Row:
    """Time herding; its error against that of random rows."""
    from sampling.selection import herding

    rows = normal()
    ours, _ = in_turn(lambda: herding(rows, 600), None, runs)
    random, mean = np.random.default_rng(1), rows.mean(axis=0, dtype=np.float64)
    chosen = [random.choice(N, 600, replace=False) for _ in range(20)]
    errors = [np.linalg.norm(rows[some].mean(axis=0, dtype=np.float64) - mean) for some in chosen]
    notes = {"error": herding(rows, 600).info["moment_error"], "random": float(np.mean(errors))}
    return Row("herding, Gaussian, M = 600", ours, [], "-", "2 s", notes=notes)


def facility_row(size: int, runs: int) -> Row:
    """Time facility location on all pairs against apricot's lazy greedy on the same matrix."""
    from sampling.selection import facility_location

    rows = mixture(size)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    apricot = peer("apricot")

    def theirs() -> object:
        made = apricot.FacilityLocationSelection(size // 10, "precomputed", optimizer="lazy")
        return made.fit((1 + unit @ unit.T) / 2)

    ours, other = in_turn(
        lambda: facility_location(rows, size // 10), theirs if apricot else None, runs
    )
    picks = facility_location(rows, size // 10).indices
    notes = {"objective": covered(unit, picks)}
    if apricot:
        notes["peer objective"] = covered(unit, theirs().ranking)
    notes["peak MiB"] = peak(f"facility_location(mixture({size}), {size // 10})")
    return Row(
        f"facility location, N = {size}, M = N / 10", ours, other, "apricot lazy", "4x", notes=notes
    )


def covered(unit: np.ndarray, picks: np.ndarray) -> float:
    """Return the sum of (1 + cosine) / 2 to the most similar pick."""
    best = np.concatenate([(part @ unit[picks].T).max(axis=1) for part in np.array_split(unit, 16)])
    return float(((1 + best.astype(np.float64)) / 2).sum())


def peak(call: str) -> float:
    """Return the peak memory of a process that makes one call, in MiB."""
    code = f"""
from pathlib import Path
from geometry import mixture
from sampling.selection import facility_location
{call}
lines = Path("/proc/self/status").read_text().splitlines()  # ru_maxrss would begin at ours
print(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024)
"""
    where = sys.path[0]
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=where
    )
    return float(done.stdout)


def graph_row(runs: int) -> Row:
    """Time facility location on a graph of 50 neighbours, the graph included."""
    from sampling.selection import facility_location

    rows = mixture()
    ours, _ = in_turn(lambda: facility_location(rows, 6_000, num_neighbours=50), None, runs)
    return Row("facility location, 50-NN graph, N = 60,000, M = 6,000", ours, [], "-", "90 s")


def rows_of(runs: int) -> dict[str, Callable[[], Row]]:
    """Return what makes each row, by name."""
    return {
        "k-center Gaussian 600": lambda: k_center_row(normal(), "Gaussian", 600, runs),
        "k-center mixture 600": lambda: k_center_row(mixture(), "mixture", 600, runs),
        "k-center Gaussian 6000": lambda: k_center_row(normal(), "Gaussian", 6_000, 1),
        "k-center mixture 6000": lambda: k_center_row(mixture(), "mixture", 6_000, 1),
        "herding": lambda: herding_row(runs),
        "facility 5000": lambda: facility_row(5_000, runs),
        "facility 20000": lambda: facility_row(20_000, 1),
        "facility graph": lambda: graph_row(1),
    }


def main() -> None:
    """Print the rows asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="?", default="")
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    print(machine())
    for name, make in rows_of(asked.runs).items():
        if asked.only not in name:
            continue
        row = make()
        middle = human(statistics.median(row.ours))
        spread = " ".join(human(each) for each in row.ours)
        against = f", {row.peer_name} {' '.join(map(human, row.peer))}" if row.peer else ""
        ratio = f", {row.ratio:.3g}x" if row.ratio else ""
        print(
            f"{row.name}: {middle} ({spread}){against}{ratio}; aim {row.aim}; {row.notes}",
            flush=True,
        )


if __name__ == "__main__":
    main()
