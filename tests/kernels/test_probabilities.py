"""Probabilities from scores, and their moments, against lists and `math`."""

import math

import numpy as np
import oracle_importance as oracles
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sampling.kernels._probabilities import (
    HALF_OCTAVES,
    extremes,
    moments,
    octaves,
    powers,
    relative,
)

score = st.one_of(
    st.sampled_from([0.0, -0.0, 0.5, 1.0, np.nan]),
    st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6),
)
score_lists = st.lists(score, max_size=40)
some = settings(deadline=None, derandomize=True, max_examples=100)


def floats32(values):
    return np.array(values, np.float32)


@some
@given(score_lists)
@example([])
@example([np.nan, np.nan])
@example([np.nan, -3.0])
def test_extremes_equal_those_of_a_sorted_list(scores):
    assert extremes(floats32(scores)) == oracles.extremes_by_sorting(floats32(scores))


@some
@given(score_lists)
@example([])
def test_moments_equal_exact_sums(scores):
    scores = floats32(scores)
    least = min(0.0, extremes(scores)[1])
    np.testing.assert_allclose(
        moments(scores, least), oracles.moments_by_fsum(scores, least), rtol=1e-12
    )


@some
@given(score_lists, st.sampled_from([1.0, 0.5, 0.3]), st.sampled_from([0.0, 0.7]))
@example([], 1.0, 0.7)
def test_shares_are_the_formula(scores, power, scale):
    scores, shares = floats32(scores), np.empty(len(scores))
    least = min(0.0, extremes(scores)[1])
    total = powers(scores, least, power, shares)
    expected, exact = oracles.powers_by_list(scores, least, power)
    np.testing.assert_allclose(shares, expected, rtol=1e-14)
    assert total == pytest.approx(exact, rel=1e-12)
    relative(shares, scale, 0.25)
    np.testing.assert_allclose(
        shares, oracles.relative_by_formula(expected, scale, 0.25), rtol=1e-13
    )


@some
@given(
    st.lists(
        st.one_of(
            st.sampled_from([0.0, -0.0, np.nan, 1.0, 1.5, 2.0, 2.0**-126, 2.0**-127, 2.0**-149]),
            st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=0),
        ),
        max_size=40,
    )
)
@example([3.4028234663852886e38])
def test_half_octaves_equal_those_of_frexp(scores):
    scores = floats32(scores)
    counts, squares = np.zeros(HALF_OCTAVES, np.int64), np.zeros(HALF_OCTAVES)
    octaves(scores, scores.view(np.uint32), counts, squares)
    expected = oracles.octaves_by_frexp(scores)
    assert {int(each): int(counts[each]) for each in np.flatnonzero(counts)} == {
        octave: count for octave, (count, _) in expected.items()
    }
    for octave, (_, total) in expected.items():
        assert squares[octave] == pytest.approx(total, rel=1e-13)


def test_sums_are_float64():
    """2**24 + 1 is no float32: a float32 running sum would end at 2**24."""
    assert moments(floats32([2.0**24, 1.0]), 0.0)[0] == 2.0**24 + 1.0
    assert math.isinf(extremes(floats32([]))[1])
