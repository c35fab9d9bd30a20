"""Figures of an epoch: those that its draws and weights show."""

import numpy as np
import pandas as pd
import pytest

from sampling.samplers import (
    EpochBatchSampler,
    ImportanceSampler,
    InfoBatchSampler,
    ShuffleSampler,
    WeightedSampler,
)
from sampling.samplers.core import _plan

N = 500


def by_counting(sampler, groups):
    draws = sampler.indices(sampler.epoch)
    weights = sampler.weights_for(draws).astype(np.float64)
    found = {
        "draws": len(draws),
        "draws_per_sample": len(draws) / N,
        "kept": len(set(draws.tolist())) / N,
        "mean_weight": weights.mean(),
        "effective_sample_size": weights.sum() ** 2 / (weights**2).sum(),
    }
    for name in sorted(set(groups)):
        rows = [row for row in range(N) if groups[row] == name]
        found[f"excluded/{name}"] = sum(row not in set(draws.tolist()) for row in rows) / len(rows)
    return found


def made():
    losses = np.random.default_rng(0).gamma(2.0, size=N)
    yield ShuffleSampler(N, num_samples=120)
    yield WeightedSampler(losses, objective="original")
    for sampler in (InfoBatchSampler(N, 9), ImportanceSampler(N, min_gain=1.0)):
        sampler.record(np.arange(N), losses)
        sampler.set_epoch(1)
        yield sampler


@pytest.mark.parametrize("sampler", list(made()), ids=lambda sampler: type(sampler).__name__)
def test_they_are_those_of_counting(sampler):
    groups = ["ab"[row % 3 == 0] for row in range(N)]
    found = sampler.metrics(groups)
    assert found == pytest.approx(by_counting(sampler, groups), rel=1e-9)
    assert EpochBatchSampler(sampler, 8).metrics() == {
        name: each for name, each in found.items() if "/" not in name
    }


def test_large_epochs_are_estimated(monkeypatch):
    sampler = next(each for each in made() if isinstance(each, ImportanceSampler))
    exact = sampler.metrics()
    monkeypatch.setattr(_plan, "_MOST", 100)
    monkeypatch.setattr(_plan, "_BLOCK", 200)
    found = sampler.metrics()
    assert found.keys() == exact.keys() - {"kept"}
    for name, each in found.items():
        assert each == pytest.approx(exact[name], rel=0.25)


def test_groups_of_pandas_with_missing_values():
    groups = pd.Series(["a", None] * (N // 2), index=np.arange(N) + 7)
    found = ShuffleSampler(N).metrics(groups)
    assert {name for name in found if "/" in name} == {"excluded/a"}
    with pytest.raises(ValueError, match=r"groups must have 500 .*got 3|groups .* 3"):
        ShuffleSampler(N).metrics(["a", "b", "c"])
