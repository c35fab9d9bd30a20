"""Processor seconds from `import torch` to the first batch or result, in fresh processes.

    python benchmarks/first_use.py                  the table, about five minutes
    python benchmarks/first_use.py shuffle          entry points whose name contains the word
    python benchmarks/first_use.py --json           also keep it in results/first-use.json

    warm   kernels are in numba's cache, as on every run of a machine but the first
    cold   the cache is empty: kernels that are needed are compiled, if any are

Each figure is user and system time of one process, since it had imported torch, numpy and
`DataLoader`; the least of `--runs` processes, so that other work of the machine counts as little as
possible. Of a spawned worker it is the worker's own, for a dataset that holds a sampler.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness import human, machine

RESULTS = Path(__file__).parent / "results" / "first-use.json"
N = 60_000

BEGIN = f"""
import time
import numpy as np
import torch
from torch.utils.data import DataLoader

N = {N}
labels = np.arange(N) % 100


def first(sampler):
    return next(iter(DataLoader(range(N), 256, sampler=sampler)))


begin = time.process_time()
"""
END = """
import sys
print(time.process_time() - begin, int("numba" in sys.modules))
"""

WORKER = """
import sys
import time
import torch
from torch.utils.data import DataLoader, Dataset
begin = time.process_time()
from sampling import Indexed, samplers


class Timed(Dataset):
    def __init__(self):
        self.sampler = samplers.ShuffleSampler(60_000)

    def __len__(self):
        return 2

    def __getitem__(self, index):
        self.sampler.indices(0, index, index + 1)
        return torch.tensor([time.process_time() - begin, "numba" in sys.modules]).double()


if __name__ == "__main__":
    loader = DataLoader(Indexed(Timed()), 1, num_workers=1, multiprocessing_context="spawn")
    (_, first), _ = loader
    print(*first[0].tolist())
"""

ENTRIES = {  # name -> what is run; a worker is a program of its own
    "import sampling.samplers": "from sampling.samplers import ShuffleSampler",
    "shuffle": "from sampling.samplers import ShuffleSampler\nfirst(ShuffleSampler(N))",
    "shuffle of 10^9": "from sampling.samplers import ShuffleSampler\n"
    "next(iter(ShuffleSampler(10**9)))",
    "subset": "from sampling.samplers import SubsetSampler\nfirst(SubsetSampler(range(0, N, 2)))",
    "RS2": "from sampling.samplers import RepeatedSubsetSampler\n"
    "first(RepeatedSubsetSampler(N, 0.1))",
    "shuffle in batches": "from sampling.samplers import EpochBatchSampler, ShuffleSampler\n"
    "next(iter(DataLoader(range(N), batch_sampler=EpochBatchSampler(ShuffleSampler(N), 256))))",
    "spawned worker": WORKER,
    "weighted": "from sampling.samplers import WeightedSampler\n"
    "first(WeightedSampler(1.0 + labels))",
    "class balanced": "from sampling.samplers import ClassBalancedSampler\n"
    "first(ClassBalancedSampler(labels))",
    "P x K": "from sampling.samplers import ClassesPerBatchSampler\n"
    "next(iter(DataLoader(range(N), batch_sampler=ClassesPerBatchSampler(labels, 8, 4))))",
    "InfoBatch, first batch": "from sampling.samplers import InfoBatchSampler\n"
    "first(InfoBatchSampler(N, 30))",
    "InfoBatch, second epoch": "from sampling.samplers import InfoBatchSampler\n"
    "sampler = InfoBatchSampler(N, 30)\nsampler.reduce(torch.rand(N), torch.arange(N))\n"
    "sampler.set_epoch(1)\nfirst(sampler)",
    "semdedup": "from sampling.selection import semdedup\n"
    "semdedup(np.random.default_rng(0).normal(size=(600, 8)).astype(np.float32), threshold=0.9)",
}


def measured(program: str, cache: str | None) -> tuple[float, bool]:
    """Run a program; return its processor seconds, and whether it imported numba."""
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    where.pop("PYTHONDONTWRITEBYTECODE", None)  # as at a user's: byte code is kept
    if cache is not None:
        where["NUMBA_CACHE_DIR"] = cache
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "first.py")
        path.write_text(program)
        done = subprocess.run(
            [sys.executable, path], check=True, stdout=subprocess.PIPE, text=True, env=where
        )
    seconds, numba = map(float, done.stdout.split()[-2:])
    return seconds, bool(numba)


def runs_of(name: str, cache: str | None) -> tuple[float, bool]:
    """Measure one entry point once."""
    code = ENTRIES[name]
    return measured(code if code is WORKER else f"{BEGIN}{code}\n{END}", cache)


def row_of(name: str, runs: int) -> dict[str, Any]:
    """Return the figures of one entry point."""
    runs_of(name, None)  # fills the cache
    warm = [runs_of(name, None) for _ in range(runs)]
    cold = []
    for _ in range(min(runs, 2)):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(runs_of(name, cache)[0])
    return {"warm": [each for each, _ in warm], "cold": cold, "numba": warm[-1][1]}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="?", default="", help="part of an entry point's name")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help=f"write results/{RESULTS.name}")
    given = parser.parse_args()
    found = {}
    print("| Entry point | Over `import torch`, warm cache | Cold cache | Loads numba |")
    print("|---|---|---|---|")
    for name in [each for each in ENTRIES if given.only in each]:
        row = found[name] = row_of(name, given.runs)
        warm, cold = human(min(row["warm"])), human(min(row["cold"]))
        print(f"| {name} | {warm} | {cold} | {'yes' if row['numba'] else 'no'} |", flush=True)
    if given.json:
        RESULTS.parent.mkdir(exist_ok=True)
        results = {"machine": machine(), "unit": "processor seconds", "rows": found}
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
