"""The mean loss of each domain since the last update, in O(K) memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ...distributed import gather_rows, world_size
from ...scores._buffer import DeviceBuffer, Write
from ...scores._table import as_tensor, host_losses, on_device
from ...types import Floats, Indices, Scores

if TYPE_CHECKING:
    import torch.distributed as dist


class DomainLosses:
    """Sums and counts of the losses of each domain; GPU losses are copied to the host in chunks.

    Parameters
    ----------
    size : int
        Number of samples N.
    sources : int
        Number of domains K.
    domain_of : callable
        Int64 indices (m,) -> domain of each, -1 for none.
    reference : float32 array of shape (N,), optional
        Subtracted from the losses; differences below 0 are clipped to 0.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks whose losses `merge` sums; all of them by default.
    """

    def __init__(
        self,
        size: int,
        sources: int,
        domain_of: Callable[[Indices], Indices],
        reference: Scores | None,
        process_group: dist.ProcessGroup | None,
    ) -> None:
        self._size, self._domain_of = size, domain_of
        self._reference = reference
        self._group = process_group
        self._own = np.zeros(2 * sources)  # sums, then counts; of this rank since the last merge
        self._all = np.zeros(2 * sources)  # of all ranks, up to the last merge
        self._buffers: dict[tuple[torch.device, str], DeviceBuffer] = {}

    def write(self, rows: Indices | torch.Tensor, losses: ArrayLike | torch.Tensor) -> None:
        """Add the losses of a batch, without synchronizing the device."""
        values = as_tensor(losses)
        device = on_device(values) or on_device(rows)
        if device is None:
            self._land(rows, host_losses(values))  # type: ignore[arg-type]  # both on the host
            return
        self._buffer(device, "losses", self._land).append(as_tensor(rows), values.detach())

    def add(self, rows: Indices | torch.Tensor, sums: torch.Tensor, counts: torch.Tensor) -> None:
        """Add finite sums (B,) of `counts` (B,) losses, without synchronizing the device."""
        device = on_device(sums) or on_device(rows)
        if device is None:
            self._land_sums(rows, sums.numpy())  # type: ignore[arg-type]  # all on the host
            self._land_counts(rows, counts.numpy())  # type: ignore[arg-type]
            return
        where = as_tensor(rows)
        self._buffer(device, "sums", self._land_sums).append(where, sums)
        self._buffer(device, "counts", self._land_counts).append(where, counts)

    def _buffer(self, device: torch.device, name: str, write: Write) -> DeviceBuffer:
        if (device, name) not in self._buffers:
            self._buffers[device, name] = DeviceBuffer(device, write)
        return self._buffers[device, name]

    def merge(self) -> None:
        """Sum the losses over all ranks; every rank must call it."""
        self._drain()
        alone = world_size(self._group) == 1
        parts = [self._own] if alone else gather_rows(self._own, self._group)
        for part in parts:  # in rank order: equal to the last bit on all ranks
            self._all += np.asarray(part, np.float64)
        self._own[:] = 0.0

    def means(self) -> Floats:
        """Return the mean loss of each domain, as merged: float64 (K,), NaN where there is none.

        Rounded to float32, so that the result does not depend on the order of the losses.
        """
        sums, counts = np.split(self._all, 2)
        found = np.divide(sums, counts, out=np.full(counts.size, np.nan), where=counts > 0)
        with np.errstate(over="ignore"):
            found = found.astype(np.float32).astype(np.float64)
        return np.where(np.isinf(found), np.nan, found)

    def clear(self) -> None:
        """Delete the merged sums and counts."""
        self._all[:] = 0.0

    @property
    def merged(self) -> Floats:
        """Sums and counts of all ranks, as merged: float64 (2 K,)."""
        return self._all

    def restore(self, merged: Floats) -> None:
        """Replace everything that was recorded by saved sums and counts."""
        self._drain()
        self._own[:] = 0.0
        self._all[:] = merged

    def _drain(self) -> None:
        for buffer in self._buffers.values():
            buffer.drain()

    def _land(self, rows: Indices, losses: NDArray[np.float32]) -> None:
        good = np.isfinite(losses) & (rows >= 0) & (rows < self._size)
        rows, values = rows[good], losses[good].astype(np.float64)
        codes = self._domain_of(rows)
        if self._reference is not None:
            values = np.maximum(values - self._reference[rows], 0.0)
        good = (codes >= 0) & ~np.isnan(values)
        sums, counts = np.split(self._own, 2)
        sums += np.bincount(codes[good], values[good], sums.size)
        counts += np.bincount(codes[good], minlength=counts.size)

    def _land_sums(self, rows: Indices, values: NDArray[np.floating[Any]]) -> None:
        self._land_in(0, rows, values)

    def _land_counts(self, rows: Indices, values: NDArray[np.floating[Any]]) -> None:
        self._land_in(1, rows, values)

    def _land_in(self, half: int, rows: Indices, values: NDArray[np.floating[Any]]) -> None:
        good = (rows >= 0) & (rows < self._size)
        codes = self._domain_of(rows[good])
        known = codes >= 0
        own = np.split(self._own, 2)[half]
        own += np.bincount(codes[known], values[good][known], own.size)

    def __getstate__(self) -> dict[str, object]:
        """Exclude what belongs to this process: its group and its device buffers."""
        self._drain()
        return {**self.__dict__, "_group": None, "_buffers": {}}


@dataclass(frozen=True)
class Excess:
    """The excess losses of a batch: sums and counts of their tokens (B,), and all counted ones."""

    sums: torch.Tensor
    counts: torch.Tensor
    given: torch.Tensor


def excess_of(
    excess: ArrayLike | torch.Tensor,
    count: int,
    mask: torch.Tensor | None,
    num_tokens: ArrayLike | torch.Tensor | None,
) -> Excess:
    """Return the checked arguments of `MixtureSampler.record_excess` for `count` samples."""
    if not isinstance(excess, torch.Tensor):
        excess = torch.from_numpy(np.array(excess, np.float64))
    values = excess.detach()
    if not values.is_floating_point():
        values = values.double()
    if values.ndim not in {1, 2} or values.shape[0] != count:
        raise ValueError(
            f"excess must have shape ({count}, T) or ({count},), got {tuple(values.shape)}"
        )
    counted = _counted(mask, values)
    sizes = _sizes(num_tokens, values)
    given = torch.where(counted, values, 0.0)
    counted = counted & torch.isfinite(values)
    cut = torch.where(counted, values.clamp(min=0.0), 0.0)
    cut = cut if cut.dtype == torch.float64 else cut.float()
    if values.ndim == 2:
        return Excess(cut.sum(dim=1), counted.sum(dim=1), given)
    return Excess(cut * sizes, torch.where(counted, sizes, 0.0), given)


def _counted(mask: torch.Tensor | None, values: torch.Tensor) -> torch.Tensor:
    """Return which values are counted, bool of their shape: a checked copy of the mask."""
    if mask is None:
        return torch.ones_like(values, dtype=torch.bool)
    found = torch.as_tensor(np.array(mask) if not isinstance(mask, torch.Tensor) else mask)
    if found.dtype != torch.bool:
        raise TypeError(f"mask must be bool, got {found.dtype}")
    if found.shape != values.shape:
        raise ValueError(
            f"mask must have the shape of excess, {tuple(values.shape)}, got {tuple(found.shape)}"
        )
    return found.to(values.device, non_blocking=True, copy=True)


def _sizes(num_tokens: ArrayLike | torch.Tensor | None, values: torch.Tensor) -> torch.Tensor:
    """Return the number of tokens of each value, float (B,)."""
    if num_tokens is None:
        return torch.ones(len(values), device=values.device)
    found = num_tokens if isinstance(num_tokens, torch.Tensor) else torch.tensor(num_tokens)
    if values.ndim != 1 or found.shape != values.shape:
        raise ValueError(
            f"num_tokens must have the shape of excess, which must be (B,), got "
            f"{tuple(found.shape)} for {tuple(values.shape)}"
        )
    if found.is_cpu and bool((~(found >= 0)).any()):
        row = int((~(found >= 0)).to(torch.uint8).argmax())
        raise ValueError(f"num_tokens must be >= 0, got {found[row].item()} in row {row}")
    return found.to(values.device, torch.float32, non_blocking=True).clamp(min=0.0)
