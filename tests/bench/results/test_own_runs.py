"""Runs of methods that the benchmark does not have: the caller's, or an earlier version's."""

import json

import numpy as np
import pytest
from rich.console import Console

from sampling import bench
from sampling.bench import Results, Run, Settings, verdicts
from sampling.bench.reports._terminal import rows
from sampling.bench.results._store import open_results

COSTS = {"draws": 100, "cost": 0.5, "total_cost": 0.6, "seconds": {"training": 1.0}}


def runs(method, target, values, **more):
    return [
        Run(
            method,
            target,
            seed,
            target,
            draws=100,
            cost=target,
            total_cost=target,
            seconds={"training": 1.0},
            test=value,
            **more,
        )
        for seed, value in enumerate(values)
    ]


def shown(results, width=80):
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(bench.table(results))
    return capture.get()


def labels(monkeypatch):
    """Return what the legends and ticks of the plots drawn from now on say."""
    from matplotlib.figure import Figure

    texts, save = [], Figure.savefig

    def kept(figure, *args, **kwargs):
        (axes,) = figure.axes
        texts.extend(text.get_text() for text in axes.get_yticklabels())
        if axes.get_legend():
            texts.extend(text.get_text() for text in axes.get_legend().get_texts())
        return save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", kept)
    return texts


FULL = runs("full", 1.0, [0.9, 0.91, 0.92])
PLAIN = {"dataset": "digits", "epochs": 4, "batch_size": 64, "imbalance": None}


def test_own_methods_stand_after_ours_in_the_order_of_their_runs(tmp_path, monkeypatch):
    texts = labels(monkeypatch)
    own = runs("mine", 0.5, [0.8, 0.82, 0.81]) + runs("ccs", 0.5, [0.85, 0.86, 0.88])
    results = Results(PLAIN, "accuracy", runs=own + runs("rs2", 0.5, [0.8, 0.8, 0.81]) + FULL)
    assert [row.method for row in rows(results)] == ["full", "rs2", "mine", "ccs"]
    head, _, compared = shown(results).partition("minus full")
    for part in (head, compared):
        assert "mine" in part
        assert "ccs" in part
    assert tmp_path / "pruning.png" in bench.write_report(results, tmp_path)
    assert {"rs2", "mine", "ccs"} <= set(texts)
    found = verdicts(results, 0.3, reference=("ccs", 0.5)).verdicts
    assert {row.name for row in found} == {"full", "rs2", "mine"}


def test_own_data_and_full_cost(tmp_path, monkeypatch):
    texts = labels(monkeypatch)
    results = Results({"dataset": "mine"}, "recall", runs=runs("focal", 1.0, [0.8]) + FULL)
    assert shown(results).splitlines()[0].strip() == "mine"
    assert tmp_path / "new" / "balance.png" in bench.write_report(results, str(tmp_path / "new"))
    assert "focal" in texts
    assert "own data" in shown(Results({}, "recall"))
    tail = Results({"label_noise": 0.2}, "recall", runs=runs("focal", 1.0, [0.8, 0.9]))
    assert tmp_path / "balance.png" in bench.write_report(tail, tmp_path)
    tail = Results({"label_noise": 0.2}, "recall", runs=runs("focal", 0.5, [0.8, 0.9]))
    assert tmp_path / "b" / "pruning.png" in bench.write_report(tail, tmp_path / "b")


@pytest.mark.parametrize("name", ["a[red]b[/]", "$x$ at $", "_mine", "x" * 60])
def test_names_are_shown_as_they_are(tmp_path, monkeypatch, name):
    texts = labels(monkeypatch)
    results = Results(PLAIN, "accuracy", runs=runs(name, 0.5, [0.8, 0.82, 0.81]) + FULL)
    text = shown(results)
    if len(name) < 60:
        assert text.count(name) >= 2
    else:
        assert text.count("x") >= 120
    assert "82.00 ± 1.00" not in text  # the values below are of this row
    assert "81.00 ± 1.00" in text
    bench.write_report(results, tmp_path)
    assert name.replace("$", r"\$") in {each.strip() for each in texts}


def test_what_own_runs_do_not_say_is_a_dash(tmp_path):
    own = [Run("ccs", 0.5, seed, 0.5, test=0.8 + seed / 100) for seed in range(2)]
    results = Results(PLAIN, "accuracy", runs=own)
    (line,) = [each.split() for each in shown(results).splitlines() if "ccs" in each]
    assert line == ["0.5", "ccs", "80.50", "±", "0.71", "-", "-", "-", "2/2"]
    results.add(
        Run(
            "ies",
            0.5,
            0,
            0.5,
            draws=100,
            cost=0.5,
            total_cost=0.6,
            test=0.9,
            seconds={"training": 1.0},
        )
    )
    (line,) = [each.split() for each in shown(results).splitlines() if "ccs" in each]
    assert line[5:8] == ["-", "-", "-"]
    bench.write_report(results, tmp_path)


def test_own_runs_are_kept_in_a_folder_that_the_benchmark_goes_on_with(tmp_path):
    """As a file of an earlier version, whose method is gone."""
    ready = bench.prepare(Settings("digits", methods=("full",), out=tmp_path / "out"))
    results = Results(ready.results.identity, "accuracy", runs=runs("gone", 0.5, [0.8]))
    results.add(Run("ccs", np.float32(0.5), 0, 0.5, test=np.float32(0.75)))
    results.save(str(tmp_path / "out"))
    ready = bench.prepare(Settings("digits", methods=("full",), out=tmp_path / "out"))
    assert [(run.method, run.test) for run in ready.results.runs] == [("gone", 0.8), ("ccs", 0.75)]
    assert "gone" in shown(ready.results)
    assert tmp_path / "out" / "pruning.png" in bench.write_report(ready.results, ready.folder)


def test_own_identities_are_compared_as_they_are_written(tmp_path):
    identity = {"dataset": "mine", "sizes": (3, 4), "rate": np.float64(0.5)}
    results = Results(identity, "accuracy", runs=runs("ccs", 0.5, [0.8]))
    results.save(tmp_path / "a" / "b")
    results.save(tmp_path / "a" / "b")
    found = open_results(tmp_path / "a" / "b", identity, "accuracy")
    assert [run.method for run in found.runs] == ["ccs"]
    assert json.loads((tmp_path / "a" / "b" / "results.json").read_text())["format"] == 2
    results.identity["model"] = object()
    with pytest.raises(TypeError, match="must hold JSON values, got object"):
        results.save(tmp_path / "c")


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"test": float("nan")}, ValueError, "test must be finite, got nan"),
        ({"test": None}, TypeError, "test must be a number, got None"),
        ({"state": "lost"}, ValueError, "state must be one of 'done'"),
        ({"cost": float("inf")}, ValueError, "cost must be in"),
        ({"keep": 50}, ValueError, "keep must be in"),
        ({"method": 3}, TypeError, "method must be a str"),
        ({"seed": 0.5}, TypeError, "seed must be an int"),
        ({"draws": -1}, ValueError, "draws must be >= 0"),
    ],
)
def test_a_run_out_of_range_is_refused_at_once(fields, error, words):
    with pytest.raises(error, match=words):
        Run(**{"method": "mine", "keep": 0.5, "seed": 0, "budget": 0.5, "test": 0.5, **fields})


def test_percent_are_refused_where_the_metric_is_a_fraction():
    with pytest.raises(ValueError, match="must be a fraction .* got 91.0 in row 0: divide percent"):
        Results(PLAIN, "accuracy", runs=[Run("mine", 0.5, 0, 0.5, test=91.0)])
    Results(PLAIN, "log-loss", runs=[Run("mine", 0.5, 0, 0.5, test=91.0)])
    Results(PLAIN, "accuracy", runs=[Run("mine", 0.5, 0, 0.5, test=1.0)])  # none is wrong


def test_one_run_for_each_method_target_and_seed():
    with pytest.raises(ValueError, match=r"one run of each .* got 'full', 1 and 0 again in row 3"):
        Results(PLAIN, "accuracy", runs=FULL + FULL)
    results = Results(PLAIN, "accuracy", runs=list(FULL))
    results.runs += FULL
    for call in (bench.table, lambda given: verdicts(given, 0.3)):
        with pytest.raises(ValueError, match="again in row 3"):
            call(results)


@pytest.mark.parametrize("given", [FULL, "bout", None])
def test_what_is_no_results_is_refused_with_what_is_wanted(given, tmp_path):
    calls = (
        bench.table,
        lambda each: bench.write_report(each, tmp_path),
        lambda each: verdicts(each, 0.3),
    )
    for call in calls:
        with pytest.raises(
            TypeError, match=r"must be a Results, got .*prepare\(settings\).results"
        ):
            call(given)
    with pytest.raises(TypeError, match="runs must hold Runs, got .* in row 0"):
        Results(PLAIN, "accuracy", runs=[0.9])


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"seeds": -1}, ValueError, "seeds must be >= 1"),
        ({"keep": 7}, ValueError, "keep must be in"),
        ({"keep": "0.5"}, TypeError, "keep must be a number or a list of numbers, got '0.5'"),
        ({"keep": ()}, ValueError, "at least one fraction"),
        ({"epochs": 0}, ValueError, "epochs must be >= 1"),
        ({"label_noise": 2}, ValueError, "label_noise must be in"),
        ({"out": 3}, TypeError, "out must be a path, got 3"),
        ({"methods": ("full", "mine")}, ValueError, "methods must be names of .* got 'mine'"),
    ],
)
def test_settings_are_checked_where_they_are_made(fields, error, words):
    with pytest.raises(error, match=words):
        Settings(**fields)


def test_settings_take_a_path_as_text_and_any_list_of_numbers(tmp_path):
    ready = bench.prepare(Settings(methods="rs2", keep=np.array([0.5]), out=str(tmp_path / "bout")))
    assert ready.folder == tmp_path / "bout"
    assert ready.settings.keep == (0.5,)
    assert Settings("fashion-mnist", data_dir="there", keep=np.float32(0.5)).keep == (0.5,)
