import math

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console
from sampling.bench._methods import METHODS
from sampling.bench._report import _look, rows
from sampling.bench._store import Results
from sampling.bench._train import Run

from sampling.bench import table, write_report


def identity(imbalance=None, label_noise=None):
    return {
        "dataset": "digits",
        "epochs": 4,
        "batch_size": 64,
        "imbalance": imbalance,
        "label_noise": label_noise,
        "data": "",
    }


@pytest.fixture
def results():
    runs = [
        Run("rs2", 0.5, seed, 0.5, draws=100, cost=0.5, seconds=1.0, test=0.8 + 0.1 * seed)
        for seed in range(2)
    ]
    runs += [Run("full", 1.0, 0, 1.0, draws=200, cost=1.0, seconds=2.0, test=0.9)]
    runs += [Run("infobatch", 0.5, 0, 0.5, reason="unreachable: never below 0.6")]
    return Results(identity(), "accuracy", runs=runs, notes=["A note."])


def text(results, width=80):
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(table(results))
    return capture.get()


def test_rows_are_grouped_and_ordered(results):
    found = rows(results)
    assert [(row.target, row.method) for row in found] == [
        (1.0, "full"),
        (0.5, "rs2"),
        (0.5, "infobatch"),
    ]
    assert found[1].mean("test") == pytest.approx(0.85)
    assert found[1].deviation("test") == pytest.approx(math.sqrt(0.005))
    assert math.isnan(found[0].deviation("test"))


def test_table_shows_deviations_only_where_there_are_any(results):
    lines = {
        line.split()[1]: line.split()
        for line in text(results).splitlines()
        if "0/" in line or "1/" in line or "2/" in line
    }
    assert lines["full"] == ["1", "full", "90.00", "200", "1.000", "2.0", "1/1"]
    assert lines["rs2"] == ["0.5", "rs2", "85.00", "±", "7.07", "100", "0.500", "1.0", "2/2"]
    assert lines["infobatch"] == ["0.5", "infobatch", "unreachable", "-", "-", "-", "0/1"]


def test_table_says_why_a_row_is_empty_and_ends_in_notes(results):
    shown = text(results)
    assert "infobatch at keep 0.5: unreachable: never below 0.6" in shown
    assert shown.rstrip().endswith("A note.")


def test_the_longest_name_fits_a_terminal_of_80(results):
    results.add(
        Run(
            "dynamic-random-weighted",
            0.5,
            0,
            0.5,
            draws=1_650_000,
            cost=0.5,
            test=0.9,
            seconds=1234.5,
        )
    )
    assert "dynamic-random-weighted" in text(results)
    assert "1,650,000" in text(results)


@pytest.mark.parametrize("runs", [[], [Run("infobatch", 0.3, 0, 0.3, reason="unreachable")]])
def test_nothing_finished_draws_nothing_and_still_has_a_table(runs, tmp_path):
    results = Results(identity(), "accuracy", runs=runs)
    assert write_report(results, tmp_path) == []
    assert "digits" in text(results)


def test_wrong_labels_show_the_worst_class_and_the_comparison(tmp_path):
    runs = [
        Run(name, 1.0, seed, 1.0, cost=1.0, test=test + 0.01 * seed, worst=test - 0.3)
        for name, test in (("uniform", 0.8), ("late-stopping", 0.7))
        for seed in range(3)
    ]
    results = Results(identity(label_noise=0.4), "accuracy", runs=runs)
    assert write_report(results, tmp_path) == [tmp_path / "balance.png"]
    shown = text(results)
    assert "40% of labels wrong" in shown
    assert "50.00 ± 0.00" in shown
    assert "late-stopping" in shown.partition("minus uniform")[2]
    assert "none, all equal" in shown
    assert "inconclusive" in shown  # all differences are equal


def test_extra_forward_passes_are_shown_in_units_of_the_cost(results):
    results.add(Run("ies", 0.5, 0, 0.5, draws=100, cost=0.5, scored=40, test=0.9))
    lines = {line.split()[1]: line.split() for line in text(results).splitlines() if "/1" in line}
    assert "scored" in text(results)
    assert lines["ies"][3:5] == ["0.200", "0.500"]
    assert lines["full"][3:5] == ["0.000", "1.000"]
