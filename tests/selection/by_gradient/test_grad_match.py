"""GradMatch: the picks and weights of its definition, which add up to the sum of all gradients."""

import numpy as np
import oracle_gradients as oracles
import pytest
from scipy.optimize import nnls

from sampling.selection import grad_match

RANDOM = np.random.default_rng(3)
ROWS = (RANDOM.normal(size=(200, 12)) + RANDOM.normal(size=12)).astype(np.float32)


def gap(found, rows=ROWS, target=None):
    target = rows.sum(axis=0, dtype=np.float64) if target is None else target
    left = target - found.weights @ rows[found.indices].astype(np.float64)
    return np.linalg.norm(left) / np.linalg.norm(target)


@pytest.mark.parametrize("regularization", [0.0, 0.01, 0.5, 30.0])
@pytest.mark.parametrize("budget", [1, 9, 60])
def test_the_picks_and_weights_of_the_definition(regularization, budget):
    found = grad_match(ROWS, budget, regularization=regularization)
    picks, weights = oracles.grad_match(ROWS, budget, regularization)
    assert found.indices.tolist() == picks
    assert found.weights == pytest.approx(weights)
    assert found.info["m_eff"] == len(found)
    assert found.info["residual"] == pytest.approx(gap(found), abs=1e-6)


def test_rows_whose_weight_would_be_negative_are_dropped_and_may_return():
    """Of centred rows many weights turn; in the end it is the nonnegative least squares."""
    rows = RANDOM.normal(size=(80, 30)) + 0.1
    target = rows[:20].sum(axis=0) + RANDOM.normal(size=30)
    found = grad_match(rows, 80, target=target, regularization=0.0)
    picks, weights = oracles.grad_match(rows.astype("f4"), 80, 0.0, target=target)
    assert found.indices.tolist() == picks
    assert found.weights == pytest.approx(weights, rel=1e-4)
    best, left = nnls(rows.T, target)
    assert sorted(found.indices) == np.flatnonzero(best).tolist()
    assert found.info["residual"] == pytest.approx(left / np.linalg.norm(target), abs=1e-5)


def test_it_stops_where_no_row_reduces_the_residual():
    found = grad_match(ROWS, 100, regularization=0.0)
    assert found.info["m_eff"] == len(found) <= 12
    assert found.info["residual"] < 1e-5
    assert found.summary()["rules"]["does not reduce the residual"] == 200 - len(found)
    full = grad_match(ROWS, 5)
    assert full.summary()["rules"]["beyond the budget"] == 195


def test_weights_estimate_the_sum_and_not_the_mean():
    found = grad_match(np.ones((50, 3)), 5, regularization=0.0)
    assert len(found) == 1
    assert found.weights == pytest.approx([50.0])
    assert gap(grad_match(ROWS, 40)) < 0.02


def test_nearer_than_random_rows_of_equal_weight():
    errors = [
        np.linalg.norm(ROWS.mean(axis=0) - ROWS[RANDOM.choice(200, 8, False)].mean(axis=0))
        for _ in range(20)
    ]
    assert gap(grad_match(ROWS, 8)) * np.linalg.norm(ROWS.mean(axis=0)) < np.mean(errors) / 5


def test_a_target_of_validation_data():
    target = 10.0 * ROWS[:5].sum(axis=0, dtype=np.float64)
    found = grad_match(ROWS, 30, target=target, regularization=0.0)
    picks, weights = oracles.grad_match(ROWS, 30, 0.0, target=target)
    assert found.indices.tolist() == picks
    assert found.weights == pytest.approx(weights, rel=1e-4)
    assert len(grad_match(ROWS, 30, tolerance=0.5)) < len(grad_match(ROWS, 30))
    with pytest.raises(ValueError, match="target must have length 12, got 3"):
        grad_match(ROWS, 5, target=[1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="target must be within the range of float32, got 1e.300"):
        grad_match(np.ones((5, 12)), 2, target=np.full(12, 1e300))
    with pytest.raises(ValueError, match="target must be omitted with groups"):
        grad_match(ROWS, 5, target=target, groups=np.arange(200) % 2)


def test_classes_match_their_own_sums():
    groups = np.arange(200) % 2
    found = grad_match(ROWS, 20, groups=groups)
    kept = dict(zip(found.indices.tolist(), found.weights.tolist(), strict=True))
    for group in (0, 1):
        own = np.flatnonzero(groups == group)
        alone = grad_match(ROWS[own], 10)
        assert {int(own[i]): w for i, w in zip(alone.indices, alone.weights, strict=True)} == {
            row: pytest.approx(w) for row, w in kept.items() if groups[row] == group
        }
    assert found.info["m_eff"] == 20


def test_rows_already_selected_have_weight_one():
    already = [3, 50, 199]
    others = np.setdiff1d(np.arange(200), already)
    found = grad_match(ROWS, 20, already_selected=already)
    alone = grad_match(ROWS[others], 20)
    assert found.indices.tolist() == others[alone.indices].tolist()
    total = ROWS.sum(axis=0, dtype=np.float64)
    given = grad_match(ROWS, 20, already_selected=already, target=total)
    assert given.indices.tolist() == found.indices.tolist()
    assert given.weights == pytest.approx(found.weights, rel=1e-5)


def test_copies_are_distinguished_by_id_and_not_by_row():
    rows = np.repeat(ROWS[:20], 10, axis=0)
    order, ids = RANDOM.permutation(200), np.arange(200)
    one, two = (
        grad_match(rows[some], 40, ids=ids[some], regularization=5.0) for some in (ids, order)
    )
    assert one.ids.tolist() == two.ids.tolist()
    assert np.array_equal(one.weights, two.weights)
    assert np.unique(one.indices).size == len(one) == 40


@pytest.mark.parametrize("scale", [2.0**-110, 2.0**110])
def test_the_scale_of_the_data_does_not_matter(scale):
    found, scaled = grad_match(ROWS, 30), grad_match(ROWS * np.float32(scale), 30)
    assert np.array_equal(found.indices, scaled.indices)
    assert np.array_equal(found.weights, scaled.weights)


def test_rows_without_a_gradient_and_no_sum_at_all():
    rows = ROWS.copy()
    rows[::2] = 0.0
    assert (grad_match(rows, 30).indices % 2 == 1).all()
    for none in (np.zeros((5, 3)), np.array([[1.0, 0.0], [-1.0, 0.0]])):
        with pytest.warns(UserWarning, match="the sum of the gradients is 0"):
            found = grad_match(none, 2)
        assert len(found) == found.info["m_eff"] == found.info["residual"] == 0
    assert grad_match([[3.0, 4.0]], 1, regularization=0.0).weights == pytest.approx([1.0])


def test_rows_that_are_not_finite_are_named_or_dropped():
    rows = ROWS.copy()
    rows[9, 1] = np.nan
    with pytest.raises(ValueError, match="gradients must be finite, got nan in row 9"):
        grad_match(rows, 5)
    others = np.delete(np.arange(200), 9)
    found, alone = grad_match(rows, 20, on_bad="drop"), grad_match(ROWS[others], 20)
    assert found.indices.tolist() == others[alone.indices].tolist()
