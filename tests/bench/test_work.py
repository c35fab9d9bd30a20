"""What a worker does around a run: the data of a seed, what is kept, what fails."""

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from sampling import bench
from sampling.bench import _work
from sampling.bench._work import Pool, Worker, failed, of_seed
from sampling.bench.results._run import FAILED, Run
from sampling.bench.tasks._data import data_of
from sampling.bench.training._train import Job

SEVENTY = np.arange(210) % 3


def task(**changes):
    """Return data whose inputs say the class: 100 times it, but for the noise of a copy."""
    x = np.c_[100.0 * SEVENTY, np.arange(210) / 1000].astype(np.float32)
    return bench.Task((x, SEVENTY), (x, SEVENTY), lambda: nn.Linear(2, 3), val=(x, SEVENTY),
                      batch_size=16, **changes)  # fmt: skip


def test_integers_are_kept_small_and_whole():
    arrays = {
        "small": np.array([0, 255]),
        "larger": np.array([0, 256]),
        "negative": np.array([-1, 3]),
        "float": np.array([0.1]),
        "none": np.array([], np.int64),
    }
    found = _work._small(arrays)
    types = {name: array.dtype.name for name, array in found.items()}
    assert types == {"small": "uint8", "larger": "uint16", "negative": "int64", "float": "float64",
                     "none": "uint8"}  # fmt: skip
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_a_run_that_raises_has_the_budget_that_it_would_have():
    try:
        raise ValueError  # without words
    except ValueError as error:
        run = failed(Job("rs2", 0.5, 2, 0.5, 8, 4, 16), error)
    assert (run.place, run.budget, run.state) == (("rs2", 0.5, 2), 1.0, FAILED)
    assert run.reason.startswith("ValueError: ValueError (test_work.py, line ")


def test_labels_are_made_wrong_after_the_copies_of_a_long_tail():
    """In the other order a copy of a wrong label would be wrong too: another share."""
    settings = bench.Settings(task(), imbalance=4.0, near_copies=0.5, label_noise=0.2)
    made = of_seed(data_of(task()), settings, 3)
    assert len(made.train) == 70 + 35 + 18  # 70 * 4 ** -c / 2
    true = (made.train.x[:, 0].numpy() / 100).round().astype(int)
    for c in range(3):
        here = true == c
        assert (made.labels()[here] != c).sum() == round(0.2 * here.sum())
    for field in ("imbalance", "near_copies", "label_noise"):
        one = bench.Settings(task(), **{field: getattr(settings, field)})
        first, same, other = (of_seed(data_of(task()), one, seed).train for seed in (0, 0, 1))
        assert first.x.equal(same.x)
        assert first.y.equal(same.y)
        assert not (first.x.equal(other.x) and first.y.equal(other.y))


def test_a_run_and_its_pilot_have_the_data_of_their_seed(tmp_path, monkeypatch):
    seen = []

    def train(job, method, data, *, score_of, calibration, **_):
        if calibration:  # not the small run by which it is compiled
            pilot = score_of.__self__
            assert pilot._data is data
            seen.append((job.seed, pilot._seed, data.labels()))
        return Run(*job_place(job), job.budget, test=0.5), {}

    monkeypatch.setattr(_work, "train", train)
    settings = bench.Settings(task(), label_noise=0.2, device="cpu", out=tmp_path).checked()
    worker = Worker(settings, tmp_path, data_of(task()))
    for seed in (0, 1, 1, 0):
        worker.run(Job("full", 1.0, seed, 1.0, 1, 1, 16), {"sample_seconds": 1.0})
    assert [pair[:2] for pair in seen] == [(0, 0), (1, 1), (1, 1), (0, 0)]
    for seed, _, labels in seen:
        np.testing.assert_array_equal(labels, data_of(task()).noisy(0.2, seed).labels())


def job_place(job):
    return job.method, job.keep, job.seed


def test_all_runs_of_a_pool_are_lost_with_one_of_its_processes(monkeypatch):
    made = []

    class Executor:
        def __init__(self):
            made.append(self)

        def shutdown(self, **_):
            made.append("shutdown")

    monkeypatch.setattr(Pool, "_made", lambda self, size: Executor())
    pool = Pool(bench.Settings(), Path(), 3, 1)
    done, killed, pending = Future(), Future(), Future()
    done.set_result("a run")
    killed.set_exception(BrokenProcessPool())
    pool._running = {done: "one", killed: "two", pending: "three"}
    assert pool.free == 0
    assert set(pool.done()) == {("one", "a run"), ("two", None), ("three", None)}
    assert pool.is_idle
    assert pool.free == 3
    assert len(made) == 3  # the first, its end, and the next
    assert pool._executor is made[-1]


@pytest.mark.parametrize("limit", [40, None])
def test_the_limit_comes_before_the_batch_is_checked(tmp_path, limit):
    settings = bench.Settings(task(), limit=limit, batch_size=40, out=tmp_path).checked()
    data = _work.prepared(settings, tmp_path)
    assert len(data.train) == (limit or 210)
