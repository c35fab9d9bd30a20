"""Scores of sample difficulty and usefulness, and counts of how often each was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._late import late

if TYPE_CHECKING:
    from ._attribution import AttributionScores
    from ._aum import aum_flagged, threshold_samples
    from ._dynamics import TrainingDynamics
    from ._exposure import ExposureCounter
    from ._gradient_norm import gradient_norm_bound
    from ._grand import grand
    from ._label_errors import label_issues, label_quality
    from ._logits import check_stored, confidence, el2n, entropy, margin, pvi, score_stored
    from ._mean import mean_scores, rank_average
    from ._sequences import sequence_log_probs
    from ._table import ScoreTable
    from ._trak import trak

_FILES = {
    "AttributionScores": "_attribution",
    "ExposureCounter": "_exposure",
    "ScoreTable": "_table",
    "TrainingDynamics": "_dynamics",
    "aum_flagged": "_aum",
    "check_stored": "_logits",
    "confidence": "_logits",
    "el2n": "_logits",
    "entropy": "_logits",
    "gradient_norm_bound": "_gradient_norm",
    "grand": "_grand",
    "label_issues": "_label_errors",
    "label_quality": "_label_errors",
    "margin": "_logits",
    "mean_scores": "_mean",
    "pvi": "_logits",
    "rank_average": "_mean",
    "score_stored": "_logits",
    "sequence_log_probs": "_sequences",
    "threshold_samples": "_aum",
    "trak": "_trak",
}
__all__ = [
    "AttributionScores",
    "ExposureCounter",
    "ScoreTable",
    "TrainingDynamics",
    "aum_flagged",
    "check_stored",
    "confidence",
    "el2n",
    "entropy",
    "gradient_norm_bound",
    "grand",
    "label_issues",
    "label_quality",
    "margin",
    "mean_scores",
    "pvi",
    "rank_average",
    "score_stored",
    "sequence_log_probs",
    "threshold_samples",
    "trak",
]

__getattr__, __dir__ = late(__name__, _FILES)
