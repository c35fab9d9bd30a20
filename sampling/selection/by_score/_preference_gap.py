"""Selection of preference pairs by the gap between the scores of the two answers."""

import operator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check
from ...record import Selection
from ..core._cost import Cost, log2
from ..core._inputs import either, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._order import best
from ..core._select import select
from ..core._task import Picks, Task

__all__ = ["preference_gap"]


@method(
    needs="scores",
    label="baseline",
    ranked=True,
    cost=lambda s: Cost(steps=6 * (s.N + s.M * log2(s.M)), memory=50 * s.N),
)
def preference_gap(
    chosen: ArrayLike,
    budget: float,
    *,
    rejected: ArrayLike,
    keep: Literal["largest", "smallest"] = "largest",
    drop_reversed: bool = True,
    **options: Unpack[Options],
) -> Selection:
    """Keep the preference pairs with the largest score gap, chosen minus rejected.

    Parameters
    ----------
    chosen : float array of shape (N,)
        Score of the chosen answer, from a reward model or the implicit reward of a policy.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    rejected : float array of shape (N,)
        Score of the rejected answer.
    keep : {"largest", "smallest"}, default "largest"
        Keep the clearest pairs, or the closest ones.
    drop_reversed : bool, default True
        Pick pairs whose rejected answer scores higher only if no others are left: their label is
        doubtful.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Ranked, without weights. `scores` are the gaps, chosen - rejected; `info["reversed"]` is the
        number of kept pairs with a negative gap.

    Raises
    ------
    ValueError
        If a score is not finite (the message names the row); if the lengths differ.

    Notes
    -----
    Order
        By gap, ties broken by a hash of (seed, id).
    Cost
        O(N + M log M) time; 50 N bytes.
    Gradients
        No weights.
    Source
        A rule in common use for preference tuning; no single paper.

    Examples
    --------
    >>> preference_gap([2.0, 1.0, 5.0], 2, rejected=[1.0, 3.0, 1.0]).indices
    array([2, 0])
    """
    drop_reversed = _check.flag("drop_reversed", drop_reversed)
    keep = _check.choice("keep", keep, ("largest", "smallest"))
    one, bad = scores_of("chosen", chosen, options)
    other, worse = scores_of("rejected", rejected, options)
    _check.same_length("rejected", other, "chosen", one.size)
    bad = either(bad, worse)
    gaps = one - other

    def core(task: Task) -> Picks:
        own = task.of(gaps)
        rank = own if keep == "largest" else -own
        if drop_reversed:  # after all others, the least reversed first
            back = own < 0
            span = float(own.max() - own.min()) + 1.0
            rank = np.where(back, own - span - float(np.abs(rank).max()), rank)
        places = best(rank, task.budget, task.keys)
        count = int((own[places] < 0).sum())
        return Picks(places, info={"reversed": count}, merge={"reversed": operator.add})

    return select(
        "preference_gap", one.size, budget, options, core, bad=bad, scores=gaps,
        order="descending" if keep == "largest" else None if drop_reversed else "ascending",
        arguments={"rejected": rejected, "keep": keep, "drop_reversed": drop_reversed},
    )  # fmt: skip
