"""Prototypes: far from, or near to, the centers."""

import numpy as np
import pytest

from sampling.selection import prototypes


def test_prototypes_keep_the_far_or_the_near():
    rows = np.stack([np.cos(np.linspace(-1, 1, 101)), np.sin(np.linspace(-1, 1, 101))], axis=1)
    near = prototypes(rows, 21, keep="near", clusters=1)
    assert sorted(near.indices) == list(range(40, 61))
    far = prototypes(rows, 2, clusters=1)
    assert sorted(far.indices) == [0, 100]
    with pytest.raises(ValueError, match="embeddings must be longer than 1e-12, got a zero vector"):
        prototypes(np.zeros((3, 2)), 1)
