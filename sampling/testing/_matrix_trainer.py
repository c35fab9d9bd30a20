"""One leg of the contract matrix under the Hugging Face Trainer."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import transformers

from ..integrations import SamplerTrainerMixin
from ._every_sampler import BATCH, EPOCHS
from ._matrix_leg import Rows, Trip


class Mappings(Rows):
    """The same samples as mappings, which the Trainer requires."""

    def __getitem__(self, index: int) -> Any:
        return {"x": float(index)}


class Number(torch.nn.Module):
    """A model with one parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return an output from which a loss can be computed."""
        return {"logits": self.scale * x}


class Stop(transformers.TrainerCallback):
    """Request a checkpoint where the first leg stops, and stop."""

    def __init__(self, trip: Trip) -> None:
        self.trip = trip
        self.number = 0

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Record the epoch's order."""
        self.number = 0
        self.trip.begin()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop in the middle of an epoch."""
        self.number += 1
        self._save(control, self.number)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop at the end of an epoch."""
        self._save(control, None)

    def _save(self, control: Any, number: int | None) -> None:
        if self.trip.stops(number):
            control.should_save = control.should_training_stop = True


class TripTrainer(SamplerTrainerMixin, transformers.Trainer):
    """Trainer that records its batches, and uses the losses of the trip."""

    trip: Trip

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """Record a batch and train on it."""
        indices = inputs[self.index_key]
        self.trip.dealt.append((self.trip.sampler.epoch, indices.tolist()))
        return super().training_step(model, inputs, num_items_in_batch)

    def per_sample_loss(self, model: Any, inputs: Any, outputs: Any) -> torch.Tensor:
        """Return the same losses as under the other frameworks."""
        values = 1.0 + torch.sin(inputs["x"] * 7.0 + self.trip.sampler.epoch)
        losses: torch.Tensor = values + 0.0 * outputs["logits"]
        return losses


def train(trip: Trip) -> None:
    """Run a leg."""
    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = transformers.TrainingArguments(
            output_dir=str(trip.folder / "trainer"),
            per_device_train_batch_size=BATCH,
            num_train_epochs=EPOCHS,
            save_strategy="no",
            use_cpu=True,
            dataloader_num_workers=trip.num_workers,
            dataloader_multiprocessing_context="fork" if trip.num_workers else None,
            report_to=[],
            disable_tqdm=True,
            logging_strategy="no",
        )
        trainer = TripTrainer(
            model=Number(),
            args=settings,
            train_dataset=Mappings(),
            train_sampler=trip.sampler,
            callbacks=[Stop(trip)],
        )
        trainer.trip = trip
        trainer.remove_callback(transformers.PrinterCallback)
        found = sorted((trip.folder / "trainer").glob("checkpoint-*"))
        last = str(found[-1]) if trip.leg == "second" else None
        trainer.train(resume_from_checkpoint=last)
