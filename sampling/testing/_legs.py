"""The same run in each framework: uninterrupted, stopped at some point, and resumed from there."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from .. import Indexed
from .._optional import require
from ..samplers import EpochBatchSampler, load_state, save_state
from ._ours import BATCH, EPOCHS, SIZE, AnySampler

Leg = Literal["whole", "first", "second"]
STOP_EPOCH, STOP_BATCH = 1, 2
WHERE = ("epoch end", "mid-epoch", "last batch")


@dataclass
class Trip:
    """One leg of a run, and the batches of one rank in it.

    Attributes
    ----------
    sampler : EpochSampler or EpochBatchSampler
        The sampler of the run.
    num_workers : int
        Worker processes of the loader.
    where : str
        Where the first leg stops: "epoch end" (after the loop), "mid-epoch", or "last batch" (in
        the loop, after the epoch's last batch).
    leg : {"whole", "first", "second"}
        The uninterrupted run, or its part before or after the stop.
    folder : pathlib.Path
        Where the first leg writes what the second needs.
    world : int
        Number of processes that train together.
    kept : dict
        Other values that the first leg passes to the second.
    dealt : list of (epoch, indices)
        The batches of this rank.
    orders : dict of int to list of int
        The global order of each epoch.
    """

    sampler: AnySampler
    num_workers: int
    where: str
    leg: Leg
    folder: Path
    world: int
    kept: dict[str, Any]
    dealt: list[tuple[int, list[int]]] = field(default_factory=list)
    orders: dict[int, list[int]] = field(default_factory=dict)

    def loader(self, kind: type[Any] = DataLoader) -> Any:  # noqa: ANN401
        """Return a loader with the sampler."""
        options: dict[str, Any] = {"num_workers": self.num_workers}
        if self.num_workers:
            options["multiprocessing_context"] = "fork"
        if isinstance(self.sampler, EpochBatchSampler):
            return kind(Indexed(Rows()), batch_sampler=self.sampler, **options)
        return kind(Indexed(Rows()), batch_size=BATCH, sampler=self.sampler, **options)

    def train(self, indices: torch.Tensor) -> torch.Tensor:
        """Record a batch, and return the loss for `backward`."""
        epoch = self.sampler.epoch
        self.dealt.append((epoch, indices.tolist()))
        losses = (1.0 + torch.sin(indices * 7.0 + epoch)).float()
        loss: torch.Tensor = self.sampler.reduce(losses.requires_grad_(), indices)
        return loss

    def begin(self) -> None:
        """Record the order of an epoch that begins."""
        self.orders[self.sampler.epoch] = self.sampler.indices(self.sampler.epoch).tolist()

    def stops(self, number: int | None = None) -> bool:
        """Return whether the first leg stops after a batch of this epoch, or (None) at its end."""
        if self.leg != "first" or self.sampler.epoch != STOP_EPOCH:
            return False
        places = {"epoch end": None, "mid-epoch": STOP_BATCH, "last batch": self.batches}
        return number == places[self.where]

    @property
    def batches(self) -> int:
        """Number of batches that a process trains on in the epoch."""
        sampler = self.sampler
        batches = (
            len(sampler) if isinstance(sampler, EpochBatchSampler) else -(-len(sampler) // BATCH)
        )
        return batches if sampler.num_replicas > 1 else -(-batches // self.world)

    def consumed(self, number: int | None, ranks: int) -> int:
        """Return the draws consumed after this many batches on each of `ranks` ranks."""
        if number is None or self.where == "last batch":
            return len(self.orders[self.sampler.epoch])
        if isinstance(self.sampler, EpochBatchSampler):
            return self.sampler.consumed_after(number * ranks)
        return self.sampler.consumed_after(number, BATCH * ranks)

    @property
    def file(self) -> Path:
        """File in which the first leg saves the sampler's state."""
        return self.folder / "sampler.safetensors"


class Rows(Dataset[int]):
    """Dataset whose samples are their own indices."""

    def __len__(self) -> int:
        return SIZE

    def __getitem__(self, index: int) -> int:
        return index


def plain(trip: Trip) -> None:
    """Train with a custom loop and torch's `DataLoader`."""
    loader = trip.loader()
    if trip.leg == "second":
        load_state(trip.sampler, trip.file)
    for epoch in range(trip.sampler.epoch, EPOCHS):
        trip.sampler.set_epoch(epoch)
        trip.begin()
        for number, (indices, _) in enumerate(loader, 1):
            trip.train(indices)
            if trip.stops(number):
                return save_state(trip.sampler, trip.file, trip.consumed(number, 1))
        if trip.stops():
            return save_state(trip.sampler, trip.file, trip.consumed(None, 1))
    return None


def stateful(trip: Trip) -> None:
    """Train with a custom loop and torchdata's `StatefulDataLoader`."""
    module = require("torchdata.stateful_dataloader", "stateful", "StatefulDataLoader")
    loader = trip.loader(module.StatefulDataLoader)
    dynamic, epoch = trip.sampler.dynamic, 0
    if trip.leg == "second":
        epoch = STOP_EPOCH + (trip.where == "epoch end")  # otherwise the loop has yet to end
        if dynamic:
            load_state(trip.sampler, trip.file)
        loader.load_state_dict(trip.kept["loader"])
    while epoch < EPOCHS:
        resumed = trip.leg == "second" and not trip.dealt
        if not resumed or dynamic:  # the state of a static sampler includes the epoch
            trip.sampler.set_epoch(epoch)
        if not resumed:
            trip.begin()
        for number, (indices, _) in enumerate(loader, 1):
            trip.train(indices)
            if trip.stops(number):
                return _save_both(trip, loader, number)
        if trip.stops():
            return _save_both(trip, loader, None)
        epoch += 1
    return None


def _save_both(trip: Trip, loader: Any, number: int | None) -> None:  # noqa: ANN401
    trip.kept["loader"] = deepcopy(loader.state_dict())
    save_state(trip.sampler, trip.file, trip.consumed(number, 1))


def nodes(trip: Trip) -> None:
    """Train with a custom loop and `torchdata.nodes`: one thread for each worker."""
    module = require("torchdata.nodes", "stateful", "torchdata.nodes")
    dataset = Indexed(Rows())
    node = module.SamplerWrapper(trip.sampler)
    if not isinstance(trip.sampler, EpochBatchSampler):
        node = module.Batcher(node, BATCH, drop_last=False)
    node = module.ParallelMapper(
        node,
        lambda batch: default_collate([dataset[index] for index in batch]),
        num_workers=trip.num_workers,
        method="thread",
    )
    loader = module.Loader(node)
    if trip.leg == "second":
        if trip.sampler.dynamic:
            load_state(trip.sampler, trip.file)
        loader.load_state_dict(trip.kept["loader"])
    epoch = -1
    while epoch < EPOCHS - 1:
        batches = iter(loader)  # which sets the epoch: after the end of one, the next
        epoch = trip.sampler.epoch
        if trip.leg != "second" or trip.dealt:
            trip.begin()
        for number, (indices, _) in enumerate(batches, 1):
            trip.train(indices)
            if trip.stops(number):
                return _save_both(trip, loader, number)
        if trip.stops():
            return _save_both(trip, loader, None)
    return None


def accelerated(trip: Trip) -> None:
    """Train under accelerate, which shards the global order over the ranks."""
    from ..integrations import prepare_loader

    accelerator = require("accelerate", "hf", "accelerate").Accelerator(cpu=True)
    loader = prepare_loader(accelerator, trip.loader())
    if trip.leg == "second":
        load_state(trip.sampler, trip.file)
    for epoch in range(trip.sampler.epoch, EPOCHS):
        loader.set_epoch(epoch)
        trip.sampler.set_epoch(epoch)  # a second call has no effect
        trip.begin()
        for number, (indices, _) in enumerate(loader, 1):
            trip.train(indices)
            if trip.stops(number):
                return save_state(trip.sampler, trip.file, trip.consumed(number, trip.world))
        if trip.stops():
            return save_state(trip.sampler, trip.file, trip.consumed(None, trip.world))
    return None


def lightning(trip: Trip) -> None:
    """Train with Lightning's `Trainer` and our callback."""
    from ._legs_lightning import fit

    fit(trip)


def trainer(trip: Trip) -> None:
    """Train with the `Trainer` of transformers and our mixin."""
    from ._legs_trainer import train

    train(trip)


Run: TypeAlias = Callable[[Trip], None]
EXTRAS = {  # loader -> required framework, extra that installs it
    "StatefulDataLoader": ("torchdata", "stateful"),
    "torchdata.nodes": ("torchdata", "stateful"),
    "Lightning": ("lightning", "lightning"),
    "accelerate": ("accelerate", "hf"),
    "HF Trainer": ("transformers", "hf"),
}
LOADERS: dict[str, tuple[Run, bool]] = {  # name -> run, and whether the framework shards batches
    "DataLoader": (plain, False),
    "StatefulDataLoader": (stateful, False),
    "torchdata.nodes": (nodes, False),
    "Lightning": (lightning, False),
    "accelerate": (accelerated, True),
    "HF Trainer": (trainer, True),
}
