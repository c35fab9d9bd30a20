import numpy as np
import oracle_importance
import pytest
import torch
from helpers import assert_mean, dealt
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sampling.samplers import RecordedScores, VarianceBudgetSampler, full_state, load_full_state
from sampling.scores import gradient_norm_bound

N = 400
SCORES = np.random.default_rng(0).lognormal(0, 1.5, size=N).astype(np.float32)
ALL = np.arange(N)


def scored(scores=SCORES, num_epochs=1000, epoch=1, **arguments):
    """A sampler that has seen every score, at the epoch after."""
    sampler = VarianceBudgetSampler(len(scores), num_epochs, **arguments)
    sampler.record(np.arange(len(scores)), scores)
    sampler.set_epoch(epoch)
    return sampler


def kept_shares(sampler):
    """The probability with which each sample of the running epoch was kept: (N,)."""
    scores = sampler._ranked(sampler.epoch, RecordedScores(sampler._score_tables))
    edges, keep = sampler._groups(sampler.epoch, scores)
    groups = np.searchsorted(edges, scores, side="right")
    sizes = np.bincount(groups, minlength=keep.size)
    return (np.floor(keep * sizes + 1e-9) / sizes)[groups]


def added(shares, scores):
    scores = scores.astype(float)
    return ((1 / shares - 1) @ scores**2) / (scores**2).sum()


# ---- the budget ----------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.001, 0.025, 0.2])
@pytest.mark.parametrize("floor", [0.02, 0.1])
def test_it_keeps_hardly_more_than_the_best_probabilities_of_each_sample(tau, floor):
    scores = np.random.default_rng(1).lognormal(0, 1.5, size=5000).astype(np.float32)
    sampler = scored(scores, tau=tau, floor=floor)
    best = oracle_importance.kept_by_bisection(
        scores, floor, tau * (scores.astype(float) ** 2).sum()
    )
    assert np.sum(best) - 1 <= len(sampler) <= 1.01 * np.sum(best) + 12
    assert sampler.added_variance <= tau
    assert sampler.added_variance > 0.95 * tau or len(sampler) < 1.001 * floor * 5000 + 1


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([0.0, -0.0, 1.0, 1e-30, 3e38, 2.0**-149]),
            st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=0, max_value=100),
        ),
        min_size=1,
        max_size=60,
    ),
    st.sampled_from([0.0, 0.025, 0.5, 100.0]),
    st.sampled_from([1e-6, 0.1, 1.0]),
)
@example([0.0, 0.0], 0.025, 0.1)
def test_the_budget_holds_whatever_the_scores(scores, tau, floor):
    scores = np.array(scores, np.float32)
    sampler = scored(scores, tau=tau, floor=floor)
    shares = kept_shares(sampler)
    assert shares.min() >= floor
    if scores.any():
        assert added(shares, scores) <= tau * (1 + 1e-9)
        assert sampler.added_variance == pytest.approx(added(shares, scores), abs=1e-12)
    if tau == 0 or floor == 1:
        assert len(sampler) == len(scores)


@pytest.mark.parametrize("value", [0.0, 0.3, -2.0])
def test_equal_scores_leave_out_next_to_nothing(value):
    sampler = scored(np.full(N, value, np.float32), tau=0.25)
    assert len(sampler) == N / 1.25


def test_what_it_adds_is_the_variance_of_the_sum():
    """Random signs make the scores the lengths of gradients whose mean is nothing."""
    sampler = scored(tau=0.1, seed=1)
    signs = np.random.default_rng(2).choice([-1.0, 1.0], size=(N, 200))
    sums = []
    for epoch in range(1, 301):
        order = dealt(sampler, epoch)
        sums.append((sampler.weights_for(order) * SCORES[order]) @ signs[order])
    variances = np.var(sums, axis=0, ddof=1) / (SCORES.astype(float) ** 2).sum()
    assert sampler.added_variance == pytest.approx(0.1, rel=0.1)
    assert variances.mean() == pytest.approx(sampler.added_variance, rel=0.1)


def test_the_sum_over_the_epoch_is_unbiased():
    """At fixed scores, whatever they have to do with the losses."""
    losses = np.random.default_rng(3).normal(size=N) + 1.0
    sampler, sums = scored(tau=0.3, seed=2), []
    for epoch in range(1, 401):
        order = dealt(sampler, epoch)
        sums.append(sampler.weights_for(order) @ losses[order])
    assert len(sampler) < 0.6 * N
    assert_mean(sums, losses.sum())


# ---- which samples -------------------------------------------------------------------------------


def test_a_sample_of_score_zero_still_comes_back():
    """A share of 0 would keep its score 0 for good."""
    scores = SCORES.copy()
    scores[:40] = 0.0
    sampler = scored(scores, tau=0.5, seed=3)
    hits = np.zeros(N)
    for epoch in range(1, 201):
        hits += np.bincount(dealt(sampler, epoch), minlength=N)
    assert hits[:40].min() > 0
    assert hits[:40].mean() == pytest.approx(50, rel=0.2)  # the floor, 0.25
    order = sampler.indices(200)
    assert sampler.weights_for(order).max() <= 4


def test_samples_never_seen_are_kept():
    sampler = VarianceBudgetSampler(N, 10, tau=0.5)
    assert sampler.added_variance == 0.0
    sampler.record(ALL[:100], SCORES[:100])
    order = dealt(sampler, 1)
    assert len(order) < N
    assert np.isin(ALL[100:], order).all()
    assert (sampler.weights_for(ALL[100:]) == 1).all()


def test_negative_losses_are_shifted_by_the_least():
    shifted = scored(SCORES - np.float32(3.0), tau=0.1)
    least = scored(SCORES - SCORES.min(), tau=0.1)
    assert len(shifted) == pytest.approx(len(least), abs=2)
    assert len(shifted) < N


def test_the_last_epochs_deal_everything():
    sampler = scored(num_epochs=8)
    assert len(sampler) < N
    sampler.set_epoch(7)
    assert (len(sampler), sampler.added_variance) == (N, 0.0)


# ---- targets -------------------------------------------------------------------------------------


def test_a_run_for_a_target_takes_it():
    sampler = VarianceBudgetSampler.for_target(N, 12, 0.6, seed=1)
    assert sampler.expected_samples() == pytest.approx(0.6 * 12 * N, rel=0.01)
    random, taken = np.random.default_rng(4), 0
    for epoch in range(12):
        order = dealt(sampler, epoch)
        taken += len(order)
        sampler.record(order, random.lognormal(-0.3 * epoch, 1, size=len(order)))
    assert taken == pytest.approx(0.6 * 12 * N, rel=0.01)


def test_a_target_that_the_floor_forbids():
    with pytest.raises(ValueError, match="keep is unreachable: must be >= 0.625"):
        VarianceBudgetSampler.for_target(N, 8, 0.5, floor=0.5)


# ---- what is learnt, state, bad input ------------------------------------------------------------


def test_gradient_norms_are_learnt_from_logits_and_labels():
    sampler = VarianceBudgetSampler(4, 10, signal="gradient_norm")
    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    sampler.record(range(4), torch.ones(4), logits=logits, labels=labels)
    np.testing.assert_array_equal(sampler.scores, gradient_norm_bound(logits, labels))
    with pytest.raises(ValueError, match="signal='gradient_norm', got no logits and labels"):
        sampler.reduce(torch.ones(4), range(4))


def test_a_run_goes_on_from_its_full_state():
    sampler, fresh = scored(epoch=2, tau=0.1), VarianceBudgetSampler(N, 1000, tau=0.1)
    sampler.record(sampler.indices(2)[:2], [3.0, np.nan])
    load_full_state(fresh, full_state(sampler, consumed=5))
    assert fresh.added_variance == sampler.added_variance > 0
    for _ in range(2):
        np.testing.assert_array_equal(fresh.indices(fresh.epoch), sampler.indices(sampler.epoch))
        for each in (fresh, sampler):
            each.set_epoch(each.epoch + 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tau": -0.1}, r"tau must be in \[0, inf\), got -0.1"),
        ({"floor": 0.0}, r"floor must be in \[1e-6, 1\], got 0.0"),
        ({"signal": "norm"}, "signal must be one of 'loss', .*got 'norm'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        VarianceBudgetSampler(N, 8, **arguments)
