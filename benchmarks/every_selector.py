"""Every selector of the registry once: seconds, beside what the registry expects.

    python benchmarks/every_selector.py [--size 100000] [--json FILE]

Arguments come from the signatures, by name, so that a new selector needs no line here. Methods that
compare rows with all others run on a fifth of the rows.
"""

import argparse
import inspect
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from harness import HERE, human, machine

if TYPE_CHECKING:
    from sampling.selection import Method

RESULTS = HERE / "results" / "every_selector.json"
DIMENSIONS, CLASSES = 64, 10
WORDS = [f"word{i}" for i in range(200)]


def data(size: int) -> dict[str, Any]:
    """Return what selectors ask for, by the names of their arguments."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, size)
    rows = random.standard_normal((size, DIMENSIONS), np.float32) + labels[:, None] % 3
    losses = random.gamma(2.0, size=size)
    return {
        "embeddings": rows,
        "rows": rows,
        "scores": losses,
        "quality": losses,
        "probabilities": random.uniform(0.01, 0.99, size),
        "inclusion": random.uniform(0.01, 0.99, size),
        "pi": random.uniform(0.01, 0.99, size),
        "perplexities": np.exp(random.normal(6, 1, size)),
        "confidence": random.beta(4, 2, size),
        "chosen": losses,
        "rejected": random.gamma(2.0, size=size),
        "labels": labels,
        "texts": [" ".join(each) for each in random.choice(WORDS, (size, 12)).tolist()],
        "p": 3.0,
        "target": random.gamma(3.0, size=1000),
        "holder_constant": 0.2,
    }


def compares_pairs(method: "Method") -> bool:
    """Return whether twice the rows take more than twice the products, with as many clusters."""
    from sampling.selection import Sizes

    one, two = (method.cost(Sizes(N=n, D=8, M=9, K=9, k=5)).products for n in (10**6, 2 * 10**6))
    return two > 2.5 * one


def call_of(name: str, size: int) -> tuple[Any, dict[str, Any]]:
    """Return the first argument of a selector and those without a default."""
    from sampling.clustering import kmeans
    from sampling.selection import METHODS

    given = data(size)
    first, *others = inspect.signature(METHODS[name].function).parameters.values()
    asked = {
        each.name: given[each.name]
        for each in others
        if each.default is each.empty and each.kind is each.KEYWORD_ONLY and each.name in given
    }
    if "quality" in [each.name for each in others]:
        asked["quality"] = given["quality"]
    if "center_losses" in [each.name for each in others]:
        asked["clusters"] = kmeans(given["embeddings"], 100)
        asked["center_losses"] = np.linspace(0.5, 2.0, 100)
        asked["holder_constant"] = 0.2
    return given[first.name], asked


def measured(size: int) -> dict[str, dict[str, float]]:
    """Run all of them; print and return seconds and what was expected."""
    from sampling.selection import METHODS

    rows = {}
    for name, method in sorted(METHODS.items()):
        count = size // 5 if compares_pairs(method) else size
        small, few = call_of(name, 500)
        method.function(small, 50, **few)  # compiles
        first, asked = call_of(name, count)
        start = time.perf_counter()
        found = method.function(first, count // 10, **asked)
        seconds = time.perf_counter() - start
        expected = found.info.get("estimate", {}).get("seconds")
        rows[name] = {"rows": count, "seconds": seconds, "expected": expected}
        print(f"{name:>20} {count:>9,} {human(seconds):>10} {human(expected):>10}", flush=True)
    return rows


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--json", type=Path, default=RESULTS)
    given = parser.parse_args()
    rows = measured(given.size)
    found = {"machine": machine(), "dimensions": DIMENSIONS, "budget": 0.1, "rows": rows}
    given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
