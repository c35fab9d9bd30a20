"""Estimates of time and memory: how they scale, when the machine is measured, where they show."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sampling import engine
from sampling.cli import _select, app
from sampling.clustering import kmeans
from sampling.selection import METHODS, SelectionPlan, Stage, estimate, top
from sampling.selection.core import _estimate, _speed
from sampling.selection.core._estimate import said
from sampling.selection.core._speed import TYPICAL, Speeds
from selection.cases import DATA


@pytest.fixture
def probes(monkeypatch):
    """The probes made: each says that this machine is a typical one."""
    made = []

    def measured():
        made.append(engine.current())
        return TYPICAL

    monkeypatch.setattr(_speed, "_FOUND", {})
    monkeypatch.setattr(_speed, "measured", measured)
    return made


def seconds_at(monkeypatch, speeds, name, size, wide=64, **settings):
    monkeypatch.setattr(_speed, "_FOUND", {None: speeds})
    return estimate(name, size, wide, budget=0.1, **settings).seconds - _estimate._START


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_machine_half_as_fast_takes_twice_as_long(name, monkeypatch):
    half = Speeds(*(each / 2 for each in vars(TYPICAL).values()))
    fast, slow = (seconds_at(monkeypatch, each, name, 10**6) for each in (TYPICAL, half))
    assert slow == pytest.approx(2 * fast, rel=0.01)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_twice_the_rows_take_two_to_four_times_as_long(name, monkeypatch):
    """With as many clusters: linear in N, N log N, N M or N^2; `dpp`, `grad_match` N M^2."""
    given = {"clusters": 100} if "clusters" in METHODS[name].parameters else {}
    one, two = (seconds_at(monkeypatch, TYPICAL, name, n, **given) for n in (10**6, 2 * 10**6))
    assert 1.5 < two / one < (8.4 if name in {"dpp", "grad_match"} else 4.2)


@pytest.mark.parametrize(
    ("name", "sizes", "ratio"),
    [
        ("k_center", [{"budget": 1000}, {"budget": 10000}], 6),
        ("herding", [{"budget": 100}, {"budget": 1000}], 10),
        ("cluster_uniform", [{"clusters": 100}, {"clusters": 1000}], 10),
        ("kmq", [{"clusters": kmeans(DATA.embeddings, 2)}, {"clusters": 1000}], 800),
        ("leverage", [{"dimensions": 500}, {"dimensions": 1000}], 2.7),
        ("moderate", [{"dimensions": 500}, {"dimensions": 1000}], 2),
        ("d2", [{"dimensions": 500}, {"dimensions": 1000}], 1.9),
        ("root_leverage", [{"rounds": 2}, {"rounds": 4}], 1.4),
        ("dedup_text", [{"dimensions": 500}, {"dimensions": 1000}], 2.1),
        ("facility_location", [{"rounds": 2}, {"rounds": 1}], 2),  # 10^5 rows, M = 1,000
    ],
)
def test_sizes_that_cost(name, sizes, ratio, monkeypatch):
    monkeypatch.setattr(_speed, "_FOUND", {None: TYPICAL})
    one, two = (
        estimate(name, 10**5, **{"dimensions": 64, "budget": 1000, **each}).seconds
        for each in sizes
    )
    assert two / one > 0.9 * ratio
    if ratio < 800:
        assert two / one < 1.5 * ratio


def test_the_machine_is_measured_once_and_only_where_that_pays(probes):
    found = top(DATA.scores, 9)
    assert found.info["estimate"]["seconds"] < 0.1
    assert not probes  # a second would be longer than the selection
    estimate("top", 100)
    estimate("semdedup", 10**6, 64)
    assert len(probes) == 1
    with engine.use(engine.Local(1)):
        estimate("top", 100)
    assert [each.num_threads for each in probes] == [None, 1]
    _speed._FOUND.clear()
    _estimate.evaluate(METHODS["k_center"], 10**6, 512, 1, {}, 10**4)  # as a long call does
    assert len(probes) == 3


def test_the_probe_takes_about_a_second_and_reads_its_clock(monkeypatch):
    monkeypatch.setattr(_speed, "_SHARE", 0.01)
    found, slow = _speed.measured(), _speed.measured(lambda: 1000 * time.perf_counter())
    for name, speed in vars(found).items():
        assert 1e6 < speed < 1e14
        assert getattr(slow, name) < speed / 20


def test_estimates_in_words():
    assert said(0.031, 2**20) == "about 0.031 s and at most 1 MiB"
    assert said(119, 3 * 2**29) == "about 1.2e+02 s and at most 1.5 GiB"
    assert said(300, 2**30) == "about 5 min and at most 1 GiB"
    assert said(3600 * 5.5, 1) == "about 5.5 h and at most 1 B"
    assert said(86400 * 3, 1) == "about 3 days and at most 1 B"


@pytest.fixture
def table(tmp_path, monkeypatch, probes):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", DATA.embeddings)
    return Path("rows.npy")


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_dry_run_of_select_says_time_and_memory_and_writes_nothing(table, probes):
    found = run("select", "k_center", table, "--budget", "20", "--dry-run")
    assert found.exit_code == 0, found.output
    assert found.stdout.startswith("k_center of 211 rows: about 0.003")
    assert "s and at most 64.0" in found.stdout
    facts = json.loads(
        run("select", "k_center", table, "--budget", "20", "--dry-run", "--json").stdout
    )
    assert facts["rows"] == 211
    assert facts["memory"] == estimate("k_center", 211, 5, budget=20).memory
    assert probes
    assert [each.name for each in Path().iterdir()] == ["rows.npy"]
    wrong = run("select", "k_center", table, "--budget", "300", "--dry-run")
    assert (wrong.exit_code, "budget" in wrong.stderr) == (2, True)
    wrong = run("select", "k_center", table, "--budget", "20", "--dry-run", "--report", "a.html")
    assert "--report must be omitted with --dry-run" in wrong.stderr


def test_a_dry_run_within_a_subset(table):
    run("select", "k_center", table, "--budget", "50", "--out", "some.parquet")
    words = ["select", "k_center", table, "--budget", "20", "--within", "some.parquet"]
    assert run(*words, "--dry-run").stdout.startswith("k_center of 50 rows: about")


def test_long_work_is_announced(table, monkeypatch):
    words, lines = ["select", "k_center", table, "--budget", "20"], []
    plan = SelectionPlan(table, [Stage("k_center", 20), Stage("herding", 5)])
    assert not run(*words).stderr
    monkeypatch.setattr(_select, "LONG", 0.0)
    assert run(*words).stderr.startswith("estimate: about 0.003")
    monkeypatch.setattr("sampling.selection.pipeline._run.LONG", 0.0)
    plan.run("work", lines.append)
    assert lines[0].startswith("estimate: about 0.006")


PEAKS = """
import ctypes, gc, json, sys
from pathlib import Path
import numpy as np
from selection.cases import CALLS, DATA, Data

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

random, size = np.random.default_rng(0), int(sys.argv[1])
some = DATA.at(random.integers(0, len(DATA), size))
some.embeddings = random.normal(size=(size, 24)).astype(np.float32)
some.ids = random.permutation(size)
words = [f"word{i}" for i in range(300)]
some.texts = np.array([" ".join(each) for each in random.choice(words, (size, 8))])
found = {}
for name, call in CALLS.items():
    call(DATA, 60)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what is free already would hide what the call takes
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = status("VmRSS")
    info = call(some, size // 5).info
    found[name] = [status("VmHWM") - before, info["estimate"]["memory"]]
print(json.dumps(found))
"""


@pytest.mark.full
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
@pytest.mark.parametrize("size", [5_000, 20_000])
def test_no_selector_takes_more_memory_than_estimated(size):
    """The peak of the resident set: memory of any library counts."""
    command = [sys.executable, "-c", PEAKS, str(size)]
    paths = [str(Path(__file__).parents[2]), *sys.path]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == set(METHODS)
    over = {name: each for name, each in found.items() if each[0] > each[1]}
    assert not over
