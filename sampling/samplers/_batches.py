"""Batch samplers: an epoch's draws, cut into batches that ranks are dealt whole.

The draws are a sampler's; a batch sampler adds where they are cut, and nothing else. So order,
resume, scores, weights and `reduce` stay in one place, the sampler inside.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from .. import _check
from .._keywords import told
from ._base import EpochSampler
from ._cuts import Cuts, EqualCuts, GivenCuts
from ._iterate import Batches, EpochIterator, Pass, cut
from ._plan import Plan

# They make a batch sampler anew where it shows `drop_last` beside `batch_size`.
_REBUILDING = {"lightning", "pytorch_lightning", "lightning_fabric"}


@told
class EpochBatchSampler(Sampler[list[int]]):
    """Cut a sampler's epoch into batches: for `DataLoader(batch_sampler=...)`.

    Use it instead of `torch.utils.data.BatchSampler(sampler, ...)`, which hides the sampler's state
    from the loader, and yields at half the speed. `DataLoader(sampler=..., batch_size=...)` is as
    good on one rank; on several, this deals each rank whole batches of the one global order.

    Everything that is not said here is the sampler's: `epoch`, `reduce`, `record`, `weights_for`,
    `indices`, `seed`, `rank`, `num_replicas`, `expected_samples`, `progress`, ...

    Parameters
    ----------
    sampler : EpochSampler
        Any sampler of this package, with its seed and its ranks. Its own `drop_last`, which is
        about single draws, plays no part; its `pad` says whether the front batches of the epoch
        are repeated until every rank has the same number (the default), or ranks stay uneven.
    batch_size : int
        B, draws in a batch of one rank.
    drop_last : bool, default False
        Leave out the last batch if it is short. accelerate, where it shards the batches, then
        leaves out a last round that has not one for each process too.

    Attributes
    ----------
    sampler : EpochSampler
        `set_epoch` there and here are the same.
    batch_size : int or None
        None where sizes vary: accelerate loses data if it finds a number then.
    drop_last : bool
        Hidden from Lightning, which otherwise replaces the sampler to predict.

    Raises
    ------
    TypeError
        If `sampler` is not of this package.

    Notes
    -----
    Order
        Batch b holds draws b B to (b + 1) B of the epoch. Rank r of W takes batches r, r + W, ...;
        a resumed epoch is cut afresh from its position, so that batch size and ranks may have
        changed.
    Cost
        Nothing held; a batch costs what its draws cost.
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
        self.sampler = sampler
        sampler._in_batches = True
        self.batch_size: int | None = _check.integer("batch_size", batch_size, 1)
        self._drop_last = _check.flag("drop_last", drop_last)

    @property
    def drop_last(self) -> bool:
        """Whether what does not fill a batch, or a round of them, is left out."""
        # accelerate shards by it. Lightning asks whether it is there, and if so calls
        # `type(self)(SequentialSampler(dataset), batch_size=..., drop_last=False)` to predict, and
        # the same around a DistributedSampler to train: another order, or arguments that a class
        # does not take. Both ask for this name on this object, so the asker decides.
        asker = sys._getframe(1).f_globals.get("__name__", "")
        if asker.partition(".")[0] in _REBUILDING:
            raise AttributeError("drop_last is hidden from Lightning, which would rebuild by it")
        return self._drops()

    def _drops(self) -> bool:
        return self._drop_last

    # ------------------------------------------------------------------ what a method may change

    def _cuts(self, epoch: int, start: int = 0) -> Cuts:
        """Return the batches of an epoch from a position on."""
        draws = self.sampler._draws(epoch)
        return EqualCuts(draws, int(self.batch_size or 1), start, drop_last=self._drop_last)

    # ------------------------------------------------------------------ order

    def __iter__(self) -> Iterator[list[int]]:
        """Deal this rank's batches, lists of Python ints, from the position of a resume on."""
        return EpochIterator.over(self, self._pass())

    def _pass(self) -> Pass[list[int]]:
        sampler = self.sampler
        plan, doubt = sampler._begin()
        cuts = self._cuts(plan.epoch, sampler._start)
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
            0 <= start <= stop <= number of batches, all ranks together.

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
        """Return how many of the batches still to come are this rank's."""
        rank, world = self.sampler.rank, self.sampler.num_replicas
        if self.sampler._options.pad:
            return -(-batches // world)
        return max(0, -(-(batches - rank) // world))

    @told
    def length(self, epoch: int) -> int:
        """Return this rank's batches in an epoch; of a dynamic sampler, the planned one."""
        return self._share(self._cuts(_check.epoch(epoch)).whole)

    def __len__(self) -> int:
        """Return this rank's batches in the whole current epoch, resumed or not."""
        return self.length(self.sampler.epoch)

    @property
    def remaining(self) -> int:
        """Batches of this rank from the position of a resume to the end of the epoch."""
        return self._share(self._cuts(self.sampler.epoch, self.sampler._start).count)

    @told
    def consumed_after(self, num_batches: int) -> int:
        """Return the draws trained on once this pass gave `num_batches` batches to each rank.

        Parameters
        ----------
        num_batches : int
            Batches that the training loop took since the pass began.

        Returns
        -------
        int
            For `state_dict(consumed=...)`: all ranks together, since the epoch began.
        """
        num_batches = _check.integer("num_batches", num_batches, 0)
        cuts = self._cuts(self.sampler.epoch, self.sampler._start)
        return cuts.position(num_batches * self.sampler.num_replicas)

    # ------------------------------------------------------------------ state

    @told
    def state_dict(self, consumed: int | None = None) -> dict[str, Any]:
        """Return where the run stands: the state of the sampler; see `EpochSampler.state_dict`."""
        return self.sampler.state_dict(consumed)

    def _state(self, epoch: int, consumed: int, plan: Plan | None) -> dict[str, Any]:
        return self.sampler._state(epoch, consumed, plan)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where a saved run stood; see `EpochSampler.load_state_dict`."""
        self.sampler.load_state_dict(state)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever the sampler has
        # Only reached for what is not found here. While unpickling there is no `sampler` yet.
        hidden = name == "drop_last"  # found here, or hidden on purpose
        if name.startswith("_") or hidden or "sampler" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.sampler, name)


class BlockBatchSampler(EpochBatchSampler):
    """The base of batch samplers whose draws come in batches of the method's own making.

    Parameters
    ----------
    sampler : EpochSampler
        Its draw tables bring their cuts, and it has `num_batches`, the same in every epoch.
    """

    def __init__(self, sampler: EpochSampler, batch_size: int | None) -> None:
        self.sampler = sampler
        sampler._in_batches, sampler._outer = True, type(self).__name__
        self.batch_size = batch_size

    def _cuts(self, epoch: int, start: int = 0) -> Cuts:
        return GivenCuts(self.sampler._plan(epoch).table.cuts, start)

    def _drops(self) -> bool:
        return self.sampler._options.drop_last

    def length(self, epoch: int) -> int:
        """Return this rank's batches in an epoch, which is the same for every epoch."""
        _check.epoch(epoch)
        return self._share(self.num_batches)
