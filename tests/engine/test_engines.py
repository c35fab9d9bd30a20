"""Engines of any kind: equal results, and what is refused before any work."""

import copy
import os
import pickle

import engine_cases
import numpy as np
import pytest

from sampling import engine, selection
from sampling._check._rows import Rows
from sampling._version import __version__
from sampling.clustering import neighbours
from sampling.engine import _over, _ray
from sampling.engine._engine import here


class Backwards:
    """An engine of a user: parts from last to first, on copies of what was sent."""

    def __init__(self):
        self.sent = 0

    def run(self, function, parts):
        kept = [copy.deepcopy(part) for part in parts]
        self.sent += len(kept)
        return reversed([function(part) for part in reversed(kept)])


def test_results_are_equal_on_all_engines_and_layouts(tmp_path, monkeypatch):
    engine_cases.small_blocks(monkeypatch)
    rows, own = engine_cases.rows_of(), Backwards()
    with engine.use(engine.Local(1)):
        expected = engine_cases.results(rows)
    tables = engine_cases.layouts(rows, tmp_path)
    with engine.use(engine.Local(2)):
        engine_cases.assert_same(engine_cases.results(tables["parquet"]), expected)
    with engine.use(own):
        engine_cases.assert_same(engine_cases.results(tables["npy"]), expected)
    assert own.sent > 500  # so that the blocks were indeed its own


def test_what_is_no_engine_is_refused():
    for wrong in (None, 3, engine.Local):
        with pytest.raises(TypeError, match=r"engine must be an object with a method run\("):
            with engine.use(wrong):
                pass
    with pytest.raises(ValueError, match="engine must be one of 'local', 'ray', got 'spark'"):
        engine.named("spark")
    with pytest.raises(ValueError, match="address must be given with engine='ray' only"):
        engine.named("local", "auto")


def test_methods_of_one_process_say_so_before_any_work(monkeypatch):
    monkeypatch.setattr(_over, "over", None)
    with engine.use(Backwards()):
        for name in ("d2", "herding", "moderate"):
            with pytest.raises(ValueError, match=f"{name} must run with the engine L.*prot"):
                selection.methods()[name].function(np.eye(4), 2)
        for name in ("k_center", "facility_location"):  # the picks are others: to be asked for
            message = f"rounds must be 2 for {name} with the engine Backwards, got 1: pass rounds=2"
            with pytest.raises(ValueError, match=message):
                selection.methods()[name].function(np.eye(4), 2)
            with pytest.raises(ValueError, match=message):
                selection.Stage(name, 2).check([], None)
        with pytest.raises(ValueError, match="neighbours must be found with the engine Local"):
            neighbours(np.eye(4), 2)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:9", "must be of a Ray cluster that answers, got '127.0.0.1:9' .*: start one"),
        ("ray://head:10001", "must be host:port of the head of a Ray cluster, or auto, got 'ray:"),
        ("head", "must be host:port"),
    ],
)
def test_an_address_that_does_not_answer(address, message, monkeypatch):
    monkeypatch.setattr(_ray, "find_spec", lambda _: True)
    with pytest.raises(ValueError, match=f"^address {message}"):
        with engine.use(engine.Ray(address)):
            pass


def test_workers_without_the_package_or_with_another_version_are_refused():
    own = {"name": "a", "cpus": 2, "version": __version__, "here": here()}
    other = {**own, "name": "b", "version": "0.0.1"}
    with pytest.raises(ValueError, match=f"must have version {__version__}.*got 0.0.1 on b: pip"):
        _ray._refuse_others([own, other])
    with pytest.raises(ValueError, match=r"must have the package sampling, got none on b \(No mod"):
        _ray._refuse_others([own, {**other, "version": None, "here": "No module"}])
    _ray._refuse_others([own, own])
    versions = {**here()["versions"], "numpy": "1.0"}
    with pytest.warns(UserWarning, match=r"one version of each library, got others on b \(numpy"):
        _ray._refuse_others([own, {**own, "name": "b", "here": {**here(), "versions": versions}}])


def test_rows_in_memory_are_known_as_long_as_they_are_held():
    rows = np.eye(3)
    view = engine.steady(rows)
    assert view is not rows and engine.steady(view) is view
    assert _over.is_steady(view) and not _over.is_steady(rows)
    key = id(view)
    del view
    assert key not in _over._STEADY


def test_rows_on_disk_are_sent_as_a_range(tmp_path, monkeypatch):
    np.arange(4000.0).tofile(tmp_path / "rows.bin")
    monkeypatch.chdir(tmp_path)
    rows = Rows("rows.bin", (1000, 4), np.float64)
    sent = pickle.dumps(rows.part(slice(100, 900)))
    some = pickle.dumps(rows.take(np.arange(0, 1000, 2)).part(slice(2, 4)))
    monkeypatch.chdir(os.sep)
    assert len(sent) < 500 and len(some) < 700
    np.testing.assert_array_equal(pickle.loads(sent)[:], np.arange(400, 3600.0).reshape(-1, 4))
    np.testing.assert_array_equal(pickle.loads(some)[:][:, 0], [16.0, 24.0])


def test_a_selection_records_where_it_was_made():
    found = selection.cluster_uniform(np.eye(6), 2, clusters=2)
    assert found.info["engine"] == {"name": "local", **here()}
    with engine.use(Backwards()):
        assert selection.top([1.0, 2.0], 1).info["engine"]["name"] == "backwards"


def test_a_cluster_of_ones_own_joins_no_other(monkeypatch):
    """`ray.init()` without an address would join the last one started on the machine."""
    calls = []

    class Stub:
        @staticmethod
        def init(**given):
            calls.append(given)

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    _ray._init(Stub, None, 2, 3)
    assert (calls[0]["address"], calls[0]["num_cpus"]) == ("local", 6)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    _ray._init(Stub, None, 2, 3)
    assert calls[1]["address"] == "auto"
    assert "num_cpus" not in calls[1]
