"""What a sampler does with the losses of a batch: it weighs them, and records them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch

from ...distributed import refuse_uneven, uneven
from ...types import Indices
from ...weighting._keywords import keywords_for, warn_behind
from ...weighting._reduction import Reduction, check_reduction, checked_weights, reduce_losses
from ._batch import Batch
from ._options import CheckedOptions
from ._plan import EpochPlan

Weighting = Callable[..., torch.Tensor]


class LossTable(Protocol):
    """A table that losses are recorded in, such as `ScoreTable`."""

    def write(self, rows: Indices | torch.Tensor, losses: torch.Tensor) -> None:
        """Store the losses of a batch, whose rows are checked."""

    def merge(self) -> None:
        """Synchronize what all ranks stored."""


class Recorder:
    """The tables of a sampler, the counter of what it trained on, and the weights of losses.

    Parameters
    ----------
    options : CheckedOptions
        The sampler's: objective, ranks, counter, what happens to losses that are not finite.
    tables : mapping of str to LossTable
        Where losses are recorded; empty for static samplers.

    Attributes
    ----------
    num_nonfinite : int
        Losses that were not finite and that no table counts.
    written : bool
        Whether the losses of any batch have been given.
    """

    def __init__(self, options: CheckedOptions, tables: Mapping[str, LossTable]) -> None:
        self._options = options
        self.tables = dict(tables)
        self._nonfinite: int | torch.Tensor = 0
        self.written = False
        self._compared = -1  # the epoch that a weighting's was last compared with

    @property
    def weighted(self) -> bool:
        """Whether the objective has loss weights."""
        return self._options.objective == "original"

    def record(self, plan: EpochPlan, batch: Batch, values: Mapping[str, torch.Tensor]) -> None:
        """Write the values of a batch to the tables of their names, and count its samples."""
        if isinstance(batch.rows, torch.Tensor):
            plan.loss_weights(batch.rows, weighted=self.weighted)  # counts bad indices
        self._write(batch, values)

    def _write(self, batch: Batch, values: Mapping[str, torch.Tensor]) -> None:
        self.written = True
        for name, each in values.items():
            self.tables[name].write(batch.rows, each)
        if "scores" not in values:  # that table counts them
            self.count_nonfinite(batch.losses)
        if self._options.exposure is not None:
            self._options.exposure.update(batch.rows)

    def reduce(  # noqa: PLR0913  # what `EpochSampler.reduce` was given
        self,
        plan: EpochPlan,
        batch: Batch,
        signals: Callable[[Batch], Mapping[str, torch.Tensor]],
        reduction: Reduction,
        denominator: float | torch.Tensor | None,
        weighting: Weighting | None,
        reason: str,
    ) -> torch.Tensor:
        """Return the weighted mean of a batch, and record it.

        reason : why ranks may have unequal numbers of batches, and the remedy; "" if they have not
        """
        denominator = check_reduction(reduction, denominator)
        group = self._options.process_group
        own = None
        if weighting is not None:
            known = keywords_for(weighting, vars(batch))
            if plan.epoch != self._compared:
                self._compared = plan.epoch
                warn_behind(weighting, plan.epoch)
        with uneven(reason):
            if reduction == "weighted_mean" and denominator is None:
                refuse_uneven("reduction='weighted_mean'", group)
            if weighting is not None:
                found = weighting(batch.losses, **known)
                own = checked_weights(found, batch.losses)
        weights = plan.loss_weights(batch.rows, weighted=self.weighted)
        if weights is not None and weights.device != batch.losses.device:
            weights = weights.to(batch.losses.device, non_blocking=True)
        if own is not None:
            weights = own if weights is None else weights * own
        self._write(batch, signals(batch))
        return reduce_losses(
            batch.losses,
            weights,
            reduction=reduction,
            denominator=denominator,
            drop_nonfinite=self._options.nonfinite == "drop",
            group=group,
        )

    # ------------------------------------------------------------------ losses that are not finite

    @property
    def num_nonfinite(self) -> int:
        """See the class. Synchronizes a device."""
        return int(self._nonfinite)

    def restore_nonfinite(self, count: int) -> None:
        """Set the saved count."""
        self._nonfinite = count

    def count_nonfinite(self, losses: torch.Tensor) -> None:
        """Count losses that are not finite, without synchronizing a device."""
        losses = losses.detach()
        if losses.device.type == "cpu":
            self._nonfinite += losses.numel() - int(torch.isfinite(losses).sum())
        else:
            self._nonfinite = self._nonfinite + (~torch.isfinite(losses)).sum()

    def __getstate__(self) -> dict[str, object]:
        """Exclude the group, which belongs to this process."""
        return {**self.__dict__, "_options": self._options.without_group()}

    # ------------------------------------------------------------------ ranks

    def merge(self) -> None:
        """Synchronize what all ranks recorded; every rank must call it."""
        for table in self.tables.values():
            table.merge()
        if self._options.exposure is not None:
            self._options.exposure.merge()
