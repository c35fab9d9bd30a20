import json
from pathlib import Path

import pytest

from sampling.bench._store import FILE, Results, open_results, write_whole
from sampling.bench._train import Run

IDENTITY = {"dataset": "digits", "epochs": 2, "batch_size": 64, "imbalance": None, "data": "ab"}


def test_write_whole_replaces(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch, error):
    path = tmp_path / "file"
    write_whole(path, b"old")

    def fail(*_):
        raise error

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(type(error)):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_results_come_back(tmp_path):
    results = open_results(tmp_path / "a" / "b", IDENTITY, "accuracy")
    run = Run("rs2", 0.5, 0, 0.5, draws=10, val_curve=[0.5], setting={"drop_prob": 0.3})
    results.add(run)
    results.add(Run("infobatch", 0.3, 0, 0.3, reason="unreachable"))
    results.calls.append({"arguments": {}})
    results.save(tmp_path / "a" / "b")
    again = open_results(tmp_path / "a" / "b", IDENTITY, "accuracy")
    assert again.runs == results.runs
    assert again.calls == results.calls
    assert again.find("rs2", 0.5, 0) == run
    assert again.find("rs2", 0.5, 1) is None


def test_add_replaces_the_run_of_the_same_name():
    results = Results(IDENTITY, "accuracy")
    results.add(Run("rs2", 0.5, 0, 0.5))
    results.add(Run("rs2", 0.5, 1, 0.5))
    results.add(Run("rs2", 0.5, 0, 0.45))
    assert [(run.seed, run.budget) for run in results.runs] == [(1, 0.5), (0, 0.45)]


@pytest.mark.parametrize("name", IDENTITY)
def test_other_arguments_are_refused_by_name(tmp_path, name):
    Results(IDENTITY, "accuracy").save(tmp_path)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(ValueError, match=f"out must hold results of {name} other, got"):
        open_results(tmp_path, {**IDENTITY, name: "other"}, "accuracy")
    assert (tmp_path / FILE).read_bytes() == before


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', "not json"])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ValueError, match="out must hold results of this program"):
        open_results(tmp_path, IDENTITY, "accuracy")
    assert (tmp_path / FILE).read_text() == content


def test_another_format_is_refused(tmp_path):
    content = {"format": 99, "identity": IDENTITY, "runs": [{"new": 1}], "calls": []}
    (tmp_path / FILE).write_text(json.dumps(content))
    with pytest.raises(ValueError, match="out must hold results of format 1, got 99"):
        open_results(tmp_path, IDENTITY, "accuracy")


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(ValueError, match="out must be a folder, got the file"):
        open_results(tmp_path / "out", IDENTITY, "accuracy")
