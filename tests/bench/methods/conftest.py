import numpy as np
import pytest
from torch import nn

from sampling import bench
from sampling.bench import _benchmark
from sampling.bench.methods._named import EQUAL_COST


@pytest.fixture(autouse=True)
def calibration(monkeypatch):
    """Measure no seconds: that takes four of them."""
    fixed = {"sample_seconds": 1e-4, "forward_ratio": 1 / 3}
    monkeypatch.setattr(_benchmark, "calibrated", lambda *_: fixed)


@pytest.fixture
def task():
    """Return a maker of a task of 90 samples in three classes, by default with its own val."""

    def make(per_class=30, dimensions=6, *, split=False, **changes):
        generator = np.random.RandomState(0)  # noqa: NPY002
        y = np.arange(3 * per_class) % 3
        x = generator.normal(size=(y.size, dimensions)).astype(np.float32)
        x[:, :3] += 2.0 * np.eye(3, dtype=np.float32)[y]
        fields = {"epochs": 4, "batch_size": 16, "threads": 1, "name": "toy"}
        if not split:
            fields["val"] = (x[:12], y[:12])
        fields |= changes
        given = {"train": (x, y), "test": (x, y), "model": lambda: nn.Linear(dimensions, 3)}
        return bench.Task(**{**given, **fields})

    return make


@pytest.fixture
def runs_of(tmp_path, task):
    """Return a function that runs methods once, without controls of equal cost: name -> run."""

    def run(names, *, keep=0.3, data=None, out="out", **settings):
        given = {"seeds": 1, "jobs": 1, "device": "cpu", "without": (EQUAL_COST,), **settings}
        given |= {"keep": (keep,), "out": tmp_path / out}
        benchmark = bench.prepare(bench.Settings(data or task(), methods=tuple(names), **given))
        results = benchmark.run(progress=False)
        return {run.method: run for run in results.runs if run.method in names}

    return run
