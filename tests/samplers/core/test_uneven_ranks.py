"""Ranks with unequal numbers of batches: what waits for all of them in a batch is refused."""

import functools

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel
from two_ranks import on_two_ranks

from sampling.distributed import all_reduce_max, gather_batch, uneven
from sampling.samplers import EpochBatchSampler, GroupBatchSampler, ShuffleSampler
from sampling.weighting import GroupWeights, cvar, focal, group_dro, kl_dro, lin_upper, self_paced

LOSSES, ROWS = torch.ones(3), [0, 1, 2]
REASON = "unequal numbers of batches: ShuffleSampler was made with pad=False; leave pad at True"
OVER_ALL_RANKS = {
    "lin_upper": lin_upper,
    "cvar": cvar,
    "kl_dro": kl_dro,
    "self_paced": functools.partial(self_paced, share=0.5),
    "group_dro": lambda losses, indices: group_dro(
        losses, groups=torch.zeros(3, dtype=torch.int64), state=GroupWeights(1)
    ),
}


@pytest.fixture
def two(monkeypatch):
    """Take torch.distributed to have two ranks; a collective that is called then would fail."""
    monkeypatch.setattr("sampling.distributed._ranks.world_size", lambda group=None: 2)
    monkeypatch.setattr("sampling.weighting._reduction.world_size", lambda group=None: 2)


def sampler_of(rank=0, **options):
    return ShuffleSampler(9, num_replicas=2, rank=rank, **options)


@pytest.mark.parametrize("rank", [0, 1])
def test_weighted_mean_with_uneven_ranks_is_refused_in_the_first_batch(two, rank):
    sampler = sampler_of(rank, pad=False)
    with pytest.raises(ValueError, match=f"^reduction='weighted_mean' needs a batch .*{REASON}"):
        sampler.reduce(LOSSES, ROWS, "weighted_mean")
    assert sampler.num_nonfinite == 0
    sampler.reduce(torch.full((3,), torch.nan), ROWS, "batch_mean")  # no rank waits for another
    sampler.reduce(LOSSES, ROWS, "weighted_mean", denominator=6.0)
    assert sampler.num_nonfinite == 3  # what was refused was not recorded


def test_the_batch_sampler_that_the_user_made_is_named(two):
    batches = GroupBatchSampler([0, 0, 1, 1], num_replicas=2, rank=0, pad=False)
    with pytest.raises(ValueError, match="GroupBatchSampler was made with pad=False"):
        batches.reduce(torch.ones(2), [0, 1], "weighted_mean")


@pytest.mark.parametrize("name", OVER_ALL_RANKS)
def test_weights_over_all_ranks_with_uneven_ranks_are_refused(two, name):
    sampler = sampler_of(pad=False)
    with pytest.raises(ValueError, match=f"^a[n]? .* over the ranks needs a batch .*{REASON}"):
        sampler.reduce(LOSSES, ROWS, weighting=OVER_ALL_RANKS[name])
    sampler.reduce(LOSSES, ROWS, weighting=lambda losses, indices: focal(losses * 0.5))


def test_only_uneven_ranks_are_refused(two):
    for fine in (sampler_of(), sampler_of(drop_last=True, pad=False), ShuffleSampler(9)):
        assert fine.unequal_batches == ""
    for options in ({"pad": False}, {"pad": False, "drop_last": True}):
        # Whole batches are given to the ranks, whichever draws are dropped.
        batches = EpochBatchSampler(sampler_of(**options), 2)
        with pytest.raises(ValueError, match="unequal numbers of batches"):
            batches.reduce(LOSSES, ROWS, "weighted_mean")
    blocks = GroupBatchSampler([0, 0, 1], num_replicas=2, rank=0, pad=False)
    with pytest.raises(ValueError, match="unequal numbers of batches"):
        blocks.reduce(LOSSES, ROWS, "weighted_mean")


def test_a_framework_may_say_that_ranks_are_uneven(two):
    sampler = sampler_of()
    sampler.note_unequal_batches("the loader drops none: set it to True")
    assert sampler.unequal_batches.startswith("the loader drops none: set it to True, or leave pad")
    with pytest.raises(ValueError, match="the loader drops none"):
        sampler.reduce(LOSSES, ROWS, "weighted_mean")
    sampler.note_unequal_batches("")
    assert sampler.unequal_batches == ""
    with pytest.raises(TypeError, match="reason must be a str, got None"):
        sampler.note_unequal_batches(None)


def test_the_refusal_ends_with_the_batch(two, monkeypatch):
    with uneven("because"):
        with pytest.raises(ValueError, match="a gather over the ranks needs .*: because"):
            gather_batch(LOSSES, None)
        monkeypatch.setattr("sampling.distributed._ranks.world_size", lambda group=None: 1)
        assert all_reduce_max(LOSSES, None) is not None  # a group of this rank alone
    with uneven(""):
        assert gather_batch(LOSSES, None)[1] == 0


def joined(rank):
    """Train on uneven ranks inside DDP's join: 5 and 4 batches of one sample."""
    sampler = ShuffleSampler(9, num_replicas=2, rank=rank, pad=False)
    model = DistributedDataParallel(torch.nn.Linear(1, 1))
    steps, message = 0, ""
    with model.join():
        for index in sampler:
            losses = model(torch.ones(1, 1)).square().sum(1)
            try:
                loss = sampler.reduce(losses, [index], "weighted_mean")
            except ValueError as error:
                message = str(error)
                loss = sampler.reduce(losses, [index])
            loss.backward()
            steps += 1
    return steps, message


@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_inside_join_the_pair_is_refused_and_the_rest_trains():
    (first, message), (second, other) = on_two_ranks(joined)
    assert (first, second) == (5, 4)
    for each in (message, other):
        assert "needs a batch on every rank of each step" in each
