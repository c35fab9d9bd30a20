"""Weights by performance: more draws from sources where a metric is far from its best value."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ... import _check
from ..._check._keywords import told
from ...types import Floats
from ._updater import VALIDATION, MixtureUpdater, State, Values


@told
class ByPerformance(MixtureUpdater):
    """Draw more from sources where the model performs worse, by any metric.

    A simple rule to compare with: no gradients, no reference model, no probes; an evaluation of
    each source in each epoch, recorded with `MixtureSampler.record_validation`. Like every rule by
    the metric itself, it gives weight to sources that cannot be improved, such as wrong labels: cap
    them with `max_repeats`, or choose `best` for each of them.

    Parameters
    ----------
    metric : str, default "validation_losses"
        Name of the metric: a key of `metrics` of `record_validation`, or "validation_losses".
    best : float, optional
        Value at which a source needs no weight; by default 1 for metrics where higher is better,
        else 0.
    higher_is_better : bool, optional
        False for losses and error rates; by default True except for "validation_losses".
    power : float >= 0, default 1
        Exponent of the distance to `best`; 0 keeps the given weights.
    link : {"power", "softmax"}, default "power"
        "power": weights proportional to prior * distance ** power. "softmax": to
        prior * exp(power * distance).
    decay : float in [0, 1), default 0
        Weight of the old average of the metric in the new one.
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
        A deterministic function of the metric. Each update starts from the weights that the sampler
        was given; nothing accumulates. A source that was not evaluated keeps its last value, and
        has the mean distance of the others before its first.
    Cost
        O(K) an update.
    Gradients
        The sampler's: the objective changes with the weights.
    Source
        A rule of this package.

    Examples
    --------
    >>> rule = ByPerformance("accuracy", floor=0.0)
    >>> state = rule.begin(np.array([0.5, 0.25, 0.25]))
    >>> state = rule.step(state, metrics={"accuracy": np.array([0.9, 0.8, 0.8])})
    >>> state["weights"].round(3)  # 0.5 * 0.1, 0.25 * 0.2, 0.25 * 0.2
    array([0.333, 0.333, 0.333])
    """

    def __init__(
        self,
        metric: str = VALIDATION,
        *,
        best: float | None = None,
        higher_is_better: bool | None = None,
        power: float = 1.0,
        link: Literal["power", "softmax"] = "power",
        decay: float = 0.0,
        floor: float = 1e-4,
        max_change: float | None = None,
    ) -> None:
        super().__init__(floor=floor, max_change=max_change)
        self.reads = (_check.text("metric", metric),)
        self.higher_is_better = metric not in (VALIDATION, "losses")
        if higher_is_better is not None:
            self.higher_is_better = _check.flag("higher_is_better", higher_is_better)
        self.best = 1.0 if self.higher_is_better else 0.0
        if best is not None:
            self.best = _check.number("best", best)
        self.power = _check.number("power", power, "[0, inf)")
        self.link = _check.choice("link", link, ("power", "softmax"))
        self.decay = _check.number("decay", decay, "[0, 1)")

    def memory(self, weights: Floats) -> State:
        """See `MixtureUpdater`: the prior, and the average of the metric."""
        return {"prior": weights.copy(), "metric": np.full(weights.size, np.nan)}

    def propose(self, state: State, values: Values, update: int) -> tuple[Floats, State]:
        """See `MixtureUpdater`."""
        new, old, prior = values[self.reads[0]], state["metric"], state["prior"]
        mixed = self.decay * old + (1.0 - self.decay) * new
        average = np.where(np.isnan(new), old, np.where(np.isnan(old), new, mixed))
        far = self.best - average if self.higher_is_better else average - self.best
        far = np.maximum(far, 0.0)
        far = np.where(np.isnan(far), np.nanmean(far), far)
        memory = {"prior": prior, "metric": average}
        if self.link == "softmax":
            parts = prior * np.exp(self.power * (far - far.max()))
        else:
            parts = prior * (far / (far.max() or 1.0)) ** self.power
        return (parts / parts.sum() if parts.any() else prior), memory
