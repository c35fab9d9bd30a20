"""Keep the highest, the lowest, or a window of the ranking, as in most pruning papers.

`top` by a difficulty score is best at low prune rates, and much worse than random selection at high
ones (from about 70 %). `window` drops the hardest rows, which are often mislabelled.
"""

import numpy as np
from typing_extensions import Unpack

from ... import _check
from ...record import Selection
from ..core._inputs import AnyScores, best, scores_of
from ..core._registry import method
from ..core._task import Options, Picks, Task, select

__all__ = ["bottom", "top", "window"]


@method(needs="scores", label="baseline", ranked=True, time="N + M log M", memory="41 N bytes")
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
        O(N + M log M) time, 41 N bytes, one pass.
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
        order="falling",
    )  # fmt: skip


@method(needs="scores", label="baseline", ranked=True, time="N + M log M", memory="41 N bytes")
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
        order="rising",
    )  # fmt: skip


@method(
    needs="scores",
    label="recommended",
    ranked=False,
    time="N log N",
    memory="46 N bytes",
    minds={"scores": ("harder", "keep")},
    version=2,
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
        O(N log N) time, 41 N bytes, one pass.
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
        order = np.lexsort((task.keys, -task.of(values)))
        above = min(int(offset * order.size + 0.5), order.size - task.budget)
        kept = order[above : above + task.budget]
        return Picks(kept, ruled=[(order[:above], "above the window")], info={"above": above})

    return select(
        "window", values.size, budget, options, core, arguments={"offset": offset}, bad=bad,
        scores=values, order="falling",
    )  # fmt: skip
