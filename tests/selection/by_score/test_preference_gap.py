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


def test_absolute_gaps_rank_both_directions_and_reversed_pairs_may_come_last():
    chosen, rejected = np.array([-9.0, -2.0, -4.0, -1.0]), np.array([-3.0, -3.0, -4.5, -6.0])
    # gaps -6, 1, 0.5, 5
    clear = preference_gap(chosen, 3, rejected=rejected, gap="absolute")
    assert clear.indices.tolist() == [0, 3, 1]
    assert clear.info["reversed"] == 1
    assert clear.scores.tolist() == [6, 1, 0.5, 5]
    late = preference_gap(chosen, 4, rejected=rejected, gap="absolute", drop_reversed=True)
    assert late.indices.tolist() == [3, 1, 2, 0]
    close = preference_gap(chosen, 2, rejected=rejected, gap="absolute", keep="smallest")
    assert close.indices.tolist() == [2, 1]
    assert preference_gap(chosen, 2, rejected=rejected).indices.tolist() == [3, 1]
