"""Random mixtures and their regression: distributions, bounds, honest errors."""

import numpy as np
import pytest
from scipy import stats

from sampling.samplers import mixture_regression, random_mixtures
from sampling.samplers.mixture._regression import _log_gammas

PRIOR = np.array([0.6, 0.25, 0.1, 0.05])
RUNS = np.tile(np.eye(3), (4, 1))


@pytest.mark.parametrize("alpha", [0.02, 0.7, 3.0, 40.0])
def test_gamma_variates_have_their_distribution(alpha):
    logs = _log_gammas(np.full((4000, 1), alpha), np.uint64(7)).ravel()
    found = stats.kstest(logs, lambda x: stats.gamma.cdf(np.exp(x), alpha))
    assert found.pvalue > 1e-4


def test_golden_dirichlet_moments():
    """At one strength, without bounds: mean p, variance p (1 - p) / (strength + 1)."""
    found = random_mixtures(PRIOR, 4000, temperature=1.0, strength=(3.0, 3.0), max_ratio=None,
                            minimum=0.0, seed=1)  # fmt: skip
    variance = PRIOR * (1 - PRIOR) / 4.0
    assert (np.abs(found.mean(axis=0) - PRIOR) < 4.5 * np.sqrt(variance / 4000)).all()
    np.testing.assert_allclose(found.var(axis=0), variance, rtol=0.15)


def test_mixtures_sum_to_one_and_keep_their_bounds():
    """Defect of the released code: rounded shares that do not sum to 1, renormalised past them."""
    found = random_mixtures(PRIOR, 500, max_ratio=2.0, minimum=0.01)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    assert (found <= np.minimum(1, 2 * PRIOR) + 1e-9).all()
    assert ((found == 0) | (found >= 0.01)).all()
    assert (found == 0).any()
    assert np.unique(found, axis=0).shape == found.shape


def test_the_first_mixtures_do_not_depend_on_their_number():
    np.testing.assert_array_equal(random_mixtures(PRIOR, 9), random_mixtures(PRIOR, 90)[:9])
    assert (random_mixtures(PRIOR, 9) != random_mixtures(PRIOR, 9, seed=1)).any()
    named = random_mixtures(dict(zip("abcd", 1e9 * PRIOR, strict=True)), 9)
    np.testing.assert_allclose(named, random_mixtures(PRIOR, 9))
    assert random_mixtures([5], 1).tolist() == [[1.0]]


def losses_of(mixtures):
    return 2.0 + ((mixtures - [0.3, 0.4, 0.2, 0.1]) ** 2).sum(axis=1)


def test_a_known_optimum_is_proposed():
    mixtures = random_mixtures([1] * 4, 96, seed=0)
    fit = mixture_regression(mixtures, losses_of(mixtures), seed=0)
    assert losses_of(fit.weights[None])[0] < losses_of(mixtures).min()
    assert fit.best_metric == losses_of(mixtures).min() == losses_of(mixtures)[fit.best_run]
    assert fit.error < 0.5 * fit.baseline_error
    assert fit.rank_correlation > 0.8
    assert fit.weights.sum() == pytest.approx(1)


def test_a_higher_metric_is_better_if_it_says_so():
    mixtures = random_mixtures([1] * 4, 40)
    settings = {"candidates": random_mixtures([1] * 4, 300, seed=1), "top": 9, "folds": 2}
    down = mixture_regression(mixtures, losses_of(mixtures), **settings)
    up = mixture_regression(mixtures, -losses_of(mixtures), maximize=True, **settings)
    np.testing.assert_allclose(up.weights, down.weights)
    assert up.best_run == down.best_run
    assert up.error == pytest.approx(down.error)


def test_the_error_of_noise_is_not_below_that_of_the_mean():
    """The error of runs that are in the fit would be near 0."""
    mixtures = random_mixtures([1] * 4, 60, seed=0)
    noise = np.random.default_rng(0).normal(size=60)
    fit = mixture_regression(mixtures, noise, candidates=mixtures)
    assert fit.error > 0.9 * fit.baseline_error
    constant = mixture_regression(mixtures[:10], np.ones(10), candidates=mixtures)
    assert np.isnan(constant.rank_correlation)
    assert constant.error < 1e-9


def test_candidates_and_names():
    pandas = pytest.importorskip("pandas")
    mixtures = random_mixtures([1] * 4, 40)
    frame = pandas.DataFrame(mixtures, columns=list("abcd"))
    choices = np.array([[1, 1, 1, 1], [0, 0, 0, 3]])
    fit = mixture_regression(frame, losses_of(mixtures), candidates=choices, top=1)
    assert fit.shares == {"a": 0.25, "b": 0.25, "c": 0.25, "d": 0.25}
    assert fit.predicted == mixture_regression(
        mixtures, losses_of(mixtures), candidates=choices, top=1).predicted  # fmt: skip


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: random_mixtures([1, 0], 3), "prior must be > 0, got 0 in row 1"),
        (lambda: random_mixtures([1, 1], 0), "num_mixtures must be in"),
        (lambda: random_mixtures([1, 1], 3, strength=(2, 1)), r"strength must be \(lowest"),
        (lambda: random_mixtures([1, 1], 3, max_ratio=0.5), r"max_ratio must be in \[1, inf\)"),
        (lambda: random_mixtures([1, 1], 3, max_ratio=1.0), "num_mixtures must be at most 0, the"),
        (lambda: mixture_regression(RUNS, [1, 2]), "metrics must have the length of the mix"),
        (lambda: mixture_regression(RUNS, [1, np.nan] * 6), "metrics must be finite"),
        (lambda: mixture_regression(RUNS[:9], range(9)), "mixtures must have at least 10 runs"),
        (lambda: mixture_regression([[1, -1]] * 3, [1, 2, 3]), "mixtures must be finite, >= 0 and"),
        (lambda: mixture_regression(RUNS, range(12), folds=13), r"folds must be in \[2, 13\)"),
        (lambda: mixture_regression(RUNS, range(12), names=["a"]), "names must have"),
        (lambda: mixture_regression(RUNS, range(12), candidates=np.eye(2)),
         r"candidates must have shape \(C, 3\)"),
    ],
)  # fmt: skip
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()
