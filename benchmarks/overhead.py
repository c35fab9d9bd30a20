"""What recording and planning cost a real training run, against `losses.mean()`.

    python benchmarks/overhead.py                        every sampler, about six minutes
    python benchmarks/overhead.py InfoBatch --epochs 5   the samplers whose name contains the word
    python benchmarks/overhead.py --samples 3000         try it out; nothing is kept

A small CNN learns Fashion-MNIST (60,000 images; Debian's package dataset-fashion-mnist, or made-up
images of the same shape). Each epoch runs twice, in alternating order, each time on a model of its
own: once with the sampler, `reduce` and `set_epoch`, and once over the same samples with torch's
`SubsetRandomSampler` and `losses.mean()`. Two figures come out:

    direct      seconds inside `set_epoch`, dealing the batches and `reduce`, less those inside
                torch's sampler and `losses.mean()`, over the seconds of the plain epoch
    difference  of the seconds of the two epochs, over those of the plain one; it also counts what
                weights cost on the way back, and all the noise of two epochs
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from harness import machine, seconds
from torch.utils.data import BatchSampler, Sampler, SubsetRandomSampler

import sampling.samplers
from sampling.bench.tasks._builtin import load
from sampling.bench.tasks._models import RECIPES

RESULTS = Path(__file__).parent / "results" / "overhead.json"
RECIPE = RECIPES["fashion-mnist"]
RUN = 30  # epochs of the run that the samplers are told of
RATE = 0.02  # of learning, without a schedule
Result = TypeVar("Result")

SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {  # name -> class, and arguments
    "InfoBatch": ("InfoBatchSampler", {}),
    "dynamic random": ("DynamicRandomSampler", {}),
    "epsilon-greedy": ("EpsilonGreedySampler", {"objective": "original"}),
    "UCB": ("UCBSampler", {"refresh_every": 1}),
    "SeTa": ("SeTaSampler", {}),
    "KAKURENBO": ("KakurenboSampler", {}),
    "IES": ("IESSampler", {}),
    "Late Stopping": ("LateStoppingSampler", {}),
    "self-paced": ("SelfPacedSampler", {}),
    "variance budget": ("VarianceBudgetSampler", {}),
}


@dataclass
class Clock:
    """Seconds spent on choosing samples and reducing losses, apart from the model."""

    seconds: float = 0.0
    calls: dict[str, float] = field(default_factory=dict)

    def timed(self, name: str, work: Callable[[], Result]) -> Result:
        """Call, and add the seconds to a name."""
        start = time.perf_counter()
        result = work()
        elapsed = time.perf_counter() - start
        self.seconds += elapsed
        self.calls[name] = self.calls.get(name, 0.0) + elapsed
        return result

    def batches(self, batches: Iterable[list[int]]) -> Iterator[list[int]]:
        """Deal batches, timed."""
        iterator = self.timed("batches", lambda: iter(batches))
        while batch := self.timed("batches", lambda: next(iterator, None)):
            yield batch


def images(samples: int) -> tuple[torch.Tensor, torch.Tensor, str]:
    """Return the training images with those of the validation part, their classes, and a name."""
    try:
        data = load("fashion-mnist")
    except FileNotFoundError:
        random = np.random.default_rng(0)
        x = torch.from_numpy(random.standard_normal((samples, 1, 28, 28), np.float32))
        return x, torch.from_numpy(random.integers(0, 10, samples)), "made-up images"
    x, y = torch.cat([data.train.x, data.val.x]), torch.cat([data.train.y, data.val.y])
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(y))[:samples])
    return x[order], y[order], "Fashion-MNIST"


class Side:
    """A model in training, by one of the two loops."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.x, self.y = x, y
        torch.manual_seed(0)
        self.model = RECIPE.model(10)
        self.optimizer = RECIPE.optimizer(self.model.parameters())
        for group in self.optimizer.param_groups:
            group["lr"] = RATE
        self.model.train()

    def epoch(
        self, clock: Clock, sampler: Sampler[int], reduce: Callable[..., torch.Tensor]
    ) -> None:
        """Train over the draws of a sampler."""
        for batch in clock.batches(BatchSampler(sampler, RECIPE.batch_size, False)):
            indices = torch.tensor(batch)
            logits, labels = self.model(self.x[indices]), self.y[indices]
            losses = F.cross_entropy(logits, labels, reduction="none")
            given = {"logits": logits, "labels": labels}
            loss = clock.timed("reduce", partial(reduce, losses, indices, **given))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


def compared(name: str, x: torch.Tensor, y: torch.Tensor, epochs: int) -> dict[str, Any]:
    """Return the times of both loops, epoch by epoch; the first is all the data, and warms up.

    Both loops of an epoch have its samples: the sampler knows them once `set_epoch` is done.
    """
    kind, arguments = SAMPLERS[name]
    sampler = getattr(sampling.samplers, kind)(len(y), RUN, **arguments)
    ours, plain = Side(x, y), Side(x, y)
    found: dict[str, Any] = {"ours s": [], "plain s": [], "direct s": [], "draws": [], "calls": []}
    for epoch in range(epochs + 1):
        clock, plain_clock = Clock(), Clock()
        clock.timed("set_epoch", lambda epoch=epoch: sampler.set_epoch(epoch))
        dealt = sampler.indices(epoch).tolist()
        loops: dict[str, Callable[[], object]] = {
            "ours": lambda clock=clock: ours.epoch(clock, sampler, sampler.reduce),
            "plain": lambda clock=plain_clock, dealt=dealt: plain.epoch(
                clock, SubsetRandomSampler(dealt), lambda losses, rows, **more: losses.mean()
            ),
        }
        order = list(loops) if epoch % 2 else list(loops)[::-1]
        times = {each: seconds(loops[each]) for each in order}
        if epoch == 0:
            continue
        found["ours s"].append(times["ours"] + clock.calls["set_epoch"])
        found["plain s"].append(times["plain"])
        found["direct s"].append(clock.seconds - plain_clock.seconds)
        found["draws"].append(len(dealt))
        found["calls"].append({"ours": clock.calls, "plain": plain_clock.calls})
    return found


def summary(found: dict[str, Any]) -> dict[str, float]:
    """Return the medians over epochs, in per cent of a plain epoch."""
    triples = zip(found["ours s"], found["plain s"], found["direct s"], strict=True)
    parts = [((ours - plain) / plain, direct / plain) for ours, plain, direct in triples]
    return {
        "direct %": 100 * statistics.median(direct for _, direct in parts),
        "direct %, worst epoch": 100 * max(direct for _, direct in parts),
        "difference %": 100 * statistics.median(difference for difference, _ in parts),
        "plain epoch s": statistics.median(found["plain s"]),
    }


def main() -> None:
    """Train with the samplers asked for and keep the results of the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="?", default="", help="part of a sampler's name")
    parser.add_argument("--epochs", type=int, default=4, help="timed ones; one more warms up")
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--threads", type=int, help="of torch; its default otherwise")
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    results: dict[str, Any] = {"rows": {}, "left_out": []}
    if RESULTS.exists() and given.only:
        results = json.loads(RESULTS.read_text())
    results["left_out"] = []
    x, y, source = images(given.samples)
    for name, (kind, _) in SAMPLERS.items():
        if not hasattr(sampling.samplers, kind):
            results["left_out"].append(name)
            print(f"left out: {name} (no {kind})")
        elif given.only in name:
            found = compared(name, x, y, given.epochs)
            results["rows"][name] = {**summary(found), **found}
            text = ", ".join(f"{key} {value:.2f}" for key, value in summary(found).items())
            print(f"{name}: {text}", flush=True)
    results.update(machine=machine(), data=source, samples=len(y), batch=RECIPE.batch_size)
    if given.samples == 60_000:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
