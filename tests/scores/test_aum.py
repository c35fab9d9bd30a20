import numpy as np
import pytest

from sampling.record import Score
from sampling.scores import TrainingDynamics, aum_flagged, threshold_samples


@pytest.mark.parametrize("n", [3, 4, 100, 1001])
@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_two_runs_take_as_many_rows_as_a_class_has_and_none_twice(n, seed):
    labels = np.arange(n) % 2
    rows = [threshold_samples(labels, 2, seed=seed, run=run) for run in (0, 1)]
    for each in rows:
        assert each.size == n // 3
        assert each.dtype == np.int64
        assert (np.diff(each) > 0).all()
        assert each.min() >= 0
        assert each.max() < n
    assert np.intersect1d(*rows).size == 0
    again = threshold_samples(labels, 2, seed=seed)
    np.testing.assert_array_equal(again, rows[0])


def test_every_row_is_drawn_equally_often():
    labels = np.zeros(12, np.int64)
    drawn = np.concatenate([threshold_samples(labels, 3, seed=s) for s in range(4000)])
    counts = np.bincount(drawn, minlength=12)
    assert np.abs(counts - 1000).max() < 4.5 * np.sqrt(1000 * 0.75)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], 2), "labels must be at least 3, one more than classes, got 2"),
        (([0, 1, 2], 2), r"labels must be in \[0, 2\), got 2 in row 2"),
        (([0, -1, 1], 2), r"labels must be in \[0, 2\), got -1 in row 1"),
        (([0, 0, 0], 1), "num_classes must be >= 2, got 1"),
    ],
)
def test_labels_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        threshold_samples(*arguments)
    with pytest.raises(TypeError, match="labels must hold ints"):
        threshold_samples(["a", "b", "c"], 2)
    with pytest.raises(ValueError, match=r"run must be in \[0, 2\), got 2"):
        threshold_samples([0, 1, 0], 2, run=2)


@pytest.mark.parametrize("percentile", [0, 50, 90, 99, 100])
def test_flagged_are_those_below_all_but_a_few_threshold_samples(percentile):
    rng = np.random.default_rng(0)
    values = rng.normal(size=400).round(1)  # with ties
    rows = np.sort(rng.choice(400, 130, replace=False))
    flagged = aum_flagged(values, rows, percentile)
    for i in range(400):
        larger = sum(values[row] > values[i] for row in rows)
        assert flagged[i] == (i not in rows and larger * 100 > (100 - percentile) * 130)


def test_a_score_the_other_way_round_is_turned():
    values = np.array([5.0, -2.0, 3.0, 1.0])
    turned = Score(-values, "harder", "aum")
    expected = aum_flagged(values, [2], 99)
    np.testing.assert_array_equal(aum_flagged(turned, [2], 99), expected)
    assert expected.tolist() == [False, True, False, True]


def test_bad_rows_and_scores_are_refused():
    with pytest.raises(ValueError, match="aum must be finite, got nan in row 1"):
        aum_flagged([0.0, np.nan], [0])
    with pytest.raises(ValueError, match=r"threshold_rows must be in \[0, 2\), got 2"):
        aum_flagged([0.0, 1.0], [2])
    with pytest.raises(ValueError, match=r"percentile must be in \[0, 100\]"):
        aum_flagged([0.0, 1.0], [1], 101)
    with pytest.raises(ValueError, match="higher_is"):
        aum_flagged(Score(np.zeros(2), "keep"), [1])


def test_the_procedure_finds_wrong_labels():
    """A linear model on three blobs with a tenth of the labels wrong: both runs together."""
    rng = np.random.default_rng(0)
    n, classes, epochs = 600, 3, 15
    truth = rng.integers(0, classes, n)
    points = np.eye(classes)[truth] * 6 + rng.normal(size=(n, classes))
    points = np.hstack([points, np.ones((n, 1))])
    labels = truth.copy()
    wrong = rng.choice(n, 60, replace=False)
    labels[wrong] = (labels[wrong] + 1) % classes
    flagged = np.zeros(n, bool)
    for run in (0, 1):
        rows = threshold_samples(labels, classes, run=run)
        given = labels.copy()
        given[rows] = classes
        dynamics = TrainingDynamics(n, classes + 1, fields=("aum",))
        weights = np.zeros((classes + 1, classes + 1))
        for _ in range(epochs):
            logits = points @ weights
            dynamics.update(np.arange(n), logits, given)
            parts = np.exp(logits - logits.max(1, keepdims=True))
            errors = parts / parts.sum(1, keepdims=True) - np.eye(classes + 1)[given]
            weights -= 0.5 * points.T @ errors / n
        flagged |= aum_flagged(dynamics.aum(), rows)
    assert flagged[wrong].mean() > 0.8
    assert np.delete(flagged, wrong).mean() < 0.1
