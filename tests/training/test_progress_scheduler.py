import math
import warnings

import numpy as np
import pytest
import torch
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
)

from sampling.errors import StateError
from sampling.samplers import DynamicRandomSampler, EpochBatchSampler, ShuffleSampler
from sampling.training import ProgressScheduler

N, B = 50, 7  # 8 batches, the last of one sample


def optimizer_of(kind=SGD):
    return kind([torch.zeros(1, requires_grad=True)], lr=0.5)


def one_cycle(optimizer, steps):
    return OneCycleLR(optimizer, max_lr=1.0, total_steps=steps, anneal_strategy="linear")


def warmed(optimizer, steps):
    first = LinearLR(optimizer, start_factor=0.1, total_iters=max(1, steps // 4))
    then = CosineAnnealingLR(optimizer, T_max=steps)
    return SequentialLR(optimizer, [first, then], milestones=[max(1, steps // 4)])


SCHEDULES = {
    "one cycle": one_cycle,
    "cosine": lambda optimizer, steps: CosineAnnealingLR(optimizer, T_max=steps),
    "lambda": lambda optimizer, steps: LambdaLR(optimizer, lambda step: 1 - step / steps),
    "warm-up, then cosine": warmed,
    "chained": lambda optimizer, steps: ChainedScheduler(
        [ExponentialLR(optimizer, 0.99), LinearLR(optimizer, total_iters=steps)], optimizer
    ),
}
every = pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)


def rates_of(optimizer):
    group = optimizer.param_groups[0]
    return [group["lr"], group.get("momentum"), group.get("betas")]


def train(sampler, schedule, optimizer, epochs, batch=B, start=0):
    """Run epochs and return the rates of each optimizer step."""
    used = []
    for epoch in epochs:
        sampler.set_epoch(epoch)
        steps = math.ceil(sampler.remaining / batch)
        for done in range(1, steps + 1):
            used.append(rates_of(optimizer))
            optimizer.step()
            schedule.step(sampler.consumed_after(done, batch))
    return used


# ---- the same as torch where nothing varies ------------------------------------------------------


@every
@pytest.mark.parametrize("kind", [SGD, Adam])
@pytest.mark.parametrize("batch", [1, 7, 10, 49, 50])
def test_equal_epochs_give_the_schedule_itself(make, kind, batch):
    epochs = 6
    steps = epochs * math.ceil(N / batch)
    plain = optimizer_of(kind)
    alone, wanted = make(plain, steps), []
    for _ in range(steps):
        wanted.append(rates_of(plain))
        plain.step()
        alone.step()
    ours = optimizer_of(kind)
    sampler = ShuffleSampler(N)
    schedule = ProgressScheduler(make(ours, steps), steps, sampler, num_epochs=epochs)
    assert train(sampler, schedule, ours, range(epochs), batch) == wanted


# ---- where the number of steps varies ------------------------------------------------------------


@every
@pytest.mark.parametrize("num_steps", [1, 9, 40, 64, 300])
def test_follows_the_run_whatever_the_number_of_steps(make, num_steps):
    optimizer = optimizer_of()
    sampler = DynamicRandomSampler(N, 8, drop_prob=0.6)
    schedule = ProgressScheduler(make(optimizer, num_steps), num_steps, sampler)
    twin = make(optimizer_of(), num_steps)
    rates = [twin.get_last_lr()]
    for _ in range(num_steps - 1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no optimizer step comes before these
            twin.step()
        rates.append(twin.get_last_lr())
    for epoch in range(8):
        sampler.set_epoch(epoch)
        draws = len(sampler)
        for batch in range(1, math.ceil(draws / B) + 1):
            optimizer.step()
            consumed = sampler.consumed_after(batch, B)
            schedule.step(consumed)
            place = math.floor((epoch + consumed / draws) / 8 * num_steps + 1e-6)
            assert schedule.position == min(place, num_steps - 1)
            assert schedule.get_last_lr() == rates[schedule.position]
            assert optimizer.param_groups[0]["lr"] == rates[schedule.position][0]
    assert schedule.position == num_steps - 1


def test_a_schedule_that_counts_steps_oversteps_and_ours_does_not():
    """InfoBatch's issue 27: a length read too early, and OneCycleLR raises within the run."""
    sampler = DynamicRandomSampler(N, 4, drop_prob=0.5, anneal_fraction=0.5)
    sampler.set_epoch(0)
    pruned = 4 * math.ceil(len(sampler) * 0.5 / B)  # what a run of short epochs would take
    counting = optimizer_of()
    alone = one_cycle(counting, pruned)
    with pytest.raises(ValueError, match="Tried to step"):
        for epoch in range(4):
            sampler.set_epoch(epoch)
            for _ in range(math.ceil(len(sampler) / B)):
                counting.step()
                alone.step()
    sampler = DynamicRandomSampler(N, 4, drop_prob=0.5, anneal_fraction=0.5)
    optimizer = optimizer_of()
    schedule = ProgressScheduler(one_cycle(optimizer, pruned), pruned, sampler)
    used = train(sampler, schedule, optimizer, range(4))
    assert len(used) > pruned
    assert min(rate for rate, _, _ in used) > 0
    schedule.step(0, epoch=9)  # longer than was said: the rate stays, and is a rate
    assert 0 < schedule.get_last_lr()[0] < 0.04


def test_goes_forward_only():
    optimizer = optimizer_of()
    sampler = ShuffleSampler(N)
    schedule = ProgressScheduler(one_cycle(optimizer, 20), 20, sampler, num_epochs=2)
    optimizer.step()
    schedule.step(25)
    assert schedule.position == 5
    schedule.step(10)
    assert schedule.position == 5


def test_takes_batch_samplers_and_epochs_by_name():
    optimizer = optimizer_of()
    batches = EpochBatchSampler(ShuffleSampler(N), B)
    schedule = ProgressScheduler(one_cycle(optimizer, 16), 16, batches, num_epochs=2)
    optimizer.step()
    schedule.step(batches.consumed_after(3))
    assert schedule.position == math.floor(21 / 50 * 8)
    schedule.step(0, epoch=1)
    assert schedule.position == 8


# ---- resume and ranks ----------------------------------------------------------------------------


@every
def test_a_resumed_run_has_the_rates_of_the_unbroken_one(make):
    def parts():
        optimizer = optimizer_of()
        sampler = DynamicRandomSampler(N, 6, drop_prob=0.4)
        return optimizer, sampler, ProgressScheduler(make(optimizer, 40), 40, sampler)

    optimizer, sampler, schedule = parts()
    wanted = train(sampler, schedule, optimizer, range(6))
    optimizer, sampler, schedule = parts()
    used = train(sampler, schedule, optimizer, range(2))
    sampler.set_epoch(2)
    for batch in (1, 2):
        used.append(rates_of(optimizer))
        optimizer.step()
        schedule.step(sampler.consumed_after(batch, B))
    saved = optimizer.state_dict(), sampler.state_dict(2 * B), schedule.state_dict()
    optimizer, sampler, schedule = parts()
    schedule.load_state_dict(saved[2])
    optimizer.load_state_dict(saved[0])
    sampler.load_state_dict(saved[1])
    used += train(sampler, schedule, optimizer, range(2, 6))
    assert used == wanted


def test_ranks_have_equal_rates():
    found = []
    for rank in range(3):
        optimizer = optimizer_of()
        sampler = ShuffleSampler(N, num_replicas=3, rank=rank)
        schedule = ProgressScheduler(one_cycle(optimizer, 30), 30, sampler, num_epochs=5)
        found.append(train(sampler, schedule, optimizer, range(5), batch=4))
    assert found[0] == found[1] == found[2]
    assert len(set(np.array([rate for rate, _, _ in found[0]]).tolist())) > 10


# ---- bad input -----------------------------------------------------------------------------------


def test_refuses():
    optimizer, sampler = optimizer_of(), DynamicRandomSampler(N, 4)
    cycle = one_cycle(optimizer, 30)
    for thing in (ReduceLROnPlateau(optimizer), optimizer, None):
        with pytest.raises(TypeError, match="scheduler must be a schedule of torch that counts st"):
            ProgressScheduler(thing, 30, sampler)
    with pytest.raises(ValueError, match="num_steps must be the scheduler's total_steps, 30, got"):
        ProgressScheduler(cycle, 31, sampler)
    with pytest.raises(ValueError, match="num_steps must be >= 1, got 0"):
        ProgressScheduler(cycle, 0, sampler)
    with pytest.raises(ValueError, match="num_epochs must be given, as ShuffleSampler has none"):
        ProgressScheduler(cycle, 30, ShuffleSampler(N))
    schedule = ProgressScheduler(cycle, 30, sampler)
    with pytest.raises(ValueError, match=r"consumed must be in \[0, 51\), got 51"):
        schedule.step(51)
    other = ProgressScheduler(one_cycle(optimizer_of(), 31), 31, sampler)
    with pytest.raises(StateError, match="state must have num_steps 30, got 31"):
        schedule.load_state_dict(other.state_dict())
    optimizer.step()
    cycle.step()
    with pytest.raises(ValueError, match="scheduler must be at its beginning, step 0, got step 1"):
        ProgressScheduler(cycle, 30, sampler)
