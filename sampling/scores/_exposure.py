"""How often each sample was really trained on: in one byte, and in more once that is too few."""

from collections.abc import Sized
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .. import _check, _labels
from .._keywords import told
from ..distributed import fitting, sum_counts, world_size
from ..errors import StateError
from ..kernels import _scores
from ..types import Counts, Indices
from ._buffer import DeviceBuffer
from ._table import host_rows, on_device

if TYPE_CHECKING:
    import torch.distributed as dist

_BLOCK = 2**22  # samples looked at in one go: bounds the memory of the reports


@told
class ExposureCounter:
    """Count how often each sample of a dataset was trained on.

    A sampler plans draws; padding, skipped batches, losses left out and runs that break off make
    the difference to what the model saw. Give the counter to a sampler as `exposure=`, and its
    `reduce` and `record` count; or call `update` in a training loop of your own.

    Parameters
    ----------
    data_source : int or sized
        N, or anything with a length.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks whose counts `merge` adds up; all of them by default.

    Raises
    ------
    TypeError
        If indices are no ints.
    ValueError
        If an index is outside [0, N). Nothing of the batch is counted then. For indices on a device
        the next `flush` raises, since looking would mean waiting.

    Notes
    -----
    Order       None: only how often, not when. An index that a batch holds twice counts twice.
    Cost        N bytes while no count is above 255, then 2 N (4 N above 65,535, 8 N above 2**32);
                twice that with several ranks. `update` is O(B) and never waits for a device.
    Gradients   None.

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
        self, data_source: int | Sized, *, process_group: "dist.ProcessGroup | None" = None
    ) -> None:
        size = _check.size("data_source", data_source)
        self._group = process_group
        self._counts: Counts = np.zeros(size, np.uint8)
        # What this rank counted since the last merge, also part of `_counts`; empty on one rank.
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
        if rows.ndim != 1:
            raise ValueError(f"indices must have shape (B,), got {rows.shape}")
        bad = _scores.first_outside(rows, self._counts.size)
        if bad >= 0:
            raise ValueError(f"indices must be in [0, {len(self)}), got {rows[bad]} in row {bad}")
        self._count(rows)

    def flush(self) -> None:
        """Wait for the indices that are still on a device, and count them."""
        for buffer in self._buffers.values():
            buffer.drain()
        if self._outside:
            message, self._outside = self._outside, ""
            raise ValueError(message)

    def merge(self) -> None:
        """Add up the counts of all ranks; every rank must call it."""
        self.flush()
        if self._own.size:
            self._take(sum_counts(self._counts, self._own, self._group))

    @property
    def num_unmerged(self) -> int:
        """Samples that this rank trained on since the last `merge`; 0 on one rank."""
        self.flush()
        return int(np.count_nonzero(self._own))

    # ------------------------------------------------------------------ what came of it

    @property
    def counts(self) -> Counts:
        """The counts, read-only, in the narrowest of uint8 to uint64 that holds them: (N,).

        With several ranks: of all ranks up to the last `merge`, and of this rank since. Waits for
        the device. A view: copy what is to be kept.
        """
        self.flush()
        view = self._counts.view()
        view.flags.writeable = False
        return view

    def coverage(self) -> float:
        """Return the share of the samples that were trained on at least once."""
        return int(np.count_nonzero(self.counts)) / len(self)

    def effective_sample_size(self) -> float:
        """Return (sum c)^2 / sum c^2: how many samples, used equally, would vary as little.

        N if all counts are equal, 1 if all training was on one sample, 0 before any.
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
            Class or cluster of each sample: ints or strings. All samples are one group by default.

        Returns
        -------
        dict of str to array of shape (G,)
            Columns, groups in sorted order: "group"; "samples", how many it has; "exposures", the
            sum of their counts; "coverage", the share trained on at least once; "mean", exposures
            of a sample; "max", those of the most repeated one. `pandas.DataFrame` takes it as it
            is.
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
        """Refuse saved counts that cannot be those of this dataset.

        Parameters
        ----------
        counts : int array of shape (N,) or None
            What `counts` was in a saved run; None if that run kept none.

        Raises
        ------
        StateError
            If there are none, or they are of another size, no ints or below 0.
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
        """Take over saved counts in place of all that was counted; every rank must call it.

        Parameters
        ----------
        counts : int array of shape (N,)
            What `counts` was after a `merge`. Copied. In files of earlier versions, which counted
            no further, 255 means 255 and more.
        """
        self.check(counts)
        self._buffers, self._outside = {}, ""
        saved = np.asarray(counts)
        self._take(saved.astype(np.min_scalar_type(int(saved.max()))))
        self._own[:] = 0

    # ------------------------------------------------------------------ behind them

    def _collect(self, indices: torch.Tensor) -> None:
        """Take indices on a device along; they are counted once they came home."""
        _check.refuse_mask("indices", indices)
        if indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
            raise TypeError(f"indices must hold ints, got dtype {indices.dtype}")
        if indices.ndim != 1:
            raise ValueError(f"indices must have shape (B,), got {tuple(indices.shape)}")
        if indices.device not in self._buffers:
            self._buffers[indices.device] = DeviceBuffer(indices.device, self._land)
        # The buffer carries pairs; the second of each is never read.
        self._buffers[indices.device].append(indices, indices)

    def _land(self, rows: Indices, _: NDArray[np.float32]) -> None:
        inside = (rows >= 0) & (rows < self._counts.size)
        if not inside.all():
            worst = rows[~inside][0]
            self._outside = f"indices must be in [0, {len(self)}), got {worst} from a device"
            rows = rows[inside]
        self._count(rows)

    def _count(self, rows: Indices) -> None:
        """Count checked indices; where a count would not fit its type, in the next wider one."""
        while rows.size:
            most = int(np.iinfo(self._counts.dtype).max)
            rows = rows[_scores.count_up(self._counts, self._own, rows, np.uint64(most)) :]
            if rows.size:
                self._take(fitting(self._counts, most + 1))

    def _take(self, counts: Counts) -> None:
        """Hold these counts, and what this rank counted in the same type."""
        self._counts = counts
        if self._own.dtype != counts.dtype:
            self._own = self._own.astype(counts.dtype)

    def __getstate__(self) -> dict[str, object]:
        """Leave out what belongs to this process: its group and its device buffers."""
        self.flush()
        return {**self.__dict__, "_group": None, "_buffers": {}}
