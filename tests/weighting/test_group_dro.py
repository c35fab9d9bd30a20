"""Group DRO: the update, absent groups, the adjustment for small ones."""

import numpy as np
import pytest
import torch

from sampling.errors import StateError
from sampling.weighting import GroupWeights, group_dro


def by_loop(q, losses, groups, step_size, bonus):
    """One step with dictionaries: the new q and the weights."""
    found = {g: losses[groups == g].mean() for g in sorted(set(groups.tolist()))}
    q = q.copy()
    for g, mean in found.items():
        q[g] *= np.exp(step_size * (mean + bonus[g]))
    q /= q.sum()  # over all groups, absent or not
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


def test_batches_of_one_group_move_the_weights():
    """Over the groups of a batch alone they never would: .5 and .5 for good."""
    state = GroupWeights(2)
    group_dro(torch.tensor([2.0, 4.0]), groups=[0, 0], state=state, step_size=0.5)
    np.testing.assert_allclose(state.values, np.exp([1.5, 0]) / (1 + np.exp(1.5)), rtol=1e-6)
    for loss, group in [(1.0, 0), (3.0, 1)] * 40:
        weights = group_dro(torch.tensor([loss]), groups=[group], state=state, step_size=0.5)
        assert float(weights) == pytest.approx(float(state.values[group]), rel=1e-6)
    assert state.values[1] > 0.999


def test_an_absent_group_gives_way_and_comes_back():
    state, q = GroupWeights(3), np.full(3, 1 / 3)
    for losses, groups in [([1.0, 3.0], [0, 1])] * 5 + [([9.0], [2])] * 3:
        group_dro(torch.tensor(losses), groups=groups, state=state, step_size=0.3)
        q, _ = by_loop(q, np.array(losses), np.array(groups), 0.3, np.zeros(3))
        np.testing.assert_allclose(state.values, q, rtol=1e-5)
    assert state.values[2] > 0.5


def test_an_absent_group_is_not_adjusted():
    state = GroupWeights(2, counts=[100, 1])
    group_dro(torch.tensor([0.0]), groups=[0], state=state, step_size=1.0, adjustment=1.0)
    np.testing.assert_allclose(state.values, np.exp([0.1, 0]) / (1 + np.exp(0.1)), rtol=1e-6)


def test_equal_losses_in_all_groups_change_nothing():
    state = GroupWeights(4)
    group_dro(torch.full((4,), 7.0), groups=[0, 1, 2, 3], state=state, step_size=5.0)
    np.testing.assert_allclose(state.values, 0.25, rtol=1e-6)


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
    for _ in range(9):  # the logarithms would pass float32's range
        group_dro(torch.tensor([1.0, 1e38]), groups=[0, 1], state=state, step_size=1.0)
    GroupWeights(2).load_state_dict(state.state_dict())


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
        (["a", "b"], TypeError, "^groups must hold ints, got dtype <U1, with 'a' in row 0: number"),
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
    with pytest.raises(ValueError, match=r"^counts\[1\] must be in \[1, inf\), got 0"):
        GroupWeights(2, counts=[5, 0])
    with pytest.raises(ValueError, match="^counts must have the length of the groups, 2, got 3$"):
        GroupWeights(2, counts=[5, 1, 1])
    with pytest.raises(StateError, match="^num_groups of the state must be 2, got 3$"):
        GroupWeights(2).load_state_dict(GroupWeights(3).state_dict())
    bad = {**GroupWeights(2).state_dict(), "log_weights": [0.0]}
    with pytest.raises(StateError, match=r"finite and of shape \(2,\), got shape \(1,\)$"):
        GroupWeights(2).load_state_dict(bad)
