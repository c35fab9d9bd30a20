"""No sample is drawn more than `max_repeats_per_epoch` times, and nothing else changes."""

import numpy as np
import pytest
from oracles import limited_by_bisection, run_by_slicing

from sampling.samplers import (
    ClassBalancedSampler,
    ClassesPerBatchSampler,
    ImportanceSampler,
    PairBatchSampler,
    RepeatFactorSampler,
    SensitivitySampler,
    WeightedSampler,
    full_state,
    load_full_state,
)
from sampling.samplers.static._limited import _Run


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


def test_samplers_whose_draws_have_no_limit_warn_of_the_most_frequent():
    losses = np.r_[100.0, np.full(999, 0.01)]
    sampler = ImportanceSampler(1000)
    sampler.record(np.arange(1000), losses)
    with pytest.warns(UserWarning, match="sample 0 is drawn about 728 times in each epoch"):
        sampler.set_epoch(1)
    sampler.set_epoch(2)  # once is enough
    labels = np.repeat([0, 1], [995, 5])
    with pytest.warns(UserWarning, match="sample 995 is drawn about 200 times"):
        PairBatchSampler(labels, 10, pick="class")
    with pytest.warns(UserWarning, match=r"each of the 5 samples of class 1 is drawn about 199 ti"):
        ClassesPerBatchSampler(labels, 2, 4)
    ClassesPerBatchSampler(labels, 2, 4, num_batches=20)


# ------------------------------------------------------------------ a limit on the whole run


def run_of(sampler):
    """The draws of each sample in each epoch of the run, out of order: (E, N)."""
    epochs = range(sampler.num_epochs)
    drawn = {epoch: counts(sampler, epoch) for epoch in reversed(epochs)}
    return np.array([drawn[epoch] for epoch in epochs])


@pytest.mark.parametrize("case", range(12))
def test_weighted_draws_of_a_run_are_the_expected_ones_rounded_and_spread_evenly(case):
    rng = np.random.default_rng(case)
    weights = rng.pareto(0.6, rng.integers(3, 40))
    weights[rng.random(weights.size) < 0.3] = 0.0
    weights[0] += 1.0
    epochs, limit = int(rng.integers(1, 7)), int(rng.integers(1, 12))
    most = limit * np.count_nonzero(weights) // epochs
    draws = int(rng.integers(1, most + 1)) if most else 1
    if not most:
        limit = epochs
    sampler = WeightedSampler(weights, draws, max_repeats=limit, num_epochs=epochs, seed=case)
    expected = limited_by_bisection(weights, draws * epochs, limit)
    found = sampler.table(0).expected(np.arange(weights.size))
    np.testing.assert_allclose(found, expected / epochs, rtol=1e-6, atol=1e-9)
    run = run_of(sampler)
    assert (run.sum(1) == draws).all()
    assert run.sum(0).max() <= limit
    assert (np.abs(run.sum(0) - expected) < 1 + 1e-6).all()
    assert (np.abs(run - run.sum(0) / epochs) < 1).all()


def test_epochs_of_a_run_average_to_the_expectation_over_seeds():
    weights = np.array([100.0, 1, 2, 3, 4])
    made = [WeightedSampler(weights, 3, max_repeats=7, num_epochs=4, seed=s) for s in range(2000)]
    expected = np.array([1.75, 0.125, 0.25, 0.375, 0.5])  # 7 in the run, the others share 5
    for epoch in (0, 3):
        total = sum(counts(each, epoch) for each in made)
        np.testing.assert_allclose(total / 2000, expected, atol=0.056)  # as above
    weight = made[0].importance_weights(np.arange(5))
    np.testing.assert_allclose(weight, 3 / 5 / expected, rtol=1e-6)


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_a_run_is_every_nth_of_its_draws(epochs):
    totals = np.array([3, 0, epochs, 1, 4 * epochs - 4])
    run = _Run(totals, epochs, seed=5)
    found = sorted(run.samples(epoch).tolist() for epoch in range(epochs))
    assert found == sorted(run_by_slicing(totals, run._order, epochs))


def test_a_limited_run_without_replacement_draws_distinct_samples():
    sampler = WeightedSampler(
        [50.0, 1, 1, 1], 2, False, max_repeats=3, num_epochs=4, objective="original"
    )
    run = run_of(sampler)
    assert run.max() == 1
    assert run.sum(0)[0] == 3
    assert run.sum() == 8
    distinct = WeightedSampler([50.0, 1, 1, 1], 2, False, max_repeats=9, num_epochs=4)
    assert (run_of(distinct)[:, 0] == 1).all()


@pytest.mark.parametrize("case", range(10))
def test_no_class_repeats_a_sample_above_the_limit_of_the_run(case):
    rng = np.random.default_rng(case)
    sizes = rng.integers(1, 12, rng.integers(1, 6))
    labels = np.repeat(np.arange(sizes.size), sizes)
    epochs, limit = int(rng.integers(1, 7)), int(rng.integers(7, 20))
    draws = int(rng.integers(1, limit * labels.size // epochs + 1))
    sampler = ClassBalancedSampler(labels, draws, max_repeats=limit, num_epochs=epochs, seed=case)
    run = run_of(sampler)
    assert (run.sum(1) == draws).all()
    assert run.sum(0).max() <= limit
    wanted = sampler.shares(0) * draws * epochs
    by_class = np.bincount(labels, run.sum(0))
    assert (np.abs(by_class - wanted) < 1 + 1e-6).all()
    assert all(np.ptp(run.sum(0)[labels == each]) <= 1 for each in range(sizes.size))


def test_the_others_share_the_draws_of_a_run():
    labels = np.repeat(["many", "few"], [95, 5])
    sampler = ClassBalancedSampler(labels, 100, max_repeats=30, num_epochs=10)
    run = run_of(sampler)
    assert run.sum(0)[95:].tolist() == [30] * 5  # half of the draws would be 100 for each
    assert run[:, 95:].sum(1).tolist() == [15] * 10
    sensitive = SensitivitySampler(
        [0.0] * 4, [0, 1, 2, 3], [9.0, 1, 1, 1], 4, holder_constant=1.0, max_repeats=6, num_epochs=4
    )
    assert run_of(sensitive).sum(0)[0] == 6
    assert counts(sensitive, 0).sum() == 4


@pytest.mark.parametrize(("limit", "epochs"), [(25, 10), (10, 10), (7, 3), (1, 1)])
def test_repeat_factors_of_a_run_end_at_its_limit(limit, epochs):
    labels = np.zeros((100, 2), int)
    labels[:, 0] = 1
    labels[:3, 1] = 1
    sampler = RepeatFactorSampler(labels, 1.0, max_repeats=limit, num_epochs=epochs, seed=1)
    run = run_of(sampler)
    assert run.sum(0)[:3].tolist() == [limit] * 3
    assert run.sum(0)[3:].max() <= epochs + 1
    assert (np.abs(run - run.sum(0) / epochs) < 1).all()
    assert [len(sampler.indices(epoch)) for epoch in range(epochs)] == run.sum(1).tolist()


def test_repeat_factors_of_a_run_average_to_the_factors():
    labels = np.array([[1, 0], [1, 0], [1, 0], [1, 1]])
    made = [
        RepeatFactorSampler(labels, 0.6, max_repeats=9, num_epochs=4, seed=seed)
        for seed in range(2000)
    ]
    assert made[0].repeat_factors.round(3).tolist() == [1, 1, 1, 1.549]
    total = sum(counts(each, 2) for each in made)
    np.testing.assert_allclose(total / 2000, made[0].repeat_factors, atol=0.056)


LIMITED_RUNS = {
    "weighted": lambda: WeightedSampler([5, 1, 1, 1], max_repeats=9, num_epochs=6, seed=3),
    "balanced": lambda: ClassBalancedSampler(
        [0] * 20 + [1] * 4, max_repeats=12, num_epochs=6, seed=3
    ),
    "factors": lambda: RepeatFactorSampler(
        [{"a"}] * 9 + [{"a", "b"}], 0.9, max_repeats=9, num_epochs=6, seed=3
    ),
    "sensitivity": lambda: SensitivitySampler(
        [0, 1, 0, 1], [0, 0, 1, 1], [1.0, 9.0], 4, holder_constant=2, max_repeats=9, num_epochs=6
    ),
}
limited_runs = pytest.mark.parametrize("make", LIMITED_RUNS.values(), ids=LIMITED_RUNS)


@limited_runs
def test_a_limited_run_resumes_and_ends(make):
    sampler, again = make(), make()
    sampler.set_epoch(4)
    drawn = list(sampler)
    load_full_state(again, full_state(sampler, consumed=2))
    assert list(again) == drawn[2:]
    assert make().indices(4).tolist() == drawn
    for call in (sampler.set_epoch, sampler.indices):
        with pytest.raises(ValueError, match=r"epoch must be in \[0, 6\), got 6"):
            call(6)
    assert sampler.epoch == 4
    assert sampler.progress(3) == 0.5


@pytest.mark.parametrize(("limit", "epochs", "name"), [(8, 6, "max_repeats"), (9, 7, "num_epochs")])
def test_the_limit_of_a_run_identifies_the_sampler(limit, epochs, name):
    state = full_state(LIMITED_RUNS["weighted"]())
    other = WeightedSampler([5, 1, 1, 1], max_repeats=limit, num_epochs=epochs, seed=3)
    with pytest.raises(ValueError, match=name):
        load_full_state(other, state)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: WeightedSampler([1, 1, 0], 5, max_repeats=2, num_epochs=3),
            "max_repeats must be at least 8 for 15 draws of 2 samples of positive weight in the "
            "run, got 2: or take fewer epochs",
        ),
        (
            lambda: WeightedSampler([1, 1, 0], 3, False, max_repeats=9, num_epochs=3),
            "positive weights without replacement, 2, got 3",
        ),
        (lambda: WeightedSampler([1, 1], max_repeats=3), "num_epochs must be given with max_repea"),
        (lambda: WeightedSampler([1, 1], max_repeats=0, num_epochs=1), "max_repeats must be in"),
        (
            lambda: WeightedSampler([1, 1], max_repeats=3, num_epochs=2, max_repeats_per_epoch=2),
            "only one of max_repeats and max_repeats_per_epoch",
        ),
        (
            lambda: WeightedSampler([1, 1], independent=True, max_repeats=3, num_epochs=2),
            "independent",
        ),
        (
            lambda: WeightedSampler([1, 1], max_repeats=2**61, num_epochs=2),
            "counted in 64 bits",
        ),
        (
            lambda: ClassBalancedSampler([0, 0, 1], 5, target={0: 1.0, 1: 0.0}, max_repeats=4,
                                         num_epochs=2),
            "at least 5 for 10 draws of 2 samples of classes with a share in the run, got 4",
        ),
        (
            lambda: ClassBalancedSampler([0, 1], max_repeats=4, num_epochs=2, progressive_epochs=2),
            "progressive_epochs, whose epochs differ, got 4: use max_repeats_per_epoch",
        ),
        (
            lambda: RepeatFactorSampler([["a"], ["b", "a"]], 0.5, max_repeats=2, num_epochs=3),
            "max_repeats must be at least num_epochs, 3, since every sample is drawn in every epo",
        ),
        (lambda: LIMITED_RUNS["weighted"]().set_weights([1] * 4), "set_weights must not be called"),
        (lambda: LIMITED_RUNS["balanced"]().set_shares([1, 1]), "set_shares must not be called"),
        (lambda: LIMITED_RUNS["sensitivity"]().refresh([1, 1]), "refresh must not be called"),
    ],
)  # fmt: skip
def test_runs_that_cannot_hold_their_limit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_scores_of_sensitivity_are_limited_in_an_epoch():
    def made(**more):
        return SensitivitySampler(
            [0.0] * 4, [0, 1, 2, 3], [9.0, 1, 1, 1], 6, holder_constant=1.0, **more
        )

    sampler = made(max_repeats_per_epoch=2)
    assert counts(sampler, 3)[0] == 2
    assert counts(sampler, 3).sum() == 6
    rows = np.arange(4)
    expected = limited_by_bisection([9.0, 1, 1, 1], 6, 2)
    np.testing.assert_allclose(sampler.importance_weights(rows), 6 / 4 / expected, rtol=1e-6)
    sampler.refresh([1.0, 9, 1, 1])
    assert counts(sampler, 4)[1] == 2
    with pytest.raises(ValueError, match="at most max_repeats_per_epoch times the 4 positive"):
        made(max_repeats_per_epoch=1)
    with pytest.warns(UserWarning, match="sample 0 is drawn about 99 times"):
        SensitivitySampler([0.0] * 100, range(100), [99.0] + [0.01] * 99, 100, holder_constant=1.0)


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
        (lambda: ClassBalancedSampler([0, 1], max_repeats_per_epoch=10**30), "must be in"),
        (lambda: ClassBalancedSampler([0, 1], 10**30), "num_samples must be in"),
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
