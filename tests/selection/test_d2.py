"""D2 against a dense version, with the signs and copies that the released code gets wrong."""

import numpy as np
import oracle_geometry as oracles
import pytest

from sampling.selection import d2, top
from sampling.types import Score

RANDOM = np.random.default_rng(2)
ROWS = RANDOM.normal(size=(200, 4)).astype(np.float32)
SCORES = RANDOM.normal(size=200)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("k", [1, 7])
def test_the_picks_of_the_definition(gamma, k):
    found = d2(SCORES, 80, embeddings=ROWS, num_neighbours=k, gamma=gamma)
    assert found.indices.tolist() == oracles.d2(SCORES, ROWS, 80, k, gamma)


def test_shifting_or_scaling_scores_and_features_changes_nothing():
    """Negative scores raised their neighbours in the released code."""
    one = d2(SCORES, 60, embeddings=ROWS)
    for scores, rows in ((SCORES - 100, ROWS), (SCORES * 8, ROWS), (SCORES, ROWS * 1024 + 4096)):
        rows = rows.astype(np.float64)
        assert np.mean(np.isin(d2(scores, 60, embeddings=rows).indices, one.indices)) > 0.98


def test_easy_rows_do_not_win_by_their_sign():
    margins = Score(-SCORES, "easier", "aum")
    assert np.array_equal(
        d2(margins, 60, embeddings=ROWS).indices, d2(SCORES, 60, embeddings=ROWS).indices
    )
    worth = Score(-SCORES, "drop", "noise")
    assert np.array_equal(
        d2(worth, 60, embeddings=ROWS).indices, d2(SCORES, 60, embeddings=ROWS).indices
    )


def test_a_twin_is_held_down():
    """Two copies of the hardest row, alone: the second is worth nothing after the first."""
    rows = np.concatenate([np.full((2, 2), 50.0), RANDOM.normal(size=(30, 2))])
    scores = np.concatenate([[5.0, 5.0], RANDOM.uniform(0, 1, 30)])
    found = d2(scores, 32, embeddings=rows, num_neighbours=1, gamma=1.0)
    rank = {int(row): at for at, row in enumerate(found.indices)}
    assert min(rank[0], rank[1]) == 0
    assert max(rank[0], rank[1]) > 10
    assert set(top(scores, 2).indices.tolist()) == {0, 1}


def test_equal_scores_and_equal_rows():
    assert np.unique(d2(np.ones(40), 40, embeddings=ROWS[:40]).indices).size == 40
    assert np.unique(d2(SCORES[:40], 30, embeddings=np.ones((40, 3))).indices).size == 30
    assert d2([2.0], 1, embeddings=[[1.0]]).indices.tolist() == [0]
    few = d2(SCORES[:4], 4, embeddings=ROWS[:4], num_neighbours=50)
    assert np.unique(few.indices).size == 4


def test_copies_are_told_apart_by_id_and_not_by_row():
    rows, scores = np.repeat(ROWS[:20], 10, axis=0), np.repeat(SCORES[:20], 10)
    ids, order = np.arange(200), RANDOM.permutation(200)
    one = d2(scores, 50, embeddings=rows, ids=ids)
    two = d2(scores[order], 50, embeddings=rows[order], ids=ids[order])
    assert one.ids.tolist() == two.ids.tolist()


def test_rows_already_selected_lower_their_neighbours():
    rows = np.concatenate([ROWS[:50], ROWS[:50] + np.float32(1e-3)])
    scores = np.concatenate([SCORES[:50], SCORES[:50]])
    found = d2(scores, 10, embeddings=rows, num_neighbours=1, already_selected=np.arange(25))
    assert np.mean(np.isin(found.indices, np.arange(50, 75))) < 0.2


def test_bad_rows_are_named_or_dropped():
    rows, scores = ROWS.copy(), SCORES.copy()
    rows[3, 0], scores[5] = np.inf, np.nan
    with pytest.raises(ValueError, match="scores must be finite, got nan"):
        d2(scores, 10, embeddings=ROWS)
    with pytest.raises(ValueError, match="embeddings must be finite, got inf in row 3"):
        d2(SCORES, 10, embeddings=rows)
    found = d2(scores, 198, embeddings=rows, on_bad="drop")
    assert not np.isin([3, 5], found.indices).any()
    with pytest.raises(ValueError, match="embeddings must have the length of scores|as many"):
        d2(SCORES, 10, embeddings=ROWS[:9])


def test_float16_is_taken_as_float32():
    rows = ROWS.astype(np.float16)
    assert np.array_equal(
        d2(SCORES, 60, embeddings=rows).indices,
        d2(SCORES, 60, embeddings=rows.astype(np.float32)).indices,
    )
