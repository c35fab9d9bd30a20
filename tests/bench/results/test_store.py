import json
import os

import numpy as np
import pytest

from sampling.bench import Run
from sampling.bench.results._store import (
    FILE,
    RUNS,
    Results,
    load_details,
    open_results,
    save_details,
)

IDENTITY = {"dataset": "digits", "epochs": 2, "batch_size": 64, "imbalance": None, "data": "ab"}


def test_results_come_back(tmp_path):
    results = open_results(tmp_path / "a" / "b", IDENTITY, "accuracy")
    run = Run("rs2", 0.5, 0, 0.5, draws=10, val_curve=[0.5], test=0.5, setting={"drop_prob": 0.3})
    results.calls["now 1"] = {"arguments": {}}
    results.save(tmp_path / "a" / "b")
    results.append(run, tmp_path / "a" / "b")
    results.append(Run("infobatch", 0.3, 0, 0.3, "unreachable", "so"), tmp_path / "a" / "b")
    again = open_results(tmp_path / "a" / "b", IDENTITY, "accuracy")
    assert again.runs == results.runs
    assert again.calls == results.calls
    assert again.find("rs2", 0.5, 0) == run
    assert again.find("rs2", 0.5, 1) is None


def test_add_replaces_the_run_of_the_same_name():
    results = Results(IDENTITY, "accuracy")
    results.add(Run("rs2", 0.5, 0, 0.5, test=0.5))
    results.add(Run("rs2", 0.5, 1, 0.5, test=0.5))
    results.add(Run("rs2", 0.5, 0, 0.45, test=0.5))
    assert [(run.seed, run.budget) for run in results.runs] == [(0, 0.45), (1, 0.5)]


def test_a_line_that_was_cut_is_passed_over_and_the_next_one_stands_alone(tmp_path):
    results = Results(IDENTITY, "accuracy")
    results.save(tmp_path)
    runs = [Run("rs2", 0.5, seed, 0.5, test=0.5) for seed in range(3)]
    results.append(runs[0], tmp_path)
    whole = (tmp_path / RUNS).read_bytes()
    results.append(runs[1], tmp_path)
    (tmp_path / RUNS).write_bytes((tmp_path / RUNS).read_bytes()[: len(whole) + 40])
    results.append(runs[2], tmp_path)
    assert [run.seed for run in open_results(tmp_path, IDENTITY, "accuracy").runs] == [0, 2]


def test_after_a_full_disk_the_file_is_as_it_was(tmp_path, monkeypatch):
    results = Results(IDENTITY, "accuracy")
    results.save(tmp_path)
    results.append(Run("rs2", 0.5, 0, 0.5, test=0.5), tmp_path)
    before = (tmp_path / RUNS).read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        results.append(Run("rs2", 0.5, 1, 0.5, test=0.5), tmp_path)
    assert (tmp_path / RUNS).read_bytes() == before


def test_several_processes_append_to_one_folder(tmp_path):
    first, second = Results(IDENTITY, "accuracy"), Results(IDENTITY, "accuracy")
    for results, seed in ((first, 0), (second, 1)):
        results.calls[f"call {seed}"] = {}
        results.save(tmp_path)
        results.append(Run("rs2", 0.5, seed, 0.5, test=0.5, call=f"call {seed}"), tmp_path)
    first.save(tmp_path)
    found = open_results(tmp_path, IDENTITY, "accuracy")
    assert {run.seed: run.call for run in found.runs} == {0: "call 0", 1: "call 1"}
    assert set(found.calls) == {"call 0", "call 1"}
    assert len(first.runs) == 2


def test_what_other_processes_wrote_is_kept_and_written_once(tmp_path):
    run = Run("rs2", 0.5, 0, 0.5, test=0.5)
    first, second = Results(IDENTITY, "accuracy"), Results(IDENTITY, "accuracy")
    first.evaluations, first.calibration = [{"number": 1}], {"sample_seconds": 0.5}
    first.add(run)
    first.save(tmp_path)
    second.save(tmp_path)  # which knows of nothing
    assert (second.runs, second.evaluations) == ([run], [{"number": 1}])
    assert second.calibration == {"sample_seconds": 0.5}
    first.evaluations.append({"number": 2})
    first.save(tmp_path)
    second.save(tmp_path)
    found = open_results(tmp_path, IDENTITY, "accuracy")
    assert found.evaluations == second.evaluations == [{"number": 1}, {"number": 2}]
    assert len((tmp_path / RUNS).read_bytes().splitlines()) == 1
    second.add(Run("rs2", 0.5, 0, 0.45, test=0.6))
    second.save(tmp_path)
    assert [each.budget for each in open_results(tmp_path, IDENTITY, "accuracy").runs] == [0.45]


@pytest.mark.parametrize("line", [b'{"method": "rs2", "speed": 3}', b"[1]"])
def test_a_line_that_is_no_run_is_named(tmp_path, line):
    results = Results(IDENTITY, "accuracy")
    results.save(tmp_path)
    results.append(Run("rs2", 0.5, 0, 0.5, test=0.5), tmp_path)
    with (tmp_path / RUNS).open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(ValueError, match="must hold runs of this program, got another in line 2"):
        open_results(tmp_path, IDENTITY, "accuracy")


def test_details_of_names_that_are_no_file_names(tmp_path):
    for number, name in enumerate(("ccs:el2n", "ccs-el2n", "my/own.py:f")):
        run = Run(name, 0.5, 0, 0.5, test=0.5)
        save_details(tmp_path, run, {"outcomes": np.array([number])})
    for number, name in enumerate(("ccs:el2n", "ccs-el2n", "my/own.py:f")):
        assert load_details(tmp_path, Run(name, 0.5, 0, 0.5, test=0.5))["outcomes"] == [number]
    assert load_details(tmp_path, Run("none", 0.5, 0, 0.5, test=0.5)) == {}


@pytest.mark.parametrize("name", IDENTITY)
def test_other_arguments_are_refused_by_name(tmp_path, name):
    Results(IDENTITY, "accuracy").save(tmp_path)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(ValueError, match=f"out must hold results of {name} other, got"):
        open_results(tmp_path, {**IDENTITY, name: "other"}, "accuracy")
    assert (tmp_path / FILE).read_bytes() == before


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 2}', "not json"])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ValueError, match="out must hold results of this program"):
        open_results(tmp_path, IDENTITY, "accuracy")
    assert (tmp_path / FILE).read_text() == content


def test_another_format_is_refused(tmp_path):
    content = {"format": 99, "identity": IDENTITY, "runs": [{"new": 1}], "calls": []}
    (tmp_path / FILE).write_text(json.dumps(content))
    with pytest.raises(ValueError, match="out must hold results of format 2, got 99"):
        open_results(tmp_path, IDENTITY, "accuracy")


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(ValueError, match="out must be a folder, got the file"):
        open_results(tmp_path / "out", IDENTITY, "accuracy")
