"""The table on the terminal."""

import math

import pytest
from rich.console import Console

from sampling.bench import Results, Run, method_table, table, write_report
from sampling.bench.methods._named import all_methods
from sampling.bench.reports._terminal import rows

IDENTITY = {"dataset": "digits", "epochs": 4, "batch_size": 64, "data": ""}
COSTS = {"draws": 100, "cost": 0.5, "total_cost": 0.6, "seconds": {"training": 1.0}}


@pytest.fixture
def results():
    runs = [Run("rs2", 0.5, seed, 0.5, test=0.8 + 0.1 * seed, **COSTS) for seed in range(2)]
    runs += [Run("full", 1.0, 0, 1.0, test=0.9, **COSTS)]
    runs += [Run("infobatch", 0.5, 0, 0.5, state="unreachable", reason="never below 0.6")]
    return Results(IDENTITY, "accuracy", runs=runs, notes=["A note."])


def text(shown, width=80):
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


def test_rows_are_grouped_and_ordered(results):
    found = rows(results)
    assert [(row.keep, row.method) for row in found] == [
        (1.0, "full"),
        (0.5, "rs2"),
        (0.5, "infobatch"),
    ]
    assert found[1].mean("test") == pytest.approx(0.85)
    assert found[1].deviation("test") == pytest.approx(math.sqrt(0.005))
    assert math.isnan(found[0].deviation("test"))


def test_table_shows_deviations_only_where_there_are_any(results):
    shown = text(table(results))
    lines = {
        line.split()[1]: line.split()
        for line in shown.splitlines()
        if any(part in line for part in ("0/", "1/", "2/"))
    }
    assert lines["full"] == ["1", "full", "90.00", "0.600", "0.500", "1.0", "1/1"]
    assert lines["rs2"] == ["0.5", "rs2", "85.00", "±", "7.07", "0.600", "0.500", "1.0", "2/2"]
    assert lines["infobatch"] == ["0.5", "infobatch", "unreachable", "-", "-", "-", "0/1"]
    assert "infobatch at keep 0.5: never below 0.6" in shown
    assert shown.rstrip().endswith("A note.")


def test_only_the_methods_asked_for_are_shown(results):
    shown = text(table(results, methods={"full"}))
    assert "full" in shown
    assert "rs2" not in shown


def test_the_longest_name_fits_a_terminal_of_80(results):
    results.add(Run("dynamic-random-weighted", 0.5, 0, 0.5, test=0.9, **COSTS))
    assert "dynamic-random-weighted" in text(table(results))


@pytest.mark.parametrize("runs", [[], [Run("infobatch", 0.3, 0, 0.3, "unreachable", "so")]])
def test_nothing_finished_still_has_a_table(runs, tmp_path):
    results = Results(IDENTITY, "accuracy", runs=runs)
    assert "digits" in text(table(results))
    write_report(results, tmp_path)


def test_wrong_labels_show_the_worst_class():
    runs = [
        Run(name, 1.0, seed, 1.0, test=test + 0.01 * seed, metrics={"worst class": test - 0.3})
        for name, test in (("full", 0.8), ("late-stopping", 0.7))
        for seed in range(4)
    ]
    shown = text(table(Results({**IDENTITY, "label_noise": 0.4}, "accuracy", runs=runs)))
    assert "40% of labels wrong" in shown
    assert "50.00 ± 0.00" in shown
    assert "late-stop" in shown.partition("minus full")[2]
    assert "all equal" in shown


def test_a_metric_that_is_no_fraction_is_shown_as_it_is():
    runs = [Run("full", 1.0, seed, 1.0, test=1.25 + seed) for seed in range(2)]
    about = {"factor": 1.0, "higher_is_better": False, "classes": 3}
    shown = text(table(Results(IDENTITY, "log-loss", runs=runs, about=about)))
    assert "1.75 ± 0.71" in shown
    assert "%" not in shown


def test_the_list_has_every_way_to_name_a_method():
    shown = text(method_table(), 200)
    for name, _, level, _, _ in all_methods():
        (line,) = [each for each in shown.splitlines() if each.split()[:1] == [name]]
        assert level in line
