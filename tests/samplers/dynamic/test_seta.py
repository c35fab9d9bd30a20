"""SeTa: groups by k-means, a window that slides, random keep, partial annealing."""

import copy
import pickle

import numpy as np
import pytest
from helpers import assert_hits, dealt
from torch.utils.data import BatchSampler, DataLoader

from sampling import Indexed
from sampling.samplers import SeTaSampler, full_state, load_full_state
from sampling.testing import parametrize_with_checks

SIZES = [9, 7, 5, 4, 3]  # of the groups, from easy to hard
LEVELS = np.repeat(np.arange(5.0), SIZES)
N = LEVELS.size
GROUPS = LEVELS.astype(int)
LOSSES = (10 * LEVELS + np.random.default_rng(0).random(N)).astype(np.float32)
ORDER = np.random.default_rng(1).permutation(N)
LOSSES, GROUPS = LOSSES[ORDER], GROUPS[ORDER]


def scored(losses=LOSSES, num_epochs=40, **arguments):
    """A sampler that has seen every loss, in epoch 0."""
    sampler = SeTaSampler(len(losses), num_epochs, **arguments)
    sampler.record(np.arange(len(losses)), losses)
    return sampler


def groups_of(order):
    return np.bincount(GROUPS[order], minlength=5).tolist()


@parametrize_with_checks({"SeTaSampler": lambda **o: SeTaSampler(N, 8, **o)})
def test_keeps_the_contract(factory, check):
    check(factory)


# ---- windows -------------------------------------------------------------------------------------


def test_the_window_slides_from_easy_to_hard():
    sampler = scored(drop_prob=0, scale=0.6)  # three of five groups: three places
    assert len(dealt(sampler, 0)) == N
    for epoch in range(1, 10):
        first = epoch % 3
        inside = [size if first <= g < first + 3 else 0 for g, size in enumerate(SIZES)]
        assert groups_of(dealt(sampler, epoch)) == inside


@pytest.mark.parametrize("num_epochs", [8, 10, 30])
def test_windows_and_annealing_are_at_the_epochs_of_the_released_code(num_epochs):
    """There epochs are counted from 1 for the end of pruning, and from 0 for the window."""
    sampler = scored(num_epochs=num_epochs, drop_prob=0.2, scale=0.6)
    assert len(dealt(sampler, 0)) == N  # ours: there 0.8 N, at random
    for epoch in range(1, num_epochs):
        pruned = epoch + 1 <= num_epochs * 0.875
        first = epoch % (5 - 3 + 1) if pruned else 0
        last = first + 3 if pruned else 5
        held = groups_of(dealt(sampler, epoch))
        assert [count > 0 for count in held] == [first <= group < last for group in range(5)]
        assert sum(held) == int(0.8 * sum(SIZES[first:last]) + 1e-9)


@pytest.mark.parametrize(
    ("num_groups", "scale", "window"),
    [(5, 0.9, 4), (5, 0.6, 3), (5, 0.5, 2), (5, 0.01, 1), (5, 1.0, 5), (1, 0.3, 1)],
)
def test_the_window_is_rounded(num_groups, scale, window):
    sampler = scored(drop_prob=0, scale=scale, num_groups=num_groups)
    places = num_groups - window + 1
    for epoch in range(1, 8):
        held = np.array(groups_of(dealt(sampler, epoch)))
        if num_groups == 5:
            np.testing.assert_array_equal(np.flatnonzero(held)[0], epoch % places)
            assert np.count_nonzero(held) == window
        else:
            assert held.tolist() == SIZES


def test_every_group_has_its_turn_in_a_round():
    sampler = scored(drop_prob=0, scale=0.2)
    seen = np.concatenate([dealt(sampler, epoch) for epoch in range(1, 6)])
    assert sorted(seen) == list(range(N))


def test_keeps_a_random_part_of_the_window_and_afresh():
    sampler = scored(num_epochs=1502, drop_prob=0.25, scale=0.6, anneal_fraction=0)
    hits = np.zeros((3, N), int)
    for epoch in range(1, 1501):
        order = dealt(sampler, epoch)
        inside = sum(SIZES[epoch % 3 : epoch % 3 + 3])
        assert np.unique(order).size == order.size == int(0.75 * inside + 1e-9)
        hits[epoch % 3, order] += 1
    for first in range(3):
        inside = (GROUPS >= first) & (GROUPS < first + 3)
        assert (hits[first][~inside] == 0).all()
        for group in range(first, first + 3):  # quotas are whole parts, so a group's share is near
            own = hits[first][GROUPS == group]
            assert_hits(own, 500, own.sum() / own.size / 500)
            assert own.sum() / own.size / 500 == pytest.approx(0.75, abs=1 / SIZES[group])


def test_annealing_keeps_a_random_part_of_everything():
    sampler = scored(num_epochs=16, drop_prob=0.25)
    assert sampler.window_epochs == range(1, 14)
    assert sampler.pruning_epochs == range(1, 16)
    for epoch in (14, 15):
        order = dealt(sampler, epoch)
        assert order.size == 21
        assert groups_of(order)[0] > 0
    assert set(dealt(sampler, 14)) != set(dealt(sampler, 15))
    whole = scored(num_epochs=16, drop_prob=0)
    assert len(dealt(whole, 15)) == N
    assert SeTaSampler(N, 1).pruning_epochs == SeTaSampler(N, 1).window_epochs == range(1, 1)
    alone = scored(num_epochs=6, anneal_fraction=1.0)
    assert alone.window_epochs == range(1, 1)
    assert len(dealt(alone, 1)) == int(0.9 * N)


def test_samples_never_seen_are_always_dealt():
    sampler = SeTaSampler(N, 40, drop_prob=0.5, scale=0.2)
    sampler.record(np.arange(6, N), LOSSES[6:])
    for epoch in range(1, 12):
        assert set(dealt(sampler, epoch)) >= set(range(6))
    sampler.set_epoch(39)
    assert set(sampler.indices(39)) >= set(range(6))


@pytest.mark.parametrize("losses", [[3.0] * 6, [1.0, 2.0] * 3, [1.0], [np.nan] * 4, [0.0, np.nan]])
def test_fewer_distinct_losses_than_groups(losses):
    """sklearn's KMeans, by which the released code makes its groups, refuses these."""
    sampler = scored(np.array(losses, np.float32), drop_prob=0, scale=0.6)
    values = np.unique(np.array(losses)[~np.isnan(losses)])
    for epoch in range(1, 5):
        order = dealt(sampler, epoch)
        held = np.unique(np.array(losses)[order])
        window = max(1, round(max(1, values.size) * 0.6))
        assert held[~np.isnan(held)].size == min(window, values.size)
        assert np.isnan(np.array(losses)[order]).sum() == np.isnan(losses).sum()


def test_the_same_scores_seed_and_epoch_give_the_same_plan():
    orders = {tuple(dealt(scored(seed=seed, drop_prob=0.5), 3)) for seed in (0, 0, 1)}
    assert len(orders) == 2


# ---- what released code gets wrong ---------------------------------------------------------------


@pytest.mark.parametrize("drop_last", [False, True])
def test_an_epoch_ends_and_iterating_does_not_advance_it(drop_last):
    """Batch samplers ask for an iterator again: theirs starts the epoch anew each time."""
    sampler = scored(num_epochs=8)
    data = Indexed(list(range(N)))
    loader = DataLoader(data, batch_size=4, sampler=sampler, drop_last=drop_last)
    for epoch in range(8):
        sampler.set_epoch(epoch)
        batches = [indices for indices, _ in loader]
        assert len(batches) == (len(sampler) // 4 if drop_last else -(-len(sampler) // 4))
        assert sampler.epoch == epoch
        for indices in batches:
            sampler.record(indices, LOSSES[indices.numpy()])
    sampler = scored()
    sampler.set_epoch(1)
    assert sum(len(batch) for batch in BatchSampler(sampler, 3, False)) == len(sampler)


def test_pickle_and_deepcopy():
    sampler = scored()
    sampler.set_epoch(2)
    for twin in (copy.deepcopy(sampler), pickle.loads(pickle.dumps(sampler))):
        np.testing.assert_array_equal(twin.indices(2), sampler.indices(2))
        twin.set_epoch(3)
    sampler.set_epoch(3)
    np.testing.assert_array_equal(twin.indices(3), sampler.indices(3))


# ---- resume, weights, cost -----------------------------------------------------------------------


def test_resumes_in_mid_epoch():
    def run(stops):
        sampler = SeTaSampler(N, 12, drop_prob=0.3)
        orders = []
        for epoch in range(12):
            orders.append(dealt(sampler, epoch))
            half = orders[-1].size // 2
            sampler.record(orders[-1][:half], LOSSES[orders[-1][:half]] + epoch % 3)
            if epoch in stops:
                full = copy.deepcopy(full_state(sampler, consumed=half))
                sampler = SeTaSampler(N, 12, drop_prob=0.3)
                load_full_state(sampler, full)
                assert list(copy.deepcopy(sampler)) == orders[-1][half:].tolist()
            sampler.record(orders[-1][half:], LOSSES[orders[-1][half:]] + epoch % 3)
        return orders, sampler.expected_samples()

    unbroken, broken = run(()), run((0, 1, 5, 11))
    assert unbroken[1] == broken[1] == sum(order.size for order in unbroken[0])
    for one, two in zip(unbroken[0], broken[0], strict=True):
        np.testing.assert_array_equal(one, two)


def test_has_no_importance_weights():
    message = "SeTaSampler has no importance weights: groups outside the window are certain"
    with pytest.raises(ValueError, match=message):
        SeTaSampler(N, 8, objective="original")
    assert scored().weights_for([0, 1]).tolist() == [1, 1]


def test_expected_samples_are_those_of_a_round():
    sampler = scored(num_epochs=40, drop_prob=0.25, scale=0.6)
    assert sampler.expected_samples() == N + 39 * (N - round(N * (1 - 0.75 * 0.6)))
    assert sampler.expected_samples(1) == N
    drawn = [len(dealt(sampler, epoch)) for epoch in range(4)]
    usual = sum(drawn[1:]) / 3
    annealing = 5 * int(0.75 * N)
    assert sampler.expected_samples() == sum(drawn) + round(31 * usual) + annealing
    drawn += [len(dealt(sampler, epoch)) for epoch in range(4, 40)]
    assert sampler.expected_samples() == sum(drawn)


@pytest.mark.parametrize(
    ("scale", "target"), [(0.9, 0.3), (0.9, 0.5), (0.9, 0.7), (0.4, 0.2), (0.4, 0.45)]
)
def test_for_target_ends_where_it_says(scale, target):
    """Although the groups are far from equal: windows of 40 % of them hold 25 to 57 % of N."""
    sampler = SeTaSampler.for_target(N * 50, 24, target, scale=scale)
    losses = np.repeat(LOSSES, 50)
    drawn = 0
    for epoch in range(24):
        order = dealt(sampler, epoch)
        drawn += order.size
        sampler.record(order, losses[order])
    assert drawn == pytest.approx(24 * N * 50 * target, rel=0.01)
    assert sampler.expected_samples() == drawn


def test_for_target_says_what_is_out_of_reach_and_what_it_looks_for():
    assert SeTaSampler.for_target(N, 10, 0.5).drop_prob == pytest.approx(1 - (1 - 5 / 9) / 0.8)
    with pytest.raises(ValueError, match="keep is unreachable: must be >= 0.190"):
        SeTaSampler.for_target(N, 10, 0.15)
    with pytest.raises(ValueError, match="drop_prob must not be given with for_target"):
        SeTaSampler.for_target(N, 10, 0.5, drop_prob=0.1)


def test_windows_that_hold_less_than_the_target_are_reported():
    sampler = SeTaSampler.for_target(N, 10, 0.95, scale=0.2)
    sampler.record(np.arange(N), LOSSES)
    for epoch in range(1, 8):
        sampler.set_epoch(epoch)
        assert len(sampler) == SIZES[epoch % 5]  # all of the window, which is not enough
    sampler.set_epoch(8)
    assert len(sampler) == N
    with pytest.warns(UserWarning, match="the run takes 0.* of the draws of full epochs, and was"):
        sampler.set_epoch(9)


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"drop_prob": 1.0}, ValueError, r"drop_prob must be in \[0, 1\), got 1.0"),
        ({"drop_prob": -0.1}, ValueError, r"drop_prob must be in \[0, 1\), got -0.1"),
        ({"num_groups": 0}, ValueError, r"num_groups must be in \[1, 101\), got 0"),
        ({"num_groups": 101}, ValueError, r"num_groups must be in \[1, 101\), got 101"),
        ({"num_groups": 2.5}, TypeError, "num_groups must be an int, got 2.5"),
        ({"scale": 0.0}, ValueError, r"scale must be in \(0, 1\], got 0.0"),
        ({"scale": 1.1}, ValueError, r"scale must be in \(0, 1\], got 1.1"),
        ({"anneal_fraction": 2}, ValueError, r"anneal_fraction must be in \[0, 1\], got 2"),
        ({"score_ema": 0.0}, ValueError, r"score_ema must be in \(0, 1\], got 0.0"),
        ({"num_epochs": 0}, ValueError, "num_epochs must be >= 1, got 0"),
        ({"data_source": 0}, ValueError, r"data_source must be in \[1, .*\), got 0"),
    ],
)
def test_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        SeTaSampler(**{"data_source": 10, "num_epochs": 5, **arguments})
