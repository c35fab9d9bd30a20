"""Thresholds that meet a count, and the quotas that follow, together as the engine uses them."""

import numpy as np
import pytest
from helpers import assert_hits
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sampling.kernels._prune import FIRST_GROUP
from sampling.samplers.dynamic._pruning import _quotas
from sampling.samplers.dynamic._thinning import divide, thin
from sampling.samplers.dynamic._thresholds import highest, quantile_levels

some = settings(deadline=None, derandomize=True, max_examples=80)
INF = np.inf
scores_with_ties = st.lists(
    st.sampled_from([0.0, -0.0, 1.0, 2.5, 3e38, -3e38, INF, -INF, np.nan]), min_size=1, max_size=30
)


def kept(scores, count, below=0.0, key=1):
    """Which of the samples with a score are kept: bool (N,)."""
    scores = np.array(scores, np.float32)
    thresholds, keep = highest(scores, count, below)
    assert (np.diff(thresholds) >= 0).all()
    assert ((keep >= 0) & (keep <= 1)).all()
    codes = np.empty(scores.size, np.uint8)
    counts = divide(scores, thresholds, codes)
    thin(codes, counts, _quotas(counts, keep, scores.size), np.uint64(key))
    return codes >= FIRST_GROUP


@some
@given(scores_with_ties, st.data())
@example([INF, INF, INF, 1.0], None)
@example([-INF, -INF, 1.0], None)
@example([INF, -INF, np.nan], None)
def test_the_highest_are_kept_and_as_many_as_asked(scores, data):
    scores = np.array(scores, np.float32)
    seen = int((~np.isnan(scores)).sum())
    counts = range(seen + 2) if data is None else [data.draw(st.integers(0, seen + 2))]
    for count in counts:
        found = kept(scores, count)
        empty = count == 0 and seen == scores.size  # an epoch is never empty
        assert found.sum() == min(count, seen) + empty
        if 0 < count < seen:
            assert scores[found].min() >= np.nanmax(scores[~found])


@pytest.mark.parametrize("level", [1.0, INF, -INF])
def test_ties_are_drawn_by_lot(level):
    scores = [level, level, 0.0 if level > 0 else 1.0, level, level, np.nan]
    count = 2 if level > 0 else 3  # two of the four
    hits = np.sum([kept(scores, count, key=7919 * key) for key in range(2000)], axis=0)
    assert_hits(hits, 2000, [0.5, 0.5, level < 0, 0.5, 0.5, 0])


def test_one_tie_can_be_all():
    assert kept([2.0] * 9, 4).sum() == 4


@some
@given(scores_with_ties, st.integers(0, 30), st.integers(1, 30))
@example([0.0] * 7 + [1.0] * 7 + [2.0] * 3, 5, 4)  # whole parts of each group alone: 8
def test_a_random_part_of_the_others_comes_on_top(scores, count, lot):
    scores = np.array(scores, np.float32)
    seen = int((~np.isnan(scores)).sum())
    count = min(count, seen)
    lot = min(lot, seen - count)
    if lot == 0:
        return
    found = kept(scores, count, lot / (seen - count))
    groups = np.unique(scores[~np.isnan(scores)]).size
    # Exactly, but where a group that is due less than one sample keeps one.
    assert count + lot <= found.sum() <= count + lot + min(groups, 2)
    level = np.sort(scores[~np.isnan(scores)])[seen - count] if count else INF
    assert found[scores > level].all()


def test_together_the_groups_keep_the_whole_part_of_their_sum():
    scores = [0.0] * 7 + [1.0] * 7 + [2.0] * 3
    assert kept(scores, 5, 4 / 12).sum() == 9
    quotas = _quotas(np.array([5, 5, 5]), np.array([0.5, 0.5, 1.0]), 15)
    np.testing.assert_array_equal(quotas, [3, 2, 5])  # of equal remainders the first


@pytest.mark.parametrize("size", [10**9 + 7, 10**10 + 19])
def test_a_count_divided_by_its_group_comes_back(size):
    """(n / m) m is below n for some n, and its whole part then one too small."""
    counts = np.array([size])
    wanted = np.linspace(1, size - 1, 3000).astype(np.int64)
    assert (np.floor(wanted / size * size + 1e-9) < wanted).any()
    found = [int(_quotas(counts, np.array([each / size]), size)[0]) for each in wanted]
    np.testing.assert_array_equal(found, wanted)


def test_quotas_of_zero_and_one():
    def quotas(counts, keep, size=10):
        return _quotas(np.array(counts), np.array(keep), size).tolist()

    assert quotas([4, 6], [0.0, 1.0]) == [0, 6]
    assert quotas([4, 6], [0.01, 1.0]) == [1, 6]  # a group with a share keeps one
    assert quotas([0, 10], [0.5, 0.5]) == [0, 5]
    assert quotas([10, 0], [0.0, 0.0]) == [1, 0]  # an epoch is never empty
    assert quotas([4, 6], [0.0, 0.0]) == [0, 1]  # then the last group has it
    assert quotas([4, 5], [0.0, 0.0]) == [0, 0]  # the sample without a score is dealt
    assert quotas([3, 3, 3], [0.3, 1.0, 0.3], 9) == [1, 3, 1]


@some
@given(
    st.lists(st.floats(-100, 100, width=32) | st.just(np.nan) | st.just(1.0), max_size=30),
    st.lists(st.floats(0.001, 0.999), min_size=1, max_size=4, unique=True).map(sorted),
)
@example([0.1] * 10, [0.2, 0.85])
@example([], [0.5])
@example([np.nan], [0.5])
def test_quantiles_are_those_of_numpy(scores, quantiles):
    scores, quantiles = np.array(scores, np.float32), np.array(quantiles)
    before = scores.copy()
    found = quantile_levels(scores, quantiles)
    np.testing.assert_array_equal(scores, before)
    seen = scores[~np.isnan(scores)].astype(np.float64)
    expected = np.quantile(seen, quantiles) if seen.size else quantiles
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert (np.diff(found) >= 0).all()
    if np.unique(seen).size == 1:  # or equal losses would fall below their own quantile
        assert (found == seen[0]).all()
