"""The bounds of the sensitivities."""

import numpy as np
import pytest

from sampling.selection import leverage_scores, sensitivity_lp

RANDOM = np.random.default_rng(3)
ROWS = RANDOM.standard_t(2, size=(400, 6))


def test_sensitivities_are_bounded():
    """The bound holds for the true sensitivity at a thousand directions."""
    directions = RANDOM.normal(size=(6, 1000))
    for p in (1.0, 1.5, 2.0, 3.0, 4.0):
        parts = np.abs(ROWS @ directions) ** p
        lower = (parts / parts.sum(axis=0)).max(axis=1)
        bound = sensitivity_lp(ROWS, 10, p=p).scores
        assert (lower <= bound + 1e-12).all()
        assert bound.max() <= 1.0
    levels = leverage_scores(ROWS)
    assert sensitivity_lp(ROWS, 10, p=1.0).scores == pytest.approx(np.sqrt(levels))
    assert sensitivity_lp(ROWS, 10, p=4.0).scores == pytest.approx(np.minimum(1, 400 * levels**2))
    mixed = sensitivity_lp(ROWS, 10, p=4.0, mixture=True).scores
    assert mixed == pytest.approx(np.minimum(1, 400 * levels**2) + levels)
