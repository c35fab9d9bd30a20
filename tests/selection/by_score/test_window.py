"""`window` drops the hardest rows."""

import numpy as np

from sampling.record import Score
from sampling.selection import window


def test_window_leaves_out_the_hardest():
    scores = np.arange(100.0)
    assert sorted(window(scores, 20, offset=0.1).indices) == list(range(70, 90))
    assert sorted(window(scores, 95, offset=0.1).indices) == list(range(95))  # moved up
    assert sorted(window(scores, 20, offset=0.0).indices) == list(range(80, 100))  # no [0:-0]
    easy = Score(scores, "easier", "aum")
    assert sorted(window(easy, 20, offset=0.1).indices) == list(range(10, 30))
