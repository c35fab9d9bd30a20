"""Keep a window of the ranking, below the hardest rows, which are often mislabelled.

`ccs` drops the hardest rows too, and then covers the range of the score instead of the next
hardest rows.
"""

from __future__ import annotations

from typing_extensions import Unpack

from ... import _check
from ...record import Selection
from ...record.keys import by_value
from ..core._cost import Cost, log2
from ..core._inputs import AnyScores, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ..core._task import Picks, Task

__all__ = ["window"]


@method(
    needs="scores",
    label="baseline",
    source="Paul 2021",
    ranked=False,
    minds={"scores": ("harder", "keep")},
    version=2,
    cost=lambda s: Cost(steps=s.N * log2(s.N), memory=46 * s.N),
)
def window(
    scores: AnyScores, budget: float, *, offset: float = 0.1, **options: Unpack[Options]
) -> Selection:
    """Drop the rows with the highest scores, and keep the next M of the ranking.

    With a difficulty score this drops the hardest rows, which are often mislabelled, and keeps the
    next hardest.

    Parameters
    ----------
    scores : Score, or float array of shape (N,)
        Finite. For a `Score` the hardest rows are dropped, or those most worth keeping. An array is
        assumed to be higher for harder rows: its highest are dropped.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    offset : float in [0, 1), default 0.1
        Fraction of the rows above the window. If fewer than M rows remain below, the window is the
        lowest M rows.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        By descending score, without weights; `info["above"]` is the number of rows above the
        window.

    Raises
    ------
    ValueError
        As `top`.

    Notes
    -----
    Order
        By descending score, ties broken by a hash of (seed, id).
    Cost
        O(N log N) time; 46 N bytes. One pass.
    Gradients
        No weights.
    Source
        The offset of Paul, Ganguli, Dziugaite, NeurIPS 2021.

    Examples
    --------
    >>> window([0.1, 0.9, 0.5, 0.7, 0.3], 2, offset=0.2).indices
    array([3, 2])
    """
    offset = _check.number("offset", offset, "[0, 1)")
    values, bad = scores_of("scores", scores, options)

    def core(task: Task) -> Picks:
        order = by_value(-task.of(values), task.keys)
        above = min(int(offset * order.size + 0.5), order.size - task.budget)
        kept = order[above : above + task.budget]
        return Picks(kept, ruled=[(order[:above], "above the window")], info={"above": above})

    return select(
        "window", values.size, budget, options, core, arguments={"offset": offset}, bad=bad,
        scores=values, order="descending",
    )  # fmt: skip
