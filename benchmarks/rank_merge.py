"""What the exchange of scores in `set_epoch` costs: measured over gloo, modelled for a cluster.

    python benchmarks/rank_merge.py            prints the tables
    python benchmarks/rank_merge.py --json     writes results/rank-merge.json too

Each of W processes of this machine wrote the scores of the N / W samples that it drew; a merge
sends 8 bytes for each of them to every rank. The model adds, for each rank, the bytes that arrive
at the speed of its link and the seconds of the kernel, measured alone with as many ranks.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch.distributed as dist
import torch.multiprocessing as mp
from harness import HERE, machine

from sampling.distributed import _ranks, merge_means

RESULTS = HERE / "results" / "rank-merge.json"
N = 10_000_000
RUNS = 5
LINK = 100e9 / 8  # bytes a second of 100 Gbit/s
ENTRY = 8  # bytes of an index and a score


def rank_of(rank: int, world: int, meeting: str, results: Any, fraction: float) -> None:
    """Merge several times, and report wall and processor seconds, median over the runs."""
    dist.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=world)
    generator = np.random.default_rng(rank)
    scores = np.zeros(N, np.float32)
    rows = np.random.default_rng(0).permutation(N)[: int(fraction * N)][rank::world]
    found = []
    for run in range(RUNS + 1):
        touched = np.zeros(N, np.bool_)
        touched[rows] = True
        scores[rows] = generator.random(rows.size, np.float32)
        dist.barrier()
        wall, cpu = time.perf_counter(), time.process_time()
        merge_means(scores, touched, None)
        if run:  # the first one compiles
            found.append((time.perf_counter() - wall, time.process_time() - cpu))
    digest = int(scores.view(np.uint32).sum(dtype=np.uint64))
    results.put((rank, *map(statistics.median, zip(*found, strict=True)), digest))
    dist.destroy_process_group()


def measured(world: int, fraction: float) -> dict[str, float]:
    """Return the seconds of a merge by `world` processes."""
    context = mp.get_context("spawn")
    results = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        meeting = str(Path(folder, "meeting"))
        processes = [
            context.Process(target=rank_of, args=(rank, world, meeting, results, fraction))
            for rank in range(world)
        ]
        for process in processes:
            process.start()
        rows = [results.get() for _ in processes]
        for process in processes:
            process.join()
    if len({row[3] for row in rows}) != 1:
        raise RuntimeError(f"the ranks must have equal scores, got {rows}")
    sent = ENTRY * fraction * N / world
    return {
        "ranks": world,
        "changed": fraction,
        "seconds": max(row[1] for row in rows),
        "processor_seconds": max(row[2] for row in rows),
        "mb_sent_by_a_rank": sent / 1e6,
        "mb_received_by_a_rank": (world - 1) * sent / 1e6,
    }


def kernel_seconds(ranks: int, samples: int) -> float:
    """Return seconds a written score of all work but communication, with so many ranks."""
    scores, touched = np.zeros(samples, np.float32), np.zeros(samples, np.bool_)
    order = np.random.default_rng(0).permutation(samples)
    messages = []
    for rank in range(ranks):
        rows = np.sort(order[rank::ranks]).astype(np.int32)
        messages.append(np.concatenate([rows, np.ones(rows.size, np.float32).view(np.int32)]))
    before = _ranks.gather_rows
    found = []
    try:
        _ranks.gather_rows = lambda array, group: messages  # type: ignore[assignment]
        for _ in range(3):
            touched[order[::ranks]] = True
            start = time.process_time()
            merge_means(scores, touched, None)
            found.append(time.process_time() - start)
    finally:
        _ranks.gather_rows = before
    return min(found) / samples


def modelled(ranks: int, samples: float, changed: float) -> dict[str, float]:
    """Return what a merge would take of a rank of a cluster."""
    entries = changed * samples
    work = kernel_seconds(ranks, _ranks._BLOCK)
    return {
        "ranks": ranks,
        "samples": samples,
        "changed": changed,
        "gb_received_by_a_rank": ENTRY * entries / 1e9,
        "seconds_of_link": ENTRY * entries / LINK,
        "seconds_of_work": work * entries,
        "ns_per_entry": work * 1e9,
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="write the results too")
    given = parser.parse_args()
    rows = [measured(world, fraction) for world in (2, 4, 8) for fraction in (1.0, 0.1)]
    model = [modelled(1024, 1e9, changed) for changed in (1.0, 0.3)]
    for row in [*rows, *model]:
        print(", ".join(f"{name} {value:.4g}" for name, value in row.items()))
    if given.json:
        content = {"machine": machine(), "n": N, "measured": rows,
                   "modelled": model}  # fmt: skip
        RESULTS.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
