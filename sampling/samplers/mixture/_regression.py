"""Mixtures by regression: train small models on random mixtures, fit, and propose the best one.

Offline, unlike the updaters: nothing here is called during training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _check, _rng
from ..._check._keywords import told
from ..._shares import temperature_shares
from ...types import Floats, Indices
from ..core._permutation import Permutation

_BLOCK = 4096  # mixtures proposed at a time
_TRIES = 1000  # proposals for each mixture, at most
_FEWEST = 10  # runs, below which a fit and its error mean nothing


@told
@dataclass(frozen=True, eq=False)
class MixtureFit:
    """The result of `mixture_regression`.

    Attributes
    ----------
    weights : float64 array of shape (K,)
        The proposed mixture; sum 1.
    names : list
        Names of the sources: those given, else 0 to K - 1.
    predicted : float
        Metric that the model predicts for it. The best of many predictions is optimistic: train
        with it before you believe it.
    error : float
        Root mean squared error of predictions for runs that were excluded from the fit, by
        cross-validation.
    baseline_error : float
        The same, if the mean of the other runs is predicted: a model with an `error` that is not
        clearly below it knows nothing.
    rank_correlation : float
        Spearman's correlation of the same predictions with the metrics; NaN if one is constant.
    best_run : int
        Row of the run with the best metric.
    best_metric : float
        Its metric: what the proposed mixture has to surpass.

    Examples
    --------
    >>> mixtures = random_mixtures([0.5, 0.5], 40, seed=0)
    >>> fit = mixture_regression(mixtures, (mixtures[:, 0] - 0.3) ** 2, names=["web", "code"])
    >>> fit.error < fit.baseline_error, abs(fit.shares["web"] - 0.3) < 0.1
    (True, True)
    """

    weights: Floats
    names: list[Any]
    predicted: float
    error: float
    baseline_error: float
    rank_correlation: float
    best_run: int
    best_metric: float

    @property
    def shares(self) -> dict[Any, float]:
        """The proposed mixture by name, for `weights` of `MixtureSampler`."""
        return dict(zip(self.names, self.weights.tolist(), strict=True))


@told
def random_mixtures(
    prior: Mapping[Any, float] | ArrayLike,
    num_mixtures: int,
    *,
    temperature: float = 2.0,
    strength: tuple[float, float] = (0.1, 5.0),
    max_ratio: float | None = 15.0,
    minimum: float = 2e-4,
    seed: int = 0,
) -> Floats:
    """Return random mixtures for the small runs of `mixture_regression`.

    Each is drawn from a Dirichlet distribution around the prior, whose concentration varies, so
    that some mixtures are near the prior and others consist of a few sources.

    Parameters
    ----------
    prior : mapping, or array-like of shape (K,)
        Natural share or size of each source, finite and > 0, such as its tokens. The columns of the
        result are in its order.
    num_mixtures : int >= 1
        Number of mixtures M; the paper trains 512 small models.
    temperature : float > 0, or inf, default 2
        The prior is flattened first: prior ** (1 / temperature).
    strength : (float, float), default (0.1, 5)
        Range of the concentration; the logarithm is uniform. Mixtures of a low one consist of few
        sources, those of a high one are near the prior.
    max_ratio : float >= 1, optional, default 15
        Largest share of a source, as a multiple of its natural share: the passes over it in a run
        over as many tokens as there are. None for no limit. Mixtures above it are rejected.
    minimum : float in [0, 1), default 2e-4
        Smaller shares are set to 0: a small run has too few samples of them.
    seed : int in [0, 2**64), default 0
        Seed of every random decision.

    Returns
    -------
    float64 array of shape (M, K)
        Rows sum to 1, and differ from each other.

    Raises
    ------
    ValueError
        If an argument is out of its range, or too few different mixtures are within `max_ratio`.

    Notes
    -----
    Order
        A pure function of the arguments; the first rows do not depend on `num_mixtures`.
    Cost
        O(K) for each proposal; the proposals of a narrow `max_ratio` are many.
    Source
        Liu et al., "RegMix: Data Mixture as Regression for Language Model Pre-training", 2024,
        arXiv:2407.01492, whose code has these defaults. It rounds the shares to multiples of the
        minimum, so that they need not sum to 1; here they do.

    Examples
    --------
    >>> mixtures = random_mixtures({"web": 80, "code": 15, "books": 5}, 100, seed=0)
    >>> mixtures.shape, bool(np.allclose(mixtures.sum(axis=1), 1))
    ((100, 3), True)
    >>> bool((mixtures[:, 2] <= 15 * 0.05).all())
    True
    """
    named = _check.named("prior", prior)
    given = list(named.values()) if named is not None else prior
    sizes = _check.floats("prior", given, "finite and >= 0")  # type: ignore[arg-type]
    if not sizes.all():
        raise ValueError(f"prior must be > 0, got 0 in row {int(np.argmin(sizes))}")
    wanted = _check.integer("num_mixtures", num_mixtures, 1, 2**40)
    if temperature != float("inf"):
        temperature = _check.number("temperature", temperature, "(0, inf)")
    ends = _check.numbers("strength", strength, "(0, inf)")
    if len(ends) != 2 or ends[0] > ends[1]:
        raise ValueError(f"strength must be (lowest, highest), got {strength}")
    most = np.ones(sizes.size)
    if max_ratio is not None:
        ratio = _check.number("max_ratio", max_ratio, "[1, inf)")
        most = np.minimum(1.0, ratio * sizes / sizes.sum())
    minimum = _check.number("minimum", minimum, "[0, 1)")
    flat = temperature_shares(sizes, temperature)
    key = _rng.key(_check.seed(seed), 0, "mixtures")
    kept = np.empty((0, sizes.size))
    for block in range(-(-wanted * _TRIES // _BLOCK)):
        shares = _proposed(flat, ends[0], ends[1], _rng.subkey(key, block))
        shares[shares < minimum] = 0.0
        totals = shares.sum(axis=1, keepdims=True)
        shares = np.divide(shares, totals, out=np.zeros_like(shares), where=totals > 0)
        good = (totals[:, 0] > 0) & (shares <= most + 1e-12).all(axis=1)
        kept = np.concatenate([kept, shares[good]])
        _, first = np.unique(kept.round(6), axis=0, return_index=True)
        kept = kept[np.sort(first)]
        if len(kept) >= wanted:
            return kept[:wanted]
    raise ValueError(
        f"num_mixtures must be at most {len(kept)}, the number of different mixtures found within "
        f"max_ratio, got {wanted}: increase max_ratio or strength, or reduce minimum"
    )


@told
def mixture_regression(
    mixtures: ArrayLike,
    metrics: ArrayLike,
    *,
    maximize: bool = False,
    candidates: ArrayLike | None = None,
    top: int = 100,
    folds: int = 5,
    names: Sequence[Any] | None = None,
    seed: int = 0,
) -> MixtureFit:
    """Fit a metric as a function of the mixture, and return the mixture with the best prediction.

    From some dozens to hundreds of small runs on `random_mixtures`; gradient boosting of
    scikit-learn is fitted to them, and the best of many other mixtures is proposed for the large
    run. What is best for a small model need not be best for a large one.

    Parameters
    ----------
    mixtures : array-like of shape (M, K)
        Mixture of each run, M >= 10, finite and >= 0; rows are divided by their sums.
    metrics : array-like of shape (M,)
        Metric of each run, such as a validation loss; finite.
    maximize : bool, default False
        Whether a higher metric is better.
    candidates : array-like of shape (C, K), optional
        Mixtures to predict; by default the runs, and 100,000 random ones around their mean, of
        which those within the largest share that any run has of each source.
    top : int >= 1, default 100
        The proposal is the mean of the candidates with the best predictions, as many as this.
    folds : int in [2, M], default 5
        Folds of the cross-validation.
    names : list, optional
        Names of the sources; by default the columns of a DataFrame, else 0 to K - 1.
    seed : int in [0, 2**64), default 0
        Of the folds, the model and the candidates.

    Returns
    -------
    MixtureFit
        The proposal, its prediction, and the error of predictions for runs outside of the fit.

    Raises
    ------
    ValueError
        If a value is not finite, an argument is out of its range, or shapes do not fit.

    Notes
    -----
    Order
        A pure function of the arguments and the release of scikit-learn.
    Cost
        O(M K log M) a tree, for 100 trees and folds + 1 fits, and O(C) predictions.
    Source
        Liu et al., "RegMix", 2024, arXiv:2407.01492, with LightGBM. A name that is also used for
        another method, which mixes pairs of samples for regression (Hwang and Whang).

    Examples
    --------
    >>> mixtures = random_mixtures([1, 1, 1], 60, seed=0)
    >>> losses = 3.0 - mixtures @ [0.5, 0.2, 0.1] + (mixtures**2).sum(axis=1)
    >>> fit = mixture_regression(mixtures, losses)
    >>> fit.weights.argmax(), fit.error < fit.baseline_error
    (np.int64(0), True)
    """
    if names is None:
        names = list(getattr(mixtures, "columns", ()))  # of a DataFrame
    rows = _mixtures_of("mixtures", mixtures)
    if len(rows) < _FEWEST:
        raise ValueError(f"mixtures must have at least {_FEWEST} runs, got {len(rows)}")
    values = _check.floats("metrics", metrics, "finite")
    _check.same_length("metrics", values, "the mixtures", len(rows))
    maximize = _check.flag("maximize", maximize)
    top = _check.integer("top", top, 1)
    folds = _check.integer("folds", folds, 2, len(rows) + 1)
    seed = _check.seed(seed)
    known = _check.listed("names", names) or list(range(rows.shape[1]))
    _check.same_length("names", known, "the sources", rows.shape[1])
    if candidates is None:
        tried = _candidates(rows, seed)
    else:
        tried = _mixtures_of("candidates", candidates)
        if tried.shape[1] != rows.shape[1]:
            raise ValueError(
                f"candidates must have shape (C, {rows.shape[1]}), as the mixtures, got "
                f"{tried.shape}"
            )
    outside, means = _outside(rows, values, folds, seed)
    model = _fitted(rows, values, seed)
    predictions = model.predict(tried)
    sign = -1.0 if maximize else 1.0
    best = np.argsort(sign * predictions, kind="stable")[:top]
    weights = tried[best].mean(axis=0)
    run = int(np.argmin(sign * values))
    return MixtureFit(
        weights=weights / weights.sum(),
        names=known,
        predicted=float(model.predict(weights[None])[0]),
        error=_root_mean_square(outside - values),
        baseline_error=_root_mean_square(means - values),
        rank_correlation=_rank_correlation(outside, values),
        best_run=run,
        best_metric=float(values[run]),
    )


def _mixtures_of(name: str, given: ArrayLike) -> Floats:
    """Return mixtures whose rows sum to 1: float64 (M, K)."""
    found = np.array(_check.matrix(name, given), np.float64)
    bad = ~np.isfinite(found).all(axis=1) | (found < 0).any(axis=1) | ~found.any(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"{name} must be finite, >= 0 and not all 0, got {found[row]} in row {row}"
        )
    shares: Floats = found / found.sum(axis=1, keepdims=True)
    return shares


def _proposed(flat: Floats, low: float, high: float, key: np.uint64) -> Floats:
    """Return a block of Dirichlet draws around shares (K,): float64 (_BLOCK, K)."""
    where = np.arange(_BLOCK, dtype=np.uint64)
    part = _units(_rng.subkey(key, 0), where)
    strength = np.exp(np.log(low) + part * (np.log(high) - np.log(low)))
    alphas = np.maximum(strength[:, None] * flat, 1e-300)
    logs = _log_gammas(alphas, _rng.subkey(key, 1))
    parts = np.exp(logs - logs.max(axis=1, keepdims=True))
    shares: Floats = parts / parts.sum(axis=1, keepdims=True)
    return shares


def _log_gammas(alphas: Floats, key: np.uint64) -> Floats:
    """Return the logarithms of gamma variates: those of alpha + 1, times a power of a uniform one.

    In logarithms, because variates of a small alpha are below the smallest float64. Those of
    alpha + 1 by Marsaglia and Tsang, ACM Transactions on Mathematical Software 26, 2000.
    """
    from scipy.special import ndtri  # 0.1 s, and only these functions need it

    shape = alphas.ravel() + 1.0
    d = shape - 1.0 / 3.0
    out, left = np.empty_like(d), np.arange(d.size)
    attempt = 0
    while left.size:
        words = left.astype(np.uint64)
        normal = ndtri(_units(_rng.subkey(key, 3 * attempt + 1), words))
        uniform = _units(_rng.subkey(key, 3 * attempt + 2), words)
        here = d[left]
        cube = (1.0 + normal / np.sqrt(9.0 * here)) ** 3
        logs = np.log(np.where(cube > 0, cube, 1.0))
        good = (cube > 0) & (np.log(uniform) < 0.5 * normal**2 + here * (1.0 - cube + logs))
        out[left[good]] = np.log(here[good]) + logs[good]
        left, attempt = left[~good], attempt + 1
    boost = np.log(_units(_rng.subkey(key, 0), np.arange(d.size, dtype=np.uint64)))
    found: Floats = (out + boost / alphas.ravel()).reshape(alphas.shape)
    return found


def _units(key: np.uint64, counters: NDArray[np.uint64]) -> Floats:
    """Return numbers in (0, 1), one for each counter."""
    words = _rng.values(key, counters) >> np.uint64(11)
    found: Floats = (words.astype(np.float64) + 0.5) * 2.0**-53
    return found


def _candidates(rows: Floats, seed: int) -> Floats:
    """Return mixtures around the mean of the runs, within their largest shares: (C, K)."""
    key = _rng.key(seed, 0, "candidate mixtures")
    middle, most = rows.mean(axis=0), rows.max(axis=0)
    found = [rows]
    for block in range(25):
        shares = _proposed(middle, 1.0, 20.0, _rng.subkey(key, block))
        found.append(shares[(shares <= most).all(axis=1)])
    return np.concatenate(found)


def _fitted(rows: Floats, values: Floats, seed: int) -> Any:  # of scikit-learn
    from sklearn.ensemble import GradientBoostingRegressor  # 1 s

    state = int(_rng.key(seed, 0, "mixture model") >> np.uint64(32))
    model = GradientBoostingRegressor(subsample=0.8, random_state=state)
    return model.fit(rows, values)


def _outside(rows: Floats, values: Floats, folds: int, seed: int) -> tuple[Floats, Floats]:
    """Return predictions for each run by models, and by means, of the other folds: (M,) each."""
    order: Indices = Permutation(len(rows), _rng.key(seed, 0, "folds"))(np.arange(len(rows)))
    predicted, means = np.empty_like(values), np.empty_like(values)
    for fold in range(folds):
        held = np.zeros(len(rows), bool)
        held[order[fold::folds]] = True
        predicted[held] = _fitted(rows[~held], values[~held], seed).predict(rows[held])
        means[held] = values[~held].mean()
    return predicted, means


def _root_mean_square(values: Floats) -> float:
    return float(np.sqrt(np.square(values).mean()))


def _rank_correlation(one: Floats, other: Floats) -> float:
    """Return Spearman's correlation; NaN if one of the two is constant."""
    from scipy.stats import rankdata  # 0.3 s, and only this function needs it

    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])
