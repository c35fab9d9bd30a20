"""Perplexity sampling: BERTIN's probabilities."""

import numpy as np
import pytest

from sampling.selection import perplexity


def test_perplexity_has_the_chances_of_the_card():
    """The published boundaries: 0.280, 1.19, 0.584, 0.016 stepwise; about 47 % of a corpus."""
    marks = [536394.99320948, 662247.50212365, 919250.87225178]
    values = np.repeat([3e5, 6e5, 8e5, 1e6], 2500)
    found = perplexity(values, 4700, rule="stepwise", boundaries=marks, reweight=True)
    chances = {v: 1 / found.weights[values[found.indices] == v].mean() for v in (3e5, 8e5, 1e6)}
    assert chances[3e5] / chances[8e5] == pytest.approx(0.280 / 0.584, rel=0.01)
    assert chances[1e6] / chances[8e5] == pytest.approx(0.016 / 0.584, rel=0.03)
    assert found.info["factor"] * marks[0] / (marks[1] - marks[0]) > 0
    bell = perplexity(np.repeat([1.0, 2.0, 3.0], 1000), 900, boundaries=[0.5, 1.0, 2.0],
                      reweight=True)  # fmt: skip
    kept = np.repeat([1.0, 2.0, 3.0], 1000)[bell.indices]
    one, two, three = (1 / bell.weights[kept == x].mean() for x in (1.0, 2.0, 3.0))
    assert two / one == pytest.approx(0.62 / 0.78, abs=0.01)
    assert three / one == pytest.approx(0.32 / 0.78, abs=0.01)
    # A value equal to the middle boundary has a branch here.
    assert len(perplexity(np.full(10, marks[1]), 4, rule="stepwise", boundaries=marks)) == 4
    with pytest.raises(ValueError, match="boundaries must be three ascending numbers"):
        perplexity(values, 9, boundaries=[3.0, 2.0, 4.0])
    with pytest.raises(ValueError, match="perplexities must be > 0, got 0.0 in row 1"):
        perplexity([1.0, 0.0], 1)
