"""Systematic sampling: as exact as `pivotal`, and cheaper.

Many pairs of rows can never be drawn together, so it has no variance estimate.
"""

from __future__ import annotations

from typing_extensions import Unpack

from ...record import Selection
from ..core._cost import Cost, log2
from ..core._inclusion import draw_rows, refuse_negative
from ..core._inputs import AnyScores, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ..core._task import Picks, Task

__all__ = ["systematic"]


@method(
    needs="probabilities",
    label="baseline",
    source="Madow 1949",
    ranked=False,
    weights="1 / inclusion probability",
    cost=lambda s: Cost(steps=5.4 * s.N * log2(s.N), memory=75 * s.N),
)
def systematic(pi: AnyScores, budget: float, **options: Unpack[Options]) -> Selection:
    """Draw exactly M rows by systematic sampling along a random order; see `pivotal`.

    Parameters
    ----------
    pi : Score, or float array of shape (N,)
        Finite and >= 0.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Rows in ascending order. Weights 1 / inclusion probability.

    Notes
    -----
    Order
        Random decisions by (seed, id).
    Cost
        O(N log N) time; 75 N bytes.
    Source
        Madow, "On the theory of systematic sampling, II", Annals of Mathematical Statistics 1949.

    Examples
    --------
    >>> len(systematic([5.0, 1.0, 1.0, 1.0, 0.0], 2))
    2
    """
    values, bad = scores_of("pi", pi, options)
    refuse_negative("pi", values)

    def core(task: Task) -> Picks:
        return draw_rows(task, task.of(values), "systematic")

    return select(
        "systematic", values.size, budget, options, core, arguments={}, bad=bad, scores=values
    )
