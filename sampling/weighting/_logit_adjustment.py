"""Logit adjustment: the logarithms of the class shares are added to the logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike

from .. import _check
from .._check._keywords import told
from ._class_weights import classes_of, counts_of

_REMEDY = "add a pseudo-count, such as counts + 1, or remove the class from the model"


@told
def logit_adjustment(
    logits: torch.Tensor,
    counts: ArrayLike | Mapping[int, float] | torch.Tensor,
    *,
    tau: float = 1.0,
    form: Literal["loss", "post_hoc"] = "loss",
) -> torch.Tensor:
    """Return logits adjusted by the class shares, for the loss or for predictions.

    Recommended for long tails: in the benchmark of this package it has the highest accuracy of all
    balancers that train on every sample once. Compute the loss of the adjusted logits, and predict
    with the plain ones:

        losses = F.cross_entropy(logit_adjustment(logits, counts), labels, reduction="none")

    form="post_hoc" corrects a model that was trained without: predict by the argmax of
    `logit_adjustment(logits, counts, form="post_hoc")`. Use one of the two, not both.

    Parameters
    ----------
    logits : floating tensor of shape (..., C), (B, 1) or (B,)
        Before the softmax. Of one output, the log odds of class 1 of two.
    counts : array-like of shape (C,) or mapping
        Number of samples of each class, or its share; > 0. As a tensor on the device of the logits
        it is neither copied nor checked in each step.
    tau : float >= 0, default 1.0
        Factor on the logarithms; 1 is the Bayes-optimal one for the balanced error.
    form : {"loss", "post_hoc"}, default "loss"
        Whether the logarithms are added, for the loss, or subtracted, for predictions.

    Returns
    -------
    floating tensor of the shape of logits
        At least float32.

    Raises
    ------
    ValueError
        If a count is 0, negative or not finite, or the counts are not as many as the classes.

    Notes
    -----
    Cost
        O(B C).
    Gradients
        Through the logits. form="loss" with tau = 1 is `balanced_softmax`.
    Source
        Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021, arXiv:2007.07314.

    Examples
    --------
    >>> logits = torch.tensor([[1.0, 1.0]])
    >>> logit_adjustment(logits, [90, 10]).softmax(1)
    tensor([[0.9000, 0.1000]])
    >>> logit_adjustment(logits, [90, 10], form="post_hoc").softmax(1)
    tensor([[0.1000, 0.9000]])
    """
    tau = _check.number("tau", tau, "[0, inf)")
    sign = 1.0 if _check.choice("form", form, ("loss", "post_hoc")) == "loss" else -1.0
    if not isinstance(logits, torch.Tensor):
        raise TypeError(f"logits must be a tensor, got {type(logits).__name__}")
    if not logits.is_floating_point() or logits.ndim == 0:
        raise TypeError(
            f"logits must be floating of shape (..., C), got {logits.dtype} of shape "
            f"{tuple(logits.shape)}"
        )
    one = logits.ndim == 1 or logits.shape[-1] == 1
    shift = tau * _log_shares(counts, 2 if one else logits.shape[-1], logits)
    shift = shift[1] - shift[0] if one else shift
    return logits + sign * shift


def _log_shares(
    counts: ArrayLike | Mapping[int, float] | torch.Tensor, classes: int, logits: torch.Tensor
) -> torch.Tensor:
    """Return the logarithms of the class shares, float32 (C,), on the device of the logits."""
    if isinstance(counts, torch.Tensor) and counts.device == logits.device and not counts.is_cpu:
        if counts.shape != (classes,):
            raise ValueError(f"counts must have shape ({classes},), got {tuple(counts.shape)}")
        known = counts.float()
        return torch.log(known / known.sum())
    named = _check.named("counts", counts) is not None
    found = counts_of(counts, classes if named else None, remedy=_REMEDY)
    if found.size != classes:
        raise ValueError(f"counts must be {classes}, one for each class, got {found.size}")
    logs = np.log(found / found.sum()).astype(np.float32)
    return torch.from_numpy(logs).to(logits.device, non_blocking=True)


@told
def balanced_softmax(
    logits: torch.Tensor,
    labels: torch.Tensor,
    counts: ArrayLike | Mapping[int, float] | torch.Tensor,
) -> torch.Tensor:
    """Return the balanced softmax losses: cross-entropies in which class c counts n_c times.

    The loss of `logit_adjustment` at tau = 1, under the name of another paper; predict with the
    plain logits.

    Parameters
    ----------
    logits : floating tensor of shape (B, C)
    labels : int tensor of shape (B,)
        Class of each sample; the loss of -100 is 0.
    counts : array-like of shape (C,) or mapping
        See `logit_adjustment`.

    Returns
    -------
    floating tensor of shape (B,)
        -log(n_y exp(z_y) / sum_c n_c exp(z_c)).

    Raises
    ------
    ValueError
        As for `logit_adjustment`; if a label is not in [0, C).

    Notes
    -----
    Cost
        O(B C).
    Gradients
        Through the logits.
    Source
        Ren et al., "Balanced Meta-Softmax for Long-Tailed Visual Recognition", NeurIPS 2020,
        arXiv:2007.10740.

    Examples
    --------
    >>> balanced_softmax(torch.zeros(2, 2), torch.tensor([0, 1]), [90, 10]).exp()
    tensor([ 1.1111, 10.0000])
    """
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or logits.shape[1] < 2:  # noqa: PLR2004
        shape = tuple(getattr(logits, "shape", ()))
        raise ValueError(f"logits must be a tensor of shape (B, C), C >= 2, got shape {shape}")
    classes_of(labels, logits.new_empty(len(logits)), logits.shape[1])
    adjusted = logit_adjustment(logits, counts)
    return torch.nn.functional.cross_entropy(adjusted, labels, reduction="none")
