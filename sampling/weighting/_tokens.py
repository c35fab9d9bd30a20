"""Weights from the probability that a model gives the correct token or class.

Functions of the loss of one token only: no batch, no ranks, no state. `tldr` decreases from 2 to 0,
`focal` from 1 to 0; neither is scaled to a mean of 1, so both change the length of a step.
"""

from __future__ import annotations

import math
from typing import Literal

import torch

from .. import _check
from .._check._keywords import told
from ._batch import refuse_on_host


@told
def tldr(  # noqa: PLR0913  # one signature for the family
    losses: torch.Tensor,
    *,
    indices: object = None,
    groups: object = None,
    probabilities: torch.Tensor | None = None,
    state: object = None,
    mask: torch.Tensor | None = None,
    level: Literal["token", "sequence"] = "token",
    detach_weight: bool = False,
) -> torch.Tensor:
    """Return TLDR weights 1 + cos(pi p) for tokens of probability p: 2 at 0, 1 at 1/2, 0 at 1.

    For replication, in sequence models whose frequent tokens are learnt early. For classification
    `focal` is the better known form.

    Parameters
    ----------
    losses : floating tensor of shape (B,) or (B, T)
        Cross-entropy of each token, with reduction="none"; or of each sample. Losses that are not
        finite get weight 0 and no gradient.
    indices, groups : ignored
    probabilities : floating tensor of the shape of losses, optional
        p of each correct token; exp(-losses) by default, which equals p unless labels are smoothed.
    state : ignored
    mask : bool tensor of the shape of losses, optional
        False for padding: weight 0, and excluded from the mean of its sequence.
    level : {"token", "sequence"}, default "token"
        "sequence" gives all tokens of a row the weight of their mean p; requires losses (B, T).
    detach_weight : bool, default False
        False lets the gradient flow through the weight too, as in the released code.

    Returns
    -------
    float32 tensor of the shape of losses
        float64 for float64 losses. In [0, 2], not of mean 1.

    Raises
    ------
    ValueError
        If a loss is negative, or a probability is outside [0, 1], and is not masked. On a device,
        where checking would synchronise, its weight is NaN instead.

    Notes
    -----
    Cost
        O(B T); no communication between ranks, and no waiting for a device.
    Gradients
        Not detached by default: the gradient of w(p) l is w dl + l dw, and dw points in the same
        direction, so steps are even longer. The objective is a different one.
    Source
        Jiang, Wolf, Monz, de Rijke, arXiv:2003.11963, 2020: sum of w l over the number of tokens
        that are not padding. With a sampler that is `reduce((w * losses).sum(1), indices,
        denominator=mask.sum())`, where losses of padding are 0.

    Examples
    --------
    >>> losses = -torch.log(torch.tensor([[0.5, 1.0], [0.5, 0.9]]))
    >>> mask = torch.tensor([[True, True], [True, False]])
    >>> tldr(losses, mask=mask).round(decimals=3)
    tensor([[1., 0.],
            [1., 0.]])
    >>> tldr(losses, mask=mask, level="sequence").round(decimals=3)
    tensor([[0.2930, 0.2930],
            [1.0000, 0.0000]])
    """
    detach_weight = _check.flag("detach_weight", detach_weight)
    missing, counts = _missing(losses, probabilities, mask)
    if _check.choice("level", level, ("token", "sequence")) == "sequence":
        missing = _row_means(missing, counts)
    # 1 + cos(pi p) = 1 - cos(pi (1 - p)) = 2 sin^2(pi (1 - p) / 2): precise near p = 1
    weights = 2 * torch.sin((math.pi / 2) * missing).square()
    return _finished(weights, counts, detach_weight)


@told
def focal(  # noqa: PLR0913  # one signature for the family
    losses: torch.Tensor,
    *,
    indices: object = None,
    groups: object = None,
    probabilities: torch.Tensor | None = None,
    state: object = None,
    gamma: float = 2.0,
    mask: torch.Tensor | None = None,
    level: Literal["token", "sequence"] = "token",
    detach_weight: bool = False,
) -> torch.Tensor:
    """Return focal weights (1 - p)^gamma for tokens or samples of probability p.

    A baseline, for many easy negatives. It does not distinguish rare samples from mislabelled ones:
    both have a small p.

    Parameters
    ----------
    losses : floating tensor of shape (B,) or (B, T)
    indices, groups : ignored
    probabilities : floating tensor of the shape of losses, optional
    state : ignored
    gamma : float >= 0, default 2
        0 gives weights of 1.
    mask : bool tensor of the shape of losses, optional
    level : {"token", "sequence"}, default "token"
    detach_weight : bool, default False
        All others as for `tldr`.

    Returns
    -------
    float32 tensor of the shape of losses
        float64 for float64 losses. In [0, 1], not of mean 1.

    Raises
    ------
    ValueError
        As for `tldr`.

    Notes
    -----
    Cost
        O(B T); no communication between ranks, and no waiting for a device.
    Gradients
        Not detached by default, which gives the focal loss.
    Source
        Lin, Goyal, Girshick, He, Dollar, arXiv:1708.02002, 2017.

    Examples
    --------
    >>> focal(-torch.log(torch.tensor([0.5, 0.9])))
    tensor([0.2500, 0.0100])
    """
    detach_weight = _check.flag("detach_weight", detach_weight)
    gamma = _check.number("gamma", gamma, "[0, inf)")
    missing, counts = _missing(losses, probabilities, mask)
    if _check.choice("level", level, ("token", "sequence")) == "sequence":
        missing = _row_means(missing, counts)
    # The power's slope at 0 is infinite for gamma < 1, and would turn gradients into NaN.
    weights = missing.clamp(min=torch.finfo(missing.dtype).tiny).pow(gamma)
    return _finished(weights, counts, detach_weight)


def _missing(
    losses: torch.Tensor, probabilities: torch.Tensor | None, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return 1 - p, with its gradient, and which tokens count; NaN for a bad one on a device."""
    if not isinstance(losses, torch.Tensor) or not losses.is_floating_point():
        raise TypeError(f"losses must be a floating tensor, got {_kind(losses)}")
    if losses.ndim not in {1, 2}:
        raise ValueError(
            f"losses must have shape (B,) or (B, T), got {tuple(losses.shape)}: use "
            "reduction='none'"
        )
    for name, other in (("probabilities", probabilities), ("mask", mask)):
        if other is not None and tuple(other.shape) != tuple(losses.shape):
            raise ValueError(
                f"{name} must have the shape of losses, {tuple(losses.shape)}, got "
                f"{tuple(other.shape)}"
            )
    counts = torch.isfinite(losses.detach())
    if mask is not None:
        if mask.dtype != torch.bool:
            raise TypeError(f"mask must be bool, got {mask.dtype}")
        counts = counts & mask
    if probabilities is None:
        values = _wide(torch.where(counts, losses, 0.0))
        bad = values.detach() < 0
        refuse_on_host(bad, values.detach(), "losses", ">= 0 where p = exp(-loss)")
        missing = -torch.expm1(-values)
    else:
        if not probabilities.is_floating_point():
            raise TypeError(f"probabilities must be floating, got {probabilities.dtype}")
        values = _wide(torch.where(counts, probabilities, 1.0))
        bad = ~((values.detach() >= 0) & (values.detach() <= 1))
        refuse_on_host(bad, values.detach(), "probabilities", "in [0, 1]")
        missing = 1 - values
    return torch.where(bad, torch.nan, missing), counts


def _row_means(missing: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Return the mean of each row (B, T) over its unmasked tokens, for each of them."""
    if missing.ndim != 2:
        raise ValueError(f"losses must have shape (B, T) for sequences, got {tuple(missing.shape)}")
    sums = torch.where(counts, missing, 0.0).sum(1, keepdim=True)
    return (sums / counts.sum(1, keepdim=True).clamp(min=1)).expand_as(missing)


def _finished(weights: torch.Tensor, counts: torch.Tensor, detach: bool) -> torch.Tensor:
    weights = torch.where(counts, weights, 0.0)
    return weights.detach() if detach else weights


def _wide(values: torch.Tensor) -> torch.Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _kind(value: object) -> str:
    return str(value.dtype) if isinstance(value, torch.Tensor) else type(value).__name__
