"""Group loss scaling: larger weights for groups of larger loss, within each batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from numpy.typing import ArrayLike

from .. import _check
from .._check._keywords import told
from ..distributed import all_reduce_sum
from ._batch import Batch, rows_of

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


@told
def group_loss_scaling(  # noqa: PLR0913  # one signature for the family
    losses: torch.Tensor,
    *,
    indices: object = None,
    groups: torch.Tensor | ArrayLike | None = None,
    probabilities: object = None,
    state: object = None,
    num_groups: int,
    form: Literal["identity", "error_bound"] = "identity",
    coefficient: float = 0.5,
    temperature: float = 1.0,
    gamma: float = 1.0,
    process_group: ProcessGroup | None = None,
) -> torch.Tensor:
    """Return weights that increase with the mean loss of the group, and with the sample's own.

    For replication, where groups (race, gender, site) should be served equally well. `group_dro`
    has a state, and converges to the worst group; these weights are those of one batch. Batches
    should hold all groups: draw them with `ClassBalancedSampler` over the groups. The weights of
    form="identity" are exponential: a sample whose loss is a few temperatures above the others
    takes the whole batch, and training may diverge (it did on texts of 58 classes with the default
    temperature); raise the temperature then, or use "error_bound", whose weights are bounded.

    Parameters
    ----------
    losses : floating tensor of shape (B,)
        Losses that are not finite get weight 0 and are ignored everywhere.
    indices : ignored
    groups : int tensor or array of shape (B,)
        The group of each sample of this batch, in [0, G): `reduce(losses, indices, groups=groups,
        weighting=functools.partial(group_loss_scaling, num_groups=G))`.
    probabilities, state : ignored
    num_groups : int
        G.
    form : {"identity", "error_bound"}, default "identity"
        "identity" (FIS): softmax over the batch of ((1 - coefficient) * loss + coefficient * mean
        loss of the group) / temperature. "error_bound" (FEBS): (mean loss of the group / largest of
        them) ** gamma, the same for all samples of a group; for losses >= 0.
    coefficient : float in [0, 1], default 0.5
        Of form="identity": 0 for weights by sample, 1 for weights by group.
    temperature : float > 0, default 1.0
        Of form="identity": a higher one makes the weights more equal.
    gamma : float >= 0, default 1.0
        Of form="error_bound": 0 gives equal weights.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks that form a batch; all of them by default.

    Returns
    -------
    float32 tensor of shape (B,)
        float64 for float64 losses. Mean 1 over the finite losses of all ranks.

    Raises
    ------
    ValueError
        If groups are missing, of another length or out of range. On a device, where checking would
        synchronise, a sample out of range has weight NaN instead, and belongs to no group.

    Notes
    -----
    Order
        A function of the batch. Groups that it lacks have no effect.
    Cost
        O(B + G), and with several ranks up to three all-reduces; does not wait for a device.
    Gradients
        The weights are detached.
    Source
        After Luo et al., "FairVision: Equitable Deep Learning for Eye Disease Screening via Fair
        Identity Scaling", arXiv:2310.02492, and Tian et al., "FairSeg", ICLR 2024,
        arXiv:2311.02189 (error bound). Differences: an early code of the former trains the group
        terms by gradient descent, which moves them towards the groups of small loss; that of the
        latter scales the predictions of a Dice loss instead, and is NaN if a batch lacks a group.

    Examples
    --------
    >>> losses, groups = torch.tensor([1.0, 1.0, 3.0]), torch.tensor([0, 0, 1])
    >>> group_loss_scaling(losses, groups=groups, num_groups=2, form="error_bound")
    tensor([0.6000, 0.6000, 1.8000])
    >>> group_loss_scaling(losses, groups=groups, num_groups=2).round(decimals=3)
    tensor([0.3200, 0.3200, 2.3610])
    """
    size = _check.integer("num_groups", num_groups, 1)
    form = _check.choice("form", form, ("identity", "error_bound"))
    coefficient = _check.number("coefficient", coefficient, "[0, 1]")
    temperature = _check.number("temperature", temperature, "(0, inf)")
    gamma = _check.number("gamma", gamma, "[0, inf)")
    batch = Batch(losses, process_group)
    ids, inside = rows_of("groups", groups, losses, size)
    batch.finite = batch.finite & inside
    columns = torch.stack([batch.values, torch.ones_like(batch.values)])
    columns = torch.where(batch.finite, columns, 0.0)
    sums = columns.new_zeros((2, size)).index_add_(1, ids, columns)
    totals, counts = all_reduce_sum(sums, process_group).unbind()
    means = totals / counts.clamp(min=1)
    if form == "identity":
        mixed = (1 - coefficient) * batch.values + coefficient * means[ids]
        weights = batch.softmax(mixed / temperature)
    else:
        largest = means.max().clamp(min=torch.finfo(means.dtype).tiny)
        # where all means are 0, equal weights
        ratios = torch.where(means.max() > 0, means.clamp(min=0) / largest, 1.0)
        weights = batch.mean_one(ratios.pow(gamma)[ids])
    return torch.where(inside, weights, torch.nan)
