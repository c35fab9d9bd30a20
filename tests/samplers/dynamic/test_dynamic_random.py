import numpy as np
import pytest
import torch
from helpers import assert_hits, assert_mean, dealt

from sampling.samplers import DynamicRandomSampler, InfoBatchSampler

N = 30


@pytest.mark.parametrize("num_epochs", [1, 2, 3, 8, 10, 90])
@pytest.mark.parametrize("anneal_fraction", [0.0, 0.125, 0.3, 1.0])
def test_has_the_schedule_of_infobatch(num_epochs, anneal_fraction):
    ours = DynamicRandomSampler(N, num_epochs, anneal_fraction=anneal_fraction)
    theirs = InfoBatchSampler(N, num_epochs, anneal_fraction=anneal_fraction)
    assert ours.pruning_epochs == theirs.pruning_epochs
    for epoch in {0, 1, num_epochs - 1} & set(range(num_epochs)):
        ours.set_epoch(epoch)
        assert len(ours) == (N // 2 if epoch in ours.pruning_epochs else N)


@pytest.mark.parametrize("drop_prob", [0.0, 0.3, 0.5, 0.9, 0.999])
def test_leaves_out_an_exact_part(drop_prob):
    sampler = DynamicRandomSampler(100, 10, drop_prob=drop_prob)
    kept = max(1, int((1 - drop_prob) * 100 + 1e-9))
    for epoch in range(1, 8):
        order = dealt(sampler, epoch)
        assert np.unique(order).size == order.size == len(sampler) == kept
    assert sampler.expected_samples() == 300 + 7 * kept


def test_every_sample_is_left_out_equally_often_and_afresh():
    epochs = 2000
    sampler = DynamicRandomSampler(N, epochs + 1, drop_prob=0.6, anneal_fraction=0.0, seed=1)
    kept = np.stack(
        [np.bincount(dealt(sampler, epoch), minlength=N) for epoch in range(1, epochs + 1)]
    )
    assert_hits(kept.sum(axis=0), epochs, 12 / N)
    assert_hits((kept[1::2] & kept[::2]).sum(axis=0), epochs // 2, (12 / N) ** 2)
    pairs = (kept.T @ kept)[np.triu_indices(N, 1)]
    assert_hits(pairs, epochs, 12 * 11 / (N * (N - 1)))


def test_losses_do_not_matter():
    watched, blind = (DynamicRandomSampler(N, 10, seed=2) for _ in range(2))
    watched.record(np.arange(N), np.arange(float(N)))
    for epoch in range(10):
        np.testing.assert_array_equal(dealt(watched, epoch), dealt(blind, epoch))
    watched.record([0, 1], [np.nan, 1.0])
    assert watched.num_nonfinite == 1


def test_share_thins_a_random_part_only():
    """The share that InfoBatch measures gives its weights to random samples."""
    size, epochs = 200, 2000
    sampler = DynamicRandomSampler(
        size, epochs + 1, drop_prob=0.5, share=0.6, anneal_fraction=0.0, objective="original"
    )
    weights = np.zeros((epochs, size))
    for epoch in range(1, epochs + 1):
        order = dealt(sampler, epoch)
        weights[epoch - 1, order] = sampler.weights_for(order)
    # Of 120 easy samples 60 are kept, with weight 2; the others all, with weight 1.
    np.testing.assert_array_equal((weights == 0).sum(axis=1), 60)
    np.testing.assert_array_equal((weights == 1).sum(axis=1), 80)
    np.testing.assert_array_equal((weights == 2).sum(axis=1), 60)
    for weight, part in ((0, 0.3), (1, 0.4), (2, 0.3)):
        assert_hits((weights == weight).sum(axis=0), epochs, part)
    again = (weights[1::2] == 0) & (weights[::2] == 0)
    assert_hits(again.sum(axis=0), epochs // 2, 0.09)


def test_weights_of_both_objectives():
    sampled = DynamicRandomSampler(N, 10, drop_prob=0.4, seed=3)
    original = DynamicRandomSampler(N, 10, drop_prob=0.4, seed=3, objective="original")
    for sampler in (sampled, original):
        order = dealt(sampler, 1)
        assert order.size == 18
        np.testing.assert_allclose(sampler.importance_weights(order), 1, rtol=1e-6)
        weight = 1 if sampler is sampled else N / 18
        np.testing.assert_allclose(sampler.weights_for(order), weight, rtol=1e-6)
        sampler.set_epoch(9)  # annealing
        np.testing.assert_array_equal(sampler.weights_for(np.arange(N)), 1)


def test_epoch_sum_is_unbiased_under_original():
    losses = np.random.default_rng(1).exponential(size=N)
    epochs = 600
    sampler = DynamicRandomSampler(
        N, epochs + 1, drop_prob=0.7, share=0.8, anneal_fraction=0.0, objective="original"
    )
    sums = []
    for epoch in range(1, epochs + 1):
        order = dealt(sampler, epoch)
        mean = sampler.reduce(torch.tensor(losses[order]), order)
        sums.append(float(mean) * order.size)
    assert_mean(sums, losses.sum())


@pytest.mark.parametrize("target", [1.0, 0.75, 0.5])
def test_for_target_takes_what_it_says(target):
    """Its share of easy samples is known: nothing has to be assumed."""
    sampler = DynamicRandomSampler.for_target(1000, 10, target)
    assert sampler.expected_samples() == pytest.approx(10_000 * target, abs=10)
    drawn = sum(len(dealt(sampler, epoch)) for epoch in range(10))
    assert drawn == pytest.approx(10_000 * target, abs=10)


def test_matches_infobatch_at_equal_cost():
    sampler = DynamicRandomSampler.for_target(1000, 10, 0.6, below_mean=1.0)
    assert sampler.expected_samples() == pytest.approx(6000, abs=10)
    with pytest.raises(ValueError, match="keep is unreachable: must be >= 0.370"):
        DynamicRandomSampler.for_target(1000, 10, 0.3, below_mean=1.0)


def test_one_sample():
    sampler = DynamicRandomSampler(1, 4, drop_prob=0.9)
    for epoch in range(4):
        assert dealt(sampler, epoch).tolist() == [0]


def test_any_epoch_is_known_in_advance_and_a_light_state_is_enough():
    sampler = DynamicRandomSampler(60, 8, drop_prob=0.3)
    assert [sampler.length(epoch) for epoch in (0, 3, 7)] == [60, 42, 60]
    sampler.set_epoch(5)
    resumed = DynamicRandomSampler(60, 8, drop_prob=0.3)
    resumed.load_state_dict(sampler.state_dict(consumed=10))
    assert list(resumed) == sampler.indices(5)[10:].tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"drop_prob": 1.0}, r"drop_prob must be in \[0, 1\), got 1.0"),
        ({"share": 0.0}, r"share must be in \(0, 1\], got 0.0"),
        ({"share": 1.1}, r"share must be in \(0, 1\], got 1.1"),
        ({"anneal_fraction": -0.1}, r"anneal_fraction must be in \[0, 1\], got -0.1"),
        ({"num_epochs": 0}, "num_epochs must be >= 1, got 0"),
        ({"data_source": -1}, r"data_source must be in \[1, .*\), got -1"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        DynamicRandomSampler(**{"data_source": 10, "num_epochs": 5, **arguments})
