"""Stratified selection over the range of a score.

At high prune rates, covering the range is better than either end of it (`top`, `bottom`). `ccs`
drops the hardest rows first.
"""

from __future__ import annotations

from dataclasses import replace

from typing_extensions import Unpack

from ... import _check
from ...record import Selection
from ..core._cost import Cost, log2
from ..core._inputs import AnyScores, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ..core._task import Picks, Task
from ._strata import spread

__all__ = ["stratified"]


@method(
    needs="scores",
    label="baseline",
    source="Zheng 2023",
    ranked=False,
    weights="rows of the stratum / rows kept of it, or none",
    cost=lambda s: Cost(steps=1.2 * s.N * log2(s.N), memory=65 * s.N),
)
def stratified(
    scores: AnyScores,
    budget: float,
    *,
    num_strata: int = 50,
    strata: str = "width",
    reweight: bool = False,
    **options: Unpack[Options],
) -> Selection:
    """Split the range of a score into strata, and draw the same number of random rows from each.

    Parameters
    ----------
    scores : Score, or float array of shape (N,)
        Finite.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N. All rows of a stratum with too few rows are
        kept, and the others share the remainder evenly.
    num_strata : int, default 50
    strata : {"width", "quantile"}, default "width"
        Strata of equal width, or of equal numbers of rows.
    reweight : bool, default False
        Return weights 1 / inclusion probability: rows of the stratum / rows kept of it. Weighted
        sums are then unbiased for those of all rows, with less variance than a random subset of
        equal size where the summand varies with the score.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Sorted by stratum, from the lowest scores, without weights unless `reweight`.
        `info["strata"]` holds the number of kept and of all rows of each.

    Raises
    ------
    ValueError
        If a score is not finite (the message names the row); with `reweight`, if the budget is less
        than the number of strata with rows, so that some have no row kept.

    Notes
    -----
    Order
        Within a stratum by a hash of (seed, id).
    Cost
        O(N log N) time; 65 N bytes. One pass.
    Gradients
        Without weights, rare scores have more influence than in the data.
    Source
        The second step of CCS (see `ccs`).

    Examples
    --------
    >>> stratified([0.0, 0.1, 0.2, 0.3, 9.0], 2, num_strata=2).indices[-1]
    np.int64(4)
    >>> stratified([0.0, 0.1, 0.2, 0.3, 9.0], 3, num_strata=2, reweight=True).weights
    array([2., 2., 1.])
    """
    reweight = _check.flag("reweight", reweight)
    bins = _check.integer("num_strata", num_strata, 1)
    strata = _check.choice("strata", strata, ("width", "quantile"))
    values, bad = scores_of("scores", scores, options)

    def core(task: Task) -> Picks:
        found = spread(task.of(values), task.budget, bins, strata, task.keys, task.key)
        if not reweight:
            return replace(found, weights=None)
        held = found.info["strata"]
        if any(kept == 0 for kept, _ in held):
            raise ValueError(
                f"budget must be at least {len(held)}, the strata with rows, with reweight=True, "
                f"got {task.budget}: use fewer strata"
            )
        return found

    return select(
        "stratified", values.size, budget, options, core, bad=bad, scores=values,
        order="descending", arguments={"num_strata": bins, "strata": strata, "reweight": reweight},
    )  # fmt: skip
