"""The kept rows that dropped copies belong to."""

from dataclasses import dataclass

import numpy as np

from .._check._keywords import told
from ..types import Floats, Indices

__all__ = ["Twins"]


@told
@dataclass(frozen=True)
class Twins:
    """For each row that was dropped as a copy, the kept row that it belongs to.

    Parameters
    ----------
    kept_row : int64 array of shape (N,)
        -1 for rows without one.
    similarity : float64 array of shape (N,)
        Similarity to it, in the measure of the selector; NaN for rows without one.

    Examples
    --------
    >>> import numpy as np
    >>> Twins(np.array([-1, 0]), np.array([np.nan, 0.9])).kept_row
    array([-1,  0])
    """

    kept_row: Indices
    similarity: Floats

    def of_kept(self, rows: Indices) -> "Twins":
        """Return the twins among the given rows; all others belong to none."""
        size = self.kept_row.size
        inside = np.zeros(size + 1, np.bool_)  # the last entry belongs to -1
        inside[rows] = True
        there = inside[self.kept_row] & ~inside[:-1]
        return Twins(np.where(there, self.kept_row, -1), np.where(there, self.similarity, np.nan))

    def lifted(self, rows: Indices, size: int, before: "Twins | None") -> "Twins":
        """Return twins of rows (n,) of a table of N rows, in rows of the table.

        before : those of earlier stages, which hold for all other rows
        """
        kept_row, similarity = np.full(size, -1), np.full(size, np.nan)
        if before is not None:
            kept_row, similarity = before.kept_row.copy(), before.similarity.copy()
        there = self.kept_row >= 0
        kept_row[rows[there]] = rows[self.kept_row[there]]
        similarity[rows[there]] = self.similarity[there]
        return Twins(kept_row, similarity)
