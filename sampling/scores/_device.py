"""Checks and weights for batches whose indices are on a device."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..types import Scores


class DeviceWeights:
    """Return weights on the device of the indices, and count bad indices without synchronizing.

    Parameters
    ----------
    size : int
        N: indices must lie in [0, N).
    dealt : bool array of shape (N,) or None
        Which samples may be drawn in this epoch; None if all.
    weights : float32 array of shape (N,) or None
        Loss weight of each sample; None if all are 1.
    device : torch.device
        Device of the copies: N bytes for `dealt`, 4 N for `weights`.
    """

    def __init__(
        self,
        size: int,
        dealt: NDArray[np.bool_] | None,
        weights: Scores | None,
        device: torch.device,
    ) -> None:
        self._size = size
        self._dealt = None if dealt is None else torch.from_numpy(dealt).to(device)
        self._weights = None if weights is None else torch.from_numpy(weights).to(device)
        self._bad = torch.zeros((), dtype=torch.int64, device=device)

    def __call__(self, indices: torch.Tensor) -> torch.Tensor | None:
        """Return the weights, float32 (B,), or None; bad indices are counted, with weight 0."""
        bad = (indices < 0) | (indices >= self._size)
        inside = torch.where(bad, 0, indices)
        if self._dealt is not None:
            bad = bad | ~self._dealt[inside]
        self._bad += bad.sum()
        return None if self._weights is None else self._weights[inside].masked_fill(bad, 0.0)

    def num_bad(self) -> int:
        """Return how many indices were out of range or never drawn; synchronizes the device."""
        return int(self._bad)
