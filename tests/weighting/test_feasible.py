"""Feasible learning: multipliers by dataset index, plain and resilient."""

import numpy as np
import pytest
import torch

from sampling.errors import StateError
from sampling.weighting import Duals, feasible


def by_loop(values, losses, indices, bound, step, alpha=None, cap=np.inf):
    values = values.copy()
    for loss, i in zip(losses, indices, strict=True):
        move = loss - bound - (values[i] / alpha if alpha else 0.0)
        values[i] = min(max(values[i] + step * move, 0.0), cap)
    return values


@pytest.mark.parametrize("alpha", [None, 0.5, 10.0])
@pytest.mark.parametrize("cap", [None, 0.4])
def test_steps_equal_a_loop(alpha, cap):
    rng = np.random.default_rng(0)
    state, expected = Duals(12, cap=cap), np.zeros(12)
    for _ in range(40):
        indices, losses = rng.permutation(12)[:5], rng.exponential(size=5)
        found = feasible(
            torch.from_numpy(losses),
            indices=torch.from_numpy(indices),
            state=state,
            bound=0.8,
            step_size=0.1,
            resilience=alpha,
        )
        expected = by_loop(expected, losses, indices, 0.8, 0.1, alpha, cap or np.inf)
        np.testing.assert_allclose(found, expected[indices], atol=1e-5)
        np.testing.assert_allclose(state.values, expected, atol=1e-5)


def step(state, losses, indices, **options):
    options = {"bound": 1.0, "step_size": 0.5, **options}
    return feasible(torch.tensor(losses), indices=indices, state=state, **options)


def test_the_first_step_is_not_none():
    """With the multipliers before the step, all 0, the model would not move."""
    assert step(Duals(2), [2.0, 3.0], [0, 1]).tolist() == [0.5, 1.0]
    assert step(Duals(2), [2.0, 3.0], [0, 1], dual_first=False).tolist() == [0, 0]
    begun = Duals(2, initial=1.0)
    assert step(begun, [2.0, 3.0], [0, 1], dual_first=False).tolist() == [1, 1]
    assert begun.values.tolist() == [1.5, 2.0]


def test_a_satisfied_sample_falls_to_0_and_drops_out():
    state = Duals(2, initial=1.0)
    for _ in range(3):
        weights = step(state, [0.0], [1])
    assert weights.tolist() == [0]
    assert state.values.tolist() == [1, 0]  # and one not drawn keeps its own


def test_an_infeasible_sample_grows_without_bound_unless_resilient():
    plain, resilient, capped = Duals(1), Duals(1), Duals(1, cap=3.0)
    for _ in range(200):
        step(plain, [5.0], [0])
        step(resilient, [5.0], [0], resilience=2.0)
        step(capped, [5.0], [0])
    assert plain.values[0] == 400
    assert resilient.values[0] == pytest.approx(2.0 * (5.0 - 1.0))  # alpha (l - bound)
    assert capped.values[0] == 3


def test_an_index_twice_in_a_batch_moves_twice():
    state = Duals(3)
    assert step(state, [2.0, 4.0], [1, 1]).tolist() == [2.0, 2.0]
    assert state.values.tolist() == [0, 2, 0]


def test_losses_that_are_not_finite_move_nothing():
    state = Duals(3, initial=1.0)
    weights = step(state, [torch.nan, torch.inf, 3.0], [0, 1, 2])
    assert weights.tolist() == [0, 0, 2]
    assert state.values.tolist() == [1, 1, 2]


def test_normalised_weights_have_mean_1():
    weights = step(Duals(4), [2.0, 3.0, 0.0, torch.nan], [0, 1, 2, 3], normalise=True)
    np.testing.assert_allclose(weights, [1.0, 2.0, 0.0, 0.0])
    assert step(Duals(2), [0.0, 0.5], [0, 1], normalise=True).tolist() == [0, 0]


def test_saved_and_resumed_it_goes_on_alike():
    state = Duals(3, cap=9.0)
    step(state, [2.0, 4.0], [2, 0])
    saved = state.state_dict()
    resumed = Duals(3, cap=9.0)
    resumed.load_state_dict(saved)
    for each in (state, resumed):
        step(each, [3.0, 0.0], [2, 0])
    np.testing.assert_array_equal(state.values, resumed.values)
    assert saved["values"].tolist() == [1.5, 0, 0.5]  # a copy
    assert saved["values"].dtype == np.float32


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        (None, ValueError, "^indices must be given, one for each loss, got None$"),
        ([0, 3], ValueError, r"^indices must be in \[0, 3\), got 3 in row 1$"),
        ([0, -1], ValueError, r"^indices must be in \[0, 3\), got -1 in row 1$"),
        ([0], ValueError, r"^indices must have the shape of losses, \(2,\), got \(1,\)$"),
        ([0.0, 1.0], TypeError, "^indices must hold ints, got torch.float64$"),
    ],
)
def test_bad_indices_change_nothing(indices, error, message):
    state = Duals(3)
    with pytest.raises(error, match=message):
        step(state, [2.0, 2.0], indices)
    assert state.values.tolist() == [0, 0, 0]


def test_bad_arguments():
    with pytest.raises(TypeError, match="^state of feasible must be a Duals, got None$"):
        step(None, [1.0], [0])
    with pytest.raises(ValueError, match="^resilience must be in"):
        step(Duals(1), [1.0], [0], resilience=0.0)
    with pytest.raises(ValueError, match=r"^initial must be in \[0, inf\), got -1$"):
        Duals(2, initial=-1)
    with pytest.raises(StateError, match="^size of the state must be 2, got 3$"):
        Duals(2).load_state_dict(Duals(3).state_dict())
    with pytest.raises(StateError, match="^cap of the state must be None, got 1.0$"):
        Duals(2).load_state_dict(Duals(2, cap=1.0).state_dict())
    with pytest.raises(StateError, match="^values of the state must be finite, >= 0 and of shape"):
        Duals(2).load_state_dict({**Duals(2).state_dict(), "values": [1.0, -1.0]})
