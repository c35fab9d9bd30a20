"""The loop around a sampler: what loading costs, alone and as a share of a training epoch.

    python benchmarks/loop.py                     loading, training, kernels, first use: 15 minutes
    python benchmarks/loop.py --parts loading     some of them, separated by commas
    python benchmarks/loop.py --small             a tenth of the data, to try it out

Loading is measured as processor time of one thread, in nanoseconds a row, in batches of 256; the
ways to load run in turn, A B C A B C ..., and the smallest of three passes is kept, since all else
that the machine does only adds to it. The limit is a contiguous copy of the same bytes. Worker
processes use other cores, so they are measured in wall time, with the same loop without them.

Kernels run on 10^7 samples. Beside each stands what the bus alone would take for the bytes that it
moves, at the bandwidth of a copy measured in the same run; a read at a random place counts as a
cache line of 64 bytes. First use is `first_use.py`, in processes of its own.

The data are random: neither loading nor the time of a step depends on their values. The shapes are
those of Fashion-MNIST as bytes and as floats, and of 63,666 texts with embeddings of 384 floats.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import HERE, bandwidth, machine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from sampling import Indexed
from sampling.kernels import _draw, _permute, _prune
from sampling.loading import TensorLoader
from sampling.samplers import EpochBatchSampler, ShuffleSampler
from sampling.samplers.core import _tables
from sampling.samplers.tables import KeptTable

PARTS = ("loading", "training", "kernels", "first-use")
RESULTS = HERE / "results" / "loop.json"
BATCH = 256
SHAPES = {  # name -> rows, shape of a row, dtype
    "60,000 x 784 B": (60_000, (784,), torch.uint8),
    "60,000 x 3,136 B": (60_000, (784,), torch.float32),
    "63,666 x 1,536 B": (63_666, (384,), torch.float32),
}
Batches = Iterable[Any]


def data(name: str, small: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random rows of a shape, and labels of ten classes."""
    rows, shape, kind = SHAPES[name]
    rows //= 10 if small else 1
    torch.manual_seed(0)
    values = torch.randn(rows, *shape) if kind.is_floating_point else torch.zeros(rows, *shape)
    return values.to(kind), torch.arange(rows) % 10


# ---------------------------------------------------------------------- ways to load


def ways(x: torch.Tensor, y: torch.Tensor) -> dict[str, Callable[[int], Batches]]:
    """Return functions of an epoch that return its batches."""
    dataset, sampler = TensorDataset(x, y), ShuffleSampler(len(x), seed=0)
    plain = DataLoader(dataset, batch_size=BATCH, shuffle=True)
    single = DataLoader(Indexed(dataset), batch_size=BATCH, sampler=sampler)
    batches = EpochBatchSampler(sampler, BATCH)
    whole = DataLoader(Indexed(dataset), sampler=batches, batch_size=None)
    in_memory = TensorLoader(sampler, BATCH, x, y)

    def ours(loader: Batches) -> Callable[[int], Batches]:
        def begin(epoch: int) -> Batches:
            sampler.set_epoch(epoch)
            return loader

        return begin

    return {
        "torch `DataLoader(shuffle=True)`, per sample": lambda epoch: plain,
        "ours in a `DataLoader`, per sample": ours(single),
        "ours in a `DataLoader(batch_size=None)`, whole batches": ours(whole),
        "`TensorLoader`": ours(in_memory),
        "`randperm` and `x[idx]` by hand": lambda epoch: by_hand(x, y),
        "limit: contiguous copy": lambda epoch: copies(x, y),
    }


def by_hand(x: torch.Tensor, y: torch.Tensor) -> Iterator[Any]:
    """Yield batches as many scripts do."""
    order = torch.randperm(len(x))
    for start in range(0, len(x), BATCH):
        chosen = order[start : start + BATCH]
        yield chosen, (x[chosen], y[chosen])


def copies(x: torch.Tensor, y: torch.Tensor) -> Iterator[Any]:
    """Yield copies of the rows in their order."""
    for start in range(0, len(x), BATCH):
        yield start, (x[start : start + BATCH].clone(), y[start : start + BATCH].clone())


def loading(small: bool) -> dict[str, dict[str, float]]:
    """Return nanoseconds a row, by way and shape."""
    found: dict[str, dict[str, float]] = {}
    for name in SHAPES:
        x, y = data(name, small)
        for epoch in range(4):  # the first warms up
            for way, begin in ways(x, y).items():
                start = time.thread_time()
                for _ in begin(epoch):
                    pass
                taken = (time.thread_time() - start) / len(x) * 1e9
                best = found.setdefault(way, {})
                best[name] = min(best.get(name, float("inf")), taken) if epoch else float("inf")
    return found


def workers(small: bool) -> dict[str, dict[str, float]]:
    """Return wall nanoseconds a row of loaders with and without two persistent workers."""
    found: dict[str, dict[str, float]] = {}
    for name in SHAPES:
        x, y = data(name, small)
        for count in (0, 2):
            options: dict[str, Any] = {}
            if count:
                options = {"num_workers": count, "persistent_workers": True}
            loader = DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True, **options)
            best = float("inf")
            for epoch in range(3):
                start = time.perf_counter()
                for _ in loader:
                    pass
                if epoch:
                    best = min(best, (time.perf_counter() - start) / len(x) * 1e9)
            found.setdefault(f"torch `DataLoader`, {count} workers, wall time", {})[name] = best
    return found


# ---------------------------------------------------------------------- whole epochs


def cnn() -> nn.Module:
    """Return a small network for images of 28 x 28."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 10),
    )  # fmt: skip


def mlp() -> nn.Module:
    """Return a small network for embeddings."""
    return nn.Sequential(nn.Linear(384, 128), nn.ReLU(), nn.Linear(128, 10))


MODELS = {
    "CNN, 60,000 images": ("60,000 x 3,136 B", cnn),
    "MLP, 63,666 texts": ("63,666 x 1,536 B", mlp),
}


def training(small: bool) -> dict[str, dict[str, dict[str, float]]]:
    """Return seconds of an epoch and the share of them spent in the loader, by model and way."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for title, (name, make) in MODELS.items():
        x, y = data(name, small)
        torch.manual_seed(0)
        model = make()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for epoch in range(3):
            for way, begin in ways(x, y).items():
                if way.startswith("limit"):
                    continue
                total, inside = one_epoch(model, optimizer, begin(epoch))
                own = found.setdefault(title, {})
                if epoch and total < own.get(way, {}).get("seconds", float("inf")):
                    own[way] = {"seconds": total, "loader": inside / total}
    return found


def one_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, loader: Batches
) -> tuple[float, float]:
    """Return the processor seconds of an epoch, and those inside the loader."""
    begun, inside = time.thread_time(), 0.0
    batches = iter(loader)
    while True:
        before = time.thread_time()
        batch = next(batches, None)
        inside += time.thread_time() - before
        if batch is None:
            return time.thread_time() - begun, inside
        x, y = batch[1] if isinstance(batch[1], list | tuple) else batch  # torch's has no indices
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


# ---------------------------------------------------------------------- kernels


def kernels(small: bool) -> dict[str, dict[str, float]]:
    """Return nanoseconds of an entry, by kernel: measured, and those of the bus alone."""
    size = 10**6 if small else 10**7
    rate, key = bandwidth(), np.uint64(7)
    sums = np.cumsum(np.random.default_rng(0).random(size))
    guide = np.empty(size // 2 + 1, np.int32)
    slots = np.random.default_rng(1).integers(0, size, 10**6)
    out = np.empty(slots.size, np.int64)
    kept = np.random.default_rng(2).random(size) < 0.7
    listed, directory = KeptTable.of(kept), in_directory(kept)
    places = slots % listed.size
    scores = np.random.default_rng(3).random(size, np.float32)
    limits = np.full(128, 2**63, np.uint64)
    codes, near = np.empty(size, np.uint8), np.empty(1, np.int64)

    def thin() -> None:
        codes[:] = 2
        counts, hashes = np.zeros(128, np.int64), np.empty(1, np.uint64)
        _prune.thin(codes, 0, key, limits, limits, counts, near, hashes)

    _draw.build_guide(sums, guide)
    groups, half = np.empty(2, np.int64), np.array([0.5])
    works: dict[str, tuple[Callable[[], Any], int, float]] = {  # work, entries, bytes of an entry
        "`build_guide`": (lambda: _draw.build_guide(sums, guide), size, 8 + 2 + 2 + 2),
        "`stratified`": (
            lambda: _draw.stratified(sums, guide, key, size, slots, out), slots.size, 16 + 2 * 64,
        ),
        "kept samples by list": (lambda: listed.take(places), slots.size, 16 + 64),
        "kept samples by directory": (lambda: directory.take(places), slots.size, 16 + 3 * 64),
        "`assign`": (lambda: _prune.assign(scores, half, codes, groups), size, 5),
        "`thin`": (thin, size, 3),
        "shuffle, by position": (
            lambda: _permute.permute(key, 10**9, slots, out), slots.size, 16,
        ),
    }  # fmt: skip
    found: dict[str, dict[str, float]] = {}
    for name, (work, entries, moved) in works.items():
        work()
        best = float("inf")
        for _ in range(5):
            start = time.thread_time()
            work()
            best = min(best, time.thread_time() - start)
        found[name] = {"ns": best / entries * 1e9, "bus": moved / rate * 1e9}
    return found


def in_directory(kept: "np.ndarray[Any, Any]") -> KeptTable:
    """Return the table that finds kept samples by its directory, as above 2**26 of them."""
    before, _tables.LISTED = _tables.LISTED, 0
    try:
        return KeptTable.of(kept)
    finally:
        _tables.LISTED = before


# ---------------------------------------------------------------------- tables


def table(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    lines: list[str] = []
    if "loading" in results:
        lines += ["| Loop, ns a row | " + " | ".join(SHAPES) + " |", "|---|" + "---|" * len(SHAPES)]
        for way, row in {**results["loading"], **results["workers"]}.items():
            cells = [f"{row[name]:,.0f}" for name in SHAPES]
            lines.append(f"| {way} | " + " | ".join(cells) + " |")
        lines.append("")
    for title, rows in results.get("training", {}).items():
        lines += [f"| {title} | epoch, s | of it in the loader |", "|---|---|---|"]
        for way, row in rows.items():
            lines.append(f"| {way} | {row['seconds']:.2f} | {row['loader']:.0%} |")
        lines.append("")
    if "kernels" in results:
        lines += ["| Kernel, 10^7 samples | ns an entry | the bus alone |", "|---|---|---|"]
        for name, row in results["kernels"].items():
            lines.append(f"| {name} | {row['ns']:.3g} | {row['bus']:.2g} |")
        lines.append("")
    where = results["machine"]
    made = ", ".join(f"{part} {commit}" for part, commit in sorted(results["commits"].items()))
    lines.append(f"{where['cpu']}, one thread, torch {where['torch']}; commits: {made}.")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and keep the results."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    options.add_argument("--small", action="store_true", help="a tenth of the data; not kept")
    options.add_argument("--out", type=Path, default=RESULTS)
    given = options.parse_args()
    parts = given.parts.split(",")
    if not set(parts) <= set(PARTS):
        options.error(f"--parts must be of {', '.join(PARTS)}, got {given.parts}")
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    if given.out.exists() and not given.small:  # parts that are not measured now stay
        results = json.loads(given.out.read_text())
    results["machine"] = machine()
    if "loading" in parts:
        results["loading"], results["workers"] = loading(given.small), workers(given.small)
    if "training" in parts:
        results["training"] = training(given.small)
    if "kernels" in parts:
        results["kernels"] = kernels(given.small)
    results.setdefault("commits", {}).update(
        dict.fromkeys(set(parts) - {"first-use"}, results["machine"]["commit"])
    )
    print(table(results))
    if not given.small:
        given.out.write_text(json.dumps(results, indent=1) + "\n")
    if "first-use" in parts:
        keep = [] if given.small else ["--json"]
        subprocess.run([sys.executable, str(HERE / "first_use.py"), *keep], check=True)


if __name__ == "__main__":
    main()
