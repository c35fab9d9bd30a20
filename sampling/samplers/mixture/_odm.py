"""Online data mixing: a bandit on the losses of the sources. Robust weights: `DoReMi`."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from ... import _check
from ..._check._keywords import told
from ...types import Floats
from ._updater import MixtureUpdater, State, Values


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

    def step(
        self,
        state: State,
        losses: Floats | None = None,
        *,
        validation_losses: Floats | None = None,
        metrics: Values | None = None,
    ) -> State:
        """See `MixtureUpdater`."""
        if state["updates"][0] < self.warmup:
            return {**state, "updates": state["updates"] + 1.0}
        return super().step(state, losses, validation_losses=validation_losses, metrics=metrics)

    def memory(self, weights: Floats) -> State:
        """See `MixtureUpdater`: the reward of each source."""
        return {"rewards": np.zeros(weights.size)}

    def propose(self, state: State, values: Values, update: int) -> tuple[Floats, State]:
        """See `MixtureUpdater`."""
        losses = values["losses"]
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
