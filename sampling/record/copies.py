"""Rows that were dropped as copies, and the rows that were kept instead."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._fields import Fields

_NUMBERS = 2**21  # of a block: 16 MiB of float64


def ends_of(earlier: NDArray[np.int64], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Follow each row to its most similar earlier row, and on, up to a kept one: int64 (N,).

    earlier : int64 (N,), -1 for none; no row comes back to itself
    kept    : bool (N,); a kept row is its own end
    -1 where there is no kept row at the end.
    """
    size = earlier.size
    at = np.append(np.where(kept, np.arange(size), earlier), size)
    at[at < 0] = size  # a row after the last, which ends there
    while True:
        further = at[at]
        if np.array_equal(further, at):
            break
        at = further
    found = at[:-1]
    held = np.append(kept, False)
    return np.where(held[found], found, -1)


def cosines_of(
    points: ArrayLike, rows: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the cosine similarity of each row to its other row, in blocks: float32 (n,).

    A row of zeros has similarity 0 to all.
    """
    array: Any = points if hasattr(points, "shape") else np.asarray(points)
    found = np.zeros(rows.size, np.float32)
    step = max(1, _NUMBERS // array.shape[1])
    for start in range(0, rows.size, step):
        one = np.asarray(array[rows[start : start + step]], np.float64)
        other = np.asarray(array[others[start : start + step]], np.float64)
        lengths = np.sqrt(np.einsum("nd,nd->n", one, one) * np.einsum("nd,nd->n", other, other))
        dots = np.einsum("nd,nd->n", one, other)
        cosine = np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)
        found[start : start + step] = np.clip(cosine, -1.0, 1.0)
    return found


def held_instead(
    kept_rows: NDArray[np.int64], rows: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    """Return which of some rows was kept instead of each other row: int64 (N,), -1 for none.

    kept_rows : int64 (N,), the rows that a rule keeps, of which a budget may drop some
    rows      : those that are kept, or were selected before
    """
    held = np.zeros(size + 1, np.bool_)  # the last entry belongs to -1
    held[rows] = True
    return np.where(held[kept_rows] & ~held[:-1], kept_rows, -1)


def copies_at(
    selection: Fields,
    indices: NDArray[np.int64],
    copies: NDArray[np.bool_] | None = None,
    decided: NDArray[np.bool_] | None = None,
    least: float | None = None,
) -> dict[str, Any]:
    """Return `kept_rows` and `similarities` where other rows are kept.

    indices : the rows that are kept now
    copies  : bool (N,), those that are dropped as copies now; by default, those that were
    decided : bool (N,), those that the stage decided on; all others stay as they are
    least   : without `earlier`, the similarity at which a pair still is one; a less similar row
              was kept instead of a row that is now kept itself, and which one follows is unknown

    The similarity to the most similar earlier row is the score of a row; others are NaN.
    """
    old, earlier, size = selection.kept_rows, selection.earlier, selection.size or 0
    if old is None:
        return {}
    own = np.ones(size, np.bool_) if decided is None else decided
    kept, before = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
    kept[indices], before[selection.indices] = True, True
    away = own & (old >= 0) & ~before[old]  # copies of rows that were already selected
    kept[old[away]] = True
    rows = np.flatnonzero(own & (old >= 0) if copies is None else copies)
    found = np.where(own, -1, old)
    if earlier is None:
        pair = (old[rows] >= 0) & kept[old[rows]]
        if least is not None and selection.similarities is not None:
            pair &= selection.similarities[rows] >= least
        found[rows] = np.where(pair, old[rows], -1)
    else:
        through = np.full(size, -1, np.int64)  # a row dropped for another reason ends a chain
        through[rows] = earlier[rows]
        found[rows] = ends_of(through, kept)[rows]
    known = selection.similarities
    similarities = np.full(size, np.nan, np.float32 if known is None else known.dtype)
    if selection.similarities is not None:
        same = (found == old) & (found >= 0)
        similarities[same] = selection.similarities[same]
    if earlier is not None and selection.scores is not None:
        direct = own & (found >= 0) & (found == earlier)
        similarities[direct] = selection.scores[direct]
    return {"kept_rows": found, "similarities": similarities}
