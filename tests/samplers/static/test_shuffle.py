import numpy as np
import pytest
import torch
from helpers import assert_hits, counts_of, epochs_of, spread
from torch.utils.data import DataLoader, DistributedSampler

from sampling.samplers import ShuffleSampler

SIZES = [1, 2, 3, 10, 65_536, 65_537, 70_001]  # an outright shuffle up to 65,536, a network above


@pytest.mark.parametrize("size", SIZES)
def test_is_a_permutation(size):
    order = ShuffleSampler(size, seed=3).indices(5)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(size))


@pytest.mark.parametrize("size", [1, 3, 7, 66_000])
@pytest.mark.parametrize("passes", [0.3, 0.99, 1, 1.2, 2, 2.9, 40.5])  # 16 shuffles are cached
def test_counts_differ_by_at_most_one(size, passes):
    if size * passes > 10**6:
        passes = 3.5
    num_samples = max(1, round(size * passes))
    sampler = ShuffleSampler(size, num_samples, seed=1)
    order = list(sampler)
    assert len(order) == len(sampler) == sampler.length(0) == num_samples
    counts = np.bincount(order, minlength=size)
    assert counts.max() - counts.min() <= 1
    assert counts.max() == -(-num_samples // size)
    for start in range(0, num_samples - size, size):  # each pass is a shuffle by itself
        assert len(set(order[start : start + size])) == size


def test_passes_within_an_epoch_differ():
    order = ShuffleSampler(30, 300).indices(0).reshape(10, 30)
    assert len({tuple(each) for each in order}) == 10


def test_takes_whatever_has_a_length():
    orders = [list(ShuffleSampler(each, seed=2)) for each in (9, range(9), torch.zeros(9, 2))]
    assert orders[0] == orders[1] == orders[2]


def test_epochs_and_seeds_share_nothing():
    """Equal to `seed + epoch`, as in torch, only 15 of the 64 orders would be different."""
    orders = {tuple(ShuffleSampler(20, seed=s).indices(e)) for s in range(8) for e in range(8)}
    assert len(orders) == 64


@pytest.mark.parametrize("size", [10_000, 70_000])
def test_seed_0_epoch_1_is_unlike_seed_1_epoch_0(size):
    # Unrelated orders agree in Poisson(1) places: in more than 12 once in 10^10 seeds.
    first, second = ShuffleSampler(size, seed=0).indices(1), ShuffleSampler(size, seed=1).indices(0)
    assert np.count_nonzero(first == second) <= 12
    shifted = [np.count_nonzero(first == np.roll(second, k)) for k in (-2, -1, 1, 2)]
    assert max(shifted) <= 14
    np.testing.assert_allclose(np.corrcoef(first, second)[0, 1], 0, atol=6 / size**0.5)


def test_inclusion_is_uniform_over_samples_and_pairs():
    epochs, size, draws = 3000, 24, 9
    chosen = counts_of(ShuffleSampler(size, draws, seed=11), epochs)
    assert chosen.max() == 1
    assert (chosen.sum(axis=1) == draws).all()
    assert_hits(chosen.sum(axis=0), epochs, draws / size)
    together = (chosen.T @ chosen)[np.triu_indices(size, 1)]
    assert_hits(together, epochs, draws * (draws - 1) / (size * (size - 1)))


def test_inclusion_is_uniform_above_the_outright_shuffles():
    size, draws, epochs, bins = 70_000, 7_000, 30, 70
    chosen = np.concatenate(epochs_of(ShuffleSampler(size, draws), epochs))
    per_bin = np.bincount(chosen * bins // size, minlength=bins)
    variance = epochs * draws * (1 / bins) * (1 - 1 / bins)  # of draws with replacement: more
    assert np.abs(per_bin - epochs * draws / bins).max() <= spread(variance, bins)


def test_every_position_holds_every_sample_alike():
    epochs, size = 4000, 8
    orders = np.stack(epochs_of(ShuffleSampler(size, seed=5), epochs))
    for position in range(size):
        assert_hits(np.bincount(orders[:, position], minlength=size), epochs, 1 / size)


# ---- drop-in -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 8, 10, 17])
@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("drop_last", [False, True])
def test_splits_one_order_as_distributed_sampler_does(size, world, drop_last):
    """Torch's class, told not to shuffle, gives places; ours gives the samples at those places."""
    order = ShuffleSampler(size, seed=7, num_replicas=1, rank=0).indices(2)
    for rank in range(world):
        theirs = DistributedSampler(range(size), world, rank, shuffle=False, drop_last=drop_last)
        ours = ShuffleSampler(size, seed=7, num_replicas=world, rank=rank, drop_last=drop_last)
        ours.set_epoch(2)
        expected = order[list(theirs)].tolist() if len(theirs) else []
        assert list(ours) == expected
        assert len(ours) == len(theirs)


def test_padding_repeats_the_head():
    ranks = [ShuffleSampler(10, seed=1, num_replicas=4, rank=rank) for rank in range(4)]
    dealt = np.stack([list(each) for each in ranks]).T.ravel()
    order = ranks[0].indices(0)
    np.testing.assert_array_equal(dealt, np.concatenate([order, order[:2]]))


def test_one_sample_on_four_ranks():
    assert [list(ShuffleSampler(1, num_replicas=4, rank=rank)) for rank in range(4)] == [[0]] * 4
    exact = [list(ShuffleSampler(1, num_replicas=4, rank=rank, pad=False)) for rank in range(4)]
    assert exact == [[0], [], [], []]


def test_drop_in_for_random_sampler():
    data = torch.arange(10) * 10
    sampler = ShuffleSampler(data, seed=4)
    loader = DataLoader(data, batch_size=4, sampler=sampler)
    assert len(loader) == 3
    seen = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        batches = list(loader)
        assert [len(each) for each in batches] == [4, 4, 2]
        seen.append(tuple(torch.cat(batches).tolist()))
        assert sorted(seen[-1]) == data.tolist()
    assert len(set(seen)) == 3


def test_all_weights_are_one():
    sampler = ShuffleSampler(5, 12)
    np.testing.assert_array_equal(sampler.importance_weights(np.arange(5)), np.ones(5, np.float32))
    original = ShuffleSampler(5, 12, objective="original")
    np.testing.assert_array_equal(original.weights_for(np.arange(5)), np.ones(5, np.float32))


def test_a_trillion_samples_cost_nothing():
    sampler = ShuffleSampler(10**12, seed=1)
    far = sampler.indices(9, 10**11, 10**11 + 1000)
    assert far.min() >= 0
    assert far.max() < 10**12
    assert len(set(far.tolist())) == 1000
    assert far.max() > 2**38  # not confined to small numbers


def test_progress_and_expected_samples():
    sampler = ShuffleSampler(10, 25)
    assert sampler.expected_samples(4) == 100
    assert sampler.progress(1, consumed=5, num_epochs=4) == pytest.approx((1 + 0.2) / 4)
    assert sampler.progress(9, num_epochs=4) == 1.0
    with pytest.raises(ValueError, match="num_epochs must be given, as ShuffleSampler has none"):
        sampler.progress(0)


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0,), ValueError, r"data_source must be in \[1, 4611686018427387905\), got 0"),
        ((-3,), ValueError, r"data_source must be in \[1, .*\), got -3"),
        ((2**62 + 1,), ValueError, r"data_source must be in .*, got 4611686018427387905"),
        (([],), ValueError, "data_source must not be empty, got length 0"),
        ((2.5,), TypeError, "data_source must be an int, got 2.5"),
        ((True,), TypeError, "data_source must be an int, got True"),
        ((5, 0), ValueError, "num_samples must be >= 1, got 0"),
        ((5, 1.5), TypeError, "num_samples must be an int, got 1.5"),
    ],
)
def test_refuses_sizes(arguments, error, message):
    with pytest.raises(error, match=message):
        ShuffleSampler(*arguments)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"seed": -1}, ValueError, r"seed must be in \[0, 18446744073709551616\), got -1"),
        ({"seed": 2**64}, ValueError, "seed must be in .*, got 18446744073709551616"),
        ({"seed": None}, TypeError, "seed must be an int, got None"),
        ({"num_replicas": 8, "rank": 8}, ValueError, r"rank must be in \[0, 8\), got 8"),
        ({"num_replicas": 8, "rank": -1}, ValueError, r"rank must be in \[0, 8\), got -1"),
        ({"num_replicas": 0, "rank": 0}, ValueError, "num_replicas must be >= 1, got 0"),
        ({"objective": "both"}, ValueError, "objective must be one of .*, got 'both'"),
        ({"nonfinite": "skip"}, ValueError, "nonfinite must be one of .*, got 'skip'"),
        (
            {"auto_epoch": True, "num_replicas": 2, "rank": 0},
            ValueError,
            "auto_epoch must be False with several ranks, got True",
        ),
    ],
)
def test_refuses_options(options, error, message):
    with pytest.raises(error, match=message):
        ShuffleSampler(5, **options)


def test_refuses_epochs_and_stretches():
    sampler = ShuffleSampler(5)
    with pytest.raises(ValueError, match=r"epoch must be in \[0, .*\), got -1"):
        sampler.set_epoch(-1)
    with pytest.raises(TypeError, match="epoch must be an int, got 1.0"):
        sampler.set_epoch(1.0)
    with pytest.raises(ValueError, match=r"stop must be in \[0, 6\), got 6"):
        sampler.indices(0, 0, 6)
    with pytest.raises(ValueError, match=r"start must be in \[0, 4\), got 4"):
        sampler.indices(0, 4, 3)
    assert sampler.epoch == 0


@pytest.mark.parametrize("repeats", [2, 3])
@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_copies_come_together_in_a_batch_or_on_the_ranks_of_a_step(repeats, replicas):
    parts = [
        list(ShuffleSampler(60, num_repeats=repeats, num_replicas=replicas, rank=rank, seed=4))
        for rank in range(replicas)
    ]
    drawn = np.array(parts).T.reshape(-1)  # step by step
    copies = drawn.reshape(-1, repeats)
    assert (copies == copies[:, :1]).all()
    assert np.unique(copies[:, 0]).size == 60 // repeats
    plain = list(ShuffleSampler(60, seed=4))
    assert copies[:, 0].tolist() == plain[: 60 // repeats]


def test_repeats_use_all_samples_equally_over_long_epochs_and_identify_the_sampler():
    sampler = ShuffleSampler(10, 30, num_repeats=3, objective="original")
    assert np.bincount(list(sampler)).tolist() == [3] * 10
    assert sampler.importance_weights([1, 2]).tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="num_repeats"):
        ShuffleSampler(10, 30, num_repeats=2).load_state_dict(ShuffleSampler(10, 30).state_dict(0))
    with pytest.raises(ValueError, match="num_repeats must be"):
        ShuffleSampler(10, num_repeats=0)
