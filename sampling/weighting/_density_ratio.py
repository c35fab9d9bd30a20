"""Weights under which source samples look like those of a target, by a classifier of the two."""

from __future__ import annotations

import copy
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check, _rng
from .._check._keywords import told
from .._shares import effective_size
from .._warning import warn
from ..types import Floats, Indices
from ._sample_weights import SampleWeights

_FEWEST = 20  # samples of each side
_NEAR = 1e-6  # of probabilities to 0 and 1
_HALF = 0.5  # of the target's mean
_SURE = (
    "; or the classifier is too sure of itself: calibrate it, such as by scikit-learn's "
    "CalibratedClassifierCV"
)
_SMALL = 0.05  # an effective sample size below this part of N warns, and a mean ratio


class Classifier(Protocol):
    """A classifier in the way of scikit-learn, whose second column is the second class."""

    def fit(self, rows: Any, labels: Any, /) -> Any: ...

    def predict_proba(self, rows: Any, /) -> Any: ...


@told
def density_ratio_weights(
    source: ArrayLike,
    target: ArrayLike,
    *,
    classifier: Classifier | None = None,
    num_folds: int = 5,
    clip_quantile: float = 0.99,
    power: float = 1.0,
    seed: int = 0,
) -> SampleWeights:
    """Return weights of mean 1 under which source samples look like target samples.

    A classifier learns to distinguish the two from their embeddings; where h is its probability of
    "target" for a source sample, the weight is in proportion to h / (1 - h). It is cross-fitted: no
    sample is weighted by a model that was trained on it, which would see it as source with
    certainty.

    Parameters
    ----------
    source : float array of shape (N, D)
        Embeddings of the samples to be weighted, at least 20.
    target : float array of shape (T, D)
        Embeddings of the target, at least 20. The same rows may be in both.
    classifier : object, optional
        With `fit(rows, labels)` and `predict_proba(rows)`, as those of scikit-learn; each fold
        trains a copy. By default a logistic regression of standardized columns, whose log ratio is
        linear.
    num_folds : int >= 2, default 5
        Parts of the source. A model is trained on all others, and on the whole target.
    clip_quantile : float in (0, 1], default 0.99
        Weights above this quantile of them are set to it; 1 for no limit.
    power : float in (0, 1], default 1.0
        Exponent of the weights, towards 0 for equal ones.
    seed : int in [0, 2**64), default 0
        Seed of the folds.

    Returns
    -------
    SampleWeights
        Of mean 1; with the `effective_sample_size`. Warns if, before limit and power, the effective
        sample size is below 5 % of N, or the mean ratio of the densities, which is 1, is estimated
        as below 0.05: source and target hardly overlap.

    Raises
    ------
    ValueError
        If a row is not finite (the message names it), there are fewer than 20 of either, or their
        dimensions differ.

    Notes
    -----
    Order
        Folds are a function of (seed, N); as deterministic as the classifier.
    Cost
        `num_folds` fits on N + T rows, in memory as float64.
    Gradients
        As weights of the loss, its mean over the source estimates that over the target, if the
        target has no samples where the source has none.
    Source
        Density-ratio estimation by probabilistic classification; the limits of the weights are
        choices of this package.

    Examples
    --------
    >>> source = np.repeat([[0.0], [1.0]], [30, 10], axis=0)
    >>> target = np.repeat([[0.0], [1.0]], [10, 30], axis=0)
    >>> weighting = density_ratio_weights(source, target)
    >>> bool(weighting.values[-1] > 5 * weighting.values[0])  # 9 without the regularization
    True
    """
    rows, others = sides(source, target)
    folds = _check.integer("num_folds", num_folds, 2, len(rows) + 1)
    limit = _check.number("clip_quantile", clip_quantile, "(0, 1]")
    power = _check.number("power", power, "(0, 1]")
    key = _rng.key(_check.seed(seed), 0, "density_ratio_weights")
    ratios = _ratios(rows, others, folds, key, classifier)
    return weighting_of(ratios, limit, power, sure=_SURE)


def sides(source: ArrayLike, target: ArrayLike) -> tuple[Floats, Floats]:
    """Return source (N, D) and target (T, D) as float64; refuse few rows and other dimensions."""
    rows = _check.embeddings("source", source)
    others = _check.embeddings("target", target)
    for name, array in (("source", rows), ("target", others)):
        if len(array) < _FEWEST:
            raise ValueError(f"{name} must have at least {_FEWEST} rows, got {len(array)}")
    if rows.shape[1] != others.shape[1]:
        raise ValueError(
            f"target must have the dimensions of source, {rows.shape[1]}, got {others.shape[1]}"
        )
    return np.asarray(rows[:], np.float64), np.asarray(others[:], np.float64)


def weighting_of(
    ratios: Floats, limit: float, power: float, unmatched: float = 0.0, sure: str = ""
) -> SampleWeights:
    """Return density ratios (N,) as weights of mean 1, limited and flattened; warn if few count.

    unmatched : part of the target's mean in a kernel space that the weighted source does not reach
    sure      : what else may be the reason of a mean far above 1
    """
    if not ratios.any():
        raise ValueError(
            "source and target must overlap, got a density ratio of 0 for all source samples: use "
            "a larger bandwidth, or other embeddings"
        )
    most = np.quantile(ratios, limit)
    if most == 0:
        raise ValueError(
            f"clip_quantile must leave a weight above 0, got {limit:g}, and only "
            f"{np.count_nonzero(ratios)} of {ratios.size} source samples have one: source and "
            "target hardly overlap; use clip_quantile=1, or a larger bandwidth"
        )
    weights = np.minimum(ratios, most) ** power
    weights /= weights.mean()
    effective, mean = effective_size(ratios), float(ratios.mean())
    far = bool(sure) and mean * _SMALL > 1
    if effective < _SMALL * ratios.size or mean < _SMALL or unmatched > _HALF or far:
        apart = f", and {min(unmatched, 1.0):.0%} of the target's mean is not reached" * (
            unmatched > _HALF
        )
        warn(
            "source and target hardly overlap: without limits the weights have an effective sample "
            f"size of {effective:.3g} of {ratios.size}, and the density ratio a mean of {mean:.3g} "
            f"instead of 1{apart}: the weighted source does not represent the target"
            + sure
            * (mean * _SMALL > 1)
        )
    return SampleWeights(weights)


def _ratios(
    rows: Floats, others: Floats, folds: int, key: np.uint64, classifier: Classifier | None
) -> Floats:
    """Return the cross-fitted density ratio of each source row, up to a factor: (N,)."""
    order = np.argsort(_rng.values(key, np.arange(len(rows), dtype=np.uint64)), kind="stable")
    found = np.empty(len(rows))
    for fold in range(folds):
        held = order[fold::folds]
        train = np.delete(order, np.s_[fold::folds])
        found[held] = _fitted(rows, others, train, held, classifier)
    return found


def _fitted(
    rows: Floats, others: Floats, train: Indices, held: Indices, classifier: Classifier | None
) -> Floats:
    """Return h / (1 - h) of held source rows, times source / target of the rows trained on."""
    made: Any = _logistic() if classifier is None else copy.deepcopy(classifier)
    if not hasattr(made, "fit") or not hasattr(made, "predict_proba"):
        raise TypeError(
            f"classifier must have the methods fit and predict_proba, got {type(made).__name__}"
        )
    labels = np.repeat([0, 1], [train.size, len(others)])
    made.fit(np.concatenate([rows[train], others]), labels)
    chances = _check.host(made.predict_proba(rows[held]), "probabilities of the classifier")
    if chances.shape != (held.size, 2):
        raise ValueError(
            f"predict_proba of the classifier must return ({held.size}, 2), got {chances.shape}"
        )
    target: NDArray[Any] = np.clip(chances[:, 1].astype(np.float64), _NEAR, 1 - _NEAR)
    if np.isnan(target).any():
        raise ValueError("predict_proba of the classifier must be finite, got nan")
    ratios: Floats = target / (1 - target) * (train.size / len(others))
    return ratios


def _logistic() -> Any:
    # imported here: it takes half a second, only for this function
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
