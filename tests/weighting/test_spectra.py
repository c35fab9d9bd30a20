"""CVaR, extremile, ESRM: spectra, ties, and penalties against an optimiser."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from sampling.errors import StateError
from sampling.weighting import LossReference, cvar, esrm, extremile

LOSSES = np.array([0.3, 2.0, 0.9, 1.1, 0.1, 1.7])


def sigma_of(kind, n, value):
    """The spectra as the papers write them, smallest first."""
    if kind == "cvar":
        j = math.floor(n * value)
        out = np.zeros(n)
        out[j + 1 :] = 1 / (n * (1 - value))
        out[j] = 1 - (n - j - 1) / (n * (1 - value))
        return out
    i = np.arange(1, n + 1)
    if kind == "extremile":
        return (i**value - (i - 1) ** value) / n**value
    rise = np.exp(value * i / n) - np.exp(value * (i - 1) / n)
    return np.exp(-value) * rise / (1 - np.exp(-value))


KINDS = [
    ("cvar", 0.5, lambda losses, **more: cvar(losses, level=0.5, **more)),
    ("cvar", 0.3, lambda losses, **more: cvar(losses, level=0.3, **more)),
    ("cvar", 0.9, lambda losses, **more: cvar(losses, level=0.9, **more)),
    ("extremile", 2.0, lambda losses, **more: extremile(losses, **more)),
    ("extremile", 2.5, lambda losses, **more: extremile(losses, order=2.5, **more)),
    ("esrm", 1.0, lambda losses, **more: esrm(losses, **more)),
    ("esrm", 50.0, lambda losses, **more: esrm(losses, aversion=50.0, **more)),
]
every = pytest.mark.parametrize(("kind", "value", "function"), KINDS)


@every
@pytest.mark.parametrize("n", [1, 2, 5, 64])
def test_shares_follow_the_ranks(kind, value, function, n):
    losses = np.random.default_rng(n).normal(size=n)
    expected = np.empty(n)
    expected[np.argsort(losses)] = n * sigma_of(kind, n, value)
    found = function(torch.from_numpy(losses))
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert float(found.mean()) == pytest.approx(1)


@every
def test_ties_share_the_mean_of_their_ranks(kind, value, function):
    """A stable sort would give equal losses unequal weights."""
    losses = torch.tensor([2.0, 1.0, 2.0, 1.0, 2.0, 5.0], dtype=torch.float64)
    sigma = 6 * sigma_of(kind, 6, value)
    low, middle, high = sigma[:2].mean(), sigma[2:5].mean(), sigma[5]
    expected = [middle, low, middle, low, middle, high]
    np.testing.assert_allclose(function(losses), expected, atol=1e-9)
    np.testing.assert_allclose(function(torch.ones(7)), np.ones(7), atol=1e-6)


def by_optimiser(losses, sigma, penalty, shift_cost):
    """Maximise over the hull of sigma's permutations, given by what each subset may have."""
    n = losses.size
    top = np.cumsum(sigma[::-1])
    subsets = [s for k in range(1, n) for s in itertools.combinations(range(n), k)]
    rows = np.array([[float(i in s) for i in range(n)] for s in subsets])
    limits = np.array([top[len(s) - 1] for s in subsets])

    def loss(q):
        cost = n / 2 * ((q - 1 / n) ** 2).sum()
        if penalty == "kl":
            cost = (q * np.log(np.maximum(n * q, 1e-300))).sum()
        return shift_cost * cost - q @ losses

    found = minimize(
        loss,
        np.full(n, 1 / n),
        method="SLSQP",
        bounds=[(1e-12, 1)] * n,
        constraints=[
            {"type": "eq", "fun": lambda q: q.sum() - 1},
            {"type": "ineq", "fun": lambda q: limits - rows @ q},
        ],
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    assert found.success or found.status == 8, found.message  # 8: no digit left to win
    return n * found.x


@pytest.mark.filterwarnings("ignore:Values in x were outside bounds")  # scipy 1.13
@pytest.mark.parametrize("penalty", ["chi2", "kl"])
@pytest.mark.parametrize("shift_cost", [0.3, 1.0, 5.0])
@pytest.mark.parametrize(("kind", "value", "function"), [KINDS[0], KINDS[1], KINDS[3], KINDS[5]])
def test_penalised_weights_are_what_an_optimiser_finds(kind, value, function, penalty, shift_cost):
    sigma = sigma_of(kind, LOSSES.size, value)
    expected = by_optimiser(LOSSES, sigma, penalty, shift_cost)
    found = function(torch.from_numpy(LOSSES), penalty=penalty, shift_cost=shift_cost)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_golden_numbers_of_cvar_with_chi2():
    """By hand: 1 + (l - mean) / shift_cost, then clipped to [0, 2] and moved to mean 1."""
    losses = torch.tensor([4.0, 1.0, 3.0, 2.0])
    found = cvar(losses, penalty="chi2", shift_cost=2.0)
    np.testing.assert_allclose(found, [1.75, 0.25, 1.25, 0.75], rtol=1e-6)
    # shift_cost 1: 1 + l - 2.5 = (2.5, -0.5, 1.5, 0.5) ends at (2, 0, 1.5, 0.5)
    found = cvar(losses, penalty="chi2", shift_cost=1.0)
    np.testing.assert_allclose(found, [2.0, 0.0, 1.5, 0.5], atol=1e-6)


@every
@pytest.mark.parametrize("penalty", ["chi2", "kl"])
def test_a_penalty_goes_from_the_spectrum_to_uniform(kind, value, function, penalty):
    losses = torch.from_numpy(LOSSES)
    free = function(losses, penalty=penalty, shift_cost=1e-8)
    np.testing.assert_allclose(free, function(losses), atol=1e-6)
    np.testing.assert_allclose(function(losses, penalty=penalty, shift_cost=1e8), 1, atol=1e-6)
    ties = function(torch.tensor([1.0, 1.0, 0.0]), penalty=penalty, shift_cost=0.1)
    assert float(ties[0]) == pytest.approx(float(ties[1]))


@pytest.mark.parametrize("penalty", ["chi2", "kl"])
def test_an_outlier_takes_no_digits_from_the_others(penalty):
    losses = torch.tensor([1e300, *LOSSES], dtype=torch.float64)
    found = extremile(losses, penalty=penalty, shift_cost=1e-10)
    assert float(found.mean()) == pytest.approx(1, rel=1e-9)
    np.testing.assert_allclose(found, extremile(losses), atol=1e-8)


def test_level_0_and_order_1_are_the_mean():
    losses = torch.from_numpy(LOSSES)
    np.testing.assert_allclose(cvar(losses, level=0.0), 1)
    np.testing.assert_allclose(extremile(losses, order=1.0), 1)
    np.testing.assert_allclose(esrm(losses, aversion=1e-9), 1, atol=1e-8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: cvar(x, level=1.0), r"^level must be in \[0, 1\), got 1.0$"),
        (lambda x: extremile(x, order=0.5), r"^order must be in \[1, inf\), got 0.5$"),
        (lambda x: esrm(x, aversion=0.0), r"^aversion must be in \(0, inf\), got 0.0$"),
        (lambda x: cvar(x, penalty="l2"), "^penalty must be one of 'chi2', 'kl', got 'l2'$"),
        (lambda x: cvar(x, shift_cost=0.0), r"^shift_cost must be in \(0, inf\), got 0.0$"),
    ],
)
def test_bad_options(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.ones(3))


# ---------------------------------------------------------------------- ranked among the data


@every
def test_the_data_ranked_among_itself_gets_the_weights_of_one_batch(kind, value, function):
    losses = torch.from_numpy(np.random.default_rng(0).integers(0, 20, size=50)).double()
    state = LossReference(losses)
    parts = [function(part, state=state) for part in losses.split(7)]
    np.testing.assert_allclose(torch.cat(parts), function(losses), atol=1e-9)


def test_a_reference_removes_the_bias_of_a_small_batch():
    rng = np.random.default_rng(0)
    population = np.sort(rng.exponential(size=1000)).astype(np.float32)
    target = float(population[800:].mean())
    batches = torch.from_numpy(rng.choice(population, size=(2000, 4)))
    state = LossReference(population)

    def estimate(**options):
        found = [float((cvar(b, level=0.8, **options) * b).mean()) for b in batches]
        return np.mean(found), np.std(found) / math.sqrt(len(found))

    alone, error = estimate()
    assert alone < target - 5 * error
    ranked, error = estimate(state=state)
    assert abs(ranked - target) < 3.9 * error  # a chance of 1e-4, and fixed seeds


def test_losses_that_the_reference_never_saw_stand_between_others():
    state = LossReference([1.0, 2.0, 3.0, 4.0])
    losses = torch.tensor([-5.0, 1.5, 2.5, 3.5, 99.0, torch.nan])
    assert cvar(losses, state=state).tolist() == [0, 0, 1, 2, 2, 0]
    assert extremile(losses, state=state).tolist() == [0.125, 0.5, 1, 1.5, 1.875, 0]


def test_a_reference_without_losses_gives_1_and_resumes():
    state, losses = LossReference(), torch.tensor([1.0, 3.0, torch.nan])
    assert cvar(losses, state=state).tolist() == [1, 1, 0]
    state.refresh(np.array([np.nan, 3.0, 1.0, np.inf, 2.0], np.float32))
    assert len(state) == 3
    resumed = LossReference()
    resumed.load_state_dict(state.state_dict())
    assert torch.equal(cvar(losses, state=resumed), cvar(losses, state=state))


def test_bad_references():
    with pytest.raises(ValueError, match="^penalty must be None with a state, got 'kl'$"):
        cvar(torch.ones(2), state=LossReference([1.0]), penalty="kl")
    with pytest.raises(TypeError, match="^state of cvar and its like must be a LossReference, got"):
        esrm(torch.ones(2), state=[1.0])
    with pytest.raises(ValueError, match=r"^losses must have shape \(N,\), got \(1, 2\)$"):
        LossReference([[1.0, 2.0]])
    with pytest.raises(StateError, match="^losses of the state must be finite and ascending"):
        LossReference().load_state_dict({"kind": "LossReference", "losses": [2.0, 1.0]})
