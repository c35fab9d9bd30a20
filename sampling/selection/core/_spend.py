"""Budgets in tokens or bytes: costs of rows, and the longest selection within the budget."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from ... import _check
from ...types import Indices
from ._options import Options
from ._task import Picks, Task

__all__ = ["costs_of", "limit_of", "paid_for", "refuse_costs"]

_SPARE = 1.1  # picks are slightly cheaper than the mean row: the first try is rarely too short


def costs_of(costs: ArrayLike, size: int) -> Indices:
    """Return the cost of each row: whole numbers >= 0, (N,)."""
    array = _check.floats("costs", costs, "finite and >= 0")
    _check.same_length("costs", array, "the data", size)
    if (array != np.floor(array)).any():
        row = int(np.flatnonzero(array != np.floor(array))[0])
        raise ValueError(f"costs must be whole numbers, got {array[row]} in row {row}")
    if float(array.sum()) >= _check.MAX_SIZE:
        raise ValueError(f"costs must add up to less than 2**62, got {array.sum():g}")
    return array.astype(np.int64)


def limit_of(budget: float | None, total: int) -> int:
    """Return the cost limit of a budget: an int, or a float in (0, 1] as a fraction of `total`."""
    if isinstance(budget, bool | np.bool_):
        raise TypeError(f"budget must be a count or a fraction, got {budget!r}")
    if isinstance(budget, float | np.floating):
        part = _check.number("budget", budget, "(0, 1]")
        return math.floor(part * total * (1.0 + 1e-12))  # 0.29 * 100 is slightly less than 29
    if budget is None:
        raise ValueError("budget must be given with costs, got None")
    return _check.integer("budget", budget, 1)


def refuse_costs(name: str, options: Options, *, ranked: bool) -> None:
    """Refuse costs for methods that are not ranked, and costs with groups."""
    if not ranked:
        raise ValueError(
            f"costs must be omitted for {name}, whose picks are not ranked: a smaller budget "
            "selects other rows, so the selection cannot be cut at the budget"
        )
    if options.get("groups") is not None:
        raise ValueError("costs must be omitted with groups, except for quota, got both")


def paid_for(task: Task, amounts: Indices, limit: int, core: Callable[[Task], Picks]) -> Picks:
    """Return the longest selection whose cost is at most the limit.

    The core is run for an estimated number of rows, for a larger number while that is too few, and
    then for the number found.
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
            f"budget must be at least {own[picks.places[0]]}, the cost of the first pick, row "
            f"{task.rows[picks.places[0]]}, got {limit}"
        )
    if count < tried:
        picks = core(replace(task, budget=count))
    cost = int(spent[count - 1])
    return replace(picks, info={**picks.info, "cost": cost, "unspent": limit - cost})
