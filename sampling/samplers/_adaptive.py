"""Batches whose size may change while training goes on."""

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import _check
from .._keywords import told
from ._base import EpochSampler
from ._batches import EpochBatchSampler
from ._cuts import EqualCuts
from ._iterate import Doubt, Pass
from ._plan import Plan


@told
class AdaptiveBatchSampler(EpochBatchSampler):
    """Cut a sampler's epoch into batches of a size that training may change as it goes.

    Use it to let the batch grow when gradient noise dominates: `suggest_batch_size` says how far.
    If the size never changes, `EpochBatchSampler` deals the same batches with less work a batch.

    Parameters
    ----------
    sampler : EpochSampler
        Any sampler of this package, with its seed and its ranks; see `EpochBatchSampler`.
    batch_size : int
        Draws in a batch of one rank, until `set_batch_size`.
    drop_last : bool, default False
        Leave out the last batches of an epoch if one of them is short.

    Attributes
    ----------
    current_batch_size : int
        What the next batch will be cut to.
    batch_size : None
        Sizes vary, and accelerate loses data if it finds a number here.

    Notes
    -----
    Order
        The draws and their order are the sampler's, whatever the sizes: only the cuts change. In
        each round rank r takes the r-th batch from where the round began.
    Cost
        About 10 us a batch, and 8 bytes for each batch handed out in the epoch.
    Gradients
        The sampler's. A larger batch is not a larger step: scaling the learning rate is left to the
        user, and schedules should run on `progress`, which counts samples.
    Source
        The size as a function of gradient noise: Lau, Liu, Kolar, "AdAdaGrad: Adaptive Batch Size
        Schemes for Adaptive Gradient Methods", arXiv:2402.11215, 2024.

    Examples
    --------
    >>> from sampling.samplers import ShuffleSampler
    >>> batches = AdaptiveBatchSampler(ShuffleSampler(10), batch_size=2)
    >>> sizes = []
    >>> for batch in batches:
    ...     sizes.append(len(batch))
    ...     batches.set_batch_size(4)
    >>> sizes
    [2, 4, 4]
    """

    def __init__(self, sampler: EpochSampler, batch_size: int, drop_last: bool = False) -> None:
        super().__init__(sampler, batch_size, drop_last)
        self.current_batch_size = int(self.batch_size or 1)
        self.batch_size = None
        self._ends = array("q")  # position after each round of the running pass

    def set_batch_size(self, batch_size: int) -> None:
        """Choose the size of the next batch that is not yet handed out, and of those after it.

        A loader with workers has up to num_workers * prefetch_factor batches of the old size under
        way. Every rank must choose the same size after the same step: nothing is exchanged.
        `len` assumes the current size for the whole epoch, so it changes too.

        Parameters
        ----------
        batch_size : int
        """
        self.current_batch_size = _check.integer("batch_size", batch_size, 1)

    def _cuts(self, epoch: int, start: int = 0) -> EqualCuts:
        return self._cut(self.sampler._draws(epoch), start)

    def _cut(self, draws: int, start: int) -> EqualCuts:
        return EqualCuts(draws, self.current_batch_size, start, drop_last=self._drop_last)

    def _pass(self) -> Pass[list[int]]:
        plan, doubt = self.sampler._begin()
        self._ends = array("q")
        found = Rounds(self, plan, self.sampler._start, self._ends, doubt)
        found.over = self.sampler._is_over(plan)
        return found

    def consumed_after(self, num_batches: int) -> int:
        """Return the draws trained on once this pass gave `num_batches` batches to each rank.

        Parameters
        ----------
        num_batches : int
            Batches that the training loop took since the pass began; at most those handed out.

        Returns
        -------
        int
            For `state_dict(consumed=...)`: all ranks together, since the epoch began.
        """
        num_batches = _check.integer("num_batches", num_batches, 0, len(self._ends) + 1)
        return self._ends[num_batches - 1] if num_batches else self.sampler._start

    def state_dict(self, consumed: int | None = None) -> dict[str, Any]:
        """Return where the run stands, with the current size; see `EpochSampler.state_dict`."""
        return {**super().state_dict(consumed), "batch_size": self.current_batch_size}

    def _state(self, epoch: int, consumed: int, plan: Plan | None) -> dict[str, Any]:
        return {**super()._state(epoch, consumed, plan), "batch_size": self.current_batch_size}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where a saved run stood, and to its size if the state holds one."""
        size = state.get("batch_size", self.current_batch_size)
        size = _check.integer("batch_size of the state", size, 1)
        super().load_state_dict(state)
        self.current_batch_size = size


class Rounds(Pass[list[int]]):
    """One batch at a time, cut when it is asked for."""

    def __init__(
        self,
        batches: AdaptiveBatchSampler,
        plan: Plan,
        start: int,
        ends: "array[int]",
        doubt: Doubt = None,
    ) -> None:
        super().__init__(plan, doubt)
        self.over = False  # nothing is left of the epoch
        self._batches = batches
        self._start = start
        self._ends = ends

    @property
    def count(self) -> int:
        """Batches of this rank in the pass, if the size stays."""
        if self.over:
            return 0
        return self._made + self._batches._share(self._ahead().count)

    def _ahead(self) -> EqualCuts:
        at = self._ends[-1] if self._ends else self._start
        return self._batches._cut(self.plan.table.size, at)

    def _deal(self) -> list[list[int]]:
        ahead, sampler = self._ahead(), self._batches.sampler
        (start,), (stop,) = ahead(np.array([sampler.rank]))
        self._ends.append(ahead.position(sampler.num_replicas))
        return [self.plan.draws(np.arange(start, stop)).tolist()]

    @property
    def consumed(self) -> int:
        """See `Pass`."""
        return self._ends[self.taken - 1] if self.taken else self._start
