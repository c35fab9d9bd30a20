"""Ranks that are missing, that differ, or that recorded nothing, are named."""

import time

import numpy as np
import pytest
from two_ranks import on_two_ranks

from sampling.samplers import (
    EpochBatchSampler,
    GroupBatchSampler,
    InfoBatchSampler,
    ShuffleSampler,
    WeightedSampler,
    load_state,
    save_state,
)

pytestmark = [pytest.mark.distributed, pytest.mark.slow]


def message_of(work):
    try:
        work()
    except RuntimeError as error:
        return str(error)
    return "no error"


def other_data(rank):
    sampler = WeightedSampler([1, 2, 3 + rank])
    return message_of(lambda: sampler.set_epoch(0))


def other_call(rank):
    sampler = ShuffleSampler(10)
    return message_of(lambda: sampler.set_epoch(rank))


def never_comes(rank):
    if rank == 1:
        time.sleep(4)
        return "was busy"
    return message_of(lambda: EpochBatchSampler(InfoBatchSampler(10, 4), 2).set_epoch(0))


def records_nothing(rank):
    sampler = InfoBatchSampler(10, 4)
    sampler.set_epoch(0)
    if rank == 0:
        sampler.record([1, 2, 3], np.ones(3))
    return message_of(lambda: sampler.set_epoch(1))


def plans_part_ways(rank):
    sampler = InfoBatchSampler(40, 8)
    sampler.set_epoch(0)
    sampler.record(np.arange(20) + 20 * rank, np.arange(20.0))
    sampler.set_epoch(1)
    if rank == 1:  # as a cosmic ray would
        sampler._plans[1].table.codes[:8] = 1
        sampler._plans[1].name = ""
    sampler.record(np.unique(sampler.indices(1)), np.ones(np.unique(sampler.indices(1)).size))
    return message_of(lambda: sampler.set_epoch(2))


def progress_bar(rank):
    """`len` and `iter` on one rank alone must not wait for the other."""
    sampler = InfoBatchSampler(40, 8)
    if rank == 0:
        len(sampler), list(sampler), sampler.remaining
    return "no wait"


def saves(path, rank):
    sampler = InfoBatchSampler(40, 8)
    sampler.set_epoch(0)
    drawn = np.array(list(sampler))
    sampler.record(drawn[:8], drawn[:8] % 5 + 1.0)
    save_state(sampler, path, consumed=16)
    seen = int(np.isfinite(sampler.scores).sum())
    resumed = InfoBatchSampler(40, 8)
    load_state(resumed, path)
    rest = list(resumed)
    for each in (sampler, resumed):
        each.record(drawn[8:], drawn[8:] % 3 + 1.0)
        each.set_epoch(1)
    return seen, drawn.tolist(), rest, sampler.indices(1).tolist(), resumed.indices(1).tolist()


class Saves:
    """`saves` with its path, as something that pickles."""

    def __init__(self, path):
        self.path = path

    def __call__(self, rank):
        return saves(self.path, rank)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (other_data, "fingerprint must be the same on all ranks in WeightedSampler.set_epoch"),
        (other_call, "call must be the same on all ranks in ShuffleSampler.set_epoch"),
        (records_nothing, "must record losses in epoch 0, got none on rank 1 and 3 on another"),
        (plans_part_ways, "plan must be the same on all ranks in InfoBatchSampler.set_epoch(2)"),
    ],
)
def test_every_rank_says_what_differs_and_where(work, message):
    for found in on_two_ranks(work):
        assert message in found
        assert "rank 1" in found


def test_a_rank_that_does_not_come_is_named():
    waiting, busy = on_two_ranks(never_comes, limit=3, fresh=True)
    assert "rank 1 did not reach InfoBatchSampler.set_epoch(0) within 3 s, where" in waiting
    assert busy == "was busy"


def test_len_and_iter_wait_for_nobody():
    assert on_two_ranks(progress_bar) == ("no wait", "no wait")


def test_save_state_brings_scores_together_and_leaves_the_epoch_alone(tmp_path):
    one, two = on_two_ranks(Saves(str(tmp_path / "state")))
    for seen, drawn, rest, going_on, resumed in (one, two):
        assert seen == 16
        assert rest == drawn[8:]
        assert going_on == resumed
    assert one[3] == two[3]


@pytest.mark.parametrize("make", [
    lambda **o: ShuffleSampler(9, **o),
    lambda **o: InfoBatchSampler(9, 4, **o),
    lambda **o: GroupBatchSampler([0, 0, 1], **o),
])  # fmt: skip
def test_one_of_rank_and_num_replicas_is_not_enough(make):
    for given in ({"rank": 1}, {"rank": 0}):
        with pytest.raises(ValueError, match="rank must come with num_replicas .* got rank="):
            make(**given)
    with pytest.raises(ValueError, match="num_replicas must come with rank .* got num_"):
        make(num_replicas=4)
    make(num_replicas=1)
    make(num_replicas=4, rank=3)
