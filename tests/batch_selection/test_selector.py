"""What all selectors share: checks, keys, cost, state."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.batch_selection import (
    BatchSelector,
    MultistageFilter,
    RankedBatch,
    RHOLoss,
    SelectionCost,
    SelectiveBackprop,
    TopKLoss,
)
from sampling.batch_selection._random_keys import (
    count_of,
    draw_in_proportion,
    hardest_first,
    host_uniforms,
)
from sampling.errors import StateError
from sampling.testing._global_state import states

NAN, INF = float("nan"), float("inf")


def multistage(**options):
    selector = MultistageFilter(1, epsilon=0.5, **options)
    selector.observe(torch.tensor([0.5, 1.5]))
    return selector


FIXED = {  # selectors that take a fixed number of rows
    "SelectiveBackprop": lambda **o: SelectiveBackprop(0.25, **o),
    "RankedBatch": lambda **o: RankedBatch(3, 0.25, **o),
    "TopKLoss": lambda **o: TopKLoss(0.25, **o),
    "RHOLoss": lambda **o: RHOLoss(np.linspace(0, 1, 50), 0.25, **o),
}
ALL = {
    **FIXED,
    "history": lambda **o: SelectiveBackprop(0.25, form="history", history=16, **o),
    "unbiased": lambda **o: SelectiveBackprop(0.25, unbiased=True, **o),
    "multistage": multistage,
}
fixed = pytest.mark.parametrize("make", FIXED.values(), ids=FIXED)
each = pytest.mark.parametrize("make", ALL.values(), ids=ALL)


def losses_of(step, size=12):
    return torch.from_numpy(np.random.default_rng(step).exponential(size=size))


@each
def test_rows_are_distinct_ascending_and_weighted(make):
    selector = make()
    for step in range(20):
        chosen = selector.select(losses_of(step), np.arange(12))
        rows = chosen.rows.tolist()
        assert rows == sorted(set(rows))
        assert set(rows) <= set(range(12))
        assert chosen.weights.shape == chosen.rows.shape
        assert chosen.weights.dtype == torch.float32


@fixed
@pytest.mark.parametrize(("size", "count"), [(1, 1), (3, 1), (4, 1), (5, 2), (12, 3), (30, 8)])
def test_a_part_of_a_batch_is_rounded_up_and_at_least_one(make, size, count):
    chosen = make().select(losses_of(0, size), np.arange(size))
    assert len(chosen.rows) == count
    assert (chosen.weights == 1).all()


def test_a_tenth_of_thirty_is_three():
    assert count_of(0.1, 30) == 3  # 0.1 * 30 = 3.0000000000000004
    assert count_of(5, 3) == 3


@fixed
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_fixed_number_of_rows_is_chosen_without_waiting_for_the_device(make, dtype):
    """On the meta device nothing can be waited for: there are no values, only shapes."""
    chosen = make().select(torch.ones(12, dtype=dtype, device="meta"), np.arange(12))
    assert chosen.rows.shape == (3,)
    assert (chosen.rows.device.type, chosen.weights.device.type) == ("meta", "meta")


@fixed
def test_losses_that_are_not_finite_come_last(make):
    """A sort puts NaN first; a percentile of NaN is anything."""
    losses = torch.tensor([NAN, 1.0, INF, 0.5, NAN, 2.0, -INF, NAN])
    for seed in range(20):
        rows = make(seed=seed).select(losses, np.arange(8)).rows.tolist()
        assert set(rows) <= {1, 3, 5}
    some = torch.full((8,), NAN)
    assert len(make().select(some, np.arange(8)).rows) == 2


@each
def test_batches_without_a_finite_loss_do_not_fail(make):
    chosen = make().select(torch.full((8,), NAN), np.arange(8))
    assert len(chosen.rows) >= 1


@each
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_floating_losses_do(make, dtype):
    losses = torch.tensor([0.5, 1.5, 2.5, 3.5], dtype=dtype)
    assert len(make().select(losses, np.arange(4)).rows) >= 1


@each
def test_losses_and_generators_are_left_alone(make):
    losses = losses_of(0)
    copy = losses.clone().requires_grad_()
    before = states()
    chosen = make().select(copy, np.arange(12))
    assert torch.equal(copy, losses)
    assert not chosen.weights.requires_grad
    assert states() == before


@each
def test_choices_depend_on_seed_epoch_step_and_rank(make):
    def run(epoch=0, skip=0, **options):
        selector = make(**options)
        selector.set_epoch(epoch)
        selector.step += skip
        return [selector.select(losses_of(0, 40), np.arange(40)).rows.tolist() for _ in range(4)]

    same = run()
    assert run() == same
    if make is FIXED["TopKLoss"] or make is FIXED["RHOLoss"] or make is multistage:
        return  # chance decides ties alone
    others = [run(epoch=1), run(skip=9), run(seed=1), run(rank=1)]
    assert all(other != same for other in others)


def test_set_epoch_starts_the_steps_anew_but_not_within_the_epoch():
    selector = TopKLoss()
    selector.select(losses_of(0))
    selector.set_epoch(0)
    assert (selector.epoch, selector.step) == (0, 1)
    selector.set_epoch(3)
    assert (selector.epoch, selector.step) == (3, 0)


@each
def test_a_saved_selector_goes_on_as_if_never_stopped(make):
    whole = make(seed=5)
    for step in range(5):
        whole.select(losses_of(step), np.arange(12))
    state = whole.state_dict()
    rest = [whole.select(losses_of(step), np.arange(12)) for step in range(5, 10)]
    resumed = make(seed=5)
    resumed.load_state_dict(state)
    again = [resumed.select(losses_of(step), np.arange(12)) for step in range(5, 10)]
    for one, two in zip(rest, again, strict=True):
        assert torch.equal(one.rows, two.rows)
        assert torch.equal(one.weights, two.weights)
    assert resumed.cost == whole.cost
    json.dumps(state, default=lambda array: array.tolist(), allow_nan=True)


@each
def test_a_state_of_other_arguments_is_refused(make):
    state = make(seed=5).state_dict()
    selector = make(seed=6)
    with pytest.raises(StateError, match="state must have seed 6, got 5"):
        selector.load_state_dict(state)
    with pytest.raises(StateError, match=r"missing \['buffer'\]"):
        make(seed=5).load_state_dict({key: state[key] for key in state if key != "buffer"})
    with pytest.raises(StateError, match="state must have selector"):
        TopKLoss(0.125, seed=5, cap=0.5).load_state_dict(state | {"selector": "Other"})
    with pytest.raises(StateError, match="state must have fingerprint"):
        make(seed=5).load_state_dict(state | {"fingerprint": "0"})
    assert selector.cost == make().cost


@each
@pytest.mark.parametrize(
    ("losses", "error", "message"),
    [
        (torch.tensor(1.0), ValueError, "got a scalar: compute the loss with reduction='none'"),
        (torch.ones(4, 2), ValueError, "losses must have shape"),
        (torch.ones(4, dtype=torch.int64), TypeError, "losses must be floating, got torch.int64"),
        (torch.ones(3), ValueError, "got 3 losses for 4 indices"),
        ([1.0, 2.0, 3.0, 4.0], TypeError, "losses must be a tensor, got list"),
    ],
)
def test_bad_losses(make, losses, error, message):
    with pytest.raises(error, match=message):
        make().select(losses, np.arange(4))


def test_a_reduced_loss_is_refused_without_indices_too():
    with pytest.raises(ValueError, match="got a scalar: compute the loss with reduction='none'"):
        TopKLoss().select(torch.tensor(1.0))
    with pytest.raises(ValueError, match="got a scalar"):
        TopKLoss().observe(torch.tensor(1.0))


def test_bad_arguments():
    for keep in (0.0, 1.5, NAN, 0, True):
        with pytest.raises((ValueError, TypeError), match="keep must be"):
            TopKLoss(keep)
    with pytest.raises(ValueError, match="seed must be"):
        TopKLoss(seed=-1)
    with pytest.raises(ValueError, match="groups must have the length of losses, 2, got 1"):
        TopKLoss().select(torch.ones(2), groups=[0])
    with pytest.raises(ValueError, match="features must have 2 rows, got 1"):
        TopKLoss().select(torch.ones(2), features=np.ones((1, 3)))
    with pytest.raises(TypeError, match="indices must hold ints"):
        TopKLoss().select(torch.ones(2), [0.5, 1.0])
    with pytest.raises(ValueError, match="collect must be >= 1, got 0"):
        SelectiveBackprop(form="history", collect=0)
    with pytest.raises(TypeError, match="BatchSelector must define _choose"):
        BatchSelector().select(torch.ones(2))


def test_collecting_is_refused_on_several_ranks(monkeypatch):
    monkeypatch.setattr("sampling.batch_selection._batch_selector.world_size", lambda: 2)
    with pytest.raises(ValueError, match="collect must be None on several ranks, got 8 on 2"):
        SelectiveBackprop(form="history", collect=8)
    SelectiveBackprop(form="history")


def test_cost():
    selector = TopKLoss(0.25)
    for _ in range(3):
        selector.select(losses_of(0))
    selector.select(losses_of(0), scored=False)
    selector.observe(losses_of(0))
    assert selector.cost == SelectionCost(candidates=60, scored=36, trained=24)
    assert selector.cost.equivalents() == 24 + 12
    assert selector.cost.saved() == 0.4
    assert selector.cost.saved(1.0) == 0.0
    assert SelectionCost().saved() == 0.0
    with pytest.raises(ValueError, match=r"forward must be in \[0, 1\], got 2"):
        selector.cost.equivalents(2)


@given(
    losses=st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None, derandomize=True, max_examples=50)
def test_hardest_first_is_a_sort_with_ties_by_lot(losses, seed):
    uniform = host_uniforms(np.uint64(seed), len(losses))
    usable = [each if np.isfinite(each) else -INF for each in losses]
    twin = sorted(range(len(losses)), key=lambda row: (-usable[row], uniform[row]))
    found = hardest_first(torch.tensor(losses), torch.from_numpy(uniform))
    assert found.tolist() == twin


def test_ties_are_broken_evenly():
    first = np.zeros(4)
    for step in range(400):
        uniform = torch.from_numpy(host_uniforms(np.uint64(step), 4))
        first[int(hardest_first(torch.ones(4), uniform)[0])] += 1
    assert (abs(first - 100) < 5.5 * 8.7).all()  # standard error 8.7


def test_the_race_draws_like_one_draw_after_another():
    """Against the probability of each pair under successive draws."""
    chance = np.array([0.5, 0.3, 0.2, 0.0])
    pairs = np.zeros((4, 4))
    trials = 4000
    for step in range(trials):
        uniform = torch.from_numpy(host_uniforms(np.uint64(step), 4))
        one, two = draw_in_proportion(torch.from_numpy(chance), 2, uniform).tolist()
        pairs[one, two] += 1
    for one in range(3):
        for two in range(one + 1, 3):
            first, second = chance[one], chance[two]
            p = first * second / (1 - first) + second * first / (1 - second)
            error = np.sqrt(p * (1 - p) * trials)
            assert abs(pairs[one, two] - p * trials) < 5.5 * error
    assert pairs[:, 3].sum() == 0
