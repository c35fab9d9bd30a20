"""Weights by learning difficulty: a moving average of 1 - p_y, the probability of an error."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from .. import _check
from .._check._keywords import told
from ..errors import StateError
from ..scores import ScoreTable
from ..types import Scores
from ._rows import Rows

if TYPE_CHECKING:
    import torch.distributed as dist


@told
class MomentumDifficulty:
    """Weights (d / mean d) ** gamma, where d is a moving average of 1 - p_y.

    This is our own form, without published results: "boosting by learning difficulty with momentum"
    is known to us only from an abstract. Use it to emphasise hard samples of clean, imbalanced
    data; mislabelled samples are the hardest, and gain the most weight.

    Call `set_epoch` next to the sampler's: the weights of an epoch are computed from what was seen
    before it, and a sample not yet seen has weight 1, that of the mean.

    Parameters
    ----------
    data_source : int or sized
        N, or an object with a length.
    momentum : float in [0, 1), default 0.9
        Weight of the old difficulty: d <- momentum * d + (1 - momentum) * (1 - p_y).
    gamma : float >= 0, default 1
        Exponent of the difficulty; 0 is plain training.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks that train together, as for the sampler; all of them by default.

    Attributes
    ----------
    epoch : int
        Set by `set_epoch`; -1 at first.
    difficulty : float32 array of shape (N,)
        d of each sample; NaN = never seen.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Notes
    -----
    Order
        Ranks synchronise their difficulties in `set_epoch`, and every rank must call it.
    Cost
        8 N bytes, N more with several ranks, 4 N on each device that indices are on; O(N) per
        epoch. Never waits for a device in a step.
    Gradients
        Biased towards hard samples. The weights carry no gradient. Over the samples seen they have
        mean 1 if gamma is 1; over a batch they generally do not.
    Source
        Our own, after "Diffusion Deepfake", 2024, arXiv:2404.01579.

    Examples
    --------
    >>> weighting = MomentumDifficulty(3, momentum=0.5)
    >>> losses = -torch.log(torch.tensor([0.9, 0.7]))  # label probabilities of 0.9 and 0.7
    >>> weighting(losses, indices=[0, 2])
    tensor([1., 1.])
    >>> weighting.set_epoch(1)
    >>> weighting(losses, indices=[0, 2])
    tensor([0.5000, 1.5000])
    """

    def __init__(
        self,
        data_source: int | Sized,
        *,
        momentum: float = 0.9,
        gamma: float = 1.0,
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        self.momentum = _check.number("momentum", momentum, "[0, 1)")
        self.gamma = _check.number("gamma", gamma, "[0, inf)")
        self.epoch = -1
        self._table = ScoreTable(data_source, ema=1.0 - self.momentum, process_group=process_group)
        self._weights = np.ones(len(self._table), np.float32)
        self._rows = Rows(self._weights)

    @property
    def difficulty(self) -> Scores:
        """The difficulties, float32 (N,), read-only; NaN = never seen. Waits for a device."""
        return self._table.values

    def set_epoch(self, epoch: int) -> None:
        """Compute the weights of an epoch from all samples seen; keep them for the same epoch.

        Parameters
        ----------
        epoch : int in [0, 2**64)
            Epoch about to be trained.
        """
        epoch = _check.epoch(epoch)
        if epoch == self.epoch:
            return
        self._table.merge()
        self.epoch = epoch
        self._use(_weights_of(self._table.values, self.gamma))

    def __call__(
        self,
        losses: torch.Tensor,
        *,
        indices: ArrayLike | torch.Tensor | None = None,
        groups: object = None,
        probabilities: torch.Tensor | None = None,
        state: object = None,
    ) -> torch.Tensor:
        """Return the weights of a batch, and record the difficulty of its samples.

        Parameters
        ----------
        losses : floating tensor of shape (B,)
            Loss of each sample.
        indices : int array or tensor of shape (B,)
            Dataset indices of the samples.
        groups, state
            Ignored.
        probabilities : floating tensor of shape (B,), optional
            Probability p_y of the label. By default exp(-loss), which equals it if the losses
            are cross-entropies with one label and without smoothing.

        Returns
        -------
        floating tensor of shape (B,)
        """
        rows = self._rows.checked(indices, losses)
        if probabilities is None:
            probabilities = torch.exp(-losses.detach().float())
        if probabilities.shape != losses.shape:
            raise ValueError(
                f"probabilities must have shape {tuple(losses.shape)}, got "
                f"{tuple(probabilities.shape)}"
            )
        hard = (1.0 - probabilities.detach().float()).clamp(0.0, 1.0)
        self._table.update(rows, hard)
        return self._rows.of(rows, losses)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `load_state_dict`: JSON values and copies of arrays.

        Every rank must call it: the ranks synchronise their difficulties first.
        """
        self._table.merge()
        return {
            "epoch": self.epoch,
            "momentum": self.momentum,
            "gamma": self.gamma,
            "difficulty": self._table.values.copy(),
            "weights": self._weights.copy(),
            "num_nonfinite": self._table.num_nonfinite,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a saved run: its difficulties, and the weights of its epoch.

        Parameters
        ----------
        state : mapping
            A result of `state_dict`.

        Raises
        ------
        StateError
            If the state has another N, momentum or gamma. Nothing is changed then.
        """
        ours = {"momentum": self.momentum, "gamma": self.gamma, "N": len(self._table)}
        for name, value in ours.items():
            found = len(state["difficulty"]) if name == "N" else state[name]
            if found != value:
                raise StateError(f"state must have {name} {value}, got {found}")
        self._table.restore(np.asarray(state["difficulty"], np.float32), state["num_nonfinite"])
        self.epoch = state["epoch"]
        self._use(np.array(state["weights"], np.float32))

    def _use(self, weights: Scores) -> None:
        self._weights = weights
        self._rows = Rows(weights)


def _weights_of(difficulty: Scores, gamma: float) -> Scores:
    """Return (d / mean d) ** gamma, or 1 where d is NaN or if the mean is 0: float32 (N,)."""
    seen = ~np.isnan(difficulty)
    mean = float(difficulty[seen].mean(dtype=np.float64)) if seen.any() else 0.0
    if mean == 0.0:
        return np.ones(difficulty.size, np.float32)
    relative = np.where(seen, difficulty / mean, 1.0)
    return (relative**gamma).astype(np.float32)
