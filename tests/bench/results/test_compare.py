import numpy as np
import pytest
from scipy.stats import ttest_rel

from sampling.bench import Run, differences
from sampling.bench.results._compare import Difference
from sampling.bench.results._store import Results


def results(tests, reference="full"):
    runs = [
        Run(method, 1.0 if method == reference else 0.5, seed, 1.0, test=value)
        for method, values in tests.items()
        for seed, value in enumerate(values)
        if value is not None
    ]
    return Results({}, "accuracy", runs=runs)


def test_the_interval_is_that_of_a_paired_t_test():
    full, other = np.array([0.92, 0.921, 0.918, 0.924]), np.array([0.919, 0.92, 0.92, 0.921])
    (found,) = differences(results({"full": full, "rs2": other}), 0.3)
    wanted = ttest_rel(100 * other, 100 * full).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert found.mean == pytest.approx(100 * (other - full).mean())
    assert (found.method, found.keep, found.reference, found.runs) == ("rs2", 0.5, "full", 4)


def test_only_seeds_in_common_count_and_three_are_needed():
    found = differences(
        results({"full": [0.9, 0.91, 0.9, None], "rs2": [0.9] * 4, "random": [None, *[0.9] * 3]}),
        0.3,
    )
    assert [(row.method, row.runs) for row in found] == [("rs2", 3)]
    assert differences(results({"rs2": [0.9] * 3}), 0.3) == []


def test_equal_differences_have_no_verdict():
    (found,) = differences(results({"full": [0.9, 0.91, 0.93], "rs2": [0.8, 0.81, 0.83]}), 0.3)
    assert (found.mean, found.verdict) == (pytest.approx(-10), "inconclusive")


def test_any_row_can_be_what_the_others_are_compared_with():
    given = results({"full": [0.9, 0.91, 0.9], "rs2": [0.8] * 3, "random": [0.7, 0.7, 0.8]})
    found = differences(given, 0.3, ("rs2", 0.5))
    assert {row.method: round(row.mean, 6) for row in found} == {
        "full": 10.333333,
        "random": -6.666667,
    }
    assert {row.reference for row in found} == {"rs2"}
    assert differences(given, 0.3, ("rs2", 0.7)) == []


VERDICTS = {
    "superior": (0.1, 0.2),
    "non-inferior": (-0.2, 0.4),
    "inconclusive": (-0.4, 0.4),
    "inferior": (-0.9, -0.4),
}


@pytest.mark.parametrize(("verdict", "ends"), VERDICTS.items(), ids=VERDICTS)
def test_the_verdict_is_that_of_the_interval(verdict, ends):
    assert Difference("rs2", 0.5, "full", 5, sum(ends) / 2, *ends, 0.3).verdict == verdict


def test_an_interval_covers_as_often_as_it_says():
    """4,000 comparisons of five seeds: 95 % cover, within four standard errors (6e-5)."""
    random = np.random.RandomState(0)  # noqa: NPY002
    covered = 0
    for _ in range(4000):
        full = random.normal(0.92, 0.002, 5)
        other = full - 0.001 + random.normal(0, 0.002, 5)
        (found,) = differences(results({"full": full, "rs2": other}), 0.3)
        covered += found.low <= -0.1 <= found.high
    assert covered / 4000 == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 4000))
