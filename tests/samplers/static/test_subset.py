import numpy as np
import pytest
import torch
from helpers import assert_hits, epochs_of

from sampling import Selection
from sampling.samplers import SubsetSampler

CHOSEN = np.array([7, 3, 12, 0, 5])
WEIGHTS = np.array([1.0, 2.0, 3.0, 4.0, 10.0])


def weighted(**options):
    return SubsetSampler(Selection(CHOSEN, weights=WEIGHTS), **options)


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor, Selection])
def test_deals_exactly_the_chosen(kind):
    chosen = kind(CHOSEN.tolist()) if kind is not Selection else Selection(CHOSEN)
    sampler = SubsetSampler(chosen, seed=1)
    assert len(sampler) == 5
    for epoch in range(20):
        assert sorted(sampler.indices(epoch)) == [0, 3, 5, 7, 12]
    assert sampler.objective == "sampled"
    np.testing.assert_array_equal(sampler.weights_for(CHOSEN), np.ones(5))


def test_every_order_is_alike():
    epochs = 4000
    orders = np.stack(epochs_of(SubsetSampler(CHOSEN, seed=2), epochs))
    for position in range(5):
        assert_hits(np.bincount(orders[:, position], minlength=13)[CHOSEN], epochs, 1 / 5)


def test_selection_weights_come_along_with_mean_one():
    sampler = weighted()
    assert sampler.objective == "original"
    given = sampler.weights_for(CHOSEN)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, WEIGHTS / 4, rtol=1e-6)
    np.testing.assert_allclose(sampler.weights_for([0, 3]), [1.0, 0.5])  # by sample, not by place
    assert weighted(objective="sampled").weights_for([5]) == 1.0
    np.testing.assert_array_equal(sampler.importance_weights(CHOSEN), np.ones(5))


def test_the_epoch_sums_to_the_selections_estimate():
    losses = np.random.default_rng(0).normal(size=13)
    sampler = weighted(seed=3)
    order = sampler.indices(0)
    batches = np.split(order, [2])
    total = sum(
        len(each) * float(sampler.reduce(torch.tensor(losses[each]), each)) for each in batches
    )
    assert total / 5 == pytest.approx(losses[CHOSEN] @ WEIGHTS / WEIGHTS.sum(), rel=1e-6)


def test_a_selection_may_hold_a_weight_of_zero():
    """Such a sample is dealt and counts nothing; it is not a sample that was never dealt."""
    sampler = SubsetSampler(Selection(np.array([3, 1]), weights=np.array([0.0, 2.0])))
    assert sorted(sampler.indices(0)) == [1, 3]
    np.testing.assert_array_equal(sampler.weights_for([1, 3]), [2.0, 0.0])
    # What `reduce` does with indices on a device, tried out on the CPU.
    looked_up = sampler._plan(0).loss_weights(torch.tensor([1, 3]), weighted=True)
    np.testing.assert_array_equal(looked_up, [2.0, 0.0])
    sampler.set_epoch(1)  # would raise for an index that was never dealt


def test_one_sample():
    sampler = SubsetSampler([10**12])
    assert list(sampler) == [10**12]
    assert sampler.weights_for([10**12]) == 1.0


def test_the_whole_dataset():
    assert sorted(SubsetSampler(np.arange(6)[::-1])) == list(range(6))
    weights = np.array([1.0, 2.0, 6.0])
    sampler = SubsetSampler(Selection(np.array([2, 0, 1]), weights=weights))
    np.testing.assert_allclose(sampler.weights_for([2, 0, 1]), weights / 3, rtol=1e-6)


def test_the_callers_array_may_change_afterwards():
    given = CHOSEN.copy()
    sampler = SubsetSampler(given)
    given[:] = 1
    assert sorted(sampler) == [0, 3, 5, 7, 12]


def test_a_sample_that_was_not_chosen_is_caught():
    sampler = weighted()
    message = "indices must be draws of epoch 0, got 4 in row 1"
    for call in (sampler.weights_for, sampler.importance_weights):
        with pytest.raises(ValueError, match=message):
            call([3, 4, 6])
    with pytest.raises(ValueError, match=r"indices must be in \[0, 13\), got 13 in row 0"):
        sampler.weights_for([13])


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([], ValueError, "indices must not be empty, got length 0"),
        ([3, 1, 3], ValueError, "indices must hold no index twice, got 3 again in row 2"),
        ([3, -1, -2], ValueError, r"indices must be >= 0, got -1 in row 1 \(2 such rows\)"),
        ([[1, 2]], ValueError, r"indices must have shape \(N,\), got \(1, 2\)"),
        ([1.0, 2.0], TypeError, "indices must hold ints, got dtype float64"),
        ([True, False], TypeError, "indices must hold ints, got bools"),
    ],
)
def test_refuses_indices(indices, error, message):
    with pytest.raises(error, match=message):
        SubsetSampler(indices)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, np.nan], "weights must be finite and >= 0, got nan in row 1"),
        ([1.0, np.inf], "weights must be finite and >= 0, got inf in row 1"),
        ([-1.0, 1.0], "weights must be finite and >= 0, got -1.0 in row 0"),
        ([0.0, 0.0], "weights must not all be 0, got 2 zeros"),
        ([1.0], "weights must have the length of indices, 2, got 1"),
    ],
)
def test_refuses_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        SubsetSampler(Selection(np.array([4, 2]), weights=np.array(weights)))
