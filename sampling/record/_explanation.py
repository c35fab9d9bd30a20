"""Why a row was kept or dropped: the rules that every selector has, and the record of one row."""

from __future__ import annotations

from dataclasses import dataclass

from .._check._keywords import told

BAD, ALREADY, NO_GROUP = "a value that is not finite", "already selected", "in no group"
NOT_ELIGIBLE = {BAD, ALREADY, NO_GROUP}  # rules of rows that were not eligible


@told
@dataclass(frozen=True)
class Explanation:
    """Explanation of why a row was kept or dropped.

    Attributes
    ----------
    row : int
    kept : bool
    rank : int or None
        Of a kept row, its position in the selection. Of a dropped row, the number of eligible rows
        with a better score, or with an equal score that were kept; None if the scores alone do not
        determine the order.
    score : float or None
        None also for a row that was dropped because its score is missing or not finite.
    rule : str
        The rule that decided: "kept", "beyond the budget", "near copy of a kept row", ...
    nearest : int or None
        The nearest kept row, if embeddings were given.
    kept_row : int or None
        Of a row that was dropped as a copy, the kept row that it is a copy of, if that was saved.
    kept_id : int, str or None
        Its id, if it has one.
    similarity : float or None
        Similarity of the row to `kept_row`; None also where it was not computed.
    """

    row: int
    kept: bool
    rank: int | None
    score: float | None
    rule: str
    nearest: int | None
    kept_row: int | None = None
    kept_id: int | str | None = None
    similarity: float | None = None
