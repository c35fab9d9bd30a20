"""What is counted of a sampler in a script of the user's own: passes, draws, recorded losses."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import StateError
from ...samplers import EpochSampler
from ...weighting._keywords import keywords_for

_BLOCK = 2**20
Weighting = Callable[..., torch.Tensor]


class _Pass(Protocol):
    """What is asked of a pass over a sampler."""

    plan: Any

    @property
    def count(self) -> int: ...

    @property
    def taken(self) -> int: ...


class Watch:
    """Counts the passes over a sampler, and what its `reduce` and `record` receive.

    Parameters
    ----------
    sampler : EpochSampler
        Whose methods are hooked: nothing that it draws or returns is changed, but for `weighting`.
    weighting : callable, optional
        Weights of the method, which `reduce` multiplies with those of the sampler.
    bench : int, optional
        A process without which the script ends at its next epoch.

    Attributes
    ----------
    draws : int
        Draws of the finished epochs.
    counts : int64 array of shape (N,)
        Draws of each sample in them.
    reduced, recorded, weighed : int
        Rows passed to `reduce`, `record` and `weights_for`.
    most : int
        Most rows of a batch.
    logits : bool
        Whether logits were passed with losses.
    seconds : float
        Time spent on counting.
    reported : bool
        Whether the run has been reported: no pass may follow.
    """

    def __init__(
        self, sampler: EpochSampler, weighting: Weighting | None = None, bench: int | None = None
    ) -> None:
        self.draws = self.reduced = self.recorded = self.weighed = self.most = 0
        self.counts: NDArray[np.int64] = np.zeros(sampler.size, np.int64)
        self.seconds = 0.0
        self.logits = self.reported = False
        self._weighting = weighting
        self._bench = bench
        self._finished: dict[int, int] = {}  # passes of each epoch
        self._open: list[_Pass] = []
        for name in ("_begun", "reduce", "record", "weights_for"):
            sampler.__dict__[name] = _Hook(self, sampler, name)

    @property
    def weighs(self) -> bool:
        """Whether losses were recorded and weighed."""
        return self.reduced > 0 or (self.recorded > 0 and self.weighed > 0)

    @property
    def epochs(self) -> int:
        """Number of epochs of which all draws were consumed."""
        return len(self._finished)

    def _begun(self, sampler: EpochSampler, taken: Any) -> None:
        type(sampler)._begun(sampler, taken)
        if self.reported:
            raise StateError(
                "sampling.bench.report must follow the whole training, got another pass over the "
                "sampler after it"
            )
        self.settle()
        if all(each is not taken for each in self._open):
            self._open.append(taken)
        if self._bench is not None and not _lives(self._bench):
            raise SystemExit("sampling bench has ended, and so does this run of it")

    def settle(self) -> None:
        """Count the passes that have ended."""
        began = time.perf_counter()
        ended = [each for each in self._open if each.taken >= each.count > 0]
        self._open = [each for each in self._open if each.taken < each.count]
        for each in ended:
            plan = each.plan
            self._finished[plan.epoch] = self._finished.get(plan.epoch, 0) + 1
            self.draws += plan.table.size
            for at in range(0, plan.table.size, _BLOCK):
                stop = min(at + _BLOCK, plan.table.size)
                rows = plan.draws(np.arange(at, stop, dtype=np.int64))
                self.counts += np.bincount(rows, minlength=self.counts.size)
        self.seconds += time.perf_counter() - began

    def failure(self, expected: int | None) -> str:
        """Return why the sampler was not consumed to the end of its plan; empty if it was.

        expected : epochs of the plan; None before they are known
        """
        self.settle()
        begun = [each for each in self._open if each.taken > 0]
        cut = [each for each in begun if each.plan.epoch not in self._finished]
        if not self._finished and not cut:
            return (
                "the sampler was never iterated: pass it to the loader, as in DataLoader(dataset, "
                "sampler=sampler), without shuffle=True, and check that the framework keeps it"
            )
        if cut:
            last = cut[-1]
            return (
                f"the sampler must be consumed to the end of every epoch, got {last.taken:,} of "
                f"{last.count:,} draws in epoch {last.plan.epoch}: train for whole epochs, without "
                "a limit of steps or batches"
            )
        again = [epoch for epoch, passes in self._finished.items() if passes > 1]
        if again:
            return (
                f"the sampler must be at another epoch in each pass, got epoch {again[0]} "
                f"{self._finished[again[0]]} times: call sampler.set_epoch(epoch) before each pass"
            )
        found = sorted(self._finished)
        if found != list(range(len(found))):
            return (
                f"the run must begin at epoch 0, got the epochs {found[0]} to {found[-1]}: train "
                "from the beginning, not from a checkpoint"
            )
        if expected is not None and len(found) != expected:
            return (
                f"the sampler must be consumed to the end of its plan of {expected} epochs, got "
                f"{len(found)}: the number of epochs must not depend on results, and must be what "
                "sampling.bench.num_epochs returned if that was called"
            )
        return ""

    def reduce(
        self,
        sampler: EpochSampler,
        losses: torch.Tensor,
        indices: Any,
        *args: Any,
        weighting: Weighting | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        """See `EpochSampler.reduce`; the method's weights are multiplied in."""
        both = _product(self._weighting, weighting)
        found = type(sampler).reduce(sampler, losses, indices, *args, weighting=both, **kwargs)
        self.reduced += self._rows(indices)
        self.logits |= kwargs.get("logits") is not None
        return found

    def record(self, sampler: EpochSampler, indices: Any, *args: Any, **kwargs: Any) -> None:
        """See `EpochSampler.record`."""
        type(sampler).record(sampler, indices, *args, **kwargs)
        self.recorded += self._rows(indices)
        self.logits |= kwargs.get("logits") is not None

    def weights_for(self, sampler: EpochSampler, indices: Any) -> Any:  # as the sampler's
        """See `EpochSampler.weights_for`."""
        found = type(sampler).weights_for(sampler, indices)
        self.weighed += self._rows(indices)
        return found

    def _rows(self, indices: Any) -> int:
        rows = len(indices)
        self.most = max(self.most, rows)
        return rows

    def __getstate__(self) -> dict[str, Any]:
        """Exclude the passes, which belong to this process."""
        return {**self.__dict__, "_open": []}


class _Hook:
    """A method of one sampler that is counted; of a copy of the sampler, its own."""

    def __init__(self, watch: Watch, sampler: EpochSampler, name: str) -> None:
        self._watch, self._sampler, self._name = watch, sampler, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._watch, self._name)(self._sampler, *args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Hook:
        return _Hook(self._watch, copy.deepcopy(self._sampler, memo), self._name)


def with_options(sampler: EpochSampler, **options: Any) -> EpochSampler:
    """Set options of a sampler that a method has built: ranks, `auto_epoch`."""
    changed = replace(sampler._options, **options)
    sampler._options = sampler._recorder._options = changed
    return sampler


def _product(one: Weighting | None, other: Weighting | None) -> Weighting | None:
    if one is None or other is None:
        return one or other

    def both(losses: torch.Tensor, **given: Any) -> torch.Tensor:
        known = keywords_for(one, given), keywords_for(other, given)  # before either is called
        return one(losses, **known[0]) * other(losses, **known[1])

    return both


def _lives(process: int) -> bool:
    """Return whether a process has not ended; True where that cannot be asked."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
