"""The path from a loader prepared by accelerate to our sampler, and its number of batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from torch.utils.data import BatchSampler

from .. import _optional
from ..samplers import AdaptiveBatchSampler, EpochBatchSampler, EpochSampler
from ._loader_chain import AnySampler, core_of

_data_loader: Any = _optional.require("accelerate.data_loader", "hf", "sampling.integrations")


@dataclass(frozen=True)
class Chain:
    """Path between a loader and our sampler, which determines the number of batches.

    Attributes
    ----------
    sampler : EpochSampler or EpochBatchSampler
        The sampler of this package.
    batch_size : int or None
        That of the `BatchSampler` around a sampler of single draws; None for a batch sampler.
    drop_last : bool
        Whether a last batch that is not full is dropped.
    processes : int
        Number of processes over which accelerate shards the batches; 1 if it does not.
    even : bool
        Whether accelerate completes the last round from the front of the epoch.
    split : bool
        Whether accelerate splits each batch into `processes` parts.
    """

    sampler: AnySampler
    batch_size: int | None
    drop_last: bool
    processes: int
    even: bool
    split: bool

    @property
    def inner(self) -> EpochSampler:
        """The sampler of single draws."""
        return cast(EpochSampler, core_of(self.sampler))

    @property
    def current_size(self) -> int | None:
        """The batch size of an `AdaptiveBatchSampler`, which may change; None for any other."""
        sampler = self.sampler
        return sampler.current_batch_size if isinstance(sampler, AdaptiveBatchSampler) else None

    @property
    def planned_ahead(self) -> bool:
        """Whether the lengths of all epochs are known before the run."""
        return not self.inner.dynamic and self.current_size is None

    @property
    def draws(self) -> int:
        """M of the current epoch, over all ranks."""
        return self.inner.consumed_after(2**62, 1)

    def batches(self, epoch: int) -> int:
        """Return this process's batches in an epoch; for a dynamic sampler, the planned one."""
        return self._own(self._cut(self.sampler.length(epoch)))

    @property
    def remaining(self) -> int:
        """Batches of this process from the position of a resume to the end of the epoch."""
        return self._own(self._cut(self.sampler.remaining))

    def expected(self, epoch: int) -> int:
        """Return this process's batches in an epoch, estimated if it is not planned yet."""
        inner = self.inner
        if not inner.dynamic or epoch == inner.epoch:
            return self.batches(epoch)
        draws = inner.expected_samples(epoch + 1) - inner.expected_samples(epoch)
        share = -(-draws * self.sampler.length(inner.epoch) // max(1, self.draws))
        return self._own(self._cut(share))

    def consumed(self, taken: int) -> int:
        """Return the draws consumed once this process has taken `taken` batches in the pass."""
        dealt = taken * (1 if self.split else self.processes)
        if isinstance(self.sampler, AdaptiveBatchSampler):
            try:
                return self.sampler.consumed_after(dealt)
            except ValueError:  # more than were yielded: the last round was completed
                return self.draws
        if taken >= self.remaining:
            return self.draws
        if isinstance(self.sampler, EpochBatchSampler):
            return self.sampler.consumed_after(dealt)
        return self.sampler.consumed_after(dealt, int(self.batch_size or 1))

    def _cut(self, items: int) -> int:
        """Return the number of batches for a number of draws, or of batches already."""
        if self.batch_size is None:
            return items
        return items // self.batch_size if self.drop_last else -(-items // self.batch_size)

    def _own(self, batches: int) -> int:
        whole, rest = divmod(batches, 1 if self.split else self.processes)
        if rest == 0 or self.drop_last:
            return whole
        if not self.even:
            raise ValueError(
                f"even_batches must be True for {batches} batches on {self.processes} processes, "
                "got False: the processes would wait for each other at the end of the epoch"
            )
        return whole + 1


def find_chain(loader: Any) -> Chain | None:  # any loader
    """Return the path from a loader, prepared or not, to an `EpochSampler`; None without one."""
    node = getattr(loader, "sampler", None)
    if not isinstance(node, BatchSampler):
        node = getattr(loader, "batch_sampler", None)
    if node is None:  # batch_size=None
        node = getattr(loader, "sampler", None)
    processes, even, split = 1, True, False
    if isinstance(loader, _data_loader.DataLoaderDispatcher):
        processes, split = loader.state.num_processes, loader.split_batches
    while not isinstance(node, EpochSampler | EpochBatchSampler):
        if isinstance(node, _data_loader.BatchSamplerShard):
            processes, even, split = node.num_processes, node.even_batches, node.split_batches
        inner = getattr(node, "batch_sampler", None)
        if inner is None:
            break
        node = inner
    if isinstance(node, EpochBatchSampler):
        return Chain(node, None, node.drop_last, processes, even, split)
    sampler = getattr(node, "sampler", node)
    if not isinstance(sampler, EpochSampler):
        return None
    size, drop_last = getattr(node, "batch_size", None), getattr(node, "drop_last", False)
    return Chain(sampler, size, drop_last, processes, even, split)
