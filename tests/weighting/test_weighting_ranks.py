"""Two real processes over gloo: weights are those of the batch of both, by rank in the group."""

import functools
import os

import numpy as np
import pytest
import torch
from two_ranks import on_two_ranks

from sampling.samplers import ShuffleSampler
from sampling.weighting import (
    Duals,
    GroupWeights,
    RunningRisk,
    cvar,
    esrm,
    extremes,
    feasible,
    group_dro,
    kl_dro,
    lin_upper,
    quadratic,
    self_paced,
)

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

WEIGHINGS = {
    "lin_upper": functools.partial(lin_upper, temperature=0.4),
    "lin_upper clipped": functools.partial(lin_upper, clip=0.8),
    "quadratic": quadratic,
    "extremes": extremes,
    "cvar": functools.partial(cvar, level=0.4),
    "cvar chi2": functools.partial(cvar, level=0.4, penalty="chi2"),
    "esrm kl": functools.partial(esrm, penalty="kl"),
    "kl_dro": kl_dro,
    "self_paced": functools.partial(self_paced, share=0.6),
    "self_paced nothing easy": functools.partial(self_paced, threshold=0.1, at_least=2),
}
BATCHES = {  # what each of the two ranks holds
    "equal": ([0.5, 2.0, 0.25, 4.0], [1.0, 0.75, 3.0, 0.2]),
    "ragged": ([0.5, 2.0, 0.25], [1.0, 0.75, 3.0, 0.2, 9.0]),
    "one bad": ([0.5, float("nan"), 0.25], [float("inf"), 0.75, 3.0]),
    "all bad on one": ([float("nan")] * 2, [0.75, 3.0]),
    "nothing on one": ([], [0.75, 3.0, 1.0]),
}
GROUPS = [[0, 1, 0, 1], [1, 1, 2, 0]]


def batch(kind, rank):
    return torch.tensor(BATCHES[kind][rank], dtype=torch.float32)


def with_states(rank):
    """Three steps of each method with a state; rank 1's groups lack one that rank 0 has."""
    groups, risk, duals = GroupWeights(3), RunningRisk(), Duals(8)
    weights = []
    for turn in range(3):
        losses = batch("equal", rank) + turn
        indices = torch.arange(4) * 2 + rank
        found = [
            group_dro(losses, groups=GROUPS[rank], state=groups, step_size=0.5),
            kl_dro(losses, state=risk),
            feasible(losses, indices=indices, state=duals, bound=0.5, step_size=1.0),
        ]
        weights.append([each.numpy() for each in found])
    before = duals.values
    try:
        duals.state_dict()
        refusal = ""
    except ValueError as error:
        refusal = str(error)
    duals.merge()
    saved = duals.state_dict()["values"]
    padded = torch.tensor([0.5, 0.5]) + rank  # sample 7 on both ranks, as padding does
    feasible(padded, indices=[rank, 7], state=duals, bound=0.5, step_size=1.0)
    duals.merge()
    return weights, groups.values, risk.value, before, refusal, saved, duals.values


def reduced(rank):
    """The loss of each rank, and its gradient, as DistributedDataParallel would average them."""
    sampler = ShuffleSampler(8)
    losses = batch("equal", rank).requires_grad_()
    weigh = functools.partial(lin_upper, temperature=0.4)
    loss = sampler.reduce(losses, np.arange(4) * 2 + rank, weighting=weigh)
    loss.backward()
    ragged = batch("ragged", rank)
    rows = np.arange(ragged.numel())
    mean = sampler.reduce(ragged, rows, reduction="weighted_mean", weighting=weigh)
    return loss.item(), losses.grad.numpy(), mean.item()


def everything(rank):
    os.environ["LOCAL_RANK"] = "0"  # as on the first GPU of each of two machines
    found = {
        (name, kind): weigh(batch(kind, rank)).numpy()
        for name, weigh in WEIGHINGS.items()
        for kind in BATCHES
    }
    return found, with_states(rank), reduced(rank)


@pytest.fixture(scope="module")
def both():
    return on_two_ranks(everything)


@pytest.mark.parametrize("kind", list(BATCHES))
@pytest.mark.parametrize("name", list(WEIGHINGS))
def test_weights_are_those_of_one_batch_cut_in_two(both, name, kind):
    """By the rank in the group: LOCAL_RANK, 0 on both here, gives rank 1 the weights of rank 0."""
    together = np.concatenate([found[name, kind] for found, *_ in both])
    losses = torch.cat([batch(kind, 0), batch(kind, 1)])
    np.testing.assert_allclose(together, WEIGHINGS[name](losses), rtol=1e-5, atol=1e-6)
    finite = np.isfinite(losses.numpy())
    assert together[finite].mean() == pytest.approx(1, rel=1e-5)


def test_states_stay_in_step_with_those_of_one_process(both):
    groups, risk, duals = GroupWeights(3), RunningRisk(), Duals(8)
    (_, (one, *states_1), _), (_, (two, *states_2), _) = both
    for turn in range(3):
        losses = torch.cat([batch("equal", 0), batch("equal", 1)]) + turn
        indices = torch.cat([torch.arange(4) * 2, torch.arange(4) * 2 + 1])
        expected = [
            group_dro(losses, groups=sum(GROUPS, []), state=groups, step_size=0.5),
            kl_dro(losses, state=risk),
            feasible(losses, indices=indices, state=duals, bound=0.5, step_size=1.0),
        ]
        for found_1, found_2, each in zip(one[turn], two[turn], expected, strict=True):
            np.testing.assert_allclose(np.concatenate([found_1, found_2]), each, rtol=1e-5)
    for values, value, before, refusal, saved, after in (states_1, states_2):
        np.testing.assert_allclose(values, groups.values, rtol=1e-5)
        assert value == pytest.approx(risk.value, rel=1e-5)
        assert np.count_nonzero(before) < 8
        assert "merge must be called on every rank before state_dict, got 4" in refusal
        np.testing.assert_array_equal(saved, duals.values)
        np.testing.assert_array_equal(after, states_1[-1])
    np.testing.assert_array_equal(states_1[0], states_2[0])
    assert states_1[1] == states_2[1]
    assert states_1[-1][7] == saved[7] + 0.5  # the mean of + 0 and + 1


def test_what_ddp_averages_is_the_weighted_mean_of_both(both):
    losses = torch.cat([batch("equal", 0), batch("equal", 1)])
    weights = lin_upper(losses, temperature=0.4).numpy()
    (loss_1, grad_1, mean_1), (loss_2, grad_2, mean_2) = both[0][2], both[1][2]
    expected = np.average(losses, weights=weights)
    assert (loss_1 + loss_2) / 2 == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(np.concatenate([grad_1, grad_2]) / 2, weights / 8, rtol=1e-5)
    ragged = torch.cat([batch("ragged", 0), batch("ragged", 1)])
    weights = lin_upper(ragged, temperature=0.4).numpy()
    assert (mean_1 + mean_2) / 2 == pytest.approx(np.average(ragged, weights=weights), rel=1e-5)
