"""Beta sampling of DUAL: draws by score times a Beta density of the mean confidence.

The density shifts from hard to easy rows as the prune rate grows, which prevents the collapse of
score-based pruning at high rates; `ccs` prevents it by a cut-off.
"""

from __future__ import annotations

import numpy as np
from typing_extensions import Unpack

from ... import _check
from ...record import Score, Selection
from ..core._cost import Cost, log2
from ..core._inputs import AnyScores, either, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._order import best, noise
from ..core._select import select
from ..core._task import Picks, Task

__all__ = ["beta"]
_SHIFT = (
    "rows are drawn in proportion to it; use one that is >= 0 and higher for harder rows, such as "
    "dual or el2n, or shift it, as in Score(score.values.max() - score.values, 'harder') for "
    "a score that is higher for easier rows"
)
_MEAN = "it is the mean probability of the true class, as in TrainingDynamics.confidence"
_LEAST = 1e-300  # replaces a weight of 0: such rows come last


@method(
    needs="scores",
    label="baseline",
    source="Cho 2025",
    ranked=False,
    minds={"scores": ("harder", "keep"), "confidence": ("easier",)},
    cost=lambda s: Cost(steps=4.8 * s.N * log2(s.N), memory=95 * s.N),
)
def beta(
    scores: AnyScores,
    budget: float,
    *,
    confidence: AnyScores,
    exponent: float = 4.0,
    concentration: float = 16.0,
    **options: Unpack[Options],
) -> Selection:
    """Draw rows in proportion to score times a Beta density of their mean confidence.

    Parameters
    ----------
    scores : Score, or float array of shape (N,)
        Finite and >= 0, higher for rows that are harder or more worth keeping:
        `TrainingDynamics.dual` in the paper.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    confidence : Score, or float array of shape (N,)
        Mean probability of the true class over the epochs, in [0, 1]:
        `TrainingDynamics.confidence`.
    exponent : float > 0, default 4.0
        How late the density shifts towards easy rows; the paper uses 4 for CIFAR-10.
    concentration : float > 0, default 16.0
        Sum of the two parameters of the density.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        In draw order, without weights. `info` holds the parameters `a` and `b`.

    Raises
    ------
    ValueError
        If a score is negative or not finite, or a confidence is outside [0, 1]; the message names
        the row.

    Notes
    -----
    Order
        Draws without replacement, with noise hashed from (seed, id).
    Cost
        O(N log N) time; 95 N bytes.
    Gradients
        No weights.
    Source
        Cho, Shin, Kang, Yun, "Lightweight Dataset Pruning without Full Training via Example
        Difficulty and Prediction Uncertainty", ICML 2025. At a prune rate r: b = (concentration -
        1) (1 - mu) (1 - r^exponent), a = concentration - b, mu the mean confidence of the 10 rows
        with the highest scores.

    Examples
    --------
    >>> picked = beta([3.0, 2.0, 1.0, 0.0], 2, confidence=[0.4, 0.5, 0.9, 1.0])
    >>> sorted(picked.info)[:2]
    ['a', 'b']
    """
    power = _check.number("exponent", exponent, "(0, inf)")
    total = _check.number("concentration", concentration, "(1, inf)")
    values, bad = scores_of("scores", scores, options)
    sure, worse = scores_of("confidence", confidence, options)
    _check.same_length("confidence", sure, "scores", values.size)
    bad = either(bad, worse)
    for name, given, array, high, remedy in (
        ("scores", scores, values, np.inf, _SHIFT), ("confidence", confidence, sure, 1.0, _MEAN),
    ):  # fmt: skip
        outside = np.flatnonzero((array < 0) | (array > high))
        if outside.size:
            row = outside[0]
            of = f" of {given.name!r}" if isinstance(given, Score) else ""
            rule = "[0, 1]" if high == 1.0 else "[0, inf)"
            raise ValueError(
                f"{name} must be in {rule}, got {array[row]} in row {row}{of}: {remedy}"
            )

    def core(task: Task) -> Picks:
        own, chance = task.of(values), task.of(sure)
        hardest = best(own, min(10, own.size), task.keys)
        rate = 1.0 - task.budget / own.size
        b = (total - 1.0) * (1.0 - float(chance[hardest].mean())) * (1.0 - rate**power)
        # if all ten have confidence 1, or all is pruned: the density has its mass at 1
        b = max(b, 1e-6)
        a = total - b
        from scipy.stats import beta as beta_distribution  # takes a second to import

        log_density = beta_distribution.logpdf(np.clip(chance, 1e-9, 1.0 - 1e-9), a, b)
        log_weights = np.log(np.maximum(own, _LEAST)) + log_density
        drawn = best(log_weights + noise(task.keys ^ task.key), task.budget, task.keys)
        return Picks(drawn, info={"a": a, "b": b})

    return select(
        "beta", values.size, budget, options, core, bad=bad, scores=values,
        arguments={"confidence": confidence, "exponent": power, "concentration": total},
    )  # fmt: skip
