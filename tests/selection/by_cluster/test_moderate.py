"""Moderate coreset: the middle, not the tails."""

import numpy as np
import pytest

from sampling.selection import moderate


def test_moderate_keeps_the_middle_and_not_the_tails():
    """D2's copy keeps ranks 0-14 and 85-99 of 100 at r = 0.3: the two tails."""
    rows = np.concatenate([np.zeros(1), np.arange(1.0, 51), -np.arange(1.0, 51)])[:, None]
    found = moderate(rows, 31)
    assert np.sort(np.abs(rows[found.indices, 0]))[[0, -1]].tolist() == [18, 33]
    with pytest.raises(ValueError, match=r"must be finite as float32, got 1e\+200 in row 1"):
        moderate([[1.0], [1e200]], 1)
    assert len(moderate([[1.0], [2.0], [7.0]], 2, labels=[0, 0, 1])) == 2  # a class of one row
