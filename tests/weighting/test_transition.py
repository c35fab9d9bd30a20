"""Weights from a noise-transition matrix: RENT, and Dirichlet draws."""

import json
import pickle

import numpy as np
import pytest
import torch
from oracle_weighting import transition_weights_by_loops

from sampling.errors import StateError
from sampling.samplers import ShuffleSampler
from sampling.weighting import DirichletWeights, RENTWeights, symmetric_transition

T = symmetric_transition(3, 0.2)
SKEW = np.array([[0.9, 0.3, 0.0], [0.1, 0.6, 0.2], [0.0, 0.1, 0.8]])
F = torch.tensor([[0.7, 0.2, 0.1]] * 3).log()
LOGITS = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 3))).float()
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
ONES = torch.ones(6)
ALL = {
    "rent": lambda **o: RENTWeights(SKEW, **o),
    "rent more": lambda **o: RENTWeights(SKEW, 2.5, **o),
    "dirichlet": lambda **o: DirichletWeights(SKEW, alpha=2.0, **o),
}
every = pytest.mark.parametrize("make", ALL.values(), ids=ALL)


def test_golden_weights():
    for weighting in (RENTWeights(T), DirichletWeights(T, 1.0)):
        found = weighting.transition_weights(torch.ones(3), labels=[0, 1, 2], logits=F)
        np.testing.assert_allclose(found, [1.186441, 0.833333, 0.588235], atol=1e-6)


def test_against_loops_for_a_matrix_that_is_not_symmetric():
    found = RENTWeights(SKEW).transition_weights(ONES, labels=LABELS, logits=LOGITS)
    twin = transition_weights_by_loops(LOGITS.tolist(), LABELS.tolist(), SKEW.tolist())
    np.testing.assert_allclose(found, twin, rtol=1e-5)
    turned = transition_weights_by_loops(LOGITS.tolist(), LABELS.tolist(), SKEW.T.tolist())
    assert not np.allclose(twin, turned)
    clipped = RENTWeights(SKEW, clip=0.9)
    found = clipped.transition_weights(ONES, labels=LABELS, logits=LOGITS)
    np.testing.assert_allclose(found, np.minimum(twin, 0.9), rtol=1e-5)


def many(weighting, calls):
    return np.stack([
        weighting(ONES, labels=LABELS, logits=LOGITS).double().numpy() for _ in range(calls)
    ])  # fmt: skip


def moments_of(found, mu):
    """Mean and variance of v = weight / B, and the standard errors that they may have."""
    shares = found / len(mu)
    return shares.mean(axis=0), shares.var(axis=0)


@pytest.mark.parametrize(
    ("weighting", "divisor"),
    [
        (RENTWeights(SKEW), 6),
        (RENTWeights(SKEW, 2.5), 15),
        (DirichletWeights(SKEW, 5.0, num_draws=1), 6),  # alpha = B - 1: the moments of RENT
        (DirichletWeights(SKEW, 0.05, num_draws=1), 1.05),
    ],
)
def test_draws_are_unbiased_and_have_the_variance_of_the_paper(weighting, divisor):
    """800 calls; means at 5 standard errors, variances at 30 % (standard error 6 to 8 %)."""
    w = np.array(transition_weights_by_loops(LOGITS.tolist(), LABELS.tolist(), SKEW.tolist()))
    mu = w / w.sum()
    found = many(weighting, 800)
    np.testing.assert_allclose(found.mean(axis=1), 1, rtol=1e-5)
    mean, variance = moments_of(found, mu)
    wanted = mu * (1 - mu) / divisor
    assert (np.abs(mean - mu) < 5 * np.sqrt(wanted / 800)).all()
    np.testing.assert_allclose(variance, wanted, rtol=0.3)


def test_a_large_concentration_is_plain_reweighting():
    w = np.array(transition_weights_by_loops(LOGITS.tolist(), LABELS.tolist(), SKEW.tolist()))
    found = DirichletWeights(SKEW, 1e10)(ONES, labels=LABELS, logits=LOGITS)
    np.testing.assert_allclose(found, 6 * w / w.sum(), rtol=1e-3)
    tiny = DirichletWeights(SKEW, 1e-12, num_draws=1)(ONES, labels=LABELS, logits=LOGITS)
    assert sorted(tiny.tolist()) == pytest.approx([0, 0, 0, 0, 0, 6])  # in log space no 0 / 0


@every
def test_a_batch_of_one_keeps_its_axis(make):
    """The released code squeezes it away, and fails."""
    assert make()(ONES[:1], labels=LABELS[:1], logits=LOGITS[:1]).tolist() == [1]


@every
def test_what_has_no_label_or_no_finite_loss_is_never_drawn(make):
    losses = torch.tensor([1.0, np.nan, 1.0, 1.0, 1.0, 1.0])
    labels = torch.tensor([0, 1, 2, -100, 1, 2])
    weighting = make()
    found = [weighting(losses, labels=labels, logits=LOGITS) for _ in range(50)]
    total = sum(found)
    assert total[1] == total[3] == 0
    assert (total[[0, 2, 4, 5]] > 0).all()


@every
def test_draws_are_a_function_of_seed_rank_and_call_and_a_state_continues_them(make):
    whole = many(make(), 6)
    assert np.array_equal(many(make(), 6), whole)
    assert not np.array_equal(whole[0], whole[1])
    for other in ({"seed": 1}, {"rank": 1}):
        assert not np.array_equal(many(make(**other), 6), whole)
    weighting = make()
    many(weighting, 2)
    state = json.loads(json.dumps(weighting.state_dict()))
    resumed = make()
    resumed.load_state_dict(state)
    assert np.array_equal(many(resumed, 4), whole[2:])
    assert np.array_equal(many(pickle.loads(pickle.dumps(weighting)), 4), whole[2:])
    with pytest.raises(StateError, match="seed of the state must be 1, got 0"):
        make(seed=1).load_state_dict(state)


def test_with_the_identity_the_weights_are_1_before_the_draw():
    weighting = RENTWeights(np.eye(3))
    w = weighting.transition_weights(ONES, labels=LABELS, logits=LOGITS)
    np.testing.assert_allclose(w, np.ones(6), rtol=1e-5)
    weighting(ONES, labels=LABELS, logits=LOGITS)
    assert weighting.effective_sample_size == pytest.approx(6)


def test_in_the_loop():
    losses = torch.arange(6.0)
    sampler = ShuffleSampler(6)
    found = sampler.reduce(losses, range(6), labels=LABELS, logits=LOGITS, weighting=ALL["rent"]())
    weights = ALL["rent"]()(losses, labels=LABELS, logits=LOGITS)
    drawn = np.repeat(losses.numpy(), weights.int().numpy())  # the rows of the batch, as drawn
    assert len(drawn) == 6
    assert float(found) == pytest.approx(drawn.mean())


def test_nothing_waits_for_a_device():
    weighting = RENTWeights(SKEW)
    for _ in range(2):
        there = (ONES.to("meta"), LABELS.to("meta"), LOGITS.to("meta"))
        assert weighting(there[0], labels=there[1], logits=there[2]).is_meta


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: RENTWeights([[0.9, 0.1], [0.3, 0.7]]),
            "transition must have columns of sum 1, got 0.8 in column 1: its rows do, so give",
        ),
        (lambda: RENTWeights(np.ones((2, 2))), "transition must have columns of sum 1, got 2 in"),
        (lambda: RENTWeights(np.ones((2, 3))), r"transition must have shape \(C, C\), C >= 2, got"),
        (lambda: RENTWeights([[1.5, 0], [-0.5, 1]]), r"transition must be >= 0, got -0.5 at posit"),
        (lambda: symmetric_transition(1, 0.1), "num_classes must be >= 2, got 1"),
        (
            lambda: ALL["rent"]()(ONES, labels=LABELS, logits=LOGITS[:, :2]),
            r"logits must be a tensor of shape \(6, 3\), got \(6, 2\)",
        ),
        (
            lambda: ALL["rent"]()(ONES, labels=LABELS + 1, logits=LOGITS),
            r"labels must be in \[0, 3\), got 3 in row 2",
        ),
        (
            lambda: ALL["dirichlet"]()(ONES, labels=torch.full((6,), -100), logits=LOGITS),
            "some weight .* of a batch must be > 0, got 6 that are 0",
        ),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
