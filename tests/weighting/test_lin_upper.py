"""LinUpper, Quadratic, Extremes: golden numbers, outliers, burn-in."""

import functools
import json

import numpy as np
import pytest
import torch

from sampling.errors import StateError
from sampling.weighting import BurnIn, extremes, lin_upper, quadratic

LOSSES = torch.tensor([1.0, 2.0, 3.0, 4.0, 9.0])


@pytest.mark.parametrize(
    ("function", "golden"),
    [  # five times the published weights of this batch at temperature 0.4
        (lin_upper, [0.20, 0.37, 0.70, 1.30, 2.43]),
        (quadratic, [0.23, 0.68, 1.49, 2.38, 0.23]),
        (extremes, [1.68, 0.90, 0.48, 0.26, 1.68]),
    ],
)
def test_golden_numbers(function, golden):
    np.testing.assert_allclose(function(LOSSES, temperature=0.4), golden, atol=0.006)


def by_formula(losses, shape, r):
    x = np.asarray(losses, np.float64)
    h = (2 * x - (x.max() + x.min())) / max(x.max() - x.min(), 1e-6)
    f = shape(h)
    w = np.exp((f - f.max()) / r)
    return w / w.sum() * x.size


@pytest.mark.parametrize("r", [0.005, 0.4, 1.0, 100.0])
@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lin_upper, lambda h: np.minimum(h + 1, 1)),
        (quadratic, lambda h: 1 - h**2),
        (extremes, np.abs),
    ],
)
def test_equals_the_formula_in_float64(function, shape, r):
    losses = torch.from_numpy(np.random.default_rng(0).exponential(size=33))
    expected = by_formula(losses, shape, r)
    np.testing.assert_allclose(function(losses, temperature=r), expected, rtol=1e-10, atol=1e-30)
    single = function(losses.float(), temperature=r)
    np.testing.assert_allclose(single, expected, rtol=1e-5 / min(r, 1), atol=1e-7)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 100.0])
def test_the_largest_weight_is_exp_of_1_over_temperature_times_the_smallest(temperature):
    weights = lin_upper(LOSSES, temperature=temperature)
    assert float(weights.max() / weights.min()) == pytest.approx(np.exp(1 / temperature), rel=1e-5)


@pytest.mark.parametrize("function", [lin_upper, quadratic, extremes])
@pytest.mark.parametrize("value", [0.0, 0.1, -3.0, 1e30, 1e-30])
def test_equal_losses_up_to_noise_get_equal_weights(function, value):
    """float32's noise around one value is not stretched to [-1, 1]."""
    losses = torch.full((8,), value)
    losses[3] = torch.nextafter(losses[3], torch.tensor(torch.inf))
    np.testing.assert_allclose(function(losses, temperature=0.4), np.ones(8), atol=1e-6)


def test_an_outlier_presses_the_others_together_unless_clipped():
    losses = torch.tensor([*range(1, 20), 10_000.0])
    plain = lin_upper(losses, temperature=0.4)
    assert float(plain[18] / plain[0]) < 1.01
    clipped = lin_upper(losses, temperature=0.4, clip=0.9)
    assert float(clipped[17] / clipped[0]) > 10
    low, high = np.quantile(losses.numpy(), [0.1, 0.9])
    expected = by_formula(losses.clamp(low, high), lambda h: np.minimum(h + 1, 1), 0.4)
    np.testing.assert_allclose(clipped, expected, rtol=1e-4)


def test_clipping_leaves_out_losses_that_are_not_finite():
    dirty = torch.cat([LOSSES, torch.tensor([torch.nan, torch.inf, -torch.inf])])
    weights = lin_upper(dirty, clip=0.75)
    assert torch.equal(weights[:5], lin_upper(LOSSES, clip=0.75))
    assert weights[5:].tolist() == [0, 0, 0]


def test_burn_in_counts_calls_and_resumes():
    state = BurnIn(3)
    weigh = functools.partial(lin_upper, state=state)
    ones = [bool((weigh(LOSSES) == 1).all()) for _ in range(2)]
    saved = json.loads(json.dumps(state.state_dict()))
    resumed = BurnIn(3)
    resumed.load_state_dict(saved)
    for each in (state, resumed):
        ones += [bool((lin_upper(LOSSES, state=each) == 1).all()) for _ in range(2)]
    assert ones == [True, True, True, False, True, False]
    assert state.seen == resumed.seen == 4


def test_burn_in_leaves_out_losses_that_are_not_finite():
    assert lin_upper(torch.tensor([1.0, torch.nan]), state=BurnIn(1)).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"temperature": 0}, ValueError, r"^temperature must be in \(0, inf\), got 0$"),
        ({"clip": 1.0}, ValueError, r"^clip must be in \(0.5, 1\), got 1.0$"),
        ({"state": 3}, TypeError, "^state of lin_upper and its like must be a BurnIn, got 3$"),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        lin_upper(LOSSES, **options)


def test_a_burn_in_refuses_the_state_of_another():
    with pytest.raises(StateError, match="^steps of the state must be 3, got 4$"):
        BurnIn(3).load_state_dict(BurnIn(4).state_dict())
    with pytest.raises(StateError, match=r"^state must have the keys .*, missing \['seen'\]$"):
        BurnIn(3).load_state_dict({"kind": "BurnIn", "steps": 3})
    with pytest.raises(ValueError, match="^steps must be >= 0, got -1$"):
        BurnIn(-1)
