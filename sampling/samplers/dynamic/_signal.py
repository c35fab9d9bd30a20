"""Scores of a batch: its losses, or the norms of its gradients with respect to the logits."""

from __future__ import annotations

from typing import Literal

import torch

from ...scores import gradient_norm_bound

Signal = Literal["loss", "gradient_norm", "multi_label_gradient_norm"]
SIGNALS = ("loss", "gradient_norm", "multi_label_gradient_norm")


def signal_of(
    signal: str,
    losses: torch.Tensor,
    logits: torch.Tensor | None,
    labels: torch.Tensor | None,
) -> torch.Tensor:
    """Return the score of each sample of a batch: (B,), on its device.

    losses : (B,), checked; logits (B, C) and labels (B,) or (B, C) as given by the user, or None
    """
    if signal == "loss":
        return losses
    if logits is None or labels is None:
        missing = " and ".join(
            name for name, given in (("logits", logits), ("labels", labels)) if given is None
        )
        raise ValueError(
            f"logits and labels must be given to reduce and record for signal={signal!r}, "
            f"got no {missing}"
        )
    norms = gradient_norm_bound(logits, labels, multi_label=signal.startswith("multi_label"))
    if norms.shape != losses.shape:
        raise ValueError(
            f"logits must have a row for each loss, {losses.numel()}, got {norms.numel()}"
        )
    return norms
