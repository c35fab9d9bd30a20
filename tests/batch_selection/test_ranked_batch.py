"""Chances that fall exponentially with the rank."""

import numpy as np
import pytest
import torch
from helpers import assert_hits, assert_mean

from sampling.batch_selection import RankedBatch


def test_chances_by_rank():
    selector = RankedBatch(5, keep=1, start=8.0, end=1.0)
    losses, hits = torch.tensor([0.0, 2.0, 1.0, 3.0]), np.zeros(4)
    for _ in range(1000):
        hits[selector.select(losses).rows.numpy()] += 1
    assert_hits(hits, 1000, np.array([1, 4, 2, 8]) / 15)


def test_pressure_falls_to_its_end_and_stays_there():
    selector = RankedBatch(4, start=1000.0, end=1.0)
    found = []
    for epoch in range(6):
        selector.set_epoch(epoch)
        found.append(selector.pressure)
    np.testing.assert_allclose(found, [1000, 100, 10, 1, 1, 1])
    assert RankedBatch(1).pressure == 100


def test_at_the_end_all_rows_are_alike():
    selector, hits = RankedBatch(2, keep=2), np.zeros(5)
    selector.set_epoch(1)
    for _ in range(1000):
        hits[selector.select(torch.arange(5.0)).rows.numpy()] += 1
    assert_hits(hits, 1000, 0.4)


def test_unbiased_weights_restore_the_mean_of_the_batch():
    losses = torch.tensor(np.random.default_rng(1).exponential(size=10))
    selector = RankedBatch(3, keep=4, unbiased=True)
    found = [selector.select(losses) for _ in range(1000)]
    means = [float((losses[each.rows] * each.weights).mean()) for each in found]
    assert_mean(means, float(losses.mean()))


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"start must be in \[1, 1e30\), got 0.5"):
        RankedBatch(3, start=0.5)
    with pytest.raises(ValueError, match="num_epochs must be >= 1, got 0"):
        RankedBatch(0)
    with pytest.raises(ValueError, match="collect must be None without unbiased, got 4"):
        RankedBatch(3, collect=4)
