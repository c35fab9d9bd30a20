"""The mean of one score over several runs."""

from collections.abc import Sequence

import numpy as np

from .. import _check
from .._check._keywords import told
from ..record import Score
from ..types import Floats


@told
def mean_scores(scores: Sequence[Score]) -> Score:
    """Return the mean of the same score over several runs, such as EL2N of ten seeds.

    Parameters
    ----------
    scores : sequence of Score
        R scores of the same samples, with the same name and direction.

    Returns
    -------
    Score
        float64; NaN where it is NaN in any run.

    Raises
    ------
    ValueError
        If they are not of the same kind, or a value is infinite, since it would hide all others.

    Notes
    -----
    Cost
        O(R N).

    Examples
    --------
    >>> runs = [Score(np.array([0.5, 1.0]), "harder"), Score(np.array([0.0, 2.0]), "harder")]
    >>> mean_scores(runs).values
    array([0.25, 1.5 ])
    """
    if not scores:
        raise ValueError("scores must hold at least one score, got none")
    first = scores[0]
    total: Floats = np.zeros(len(first))
    for i, score in enumerate(scores):
        _check.same_length(f"scores[{i}]", score, "scores[0]", len(first))
        kind = (score.name, score.higher_is)
        if kind != (first.name, first.higher_is):
            raise ValueError(
                f"scores[{i}] must be of the kind of scores[0], {(first.name, first.higher_is)}, "
                f"got {kind}"
            )
        infinite = np.isinf(score.values)
        if infinite.any():
            row = int(np.flatnonzero(infinite)[0])
            raise ValueError(
                f"scores[{i}] must not be infinite, got {score.values[row]} in row {row}"
            )
        total += score.values
    return Score(total / len(scores), first.higher_is, first.name)
