"""Directions of scores, for the selectors that use them: stated, or assumed and reported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...record import Direction, Score

__all__ = ["PAIRS", "Meanings", "meant", "turn_scores"]

# Directions that a score can be converted to, the first that applies; None uses the values
# unchanged. A plain array has no direction and is assumed to have the first.
Meanings = tuple[Direction | None, ...]

PAIRS = ({"harder", "easier"}, {"keep", "drop"})


def meant(name: str, higher_is: Direction, meanings: Meanings) -> Direction | None:
    """Return the direction that a score is converted to; None if its values are used unchanged.

    Raises
    ------
    ValueError
        If it cannot be converted: hard is not the same as worth keeping.
    """
    for meaning in meanings:
        if meaning is None or any({meaning, higher_is} <= pair for pair in PAIRS):
            return meaning
    raise ValueError(
        f"higher_is must be {meanings[0]!r} or its opposite, got {higher_is!r} of {name}: hard is "
        "not the same as worth keeping; if a high value does mean that here, state it: "
        f"Score(score.values, {meanings[0]!r}), or COLUMN:{meanings[0]} for a column"
    )


def turn_scores(
    minds: Mapping[str, Meanings], arguments: dict[str, Any]
) -> dict[str, dict[str, str]]:
    """Convert each `Score` to the direction that the method uses, and return the directions.

    minds : argument -> directions of a high value; a score used unchanged is replaced by its values
    """
    said: dict[str, dict[str, str]] = {}
    for name, meanings in minds.items():
        given = arguments.get(name)
        if given is None:
            continue
        if not isinstance(given, Score):
            said[name] = {"higher_is": str(meanings[0]), "by": "assumed"}
            continue
        meaning = meant(f"the score {given.name!r}", given.higher_is, meanings)
        said[name] = {"higher_is": given.higher_is, "by": "stated"}
        arguments[name] = given.values if meaning is None else _turned(given, meaning)
    return said


def _turned(given: Score, meaning: Direction) -> Score:
    """Return a score with direction `meaning`; its name states whether its sign was changed."""
    if given.higher_is == meaning:
        return given
    return Score(given.as_higher(meaning), meaning, f"{given.name} with its sign changed".strip())
