import numpy as np
import pytest
import torch

from sampling.bench import Results, Run, Task
from sampling.bench.results._store import save_details
from sampling.bench.tasks._data import data_of

HOSTILE = ("<script>alert(1)</script>", "a\"b'<img src=http://x.y/z>", "$x_1$ & 50% \\_#{}~^", "_a")


def curve(end, cost, epochs=4):
    """Return a validation curve that reaches its end at once, and its costs."""
    return [end - 0.5, *[end] * (epochs - 1)], [cost * (at + 1) / epochs for at in range(epochs)]


def run(method, keep, seed, test, **more):
    values, costs = curve(test, more.get("total_cost", keep))
    fields = {
        "draws": 100,
        "cost": keep,
        "total_cost": keep,
        "seconds": {"selecting": 0.5, "scoring": 0.0, "training": 10 * keep, "evaluating": 9.0},
        "val_curve": values,
        "cost_curve": costs,
    }
    return Run(method, keep, seed, keep, test=test, **{**fields, **more})


def results_of(rows, seeds=5, metric="accuracy", **about):
    """Return results of rows (method, keep) -> mean, with a spread over seeds."""
    spread = [0.0, 0.001, -0.001, 0.002, -0.002] * (seeds // 5 + 1)
    runs = [
        run(method, keep, seed, mean + spread[seed] * (1 + 0.3 * ((at + seed) % 3)))
        for at, ((method, keep), mean) in enumerate(rows.items())
        for seed in range(seeds)
    ]
    return Results(
        {"dataset": "things", "epochs": 4, "batch_size": 8, "protocol": "samples"},
        metric,
        runs=runs,
        about={"samples": 64, "test_samples": 1000, "classes": 4, **about},
        calibration={"sample_seconds": 0.5, "forward_ratio": 0.3},
        plan={"keep": [0.5], "methods": ["<b>"]},
        notes=["A <note>."],
        calls={"one": {"begun": "2030", "commit": "c0ffee", "versions": {"sampling": "9.9"}}},
    )


@pytest.fixture
def results():
    return results_of(
        {
            ("full", 1.0): 0.9,
            ("random", 0.5): 0.88,
            ("mine", 0.5): 0.9,
            ("yours", 0.5): 0.86,
            ("mine", 0.1): 0.7,
        }
    )


def make_data(examples=None, **more):
    """Return data of 64 training samples of 4 classes, images of 8 x 8."""
    x = torch.linspace(0, 1, 64 * 64).reshape(64, 1, 8, 8)
    y = torch.arange(64) % 4
    return data_of(
        Task((x, y), (x[:20], y[:20]), lambda: torch.nn.Linear(64, 4), val=(x[:8], y[:8]),
             examples=examples, batch_size=8, **more)
    )  # fmt: skip


def keep_details(results, folder):
    """Write what the runs kept of their samples: `mine` never draws the first half."""
    for each in results.runs:
        shift = {"mine": 0, "yours": 1}.get(each.method, 2)
        counts = np.full(64, 2, np.uint8)
        counts[:32] = shift
        outcomes = (np.arange(20) % 4).astype(np.uint8)
        outcomes[: shift + 1] = 3
        save_details(folder, each, {"counts": counts, "outcomes": outcomes})
