"""Group DRO: a weight for each group of samples, which grows while the group's loss is large."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._check._keywords import told
from ..distributed import all_reduce_sum
from ..errors import StateError
from ._batch import Batch, check_saved, rows_of, state_of

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


@told
class GroupWeights:
    """The weights of G groups, which sum to 1; uniform at first.

    Parameters
    ----------
    num_groups : int
        G, at least 1.
    counts : array-like of shape (G,) or mapping, optional
        Number of samples of each group, for the `adjustment` of `group_dro`; at least 1.

    Notes
    -----
    Order
        Every rank updates them from the same sums, so they are equal on all ranks.

    Examples
    --------
    >>> GroupWeights(4).values
    array([0.25, 0.25, 0.25, 0.25], dtype=float32)
    """

    def __init__(
        self, num_groups: int, counts: ArrayLike | Mapping[int, float] | None = None
    ) -> None:
        self.num_groups = _check.integer("num_groups", num_groups, 1)
        self._logs = torch.full((self.num_groups,), -math.log(self.num_groups))
        self._rarity: torch.Tensor | None = None  # 1 / sqrt(count)
        if counts is not None:
            ids = np.arange(self.num_groups)
            known = _check.by_name("counts", counts, ids, "groups", interval="[1, inf)")
            self._rarity = torch.from_numpy(1 / np.sqrt(known)).float()

    @property
    def values(self) -> NDArray[np.float32]:
        """The weights, float32 (G,). Waits for the device."""
        return self._logs.float().exp().cpu().numpy()

    def _update(self, means: torch.Tensor, present: torch.Tensor, step: float) -> torch.Tensor:
        """Multiply the weights of present groups by exp(step * mean); return all weights (G,).

        All weights are normalised to sum to 1, so that those of absent groups decrease as those of
        present groups grow. Without a present group nothing changes.
        """
        logs = self._logs.to(means)
        moved = torch.where(present, logs + step * means, logs)
        moved = moved - torch.logsumexp(moved, 0)
        least = torch.finfo(torch.float32).min  # finite, so that the state can be loaded
        self._logs = torch.where(present.any(), moved.clamp(min=least), logs)
        return self._logs.exp()

    def state_dict(self) -> dict[str, Any]:
        """Return the logarithms of the weights, float32 (G,), the same on every rank."""
        logs = self._logs.float().cpu().numpy().copy()
        return {"kind": "GroupWeights", "num_groups": self.num_groups, "log_weights": logs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a saved run.

        Parameters
        ----------
        state : mapping
            A result of `state_dict`.

        Raises
        ------
        StateError
            If the state is of another kind, of another number of groups, or not finite.
        """
        check_saved(state, self.state_dict(), ("num_groups",))
        logs = np.array(state["log_weights"], np.float32)
        if logs.shape != (self.num_groups,) or not np.isfinite(logs).all():
            raise StateError(
                f"log_weights of the state must be finite and of shape ({self.num_groups},), got "
                f"shape {logs.shape}"
            )
        self._logs = torch.from_numpy(logs)


@told
def group_dro(  # noqa: PLR0913  # one signature for the family
    losses: torch.Tensor,
    *,
    indices: object = None,
    groups: torch.Tensor | ArrayLike | None = None,
    probabilities: object = None,
    state: GroupWeights | None = None,
    step_size: float = 0.01,
    adjustment: float = 0.0,
    process_group: ProcessGroup | None = None,
) -> torch.Tensor:
    """Return group DRO weights: the loss becomes a mean over groups, the worst weighted most.

    A baseline for worst-group accuracy with known groups. Draw the groups evenly
    (`ClassBalancedSampler` over group ids): otherwise the means of rare groups are noisy, and their
    weight decreases in every batch without them. Without strong weight decay or early stopping a
    network fits all groups, and the weights have no effect.

    Parameters
    ----------
    losses : floating tensor of shape (B,)
        Losses that are not finite get weight 0 and are ignored everywhere, see `lin_upper`.
    indices : ignored
    groups : int tensor or array of shape (B,)
        The group of each sample of this batch, in [0, G): `reduce(losses, indices, groups=groups,
        weighting=functools.partial(group_dro, state=state))`. With groups by dataset index:
        `weighting=lambda losses, indices: group_dro(losses, groups=all_groups[indices], ...)`.
    probabilities : ignored
    state : GroupWeights
        Required; updated in place before the weights are computed from it.
    step_size : float >= 0, default 0.01
        Step size of the exponentiated gradient ascent on the group weights.
    adjustment : float >= 0, default 0
        C: the loss of a group with n samples in the data is increased by C / sqrt(n), in batches
        that contain some of them. Requires the `counts` of the state.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks that form a batch; all of them by default.

    Returns
    -------
    float32 tensor of shape (B,)
        q_g n / n_g, for n finite losses in the batch of all ranks and n_g in the group. The mean
        over all ranks is the sum of q over the groups that are present: 1 if all are.

    Raises
    ------
    ValueError
        If groups are missing, of another length or out of range. On a device, where checking would
        synchronise, a sample out of range has weight NaN instead, and belongs to no group.

    Notes
    -----
    Order
        A group without a sample in the batch of all ranks has a loss of 0 there: its weight
        decreases as those of the others grow, so batches of one group change the weights too.
    Cost
        O(B + G), and with several ranks one all-reduce of 2 G numbers; does not wait for a device.
    Gradients
        The weights are detached.
    Source
        Sagawa, Koh, Hashimoto, Liang, arXiv:1911.08731, 2020: q_g <- q_g exp(step_size L_g) / Z,
        loss sum_g q_g L_g, Z over all groups. The released code adds the adjustment to absent
        groups as well.

    Examples
    --------
    Groups have equal weights: the one sample of group 1 has the weight of all three of group 0.

    >>> state = GroupWeights(2)
    >>> losses = torch.ones(4)
    >>> group_dro(losses, groups=torch.tensor([0, 0, 0, 1]), state=state)
    tensor([0.6667, 0.6667, 0.6667, 2.0000])
    """
    step_size = _check.number("step_size", step_size, "[0, inf)")
    adjustment = _check.number("adjustment", adjustment, "[0, inf)")
    held = state_of(state, GroupWeights, "group_dro")
    if adjustment and held._rarity is None:
        raise ValueError(f"adjustment must be 0 without counts in the state, got {adjustment}")
    batch = Batch(losses, process_group)
    ids, inside = rows_of("groups", groups, losses, held.num_groups)
    here = batch.finite & inside
    columns = torch.stack([torch.where(here, batch.values, 0.0), here.to(batch.values.dtype)])
    sums = columns.new_zeros((2, held.num_groups)).index_add_(1, ids, columns)
    totals, counts = all_reduce_sum(sums, process_group).unbind()
    means = totals / counts.clamp(min=1)
    if adjustment and held._rarity is not None:
        held._rarity = held._rarity.to(means)
        means = means + adjustment * held._rarity
    shares = held._update(means, counts > 0, step_size) * (counts.sum() / counts.clamp(min=1))
    return torch.where(inside, torch.where(here, shares[ids], 0.0), torch.nan)
