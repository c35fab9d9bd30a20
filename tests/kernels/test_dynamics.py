"""Training dynamics, each kernel against whole histories as lists."""

import numpy as np
import oracle_dynamics as oracles
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sampling.kernels import _dynamics as kernels

some = settings(deadline=None, derandomize=True, max_examples=60)
rows_of = st.lists(st.integers(0, 4), max_size=24)
unit = st.floats(0, 1)
N = 5


def drawn(rows, seed, low=-3.0, high=3.0):
    return np.random.default_rng(seed).uniform(low, high, len(rows))


def by_row(rows, *columns):
    """(row, its values of each column in order) of each row that occurs."""
    rows = np.array(rows, np.int64)
    for i in np.unique(rows):
        yield i, *(column[rows == i].tolist() for column in columns)


def numbers_of(rows):
    return np.array(oracles.numbers_by_counting(rows, [0] * N), np.int64)


@some
@given(
    st.lists(st.tuples(st.integers(-2, 7), st.integers(-2, 5)), max_size=8),
    st.integers(1, 6),
    st.integers(2, 4),
)
@example([(0, -1)], 1, 2)
@example([(1, 0)], 1, 2)
@example([], 1, 2)
def test_first_bad(pairs, n, classes):
    indices, labels = np.array(pairs, np.int64).reshape(-1, 2).T.copy()
    found = kernels.first_bad(indices, labels, n, classes)
    assert found == oracles.bad_by_sets(indices, labels, n, classes)


logit = st.one_of(
    st.floats(-30, 30, width=32),
    st.sampled_from([0.0, 1e38, -1e38, np.inf, -np.inf, np.nan, 88.0, -1000.0]),
)


@st.composite
def a_batch(draw, values):
    classes, size = draw(st.integers(2, 5)), draw(st.integers(0, 6))
    rows = draw(st.lists(values, min_size=classes * size, max_size=classes * size))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=size, max_size=size))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return np.array(rows, dtype).reshape(size, classes), np.array(labels, np.int64)


@some
@given(a_batch(logit))
def test_lower(batch):
    logits, labels = batch
    below, margins = np.empty(logits.shape), np.empty(len(labels))
    skipped = kernels.lower(logits, labels, below, margins)
    expected = oracles.lowered_by_sorting(logits, labels)
    np.testing.assert_array_equal(below, expected[0])
    np.testing.assert_array_equal(margins, expected[1])
    assert skipped == expected[2]


def test_lower_leaves_out_a_row_whose_range_float64_cannot_hold():
    logits = np.array([[1.7e308, -1.7e308], [1.0, 0.0]])
    below, margins = np.empty((2, 2)), np.empty(2)
    assert kernels.lower(logits, np.array([0, 0]), below, margins) == 1
    np.testing.assert_array_equal(margins, [np.nan, 1.0])


def observe(logits, labels):
    below, observed = np.empty(logits.shape), np.empty((kernels.COLUMNS, len(labels)))
    kernels.lower(logits, labels, below, observed[kernels.MARGIN])
    kernels.observe(below, np.exp(below), labels, observed)
    return observed


@some
@given(a_batch(st.one_of(st.floats(-30, 30, width=32), st.sampled_from([0.0, -1e30, 700.0]))))
def test_observe(batch):
    logits, labels = batch
    found, expected = observe(logits, labels), oracles.observed_by_softmax(logits, labels)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=2e-15)


def test_observe_keeps_what_is_left_of_certainty():
    """1 - p_y is 1e-20 here: taken from p_y it would be 0."""
    found = observe(np.array([[np.log(1e20), 0.0]]), np.array([0]))
    assert found[kernels.EL2N, 0] == pytest.approx(np.sqrt(2) * 1e-20)
    assert found[kernels.LOSS, 0] == pytest.approx(1e-20)


@some
@given(rows_of)
@example([2, 2, 2])
def test_number(rows):
    before = [3, 0, 1, 7, 0]
    presentations = np.array(before, np.int32)
    numbers = np.empty(len(rows), np.int64)
    kernels.number(np.array(rows, np.int64), presentations, numbers)
    assert numbers.tolist() == oracles.numbers_by_counting(rows, before)
    assert presentations.tolist() == [b + rows.count(i) for i, b in enumerate(before)]


@some
@given(rows_of)
def test_add(rows):
    values, sums = drawn(rows, 1), np.zeros(N)
    kernels.add(np.array(rows, np.int64), values, sums)
    np.testing.assert_array_equal(sums, oracles.sums_by_bincount(rows, values, N))


@some
@given(rows_of, st.sampled_from([1.0, 0.5, 0.1]))
def test_average(rows, weight):
    values, averages = drawn(rows, 2), np.full(N, np.nan)
    kernels.average(np.array(rows, np.int64), values, weight, averages)
    assert np.isnan(averages).sum() == N - len(set(rows))
    for i, own in by_row(rows, values):
        assert averages[i] == pytest.approx(oracles.averages_by_powers(own, weight), abs=1e-12)


@some
@given(rows_of, st.integers(1, 3), st.integers(0, 9))
def test_history(rows, streaks, seed):
    margins = np.sign(drawn(rows, seed)).round()
    margins[::5] = 0.0  # a tie is no right answer
    events, now = np.zeros(N, np.int32), np.zeros(N, np.int32)
    reached = np.zeros((N, streaks), np.int32)
    array = np.array(rows, np.int64)
    kernels.history(array, numbers_of(rows), margins, events, now, reached)
    for i, own in by_row(rows, margins):
        expected = oracles.history_by_text(own, streaks)
        assert (events[i], now[i], reached[i].tolist()) == expected


@some
@given(rows_of, st.integers(0, 9))
def test_spread(rows, seed):
    probabilities, margins = drawn(rows, seed, 0, 1), drawn(rows, seed + 1)
    means, squares, correct = np.zeros(N), np.zeros(N), np.zeros(N, np.int32)
    array = np.array(rows, np.int64)
    kernels.spread(array, numbers_of(rows), probabilities, margins, means, squares, correct)
    for i, own, leads in by_row(rows, probabilities, margins):
        expected = oracles.spread_by_lists(own, leads)
        assert (means[i], squares[i], correct[i]) == pytest.approx(expected, abs=1e-12)


@some
@given(rows_of, st.integers(2, 4), st.integers(0, 9), st.sampled_from(["both", "stds", "duals"]))
def test_slide(rows, width, seed, asked):
    probabilities = drawn(rows, seed, 0, 1)
    ring = np.zeros((N, width), np.float32)
    stds = np.zeros(0 if asked == "duals" else N)
    duals = np.zeros(0 if asked == "stds" else N)
    array = np.array(rows, np.int64)
    kernels.slide(array, numbers_of(rows), probabilities, ring, stds, duals)
    for i, own in by_row(rows, probabilities):
        expected = oracles.windows_by_slices(own, width)
        for sums, total in zip((stds, duals), expected, strict=True):
            assert sums.size == 0 or sums[i] == pytest.approx(total, abs=1e-12)


@some
@given(rows_of, st.integers(3, 5), st.sampled_from([0.9, 0.5, 1.0]), st.integers(0, 9))
def test_travel(rows, width, decay, seed):
    parts = np.random.default_rng(seed).gamma(0.3, size=(len(rows), 3))
    parts[::4, 0] = 0.0
    probabilities = parts / parts.sum(1, keepdims=True)
    past, moves = np.zeros((N, 3), np.float32), np.zeros((N, width - 1), np.float32)
    averages = np.zeros(N)
    array = np.array(rows, np.int64)
    kernels.travel(array, numbers_of(rows), probabilities, past, moves, decay, averages)
    for i, own in by_row(rows, probabilities):
        expected = oracles.travel_by_slices(own, width, decay)
        assert averages[i] == pytest.approx(expected, abs=1e-5)  # moves are float32
        np.testing.assert_array_equal(past[i], np.float32(own[-1]))


@some
@given(rows_of, st.integers(0, 9))
def test_blend(rows, seed):
    parts = np.random.default_rng(seed).gamma(0.3, size=(len(rows), 3)) + 1e-9
    probabilities = parts / parts.sum(1, keepdims=True)
    means = np.zeros((N, 3), np.float32)
    kernels.blend(np.array(rows, np.int64), numbers_of(rows), probabilities, means)
    for i, own in by_row(rows, probabilities):
        np.testing.assert_allclose(means[i], oracles.means_by_sums(own), atol=1e-6)


@some
@given(st.integers(0, 2**64 - 1), st.integers(0, 5))
def test_hash_rows(key, n):
    out = np.empty(n, np.uint64)
    kernels.hash_rows(np.uint64(key), out)
    assert out.tolist() == oracles.hashes_in_integers(key, n)
