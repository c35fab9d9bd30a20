"""CCS: drop the hardest rows, which are often mislabelled, then cover the range of the score."""

from __future__ import annotations

import numpy as np
from typing_extensions import Unpack

from ... import _check
from ...record import Score, Selection
from ..core._cost import Cost, log2
from ..core._inputs import AnyScores, either, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._order import highest
from ..core._select import select
from ..core._task import Picks, Task
from ._strata import spread

__all__ = ["ccs"]


@method(
    needs="scores",
    label="for replication",
    source="Zheng 2023",
    ranked=False,
    minds={"scores": ("harder", "keep"), "margins": ("harder",)},
    cost=lambda s: Cost(steps=1.9 * s.N * log2(s.N), memory=72 * s.N),
)
def ccs(
    scores: AnyScores,
    budget: float,
    *,
    cut: float | None = None,
    margins: AnyScores | None = None,
    num_strata: int = 50,
    strata: str = "width",
    **options: Unpack[Options],
) -> Selection:
    """Drop the hardest rows, then select evenly over strata of the score (CCS).

    Parameters
    ----------
    scores : Score, or float array of shape (N,)
        Finite; a plain array is assumed to be higher for harder rows. A score with direction
        "keep", such as `dual`, `dyn_unc` or `variability` of `TrainingDynamics`, does not define
        which rows are hard: then nothing is cut unless `margins` are given.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    cut : float in [0, 1), optional
        Fraction of the rows to drop first, the hardest (beta in the paper), limited by the budget.
        By default 0.3 max(0, (r - 0.5) / 0.4) for a prune rate r. This formula is not from
        the paper, and lies between the values that the authors give for individual rates, which
        they chose by grid search.
    margins : Score, or float array of shape (N,), optional
        Score that defines the hardest rows, higher for harder if it is a plain array; `scores` by
        default. The authors cut by AUM for every score; those of DUAL cut the highest DUAL, which
        is `margins=Score(score.values, "harder")`.
    num_strata : int, default 50
    strata : {"width", "quantile"}, default "width"
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Sorted by stratum, from the lowest scores, without weights. `info["cut"]` is the number of
        rows cut, `info["cut_by"]` the criterion: "scores", "margins" or "nothing".

    Raises
    ------
    ValueError
        If a score is not finite (the message names the row); if `margins` has another length; if
        `cut` is above 0 and no score defines which rows are hard.

    Notes
    -----
    Order
        Within a stratum by a hash of (seed, id).
    Cost
        O(N log N) time; 72 N bytes.
    Gradients
        No weights.
    Source
        Zheng, Liu, Lai, Prakash, "Coverage-centric Coreset Selection for High Pruning Rates", ICLR
        2023. The last stratum is closed, so that every row is in a stratum; the authors' code loses
        the highest rows of negative scores.

    Examples
    --------
    >>> ccs([0.0, 0.1, 0.2, 0.3, 9.0], 2, cut=0.2, num_strata=2).indices.max() < 4
    np.True_
    """
    bins = _check.integer("num_strata", num_strata, 1)
    strata = _check.choice("strata", strata, ("width", "quantile"))
    part = None if cut is None else _check.number("cut", cut, "[0, 1)")
    values, bad = scores_of("scores", scores, options)
    hard, by = values, "scores" if margins is None else "margins"
    if margins is None and isinstance(scores, Score) and scores.higher_is == "keep":
        if part:
            raise ValueError(
                f"margins must be given for cut={part:g}, got None: the score {scores.name!r} "
                "means 'keep', which does not define which rows are hard; give "
                "margins=dynamics.aum(), or cut=0"
            )
        part, by = 0.0, "nothing"
    if margins is not None:
        hard, worse = scores_of("margins", margins, options)
        _check.same_length("margins", hard, "scores", values.size)
        bad = either(bad, worse)

    def core(task: Task) -> Picks:
        size = task.rows.size
        share = part if part is not None else default_cut(1.0 - task.budget / size)
        dropped = min(int(share * size + 0.5), size - task.budget)
        hardest = highest(task.of(hard), dropped, task.keys)
        open_ = np.ones(size, np.bool_)
        open_[hardest] = False
        left = np.flatnonzero(open_)
        picks = spread(task.of(values)[left], task.budget, bins, strata, task.keys[left], task.key)
        info = {**picks.info, "cut": dropped, "cut_by": by}
        return Picks(left[picks.places], ruled=[(hardest, "among the hardest")], info=info)

    return select(
        "ccs", values.size, budget, options, core, bad=bad, scores=values, order="descending",
        arguments={"cut": part, "margins": margins, "num_strata": bins, "strata": strata},
    )  # fmt: skip


def default_cut(prune_rate: float) -> float:
    """Return the default fraction of hardest rows to drop at a prune rate."""
    return 0.3 * max(0.0, (prune_rate - 0.5) / 0.4)
