"""A subset file as a method."""

import numpy as np
import pytest

from sampling import Selection, bench
from sampling.bench.methods._method import DRAWS, LOSSES, Rows
from sampling.bench.methods._named import EQUAL_COST, method_named, resolved
from sampling.bench.results._run import DONE
from sampling.bench.results._store import load_details
from sampling.selection import samplemix


def saved(path, indices, **fields):
    Selection(np.array(indices, np.int64), **fields).save(path)
    return str(path)


def test_it_runs_at_its_own_keep_fraction_with_its_controls(runs_of, tmp_path):
    name = saved(tmp_path / "chosen.parquet", np.arange(0, 90, 2), size=90)
    runs = runs_of((name, "rs2"), keep=0.3)
    assert (runs[name].keep, runs[name].cost, runs[name].state) == (0.5, 0.5, DONE)
    counts = load_details(tmp_path / "out", runs[name])["counts"]
    assert np.array_equal(np.flatnonzero(counts), np.arange(0, 90, 2))
    settings = bench.Settings(methods=(name,), out=tmp_path / "out")
    assert EQUAL_COST + name not in settings.all_methods  # what choosing cost is not known


def test_rows_are_those_of_the_whole_training_set_before_validation_is_split_off(
    runs_of, task, tmp_path
):
    data = task(split=True)
    origin = bench.prepare(bench.Settings(data, out=tmp_path / "other")).data.origin
    assert 70 < origin.size < 90
    name = saved(tmp_path / "half.parquet", np.arange(45), size=90)
    (run,) = runs_of((name,), data=data).values()
    here = np.flatnonzero(origin < 45)
    counts = load_details(tmp_path / "out", run)["counts"]
    assert np.array_equal(np.flatnonzero(counts), here)
    assert run.keep == here.size / origin.size == run.cost
    assert run.setting == {"kept": here.size, "not_in_training": 45 - here.size}


def test_limited_and_long_tailed_data_keep_the_rows(runs_of, tmp_path):
    name = saved(tmp_path / "most.parquet", np.arange(80), size=90)
    (run,) = runs_of((name,), limit=60).values()
    assert run.state == DONE
    assert run.cost == run.keep == run.setting["kept"] / 60
    (run,) = runs_of((name,), imbalance=3.0, out="tail").values()
    assert run.state == DONE
    assert run.setting["kept"] + run.setting["not_in_training"] == 80


def test_weights_are_those_of_the_file(runs_of, tmp_path):
    weights = np.linspace(1, 3, 20)
    name = saved(tmp_path / "heavy.parquet", np.arange(20), weights=weights, size=90)
    assert method_named(name).level == LOSSES
    assert method_named(saved(tmp_path / "even.parquet", [1, 2], size=90)).level == DRAWS
    assert runs_of((name,))[name].state == DONE
    rows = Rows(np.arange(10, 90), 90)
    assert resolved(method_named(name), rows).keep == 10 / 80
    assert resolved(method_named(EQUAL_COST + name), rows).keep == 10 / 80


def test_what_cannot_be_trained_on_is_refused_before_any_run(tmp_path, task, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cases = {
        "other.parquet": ([1, 2], {"size": 70}, "must be a selection from 90 rows.* got one from"),
        "far.parquet": ([1, 95], {}, r"must hold rows in \[0, 90\), got 95 in row 1"),
        "none.parquet": ([], {"size": 90}, "must hold a row at least, got none"),
        "twice.parquet": ([4, 4], {"size": 90}, "index of twice.parquet must be distinct|4"),
    }
    for name, (indices, fields, message) in cases.items():
        saved(name, indices, **fields)
        with pytest.raises(ValueError, match=message):
            bench.prepare(bench.Settings(task(), methods=(name,), out=tmp_path / "out"))
    (tmp_path / "text.parquet").write_text("no table")
    for name, error, message in (
        ("lost.parquet", FileNotFoundError, "lost.parquet must exist, got no such file"),
        ("no/such/file", FileNotFoundError, "must exist, got no such file"),
        (str(tmp_path), ValueError, "must be a subset file, got a folder"),
        ("text.parquet", ValueError, "text.parquet"),
    ):
        with pytest.raises(error, match=message):
            bench.Settings(methods=(name,))


def test_a_file_whose_rows_are_all_in_validation_is_refused(task, tmp_path):
    data = task(split=True)
    origin = bench.prepare(bench.Settings(data, out=tmp_path / "a")).data.origin
    outside = np.setdiff1d(np.arange(90), origin)
    name = saved(tmp_path / "val.parquet", outside, size=90)
    with pytest.raises(ValueError, match="rows that are all in the validation set or not used"):
        bench.prepare(bench.Settings(data, methods=(name,), out=tmp_path / "b"))


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "chosen.parquet"
    rows = Rows(np.arange(90), 90)
    assert resolved(method_named(saved(path, [1, 2, 3], size=90)), rows).keep == 3 / 90
    assert resolved(method_named(saved(path, range(45), size=90)), rows).keep == 0.5


def test_repeats_of_samplemix_in_a_file_are_its_weights(runs_of, tmp_path):
    rows = np.random.RandomState(0).normal(size=(90, 3))  # noqa: NPY002
    found = samplemix(rows, 40, quality=rows[:, 0])
    found.save(tmp_path / "mix.parquet")
    (run,) = runs_of((str(tmp_path / "mix.parquet"),)).values()
    assert run.setting["kept"] == len(found)
