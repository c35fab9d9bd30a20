"""The answer in words, and the numbers that it rests on."""

import math
from dataclasses import replace

import pytest

from sampling._report._svg import limits, ticks
from sampling.bench import Results, Verdict
from sampling.bench.reports._view import View
from sampling.bench.reports._words import answer, joined

from .conftest import results_of, run

FULL = {("full", 1.0): 0.9}


def said(rows, verdicts=None, folder=".", **more):
    results = results_of({**FULL, **rows}, **more)
    return answer(View(results, folder, margin=0.5, verdicts=verdicts))


def verdict(name, keep, decision, seeds=5, **more):
    fields = dict.fromkeys(Verdict.__dataclass_fields__, math.nan) | {
        "name": name,
        "keep": keep,
        "seeds": seeds,
        "mean": -0.1,
        "low": -0.3,
        "high": 0.1,
        "decision": decision,
        "decided_at": None,
        "zero_excluded": False,
        "all_equal": False,
        "seeds_needed": None,
        "new_examples": None,
        "on_test_set": False,
        "note": "",
    }
    return Verdict(**{**fields, **more})


def test_three_seeds_are_a_pilot_without_a_verdict(tmp_path):
    found = said({("mine", 0.5): 0.9}, seeds=3)
    assert found[0].startswith("Three seeds are a pilot: no verdict.")
    assert "At keep 0.5 the only mean accuracy (%) is 90.0" in found[1]
    assert not any("non-inferior" in sentence for sentence in found)


def test_the_first_sentence_says_the_harshest_rate_that_holds():
    rows = {("mine", 0.5): 0.9, ("mine", 0.3): 0.899, ("rs2", 0.3): 0.9, ("mine", 0.1): 0.8}
    decided = [
        verdict("mine", 0.5, "non-inferior"),
        verdict("mine", 0.3, "non-inferior", on_test_set=True),
        verdict("rs2", 0.3, "undecided", seeds_needed=12),
        verdict("mine", 0.1, "inferior"),
    ]
    found = said(rows, decided)
    assert found[0] == (
        "On things, mine trains on 30 % of the samples within 0.5 points of full (non-inferior on "
        "this test set, 5 seeds)."
    )
    assert "At keep 0.3: rs2 is undecided (12 seeds needed); mine is non-inferior." in [
        ": ".join([one, "; ".join(sorted(rest.rstrip(".").split("; "), reverse=True)) + "."])
        for one, _, rest in (sentence.partition(": ") for sentence in found)
    ]
    assert "At keep 0.1: mine is inferior." in found


def test_alike_rates_are_one_sentence_and_undecided_ones_are_said():
    rows = {(name, keep): 0.8 for keep in (0.5, 0.3, 0.1) for name in ("a", "b")}
    decided = [
        verdict(name, keep, "inferior" if keep < 0.5 else "undecided") for name, keep in rows
    ]
    found = said(rows, decided)
    assert found[0].startswith("On things, no method at any keep fraction below 1 is shown")
    assert "At keep 0.5: nothing is decided." in found
    assert "At keep 0.3 and 0.1 every method is inferior." in found
    found = said(rows, [replace(each, decision="inferior") for each in decided])
    assert found[0] == (
        "On things, no method at any keep fraction below 1 is non-inferior (margin 0.5 points)."
    )


def test_random_subsets_are_compared_as_one_family():
    rows = {("random", 0.5): 0.85, ("mine", 0.5): 0.9, ("yours", 0.5): 0.8}
    found = said(rows)
    better = next(each for each in found if each.startswith("Significantly better"))
    assert "random subsets of the same size: mine at keep 0.5 (" in better
    assert "simultaneous for 2 rows" in better
    assert "Significantly worse than random subsets of the same size: yours at keep 0.5." in found
    found = said({("random", 0.5): 0.85, ("mine", 0.5): 0.8501})
    assert any(each.startswith("Nothing is significantly better than random") for each in found)
    assert not any("random" in each for each in said(rows, seeds=3)[1:3])


def test_without_full_data_nothing_is_claimed(tmp_path):
    results = results_of({("mine", 0.5): 0.9, ("yours", 0.5): 0.8})
    found = answer(View(results, tmp_path))
    assert found[0].startswith("There are no runs on all the data")
    assert found[1] == "At keep 0.5 the best mean accuracy (%) of 2 methods is 89.98, of mine."


def test_full_cost_methods_are_better_only_if_zero_is_excluded():
    rows = {("balanced", 1.0): 0.95, ("focal", 1.0): 0.9}
    decided = [verdict("balanced", 1.0, "non-inferior", zero_excluded=True),
               verdict("focal", 1.0, "undecided")]  # fmt: skip
    decided[0] = replace(decided[0], mean=5.0)
    found = said(rows, decided)
    assert "At the full cost, balanced (+5.00) is significantly better than full." in found
    assert any("differs significantly" in each for each in said(rows, decided[1:]))


def test_time_to_target_is_the_first_epoch_within_the_margin_in_seconds(tmp_path):
    """Curves reach their end in epoch 2 of 4; a full run is 64 samples x 4 epochs x 0.5 s."""
    results = results_of({**FULL, ("mine", 0.5): 0.9, ("bad", 0.5): 0.6})
    view = View(results, tmp_path, margin=1.0)
    assert view.target == pytest.approx(0.89, abs=0.001)
    spent = {each.entry.method: (each.spent, each.reached) for each in view.times}
    assert spent == {"mine": (pytest.approx(32.0), 5), "full": (pytest.approx(64.0), 5),
                     "bad": (math.inf, 0)}  # fmt: skip
    assert any("mine at keep 0.5, in 32 s; full needs 64 s" in each for each in answer(view))
    results.calibration = {}
    times = View(results, tmp_path, margin=1.0).times
    assert times[0].spent == pytest.approx(0.25)


def test_lower_is_better_turns_everything(tmp_path):
    about = {"higher_is_better": False, "factor": 1.0}
    rows = {("full", 1.0): 0.3, ("good", 0.5): 0.25, ("bad", 0.5): 0.6}
    view = View(results_of(rows, metric="log-loss", **about), tmp_path, margin=0.05)
    assert view.methods == ["full", "good", "bad"]
    assert view.target == pytest.approx(0.35, abs=0.001)
    assert view.verdicts["good", 0.5].decision == "non-inferior"
    assert view.verdicts["bad", 0.5].decision == "inferior"
    assert [each.method for each in view.frontier] == ["good"]
    assert "points" not in " ".join(answer(view))


def test_the_frontier_is_of_rows_that_no_cheaper_one_reaches(tmp_path):
    rows = {"a": (0.3, 0.8), "b": (0.4, 0.7), "c": (0.8, 0.9), "d": (0.9, 0.9), "e": (0.0, 0.99)}
    runs = [run(name, 0.3, 0, test, total_cost=cost) for name, (cost, test) in rows.items()]
    view = View(Results({}, "accuracy", runs=runs), tmp_path)
    assert [each.method for each in view.frontier] == ["a", "c"]


def test_highlighted_are_the_controls_and_the_best_at_each_rate(tmp_path):
    rows = {(f"m{at}", keep): 0.8 - at / 100 for at in range(20) for keep in (0.5, 0.1)}
    rows["m19", 0.1] = 0.85
    rows |= {("random", 0.5): 0.5, ("rs2", 0.5): 0.5, **FULL}
    view = View(results_of(rows, seeds=1), tmp_path)
    assert view.highlighted == ["random", "rs2", "m0", "m19", "m1", "m2", "m3", "m4"]


def test_lists_and_axes():
    assert joined(["a"]) == "a"
    assert joined(["a", "b", "c", "d"]) == "a, b, c and d"
    assert joined(["a", "b", "c", "d", "e"]) == "a, b, c and 2 others"
    assert ticks(0.0, 1.0) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(-3.0, 31.0) == [0, 10, 20, 30]
    low, high = limits([5.0, math.nan, 5.0])
    assert low < 5 < high
    assert limits([0.0])[0] < 0 < limits([0.0])[1]
    assert ticks(*limits([]))
