"""One leg of a run in the contract matrix: its loader, its batches, and where it stops."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader, Dataset

from ..samplers import EpochBatchSampler
from ..samplers.core import Indexed
from ._every_sampler import BATCH, SIZE, AnySampler

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
    whole : bool
        Whether the loader fetches whole batches, with batch_size=None.
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
    whole: bool = False
    dealt: list[tuple[int, list[int]]] = field(default_factory=list)
    orders: dict[int, list[int]] = field(default_factory=dict)

    def loader(self, kind: type[Any] = DataLoader) -> Any:
        """Return a loader with the sampler."""
        options: dict[str, Any] = {"num_workers": self.num_workers}
        if self.num_workers:
            options["multiprocessing_context"] = "fork"
        if self.whole:
            sampler = self.batch_sampler()
            return kind(Indexed(Rows()), sampler=sampler, batch_size=None, **options)
        if isinstance(self.sampler, EpochBatchSampler):
            return kind(Indexed(Rows()), batch_sampler=self.sampler, **options)
        return kind(Indexed(Rows()), batch_size=BATCH, sampler=self.sampler, **options)

    def batch_sampler(self) -> EpochBatchSampler:
        """Return a batch sampler with the draws of the sampler."""
        own = self.sampler
        return own if isinstance(own, EpochBatchSampler) else EpochBatchSampler(own, BATCH)

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
