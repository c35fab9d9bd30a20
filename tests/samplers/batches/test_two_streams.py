import numpy as np
import pytest
import torch
from batch_helpers import check_fingerprints, check_loader, each_check, of_epoch
from helpers import assert_hits, assert_mean
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sampling.samplers import TwoStreamBatchSampler

N = 103
RANDOM = np.random.default_rng(0)
SECONDARY = RANDOM.choice(N, 17, replace=False)
PRIMARY = np.setdiff1d(np.arange(N), SECONDARY)
some = settings(deadline=None, derandomize=True, max_examples=60)

FACTORIES = {
    "disjoint": lambda **o: TwoStreamBatchSampler(PRIMARY, SECONDARY, 10, 3, **o),
    "overlapping": lambda **o: TwoStreamBatchSampler(np.arange(N), SECONDARY, 16, 8, **o),
    "few labelled": lambda **o: TwoStreamBatchSampler(PRIMARY, SECONDARY[:2], 12, 7, **o),
    "whole batches only": lambda **o: TwoStreamBatchSampler(
        PRIMARY, SECONDARY, 10, 3, drop_last=True, **o
    ),
}
each_factory = pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)


@each_factory
@each_check
def test_contract(factory, check):
    check(factory)


@pytest.mark.slow
def test_loader():
    check_loader(FACTORIES["disjoint"], N)


def test_other_arguments_are_another_sampler():
    check_fingerprints(
        lambda: TwoStreamBatchSampler(PRIMARY, SECONDARY, 10, 3),
        lambda: TwoStreamBatchSampler(SECONDARY, PRIMARY, 10, 3),
        lambda: TwoStreamBatchSampler(PRIMARY[::-1], SECONDARY, 10, 3),
        lambda: TwoStreamBatchSampler(PRIMARY, SECONDARY[::-1], 10, 3),
        lambda: TwoStreamBatchSampler(PRIMARY, SECONDARY, 10, 4),
        lambda: TwoStreamBatchSampler(PRIMARY, SECONDARY, 11, 3),
        lambda: TwoStreamBatchSampler(PRIMARY, SECONDARY, 10, 3, drop_last=True),
        lambda: TwoStreamBatchSampler(PRIMARY, SECONDARY, 10, 3, seed=1),
    )


rows = st.lists(st.integers(0, 30), min_size=1, max_size=25, unique=True)


@some
@given(rows, rows, st.integers(2, 9), st.data(), st.booleans())
@example([0], [0], 2, None, False)
@example([3, 4], [30], 4, None, False)
def test_every_batch_ends_with_its_secondary_samples(primary, secondary, size, data, drop_last):
    low = data.draw(st.integers(1, size - 1)) if data else 1
    each = size - low
    if drop_last and len(primary) < each:
        return
    batches = TwoStreamBatchSampler(primary, secondary, size, low, drop_last=drop_last)
    whole, run = [], []
    for epoch in range(3):
        drawn = of_epoch(lambda: batches, epoch)
        first = [batch[:-low] for batch in drawn]
        assert [len(part) for part in first[:-1]] == [each] * (len(drawn) - 1)
        assert 1 <= len(first[-1]) <= each
        assert len(drawn) == batches.num_batches == len(batches)
        passed = sum(first, [])
        assert len(set(passed)) == len(passed)
        if not drop_last:
            assert sorted(passed) == sorted(primary)
        assert set(passed) <= set(primary)
        assert len(primary) - len(passed) < (each if drop_last else 1)
        whole.append(drawn)
        run.extend(sum((batch[-low:] for batch in drawn), []))
    for start in range(0, len(run) - len(secondary) + 1, len(secondary)):
        assert sorted(run[start : start + len(secondary)]) == sorted(secondary)  # across epochs too


def test_any_epoch_is_reached_at_once():
    far = 10**15
    batches = TwoStreamBatchSampler(PRIMARY, SECONDARY, 10, 3)
    epochs = [of_epoch(lambda: batches, epoch) for epoch in range(far, far + 18)]
    run = np.concatenate([batch[-3:] for drawn in epochs for batch in drawn])
    start = -far * 3 * batches.num_batches % SECONDARY.size  # the next shuffle begins here
    for at in range(start, run.size - SECONDARY.size, SECONDARY.size):
        np.testing.assert_array_equal(np.sort(run[at : at + SECONDARY.size]), np.sort(SECONDARY))
    for epoch in (2**62, 2**63 + 1, 2**64 - 1):
        assert len(of_epoch(lambda: batches, epoch)) == batches.num_batches


@pytest.mark.parametrize("seed", range(10))
def test_the_run_begins_again_where_a_shuffle_ends(seed):
    batches = TwoStreamBatchSampler([0], [1, 2, 3], 2, 1, seed=seed)  # one draw an epoch
    period = 2**62 // 3 * 3
    run = [batches.indices(epoch)[1] for epoch in range(period - 3, period + 3)]
    assert sorted(run[:3]) == sorted(run[3:]) == [1, 2, 3]


def test_both_streams_are_shuffled():
    batches = TwoStreamBatchSampler([0, 1, 2], [3, 4], 3, 1)
    drawn = np.array([of_epoch(lambda: batches, epoch)[0] for epoch in range(6000)])
    names, hits = np.unique(drawn[:, :2], axis=0, return_counts=True)
    assert len(names) == 6
    assert_hits(hits, 6000, 1 / 6)
    assert_hits(np.array([np.count_nonzero(drawn[:, 2] == 3)]), 6000, 1 / 2)


def test_one_sample_in_both_streams_comes_in_both_roles():
    batches = TwoStreamBatchSampler(np.arange(6), [2], 3, 1)
    drawn = list(batches)
    assert [batch[-1] for batch in drawn] == [2, 2, 2]
    assert sorted(sum((batch[:-1] for batch in drawn), [])) == list(range(6))


# ---- weights -------------------------------------------------------------------------------------


def test_sampled_counts_every_draw_once():
    batches = FACTORIES["disjoint"]()
    drawn = batches.indices(0)
    np.testing.assert_array_equal(batches.weights_for(drawn), 1)


@pytest.mark.parametrize("name", ["disjoint", "overlapping", "whole batches only"])
def test_original_restores_the_mean_over_all_samples(name):
    batches = FACTORIES[name](objective="original")
    values = torch.from_numpy(np.sin(np.arange(N)))
    known = np.unique(np.concatenate([batches.indices(epoch) for epoch in range(20)]))
    means = []
    for epoch in range(400):
        batches.set_epoch(epoch)
        drawn = batches.indices(epoch)
        means.append(batches.reduce(values[drawn], drawn).item())
    assert_mean(means, values[known].mean().item())


def test_original_is_exact_where_every_sample_comes_equally_often():
    batches = FACTORIES["few labelled"](objective="original")
    values = torch.from_numpy(np.sin(np.arange(N)))
    drawn = batches.indices(0)
    assert np.bincount(drawn)[SECONDARY[:2]].tolist() == [63, 63]
    assert abs(batches.reduce(values[drawn], drawn) - values[np.unique(drawn)].mean()) < 1e-7


def test_importance_weights_are_those_of_the_shares():
    batches = TwoStreamBatchSampler([0, 1, 2, 3], [2, 7], 3, 1)
    drawn = np.array([0, 2, 7])  # 1, 1 + 2 / 2 and 2 / 2 draws expected of 6, over 5 samples
    np.testing.assert_allclose(batches.importance_weights(drawn), 6 / (5 * np.array([1, 2, 1])))
    with pytest.raises(ValueError, match="indices must be draws of epoch 0, got 5"):
        batches.reduce(torch.ones(1), [5])


def test_accelerate_leaves_the_short_batch_as_it_is():
    shards = pytest.importorskip("accelerate.data_loader")
    make = FACTORIES["disjoint"]
    whole = of_epoch(make)
    assert len(whole[-1]) < 10
    shared = [list(shards.BatchSamplerShard(make(), 2, rank)) for rank in (0, 1)]
    assert all(batch in whole for each in shared for batch in each)
    assert all(batch in sum(shared, []) for batch in whole)


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([], [1], 4, 1), ValueError, "primary must not be empty"),
        (([1], [], 4, 1), ValueError, "secondary must not be empty"),
        (([1, 1], [2], 4, 1), ValueError, "primary must hold no index twice, got 1 again in row 1"),
        (([1], [2, -1], 4, 1), ValueError, "secondary must be >= 0, got -1 in row 1"),
        (([1.0], [2], 4, 1), TypeError, "primary must hold ints"),
        (([1], [2], 4, 0), ValueError, r"secondary_batch_size must be in \[1, 4\), got 0"),
        (([1], [2], 4, 4), ValueError, r"secondary_batch_size must be in \[1, 4\), got 4"),
        (([1], [2], 1, 1), ValueError, "batch_size must be >= 2, got 1"),
        (([1], [2], 4.0, 1), TypeError, "batch_size must be an int, got 4.0"),
    ],
)
def test_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        TwoStreamBatchSampler(*arguments)


def test_an_epoch_without_batches_is_refused():
    with pytest.raises(ValueError, match="primary must fill a batch.*3 samples, got 2"):
        TwoStreamBatchSampler([1, 2], [3], 4, 1, drop_last=True)


def test_the_arrays_are_copied():
    primary, secondary = PRIMARY.copy(), SECONDARY.copy()
    batches = TwoStreamBatchSampler(primary, secondary, 10, 3)
    before = of_epoch(FACTORIES["disjoint"], 1)
    primary[:] = secondary[:] = 0
    assert of_epoch(lambda: batches, 1) == before


def test_attributes():
    batches = FACTORIES["whole batches only"](seed=5)
    assert (batches.batch_size, batches.secondary_batch_size) == (10, 3)
    assert batches.seed == 5
    assert TwoStreamBatchSampler(range(8), [8], 5, 1).batch_size == 5
    assert TwoStreamBatchSampler(range(9), [9], 5, 1).batch_size is None  # the last one is short
