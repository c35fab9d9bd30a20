"""Self-paced learning: weights for the easy samples of a batch, a growing share of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch

from .. import _check
from .._check._keywords import told
from ._batch import Batch, refuse_on_host

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

_FORMS = ("hard", "linear", "log")


@told
def self_paced(  # noqa: PLR0913  # one signature for the family
    losses: torch.Tensor,
    *,
    indices: object = None,
    groups: object = None,
    probabilities: object = None,
    state: object = None,
    share: float | None = None,
    threshold: float | None = None,
    form: Literal["hard", "linear", "log"] = "hard",
    at_least: int = 1,
    process_group: ProcessGroup | None = None,
) -> torch.Tensor:
    """Return self-paced weights: positive for samples whose loss is below a threshold, else 0.

    A baseline for label noise and curricula: easy samples first. It excludes rare classes early,
    since they are hard too. A pruning sampler saves the forward pass as well; weights do not.
    Increase the share with `sampler.progress`.

    Parameters
    ----------
    losses : floating tensor of shape (B,)
        Losses that are not finite get weight 0 and are ignored everywhere, see `lin_upper`.
    indices, groups, probabilities, state : ignored
    share : float in (0, 1], optional
        Fraction of the batch of all ranks that counts as easy, rounded up: the threshold is the
        largest loss among them. Pass this or `threshold`.
    threshold : float, optional
        A loss. Increase it each epoch by a factor; above the largest loss the weights of the linear
        and log forms still differ, and become uniform as it grows.
    form : {"hard", "linear", "log"}, default "hard"
        With u = loss / threshold: 1 where u <= 1 (for a `threshold`, u < 1); max(0, 1 - u); or
        log(loss + 1 - threshold) / log(1 - threshold), which requires a threshold in (0, 1). With a
        share the log form applies to losses scaled to a threshold of 1/2, as 1 - log2(1 + u). The
        linear and log forms require losses >= 0.
    at_least : int, default 1
        If no sample of the batch has a positive weight, this many of the easiest get equal weights.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks that form a batch; all of them by default.

    Returns
    -------
    float32 tensor of shape (B,)
        float64 for float64 losses. Mean 1 over the finite losses of all ranks. Equal losses get
        equal weights: with a share, all samples tied at the threshold are included.

    Raises
    ------
    ValueError
        If not exactly one of `share` and `threshold` is given, or a loss is negative where it must
        not be. On a device, where checking would synchronise, such a loss is taken as 0 and its
        weight is NaN.

    Notes
    -----
    Cost
        O(B log B): the losses of all ranks are gathered and sorted. With several ranks on GPUs the
        host waits once per step; otherwise it never waits.
    Gradients
        The weights are detached. Biased towards easy samples until they are uniform.
    Source
        Kumar, Packer, Koller, "Self-Paced Learning for Latent Variable Models", NeurIPS 2010. A
        threshold as a share of the batch, and at_least, are our additions.

    Examples
    --------
    >>> losses = torch.tensor([4.0, 1.0, 3.0, 2.0])
    >>> self_paced(losses, share=0.5)
    tensor([0., 2., 0., 2.])
    >>> self_paced(losses, threshold=4.0, form="linear").round(decimals=3)
    tensor([0.0000, 2.0000, 0.6670, 1.3330])
    """
    form = _check.choice("form", form, _FORMS)
    at_least = _check.integer("at_least", at_least, 1)
    if (share is None) == (threshold is None):
        raise ValueError(f"share or threshold must be given, got {share} and {threshold}")
    limits = {"hard": "(-inf, inf)", "linear": "(0, inf)", "log": "(0, 1)"}[form]
    name = f"threshold of the {form} form"
    limit = None if threshold is None else _check.number(name, threshold, limits)
    part = 1.0 if share is None else _check.number("share", share, "(0, 1]")
    batch = Batch(losses, process_group)
    negative = batch.finite & (batch.values < 0) & (form != "hard")
    refuse_on_host(negative, batch.values, "losses", f">= 0 for the {form} form")
    values = batch.values if form == "hard" else batch.values.clamp(min=0)
    ordered, count = batch.sorted()
    if ordered.numel() == 0:
        return values
    if limit is not None:
        weights = _below(values, limit, form)
    else:
        easy = torch.ceil(part * count.double() - 1e-9).to(torch.int64)
        weights = _below_own(values, _smallest(ordered, easy), form)
    (most,) = batch.largest(weights)
    easiest = _smallest(ordered, torch.minimum(count, torch.full_like(count, at_least)))
    fallback = (values <= easiest).to(values.dtype)
    weights = batch.mean_one(torch.where(most > 0, weights, fallback))
    return torch.where(negative, torch.nan, weights)


def _smallest(ordered: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """Return the k-th smallest of ordered (n,); k, a scalar on the same device, is 1 or more."""
    return torch.take(ordered, (k - 1).clamp(min=0))


def _below(values: torch.Tensor, threshold: float, form: str) -> torch.Tensor:
    """Return the weights (B,) for a given threshold."""
    if form == "hard":
        return (values < threshold).to(values.dtype)
    if form == "linear":
        return (1 - values / threshold).clamp(min=0)
    logs = torch.log(values.clamp(max=threshold) + (1 - threshold))
    return logs / math.log(1 - threshold)


def _below_own(values: torch.Tensor, threshold: torch.Tensor, form: str) -> torch.Tensor:
    """Return the weights (B,) for a threshold that is one of the losses."""
    if form == "hard":
        return (values <= threshold).to(values.dtype)
    # No loss is below a threshold of 0: all weights are 0, and the easiest samples are used.
    u = (values / threshold.clamp(min=torch.finfo(values.dtype).tiny)).clamp(max=1)
    return 1 - u if form == "linear" else 1 - torch.log2(1 + u)
