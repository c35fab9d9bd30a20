"""Reduction of the losses of a batch to a scalar for `backward`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from .. import _check
from ..distributed import all_reduce_sum, world_size

if TYPE_CHECKING:
    import torch.distributed as dist

Reduction = Literal["batch_mean", "weighted_mean"]


def check_losses(losses: object, rows: NDArray[np.int64] | torch.Tensor) -> None:
    """Raise unless losses are a floating tensor of shape (B,), one for each row, B >= 1."""
    if not isinstance(losses, torch.Tensor):
        raise TypeError(f"losses must be a tensor, got {type(losses).__name__}")
    length = rows.numel() if isinstance(rows, torch.Tensor) else rows.size
    if losses.ndim == 0:
        raise ValueError(
            "losses must have shape (B,), got a scalar: compute the loss with reduction='none'"
        )
    if losses.ndim != 1:
        raise ValueError(
            f"losses must have shape (B,), got {tuple(losses.shape)}: "
            "reduce each sample to one loss first, e.g. losses.flatten(1).mean(1)"
        )
    if not losses.is_floating_point():
        raise TypeError(f"losses must be floating, got {losses.dtype}")
    count = losses.numel()
    if count != length or length == 0:
        mixed = 0 < count < length and length % count == 0
        hint = (
            ": mixed samples, such as pairs, have no weights, call losses.mean()" if mixed else ""
        )
        raise ValueError(
            f"losses must be as many as indices and at least 1, got {count} losses for {length} "
            f"indices{hint}"
        )


def check_reduction(
    reduction: str, denominator: float | torch.Tensor | None
) -> float | torch.Tensor | None:
    """Raise for an unknown reduction, and return the checked denominator."""
    reduction = _check.choice("reduction", reduction, ("batch_mean", "weighted_mean"))
    if denominator is None or isinstance(denominator, torch.Tensor):
        return denominator
    return _check.number("denominator", denominator, "(0, inf)")


def checked_weights(weights: object, losses: torch.Tensor) -> torch.Tensor:
    """Return the result of a `weighting` if it is a floating tensor (B,) on the losses' device."""
    if not isinstance(weights, torch.Tensor):
        raise TypeError(f"weighting must return a tensor, got {type(weights).__name__}")
    if weights.shape != losses.shape or not weights.is_floating_point():
        raise ValueError(
            f"weighting must return floating weights of shape {tuple(losses.shape)}, got "
            f"{weights.dtype} of shape {tuple(weights.shape)}"
        )
    return weights


def reduce_losses(
    losses: torch.Tensor,
    weights: torch.Tensor | None,
    *,
    reduction: Reduction,
    denominator: float | torch.Tensor | None,
    drop_nonfinite: bool,
    group: dist.ProcessGroup | None,
) -> torch.Tensor:
    """Return the weighted mean of a batch; `EpochSampler.reduce` documents the options.

    losses  : floating (B,)
    weights : float32 (B,) on the same device, or None if all are 1
    """
    if drop_nonfinite:
        finite = torch.isfinite(losses.detach())
        losses = torch.where(finite, losses, 0.0)
        # Selected, not multiplied: a weight computed from a NaN loss may be NaN as well.
        weights = finite.float() if weights is None else torch.where(finite, weights, 0.0)
        count: float | torch.Tensor = finite.sum().clamp(min=1)
    else:
        count = losses.numel()
    if weights is None and denominator is None and world_size(group) == 1:
        return losses.mean()  # for either reduction, equal to the last bit
    total = losses.sum() if weights is None else (losses * weights).sum()
    if denominator is not None:
        return total * (world_size(group) / denominator)
    if reduction == "batch_mean":
        return total / count
    if weights is None:  # `new_tensor` would copy from the host, and synchronize
        mass = torch.full((), float(losses.numel()), device=losses.device)
    else:
        mass = weights.sum()
    mass = all_reduce_sum(mass.float(), group).clamp(min=torch.finfo(torch.float32).tiny)
    return total * (world_size(group) / mass)
