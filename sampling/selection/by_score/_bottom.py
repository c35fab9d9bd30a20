"""Keep the lowest scores: `top` of the negated score."""

from __future__ import annotations

from typing_extensions import Unpack

from ...record import Selection
from ..core._cost import Cost, log2
from ..core._inputs import AnyScores, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._order import best
from ..core._select import select
from ..core._task import Picks, Task

__all__ = ["bottom"]


@method(
    needs="scores",
    label="baseline",
    ranked=True,
    cost=lambda s: Cost(steps=6 * (s.N + s.M * log2(s.M)), memory=41 * s.N),
)
def bottom(scores: AnyScores, budget: float, **options: Unpack[Options]) -> Selection:
    """Keep the rows with the lowest scores, in ascending order; see `top`.

    Parameters
    ----------
    scores : Score, or float array of shape (N,)
        Finite.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Ranked, without weights.

    Raises
    ------
    ValueError
        As `top`.

    Notes
    -----
    Order
        By ascending score, ties broken by a hash of (seed, id).
    Cost
        O(N + M log M) time; 41 N bytes. One pass.
    Gradients
        No weights.

    Examples
    --------
    >>> bottom([0.1, 0.9, 0.5, 0.7], 2).indices
    array([0, 2])
    """
    values, bad = scores_of("scores", scores, options)

    def core(task: Task) -> Picks:
        return Picks(best(-task.of(values), task.budget, task.keys))

    return select(
        "bottom", values.size, budget, options, core, arguments={}, bad=bad, scores=values,
        order="ascending",
    )  # fmt: skip
