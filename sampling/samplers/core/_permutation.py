"""The keyed permutation of every epoch: any position of a shuffle, in O(1) memory."""

from __future__ import annotations

import numpy as np

from ...kernels._permute import EXACT, permute, shuffle
from ...types import Indices


class Permutation:
    """A shuffle of range(size), determined by a key.

    Up to 65,536 it is stored and every order is equally likely; above, each position is computed on
    request, and nothing is stored.
    """

    def __init__(self, size: int, key: np.uint64) -> None:
        self.size = size
        self.key = key
        self._places: Indices | None = None
        if size <= EXACT:
            self._places = np.empty(size, np.int64)
            shuffle(key, self._places)

    def __call__(self, positions: Indices) -> Indices:
        """Return the value at each position: int64 (m,), each in [0, size) -> int64 (m,)."""
        if self._places is not None:
            return self._places[positions]
        out = np.empty(positions.size, np.int64)
        permute(self.key, self.size, positions, out)
        return out
