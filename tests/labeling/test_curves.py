import math

import numpy as np
import pytest

from sampling.labeling import LearningCurve, fit_curve

SIZES = np.array([100, 200, 400, 800, 1600, 3200])


def truth(sizes, floor=0.05, scale=2.0, exponent=0.4):
    return floor + scale * np.asarray(sizes, float) ** -exponent


def squares_by_grid(sizes, losses):
    """The least sum of squares over a fine grid of floors and exponents, scales by hand."""
    best = math.inf
    for floor in np.linspace(0, min(losses), 300):
        for k in np.geomspace(0.05, 2.0, 300):
            x = np.asarray(sizes, float) ** -k
            scale = max(0.0, float(x @ (losses - floor) / (x @ x)))
            best = min(best, float(np.sum((losses - floor - scale * x) ** 2)))
    return best


@pytest.mark.parametrize("exponent", [0.06, 0.4, 1.3])
def test_exact_losses_are_fitted(exponent):
    curve = fit_curve(SIZES, truth(SIZES, exponent=exponent))
    found = (curve.floor, curve.scale, curve.exponent)
    np.testing.assert_allclose(found, (0.05, 2.0, exponent), rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(curve.loss(SIZES), truth(SIZES, exponent=exponent), rtol=1e-6)
    assert curve.noise < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_no_other_curve_fits_better(seed):
    losses = truth(SIZES) * (1 + 0.05 * np.random.default_rng(seed).normal(size=6))
    curve = fit_curve(SIZES, losses)
    own = float(np.sum((losses - curve.loss(SIZES)) ** 2))
    assert own <= squares_by_grid(SIZES, losses) * (1 + 1e-9)
    assert curve.noise == pytest.approx(math.sqrt(own / 3))


def test_sizes_for_a_target():
    curve = LearningCurve(0.1, 2.0, 0.5)
    assert curve.size_for(0.2).size == pytest.approx(400)
    assert curve.size_for(0.1).size == math.inf
    assert curve.size_for(5.0).size == 1.0
    assert math.isnan(curve.size_for(0.2).low)  # a curve without data is not sure of anything
    noisy = truth(SIZES) * (1 + 0.02 * np.random.default_rng(1).normal(size=6))
    fitted = fit_curve(SIZES, noisy)
    found = fitted.size_for(float(truth(20_000)))
    assert found.low < 20_000 < found.high
    assert found.low < found.size < found.high
    hard = fitted.size_for(0.055)  # near the floor: some curves never reach it
    assert hard.high == math.inf
    assert 0 < hard.unreachable < 1
    again = fit_curve(SIZES, noisy).size_for(float(truth(20_000)))
    assert again == found
    low, high = fitted.interval([3200, 32_000])
    assert (high - low)[0] < (high - low)[1]  # less sure farther away


def test_few_sizes_and_missing_points():
    with pytest.warns(UserWarning, match="at least 3 different sizes, got 2: the exponent is 0.5"):
        two = fit_curve([100, 400], [0.3, 0.2])
    assert two.exponent == 0.5
    np.testing.assert_allclose(two.loss([100, 400]), [0.3, 0.2])
    assert len(two.replicates) == 0  # as many coefficients as points: no noise is seen
    three = fit_curve([100, 200, 400], [0.3, 0.25, 0.22])
    assert math.isnan(three.noise)
    assert math.isnan(three.size_for(0.15).high)
    known = fit_curve([100, 200, 400], [0.3, 0.25, 0.22], [0.01, 0.01, 0.01])
    assert known.size_for(0.21).high > known.size_for(0.21).low
    with pytest.warns(UserWarning, match="2 of 8 losses are not positive numbers"):
        some = fit_curve([50, *SIZES, 9000], [np.nan, *truth(SIZES), 0.0])
    assert some.exponent == pytest.approx(0.4, rel=1e-3)
    with pytest.raises(ValueError, match="sizes must hold at least 2 different sizes, got 1"):
        fit_curve([100, 100], [0.3, 0.2])


def test_losses_that_increase_give_a_flat_curve():
    with pytest.warns(UserWarning, match="losses should decrease with the size"):
        curve = fit_curve(SIZES, np.linspace(0.1, 0.2, 6))
    assert curve.scale == 0.0
    assert curve.floor == pytest.approx(0.15)
    assert curve.size_for(0.1).size == math.inf


def test_errors_weigh_the_points():
    losses = truth(SIZES)
    losses[0] *= 1.5
    errors = np.where(SIZES == 100, 10.0, 0.01)
    curve = fit_curve(SIZES, losses, errors, exponent=0.4)
    assert curve.floor == pytest.approx(0.05, rel=1e-3)
    for wrong, message in (
        ([0.0] * 6, "errors must be > 0, got 0 in row 0"),
        ([1.0] * 5, "errors must have the length of sizes, 6, got 5"),
    ):
        with pytest.raises(ValueError, match=message):
            fit_curve(SIZES, losses, wrong)
    with pytest.raises(ValueError, match=r"sizes must be >= 1, got 0 in row 1"):
        fit_curve([1, 0], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"exponent must be in \[0.05, 2\], got 3"):
        fit_curve(SIZES, losses, exponent=3)


@pytest.mark.parametrize("unit", [1e-300, 1e300])
def test_the_unit_of_the_losses_does_not_matter(unit):
    losses = truth(SIZES) * (1 + 0.02 * np.random.default_rng(1).normal(size=6))
    one, other = fit_curve(SIZES, losses), fit_curve(SIZES, unit * losses)
    assert other.exponent == pytest.approx(one.exponent)
    assert (other.floor, other.noise) == pytest.approx((unit * one.floor, unit * one.noise))
    assert other.size_for(unit * 0.08).high == pytest.approx(one.size_for(0.08).high)


@pytest.mark.full
def test_intervals_cover_as_stated():
    hits = 0
    for seed in range(400):
        clean = truth(SIZES)
        noise = 0.02 * clean
        losses = clean + noise * np.random.default_rng(seed).normal(size=6)
        low, high = fit_curve(SIZES, losses, noise, seed=seed).interval(32_000)
        hits += int(low[0] <= truth(32_000) <= high[0])
    assert 0.85 < hits / 400 < 0.94


def test_replicates_are_not_limited_to_the_grid():
    curve = fit_curve(SIZES, truth(SIZES, exponent=0.4123))  # without noise, all agree
    estimate = curve.size_for(0.08)
    assert estimate.low == pytest.approx(estimate.size, rel=1e-4)
    assert estimate.high == pytest.approx(estimate.size, rel=1e-4)


def test_a_loss_that_is_no_number_is_named():
    with pytest.raises(TypeError, match="losses must hold numbers, got .*, with 'b' in row 1"):
        fit_curve([10, 20, 30], [0.5, "b", 0.4])
    with pytest.warns(UserWarning, match="1 of 6 losses are not positive numbers"):
        missing = fit_curve(SIZES, [None, *truth(SIZES)[1:]])
    assert missing.scale == fit_curve(SIZES[1:], truth(SIZES)[1:]).scale


def test_a_target_above_the_losses_given_is_said_to_be_an_accuracy():
    curve = fit_curve([100, 200, 400, 800], [0.30, 0.20, 0.14, 0.10])
    with pytest.warns(UserWarning, match="target should be a loss .* got 0.95: of an accuracy"):
        curve.size_for(0.95)
    assert curve.size_for(0.25).size < 200
