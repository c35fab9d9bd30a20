import numpy as np
import pytest
import torch
from helpers import assert_hits, dealt

from sampling.errors import StateError
from sampling.samplers import SelfPacedSampler, load_state, save_state

N = 40
LOSSES = np.random.default_rng(0).exponential(size=N).astype(np.float32)
RANKS = np.argsort(np.argsort(LOSSES))


def scored(losses=LOSSES, num_epochs=10, **arguments):
    """A sampler that has seen every loss, in epoch 0."""
    sampler = SelfPacedSampler(len(losses), num_epochs, **arguments)
    sampler.record(np.arange(len(losses)), losses)
    return sampler


def counts_by_hand(size, epochs, start, growth):
    """lambda <- mu lambda, on the part that is kept."""
    part, counts = start, []
    for _ in range(epochs):
        counts.append(min(size, max(1, int(part * size + 0.5))))
        part *= growth
    return counts


# ---- the pace ------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [0.01, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("growth", [1.01, 1.3, 50.0])
def test_keeps_the_easiest_of_a_part_that_grows(start, growth):
    sampler = scored(start=start, growth=growth, anneal_fraction=0.2)
    assert sampler.pruning_epochs == range(1, 8)
    wanted = [N, *counts_by_hand(N, 7, start, growth), N, N]
    assert sampler.expected_samples() == sum(wanted)
    for epoch, count in enumerate(wanted):
        assert sorted(RANKS[dealt(sampler, epoch)]) == list(range(count))
    assert sampler.expected_samples() == sum(wanted)


@pytest.mark.parametrize("num_epochs", [2, 3, 9, 60])
def test_by_default_the_part_is_whole_when_annealing_begins(num_epochs):
    sampler = scored(np.arange(500.0), num_epochs=num_epochs, start=0.3)
    epochs = len(sampler.pruning_epochs)
    growth = 0.3 ** (-1 / max(epochs, 1))
    counts = [dealt(sampler, epoch).size for epoch in sampler.pruning_epochs]
    assert counts == counts_by_hand(500, epochs, 0.3, growth)
    assert all(count < 500 for count in counts)
    assert dealt(sampler, epochs + 1).size == 500


def test_what_is_left_out_comes_back_with_the_loss_it_had():
    sampler = scored(np.array([0.0, 1, 2, 3]), start=0.5, growth=1.5, anneal_fraction=0.0)
    assert sorted(dealt(sampler, 1)) == [0, 1]
    sampler.record([0, 1], [9.0, 8.0])  # they got harder than all that was left out
    assert sorted(dealt(sampler, 2)) == [1, 2, 3]
    sampler.record([3], [0.5])
    assert sorted(dealt(sampler, 3)) == [0, 1, 2, 3]


def test_score_ema():
    sampler = scored(np.array([0.0, 4.0]), start=0.5, growth=1.01, score_ema=0.25)
    sampler.record([0, 1], [4.0, 0.0])
    np.testing.assert_array_equal(sampler.scores, [1, 3])
    assert dealt(sampler, 1).tolist() == [0]


# ---- ties, unseen, nothing to keep ---------------------------------------------------------------


def test_ties_are_broken_by_lot():
    seeds = 2000
    kept = np.zeros(6)
    for seed in range(seeds):
        order = dealt(scored(np.array([0, 1, 1, 1, 1, 2.0]), start=0.5, seed=seed), 1)
        assert order.size == 3
        kept[order] += 1
    assert_hits(kept, seeds, np.array([1, 0.5, 0.5, 0.5, 0.5, 0]))


@pytest.mark.parametrize("value", [0.0, 2.5, -1.0])
def test_equal_losses_keep_a_random_part(value):
    order = dealt(scored(np.full(N, value), start=0.25), 1)
    assert np.unique(order).size == order.size == 10


@pytest.mark.parametrize("size", [1, 2, 3])
def test_an_epoch_is_never_empty(size):
    sampler = scored(np.arange(float(size)), start=1e-6, growth=1.0001)
    for epoch in range(1, 8):
        assert dealt(sampler, epoch).tolist() == [0]


def test_samples_never_seen_are_kept():
    sampler = SelfPacedSampler(N, 10, start=0.5, growth=1.1)
    sampler.record(np.arange(30), LOSSES[:30])
    sampler.record([0], [np.nan])  # counted, not stored
    order = dealt(sampler, 1)
    assert sampler.num_nonfinite == 1
    assert order.size == 20
    assert set(order) >= set(range(30, 40))
    assert set(order) - set(range(30, 40)) == set(np.argsort(LOSSES[:30])[:10])
    many = SelfPacedSampler(N, 10, start=0.1)
    many.record([3], [0.5])
    assert set(dealt(many, 1)) == set(range(N)) - {3}  # more than the part
    nothing = SelfPacedSampler(N, 10, start=0.1)
    assert dealt(nothing, 1).size == N


# ---- what a run costs ----------------------------------------------------------------------------


@pytest.mark.parametrize("target", [1.0, 0.8, 0.6])
@pytest.mark.parametrize("growth", [None, 1.05, 1.2])
def test_for_target_takes_what_it_says(target, growth):
    sampler = SelfPacedSampler.for_target(1000, 12, target, growth=growth, anneal_fraction=0.0)
    assert sampler.expected_samples() == pytest.approx(12_000 * target, abs=12)
    sampler.record(np.arange(1000), np.random.default_rng(1).normal(size=1000))
    counts = [dealt(sampler, epoch).size for epoch in range(12)]
    assert sum(counts) == pytest.approx(12_000 * target, abs=12)
    assert counts[1:] == sorted(counts[1:])  # it still grows


def test_for_target_makes_up_for_epochs_that_took_too_much():
    sampler = SelfPacedSampler.for_target(1000, 12, 0.6, anneal_fraction=0.0)
    sampler.record(np.arange(300), np.arange(300.0))  # 700 are not seen, and kept
    counts = [1000, dealt(sampler, 1).size]
    assert counts[1] >= 700
    sampler.record(sampler.indices(1), sampler.indices(1).astype(float))
    assert not np.isnan(sampler.scores).any()
    counts += [dealt(sampler, epoch).size for epoch in range(2, 12)]
    assert sum(counts) == pytest.approx(7200, abs=12)
    assert counts[2:] == sorted(counts[2:])


def test_for_target_says_what_cannot_be_reached():
    with pytest.raises(ValueError, match=r"unreachable: must be >= 0\.\d+ .* got 0.2"):
        SelfPacedSampler.for_target(1000, 12, 0.2)
    with pytest.raises(ValueError, match="unreachable"):
        SelfPacedSampler.for_target(1000, 12, 0.9, growth=1000.0)
    assert SelfPacedSampler.for_target(10, 1, 1.0).expected_samples() == 10
    with pytest.raises(ValueError, match="unreachable: must be >= 1.000"):
        SelfPacedSampler.for_target(10, 1, 0.9)


# ---- weights, resume, bad input ------------------------------------------------------------------


def test_has_no_importance_weights():
    with pytest.raises(ValueError, match="samples with high losses are certain to be excluded"):
        SelfPacedSampler(N, 10, objective="original")
    sampler = scored(start=0.5)
    order = dealt(sampler, 1)
    with pytest.raises(ValueError, match="certain to be excluded"):
        sampler.importance_weights(order)
    losses = torch.arange(float(order.size))
    assert sampler.reduce(losses, order) == losses.mean()
    with pytest.raises(ValueError, match="indices must be draws of epoch 1"):
        sampler.reduce(torch.ones(1), [int(np.argmax(LOSSES))])


def test_a_run_goes_on_where_it_was_saved(tmp_path):
    def go_on(sampler):
        orders = []
        for epoch in range(2, 6):
            orders.append(dealt(sampler, epoch).tolist())
            sampler.record(orders[-1], np.cos(np.array(orders[-1]) * epoch))
        return orders

    sampler = SelfPacedSampler.for_target(N, 10, 0.7, seed=3)
    sampler.record(np.arange(N), LOSSES)
    rest = dealt(sampler, 1)[7:].tolist()
    sampler.record(sampler.indices(1)[:7], np.zeros(7))
    save_state(sampler, tmp_path / "s", consumed=7)
    resumed = SelfPacedSampler.for_target(N, 10, 0.7, seed=3)
    load_state(resumed, tmp_path / "s")
    assert list(resumed) == rest
    assert go_on(resumed) == go_on(sampler)
    for other in ({"start": 0.4}, {"growth": 1.2}):
        with pytest.raises(StateError, match="of the same data and arguments"):
            load_state(SelfPacedSampler(N, 10, seed=3, **other), tmp_path / "s")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": 0.0}, r"start must be in \(0, 1\], got 0.0"),
        ({"start": 1.1}, r"start must be in \(0, 1\], got 1.1"),
        ({"growth": 1.0}, r"growth must be in \(1, inf\), got 1.0"),
        ({"growth": np.inf}, r"growth must be in \(1, inf\), got inf"),
        ({"num_epochs": 0}, "num_epochs must be >= 1, got 0"),
        ({"data_source": []}, "data_source must not be empty, got length 0"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        SelfPacedSampler(**{"data_source": 10, "num_epochs": 5, **arguments})
