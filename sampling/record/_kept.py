"""Dropped rows of a selection: their rank by score, and their distance to the kept rows.

Called by `Selection`; arguments are checked.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

_NUMBERS = 2**21  # of a block: 16 MiB of float64
_COLUMNS = 4096
_HIGH_FIRST = {"descending", "falling"}  # the second in files of earlier versions


def rank_by(values: NDArray[np.floating], order: str, row: int, kept: NDArray[np.int64]) -> int:
    """Return the rank of a dropped row: values before its own, and equal ones that were kept.

    values : (N,), NaN for rows that are not ranked
    order  : "descending" if high values come first, "ascending" if low ones do
    """
    own = values[row]
    before = values > own if order in _HIGH_FIRST else values < own
    return int(np.count_nonzero(before)) + int(np.count_nonzero(values[kept] == own))


def nearest_kept(
    points: ArrayLike, rows: NDArray[np.int64], kept: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Yield the nearest kept row of each row and its distance, in blocks; O(rows kept D).

    points : (N, D), may be memory-mapped
    kept   : at least one; ties go to the earlier row
    """
    array = points if hasattr(points, "shape") else np.asarray(points)
    first = _wide(array, kept[:1])  # subtracted, so that products lose few digits
    step = max(1, _NUMBERS // max(min(kept.size, _COLUMNS), first.shape[1]))
    for start in range(0, rows.size, step):
        block = _wide(array, rows[start : start + step]) - first
        low, near = np.full(len(block), np.inf), np.zeros(len(block), np.int64)
        for left in range(0, kept.size, _COLUMNS):
            some = _wide(array, kept[left : left + _COLUMNS]) - first
            squares = np.einsum("md,md->m", some, some) - 2.0 * (block @ some.T)
            place = squares.argmin(axis=1)
            found = squares[np.arange(len(block)), place]
            better = found < low
            low[better], near[better] = found[better], kept[left + place[better]]
        distinct, places = np.unique(near, return_inverse=True)
        gaps = block - (_wide(array, distinct) - first)[places]
        yield near, np.sqrt(np.einsum("nd,nd->n", gaps, gaps))


def coverage(
    points: ArrayLike, rows: NDArray[np.int64], kept: NDArray[np.int64]
) -> dict[str, float] | None:
    """Return the mean and largest distance of rows to the nearest kept row; None if no rows."""
    if not (rows.size and kept.size):
        return None
    total, largest = 0.0, 0.0
    for _, distances in nearest_kept(points, rows, kept):
        total += float(distances.sum())
        largest = max(largest, float(distances.max()))
    return {"mean": total / rows.size, "largest": largest}


def _wide(array: ArrayLike, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.asarray(array[rows], np.float64)  # type: ignore[index]  # it has a shape
    return found
