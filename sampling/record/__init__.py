"""The records that every part of the package passes on: `Selection` and `Score`, and their files.

`sampling.Selection` and `sampling.Score` are their addresses.

Selections
    Selection                   indices, weights, and the rule of every dropped row
    load_selection              reads one from a file
    at_threshold                the same selection at another threshold
    Explanation                 why a row was kept or dropped

Rules that drop a row from every method
    ALREADY                     it was selected before
    BAD                         it has a value that is not finite
    NO_GROUP                    it is in no group
    NOT_ELIGIBLE                all of these

Scores
    Score                       a number for each sample
    Direction                   what a high value means: "harder", "easier", "keep" or "drop"
"""

# They know no selector and no table.

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
