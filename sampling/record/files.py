"""Files of selections and scores. Apart from the records, because it loads pyarrow."""

from __future__ import annotations

from ._score_files import direction_in, load_scores, save_scores, score_outputs
from ._selection_files import read_selection, save_selection, selection_outputs, versions

__all__ = [
    "direction_in",
    "load_scores",
    "read_selection",
    "save_scores",
    "save_selection",
    "score_outputs",
    "selection_outputs",
    "versions",
]
