"""Preference pairs by their gap."""

import numpy as np

from sampling.selection import preference_gap


def test_preference_gap_takes_reversed_pairs_last():
    chosen, rejected = np.array([1.0, 5.0, 2.0, 0.0]), np.array([3.0, 1.0, 1.0, 0.5])
    assert preference_gap(chosen, 4, rejected=rejected).indices.tolist() == [1, 2, 3, 0]
    close = preference_gap(chosen, 3, rejected=rejected, keep="smallest")
    assert close.indices.tolist()[:2] == [2, 1]
    assert close.info["reversed"] == 1
    plain = preference_gap(chosen, 2, rejected=rejected, keep="smallest", drop_reversed=False)
    assert plain.indices.tolist() == [0, 3]
