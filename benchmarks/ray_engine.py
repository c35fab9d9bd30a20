"""Clustering and deduplication by workers of a Ray cluster on this machine, against threads.

    python benchmarks/ray_engine.py [--size 2000000] [--clusters 1000] [--json FILE]

The rows are in one .npy file, which the workers read. Each engine clusters them (`kmeans`,
spherical, 10 iterations) and removes near copies (`semdedup` on these clusters). Each engine first
runs on the first 70,000 rows: the start of Ray and of its workers, with their imports, is timed
apart. Processor seconds are of the driver and of the workers, each from the system's accounts: on a
machine with other work they say more than the clock.
"""

import argparse
import hashlib
import json
import os
import signal
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from harness import machine

from sampling import engine, selection
from sampling.clustering import kmeans
from sampling.io import open_table

TICKS = os.sysconf("SC_CLK_TCK")
WARM = 70_000  # rows of the first run: several blocks


def write_rows(path: Path, size: int, dimensions: int) -> None:
    """Write rows of 2,000 clumps, a tenth of which are near copies of others."""
    random = np.random.default_rng(0)
    topics = random.normal(size=(2000, dimensions)).astype(np.float32)
    rows = np.lib.format.open_memmap(path, "w+", np.float32, (size, dimensions))
    for start in range(0, size, 100_000):
        count = min(100_000, size - start)
        noise = random.standard_normal((count, dimensions), np.float32)
        block = topics[random.integers(0, 2000, count)] + np.float32(0.6) * noise
        copies = count // 10
        block[-copies:] = block[:copies] + np.float32(0.02) * noise[-copies:]
        rows[start : start + count] = block
    rows.flush()


def job(rows: object, clusters: int) -> dict[str, object]:
    """Cluster and deduplicate; return seconds, and digests of what was found."""
    began, cpu = time.perf_counter(), time.process_time()
    found = kmeans(rows, clusters, spherical=True, n_iter=10, seed=0)
    middle = time.perf_counter()
    picked = selection.semdedup(rows, threshold=0.95, clusters=found, num_checked=0, seed=0)
    sums = [hashlib.sha256(np.ascontiguousarray(each)).hexdigest()[:16]
            for each in (found.labels, found.centers, picked.indices)]  # fmt: skip
    return {
        "cluster_s": middle - began,
        "semdedup_s": time.perf_counter() - middle,
        "wall_s": time.perf_counter() - began,
        "driver_cpu_s": time.process_time() - cpu,
        "kept": len(picked),
        "digests": sums,
    }


def workers() -> dict[int, float]:
    """Return the processor seconds of each Ray worker of this machine."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if (folder / "cmdline").read_bytes().startswith(b"ray::"):
                    fields = (folder / "stat").read_text().rpartition(")")[2].split()
                    found[int(folder.name)] = (int(fields[11]) + int(fields[12])) / TICKS
            except OSError:  # it has ended
                continue
    return found


def kill_one(after: float, killed: list[int]) -> threading.Timer:
    """Kill the busiest worker after some seconds."""

    def act() -> None:
        own = workers()
        killed.append(max(own, key=own.__getitem__))
        os.kill(killed[0], signal.SIGKILL)

    timer = threading.Timer(after, act)
    timer.start()
    return timer


def measured(made: object, rows: object, clusters: int, kill: float | None) -> dict[str, object]:
    """Run the job on an engine that is warm."""
    began = time.perf_counter()
    with engine.use(made):
        kmeans(rows[:WARM], 100, spherical=True, n_iter=3)
        selection.semdedup(rows.take(np.arange(WARM)), threshold=0.95, clusters=50, num_checked=0)
        start = time.perf_counter() - began
        before, killed = workers(), []
        timer = None if kill is None else kill_one(kill, killed)
        found = job(rows, clusters)
        if timer is not None:
            timer.cancel()
        after = workers()
        spent = [after[pid] - before.get(pid, 0.0) for pid in after]
        used = sorted((each for each in spent if each > 0.1), reverse=True)
        return {"start_s": start, **found, "workers_cpu_s": used, "killed": len(killed)}


def ratios(own: dict[str, dict[str, object]]) -> dict[str, object]:
    """Return what the runs say of each other, as far as they were asked for."""
    found: dict[str, object] = {
        "equal": len({tuple(each["digests"]) for each in own.values()}) == 1
    }
    one, two = own.get("ray, 1 worker"), own.get("ray, 2 workers")
    local = own.get("local, 1 thread")
    if one and two:
        found["2 workers against 1, wall"] = one["wall_s"] / two["wall_s"]
    if one:
        found["driver to worker, CPU, 1 worker"] = one["driver_cpu_s"] / one["workers_cpu_s"][0]
    if one and local:
        cpu = one["driver_cpu_s"] + sum(one["workers_cpu_s"])
        found["1 worker against Local(1), wall"] = one["wall_s"] / local["wall_s"]
        found["1 worker against Local(1), CPU"] = cpu / local["driver_cpu_s"]
    return found


def main() -> None:
    """Parse the arguments, run the engines in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=2_000_000)
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--clusters", type=int, default=1000)
    parser.add_argument("--address", help="of a cluster that runs on this machine")
    parser.add_argument("--runs", type=int, nargs="*", default=[0, 1, 2, 3], help="of the table")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    facts = {"machine": machine(), "load": os.getloadavg(), "size": given.size,
             "dimensions": given.dimensions, "clusters": given.clusters, "runs": {}}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.npy")
        write_rows(path, given.size, given.dimensions)
        rows = open_table(path).embeddings
        runs = {
            "local, 1 thread": (engine.Local(1), None),
            "ray, 1 worker": (engine.Ray(given.address, num_workers=1), None),
            "ray, 2 workers": (engine.Ray(given.address, num_workers=2), None),
            "ray, 2 workers, one killed": (engine.Ray(given.address, num_workers=2), 0.3),
        }
        for name, (made, share) in [list(runs.items())[at] for at in given.runs]:
            kill = None if share is None else share * facts["runs"]["ray, 2 workers"]["wall_s"]
            found = measured(made, rows, given.clusters, kill)
            facts["runs"][name] = found
            print(f"{name:<28} {found['wall_s']:8.1f} s  driver {found['driver_cpu_s']:7.1f} "
                  f"workers {[round(each, 1) for each in found['workers_cpu_s']]} CPU s, "
                  f"kept {found['kept']:,}, killed {found['killed']}", flush=True)  # fmt: skip
    facts["ratios"] = ratios(facts["runs"])
    facts["load_after"] = os.getloadavg()
    print(json.dumps(facts["ratios"], indent=1))
    if given.json is not None:
        given.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
