"""How long the pruning engine takes to plan an epoch, by method.

    python benchmarks/pruning_plans.py                    every method, N = 10^7, about two minutes
    python benchmarks/pruning_plans.py UCB --runs 9       the methods whose name contains the word
    python benchmarks/pruning_plans.py --size 100000      try it out; nothing is kept

Losses of every sample that an epoch deals are recorded before the next is planned, and only
the plan is timed: taking the losses in, grouping, thinning, and the directory of what is kept.
Each epoch plans anew. A method has its line in `METHODS`; those that the package lacks are named
and left out.
"""

import argparse
import gc
import json
import statistics
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import Row, bandwidth, human, machine

import sampling.samplers

RESULTS = Path(__file__).parent / "results" / "pruning-plans.json"
EPOCHS = 100
CHUNK = 10**6
CLASSES = 2

METHODS: dict[str, tuple[str, dict[str, Any]]] = {  # name -> class, and arguments beside N, epochs
    "InfoBatch": ("InfoBatchSampler", {}),
    "InfoBatch, two buckets": ("InfoBatchSampler", {"buckets": [(0.2, 0.25), (0.85, 0.5)]}),
    "dynamic random": ("DynamicRandomSampler", {}),
    "dynamic random, weighted": (
        "DynamicRandomSampler",
        {"share": 0.7, "objective": "original"},
    ),
    "keep-hardest": ("HardestSampler", {}),
    "epsilon-greedy": ("EpsilonGreedySampler", {}),
    "UCB": ("UCBSampler", {"refresh_every": 1}),
    "SeTa": ("SeTaSampler", {}),
    "KAKURENBO": ("KakurenboSampler", {}),
    "IES": ("IESSampler", {}),
    "Late Stopping": ("LateStoppingSampler", {}),
    "self-paced": ("SelfPacedSampler", {}),
    "variance budget": ("VarianceBudgetSampler", {}),
}


def record(
    sampler: sampling.samplers.EpochSampler,
    losses: np.ndarray,
    logits: torch.Tensor,
    labels: torch.Tensor,
) -> None:
    """Record a loss of everything that the running epoch deals."""
    dealt = sampler.indices(sampler.epoch)
    for start in range(0, dealt.size, CHUNK):
        rows = dealt[start : start + CHUNK]
        more = {"logits": logits[: rows.size], "labels": labels[: rows.size]}
        sampler.record(rows, losses[rows], **more)


def plan(sampler: sampling.samplers.EpochSampler, epoch: int) -> int:
    """Plan an epoch; static samplers do so when its length is asked for."""
    sampler.set_epoch(epoch)
    return len(sampler)


def planned(name: str, size: int, runs: int) -> Row:
    """Time `set_epoch` of a method in successive pruning epochs."""
    kind, arguments = METHODS[name]
    random = np.random.default_rng(0)
    logits = torch.from_numpy(random.standard_normal((CHUNK, CLASSES), np.float32))
    labels = torch.from_numpy(random.integers(0, CLASSES, CHUNK))

    def run(size: int, epochs: int) -> list[float]:
        sampler = getattr(sampling.samplers, kind)(size, EPOCHS, **arguments)
        losses = random.exponential(size=size).astype(np.float32)
        times = []
        for epoch in range(1, epochs + 1):
            record(sampler, losses, logits, labels)
            losses *= random.uniform(0.8, 1.1, size).astype(np.float32)
            gc.collect()
            start, busy_start = time.perf_counter(), time.process_time()
            plan(sampler, epoch)
            times.append(time.perf_counter() - start)
            busy.append(time.process_time() - busy_start)
        kept.append(len(sampler) / size)
        return times

    kept: list[float] = []
    busy: list[float] = []
    run(1000, 3)  # compiles
    times = run(size, runs + 1)[1:]
    # On a machine that does other things as well, the seconds of the processor say more.
    processor = statistics.median(busy[-runs:])
    notes = {"kept": kept[-1], "slowest s": max(times), "of the processor s": processor}
    # Scores read twice, codes written twice and read twice: what InfoBatch's plan moves.
    limit = 12 * size / rate()
    return Row(name, times, [], "–", "under 0.5 s", limit, "12 bytes a sample", notes)


def rate() -> float:
    """Return bytes a second, measured once."""
    if not _rate:
        _rate.append(bandwidth())
    return _rate[0]


_rate: list[float] = []


def main() -> None:
    """Plan with the methods asked for and keep the results of the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="?", default="", help="part of a method's name")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", type=int, default=10**7)
    given = parser.parse_args()
    results: dict[str, Any] = {"rows": {}, "left_out": []}
    if RESULTS.exists() and given.only:
        results = json.loads(RESULTS.read_text())
    results["left_out"] = []
    for name, (kind, _) in METHODS.items():
        if not hasattr(sampling.samplers, kind):
            results["left_out"].append(name)
            print(f"left out: {name} (no {kind})")
        elif given.only in name:
            row = planned(name, given.size, given.runs)
            results["rows"][name] = asdict(row)
            middle = human(statistics.median(row.ours))
            print(f"{name}: {middle}, notes {row.notes}, limit {human(row.limit)}", flush=True)
    results.update(machine=machine(), size=given.size, bandwidth_GBps=rate() / 1e9)
    if given.size == 10**7:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
