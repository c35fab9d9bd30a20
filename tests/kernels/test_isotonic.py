"""Pooling of neighbours, against the minimax formula and scikit-learn."""

import numpy as np
import oracle_isotonic as oracles
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.isotonic import isotonic_regression

from sampling.kernels._isotonic import pool_means, pool_shares

some = settings(deadline=None, derandomize=True, max_examples=100)


def means(values):
    values = np.array(values, np.float64)
    out = np.full(values.size, np.nan)
    pool_means(values, out, np.empty(values.size), np.empty(values.size, np.int64))
    return out


def shares(logits, parts):
    logits, parts = np.array(logits, np.float64), np.array(parts, np.float64)
    out, n = np.full(logits.size, np.nan), logits.size
    pool_shares(logits, parts, out, np.empty(n), np.empty(n), np.empty(n, np.int64))
    return out


@some
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=9))
@example([1.0])
@example([3.0, 2.0, 1.0])
@example([1.0, 2.0, 3.0])
@example([2.0, 2.0, 1.0, 1.0, 5.0, 4.0])
@example([5.0, 0.0, 0.0, 0.0, 0.0])  # each new one pools further back
def test_means_equal_the_minimax(values):
    np.testing.assert_allclose(means(values), oracles.isotonic_by_minimax(values), atol=1e-9)


def test_means_equal_scikit_learn():
    values = np.random.default_rng(0).normal(size=2000).cumsum() / 10
    np.testing.assert_allclose(means(values), isotonic_regression(values), atol=1e-9)


def spectrum(kind, n):
    ladder = np.arange(n + 1) / n
    rise = {"flat": ladder, "square": ladder**2, "half": np.maximum(0, 2 * ladder - 1)}[kind]
    return np.diff(rise)


@some
@given(
    st.lists(st.floats(-30, 30), min_size=1, max_size=9),
    st.sampled_from(["flat", "square", "half"]),
)
@example([1.0, 1.0, 1.0, 1.0], "half")  # shares of 0 before those above it
@example([-30.0, 0.0, 30.0], "half")
def test_shares_equal_the_minimax(logits, kind):
    logits = sorted(logits)
    parts = spectrum(kind, len(logits))
    found = shares(logits, parts)
    np.testing.assert_allclose(found, oracles.shares_by_minimax(logits, parts), atol=1e-9)
    assert abs(found.sum() - 1) < 1e-9


def test_no_logarithm_of_a_share_of_0_is_taken():
    """The released code's -inf: nearly equal losses pool although half of the shares are 0."""
    np.testing.assert_allclose(shares([0.0, 0.0], [0.0, 1.0]), [0.5, 0.5])
    np.testing.assert_allclose(shares([0.0, 2000.0], [0.0, 1.0]), [0.0, 1.0])
