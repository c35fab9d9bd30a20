"""Perplexity sampling: BERTIN's stepwise and Gaussian rules, for a given budget.

The published factors keep about half of the corpus they were chosen for, and an arbitrary fraction
of another; here the factor is determined by the budget.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check, _rng
from ...record import Selection
from ...types import Floats
from ..core._cost import Cost, log2
from ..core._inclusion import draw_fixed, inclusion_probabilities
from ..core._inputs import scores_of
from ..core._method import method
from ..core._options import Options
from ..core._order import shuffled
from ..core._select import select
from ..core._task import Picks, Task

__all__ = ["perplexity"]


@method(
    needs="scores",
    label="for replication",
    source="De la Rosa 2022",
    ranked=False,
    weights="1 / inclusion probability, or none",
    cost=lambda s: Cost(steps=7.5 * s.N * log2(s.N), memory=75 * s.N),
)
def perplexity(
    perplexities: ArrayLike,
    budget: float,
    *,
    rule: Literal["gaussian", "stepwise"] = "gaussian",
    width: float = 4.5,
    boundaries: ArrayLike | None = None,
    reweight: bool = False,
    **options: Unpack[Options],
) -> Selection:
    """Draw documents with probabilities that are highest for medium perplexities.

    Parameters
    ----------
    perplexities : float array of shape (N,)
        Finite and > 0.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    rule : {"gaussian", "stepwise"}, default "gaussian"
        Relative probability of a document of perplexity x, with quartiles q1, q2, q3: exp(-((x -
        q2) / q2)^2 / width), or 1 / (width of the quarter that contains x), where the last quarter,
        which is unbounded, has width 10 q3.
    width : float > 0, default 4.5
        Width of the Gaussian.
    boundaries : float array of shape (3,), optional
        q1 < q2 < q3; by default the quartiles of the eligible rows.
    reweight : bool, default False
        Weights 1 / inclusion probability.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Rows in ascending order; exactly M. `info["boundaries"]` holds the quartiles,
        `info["factor"]` the factor of the relative probabilities.

    Raises
    ------
    ValueError
        If a perplexity is not finite or not positive (the message names the row); if the boundaries
        are not ascending.

    Notes
    -----
    Order
        Random decisions by (seed, id).
    Cost
        O(N log N) time; 75 N bytes. One pass.
    Gradients
        Biased by design, unless `reweight`.
    Source
        De la Rosa et al., "BERTIN", Procesamiento del Lenguaje Natural 68, 2022. Intervals are
        half-open; the released code has no branch for the middle boundary itself.

    Examples
    --------
    >>> picked = perplexity([1.0, 10.0, 11.0, 12.0, 900.0], 3, boundaries=[10.0, 11.0, 12.0])
    >>> 4 in picked.indices
    False
    """
    reweight = _check.flag("reweight", reweight)
    rule = _check.choice("rule", rule, ("gaussian", "stepwise"))
    spread = _check.number("width", width, "(0, inf)")
    values, bad = scores_of("perplexities", perplexities, options)
    low = np.flatnonzero((values <= 0) & ~(np.False_ if bad is None else bad))
    if low.size:
        raise ValueError(
            f"perplexities must be > 0, got {values[low[0]]} in row {low[0]}: give perplexities "
            "themselves; numpy.exp of losses in nats makes them"
        )
    given = None if boundaries is None else _check.floats("boundaries", boundaries)
    if given is not None and (given.size != 3 or not (np.diff(given) > 0).all() or given[0] <= 0):
        raise ValueError(f"boundaries must be three ascending numbers > 0, got {given.tolist()}")

    def core(task: Task) -> Picks:
        own = task.of(values)
        marks = np.quantile(own, [0.25, 0.5, 0.75]) if given is None else given
        relative = _chances(own, marks, rule, spread)
        pi, factor = _solve(relative, task.budget)
        key = _rng.subkey(task.key, 1)
        places = draw_fixed(pi, shuffled(task.keys, task.key), key, task.budget)
        info = {"boundaries": marks.tolist(), "factor": factor}
        return Picks(places, 1.0 / pi[places] if reweight else None, info=info)

    return select(
        "perplexity", values.size, budget, options, core, bad=bad, scores=values,
        arguments={"rule": rule, "width": spread, "boundaries": boundaries,
                   "reweight": reweight},
    )  # fmt: skip


def _chances(values: Floats, marks: Floats, rule: str, width: float) -> Floats:
    """Return relative probabilities (n,), the highest 1."""
    if rule == "gaussian":
        # exp underflows in the tails; a floor keeps every probability positive and the budget
        # feasible.
        bell: Floats = np.maximum(np.exp(-np.square(values / marks[1] - 1.0) / width), 1e-12)
        return bell
    ranges = np.array([marks[0], *np.maximum(np.diff(marks), 1e-12 * marks[0]), 10.0 * marks[2]])
    chances: Floats = 1.0 / ranges[np.searchsorted(marks, values, side="right")]
    chances /= chances.max()
    return chances


def _solve(relative: Floats, budget: int) -> tuple[Floats, float]:
    """Return min(1, factor * relative), which adds up to the budget, and the factor."""
    pi = inclusion_probabilities(relative, budget)
    inside = pi < 1.0
    factor = float((pi[inside] / relative[inside]).max()) if inside.any() else 1.0
    return pi, factor
