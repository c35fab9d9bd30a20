"""Updates of the weights of a mixture from the losses of its sources, one in each epoch.

An updater holds only its arguments. Its state is a dictionary of arrays that the sampler keeps and
saves, so an update is a function: state and losses in, state out.
"""

import math
from abc import ABC, abstractmethod

import numpy as np

from ... import _check
from ..._check._keywords import told
from ...types import Floats, Scores

State = dict[str, Floats]


@told
class MixtureUpdater(ABC):
    """Base class of `ODM` and `DoReMi`: floors and caps on the weights that a rule proposes.

    A custom rule defines `_propose`, and `_memory` for the state that it keeps.

    Parameters
    ----------
    floor : float in [0, 1], default 1e-4
        Fraction of the weight that is shared equally, so that every source keeps a positive weight:
        at least floor / K.
    max_change : float > 0, optional
        Largest change of the logarithm of a weight in one update.

    Attributes
    ----------
    reference_losses : float32 array of shape (N,), or None
        Subtracted from the losses, sample by sample; differences below 0 are clipped to 0.
    per_token : bool
        Whether the rule uses the losses of `MixtureSampler.record_excess` instead of those of
        `reduce` and `record`.
    """

    reference_losses: Scores | None = None
    per_token = False

    def __init__(self, *, floor: float = 1e-4, max_change: float | None = None) -> None:
        self.floor = _check.number("floor", floor, "[0, 1]")
        self.max_change = max_change
        if max_change is not None:
            self.max_change = _check.number("max_change", max_change, "(0, inf)")

    @abstractmethod
    def _propose(self, state: State, losses: Floats, update: int) -> tuple[Floats, State]:
        """Return new weights (K,) that sum to 1, and the memory, from the losses of an epoch.

        state  : "weights" (K,), used for the draws of these losses, and the memory
        losses : (K,) mean loss of each source, NaN for one that was not seen; not all are
        update : number of this update, from 1
        """

    def _memory(self, sources: int) -> State:
        """Return the memory of a rule before the first update: float64 arrays (K,)."""
        return {}

    def begin(self, weights: Floats) -> State:
        """Return the state before the first update.

        Parameters
        ----------
        weights : float64 array of shape (K,)
            Weights of the first epoch; they sum to 1.

        Returns
        -------
        dict of str to float64 array of shape (K,)
            "weights", "average" (their mean over the updates so far), "updates" (their number,
            shape (1,)), and the memory of the rule.
        """
        fixed = {"weights": weights.copy(), "average": weights.copy(), "updates": np.zeros(1)}
        return fixed | self._memory(weights.size)

    def step(self, state: State, losses: Floats) -> State:
        """Return the state after an epoch.

        Parameters
        ----------
        state : dict
            Result of `begin` or `step`; not modified.
        losses : float64 array of shape (K,)
            Mean loss of each source in the epoch; NaN if none was recorded. If all are NaN, the
            state is unchanged.

        Returns
        -------
        dict
        """
        if np.isnan(losses).all():
            return state
        update = int(state["updates"][0]) + 1
        proposed, memory = self._propose(state, losses, update)
        even = self.floor / proposed.size
        proposed = (1.0 - self.floor) * proposed + even
        if self.max_change is not None:
            proposed = _near(proposed, state["weights"], self.max_change, even)
        average = state["average"]
        average = proposed if update == 1 else average + (proposed - average) / update
        fixed = {"weights": proposed, "average": average, "updates": np.array([float(update)])}
        return fixed | memory

    def identity(self) -> tuple[object, ...]:
        """Return what distinguishes this updater from others: arrays and JSON values."""
        own = {k: v for k, v in vars(self).items() if k != "_given"}  # `_given` is for `repr`
        values = {k: v for k, v in own.items() if not isinstance(v, np.ndarray)}
        arrays = [v for _, v in sorted(own.items()) if isinstance(v, np.ndarray)]
        return (type(self).__name__, values, *arrays)


def _near(wanted: Floats, old: Floats, change: float, least: float) -> Floats:
    """Return scale * wanted, kept within exp(change) of the old weights, with the sum 1.

    least : lower limit of all weights; sum(old) = 1 and wanted >= least
    """
    low = np.maximum(old * math.exp(-change), least)
    high = np.maximum(old * math.exp(change), low)
    ends = np.zeros(2)  # bounds of the logarithm of the scale
    ratios = np.concatenate([low, high]) / np.tile(np.maximum(wanted, 1e-300), 2)
    ends[:] = np.log(np.maximum(ratios.min(), 1e-300)), np.log(ratios.max())
    for _ in range(200):
        middle = float(ends.mean())
        total = np.clip(math.exp(middle) * wanted, low, high).sum()
        ends[0 if total < 1.0 else 1] = middle
    found = np.clip(math.exp(float(ends.mean())) * wanted, low, high)
    near: Floats = found / found.sum()
    return near
