"""The rounds of `root_leverage`."""

import numpy as np
import pytest

from sampling.selection import root_leverage
from sampling.selection.by_leverage._root_leverage import _sizes

RANDOM = np.random.default_rng(3)
ROWS = RANDOM.standard_t(2, size=(400, 6))


def test_rounds_halve_at_least():
    assert _sizes(1000, 10, 3) == [216, 47, 10]
    assert _sizes(1000, 600, 3) == [600]
    assert _sizes(1000, 300, 3) == [548, 300]
    assert _sizes(1000, 10, 1) == [10]
    found = root_leverage(ROWS, 20, rounds=3)
    assert found.info["rounds"] == [148, 55, 20]
    with pytest.raises(ValueError, match=r"p must be in \[1, 2\), got 2.0"):
        root_leverage(ROWS, 20, p=2.0)
