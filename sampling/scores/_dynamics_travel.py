"""Copies of batches of logits from a device to the host, without waiting for the device."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._check import _labels
from ..types import Indices
from ._heads import binary_ids_on_host, column, is_one_output, refuse_table, two_columns

Batch = tuple[Indices, NDArray[Any], Indices]


class Travelling:
    """Queue of batches being copied from a device to pinned memory.

    A batch is passed to `land` by a later call that finds its copy complete, or by `drain`; no
    method except `drain` blocks the host. Accelerators other than CUDA block for every batch.

    Parameters
    ----------
    land : callable
        Called with rows int64 (B,), logits (B, C) and labels int64 (B,), all on the host.
    """

    def __init__(self, land: Callable[..., None]) -> None:
        self._land = land
        self._waiting: deque[tuple[list[torch.Tensor], list[Any]]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def send(self, *batch: torch.Tensor) -> None:
        """Queue a copy of a batch: the caller may change its tensors afterwards."""
        homes, events = [], []
        for tensor in batch:
            if tensor.is_cuda:
                home = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu", pin_memory=True)
                home.copy_(tensor, non_blocking=True)
                event = torch.cuda.Event()  # type: ignore[no-untyped-call]
                event.record(torch.cuda.current_stream(tensor.device))
                events.append(event)
            else:
                home = tensor.cpu().clone()
            homes.append(home)
        self._waiting.append((homes, events))
        while self._waiting and all(event.query() for event in self._waiting[0][1]):
            self._next()

    def drain(self) -> None:
        """Pass every queued batch to `land`; wait for the device."""
        while self._waiting:
            for event in self._waiting[0][1]:
                event.synchronize()
            self._next()

    def _next(self) -> None:
        homes, _ = self._waiting.popleft()
        self._land(*(home.numpy() for home in homes))


def tensors(
    indices: ArrayLike | torch.Tensor, logits: ArrayLike | torch.Tensor, labels: ArrayLike
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return a batch with at least one array on a device as tensors that the host can read."""
    found: list[torch.Tensor] = []
    lives = isinstance(logits, torch.Tensor)
    values = torch.as_tensor(logits if lives else _check.host(logits, "logits")).detach()
    for name, each in (("indices", indices), ("labels", labels)):
        read = _with_labels if name == "labels" else _check.host
        tensor = torch.as_tensor(each if isinstance(each, torch.Tensor) else read(each, name))
        if name == "labels" and is_one_output(values, len(found[0])):
            found.append(tensor)  # checked on the host, where reading it is free
            continue
        if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
            raise TypeError(f"{name} must hold ints, got dtype {tensor.dtype}")
        found.append(tensor.long())
    if values.dtype not in {torch.float32, torch.float64}:
        values = values.float()
    return found[0], values.contiguous(), found[1]


def host_logits(logits: ArrayLike | torch.Tensor) -> NDArray[Any]:
    """Return logits as a contiguous float32 array, detached; wider floats as float64."""
    if isinstance(logits, torch.Tensor):
        logits = logits.detach()
        if logits.dtype not in {torch.float32, torch.float64}:
            logits = logits.float()
        array: NDArray[Any] = logits.numpy()
    else:
        array = _check.host(logits, "logits")
        if array.dtype.kind not in "fiu":
            raise TypeError(f"logits must hold numbers, got dtype {array.dtype}")
    wide = array.dtype.kind == "f" and array.dtype.itemsize > 4
    return np.ascontiguousarray(array, np.float64 if wide else np.float32)


def read_host(
    logits: NDArray[Any], labels: ArrayLike | torch.Tensor
) -> tuple[NDArray[Any], Indices]:
    """Return logits (B, C) and class ids int64 (B,); for one output the two columns (0, z)."""
    if logits.ndim and is_one_output(logits, len(logits)):
        return two_columns(logits), binary_ids_on_host(_with_labels(column(labels)), len(logits))
    return logits, host_labels(labels)


def host_labels(labels: ArrayLike | torch.Tensor) -> Indices:
    """Return class ids as a contiguous int64 array on the host."""
    array = _with_labels(labels)
    refuse_table(array)
    if array.dtype.kind not in "iu":
        wrong = _check.first_other_than_int(array) if array.ndim else None
        found = "" if wrong is None else f", {wrong[1]!r} in row {wrong[0]}"
        raise TypeError(f"labels must hold class ids in [0, C), got dtype {array.dtype}{found}")
    return np.ascontiguousarray(array, np.int64)


def _with_labels(labels: ArrayLike | torch.Tensor, name: str = "labels") -> NDArray[Any]:
    """Return labels as a numpy array, or refuse the first missing one."""
    masked = isinstance(labels, np.ma.MaskedArray)
    array = np.asarray(labels) if masked else _check.host(labels, name)
    if masked or array.dtype.kind == "O" or (array.dtype.kind == "f" and np.isnan(array).any()):
        return _labels.ids(name, labels)
    return array


def check_shapes(rows: Any, logits: Any, labels: Any, classes: int | None) -> None:
    """Refuse a batch whose arrays or tensors do not match in shape."""
    if logits.ndim != 2 or (classes is not None and logits.shape[1] != classes):
        wanted = "C" if classes is None else classes
        raise ValueError(f"logits must have shape (B, {wanted}), got {tuple(logits.shape)}")
    for name, array in (("indices", rows), ("labels", labels)):
        if tuple(array.shape) != (logits.shape[0],):
            raise ValueError(
                f"{name} must have shape ({logits.shape[0]},), one for each row of logits, "
                f"got {tuple(array.shape)}"
            )
