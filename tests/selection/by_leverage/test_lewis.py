"""Draws for losses |a x - b|^p: unbiased, and better than by chance."""

import numpy as np
import pytest

from sampling.selection import lewis, root_leverage, sensitivity_lp

RANDOM = np.random.default_rng(3)
ROWS = RANDOM.standard_t(2, size=(400, 6))
SELECTORS = {
    "lewis": lambda seed: lewis(ROWS, 40, p=1.0, seed=seed),
    "root_leverage": lambda seed: root_leverage(ROWS, 40, seed=seed),
    "sensitivity_lp": lambda seed: sensitivity_lp(ROWS, 40, p=1.5, seed=seed),
}


@pytest.mark.slow
@pytest.mark.parametrize("draws", [300, pytest.param(1500, marks=pytest.mark.full)])
@pytest.mark.parametrize("name", SELECTORS)
def test_weighted_sums_are_unbiased(name, draws):
    """Three sums of |a x|, the mean of the draws within 4.5 sd: two false alarms in 100,000."""
    values = np.abs(ROWS @ RANDOM.normal(size=(6, 3)))
    estimates = []
    for seed in range(draws):
        found = SELECTORS[name](seed)
        assert len(found) == 40
        estimates.append(found.weights @ values[found.indices])
    error = np.mean(estimates, axis=0) - values.sum(axis=0)
    assert (np.abs(error) < 4.5 * np.std(estimates, axis=0) / np.sqrt(draws)).all()


def test_absolute_errors_are_kept_better_than_by_chance():
    """The worst relative error of sum |a x| over 200 x, median of 30 draws of 60 rows of 400."""
    sums = np.abs(ROWS @ RANDOM.normal(size=(6, 200)))

    def worst(indices, weights):
        return np.abs(weights @ sums[indices] / sums.sum(axis=0) - 1).max()

    ours = {name: [] for name in ("lewis", "root_leverage")}
    chance = []
    for seed in range(30):
        for name, found in (("lewis", lewis), ("root_leverage", root_leverage)):
            picked = found(ROWS, 60, seed=seed)
            ours[name].append(worst(picked.indices, picked.weights))
        rows = np.random.default_rng(seed).choice(400, 60, replace=False)
        chance.append(worst(rows, np.full(60, 400 / 60)))
    assert np.median(ours["lewis"]) < 0.5 * np.median(chance)
    assert np.median(ours["root_leverage"]) < 0.6 * np.median(chance)
