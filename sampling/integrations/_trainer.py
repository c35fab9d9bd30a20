"""Hugging Face Trainer: our sampler with its losses, epoch lengths and position on resume.

The Trainer reads the length of an epoch once, resumes by replaying batches, does not save the state
of the sampler, and computes a loss for the batch. The mixin provides the length of each epoch, sets
the sampler's position, saves its state, and passes a loss for each sample through `reduce`.
"""

import warnings
from collections.abc import Callable, Mapping, Sized
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader

from .. import _check, _optional
from ..samplers import EpochBatchSampler, EpochSampler
from ..samplers.core import Indexed
from ._accelerate import prepare_loader
from ._accelerate_chain import AnySampler
from ._loader_chain import core_of, refuse_size
from ._trainer_callback import SamplerTrainerCallback
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
from ._trainer_own import refuse_overrides, refuse_strategy
from ._trainer_steps import TrainerSteps

_utils: Any = _optional.require("transformers.trainer_utils", "hf", "sampling.integrations")

_LOADER_OPTIONS = (
    "num_workers",
    "pin_memory",
    "persistent_workers",
    "multiprocessing_context",
    "prefetch_factor",
    "in_order",
)


class SamplerTrainerMixin(TrainerSteps):
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
    **kwargs
        Keyword arguments of the `Trainer`.

    Attributes
    ----------
    train_sampler : EpochSampler or EpochBatchSampler
        As given.
    index_key : str
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
        *args: Any,  # noqa: ANN401  # the Trainer's
        train_sampler: AnySampler,
        index_key: str = "sample_index",
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        self.train_sampler = train_sampler
        self.index_key = index_key
        self._bridge = SamplerTrainerCallback(train_sampler)
        self._bridge._driven = True
        self._step_batches = []
        self._step_counts = None
        self._reduced = 0  # batches of the current step that were passed to `reduce`
        self._compared = False  # whether the default loss was compared with the model's own
        super().__init__(*args, **kwargs)
        self._refuse()
        self._bridge._before_step = self._refuse_unreduced
        # First, so that the others find the epoch planned and counted.
        self.callback_handler.callbacks.insert(0, self._bridge)

    def _refuse(self) -> None:
        """Raise before training for settings that cannot work."""
        if not hasattr(super(), "loss_is_scaled_for_ga"):
            raise RuntimeError("SamplerTrainerMixin needs transformers 5.20 or newer")
        if self.compute_loss_func is not None:
            raise ValueError(
                "compute_loss_func must not be given, as it returns the loss of a batch: override "
                "per_sample_loss"
            )
        self._refuse_own()
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

    def _refuse_own(self) -> None:
        refuse_overrides(self, SamplerTrainerMixin)

    # ------------------------------------------------------------------ the loader

    def _get_train_sampler(self, train_dataset: Any = None) -> AnySampler:  # noqa: ANN401
        return self.train_sampler

    def get_train_dataloader(self) -> Any:  # noqa: ANN401  # accelerate's loader
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

    def _own_dataloader(self, data: Indexed) -> Any:  # noqa: ANN401
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
    ) -> Any:  # noqa: ANN401
        collate = super()._get_collator_with_removed_columns(data_collator, description)
        return IndexCollator(collate, self.index_key) if description == "Training" else collate

    # ------------------------------------------------------------------ the loss

    def per_sample_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        outputs: Any,  # noqa: ANN401  # the model's
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
        num_items_in_batch: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
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

    def _compare(self, found: Any, outputs: Any) -> None:  # noqa: ANN401
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
