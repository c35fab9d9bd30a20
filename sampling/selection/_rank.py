"""Keep the highest, the lowest, or a window of the ranking: the rule behind most pruning papers.

`top` by a score of difficulty wins while little is pruned and loses to random selection, badly,
once most is (from about 70 % on). `window` leaves out the very hardest, often mislabelled.
"""

import numpy as np
from typing_extensions import Unpack

from .. import _check
from ..types import Selection
from ._inputs import AnyScores, best, scores_of
from ._registry import method
from ._task import Options, Picks, Task, select

__all__ = ["bottom", "top", "window"]


@method(needs="scores", label="baseline", ranked=True, time="N + M log M", memory="41 N bytes")
def top(scores: AnyScores, budget: float, **options: Unpack[Options]) -> Selection:
    """Keep the rows with the highest scores, the highest first.

    Parameters
    ----------
    scores : Score, or float array of shape (N,)
        Finite. Of a `Score` the values as they are: `top` of one that is higher for easier samples
        keeps the easy ones.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    **options
        Those of every selector: see `Options`.

    Returns
    -------
    Selection
        Ranked, without weights.

    Raises
    ------
    ValueError
        If a score is not finite, the message names the row (or drop it: `on_bad="drop"`); if the
        budget is more than the rows that can be picked.

    Notes
    -----
    Order
        By falling score, ties by a hash of (seed, id).
    Cost
        O(N + M log M) time, 41 N bytes, one pass.
    Gradients
        No weights: training sees the kept rows as they are.
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
    """Keep the rows with the lowest scores, the lowest first; as `top`.

    Parameters
    ----------
    scores : Score, or float array of shape (N,)
        Finite.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    **options
        Those of every selector: see `Options`.

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
    """Keep a window of the ranking: leave out the highest, keep the next M.

    With a score of difficulty this drops the hardest rows, which are often mislabelled, and keeps
    the hard ones below them.

    Parameters
    ----------
    scores : Score, or float array of shape (N,)
        Finite; of a `Score` the hardest are left out, or those most worth keeping. An array is
        taken to be higher for harder rows: its highest are left out.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    offset : float in [0, 1), default 0.1
        Part of the rows above the window. Where fewer than M are left below, the window is moved up
        to the lowest M rows.
    **options
        Those of every selector: see `Options`.

    Returns
    -------
    Selection
        By falling score, without weights; `info["above"]` says how many rows lie above.

    Raises
    ------
    ValueError
        As `top`.

    Notes
    -----
    Order
        By falling score, ties by a hash of (seed, id).
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
