"""One leg of the contract matrix under Lightning."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from ..integrations import LightningSamplerCallback
from ._every_sampler import EPOCHS
from ._matrix_leg import Trip


class Module(LightningModule):
    """A module with one parameter."""

    def __init__(self, trip: Trip) -> None:
        super().__init__()
        self.trip = trip
        self.scale = torch.nn.Parameter(torch.ones(()))

    def train_dataloader(self) -> Any:  # torch's
        """Return a loader with the sampler."""
        return self.trip.loader()

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        """Train on a batch."""
        return self.scale * self.trip.train(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return plain SGD."""
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Stop(Callback):
    """Write a checkpoint where the first leg stops, and stop."""

    def __init__(self, trip: Trip) -> None:
        self.trip = trip
        self.number = 0

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Record the epoch's order."""
        self.number = 0
        self.trip.begin()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Stop in the middle of an epoch."""
        self.number += 1
        self._save(trainer, self.number)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Stop at the end of an epoch."""
        self._save(trainer, None)

    def _save(self, trainer: Trainer, number: int | None) -> None:
        if self.trip.stops(number) and not trainer.should_stop:
            trainer.save_checkpoint(self.trip.folder / "last.ckpt")
            trainer.should_stop = True


def fit(trip: Trip) -> None:
    """Run a leg."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            accelerator="cpu",
            devices=trip.world,
            strategy="ddp" if trip.world > 1 else "auto",
            use_distributed_sampler=False,
            max_epochs=EPOCHS,
            callbacks=[LightningSamplerCallback(trip.sampler), Stop(trip)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        path = trip.folder / "last.ckpt" if trip.leg == "second" else None
        trainer.fit(Module(trip), ckpt_path=path)
