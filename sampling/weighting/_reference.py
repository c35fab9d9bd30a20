"""Reference losses of the whole dataset, instead of a batch, for weights by rank."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from .. import _check
from .._check._keywords import told
from ..errors import StateError
from ._batch import check_saved


@told
class LossReference:
    """Reference losses of the dataset, for `cvar`, `extremile` and `esrm` as `state`.

    The ranks within a small batch underestimate the tail, and with it the risk. Ranks among the
    last known losses of all samples, such as the scores of a dynamic sampler, do not depend on the
    batch; they are as old as the last `refresh`.

    Parameters
    ----------
    losses : array-like of shape (N,), optional
        See `refresh`. Without losses all weights are 1.

    Notes
    -----
    Order
        Ranks must refresh from the same numbers, such as the scores of a sampler after `set_epoch`;
        a step needs no communication.
    Cost
        O(N log N) for a refresh, 4 N bytes on the device of the losses.

    Examples
    --------
    >>> from sampling.weighting import cvar
    >>> state = LossReference([1.0, 2.0, 3.0, 4.0])
    >>> cvar(torch.tensor([3.0, 4.0]), state=state)  # both are in the worse half of the data
    tensor([2., 2.])
    >>> cvar(torch.tensor([3.0, 4.0]))
    tensor([0., 2.])
    """

    def __init__(self, losses: ArrayLike | None = None) -> None:
        self._ordered = torch.empty(0)
        if losses is not None:
            self.refresh(losses)

    def __len__(self) -> int:
        return self._ordered.numel()

    def refresh(self, losses: ArrayLike) -> None:
        """Replace the reference losses; call it once an epoch, after `set_epoch`.

        Parameters
        ----------
        losses : float array of shape (N,)
            Such as `sampler.scores`. NaN and infinite ones, as of unseen samples, are ignored.
        """
        values = _check.as_numbers("losses", _check.one_dimensional("losses", losses))
        values = values.astype(np.float32, copy=False)
        self._ordered = torch.from_numpy(np.sort(values[np.isfinite(values)]))

    def _weights(
        self, values: torch.Tensor, spectrum: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """Return the slope of the spectrum (B,) at the rank of each loss in the reference."""
        if len(self) == 0:
            return torch.ones_like(values)
        if self._ordered.device != values.device:
            self._ordered = self._ordered.to(values.device)
        ordered = self._ordered.to(values.dtype)
        below = torch.searchsorted(ordered, values)
        upto = torch.searchsorted(ordered, values, right=True)
        # A loss equal to no other lies between two, and takes half of the position of each.
        half = (upto - below).clamp(min=1) / 2
        middle = (upto + below) / 2
        low = (middle - half).clamp(min=0).double() / len(self)
        high = (middle + half).clamp(max=len(self)).double() / len(self)
        return (spectrum(high) - spectrum(low)) / (high - low)

    def state_dict(self) -> dict[str, Any]:
        """Return the losses in ascending order, float32, the same on every rank."""
        return {"kind": "LossReference", "losses": self._ordered.cpu().numpy().copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the losses of a `state_dict`.

        Parameters
        ----------
        state : mapping
            A result of `state_dict`.

        Raises
        ------
        StateError
            If the state is of another kind, or the losses are not finite and ascending.
        """
        check_saved(state, self.state_dict(), ())
        values = np.array(state["losses"], np.float32)
        if values.ndim != 1 or not np.isfinite(values).all() or (np.diff(values) < 0).any():
            raise StateError("losses of the state must be finite and ascending, got others")
        self._ordered = torch.from_numpy(values)
