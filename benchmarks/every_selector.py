"""Every selector of the registry once: seconds, next to what the registry expects.

    python benchmarks/every_selector.py [--size 1000000] [--only dpp,top] [--json FILE]

Arguments come from the signatures, by name, so that a new selector needs no line here. Methods that
compare rows with all others run on a fifth of the rows, and one that is expected to take more than
ten seconds on a fifth of these, and so on. Seconds are those of the processor, of one thread, and
the speed of the machine that the registry's estimate multiplies is measured in them too: on a
machine with other work the clock on the wall says little. With `--only`, the rows of a run
replace those of the same name in the results. The table in the README is written from all of them.
"""

import argparse
import inspect
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from harness import HERE, human, machine, put

if TYPE_CHECKING:
    from sampling.selection import Method

RESULTS = HERE / "results" / "every_selector.json"
BEGIN, END = "<!-- every selector -->", "<!-- end of every selector -->"
DIMENSIONS, CLASSES = 64, 10
LONGEST = 10  # seconds that a row may take, by its estimate
MOST = {"dpp": 1000, "glister": 300, "grad_match": 300, "graph_cut": 300, "herding": 300,
        "k_center": 1000, "k_dpp": 50}  # picks: each costs O(N)  # fmt: skip
LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))


def data(size: int, *, texts: bool = True) -> dict[str, Any]:
    """Return what selectors ask for, by the names of their arguments."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, size)
    rows = random.standard_normal((size, DIMENSIONS), np.float32) + labels[:, None] % 3
    losses = random.gamma(2.0, size=size)
    picks = random.integers(0, 10_000, (size * texts, 12))
    return {
        "embeddings": rows,
        "gradients": rows,
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
        "texts": [" ".join(each) for each in words(random)[picks].tolist()],
        "p": 3.0,
        "target": random.gamma(3.0, size=1000),
        "holder_constant": 0.2,
        "validation": lambda change: change - 1.0,
    }


def words(random: np.random.Generator) -> np.ndarray:
    """Return 10,000 words of 6 random letters: texts of them share few n-grams."""
    return np.array(["".join(each) for each in random.choice(LETTERS, (10_000, 6)).tolist()])


def compares_pairs(method: "Method") -> bool:
    """Return whether twice the rows take more than twice the products, with as many clusters."""
    from sampling.selection import Sizes

    one, two = (method.cost(Sizes(N=n, D=8, M=9, K=9, k=5)).products for n in (10**6, 2 * 10**6))
    return two > 2.5 * one


def call_of(name: str, size: int) -> tuple[Any, dict[str, Any]]:
    """Return the first argument of a selector and those without a default."""
    from sampling.clustering import kmeans
    from sampling.selection import METHODS

    given = data(size, texts=METHODS[name].needs == "texts")
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


def expected(name: str, count: int, budget: int) -> float:
    """Return the seconds that a selector is expected to take."""
    from sampling.selection import METHODS, estimate

    method = METHODS[name]
    wide = DIMENSIONS if method.wide or "embeddings" in method.parameters else None
    return estimate(name, count, wide, budget=budget, classes=CLASSES).seconds


def measured(name: str, size: int) -> dict[str, float]:
    """Run a selector; print and return its rows, picks, seconds and what was expected."""
    from sampling.selection import METHODS
    from sampling.selection.core import _speed

    method = METHODS[name]
    if 1 not in _speed._FOUND:
        _speed._FOUND[1] = _speed.measured(time.process_time)
    count = size // 5 if compares_pairs(method) else size
    while expected(name, count, min(count // 10, MOST.get(name, count))) > LONGEST:
        count //= 5
    budget = min(count // 10, MOST.get(name, count))
    small, few = call_of(name, 500)
    method.function(small, 50, **few)  # compiles
    first, asked = call_of(name, count)
    start, used = time.perf_counter(), time.process_time()
    found = method.function(first, budget, **asked)
    row = {
        "rows": count,
        "budget": budget,
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - used,
        "expected": found.info.get("estimate", {}).get("seconds"),
    }
    print(
        f"{name:>20} {count:>9,} {budget:>7,} {human(row['seconds']):>10} {human(row['cpu']):>10} "
        f"{human(row['expected']):>10}",
        flush=True,
    )
    return row


def table(found: dict[str, Any]) -> str:
    """Return the README's table of the results."""
    lines = [
        "| Selector | Rows | Picks | CPU | Expected | Ratio |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in sorted(found["rows"].items()):
        picks = row.get("budget", row["rows"] // 10)
        cpu, ratio = human(row["cpu"]), row["cpu"] / row["expected"]
        lines.append(
            f"| `{name}` | {row['rows']:,} | {picks:,} | {cpu} | {human(row['expected'])} | "
            f"{ratio:.2g} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run, print, keep, write the table."""
    from sampling import engine
    from sampling.selection import METHODS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--only", default="")
    parser.add_argument("--json", type=Path, default=RESULTS)
    given = parser.parse_args()
    known = json.loads(given.json.read_text())["rows"] if given.only else {}
    for name in given.only.split(",") if given.only else sorted(METHODS):
        with engine.use(engine.Local(1)):
            known[name] = measured(name, given.size)
        rows = {each: known[each] for each in sorted(known)}
        found = {"machine": machine(), "dimensions": DIMENSIONS, "rows": rows}
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    if given.json == RESULTS:
        put(table(found), BEGIN, END)


if __name__ == "__main__":
    main()
