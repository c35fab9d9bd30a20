"""How hard or useful each sample is, and how often it was trained on."""

from ._exposure import ExposureCounter
from ._table import ScoreTable

__all__ = ["ExposureCounter", "ScoreTable"]
