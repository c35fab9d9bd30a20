"""A batch that was trained on, checked once: the samples, their losses, and what else was given."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike

from ..._check._keywords import told
from ...scores._table import host_losses
from ...types import Indices
from ...weighting._reduction import check_losses
from ._plan import EpochPlan


@told
@dataclass(frozen=True)
class Batch:
    """The losses of a batch, as `reduce` and `record` received them.

    Attributes
    ----------
    rows : int64 array or tensor of shape (B,)
        Dataset indices: an array on the host, checked, or a tensor on a device.
    indices : int array or tensor of shape (B,)
        The same, as given.
    losses : floating tensor of shape (B,)
        One loss for each sample, with its graph.
    logits : tensor of shape (B, C) or None
        As given.
    labels : tensor of shape (B,) or (B, C), or None
        As given.
    groups : tensor or array of shape (B,), or None
        As given.
    """

    rows: Indices | torch.Tensor
    indices: ArrayLike | torch.Tensor
    losses: torch.Tensor
    logits: torch.Tensor | None = None
    labels: torch.Tensor | None = None
    groups: ArrayLike | torch.Tensor | None = None

    @classmethod
    def of(
        cls,
        plan: EpochPlan,
        indices: ArrayLike | torch.Tensor,
        losses: ArrayLike | torch.Tensor,
        logits: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        groups: ArrayLike | torch.Tensor | None = None,
    ) -> Batch:
        """Return a batch of the samples that a plan draws; raise for anything else."""
        rows = plan.rows_of(indices)
        check_losses(losses, rows)
        return cls(rows, indices, losses, logits, labels, groups)  # type: ignore[arg-type]  # it is a tensor now

    @classmethod
    def recorded(
        cls,
        plan: EpochPlan,
        indices: ArrayLike | torch.Tensor,
        losses: ArrayLike | torch.Tensor,
        logits: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        groups: ArrayLike | torch.Tensor | None = None,
    ) -> Batch:
        """Return the same of losses that need not be a tensor, without a graph."""
        if not isinstance(losses, torch.Tensor):
            losses = torch.from_numpy(host_losses(losses))
        return cls.of(plan, indices, losses, logits, labels, groups)

    def __len__(self) -> int:
        return len(self.rows)
