"""What the table of `benchmarks/selection.py` says of a row."""

import importlib
from pathlib import Path

import pytest


@pytest.fixture
def made(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "benchmarks")
    return importlib.import_module("selection_table")


def row(made, aim, peer=(6.0, 1.0, 3.0), **notes):
    return made.Row("work", [2.0, 1.0, 1.0], list(peer), "other", aim, notes=notes)


def test_aims_are_held_against_medians_and_notes(made):
    aim = "faster >= 3; slower <= 0.3; seconds <= 1; peak MiB <= 100"
    found = made.verdicts(row(made, aim, **{"peak MiB": 101.0}))
    assert list(found.values()) == [True, False, True, False]
    assert "| no: slower, peak MiB |" in made.line(row(made, aim, **{"peak MiB": 101.0}))


def test_what_has_no_aim_is_neither_reached_nor_missed(made):
    assert made.verdicts(row(made, "–")) == {}
    assert "| – | – | left 0.5 |" in made.line(row(made, "–", left=0.5))


def test_no_ratio_is_reached_without_a_peer(made):
    assert made.verdicts(row(made, "faster >= 0; slower <= 9", peer=())) == {
        "faster >= 0": False,
        "slower <= 9": False,
    }


def test_an_aim_at_what_was_not_measured_is_an_error(made):
    with pytest.raises(KeyError, match="peak"):
        made.verdicts(row(made, "peak <= 1"))


def test_one_run_is_said(made):
    assert made.side([2.0], "other", "s") == "2 s (other, once)"
    assert made.side([2.0], "independent", "D") == "2 D (independent)"
    assert made.side([], "–", "s") == "–"
