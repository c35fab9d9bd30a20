"""The losses of one step on all ranks: the common input of all weighting functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._check import _labels
from ..distributed import all_reduce_max, all_reduce_sum, gather_batch
from ..errors import StateError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

T = TypeVar("T")


class Batch:
    """The losses of this rank, detached and checked, and reductions over those of all ranks.

    values : float32 (B,), float64 if the losses are; 0 where a loss is not finite
    finite : bool (B,)

    Sums and maxima are collective, stay on the device of the losses and ignore losses that are not
    finite. B may be 0: a rank without a sample still takes part in the collective calls.
    """

    def __init__(self, losses: torch.Tensor, group: ProcessGroup | None) -> None:
        check_batch("losses", losses)
        values = losses.detach()
        if values.dtype != torch.float64:
            values = values.float()
        self.finite = torch.isfinite(values)
        self.values = torch.where(self.finite, values, 0.0)
        self.group = group

    def sums(self, *columns: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the sum of each column (B,) over the finite losses of all ranks, scalars."""
        own = torch.stack([torch.where(self.finite, each, 0.0).sum() for each in columns])
        return all_reduce_sum(own, self.group).unbind()

    def largest(self, *columns: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the maximum of each column (B,), as `sums`; -inf if no loss is finite."""
        floor = self.values.new_full((1,), -torch.inf)
        parts = [torch.cat([torch.where(self.finite, each, -torch.inf), floor]) for each in columns]
        return all_reduce_max(torch.stack([part.max() for part in parts]), self.group).unbind()

    def mean_one(self, shares: torch.Tensor) -> torch.Tensor:
        """Return shares (B,), >= 0, scaled to a mean of 1 over the finite losses of all ranks."""
        total, count = self.sums(shares, torch.ones_like(shares))
        tiny = torch.finfo(shares.dtype).tiny
        return torch.where(self.finite, shares, 0.0) * (count / total.clamp(min=tiny))

    def softmax(self, logits: torch.Tensor) -> torch.Tensor:
        """Return exp(logits) (B,) scaled to a mean of 1, without overflow."""
        (top,) = self.largest(logits)
        return self.mean_one(torch.exp(logits - torch.where(torch.isfinite(top), top, 0.0)))

    def sorted(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the losses of all ranks in ascending order, (n,), and how many are finite, ().

        Losses that are not finite are sorted to the end, as inf. With several ranks on GPUs the
        host waits for the device, see `gather_batch`.
        """
        everywhere, _ = gather_batch(torch.where(self.finite, self.values, torch.inf), self.group)
        return everywhere.sort().values, torch.isfinite(everywhere).sum()


def check_batch(name: str, values: torch.Tensor) -> None:
    """Refuse anything but a floating tensor (B,)."""
    if not isinstance(values, torch.Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(values).__name__}")
    if values.ndim != 1:
        shape = "a scalar" if values.ndim == 0 else str(tuple(values.shape))
        remedy = "use reduction='none'"
        if values.ndim > 1:
            remedy = f"reduce each sample to one first, e.g. {name}.flatten(1).mean(1)"
        raise ValueError(f"{name} must have shape (B,), got {shape}: {remedy}")
    if not values.is_floating_point():
        raise TypeError(f"{name} must be floating, got {values.dtype}")


def refuse_on_host(bad: torch.Tensor, values: torch.Tensor, name: str, rule: str) -> None:
    """Refuse values where `bad` and name the first; values on a device are not checked.

    For those the caller returns NaN weights, which show up in the loss.
    """
    if values.is_cpu and bool(bad.any()):
        row = bad.nonzero()[0].tolist()
        place = f"row {row[0]}" if len(row) == 1 else f"position {tuple(row)}"
        raise ValueError(f"{name} must be {rule}, got {float(values[tuple(row)]):g} in {place}")


def rows_of(
    name: str, rows: ArrayLike | torch.Tensor | None, losses: torch.Tensor, high: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids (B,) on the device of the losses, and which of them are in [0, high).

    On the host other ids are refused. On a device they are returned as 0 and False.
    """
    if rows is None:
        raise ValueError(f"{name} must be given, one for each loss, got None")
    ids = rows if isinstance(rows, torch.Tensor) else torch.as_tensor(_ints(name, rows))
    _check.refuse_mask(name, ids)
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        wrong = _check.first_other_than_int(_check.host(ids)) if ids.is_cpu else None
        found = "" if wrong is None else f", with {wrong[1]} in row {wrong[0]}"
        raise TypeError(f"{name} must hold ints, got {ids.dtype}{found}")
    if ids.shape != losses.shape:
        raise ValueError(
            f"{name} must have the shape of losses, {tuple(losses.shape)}, got {tuple(ids.shape)}"
        )
    inside = (ids >= 0) & (ids < high)
    if ids.is_cpu and not bool(inside.all()):
        row = int((~inside).nonzero()[0, 0])
        raise ValueError(f"{name} must be in [0, {high}), got {int(ids[row])} in row {row}")
    ids = torch.where(inside, ids, 0).to(torch.int64)
    device = losses.device
    return ids.to(device, non_blocking=True), inside.to(device, non_blocking=True)


def _ints(name: str, rows: ArrayLike) -> NDArray[Any]:
    """Return ids that may be objects, as from a table, as an array that torch accepts."""
    array = _check.host(rows, name)
    if array.dtype.kind == "O" and array.ndim == 1:
        array = _labels.ids(name, rows)
    if array.dtype.kind in "OTUS":
        _check.refuse_other_than_ints(name, array, _check.NUMBERED)
    return array


def state_of(state: object, kind: type[T], function: str) -> T:
    """Return the state passed to a function, if it is of the required kind."""
    if not isinstance(state, kind):
        raise TypeError(f"state of {function} must be a {kind.__name__}, got {state!r}")
    return state


def check_saved(saved: Mapping[str, Any], own: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Refuse a saved state of another kind, without a key, or that differs in one of `names`.

    saved : argument of `load_state_dict`; own : result of `state_dict` of the receiver
    """
    missing = set(own) - set(saved)
    if missing:
        raise StateError(f"state must have the keys of state_dict(), missing {sorted(missing)}")
    for name in ("kind", *names):
        if saved[name] != own[name]:
            raise StateError(f"{name} of the state must be {own[name]!r}, got {saved[name]!r}")
