import numpy as np
import oracle_importance
import pytest
import torch
import torch.nn.functional as F
from helpers import assert_hits, assert_mean, dealt

from sampling.samplers import ImportanceSampler, full_state, load_full_state
from sampling.scores import gradient_norm_bound

N = 20
SCORES = np.random.default_rng(0).exponential(size=N).astype(np.float32)
ALL = np.arange(N)
KINDS = {
    "stratified": {},
    "independent": {"independent": True},
    "distinct": {"replacement": False, "num_samples": 9},
}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def scored(scores=SCORES, epoch=1, **arguments):
    """A sampler that has seen every score, at the epoch after."""
    sampler = ImportanceSampler(len(scores), **arguments)
    sampler.record(np.arange(len(scores)), scores)
    sampler.set_epoch(epoch)
    return sampler


def shares(sampler):
    """The probabilities behind the importance weights 1/(N p)."""
    rows = np.arange(sampler.size)
    return 1 / (sampler.size * sampler.importance_weights(rows).astype(float))


# ---- the formula ---------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [1.0, 0.5])
@pytest.mark.parametrize("floor", [1e-6, 0.2, 1.0])
def test_probabilities_are_the_formula(power, floor):
    s = SCORES.astype(float) ** power
    expected = (1 - floor) * s / s.sum() + floor / N
    np.testing.assert_allclose(shares(scored(power=power, floor=floor)), expected, rtol=1e-5)


def test_a_floor_is_additive_smoothing():
    """Adding c times the mean to each score is a floor of c / (1 + c)."""
    added = SCORES + 0.5 * SCORES.mean(dtype=float)
    np.testing.assert_allclose(shares(scored(floor=1 / 3)), added / added.sum(), rtol=1e-5)


def test_samples_never_seen_have_the_mean_score():
    sampler = ImportanceSampler(N)
    sampler.record([2, 5], [1.0, 3.0])
    sampler.set_epoch(1)
    expected = np.ones(N)
    expected[[2, 5]] = 0.2 + 0.8 * np.array([0.5, 1.5])
    np.testing.assert_allclose(N * shares(sampler), expected, rtol=1e-6)


def test_negative_losses_are_shifted_by_the_least():
    shifted = shares(scored(SCORES - np.float32(2.0)))
    least = SCORES.min()
    np.testing.assert_allclose(shifted, shares(scored(SCORES - least)), rtol=1e-4)
    assert shifted.min() == pytest.approx(0.2 / N)


@pytest.mark.parametrize("scores", [np.zeros(N), np.full(N, 0.1), np.full(N, -3.0)])
def test_equal_scores_are_an_epoch_of_each_sample_once(scores):
    sampler = scored(scores.astype(np.float32))
    assert sorted(sampler.indices(1)) == ALL.tolist()
    assert (sampler.weights_for(ALL) == 1).all()


def test_the_first_epoch_is_uniform():
    sampler = ImportanceSampler(N, seed=3)
    assert sorted(sampler) == ALL.tolist()
    assert np.unique(ImportanceSampler(N, num_samples=8).indices(0)).size == 8


@kinds
def test_draws_follow_the_probabilities(kind):
    sampler = scored(**kind)
    hits = np.zeros(N)
    for epoch in range(1, 401):
        hits += np.bincount(dealt(sampler, epoch), minlength=N)
    expected = 400 * sampler.num_samples * shares(sampler)
    draws = 400 * sampler.num_samples
    assert hits.sum() == draws
    assert_hits(hits, draws, expected / draws)  # independent draws scatter most


def test_without_replacement_no_sample_comes_twice():
    sampler = scored(replacement=False, num_samples=9, seed=1)
    for epoch in range(1, 30):
        assert np.unique(dealt(sampler, epoch)).size == 9
    heavy = scored(np.r_[np.ones(19), 100.0].astype(np.float32), replacement=False, num_samples=9)
    assert all(19 in dealt(heavy, epoch) for epoch in range(1, 30))
    assert heavy.weights_for([19])[0] == pytest.approx(9 / N)


def test_the_schedule_goes_from_uniform_to_the_floor():
    sampler = scored(num_epochs=4, schedule="linear", floor=0.1)
    for epoch, floor in ((1, 0.75), (2, 0.5), (3, 0.25), (4, 0.1), (9, 0.1)):
        sampler.set_epoch(epoch)
        expected = (1 - floor) * SCORES / SCORES.sum(dtype=float) + floor / N
        np.testing.assert_allclose(shares(sampler), expected, rtol=1e-5)


# ---- PA&DA ---------------------------------------------------------------------------------------


def test_the_recipe_for_panda_has_its_probabilities_and_its_draws():
    """p = tau g / sum(g) + (1 - tau) / N, tau = epoch / num_epochs, and np.random.choice's draws.

    Stratified draws have 400 different samples of 500 at tau = 1/2, independent ones 312.
    """
    size, epochs = 500, 10
    random = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(size, 4, generator=random)
    labels = torch.randint(4, (size,), generator=random)
    norms = (logits.softmax(1) - F.one_hot(labels, 4)).norm(dim=1).double().numpy()
    recipe = {"signal": "gradient_norm", "schedule": "linear", "floor": 1e-6, "independent": True}
    sampler = ImportanceSampler(size, epochs, objective="sampled", **recipe)
    sampler.record(np.arange(size), torch.ones(size), logits=logits, labels=labels)
    for epoch in (1, 5, 9):  # a floor of 0.2 would stop tau at 0.8
        sampler.set_epoch(epoch)
        tau = epoch / epochs
        p = tau * norms / norms.sum() + (1 - tau) / size
        np.testing.assert_allclose(shares(sampler), p, rtol=1e-5)
        different = 1 - (1 - p) ** size  # mean and at most the variance of as many coins
        found = np.unique(dealt(sampler, epoch)).size
        limit = 4 * np.sqrt((different * (1 - different)).sum())  # 4 sigma, fixed seed
        assert abs(found - different.sum()) < limit
        assert (sampler.weights_for(np.arange(9)) == 1).all()


# ---- the defect of PA&DA's code: a sample not drawn is forgotten ---------------------------------


def test_a_sample_that_was_not_drawn_keeps_its_score():
    sampler = scored(num_samples=5, seed=2)
    before = shares(sampler)
    drawn = np.unique(sampler.indices(1))
    absent = np.setdiff1d(ALL, drawn)
    sampler.record(drawn, SCORES[drawn])
    sampler.set_epoch(2)
    np.testing.assert_allclose(shares(sampler)[absent], before[absent], rtol=1e-6)


@kinds
def test_no_sample_is_lost_for_good(kind):
    """Hard for all that were drawn, 0 for the others, as in the code: still they come back."""
    sampler = ImportanceSampler(
        N, num_epochs=3, schedule="linear", floor=0.1, **{"num_samples": 9, **kind}
    )
    late = np.zeros(N)
    for epoch in range(400):
        order = dealt(sampler, epoch)
        late += np.bincount(order, minlength=N) * (epoch > 3)
        sampler.record(ALL, np.where(np.isin(ALL, order[:4]), 5.0, 0.0))
        assert shares(sampler).min() >= 0.1 / N * (1 - 1e-6)
    assert late.min() > 0


def test_a_score_of_zero_is_drawn_as_often_as_the_floor_says():
    scores = np.r_[0.0, np.ones(N - 1)].astype(np.float32)
    sampler = scored(scores, num_samples=10, floor=0.5)
    drawn = sum(int((dealt(sampler, epoch) == 0).sum()) for epoch in range(1, 401))
    assert_hits(np.array([drawn]), 4000, 0.5 / N)
    assert sampler.weights_for(ALL).max() == pytest.approx(2.0)


# ---- the estimate --------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("floor", [0.01, 0.5])
def test_the_mean_is_unbiased_at_fixed_scores(kind, floor):
    """Whatever the scores have to do with the losses; nothing is recorded in between."""
    losses = np.random.default_rng(1).normal(size=N) * 3
    sampler = scored(floor=floor, seed=4, **kind)
    estimates = []
    for epoch in range(1, 501):
        order = dealt(sampler, epoch)
        estimates.append(np.mean(sampler.weights_for(order) * losses[order]))
    assert_mean(estimates, losses.mean())


def test_reduce_gives_the_gradient_of_the_full_mean():
    x = torch.tensor(np.random.default_rng(3).normal(size=(N, 2)))
    model = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    full = torch.autograd.grad(((x @ model) ** 2).mean(), model)[0].numpy()
    sampler, gradients = ImportanceSampler(N, num_samples=7, seed=5), []
    sampler.record(ALL, (x @ model) ** 2)
    for epoch in range(1, 401):
        order = dealt(sampler, epoch)
        mean = sampler.reduce((x[order] @ model) ** 2, order)
        gradients.append(torch.autograd.grad(mean, model)[0].numpy())
    assert_mean(gradients, full)


def test_without_weights_it_trains_on_what_is_drawn():
    sampler = scored(objective="sampled", num_samples=7)
    order = sampler.indices(1)
    losses = torch.tensor(SCORES[order])
    assert sampler.reduce(losses, order) == losses.mean()
    np.testing.assert_allclose(shares(sampler).sum(), 1, rtol=1e-6)  # known all the same


# ---- the gain ------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("power", [1.0, 0.5])
def test_gain_is_its_definition(kind, power):
    sampler = scored(floor=0.1, power=power, **kind)
    found = sampler.gain()
    expected = oracle_importance.gain_by_definition(SCORES.tolist(), shares(sampler).tolist())
    np.testing.assert_allclose((found.variance_ratio, found.batch_gain), expected, rtol=1e-5)
    assert 1 < found.variance_ratio < found.batch_gain**2


def test_gain_is_the_ratio_of_variances_of_single_draws():
    """Gradients of the scores' lengths that cancel out: variance and second moment are one."""
    lengths = np.repeat(SCORES, 2)
    gradients = lengths * np.tile([1.0, -1.0], N)
    sampler = scored(lengths, num_samples=100_000, independent=True, floor=0.3)
    order = sampler.indices(1)
    drawn = sampler.weights_for(order) * gradients[order]
    ratio = sampler.gain().variance_ratio
    assert ratio > 1.2
    assert_mean(drawn**2, (gradients**2).mean() / ratio)


def test_perfect_probabilities_reach_the_square_of_the_batch_gain():
    gain = scored(floor=1e-9).gain()
    assert gain.variance_ratio == pytest.approx(gain.batch_gain**2, rel=1e-6)


def test_the_documented_gain_of_exponential_scores():
    grid = -np.log1p(-(np.arange(20_000) + 0.5) / 20_000)
    gain = scored(grid.astype(np.float32)).gain()
    assert round(gain.batch_gain**2, 2) == 2.0
    assert round(gain.variance_ratio, 2) == 1.92


def test_gain_judges_old_probabilities_by_what_the_epoch_found():
    sampler = scored(floor=0.1)
    assert sampler.gain().variance_ratio > 1
    sampler.record(ALL, SCORES[::-1].copy())  # it was all wrong
    found = sampler.gain()
    assert found.variance_ratio < 1
    assert found.variance_ratio == pytest.approx(
        oracle_importance.gain_by_definition(SCORES[::-1].tolist(), shares(sampler).tolist())[0]
    )


def test_gain_without_scores_and_of_equal_ones():
    assert np.isnan(ImportanceSampler(N).gain().variance_ratio)
    for value in (0.0, 2.0, -1.0):
        gain = scored(np.full(N, value, np.float32)).gain()
        assert (gain.variance_ratio, gain.batch_gain) == (1.0, pytest.approx(1.0))


def test_epochs_are_uniform_until_the_average_gain_is_there():
    sampler = ImportanceSampler(4, min_gain=1.5)
    uneven, even = np.array([0.0, 0, 0, 4]), np.ones(4)  # batch gains 2 and 1
    averages, uniform = [], []
    for epoch, losses in enumerate([even, uneven, uneven, even, even], 1):
        sampler.record(range(4), losses)
        sampler.set_epoch(epoch)
        averages.append(sampler._average_gain)
        uniform.append(bool((sampler.weights_for(range(4)) == 1).all()))
    assert averages == pytest.approx([1, 1.5, 1.75, 1.375, 1.1875])
    assert uniform == [True, False, False, True, True]


# ---- what is learnt ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_gradient_norms_are_learnt_from_logits_and_labels(dtype):
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(N, 3, generator=random).to(dtype).requires_grad_()
    labels = torch.randint(0, 3, (N,), generator=random)
    sampler = ImportanceSampler(N, signal="gradient_norm")
    losses = F.cross_entropy(logits, labels, reduction="none")
    sampler.reduce(losses, ALL, logits=logits, labels=labels).backward()
    np.testing.assert_array_equal(sampler.scores, gradient_norm_bound(logits, labels))
    soft = torch.rand(N, 3, generator=random)
    sampler.record(ALL, losses, logits=logits, labels=soft)
    np.testing.assert_array_equal(sampler.scores, gradient_norm_bound(logits, soft))
    several = ImportanceSampler(N, signal="multi_label_gradient_norm")
    several.record(ALL, losses, logits=logits, labels=soft)
    expected = gradient_norm_bound(logits, soft, multi_label=True)
    np.testing.assert_array_equal(several.scores, expected)


def test_losses_are_learnt_with_an_average():
    sampler = ImportanceSampler(N, score_ema=0.5)
    sampler.record([0, 0], [1.0, 3.0])
    assert sampler.scores[0] == 2.0


def test_losses_that_are_not_finite_are_counted_and_not_stored():
    sampler = ImportanceSampler(N)
    sampler.record([0, 1, 2], [np.nan, np.inf, 1.0])
    assert sampler.num_nonfinite == 2
    assert np.flatnonzero(~np.isnan(sampler.scores)).tolist() == [2]
    normed = ImportanceSampler(N, signal="gradient_norm")
    logits = torch.zeros(2, 3)
    normed.record([0, 1], torch.ones(2), logits=logits, labels=torch.tensor([-100, 1]))
    assert normed.num_nonfinite == 1
    assert np.flatnonzero(~np.isnan(normed.scores)).tolist() == [1]


def test_nothing_changes_within_an_epoch():
    sampler = scored(seed=6)
    order, before = sampler.indices(1), shares(sampler)
    sampler.record(ALL, SCORES[::-1].copy())
    np.testing.assert_array_equal(sampler.indices(1), order)
    np.testing.assert_array_equal(shares(sampler), before)
    sampler.set_epoch(2)
    assert not np.allclose(shares(sampler), before)


# ---- length, state, bad input --------------------------------------------------------------------


def test_lengths_are_known_in_advance():
    sampler = ImportanceSampler(N, 5, num_samples=7)
    assert (len(sampler), sampler.length(3), sampler.expected_samples(5)) == (7, 7, 35)
    assert sampler.progress(1, 7) == pytest.approx(0.4)


@kinds
def test_a_run_goes_on_from_its_full_state(kind):
    arguments = {"num_epochs": 6, "schedule": "linear", "min_gain": 1.1, **kind}
    sampler = scored(epoch=2, **arguments)
    sampler.record([1, 2], [3.0, np.nan])
    full = full_state(sampler, consumed=5)
    fresh = ImportanceSampler(N, **arguments)
    load_full_state(fresh, full)
    for _ in range(3):
        np.testing.assert_array_equal(fresh.indices(fresh.epoch), sampler.indices(sampler.epoch))
        np.testing.assert_array_equal(fresh.weights_for(ALL), sampler.weights_for(ALL))
        assert fresh.gain() == sampler.gain()
        assert fresh.num_nonfinite == sampler.num_nonfinite == 1
        for each in (fresh, sampler):
            each.set_epoch(each.epoch + 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"signal": "entropy"}, "signal must be one of 'loss', 'gradient_norm', .*got 'entropy'"),
        ({"floor": 0.0}, r"floor must be in \(0, 1\], got 0.0"),
        ({"power": 0}, r"power must be in \(0, 1\], got 0"),
        ({"num_samples": 0}, "num_samples must be >= 1, got 0"),
        ({"num_epochs": 0}, "num_epochs must be >= 1, got 0"),
        ({"schedule": "linear"}, "num_epochs must be given for schedule='linear', got None"),
        ({"schedule": "cosine"}, "schedule must be one of 'linear', got 'cosine'"),
        ({"replacement": False}, r"num_samples must be in \[1, 20\) without replacement, got 20"),
        ({"min_gain": 0.5}, r"min_gain must be in \[1, inf\), got 0.5"),
        ({"score_ema": 0.0}, r"score_ema must be in \(0, 1\], got 0.0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ImportanceSampler(N, **arguments)


def test_gradient_norms_need_logits_and_labels():
    sampler = ImportanceSampler(N, signal="gradient_norm")
    losses, logits = torch.ones(2), torch.zeros(2, 3)
    with pytest.raises(ValueError, match="given to reduce and record.*got no logits and labels"):
        sampler.reduce(losses, [0, 1])
    with pytest.raises(ValueError, match="signal='gradient_norm', got no labels"):
        sampler.record([0, 1], losses, logits=logits)
    with pytest.raises(ValueError, match="logits must have a row for each loss, 2, got 3"):
        sampler.record([0, 1], losses, logits=torch.zeros(3, 3), labels=torch.zeros(3).long())
    assert np.isnan(sampler.scores).all()
