"""Label-quality scores and label errors from out-of-sample probabilities, by cleanlab.

`TrainingDynamics.aum` judges labels from one run that trains on them; these functions need
out-of-sample probabilities, such as those of `sklearn.model_selection.cross_val_predict`.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._check import _labels
from .._check._keywords import told
from .._optional import require
from .._warning import warn
from ..record import Score
from ._heads import column, stored_probabilities

_METHODS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
_BY_RATE = ("prune_by_noise_rate", "prune_by_class", "both")
_BY_SAMPLE = ("confident_learning", "predicted_neq_given")
_BY_SCORE = ("low_normalized_margin", "low_self_confidence")


@told
def label_quality(
    labels: ArrayLike,
    pred_probs: ArrayLike,
    *,
    method: Literal[
        "self_confidence", "normalized_margin", "confidence_weighted_entropy"
    ] = "self_confidence",
    adjust_pred_probs: bool = False,
) -> Score:
    """Return the label-quality score of each sample, by cleanlab: "keep".

    Parameters
    ----------
    labels : int array or tensor of shape (N,)
        Given labels in [0, C), some of which may be wrong.
    pred_probs : float array or tensor of shape (N, C)
        Out-of-sample predicted probabilities. Or (N, 1) or (N,), those of class 1 of two. With
        in-sample probabilities nearly all labels look right; a mean of more than 0.99 for the
        labels raises a warning.
    method : {"self_confidence", "normalized_margin", "confidence_weighted_entropy"}
        Default "self_confidence", the probability of the label. The normalized margin is the
        difference from the most likely other class, and suits labels confused with another class.
    adjust_pred_probs : bool, default False
        Subtract the mean confidence of each class first, for imbalanced classes; not supported for
        the entropy.

    Returns
    -------
    Score
        In [0, 1]; a low score means that the label is probably wrong.

    Raises
    ------
    ValueError
        If a row of probabilities does not sum to 1, or a label is not a class; the message names
        the row.

    Notes
    -----
    Cost
        O(N C), by `cleanlab.rank.get_label_quality_scores`; needs the extra `cleanlab`.
    Source
        Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
        Journal of Artificial Intelligence Research, 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import cross_val_predict
    >>> from sklearn.naive_bayes import GaussianNB
    >>> inputs, labels = load_digits(return_X_y=True)
    >>> labels[7] = 0  # it is a 7
    >>> probabilities = cross_val_predict(GaussianNB(), inputs, labels, method="predict_proba")
    >>> score = label_quality(labels, probabilities, method="normalized_margin")
    >>> bool(score.values[7] < 0.01 < score.values.mean())
    True
    """
    adjust_pred_probs = _check.flag("adjust_pred_probs", adjust_pred_probs)
    rank = require("cleanlab.rank", "cleanlab", "sampling.scores.label_quality")
    method = _check.choice("method", method, _METHODS)
    if adjust_pred_probs and method == "confidence_weighted_entropy":
        raise ValueError(f"adjust_pred_probs must be False for method={method!r}, got True")
    known, probs = _checked(labels, pred_probs)
    found = rank.get_label_quality_scores(
        known, probs, method=method, adjust_pred_probs=adjust_pred_probs
    )
    return Score(np.asarray(found, np.float64), "keep", f"label quality by {method}")


@told
def label_issues(
    labels: ArrayLike,
    pred_probs: ArrayLike,
    *,
    filter_by: Literal[
        "prune_by_noise_rate",
        "prune_by_class",
        "both",
        "confident_learning",
        "predicted_neq_given",
        "low_normalized_margin",
        "low_self_confidence",
    ] = "prune_by_noise_rate",
    frac_noise: float = 1.0,
) -> NDArray[np.bool_]:
    """Return which labels are probably wrong, by cleanlab's estimate of their number.

    Parameters
    ----------
    labels : int array or tensor of shape (N,)
        In [0, C).
    pred_probs : float array or tensor of shape (N, C)
        As for `label_quality`.
    filter_by : str, default "prune_by_noise_rate"
        Rule of cleanlab: "prune_by_noise_rate" removes the estimated number for each pair of given
        and predicted class, "prune_by_class" the estimated number for each class, "both" the
        intersection of the two, "confident_learning" the samples counted off the diagonal of the
        confident joint, "predicted_neq_given" those whose prediction differs from the label,
        "low_normalized_margin" and "low_self_confidence" the estimated number with the lowest
        scores.
    frac_noise : float in (0, 1], default 1
        Fraction of the estimated number to return, for the first three rules.

    Returns
    -------
    bool array of shape (N,)

    Raises
    ------
    ValueError
        If a row of probabilities does not sum to 1, or a label is not a class; the message names
        the row.

    Notes
    -----
    Cost
        O(N C), by `cleanlab.filter.find_label_issues`, in this process alone; needs the extra
        `cleanlab`, which keeps a copy of the probabilities until its next call.
    Source
        Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
        Journal of Artificial Intelligence Research, 2021.

    Examples
    --------
    >>> sure = np.tile([[0.9, 0.1], [0.1, 0.9]], (10, 1))
    >>> labels = np.array([0, 1] * 10)
    >>> labels[4] = 1
    >>> np.flatnonzero(label_issues(labels, sure))
    array([4])
    """
    library = require("cleanlab.filter", "cleanlab", "sampling.scores.label_issues")
    filter_by = _check.choice("filter_by", filter_by, (*_BY_RATE, *_BY_SAMPLE, *_BY_SCORE))
    part = _check.number("frac_noise", frac_noise, "(0, 1]")
    if part != 1 and filter_by not in _BY_RATE:
        raise ValueError(f"frac_noise must be 1 for filter_by={filter_by!r}, got {part:g}")
    known, probs = _checked(labels, pred_probs)
    # One process: cleanlab would fork one per core, from a process that runs torch.
    found = library.find_label_issues(known, probs, filter_by=filter_by, frac_noise=part, n_jobs=1)
    return np.asarray(found, np.bool_)


def _checked(labels: ArrayLike, pred_probs: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return labels as int64 (N,) and probabilities (N, C) in their own precision, at least 32."""
    probs = stored_probabilities("pred_probs", pred_probs)
    known = _labels.ids("labels", column(labels))
    _check.same_length("labels", known, "pred_probs", len(probs))
    _check.codes("labels", known, probs.shape[1])
    known = known.astype(np.int64)
    mean = float(probs[np.arange(len(known)), known].mean(dtype=np.float64))
    if mean > 0.99:
        warn(
            f"pred_probs give the labels {mean:.3f} on average: they find no wrong label if the "
            "model was trained on these samples; cross-validate",
        )
    return known, probs
