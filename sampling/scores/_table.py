"""The score table: the last loss of each sample, or a moving average, by dataset index."""

from __future__ import annotations

from collections.abc import Sized
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._check._containers import unread
from .._check._keywords import told
from ..distributed import merge_means, world_size
from ..kernels import _scores
from ..types import Indices, Scores
from ._buffer import DeviceBuffer

if TYPE_CHECKING:
    import torch.distributed as dist


@told
class ScoreTable:
    """Table of one float32 score per sample of a dataset, written from the training loop.

    A score is the last loss of a sample, or a moving average of its losses. It is NaN until the
    sample is first seen, since a constant would be indistinguishable from a score. Losses on a GPU
    are buffered there and copied to the host in chunks, so that `update` never waits for the
    device.

    Parameters
    ----------
    data_source : int or sized
        N, or an object with a length.
    ema : float in (0, 1], default 1
        Weight of the new loss in a score: score <- ema * loss + (1 - ema) * score.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks whose scores `merge` synchronises; all of them by default.

    Attributes
    ----------
    num_nonfinite : int
        Losses that were NaN or infinite: counted and not stored; for losses on a device, those
        that have been copied to the host.

    Raises
    ------
    ValueError
        If an index is outside [0, N), or losses and indices differ in length. Nothing is stored
        then. For indices on a device the next `flush` raises, since checking would synchronise
        with the device.

    Notes
    -----
    Order
        If a batch contains an index twice, its last loss is stored.
    Cost
        4 N bytes; N more with several ranks. `update` is O(B), and uses 12 bytes of device memory
        for each of 65,536 losses if losses are on a device.
    Gradients
        None: losses are detached and copied.

    Examples
    --------
    >>> table = ScoreTable(4)
    >>> table.update([2, 0], torch.tensor([0.5, 3.0]))
    >>> table.values
    array([3. , nan, 0.5, nan], dtype=float32)
    """

    def __init__(
        self,
        data_source: int | Sized,
        *,
        ema: float = 1.0,
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        size = _check.size("data_source", data_source)
        self.ema = _check.number("ema", ema, "(0, 1]")
        self.num_nonfinite = 0
        self._scores: Scores = np.full(size, np.nan, np.float32)
        self._touched: NDArray[np.bool_] = np.empty(0, np.bool_)
        self._group = process_group
        self._ranks = world_size(process_group)
        self._buffers: dict[torch.device, DeviceBuffer] = {}
        self._outside = ""

    def __len__(self) -> int:
        return self._scores.size

    @property
    def values(self) -> Scores:
        """The scores, float32 (N,), read-only; NaN = never seen. Waits for losses on a device."""
        self.flush()
        view = self._scores.view()
        view.flags.writeable = False
        return view

    @property
    def num_seen(self) -> int:
        """Number of samples that have a score."""
        return int(np.count_nonzero(~np.isnan(self.values)))

    @property
    def num_unmerged(self) -> int:
        """Number of samples this rank recorded since the last `merge`; 0 on one rank."""
        self.flush()
        return int(np.count_nonzero(self._touched))

    @told
    def update(self, indices: ArrayLike | torch.Tensor, losses: ArrayLike | torch.Tensor) -> None:
        """Store the losses of a batch.

        Parameters
        ----------
        indices : int array or tensor of shape (B,)
            Dataset indices, on the host or on the losses' device.
        losses : float array or tensor of shape (B,)
            Loss of each sample.
        """
        rows: Any = indices if on_device(indices) else host_rows(indices)
        values = _values_of(rows, losses)
        if not isinstance(rows, np.ndarray):
            _check.refuse_mask("indices", rows)
            if rows.is_floating_point() or rows.dtype == torch.bool:
                raise TypeError(f"indices must hold ints, got dtype {rows.dtype}")
        else:
            bad = _scores.first_outside(rows, self._scores.size)
            if bad >= 0:
                raise ValueError(
                    f"indices must be in [0, {len(self)}), got {rows[bad]} in row {bad}"
                )
        self._store(rows, values)

    def write(self, rows: Indices | torch.Tensor, losses: ArrayLike | torch.Tensor) -> None:
        """Store the losses of a batch whose indices were checked: `update` without their check.

        A sampler checks the indices of a batch once, and writes each of its tables by this method.

        Parameters
        ----------
        rows : int64 array or tensor of shape (B,)
            Dataset indices: a contiguous array on the host, all in [0, N), or an int tensor on a
            device, which is checked when its losses have been copied to the host.
        losses : float array or tensor of shape (B,)
            Loss of each sample.

        Raises
        ------
        ValueError
            If a row is not in [0, N); those before it are stored.
        """
        self._store(rows, _values_of(rows, losses))

    def _store(
        self, rows: Indices | torch.Tensor, values: NDArray[np.float32] | torch.Tensor
    ) -> None:
        device = on_device(values) or on_device(rows)
        if device is None:
            self._land(rows, values)  # type: ignore[arg-type]  # both on the host
            return
        if device not in self._buffers:
            self._buffers[device] = DeviceBuffer(device, self._land_checked)
        self._buffers[device].append(as_tensor(rows), as_tensor(values).detach())

    def flush(self) -> None:
        """Wait for the losses still on a device, and store them."""
        for buffer in self._buffers.values():
            buffer.drain()
        if self._outside:
            message, self._outside = self._outside, ""
            raise ValueError(message)

    def merge(self) -> None:
        """Synchronise the scores of all ranks; every rank must call it.

        A sample scored on several ranks since the last merge gets the mean of their scores.
        """
        self.flush()
        if self._ranks > 1:
            merge_means(self._scores, self._touched_by_us(), self._group)

    def restore(self, values: Scores, num_nonfinite: int) -> None:
        """Replace all scores by saved ones, float32 (N,).

        Parameters
        ----------
        values : float32 array of shape (N,)
            Copied.
        num_nonfinite : int
            Saved value of the attribute of this name.
        """
        values = _check.as_numbers("values", _check.one_dimensional("values", values))
        _check.same_length("values", values, "the table", len(self))
        lost = _check.integer("num_nonfinite", num_nonfinite, 0)
        for buffer in self._buffers.values():
            buffer.drain()
        self._scores[:] = values
        self._touched[:] = False
        self.num_nonfinite, self._outside = lost, ""

    def clear(self) -> None:
        """Reset all scores to NaN, as before the first `update`; keep `num_nonfinite`."""
        self.flush()
        self._scores[:] = np.nan
        self._touched[:] = False

    def _land(self, rows: Indices, losses: NDArray[np.float32]) -> None:
        touched = self._touched_by_us() if self._ranks > 1 else self._touched
        skipped = _scores.update(self._scores, touched, rows, losses, self.ema)
        if skipped < 0:  # rows that were said to be checked
            row = -1 - skipped
            raise ValueError(f"rows must be in [0, {len(self)}), got {rows[row]} in row {row}")
        self.num_nonfinite += skipped

    def _land_checked(self, rows: Indices, losses: NDArray[np.float32]) -> None:
        inside = (rows >= 0) & (rows < self._scores.size)
        if not inside.all():
            worst = rows[~inside][0]
            self._outside = f"indices must be in [0, {len(self)}), got {worst} from a device"
            rows, losses = rows[inside], losses[inside]
        self._land(rows, losses)

    def _touched_by_us(self) -> NDArray[np.bool_]:
        if self._touched.size == 0:
            self._touched = np.zeros(self._scores.size, np.bool_)
        return self._touched

    def __getstate__(self) -> dict[str, object]:
        """Exclude what belongs to this process: its group and its device buffers."""
        self.flush()
        return {**self.__dict__, "_group": None, "_buffers": {}}


def _values_of(
    rows: Indices | torch.Tensor, losses: ArrayLike | torch.Tensor
) -> NDArray[np.float32] | torch.Tensor:
    """Return the losses of a batch on the host, float32 (B,), or on a device as they are."""
    values: Any = losses if on_device(losses) else host_losses(losses)
    if values.ndim != 1 or tuple(rows.shape) != tuple(values.shape):
        raise ValueError(
            f"losses must have the shape of indices, {tuple(rows.shape)}, got {tuple(values.shape)}"
        )
    return values  # type: ignore[no-any-return]


def on_device(array: object) -> torch.device | None:
    """Return the device of a tensor that is not on the host; None for everything on the host."""
    if isinstance(array, torch.Tensor) and not array.is_cpu:
        return array.device
    return None


def as_tensor(values: ArrayLike | torch.Tensor) -> torch.Tensor:
    """Return values as a tensor, whatever their byte order; a tensor is returned as it is.

    torch's own `as_tensor` moves it if a default device is set.
    """
    if isinstance(values, torch.Tensor):
        return values
    values = unread("values", values)
    values = _check.native(values) if isinstance(values, np.ndarray) else values
    return torch.as_tensor(values, device="cpu")


def host_rows(indices: ArrayLike | torch.Tensor) -> Indices:
    """Return indices as a contiguous int64 array on the host, without a copy if they are one."""
    array = _check.host(indices, "indices")
    _check.refuse_other_than_ints("indices", array)
    return np.asarray(array, dtype=np.int64, order="C")


def host_losses(losses: ArrayLike | torch.Tensor) -> NDArray[np.float32]:
    """Return losses as a contiguous float32 array on the host, detached."""
    if isinstance(losses, torch.Tensor):
        losses = losses.detach()
        if losses.dtype != torch.float32:
            losses = losses.float()
        return np.asarray(losses.numpy(), order="C")
    array = _check.as_numbers("losses", _check.host(losses, "losses"))
    return np.asarray(array, dtype=np.float32, order="C")
