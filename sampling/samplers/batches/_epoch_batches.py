"""Batch samplers: an epoch's draws, cut into batches that are assigned whole to the ranks.

The draws come from a sampler; a batch sampler adds only where they are cut. So order, resume,
scores, weights and `reduce` remain in the wrapped sampler.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.utils.data import Sampler

from ... import _check
from ..._check._keywords import told
from ...types import Indices
from ...weighting._reduction import Reduction
from ..core._cuts import Cuts, EqualCuts, GivenCuts
from ..core._epoch_sampler import EpochSampler
from ..core._passes import Batches, EpochIterator, Pass, cut
from ..core._plan import EpochPlan

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

    from ...scores import ExposureCounter

# Where a BatchSampler iterates over the sampler that it was given.
_BATCHING = {"torch.utils.data.sampler", "torchdata.stateful_dataloader.sampler"}
# They rebuild a batch sampler if it has both `drop_last` and `batch_size`.
_REBUILDING = {"lightning", "pytorch_lightning", "lightning_fabric"}


@told
class EpochBatchSampler(Sampler[list[int]]):
    """Cut a sampler's epoch into batches, for `DataLoader(batch_sampler=...)`.

    Use it instead of `torch.utils.data.BatchSampler(sampler, ...)`, which hides the sampler's state
    from the loader, and yields at half the speed. `DataLoader(sampler=..., batch_size=...)` is as
    good on one rank; on several, this class assigns whole batches of the global order to each rank.

    What the training loop calls is here too: `set_epoch`, `reduce`, `record`, `weights_for`,
    `indices`, `progress`, ...; what a method adds, such as `scores`, is in `sampler`.

    Parameters
    ----------
    sampler : EpochSampler
        Any sampler of this package, with its seed and its ranks. Its own `drop_last`, which is
        about single draws, is ignored; its `pad` determines whether the first batches of the epoch
        are repeated until every rank has the same number (the default), or ranks stay uneven.
    batch_size : int
        B, draws in a batch of one rank.
    drop_last : bool, default False
        Exclude the last batch if it is short. accelerate, if it shards the batches, then also
        excludes a last round with fewer batches than processes.

    Attributes
    ----------
    sampler : EpochSampler
        The wrapped sampler; its `set_epoch` and the one here are the same.
    batch_size : int or None
        None if sizes vary: accelerate loses data if it finds a number then.
    drop_last : bool
        Not visible to Lightning, which otherwise replaces the sampler for prediction.

    Raises
    ------
    TypeError
        If `sampler` is not a sampler of this package.
    ValueError
        If it is part of a batch sampler that makes its own batches.

    Notes
    -----
    Order
        Batch b holds draws b B to (b + 1) B of the epoch. Rank r of W takes batches r, r + W, ...;
        a resumed epoch is cut again from its position, so batch size and number of ranks may
        change.
    Cost
        No memory; a batch costs as much as its draws.
    Gradients
        The sampler's.
    Source
        The contract of `torch.utils.data.BatchSampler`.

    Examples
    --------
    >>> from sampling.samplers import ShuffleSampler
    >>> batches = EpochBatchSampler(ShuffleSampler(10, seed=0), batch_size=4)
    >>> [len(batch) for batch in batches], len(batches)
    ([4, 4, 2], 3)
    """

    def __init__(self, sampler: EpochSampler, batch_size: int, drop_last: bool = False) -> None:
        if not isinstance(sampler, EpochSampler):
            raise TypeError(
                f"sampler must be an EpochSampler, got {type(sampler).__name__}: for another "
                "sampler use torch.utils.data.BatchSampler"
            )
        sampler._refuse_blocked()
        self.sampler = sampler
        sampler._in_batches = True
        self.batch_size: int | None = _check.integer("batch_size", batch_size, 1)
        self._drop_last = _check.flag("drop_last", drop_last)

    @property
    def drop_last(self) -> bool:
        """Whether an incomplete batch, or an incomplete round of batches, is excluded."""
        # accelerate shards by it. Lightning checks whether it exists, and if so calls
        # `type(self)(SequentialSampler(dataset), batch_size=..., drop_last=False)` to predict, and
        # the same around a DistributedSampler to train: another order, or arguments that a class
        # does not take. Both read this name on this object, so the answer depends on the caller.
        asker = sys._getframe(1).f_globals.get("__name__", "")
        if asker.partition(".")[0] in _REBUILDING:
            raise AttributeError("drop_last is hidden from Lightning, which would rebuild by it")
        return self._drops()

    def _drops(self) -> bool:
        return self._drop_last

    # ------------------------------------------------------------------ what a method may change

    def _cuts(self, epoch: int, start: int = 0) -> Cuts:
        """Return the batches of an epoch from a position."""
        draws = self.sampler.draws(epoch)
        return EqualCuts(draws, int(self.batch_size or 1), start, drop_last=self._drop_last)

    # ------------------------------------------------------------------ order

    def __iter__(self) -> Iterator[list[int]]:
        """Yield this rank's batches, lists of Python ints, from the position of a resume."""
        if sys._getframe(1).f_globals.get("__name__") in _BATCHING:
            warnings.warn(
                f"a BatchSampler makes batches of the batches of {type(self).__name__}: pass it to "
                "DataLoader as batch_sampler=, without batch_size, or with batch_size=None as "
                "sampler= to fetch whole batches",
                stacklevel=2,
            )
        return EpochIterator.over(self, self._pass())

    def _arrays(self) -> Iterator[Indices]:
        """Return an iterator over the same batches as int64 arrays, with the same position."""
        dealt: Pass[Any] = self._pass()
        dealt.arrays = True
        return EpochIterator.over(self, dealt)

    def _pass(self) -> Pass[list[int]]:
        sampler = self.sampler
        plan, doubt = sampler._begin()
        cuts = self._cuts(plan.epoch, sampler._position.start)
        left = cuts.whole and not sampler._is_over(plan)
        count = self._share(cuts.count if left else 0)
        return Batches(plan, cuts, sampler.rank, sampler.num_replicas, count, doubt)

    def _begun(self, dealt: Pass[Any]) -> None:
        self.sampler._begun(dealt)

    @told
    def batches(self, epoch: int, start: int = 0, stop: int | None = None) -> list[list[int]]:
        """Return batches `start` to `stop` of an epoch's global order, whatever the rank.

        Parameters
        ----------
        epoch : int
            Any epoch of a static sampler; of a dynamic one only the epoch that is planned.
        start, stop : int, default 0 and the number of batches
            0 <= start <= stop <= number of batches, summed over all ranks.

        Returns
        -------
        list of list of int
        """
        epoch = _check.epoch(epoch)
        cuts = self._cuts(epoch)
        stop = cuts.whole if stop is None else _check.integer("stop", stop, 0, cuts.whole + 1)
        start = _check.integer("start", start, 0, stop + 1)
        return cut(self.sampler._plan(epoch), cuts, np.arange(start, stop, dtype=np.int64))

    # ------------------------------------------------------------------ length

    def _share(self, batches: int) -> int:
        """Return how many of the batches that remain belong to this rank."""
        rank, world = self.sampler.rank, self.sampler.num_replicas
        if self.sampler._options.pad:
            return -(-batches // world)
        return max(0, -(-(batches - rank) // world))

    @told
    def length(self, epoch: int) -> int:
        """Return this rank's number of batches in an epoch; if dynamic, in the planned one."""
        return self._share(self._cuts(_check.epoch(epoch)).whole)

    def __len__(self) -> int:
        """Return this rank's number of batches in the current epoch, whether resumed or not."""
        return self.length(self.sampler.epoch)

    @property
    def remaining(self) -> int:
        """Number of batches of this rank from the position of a resume to the end of the epoch."""
        return self._share(self._cuts(self.sampler.epoch, self.sampler._position.start).count)

    @told
    def consumed_after(self, num_batches: int) -> int:
        """Return the draws trained on after each rank took `num_batches` batches of this pass.

        Parameters
        ----------
        num_batches : int
            Batches that the training loop took since the pass began.

        Returns
        -------
        int
            For `state_dict(consumed=...)`: summed over all ranks, from the start of the epoch.
        """
        num_batches = _check.integer("num_batches", num_batches, 0)
        cuts = self._cuts(self.sampler.epoch, self.sampler._position.start)
        return cuts.position(num_batches * self.sampler.num_replicas)

    # ------------------------------------------------------------------ state

    @told
    def state_dict(self, consumed: int | None = None) -> dict[str, Any]:
        """Return the position of the run, as the sampler does; see `EpochSampler.state_dict`."""
        return self.sampler.state_dict(consumed)

    def state_at_start(self, epoch: int) -> dict[str, Any]:
        """See `EpochSampler.state_at_start`."""
        return self.sampler.state_at_start(epoch)

    def _state(self, epoch: int, consumed: int, plan: EpochPlan | None) -> dict[str, Any]:
        return self.sampler._state(epoch, consumed, plan)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the position of a saved run; see `EpochSampler.load_state_dict`."""
        self.sampler.load_state_dict(state)

    # ------------------------------------------------------------------ the sampler's own

    @property
    def epoch(self) -> int:
        """The epoch that the next `iter` yields."""
        return self.sampler.epoch

    @property
    def size(self) -> int:
        """N: indices lie in [0, N)."""
        return self.sampler.size

    @property
    def num_samples(self) -> int:
        """Draws in one epoch, summed over all ranks."""
        return self.sampler.num_samples

    @property
    def num_epochs(self) -> int | None:
        """Length of the run; None if the sampler does not know it."""
        found: int | None = getattr(self.sampler, "num_epochs", None)
        return found

    @property
    def dynamic(self) -> bool:
        """Whether an epoch depends on recorded losses."""
        return self.sampler.dynamic

    @property
    def covers_dataset(self) -> bool:
        """Whether `size` is the length of the dataset."""
        return self.sampler.covers_dataset

    @property
    def seed(self) -> int:
        """Seed of the sampler."""
        return self.sampler.seed

    @property
    def rank(self) -> int:
        """Which share of the batches this process yields."""
        return self.sampler.rank

    @property
    def num_replicas(self) -> int:
        """Number of ranks that share the epoch."""
        return self.sampler.num_replicas

    @property
    def objective(self) -> str:
        """Which mean training minimises."""
        return self.sampler.objective

    @property
    def process_group(self) -> ProcessGroup | None:
        """The ranks that train together; None = all ranks."""
        return self.sampler.process_group

    @property
    def exposure(self) -> ExposureCounter | None:
        """The counter of every sample trained on."""
        return self.sampler.exposure

    @property
    def num_nonfinite(self) -> int:
        """Number of losses recorded so far that were NaN or infinite."""
        return self.sampler.num_nonfinite

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the sampler; see `EpochSampler.set_epoch`."""
        self.sampler.set_epoch(epoch)

    def indices(self, epoch: int, start: int = 0, stop: int | None = None) -> Indices:
        """Return draws of an epoch's global order; see `EpochSampler.indices`."""
        return self.sampler.indices(epoch, start, stop)

    def expected_samples(self, num_epochs: int) -> int:
        """Return the draws of a run; see `EpochSampler.expected_samples`."""
        return self.sampler.expected_samples(num_epochs)

    def progress(self, epoch: int, consumed: int = 0, num_epochs: int | None = None) -> float:
        """Return the fraction of the run that is done; see `EpochSampler.progress`."""
        return self.sampler.progress(epoch, consumed, num_epochs)

    def metrics(self, groups: ArrayLike | None = None) -> dict[str, float]:
        """Return figures of the planned epoch; see `EpochSampler.metrics`."""
        return self.sampler.metrics(groups)

    def weights_for(self, indices: Any) -> Any:  # as the sampler's
        """Return the loss weights of samples; see `EpochSampler.weights_for`."""
        return self.sampler.weights_for(indices)

    def importance_weights(self, indices: Any) -> Any:  # as the sampler's
        """Return 1/(N p) of samples; see `EpochSampler.importance_weights`."""
        return self.sampler.importance_weights(indices)

    def record(
        self,
        indices: ArrayLike | torch.Tensor,
        losses: ArrayLike | torch.Tensor,
        *,
        logits: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        groups: ArrayLike | torch.Tensor | None = None,
    ) -> None:
        """Record the losses of a batch; see `EpochSampler.record`."""
        self.sampler.record(indices, losses, logits=logits, labels=labels, groups=groups)

    def reduce(
        self,
        losses: torch.Tensor,
        indices: ArrayLike | torch.Tensor,
        reduction: Reduction = "batch_mean",
        denominator: float | torch.Tensor | None = None,
        *,
        logits: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        groups: ArrayLike | torch.Tensor | None = None,
        weighting: Callable[..., torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Record a batch and return its weighted mean loss; see `EpochSampler.reduce`."""
        return self.sampler.reduce(
            losses,
            indices,
            reduction,
            denominator,
            logits=logits,
            labels=labels,
            groups=groups,
            weighting=weighting,
        )

    def __getattr__(self, name: str) -> Any:
        sampler = self.__dict__.get("sampler")
        hint = f", its sampler has: batches.sampler.{name}" if hasattr(type(sampler), name) else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")


class BlockSampler(EpochSampler):
    """Base class of the samplers inside a `BlockBatchSampler`: their tables include the cuts."""

    blocked = True
    num_batches: int  # the same in every epoch


class BlockBatchSampler(EpochBatchSampler):
    """Base class of batch samplers whose draws are already grouped into batches.

    Parameters
    ----------
    sampler : BlockSampler
        Makes the draws.
    """

    sampler: BlockSampler

    def __init__(self, sampler: BlockSampler, batch_size: int | None) -> None:
        self.sampler = sampler
        sampler._in_batches, sampler._outer = True, type(self).__name__
        self.batch_size = batch_size

    @property
    def num_batches(self) -> int:
        """Number of batches in an epoch, summed over all ranks."""
        return self.sampler.num_batches

    def _cuts(self, epoch: int, start: int = 0) -> Cuts:
        return GivenCuts(self.sampler._plan(epoch).cuts, start)

    def _drops(self) -> bool:
        return self.sampler._options.drop_last

    def length(self, epoch: int) -> int:
        """Return this rank's number of batches in an epoch, which is the same for every epoch."""
        _check.epoch(epoch)
        return self._share(self.num_batches)
