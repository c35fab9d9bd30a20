"""Hugging Face Trainer: set the sampler's epoch in time, and save its state in checkpoints."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from .. import _optional
from .._check._keywords import told
from ..errors import StateError
from ..samplers import EpochBatchSampler, EpochSampler, load_state, save_state
from ._accelerate import check_prepared, complete_rounds
from ._accelerate_chain import Chain, find_chain
from ._loader_chain import AnySampler, core_of

_transformers: Any = _optional.require("transformers", "hf", "sampling.integrations")

STATE_FILE = "sampler.safetensors"  # in the folder of a checkpoint


class SamplerPosition:
    """Position of a sampler in a run of the Trainer, which counts optimizer steps.

    Parameters
    ----------
    sampler : EpochSampler or EpochBatchSampler
        The sampler in the training loader, or the one inside its batch sampler.

    Attributes
    ----------
    sampler : EpochSampler or EpochBatchSampler
        As given; the batch sampler of the loader once `begin` was called.
    whole, left : int
        Batches of the current epoch, and of the current pass, which a resume may shorten.
    next_epoch : int
        The epoch that `begin_epoch` sets next.
    skipped : int
        Optimizer steps of the first pass that the Trainer skips by itself.
    """

    def __init__(self, sampler: AnySampler) -> None:
        self.sampler = sampler
        self.whole = self.left = 0
        self.next_epoch = 0
        self.skipped = 0
        self._chain: Chain | None = None
        self._base = 0  # global_step at which the pass would have begun from its first batch
        self._size: int | None = None  # of adaptive batches, when the epoch began
        self._accumulate = 1

    @property
    def chain(self) -> Chain:
        """The path from the training loader to the sampler."""
        if self._chain is None:
            raise RuntimeError("the training loader is not known before train()")
        return self._chain

    def begin(self, loader: Any, accumulate: int, expected: str, remedy: str) -> None:
        """Find the sampler in a prepared loader, and discard any position it has.

        accumulate       : batches of an optimizer step
        expected, remedy : for the message, if the loader has another sampler
        """
        chain = find_chain(loader)
        if chain is None or chain.inner is not core_of(self.sampler):
            found = None if chain is None else type(chain.sampler).__name__
            raise ValueError(
                f"the training loader must have {expected}, a {type(self.sampler).__name__}, got "
                f"{found}: {remedy}"
            )
        check_prepared(loader)
        complete_rounds(loader)
        self.sampler = chain.sampler  # if that of the draws was given, the one that cuts them
        self._chain, self._accumulate = chain, accumulate
        self.rewind()  # the checkpoint sets the position, or there is none
        self.next_epoch = self.skipped = 0
        self.whole = self.left = 0

    def begin_epoch(self, global_step: int) -> None:
        """Set the next epoch of the sampler; every rank calls it."""
        self.sampler.set_epoch(self.next_epoch)
        self.whole, self.left = self.chain.batches(self.next_epoch), self.chain.remaining
        self._base, self.skipped = global_step - self.skipped, 0
        self._size = self.chain.current_size
        self.next_epoch += 1

    @property
    def resumed_within(self) -> bool:
        """Whether the current pass began in the middle of its epoch."""
        return self.left < self.whole

    def epochs_done(self, global_step: int) -> float:
        """Return the number of epochs completed, with the fraction of the current one."""
        done = self.whole - self.left + self._taken(global_step)
        return self.sampler.epoch + done / self.whole

    def refuse_new_size(self, global_step: int) -> None:
        """Raise if the size of adaptive batches changed while the epoch has batches left."""
        size = None if self._chain is None else self._chain.current_size
        if size != self._size and self._taken(global_step) < self.left:
            raise ValueError(
                f"batch_size must stay {self._size} until the end of the epoch, got {size}: the "
                "Trainer fixes the steps of an epoch when it begins; call set_batch_size in "
                "on_epoch_end"
            )

    def restore(self, folder: Path, global_step: int) -> int:
        """Restore the position of a checkpoint; return the epoch with which training continues."""
        if not self.load(folder):  # the lengths of all epochs are known: count the steps
            epoch, steps = 0, global_step
            while steps >= (in_epoch := num_steps(self.chain.batches(epoch), self._accumulate)):
                epoch, steps = epoch + 1, steps - in_epoch
            self.place(epoch, steps * self._accumulate)
        self.next_epoch = self.sampler.epoch + (self.chain.remaining == 0)
        return self.next_epoch

    def load(self, folder: Path) -> bool:
        """Load the state in the folder of a checkpoint; return whether there is one."""
        path = folder / STATE_FILE
        if path.is_file():
            load_state(self.sampler, path)
            return True
        if self.sampler.dynamic:
            raise StateError(
                f"{path} must exist to resume a {type(self.sampler).__name__}: it plans its epochs "
                "from losses that are not in the rest of the checkpoint; resume from one that was "
                "saved with SamplerTrainerMixin or SamplerTrainerCallback"
            )
        return False

    def save(self, folder: Path, global_step: int) -> None:
        """Write the state after `global_step` steps; every rank calls it."""
        if self._chain is not None:
            consumed = self._chain.consumed(self._taken(global_step))
            save_state(self.sampler, folder / STATE_FILE, consumed)

    def place(self, epoch: int, batches: int) -> None:
        """Set the position after the first batches of an epoch."""
        self.sampler.set_epoch(epoch)
        self.rewind()
        if batches:
            self.sampler.load_state_dict(self.sampler.state_dict(self.chain.consumed(batches)))

    def rewind(self) -> None:
        """Set the position at the beginning of the sampler's epoch."""
        self.sampler.load_state_dict(self.sampler.state_dict(0))

    def _taken(self, global_step: int) -> int:
        """Return the batches of this pass that were used in a step."""
        return min(self.left, (global_step - self._base) * self._accumulate)


@told
class SamplerTrainerCallback(_transformers.TrainerCallback):
    """Callback that sets a sampler's epoch before its iterator is made, and saves its state.

    For a `Trainer` that cannot use `SamplerTrainerMixin`, whose `_get_train_sampler` returns one
    of our samplers, made with num_replicas=1. Without it a run on several processes that resumes in
    the middle of epoch 1 or later draws the order of epoch 0: the Trainer's own `set_epoch` does
    not reach the sampler there. The mixin includes this callback, and does more: epochs of several
    lengths, losses for `reduce`, and batch samplers.

    Parameters
    ----------
    sampler : EpochSampler or EpochBatchSampler
        The sampler in the training loader.

    Attributes
    ----------
    sampler : EpochSampler or EpochBatchSampler
        As given; the batch sampler of the loader once training has begun.

    Raises
    ------
    TypeError
        If the sampler is not of this package.
    ValueError
        When training begins: if the training loader has another sampler; if it shards over the
        ranks and accelerate shards again; if its epochs differ in length, since the Trainer reads
        the length once; if `ignore_data_skip` would drop the last accumulated batches of the epoch.
    StateError
        On resume: if a sampler that plans from losses has no file in the checkpoint.

    Notes
    -----
    Order
        A resumed run yields exactly the batches that the uninterrupted run would have yielded, with
        or without `ignore_data_skip`; with it nothing is replayed.
    Cost
        One file of a few hundred bytes per checkpoint; 5 N bytes for a pruner.

    Examples
    --------
    >>> from sampling.samplers import ShuffleSampler
    >>> callback = SamplerTrainerCallback(ShuffleSampler(10, num_replicas=1))
    >>> callback.sampler.num_samples
    10
    """

    def __init__(self, sampler: AnySampler) -> None:
        if not isinstance(sampler, EpochSampler | EpochBatchSampler):
            raise TypeError(f"sampler must be one of this package, got {type(sampler).__name__}")
        self._position = SamplerPosition(sampler)

    @property
    def sampler(self) -> AnySampler:
        """The sampler given; the batch sampler around it once training has begun."""
        return self._position.sampler

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Find the sampler in the loader, and restore the position of a resumed run."""
        refuse_strategy(args, self.sampler)
        self._position.begin(
            kwargs["train_dataloader"],
            args.gradient_accumulation_steps,
            "the sampler that SamplerTrainerCallback was given",
            "return it from _get_train_sampler",
        )
        self._refuse_varying(math.ceil(state.num_train_epochs))
        if state.global_step > 0:
            self._resume(args, state.global_step)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set the epoch of the sampler; called on every rank."""
        self._position.begin_epoch(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count the epoch from its beginning, since the Trainer counts from the resume."""
        self._position.refuse_new_size(state.global_step)
        if self._position.resumed_within:
            state.epoch = self._position.epochs_done(state.global_step)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Check that all batches of the epoch had one size."""
        self._position.refuse_new_size(state.global_step)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the sampler's state into the checkpoint; called on every rank."""
        if not state.is_hyper_param_search:
            folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
            self._position.save(folder, state.global_step)

    def _refuse_varying(self, num_epochs: int) -> None:
        chain = self._position.chain
        first = chain.expected(self.sampler.epoch)
        for epoch in range(min(num_epochs, 10_000)):
            if chain.expected(epoch) != first:
                raise ValueError(
                    f"epochs must be equally long without SamplerTrainerMixin, got {first} batches "
                    f"in one and {chain.expected(epoch)} in epoch {epoch}: the Trainer reads the "
                    "length once and would cut the longer ones"
                )

    def _resume(self, args: Any, global_step: int) -> None:
        """Match the Trainer's position on resume: the epoch's start, or where it skips to."""
        position, accumulate = self._position, args.gradient_accumulation_steps
        batches = position.chain.batches(self.sampler.epoch)
        epoch, steps = divmod(global_step, num_steps(batches, accumulate))
        if self.sampler.dynamic:
            given = args.resume_from_checkpoint or Path(
                args.output_dir, f"checkpoint-{global_step}"
            )
            position.load(Path(given))
        else:
            position.place(epoch, 0)
        position.next_epoch = epoch
        if not args.ignore_data_skip:
            position.skipped = steps
            if steps:  # the Trainer takes the loader from the start of the epoch, and skips
                position.rewind()
            return
        if steps and batches % accumulate:
            raise ValueError(
                f"ignore_data_skip must be False for {batches} batches an epoch in steps of "
                f"{accumulate}, got True: the Trainer would skip the last step of the resumed "
                "epoch; or use SamplerTrainerMixin"
            )
        if steps and not self.sampler.dynamic:
            position.place(epoch, steps * accumulate)


def num_steps(batches: int, accumulate: int) -> int:
    """Return the number of optimizer steps that the Trainer makes of an epoch's batches."""
    return max(1, math.ceil(batches / accumulate))


def refuse_strategy(args: Any, sampler: Any) -> None:
    """Refuse TrainingArguments that set an order, which the sampler determines."""
    strategy = getattr(args, "train_sampling_strategy", "random")
    if getattr(args, "group_by_length", False):
        strategy = "group_by_length"
    if strategy != "random":
        raise ValueError(
            f"train_sampling_strategy must be 'random', got {strategy!r}: the order is that of "
            f"train_sampler, a {type(sampler).__name__}; TokenBudgetBatchSampler makes batches of "
            "samples of similar lengths"
        )
    seed = getattr(sampler, "seed", getattr(getattr(sampler, "sampler", None), "seed", None))
    if args.data_seed is not None and seed is not None and args.data_seed != seed:
        raise ValueError(
            f"data_seed must be None, or the seed of train_sampler, {seed}, got {args.data_seed}: "
            "the order is the sampler's"
        )
