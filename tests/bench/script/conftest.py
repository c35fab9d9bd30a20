"""Runs of a script in this process, and small scripts for processes of their own."""

import json
import os
import time
from dataclasses import asdict

import numpy as np
import pytest

from sampling.bench.script import _files, _session
from sampling.bench.training._train import Job

SIZE = 60
LABELS = np.arange(SIZE) % 3
ROWS = np.random.default_rng(0).normal(size=(SIZE, 4)).astype(np.float32)


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Return a function that makes this process a run of the benchmark."""

    def start(method="full", keep=1.0, *, seed=0, first=False, epochs=3, **more):
        _session._SESSIONS.clear()
        path = tmp_path / f"order-{len(list(tmp_path.iterdir()))}" / "order.json"
        path.parent.mkdir()
        fields = {"budget": keep, "epochs": epochs, "full_epochs": epochs, "batch_size": 20}
        fields |= {name: more.pop(name) for name in list(more) if name in {*fields, "cost_limit"}}
        job = Job(method, keep, seed, **fields)
        known = {"size": 0 if first else SIZE, "batch_size": 20, **more}
        order = _files.Order(asdict(job), str(tmp_path), os.getpid(), time.time(), first, **known)
        _files.write(path, order)
        monkeypatch.setenv(_files.JOB, str(path))

        def answer():
            return json.loads(_files.answer_beside(path).read_text())

        return answer

    yield start
    _session._SESSIONS.clear()


@pytest.fixture(autouse=True)
def outside(monkeypatch):
    """Nothing of an outer benchmark."""
    monkeypatch.delenv(_files.JOB, raising=False)
    _session._SESSIONS.clear()
