import numpy as np
import pytest
from scipy.stats import ttest_rel

from sampling.bench import Results, Run, verdicts
from sampling.bench.results import _verdicts
from sampling.bench.results._store import save_details
from sampling.bench.results._verdicts import limit_search, margin_of
from sampling.bench.tasks._metric import METRICS

FULL = np.array([0.92, 0.921, 0.918, 0.924])
OTHER = np.array([0.919, 0.92, 0.92, 0.921])


def results(tests, metric="accuracy", **about):
    runs = [
        Run(method, 1.0 if method == "full" else 0.5, seed, 1.0, test=value)
        for method, values in tests.items()
        for seed, value in enumerate(values)
        if value is not None
    ]
    return Results({}, metric, runs=runs, about=about)


def test_the_interval_of_a_single_row_is_that_of_a_paired_t_test():
    (found,) = verdicts(results({"full": FULL, "rs2": OTHER}), 0.3).verdicts
    wanted = ttest_rel(100 * OTHER, 100 * FULL).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert found.mean == pytest.approx(100 * (OTHER - FULL).mean())
    assert (found.name, found.keep, found.seeds) == ("rs2", 0.5, 4)


def test_only_seeds_in_common_count():
    given = results({"full": [*FULL, None], "rs2": [0.9] * 5, "random": [None, *[0.9] * 4]})
    found = verdicts(given, 0.3).verdicts
    assert {each.name: each.seeds for each in found} == {"rs2": 4, "random": 3}
    assert {each.decision for each in found if each.seeds == 3} == {"pilot"}
    assert verdicts(results({"rs2": [0.9] * 3}), 0.3).verdicts == ()


def test_lower_is_better_where_the_metric_says_so():
    about = {"higher_is_better": False, "factor": 1.0, "classes": 10, "test_samples": 5000}
    given = results({"full": 5 * FULL[[0, 1, 2, 3, 0]], "rs2": FULL[[0, 1, 2, 3, 1]]}, "log-loss",
                    **about)  # fmt: skip
    (found,) = verdicts(given).verdicts
    assert found.mean > 0
    assert found.decision == "non-inferior"
    assert margin_of(given).unit == "nats"


def test_earlier_evaluations_make_the_next_one_stricter():
    given = results({"full": [*FULL, 0.92], "rs2": [*OTHER, 0.92]})
    first = verdicts(given, 1.0)
    assert (first.number, first.is_new) == (1, True)
    given.evaluations.append(first.record())
    assert not verdicts(given, 1.0).is_new
    given.add(Run("full", 1.0, 5, 1.0, test=0.919))
    given.add(Run("rs2", 0.5, 5, 1.0, test=0.92))
    second = verdicts(given, 1.0)
    assert (second.number, second.is_new) == (2, True)
    assert second.spent < first.spent


@pytest.mark.parametrize("metric", ["accuracy", "balanced accuracy", "macro F1"])
def test_outcomes_of_test_samples_give_the_interval_for_new_ones(tmp_path, metric):
    random = np.random.RandomState(0)
    targets = random.randint(0, 3, 200)
    given = results({"full": [], "rs2": []}, metric)
    for method, keep, right in (("full", 1.0, 0.9), ("rs2", 0.5, 0.88)):
        for seed in range(5):
            classes = np.where(random.rand(200) < right, targets, (targets + 1) % 3)
            run = Run(method, keep, seed, 1.0, test=float((classes == targets).mean()))
            given.add(run)
            save_details(tmp_path, run, {"outcomes": classes, "targets": targets})
    (found,) = verdicts(given, 3.0, folder=tmp_path).verdicts
    assert found.new_examples is not None
    assert found.new_examples.low < found.mean < found.new_examples.high
    (without,) = verdicts(given, 3.0).verdicts
    assert without.new_examples is None


OUTCOMES = {  # targets of test samples, and what a run keeps of them
    "accuracy": (lambda r: r.randint(0, 3, 90), lambda r, y: np.where(r.rand(90) < 0.8, y, 0)),
    "macro F1": (lambda r: r.randint(0, 3, 90), lambda r, y: np.where(r.rand(90) < 0.8, y, 0)),
    "R2": (lambda r: r.normal(size=90), lambda r, y: y + 0.3 * r.normal(size=90)),
    "log-loss": (lambda r: r.randint(0, 3, 90), lambda r, y: r.rand(90)),
}


@pytest.mark.parametrize("metric", OUTCOMES)
def test_samples_are_paired_by_seed_in_the_unit_of_the_margin(tmp_path, metric):
    """Their mean differences are those of the table, whatever the order of the runs."""
    random = np.random.RandomState(0)
    factor = METRICS[metric].factor
    targets = OUTCOMES[metric][0](random)
    given = results({"full": [], "rs2": []}, metric, factor=factor,
                    higher_is_better=metric != "log-loss")  # fmt: skip
    for method, keep, seeds in (("full", 1.0, (0, 1, 2, 3)), ("rs2", 0.5, (3, 1, 0))):
        for seed in seeds:
            outcomes = OUTCOMES[metric][1](random, targets)
            value = METRICS[metric].value(outcomes, targets)
            given.add(Run(method, keep, seed, 1.0, test=value))
            save_details(tmp_path, given.runs[-1], {"outcomes": outcomes, "targets": targets})
    (row,) = _verdicts._rows(given, ("full", 1.0), tmp_path)
    kept = np.asarray(row.differences)[[0, 1, 3]]
    # of paired differences (S, E) of seeds and samples: E times the variance of the seeds' means
    assert row.examples.seed == pytest.approx(90 * kept.var(ddof=1), rel=0.1)
    save_details(tmp_path, given.runs[0], {"outcomes": outcomes[1:], "targets": targets[1:]})
    (row,) = _verdicts._rows(given, ("full", 1.0), tmp_path)
    assert row.examples is None  # of other samples


def test_the_margin_of_an_own_metric_is_of_its_reference_in_the_unit_of_the_table():
    given = results({"full": [0.5, 0.7], "rs2": [0.1, 0.1]}, "recall", factor=100.0)
    plain = results({"full": [50.0, 70.0]}, "recall", factor=1.0)
    assert margin_of(given).value == margin_of(plain).value
    assert margin_of(results({"rs2": [0.1]}, "recall")).value == 1.0


def test_runs_without_a_result_are_no_rows():
    given = results({"full": FULL, "rs2": OTHER})
    given.add(Run("random", 0.5, 0, 0.5, "failed", "no luck", test=0.5))
    assert [each.name for each in verdicts(given, 0.3).verdicts] == ["rs2"]


def test_what_a_limit_search_is_given():
    given = results({"full": FULL, "rs2": OTHER})
    search = limit_search(given, "rs2", (0.3, 0.5), 0.5, 20)
    assert list(search.grid) == [0.5, 0.3]
    assert search.differences[0.3] == {}
    assert search.differences[0.5][1] == pytest.approx(-0.1)
    later = limit_search(given, "rs2", (0.5,), 0.5, 20, first_seed=1)  # which is its seed 0
    assert later.differences[0.5][0] == pytest.approx(-0.1)


def test_a_reference_of_0_has_no_margin_and_a_pilot_needs_none():
    few = results({"full": [0.0] * 3, "mine": [0.1] * 3}, "worst_class")
    assert "is 0, and has no scale" in margin_of(few).reason
    assert verdicts(few).verdicts[0].decision in {"pilot", "all equal"}
    many = results({"full": [0.0] * 4, "mine": [0.1] * 4}, "worst_class")
    with pytest.raises(ValueError, match="reference must not be 0 .* give a margin"):
        margin_of(many)
