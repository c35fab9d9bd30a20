"""Density ratios by kernels: uLSIF, kernel mean matching, double weighting."""

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.datasets import load_digits

from sampling.weighting import _kernel_ratio as kernels
from sampling.weighting import double_weights, kmm_weights, ulsif_weights

RANDOM = np.random.default_rng(2)
SOURCE = RANDOM.normal(size=(1200, 2))
TARGET = RANDOM.normal(size=(600, 2)) + [1.0, 0.0]
KEY = np.uint64(5)


def double(source, target, **options):
    return double_weights(source, target, relaxation=1.0, **options)[0]


ALL = {"ulsif": ulsif_weights, "kmm": kmm_weights, "double": double}
each = pytest.mark.parametrize("function", ALL.values(), ids=ALL)


@each
def test_weights_move_the_source_to_the_target(function):
    weighting = function(SOURCE, TARGET)
    weights = weighting.values.astype(np.float64)
    assert weights.mean() == pytest.approx(1.0, abs=1e-5)
    assert np.average(SOURCE[:, 0], weights=weights) == pytest.approx(1.0, abs=0.3)
    assert np.average(SOURCE[:, 1], weights=weights) == pytest.approx(0.0, abs=0.15)
    exact = np.exp(SOURCE[:, 0] - 0.5)
    assert np.corrcoef(exact, weights)[0, 1] > 0.6
    assert np.array_equal(function(SOURCE, TARGET).values, weighting.values)


@each
def test_a_target_that_is_the_source_changes_little(function):
    values = function(SOURCE[:300], SOURCE[:300]).values
    assert values.std() < 0.2


@each
def test_scales_copies_and_constant_columns(function):
    plain = function(SOURCE, TARGET).values
    wide = np.concatenate([SOURCE, np.ones((1200, 1))], axis=1) * 1e30
    other = np.concatenate([TARGET, np.ones((600, 1))], axis=1) * 1e30
    assert np.isfinite(function(wide, other).values).all()
    np.testing.assert_allclose(
        function(SOURCE * 2.0**-99, TARGET * 2.0**-99).values, plain, rtol=0.01, atol=0.01
    )
    same = np.ones((30, 2))
    np.testing.assert_allclose(function(same, same).values, 1.0, rtol=1e-5)


@each
def test_bad_arguments(function):
    with pytest.raises(ValueError, match="source must have at least 20 rows, got 1"):
        function(SOURCE[:1], TARGET)
    with pytest.raises(ValueError, match="target must have the dimensions of source, 2, got 1"):
        function(SOURCE, TARGET[:, :1])
    broken = SOURCE.copy()
    broken[7, 1] = np.nan
    with pytest.raises(ValueError, match="source must be finite, got nan in row 7"):
        function(broken, TARGET)
    with pytest.raises(ValueError, match=r"bandwidth must be in \(0, inf\), got 0"):
        function(SOURCE, TARGET, bandwidth=0)
    for wrong in ({"clip_quantile": 0}, {"power": 2}):
        with pytest.raises(ValueError, match=r"must be in \(0, 1\], got [02]"):
            function(SOURCE, TARGET, **wrong)


def test_no_overlap():
    far = TARGET + [300.0, 0.0]
    with (
        pytest.warns(UserWarning, match="bandwidth must be near"),
        pytest.raises(ValueError, match="source and target must overlap, got a density ratio of 0"),
    ):
        ulsif_weights(SOURCE, far, bandwidth=0.01, ridge=0.1)


def test_few_samples_with_all_of_the_weight_warn():
    source = np.concatenate([SOURCE, RANDOM.normal(size=(20, 2)) + [9.0, 0.0]])
    target = RANDOM.normal(size=(100, 2)) + [9.0, 0.0]
    with pytest.warns(UserWarning, match=r"an effective sample size of \S+ of 1220"):
        ulsif_weights(source, target)


def test_ulsif_solves_its_equations_and_a_mixture_limits_it():
    phi, psi = RANDOM.random((50, 4)), RANDOM.random((40, 4))
    for r in (0.0, 0.3):
        square = sum((1 - r) * np.outer(a, a) / 50 for a in phi) + sum(
            r * np.outer(a, a) / 40 for a in psi
        )
        found = minimize(
            lambda t, s=square: 0.5 * t @ s @ t - psi.mean(axis=0) @ t + 0.05 * t @ t,
            np.zeros(4),
            tol=1e-12,
        )
        np.testing.assert_allclose(
            kernels._fitted(phi, psi, 0.1, r), np.maximum(phi @ found.x, 0), atol=1e-4
        )


def test_leave_one_out_is_that_of_fits_without_a_pair():
    phi, psi = RANDOM.random((24, 3)), RANDOM.random((21, 3))
    errors = []
    for i, j in zip(
        kernels._some(24, 21, kernels._rng.subkey(KEY, 1)),
        kernels._some(21, 21, kernels._rng.subkey(KEY, 2)),
        strict=True,
    ):
        rest, others = np.delete(phi, i, 0), np.delete(psi, j, 0)
        theta = np.linalg.solve(rest.T @ rest / 23 + 0.2 * np.eye(3), others.mean(axis=0))
        errors.append(0.5 * max(0, phi[i] @ theta) ** 2 - max(0, psi[j] @ theta))
    assert kernels._left_out(phi, psi, 0.2, KEY) == pytest.approx(np.mean(errors), rel=1e-9)


def by_slsqp(phi, psi, most, relaxation):
    """The least objective by scipy."""
    n, m = len(phi), len(psi)
    fixed = relaxation == 1.0

    def parts(x):
        return (x, np.ones(m)) if fixed else (x[:n], x[n:])

    def value(x):
        b, a = parts(x)
        return 1e3 * np.square(b @ phi / n - a @ psi / m).sum()

    def room(x):
        b, a = parts(x)
        gap, radius = b.mean() - a.mean(), (1 - 1 / np.sqrt(relaxation)) * np.sqrt(m)
        return [
            1 - 1 / np.sqrt(n) - gap,
            1 - 1 / np.sqrt(n) + gap,
            radius**2 - np.square(a - 1).sum(),
        ]

    bounds = [(0, most)] * n + ([] if fixed else [(0, 1)] * m)
    found = minimize(
        value, np.ones(len(bounds)) * 0.9, bounds=bounds, method="SLSQP",
        constraints={"type": "ineq", "fun": lambda x: np.array(room(x))[: 2 if fixed else 3]},
        options={"maxiter": 300, "ftol": 1e-10},
    )  # fmt: skip
    return found.fun / 1e3


@pytest.mark.parametrize("most", [1000.0, 1.5, 1.0])
@pytest.mark.parametrize("relaxation", [1.0, 1.5, 9.0])
@pytest.mark.parametrize("seed", range(2))
def test_matched_means_are_those_of_scipy(most, relaxation, seed):
    random = np.random.default_rng(seed)
    phi = kernels._waves(random.normal(size=(24, 3)))
    psi = kernels._waves(random.normal(size=(20, 3)) + 1.0)
    b, a = kernels.minimized(phi, psi, most, relaxation, 3000)
    found = np.square(b @ phi / 24 - a @ psi / 20).sum()
    assert found <= by_slsqp(phi, psi, most, relaxation) + 2e-6
    assert (b >= 0).all()
    assert (b <= most + 1e-9).all()
    assert ((a >= 0) & (a <= 1)).all()
    assert abs(b.mean() - a.mean()) <= 1 - 1 / np.sqrt(24) + 1e-9
    assert np.linalg.norm(a - 1) <= (1 - 1 / np.sqrt(relaxation)) * np.sqrt(20) + 1e-9


def test_features_approximate_the_kernel():
    rows = RANDOM.normal(size=(30, 4))
    waves = kernels._waves(rows @ kernels._normals(4, 20_000, KEY) / 1.5)
    exact = kernels._gaussians(rows, rows, 1.5)
    np.testing.assert_allclose(waves @ waves.T, exact, atol=0.04)


def test_double_weighting_gives_up_the_target_without_a_source():
    target = np.concatenate([TARGET[:300], RANDOM.normal(size=(60, 2)) + [12.0, 0.0]])
    weighting, found = double_weights(SOURCE, target, relaxation=2.0)
    assert found.shape == (360,)
    assert found[:300].mean() > 0.9
    assert found[300:].mean() < 0.5
    assert weighting.effective_sample_size > kmm_weights(SOURCE, target).effective_sample_size
    one, ones = double_weights(SOURCE, TARGET, relaxation=1.0)
    assert np.array_equal(one.values, kmm_weights(SOURCE, TARGET).values)
    assert (ones == 1.0).all()


@each
def test_a_target_that_the_source_does_not_reach_warns(function):
    for far in (1e4, 30.0):
        with pytest.warns(UserWarning, match="hardly overlap.* of the target's mean is not reach"):
            function(SOURCE[:150], SOURCE[:120] + far)
    with pytest.warns(UserWarning, match="hardly overlap"):
        function(np.ones((30, 2)), np.full((30, 2), 5.0))


@each
@pytest.mark.parametrize("bandwidth", [0.02, 100.0])
def test_a_bandwidth_that_does_not_tell_rows_apart_warns(function, bandwidth):
    """Matching the means of a kernel that is 0 or 1 for all pairs leaves all weights at 1."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(SOURCE, TARGET, bandwidth=bandwidth)
    assert "bandwidth must be near the distances of the samples" in str(caught[0].message)


def test_digits_that_share_one_class_are_said_to_hardly_overlap():
    x, y = load_digits(return_X_y=True)
    with pytest.warns(UserWarning, match="hardly overlap"):
        ulsif_weights(x[y < 5][:150], x[y > 3][:120])


def test_a_limit_that_leaves_no_weight_is_refused():
    random = np.random.default_rng(0)
    source = random.normal(0, 1, (300, 1))
    target = random.normal(1, 0.7, (300, 1)) + 10
    with pytest.raises(ValueError, match="clip_quantile must leave a weight above 0, got 0.99, .*"):
        kmm_weights(source, target)
    with pytest.warns(UserWarning, match="hardly overlap"):
        assert np.isfinite(kmm_weights(source, target, clip_quantile=1.0).values).all()


def test_a_bandwidth_whose_square_overflows():
    with pytest.warns(UserWarning, match="bandwidth must be near"):
        values = ulsif_weights(SOURCE, TARGET, bandwidth=1e200).values
    np.testing.assert_allclose(values, 1.0)
