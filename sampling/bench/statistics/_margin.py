"""The margin of non-inferiority of each metric, with its reason as a sentence.

One rule for all metrics of known scale: the larger of 0.3 % of the scale and three test examples. A
smaller margin than three examples would be decided by which examples happen to be in the test set.
The scale is what an example is worth if it is predicted perfectly rather than not at all:

accuracy, balanced accuracy, macro F1   100 points. In metrics that average over classes, an example
                                        of a rare class weighs more, and the number of examples is
                                        the number of equal weights of the same variance,
                                        K**2 / sum(1 / n_k).
R2                                      100 points: 0 predicts the mean
log-loss                                log K nats, the loss of a uniform guess among K classes
others                                  unknown: 1 %, or three examples, of the reference's value
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ... import _check

SHARE = 0.003
EXAMPLES = 3
_OTHER = 0.01  # of the reference's value, where the scale is unknown
AVERAGED = ("balanced accuracy", "macro f1")


@dataclass(frozen=True)
class Margin:
    """Margin of non-inferiority.

    Attributes
    ----------
    value : float
        In `unit`, > 0.
    unit : str
        "points", "nats", or "" for the unit of a metric of the user.
    reason : str
        A sentence.
    """

    value: float
    unit: str
    reason: str


def default_margin(
    metric: str,
    examples: int,
    *,
    class_counts: Sequence[int] | None = None,
    classes: int | None = None,
    reference: float | None = None,
) -> Margin:
    """Return the margin of a metric, for differences that are positive where the method is better.

    Parameters
    ----------
    metric : str
        "accuracy", "balanced accuracy", "macro f1", "r2", "log loss", or the name of another one;
        hyphens, underscores and capitals make no difference.
    examples : int >= 1
        Test examples, E.
    class_counts : sequence of int, optional
        Test examples of each class, for balanced accuracy and macro F1; by default those of equal
        classes.
    classes : int >= 2, optional
        K, required for log-loss unless `class_counts` says it.
    reference : float, optional
        Mean value of the reference row, required for other metrics.

    Returns
    -------
    Margin
        In points for accuracy, balanced accuracy, macro F1 and R2, in nats for log-loss.

    Raises
    ------
    ValueError
        If what the rule needs is missing, or the reference's value is 0.
    """
    name = _check.text("metric", metric).lower().replace("-", " ").replace("_", " ")
    examples = _check.integer("examples", examples, 1)
    counts = np.asarray([] if class_counts is None else class_counts, float)
    counts = counts[counts > 0]
    if name == "accuracy" or name in AVERAGED:
        each = float(examples)
        if name in AVERAGED and len(counts):
            each = float(len(counts) ** 2 / (1 / counts).sum())
        worth = "" if each == examples else f", worth {each:.0f} of equal weight"
        return _of_scale(100.0, "points", examples, each, worth)
    if name in ("r2", "r squared"):
        return _of_scale(100.0, "points", examples, examples, ", predicted no better than the mean")
    if name in ("log loss", "logloss"):
        number = classes if classes is not None else len(counts) or None
        if number is None:
            raise ValueError("classes must be given for the margin of log-loss, got None")
        scale = math.log(_check.integer("classes", number, 2))
        return _of_scale(scale, "nats", examples, examples, ", guessed uniformly")
    if reference is None:
        raise ValueError(
            f"reference must be given for the margin of {metric!r}, whose scale is unknown, got "
            "None: give its value, or a margin"
        )
    value = abs(_check.number("reference", reference))
    if value == 0:
        raise ValueError(
            f"reference must not be 0 for the margin of {metric!r}, got 0: give a margin"
        )
    share = max(_OTHER, EXAMPLES / examples)
    why = "1 %" if share == _OTHER else f"{EXAMPLES} of {examples:,} test examples"
    return Margin(
        share * value,
        "",
        f"{why} of the reference's {metric}, {value:.4g}: a metric of unknown scale, for which a "
        "margin should be given",
    )


def _of_scale(scale: float, unit: str, examples: int, weight: float, worth: str) -> Margin:
    least, three = SHARE * scale, EXAMPLES * scale / weight
    if least >= three:
        of = "" if unit == "points" else f", {SHARE:.1%} of a uniform guess,"
        return Margin(
            least,
            unit,
            f"{least:.2g} {unit}{of} is more than {EXAMPLES} of {examples:,} test examples"
            f"{worth} ({three:.2g})",
        )
    return Margin(
        three,
        unit,
        f"{EXAMPLES} of {examples:,} test examples{worth}: fewer would decide by which examples "
        f"are in the test set ({least:.2g} {unit} is less)",
    )
