"""Weights of this epoch on a device, for batches whose indices live there."""

import torch

from ..types import Scores


class DeviceWeights:
    """Look weights up where the indices are, and remember bad indices without waiting.

    Parameters
    ----------
    weights : float32 array of shape (N,)
        0 for a sample that is never dealt in this epoch.
    device : torch.device
        Where a copy is kept: 4 N bytes.
    """

    def __init__(self, weights: Scores, device: torch.device) -> None:
        self._weights = torch.from_numpy(weights).to(device)
        self._bad = torch.zeros((), dtype=torch.int64, device=device)

    def __call__(self, indices: torch.Tensor) -> torch.Tensor:
        """Return the weights, float32 (B,); an index outside [0, N) gets 0 and is counted."""
        inside = (indices >= 0) & (indices < self._weights.numel())
        weights = torch.where(inside, self._weights[torch.where(inside, indices, 0)], 0.0)
        self._bad += (weights == 0).sum()
        return weights

    def num_bad(self) -> int:
        """Return how many indices were outside or never dealt; waits for the device."""
        return int(self._bad)
