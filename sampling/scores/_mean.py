"""Several scores of the same samples as one: their mean, or the mean of their ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import _check
from .._check._keywords import told
from ..record import Score
from ..types import Floats


@told
def mean_scores(scores: Sequence[Score], *, standardize: bool = False) -> Score:
    """Return the mean of the same score over several runs, such as EL2N of ten seeds.

    With `standardize`, also of scores of different kinds. If they are distributed very differently,
    `rank_average` is more robust.

    Parameters
    ----------
    scores : sequence of Score
        R scores of the same samples, with the same name and direction.
    standardize : bool, default False
        Scale each score to mean 0 and standard deviation 1 first (a constant one to 0). Names may
        then differ, and a score of the opposite direction has its sign changed.

    Returns
    -------
    Score
        float64, with the direction of the first; NaN where it is NaN in any run.

    Raises
    ------
    ValueError
        If they are not of the same kind, or a value is infinite, since it would hide all others;
        if directions cannot be converted: hard is not the same as worth keeping.

    Notes
    -----
    Cost
        O(R N).

    Examples
    --------
    >>> runs = [Score(np.array([0.5, 1.0]), "harder"), Score(np.array([0.0, 2.0]), "harder")]
    >>> mean_scores(runs).values
    array([0.25, 1.5 ])
    >>> unlike = [Score(np.array([1.0, 3.0]), "harder"), Score(np.array([70.0, 50.0]), "easier")]
    >>> mean_scores(unlike, standardize=True).values
    array([-1.,  1.])
    """
    standardize = _check.flag("standardize", standardize)
    first = _first(scores)
    total: Floats = np.zeros(len(first))
    for i, score in enumerate(scores):
        _check.same_length(f"scores[{i}]", score, "scores[0]", len(first))
        kind = (score.name, score.higher_is)
        if not standardize and kind != (first.name, first.higher_is):
            raise ValueError(
                f"scores[{i}] must be of the kind of scores[0], {(first.name, first.higher_is)}, "
                f"got {kind}: standardize=True and rank_average combine different scores"
            )
        values = _values(score, first, i)
        infinite = np.isinf(values)
        if infinite.any():
            row = int(np.flatnonzero(infinite)[0])
            raise ValueError(
                f"scores[{i}] must not be infinite, got {score.values[row]} in row {row}"
            )
        total += _standard(values) if standardize else values
    return Score(total / len(scores), first.higher_is, _name(scores, "mean"))


@told
def rank_average(scores: Sequence[Score]) -> Score:
    """Return the mean of the ranks of several scores, each in the direction of the first.

    A consensus of unlike scores: scales, outliers and infinite values have no influence beyond
    their rank.

    Parameters
    ----------
    scores : sequence of Score
        R scores of the same samples, of any names. A score of the opposite direction is reversed.

    Returns
    -------
    Score
        float64 in (0, 1), with the direction of the first: the mean of (rank - 1/2) / N, where
        equal values share their mean rank. NaN where it is NaN in any score; the others are ranked
        without it.

    Raises
    ------
    ValueError
        If there are none, lengths differ, or directions cannot be converted: hard is not the same
        as worth keeping.

    Notes
    -----
    Cost
        O(R N log N).

    Examples
    --------
    >>> loss = Score(np.array([0.1, 9.0, 0.5, 0.5]), "harder", "loss")
    >>> margin = Score(np.array([3.0, -1.0, 2.0, -2.0]), "easier", "margin")
    >>> rank_average([loss, margin]).values
    array([0.125 , 0.75  , 0.4375, 0.6875])
    """
    from scipy.stats import rankdata  # takes a second to import, and only ranks need it

    first = _first(scores)
    total: Floats = np.zeros(len(first))
    for i, score in enumerate(scores):
        _check.same_length(f"scores[{i}]", score, "scores[0]", len(first))
        values = _values(score, first, i)
        known = ~np.isnan(values)
        ranks = np.full(values.size, np.nan)
        ranks[known] = (rankdata(values[known]) - 0.5) / max(int(known.sum()), 1)
        total += ranks
    return Score(total / len(scores), first.higher_is, _name(scores, "rank average"))


def _first(scores: Sequence[Score]) -> Score:
    if isinstance(scores, Score) or not len(scores):
        got = "one alone" if isinstance(scores, Score) else "none"
        raise ValueError(f"scores must hold at least one score, in a list, got {got}")
    for i, score in enumerate(scores):
        if not isinstance(score, Score):
            raise TypeError(
                f"scores[{i}] must be a Score, which states its direction, got a "
                f"{type(score).__name__}: write Score(values, 'harder')"
            )
    return scores[0]


def _values(score: Score, first: Score, i: int) -> Floats:
    """Return the values of score i in the direction of the first: float64 (N,)."""
    values = _check.one_dimensional(f"scores[{i}]", score.values)
    if values.dtype.kind not in "fiub":
        raise TypeError(f"scores[{i}] must hold numbers, got dtype {values.dtype}")
    numbers = Score(values.astype(np.float64), score.higher_is, score.name)
    return np.asarray(numbers.as_higher(first.higher_is), np.float64)


def _name(scores: Sequence[Score], what: str) -> str:
    names = dict.fromkeys(score.name for score in scores)
    if len(names) == 1 and what == "mean":
        return scores[0].name
    return f"{what} of {', '.join(each or 'a score without a name' for each in names)}"


def _standard(values: Floats) -> Floats:
    """Return values of mean 0 and standard deviation 1 over those that are known."""
    known = values[~np.isnan(values)]
    if not known.size:
        return values
    spread = float(known.std())
    near = spread <= 1e-12 * float(np.abs(known).max(initial=0.0))
    found: Floats = (values - known.mean()) * (0.0 if near else 1.0 / spread)
    return found
