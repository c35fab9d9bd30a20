"""Score updates, against a dictionary and Python's floats."""

import numpy as np
import oracles
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sampling.kernels import _scores
from sampling.kernels._scores import _first_outside as outside_by_twin
from sampling.kernels._scores import (
    add_written,
    count_up,
    fill_uniform,
    first_outside,
    store_means,
    update,
)

keys = st.integers(0, 2**64 - 1)
some = settings(deadline=None, derandomize=True, max_examples=100)

# ---------------------------------------------------------------------- first_outside


@some
@given(st.lists(st.integers(-3, 12), max_size=20), st.integers(1, 10))
@example([], 1)
@example([0], 1)
@example([1], 1)
@example([-1], 1)
@example([2**62, 0], 2**62)
@example([2**62 - 1, -(2**63)], 2**62)
def test_first_outside_equals_numpy(indices, n):
    indices = np.array(indices, np.int64)
    assert first_outside(indices, n) == oracles.outside_by_numpy(indices, n)
    assert outside_by_twin(indices, n) == oracles.outside_by_numpy(indices, n)


# ---------------------------------------------------------------------- update

loss = st.one_of(
    st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf, 0.1]),
    st.floats(0, 100, width=32),
)
batches = st.lists(st.tuples(st.integers(0, 7), loss), max_size=20)


def check_update(scores, batch, ema, dtype=np.float32):
    indices = np.array([i for i, _ in batch], np.int64)
    losses = np.array([value for _, value in batch], dtype)
    before = np.array(scores, np.float32)
    expected, written, skipped = oracles.update_by_loop(before, indices, losses, ema)
    for touched in (np.zeros(before.size, np.bool_), np.zeros(0, np.bool_)):
        after = before.copy()
        with np.errstate(over="ignore"):
            assert update(after, touched, indices, losses, ema) == skipped
        np.testing.assert_array_equal(after, expected)
        if touched.size:
            assert set(np.flatnonzero(touched).tolist()) == written
    return after


@some
@given(batches, st.sampled_from([1.0, 0.5, 0.3, 0.9, 1e-3]))
@example([], 1.0)
@example([(3, 1.0), (3, 2.0), (3, np.nan), (3, 4.0)], 0.3)  # the same sample again and again
def test_update_equals_a_loop(batch, ema):
    check_update([np.nan, 0.0, 1.5, np.nan, 0.1, 7.25, np.nan, 1e-30], batch, ema)


def test_a_moving_average_is_rounded_once():
    """Computed in float64 and rounded to float32 at the end, with the JIT on and off."""
    scores = (np.arange(1, 201) / 7).astype(np.float32)
    check_update(scores, [(i, i / 3) for i in range(200)], 0.3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_losses_that_are_not_finite_are_counted_and_not_stored(value):
    after = check_update([np.nan, 2.0], [(0, value), (1, value), (1, 3.0)], 1.0)
    np.testing.assert_array_equal(after, np.array([np.nan, 3.0], np.float32))


def test_float64_losses_are_rounded_to_float32():
    check_update([np.nan] * 8, [(0, 0.1), (1, 1e300), (2, -1e300), (0, 0.2)], 0.5, np.float64)


def test_with_ema_1_a_score_of_any_size_is_replaced():
    after = check_update([3e38, np.nan], [(0, 1.0), (1, 3e38)], 1.0)
    np.testing.assert_array_equal(after, np.array([1.0, 3e38], np.float32))


# ---------------------------------------------------------------------- count_up


def check_counts(before, indices):
    before, indices = np.array(before, np.uint8), np.array(indices, np.int64)
    for size in (before.size, 0):
        counts, own = before.copy(), np.zeros(size, np.uint8)
        stopped = count_up(counts, own, indices, np.uint64(255))
        done = indices[:stopped]
        assert counts.tolist() == oracles.counts_by_counter(before, done)
        if size:
            assert own.tolist() == oracles.counts_by_counter(np.zeros(size, np.uint8), done)
        assert own.dtype == counts.dtype == np.uint8
        beyond = oracles.counts_by_counter(before, indices[: stopped + 1])
        assert stopped == indices.size or max(beyond) == 256


@some
@given(
    st.lists(st.sampled_from([0, 1, 7, 253, 254, 255]), min_size=8, max_size=8),
    st.lists(st.integers(0, 7), max_size=20),
)
@example([0] * 8, [])
@example([0] * 8, [3, 3, 3, 0])  # the same sample again and again
@example([253] * 8, [5, 5, 5, 5])
def test_counts_equal_a_counter(before, indices):
    check_counts(before, indices)


def test_a_count_stops_at_255():
    check_counts([0, 0], [1] * 1000)


# ---------------------------------------------------------------------- add_written, store_means

written = st.dictionaries(st.integers(0, 5), st.sampled_from([0.0, 0.1, 1e8, -1e8, 1.0, 1 / 3]))


@pytest.mark.parametrize(
    ("add", "store"), [(add_written, store_means), (_scores._add_written, _scores._store_means)]
)
@some
@given(st.lists(written, max_size=4))
@example([{0: 1e8}, {0: 1.0}, {0: -1e8}])  # summed in double precision
def test_means_equal_those_of_a_dictionary(add, store, ranks):
    scores = np.array([1, 2, 3, np.nan, 0.1, -0.0], np.float32)
    expected = oracles.means_by_dictionary(scores, ranks)
    sums, counts = np.zeros(6), np.zeros(6, np.int32)
    for rank in ranks:
        add(sums, counts, np.array([*rank], np.int32), np.array([*rank.values()], np.float32))
    store(scores, sums, counts)
    np.testing.assert_array_equal(scores, expected)
    assert not sums.any()
    assert not counts.any()


# ---------------------------------------------------------------------- fill_uniform


@some
@given(keys, st.integers(0, 12))
def test_uniform_equals_python_integers(key, n):
    out = np.full(n, -1, np.float32)
    fill_uniform(np.uint64(key), out)
    np.testing.assert_array_equal(out, oracles.uniform_in_integers(key, n))
    assert ((out >= 0) & (out < 1)).all()
