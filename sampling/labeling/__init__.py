"""Which samples to label next, how to estimate from the labelled ones, and how many to label.

    acquisition = Acquisition(len(pool), seed=0)             # one label at a time, at random
    rows = acquisition.draw(expected_loss(predictions), count=10)
    acquisition.estimate(losses_of(rows))                    # unbiased, whatever the scores were

    curve = fit_curve([1000, 2000, 4000, 8000], errors)      # error = floor + scale * n ** -k
    curve.size_for(0.05)                                     # how much more data, with an interval
    allocate({"a": curve_a, "b": curve_b}, budget=5000)      # which group to collect from

What to label
    Acquisition         draws samples by any scores, and estimates without bias
    RiskEstimate        that estimate
    expected_loss       such scores: the loss that a second model expects

How much to label
    fit_curve           the loss by the number of samples
    LearningCurve       the fitted curve
    SizeEstimate        how many samples reach a loss
    allocate            a budget over groups
    Allocation          its result
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._late import late

if TYPE_CHECKING:
    from ._acquisition import Acquisition, RiskEstimate
    from ._allocate import Allocation, allocate
    from ._curves import LearningCurve, SizeEstimate, fit_curve
    from ._expected_loss import expected_loss

_FILES = {
    "Acquisition": "_acquisition",
    "Allocation": "_allocate",
    "LearningCurve": "_curves",
    "RiskEstimate": "_acquisition",
    "SizeEstimate": "_curves",
    "allocate": "_allocate",
    "expected_loss": "_expected_loss",
    "fit_curve": "_curves",
}
__all__ = [
    "Acquisition",
    "Allocation",
    "LearningCurve",
    "RiskEstimate",
    "SizeEstimate",
    "allocate",
    "expected_loss",
    "fit_curve",
]

__getattr__, __dir__ = late(__name__, _FILES)
