"""How often rows and sources are repeated: exact totals, caps kept, means right."""

import numpy as np
import oracle_rows
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.selection import repeat_counts, unimax

weights = st.lists(st.just(0.0) | st.floats(1e-3, 1e3), min_size=1, max_size=30).filter(any)


def test_golden_values_of_the_card():
    found = unimax([10, 100, 1000], 600, max_epochs=4)
    assert found.amounts.tolist() == [40, 280, 280]
    assert found.epochs == pytest.approx([4, 2.8, 0.28])
    assert found.probabilities == pytest.approx(np.array([40, 280, 280]) / 600)
    assert found.shortfall == 0.0
    full = unimax([10, 100, 1000], 6000, max_epochs=4)
    assert full.amounts.tolist() == [40, 400, 4000]
    assert full.shortfall == 1560.0


@settings(max_examples=200, deadline=None)
@given(weights, st.floats(1.0, 1e5), st.floats(0.1, 20.0))
def test_unimax_is_the_loop_of_the_paper(sizes, total, cap):
    found = unimax(sizes, total, max_epochs=cap)
    amounts, left = oracle_rows.unimax_by_turns(sizes, total, cap)
    assert found.amounts == pytest.approx(amounts, rel=1e-9, abs=1e-9)
    assert found.shortfall == pytest.approx(max(0.0, left), rel=1e-9, abs=1e-6)
    assert (found.epochs <= cap * (1 + 1e-12)).all()
    assert found.probabilities.sum() == pytest.approx(1.0)


def test_an_empty_source_gets_nothing():
    found = unimax([0, 10, 10], 4)
    assert found.amounts.tolist() == [0, 2, 2]
    assert found.epochs.tolist() == [0, 0.2, 0.2]
    with pytest.raises(ValueError, match="sizes must not all be 0, got 2 zeros"):
        unimax([0, 0], 4)
    with pytest.raises(ValueError, match="sizes must be finite and >= 0, got -1.0 in row 1"):
        unimax([3, -1], 4)
    with pytest.raises(ValueError, match="max_epochs must be in"):
        unimax([3, 1], 4, max_epochs=0)


@settings(max_examples=200, deadline=None)
@given(weights, st.integers(1, 200), st.integers(1, 12), st.integers(0, 2**64 - 1))
def test_totals_are_exact_and_caps_kept(shares, total, cap, seed):
    most = cap * np.count_nonzero(shares)
    for rounding in ("systematic", "largest"):
        if total > most:
            with pytest.raises(ValueError, match=f"total must be at most {most}, {cap} times the"):
                repeat_counts(shares, total, max_repeats=cap, rounding=rounding)
            continue
        found = repeat_counts(shares, total, max_repeats=cap, rounding=rounding, seed=seed)
        assert found.dtype == np.int64
        assert found.sum() == total
        assert found.min() >= 0
        assert found.max() <= cap
        assert not found[np.array(shares) == 0].any()
        exact = np.array(oracle_rows.shares_by_bisection(shares, total, cap))
        assert (np.abs(found - exact) < 1 + 1e-6).all()


@pytest.mark.parametrize("tiny", [1e-30, 1e-190, 1e-310, 5e-324])
def test_weights_next_to_nothing(tiny):
    for shares, total, cap, expected in (
        ([1.0, tiny], 1, 1, [1, 0]),
        ([1.0, tiny], 2, 1, [1, 1]),
        ([1.0, tiny, 0.0], 5, 3, [3, 2, 0]),
        ([1.0, 1.0, tiny, tiny], 7, 2, None),
    ):
        found = repeat_counts(shares, total, max_repeats=cap)
        assert found.sum() == total
        assert expected is None or found.tolist() == expected


def test_huge_totals_are_exact():
    shares = np.random.default_rng(2).uniform(size=1000)
    for total in (10**12 + 7, 10**15 + 1):
        for rounding in ("systematic", "largest"):
            found = repeat_counts(shares, total, max_repeats=2 * 10**12, rounding=rounding)
            assert found.sum() == total
            assert found.max() <= 2 * 10**12


def test_the_mean_of_many_counts_is_the_exact_share():
    """Each of 30 means of 3,000 within 4.5 sd: two false alarms in 10,000."""
    shares = np.random.default_rng(0).gamma(0.5, size=30)
    exact = np.array(oracle_rows.shares_by_bisection(shares, 45, 4))
    counts = [repeat_counts(shares, 45, max_repeats=4, seed=seed) for seed in range(3000)]
    part = exact % 1
    sd = np.sqrt(part * (1 - part) / 3000)
    assert (np.abs(np.mean(counts, axis=0) - exact) <= 4.5 * sd + 1e-9).all()


def test_same_seed_same_counts():
    shares = np.random.default_rng(1).uniform(size=100)
    one = repeat_counts(shares, 150, max_repeats=4, seed=5)
    assert np.array_equal(one, repeat_counts(shares, 150, max_repeats=4, seed=5))
    assert not np.array_equal(one, repeat_counts(shares, 150, max_repeats=4, seed=6))
    most = repeat_counts(shares, 400, max_repeats=4)
    assert (most == 4).all()
    assert (repeat_counts(np.ones(7), 21, max_repeats=5) == 3).all()
    with pytest.raises(ValueError, match="rounding must be one of 'systematic', 'largest'"):
        repeat_counts(shares, 10, max_repeats=4, rounding="floor")
    with pytest.raises(ValueError, match="max_repeats must be >= 1, got 0"):
        repeat_counts(shares, 10, max_repeats=0)
