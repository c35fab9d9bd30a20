"""Curriculum weights: easy samples have larger weights at first, and all are equal in the end.

No sample is excluded; `sampling.samplers.CurriculumSampler` draws only from the easy ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike

from .. import _check
from .._check._keywords import told
from ..errors import StateError
from ..types import Floats
from ._rows import Rows


@told
class CurriculumWeights:
    """Curriculum weights w = (1 - t) D + t, where t goes from 0 to 1 and easy samples have D = 1.

    For replication, and as a baseline. The mean weight increases with t, which also acts as a
    learning rate warm-up; `reduce(..., reduction="weighted_mean")` removes that effect, and a plain
    run with a warm-up of the same shape is the control. Each loss is multiplied by its own weight;
    the released code multiplies the mean loss of a batch by the mean weight, which is only a
    warm-up.

    Parameters
    ----------
    easiness : array-like of shape (N,)
        D of each sample of the dataset, in [0, 1]: a reciprocal rank, a scaled score, or a rank
        divided by N. See `pointwise_easiness` and `pairwise_easiness`.
    num_epochs : int, default 20
        Number of epochs until all weights are 1 and remain so.
    order : {"easy_first", "hard_first"}, default "easy_first"
        "hard_first" is the anti-curriculum: D is replaced by 1 - D.

    Attributes
    ----------
    epoch : float
        Set by `set_epoch`; 0 at first.

    Raises
    ------
    ValueError
        If an easiness is outside [0, 1] or NaN: the message names the row.

    Notes
    -----
    Cost
        4 N bytes, and 4 N on each device that losses are on. Never waits for a device.
    Gradients
        Biased towards easy samples at first, unbiased from `num_epochs` on. The weights depend only
        on the index, and carry no gradient.
    Source
        MacAvaney, Nardini, Perego, Tonellotto, Goharian, Frieder, "Training Curricula for Open
        Domain Answer Re-Ranking", SIGIR 2020.

    Examples
    --------
    >>> weighting = CurriculumWeights([1.0, 0.5, 0.0], num_epochs=4)
    >>> weighting.set_epoch(1)
    >>> weighting(torch.ones(3), indices=[0, 1, 2])
    tensor([1.0000, 0.6250, 0.2500])
    >>> weighting.set_epoch(4)
    >>> weighting(torch.ones(2), indices=[0, 2])
    tensor([1., 1.])
    """

    def __init__(
        self,
        easiness: ArrayLike,
        num_epochs: int = 20,
        *,
        order: Literal["easy_first", "hard_first"] = "easy_first",
    ) -> None:
        found = _in_unit("easiness", easiness)
        order = _check.choice("order", order, ("easy_first", "hard_first"))
        self.num_epochs = _check.integer("num_epochs", num_epochs, 1)
        self.epoch = 0.0
        easy = found if order == "easy_first" else 1.0 - found
        self._easiness = Rows(easy.astype(np.float32))

    def set_epoch(self, epoch: float) -> None:
        """Set the epoch; a fraction denotes a point within an epoch.

        Parameters
        ----------
        epoch : float
            Epochs trained so far, >= 0.
        """
        self.epoch = _check.number("epoch", epoch, "[0, inf)")

    @property
    def progress(self) -> float:
        """The progress t of the curriculum, in [0, 1]."""
        return min(1.0, self.epoch / self.num_epochs)

    def __call__(
        self,
        losses: torch.Tensor,
        *,
        indices: ArrayLike | torch.Tensor | None = None,
        groups: object = None,
        probabilities: object = None,
        state: object = None,
    ) -> torch.Tensor:
        """Return the weights of a batch.

        Parameters
        ----------
        losses : floating tensor of shape (B,)
            Only their device and dtype are used.
        indices : int array or tensor of shape (B,)
            Dataset indices of the samples.
        groups, probabilities, state
            Ignored.

        Returns
        -------
        floating tensor of shape (B,)
        """
        easy = self._easiness.of(indices, losses)
        return (1.0 - self.progress) * easy + self.progress

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `load_state_dict`: JSON values."""
        return {"epoch": self.epoch, "num_epochs": self.num_epochs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a saved run.

        Parameters
        ----------
        state : mapping
            A result of `state_dict`.

        Raises
        ------
        StateError
            If the state has another `num_epochs`.
        """
        if state["num_epochs"] != self.num_epochs:
            raise StateError(
                f"state must have num_epochs {self.num_epochs}, got {state['num_epochs']}"
            )
        self.set_epoch(state["epoch"])


@told
def pointwise_easiness(scores: ArrayLike, positive: ArrayLike) -> Floats:
    """Return the easiness D of single answers in ranking: score, or 1 - score if not relevant.

    Parameters
    ----------
    scores : float array-like of shape (N,)
        Scores of a simple ranker, in [0, 1]; a high score is easy for a relevant answer and hard
        for an irrelevant one.
    positive : bool array-like of shape (N,)
        Which answers are relevant.

    Returns
    -------
    float64 array of shape (N,)
        The score of a positive, 1 - the score of a negative.

    Raises
    ------
    ValueError
        If a score is outside [0, 1], or the two differ in length.

    Examples
    --------
    >>> pointwise_easiness([1.0, 1.0, 0.25], [True, False, False])
    array([1.  , 0.  , 0.75])
    """
    found = _in_unit("scores", scores)
    relevant = _check.one_dimensional("positive", positive)
    if relevant.dtype.kind != "b":
        raise TypeError(f"positive must hold bools, got dtype {relevant.dtype}")
    _check.same_length("positive", relevant, "scores", found.size)
    return np.where(relevant, found, 1.0 - found)


@told
def pairwise_easiness(positive: ArrayLike, negatives: ArrayLike) -> Floats:
    """Return the easiness D of pairs in ranking: (positive - negative + 1) / 2, or the smallest.

    Parameters
    ----------
    positive : float array-like of shape (N,)
        Score of the relevant answer, in [0, 1].
    negatives : float array-like of shape (N,) or (N, K)
        Scores of the other answers, in [0, 1]; of K answers the hardest decides.

    Returns
    -------
    float64 array of shape (N,)

    Raises
    ------
    ValueError
        If a score is outside [0, 1], or the two differ in length.

    Examples
    --------
    >>> pairwise_easiness([1.0, 0.5], [[0.0, 0.5], [0.5, 1.0]])
    array([0.75, 0.25])
    """
    high = _in_unit("positive", positive)
    low = _check.host(negatives, "negatives")
    if low.ndim not in {1, 2} or 0 in low.shape:
        raise ValueError(f"negatives must have shape (N,) or (N, K), got {low.shape}")
    _check.same_length("negatives", low, "positive", high.size)
    columns = low.reshape(high.size, -1).T
    worst = np.max([_in_unit("negatives", column) for column in columns], axis=0)
    found: Floats = (high - worst + 1.0) / 2.0
    return found


def _in_unit(name: str, values: ArrayLike) -> Floats:
    """Return `values` as float64 (N,), each in [0, 1]."""
    found = _check.floats(name, values, "finite and >= 0")
    above = np.flatnonzero(found > 1.0)
    if above.size:
        raise ValueError(f"{name} must be in [0, 1], got {found[above[0]]} in row {above[0]}")
    return found
