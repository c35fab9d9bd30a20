"""Beta sampling: the parameters of the paper."""

import numpy as np
import pytest

from sampling.selection import beta

RANDOM = np.random.default_rng(3)


def test_beta_has_the_parameters_of_the_card():
    """mu = 0.2: means 0.26, 0.30, 0.43, 0.56, 0.74 at prune rates 0.3, 0.5, 0.7, 0.8, 0.9."""
    scores = np.concatenate([np.full(10, 2.0), RANDOM.uniform(0, 1, 990)])
    confidence = np.concatenate([np.full(10, 0.2), RANDOM.uniform(0, 1, 990)])
    expected = {0.3: 0.26, 0.5: 0.30, 0.7: 0.43, 0.8: 0.56, 0.9: 0.74}
    for rate, mean in expected.items():
        info = beta(scores, round(1000 * (1 - rate)), confidence=confidence).info
        assert info["a"] / (info["a"] + info["b"]) == pytest.approx(mean, abs=0.005)
    easy = confidence[beta(np.ones(1000), 100, confidence=confidence).indices].mean()
    hard = confidence[beta(np.ones(1000), 700, confidence=confidence).indices].mean()
    assert easy > hard
