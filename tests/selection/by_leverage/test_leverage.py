"""Draws by leverage."""

import numpy as np
import pytest

from sampling.selection import leverage, leverage_scores

RANDOM = np.random.default_rng(11)
ROWS = RANDOM.standard_t(3, size=(300, 7))


def test_other_arguments_are_refused():
    with pytest.raises(ValueError, match=r"rows must have shape \(N, D\)"):
        leverage_scores([1.0, 2.0])
    with pytest.raises(ValueError, match="rows must be finite, got nan in row 0"):
        leverage_scores(np.array([[None]]))
    with pytest.raises(ValueError, match="ridge must be in"):
        leverage_scores(ROWS, ridge=-1.0)
    with pytest.raises(ValueError, match="method must be one of 'auto', 'gram', 'qr', 'sketch'"):
        leverage_scores(ROWS, method="svd")
    with pytest.raises(ValueError, match="draw must be one of 'pivotal'"):
        leverage(ROWS, 5, draw="random")
    with pytest.raises(ValueError, match="spread must be one of 'kd', 'pca'"):
        leverage(ROWS, 5, spread="hilbert")
    with pytest.raises(ValueError, match=r"uniform must be in \[0, 1\), got 1.0"):
        leverage(ROWS, 5, uniform=1.0)


def test_rows_of_zeros_are_drawn_by_uniform_chances_only():
    rows = ROWS.copy()
    rows[:150] = 0.0
    for seed in range(20):
        assert leverage(rows, 60, seed=seed).indices.min() >= 150
    mixed = leverage(rows, 60, uniform=0.5, seed=0)
    assert (mixed.indices < 150).any()
    with pytest.raises(ValueError, match="budget must be at most 150, the scores above 0, got 151"):
        leverage(rows, 151)
    assert len(leverage(rows, 300, uniform=0.5)) == 300


def test_top_keeps_the_highest_without_weights():
    found = leverage(ROWS, 20, draw="top")
    assert found.weights is None
    assert set(found.indices) == set(np.argsort(-leverage_scores(ROWS))[:20])


@pytest.mark.slow
@pytest.mark.parametrize("draws", [400, pytest.param(2000, marks=pytest.mark.full)])
@pytest.mark.parametrize("draw", ["pivotal", "systematic", "poisson"])
def test_weighted_sums_are_unbiased(draw, draws):
    """The mean estimate of each of 4 sums within 4.5 sd: two false alarms in 70,000."""
    values = ROWS[:, :3] ** 2 @ RANDOM.uniform(size=(3, 4)) + 1.0
    estimates = []
    for seed in range(draws):
        found = leverage(ROWS, 40, draw=draw, seed=seed)
        estimates.append(found.weights @ values[found.indices])
    error = np.mean(estimates, axis=0) - values.sum(axis=0)
    assert (np.abs(error) < 4.5 * np.std(estimates, axis=0) / np.sqrt(draws)).all()


@pytest.mark.slow
def test_a_spread_draw_fits_a_polynomial_from_fewer_rows():
    """Total degree 6 on a grid; the excess error of 60 seeds, half as large by a wide margin."""
    grid = np.linspace(-1, 1, 30)
    places = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    powers = [(i, j) for i in range(7) for j in range(7 - i)]
    rows = np.column_stack([places[:, 0] ** i * places[:, 1] ** j for i, j in powers])
    target = np.exp(places[:, 0]) * np.sin(5 * places[:, 1])
    best = ((rows @ np.linalg.lstsq(rows, target, rcond=None)[0] - target) ** 2).mean()

    def excess(found):
        scales = np.sqrt(found.weights)
        own, answers = rows[found.indices] * scales[:, None], target[found.indices] * scales
        fitted = rows @ np.linalg.lstsq(own, answers, rcond=None)[0]
        return ((fitted - target) ** 2).mean() / best - 1

    from sampling.selection import pivotal, poisson

    chances = leverage_scores(rows)
    spread = [excess(pivotal(chances, 60, embeddings=places, seed=s)) for s in range(60)]
    alone = [excess(poisson(chances, 60, seed=s)) for s in range(60)]
    assert np.median(spread) < 0.5 * np.median(alone)
