"""The kit over other people's samplers: what they keep and break, with their versions.

`python -m testing.peers` in `tests/` prints the table; `--write` stores it in benchmarks/results.
"""

import argparse
import contextlib
import importlib.metadata
import io
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from sampling.testing._outcomes import BATCHES, SAMPLER
from sampling.testing._registry import CHECKS, LETTERS
from sampling.testing._report import report_on

N = 103
LABELS = np.arange(N) ** 2 % 7
STORED = Path(__file__).parents[2] / "benchmarks" / "results" / "contract-peers.json"
PACKAGES = ("torch", "torchdata", "pytorch-metric-learning")
MARKS = {"pass": "yes", "fail": "**no**", "not applicable": ""}


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def torchs():
    """Return (name, kind, factory) of each sampler of torch, as its users make them."""

    def random(size=N):
        return RandomSampler(range(size))

    def random_generator(size=N, seed=0):
        return RandomSampler(range(size), generator=seeded(seed))

    def sequential(size=N):
        return SequentialSampler(range(size))

    def subset(seed=0):
        return SubsetRandomSampler(range(0, N, 2), generator=seeded(seed))

    def weighted(seed=0):
        return WeightedRandomSampler(1.0 + np.arange(N) % 5, N, generator=seeded(seed))

    def batches(size=N, seed=0, drop_last=False):
        return BatchSampler(random_generator(size, seed), 4, drop_last)

    def distributed(size=N, seed=0, num_replicas=None, rank=None, drop_last=False):
        return DistributedSampler(range(size), num_replicas, rank, True, seed, drop_last)

    def distributed_batches(size=N, seed=0, num_replicas=None, rank=None, drop_last=False):
        return BatchSampler(distributed(size, seed, num_replicas, rank), 4, drop_last)

    yield "RandomSampler", SAMPLER, random
    yield "RandomSampler(generator=)", SAMPLER, random_generator
    yield "SequentialSampler", SAMPLER, sequential
    yield "SubsetRandomSampler(generator=)", SAMPLER, subset
    yield "WeightedRandomSampler(generator=)", SAMPLER, weighted
    yield "BatchSampler(RandomSampler(generator=))", BATCHES, batches
    yield "DistributedSampler", SAMPLER, distributed
    yield "BatchSampler(DistributedSampler)", BATCHES, distributed_batches


def torchdatas():
    from torchdata.stateful_dataloader.sampler import (
        BatchSampler,
        RandomSampler,
        StatefulDistributedSampler,
    )

    def random(size=N, seed=0):
        return RandomSampler(range(size), generator=seeded(seed))

    def batches(size=N, seed=0, drop_last=False):
        return BatchSampler(random(size, seed), 4, drop_last)

    def distributed(size=N, seed=0, num_replicas=None, rank=None, drop_last=False):
        return StatefulDistributedSampler(range(size), num_replicas, rank, True, seed, drop_last)

    yield "RandomSampler(generator=)", SAMPLER, random
    yield "BatchSampler(RandomSampler(generator=))", BATCHES, batches
    yield "StatefulDistributedSampler", SAMPLER, distributed


def metric_learnings():
    from pytorch_metric_learning.miners import TripletMarginMiner
    from pytorch_metric_learning.samplers import (
        FixedSetOfTriplets,
        HierarchicalSampler,
        MPerClassSampler,
        TuplesToWeightsSampler,
    )

    points = torch.randn(N, 2, generator=seeded(0))
    labelled = [(point, int(label)) for point, label in zip(points, LABELS, strict=True)]

    def per_class():
        return MPerClassSampler(LABELS, 4, length_before_new_iter=112)

    def triplets():
        return FixedSetOfTriplets(LABELS, 34)

    def hierarchical():
        labels = np.stack([np.arange(N) % 12, np.arange(N) % 12 // 2], axis=1)
        return HierarchicalSampler(labels, batch_size=8, samples_per_class=2)

    def tuples():
        miner = TripletMarginMiner()
        return TuplesToWeightsSampler(
            torch.nn.Identity(), miner, labelled, dataloader_num_workers=0, data_device="cpu"
        )

    yield "MPerClassSampler", SAMPLER, per_class
    yield "FixedSetOfTriplets", SAMPLER, triplets
    yield "TuplesToWeightsSampler", SAMPLER, tuples
    yield "HierarchicalSampler", BATCHES, hierarchical


SOURCES = dict(zip(PACKAGES, (torchs, torchdatas, metric_learnings), strict=True))


def versions():
    return {name: importlib.metadata.version(name).partition("+")[0] for name in PACKAGES}


def run():
    """Return {versions, peers: {package: {name: {kind, results: {id: [status, seen]}}}}}."""
    peers = {}
    for package, source in SOURCES.items():
        peers[package] = {}
        for name, kind, factory in source():
            with contextlib.redirect_stderr(io.StringIO()):  # progress bars
                report = report_on(name, factory, kind, size=N)
            results = {each.id: [each.status, each.seen] for each in report.results}
            peers[package][name] = {"kind": kind, "results": results}
    return {"versions": versions(), "peers": peers}


def statuses(found):
    """Return the part of a run that a repeat must equal: (package, sampler, line) -> status."""
    return {
        (package, name, line): status
        for package, samplers in found["peers"].items()
        for name, sampler in samplers.items()
        for line, (status, _) in sampler["results"].items()
    }


def markdown(found):
    """Return the table, and below it what was seen in each failure."""
    said = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    out = [
        "# The contract, and the samplers of others",
        "",
        f"Generated by `python -m testing.peers --write` in `tests/`, with {said}. "
        f"N = {N}, no worker processes. Empty: the line does not apply. Many of these samplers "
        "were not made for resuming or for ranks; the table says what to expect, not who is to "
        "blame.",
        "",
    ]
    seen = {line for _, _, line in statuses(found)}
    ids = sorted(seen, key=lambda line: (LETTERS.index(line[0]), int(line[1:])))
    out += ["| sampler | " + " | ".join(ids) + " |", "|---" * (len(ids) + 1) + "|"]
    for package, samplers in found["peers"].items():
        for name, sampler in samplers.items():
            cells = [MARKS[sampler["results"].get(line, ["not applicable"])[0]] for line in ids]
            out.append(f"| {package} `{name}` | " + " | ".join(cells) + " |")
    out += ["", "## Lines", "", *(f"- {line}: {CHECKS[line].title}" for line in ids)]
    out += ["", "## What was seen", ""]
    for package, samplers in found["peers"].items():
        for name, sampler in samplers.items():
            failed = {
                k: seen for k, (status, seen) in sampler["results"].items() if status == "fail"
            }
            if failed:
                out += [
                    f"### {package} `{name}`",
                    "",
                    *(f"- {k}: {v}" for k, v in failed.items()),
                    "",
                ]
    return "\n".join(out).rstrip() + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="store the table and its JSON")
    found = run()
    if parser.parse_args().write:
        STORED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        STORED.with_suffix(".md").write_text(markdown(found), encoding="utf-8")
    else:
        sys.stdout.write(markdown(found))


if __name__ == "__main__":
    main()
