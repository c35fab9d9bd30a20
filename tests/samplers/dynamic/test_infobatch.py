import copy
import math
import pickle
import random

import numpy as np
import pytest
import torch
from helpers import assert_hits, assert_mean, dealt
from torch.utils.data import BatchSampler, DataLoader, Subset
from torch.utils.data import dataloader as torch_loader

from sampling import Indexed
from sampling.samplers import InfoBatchSampler, full_state, load_full_state

N = 40
LOSSES = np.random.default_rng(0).exponential(size=N).astype(np.float32)
EASY = LOSSES.astype(np.float64).mean() > LOSSES


def scored(losses=LOSSES, num_epochs=10, **arguments):
    """A sampler that has seen every loss, in epoch 0."""
    sampler = InfoBatchSampler(len(losses), num_epochs, **arguments)
    sampler.record(np.arange(len(losses)), losses)
    return sampler


def weights_of_all(sampler, epoch):
    """The weight of every sample in a planned epoch, 0 where it is left out: (N,)."""
    order = dealt(sampler, epoch)
    weights = np.zeros(sampler.size)
    weights[order] = sampler.weights_for(order)
    return weights


# ---- the nine defects of the released code -------------------------------------------------------


@pytest.mark.parametrize("drop_last", [False, True])
def test_defect_1_the_epoch_ends_under_batch_samplers_that_iterate_anew(drop_last):
    sampler = scored(drop_prob=0.5)
    sampler.set_epoch(1)
    assert iter(sampler) is not sampler
    assert iter(sampler) is not iter(sampler)
    batches = []
    for batch in BatchSampler(sampler, 7, drop_last):
        batches.append(batch)
        assert len(batches) <= 6
    whole = [each for batch in batches for each in batch]
    assert len(set(whole)) == len(whole)
    size = len(sampler)
    assert len(whole) == (size // 7 * 7 if drop_last else size)


@pytest.mark.parametrize("drop_last", [False, True])
def test_defect_2_iterating_does_not_advance_the_epoch(drop_last):
    data = Indexed(list(range(N)))
    sampler = scored(num_epochs=6, anneal_fraction=0.2)
    loader = DataLoader(data, batch_size=4, sampler=sampler, drop_last=drop_last)
    lengths = []
    for epoch in range(6):
        sampler.set_epoch(epoch)
        for indices, _ in loader:
            sampler.record(indices, LOSSES[indices])
            assert sampler.epoch == epoch
        lengths.append(len(sampler))
    pruned = N - (EASY.sum() - EASY.sum() // 2)
    assert lengths == [N, pruned, pruned, pruned, N, N]


@pytest.mark.parametrize(
    ("num_epochs", "anneal_fraction", "last"),
    [
        (90, 0.125, 77),  # 78.75 epochs before annealing
        (10, 0.125, 7),  # 8.75
        (200, 0.125, 174),
        (8, 0.125, 6),
        (10, 0.3, 6),  # 10 * (1 - 0.3) is a little under 7
        (10, 0.1, 8),
        (10, 0.0, 9),
        (10, 1.0, 0),
        (1, 0.0, 0),
        (2, 0.5, 0),
        (3, 0.125, 1),
    ],
)
def test_defect_3_a_fractional_start_of_annealing(num_epochs, anneal_fraction, last):
    sampler = scored(num_epochs=num_epochs, anneal_fraction=anneal_fraction)
    assert sampler.pruning_epochs == range(1, last + 1)
    for epoch in {0, 1, last, last + 1, num_epochs - 1} & set(range(num_epochs)):
        weights = weights_of_all(sampler, epoch)
        if 1 <= epoch <= last:
            assert len(sampler) < N
            assert weights.max() > 1
        else:  # all the data, and no weight left over from pruning
            assert len(sampler) == N
            np.testing.assert_array_equal(weights, 1)


@pytest.mark.parametrize("copy_of", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_defect_4_pickle_and_deepcopy(copy_of):
    data = Indexed(Subset(torch.arange(50), range(5, 45)))
    assert copy_of(data)[3] == (3, torch.tensor(8))
    sampler = scored()
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        twin = copy_of(sampler)
        np.testing.assert_array_equal(twin.indices(epoch), sampler.indices(epoch))
        np.testing.assert_array_equal(twin.scores, sampler.scores)
    hard = int(np.flatnonzero(~EASY)[0])
    twin.record([hard], [99.0])
    assert twin.scores[hard] == 99.0
    assert sampler.scores[hard] == LOSSES[hard]


def test_defect_5_works_on_any_dataset_and_patches_nothing():
    before = torch_loader._BaseDataLoaderIter.__next__
    for dataset in (list(range(100)), Subset(range(200), range(100)), torch.zeros(100)):
        sampler = InfoBatchSampler(dataset, 4)
        sampler.record(np.arange(100), np.arange(100.0))
        sampler.set_epoch(1)
        loader = DataLoader(Indexed(dataset), batch_size=32, sampler=sampler)
        seen = torch.cat([indices for indices, _ in loader])
        assert sorted(seen.tolist()) == sorted(sampler.indices(1))
        assert len(seen) == 75
    assert torch_loader._BaseDataLoaderIter.__next__ is before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_defect_6_indices_survive_losses_of_any_precision(dtype):
    """In one tensor with the loss, float16 makes 50,001 to 50,016 and 70,000 to infinity."""
    size = 2**24 + 3 if dtype == torch.float32 else 70_010
    sampler = InfoBatchSampler(size, 4)
    rows = torch.tensor([257, 2049, 50_001, 70_000, size - 2, size - 1])
    losses = torch.tensor([1.0, 2, 3, 4, 5, 6], dtype=dtype)
    sampler.record(rows, losses)
    assert np.flatnonzero(~np.isnan(sampler.scores)).tolist() == rows.tolist()
    np.testing.assert_array_equal(sampler.scores[rows], [1, 2, 3, 4, 5, 6])


def test_defect_7_the_seed_counts_and_no_global_state_is_touched():
    np.random.seed(7)  # noqa: NPY002
    torch.manual_seed(7)
    random.seed(7)
    state = np.random.get_state()[1].copy(), torch.get_rng_state(), random.getstate()  # noqa: NPY002
    orders = {tuple(dealt(scored(seed=seed), 1)) for seed in range(10)}
    kept = {tuple(sorted(each)) for each in orders}
    list(scored())
    assert len(orders) == len(kept) == 10
    np.testing.assert_array_equal(np.random.get_state()[1], state[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), state[1])
    assert random.getstate() == state[2]
    np.random.seed(1)  # noqa: NPY002
    assert tuple(dealt(scored(seed=3), 1)) in orders


def test_defect_8_the_kept_are_drawn_without_replacement():
    sampler = scored(num_epochs=100)
    for epoch in range(1, 80):
        order = dealt(sampler, epoch)
        assert np.unique(order).size == order.size == (~EASY).sum() + EASY.sum() // 2


@pytest.mark.parametrize("drop_prob", [0.0, 0.1, 0.25, 0.3, 0.7, 0.75, 0.9])
def test_defect_9_drop_prob_is_the_part_left_out(drop_prob):
    losses = np.arange(100, dtype=np.float32)  # mean 49.5: fifty easy samples
    sampler = scored(losses, drop_prob=drop_prob)
    sampler.set_epoch(1)
    kept = math.floor((1 - drop_prob) * 50 + 1e-9)
    assert len(sampler) == 50 + kept  # known before the first draw
    order = list(sampler)
    assert len(order) == 50 + kept
    assert sum(each < 50 for each in order) == kept


def test_defect_9_losses_are_not_edited_in_place():
    sampler = scored()
    order = dealt(sampler, 1)
    losses = torch.tensor(LOSSES[order], requires_grad=True)
    before = losses.detach().clone()
    sampler.reduce(losses, order).backward()
    assert torch.equal(losses.detach(), before)


# ---- which samples -------------------------------------------------------------------------------


def test_hard_and_unseen_are_always_drawn_with_weight_one():
    sampler = InfoBatchSampler(N, 100, drop_prob=0.8)
    seen = np.arange(0, N, 2)
    sampler.record(seen, LOSSES[seen])
    easy = np.zeros(N, bool)
    easy[seen] = LOSSES[seen].astype(np.float64).mean() > LOSSES[seen]
    for epoch in range(1, 60):
        weights = weights_of_all(sampler, epoch)
        assert (weights[~easy] == 1).all()
        assert np.count_nonzero(weights[easy]) == math.floor(0.2 * easy.sum() + 1e-9)
    assert np.isnan(sampler.scores[1::2]).all()


def test_every_easy_sample_is_kept_alike_and_afresh():
    epochs = 2000
    sampler = scored(num_epochs=epochs + 2, anneal_fraction=0.0, seed=1)
    kept = np.stack([weights_of_all(sampler, epoch) > 0 for epoch in range(1, epochs + 1)])
    easy = kept[:, EASY]
    share = (EASY.sum() // 2) / EASY.sum()
    assert_hits(easy.sum(axis=0), epochs, share)
    pairs = (easy.T.astype(int) @ easy)[np.triu_indices(EASY.sum(), 1)]
    n, m = EASY.sum(), EASY.sum() // 2
    assert_hits(pairs, epochs, m * (m - 1) / (n * (n - 1)))
    assert_hits((easy[1::2] & easy[::2]).sum(axis=0), epochs // 2, share**2)


def test_order_is_a_shuffle():
    epochs = 2000
    losses = np.array([1.0, 1, 1, 1, 9, 9], np.float32)
    sampler = scored(losses, num_epochs=epochs + 2, anneal_fraction=0.0)
    first = np.array([dealt(sampler, epoch)[0] for epoch in range(1, epochs + 1)])
    assert_hits(np.bincount(first, minlength=6), epochs, [1 / 8] * 4 + [1 / 4] * 2)
    full = np.array([dealt(InfoBatchSampler(5, 3, seed=s), 2)[0] for s in range(1000)])
    assert_hits(np.bincount(full, minlength=5), 1000, 1 / 5)


def test_the_threshold_is_strict():
    losses = np.array([0.0] * 4 + [2.0] * 4 + [4.0] * 4)  # the mean is 2
    sampler = scored(losses, num_epochs=50)
    for epoch in range(1, 30):
        weights = weights_of_all(sampler, epoch)
        np.testing.assert_array_equal(weights[4:], 1)
        assert sorted(weights[:4]) == [0, 0, 2, 2]


def test_at_least_one_easy_sample_is_kept():
    losses = np.array([1.0] + [2.0] * 9)
    sampler = scored(losses, drop_prob=0.99)
    np.testing.assert_array_equal(weights_of_all(sampler, 1), 1)
    losses = np.array([1.0] * 5 + [2.0] * 5)
    weights = weights_of_all(scored(losses, drop_prob=0.99), 1)
    assert sorted(weights[:5]) == [0, 0, 0, 0, 5]


def test_drop_prob_of_nine_tenths():
    losses = np.concatenate([np.zeros(100), np.full(20, 9.0)])
    weights = weights_of_all(scored(losses, drop_prob=0.9), 1)
    assert np.bincount(weights[:100].astype(int)).tolist() == [90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10]
    assert len(dealt(scored(losses, drop_prob=0.9), 1)) == 30


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 1000, 50_000])
@pytest.mark.parametrize("value", [0.1, 0.3, 1e-30, 3e38, 0.0, -0.7])
def test_constant_losses_prune_nothing(size, value):
    """The float32 mean of 50,000 copies of 0.1 lies above every one of them."""
    losses = np.full(size, value, np.float32)
    sampler = scored(losses)
    np.testing.assert_array_equal(weights_of_all(sampler, 1), 1)
    assert len(sampler) == size


def test_the_float32_mean_would_have_been_above():
    losses = np.full(50_000, 0.1, np.float32)
    assert losses.sum(dtype=np.float64) / 50_000 >= losses[0] or losses.mean() > losses[0]


# ---- losses that are not numbers -----------------------------------------------------------------


def test_every_loss_nan():
    sampler = scored(np.full(N, np.nan, np.float32))
    assert sampler.num_nonfinite == N
    np.testing.assert_array_equal(weights_of_all(sampler, 1), 1)
    assert np.isnan(sampler.scores).all()
    assert sampler.expected_samples() <= 10 * N


def test_one_nan_does_not_stop_pruning():
    losses = LOSSES.copy()
    losses[3] = np.nan
    sampler = scored(losses)
    assert sampler.num_nonfinite == 1
    assert weights_of_all(sampler, 1)[3] == 1  # never seen, so drawn
    assert len(sampler) < N


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_loss_leaves_the_old_score(bad):
    sampler = scored()
    sampler.record([3, 4], np.array([bad, 0.5], np.float32))
    assert sampler.scores[3] == LOSSES[3]
    assert sampler.scores[4] == 0.5
    assert sampler.num_nonfinite == 1
    sampler.reduce(torch.tensor([bad, 1.0]), [5, 6])
    assert sampler.scores[5] == LOSSES[5]
    assert sampler.num_nonfinite == 2


# ---- weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("drop_prob", [0.1, 0.3, 0.5, 0.77, 0.9])
@pytest.mark.parametrize("size", [7, 40, 333])
def test_weights_of_an_epoch_sum_to_n(drop_prob, size):
    """Not 1/keep but |easy|/|kept|, which is exact for the rounded count."""
    losses = np.random.default_rng(size).exponential(size=size)
    sampler = scored(losses, num_epochs=100, drop_prob=drop_prob)
    for epoch in range(1, 10):
        weights = weights_of_all(sampler, epoch)
        assert weights.sum() == pytest.approx(size, rel=1e-6)
        order = sampler.indices(epoch)
        scale = size / order.size
        np.testing.assert_allclose(
            sampler.importance_weights(order) * scale, sampler.weights_for(order), rtol=1e-6
        )


@pytest.mark.parametrize("arguments", [{}, {"buckets": [(0.2, 0.25), (0.85, 0.5)]}])
def test_epoch_sum_of_gradients_is_unbiased(arguments):
    """At fixed parameters, and for gradients that have nothing to do with the stored losses."""
    x = torch.tensor(np.random.default_rng(1).normal(size=(N, 3)))
    model = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
    full = torch.autograd.grad(((x @ model) ** 2).sum(), model)[0].numpy()
    epochs = 500
    sampler = scored(num_epochs=epochs + 2, anneal_fraction=0.0, seed=2, **arguments)
    sums, per_draw = [], []
    for epoch in range(1, epochs + 1):
        order = dealt(sampler, epoch)
        losses = (x[order] @ model) ** 2
        weights = sampler.weights_for(torch.tensor(order))
        total = torch.autograd.grad((losses * weights).sum(), model, retain_graph=True)[0]
        sums.append(total.numpy())
        weights = sampler.importance_weights(torch.tensor(order))
        per_draw.append(torch.autograd.grad((losses * weights).mean(), model)[0].numpy())
    assert_mean(sums, full)
    assert_mean(per_draw, full / N)  # importance_weights: unbiased for the mean, per step


def test_reduce_adds_up_to_the_epoch_sum():
    """Equal batches: their means times B sum to the weighted sum, so steps are N/M too large."""
    losses = np.array([1.0] * 8 + [9.0] * 4)
    sampler = scored(losses)
    order = dealt(sampler, 1)
    assert order.size == 8
    steps = [float(sampler.reduce(torch.tensor(losses[part]), part)) for part in np.split(order, 4)]
    assert 2 * sum(steps) == pytest.approx(losses.sum(), rel=1e-6)
    assert np.mean(steps) == pytest.approx(losses.mean() * 12 / 8, rel=1e-6)


def test_sampled_leaves_the_weights_out():
    sampler = scored(objective="sampled")
    order = dealt(sampler, 1)
    np.testing.assert_array_equal(sampler.weights_for(order), 1)
    weights = sampler.importance_weights(order)
    assert weights.mean() == pytest.approx(1, rel=1e-6)
    assert weights.max() > weights.min()


# ---- buckets and moving averages -----------------------------------------------------------------


def test_buckets_by_hand():
    """Quantiles 0.2 and 0.85 of 0..9 are 1.8 and 7.65: two, six and two samples."""
    sampler = scored(np.arange(10.0), num_epochs=60, buckets=[(0.2, 0.25), (0.85, 0.5)])
    kept = np.zeros(10)
    for epoch in range(1, 50):
        weights = weights_of_all(sampler, epoch)
        assert sorted(weights[:2]) == [0, 2]  # a quarter of two would be none: one is kept
        assert sorted(weights[2:8]) == [0, 0, 0, 2, 2, 2]
        assert weights[8:].tolist() == [1, 1]
        kept += weights > 0
    assert (kept > 0).all()


def test_buckets_with_unseen_and_with_equal_losses():
    sampler = InfoBatchSampler(10, 6, buckets=[(0.5, 0.5)])
    np.testing.assert_array_equal(weights_of_all(sampler, 1), 1)  # nothing seen
    sampler.record(np.arange(4), [1.0, 2.0, 3.0, 4.0])
    weights = weights_of_all(sampler, 2)
    assert sorted(weights[:2]) == [0, 2]
    assert (weights[2:] == 1).all()
    equal = scored(np.full(10, 0.1, np.float32), buckets=[(0.2, 0.25), (0.85, 0.5)])
    np.testing.assert_array_equal(weights_of_all(equal, 1), 1)


def test_score_ema_by_hand():
    sampler = InfoBatchSampler(3, 5, score_ema=0.25)
    sampler.record([0, 1], [4.0, 8.0])
    sampler.record([0, 2], [8.0, 1.0])
    np.testing.assert_array_equal(sampler.scores, [5.0, 8.0, 1.0])  # the first loss counts whole


# ---- when a plan is made -------------------------------------------------------------------------


def test_new_losses_leave_the_running_epoch_alone():
    sampler = scored(num_epochs=20)
    order = dealt(sampler, 1)
    everything = np.flatnonzero(weights_of_all(sampler, 1))
    weights = sampler.weights_for(everything)
    iterator = iter(sampler)
    first = [next(iterator) for _ in range(5)]
    sampler.record(everything, np.random.default_rng(1).exponential(size=everything.size))
    assert len(sampler) == order.size
    np.testing.assert_array_equal(sampler.indices(1), order)
    np.testing.assert_array_equal(sampler.weights_for(everything), weights)
    sampler.set_epoch(1)  # planned: never replanned
    np.testing.assert_array_equal(sampler.indices(1), order)
    assert first + list(iterator) == order.tolist()
    sampler.set_epoch(2)
    twin = scored(num_epochs=20)
    assert set(sampler.indices(2)) != set(dealt(twin, 2))


def test_the_end_of_an_epoch_asks_for_set_epoch():
    sampler = InfoBatchSampler(6, 4)
    assert sorted(sampler) == list(range(6))
    message = r"epoch 0 is over: call set_epoch\(1\) before the next pass"
    for _ in range(2):
        with pytest.raises(RuntimeError, match=message):
            next(iter(sampler))
    sampler.set_epoch(0)  # the same epoch is still over
    with pytest.raises(RuntimeError, match=message):
        next(iter(sampler))
    sampler.record(range(6), np.ones(6, np.float32))
    sampler.set_epoch(1)
    assert len(list(sampler)) == len(sampler)


def test_an_epoch_without_losses_warns():
    sampler = InfoBatchSampler(6, 4)
    sampler.set_epoch(1)  # nothing was trained
    list(sampler)
    with pytest.warns(UserWarning, match=r"no loss was recorded in epoch 1.*call sampler.reduce"):
        sampler.set_epoch(2)
    drawn = list(sampler)
    sampler.record(drawn, np.ones(len(drawn), np.float32))
    sampler.set_epoch(3)


def test_auto_epoch_goes_on():
    sampler = scored(num_epochs=4, anneal_fraction=0.25, auto_epoch=True)
    lengths = [len(list(sampler)) for _ in range(4)]
    pruned = N - (EASY.sum() - EASY.sum() // 2)
    assert lengths == [N, pruned, pruned, N]


def test_only_the_planned_epoch_is_known():
    sampler = scored()
    message = "epoch must be 0, the one that is planned, got 1: the epochs of InfoBatchSampler"
    with pytest.raises(ValueError, match=message):
        sampler.indices(1)
    with pytest.raises(ValueError, match=message):
        sampler.length(1)
    sampler.set_epoch(1)
    with pytest.raises(ValueError, match="epoch must be 1, the one that is planned, got 0"):
        sampler.indices(0)


def test_a_sample_left_out_is_no_draw():
    sampler = scored()
    weights = weights_of_all(sampler, 1)
    out = int(np.flatnonzero(weights == 0)[0])
    hard = int(np.flatnonzero(~EASY)[0])
    before = sampler.scores.copy()
    with pytest.raises(ValueError, match=f"indices must be draws of epoch 1, got {out} in row 1"):
        sampler.reduce(torch.tensor([7.0, 7.0]), [hard, out])
    np.testing.assert_array_equal(sampler.scores, before)  # nor was the other one recorded
    sampler.set_epoch(9)
    assert sampler.weights_for([out]) == 1


def test_one_sample():
    sampler = scored(np.array([2.0]), num_epochs=4)
    for epoch in range(4):
        assert dealt(sampler, epoch).tolist() == [0]
        assert sampler.weights_for([0]) == 1


# ---- what a run costs ----------------------------------------------------------------------------


def test_half_over_ten_epochs_never_goes_under_65_percent():
    sampler = InfoBatchSampler(1000, 10, drop_prob=0.5)
    assert sampler.expected_samples(below_mean=1.0) == 6500
    assert sampler.expected_samples() == 7550  # 0.7 of the samples below the mean
    assert sampler.expected_samples(below_mean=0.6) == 7900
    assert sampler.expected_samples(1) == 1000
    assert sampler.expected_samples(0) == 0
    # The worst that losses can do: one far above the rest.
    losses = np.zeros(1000)
    losses[0] = 1e6
    sampler.record(np.arange(1000), losses)
    drawn = sum(len(dealt(sampler, epoch)) for epoch in range(10))
    assert 6500 <= drawn <= 6510
    assert sampler.expected_samples() == drawn  # epochs already planned count as they were


def test_a_measured_share_stands_for_the_rest():
    losses = np.concatenate([np.zeros(300), np.ones(700)])  # 30 % below the mean
    sampler = scored(losses, drop_prob=0.5)
    sampler.set_epoch(1)
    assert sampler.expected_samples() == 10_000 - 7 * 150
    assert sampler.expected_samples(3) == 3000 - 2 * 150


@pytest.mark.parametrize("target", [1.0, 0.9, 0.75, 0.6])
@pytest.mark.parametrize("below_mean", [0.6, 0.7, 0.9])
def test_for_target_finds_the_setting(target, below_mean):
    find = InfoBatchSampler.for_target
    if (1 - target) > 0.9 * 0.7 * below_mean:
        with pytest.raises(ValueError, match="keep is unreachable"):
            find(1000, 10, target, below_mean=below_mean)
        return
    sampler = find(1000, 10, target, below_mean=below_mean, seed=5)
    assert sampler.seed == 5
    assert sampler.expected_samples(below_mean=below_mean) == pytest.approx(10_000 * target, abs=10)
    losses = np.ones(1000)  # a run with just that many below the mean
    losses[: round(1000 * below_mean)] = 0
    sampler.record(np.arange(1000), losses)
    drawn = sum(len(dealt(sampler, epoch)) for epoch in range(10))
    assert drawn == pytest.approx(10_000 * target, abs=10)


def test_for_target_says_what_is_out_of_reach():
    with pytest.raises(
        ValueError,
        match=r"keep is unreachable: must be >= 0.559 for 10 epochs with "
        r"anneal_fraction=0.125 and below_mean=0.7, got 0.5",
    ):
        InfoBatchSampler.for_target(100, 10, 0.5)
    with pytest.raises(
        ValueError, match="drop_prob must not be given with for_target, which chooses it, got 0.3"
    ):
        InfoBatchSampler.for_target(100, 10, 0.8, drop_prob=0.3)
    with pytest.raises(ValueError, match="unreachable: must be >= 1.000 for 1 epochs"):
        InfoBatchSampler.for_target(100, 1, 0.9)
    assert InfoBatchSampler.for_target(100, 1, 1.0).drop_prob == 0
    reached = InfoBatchSampler.for_target(100, 10, 0.56)
    assert reached.drop_prob <= 0.9
    assert InfoBatchSampler.for_target(100, 10, 0.5, anneal_fraction=0.0).drop_prob < 0.9


@pytest.mark.parametrize("below_mean", [0.5, 0.62, 0.8, 0.97])
@pytest.mark.parametrize("target", [0.75, 0.7, 0.9])
def test_a_target_is_kept_to_whatever_lies_below_the_mean(target, below_mean):
    """It was guessed to be 0.7, by which drop_prob was found; losses change as training goes on."""
    size, epochs = 1000, 12
    sampler = InfoBatchSampler.for_target(size, epochs, target)
    drawn = 0
    for epoch in range(epochs):
        order = dealt(sampler, epoch)
        drawn += order.size
        easy = np.arange(size) < size * min(1.0, below_mean + 0.02 * (epoch % 3))
        sampler.record(order, np.where(easy, 0.1, 1.0)[order] / (1 + 0.05 * epoch))
        if epoch > 0:
            assert sampler.expected_samples() == pytest.approx(target * size * epochs, rel=0.01)
    assert drawn == sampler.expected_samples()
    assert drawn == pytest.approx(target * size * epochs, rel=0.01)


def test_expected_samples_are_the_target_as_far_as_it_can_be_reached():
    sampler = InfoBatchSampler.for_target(1000, 10, 0.8)  # found for 0.7 below the mean
    for below_mean in (0.4, 0.7, 0.9):
        assert sampler.expected_samples(below_mean=below_mean) == pytest.approx(8000, abs=5)
    assert sampler.expected_samples(below_mean=0.1) == 3000 + 7 * 910
    assert sampler.expected_samples(3, below_mean=0.7) == 1000 + 2 * 714


def test_what_early_epochs_could_not_leave_out_later_ones_do():
    sampler = InfoBatchSampler.for_target(1000, 11, 0.8, anneal_fraction=0.0)
    sampler.set_epoch(1)  # nothing was recorded: everything is dealt
    assert sampler.expected_samples() == 11_000 == 11 * len(sampler)  # for all that is known
    losses = np.where(np.arange(1000) < 600, 0.0, 1.0)
    sampler.record(np.arange(1000), losses)
    drawn = 2000 + sum(len(dealt(sampler, epoch)) for epoch in range(2, 11))
    assert drawn == pytest.approx(0.8 * 11_000, abs=10)


def test_a_target_that_the_losses_put_out_of_reach_is_reported():
    sampler = InfoBatchSampler.for_target(1000, 10, 0.6)
    sampler.record(np.arange(1000), np.where(np.arange(1000) < 400, 0.0, 1.0))
    for epoch in range(1, 7):
        sampler.set_epoch(epoch)
        assert len(sampler) == 640  # a tenth of the easy ones, which is as far as it goes
        assert sampler.expected_samples() == 10_000 - 7 * 360
    message = "the run takes 0.748 of the draws of full epochs, and was to take 0.6"
    with pytest.warns(UserWarning, match=message):
        sampler.set_epoch(7)


def test_the_share_below_the_mean_is_counted_in_float64():
    """Rounded to float32 the mean of these is their least value, and none lies below it."""
    losses = np.ones(1000, np.float32)
    losses[0] = np.nextafter(np.float32(1), np.float32(2))
    sampler = InfoBatchSampler.for_target(1000, 10, 0.9)
    sampler.record(np.arange(1000), losses)
    drawn = 1000 + sum(len(dealt(sampler, epoch)) for epoch in range(1, 10))
    assert drawn == pytest.approx(9000, abs=10)


def test_a_target_outlives_the_process():
    def make():
        return InfoBatchSampler.for_target(N, 10, 0.8, seed=3)

    sampler = make()
    for epoch in range(10):
        order = dealt(sampler, epoch)
        sampler.record(order, LOSSES[order] * (1 + epoch % 2))
        fresh = make()
        load_full_state(fresh, copy.deepcopy(full_state(sampler)))
        assert fresh.expected_samples() == sampler.expected_samples()
        sampler = fresh
    assert sampler.expected_samples() == pytest.approx(8 * N, abs=4)


def test_expected_samples_of_buckets():
    sampler = InfoBatchSampler(1000, 10, buckets=[(0.2, 0.25), (0.85, 0.5)])
    assert sampler.expected_samples() == 10_000 - 7 * (150 + 325)
    sampler.record(np.arange(1000), np.arange(1000.0))
    assert sum(len(dealt(sampler, epoch)) for epoch in range(10)) == sampler.expected_samples()
    with pytest.raises(ValueError, match="buckets must not be given with for_target"):
        InfoBatchSampler.for_target(1000, 10, 0.8, buckets=[(0.5, 0.5)])


def test_progress_uses_the_planned_length():
    sampler = scored(num_epochs=10)
    sampler.set_epoch(2)
    half = len(sampler) // 2
    assert sampler.progress(2, half) == pytest.approx((2 + half / len(sampler)) / 10)
    assert sampler.progress(10) == 1.0


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"data_source": 0}, ValueError, r"data_source must be in \[1, .*\), got 0"),
        ({"num_epochs": 0}, ValueError, "num_epochs must be >= 1, got 0"),
        ({"num_epochs": 2.0}, TypeError, "num_epochs must be an int, got 2.0"),
        ({"drop_prob": 1.0}, ValueError, r"drop_prob must be in \[0, 1\), got 1.0"),
        ({"drop_prob": -0.1}, ValueError, r"drop_prob must be in \[0, 1\), got -0.1"),
        ({"drop_prob": np.nan}, ValueError, r"drop_prob must be in \[0, 1\), got nan"),
        ({"anneal_fraction": 1.5}, ValueError, r"anneal_fraction must be in \[0, 1\], got 1.5"),
        ({"score_ema": 0.0}, ValueError, r"score_ema must be in \(0, 1\], got 0.0"),
        ({"buckets": []}, ValueError, r"buckets must be 1 to 125 pairs \(quantile, keep\), got 0"),
        (
            {"buckets": [(0.0, 0.5)]},
            ValueError,
            r"quantile of buckets must be in \(0, 1\), got 0.0",
        ),
        ({"buckets": [(0.5, 0.0)]}, ValueError, r"keep of buckets must be in \(0, 1\], got 0.0"),
        (
            {"buckets": [(0.5, 0.5), (0.4, 0.5)]},
            ValueError,
            "quantiles of buckets must ascend, got 0.4 after 0.5",
        ),
    ],
)
def test_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        InfoBatchSampler(**{"data_source": 10, "num_epochs": 5, **arguments})


@pytest.mark.parametrize("fraction", [0.0, 1.2, np.nan])
def test_for_target_refuses_fractions(fraction):
    with pytest.raises(ValueError, match=r"keep must be in \(0, 1\], got"):
        InfoBatchSampler.for_target(10, 5, fraction)


def test_ranks_without_a_process_group_are_said_to_plan_apart():
    sampler = InfoBatchSampler(20, 3, num_replicas=2, rank=1)
    sampler.set_epoch(0)
    indices = torch.tensor(list(sampler))
    sampler.reduce(indices.float(), indices)
    with pytest.warns(UserWarning, match="only the losses of rank 1 of 2, as torch.distributed"):
        sampler.set_epoch(1)
