"""How hard or useful each sample is, and how often it was trained on."""

from ._aum import aum_flagged, threshold_samples
from ._dynamics import TrainingDynamics
from ._exposure import ExposureCounter
from ._grand import grand
from ._logits import confidence, el2n, entropy, margin, pvi, score_stored
from ._mean import mean_scores
from ._table import ScoreTable

__all__ = [
    "ExposureCounter",
    "ScoreTable",
    "TrainingDynamics",
    "aum_flagged",
    "confidence",
    "el2n",
    "entropy",
    "grand",
    "margin",
    "mean_scores",
    "pvi",
    "score_stored",
    "threshold_samples",
]
