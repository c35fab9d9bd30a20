"""Budgets and how they are shared out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import inclusion_by_bisection, water_fill_by_units

from sampling.selection import inclusion_probabilities, share_out, water_fill

sizes = st.lists(st.integers(0, 30), min_size=1, max_size=8)


@settings(deadline=None, derandomize=True)
@given(sizes, st.integers(0, 100))
def test_water_fills_evenly(capacities, total):
    found = water_fill(capacities, total)
    assert found.tolist() == water_fill_by_units(capacities, total)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8).filter(any), st.integers(0, 1000))
def test_shares_add_up_and_are_off_by_less_than_one(weights, total):
    found = share_out(weights, total)
    assert found.sum() == total
    exact = total * np.array(weights) / sum(weights)
    assert (np.abs(found - exact) < 1 + 1e-6).all()


@settings(deadline=None, derandomize=True)
@given(sizes.filter(any), st.integers(0, 100), st.data())
def test_shares_stay_below_caps(weights, total, data):
    caps = data.draw(st.lists(st.integers(0, 30), min_size=len(weights), max_size=len(weights)))
    found = share_out(weights, total, caps)
    room = sum(cap for cap, weight in zip(caps, weights, strict=True) if weight)
    assert found.sum() == min(total, room)
    assert (found <= caps).all()


@settings(deadline=None, derandomize=True)
@given(st.lists(st.just(0.0) | st.floats(1e-6, 1e3), min_size=2, max_size=20), st.data())
def test_inclusion_probabilities_add_up_to_the_budget(scores, data):
    positive = sum(score > 0 for score in scores)
    if not positive:
        return
    budget = data.draw(st.integers(1, positive))
    found = inclusion_probabilities(scores, budget)
    assert found.sum() == pytest.approx(budget, rel=1e-9)
    assert ((found >= 0) & (found <= 1)).all()
    inside = found < 1 - 1e-9
    ratios = found[inside & (found > 1e-9)] / np.array(scores)[inside & (found > 1e-9)]
    if ratios.size:
        assert ratios.max() == pytest.approx(ratios.min(), rel=1e-6)
    assert found == pytest.approx(inclusion_by_bisection(scores, budget), abs=1e-6)


def test_too_few_scores_above_zero():
    with pytest.raises(ValueError, match="budget must be at most 2, the scores above 0, got 3"):
        inclusion_probabilities([1.0, 2.0, 0.0], 3)
