"""CCS: what it keeps, and the known bugs of the released code."""

import numpy as np

from sampling.record import Score
from sampling.selection import ccs

RANDOM = np.random.default_rng(3)
LONG = np.exp(3 * RANDOM.normal(size=500))


def test_ccs_on_the_scores_that_break_the_released_one():
    for scores in (-1.0 - RANDOM.gamma(2, size=1000), np.zeros(1000), LONG):
        found = ccs(scores, 100, cut=0.1)
        assert len(found) == 100
        assert found.info["cut"] == round(0.1 * len(scores))


def test_ccs_drops_the_hardest_and_covers_the_rest():
    scores = np.arange(1000.0)
    found = ccs(scores, 100, cut=0.3, num_strata=50)
    assert found.indices.max() < 700
    assert np.histogram(found.indices, 50, (0, 700))[0].tolist() == [2] * 50
    by_margin = ccs(scores, 100, cut=0.3, margins=Score(scores, "easier", "aum"))
    assert by_margin.indices.min() >= 300
    assert ccs(scores, 900, cut=0.3).info["cut"] == 100  # never more than the budget leaves
    assert ccs(scores, 100).info["cut"] == 300  # the default at a prune rate of 0.9
    assert ccs(scores, 500).info["cut"] == 0


def test_ccs_by_class_uses_each_class_own_size():
    """The released class-balanced branch takes the last class's size for all of them."""
    labels = np.repeat([0, 1, 2], [700, 200, 100])
    found = ccs(RANDOM.gamma(2, size=1000), 100, groups=labels)
    assert np.bincount(labels[found.indices]).tolist() == [70, 20, 10]
