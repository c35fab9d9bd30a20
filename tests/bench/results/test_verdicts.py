import numpy as np
import pytest
from scipy.stats import ttest_rel

from sampling.bench import Results, Run, verdicts
from sampling.bench.results._store import save_details
from sampling.bench.results._verdicts import limit_search, margin_of

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


def test_what_a_limit_search_is_given():
    given = results({"full": FULL, "rs2": OTHER})
    search = limit_search(given, "rs2", (0.3, 0.5), 0.5, 20)
    assert list(search.grid) == [0.5, 0.3]
    assert search.differences[0.3] == {}
    assert search.differences[0.5][1] == pytest.approx(-0.1)
