"""Keep the highest scores, as in most pruning papers.

By a difficulty score this is best at low prune rates, and much worse than random selection at high
ones (from about 70 %); `window` and `ccs` drop the hardest rows first.
"""

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

__all__ = ["top"]


@method(
    needs="scores",
    label="baseline",
    source="Paul 2021",
    ranked=True,
    cost=lambda s: Cost(steps=4 * (s.N + s.M * log2(s.M)), memory=41 * s.N),
)
def top(scores: AnyScores, budget: float, **options: Unpack[Options]) -> Selection:
    """Keep the rows with the highest scores, in descending order.

    Parameters
    ----------
    scores : Score, or float array of shape (N,)
        Finite. The values of a `Score` are used unchanged: `top` of a score that is higher for
        easier samples keeps the easy ones.
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
        If a score is not finite, unless `on_bad="drop"` (the message names the row); if the budget
        exceeds the number of eligible rows.

    Notes
    -----
    Order
        By descending score, ties broken by a hash of (seed, id).
    Cost
        O(N + M log M) time; 41 N bytes. One pass.
    Gradients
        No weights; the loss over the kept rows is unweighted.
    Source
        Keep-hardest of Paul, Ganguli, Dziugaite, "Deep Learning on a Data Diet", NeurIPS 2021, and
        of most scores since.

    Examples
    --------
    >>> top([0.1, 0.9, 0.5, 0.7], 2).indices
    array([1, 3])
    """
    values, bad = scores_of("scores", scores, options)

    def core(task: Task) -> Picks:
        return Picks(best(task.of(values), task.budget, task.keys))

    return select(
        "top", values.size, budget, options, core, arguments={}, bad=bad, scores=values,
        order="descending",
    )  # fmt: skip
