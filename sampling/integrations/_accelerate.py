"""Hugging Face accelerate: each batch goes to exactly one process.

accelerate takes the output of a loader's sampler for the global order, and distributes it to the
processes itself. That suits samplers made with num_replicas=1. A sampler that already shards over
the ranks must not be sharded again, and batches of several sizes must not have a `batch_size`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from torch.utils.data import BatchSampler, DataLoader

from .. import _optional
from .._check._keywords import told
from ..loading import TensorLoader
from ..samplers import EpochBatchSampler
from ._accelerate_chain import find_chain
from ._loader_chain import AnySampler, WholeBatches, is_a, refuse_misfit

_LOADER_OPTIONS = ("num_workers", "collate_fn", "pin_memory", "timeout", "worker_init_fn",
                   "multiprocessing_context", "generator", "prefetch_factor", "persistent_workers",
                   "in_order", "snapshot_every_n_steps")  # fmt: skip

_data_loader: Any = _optional.require("accelerate.data_loader", "hf", "sampling.integrations")


@told
def prepare_loader(accelerator: Any, loader: Any) -> Any:  # accelerate's classes
    """Prepare a loader as `accelerator.prepare` does, so that each batch goes to one process.

    With a sampler of this package made with num_replicas=1 (the global order) this is
    `accelerator.prepare(loader)`: accelerate sends batch i to process i % W. With one that shards
    over the ranks itself (num_replicas = the number of processes, the default once
    torch.distributed is initialised) accelerate's sharding is disabled; `prepare` alone would shard
    it twice. The last round is completed from the front of the epoch, also in a resumed epoch.
    Batch samplers of any origin are monitored: a `batch_size` that does not hold for all batches is
    refused. A loader of whole batches (`batch_size=None`) keeps its sampler, which accelerate alone
    would drop.

    Parameters
    ----------
    accelerator : accelerate.Accelerator
        Accelerator whose processes train.
    loader : torch.utils.data.DataLoader
        With a sampler of this package as `sampler=` or `batch_sampler=`, or an `EpochBatchSampler`
        as `sampler=` with `batch_size=None`; may already be prepared. A `TensorLoader` is returned
        unchanged once its ranks are checked: give it `device=accelerator.device`.

    Returns
    -------
    torch.utils.data.DataLoader
        The prepared loader. Call `set_epoch(epoch)` on it before each pass, also if it continues
        from `skip_first_batches`: `iter` passes the loader's own epoch count to the sampler.

    Raises
    ------
    ValueError
        If the sampler was made for another number of samples than the dataset has. If the sampler
        shards over another number of ranks than there are processes, or as another rank; if it
        shards and accelerate is set to dispatch or to split batches. From `iter`, if a batch other
        than the last has another size than `batch_size`: accelerate would skip samples silently.

    Notes
    -----
    Order
        Scores are merged over all processes also with num_replicas=1: `set_epoch` exchanges them
        over the process group, no matter which library shards the batches. To resume, restore the
        sampler and call `loader.set_epoch` with its epoch; nothing is skipped.
    Cost
        One Python iteration per batch.

    Examples
    --------
    >>> from accelerate import Accelerator
    >>> from torch.utils.data import DataLoader
    >>> from sampling.samplers import ShuffleSampler
    >>> sampler = ShuffleSampler(6, seed=0, num_replicas=1)
    >>> loader = DataLoader(range(6), batch_size=2, sampler=sampler)
    >>> loader = prepare_loader(Accelerator(cpu=True), loader)
    >>> loader.set_epoch(3)
    >>> sampler.epoch, sorted(index for batch in loader for index in batch.tolist())
    (3, [0, 1, 2, 3, 4, 5])
    """
    chain = find_chain(loader)
    refuse_misfit(loader)
    processes = accelerator.num_processes
    if isinstance(loader, TensorLoader):
        _check_own_rank(loader.sampler, processes, accelerator.process_index)
        return loader
    dealing = chain is not None and chain.sampler.num_replicas > 1
    if chain is not None and dealing:
        _check_rank(chain.sampler, processes, accelerator.process_index)
        for option in ("dispatch_batches", "split_batches"):
            if getattr(accelerator, option):
                raise ValueError(
                    f"{option} must be False for a sampler that shards over the ranks, got True: "
                    "or make the sampler with num_replicas=1"
                )
    prepared = accelerator.prepare(_with_batch_sampler(loader))
    shard = _shard(prepared)
    if shard is not None and dealing:
        # One process and no batch size: then the wrapper passes every batch on unchanged. With a
        # batch size it would fill up the last batch from the front of the epoch.
        shard.num_processes, shard.process_index, shard.batch_size = 1, 0, None
    elif shard is not None and shard.batch_size is not None and _is_foreign(shard.batch_sampler):
        shard.batch_sampler = EqualBatches(shard.batch_sampler)
    complete_rounds(prepared)
    chain = find_chain(prepared)
    if chain is not None:
        unequal = chain.processes > 1 and not chain.even and not chain.drop_last
        chain.inner.note_unequal_batches(
            "accelerate shards them with even_batches=False: set it to True" if unequal else ""
        )
    return prepared


@told
def check_prepared(loader: Any) -> None:  # any loader
    """Raise if a prepared loader's sampler shards over the ranks and accelerate shards again.

    Parameters
    ----------
    loader : torch.utils.data.DataLoader
        Result of `accelerator.prepare`, or the training loader of a `Trainer`.

    Raises
    ------
    ValueError
        If the sampler was made for another number of samples than the dataset has, or each process
        would see only 1 / W of its own share.
    """
    chain = find_chain(loader)
    refuse_misfit(loader)
    if chain is None or chain.sampler.num_replicas == 1 or chain.processes == 1:
        return
    raise ValueError(
        f"num_replicas must be 1 where accelerate shards the batches, got "
        f"{chain.sampler.num_replicas}: {type(chain.sampler).__name__} shards over the ranks, and "
        f"each of {chain.processes} processes would see only a fraction of its share. Make the "
        "sampler with num_replicas=1 (scores still merge over all ranks), or prepare the loader "
        "with sampling.integrations.prepare_loader"
    )


def _with_batch_sampler(loader: Any) -> Any:  # any loader
    """Return a loader of the same batches with a batch sampler, the only one accelerate keeps."""
    if loader.batch_sampler is not None or not isinstance(loader.sampler, EpochBatchSampler):
        return loader
    if type(loader) is not DataLoader and not is_a(loader, "torchdata.StatefulDataLoader"):
        raise TypeError(
            "loader must be a DataLoader itself to fetch whole batches under accelerate, which "
            f"drops their sampler, got {type(loader).__name__}: give the sampler as batch_sampler="
        )
    options = {name: getattr(loader, name) for name in _LOADER_OPTIONS if hasattr(loader, name)}
    dataset = WholeBatches(loader.dataset)
    return type(loader)(dataset, batch_sampler=loader.sampler, **options)


class Around:
    """Wrapper of a batch sampler; attributes that are not defined here are the inner one's.

    Parameters
    ----------
    batch_sampler : iterable of lists
        The wrapped batch sampler.
    """

    def __init__(self, batch_sampler: Any) -> None:  # anything that yields batches
        self.batch_sampler = batch_sampler

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "batch_sampler" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.batch_sampler, name)


class EqualBatches(Around):
    """Pass batches on, and refuse those that accelerate would skip.

    Batches of the size `batch_size` of the inner batch sampler are passed on; the first one of
    another size must be the last of the epoch.
    """

    def __iter__(self) -> Iterator[Any]:
        size, short = self.batch_size, False
        for number, batch in enumerate(self.batch_sampler):
            if short or len(batch) > size:
                raise ValueError(
                    f"batches must have {size} samples, the batch_size of "
                    f"{type(self.batch_sampler).__name__}, all but the last, got another size in "
                    f"batch {number - short}: accelerate would skip samples; set batch_size to "
                    "None where sizes vary"
                )
            short = len(batch) < size
            yield batch


class FullRounds(Around):
    """Complete the last round of batches, one for each process, from the front of the epoch.

    accelerate does that too, but from the front of the pass, which in a resumed epoch is in the
    middle of the epoch. `len` does not count the additions, since accelerate rounds it up itself.

    Parameters
    ----------
    batch_sampler : EpochBatchSampler, or BatchSampler around an EpochSampler
        In the global order.
    processes : int
        Batches in a round.
    """

    def __init__(self, batch_sampler: Any, processes: int) -> None:
        super().__init__(batch_sampler)
        self.processes = processes

    def __iter__(self) -> Iterator[list[int]]:
        # Everything that depends on the epoch is read now, not at the first `next`.
        size = self.batch_size
        if size is None:
            own = self.batch_sampler
            whole = len(own)  # the global order: one rank
            front = own.batches(own.epoch, 0, min(whole, self.processes))
            return self._with_batches(iter(own), front)
        sampler = self.sampler
        draws = sampler.consumed_after(2**62, 1)
        padding = sampler.indices(sampler.epoch, 0, min(draws, size * self.processes)).tolist()
        return self._with_draws(iter(self.batch_sampler), size, itertools.cycle(padding))

    def _with_draws(
        self, batches: Iterator[list[int]], size: int, padding: Iterator[int]
    ) -> Iterator[list[int]]:
        count = 0
        for count, batch in enumerate(batches, 1):  # noqa: B007  # counted to the end
            short = size - len(batch)
            yield [*batch, *itertools.islice(padding, short)] if short else batch
        for _ in range(-count % self.processes):
            yield list(itertools.islice(padding, size))

    def _with_batches(
        self, batches: Iterator[list[int]], front: list[list[int]]
    ) -> Iterator[list[int]]:
        count = 0
        for count, batch in enumerate(batches, 1):  # noqa: B007
            yield batch
        yield from itertools.islice(itertools.cycle(front), -count % self.processes)


def complete_rounds(loader: Any) -> None:  # a prepared loader
    """Complete the last round of a pass over our sampler from the front of the epoch."""
    shard, chain = _shard(loader), find_chain(loader)
    if shard is None or chain is None or isinstance(shard.batch_sampler, Around):
        return
    if chain.processes > 1 and chain.even and not chain.drop_last:
        shard.batch_sampler = FullRounds(shard.batch_sampler, 1 if chain.split else chain.processes)


def _is_foreign(batch_sampler: object) -> bool:
    """Return whether a batch sampler is neither ours nor torch's, whose sizes are known."""
    known = isinstance(batch_sampler, EpochBatchSampler | Around)
    return not known and type(batch_sampler) is not BatchSampler


def _shard(loader: Any) -> Any:  # accelerate's BatchSamplerShard, or None
    """Return accelerate's wrapper that sends batches to processes, if the loader has one."""
    for node in (getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)):
        if isinstance(node, _data_loader.BatchSamplerShard):
            return node
    return None


def _check_own_rank(sampler: AnySampler, processes: int, index: int) -> None:
    if (sampler.num_replicas, sampler.rank) != (processes, index):
        raise ValueError(
            f"num_replicas and rank must be {processes} and {index} for a TensorLoader, which "
            f"accelerate does not shard, got {sampler.num_replicas} and {sampler.rank}"
        )


def _check_rank(sampler: AnySampler, processes: int, index: int) -> None:
    if (sampler.num_replicas, sampler.rank) != (processes, index):
        raise ValueError(
            f"num_replicas and rank must be 1 and 0, or {processes} and {index} as accelerate has "
            f"them, got {sampler.num_replicas} and {sampler.rank}"
        )
