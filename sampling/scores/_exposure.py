"""How often each sample was trained on: one byte per count, widened when a count exceeds it."""

from __future__ import annotations

from collections.abc import Sized
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._check import _labels
from .._check._keywords import told
from ..distributed import fitting, sum_counts, world_size
from ..errors import StateError
from ..kernels import _scores
from ..types import Counts, Indices
from ._buffer import DeviceBuffer
from ._table import host_rows, on_device

if TYPE_CHECKING:
    import torch.distributed as dist

_BLOCK = 2**22  # samples read at a time: bounds the memory of the reports


@told
class ExposureCounter:
    """Counter of how often each sample of a dataset was trained on.

    A sampler plans draws; what the model is trained on differs by padding, skipped batches,
    excluded losses and interrupted runs. Pass the counter to a sampler as `exposure=`, and its
    `reduce` and `record` count; or call `update` in a custom training loop.

    Parameters
    ----------
    data_source : int or sized
        N, or an object with a length.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks whose counts `merge` sums; all of them by default.

    Raises
    ------
    TypeError
        If indices are not ints.
    ValueError
        If an index is outside [0, N). Nothing of the batch is counted then. For indices on a device
        the next `flush` raises, since checking would synchronise with the device.

    Notes
    -----
    Order
        Irrelevant: only counts are kept. An index that a batch contains twice counts twice.
    Cost
        N bytes while no count is above 255, then 2 N (4 N above 65,535, 8 N above 2**32); twice
        that with several ranks. `update` is O(B) and never waits for a device.
    Gradients
        None.

    Examples
    --------
    >>> counter = ExposureCounter(5)
    >>> counter.update([0, 3, 3])
    >>> counter.update(torch.tensor([3, 4]))
    >>> counter.counts
    array([1, 0, 0, 3, 1], dtype=uint8)
    >>> counter.coverage()
    0.6
    >>> counter.repeats(["cat", "cat", "cat", "dog", "dog"])["exposures"]
    array([1, 4])
    """

    def __init__(
        self, data_source: int | Sized, *, process_group: dist.ProcessGroup | None = None
    ) -> None:
        size = _check.size("data_source", data_source)
        self._group = process_group
        self._counts: Counts = np.zeros(size, np.uint8)
        # Counted on this rank since the last merge, also part of `_counts`; empty on one rank.
        ranks = world_size(process_group)
        self._own: Counts = np.zeros(size if ranks > 1 else 0, np.uint8)
        self._buffers: dict[torch.device, DeviceBuffer] = {}
        self._outside = ""

    def __len__(self) -> int:
        return self._counts.size

    # ------------------------------------------------------------------ counting

    def update(self, indices: ArrayLike | torch.Tensor) -> None:
        """Count a batch that was trained on.

        Parameters
        ----------
        indices : int array or tensor of shape (B,)
            Dataset indices, on the host or on a device.
        """
        if isinstance(indices, torch.Tensor) and on_device(indices) is not None:
            self._collect(indices)
            return
        rows = host_rows(indices)
        _check.batch_of_rows("indices", rows.shape)
        bad = _scores.first_outside(rows, self._counts.size)
        if bad >= 0:
            raise ValueError(f"indices must be in [0, {len(self)}), got {rows[bad]} in row {bad}")
        self._count(rows)

    def flush(self) -> None:
        """Wait for the indices still on a device, and count them."""
        for buffer in self._buffers.values():
            buffer.drain()
        if self._outside:
            message, self._outside = self._outside, ""
            raise ValueError(message)

    def merge(self) -> None:
        """Sum the counts of all ranks; every rank must call it."""
        self.flush()
        if self._own.size:
            self._take(sum_counts(self._counts, self._own, self._group))

    @property
    def num_unmerged(self) -> int:
        """Number of samples this rank trained on since the last `merge`; 0 on one rank."""
        self.flush()
        return int(np.count_nonzero(self._own))

    # ------------------------------------------------------------------ reports

    @property
    def counts(self) -> Counts:
        """The counts (N,), read-only, in the narrowest of uint8 to uint64 that holds them.

        With several ranks: of all ranks up to the last `merge`, and of this rank since. Waits for
        the device. A view: copy it to keep it.
        """
        self.flush()
        view = self._counts.view()
        view.flags.writeable = False
        return view

    def coverage(self) -> float:
        """Return the fraction of the samples that were trained on at least once."""
        return int(np.count_nonzero(self.counts)) / len(self)

    def effective_sample_size(self) -> float:
        """Return the effective sample size (sum c)^2 / sum c^2 of the counts c.

        N if all counts are equal, 1 if only one sample was trained on, 0 before any training.
        """
        counts, total, squares = self.counts, 0.0, 0.0
        for start in range(0, counts.size, _BLOCK):
            block = counts[start : start + _BLOCK].astype(np.float64)
            total += float(block.sum())
            squares += float(block @ block)
        return total**2 / squares if squares else 0.0

    def repeats(self, groups: ArrayLike | None = None) -> dict[str, NDArray[Any]]:
        """Return a table of how often samples were repeated, by class or cluster.

        Parameters
        ----------
        groups : array-like of shape (N,), optional
            Class or cluster of each sample: ints or strings. By default all samples form one group.

        Returns
        -------
        dict of str to array of shape (G,)
            Columns, groups in sorted order: "group"; "samples", the size of the group;
            "exposures", the sum of its counts; "coverage", the fraction trained on at least once;
            "mean", exposures per sample; "max", the count of the most repeated sample.
            `pandas.DataFrame` accepts the table as it is.
        """
        counts = self.counts
        if groups is None:
            names: NDArray[Any] = np.array(["all"])
            codes: Indices = np.zeros(0, np.int64)
        else:
            names, codes = _labels.grouped("groups", groups)
            _check.same_length("groups", codes, "the counter", len(self))
        samples, exposures, seen, most = (np.zeros(names.size, np.int64) for _ in range(4))
        for start in range(0, counts.size, _BLOCK):
            block = counts[start : start + _BLOCK].astype(np.int64)
            code = codes[start : start + _BLOCK] if groups is not None else np.zeros_like(block)
            samples += np.bincount(code, minlength=names.size)
            exposures += np.bincount(code, weights=block, minlength=names.size).astype(np.int64)
            seen += np.bincount(code[block > 0], minlength=names.size)
            np.maximum.at(most, code, block)
        return {
            "group": names,
            "samples": samples,
            "exposures": exposures,
            "coverage": seen / samples,
            "mean": exposures / samples,
            "max": most,
        }

    # ------------------------------------------------------------------ saving

    def check(self, counts: ArrayLike | None) -> None:
        """Raise if saved counts cannot be those of this dataset.

        Parameters
        ----------
        counts : int array of shape (N,) or None
            `counts` of a saved run; None if that run kept none.

        Raises
        ------
        StateError
            If there are none, or they have another size, are not ints or are below 0.
        """
        if counts is None:
            raise StateError("exposure counts must be part of the state, got a state without them")
        saved = np.asarray(counts)
        if saved.dtype.kind not in "iu" or saved.shape != self._counts.shape:
            raise StateError(
                f"exposure counts must be ints of shape {self._counts.shape}, one for each sample "
                f"of this dataset, got {saved.dtype} of shape {saved.shape}"
            )
        if saved.min() < 0:
            row = int(saved.argmin())
            raise StateError(f"exposure counts must be >= 0, got {saved[row]} in row {row}")

    def restore(self, counts: ArrayLike) -> None:
        """Replace all counts by saved ones; every rank must call it.

        Parameters
        ----------
        counts : int array of shape (N,)
            `counts` after a `merge`. Copied. In files of earlier versions, whose counts
            saturated, 255 means 255 or more.
        """
        self.check(counts)
        self._buffers, self._outside = {}, ""
        saved = np.asarray(counts)
        self._take(saved.astype(np.min_scalar_type(int(saved.max()))))
        self._own[:] = 0

    # ------------------------------------------------------------------ helpers

    def _collect(self, indices: torch.Tensor) -> None:
        """Buffer indices on a device; they are counted once they have been copied to the host."""
        _check.refuse_mask("indices", indices)
        if indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
            raise TypeError(f"indices must hold ints, got dtype {indices.dtype}")
        _check.batch_of_rows("indices", indices.shape)
        if indices.device not in self._buffers:
            self._buffers[indices.device] = DeviceBuffer(indices.device, self._land)
        # The buffer holds pairs; the second of each is never read.
        self._buffers[indices.device].append(indices, indices)

    def _land(self, rows: Indices, _: NDArray[np.float32]) -> None:
        inside = (rows >= 0) & (rows < self._counts.size)
        if not inside.all():
            worst = rows[~inside][0]
            self._outside = f"indices must be in [0, {len(self)}), got {worst} from a device"
            rows = rows[inside]
        self._count(rows)

    def _count(self, rows: Indices) -> None:
        """Count checked indices; widen the dtype when a count would overflow."""
        while rows.size:
            most = int(np.iinfo(self._counts.dtype).max)
            rows = rows[_scores.count_up(self._counts, self._own, rows, np.uint64(most)) :]
            if rows.size:
                self._take(fitting(self._counts, most + 1))

    def _take(self, counts: Counts) -> None:
        """Store these counts, and convert this rank's own to the same dtype."""
        self._counts = counts
        if self._own.dtype != counts.dtype:
            self._own = self._own.astype(counts.dtype)

    def __getstate__(self) -> dict[str, object]:
        """Exclude what belongs to this process: its group and its device buffers."""
        self.flush()
        return {**self.__dict__, "_group": None, "_buffers": {}}
