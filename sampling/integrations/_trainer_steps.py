"""Hugging Face Trainer: number of steps of each epoch, and position of a resumed run."""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from .. import _optional
from ._accelerate_chain import AnySampler, Chain
from ._trainer_callback import SamplerTrainerCallback, num_steps

if TYPE_CHECKING:
    from transformers import Trainer as _Base
else:
    _Base = object

_utils: Any = _optional.require("transformers.trainer_utils", "hf", "sampling.integrations")


class TrainerSteps(_Base):
    """Part of `SamplerTrainerMixin` that counts steps, positions the sampler and saves it."""

    train_sampler: AnySampler
    _bridge: SamplerTrainerCallback
    _step_batches: list[Any]  # of the current optimizer step
    _step_counts: "torch.Tensor | None"  # samples and labels in them, over all processes
    _reduced: int
    _refuse_own: Callable[[], None]
    _rng_folder: str | None = None  # whose random state to load once the loader has begun
    _schedule_base = 0  # the schedule's step at the beginning of the epoch

    def set_initial_training_values(self, args: Any, dataloader: Any) -> tuple[Any, ...]:  # noqa: ANN401
        """Return the values that the Trainer plans with, from the lengths of all epochs.

        Parameters
        ----------
        args : transformers.TrainingArguments
            Arguments of the run.
        dataloader : torch.utils.data.DataLoader
            The training loader.

        Returns
        -------
        tuple
            As returned by the Trainer.
        """
        self._refuse_own()  # methods may have been set on the object since it was made
        self._bridge._begin(dataloader)
        values = list(super().set_initial_training_values(args, dataloader))
        if args.max_steps > 0:
            values[0] = self._epochs_for(args.max_steps)
        else:
            epochs = math.ceil(args.num_train_epochs)
            values[3] = self.train_sampler.expected_samples(epochs)
            values[6] = self._steps_from(0)
        return tuple(values)

    def _steps_in(self, epoch: int) -> int:
        """Return the steps of an epoch, estimated if it is not planned yet."""
        return num_steps(self._chain.expected(epoch), self.args.gradient_accumulation_steps)

    def _steps_from(self, epoch: int) -> int:
        """Return the steps from the beginning of an epoch to the end of the run."""
        run = float(self.args.num_train_epochs)
        last = math.ceil(run) - 1
        total = sum(self._steps_in(each) for each in range(epoch, last))
        return total + (math.ceil((run - last) * self._steps_in(last)) if epoch <= last else 0)

    def _epochs_for(self, max_steps: int) -> int:
        """Return the number of epochs that give at least this many steps."""
        if not self._chain.planned_ahead:
            return sys.maxsize  # as the Trainer does without a length
        epochs = steps = 0
        while steps < max_steps:
            epochs, steps = epochs + 1, steps + self._steps_in(epochs)
        return epochs

    @property
    def _chain(self) -> Chain:
        if self._bridge._chain is None:
            raise RuntimeError("the training loader is not known before train()")
        return self._bridge._chain

    def _init_training_state(
        self,
        max_steps: int,
        num_update_steps_per_epoch: int,
        num_train_epochs: int,
        resume_from_checkpoint: str | None,
        trial: Any,  # noqa: ANN401
    ) -> tuple[int, int]:
        epoch, skipped = super()._init_training_state(
            max_steps, num_update_steps_per_epoch, num_train_epochs, resume_from_checkpoint, trial
        )
        self._rng_folder = None
        if resume_from_checkpoint is None or self.state.global_step == 0:
            return epoch, skipped
        accumulate = self.args.gradient_accumulation_steps
        epoch = self._bridge._restore(
            Path(resume_from_checkpoint), self.state.global_step, accumulate
        )
        chain = self._chain
        if 0 < chain.remaining < chain.batches(self.train_sampler.epoch):
            self._rng_folder = resume_from_checkpoint
        return epoch, 0  # the sampler is already at its position: the Trainer skips nothing

    def _run_epoch(self, **arguments: Any) -> None:  # noqa: ANN401
        left, accumulate = self._bridge._left, self.args.gradient_accumulation_steps
        steps, whole = num_steps(left, accumulate), num_steps(self._bridge._whole, accumulate)
        arguments["steps_in_epoch"] = left
        arguments["num_update_steps_per_epoch"] = steps
        self._check_equal(left)
        epoch = self.train_sampler.epoch
        if self.args.max_steps <= 0:
            ahead = self._steps_from(epoch) - (whole - steps)
            self.state.max_steps = self.state.global_step + ahead
            if ahead <= 0:  # resumed at the end of a run that ends within an epoch
                self.control.should_training_stop = True
                return
        self._schedule_base = getattr(self.lr_scheduler, "last_epoch", 0) - (whole - steps)
        super()._run_epoch(**arguments)

    def _check_equal(self, batches: int) -> None:
        """Refuse an epoch in which some process would wait for others that have finished."""
        if self.accelerator.num_processes == 1:
            return
        own = torch.tensor([batches], device=self.args.device)
        counts = self.accelerator.gather(own).tolist()
        if min(counts) != max(counts):
            raise ValueError(
                "every process must have the same number of batches, got "
                f"{min(counts)} to {max(counts)} in epoch {self.train_sampler.epoch}: make the "
                "sampler with pad=True or drop_last=True"
            )

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:  # noqa: ANN401
        """Return the schedule; if the number of steps is an estimate, it follows epochs instead.

        Parameters
        ----------
        num_training_steps : int
            Number of steps that the schedule is made for.
        optimizer : torch.optim.Optimizer, optional
            As for the Trainer.

        Returns
        -------
        torch.optim.lr_scheduler.LRScheduler
        """
        given = self.lr_scheduler
        scheduler = super().create_scheduler(num_training_steps, optimizer)
        estimated = not self._chain.planned_ahead and self.args.max_steps <= 0
        if given is None and estimated and isinstance(scheduler, LambdaLR):
            scheduler.lr_lambdas = [
                self._on_epochs(each, num_training_steps) for each in scheduler.lr_lambdas
            ]
        return scheduler

    def _on_epochs(self, factor: Callable[..., float], planned: int) -> Callable[[int], float]:
        """Return a schedule that reaches step `planned` of another at the end of the run."""

        def stretched(step: int) -> float:
            whole = num_steps(self._bridge._whole, self.args.gradient_accumulation_steps)
            epochs = self.train_sampler.epoch + (step - self._schedule_base) / whole
            return factor(planned * min(1.0, epochs / self.args.num_train_epochs))

        return stretched  # a function: the scheduler's state excludes it

    def _save_rng_state(self, output_dir: str) -> None:
        # Called on every process, and before the file that makes the folder a checkpoint.
        super()._save_rng_state(output_dir)
        self._bridge._save(Path(output_dir), self.state.global_step)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:  # noqa: ANN401
        super()._save_checkpoint(model, trial)
        if self.args.save_only_model:  # no random state was saved
            step = self.state.global_step
            name = f"{_utils.PREFIX_CHECKPOINT_DIR}-{step}"
            self._bridge._save(Path(self._get_output_dir(trial=trial), name), step)

    def get_batch_samples(self, *args: Any) -> tuple[list[Any], Any]:  # noqa: ANN401
        """Return the batches of the next optimizer step, and the number of their items.

        Parameters
        ----------
        *args
            As for the Trainer.

        Returns
        -------
        list, tensor or None
        """
        batches, items = super().get_batch_samples(*args)
        self._step_batches, self._step_counts, self._reduced = batches, None, 0
        if self._rng_folder is not None:  # creating the loader's iterator used the generator
            self._load_rng_state(self._rng_folder)
            self._rng_folder = None
        return batches, items
