"""Learning-rate schedules by the progress of the run, for an unknown number of steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from .. import _check
from .._check._keywords import told
from ..errors import StateError


class Progressing(Protocol):
    """What a schedule reads of a sampler or batch sampler."""

    @property
    def epoch(self) -> int: ...  # noqa: D102

    def progress(  # noqa: D102
        self, epoch: int, consumed: int = 0, num_epochs: int | None = None
    ) -> float: ...


@told
class ProgressScheduler:
    """Run any of torch's schedules by the completed fraction of the run, instead of by steps.

    Use it with samplers whose epochs differ in length: a schedule that counts steps ends too late,
    or too early (`OneCycleLR` then raises in the middle of a run). If every epoch has the same
    number of steps, and `num_steps` is that of the run, it is equivalent to the schedule alone.

    Make the schedule for `num_steps` steps, any number near that of the run: it determines the
    resolution. After each optimizer step, call `step` instead of the schedule's own.

    Parameters
    ----------
    scheduler : torch.optim.lr_scheduler.LRScheduler
        In its initial state, and made for `num_steps` steps: OneCycleLR(total_steps=num_steps),
        CosineAnnealingLR(T_max=num_steps), a LambdaLR, a SequentialLR of any of them, ...
    num_steps : int
        Number of steps of the schedule at the end of the run.
    sampler : EpochSampler or EpochBatchSampler
        Its `progress` gives the completed fraction of the run.
    num_epochs : int, optional
        Number of epochs in the run; by default the sampler's own, if it has one.

    Attributes
    ----------
    position : int
        Number of steps that the schedule has taken, in [0, num_steps).

    Raises
    ------
    TypeError
        If `scheduler` is not one of torch's, or is ReduceLROnPlateau, which follows a metric.
    ValueError
        If `num_steps` is not the `total_steps` of a OneCycleLR, the schedule is not in its initial
        state, or `num_epochs` is not known.

    Notes
    -----
    Order
        A function of the draws consumed by all ranks: equal on every rank, and after a resume. It
        never moves backward.
    Cost
        Every step of the schedule is run once, `num_steps` in a run.
    Gradients
        Unchanged.

    In Lightning, `LambdaLR(optimizer, lambda step: factor(callback.progress))` with the
    `LightningSamplerCallback` is equivalent; with `SamplerTrainerMixin` the schedules of the
    Hugging Face Trainer follow the completed epochs if the number of steps is an estimate.

    Examples
    --------
    >>> import torch
    >>> from sampling.samplers import DynamicRandomSampler
    >>> sampler = DynamicRandomSampler(8, num_epochs=2, anneal_fraction=0.0)  # 8 draws, then 4
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> linear = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 8)
    >>> schedule = ProgressScheduler(linear, num_steps=8, sampler=sampler)
    >>> for epoch in range(2):
    ...     sampler.set_epoch(epoch)
    ...     for batch in range(1, len(sampler) // 2 + 1):
    ...         optimizer.step()
    ...         schedule.step(sampler.consumed_after(batch, batch_size=2))
    ...     print(schedule.position, schedule.get_last_lr())
    4 [0.5]
    7 [0.125]
    """

    def __init__(
        self,
        scheduler: LRScheduler,
        num_steps: int,
        sampler: Progressing,
        num_epochs: int | None = None,
    ) -> None:
        if isinstance(scheduler, ReduceLROnPlateau) or not isinstance(scheduler, LRScheduler):
            raise TypeError(
                "scheduler must be a schedule of torch that counts steps, got "
                f"{type(scheduler).__name__}"
            )
        self.num_steps = _check.integer("num_steps", num_steps, 1)
        total = getattr(scheduler, "total_steps", num_steps)
        if total != num_steps:
            raise ValueError(
                f"num_steps must be the scheduler's total_steps, {total}, got {num_steps}"
            )
        begun = getattr(scheduler, "last_epoch", 0)
        if begun != 0:
            raise ValueError(f"scheduler must be at its beginning, step 0, got step {begun}")
        sampler.progress(sampler.epoch, 0, num_epochs)  # refuses a run of unknown length
        self.scheduler = scheduler
        self.position = 0
        self._sampler = sampler
        self._num_epochs = num_epochs

    def step(self, consumed: int, epoch: int | None = None) -> None:
        """Advance the schedule to the progress of the run; call it after each optimizer step.

        Parameters
        ----------
        consumed : int
            Draws of the epoch that were trained on, summed over all ranks: `consumed_after` of the
            sampler.
        epoch : int, optional
            Current epoch; by default the sampler's.
        """
        epoch = self._sampler.epoch if epoch is None else epoch
        done = self._sampler.progress(epoch, consumed, self._num_epochs)
        # The last step of a schedule of n is number n - 1. In a longer run the rate stays there:
        # one step further a OneCycleLR may be negative, and then raises.
        target = min(math.floor(done * self.num_steps + 1e-6), self.num_steps - 1)
        while self.position < target:
            self.scheduler.step()
            self.position += 1

    def get_last_lr(self) -> list[Any]:
        """Return the learning rate of each parameter group, as set by the schedule.

        Returns
        -------
        list of float or tensor
        """
        return self.scheduler.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """Return the position and the state of the schedule, without that of the optimizer."""
        return {
            "position": self.position,
            "num_steps": self.num_steps,
            "scheduler": self.scheduler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the position of a saved run.

        Parameters
        ----------
        state : mapping
            Result of `state_dict`. Load the optimizer's state too, which holds the rates.

        Raises
        ------
        StateError
            If the state has another `num_steps`.
        """
        if state["num_steps"] != self.num_steps:
            raise StateError(
                f"state must have num_steps {self.num_steps}, got {state['num_steps']}"
            )
        self.scheduler.load_state_dict(state["scheduler"])
        self.position = state["position"]
