"""Checks and weights for batches whose indices live on a device."""

import torch

from ..types import Scores


class DeviceWeights:
    """Look weights up where the indices are, and remember bad indices without waiting.

    Parameters
    ----------
    size : int
        N: indices must lie in [0, N).
    weights : float32 array of shape (N,) or None
        0 for a sample that is never dealt in this epoch. None if all weights are 1.
    device : torch.device
        Where a copy is kept: 4 N bytes, or nothing.
    """

    def __init__(self, size: int, weights: Scores | None, device: torch.device) -> None:
        self._size = size
        self._weights = None if weights is None else torch.from_numpy(weights).to(device)
        self._bad = torch.zeros((), dtype=torch.int64, device=device)

    def __call__(self, indices: torch.Tensor) -> torch.Tensor | None:
        """Return the weights, float32 (B,), or None; bad indices are counted, and weigh 0."""
        outside = (indices < 0) | (indices >= self._size)
        if self._weights is None:
            self._bad += outside.sum()
            return None
        weights = self._weights[torch.where(outside, 0, indices)].masked_fill(outside, 0.0)
        self._bad += (weights == 0).sum()
        return weights

    def num_bad(self) -> int:
        """Return how many indices were outside or never dealt; waits for the device."""
        return int(self._bad)
