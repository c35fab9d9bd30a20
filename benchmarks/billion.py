"""What a sampler of a billion samples costs: memory, time to the first index, time a draw.

    python benchmarks/billion.py                      every sampler, N = 10^9: 24 GB, five minutes
    python benchmarks/billion.py weighted             the samplers whose name contains the word
    python benchmarks/billion.py --size 1000000       try it out; nothing is kept

Each sampler is made in a process of its own, one after another. Memory is the peak of the resident
set until the first index is there, in total and beyond what the process held before: the caller's
weights, labels or recorded losses, and the imports. The kernels are compiled before. A first index
is timed by the clock and by the processor, a draw (of two million that follow) by the processor.
A virtual machine may take far longer for memory that it uses for the first time than for the work
on it: `a GiB s` is what the processor spends on writing a GiB of new memory.

Peers hold a Python int for each draw. They are run at a hundredth of the size, and multiplied; the
limit of `WeightedRandomSampler` is shown by exceeding it.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import human, machine
from torch.utils.data import RandomSampler, WeightedRandomSampler

from sampling.samplers import (
    ClassBalancedSampler,
    InfoBatchSampler,
    ShuffleSampler,
    WeightedSampler,
)
from sampling.samplers.core import _cumulative

RESULTS = Path(__file__).parent / "results" / "billion.json"
SIZE = 10**9
CLASSES = 1000
DRAWS = 2 * 10**6
CHUNK = 10**6
PEER_PART = 100  # peers are run at this part of the size
CATEGORIES = 2**24  # of torch.multinomial

Make = Callable[[Any], Iterable[int]]


def nothing(size: int) -> int:
    """Return the only input of a shuffle: N."""
    return size


def weights_of(size: int) -> np.ndarray:
    """Return random weights: float64 (N,)."""
    return np.random.default_rng(0).random(size)


def labels_of(size: int) -> np.ndarray:
    """Return labels of 1,000 classes of very different sizes: int32 (N,)."""
    labels, random = np.empty(size, np.int32), np.random.default_rng(0)
    for start in range(0, size, CHUNK):
        part = labels[start : start + CHUNK]
        part[:] = CLASSES * random.random(part.size) ** 2
    return labels


def recorded(size: int) -> InfoBatchSampler:
    """Return a pruning sampler that knows a loss of every sample."""
    sampler, random = InfoBatchSampler(size, 8), np.random.default_rng(0)
    for start in range(0, size, CHUNK):
        rows = np.arange(start, min(start + CHUNK, size))
        sampler.record(rows, random.standard_exponential(rows.size, dtype=np.float32))
    return sampler


def planned(sampler: InfoBatchSampler) -> InfoBatchSampler:
    """Plan its first pruning epoch."""
    sampler.set_epoch(1)
    return sampler


def random_sampler(size: int) -> Iterable[int]:
    """Return torch's shuffle."""
    return RandomSampler(range(size))


def listed_plan(losses: np.ndarray) -> list[int]:
    """Plan a pruning epoch by masks, a choice, and a list."""
    easy = losses < losses.mean()
    hard, candidates = np.flatnonzero(~easy), np.flatnonzero(easy)
    kept = np.random.default_rng(0).choice(candidates, candidates.size // 2, replace=False)
    found: list[int] = np.random.default_rng(0).permutation(np.concatenate([hard, kept])).tolist()
    return found


def losses_of(size: int) -> np.ndarray:
    """Return random losses: float32 (N,)."""
    return np.random.default_rng(0).standard_exponential(size, dtype=np.float32)


SAMPLERS: dict[str, tuple[Callable[[int], Any], Make]] = {  # name -> its input, and the sampler
    "shuffle": (nothing, ShuffleSampler),
    "weighted": (weights_of, WeightedSampler),
    "weighted, independent": (
        weights_of,
        lambda weights: WeightedSampler(weights, independent=True),
    ),
    "class-balanced, 1,000 classes": (labels_of, ClassBalancedSampler),
    "InfoBatch, an epoch that prunes": (recorded, planned),
}
PEERS: dict[str, tuple[Callable[[int], Any], Make]] = {
    "RandomSampler": (nothing, random_sampler),
    "numpy masks and a list": (losses_of, listed_plan),
}
PEER_OF = {
    "shuffle": "RandomSampler",
    "weighted": "WeightedRandomSampler",
    "weighted, independent": "WeightedRandomSampler",
    "class-balanced, 1,000 classes": "WeightedRandomSampler",
    "InfoBatch, an epoch that prunes": "numpy masks and a list",
}


def gib(name: str) -> float:
    """Return a field of the process's memory: "VmRSS", or its peak "VmHWM"."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 2**20


def measured(name: str, size: int) -> dict[str, float]:
    """Make a sampler in this process and measure it."""
    prepare, make = (SAMPLERS | PEERS)[name]
    limit = _cumulative.PACKED
    _cumulative.PACKED = 1 if size >= limit else limit
    next(iter(make(prepare(10_000))))  # compiles what a sampler of this size uses
    _cumulative.PACKED = limit
    given = prepare(size)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = gib("VmRSS")
    start, busy = time.perf_counter(), time.process_time()
    draws = iter(make(given))
    next(draws)
    found = {
        "first index s": time.perf_counter() - start,
        "of the processor s": time.process_time() - busy,
        "total GiB": gib("VmHWM"),
        "beyond the input GiB": gib("VmHWM") - before,
    }
    count = min(DRAWS, size // 2)
    busy = time.process_time()
    deque(islice(draws, count), maxlen=0)
    found["a draw ns"] = (time.process_time() - busy) / count * 1e9
    busy = time.process_time()
    np.empty(2**30, np.uint8).fill(1)
    found["a GiB s"] = time.process_time() - busy
    return found


def in_a_process(name: str, size: int) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, name, "--size", str(size), "--here"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def refusal() -> str:
    """Return what torch's weighted sampler says to one weight more than it takes."""
    weights = torch.ones(CATEGORIES + 1)
    try:
        next(iter(WeightedRandomSampler(weights, 1)))
    except RuntimeError as error:
        return str(error).splitlines()[0]
    raise AssertionError("WeightedRandomSampler took more than 2**24 weights")


def peer_row(name: str, size: int) -> dict[str, Any]:
    """Return what a peer takes at a size, from a hundredth of it; or that it refuses."""
    if name == "WeightedRandomSampler":
        return {"name": name, "says": refusal()} if size > CATEGORIES else {"name": name}
    part = max(size // PEER_PART, 1000)
    found = in_a_process(name, part)
    return {
        "name": name,
        "run at": part,
        "first index s": found["first index s"] * size / part,
        "beyond the input GiB": found["beyond the input GiB"] * size / part,
    }


def table(rows: dict[str, Any], size: int) -> str:
    """Return the table, in Markdown."""
    lines = [
        f"| N = {size:,} | Memory, GiB | Beyond the input, GiB | First index (processor) | "
        "A draw | Peer |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        peer = row["peer"]
        said = peer["name"]
        if "says" in peer:
            said += f' refuses: "{peer["says"]}"'
        if "run at" in peer:
            said += (
                f": {peer['beyond the input GiB']:.3g} GiB, {human(peer['first index s'])} "
                f"({size // peer['run at']} times those at {peer['run at']:,})"
            )
        lines.append(
            f"| {name} | {row['total GiB']:.1f} | {row['beyond the input GiB']:.1f} | "
            f"{human(row['first index s'])} ({human(row['of the processor s'])}) | "
            f"{row['a draw ns']:.0f} ns | {said} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure the samplers asked for and keep the results of the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="?", default="", help="part of a sampler's name")
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--here", action="store_true", help="one name, in this process, as JSON")
    given = parser.parse_args()
    if given.here:
        print(json.dumps(measured(given.only, given.size)))
        return
    rows: dict[str, Any] = {}
    for name in SAMPLERS:
        if given.only in name:
            row = in_a_process(name, given.size)
            peer = peer_row(PEER_OF[name], given.size)
            rows[name] = {**row, "peer": peer, "commit": machine()["commit"]}
            print(name, rows[name], flush=True)
    print(table(rows, given.size))
    if given.size == SIZE:
        before = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else {}
        rows = {name: (before | rows)[name] for name in SAMPLERS if name in before | rows}
        results = {"rows": rows, "machine": machine(), "size": SIZE}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
