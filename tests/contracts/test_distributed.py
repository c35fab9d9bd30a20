"""Two real processes over gloo: scores merge in `set_epoch`, `reduce` normalises over both."""

import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from two_ranks import on_two_ranks

from sampling.distributed import gather_rows, merge_means
from sampling.record import Selection
from sampling.samplers import (
    EpsilonGreedySampler,
    InfoBatchSampler,
    SeTaSampler,
    ShuffleSampler,
    SubsetSampler,
    UCBSampler,
    load_state,
    save_state,
)

pytestmark = [pytest.mark.distributed, pytest.mark.slow]
N = 101


def loss_of(indices, epoch):
    return (1.0 + np.sin(indices * 7.0 + epoch)).astype(np.float32)


def infobatch(rank):
    sampler = InfoBatchSampler(N, 8, seed=3)
    orders = []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        drawn = np.array(list(sampler))
        orders.append((sampler.rank, sampler.num_replicas, drawn.tolist(), len(sampler)))
        for batch in np.array_split(drawn, 5):
            sampler.record(batch, loss_of(batch, epoch))
    sampler.set_epoch(4)
    return orders, sampler.scores.copy(), sampler.indices(4), sampler.state_dict()["plan"]


LEARNERS = {  # samplers that keep more of what all ranks recorded than the last losses
    "UCB": lambda **o: UCBSampler(N, 8, seed=3, refresh_every=2, **o),
    "epsilon-greedy": lambda **o: EpsilonGreedySampler.for_target(N, 8, 0.7, seed=3, **o),
    "SeTa": lambda **o: SeTaSampler(N, 8, seed=3, **o),
}


def learners(rank):
    found = {}
    for name, make in LEARNERS.items():
        sampler = make()
        for epoch in range(4):
            sampler.set_epoch(epoch)
            drawn = np.array(list(sampler))
            sampler.record(drawn, loss_of(drawn, epoch))
        sampler.set_epoch(4)
        found[name] = sampler.scores.copy(), sampler.indices(4), sampler.expected_samples()
    return found


def sharded_by_a_trainer(rank):
    """num_replicas=1, as trainers want that shard for us: scores still merge over both ranks."""
    sampler = InfoBatchSampler(N, 8, num_replicas=1, rank=0, seed=3)
    mine = np.array(list(sampler))[rank::2]
    sampler.record(mine, loss_of(mine, 0))
    sampler.set_epoch(1)
    return len(sampler), int(np.isnan(sampler.scores).sum()), sampler.indices(1)


def reductions(rank):
    weights = np.arange(1.0, 11.0)
    sampler = SubsetSampler(Selection(np.arange(10), weights=weights))
    rows = np.array([0, 1, 2]) if rank == 0 else np.array([7, 8, 9])
    losses = torch.tensor([1.0, 2.0, 4.0], requires_grad=True)
    mean = sampler.reduce(losses, rows, reduction="weighted_mean")
    mean.backward()
    counted = sampler.reduce(losses, rows, denominator=6)
    plain = ShuffleSampler(10).reduce(losses, rows, reduction="weighted_mean")
    return mean.item(), losses.grad.tolist(), counted.item(), plain.item()


def same_index_on_both(rank):
    scores = np.full(6, np.nan, np.float32)
    touched = np.zeros(6, bool)
    mine = [0, 3] if rank == 0 else [3, 5]
    scores[mine], touched[mine] = [1.0 + rank, 5.0 + rank], True
    merge_means(scores, touched, None)
    ragged = gather_rows(np.arange(rank * 3, dtype=np.int64), None)
    return scores, bool(touched.any()), [part.tolist() for part in ragged]


def groups_of_one(rank):
    """Each rank is a run of its own: what `process_group=` says although two processes are up."""
    own = [dist.new_group([each]) for each in range(2)][rank]
    sampler = InfoBatchSampler(N, 8, num_replicas=1, rank=0, seed=rank, process_group=own)
    drawn = np.array(list(sampler))[: 50 + rank]
    sampler.record(drawn, loss_of(drawn, rank))
    sampler.set_epoch(1)  # with other seeds and other losses: they do not meet
    with tempfile.TemporaryDirectory() as folder:  # rank 0 of its group, so each writes
        save_state(sampler, Path(folder, "state"))
        copied = pickle.loads(pickle.dumps(sampler))
        load_state(copied, Path(folder, "state"))
    assert copied.process_group is None
    alone = InfoBatchSampler(N, 8, num_replicas=1, rank=0, seed=rank)
    alone.record(drawn, loss_of(drawn, rank))
    return sampler.scores, alone.scores, list(sampler) == list(copied)


def test_r4_ranks_plan_alike_from_each_others_losses():
    (one, scores_1, next_1, plan_1), (two, scores_2, next_2, plan_2) = on_two_ranks(infobatch)
    assert np.array_equal(scores_1, scores_2, equal_nan=True)
    assert np.array_equal(next_1, next_2)
    assert plan_1 == plan_2

    alone = InfoBatchSampler(N, 8, seed=3)
    for epoch, ((rank_1, world, drawn_1, length), (rank_2, _, drawn_2, _)) in enumerate(
        zip(one, two, strict=True)
    ):
        assert (rank_1, rank_2, world) == (0, 1, 2)
        alone.set_epoch(epoch)
        whole = alone.indices(epoch).tolist()
        count = -(-len(whole) // 2)
        both = [whole[i % len(whole)] for i in range(2 * count)]
        assert drawn_1 == both[0::2]
        assert drawn_2 == both[1::2]
        assert length == count
        alone.record(np.array(whole), loss_of(np.array(whole), epoch))
    alone.set_epoch(4)
    assert np.array_equal(alone.scores, scores_1, equal_nan=True)
    assert np.array_equal(alone.indices(4), next_1)


def test_r4_what_they_learn_is_what_one_rank_would():
    one, two = on_two_ranks(learners)
    for name, make in LEARNERS.items():
        alone = make()
        for epoch in range(4):
            alone.set_epoch(epoch)
            drawn = alone.indices(epoch)
            alone.record(drawn, loss_of(drawn, epoch))
        alone.set_epoch(4)
        for scores, order, expected in (one[name], two[name]):
            np.testing.assert_array_equal(scores, alone.scores)
            np.testing.assert_array_equal(order, alone.indices(4))
            assert expected == alone.expected_samples()


def test_scores_merge_although_a_trainer_shards():
    (length, unseen, one), (_, _, two) = on_two_ranks(sharded_by_a_trainer)
    assert unseen == 0
    assert length < N
    assert np.array_equal(one, two)


def test_reductions_undo_the_averaging_of_ddp():
    (mean_1, grad_1, counted_1, plain_1), (mean_2, grad_2, counted_2, plain_2) = on_two_ranks(
        reductions
    )
    w = np.arange(1.0, 11.0) / 5.5
    w1, w2, losses = w[:3], w[7:], np.array([1.0, 2.0, 4.0])
    total = w1.sum() + w2.sum()
    # DDP averages the two ranks; what comes out is the weighted mean over both batches.
    assert (mean_1 + mean_2) / 2 == pytest.approx(((w1 + w2) @ losses) / total, rel=1e-5)
    assert np.array(grad_1) / 2 == pytest.approx(w1 / total, rel=1e-5)
    assert np.array(grad_2) / 2 == pytest.approx(w2 / total, rel=1e-5)
    assert (counted_1 + counted_2) / 2 == pytest.approx(((w1 + w2) @ losses) / 6, rel=1e-5)
    assert plain_1 == plain_2 == pytest.approx(7 / 3)


def test_the_same_sample_on_two_ranks_gets_the_mean():
    (scores_1, touched, ragged), (scores_2, _, _) = on_two_ranks(same_index_on_both)
    expected = np.array([1.0, np.nan, np.nan, (5.0 + 2.0) / 2, np.nan, 6.0], np.float32)
    assert np.array_equal(scores_1, expected, equal_nan=True)
    assert np.array_equal(scores_2, expected, equal_nan=True)
    assert not touched
    assert ragged == [[], [0, 1, 2]]


def test_a_process_group_is_a_run_of_its_own():
    for rank, (scores, alone, same) in enumerate(on_two_ranks(groups_of_one)):
        assert np.array_equal(scores, alone, equal_nan=True)
        assert np.isfinite(scores).sum() == 50 + rank
        assert same
