"""The records that every part of the package passes on: `Selection` and `Score`, and their files.

`sampling.Selection` and `sampling.Score` are their addresses. They know no selector and no table.
"""

from __future__ import annotations

from ._explanation import ALREADY, BAD, NO_GROUP, NOT_ELIGIBLE, Explanation
from ._score import Direction, Score
from ._selection import Selection, at_threshold, load_selection

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
    "load_selection",
]
