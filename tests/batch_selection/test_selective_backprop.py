"""Selective-Backprop in both forms, against slow twins and expectations."""

import math

import numpy as np
import pytest
import torch
from helpers import assert_hits, assert_mean

from sampling.batch_selection import SelectiveBackprop

TRIALS = 1000


def hits_of(selector, losses, trials=TRIALS):
    hits = np.zeros(len(losses))
    for _ in range(trials):
        hits[selector.select(losses).rows.numpy()] += 1
    return hits


def test_batch_form_draws_like_numpy_without_replacement():
    """One of them at a time: the chance is percentile ** (1 / keep - 1)."""
    losses = torch.tensor([3.0, 1.0, 2.0, 0.0])
    percentiles = np.array([3.5, 1.5, 2.5, 0.5]) / 4
    for keep in (1, 0.25):
        chance = percentiles**3
        hits = hits_of(SelectiveBackprop(keep), losses)
        assert_hits(hits, TRIALS, chance / chance.sum())


def test_keeping_everything_keeps_everything():
    assert SelectiveBackprop(1.0).select(torch.arange(5.0)).rows.tolist() == [0, 1, 2, 3, 4]


def test_history_form_throws_a_coin_at_the_place_among_the_last_losses():
    """P = (part of the last R losses that is not above)^beta, the batch among them."""
    earlier, batch = torch.tensor([0.5, 1.5, 2.5, 3.5]), torch.tensor([1.0, 3.0])
    places = np.array([2, 5]) / 6
    hits = np.zeros(2)
    selector = SelectiveBackprop(0.25, form="history", history=6)
    for _ in range(TRIALS):
        selector.observe(earlier)
        chosen = selector.select(batch)
        hits[chosen.rows[chosen.weights > 0].numpy()] += 1
    assert_hits(hits, TRIALS, places**3)


def test_the_ring_holds_the_last_losses_and_no_others():
    selector = SelectiveBackprop(0.5, form="history", history=5)
    seen = []
    for step in range(9):
        batch = np.random.default_rng(step).normal(size=1 + step % 4 * 2).astype(np.float32)
        seen += batch.tolist()
        selector.select(torch.from_numpy(batch))
        known = selector._ring[~selector._ring.isnan()]
        assert sorted(known.tolist()) == sorted(seen[-5:])


def test_losses_that_are_not_finite_do_not_enter_the_history():
    selector = SelectiveBackprop(0.5, form="history", history=4)
    selector.select(torch.tensor([1.0, math.nan, math.inf, 2.0]))
    assert selector._percentiles(torch.tensor([0.5, 1.0, 2.0])).tolist() == [0, 0.5, 1]


def test_a_batch_from_which_nothing_is_drawn_gives_a_row_of_weight_zero():
    """Ranks that wait for each other all make the step."""
    selector = SelectiveBackprop(0.001, form="history", history=64)
    selector.observe(torch.arange(100.0, 164.0))
    chosen = selector.select(torch.tensor([1.0, math.nan, 2.0]))
    assert chosen.rows.tolist() == [2]
    assert chosen.weights.tolist() == [0.0]


@pytest.mark.parametrize("form", ["batch", "history"])
@pytest.mark.parametrize("keep", [0.3, 0.8])
def test_unbiased_weights_restore_the_mean_of_the_batch(form, keep):
    losses = torch.tensor(np.random.default_rng(3).exponential(size=12))
    floor = 0.1 if form == "history" else 0.0
    estimates = []
    selector = SelectiveBackprop(keep, form=form, unbiased=True, floor=floor, history=12)
    for _ in range(TRIALS):
        chosen = selector.select(losses)
        estimates.append(float((losses[chosen.rows] * chosen.weights).mean()))
    assert_mean(estimates, float(losses.mean()))


def test_without_weights_the_mean_is_that_of_harder_rows():
    losses = torch.tensor(np.random.default_rng(3).exponential(size=12))
    selector = SelectiveBackprop(0.3)
    means = [float(losses[selector.select(losses).rows].mean()) for _ in range(400)]
    assert np.mean(means) > 1.3 * float(losses.mean())


def test_unbiased_takes_as_many_rows_as_asked_on_average():
    selector = SelectiveBackprop(0.3, unbiased=True)
    counts = [len(selector.select(torch.arange(40.0)).rows) for _ in range(TRIALS)]
    assert_mean(counts, 12)


def test_collected_rows_weigh_one_over_their_probability():
    """Then it is the sum over the epoch that is estimated, as InfoBatch does."""
    losses = torch.tensor([1.0, 2.0, 3.0, 4.0])
    selector = SelectiveBackprop(0.5, form="history", history=4, unbiased=True, collect=4)
    total = []
    for _ in range(TRIALS):
        chosen = selector.select(losses)
        total.append(float((losses[chosen.rows] * chosen.weights).sum()))
    assert_mean(total, 10.0)


def test_floor_bounds_the_weights():
    selector = SelectiveBackprop(0.1, form="history", history=64, unbiased=True, floor=0.25)
    for step in range(50):
        chosen = selector.select(torch.from_numpy(np.random.default_rng(step).normal(size=16)))
        if chosen.weights.max() > 0:
            assert chosen.weights.max() <= len(chosen.rows) / 16 / 0.25 + 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "both"}, "form must be one of 'batch', 'history', got 'both'"),
        ({"form": "history", "keep": 4}, r"keep must be a fraction in \(0, 1\] for form='history'"),
        ({"floor": 0.1}, "floor must be 0 for form='batch', got 0.1"),
        ({"collect": 8}, "collect must be None for form='batch', got 8"),
        ({"history": 0}, "history must be >= 1, got 0"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        SelectiveBackprop(**options)
