"""Batches whose size may change during training."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np

from ... import _check
from ..._check._keywords import told
from ..core._cuts import EqualCuts
from ..core._epoch_sampler import EpochSampler
from ..core._passes import Doubt, Pass, cut
from ..core._plan import EpochPlan
from ._epoch_batches import EpochBatchSampler


@told
class AdaptiveBatchSampler(EpochBatchSampler):
    """Cut a sampler's epoch into batches of a size that may change during training.

    Use it to let the batch grow when gradient noise dominates: `suggest_batch_size` gives the size.
    If the size never changes, `EpochBatchSampler` yields the same batches at a lower cost.

    Parameters
    ----------
    sampler : EpochSampler
        Any sampler of this package, with its seed and its ranks; see `EpochBatchSampler`.
    batch_size : int
        Draws in a batch of one rank, until `set_batch_size` changes it.
    drop_last : bool, default False
        Exclude the last batches of an epoch if one of them is short.

    Attributes
    ----------
    current_batch_size : int
        Size of the next batch.
    batch_size : None
        None because sizes vary: accelerate loses data if it finds a number here.

    Notes
    -----
    Order
        The draws and their order are the sampler's, whatever the sizes: only the cuts change. In
        each round, counted from its first draw, rank r takes the r-th batch.
    Cost
        About 10 us a batch, and 8 bytes for each batch yielded in the epoch.
    Gradients
        The sampler's. A larger batch does not imply a larger step: scaling the learning rate is
        left to the user, and schedules should use `progress`, which counts samples.
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
        """Set the size of the batches that are not yet yielded.

        A loader with workers has already fetched up to num_workers * prefetch_factor batches of the
        old size. Every rank must set the same size after the same step: the ranks do not
        communicate. `len` assumes the current size for the whole epoch, so it changes too.

        Parameters
        ----------
        batch_size : int
        """
        self.current_batch_size = _check.integer("batch_size", batch_size, 1)

    def _cuts(self, epoch: int, start: int = 0) -> EqualCuts:
        return self._cut(self.sampler.draws(epoch), start)

    def _cut(self, draws: int, start: int) -> EqualCuts:
        return EqualCuts(draws, self.current_batch_size, start, drop_last=self._drop_last)

    def _pass(self) -> Pass[list[int]]:
        plan, doubt = self.sampler._begin()
        self._ends = array("q")
        found = Rounds(self, plan, self.sampler._position.start, self._ends, doubt)
        found.over = self.sampler._is_over(plan)
        return found

    def consumed_after(self, num_batches: int) -> int:
        """Return the draws trained on after each rank took `num_batches` batches of this pass.

        Parameters
        ----------
        num_batches : int
            Batches that the training loop took since the pass began; at most those yielded.

        Returns
        -------
        int
            For `state_dict(consumed=...)`: summed over all ranks, from the start of the epoch.
        """
        num_batches = _check.integer("num_batches", num_batches, 0, len(self._ends) + 1)
        return self._ends[num_batches - 1] if num_batches else self.sampler._position.start

    def state_dict(self, consumed: int | None = None) -> dict[str, Any]:
        """Return the position of the run and the batch size; see `EpochSampler.state_dict`."""
        return {**super().state_dict(consumed), "batch_size": self.current_batch_size}

    def _state(self, epoch: int, consumed: int, plan: EpochPlan | None) -> dict[str, Any]:
        return {**super()._state(epoch, consumed, plan), "batch_size": self.current_batch_size}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the position of a saved run, and its batch size if the state holds one."""
        size = state.get("batch_size", self.current_batch_size)
        size = _check.integer("batch_size of the state", size, 1)
        super().load_state_dict(state)
        self.current_batch_size = size


class Rounds(Pass[list[int]]):
    """Batches that are cut one at a time, on request."""

    def __init__(
        self,
        batches: AdaptiveBatchSampler,
        plan: EpochPlan,
        start: int,
        ends: array[int],
        doubt: Doubt = None,
    ) -> None:
        super().__init__(plan, doubt)
        self.over = False  # True if the epoch is exhausted
        self._batches = batches
        self._start = start
        self._ends = ends

    @property
    def count(self) -> int:
        """Number of batches of this rank in the pass, if the size does not change again."""
        if self.over:
            return 0
        return self._made + self._batches._share(self._ahead().count)

    def _ahead(self) -> EqualCuts:
        at = self._ends[-1] if self._ends else self._start
        return self._batches._cut(self.plan.table.size, at)

    def _next_items(self) -> list[list[int]]:
        ahead, sampler = self._ahead(), self._batches.sampler
        found = cut(self.plan, ahead, np.array([sampler.rank]), arrays=self.arrays)
        self._ends.append(ahead.position(sampler.num_replicas))
        return found

    @property
    def consumed(self) -> int:
        """See `Pass`."""
        return self._ends[self.taken - 1] if self.taken else self._start
