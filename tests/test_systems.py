"""The list of systems in the benchmarks: its names exist, and each system runs."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"


def test_the_public_names_of_the_list_exist_and_no_other_row_has_one(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    importlib.import_module("systems")
    listed = importlib.import_module("systems_shared").CHECKED.values()
    assert all(each.public() for each in listed if each.run)
    assert all(each.why and not each.name for each in listed if not each.run)
    assert sum(each.run is not None for each in listed) >= 110


def test_the_table_and_the_counts_are_those_of_the_list(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    systems = importlib.import_module("systems")
    listed = sorted(systems.CHECKED.values(), key=lambda each: each.place)
    counts = systems.counts(listed)
    assert counts in (FOLDER / "README.md").read_text(), "run `benchmarks/systems.py --write`"
    written = systems.RESULTS.read_text()
    assert counts in written
    rows = [line.rsplit(" | ", 1)[0] for line in written.split("\n")]
    assert all(systems.line(each, "", "").rsplit(" | ", 1)[0] in rows for each in listed)


@pytest.mark.full
def test_every_system_runs_with_the_result_it_should_have():
    done = subprocess.run(
        [sys.executable, FOLDER / "systems.py"], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
