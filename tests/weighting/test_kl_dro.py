"""KL-DRO: a softmax of one batch, biased, and the running correction."""

import json
import math

import numpy as np
import pytest
import torch

from sampling.errors import StateError
from sampling.weighting import RunningRisk, kl_dro


def test_without_a_state_it_is_a_softmax():
    losses = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64)
    for temperature in (0.1, 1.0, 10.0):
        expected = 3 * torch.softmax(losses / temperature, 0)
        np.testing.assert_allclose(kl_dro(losses, temperature=temperature), expected, rtol=1e-12)


def test_temperature_goes_from_the_largest_loss_to_uniform():
    losses = torch.tensor([0.0, 1.0, 3.0, 3.0])
    assert kl_dro(losses, temperature=1e-30).tolist() == [0, 0, 2, 2]
    assert kl_dro(losses, temperature=1e30).tolist() == [1, 1, 1, 1]
    assert kl_dro(losses * 1e38, temperature=1e-3).tolist() == [0, 0, 2, 2]


def test_the_running_risk_follows_its_recurrence():
    rng = np.random.default_rng(0)
    state, u = RunningRisk(momentum=0.3), None
    for _ in range(20):
        losses = rng.normal(size=5)
        weights = kl_dro(torch.from_numpy(losses), state=state, temperature=0.7)
        mean = np.exp(losses / 0.7).mean()
        u = mean if u is None else 0.7 * u + 0.3 * mean
        np.testing.assert_allclose(weights, np.exp(losses / 0.7) / u, rtol=1e-9)
        assert state.value == pytest.approx(0.7 * math.log(u))


def test_the_running_risk_is_kept_as_a_logarithm():
    """exp(2000) overflows, its logarithm does not."""
    state = RunningRisk(momentum=0.5)
    for loss in (2000.0, 2000.0):
        assert kl_dro(torch.tensor([loss, loss]), state=state).tolist() == [1, 1]
    assert kl_dro(torch.tensor([0.0, 0.0]), state=state).tolist() == [0, 0]
    assert state.value == pytest.approx(2000 + math.log(0.5), rel=1e-6)


def test_a_batch_without_a_finite_loss_moves_nothing():
    state = RunningRisk()
    bad = torch.tensor([torch.nan, torch.inf])
    assert kl_dro(bad, state=state).tolist() == [0, 0]
    assert math.isnan(state.value)
    kl_dro(torch.tensor([1.0, 2.0]), state=state)
    before = state.value
    kl_dro(bad, state=state)
    assert state.value == before


def estimates(batches, weigh, warm=100):
    """Mean over batches of the weighted gradient, where a sample's gradient is its loss."""
    found = [float((weigh(batch) * batch).mean()) for batch in batches]
    return np.array(found[warm:])


def test_the_running_correction_removes_most_of_the_bias_of_a_small_batch():
    """In mini-batches of 4 the softmax's own normaliser pulls the gradient towards the mean."""
    rng = np.random.default_rng(0)
    population = rng.uniform(0, 4, size=1000)
    target = np.average(population, weights=np.exp(population))
    batches = torch.from_numpy(rng.choice(population, size=(2500, 4)))
    plain = estimates(batches, kl_dro)
    state = RunningRisk(momentum=0.02)
    running = estimates(batches, lambda batch: kl_dro(batch, state=state))
    error = running.std() / math.sqrt(running.size)  # 0.04
    assert plain.mean() < target - 0.2  # 2.81 instead of 3.08
    assert abs(running.mean() - target) < 0.02 + 3.9 * error  # a chance of 1e-4, and fixed seeds


def test_no_weight_exceeds_n_over_momentum():
    state = RunningRisk(momentum=0.25)
    kl_dro(torch.zeros(4), state=state)
    weights = kl_dro(torch.tensor([0.0, 0.0, 0.0, 500.0]), state=state)
    assert float(weights[3]) == pytest.approx(4 / 0.25, rel=1e-4)


def test_saved_and_resumed_it_goes_on_alike():
    rng = np.random.default_rng(1)
    batches = torch.from_numpy(rng.exponential(size=(6, 4))).float()
    state, resumed = RunningRisk(), RunningRisk()
    resumed.load_state_dict(json.loads(json.dumps(state.state_dict())))
    assert math.isnan(resumed.value)
    for batch in batches[:3]:
        kl_dro(batch, state=state)
    resumed.load_state_dict(json.loads(json.dumps(state.state_dict())))
    for batch in batches[3:]:
        assert torch.equal(kl_dro(batch, state=state), kl_dro(batch, state=resumed))


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"^momentum must be in \(0, 1\), got 1.0$"):
        RunningRisk(1.0)
    with pytest.raises(ValueError, match=r"^temperature must be in \(0, inf\), got 0.0$"):
        kl_dro(torch.ones(2), temperature=0.0)
    with pytest.raises(TypeError, match="^state of kl_dro must be a RunningRisk, got {}$"):
        kl_dro(torch.ones(2), state={})
    with pytest.raises(StateError, match="^momentum of the state must be 0.1, got 0.2$"):
        RunningRisk(0.1).load_state_dict(RunningRisk(0.2).state_dict())
    with pytest.raises(StateError, match="^kind of the state must be 'RunningRisk', got 'x'$"):
        RunningRisk().load_state_dict({"kind": "x", "momentum": 0.1, "risk": 1.0})
