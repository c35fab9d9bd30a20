"""How much error each evaluation may spend: verdicts printed twice must not cost twice the error.

The increments are applied as Bonferroni over evaluations: evaluation k rejects at the level that
`level_at` gives, whatever the earlier ones found, and the sum over all evaluations is the level.
That needs no joint distribution of the evaluations: rows may have different seeds, join later or
be extended because they were undecided. The joint distribution (Jennison and Turnbull 2000,
chapter 7) would give a third planned evaluation 0.023 instead of 0.019; it holds for normal
statistics of known information, which moderated t with estimated variances are not exactly.
"""

from __future__ import annotations

import math

from ... import _check
from ._distributions import t_quantile, t_tail

LEVEL = 0.025


def level_at(evaluation: int, planned: int | None = None, level: float = LEVEL) -> float:
    """Return the one-sided level that an evaluation may spend.

    Parameters
    ----------
    evaluation : int
        Number of the evaluation, from 1.
    planned : int, optional
        Evaluations planned before the first one: the spending is then that of Lan and DeMets (1983)
        in the form of O'Brien and Fleming, `2 - 2 Phi(z / sqrt(t))` at t = k / planned, with z the
        normal quantile of level / 2 (Jennison and Turnbull 2000, section 7.2.3). Little is spent
        early, and most is left for the last. By default no number is planned, and evaluation k
        spends 6 / (pi k)**2 of the level, a series whose sum is 1.
    level : float in (0, 0.5), default 0.025
        One-sided level over all evaluations.

    Returns
    -------
    float
        0 for an evaluation after the planned ones: all of the error is spent.
    """
    evaluation = _check.integer("evaluation", evaluation, 1)
    level = _check.number("level", level, "(0, 0.5)")
    if planned is None:
        return level * 6 / (math.pi * evaluation) ** 2
    planned = _check.integer("planned", planned, 1)
    if evaluation > planned:
        return 0.0
    return _o_brien_fleming(evaluation / planned, level) - _o_brien_fleming(
        (evaluation - 1) / planned, level
    )


def level_for_seeds(evaluation: int, planned: int | None = None, level: float = LEVEL) -> float:
    """Return the level that the number of seeds is computed for.

    The planned number of seeds is complete at the last planned evaluation; without a plan, at the
    next one.
    """
    return level_at(evaluation if planned is None else max(planned, evaluation), planned, level)


def _o_brien_fleming(fraction: float, level: float) -> float:
    """Return the error spent up to a fraction of the evaluations."""
    if fraction <= 0:
        return 0.0
    z = float(t_quantile(level / 2, math.inf))
    return 2 * float(t_tail(z / math.sqrt(fraction), math.inf))
