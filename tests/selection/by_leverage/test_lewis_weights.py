"""Lewis weights: their fixed point, their iterations, and where these diverge."""

import numpy as np
import oracle_rows
import pytest

from sampling.selection import leverage_scores, lewis, lewis_weights, root_leverage, sensitivity_lp
from sampling.selection.by_leverage._lewis_weights import iterated

RANDOM = np.random.default_rng(3)
ROWS = RANDOM.standard_t(2, size=(400, 6))
CARD = np.random.default_rng(0).standard_t(2, size=(5000, 20))  # heavy tails, as in the card


@pytest.mark.parametrize("p", [1.0, 1.3, 2.0, 2.7, 3.0, 3.9, 5.0])
def test_they_are_the_leverages_of_the_reweighted_rows(p):
    found = lewis_weights(ROWS, p, tolerance=1e-10, max_iter=100)
    assert oracle_rows.lewis_residual(ROWS, found, p) < 1e-8
    assert found.sum() == pytest.approx(6, abs=1e-7)


def test_for_squares_they_are_the_leverages():
    assert lewis_weights(ROWS, 2.0) == pytest.approx(leverage_scores(ROWS), abs=1e-12)


@pytest.mark.parametrize("p", [1.0, 2.5, 3.5])
def test_units_zeros_and_directions_that_are_missing(p):
    rows = np.column_stack([ROWS * 1e-6, ROWS[:, 0] + ROWS[:, 1]])
    rows[[3, 7]] = 0.0
    found = lewis_weights(rows, p, tolerance=1e-8)
    assert found.sum() == pytest.approx(6, abs=1e-5)
    assert (np.flatnonzero(found == 0) == [3, 7]).all()
    turned = rows[:, :6] @ RANDOM.normal(size=(6, 6))
    assert lewis_weights(turned, p, tolerance=1e-8) == pytest.approx(found, rel=1e-5, abs=1e-12)
    assert lewis_weights(1e9 * rows, p, tolerance=1e-8) == pytest.approx(found, rel=1e-5)


@pytest.mark.parametrize(
    ("p", "iteration", "steps"),
    [(1.0, "plain", 35), (1.5, "plain", 19), (2.0, "plain", 2), (3.0, "plain", 39),
     (3.0, "damped", 24)],
)  # fmt: skip
def test_steps_as_in_the_card(p, iteration, steps):
    """The card's rows are not these, but of their kind: within 4 steps."""
    _, info = iterated("rows", CARD, None, p, iteration, 1e-10, 100)
    assert abs(info["steps"] - steps) <= 4


def test_the_plain_one_is_refused_where_it_diverges():
    for p in (4.0, 4.5, 9.0):
        with pytest.raises(ValueError, match=r"p must be below 4 with the plain iteration, which"):
            lewis_weights(ROWS, p, iteration="plain")
    with pytest.raises(ValueError, match="p must be at least 2 with the damped iteration, got 1.5"):
        lewis_weights(ROWS, 1.5, iteration="damped")
    with pytest.raises(ValueError, match=r"p must be in \[1, inf\), got 0.5"):
        lewis_weights(ROWS, 0.5)


def test_and_would_have_diverged_there():
    """The reason given is true: from near the answer, an error doubles in two steps or fewer."""
    p = 6.0
    right = lewis_weights(ROWS, p, tolerance=1e-9, max_iter=200)

    def step(weights):
        scaled = ROWS * (weights ** (0.5 - 1 / p))[:, None]
        return (oracle_rows.leverage_by_pinv(scaled) / weights ** (1 - 2 / p)) ** (p / 2)

    near = right * 1.001  # the same relative error in all, which a step multiplies by 1 - p/2
    for expected in (2.0, 4.0):
        near = step(near)
        assert np.abs(np.log(near / right)).max() == pytest.approx(expected * 1e-3, rel=0.01)


def test_weights_that_have_not_settled_are_not_returned():
    with pytest.raises(RuntimeError, match=r"p = 3.5 still change by 0\.\d+ after 4 steps"):
        lewis_weights(ROWS, 3.5, max_iter=4)
    for p in (1.0, 1.9, 2.5, 2.99, 3.0, 3.99, 8.0):
        lewis_weights(CARD, p)  # settle within 50


def test_bad_rows_and_float16():
    rows = ROWS.astype(np.float16)
    near = lewis_weights(rows.astype(np.float32), 1.0)
    assert lewis_weights(rows, 1.0) == pytest.approx(near)
    broken = ROWS.copy()
    broken[17, 0] = np.inf
    with pytest.raises(ValueError, match="rows must be finite, got inf in row 17"):
        lewis_weights(broken, 1.0)
    for selector in (lewis, root_leverage, lambda *a, **o: sensitivity_lp(*a, p=1.5, **o)):
        with pytest.raises(ValueError, match="embeddings must be finite, got inf in row 17"):
            selector(broken, 10)
        assert 17 not in selector(broken, 399, on_bad="drop").indices
