"""Stratified selection over the range of a score, and CCS, which drops the hardest rows first.

At high prune rates, covering the range is better than either end of it. Strata of equal width
follow the published method; if a heavy tail leaves most of them empty, use `strata="quantile"`.
"""

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ...record import Score, Selection
from ...types import Floats, Keys
from ..core._budget import water_fill
from ..core._inputs import AnyScores, best, either, scores_of
from ..core._registry import method
from ..core._task import Options, Picks, Task, select

__all__ = ["ccs", "stratified"]


@method(needs="scores", label="baseline", ranked=False, time="N log N", memory="65 N bytes")
def stratified(
    scores: AnyScores,
    budget: float,
    *,
    num_strata: int = 50,
    strata: str = "width",
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
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Sorted by stratum, from the lowest scores, without weights. `info["strata"]` holds the
        number of kept and of all rows of each.

    Raises
    ------
    ValueError
        If a score is not finite; the message names the row.

    Notes
    -----
    Order
        Within a stratum by a hash of (seed, id).
    Cost
        O(N log N) time, 65 N bytes, one pass.
    Gradients
        No weights; rare scores have more influence than in the data.
    Source
        The second step of CCS (see `ccs`).

    Examples
    --------
    >>> stratified([0.0, 0.1, 0.2, 0.3, 9.0], 2, num_strata=2).indices[-1]
    np.int64(4)
    """
    bins = _check.integer("num_strata", num_strata, 1)
    strata = _check.choice("strata", strata, ("width", "quantile"))
    values, bad = scores_of("scores", scores, options)

    def core(task: Task) -> Picks:
        return _spread(task.of(values), task.budget, bins, strata, task.keys, task.key)

    return select(
        "stratified", values.size, budget, options, core, bad=bad, scores=values, order="falling",
        arguments={"num_strata": bins, "strata": strata},
    )  # fmt: skip


@method(
    needs="scores",
    label="recommended",
    ranked=False,
    time="N log N",
    memory="72 N bytes",
    minds={"scores": ("harder", "keep"), "margins": ("harder",)},
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
        O(N log N) time, 72 N bytes.
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
        hardest = best(task.of(hard), dropped, task.keys) if dropped else np.zeros(0, np.int64)
        left = np.setdiff1d(np.arange(size), hardest, assume_unique=True)
        picks = _spread(task.of(values)[left], task.budget, bins, strata, task.keys[left], task.key)
        info = {**picks.info, "cut": dropped, "cut_by": by}
        return Picks(left[picks.places], ruled=[(hardest, "among the hardest")], info=info)

    return select(
        "ccs", values.size, budget, options, core, bad=bad, scores=values, order="falling",
        arguments={"cut": part, "margins": margins, "num_strata": bins, "strata": strata},
    )  # fmt: skip


def default_cut(prune_rate: float) -> float:
    """Return the default fraction of hardest rows to drop at a prune rate."""
    return 0.3 * max(0.0, (prune_rate - 0.5) / 0.4)


def _spread(values: Floats, budget: int, bins: int, kind: str, keys: Keys, key: np.uint64) -> Picks:
    """Draw the same number of random rows from each stratum."""
    codes = _strata_of(values, bins, kind)
    sizes = np.bincount(codes, minlength=bins)
    counts = water_fill(sizes, budget)
    order = np.lexsort((keys ^ _rng.subkey(key, 0), codes))
    starts = np.cumsum(sizes) - sizes
    place = np.arange(values.size) - np.repeat(starts, sizes)
    kept = order[place < np.repeat(counts, sizes)]
    held = np.flatnonzero(sizes)
    found = [[int(counts[each]), int(sizes[each])] for each in held]
    return Picks(kept, info={"strata": found})


def _strata_of(values: Floats, bins: int, kind: str) -> NDArray[np.int64]:
    """Return the stratum of each value, the last one closed: (n,) -> (n,) in [0, bins)."""
    if kind == "quantile":
        edges = np.quantile(values, np.arange(1, bins) / bins)
        return np.searchsorted(edges, values, side="right")
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.zeros(values.size, np.int64)
    # Halved, because the width of the whole range may overflow.
    scaled = (values / 2 - low / 2) / (high / 2 - low / 2)
    return np.minimum((scaled * bins).astype(np.int64), bins - 1)
