"""Two streams of samples in every batch, such as labelled and unlabelled samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ...types import Floats, Indices, Packed
from ..core._groups import deal_windows
from ..core._options import EpochOptions
from ..core._tables import DrawTable, ListTable
from ._epoch_batches import BlockBatchSampler, BlockSampler


@told
class TwoStreamBatchSampler(BlockBatchSampler):
    """Fill every batch with a fixed number of samples from a second, smaller set.

    For semi-supervised training: each batch has `secondary_batch_size` labelled samples and is
    filled with unlabelled ones. An epoch is one pass over `primary`, however often `secondary` is
    repeated in it. In every batch, also in a short last one, the secondary samples are the last
    `secondary_batch_size` ones: `losses[-k:]` are their losses, `losses[:-k]` the others.

    Parameters
    ----------
    primary : int array-like of shape (n,)
        Dataset indices, without repeats: the set that each epoch draws once.
    secondary : int array-like of shape (m,)
        Dataset indices, without repeats. Some or all may be in `primary` too: such a sample is
        drawn in both roles, possibly in one batch.
    batch_size : int
        B, draws in a batch, from both streams.
    secondary_batch_size : int
        k in [1, B). If more than m, some samples are repeated in a batch.
    **options
        The options of every sampler: see `EpochSampler`. The last batch may be short of primary
        samples; `drop_last` then excludes it.

    Attributes
    ----------
    batch_size : int or None
        None if the last batch is short: accelerate would fill it up with samples of other batches,
        and the secondary ones would not be the last.
    secondary_batch_size : int
        k.

    Raises
    ------
    ValueError
        If an index is negative or repeated in a stream, the message names the row; if k is not in
        [1, B); if `drop_last` would leave no batch.

    Notes
    -----
    Order
        A shuffle of `primary` for each (seed, epoch). `secondary` is an endless sequence of
        shuffles, which each epoch continues at the end of the previous one: every sample is drawn
        before any is repeated. A batch in which one shuffle ends and the next begins may hold a
        sample twice. Any epoch is computed directly.
    Cost
        16 (n + m) bytes, 8 M an epoch and 8 M more during planning; O(M + m) an epoch.
    Gradients
        objective="sampled" (default) leaves the balance of the streams to the loss. "original"
        restores the mean over all samples of both sets, each counted once.
    Source
        The two streams of Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS
        2017.

    Examples
    --------
    >>> batches = TwoStreamBatchSampler([0, 1, 2, 3, 4], [10, 11, 12], 4, 2, seed=0)
    >>> list(batches)
    [[2, 3, 11, 10], [4, 0, 12, 11], [1, 12, 10]]
    """

    def __init__(
        self,
        primary: ArrayLike,
        secondary: ArrayLike,
        batch_size: int,
        secondary_batch_size: int,
        **options: Unpack[EpochOptions],
    ) -> None:
        streams = TwoStreams(primary, secondary, batch_size, secondary_batch_size, **options)
        self.secondary_batch_size = streams.secondary_batch_size
        short = streams.num_samples % streams.batch_size
        super().__init__(streams, None if short else streams.batch_size)


class TwoStreams(BlockSampler):
    """The draws of `TwoStreamBatchSampler`, batch by batch."""

    def __init__(
        self,
        primary: ArrayLike,
        secondary: ArrayLike,
        batch_size: int,
        secondary_batch_size: int,
        **options: Unpack[EpochOptions],
    ) -> None:
        self._primary = _Stream("primary", primary)
        self._secondary = _Stream("secondary", secondary)
        self.batch_size = _check.integer("batch_size", batch_size, 2)
        low = _check.integer("secondary_batch_size", secondary_batch_size, 1, self.batch_size)
        self.secondary_batch_size = low
        self._drop_last = _check.flag("drop_last", options.get("drop_last", False))
        each = self.batch_size - low
        size = self._primary.samples.size
        self.num_batches = size // each if self._drop_last else -(-size // each)
        if self.num_batches == 0:
            raise ValueError(
                f"primary must fill a batch with drop_last=True, {each} samples, got {size}"
            )
        self._passed = min(size, self.num_batches * each)  # primary draws in an epoch
        both = np.union1d(self._primary.samples, self._secondary.samples)
        self._population = both.size
        super().__init__(int(both[-1]) + 1, self._passed + self.num_batches * low, **options)

    def table(self, epoch: int) -> DrawTable:
        count, size, low = self.num_batches, self.batch_size, self.secondary_batch_size
        first = self._primary.run(_rng.key(self.seed, epoch, "primary"), 0, self._passed)
        key = _rng.key(self.seed, 0, "secondary")
        second = self._secondary.run(key, epoch * count * low, count * low).reshape(count, low)
        whole = self._passed // (size - low)
        samples = np.empty(self.num_samples, first.dtype)
        table = samples[: whole * size].reshape(whole, size)
        table[:, : size - low] = first[: whole * (size - low)].reshape(whole, size - low)
        table[:, size - low :] = second[:whole]
        if whole < count:
            samples[whole * size :] = np.concatenate([first[whole * (size - low) :], second[whole]])
        return ListTable(
            samples,
            self._population,
            self._expected,
            ordered=True,
            cuts=np.minimum(np.arange(count + 1) * size, self.num_samples),
        )

    def _expected(self, rows: Indices) -> Floats:
        drawn = self.num_batches * self.secondary_batch_size
        return self._primary.share(rows, self._passed) + self._secondary.share(rows, drawn)

    def identity(self) -> dict[str, object]:
        return {
            "primary": self._primary.samples,
            "secondary": self._secondary.samples,
            "batch_size": self.batch_size,
            "secondary_batch_size": self.secondary_batch_size,
            "drop_last": self._drop_last,
        }


class _Stream:
    """A set of samples, and the endless sequence of its shuffles."""

    def __init__(self, name: str, indices: ArrayLike) -> None:
        self.samples = _check.unique_rows(name, indices).copy()
        self._sorted = np.sort(self.samples)

    def run(self, key: np.uint64, start: int, count: int) -> Packed:
        """Return draws `start` to `start + count` of the sequence of a key."""
        size = self.samples.size
        start %= size * (2**62 // size)  # the sequence restarts where a counter would overflow
        out = np.empty(count, np.int64)
        deal_windows(
            self.samples, np.array([0, size]), np.array([start]), np.array([count]), key, out
        )
        return out

    def share(self, rows: Indices, draws: int) -> Floats:
        """Return each sample's share of a number of draws; 0 if it is not in the set."""
        places = np.minimum(np.searchsorted(self._sorted, rows), self._sorted.size - 1)
        return np.where(self._sorted[places] == rows, draws / self._sorted.size, 0.0)
