"""Group DRO: the update, absent groups, the adjustment for small ones."""

import numpy as np
import pytest
import torch

from sampling.errors import StateError
from sampling.weighting import GroupWeights, group_dro


def by_loop(q, losses, groups, step_size, bonus):
    """One step with dictionaries: the new q and the weights."""
    found = {g: losses[groups == g].mean() for g in sorted(set(groups.tolist()))}
    q, held = q.copy(), sum(q[g] for g in found)
    for g, mean in found.items():
        q[g] *= np.exp(step_size * (mean + bonus[g]))
    total = sum(q[g] for g in found)
    for g in found:
        q[g] *= held / total
    return q, np.array([q[g] * losses.size / (groups == g).sum() for g in groups])


def test_steps_equal_a_loop():
    rng = np.random.default_rng(0)
    counts = np.array([400, 100, 25, 4])
    state, q = GroupWeights(4, counts), np.full(4, 0.25)
    for _ in range(30):
        losses, groups = rng.exponential(size=7), rng.integers(0, 4, size=7)
        options = {"step_size": 0.3, "adjustment": 2.0}
        weights = group_dro(torch.from_numpy(losses), groups=groups, state=state, **options)
        q, expected = by_loop(q, losses, groups, 0.3, 2.0 / np.sqrt(counts))
        np.testing.assert_allclose(weights, expected, rtol=1e-6)
        np.testing.assert_allclose(state.values, q, rtol=1e-5)
        # the mean of the weighted losses is sum_g q_g L_g
        means = [q[g] * losses[groups == g].mean() for g in set(groups.tolist())]
        assert float((weights * torch.from_numpy(losses)).mean()) == pytest.approx(sum(means))


def test_an_absent_group_keeps_its_weight():
    """With a loss of 0 in place of none it would shrink each time that it is not drawn."""
    state = GroupWeights(3)
    for _ in range(50):
        group_dro(torch.tensor([1.0, 3.0]), groups=[0, 1], state=state, step_size=0.1)
    q = state.values
    assert q[2] == pytest.approx(1 / 3, rel=1e-6)
    assert q[0] + q[1] == pytest.approx(2 / 3, rel=1e-6)
    assert q[1] > 100 * q[0]


def test_losses_that_are_not_finite_are_in_no_group():
    clean, dirty = GroupWeights(2), GroupWeights(2)
    losses = torch.tensor([1.0, 2.0, 4.0])
    expected = group_dro(losses, groups=[0, 1, 1], state=clean, step_size=1.0)
    more = torch.cat([losses, torch.tensor([torch.nan, torch.inf])])
    found = group_dro(more, groups=[0, 1, 1, 0, 1], state=dirty, step_size=1.0)
    assert torch.equal(found[:3], expected)
    assert found[3:].tolist() == [0, 0]
    np.testing.assert_array_equal(clean.values, dirty.values)
    nothing = torch.full((2,), torch.nan)
    assert group_dro(nothing, groups=[0, 1], state=dirty).tolist() == [0, 0]
    np.testing.assert_array_equal(clean.values, dirty.values)


def test_large_losses_do_not_overflow():
    state = GroupWeights(2)
    for _ in range(3):
        weights = group_dro(torch.tensor([1.0, 1e30]), groups=[0, 1], state=state, step_size=1.0)
    assert weights.tolist() == [0, 2]
    assert np.isfinite(state.state_dict()["log_weights"]).all()


def test_saved_and_resumed_it_goes_on_alike():
    state = GroupWeights(2)
    group_dro(torch.tensor([1.0, 2.0]), groups=[0, 1], state=state, step_size=0.5)
    resumed = GroupWeights(2)
    resumed.load_state_dict(state.state_dict())
    for each in (state, resumed):
        group_dro(torch.tensor([3.0, 1.0]), groups=[0, 1], state=each, step_size=0.5)
    np.testing.assert_array_equal(state.values, resumed.values)
    assert state.state_dict()["log_weights"].dtype == np.float32


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        (None, ValueError, "^groups must be given, one for each loss, got None$"),
        ([0], ValueError, r"^groups must have the shape of losses, \(2,\), got \(1,\)$"),
        ([0, 2], ValueError, r"^groups must be in \[0, 2\), got 2 in row 1$"),
        ([-1, 0], ValueError, r"^groups must be in \[0, 2\), got -1 in row 0$"),
        ([0.0, 1.0], TypeError, "^groups must hold ints, got torch.float64$"),
    ],
)
def test_bad_groups(groups, error, message):
    state = GroupWeights(2)
    with pytest.raises(error, match=message):
        group_dro(torch.ones(2), groups=groups, state=state)
    assert state.values.tolist() == [0.5, 0.5]


def test_bad_arguments():
    with pytest.raises(TypeError, match="^state of group_dro must be a GroupWeights, got None$"):
        group_dro(torch.ones(2), groups=[0, 1])
    with pytest.raises(ValueError, match="^adjustment must be 0 without counts in the state"):
        group_dro(torch.ones(2), groups=[0, 1], state=GroupWeights(2), adjustment=1.0)
    with pytest.raises(ValueError, match="^counts must be >= 1, got 0 of group 1$"):
        GroupWeights(2, counts=[5, 0])
    with pytest.raises(ValueError, match="^counts must have the length of the groups, 2, got 3$"):
        GroupWeights(2, counts=[5, 1, 1])
    with pytest.raises(StateError, match="^num_groups of the state must be 2, got 3$"):
        GroupWeights(2).load_state_dict(GroupWeights(3).state_dict())
    bad = {**GroupWeights(2).state_dict(), "log_weights": [0.0]}
    with pytest.raises(StateError, match=r"finite and of shape \(2,\), got shape \(1,\)$"):
        GroupWeights(2).load_state_dict(bad)
