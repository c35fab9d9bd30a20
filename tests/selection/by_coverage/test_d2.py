"""D2 against a dense version, with the signs and copies that the released code gets wrong."""

import tracemalloc

import numpy as np
import oracle_geometry as oracles
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from sampling.clustering import neighbours
from sampling.record import Score
from sampling.selection import d2, top

RANDOM = np.random.default_rng(2)
ROWS = RANDOM.normal(size=(200, 4)).astype(np.float32)
SCORES = RANDOM.normal(size=200)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("k", [1, 7])
def test_the_picks_of_the_definition(gamma, k):
    found = d2(SCORES, 80, embeddings=ROWS, num_neighbours=k, gamma=gamma)
    assert found.indices.tolist() == oracles.d2(SCORES, ROWS, 80, k, gamma)


def test_a_pick_lowers_the_rows_that_list_it_and_not_only_those_that_it_lists():
    """By lists alone the first clump, whose middle row lists one of its neighbours, gives both."""
    rows = [[0.0], [0.4], [0.9], [9.0], [9.5]]
    scores = [0.5, 1.0, 0.9, 0.3, 0.3]
    found = d2(scores, 2, embeddings=rows, num_neighbours=1, gamma=0.0)
    assert (found.indices < 3).sum() == 1
    graph = neighbours(rows, 1)  # made beforehand, it is joined both ways too
    again = d2(scores, 2, embeddings=rows, num_neighbours=graph, gamma=0.0)
    assert again.indices.tolist() == found.indices.tolist()
    kept = d2(scores, 1, embeddings=rows, num_neighbours=1, gamma=0.0, already_selected=[1])
    assert kept.indices[0] > 2  # a row kept before lowers those that list it as well


def test_a_hub_sends_and_takes_along_every_edge():
    """A star: the middle row is listed by all, and lists one."""
    angles = np.linspace(0, 2 * np.pi, 6)[:-1]
    rows = np.concatenate([[[0.0, 0.0]], np.stack([np.cos(angles), np.sin(angles)], 1)])
    rows[1:] *= np.linspace(2.0, 2.1, 5)[:, None]
    scores = np.r_[0.9, np.linspace(1.0, 0.2, 5)]
    for gamma in (0.0, 0.5):
        found = d2(scores, 6, embeddings=rows, num_neighbours=1, gamma=gamma)
        assert found.indices.tolist() == oracles.d2(scores, rows, 6, 1, gamma)
        assert found.indices[0] == 0  # five messages against one


def test_digits_are_learnt_from_a_tenth_better_than_from_random_rows():
    """Means of the splits: 92.5 and 93.6 %; by the directed graph 83.3 and 84.8; random 90.1."""
    pixels, digits = load_digits(return_X_y=True)
    pixels = (pixels / 16).astype(np.float32)
    found = []
    for split in (1, 2):
        train, test = np.split(np.random.default_rng(split).permutation(len(digits)), [1200])
        rows, labels = pixels[train], digits[train]
        guesses = LogisticRegression(max_iter=200).fit(rows, labels).predict_proba(rows)
        errors = np.linalg.norm(guesses - np.eye(10)[labels], axis=1)  # EL2N
        for settings in ({"num_neighbours": 5, "gamma": 0.1}, {}):
            picks = d2(errors, 120, embeddings=rows, **settings).indices
            model = LogisticRegression(max_iter=200).fit(rows[picks], labels[picks])
            found.append(100 * model.score(pixels[test], digits[test]))
    as_published, by_default = np.reshape(found, (2, 2)).mean(axis=0)
    assert as_published > 91.5
    assert by_default > 92.5


def test_the_rows_are_held_once():
    """A second float32 copy in the search took the selector over its limit."""
    size, dimensions = 600, 4096
    rows = RANDOM.normal(size=(size, dimensions)).astype(np.float32)
    scores = RANDOM.random(size)
    tracemalloc.start()
    d2(scores, 50, embeddings=rows, num_neighbours=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * size * dimensions + 2**25  # of 64 MiB for blocks


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
