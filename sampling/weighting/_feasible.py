"""Feasible learning: a dual multiplier per sample, which grows while its loss exceeds a bound."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._check._keywords import told
from ..distributed import merge_means, world_size
from ..errors import StateError
from ._batch import Batch, check_saved, rows_of, state_of

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


@told
class Duals:
    """One dual multiplier >= 0 for each sample of a dataset, by dataset index.

    A table like `ScoreTable`, but one that each step reads before it writes: it is kept on the
    device of the losses, and moves there with the first batch.

    Parameters
    ----------
    data_source : int or sized
        N, or an object with a length.
    initial : float >= 0, default 0
        Initial value of every multiplier.
    cap : float > 0, optional
        Upper bound of the multipliers. Without it the multiplier of a sample that cannot be fitted,
        such as one with a wrong label, grows without bound.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks that `merge` synchronises; all of them by default.

    Notes
    -----
    Order
        Each rank updates the multipliers of the samples it draws. Ranks synchronise in `merge`,
        which every rank calls once an epoch, next to `set_epoch`. Between merges a sample is drawn
        by one rank; if padding gives it to two, it gets the mean of both.
    Cost
        4 N bytes on the device of the losses; N more with several ranks.

    Examples
    --------
    >>> duals = Duals(3)
    >>> losses = torch.tensor([2.0, 0.5])
    >>> feasible(losses, indices=[2, 0], state=duals, bound=1.0, step_size=0.5)
    tensor([0.5000, 0.0000])
    >>> duals.values
    array([0. , 0. , 0.5], dtype=float32)
    """

    def __init__(
        self,
        data_source: int | Sized,
        *,
        initial: float = 0.0,
        cap: float | None = None,
        process_group: ProcessGroup | None = None,
    ) -> None:
        size = _check.size("data_source", data_source)
        self.cap = None if cap is None else _check.number("cap", cap, "(0, inf)")
        initial = _check.number("initial", initial, "[0, inf)")
        self._group = process_group
        self._ranks = world_size(process_group)
        # One entry more than samples: updates that must be ignored go there, without a branch.
        self._table = torch.full((size + 1,), initial)
        self._touched = torch.zeros(size + 1 if self._ranks > 1 else 0, dtype=torch.bool)

    def __len__(self) -> int:
        return self._table.numel() - 1

    @property
    def values(self) -> NDArray[np.float32]:
        """The multipliers, float32 (N,), a copy. Waits for the device."""
        return self._table[:-1].cpu().numpy().copy()

    def _step(self, ids: torch.Tensor, increments: torch.Tensor) -> torch.Tensor:
        """Add increments (B,) to the multipliers at ids (B,), keep them >= 0, and return them.

        ids may be N, the entry of ignored samples. A sample that occurs twice is updated twice.
        """
        self._table.index_add_(0, ids, increments.to(self._table.dtype))
        after = self._table[ids].clamp(min=0.0, max=self.cap)
        self._table.index_copy_(0, ids, after)
        if self._ranks > 1:
            self._touched.index_fill_(0, ids, True)
        return after

    def _move(self, device: torch.device) -> None:
        if self._table.device != device:
            self._table, self._touched = self._table.to(device), self._touched.to(device)

    def merge(self) -> None:
        """Synchronise the multipliers of all ranks; every rank must call it.

        Call it once an epoch, and before `state_dict`. It waits for the device.
        """
        if self._ranks > 1:
            values, touched = self.values, self._touched[:-1].cpu().numpy().copy()
            merge_means(values, touched, self._group)
            self._table[:-1] = torch.from_numpy(values).to(self._table.device)
            self._touched.zero_()

    def state_dict(self) -> dict[str, Any]:
        """Return the multipliers, float32 (N,), the same on every rank after `merge`.

        Raises
        ------
        ValueError
            If this rank updated some since the last `merge`: the state would lack those of others.
        """
        moved = int(self._touched[:-1].sum())
        if moved:
            raise ValueError(
                f"merge must be called on every rank before state_dict, got {moved} multipliers "
                "moved since the last one"
            )
        return self._saved()

    def _saved(self) -> dict[str, Any]:
        return {"kind": "Duals", "size": len(self), "cap": self.cap, "values": self.values}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the multipliers of a `state_dict`, on every rank.

        Parameters
        ----------
        state : mapping
            A result of `state_dict`.

        Raises
        ------
        StateError
            If the state is of another kind, of another number of samples or cap, or holds a number
            that is not a multiplier.
        """
        check_saved(state, self._saved(), ("size", "cap"))
        values = np.asarray(state["values"], np.float32)
        if values.shape != (len(self),) or not (np.isfinite(values) & (values >= 0)).all():
            raise StateError(
                f"values of the state must be finite, >= 0 and of shape ({len(self)},), got shape "
                f"{values.shape}"
            )
        self._table[:-1] = torch.from_numpy(values.copy()).to(self._table.device)
        self._touched.zero_()


@told
def feasible(  # noqa: PLR0913  # one signature for the family
    losses: torch.Tensor,
    *,
    indices: ArrayLike | torch.Tensor | None = None,
    groups: object = None,
    probabilities: object = None,
    state: Duals | None = None,
    bound: float,
    step_size: float,
    resilience: float | None = None,
    dual_first: bool = True,
    normalise: bool = False,
    process_group: ProcessGroup | None = None,
) -> torch.Tensor:
    """Return the dual multiplier of each sample, which grows while its loss exceeds a bound.

    For replication. The objective is that every loss is at most `bound`, instead of a small mean:
    the multiplier of a sample that is fitted well enough decreases to 0. With wrong labels use
    `resilience` or a cap in the state.

    Parameters
    ----------
    losses : floating tensor of shape (B,)
        Losses that are not finite get weight 0 and cause no update, see `lin_upper`.
    indices : int array or tensor of shape (B,)
        Dataset indices, in [0, N) of the state; `reduce` passes them.
    groups, probabilities : ignored
    state : Duals
        Required; updated in place.
    bound : float
        The largest acceptable loss; for cross-entropy -log of the required probability.
    step_size : float > 0
        Dual step size: multiplier <- max(0, multiplier + step_size * (loss - bound)).
    resilience : float > 0, optional
        alpha of the resilient form, which relaxes the bound at a cost of alpha/2 times the square:
        the step is towards loss - bound - multiplier / alpha, and multipliers stay finite. A
        smaller value relaxes the bound more. By default the bound is not relaxed.
    dual_first : bool, default True
        Return the multipliers after this step. False returns those before it; with multipliers of
        0 the first step of the model is then zero.
    normalise : bool, default False
        Scale the weights to mean 1 over all ranks, so that the learning rate keeps its meaning.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks that form a batch, for `normalise`; all of them by default.

    Returns
    -------
    float32 tensor of shape (B,)
        float64 for float64 losses. The multipliers themselves, not of mean 1, unless `normalise`.
        All are 0 once all losses seen are within the bound.

    Raises
    ------
    ValueError
        If indices are missing, of another length or out of range. On a device, where checking would
        synchronise, a sample out of range has weight NaN instead.

    Notes
    -----
    Order
        Ranks are synchronised by `Duals.merge`.
    Cost
        O(B); does not wait for a device, and communicates only for `normalise`.
    Gradients
        The weights are detached: the model descends on the sum of weight times loss, and the
        multipliers ascend. The solution is a saddle point, not the minimum of a mean, so that the
        gradient is not an unbiased one of any mean loss.
    Source
        Ramirez, Hounie, Elenter, Gallego-Posada, Hashemizadeh, Ribeiro, Lacoste-Julien, "Feasible
        Learning", AISTATS 2025. Its proportional-integral step is not implemented.

    Examples
    --------
    >>> duals = Duals(2)
    >>> for step in range(3):
    ...     weights = feasible(
    ...         torch.tensor([2.0]), indices=[1], state=duals, bound=1.0, step_size=0.5
    ...     )
    >>> weights
    tensor([1.5000])
    """
    dual_first = _check.flag("dual_first", dual_first)
    normalise = _check.flag("normalise", normalise)
    bound = _check.number("bound", bound)
    step_size = _check.number("step_size", step_size, "(0, inf)")
    if resilience is not None:
        resilience = _check.number("resilience", resilience, "(0, inf)")
    duals = state_of(state, Duals, "feasible")
    batch = Batch(losses, process_group)
    ids, inside = rows_of("indices", indices, losses, len(duals))
    duals._move(batch.values.device)
    here = batch.finite & inside
    ids = torch.where(here, ids, len(duals))
    before = duals._table[ids]
    steps = batch.values - bound
    if resilience is not None:
        steps = steps - before / resilience
    after = duals._step(ids, torch.where(here, step_size * steps, 0.0))
    weights = torch.where(here, after if dual_first else before, 0.0).to(batch.values.dtype)
    if normalise:
        weights = batch.mean_one(weights)
    return torch.where(inside, weights, torch.nan)
