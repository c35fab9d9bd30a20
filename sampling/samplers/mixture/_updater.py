"""Updates of the weights of a mixture from what was recorded of its sources, one in each epoch.

An updater holds only its arguments. Its state is a dictionary of arrays that the sampler keeps and
saves, so an update is a function: state and values in, state out.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import _check
from ..._check._keywords import told
from ..._identity import Unknown, identified, is_ours
from ...types import Floats, Scores

State = dict[str, Floats]
Values = Mapping[str, Floats]

LOSSES, VALIDATION = "losses", "validation_losses"


@told
class MixtureUpdater(ABC):
    """Base class of rules that update the weights of a mixture: `ODM`, `DoReMi`, and your own.

    A rule defines `propose`, states in `reads` what it learns from, and defines `memory` for what
    it keeps from update to update. The base class floors and caps the weights that it proposes.

    Parameters
    ----------
    floor : float in [0, 1], default 1e-4
        Fraction of the weight that is shared equally, so that every source keeps a positive weight:
        at least floor / K.
    max_change : float > 0, optional
        Largest change of the logarithm of a weight in one update.

    Attributes
    ----------
    reads : tuple of str
        What `propose` gets: "losses" (training losses, from `reduce` and `record`; the default),
        "validation_losses", and names of other metrics, both from
        `MixtureSampler.record_validation`. An update is made after each epoch in which every one
        of them was recorded for some source.
    targets : array of shape (T,), or None
        Names of the evaluation sets of "validation_losses" and the metrics; None if these are the
        sources.
    reference_losses : float32 array of shape (N,), or None
        Subtracted from the training losses, sample by sample; differences below 0 are clipped to 0.
    per_token : bool
        Whether the rule uses the losses of `MixtureSampler.record_excess` instead of those of
        `reduce` and `record`.

    Examples
    --------
    All weight to the source with the highest validation loss:

    >>> class Worst(MixtureUpdater):
    ...     reads = ("validation_losses",)
    ...     def propose(self, state, values, update):
    ...         losses = values["validation_losses"]
    ...         return (losses == np.nanmax(losses)).astype(float), {}
    >>> from sampling.samplers import MixtureSampler
    >>> sampler = MixtureSampler({"web": 50, "code": 50}, 20, updater=Worst(floor=0.2))
    >>> sampler.record_validation({"web": 2.0, "code": 3.0})
    >>> sampler.set_epoch(1)
    >>> sampler.quotas(1)
    array([ 2, 18])
    """

    reads: tuple[str, ...] = (LOSSES,)
    targets: NDArray[Any] | None = None
    reference_losses: Scores | None = None
    per_token = False

    def __init__(self, *, floor: float = 1e-4, max_change: float | None = None) -> None:
        self.floor = _check.number("floor", floor, "[0, 1]")
        self.max_change = max_change
        if max_change is not None:
            self.max_change = _check.number("max_change", max_change, "(0, inf)")

    @abstractmethod
    def propose(self, state: State, values: Values, update: int) -> tuple[Floats, State]:
        """Return the weights of the next epoch, and the memory: a function of the arguments alone.

        Parameters
        ----------
        state : dict of str to float64 array
            "weights" (K,), with which the recorded epoch was drawn, "average" (K,), "updates" (1,),
            and the arrays of `memory`. Not to be modified.
        values : mapping of str to float64 array of shape (K,)
            The mean of what was recorded in the epoch, by the names of `reads`; NaN for a source
            for which nothing was, but not for all of them. With `targets`, all but "losses" have
            shape (T,).
        update : int
            Number of this update, from 1.

        Returns
        -------
        weights : float64 array of shape (K,)
            Finite, >= 0, not all 0; normalised by the caller.
        memory : dict of str to float64 array
            The arrays of `memory`, in their shapes.
        """

    def memory(self, weights: Floats) -> State:
        """Return what the rule keeps from update to update, before the first; saved with the rest.

        Parameters
        ----------
        weights : float64 array of shape (K,)
            Weights of the first epoch; they sum to 1.

        Returns
        -------
        dict of str to float64 array
            One-dimensional arrays, whose lengths never change; empty by default.
        """
        return {}

    def begin(self, weights: Floats) -> State:
        """Return the state before the first update.

        Parameters
        ----------
        weights : float64 array of shape (K,)
            Weights of the first epoch; they sum to 1.

        Returns
        -------
        dict of str to float64 array
            "weights" (K,), "average" (K,), their mean over the updates so far, "updates" (1,),
            their number, and the arrays of `memory`: what a sampler saves and restores.
        """
        if not isinstance(self.reads, tuple) or not self.reads:
            raise TypeError(
                f"reads of {type(self).__name__} must be a tuple of names, such as ('losses',), "
                f"got {self.reads!r}"
            )
        fixed = {"weights": weights.copy(), "average": weights.copy(), "updates": np.zeros(1)}
        memory = self.memory(weights)
        for name, each in memory.items():
            if name in fixed:
                raise ValueError(f"memory of {type(self).__name__} must not name {name!r}")
            _refuse_memory(self, name, each)
        return fixed | memory

    def step(
        self,
        state: State,
        losses: Floats | None = None,
        *,
        validation_losses: Floats | None = None,
        metrics: Values | None = None,
    ) -> State:
        """Return the state after an epoch.

        Parameters
        ----------
        state : dict
            Result of `begin` or `step`; not modified.
        losses : float64 array of shape (K,), optional
            Mean training loss of each source in the epoch; NaN if none was recorded.
        validation_losses : float64 array of shape (K,), optional
            The same, of the last evaluation.
        metrics : mapping of str to float64 array of shape (K,), optional
            Other values of each source, by name.

        Returns
        -------
        dict
            The state itself if one of `reads` is missing, or NaN for all sources.
        """
        found = {LOSSES: losses, VALIDATION: validation_losses, **(metrics or {})}
        values = {}
        for name in self.reads:
            each = found.get(name)
            if each is None or np.isnan(each).all():
                return state
            values[name] = each
        update = int(state["updates"][0]) + 1
        proposed, memory = self.propose(state, values, update)
        proposed = self._normalised(proposed, state)
        even = self.floor / proposed.size
        proposed = (1.0 - self.floor) * proposed + even
        if self.max_change is not None:
            proposed = _near(proposed, state["weights"], self.max_change, even)
        average = state["average"]
        average = proposed if update == 1 else average + (proposed - average) / update
        fixed = {"weights": proposed, "average": average, "updates": np.array([float(update)])}
        for name in state.keys() - fixed.keys():
            _refuse_memory(self, name, memory.get(name), state[name].shape)
        return fixed | memory

    def _normalised(self, proposed: Floats, state: State) -> Floats:
        """Return the weights of a rule as shares, or raise for those that are none."""
        made = np.asarray(proposed, np.float64)
        shape = state["weights"].shape
        if made.shape != shape or not (np.isfinite(made) & (made >= 0)).all() or not made.any():
            raise ValueError(
                f"propose of {type(self).__name__} must return weights of shape {shape}, finite, "
                f">= 0 and not all 0, got {made}"
            )
        total = float(made.sum())
        shares: Floats = made if abs(total - 1.0) < 1e-12 else made / total
        return shares

    def identity(self) -> tuple[object, ...]:
        """Return what distinguishes this updater from others: arrays and JSON values.

        Its attributes, of a rule of your own as digests. Define it for attributes that neither
        JSON nor an array can hold, such as a function.
        """
        own = {k: v for k, v in vars(self).items() if k != "_given"}  # `_given` is for `repr`
        if not is_ours(type(self)):
            own = {name: identified(each) for name, each in own.items()}
            for name, each in own.items():
                if isinstance(each, Unknown):
                    raise TypeError(
                        f"identity() of {type(self).__name__} must be defined for {name!r}, a "
                        f"{each.kind}, so that a state is not resumed with another one"
                    )
        values = {k: v for k, v in own.items() if not isinstance(v, np.ndarray)}
        arrays = [v for _, v in sorted(own.items()) if isinstance(v, np.ndarray)]
        return (type(self).__name__, values, *arrays)


def _refuse_memory(
    rule: MixtureUpdater, name: str, given: object, shape: tuple[int, ...] | None = None
) -> None:
    """Raise unless an array of the memory can be saved, and restored in a new sampler."""
    fits = isinstance(given, np.ndarray) and given.dtype == np.float64 and given.ndim == 1
    if fits and shape in {None, getattr(given, "shape", None)}:
        return
    wanted = "one dimension" if shape is None else f"shape {shape}"
    kind = type(given).__name__
    if isinstance(given, np.ndarray):
        kind = f"{given.dtype} of shape {given.shape}"
    raise ValueError(
        f"memory of {type(rule).__name__} must hold float64 arrays of {wanted}, got {kind} for "
        f"{name!r}"
    )


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
