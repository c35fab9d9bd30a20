"""Selection of preference pairs by the gap between the scores of the two answers."""

from __future__ import annotations

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
    source="after Diwan 2025",
    ranked=True,
    cost=lambda s: Cost(steps=6 * (s.N + s.M * log2(s.M)), memory=50 * s.N),
)
def preference_gap(
    chosen: ArrayLike,
    budget: float,
    *,
    rejected: ArrayLike,
    keep: Literal["largest", "smallest"] = "largest",
    gap: Literal["signed", "absolute"] = "signed",
    drop_reversed: bool | None = None,
    **options: Unpack[Options],
) -> Selection:
    """Keep the preference pairs with the largest score gap, chosen minus rejected.

    Of rewards, a signed gap below 0 means a doubtful label. Of log-probabilities under a reference
    model, which was not trained on the labels, it does not: there `gap="absolute"` keeps the pairs
    whose answers the model distinguishes most clearly, in either direction.

    Parameters
    ----------
    chosen : float array of shape (N,)
        Score of the chosen answer: from a reward model, the implicit reward of a policy, or its
        log-probability under a reference model, see `sampling.scores.sequence_log_probs`.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    rejected : float array of shape (N,)
        Score of the rejected answer.
    keep : {"largest", "smallest"}, default "largest"
        Keep the clearest pairs, or the closest ones.
    gap : {"signed", "absolute"}, default "signed"
        Rank by chosen - rejected, or by its absolute value.
    drop_reversed : bool, optional
        Pick pairs whose rejected answer scores higher only if no others are left: their label is
        doubtful. By default True for "signed" and False for "absolute".
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Ranked, without weights. `scores` are the gaps, chosen - rejected, or their absolute values;
        `info["reversed"]` is the number of kept pairs whose rejected answer scores higher.

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
        The signed gap of rewards is a rule in common use for preference tuning; no single paper.
        Gaps of log-probabilities under a reference model: after the abstract of Diwan, Ergen, Shim,
        Lee, "Clear Preferences Leave Traces: Reference Model-Guided Sampling for Preference
        Learning", arXiv:2501.15109, 2025. It does not say whether its gap is signed.

    Examples
    --------
    >>> preference_gap([2.0, 1.0, 5.0], 2, rejected=[1.0, 3.0, 1.0]).indices
    array([2, 0])
    >>> preference_gap([-2.0, -9.0, -5.0], 2, rejected=[-3.0, -3.0, -1.0], gap="absolute").indices
    array([1, 2])
    """
    gap = _check.choice("gap", gap, ("signed", "absolute"))
    last = gap == "signed"
    if drop_reversed is not None:
        last = _check.flag("drop_reversed", drop_reversed)
    keep = _check.choice("keep", keep, ("largest", "smallest"))
    one, bad = scores_of("chosen", chosen, options)
    other, worse = scores_of("rejected", rejected, options)
    _check.same_length("rejected", other, "chosen", one.size)
    bad = either(bad, worse)
    signed = one - other
    gaps = np.abs(signed) if gap == "absolute" else signed

    def core(task: Task) -> Picks:
        own, back = task.of(gaps), task.of(signed) < 0
        rank = own if keep == "largest" else -own
        if last:  # after all others, the least reversed first
            span = float(own.max() - own.min()) + 1.0
            rank = np.where(back, task.of(signed) - span - float(np.abs(rank).max()), rank)
        places = best(rank, task.budget, task.keys)
        count = int(back[places].sum())
        return Picks(places, info={"reversed": count}, merge={"reversed": operator.add})

    return select(
        "preference_gap", one.size, budget, options, core, bad=bad, scores=gaps,
        order=_order(keep, gap, last),
        arguments={"rejected": rejected, "keep": keep, "gap": gap, "drop_reversed": last},
    )  # fmt: skip


def _order(keep: str, gap: str, last: bool) -> Literal["descending", "ascending"] | None:
    """Return the order of the scores among the picks; None if reversed pairs interrupt it."""
    if last and (keep == "smallest" or gap == "absolute"):
        return None
    return "descending" if keep == "largest" else "ascending"
