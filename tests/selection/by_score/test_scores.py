"""What holds for several selectors by score: bad rows, and directions."""

import numpy as np
import pytest

from sampling.record import Score
from sampling.selection import (
    ccs,
    gumbel,
    preference_gap,
    quota,
    top,
    window,
)


@pytest.mark.parametrize("method", [top, window, ccs, gumbel, quota])
def test_bad_rows_are_named_or_dropped(method):
    scores = np.arange(20.0)
    scores[[3, 7]] = np.nan, np.inf
    with pytest.raises(
        ValueError, match=r"scores must be finite, got nan in row 3 \(2 such rows\)"
    ):
        method(scores, 5)
    found = method(scores, 18, on_bad="drop")
    assert sorted(found.indices) == [i for i in range(20) if i not in (3, 7)]
    assert found.explain(7).rule == "a value that is not finite"
    with pytest.raises(ValueError, match="budget must be at most 18, the number of eligible rows"):
        method(scores, 19, on_bad="drop")
    with pytest.raises(TypeError, match="scores must hold numbers"):
        method(np.array(["a", "b"]), 1)
    with pytest.raises(ValueError, match="on_bad must be one of 'raise', 'drop', got 'ignore'"):
        method(scores, 5, on_bad="ignore")


def test_scores_say_what_high_means():
    values = np.arange(10.0)
    easy = Score(values, "easier", "aum")
    assert ccs(easy, 3, cut=0.5).indices.min() >= 5
    assert len(ccs(Score(values, "keep", "quality"), 3)) == 3
    assert quota(Score(values, "drop"), 3).indices.tolist() == [0, 1, 2]


def test_a_missing_score_in_a_list_is_a_bad_row():
    """As in Arrow and pandas: a column of Hugging Face is read as a list."""
    with pytest.raises(ValueError, match="scores must be finite, got nan in row 1: exclude"):
        top([0.5, None, 0.7], 2)
    assert top([0.5, None, 0.7], 2, on_bad="drop").indices.tolist() == [2, 0]


def test_a_row_that_is_bad_in_either_input_is_dropped():
    scores, margins, fine = np.arange(20.0), np.arange(20.0), np.arange(20.0)
    scores[3], margins[7] = np.nan, np.nan
    left = [row for row in range(20) if row not in (3, 7)]
    found = ccs(scores, 18, margins=margins, on_bad="drop")
    assert sorted(found.indices) == left
    assert sorted(preference_gap(scores, 18, rejected=margins, on_bad="drop").indices) == left
    assert 3 not in ccs(scores, 19, margins=fine, on_bad="drop").indices
    assert 7 not in ccs(fine, 19, margins=margins, on_bad="drop").indices
