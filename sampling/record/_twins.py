"""The kept rows that dropped copies belong to: `kept_rows` and `similarities` of a `Selection`."""

from typing import Any

import numpy as np

from ..types import Indices
from ._fields import Fields

__all__ = ["lifted_twins", "twins_among"]


def twins_among(selection: Fields, rows: Indices) -> dict[str, Any]:
    """Return both fields of a selection restricted to twins among the given rows."""
    kept, similarities = selection.kept_rows, selection.similarities
    if kept is None or similarities is None:
        return {}
    inside = np.zeros(kept.size + 1, np.bool_)  # the last entry belongs to -1
    inside[rows] = True
    there = inside[kept] & ~inside[:-1]
    return {
        "kept_rows": np.where(there, kept, -1),
        "similarities": np.where(there, similarities, np.nan),
    }


def lifted_twins(selection: Fields, rows: Indices, size: int, before: Fields) -> dict[str, Any]:
    """Return both fields of a stage in rows of the table, after those of earlier stages.

    rows : int64 (n,), the rows that reached the stage
    size : N
    """
    if selection.kept_rows is None or selection.similarities is None:
        return {"kept_rows": before.kept_rows, "similarities": before.similarities}
    kept, similarities = np.full(size, -1), np.full(size, np.nan)
    if before.kept_rows is not None and before.similarities is not None:
        kept, similarities = before.kept_rows.copy(), np.array(before.similarities)
    there = selection.kept_rows >= 0
    kept[rows[there]] = rows[selection.kept_rows[there]]
    similarities[rows[there]] = selection.similarities[there]
    return {"kept_rows": kept, "similarities": similarities}
