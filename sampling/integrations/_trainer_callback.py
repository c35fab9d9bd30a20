"""Hugging Face Trainer: set the sampler's epoch in time, and save its state in checkpoints."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import _optional
from .._check._keywords import told
from ..errors import StateError
from ..samplers import EpochBatchSampler, EpochSampler, load_state, save_state
from ._accelerate import check_prepared, complete_rounds
from ._accelerate_chain import AnySampler, Chain, find_chain
from ._trainer_own import refuse_strategy

_transformers: Any = _optional.require("transformers", "hf", "sampling.integrations")

STATE_FILE = "sampler.safetensors"  # in the folder of a checkpoint


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
        self.sampler = sampler
        self._chain: Chain | None = None
        self._driven = False  # by the mixin, which then begins, restores and saves
        self._epoch = 0  # the epoch that `on_epoch_begin` sets next
        self._base = 0  # global_step at which the pass would have begun from its first batch
        self._skipped = 0  # steps of the first pass that the Trainer skips by itself
        self._whole = self._left = 0  # batches of the epoch, and of the pass
        self._size: int | None = None  # of adaptive batches, when the epoch began
        self._accumulate = 1
        self._before_step: Callable[[], None] | None = None  # of the mixin

    # ------------------------------------------------------------------ hooks of the Trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Find the sampler in the loader, and restore the position of a resumed run."""
        self._accumulate = args.gradient_accumulation_steps
        if self._driven:
            return
        refuse_strategy(args, self.sampler)
        chain = self._begin(kwargs["train_dataloader"])
        self._refuse_varying(chain, math.ceil(state.num_train_epochs))
        if state.global_step > 0:
            self._resume_alone(chain, args, state.global_step)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Set the epoch of the sampler; called on every rank."""
        if self._chain is None:
            return
        self.sampler.set_epoch(self._epoch)
        self._whole, self._left = self._chain.batches(self._epoch), self._chain.remaining
        self._base, self._skipped = state.global_step - self._skipped, 0
        self._size = self._chain.current_size
        self._epoch += 1

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Check that the batches of the step were passed through the sampler, with the mixin."""
        if self._before_step is not None:
            self._before_step()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Count the epoch from its beginning, since the Trainer counts from the resume."""
        self._refuse_new_size(state.global_step)
        if self._left < self._whole:
            done = self._whole - self._left + self._taken(state.global_step)
            state.epoch = self.sampler.epoch + done / self._whole

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Check that all batches of the epoch had one size."""
        self._refuse_new_size(state.global_step)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Write the sampler's state into the checkpoint; called on every rank."""
        if not self._driven and not state.is_hyper_param_search:
            folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
            self._save(folder, state.global_step)

    # ------------------------------------------------------------------ called by the mixin

    def _begin(self, loader: Any) -> Chain:  # noqa: ANN401  # a prepared loader
        """Find the sampler in the training loader."""
        chain = find_chain(loader)
        own = self.sampler.sampler if isinstance(self.sampler, EpochBatchSampler) else self.sampler
        if chain is None or chain.inner is not own:
            found = None if chain is None else type(chain.sampler).__name__
            raise ValueError(
                "the training loader must have the sampler that SamplerTrainerCallback was given, "
                f"a {type(self.sampler).__name__}, got {found}: return it from _get_train_sampler"
            )
        check_prepared(loader)
        complete_rounds(loader)
        self.sampler = chain.sampler  # if that of the draws was given, the one that cuts them
        # The checkpoint sets the position, or there is none: any position left is discarded.
        self.sampler.load_state_dict(self.sampler.state_dict(0))
        self._chain, self._epoch, self._skipped = chain, 0, 0
        self._whole = self._left = 0
        return chain

    def _restore(self, folder: Path, global_step: int, accumulate: int) -> int:
        """Restore the position of a checkpoint; return the epoch with which training continues."""
        chain = self._chain
        if chain is None:
            raise RuntimeError("a sampler is restored after its loader was made")
        if not self._load(folder):
            self._count_back(chain, global_step, accumulate)
        self._epoch = self.sampler.epoch + (chain.remaining == 0)
        return self._epoch

    def _save(self, folder: Path, global_step: int) -> None:
        """Write the state after `global_step` steps; every rank calls it."""
        if self._chain is not None:
            consumed = self._chain.consumed(self._taken(global_step))
            save_state(self._chain.sampler, folder / STATE_FILE, consumed)

    # ------------------------------------------------------------------ helpers

    def _taken(self, global_step: int) -> int:
        """Return the batches of this pass that were used in a step."""
        return min(self._left, (global_step - self._base) * self._accumulate)

    def _refuse_new_size(self, global_step: int) -> None:
        size = None if self._chain is None else self._chain.current_size
        if size != self._size and self._taken(global_step) < self._left:
            raise ValueError(
                f"batch_size must stay {self._size} until the end of the epoch, got {size}: the "
                "Trainer fixes the steps of an epoch when it begins; call set_batch_size in "
                "on_epoch_end"
            )

    def _load(self, folder: Path) -> bool:
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

    def _count_back(self, chain: Chain, global_step: int, accumulate: int) -> None:
        """Set the position of a sampler with known epoch lengths from the number of steps."""
        epoch, steps = 0, global_step
        while steps >= (in_epoch := num_steps(chain.batches(epoch), accumulate)):
            epoch, steps = epoch + 1, steps - in_epoch
        self._place(chain, epoch, steps * accumulate)

    def _place(self, chain: Chain, epoch: int, batches: int) -> None:
        self.sampler.set_epoch(epoch)
        self.sampler.load_state_dict(self.sampler.state_dict(0))
        if batches:
            consumed = chain.consumed(batches)
            self.sampler.load_state_dict(self.sampler.state_dict(consumed))

    def _refuse_varying(self, chain: Chain, num_epochs: int) -> None:
        first = chain.expected(self.sampler.epoch)
        for epoch in range(min(num_epochs, 10_000)):
            if chain.expected(epoch) != first:
                raise ValueError(
                    f"epochs must be equally long without SamplerTrainerMixin, got {first} batches "
                    f"in one and {chain.expected(epoch)} in epoch {epoch}: the Trainer reads the "
                    "length once and would cut the longer ones"
                )

    def _resume_alone(self, chain: Chain, args: Any, global_step: int) -> None:  # noqa: ANN401
        """Match the Trainer's position on resume: the epoch's start, or where it skips to."""
        batches, accumulate = chain.batches(self.sampler.epoch), self._accumulate
        epoch, steps = divmod(global_step, num_steps(batches, accumulate))
        if self.sampler.dynamic:
            given = args.resume_from_checkpoint or Path(
                args.output_dir, f"checkpoint-{global_step}"
            )
            self._load(Path(given))
        else:
            self._place(chain, epoch, 0)
        self._epoch = epoch
        if not args.ignore_data_skip:
            self._skipped = steps
            if steps:  # the Trainer takes the loader from the start of the epoch, and skips
                self.sampler.load_state_dict(self.sampler.state_dict(0))
            return
        if steps and batches % accumulate:
            raise ValueError(
                f"ignore_data_skip must be False for {batches} batches an epoch in steps of "
                f"{accumulate}, got True: the Trainer would skip the last step of the resumed "
                "epoch; or use SamplerTrainerMixin"
            )
        if steps and not self.sampler.dynamic:
            self._place(chain, epoch, steps * accumulate)


def num_steps(batches: int, accumulate: int) -> int:
    """Return the number of optimizer steps that the Trainer makes of an epoch's batches."""
    return max(1, math.ceil(batches / accumulate))
