"""Groups of equal quotas: exact counts, every subset alike, the same for any number of threads."""

import os

import numpy as np
import oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sampling.kernels._prune import FIRST_GROUP, LEFT_OUT, UNSEEN
from sampling.samplers.core import _threads
from sampling.samplers.dynamic import _thinning
from sampling.samplers.dynamic._thinning import divide, summary, thin

keys = st.integers(0, 2**64 - 1)


def counts_of(codes, groups):
    return np.array([np.count_nonzero(codes == FIRST_GROUP + g) for g in range(groups)], np.int64)


def check_thin(codes, quotas, key):
    codes, quotas = np.array(codes, np.uint8), np.array(quotas, np.int64)
    counts = counts_of(codes, quotas.size)
    thinned, counts_before, quotas_before = codes.copy(), counts.copy(), quotas.copy()
    thin(thinned, counts, quotas, np.uint64(key))
    np.testing.assert_array_equal(thinned, oracles.thin_by_sorting(codes, quotas, key))
    np.testing.assert_array_equal(counts_of(thinned, quotas.size), quotas)
    np.testing.assert_array_equal(thinned[codes == UNSEEN], UNSEEN)
    kept = thinned != LEFT_OUT
    np.testing.assert_array_equal(thinned[kept], codes[kept])
    np.testing.assert_array_equal(counts, counts_before)
    np.testing.assert_array_equal(quotas, quotas_before)
    return thinned


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), keys, st.data())
def test_thinning_keeps_the_smallest_hashes(codes, key, data):
    codes = np.array(codes, np.uint8)
    quotas = [data.draw(st.integers(0, int(count))) for count in counts_of(codes, 3)]
    check_thin(codes, quotas, key)


@pytest.mark.parametrize("size", [1, 2, 127, 5000])
def test_thin_to_nothing_to_one_and_to_everything(size):
    codes = [FIRST_GROUP] * size
    assert (check_thin(codes, [0], 1) == LEFT_OUT).all()
    assert np.count_nonzero(check_thin(codes, [1], 2)) == 1
    assert np.count_nonzero(check_thin(codes, [size - 1], 3)) == size - 1
    assert (check_thin(codes, [size], 4) == FIRST_GROUP).all()


def test_every_subset_is_alike():
    """All 10 ways to keep 2 of 5, over 2,000 keys: chi-square with 9 degrees, p > 1e-6."""
    seen = {}
    for key in range(2_000):
        codes = np.full(5, FIRST_GROUP, np.uint8)
        thin(codes, np.array([5]), np.array([2]), np.uint64(oracles.mix_in_integers(key + 1)))
        subset = tuple(np.flatnonzero(codes).tolist())
        seen[subset] = seen.get(subset, 0) + 1
    assert len(seen) == 10
    assert stats.chisquare(list(seen.values())).pvalue > 1e-6


def of_many_groups(size):
    codes = (np.arange(size) * 7 % 5).astype(np.uint8)
    counts = counts_of(codes, 3)
    return codes, counts, counts // np.array([2, 3, 7])


def test_a_range_that_misses_is_widened_with_equal_results(monkeypatch):
    codes, counts, quotas = of_many_groups(3000)
    whole = check_thin(codes, quotas, 5)
    tried = []
    ranges = _thinning._ranges

    def too_narrow(counts, quotas, deviations):
        low, high, expected = ranges(counts, quotas, deviations)
        tried.append(deviations)
        if deviations < np.inf:
            high[FIRST_GROUP + 1] = low[FIRST_GROUP + 1]
        return low, high, expected

    monkeypatch.setattr(_thinning, "_ranges", too_narrow)
    np.testing.assert_array_equal(check_thin(codes, quotas, 5), whole)
    assert tried == [_thinning._DEVIATIONS, np.inf]


def test_the_plan_is_the_same_for_any_number_of_threads_and_leaves_none(monkeypatch):
    import threading

    random = np.random.default_rng(0)
    scores = random.exponential(size=10_000).astype(np.float32)
    scores[::50] = np.nan
    found, sums, threads = [], {}, torch.get_num_threads()
    in_parts = _threads.in_parts
    monkeypatch.setattr(_thinning, "in_parts", lambda work, size: in_parts(work, size, 999))
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            codes = np.zeros(scores.size, np.uint8)
            counts = divide(scores, np.array([0.5, 1.0]), codes)
            expected = oracles.groups_by_numpy(scores, [0.5, 1.0])
            np.testing.assert_array_equal(codes, expected[0])
            np.testing.assert_array_equal(counts, expected[1])
            seen, total, largest = summary(scores)
            assert (seen, total) == (9_800, sums.setdefault("total", total))
            assert (total, largest) == pytest.approx(
                (np.nansum(scores, dtype=float), np.nanmax(scores))
            )
            thin(codes, counts, counts // 2, np.uint64(3))
            found.append(codes)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(*found)
    assert not [each for each in threading.enumerate() if each.name.startswith("sampling plan")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_forked_after_a_plan_can_plan(monkeypatch):
    in_parts = _threads.in_parts
    monkeypatch.setattr(_thinning, "in_parts", lambda work, size: in_parts(work, size, 700))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    codes, counts, quotas = of_many_groups(3000)
    ours = codes.copy()
    thin(ours, counts, quotas, np.uint64(9))
    child = os.fork()
    if child == 0:
        theirs = codes.copy()
        thin(theirs, counts, quotas, np.uint64(9))
        os._exit(0 if (theirs == ours).all() else 1)
    assert os.waitpid(child, 0)[1] == 0
