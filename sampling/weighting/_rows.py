"""A table of one number per sample, indexed by the indices of a batch on any device."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .. import _check
from ..types import Scores


class Rows:
    """A table (N,) that is copied once to each device it is used on.

    Parameters
    ----------
    values : float32 array of shape (N,)
        One number per sample.
    """

    def __init__(self, values: Scores) -> None:
        self._values = torch.from_numpy(values)
        self._copies: dict[torch.device, torch.Tensor] = {}

    def __len__(self) -> int:
        return self._values.numel()

    def of(self, indices: ArrayLike | torch.Tensor | None, losses: torch.Tensor) -> torch.Tensor:
        """Return the entries of a batch, (B,), on the device of its losses and of their dtype.

        Indices on a device are not checked, which would synchronise: those out of range, which
        `reduce` reports, get the first or last entry.
        """
        rows = self.checked(indices, losses)
        if rows.device not in self._copies:
            self._copies[rows.device] = self._values.to(rows.device)
        found = self._copies[rows.device][rows if rows.is_cpu else rows.clamp(0, len(self) - 1)]
        return found.to(losses.device, losses.dtype, non_blocking=True)

    def checked(
        self, indices: ArrayLike | torch.Tensor | None, losses: torch.Tensor
    ) -> torch.Tensor:
        """Return the indices of a batch as an int64 tensor (B,); on the host each is in [0, N)."""
        if indices is None:
            raise ValueError("indices must be given, one for each loss, got None")
        rows = indices if isinstance(indices, torch.Tensor) else torch.from_numpy(_whole(indices))
        _check.refuse_mask("indices", rows)
        if rows.is_floating_point() or rows.dtype == torch.bool:
            raise TypeError(f"indices must hold ints, got dtype {rows.dtype}")
        if losses.ndim != 1 or rows.shape != losses.shape:
            raise ValueError(
                f"losses must have the shape of indices, {tuple(rows.shape)}, got "
                f"{tuple(losses.shape)}"
            )
        if not rows.is_cpu:
            return rows.long()
        bad = (rows < 0) | (rows >= len(self))
        if bad.any():
            at = int(bad.int().argmax())
            raise ValueError(f"indices must be in [0, {len(self)}), got {rows[at]} in row {at}")
        return rows.long()

    def __getstate__(self) -> dict[str, object]:
        """Exclude the copies on devices: they are made again when needed."""
        return {**self.__dict__, "_copies": {}}


def _whole(indices: ArrayLike) -> NDArray[np.generic]:
    array = _check.host(indices, "indices")
    _check.refuse_other_than_ints("indices", array)
    return array.astype(np.int64)
