from collections import deque

import numpy as np
import pytest
import torch
from helpers import assert_hits, assert_mean, counts_of, epochs_of

from sampling.samplers import RepeatedSubsetSampler
from sampling.samplers.core._permutation import Permutation

# (N, m): every way a window can lie in a run of shuffles, m > N / 2 and m = N - 1 among them.
CASES = [(n, m) for n in range(1, 13) for m in range(1, n + 1)]
CASES += [(100, 1), (100, 7), (100, 50), (100, 51), (100, 67), (100, 99), (97, 64), (1000, 301)]


def make(n, m, **options):
    sampler = RepeatedSubsetSampler(n, m / n, **options)
    assert sampler.num_samples == m
    return sampler


def walk(n, m, rounds, shuffle_of):
    """RS2 by hand: a list that is refilled from the next shuffle when it runs out.

    shuffle_of : number of a pass -> its raw shuffle, a list
    """
    left, passes, found = deque(shuffle_of(0)), 1, []
    for _ in range(rounds):
        taken = [left.popleft() for _ in range(min(m, len(left)))]
        if len(taken) < m:
            fresh = deque(shuffle_of(passes))
            passes += 1
            have, deferred = set(taken), []
            while len(taken) < m:
                sample = fresh.popleft()
                if sample in have:
                    deferred.append(sample)
                else:
                    taken.append(sample)
            left = deque(deferred + list(fresh))
        found.append(taken)
    return found


def raw_shuffles(sampler, stratum=0):
    run = sampler._runs[stratum]
    return lambda number: run._raw(number)(np.arange(run.size)).tolist()


# ---- without replacement -------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m"), CASES)
def test_rounds_are_those_of_a_walk(n, m):
    sampler = make(n, m, seed=n * 100 + m)
    expected = walk(n, m, 60, raw_shuffles(sampler))
    found = epochs_of(sampler, 60)
    assert [set(each) for each in found] == [set(each) for each in expected]
    assert all(each.size == m == len(set(each)) for each in found)


@pytest.mark.parametrize(("n", "m"), CASES)
def test_every_sample_is_used_before_any_is_used_again(n, m):
    used = np.cumsum(counts_of(make(n, m, seed=3), 50), axis=0)
    assert (used.max(axis=1) - used.min(axis=1) <= 1).all()


@pytest.mark.parametrize(("n", "m"), [(10, 3), (10, 4), (7, 5), (5, 4)])
def test_samples_passed_over_at_a_wrap_come_right_after(n, m):
    """Concatenated, each N draws of a walk hold the whole dataset; so do ours, wherever cut."""
    for seed in range(50):
        draws = np.concatenate(epochs_of(make(n, m, seed=seed), n * 4))
        for start in range(0, draws.size - n + 1, n):
            assert len(set(draws[start : start + n])) == n


@pytest.mark.parametrize(("n", "m"), [(10, 3), (10, 9), (100, 99), (97, 64), (12, 7), (30, 30)])
def test_round_50_is_the_same_by_walking_and_at_once(n, m):
    walked = epochs_of(make(n, m, seed=9), 60)
    fresh = make(n, m, seed=9)
    for epoch in (50, 49, 51, 3, 59, 0, 50):
        np.testing.assert_array_equal(fresh.indices(epoch), walked[epoch])
    once = make(n, m, seed=9)
    once.set_epoch(50)
    assert list(once) == walked[50].tolist()


def test_shuffles_above_65536_need_no_list():
    sampler = make(70_000, 40_000, seed=1)
    rounds = [set(each.tolist()) for each in epochs_of(sampler, 4)]
    assert all(len(each) == 40_000 for each in rounds)
    assert len(rounds[0] | rounds[1]) == 70_000
    fresh = make(70_000, 40_000, seed=1)
    assert set(fresh.indices(3).tolist()) == rounds[3]


def test_far_rounds_are_reached_at_once():
    sampler = RepeatedSubsetSampler(10**9, 1e-6, seed=2)
    assert np.unique(sampler.indices(10**8 + 7)).size == 1000


def test_each_round_is_a_uniform_subset():
    seeds, n, m = 1500, 10, 4
    for epoch in (0, 2):  # round 2 wraps: two samples of one shuffle, two of the next
        chosen = np.stack(
            [np.bincount(make(n, m, seed=s).indices(epoch), minlength=n) for s in range(seeds)]
        )
        assert_hits(chosen.sum(axis=0), seeds, m / n)
        pairs = (chosen.T @ chosen)[np.triu_indices(n, 1)]
        assert_hits(pairs, seeds, m * (m - 1) / (n * (n - 1)))


def test_passes_are_different_shuffles():
    rounds = epochs_of(make(12, 12), 20)
    assert len({tuple(each) for each in rounds}) == 20


def test_the_walk_uses_what_the_package_calls_a_shuffle():
    """The oracle's raw shuffles are permutations, one for each pass."""
    shuffles = raw_shuffles(make(9, 4))
    assert all(sorted(shuffles(number)) == list(range(9)) for number in range(5))
    assert len({tuple(shuffles(number)) for number in range(5)}) == 5
    assert isinstance(make(9, 4)._runs[0]._raw(0), Permutation)


# ---- with replacement ----------------------------------------------------------------------------


def test_with_replacement_rounds_are_independent():
    rounds, n, m = 3000, 20, 8
    chosen = counts_of(make(n, m, replacement=True, seed=4), rounds)
    assert chosen.max() == 1
    assert (chosen.sum(axis=1) == m).all()
    assert_hits(chosen.sum(axis=0), rounds, m / n)
    shared = (chosen[1:] * chosen[:-1]).sum(axis=1)
    assert_mean(shared, m * m / n)  # of hypergeometric overlap
    again = (chosen[1::2] * chosen[::2]).sum(axis=0)  # disjoint pairs of rounds
    assert_hits(again, rounds // 2, (m / n) ** 2)
    without = counts_of(make(n, m, seed=4), 2)
    assert (without[0] * without[1]).sum() == 0


# ---- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "keep", "m"),
    [
        (10, 0.3, 3),
        (10, 0.25, 3),
        (10, 0.24, 2),
        (10, 0.01, 1),
        (1, 1.0, 1),
        (1, 0.2, 1),
        (7, 1, 7),
    ],
)
def test_round_size_is_rounded_half_up_and_at_least_one(n, keep, m):
    sampler = RepeatedSubsetSampler(n, keep)
    assert len(sampler) == m
    assert sampler.expected_samples(6) == 6 * m


LABELS = np.random.default_rng(0).permutation(np.repeat([3, 5, 8, 9], [50, 11, 3, 1]))


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("keep", [0.1, 0.3, 0.5, 0.7, 1.0])
def test_stratified_sizes(keep, replacement):
    sampler = RepeatedSubsetSampler(65, keep, labels=LABELS, replacement=replacement, seed=5)
    wanted = [max(1, int(keep * size + 0.5)) for size in (50, 11, 3, 1)]
    for order in epochs_of(sampler, 20):
        assert [np.count_nonzero(LABELS[order] == c) for c in (3, 5, 8, 9)] == wanted
        assert np.unique(order).size == order.size == sum(wanted)


def test_each_stratum_is_walked_by_itself():
    sampler = RepeatedSubsetSampler(65, 0.6, labels=LABELS, seed=6)
    found = epochs_of(sampler, 40)
    for stratum, label in enumerate((3, 5, 8, 9)):
        members = np.flatnonzero(label == LABELS)
        m = max(1, int(0.6 * members.size + 0.5))
        expected = walk(members.size, m, 40, raw_shuffles(sampler, stratum))
        for order, rows in zip(found, expected, strict=True):
            assert set(order[LABELS[order] == label]) == set(members[rows])


def test_stratified_order_mixes_the_classes():
    labels = np.repeat([0, 1], 6)
    sampler = RepeatedSubsetSampler(12, 0.5, labels=labels)
    first = np.array([labels[order[0]] for order in epochs_of(sampler, 2000)])
    assert_hits(np.bincount(first), 2000, 1 / 2)


def test_stratified_leaves_out_the_unlabelled():
    labels = LABELS.copy()
    labels[labels == 5] = -1
    sampler = RepeatedSubsetSampler(65, 0.5, labels=labels)
    drawn = np.concatenate(epochs_of(sampler, 10))
    assert set(labels[drawn]) == {3, 8, 9}
    with pytest.raises(ValueError, match="indices must be draws of epoch 0"):
        sampler.weights_for(np.flatnonzero(labels == -1)[:1])


def test_weights_undo_the_rounding_of_small_classes():
    sampler = RepeatedSubsetSampler(65, 0.3, labels=LABELS)
    np.testing.assert_array_equal(sampler.weights_for(np.arange(65)), 1)
    sizes = np.array([50, 11, 3, 1])
    taken = np.array([15, 3, 1, 1])
    weights = sampler.importance_weights([np.flatnonzero(c == LABELS)[0] for c in (3, 5, 8, 9)])
    np.testing.assert_allclose(weights, taken.sum() * sizes / (65 * taken), rtol=1e-6)
    losses = np.arange(65.0)
    original = RepeatedSubsetSampler(65, 0.3, labels=LABELS, objective="original", seed=1)
    means = []
    for epoch in range(500):
        original.set_epoch(epoch)
        order = original.indices(epoch)
        means.append(float(original.reduce(torch.tensor(losses[order]), order)))
    # Rounds repel each other, so the mean is nearer than the bound for independent ones.
    assert_mean(means, losses.mean())
    plain = RepeatedSubsetSampler(65, 0.3)
    np.testing.assert_array_equal(plain.importance_weights(np.arange(65)), 1)


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((10, 0.0), ValueError, r"keep must be in \(0, 1\], got 0.0"),
        ((10, 1.0001), ValueError, r"keep must be in \(0, 1\], got 1.0001"),
        ((10, -0.5), ValueError, r"keep must be in \(0, 1\], got -0.5"),
        ((10, np.nan), ValueError, r"keep must be in \(0, 1\], got nan"),
        ((10, "half"), TypeError, "keep must be a number, got 'half'"),
        ((0, 0.5), ValueError, r"data_source must be in \[1, .*\), got 0"),
        (([], 0.5), ValueError, "data_source must not be empty, got length 0"),
    ],
)
def test_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        RepeatedSubsetSampler(*arguments)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0] * 9, "labels must have the length of data_source, 10, got 9"),
        ([-1] * 10, "labels must label at least one sample, got -1 in all 10"),
        ([0] * 9 + [-7], "labels must be >= 0, or -1 for unlabelled, got -7 in row 9"),
    ],
)
def test_refuses_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        RepeatedSubsetSampler(10, 0.5, labels=labels)


@pytest.mark.parametrize(
    ("size", "part", "count"), [(10, 0.25, 3), (10, 0.15, 2), (10, 0.34, 3), (3, 0.1, 1)]
)
def test_halves_are_rounded_up_and_a_round_is_never_empty(size, part, count):
    """The released code has Python's `round`: 2, 2, 3 and 0."""
    assert len(RepeatedSubsetSampler(size, part)) == count
    labels = np.repeat([0, 1], size)
    assert len(RepeatedSubsetSampler(2 * size, part, labels=labels)) == 2 * count


def test_quotas_are_the_samples_of_each_class_in_a_round():
    labels = np.repeat(["a", "b", "c"], [60, 30, 10])
    quotas = {"a": 5, "b": 10, "c": 10}
    sampler = RepeatedSubsetSampler(100, labels=labels, quotas=quotas, seed=2)
    assert sampler.keep == 0.25
    for epoch in range(5):
        drawn = labels[sampler.indices(epoch)].tolist()
        assert [drawn.count(name) for name in "abc"] == [5, 10, 10]
    same = RepeatedSubsetSampler(100, 0.25, labels=labels, quotas=quotas, seed=2)
    same.load_state_dict(sampler.state_dict(5))
    with pytest.raises(ValueError, match=r"quotas must add up to 20, .* got 25: omit keep, or"):
        RepeatedSubsetSampler(100, 0.2, labels=labels, quotas=quotas)
    with pytest.raises(TypeError, match="keep must be given, or quotas with labels, got neither"):
        RepeatedSubsetSampler(100, labels=labels)
