"""Log-probabilities of sequences under a model, such as answers under a reference model."""

from __future__ import annotations

from typing import Literal

import torch

from .. import _check
from .._check._keywords import told

_ROWS = 2**24  # logits in float32 at a time


@told
def sequence_log_probs(
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    reduction: Literal["sum", "mean", "none"] = "sum",
    shift: bool = True,
    mask: torch.Tensor | None = None,
    ignore_index: int = -100,
) -> torch.Tensor:
    """Return the log-probability of each sequence under the logits of a language model.

    For preference pairs, the log-probabilities of chosen and rejected answers under the reference
    model are inputs of `sampling.selection.preference_gap`; set the labels of the prompt and of the
    padding to -100, as for training.

    Parameters
    ----------
    logits : floating tensor of shape (B, T, V)
        Of a causal language model.
    labels : int tensor of shape (B, T)
        Token ids in [0, V), or `ignore_index`.
    reduction : {"sum", "mean", "none"}, default "sum"
        The sum over the tokens that are not ignored; their mean, which does not prefer short
        sequences; or each token's.
    shift : bool, default True
        Whether the logits at a position predict the token at the next one, as those of Hugging Face
        models do. False if labels are shifted already.
    mask : bool or int tensor of shape (B, T), optional
        Tokens with False or 0 are ignored too, such as the `attention_mask`; in the positions of
        the labels.
    ignore_index : int, default -100
        Label of tokens that are ignored.

    Returns
    -------
    float32 tensor of shape (B,), or (B, T - 1) with "none" ((B, T) without `shift`)
        On the device of the logits, with gradients if they have any. Ignored tokens have 0; the
        mean of a sequence without tokens is NaN, the sum 0.

    Raises
    ------
    TypeError, ValueError
        If shapes differ, there is no token to predict, or a label that is not ignored is outside
        [0, V) (on a device that is its own error).

    Notes
    -----
    Cost
        O(B T V) time; half-precision logits are widened in parts of 64 MiB, and no array of one-hot
        labels is made.

    Examples
    --------
    >>> logits = torch.tensor([[[0.0, 0.0], [0.0, 50.0], [0.0, 0.0]]])
    >>> labels = torch.tensor([[0, 1, 1]])  # -log 2, then certain
    >>> sequence_log_probs(logits, labels).round(decimals=4)
    tensor([-0.6931])
    >>> sequence_log_probs(logits, labels, reduction="mean").round(decimals=4)
    tensor([-0.3466])
    """
    word = _check.choice("reduction", reduction, ("sum", "mean", "none"))
    shift = _check.flag("shift", shift)
    ignored = _check.integer("ignore_index", ignore_index, -(2**63))
    _refuse_shapes(logits, labels, mask, shift)
    known = labels != ignored
    if mask is not None:
        known = known & mask.to(labels.device).bool()
    if shift:
        logits, labels, known = logits[:, :-1], labels[:, 1:], known[:, 1:]
    known, labels = known.to(logits.device), labels.to(logits.device)
    if labels.is_cpu:
        _refuse_tokens(labels, known, logits.shape[2], shift)
    tokens = torch.where(known, labels, 0)
    step = max(1, _ROWS // max(1, logits.shape[1] * logits.shape[2]))
    parts = [
        _of_tokens(logits[at : at + step], tokens[at : at + step])
        for at in range(0, len(logits), step)
    ]
    # where, because 0 * -inf is NaN
    found = torch.where(known, torch.cat(parts), 0.0)
    if word == "none":
        return found
    total = found.sum(1)
    return total if word == "sum" else total / known.sum(1)


def _of_tokens(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return the log-probability of each token: (b, T, V), (b, T) -> float32 (b, T)."""
    wide = logits.float()
    return wide.gather(2, tokens.unsqueeze(2)).squeeze(2) - wide.logsumexp(2)


def _refuse_shapes(
    logits: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor | None, shift: bool
) -> None:
    for name, each in (("logits", logits), ("labels", labels), ("mask", mask)):
        if each is not None and not isinstance(each, torch.Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(each).__name__}")
    if logits.ndim != 3 or not logits.is_floating_point():  # noqa: PLR2004
        raise ValueError(
            f"logits must be a floating tensor of shape (B, T, V), got {logits.dtype} "
            f"{tuple(logits.shape)}"
        )
    for name, each in (("labels", labels), ("mask", mask)):
        if each is not None and each.shape != logits.shape[:2]:
            raise ValueError(
                f"{name} must have shape {tuple(logits.shape[:2])}, got {tuple(each.shape)}"
            )
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise TypeError(f"labels must hold ints, got {labels.dtype}")
    if not len(logits) or logits.shape[1] < 1 + shift or not logits.shape[2]:
        raise ValueError(
            f"logits must have a token to predict, got shape {tuple(logits.shape)}"
            + (": with shift=True the first is not predicted" if shift else "")
        )


def _refuse_tokens(labels: torch.Tensor, known: torch.Tensor, size: int, shift: bool) -> None:
    wrong = known & ((labels < 0) | (labels >= size))
    if bool(wrong.any()):
        row, at = (int(each) for each in wrong.nonzero()[0])
        raise ValueError(
            f"labels must be in [0, {size}) or ignore_index, got {int(labels[row, at])} in row "
            f"{row}, position {at + shift}"
        )
