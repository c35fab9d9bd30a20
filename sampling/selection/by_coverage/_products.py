"""The row of the highest product with a vector: what greedy methods of linear gains search for."""

from __future__ import annotations

import numpy as np

from ...types import Floats, Scores
from ._geometry import rounding, tiles

__all__ = ["Products"]


class Products:
    """The search for the highest product with a vector that changes from pick to pick.

    One pass over the float32 rows for each vector. Rows that float32 cannot order are compared in
    float64, and at equal products the first is found, so the result does not depend on the machine.

    Parameters
    ----------
    rows : float32 (n, D)
        Of magnitude about 1.
    """

    def __init__(self, rows: Scores) -> None:
        self._rows = rows
        # The error of a product is at most e |x| |y|.
        self._unsure = 0.5 * rounding(rows.shape[1]) * np.sqrt(np.einsum("nd,nd->n", rows, rows))
        self._closed = np.zeros(len(rows), np.float32)
        self._values, self._error = np.empty_like(self._unsure), np.empty_like(self._unsure)

    def best(self, vector: Floats) -> tuple[int, float]:
        """Return the position of the highest product, and the product: float64 (D,) -> (), ().

        (-1, -inf) if all rows are closed.
        """
        length = float(np.sqrt(vector @ vector))
        if length == 0.0:  # all are 0
            at = int(self._closed.argmax())
            return (at, 0.0) if self._closed[at] == 0.0 else (-1, -np.inf)
        values, error = self._values, self._error
        np.matmul(self._rows, (vector / length).astype(np.float32), out=values)
        values += self._closed
        high = int(values.argmax())
        if values[high] == -np.inf:
            return -1, -np.inf
        reach = values[high] - self._unsure[high]
        np.add(values, self._unsure, out=error)
        some = np.flatnonzero(error >= reach)
        place, most = -1, -np.inf
        for part in tiles(some.size, self._rows.shape[1]):
            exact = (self._rows[some[part]].astype(np.float64) * vector).sum(axis=1)
            at = int(exact.argmax())
            if exact[at] > most:
                place, most = int(some[part][at]), float(exact[at])
        return place, most

    def close(self, place: int) -> None:
        """Do not find a row from now on."""
        self._closed[place] = -np.inf

    def open(self, place: int) -> None:
        """Find a closed row again."""
        self._closed[place] = 0.0
