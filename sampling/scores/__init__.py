"""Scores of sample difficulty and usefulness, and counts of how often each was trained on."""

from ._attribution import AttributionScores
from ._aum import aum_flagged, threshold_samples
from ._dynamics import TrainingDynamics
from ._exposure import ExposureCounter
from ._gradient_norm import gradient_norm_bound
from ._grand import grand
from ._label_errors import label_issues, label_quality
from ._logits import check_stored, confidence, el2n, entropy, margin, pvi, score_stored
from ._mean import mean_scores
from ._table import ScoreTable
from ._trak import trak

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
    "score_stored",
    "threshold_samples",
    "trak",
]
