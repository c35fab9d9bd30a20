"""Shares by a metric, by hand."""

import numpy as np
import pytest

from sampling.samplers import ByPerformance, MixtureSampler

NAN = np.nan


def after(rule, prior, *values):
    state = rule.begin(np.array(prior, float))
    for each in values:
        state = rule.step(state, metrics={"f1": np.array(each, float)})
    return state["weights"]


def test_golden_shares():
    rule = ByPerformance("f1", floor=0.0)
    np.testing.assert_allclose(after(rule, [0.5, 0.25, 0.25], [0.9, 0.8, 0.8]), [1 / 3] * 3)
    np.testing.assert_allclose(after(rule, [1 / 3] * 3, [0.9, 0.6, 0.5]), [0.1, 0.4, 0.5])
    squared = ByPerformance("f1", power=2.0, floor=0.0)
    np.testing.assert_allclose(after(squared, [0.5, 0.5], [0.9, 0.7]), [0.1, 0.9])
    soft = ByPerformance("f1", power=2.0, link="softmax", floor=0.0)
    parts = np.array([0.6, 0.4]) * np.exp([0.2, 0.6])
    np.testing.assert_allclose(after(soft, [0.6, 0.4], [0.9, 0.7]), parts / parts.sum())


def test_losses_and_error_rates_are_better_if_low():
    rule = ByPerformance(best=1.0, floor=0.0)
    state = rule.begin(np.array([0.5, 0.5]))
    found = rule.step(state, validation_losses=np.array([1.5, 2.5]))["weights"]
    np.testing.assert_allclose(found, [0.25, 0.75])
    assert not rule.higher_is_better
    error = ByPerformance("f1", higher_is_better=False, floor=0.0)
    np.testing.assert_allclose(after(error, [0.5, 0.5], [0.1, 0.3]), [0.25, 0.75])


def test_the_prior_remains_where_nothing_is_to_be_gained():
    rule = ByPerformance("f1", floor=0.0)
    np.testing.assert_allclose(after(rule, [0.7, 0.3], [1.0, 1.2]), [0.7, 0.3])
    np.testing.assert_allclose(after(ByPerformance("f1", power=0, floor=0.0), [0.7, 0.3],
                                     [0.1, 0.9]), [0.7, 0.3])  # fmt: skip


def test_missing_values_and_the_average():
    rule = ByPerformance("f1", floor=0.0)
    np.testing.assert_allclose(after(rule, [1 / 3] * 3, [0.9, 0.5, NAN]), [1 / 9, 5 / 9, 3 / 9])
    np.testing.assert_allclose(after(rule, [0.5, 0.5], [0.9, 0.7], [NAN, 0.9]), [0.5, 0.5])
    slow = ByPerformance("f1", decay=0.5, floor=0.0)
    np.testing.assert_allclose(after(slow, [0.5, 0.5], [0.9, 0.7], [0.9, 0.9]), [1 / 3, 2 / 3])


def test_huge_values():
    rule = ByPerformance("f1", link="softmax", higher_is_better=False, power=1e3)
    assert np.isfinite(after(rule, [0.5, 0.5], [1e30, 1.0])).all()
    wide = ByPerformance("f1", higher_is_better=False, power=50.0)
    assert np.isfinite(after(wide, [0.5, 0.5], [1e30, 1e-30])).all()


def test_names_of_metrics():
    with pytest.raises(TypeError, match="metric must be a str"):
        ByPerformance(3)
    with pytest.raises(ValueError, match="power must be in"):
        ByPerformance("f1", power=-1)
    sampler = MixtureSampler([3, 4], updater=ByPerformance("f1"))
    sampler.record_validation([9.0, 9.0], metrics={"f1": [0.5, 0.5], "other": [1.0, 2.0]})
    with pytest.raises(ValueError, match=r"what ByPerformance reads, 'f1', got 'auc'"):
        sampler.record_validation(metrics={"auc": [0.5, 0.5]})
