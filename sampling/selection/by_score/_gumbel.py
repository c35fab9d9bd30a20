"""Gumbel top-k: draws without replacement by score, between `top` and a random subset."""

from __future__ import annotations

from typing_extensions import Unpack

from ... import _check
from ...record import Selection
from ..core._cost import Cost, log2
from ..core._inputs import AnyScores, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._order import best, noise
from ..core._select import select
from ..core._task import Picks, Task

__all__ = ["gumbel"]


@method(
    needs="scores",
    label="baseline",
    source="Vieira 2014; Kool 2019",
    ranked=True,
    cost=lambda s: Cost(steps=12 * (s.N + s.M * log2(s.M)), memory=66 * s.N),
)
def gumbel(
    scores: AnyScores, budget: float, *, temperature: float = 1.0, **options: Unpack[Options]
) -> Selection:
    """Draw rows without replacement with probabilities proportional to exp(score / temperature).

    Parameters
    ----------
    scores : Score, or float array of shape (N,)
        Finite: logarithms of relative weights. `numpy.log` of weights draws in proportion to them.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    temperature : float > 0, default 1.0
        Towards 0 the selection approaches `top`, towards infinity a random subset.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Ranked, without weights: the inclusion probabilities have no closed form. Use `pivotal` if
        weights are needed.

    Raises
    ------
    ValueError
        If a score is not finite (the message names the row); if temperature is not positive.

    Notes
    -----
    Order
        By score / temperature + noise hashed from (seed, id): the noise of a row depends only on
        its id, so the selection does not depend on row order or budget.
    Cost
        O(N + M log M) time; 66 N bytes. One pass.
    Gradients
        No weights.
    Source
        The Gumbel top-k trick: Vieira, "Gumbel-max trick and weighted reservoir sampling", 2014;
        Kool, van Hoof, Welling, ICML 2019.

    Examples
    --------
    >>> gumbel([0.0, 50.0, 0.0, 40.0], 2).indices
    array([1, 3])
    """
    heat = _check.number("temperature", temperature, "(0, inf)")
    values, bad = scores_of("scores", scores, options)

    def core(task: Task) -> Picks:
        own = task.of(values)
        own = (own - own.max()) / heat  # avoids overflow and keeps the order
        return Picks(best(own + noise(task.keys ^ task.key), task.budget, task.keys))

    return select(
        "gumbel", values.size, budget, options, core, bad=bad, scores=values,
        arguments={"temperature": heat},
    )  # fmt: skip
