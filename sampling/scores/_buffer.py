"""A buffer that copies losses from a device to the score table without waiting for the device."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from ..types import Indices

Write = Callable[[Indices, NDArray[np.float32]], None]


class DeviceBuffer:
    """Buffer of (index, loss) pairs in device memory, copied to the host a chunk at a time.

    On CUDA a full chunk is copied to pinned memory by the stream that produced it; it is written
    to the table by a later call that finds the copy complete, or by `drain`. No method except
    `drain` blocks the host. Other accelerators block once per chunk.

    Parameters
    ----------
    device : torch.device
    write : callable
        Called with int64 indices (m,) and float32 losses (m,) once they are on the host.
    capacity : int, default 65_536
        Pairs in a chunk; 12 bytes each, on the device.
    """

    def __init__(self, device: torch.device, write: Write, capacity: int = 65_536) -> None:
        self._device = device
        self._write = write
        self._indices = torch.empty(capacity, dtype=torch.int64, device=device)
        self._losses = torch.empty(capacity, dtype=torch.float32, device=device)
        self._filled = 0
        self._travelling: deque[tuple[torch.Tensor, torch.Tensor, torch.cuda.Event | None]]
        self._travelling = deque()

    def append(self, indices: torch.Tensor, losses: torch.Tensor) -> None:
        """Append a copy of a batch: the caller may change its tensors afterwards."""
        start, capacity = 0, self._losses.numel()
        while start < losses.numel():
            if self._filled == capacity:
                self._send()
            size = min(losses.numel() - start, capacity - self._filled)
            here = slice(self._filled, self._filled + size)
            self._losses[here].copy_(losses[start : start + size], non_blocking=True)
            self._indices[here].copy_(indices[start : start + size], non_blocking=True)
            self._filled += size
            start += size
        while self._travelling:
            event = self._travelling[0][2]
            if event is not None and not event.query():  # type: ignore[no-untyped-call]
                break
            self._land()

    def drain(self) -> None:
        """Write everything that was appended; wait for the device."""
        self._send()
        while self._travelling:
            event = self._travelling[0][2]
            if event is not None:
                event.synchronize()
            self._land()

    def _send(self) -> None:
        if not self._filled:
            return
        indices, losses = self._indices[: self._filled], self._losses[: self._filled]
        event = None
        if self._device.type == "cuda":
            home_indices = torch.empty(
                self._filled, dtype=torch.int64, device="cpu", pin_memory=True
            )
            home_losses = torch.empty(
                self._filled, dtype=torch.float32, device="cpu", pin_memory=True
            )
            home_indices.copy_(indices, non_blocking=True)
            home_losses.copy_(losses, non_blocking=True)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record(torch.cuda.current_stream(self._device))
        else:
            home_indices, home_losses = indices.cpu().clone(), losses.cpu().clone()
        self._travelling.append((home_indices, home_losses, event))
        self._filled = 0

    def _land(self) -> None:
        indices, losses, _ = self._travelling.popleft()
        self._write(indices.numpy(), losses.numpy())
