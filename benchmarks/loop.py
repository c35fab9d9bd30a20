"""The loop around a sampler: what loading costs, alone and as a share of a training epoch.

    python benchmarks/loop.py                     loading and training, about ten minutes
    python benchmarks/loop.py --parts loading     one of the two
    python benchmarks/loop.py --small             a tenth of the data, to try it out

Loading is measured as processor time of one thread, in nanoseconds a row, in batches of 256; the
ways to load run in turn, A B C A B C ..., and the smallest of three passes is kept, since all else
that the machine does only adds to it. The limit is a contiguous copy of the same bytes. Worker
processes use other cores, so they are measured in wall time, with the same loop without them.

The data are random: neither loading nor the time of a step depends on their values. The shapes are
those of Fashion-MNIST as bytes and as floats, and of 63,666 texts with embeddings of 384 floats.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from harness import HERE, machine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from sampling import Indexed
from sampling.loading import TensorLoader
from sampling.samplers import EpochBatchSampler, ShuffleSampler

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
    where = results["machine"]
    lines.append(f"{where['cpu']}, one thread, torch {where['torch']}, commit {where['commit']}.")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and keep the results."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--parts", default="loading,training", help="of loading,training")
    options.add_argument("--small", action="store_true", help="a tenth of the data; not kept")
    options.add_argument("--out", type=Path, default=RESULTS)
    given = options.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {"machine": machine()}
    if "loading" in given.parts:
        results["loading"], results["workers"] = loading(given.small), workers(given.small)
    if "training" in given.parts:
        results["training"] = training(given.small)
    print(table(results))
    if not given.small:
        given.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
