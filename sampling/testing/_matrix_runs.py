"""The same run in each framework: uninterrupted, stopped at some point, and resumed from there."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeAlias

from torch.utils.data import default_collate

from .._optional import require
from ..loading import TensorLoader
from ..samplers import EpochBatchSampler, load_state, save_state
from ..samplers.core import Indexed
from ._every_sampler import BATCH, EPOCHS, ROWS
from ._matrix_leg import STOP_EPOCH, Rows, Trip


def plain(trip: Trip) -> None:
    """Train with a custom loop and torch's `DataLoader`."""
    _loop(trip, trip.loader())


def whole(trip: Trip) -> None:
    """Train with a `DataLoader` that fetches whole batches, with `batch_size=None`."""
    trip.whole = True
    plain(trip)


def in_memory(trip: Trip) -> None:
    """Train with a custom loop and our `TensorLoader`, whose sampler knows its own position."""
    _loop(trip, TensorLoader(trip.batch_sampler(), None, ROWS, ROWS), counted=False)


def _loop(trip: Trip, loader: Any, *, counted: bool = True) -> None:
    """Run a leg; `counted` if the position is counted, and not asked for."""
    if trip.leg == "second":
        load_state(trip.sampler, trip.file)
    for epoch in range(trip.sampler.epoch, EPOCHS):
        trip.sampler.set_epoch(epoch)
        trip.begin()
        for number, (indices, _) in enumerate(loader, 1):
            trip.train(indices)
            if trip.stops(number):
                consumed = trip.consumed(number, 1) if counted else None
                return save_state(trip.sampler, trip.file, consumed)
        if trip.stops():
            return save_state(trip.sampler, trip.file, trip.consumed(None, 1) if counted else None)
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


def _save_both(trip: Trip, loader: Any, number: int | None) -> None:
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
    from ._matrix_lightning import fit

    fit(trip)


def trainer(trip: Trip) -> None:
    """Train with the `Trainer` of transformers and our mixin."""
    from ._matrix_trainer import train

    train(trip)


Run: TypeAlias = Callable[[Trip], None]
EXTRAS = {  # loader -> required framework, extra that installs it
    "StatefulDataLoader": ("torchdata", "stateful"),
    "torchdata.nodes": ("torchdata", "stateful"),
    "Lightning": ("lightning", "lightning"),
    "accelerate": ("accelerate", "hf"),
    "HF Trainer": ("transformers", "hf"),
}
WITHOUT_WORKERS = {"TensorLoader"}
LOADERS: dict[str, tuple[Run, bool]] = {  # name -> run, and whether the framework shards batches
    "DataLoader": (plain, False),
    "whole batches": (whole, False),
    "TensorLoader": (in_memory, False),
    "StatefulDataLoader": (stateful, False),
    "torchdata.nodes": (nodes, False),
    "Lightning": (lightning, False),
    "accelerate": (accelerated, True),
    "HF Trainer": (trainer, True),
}
