"""Which pairs of classes to mix, from a confusion matrix."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike

from ... import _check
from ..._check._keywords import told
from ..._warning import warn
from ...types import Floats

Metric: TypeAlias = Literal["mean_recall", "min_recall"]

_SHARPNESS = 50.0  # of the soft minimum of the recalls, as in the released code
_SOFTNESS = 0.1  # of the multipliers of coverage


@told
def selmix_pairs(  # noqa: PLR0913  # what is known of the model, and one for each choice
    confusion: ArrayLike,
    prototypes: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    metric: Metric = "mean_recall",
    coverage: float | None = None,
    coverage_limit: float = 10.0,
    temperature: float = 0.1,
    lambda_min: float = 0.6,
) -> Floats:
    """Return the shares of class pairs whose mixup improves a metric most, for the next steps.

    Each pair (i, j) is judged by the first-order change of the metric after a gradient step on the
    mixed prototype of classes i and j with label i. Draw pairs with `ClassPairBatchSampler`, mix
    features with a weight between `lambda_min` and 1 for the first, and compute shares again
    every few epochs of the sampler.

    Parameters
    ----------
    confusion : float array-like of shape (C, C)
        Counts, or rates, of validation samples by true class (row) and predicted class; each row is
        divided by C times its sum.
    prototypes : float array-like of shape (C, D)
        Mean feature of each class, the input of the last layer.
    weight : float array-like of shape (C, D)
        Of the last linear layer.
    bias : float array-like of shape (C,), optional
        Of the last linear layer.
    metric : {"mean_recall", "min_recall"}, default "mean_recall"
        What to improve; the minimum is a soft one.
    coverage : float in (0, 1], optional
        Each class should be predicted for at least `coverage` / C of the samples; a class that is
        not adds its coverage to the objective.
    coverage_limit : float > 0, default 10
        Largest multiplier of a coverage.
    temperature : float > 0, default 0.1
        Shares are proportional to exp(gain / temperature).
    lambda_min : float in [0, 1], default 0.6
        Smallest mixing weight of the first sample; the mixed prototype uses the mean of it and 1.

    Returns
    -------
    float64 array of shape (C, C)
        Summing to 1; 0 for pairs without gain. Uniform, with a warning, if no pair has a gain: the
        fine-tuning has converged.

    Raises
    ------
    ValueError
        If a class has no validation sample or a prototype that is not finite; if shapes differ.

    Notes
    -----
    Cost
        O(C^3 (C + D)) time, O(C^2 + C D) memory.
    Source
        Ramasubramanian et al., "Selective Mixup Fine-Tuning for Optimizing Non-Decomposable
        Objectives", ICLR 2024. The change of the logits is the gradient, also where the released
        code takes another prototype; pairs without gain have share 0 instead of 1e-10.

    Examples
    --------
    Class 1 is predicted as class 0: pairs labelled 1 help.

    >>> shares = selmix_pairs([[9, 1], [6, 4]], [[1.0, 0.0], [0.0, 1.0]], np.eye(2))
    >>> shares.sum(axis=1).round(2)
    array([0.39, 0.61])
    """
    rates = _rates(confusion)
    size = len(rates)
    features = _rows("prototypes", prototypes, size)
    layer = _rows("weight", weight, size)
    if layer.shape != features.shape:
        raise ValueError(
            f"weight must have the shape of prototypes, {features.shape}, got {layer.shape}"
        )
    offsets = np.zeros(size)
    if bias is not None:
        offsets = _check.floats("bias", bias)
        _check.same_length("bias", offsets, "confusion", size)
    word = _check.choice("metric", metric, get_args(Metric))
    limit = _check.number("coverage_limit", coverage_limit, "(0, inf)")
    if coverage is not None:
        coverage = _check.number("coverage", coverage, "(0, 1]")
    temperature = _check.number("temperature", temperature, "(0, inf)")
    share = (_check.number("lambda_min", lambda_min, "[0, 1]") + 1.0) / 2.0
    slopes = _of_logits(_slopes(rates, word, coverage, limit), rates)
    gains = _gains(slopes, features, layer, offsets, share)
    best = gains.max()
    if best <= 0:
        warn(
            "confusion should leave something to improve, got no pair with a gain: shares are equal"
        )
        return np.full((size, size), 1.0 / size**2, np.float64)
    found: Floats = np.where(gains > 0, np.exp((gains - best) / temperature), 0.0)
    shares: Floats = found / found.sum()
    return shares


def _rates(confusion: ArrayLike) -> Floats:
    """Return the matrix with rows that sum to 1 / C."""
    given = _rows("confusion", confusion, None)
    if given.shape[0] != given.shape[1]:
        raise ValueError(f"confusion must have shape (C, C), got {given.shape}")
    if (given < 0).any():
        raise ValueError(f"confusion must be >= 0, got {given.min()}")
    sums = given.sum(axis=1, keepdims=True)
    if not sums.all():
        row = int(np.flatnonzero(sums[:, 0] == 0)[0])
        raise ValueError(
            f"confusion must have a sample of every class, got none in row {row}: add validation "
            "samples of it, or omit the class"
        )
    found: Floats = given / sums / len(given)
    return found


def _rows(name: str, values: ArrayLike, size: int | None) -> Floats:
    array = _check.embeddings(name, values)
    if size is not None:
        _check.same_length(name, array, "confusion", size)
    return np.asarray(array[:], np.float64)


def _slopes(rates: Floats, metric: Metric, coverage: float | None, limit: float) -> Floats:
    """Return the derivative of the objective by each entry of the confusion matrix: (C, C)."""
    size = len(rates)
    recalls = np.diag(rates) * size
    slopes = np.eye(size)
    if metric == "min_recall":
        odds = np.exp(-_SHARPNESS * (recalls - recalls.min()))
        slopes *= size * odds / odds.sum()
    if coverage is not None:
        gaps = rates.sum(axis=0) - coverage / size
        multipliers = np.maximum(0.0, limit * (1.0 - np.exp(gaps / _SOFTNESS)))
        slopes = (slopes + multipliers) / (1.0 + multipliers.max())
    return slopes


def _of_logits(slopes: Floats, rates: Floats) -> Floats:
    """Return the derivative by the logits of each class, of a softmax with these rates: (C, C)."""
    mean = (slopes * rates).sum(axis=1, keepdims=True) * len(rates)
    found: Floats = rates * (slopes - mean)
    return found


def _gains(
    slopes: Floats, features: Floats, layer: Floats, offsets: Floats, share: float
) -> Floats:
    """Return the gain of each pair of classes, per unit of the learning rate: (C, C)."""
    gains = np.empty((len(slopes), len(slopes)))
    for first, feature in enumerate(features):
        mixed = share * feature + (1.0 - share) * features  # (C, D), by the second class
        logits = mixed @ layer.T + offsets
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        odds /= odds.sum(axis=1, keepdims=True)
        step = slopes[:, first] - odds @ slopes.T  # (C, C): second class, class of a prototype
        gains[first] = ((mixed @ features.T) * step).sum(axis=1)
    return gains
