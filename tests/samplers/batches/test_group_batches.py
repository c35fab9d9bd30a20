import numpy as np
import pytest
import torch
from batch_helpers import check_fingerprints, check_loader, each_check, of_epoch
from helpers import assert_hits
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sampling.samplers import GroupBatchSampler

N = 103
RANDOM = np.random.default_rng(0)
GROUPS = RANDOM.integers(0, 23, N)
some = settings(deadline=None, derandomize=True, max_examples=60)

FACTORIES = {
    "one": lambda **o: GroupBatchSampler(GROUPS, **o),
    "three": lambda **o: GroupBatchSampler(GROUPS, 3, **o),
    "whole batches only": lambda **o: GroupBatchSampler(GROUPS, 4, drop_last=True, **o),
}
each_factory = pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)


@each_factory
@each_check
def test_contract(factory, check):
    check(factory)


@pytest.mark.slow
def test_loader():
    check_loader(FACTORIES["three"], N)


def test_other_arguments_are_another_sampler():
    check_fingerprints(
        lambda: GroupBatchSampler(GROUPS),
        lambda: GroupBatchSampler(GROUPS, 2),
        lambda: GroupBatchSampler(GROUPS, 2, drop_last=True),
        lambda: GroupBatchSampler(GROUPS, 2, seed=1),
        lambda: GroupBatchSampler(np.roll(GROUPS, 1), 2),
        lambda: GroupBatchSampler(GROUPS[:-1], 2),
    )


@some
@given(
    st.lists(st.integers(-1, 6), min_size=1, max_size=40),
    st.integers(1, 9),
    st.integers(0, 2**64 - 1),
)
@example([0], 1, 0)
@example([3, -1], 5, 0)
@example([0, 1, 2, 3], 2, 0)
def test_batches_are_whole_groups(groups, per_batch, seed):
    if max(groups) < 0:
        return
    groups = np.array(groups)
    batches = GroupBatchSampler(groups, per_batch, seed=seed)
    drawn = list(batches)
    met = []
    for batch in drawn:
        here = groups[batch]
        order = here[np.append(True, here[1:] != here[:-1])]
        assert np.unique(order).size == order.size  # side by side
        for group in order:
            members = np.flatnonzero(groups == group)
            np.testing.assert_array_equal(np.array(batch)[here == group], members)
        met.extend(order.tolist())
    assert sorted(met) == np.unique(groups[groups >= 0]).tolist()
    assert {len(np.unique(groups[batch])) for batch in drawn[:-1]} <= {per_batch}
    assert batches.num_batches == -(-len(met) // per_batch) == len(batches)
    assert batches.sampler.length(0) == sum(map(len, drawn)) == np.count_nonzero(groups >= 0)


def test_groups_come_in_any_order():
    batches = GroupBatchSampler([0, 1, 1, 2])
    orders = [tuple(batch[0] for batch in of_epoch(lambda: batches, e)) for e in range(6000)]
    names, hits = np.unique(orders, axis=0, return_counts=True)
    assert len(names) == 6
    assert_hits(hits, 6000, 1 / 6)


def test_names_of_groups_are_free():
    texts = ["b", "a", "b", "c"]
    assert sorted(GroupBatchSampler(texts)) == [[0, 2], [1], [3]]
    assert sorted(GroupBatchSampler(np.array([10**12, 5, 10**12, -1]))) == [[0, 2], [1]]


# ---- drop_last -----------------------------------------------------------------------------------


def test_drop_last_leaves_out_the_last_groups_others_each_epoch():
    groups = np.repeat(np.arange(7), [1, 2, 3, 4, 5, 6, 7])
    batches = GroupBatchSampler(groups, 3, drop_last=True)
    left_out = np.zeros(7, int)
    for epoch in range(3000):
        order = batches.indices(epoch)
        present = np.unique(groups[order])
        assert present.size == 6
        left_out[np.setdiff1d(np.arange(7), present)] += 1
        assert batches.sampler.length(epoch) == order.size
    assert_hits(left_out, 3000, 1 / 7)
    assert batches.expected_samples(40) == sum(batches.indices(e).size for e in range(40))


def test_drop_last_changes_nothing_where_groups_come_out_even():
    groups = np.arange(12) // 2
    kept = of_epoch(lambda **o: GroupBatchSampler(groups, 3, **o), 2, drop_last=True)
    assert kept == of_epoch(lambda: GroupBatchSampler(groups, 3), 2)


# ---- weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("objective", ["sampled", "original"])
def test_all_weights_are_1(drop_last, objective):
    groups = np.array([0, 0, 1, -1, 2, 2, 2])
    batches = GroupBatchSampler(groups, 2, drop_last=drop_last, objective=objective)
    drawn = np.concatenate(list(batches))
    np.testing.assert_array_equal(batches.weights_for(drawn), 1)
    np.testing.assert_allclose(batches.importance_weights(drawn), 1)
    losses = torch.rand(drawn.size)
    assert torch.isclose(batches.reduce(losses, drawn), losses.mean())
    with pytest.raises(ValueError, match="indices must be draws of epoch 0, got 3"):
        batches.reduce(torch.ones(1), [3])


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([-1, -1],), ValueError, "groups must label at least one sample"),
        (([],), ValueError, "groups must not be empty"),
        (([0, -2],), ValueError, "groups must be >= 0, or -1 .* got -2 in row 1"),
        (([[0, 1]],), ValueError, "groups must have shape"),
        (([0, 1], 0), ValueError, "groups_per_batch must be >= 1, got 0"),
        (([0, 1], 1.5), TypeError, "groups_per_batch must be an int, got 1.5"),
    ],
)
def test_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        GroupBatchSampler(*arguments)


def test_an_epoch_without_batches_is_refused():
    with pytest.raises(ValueError, match="groups_per_batch must be at most 2.*got 3"):
        GroupBatchSampler([0, 1], 3, drop_last=True)


def test_attributes():
    batches = GroupBatchSampler(GROUPS, 3, seed=5)
    assert (batches.batch_size, batches.groups_per_batch) == (None, 3)
    assert (batches.seed, batches.rank, batches.num_replicas) == (5, 0, 1)
    assert not batches.dynamic
