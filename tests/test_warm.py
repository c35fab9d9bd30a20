"""`sampling warm` compiles whatever the common paths need."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from sampling import _warm
from sampling.cli import app

# One process that finds all in its cache, if this test ran before: what is new after `warm`, it had
# not compiled.
_COMMON = """
import json, warnings
warnings.simplefilter("ignore")
import numpy as np, torch
from torch.utils.data import DataLoader
import sampling
from sampling import _warm, clustering, samplers, scores, selection
from sampling._numba import kernels
found = _warm.warm()
called = {name for each in kernels() for name in each.py_func.__code__.co_names}
names = [each.py_func.__name__ for each in kernels() if not each.signatures]
unreached = [name for name in names if name not in called]
before = {each: set(each.signatures) for each in kernels()}

labels = np.arange(500) % 3
train = sampling.Indexed(torch.arange(500.0))
sampler = samplers.InfoBatchSampler(train, num_epochs=3)
indices, x = next(iter(DataLoader(train, 32, sampler=sampler)))
sampler.reduce(x / 100, indices)
sampler.record(np.arange(500), np.arange(500) / 100)
sampler.set_epoch(1)
list(sampler)
for each in (
    samplers.ShuffleSampler(10**6),
    samplers.ClassBalancedSampler(labels), samplers.ClassBalancedSampler(["a", "b"] * 9),
    samplers.WeightedSampler(torch.ones(500)), samplers.SubsetSampler(range(9)),
    samplers.MixtureSampler([5, 7]), samplers.ImportanceSampler(500),
):
    for epoch in (0, 1):
        each.set_epoch(epoch)
        each.reduce(torch.ones(1), [next(iter(each))])
dynamics = scores.TrainingDynamics(500, 3)
dynamics.update(torch.arange(32), torch.zeros(32, 3), torch.from_numpy(labels[:32]))
rows = np.random.default_rng(0).normal(size=(600, 8)).astype(np.float32)
clustering.kmeans(rows, 10)
selection.semdedup(rows, threshold=0.9)
selection.k_center(torch.from_numpy(rows), 20)
selection.ccs(np.arange(600) / 7, 60, groups=np.arange(600) % 3)

new = {each.py_func.__name__: len(set(each.signatures) - before[each]) for each in kernels()}
print(json.dumps([unreached, {name: count for name, count in new.items() if count}]))
"""


@pytest.mark.full
def test_after_it_the_common_paths_compile_nothing():
    found = subprocess.run(
        [sys.executable, "-c", _COMMON], capture_output=True, text=True, check=True
    )
    unreached, new = json.loads(found.stdout)
    assert unreached == []
    assert new == {}


@pytest.mark.parametrize("kept", [True, False])
def test_the_command_says_where_and_how_many(monkeypatch, kept):
    folders = ("/cache/kernels",) if kept else ()
    monkeypatch.setattr(_warm, "warm", lambda progress: _warm.Warmed(folders, 82, 96, 3, kept))
    result = CliRunner().invoke(app, ["warm"])
    lines = result.stdout.splitlines()
    assert result.exit_code == (0 if kept else 1)
    assert lines[0] == "82 kernels: 96 variants compiled, 3 found in the cache"
    assert lines[1:] == (
        ["cache: /cache/kernels"]
        if kept
        else ["no cache folder is writable: nothing is saved; set NUMBA_CACHE_DIR"]
    )
    found = json.loads(CliRunner().invoke(app, ["warm", "--json"]).stdout)
    assert found == {"folders": list(folders), "kernels": 82, "compiled": 96, "loaded": 3,
                     "kept": kept}  # fmt: skip
