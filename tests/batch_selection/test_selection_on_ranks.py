"""Batch selection under DistributedDataParallel, on two real processes."""

import numpy as np
import pytest
import torch
from torch.nn.parallel import DistributedDataParallel
from two_ranks import on_two_ranks

from sampling.batch_selection import (
    MultistageFilter,
    RankedBatch,
    SelectiveBackprop,
    SelectiveForward,
    TopKLoss,
)
from sampling.samplers import ShuffleSampler

ROWS, FEATURES, STEPS = 16, 3, 6
SELECTORS = {
    "top k": lambda rank: TopKLoss(0.5, rank=rank),
    "selective backprop": lambda rank: SelectiveBackprop(0.5, rank=rank),
    "coins": lambda rank: SelectiveBackprop(0.25, form="history", rank=rank),
    "unbiased": lambda rank: SelectiveBackprop(0.3, unbiased=True, rank=rank),
    "ranked": lambda rank: RankedBatch(num_epochs=2, rank=rank),
    "multistage": lambda rank: MultistageFilter(1, trust=100.0, rank=rank),
}


def batch_of(rank, step):
    random = torch.Generator().manual_seed(10 * step + rank)
    x = torch.randn(ROWS, FEATURES, generator=random)
    # From the third step on the second rank has nothing that is worth training on.
    y = x.sum(1) if rank == 1 and step > 2 else torch.randn(ROWS, generator=random)
    return x, y


def losses_of(model, batch):
    x, y = batch
    return (model(x).squeeze(1) - y).square()


def new_model():
    model = torch.nn.Linear(FEATURES, 1, bias=False)
    torch.nn.init.ones_(model.weight)
    return model


def steps(name, rank, wrap, after_backward):
    """Yield the chosen rows of each step and leave the gradient in the model."""
    model = wrap(new_model())
    step_of = SelectiveForward(model, losses_of, SELECTORS[name](rank))
    sampler = ShuffleSampler(2 * ROWS)
    chosen = []
    for step in range(STEPS):
        batch = batch_of(rank, step)
        indices = torch.arange(ROWS) + rank * ROWS
        features = batch[0].numpy() if name == "multistage" else None
        found = step_of(batch, indices, features=features)
        assert found.ready  # else the other rank would wait for ever
        model.zero_grad()
        sampler.reduce(found.losses, found.indices, weighting=found.weighting).backward()
        after_backward(model, step)
        chosen.append((found.indices % ROWS).tolist())
    return chosen


def together(rank):
    found = {}
    for name in SELECTORS:
        gradients = []

        def note(model, step, into=gradients):
            into.append(model.module.weight.grad.flatten().tolist())

        chosen = steps(name, rank, DistributedDataParallel, note)
        found[name] = (chosen, gradients)
    return found


def alone(name, rank):
    gradients = []
    chosen = steps(
        name, rank, lambda model: model, lambda model, step: gradients.append(model.weight.grad)
    )
    return chosen, [each.flatten().tolist() for each in gradients]


@pytest.fixture(scope="module")
def ranks():
    return on_two_ranks(together)


@pytest.mark.parametrize("name", SELECTORS)
def test_the_gradient_is_the_mean_of_what_each_rank_chose(ranks, name):
    """The weights stay as they began, so that each rank can be done again by itself."""
    by_hand = [alone(name, rank) for rank in (0, 1)]
    for rank in (0, 1):
        assert ranks[rank][name][0] == by_hand[rank][0]
    wanted = np.mean([gradients for _, gradients in by_hand], axis=0)
    for rank in (0, 1):
        np.testing.assert_allclose(ranks[rank][name][1], wanted, rtol=1e-5, atol=1e-6)


def test_ranks_choose_for_themselves(ranks):
    for name in ("coins", "unbiased"):
        one, two = ranks[0][name][0], ranks[1][name][0]
        assert [len(rows) for rows in one] != [len(rows) for rows in two]


def test_a_rank_that_has_nothing_to_train_on_makes_the_step(ranks):
    assert [len(rows) for rows in ranks[1]["multistage"][0][3:]] == [1] * (STEPS - 3)
    assert max(len(rows) for rows in ranks[0]["multistage"][0][3:]) > 1
