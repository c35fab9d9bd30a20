"""How hard or useful each sample is."""

from ._table import ScoreTable

__all__ = ["ScoreTable"]
