"""The batch size changes in mid-epoch: the cuts move, the draws do not."""

import itertools
import math
from copy import deepcopy

import pytest
from contracts.cases import EVERY, FACTORIES, order, run_to
from products import pairs
from torch.utils.data import DataLoader

from sampling.samplers import AdaptiveBatchSampler, EpochBatchSampler, ShuffleSampler

every = pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)


@pairs({"factory": EVERY, "ranks": [1, 3], "drop_last": [False, True], "pad": [False, True]})
def test_a_constant_size_deals_what_fixed_batches_deal(factory, ranks, drop_last, pad):
    for rank in range(ranks):
        sampler = run_to(factory(num_replicas=ranks, rank=rank, pad=pad), 2)
        fixed = EpochBatchSampler(sampler, 7, drop_last)
        adaptive = AdaptiveBatchSampler(deepcopy(sampler), 7, drop_last)
        assert len(adaptive) == len(fixed) == adaptive.remaining
        assert list(deepcopy(adaptive)) == list(deepcopy(fixed))
        state = fixed.state_dict(consumed=5)
        for each in (fixed, adaptive):
            each.load_state_dict(state)
        assert adaptive.remaining == fixed.remaining
        assert list(adaptive) == list(fixed)


@every
def test_only_the_cuts_change(factory):
    expected = order(run_to(factory(), 1))
    batches = AdaptiveBatchSampler(run_to(factory(), 1), 2)
    dealt = []
    for number, batch in enumerate(batches):
        dealt.append(batch)
        batches.set_batch_size(2 + number % 5)
        assert batches.consumed_after(len(dealt)) == sum(map(len, dealt))
    assert sum(dealt, []) == expected
    assert {len(batch) for batch in dealt[1:-1]} == {2, 3, 4, 5, 6}


def test_ranks_that_change_together_share_the_epoch():
    ranks = 3
    parts = [AdaptiveBatchSampler(ShuffleSampler(100, num_replicas=ranks, rank=r), 2)
             for r in range(ranks)]  # fmt: skip
    live = [iter(part) for part in parts]
    whole = ShuffleSampler(100).indices(0).tolist()
    at, size = 0, 2
    for _ in range(5):
        for rank in range(ranks):
            start = at + rank * size
            assert next(live[rank]) == whole[start : start + size]
        at += ranks * size
        size += 1
        for part in parts:
            part.set_batch_size(size)
            assert len(part) == math.ceil(math.ceil(100 / size) / ranks)
    assert [part.consumed_after(5) for part in parts] == [at] * ranks


def test_the_change_reaches_the_next_batch_that_is_not_handed_out():
    batches = AdaptiveBatchSampler(ShuffleSampler(1000), 10)
    loader = DataLoader(
        range(1000), batch_sampler=batches, num_workers=2, prefetch_factor=2,
        multiprocessing_context="fork",
    )  # fmt: skip
    sizes = []
    for batch in loader:
        sizes.append(len(batch))
        batches.set_batch_size(20)
    assert sizes[:7] == [10] * 5 + [20] * 2  # 1 trained on, 4 under way
    assert sum(sizes) == 1000


def test_the_state_carries_the_size():
    batches = AdaptiveBatchSampler(ShuffleSampler(100), 4)
    live = iter(batches)
    next(live)
    batches.set_batch_size(6)
    next(live)
    state = batches.state_dict(batches.consumed_after(2))
    assert (state["consumed"], state["batch_size"]) == (10, 6)
    assert state == live.state_dict()
    fresh = AdaptiveBatchSampler(ShuffleSampler(100), 4)
    fresh.load_state_dict(state)
    assert list(fresh) == list(live)
    assert fresh.batch_size is None
    with pytest.raises(ValueError, match="batch_size of the state must be >= 1, got 0"):
        fresh.load_state_dict({**state, "batch_size": 0})


def test_a_running_pass_stays_in_its_epoch():
    factory = FACTORIES["infobatch"]
    sampler = run_to(factory(), 1)
    expected = sampler.indices(1).tolist()
    batches = AdaptiveBatchSampler(sampler, 5)
    live = iter(batches)
    first = list(itertools.islice(live, 2))
    sampler.record(expected, [1.0] * len(expected))
    batches.set_epoch(2)
    assert sum(first + list(live), []) == expected


def test_counts_beyond_what_was_handed_out_are_refused():
    batches = AdaptiveBatchSampler(ShuffleSampler(10), 4)
    with pytest.raises(ValueError, match=r"num_batches must be in \[0, 1\), got 1"):
        batches.consumed_after(1)
    with pytest.raises(ValueError, match="batch_size must be >= 1, got 0"):
        batches.set_batch_size(0)
