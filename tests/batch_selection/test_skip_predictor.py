"""The cheap predictor: naive Bayes with counts that fade."""

import numpy as np
import pytest
from scipy import sparse

from sampling.batch_selection import SkipPredictor
from sampling.errors import StateError

WORDS = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 1]])
HARD = np.array([1.0, 0.0, 1.0, 0.0])


def bayes_by_hand(words, hard, weights, alpha=1.0):
    """P(hard | words) of each row, from weighted counts."""
    present = words > 0
    logs = np.zeros((2, len(words)))
    for label in (0, 1):
        counts = weights * (hard == label)
        chance = (counts @ present + alpha) / (counts.sum() + 2 * alpha)
        logs[label] = np.log(counts.sum()) + np.where(
            present, np.log(chance), np.log(1 - chance)
        ).sum(1)
    return 1 / (1 + np.exp(logs[0] - logs[1]))


@pytest.mark.parametrize("kind", [np.array, sparse.csr_matrix])
def test_against_counts_by_hand(kind):
    weights = np.array([1.0, 2.0, 20.0, 1.0])
    predictor = SkipPredictor(decay=1.0)
    for rows in (slice(0, 2), slice(2, 4)):
        predictor.fit(kind(WORDS[rows]), HARD[rows], weights[rows])
    found = predictor.probability(kind(WORDS))
    np.testing.assert_allclose(found, bayes_by_hand(WORDS, HARD, weights))


def test_counts_fade():
    predictor = SkipPredictor(decay=0.5)
    predictor.fit(WORDS, HARD, np.ones(4))
    predictor.fit(WORDS, 1 - HARD, np.ones(4))
    twice, both = np.concatenate([WORDS, WORDS]), np.concatenate([HARD, 1 - HARD])
    expected = bayes_by_hand(twice, both, np.repeat([0.5, 1.0], 4))[:4]
    np.testing.assert_allclose(predictor.probability(WORDS), expected)


def test_what_is_not_known_is_a_coin():
    predictor = SkipPredictor()
    assert predictor.probability(WORDS).tolist() == [0.5] * 4
    predictor.fit(WORDS, np.ones(4), np.ones(4))  # one class alone says nothing of the other
    assert predictor.probability(WORDS).tolist() == [0.5] * 4
    predictor.fit(WORDS, np.zeros(4), np.zeros(4))  # weight 0 teaches nothing
    assert predictor.probability(WORDS).tolist() == [0.5] * 4


def test_saved_and_loaded():
    predictor = SkipPredictor()
    other = SkipPredictor()
    other.load_state_dict(predictor.state_dict())
    assert other.probability(WORDS).tolist() == [0.5] * 4
    predictor.fit(WORDS, HARD, np.array([1.0, 0.3, 20.0, 2.0]))
    other.load_state_dict(predictor.state_dict())
    np.testing.assert_allclose(other.probability(WORDS), predictor.probability(WORDS), 1e-12)
    for each in (predictor, other):
        each.fit(WORDS, 1 - HARD, np.ones(4))
    np.testing.assert_array_equal(other.probability(WORDS), predictor.probability(WORDS))


def test_bad_arguments():
    predictor = SkipPredictor()
    predictor.fit(WORDS, HARD, np.ones(4))
    with pytest.raises(ValueError, match="features must have 3 columns, got 2"):
        predictor.fit(WORDS[:, :2], HARD, np.ones(4))
    with pytest.raises(ValueError, match=r"decay must be in \(0, 1\], got 0"):
        SkipPredictor(decay=0)
    with pytest.raises(StateError, match="the predictor's state must have a width"):
        predictor.load_state_dict({})
