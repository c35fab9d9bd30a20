"""Budgets in tokens or bytes: what rows cost, and how far a list of picks can be paid for."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .. import _check
from ..types import Indices
from ._options import Options

if TYPE_CHECKING:
    from ._task import Picks, Task

__all__ = ["costs_of", "limit_of", "paid_for", "refuse_costs"]

_SPARE = 1.1  # picks are a little cheaper than the mean row: the first try is seldom too short


def costs_of(costs: ArrayLike, size: int) -> Indices:
    """Return what each row costs: whole numbers >= 0, (N,)."""
    array = _check.floats("costs", costs, "finite and >= 0")
    _check.same_length("costs", array, "the data", size)
    if (array != np.floor(array)).any():
        row = int(np.flatnonzero(array != np.floor(array))[0])
        raise ValueError(f"costs must be whole numbers, got {array[row]} in row {row}")
    if not array.sum() < 2.0**62:
        raise ValueError(f"costs must have a sum below 2**62, got {array.sum():.3g}")
    return array.astype(np.int64)


def limit_of(budget: float | None, total: int) -> int:
    """Return how much a budget may cost: an int as it is, a float in (0, 1] a part of `total`."""
    if isinstance(budget, bool | np.bool_):
        raise TypeError(f"budget must be a count or a fraction, got {budget!r}")
    if isinstance(budget, float | np.floating):
        return int(_check.number("budget", budget, "(0, 1]") * total)
    if budget is None:
        raise ValueError("budget must be given with costs, got None")
    return _check.integer("budget", budget, 1)


def refuse_costs(name: str, options: Options, *, ranked: bool) -> None:
    """Refuse costs where no list of picks can be cut, or where groups would have to share them."""
    if not ranked:
        raise ValueError(
            f"costs must be left out of {name}, whose picks are not ranked: those for fewer rows "
            "are other rows, so that no list can be cut where the budget ends"
        )
    if options.get("groups") is not None:
        raise ValueError("costs must be left out with groups, but for quota, got both")


def paid_for(
    task: "Task", amounts: Indices, limit: int, core: Callable[["Task"], "Picks"]
) -> "Picks":
    """Return the picks for the largest number of rows that cost at most the limit.

    The core is run for a number that should do, for a larger one while that is too few, and then
    for the one that was found.
    """
    own = amounts[task.rows]
    total, most = int(own.sum()), task.rows.size
    tried = most
    if total > limit:
        tried = min(most, max(1, int(np.ceil(_SPARE * limit * most / total))))
    while True:
        picks = core(replace(task, budget=tried))
        spent = np.cumsum(own[picks.places])
        if tried == most or int(spent[-1]) > limit:
            break
        tried = min(most, 2 * tried)
    count = int(np.searchsorted(spent, limit, side="right"))
    if count == 0:
        raise ValueError(
            f"budget must be at least {own[picks.places[0]]}, what the first pick, row "
            f"{task.rows[picks.places[0]]}, costs, got {limit}"
        )
    if count < tried:
        picks = core(replace(task, budget=count))
    cost = int(spent[count - 1])
    return replace(picks, info={**picks.info, "cost": cost, "unspent": limit - cost})
