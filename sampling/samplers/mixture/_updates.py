"""Updates of the weights of a mixture from the losses of its sources, one in each epoch.

An updater holds only its arguments. Its state is a dictionary of arrays that the sampler keeps and
saves, so an update is a function: state and losses in, state out.
"""

import math
from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

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


@told
class ODM(MixtureUpdater):
    """Draw more from sources with high loss: online data mixing, by a bandit algorithm.

    For replication. Exploration decreases over the run. It moves weight to hard sources, whether
    permanently hard (noise, code with random strings) or not yet learned. Uniform weights are the
    control to report with it.

    Parameters
    ----------
    reward : {"ema", "exp3"}, default "ema"
        Estimate of a source's reward R. "ema": a moving average of loss / weight. "exp3": the sum
        of (loss / reward_scale) / weight.
    decay : float in [0, 1), default 0.9
        Weight of the old average in the new one.
    reward_scale : float > 0, default 10
        Divisor of the losses with reward="exp3".
    importance : bool, default True
        Whether to divide rewards by the weight with which they were drawn.
    link : {"softmax", "linear"}, default "softmax"
        "softmax": weights proportional to exp(eps R). "linear": proportional to R, which is then an
        estimate of exp(loss).
    exploration : float > 0, optional
        eps, at most 1 / K: the smallest weight of a source. By default sqrt(log K / (K t)) in
        update t, at most 1 / K.
    warmup : int, default 0
        Number of first updates that leave the weights unchanged.
    floor : float in [0, 1], default 1e-4
        Fraction of the weight that is shared equally.
    max_change : float > 0, optional
        Largest change of the logarithm of a weight in one update.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Notes
    -----
    Order
        A deterministic function of the losses.
    Cost
        O(K) an update.
    Gradients
        The sampler's: the objective changes with the weights.
    Source
        Albalak, Pan, Raffel, Wang, "Efficient Online Data Mixing for Language Model Pre-Training",
        2023, arXiv:2312.02406, and its code, which has both rewards. With the default exploration
        the weights are uniform until t > K log K: 68 updates for 22 sources. One epoch is one
        update here, so use short epochs, or set `exploration`.

    Examples
    --------
    >>> rule = ODM(exploration=0.25, decay=0.0, importance=False, floor=0.0)
    >>> state = rule.step(rule.begin(np.array([0.5, 0.5])), np.array([8.0, 0.0]))
    >>> state["weights"].round(3)  # 1/4 each; the rest in the ratio exp(0.25 * 8) to 1
    array([0.69, 0.31])
    """

    def __init__(  # noqa: PLR0913  # the choices that paper, code and README leave open
        self,
        *,
        reward: Literal["ema", "exp3"] = "ema",
        decay: float = 0.9,
        reward_scale: float = 10.0,
        importance: bool = True,
        link: Literal["softmax", "linear"] = "softmax",
        exploration: float | None = None,
        warmup: int = 0,
        floor: float = 1e-4,
        max_change: float | None = None,
    ) -> None:
        super().__init__(floor=floor, max_change=max_change)
        self.reward = _check.choice("reward", reward, ("ema", "exp3"))
        self.decay = _check.number("decay", decay, "[0, 1)")
        self.reward_scale = _check.number("reward_scale", reward_scale, "(0, inf)")
        self.importance = _check.flag("importance", importance)
        self.link = _check.choice("link", link, ("softmax", "linear"))
        self.exploration = exploration
        if exploration is not None:
            self.exploration = _check.number("exploration", exploration, "(0, 1]")
        self.warmup = _check.integer("warmup", warmup, 0)

    def begin(self, weights: Floats) -> State:
        """See `MixtureUpdater`."""
        if self.exploration is not None and self.exploration * weights.size > 1.0 + 1e-12:
            raise ValueError(
                f"exploration must be at most 1 / K = {1 / weights.size:g} with {weights.size} "
                f"sources, got {self.exploration:g}"
            )
        return super().begin(weights)

    def step(self, state: State, losses: Floats) -> State:
        """See `MixtureUpdater`."""
        if state["updates"][0] < self.warmup:
            return {**state, "updates": state["updates"] + 1.0}
        return super().step(state, losses)

    def _memory(self, sources: int) -> State:
        return {"rewards": np.zeros(sources)}

    def _propose(self, state: State, losses: Floats, update: int) -> tuple[Floats, State]:
        sources, rewards = losses.size, state["rewards"]
        seen = ~np.isnan(losses)
        fresh = np.where(seen, losses, 0.0)
        if self.link == "linear":
            fresh = np.exp(np.minimum(fresh, 700.0))  # the limit of float64
        if self.importance:
            fresh = fresh / np.maximum(state["weights"], np.finfo(float).tiny)
        if self.reward == "exp3":
            moved = rewards + fresh / self.reward_scale
        else:
            moved = self.decay * rewards + (1.0 - self.decay) * fresh
        rewards = np.where(seen, moved, rewards)
        time = update - self.warmup
        now, before = self._explored(sources, time), self._explored(sources, max(1, time - 1))
        if self.link == "softmax":
            parts = np.exp(before * (rewards - rewards.max()))
        else:
            parts = rewards if rewards.any() else np.ones(sources)
        weights = (1.0 - sources * now) * parts / parts.sum() + now
        return weights, {"rewards": rewards}

    def _explored(self, sources: int, update: int) -> float:
        """Return eps of an update: the smallest weight of a source."""
        if self.exploration is not None:
            return self.exploration
        return min(1.0 / sources, math.sqrt(math.log(sources) / (sources * update)))


@told
class DoReMi(MixtureUpdater):
    """Draw more from sources with excess loss over a reference model; group DRO without one.

    For replication. DoReMi finds weights with a small model, so that a large one can be trained on
    their average over the run: `sampler.average_weights`, not the last ones. Without a reference
    the worst source gains weight, which is group DRO: robust to the mixture of sources, but biased
    towards those with label noise.

    Parameters
    ----------
    reference_losses : array-like of shape (N,), optional
        Loss of the reference model on each sample; samples with NaN are ignored. The excess is then
        clipped at 0 once for each sample, which is DoReMi's rule for samples with one loss. A
        sequence has one loss for each token: use excess="token".
    excess : {"sample", "token"}, default "sample"
        "sample": the losses of `reduce` and `record`, minus `reference_losses`. "token": the excess
        given to `MixtureSampler.record_excess`, clipped at 0 for each token and averaged over the
        tokens of a source, as in DoReMi; `reduce` and `record` then have no effect on the weights.
    step_size : float > 0, default 1
        Factor of a loss in the update of the logarithm of its source's weight.
    floor : float in [0, 1], default 1e-4
        Fraction of the weight that is shared equally: the smoothing of DoReMi.
    max_change : float > 0, optional
        Largest change of the logarithm of a weight in one update.

    Raises
    ------
    ValueError
        If an argument is out of its range, a reference loss is infinite, or reference losses are
        given with excess="token".

    Notes
    -----
    Order
        A deterministic function of the losses.
    Cost
        O(K) an update, and 4 N bytes of reference losses.
    Gradients
        Sources are drawn in proportion to the weights. DoReMi draws with fixed weights p and
        multiplies losses by w / p: the same gradient in the mean, with more variance.
    Source
        Xie et al., "DoReMi", NeurIPS 2023, arXiv:2305.10429: excess is clipped at 0 for each token,
        then averaged over all tokens of a source; a source that was not seen keeps its last excess.
        Clipping the mean of a sample instead lets tokens that became worse cancel with tokens that
        became better. Its step size is for one update a step; here one epoch is one update. The
        released code starts with an excess of log(vocabulary) for sources not seen yet, here 0, and
        includes the first weights in the average.

    Examples
    --------
    >>> rule = DoReMi(floor=0.0)
    >>> state = rule.step(rule.begin(np.array([0.5, 0.5])), np.array([np.log(3.0), 0.0]))
    >>> state["weights"].round(6)
    array([0.75, 0.25])
    """

    def __init__(
        self,
        reference_losses: ArrayLike | None = None,
        *,
        excess: Literal["sample", "token"] = "sample",
        step_size: float = 1.0,
        floor: float = 1e-4,
        max_change: float | None = None,
    ) -> None:
        super().__init__(floor=floor, max_change=max_change)
        self.step_size = _check.number("step_size", step_size, "(0, inf)")
        if _check.choice("excess", excess, ("sample", "token")) == "token":
            self.per_token = True
            if reference_losses is not None:
                raise ValueError(
                    "reference_losses must be None with excess='token', got an array: subtract the "
                    "loss of each token under the reference model before record_excess"
                )
        if reference_losses is not None:
            array = _check.one_dimensional("reference_losses", reference_losses)
            if array.dtype.kind not in "fiu":
                raise TypeError(f"reference_losses must hold numbers, got dtype {array.dtype}")
            if np.isinf(array).any():
                row = int(np.isinf(array).argmax())
                raise ValueError(
                    f"reference_losses must be finite, or NaN for none, got {array[row]} in row "
                    f"{row}"
                )
            self.reference_losses = array.astype(np.float32)

    def _memory(self, sources: int) -> State:
        return {"excess": np.zeros(sources)}

    def _propose(self, state: State, losses: Floats, update: int) -> tuple[Floats, State]:
        excess = np.where(np.isnan(losses), state["excess"], losses)
        with np.errstate(divide="ignore"):  # a weight of 0 stays 0, except for the floor
            logs = np.log(state["weights"]) + self.step_size * excess
        parts = np.exp(logs - logs.max())
        return parts / parts.sum(), {"excess": excess}


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
