"""Hugging Face Trainer: our sampler with its losses, epoch lengths and position on resume.

The Trainer reads the length of an epoch once, resumes by replaying batches, does not save the state
of the sampler, and computes a loss for the batch. The mixin provides the length of each epoch, sets
the sampler's position, saves its state, and passes a loss for each sample through `reduce`.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Mapping, Sized
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import ArrayLike
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from .. import _check, _optional
from ..samplers import EpochBatchSampler, EpochSampler
from ..samplers.core import Indexed, refuse_size
from ._accelerate import prepare_loader
from ._loader_chain import AnySampler, core_of
from ._trainer_callback import SamplerTrainerCallback, num_steps, refuse_strategy
from ._trainer_loss import (
    IndexCollator,
    answers_of,
    count_step,
    label_losses,
    logits_of,
    mean_loss,
    problem_of,
    reduce_items,
)

if TYPE_CHECKING:
    from transformers import Trainer as _Base
else:
    _Base = object

_utils: Any = _optional.require("transformers.trainer_utils", "hf", "sampling.integrations")

_LOADER_OPTIONS = (
    "num_workers",
    "pin_memory",
    "persistent_workers",
    "multiprocessing_context",
    "prefetch_factor",
    "in_order",
)
_LIBRARY = "transformers"  # whose own classes are what the mixin is made for

_LOSS = (
    "return one loss for each sample from per_sample_loss(self, model, inputs, outputs), such as "
    "cross_entropy(..., reduction='none'), instead"
)
_ANYWHERE = {  # method -> remedy, for methods that the mixin never calls, or that never call it
    "compute_loss": _LOSS,
    "_get_train_sampler": "pass the sampler as train_sampler instead",
}
_BEHIND = {  # the same, for classes that come after the mixin
    "per_sample_loss": "name the class before SamplerTrainerMixin",
    "get_train_dataloader": (
        "override it in a class before SamplerTrainerMixin, from super().get_train_dataloader()"
    ),
}


class _MixinCallback(SamplerTrainerCallback):
    """Callback that the mixin adds; the mixin itself begins, restores and saves.

    Parameters
    ----------
    sampler : EpochSampler or EpochBatchSampler
        As for `SamplerTrainerCallback`.
    before_step : callable
        Called before each optimizer step.
    begun : callable
        Called when an epoch was planned.
    """

    def __init__(
        self, sampler: AnySampler, before_step: Callable[[], None], begun: Callable[[], None]
    ) -> None:
        super().__init__(sampler)
        self._before_step, self._begun = before_step, begun

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Nothing: `SamplerTrainerMixin.set_initial_training_values` begins."""

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set the epoch of the sampler, and log its figures; called on every rank."""
        super().on_epoch_begin(args, state, control, **kwargs)
        self._begun()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Check that the batches of the step were passed through the sampler."""
        self._before_step()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Nothing: `SamplerTrainerMixin` saves before the file that completes a checkpoint."""


class SamplerTrainerMixin(_Base):
    """Mixin to train with a sampler of this package in a Hugging Face `Trainer`.

    Put it before the `Trainer`: `class MyTrainer(SamplerTrainerMixin, Trainer)`. The training
    dataset is wrapped so that each batch contains its indices; the model never sees the index, and
    no collator can drop it. The loss of each sample is passed through the sampler's `reduce`, which
    records and weights it. The state of the sampler is saved in each checkpoint.

    Parameters
    ----------
    *args
        Arguments of the `Trainer`.
    train_sampler : EpochSampler or EpochBatchSampler
        Made for `train_dataset`. Either in the global order (num_replicas=1; accelerate distributes
        its batches to the processes) or sharded over the ranks (num_replicas = the number of
        processes; accelerate's sharding is then disabled). A batch sampler replaces
        `per_device_train_batch_size` and `dataloader_drop_last`.
    index_key : str, default "sample_index"
        Key of the indices in a batch; must not be a key of the collated batch.
    log_sampler : bool, default True
        Whether to log the sampler's `metrics` when an epoch begins, as "sampler/kept" and so on,
        unless `logging_strategy` is "no".
    sampler_groups : array-like of shape (N,), optional
        Labels or domains of the samples, for "sampler/excluded/NAME" in the log.
    **kwargs
        Keyword arguments of the `Trainer`.

    Attributes
    ----------
    train_sampler : EpochSampler or EpochBatchSampler
        As given.
    index_key, log_sampler, sampler_groups
        As given.

    Raises
    ------
    TypeError
        If the sampler is not of this package, or the dataset is iterable-style.
    ValueError
        If `compute_loss_func` is given, or a class has its own `compute_loss` (override
        `per_sample_loss`), or another method that would be ignored, see Notes; if
        `train_sampling_strategy` is not "random"; if the sampler was made for another number of
        samples or of ranks; for `DataParallel` and model-parallel splits of a batch. From `train`:
        if accelerate would leave the ranks with unequal numbers of batches; if an
        `AdaptiveBatchSampler` changes its size within an epoch.
        From `train`, before the first step: if the batches of a step did not reach
        `compute_loss`, as when `training_step` or `get_train_dataloader` are overridden without
        calling those of `super()`.
    RuntimeError
        If transformers is older than 5.20, which does not report how a loss is scaled.
    StateError
        From `train`: if the checkpoint's sampler state is missing or of other data or arguments.

    Notes
    -----
    Order
        A resumed run yields exactly the batches that the uninterrupted run would have yielded,
        replays nothing, and ignores `ignore_data_skip`. The number of processes and the batch size
        may have changed; with as many samples per step as before the schedule continues unchanged.
        `max_steps` and the schedule follow the lengths of all epochs. If these depend on losses,
        the number of steps is estimated, corrected when each epoch begins, and the schedule follows
        completed epochs instead of steps: it ends with the last step of the last epoch, however
        many steps that took. A given `args.max_steps` is kept.
    Cost
        One all-reduce of two numbers per optimizer step on several processes, if the Trainer does
        not count the items by itself. If the model is given labels, its own loss is computed and
        not used.
    Gradients
        Those of the weighted sum of losses over all samples of an optimizer step, on all processes,
        divided by the number of samples; if labels are tokens, by the number of label tokens
        (`num_items_in_batch`). With weights of 1 this is what the Trainer does for models that take
        `num_items_in_batch`. For others it averages the means of micro-batches, which differs if
        these are not equally large. With `average_tokens_across_devices=False` it is the mean of
        the processes' means.
    Own classes
        `compute_loss` and `_get_train_sampler` of any class but the Trainer's own, and
        `per_sample_loss` and `get_train_dataloader` of classes after the mixin in the order of
        bases, are refused: they would not be called. To accept that explicitly, write
        `compute_loss = SamplerTrainerMixin.compute_loss` in the class itself. Once per run, a
        warning is raised if the model returns a loss other than the default one of
        `per_sample_loss`. An overridden `per_sample_loss` is the loss of evaluation too.

    Examples
    --------
    >>> import tempfile, torch
    >>> from transformers import Trainer, TrainingArguments
    >>> from sampling.samplers import InfoBatchSampler
    >>> class PrunedTrainer(SamplerTrainerMixin, Trainer):
    ...     pass
    >>> class Net(torch.nn.Linear):
    ...     def forward(self, x, labels):
    ...         return {"logits": super().forward(x)}
    >>> samples = [{"x": torch.ones(2) * i, "labels": i % 2} for i in range(20)]
    >>> trainer = PrunedTrainer(
    ...     Net(2, 2),
    ...     TrainingArguments(tempfile.mkdtemp(), num_train_epochs=4, use_cpu=True, report_to=[]),
    ...     train_dataset=samples,
    ...     train_sampler=InfoBatchSampler(samples, num_epochs=4),
    ... )
    >>> trainer.train_sampler.expected_samples()
    66
    """

    loss_is_scaled_for_ga = True  # by the count of the whole optimizer step

    def __init__(
        self,
        *args: Any,  # the Trainer's
        train_sampler: AnySampler,
        index_key: str = "sample_index",
        log_sampler: bool = True,
        sampler_groups: ArrayLike | None = None,
        **kwargs: Any,
    ) -> None:
        self.train_sampler = train_sampler
        self.index_key = index_key
        self.log_sampler = _check.flag("log_sampler", log_sampler)
        self.sampler_groups = sampler_groups
        self._callback = _MixinCallback(train_sampler, self._refuse_unreduced, self._log_metrics)
        self._position = self._callback._position
        self._step_batches: list[Any] = []  # of the current optimizer step
        self._step_counts: torch.Tensor | None = None  # of samples and labels in them
        self._reduced = 0  # batches of the current step that were passed to `reduce`
        self._compared = False  # whether the default loss was compared with the model's own
        self._rng_folder: str | None = None  # whose random state to load once the loader has begun
        self._schedule_base = 0  # the schedule's step at the beginning of the epoch
        super().__init__(*args, **kwargs)
        self._refuse()
        # First, so that the others find the epoch planned and counted.
        self.callback_handler.callbacks.insert(0, self._callback)

    def _refuse(self) -> None:
        """Raise before training for settings that cannot work."""
        if not hasattr(super(), "loss_is_scaled_for_ga"):
            raise RuntimeError("SamplerTrainerMixin needs transformers 5.20 or newer")
        if self.compute_loss_func is not None:
            raise ValueError(
                "compute_loss_func must not be given, as it returns the loss of a batch: override "
                "per_sample_loss"
            )
        _refuse_overrides(self)
        if self.loss_is_scaled_for_ga is not True:
            raise ValueError(
                f"loss_is_scaled_for_ga must be True, got {self.loss_is_scaled_for_ga!r}: "
                "SamplerTrainerMixin divides the loss by the count of the whole step"
            )
        refuse_strategy(self.args, self.train_sampler)
        data = self.train_dataset
        if data is not None and not isinstance(data, Sized):
            raise TypeError(
                f"train_dataset must be map-style, with a length, got {type(data).__name__}"
            )
        own = core_of(self.train_sampler)
        if isinstance(own, EpochSampler):
            refuse_size(own, data, "train_sampler", "train_dataset")
        if self.accelerator.dispatch_batches:
            raise ValueError(
                "dispatch_batches must be False, got True: the other processes would not know "
                "where a resumed run stands"
            )
        sizes = {f"{name}_size": getattr(self, f"get_{name}_size")() for name in ("tp", "cp", "sp")}
        for name, size in {"n_gpu": self.args.n_gpu, **sizes}.items():
            if size > 1:
                raise ValueError(
                    f"{name} must be 1, one process for each part of a batch, got {size}: launch "
                    "with torchrun or accelerate, one process per device"
                )

    def _log_metrics(self) -> None:
        """Log the figures of the epoch that begins."""
        if self.log_sampler and self.args.logging_strategy != "no":
            found = self.train_sampler.metrics(self.sampler_groups)
            self.log({f"sampler/{name}": each for name, each in found.items()})

    # ------------------------------------------------------------------ the loader

    def _get_train_sampler(self, train_dataset: Any = None) -> AnySampler:
        return self.train_sampler

    def get_train_dataloader(self) -> Any:  # accelerate's loader
        """Return the training loader; its batches contain their indices under `index_key`.

        Returns
        -------
        torch.utils.data.DataLoader
        """
        if self.train_dataset is None:
            return super().get_train_dataloader()  # which raises
        marked = self.train_dataset
        marked = marked if isinstance(marked, Indexed) else Indexed(marked)
        data = marked.dataset
        if hasattr(data, "remove_columns"):  # of the datasets library
            data = self._remove_unused_columns(data, description="Training")
        data, sampler = Indexed(data), self.train_sampler
        if isinstance(sampler, EpochSampler) and sampler.num_replicas == 1:
            return self._get_dataloader(
                dataset=data,
                description="Training",
                batch_size=self._train_batch_size,
                sampler_fn=self._get_train_sampler,
                is_training=True,
            )
        return self._own_dataloader(data)

    def _own_dataloader(self, data: Indexed) -> Any:
        """Return the loader of a sampler that the Trainer would wrap or shard again."""
        args = self.args
        options: dict[str, Any] = {
            name: getattr(args, f"dataloader_{name}")
            for name in _LOADER_OPTIONS
            if hasattr(args, f"dataloader_{name}")
        }
        if isinstance(self.train_sampler, EpochBatchSampler):
            options["batch_sampler"] = self.train_sampler
        else:
            options["sampler"] = self.train_sampler
            options["batch_size"] = self._train_batch_size
            options["drop_last"] = args.dataloader_drop_last
        seed_worker = partial(
            _utils.seed_worker, num_workers=args.dataloader_num_workers, rank=args.process_index
        )
        collate = self._get_collator_with_removed_columns(
            self.data_collator, description="Training"
        )
        loader = DataLoader(data, collate_fn=collate, worker_init_fn=seed_worker, **options)
        return prepare_loader(self.accelerator, loader)

    def _get_collator_with_removed_columns(
        self, data_collator: Callable[[list[Any]], Any], description: str | None = None
    ) -> Any:
        collate = super()._get_collator_with_removed_columns(data_collator, description)
        return IndexCollator(collate, self.index_key) if description == "Training" else collate

    # ------------------------------------------------------------------ the loss

    def per_sample_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        outputs: Any,  # the model's
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor | None]:
        """Return one loss for each sample of a batch; override it for other losses.

        By default the cross-entropy of `outputs["logits"]` and `inputs["labels"]`, with the
        Trainer's label smoothing. Labels of shape (B,) are classes of samples; for logits of one
        output, (B, 1), they are 0 or 1, ints or floats. If the `problem_type` of the model's
        config is "multi_label_classification", or float labels have the shape of the logits, it
        is the mean binary cross-entropy over the classes; if it is "regression", or the config
        has `num_labels` 1, which transformers reads as regression, the mean squared error. Labels
        of shape (B, T) are classes of tokens: the loss of a sample is the mean over its own tokens,
        and its weight in the batch is its number of tokens. Label -100 is ignored. For a causal
        language model, which predicts the next token, the labels are shifted.

        Parameters
        ----------
        model : torch.nn.Module
            The model in training, possibly wrapped.
        inputs : dict
            Inputs of the model, without the index.
        outputs : transformers.utils.ModelOutput, dict, tuple or tensor
            Outputs of the model.

        Returns
        -------
        tensor of shape (B,), or a pair of tensors of shape (B,)
            Losses, which are recorded as the samples' scores; and the number of label tokens that
            each is the mean of. Without the second, or if it is None, each sample counts once.
        """
        labels = inputs.get("labels")
        if labels is None:
            raise ValueError(
                "inputs must have labels, or per_sample_loss be overridden, got "
                f"{', '.join(inputs)}"
            )
        return label_losses(
            logits_of(outputs),
            labels,
            shift=self._shifts,
            smoothing=self.args.label_smoothing_factor,
            problem=problem_of(model),
        )

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the loss of a training batch through the sampler; of others, the Trainer's.

        Parameters
        ----------
        model : torch.nn.Module
            The model in training, possibly wrapped.
        inputs : dict
            A batch, with its indices under `index_key`.
        return_outputs : bool, default False
            Whether to return the outputs of the model too.
        num_items_in_batch : int or tensor, optional
            Number of items of the whole optimizer step.

        Returns
        -------
        tensor, or tensor and the model's outputs
        """
        return_outputs = _check.flag("return_outputs", return_outputs)
        if self.index_key not in inputs:
            if self._default_loss or model.training:
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            outputs = model(**inputs)
            loss = mean_loss(self.per_sample_loss(model, inputs, outputs))
            return (loss, outputs) if return_outputs else loss
        step = self._step_batches or [inputs]
        indices = inputs[self.index_key]
        inputs = {name: each for name, each in inputs.items() if name != self.index_key}
        outputs = model(**inputs)
        found = self.per_sample_loss(model, inputs, outputs)
        losses, items = found if isinstance(found, tuple) else (found, None)
        self._compare(found, outputs)
        self._reduced += 1
        labels = inputs.get("labels")
        alike = isinstance(labels, torch.Tensor) and labels.numel() == losses.numel()
        if num_items_in_batch is None or (items is None and not alike):
            denominator = self._count(step, 0 if items is None else 1)
        elif self.args.average_tokens_across_devices:
            denominator = num_items_in_batch
        else:  # this process's: the mean of the processes' means
            denominator = num_items_in_batch * self.accelerator.num_processes
        answers = answers_of(outputs, labels, losses.numel())
        loss = reduce_items(self.train_sampler, losses, indices, items, denominator, answers)
        return (loss, outputs) if return_outputs else loss

    @property
    def _default_loss(self) -> bool:
        return type(self).per_sample_loss is SamplerTrainerMixin.per_sample_loss

    def _compare(self, found: Any, outputs: Any) -> None:
        """Warn once if the model's own loss differs from the one it is trained with."""
        if self._compared:
            return
        self._compared = True
        own = outputs.get("loss") if isinstance(outputs, Mapping) else None
        if not self._default_loss or self.args.label_smoothing_factor or own is None:
            return
        theirs, ours = float(own.detach().mean()), float(mean_loss(found).detach())
        if abs(theirs - ours) > 0.02 * max(abs(theirs), abs(ours)):
            warnings.warn(
                f"the model returns a loss of {theirs:g} for the first batch, and the default "
                f"per_sample_loss has a mean of {ours:g}: the model is trained with the latter; "
                "override per_sample_loss to train with its own",
                UserWarning,
                stacklevel=2,
            )

    def _refuse_unreduced(self) -> None:
        """Refuse a step whose batches were not passed through the sampler, before it is made."""
        if self._reduced < len(self._step_batches):
            raise ValueError(
                f"every batch must reach SamplerTrainerMixin.compute_loss with {self.index_key!r} "
                f"in it, got {self._reduced} of {len(self._step_batches)} in this step: call "
                "self.compute_loss in an own training_step, and super().get_train_dataloader() in "
                "an own get_train_dataloader"
            )

    def get_batch_samples(self, *args: Any) -> tuple[list[Any], Any]:
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

    @property
    def _shifts(self) -> bool:
        return bool(getattr(self, "_loss_shifts_labels", False))

    def _count(self, batches: list[Any], which: int) -> torch.Tensor:
        """Return the samples (0) or labels (1) of the optimizer step, over all processes."""
        if self._step_counts is None:
            counts = count_step(
                batches, self.index_key, shift=self._shifts, device=self.args.device
            )
            if self.accelerator.num_processes > 1:
                counts = self.accelerator.gather(counts).view(-1, 2).sum(0)
            self._step_counts = counts
        return self._step_counts[which]

    # ------------------------------------------------------------------ the lengths of epochs

    def set_initial_training_values(self, args: Any, dataloader: Any) -> tuple[Any, ...]:
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
        _refuse_overrides(self)  # methods may be set on the object by now
        self._position.begin(
            dataloader,
            args.gradient_accumulation_steps,
            "train_sampler",
            "take it from super().get_train_dataloader() in an own get_train_dataloader",
        )
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
        return num_steps(
            self._position.chain.expected(epoch), self.args.gradient_accumulation_steps
        )

    def _steps_from(self, epoch: int) -> int:
        """Return the steps from the beginning of an epoch to the end of the run."""
        run = float(self.args.num_train_epochs)
        last = math.ceil(run) - 1
        total = sum(self._steps_in(each) for each in range(epoch, last))
        return total + (math.ceil((run - last) * self._steps_in(last)) if epoch <= last else 0)

    def _epochs_for(self, max_steps: int) -> int:
        """Return the number of epochs that give at least this many steps."""
        if not self._position.chain.planned_ahead:
            return sys.maxsize  # as the Trainer does without a length
        epochs = steps = 0
        while steps < max_steps:
            epochs, steps = epochs + 1, steps + self._steps_in(epochs)
        return epochs

    def _run_epoch(self, **arguments: Any) -> None:
        left, accumulate = self._position.left, self.args.gradient_accumulation_steps
        steps, whole = num_steps(left, accumulate), num_steps(self._position.whole, accumulate)
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

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
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
        estimated = not self._position.chain.planned_ahead and self.args.max_steps <= 0
        if given is None and estimated and isinstance(scheduler, LambdaLR):
            scheduler.lr_lambdas = [
                self._on_epochs(each, num_training_steps) for each in scheduler.lr_lambdas
            ]
        return scheduler

    def _on_epochs(self, factor: Callable[..., float], planned: int) -> Callable[[int], float]:
        """Return a schedule that reaches step `planned` of another at the end of the run."""

        def stretched(step: int) -> float:
            whole = num_steps(self._position.whole, self.args.gradient_accumulation_steps)
            epochs = self.train_sampler.epoch + (step - self._schedule_base) / whole
            return factor(planned * min(1.0, epochs / self.args.num_train_epochs))

        return stretched  # a function: the scheduler's state excludes it

    # ------------------------------------------------------------------ resuming and saving

    def _init_training_state(
        self,
        max_steps: int,
        num_update_steps_per_epoch: int,
        num_train_epochs: int,
        resume_from_checkpoint: str | None,
        trial: Any,
    ) -> tuple[int, int]:
        epoch, skipped = super()._init_training_state(
            max_steps, num_update_steps_per_epoch, num_train_epochs, resume_from_checkpoint, trial
        )
        self._rng_folder = None
        if resume_from_checkpoint is None or self.state.global_step == 0:
            return epoch, skipped
        epoch = self._position.restore(Path(resume_from_checkpoint), self.state.global_step)
        chain = self._position.chain
        if 0 < chain.remaining < chain.batches(self.train_sampler.epoch):
            self._rng_folder = resume_from_checkpoint
        return epoch, 0  # the sampler is already at its position: the Trainer skips nothing

    def _save_rng_state(self, output_dir: str) -> None:
        # Called on every process, and before the file that makes the folder a checkpoint.
        super()._save_rng_state(output_dir)
        self._position.save(Path(output_dir), self.state.global_step)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.args.save_only_model:  # no random state was saved
            step = self.state.global_step
            name = f"{_utils.PREFIX_CHECKPOINT_DIR}-{step}"
            self._position.save(Path(self._get_output_dir(trial=trial), name), step)


def _refuse_overrides(trainer: Any) -> None:  # the user's Trainer
    """Refuse user methods that would not be called, or not with the batches of the sampler.

    A class before the mixin that defines `compute_loss = SamplerTrainerMixin.compute_loss` has
    chosen: those after it may then be ignored. The same holds for the other methods.
    """
    mixin, order = SamplerTrainerMixin, type(trainer).__mro__
    for name, remedy in {**_ANYWHERE, **_BEHIND}.items():
        ours = vars(mixin)[name]
        behind = order[order.index(mixin) + 1 :]
        looked_at = order if name in _ANYWHERE else behind
        if name in vars(trainer) and name in _ANYWHERE:
            _refuse(f"{name} of this {type(trainer).__name__}", remedy)
        for each in order[: order.index(mixin)]:
            if vars(each).get(name) is ours:
                looked_at = ()
                break
            if name in vars(each):
                break
        for each in looked_at:
            library = each.__module__.partition(".")[0] == _LIBRARY
            if name in vars(each) and each is not mixin and not library:
                _refuse(f"{each.__name__}.{name}", remedy)


def _refuse(what: str, remedy: str) -> None:
    raise ValueError(
        f"no class must have its own of what SamplerTrainerMixin replaces, got {what}, which would "
        f"not be used: {remedy}"
    )
