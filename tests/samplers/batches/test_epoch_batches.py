"""Batch samplers over any sampler: whole batches to ranks, resume at any position."""

import itertools
import pickle
from copy import deepcopy

import numpy as np
import pytest
import torch
from contracts.cases import EVERY, FACTORIES, N, order, run_to
from products import pairs, turns
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

from sampling.samplers import EpochBatchSampler, InfoBatchSampler, ShuffleSampler

every = pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)


CHANGES = [(1, 4), (3, 5), (2, 16)]


def cut(draws, size, drop_last=False):
    batches = [draws[at : at + size] for at in range(0, len(draws), size)]
    return [batch for batch in batches if len(batch) == size or not drop_last]


@pairs({"factory": EVERY, "ranks": [1, 3, 8], "drop_last": [False, True], "pad": [False, True]})
def test_ranks_are_dealt_whole_batches_of_one_order(factory, ranks, drop_last, pad):
    whole = cut(order(run_to(factory(), 2)), 7, drop_last)
    for rank in range(ranks):
        sampler = run_to(factory(num_replicas=ranks, rank=rank, pad=pad), 2)
        batches = EpochBatchSampler(sampler, 7, drop_last)
        count = -(-len(whole) // ranks)
        expected = whole[rank::ranks]
        if pad:
            expected = [whole[(rank + k * ranks) % len(whole)] for k in range(count)]
        assert len(batches) == batches.remaining == batches.length(2) == len(expected)
        assert list(deepcopy(batches)) == expected


@every
def test_one_rank_deals_what_a_loader_would_cut(factory):
    sampler = run_to(factory(), 1)
    by_loader = [
        batch.tolist() for batch in DataLoader(range(N), sampler=deepcopy(sampler), batch_size=8)
    ]
    batches = EpochBatchSampler(sampler, 8)
    assert list(batches) == by_loader
    assert all(type(index) is int for batch in by_loader for index in batch)
    assert all(type(batch) is list for batch in EpochBatchSampler(run_to(factory(), 1), 8))


@turns(
    {"factory": EVERY, "ranks, size": [pytest.param(*each) for each in ((1, 4), (3, 5), (2, 16))]}
)
def test_resumed_on_other_ranks_and_another_size(factory, ranks, size):
    sampler = run_to(factory(num_replicas=2, rank=0), 2)
    batches = EpochBatchSampler(sampler, 3)
    whole = sampler.indices(2).tolist()
    live = iter(batches)
    list(itertools.islice(live, 4))
    assert batches.consumed_after(4) == 24 == live.state_dict()["consumed"]
    state = pickle.loads(pickle.dumps(batches.state_dict(batches.consumed_after(4))))
    rest = cut(whole[24:], size)
    dealt = []
    for rank in range(ranks):
        resumed = EpochBatchSampler(
            run_to(factory(num_replicas=ranks, rank=rank, pad=False), 2), size
        )
        resumed.load_state_dict(state)
        assert len(resumed) == resumed.length(2)
        part = list(deepcopy(resumed))
        assert len(part) == resumed.remaining
        assert part == rest[rank::ranks]
        dealt += part
    assert sorted(sum(dealt, [])) == sorted(whole[24:])


def test_padding_after_a_resume_comes_from_the_front_of_the_epoch():
    def make(rank):
        return EpochBatchSampler(ShuffleSampler(10, num_replicas=2, rank=rank), 3)

    whole = ShuffleSampler(10).indices(0).tolist()
    parts = [make(0), make(1)]
    for part in parts:
        part.load_state_dict(part.state_dict(consumed=4))
    assert [list(part) for part in parts] == [[whole[4:7]], [whole[7:10]]]
    for part in parts:
        part.load_state_dict(part.state_dict(consumed=7))
    assert [list(part) for part in parts] == [[whole[7:10]], [whole[0:3]]]
    for part in parts:
        part.load_state_dict(part.state_dict(consumed=10))
    assert [list(part) for part in parts] == [[], []]


def test_the_state_is_the_samplers():
    sampler = ShuffleSampler(20, seed=4)
    batches = EpochBatchSampler(ShuffleSampler(20, seed=4), 3)
    sampler.load_state_dict(batches.state_dict(consumed=6))
    batches.load_state_dict(sampler.state_dict(consumed=6))
    assert [index for batch in batches for index in batch] == list(sampler)


def test_iterators_read_the_epoch_when_they_are_made():
    batches = EpochBatchSampler(ShuffleSampler(20), 3)
    expected = list(deepcopy(batches))
    live, other = iter(batches), iter(batches)
    batches.set_epoch(1)
    assert list(live) == list(other) == expected
    assert list(batches) == cut(ShuffleSampler(20).indices(1).tolist(), 3)


def test_everything_else_is_the_samplers():
    sampler = InfoBatchSampler(20, 4)
    batches = EpochBatchSampler(sampler, 5)
    for indices in batches:
        losses = torch.linspace(1, 2, len(indices), requires_grad=True)
        batches.reduce(losses, indices).backward()
    batches.set_epoch(1)
    assert sampler.epoch == batches.epoch == 1
    assert batches.dynamic
    assert len(batches) == -(-len(sampler) // 5)
    assert np.isfinite(batches.sampler.scores).all()
    with pytest.raises(AttributeError, match="object has no attribute 'x'"):
        _ = batches.x
    copy = pickle.loads(pickle.dumps(batches))
    assert list(copy) == list(batches)


def test_what_it_cannot_cut_is_refused():
    with pytest.raises(TypeError, match="sampler must be an EpochSampler, got RandomSampler: for"):
        EpochBatchSampler(RandomSampler(range(3)), 2)
    with pytest.raises(ValueError, match="batch_size must be >= 1, got 0"):
        EpochBatchSampler(ShuffleSampler(3), 0)
    batches = EpochBatchSampler(ShuffleSampler(3), 2)
    assert not isinstance(batches, BatchSampler)
    for wrong in (-1, 4):
        with pytest.raises(ValueError, match="consumed must be in"):
            batches.state_dict(consumed=wrong)


def test_fewer_batches_than_ranks():
    for drop_last, expected in ((False, [[[0]], [[0]], [[0]]]), (True, [[], [], []])):
        dealt = [
            list(EpochBatchSampler(ShuffleSampler(1, num_replicas=3, rank=r), 2, drop_last))
            for r in range(3)
        ]
        assert dealt == expected


def test_large_batches_and_chunks_meet_without_a_seam():
    sampler = ShuffleSampler(50_000)
    whole = sampler.indices(0).tolist()
    for size in (1, 255, 8192, 8193, 50_000, 60_000):
        assert sum(list(EpochBatchSampler(sampler, size)), []) == whole if size > 200 else True
        sampler.load_state_dict(sampler.state_dict(0))
    assert list(EpochBatchSampler(ShuffleSampler(9000), 1))[8999] == [
        int(ShuffleSampler(9000).indices(0)[8999])
    ]


@every
def test_batches_are_there_without_walking(factory):
    sampler = run_to(factory(num_replicas=2, rank=1), 2)
    batches = EpochBatchSampler(sampler, 7)
    whole = cut(sampler.indices(2).tolist(), 7)
    assert batches.batches(2) == whole
    assert batches.batches(2, 1, 3) == whole[1:3]
    assert batches.batches(2, 1, 1) == []
    with pytest.raises(ValueError, match="stop must be in"):
        batches.batches(2, 0, len(whole) + 1)
