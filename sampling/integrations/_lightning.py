"""Lightning: save the sampler's position in checkpoints, and restore it before the first batch.

Lightning keeps the epoch and the number of batches, but builds the first iterator before it passes
the epoch to the sampler, never skips batches of a plain `DataLoader`, and reads the length of an
epoch only once. The callback does these three things, and refuses settings that would undo them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import ArrayLike

from .. import _check
from .._check._keywords import told
from ..errors import StateError
from ..samplers import AdaptiveBatchSampler, full_state, load_full_state
from ._lightning_loader import (
    NO_SHARDING,
    Cut,
    Lengths,
    checked,
    cut_of,
    loader_of,
    not_found,
    refuse_hidden,
)
from ._loader_chain import AnySampler, core_of, refuse_misfit


@told
class LightningSamplerCallback(Callback):
    """Callback that resumes an interrupted Lightning run at exactly the next sample.

    Pass it to `Trainer(callbacks=[...])` and the sampler to a `DataLoader` or torchdata's
    `StatefulDataLoader`, as `sampler=` or `batch_sampler=`. Lightning's checkpoints then contain
    the sampler's state with its scores, and `ckpt_path=` restores it. A `StatefulDataLoader` may
    restore its own state as well; nothing is skipped twice.

    Parameters
    ----------
    sampler : EpochSampler, EpochBatchSampler or callable
        The sampler in the training loader. With several ranks it must be created after they were
        started, in the `setup` of the data module or of the module; in that case pass a function
        of the trainer that returns the sampler: `lambda trainer: trainer.datamodule.sampler`.
    name : str, default "train"
        Key of the state in the checkpoint. Two callbacks need two names.
    restore_loader : bool, default True
        Whether a `StatefulDataLoader` restores its own state too, which may include that of a
        dataset. Use False if the loader is a different one, or has another number of workers, which
        it refuses.
    log_metrics : bool, default True
        Whether to pass the sampler's `metrics` to the trainer's loggers when an epoch begins, as
        "NAME_sampler/kept" and so on.
    groups : array-like of shape (N,), optional
        Labels or domains of the samples, for "NAME_sampler/excluded/LABEL" in the log.

    Attributes
    ----------
    sampler : EpochSampler or EpochBatchSampler
    name, restore_loader, log_metrics, groups
        As given.
    consumed : int
        Draws of this epoch trained on, over all ranks, since the beginning of the epoch.
    progress : float
        Fraction of the run that is completed, in [0, 1].

    Raises
    ------
    TypeError
        If the sampler is not of this package.
    ValueError
        When `fit` begins: if the training loader has another sampler, or a dataset of another
        length than the sampler was made for; if Lightning would replace or shard the sampler
        (`use_distributed_sampler`), or if it was made for other ranks than the trainer's.
    RuntimeError
        If the batch size changes within an epoch, whose batches Lightning has counted.
    StateError
        If a checkpoint does not match the sampler.

    Notes
    -----
    Order
        A resumed run yields the batches that the uninterrupted run would have yielded, from a
        checkpoint written anywhere in an epoch, with accumulated gradients, or with another number
        of workers, ranks or samples per batch. (Lightning warns that a plain `DataLoader` is not
        resumable; with this callback it is.) An epoch ended by `max_steps` or `should_stop` is
        complete once its `on_train_epoch_end` has run.
    Cost
        A checkpoint grows by 1 KiB; for dynamic samplers by their scores, 5 bytes per sample. Ranks
        merge scores when a checkpoint is written, so every rank must take part, as Lightning
        requires anyway. A checkpoint that only one of several ranks writes because of an exception
        cannot resume a dynamic sampler.
    Gradients
        Not changed. `Trainer.estimated_stepping_batches` assumes that every epoch is as long as the
        first; if lengths vary, let a schedule follow `progress`.

    Lightning reads the number of batches when it builds its loaders. Shorter epochs are announced
    to it, since otherwise their validation would be skipped. Before a longer one, which it would
    truncate, `reload_dataloaders_every_n_epochs` is set to 1 until it has read the new length;
    then, and if you set that flag yourself, the sampler is already at the next epoch in
    `LightningModule.on_train_epoch_end`.

    A callback of `lightning.pytorch`; `pytorch_lightning`, its old name, calls it as well.

    Examples
    --------
    >>> from sampling.samplers import ShuffleSampler
    >>> callback = LightningSamplerCallback(ShuffleSampler(10, seed=0))
    >>> callback.state_key
    "LightningSamplerCallback{'name': 'train'}"
    >>> callback.state_dict()["state"]["epoch"], callback.consumed, callback.name
    (0, 0, 'train')
    """

    def __init__(
        self,
        sampler: AnySampler | Callable[[Trainer], AnySampler],
        name: str = "train",
        restore_loader: bool = True,
        log_metrics: bool = True,
        groups: ArrayLike | None = None,
    ) -> None:
        super().__init__()
        self._find = None if isinstance(sampler, AnySampler) or not callable(sampler) else sampler
        self._sampler = checked(sampler) if self._find is None else None
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, got {type(name).__name__}")
        self.name = name
        self.restore_loader = _check.flag("restore_loader", restore_loader)
        self.log_metrics = _check.flag("log_metrics", log_metrics)
        self.groups = groups
        self._trainer: Trainer | None = None
        self._forget()

    def _forget(self) -> None:
        """Reset: the next pass begins now, at the position of the sampler."""
        self._restored = False  # by a checkpoint, in this fit
        self._begun = False  # whether a batch of the current pass was passed to the trainer
        self._before = 0  # batches that Lightning counts in this epoch from before the pass
        self._cut: Cut = 1
        self._batch_size = 0  # of adaptive batches, in this epoch
        self._lengths = Lengths()
        self._alone = False  # whether an exception is being handled: other ranks may not answer

    # ------------------------------------------------------------------ public attributes

    @property
    def sampler(self) -> AnySampler:
        """The sampler; if a function was given, available from the beginning of `fit`."""
        if self._sampler is None:
            raise RuntimeError("sampler is known when fit has begun: a function will return it")
        return self._sampler

    @property
    def consumed(self) -> int:
        """Draws of the sampler's epoch trained on, over all ranks, since the epoch began."""
        batches = self._counted().current.processed - self._before if self._begun else 0
        if isinstance(self._cut, int):
            return int(core_of(self.sampler).consumed_after(batches, self._cut))
        return self._cut.consumed_after(batches)

    @property
    def progress(self) -> float:
        """Fraction of the run that is completed, in [0, 1], whatever the lengths of its epochs.

        The length of the run is the sampler's `num_epochs`, else the trainer's `max_epochs`. Use it
        as in `LambdaLR(optimizer, lambda step: 1 - callback.progress)`, stepped with every batch.
        """
        sampler = core_of(self.sampler)
        epochs = getattr(sampler, "num_epochs", None)
        if epochs is None and self._trainer is not None:
            epochs = None if self._trainer.max_epochs == -1 else self._trainer.max_epochs
        if self._is_over():
            return float(sampler.progress(sampler.epoch + 1, 0, epochs))
        return float(sampler.progress(sampler.epoch, self.consumed, epochs))

    # ------------------------------------------------------------------ checkpoints

    @property
    def state_key(self) -> str:
        """Key under which Lightning keeps the state; it includes the name."""
        return cast(str, self._generate_state_key(name=self.name))

    def state_dict(self) -> dict[str, Any]:
        """Return the state for the checkpoint: JSON values and tensors. Every rank must call it.

        Returns
        -------
        dict
            The result of `full_state`, its arrays as tensors; "dealt", whether the epoch has no
            batch left, and "over", whether Lightning will continue with the next one.
        """
        if self._sampler is None or not self._in_use():
            return {}
        last = self._begun and bool(self._counted().is_last_batch)
        flags = {"over": self._is_over(), "dealt": last}
        if self._alone:
            return {**flags, "state": self.sampler.state_dict(self.consumed)}
        full = full_state(self.sampler, self.consumed)
        # Copied: a plugin may write the checkpoint while training continues.
        tensors = {name: torch.tensor(array) for name, array in full["arrays"].items()}
        return {**flags, **full, "arrays": tensors}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the position at which the checkpoint was written. Every rank must call it.

        Parameters
        ----------
        state_dict : dict
            A result of `state_dict`.
        """
        state, sampler = state_dict["state"], self.sampler
        if "arrays" in state_dict:
            arrays = {name: tensor.numpy() for name, tensor in state_dict["arrays"].items()}
            load_full_state(sampler, {**state_dict, "arrays": arrays})
        elif sampler.dynamic:
            raise StateError(
                f"the checkpoint must hold the scores of the {state['sampler']}, got none: it was "
                "written while an exception ended the run, by one of several ranks; use the one "
                "before it"
            )
        else:
            sampler.load_state_dict(state)
        if state_dict["over"]:
            sampler.set_epoch(state["epoch"] + 1)
        self._forget()
        self._restored = True

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Apply the state before the fit loop builds its first iterator."""
        # Removed, since Lightning deep-copies what it finds here, including arrays; and validation
        # and prediction, which load the same checkpoints, do not use it.
        state = checkpoint["callbacks"].pop(self.state_key, None)
        if trainer.state.fn != "fit":
            return
        self._resolve(trainer)
        if state:
            self.load_state_dict(state)
            if state["dealt"] or not self.restore_loader:
                # A stateful loader that had yielded its epoch would return to the end of it.
                checkpoint["loops"]["fit_loop"]["state_dict"].pop("combined_loader", None)
        elif trainer.is_global_zero:
            warnings.warn(
                f"the checkpoint holds no state of {self.state_key}: the sampler begins an epoch "
                "where Lightning resumes, and the first one may be drawn in another order",
                stacklevel=1,
            )

    # ------------------------------------------------------------------ hooks

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse settings under which Lightning would replace or shard the sampler."""
        if stage != "fit":
            return
        self._trainer = trainer
        self._forget()
        if trainer.world_size > 1:
            # Not public, but the earliest this can be known; `on_train_start` checks again.
            connector = getattr(trainer, "_accelerator_connector", None)
            if getattr(connector, "use_distributed_sampler", False):
                raise ValueError(
                    f"use_distributed_sampler must be False on {trainer.world_size} ranks, got "
                    f"True: Lightning would reshuffle or replace the sampler; {NO_SHARDING}"
                )
        if self._find is None:  # `configure_optimizers` may already build the loaders
            self._resolve(trainer)
            self.sampler.set_epoch(trainer.current_epoch)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the epoch with which Lightning begins, unless a checkpoint did."""
        self._resolve(trainer)
        if not self._restored:
            self.sampler.set_epoch(trainer.current_epoch)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the loader that Lightning built, and its count of batches."""
        if not self._in_use():
            return
        loader = self._take()
        refuse_hidden(loader, core_of(self.sampler))
        refuse_misfit(loader)
        self._lengths.note(trainer, loader, core_of(self.sampler))
        if self._restored:
            self._before = self._lengths.agree(trainer, loader, core_of(self.sampler))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the epoch before its iterator is made, and pass its length to Lightning."""
        if not self._in_use():
            return
        self.sampler.set_epoch(trainer.fit_loop.epoch_progress.current.processed)
        self._begun = False
        self._before = 0
        self._lengths.tell(trainer, self._take(), core_of(self.sampler))
        if self.log_metrics and trainer.is_global_zero and trainer.loggers:
            found = self.sampler.metrics(self.groups)
            figures = {f"{self.name}_sampler/{name}": each for name, each in found.items()}
            for logger in trainer.loggers:
                logger.log_metrics(figures, step=trainer.global_step)

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Record that the pass has begun."""
        self._begun = True

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Refuse another batch size within an epoch, whose batches Lightning has counted."""
        if isinstance(self._cut, AdaptiveBatchSampler):
            size = self._cut.current_batch_size
            if size != self._batch_size:
                raise RuntimeError(
                    f"the batch size must stay {self._batch_size} within an epoch, got {size}: "
                    "Lightning has counted its batches; call set_batch_size in "
                    "on_train_epoch_end, and take shorter epochs"
                )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the next epoch if Lightning reads its length before it sets the epoch."""
        if not self._in_use():
            return
        following = trainer.fit_loop.epoch_progress.current.processed
        stop = trainer.max_epochs
        if stop not in {-1, None} and following >= stop:
            return
        if self._lengths.prepare(trainer, self._loader(), core_of(self.sampler), following):
            self._begun = False

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the trainer's settings."""
        self._lengths.give_back(trainer)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Keep a checkpoint written now from waiting for ranks that do not answer."""
        self._alone = trainer.world_size > 1
        self._lengths.give_back(trainer)

    # ------------------------------------------------------------------ the sampler and its loader

    def _resolve(self, trainer: Trainer) -> None:
        """Find the sampler, and refuse one made for other ranks than the trainer has."""
        if self._find is not None:
            self._sampler = checked(self._find(trainer))
        inner = core_of(self.sampler)
        ranks = trainer.distributed_sampler_kwargs or {"num_replicas": 1, "rank": 0}
        here, there = (inner.rank, inner.num_replicas), (ranks["rank"], ranks["num_replicas"])
        if here != there:
            raise ValueError(
                f"sampler must be for rank {there[0]} of {there[1]} of this trainer, got one for "
                f"rank {here[0]} of {here[1]}: make it once the ranks are started, in "
                "LightningDataModule.setup, and give LightningSamplerCallback a function that "
                "returns it"
            )
        uneven = inner.unequal_batches
        if uneven:
            raise ValueError(
                "sampler must give every rank the same number of batches, since Lightning's ranks "
                f"wait for each other, got one that may not: {uneven}"
            )

    def _in_use(self) -> bool:
        """Return whether Lightning trains with the sampler: `overfit_batches` replaces it."""
        if self._trainer is None or not self._trainer.overfit_batches:
            return True
        return self._loader() is not None

    def _loader(self) -> Any | None:  # a DataLoader
        """Return the training loader that has the sampler; None before it is built."""
        return loader_of(cast(Trainer, self._trainer), self.sampler)

    def _take(self) -> Any:
        """Return the training loader, and record how it cuts this epoch into batches."""
        loader = self._loader()
        if loader is None:
            raise ValueError(not_found(cast(Trainer, self._trainer), self.sampler))
        self._cut = cut_of(loader)
        if isinstance(self._cut, AdaptiveBatchSampler):
            self._batch_size = self._cut.current_batch_size
        return loader

    # ------------------------------------------------------------------ Lightning's counts

    def _counted(self) -> Any:
        """Return Lightning's count of batches."""
        return cast(Trainer, self._trainer).fit_loop.epoch_loop.batch_progress

    def _is_over(self) -> bool:
        """Return whether Lightning would continue with the next epoch if it resumed from here.

        It would in the hooks at the end of an epoch, and in `on_train_batch_end` of the last batch;
        between them, in validation, it would resume at the end of the old epoch.
        """
        trainer = self._trainer
        if trainer is None:
            return False
        if trainer.fit_loop.epoch_progress.current.processed > self.sampler.epoch:
            return True
        counted = self._counted()
        late = counted.current.completed < counted.current.processed
        return bool(self._begun and counted.is_last_batch and late)
