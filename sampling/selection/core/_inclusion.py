"""Draws without replacement with given inclusion probabilities.

For `pivotal`, `systematic` and `poisson`, and the methods that draw in proportion to a score of
their own. torch's `WeightedRandomSampler(replacement=False)` does not respect inclusion
probabilities.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ... import _check, _rng
from ..._check._keywords import told
from ...kernels._draw import systematic as systematic_kernel
from ...kernels._pivotal import pivotal_walk
from ...types import Floats, Indices
from ._order import best, shuffled
from ._task import Picks, Task

__all__ = ["draw_fixed", "draw_rows", "inclusion_probabilities", "refuse_negative"]

DRAWS = ("pivotal", "systematic", "poisson", "top")


@told
def inclusion_probabilities(scores: ArrayLike, budget: int) -> Floats:
    """Return the inclusion probabilities min(1, c s_i), with c such that they add up to the budget.

    Parameters
    ----------
    scores : array of shape (n,)
        Finite and >= 0.
    budget : int
        At most the number of scores above 0.

    Returns
    -------
    float64 array of shape (n,)

    Raises
    ------
    ValueError
        If the number of scores above 0 is less than the budget.

    Notes
    -----
    Cost
        O(n log n) time, exact: the excess above 1 is redistributed.

    Examples
    --------
    >>> inclusion_probabilities([6.0, 1.0, 1.0, 0.0], 2)
    array([1. , 0.5, 0.5, 0. ])
    """
    values = _check.weights("scores", scores)
    positive = int(np.count_nonzero(values))
    budget = _check.integer("budget", budget, 1, values.size + 1)
    if budget > positive:
        raise ValueError(f"budget must be at most {positive}, the scores above 0, got {budget}")
    descending = -np.sort(-values)
    tails = np.cumsum(descending[::-1])[::-1]  # sum of the j-th and all lower scores
    left = budget - np.arange(budget)
    # c s of the j-th score if all higher ones get 1
    highest = left * (descending[:budget] / tails[:budget])
    certain = int(np.argmax(highest <= 1.0 + 1e-12))
    with np.errstate(over="ignore"):  # for higher scores, if the remaining ones are tiny
        pi: Floats = np.minimum(left[certain] * (values / tails[certain]), 1.0)
    pi[np.argsort(-values, kind="stable")[:certain]] = 1.0
    return pi


def draw_fixed(pi: Floats, order: Indices, key: np.uint64, budget: int) -> Indices:
    """Return `budget` positions drawn with probabilities pi, spread along an order; ascending."""
    out = np.zeros(pi.size, np.bool_)
    pivotal_walk(pi, order, key, out)
    found = np.flatnonzero(out)
    _refuse_other(found.size, budget)
    return found


def _refuse_other(drawn: int, budget: int) -> None:
    if drawn != budget:  # they add up to the budget up to rounding
        raise RuntimeError(f"drew {drawn} rows of {budget}: the probabilities do not add up")


def draw_rows(task: Task, scores: Floats, draw: str, along: Indices | None = None) -> Picks:
    """Draw rows of a task in proportion to their scores, with weights 1 / pi (none for "top").

    scores : float64 (n,), of the task's rows
    along : int64 (n,), positions in the order along which "pivotal" spreads; random by default
    """
    if draw == "top":
        return Picks(best(scores, task.budget, task.keys))
    chances = inclusion_probabilities(scores, task.budget)
    if draw == "poisson":
        points = (task.keys >> np.uint64(11)) * 2.0**-53
        places = np.flatnonzero(points < chances)
    elif draw == "systematic":
        along = shuffled(task.keys, task.key)
        out = np.full(task.budget, -1)
        start = _rng.uniform(_rng.subkey(task.key, 1))
        in_order = np.ascontiguousarray(chances[along])
        _refuse_other(systematic_kernel(in_order, 1.0, task.key, start, out), task.budget)
        places = np.sort(along[out])
    else:
        along = shuffled(task.keys, task.key) if along is None else along
        places = draw_fixed(chances, along, _rng.subkey(task.key, 1), task.budget)
    return Picks(places, 1.0 / chances[places], info={"inclusion": draw})


def refuse_negative(name: str, values: Floats) -> None:
    if (values < 0).any():
        row = int(np.flatnonzero(values < 0)[0])
        raise ValueError(
            f"{name} must be >= 0, got {values[row]} in row {row}: rows are drawn in proportion to "
            "it; shift it so that its minimum is 0, or use its exponential"
        )
