"""No sample is drawn more than `max_repeats_per_epoch` times, and nothing else changes."""

import numpy as np
import pytest
from oracles import limited_by_bisection

from sampling.samplers import (
    ClassBalancedSampler,
    ImportanceSampler,
    RepeatFactorSampler,
    WeightedSampler,
    full_state,
    load_full_state,
)


def counts(sampler, epoch):
    sampler.set_epoch(epoch)
    return np.bincount(list(sampler), minlength=sampler.size)


@pytest.mark.parametrize("case", range(12))
def test_weighted_draws_are_the_expected_ones_rounded_and_at_most_the_limit(case):
    rng = np.random.default_rng(case)
    weights = rng.pareto(0.6, rng.integers(3, 40))
    weights[rng.random(weights.size) < 0.3] = 0.0
    weights[0] += 1.0
    limit = int(rng.integers(1, 5))
    draws = int(rng.integers(1, limit * np.count_nonzero(weights) + 1))
    sampler = WeightedSampler(weights, draws, max_repeats_per_epoch=limit, seed=case)
    expected = limited_by_bisection(weights, draws, limit)
    rows = np.arange(weights.size)
    found = sampler.table(0).expected(rows)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    for epoch in range(30):
        drawn = counts(sampler, epoch)
        assert drawn.sum() == draws
        assert drawn.max() <= limit
        assert (np.abs(drawn - expected) < 1 + 1e-6).all()


def test_draws_at_the_limit_average_to_the_expectation():
    weights = np.array([100.0, 1, 2, 3, 4])
    sampler = WeightedSampler(weights, 7, max_repeats_per_epoch=3, seed=1)
    total = sum(counts(sampler, epoch) for epoch in range(2000))
    expected = np.array([3, 0.4, 0.8, 1.2, 1.6])
    # Counts are one of two integers: a deviation of at most a half, and 5 of the mean's are 0.056.
    assert total[0] == 6000
    np.testing.assert_allclose(total / 2000, expected, atol=0.056)


@pytest.mark.parametrize("progressive", [None, 5])
@pytest.mark.parametrize("case", range(10))
def test_no_class_repeats_a_sample_above_the_limit_in_any_epoch(case, progressive):
    """A class continues its shuffles across epochs: an epoch could meet a sample once more."""
    rng = np.random.default_rng(case)
    sizes = rng.integers(1, 12, rng.integers(1, 6))
    labels, limit = np.repeat(np.arange(sizes.size), sizes), int(rng.integers(1, 4))
    draws = int(rng.integers(1, limit * labels.size + 1))
    sampler = ClassBalancedSampler(
        labels, draws, max_repeats_per_epoch=limit, progressive_epochs=progressive, seed=case
    )
    unlimited = ClassBalancedSampler(labels, draws, progressive_epochs=progressive, seed=case)
    for epoch in [*range(8), 2**40]:
        drawn = counts(sampler, epoch)
        assert drawn.sum() == draws
        assert drawn.max() <= limit
        shares, free = sampler.shares(epoch), unlimited.shares(epoch)
        below = shares * draws < limit * sizes * (1 - 1e-9)
        ratio = shares[below] / free[below]  # those below the limit stay in proportion
        np.testing.assert_allclose(ratio, ratio[:1].repeat(below.sum()))
        assert (shares * draws <= limit * sizes * (1 + 1e-9)).all()


def test_a_limit_that_is_never_reached_changes_no_share_and_no_draw():
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    free = ClassBalancedSampler(labels, seed=3)
    limited = ClassBalancedSampler(labels, seed=3, max_repeats_per_epoch=10)
    for epoch in range(5):
        np.testing.assert_array_equal(counts(free, epoch), counts(limited, epoch))


def test_scarce_classes_warn_and_a_limit_answers_it():
    labels = np.repeat(["many", "few"], [995, 5])
    with pytest.warns(UserWarning, match=r"class few is drawn about 100 times in each epoch"):
        ClassBalancedSampler(labels)
    sampler = ClassBalancedSampler(labels, max_repeats_per_epoch=10)
    np.testing.assert_array_equal(
        np.unique(labels[list(sampler)], return_counts=True)[1], [50, 950]
    )
    with pytest.warns(UserWarning, match=r"sample 2 is drawn about 99 times"):
        WeightedSampler([0.01] * 2 + [97] + [0.01] * 97)
    many = np.ones(10)
    WeightedSampler(many, 1000)  # all alike: the user asks for a long epoch


def test_repeat_factors_end_at_the_limit():
    labels = np.zeros((1000, 2), int)
    labels[:, 0] = 1
    labels[:1, 1] = 1
    sampler = RepeatFactorSampler(labels, 1.0, sqrt=False, max_repeats_per_epoch=4)
    assert sampler.repeat_factors.max() == 4
    assert counts(sampler, 0).max() == 4
    with pytest.warns(UserWarning, match="sample 0 is drawn about 1000 times"):
        RepeatFactorSampler(labels, 1.0, sqrt=False)


def test_importance_draws_end_at_the_limit_and_stay_unbiased_and_resume():
    losses = np.r_[np.full(5, 50.0), np.full(95, 0.1)]

    def made():
        return ImportanceSampler(100, max_repeats_per_epoch=3, floor=0.05, seed=2)

    sampler = made()
    sampler.record(np.arange(100), losses)
    sampler.set_epoch(1)
    again = made()
    load_full_state(again, full_state(sampler))
    drawn = np.array(list(sampler))
    np.testing.assert_array_equal(list(again), drawn)
    assert np.bincount(drawn)[:5].tolist() == [3] * 5
    rows = np.arange(100)
    table = sampler._plan(1).table
    np.testing.assert_allclose(
        sampler.importance_weights(rows), 1 / table.expected(rows), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: WeightedSampler([1, 1, 0], 5, max_repeats_per_epoch=2),
            "num_samples must be at most max_repeats_per_epoch times the 2 positive weights, 4, "
            "got 5",
        ),
        (
            lambda: ClassBalancedSampler([0, 0, 1], 5, target={0: 1.0, 1: 0.0},
                                         max_repeats_per_epoch=2),
            "a share, 4, got 5",
        ),
        (
            lambda: WeightedSampler([1, 1], replacement=False, max_repeats_per_epoch=2),
            "without replacement",
        ),
        (
            lambda: WeightedSampler([1, 1], independent=True, max_repeats_per_epoch=2),
            "independent",
        ),
        (lambda: ImportanceSampler(4, num_samples=9, max_repeats_per_epoch=2), "4 samples, got 9"),
        (lambda: WeightedSampler([1, 1], max_repeats_per_epoch=0), "max_repeats_per_epoch"),
    ],
)  # fmt: skip
def test_limits_that_cannot_hold_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_limit_identifies_the_sampler():
    weights = [1, 2, 3]
    one = full_state(WeightedSampler(weights, max_repeats_per_epoch=2))
    with pytest.raises(ValueError, match="max_repeats_per_epoch"):
        load_full_state(WeightedSampler(weights, max_repeats_per_epoch=3), one)
