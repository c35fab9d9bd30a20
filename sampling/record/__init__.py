"""The records that every part of the package passes on: `Selection` and `Score`, and their files.

`sampling.Selection` and `sampling.Score` are their addresses. They know no selector and no table.
"""

from ._explanation import ALREADY, BAD, NO_GROUP, NOT_ELIGIBLE, Explanation
from ._keys import keys_for
from ._score import Direction, Score
from ._score_files import direction_in, load_scores, save_scores, score_outputs
from ._selection import Selection, at_threshold, load_selection
from ._selection_files import save_selection, selection_outputs

__all__ = [
    "ALREADY",
    "BAD",
    "NOT_ELIGIBLE",
    "NO_GROUP",
    "Direction",
    "Explanation",
    "Score",
    "Selection",
    "at_threshold",
    "direction_in",
    "keys_for",
    "load_scores",
    "load_selection",
    "save_scores",
    "save_selection",
    "score_outputs",
    "selection_outputs",
]
