"""One-dimensional k-means against a dynamic programme over all values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.samplers.dynamic._natural_breaks import BINS, SAMPLE, natural_breaks

KEY = np.uint64(5)


def cost(values, thresholds):
    """The sum of squared distances from the mean of each group."""
    values = np.sort(np.asarray(values, np.float64))
    groups = np.split(values, np.searchsorted(values, thresholds))
    assert all(group.size for group in groups)
    return sum(((group - group.mean()) ** 2).sum() for group in groups)


def least_cost(values, groups):
    """The least of all partitions of the sorted values into neighbours. O(groups n^2) means."""
    values = np.sort(np.asarray(values, np.float64))

    def alone(first, last):
        part = values[first:last]
        return ((part - part.mean()) ** 2).sum()

    best = [0.0] + [alone(0, last) for last in range(1, values.size + 1)]
    for _ in range(groups - 1):
        best = [0.0] + [
            min(best[first] + alone(first, last) for first in range(last))
            for last in range(1, values.size + 1)
        ]
    return best[-1]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=14),
    st.integers(1, 5),
)
def test_is_exact(values, groups):
    scores = np.array([*values, np.nan], np.float32)
    thresholds = natural_breaks(scores, groups, KEY)
    assert thresholds.size == min(groups, np.unique(scores[:-1]).size) - 1
    scale = np.abs(scores[:-1].astype(np.float64)).max() ** 2 * len(values)
    assert cost(scores[:-1], thresholds) <= least_cost(scores[:-1], groups) + 1e-9 * scale


@pytest.mark.parametrize("draw", ["exponential", "lognormal", "uniform", "three"])
def test_more_values_than_bins(draw):
    """Within a thousandth of the least; k-means from quantiles may be far above."""
    random = np.random.default_rng(0)
    size = 2 * BINS + 88
    values = {
        "exponential": lambda: random.exponential(size=size),
        "lognormal": lambda: random.lognormal(0, 2, size),
        "uniform": lambda: random.random(size),
        "three": lambda: random.normal(size=size) + random.choice([0, 30, 31], size),
    }[draw]().astype(np.float32)
    found = cost(values, natural_breaks(values, 3, KEY))
    assert found <= 1.001 * _least_of_few(values, 3)


def _least_of_few(values, groups):
    """The same minimum by running sums: too many values for the plain one."""
    values = np.sort(values.astype(np.float64))
    values -= values.mean()
    sums, squares = (np.concatenate([[0.0], np.cumsum(values**power)]) for power in (1, 2))
    first, last = np.arange(values.size + 1)[:, None], np.arange(values.size + 1)[None]
    counts = np.maximum(last - first, 1)
    alone = squares[last] - squares[first] - (sums[last] - sums[first]) ** 2 / counts
    alone = np.where(last > first, alone, np.inf)
    best = alone[0]
    for _ in range(groups - 1):
        best = (best[:, None] + alone).min(axis=0)
    return best[-1]


def test_fewer_distinct_scores_than_groups():
    assert natural_breaks(np.array([2, 2, 2], np.float32), 5, KEY).size == 0
    assert natural_breaks(np.full(4, np.nan, np.float32), 5, KEY).size == 0
    np.testing.assert_array_equal(
        natural_breaks(np.array([1, 3, 1, 7, np.nan], np.float32), 5, KEY), [2, 5]
    )
    assert natural_breaks(np.arange(9, dtype=np.float32), 1, KEY).size == 0
    assert natural_breaks(np.arange(9, dtype=np.float32), 9, KEY).size == 8


def test_neighbouring_floats_are_told_apart():
    one = np.float32(1.0)
    scores = np.array([one, np.nextafter(one, np.float32(2))] * 3, np.float32)
    thresholds = natural_breaks(scores, 2, KEY)
    assert np.count_nonzero(scores >= thresholds) == 3


def test_huge_losses_are_a_group_of_their_own():
    scores = np.concatenate([np.linspace(0, 1, 1000), [3e38, 3.1e38]]).astype(np.float32)
    assert np.count_nonzero(scores >= natural_breaks(scores, 2, KEY)) == 2


def test_a_sample_of_many_finds_nearly_the_breaks_of_all():
    random = np.random.default_rng(1)
    scores = (random.normal(size=4 * SAMPLE) + 6 * random.integers(0, 4, 4 * SAMPLE)).astype(
        np.float32
    )
    found = natural_breaks(scores, 4, KEY)
    np.testing.assert_allclose(found, [3, 9, 15], atol=0.1)
    np.testing.assert_array_equal(found, natural_breaks(scores, 4, KEY))
    assert (found != natural_breaks(scores, 4, np.uint64(6))).any()
