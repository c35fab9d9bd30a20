import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
from helpers import assert_hits, assert_mean

from sampling.errors import StateError
from sampling.labeling import Acquisition, expected_loss


def with_draws(size, rows, chances):
    acquisition = Acquisition(size)
    state = acquisition.state_dict() | {"indices": rows, "probabilities": chances}
    acquisition.load_state_dict(state)
    return acquisition


def weights_by_formula(size, chances):
    count = len(chances)
    if count == size:
        return [1.0] * count
    return [
        1 + (size - count) / (size - m) * (1 / ((size - m + 1) * q) - 1)
        for m, q in enumerate(chances, 1)
    ]


def chances_by_loop(scores, floor):
    """The probabilities of the next draw among samples with these scores."""
    total = sum(scores)
    raised = [max(s / total if total else 1.0, floor / len(scores)) for s in scores]
    return [q / sum(raised) for q in raised]


def test_golden_weights():
    found = with_draws(4, [0, 1], [0.5, 0.25]).weights()
    np.testing.assert_allclose(found, [0.666667, 1.333333], atol=1e-6)
    np.testing.assert_allclose(with_draws(4, [0, 1], [1 / 4, 1 / 3]).weights(), [1, 1])


@pytest.mark.parametrize("count", range(1, 6))
def test_the_mean_over_all_orders_is_the_mean_of_the_pool(count):
    scores, losses = [0.1, 3.0, 0.5, 0.0, 1.0], [2.0, 0.3, 1.0, 5.0, 0.7]
    total = mean = variance = errors = 0.0
    for order in itertools.permutations(range(5), count):
        left, chance, chances = [0, 1, 2, 3, 4], 1.0, []
        for row in order:
            q = chances_by_loop([scores[i] for i in left], 0.1)[left.index(row)]
            chance *= q
            chances.append(q)
            left.remove(row)
        acquisition = with_draws(5, list(order), chances)
        np.testing.assert_allclose(acquisition.weights(), weights_by_formula(5, chances))
        found = acquisition.estimate([losses[i] for i in order])
        total += chance
        mean += chance * found.value
        variance += chance * (found.value - np.mean(losses)) ** 2
        if count > 1:
            errors += chance * found.standard_error**2
    assert total == pytest.approx(1)
    assert mean == pytest.approx(np.mean(losses))
    if count == 5:
        assert variance == pytest.approx(0, abs=1e-20) == errors
    elif count > 2:  # about unbiased: the estimate stands for the mean in it
        assert 0.5 < errors / variance < 1.5


def test_draws_have_the_stated_probabilities_and_the_estimate_is_unbiased():
    rng = np.random.default_rng(0)
    losses = rng.gamma(0.5, size=30)
    scores = losses * np.exp(0.4 * rng.normal(size=30))
    firsts, values, plain = np.zeros(30), [], []
    for seed in range(1500):
        acquisition = Acquisition(30, seed=seed)
        rows = acquisition.draw(scores, 5)
        assert np.unique(rows).size == 5
        firsts[rows[0]] += 1
        values.append(acquisition.estimate(losses[rows]).value)
        plain.append(losses[rows].mean())
    assert_hits(firsts, 1500, chances_by_loop(scores.tolist(), 0.1))
    assert_mean(values, losses.mean())
    assert np.mean(plain) > 1.5 * losses.mean()  # without weights: biased towards what is drawn
    uniform = losses.std() / math.sqrt(5) * math.sqrt(25 / 29)
    assert np.std(values) < 0.9 * uniform


def test_a_saved_state_continues_with_the_same_draws():
    scores = np.arange(1.0, 21.0)
    whole, first = Acquisition(20, seed=4), Acquisition(20, seed=4)
    whole.draw(scores, 3), whole.draw(scores[::-1], 4)
    first.draw(scores, 3)
    state = json.loads(json.dumps(first.state_dict()))
    again = Acquisition(20, seed=4)
    again.load_state_dict(state)
    again.draw(scores[::-1], 2), again.draw(scores[::-1], 2)
    np.testing.assert_array_equal(again.indices, whole.indices)
    np.testing.assert_array_equal(again.probabilities, whole.probabilities)
    for wrong, message in (
        (state | {"size": 21}, "size must be 20, got 21"),
        (state | {"seed": 5}, "seed must be 4, got 5"),
        (state | {"indices": [1, 1, 2]}, "state must hold draws.*no index twice"),
        (state | {"indices": [1, 30, 2]}, r"state must hold draws.*in \[0, 20\)"),
        (state | {"probabilities": [0.5, 0.5, 0.0]}, r"probabilities must be in \(0, 1\]"),
        (state | {"probabilities": [0.5]}, "one for each of 3 draws"),
        ({"size": 20}, "missing"),
    ):
        with pytest.raises(StateError, match=message):
            again.load_state_dict(wrong)
    assert len(again) == 7


def test_scores_of_all_kinds():
    acquisition = Acquisition(range(4))
    assert sorted(acquisition.draw(np.zeros(4), 4)) == [0, 1, 2, 3]  # all 0: uniform
    np.testing.assert_allclose(acquisition.probabilities, [1 / 4, 1 / 3, 1 / 2, 1])
    done = acquisition.estimate([1.0, 2.0, 3.0, 4.0])
    assert (done.value, done.standard_error) == (2.5, 0.0)
    negative = Acquisition(3)
    negative.draw(pd.Series([-5, -5, 1e300]))
    assert negative.probabilities[0] == pytest.approx(1 / (1 + 0.2 / 3), rel=1e-6)
    assert negative.indices.tolist() == [2]
    negative.draw([1.0, 2.0, np.nan])  # NaN only where it is drawn
    huge = Acquisition(3)
    huge.draw([-1.7e308, 1.7e308, 1.7e308])
    assert huge.probabilities[0] == pytest.approx(0.5 / (1 + 0.1 / 3))
    with pytest.raises(ValueError, match="scores must be finite, got nan in row 0"):
        Acquisition(2).draw([np.nan, 1.0])
    with pytest.raises(ValueError, match="count must be at most 1, the samples that remain"):
        negative.draw([1.0, 2.0, 3.0], 2)
    with pytest.raises(ValueError, match="scores must have the length of the pool, 3, got 2"):
        negative.draw([1.0, 2.0])
    with pytest.raises(ValueError, match=r"floor must be in \(0, 1\], got 0"):
        Acquisition(3, floor=0)
    with pytest.raises(ValueError, match="losses must have the length of indices, 2, got 3"):
        negative.estimate([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="estimate needs labelled samples"):
        Acquisition(3).estimate([1.0])
    one = Acquisition(3)
    one.draw([1.0, 1.0, 1.0])
    assert math.isnan(one.estimate([1.0]).standard_error)
    assert one.estimate([1.0]).interval() == (-math.inf, math.inf)


def test_expected_losses_by_hand():
    f = np.array([[0.9, 0.1], [0.5, 0.5], [0.0, 1.0]])
    pi = np.array([[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])
    np.testing.assert_allclose(expected_loss(f, pi, loss="error"), [0.8, 0.5, 1.0])
    by_hand = [-0.2 * np.log(0.9) - 0.8 * np.log(0.1), np.log(2), -np.log(1e-7)]
    np.testing.assert_allclose(expected_loss(f, pi), by_hand)
    np.testing.assert_allclose(expected_loss(f)[1:], [np.log(2), 0.0], atol=1e-12)
    squared = expected_loss([1.0, 2.0], [[1.0, 1.0], [3.0, 1.0]], loss="squared")
    np.testing.assert_allclose(squared, [1 + 1, 1 + 0])
    with pytest.raises(ValueError, match=r"predictions must be probabilities.* in row 1.*softmax"):
        expected_loss([[0.5, 0.5], [2.0, -1.0]])
    with pytest.raises(ValueError, match="surrogate must have the shape of predictions"):
        expected_loss(f, pi[:2])
    with pytest.raises(ValueError, match="surrogate must be given for loss='squared'"):
        expected_loss([1.0], loss="squared")


def test_bad_values_are_named_and_a_pool_of_one_is_exact():
    with pytest.raises(ValueError, match="scores must be finite, got nan in row 1"):
        Acquisition(3).draw([1.0, None, 2.0])
    with pytest.raises(StateError, match="state must hold draws"):
        with_draws(3, [1.5], [0.5])
    only = with_draws(1, [0], [1.0])
    assert only.estimate([2.0]).interval() == (2.0, 2.0)


@pytest.mark.parametrize(("losses", "other"), [([0.0] * 6, 0), ([0, 0, 1, 0, 0, 0], 1)])
def test_few_errors_warn_that_the_interval_is_too_narrow(losses, other):
    drawn = Acquisition(50)
    drawn.draw(np.ones(50), 6)
    with pytest.warns(UserWarning, match=f"differ from the most frequent one, 0, got {other} of 6"):
        drawn.estimate(losses)
    assert drawn.estimate(np.arange(6.0)).standard_error > 0


def test_expected_loss_of_one_column_is_told_the_shape():
    with pytest.raises(ValueError, match=r"predictions must have shape \(N, C\).* got \(2,\)"):
        expected_loss([0.1, 0.9], loss="error")
