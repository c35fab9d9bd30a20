"""`pivotal`, `systematic`, `poisson`: exact numbers, exact chances, unbiased weights."""

import numpy as np
import pytest

from sampling.selection import inclusion_probabilities, pivotal, poisson, systematic

RANDOM = np.random.default_rng(5)
N, M = 40, 10
SCORES = RANDOM.gamma(1.0, size=N) + 0.05
PI = inclusion_probabilities(SCORES, M)
EMBEDDINGS = RANDOM.normal(size=(N, 3))

DRAWS = {
    "pivotal": lambda seed: pivotal(SCORES, M, seed=seed),
    "pivotal, spread": lambda seed: pivotal(SCORES, M, embeddings=EMBEDDINGS, seed=seed),
    "systematic": lambda seed: systematic(SCORES, M, seed=seed),
    "poisson": lambda seed: poisson(SCORES, M, seed=seed),
}


@pytest.mark.parametrize("runs", [1000, pytest.param(4000, marks=pytest.mark.full)])
@pytest.mark.parametrize("name", DRAWS)
def test_marginals_sizes_and_sums(name, runs):
    """Each of 40 marginals within 5 sd, two-sided: one false alarm in 40,000 seeds."""
    counts, estimates = np.zeros(N), []
    values = RANDOM.normal(3, 1, size=N)
    for seed in range(runs):
        found = DRAWS[name](seed)
        counts[found.indices] += 1
        assert name == "poisson" or len(found) == M
        assert np.allclose(found.weights * PI[found.indices], 1, rtol=1e-6, atol=0)
        estimates.append((found.weights * values[found.indices]).sum())
    sd = np.sqrt(PI * (1 - PI) / runs)
    assert (np.abs(counts / runs - PI) <= 5 * sd + 1e-12).all()
    error = np.mean(estimates) - values.sum()
    assert abs(error) < 5 * np.std(estimates) / np.sqrt(runs)


def test_pivotal_keeps_neighbours_apart():
    """Equal chances along a line: at most two rows of any stretch that stands for one."""
    line = np.arange(1000.0)[:, None]
    for seed in range(50):
        found = pivotal(np.ones(1000), 100, embeddings=line, seed=seed)
        assert np.bincount(found.indices // 10, minlength=100).max() <= 2
        given = pivotal(np.ones(1000), 100, order=np.arange(1000), seed=seed)
        assert np.bincount(given.indices // 10, minlength=100).max() <= 2
    with pytest.raises(ValueError, match="order must have the length of pi, 1000, got 3"):
        pivotal(np.ones(1000), 100, order=[0, 1, 2])


def test_bad_probabilities():
    with pytest.raises(ValueError, match="pi must be >= 0, got -1.0 in row 1"):
        pivotal([1.0, -1.0, 2.0], 1)
    with pytest.raises(ValueError, match="budget must be at most 2, the scores above 0, got 3"):
        systematic([1.0, 0.0, 2.0], 3)


def test_certain_rows_are_always_drawn():
    scores = np.ones(100)
    scores[7] = 1e9
    assert all(7 in pivotal(scores, 5, seed=seed).indices for seed in range(20))
