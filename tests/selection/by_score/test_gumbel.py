"""Gumbel top-k: probabilities."""

import numpy as np

from sampling.selection import gumbel, top

RANDOM = np.random.default_rng(3)
LONG = np.exp(3 * RANDOM.normal(size=500))


def test_gumbel_draws_in_proportion():
    """First picks of 4,000 seeds against exp(score): chi-square, 3 degrees, p = 10^-6 at 30.7."""
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    first = [int(gumbel(np.log(weights), 1, seed=seed).indices[0]) for seed in range(4000)]
    expected = 400 * weights
    assert (np.square(np.bincount(first, minlength=4) - expected) / expected).sum() < 30.7
    assert gumbel(LONG, 5, temperature=1e-9).indices.tolist() == top(LONG, 5).indices.tolist()
