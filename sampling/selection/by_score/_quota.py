"""The best rows of each group, by exact quotas or within a budget of tokens or bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from typing_extensions import Unpack

from ...kernels._fill import take_fitting
from ...record import NO_GROUP, Selection
from ...record.keys import by_value
from ...types import Indices
from ..core._budget import per_group
from ..core._cost import Cost, Sizes, log2
from ..core._exact import describe
from ..core._inputs import AnyScores, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._order import best
from ..core._quotas import group_counts
from ..core._select import groups_of, select
from ..core._spend import costs_of, limit_of
from ..core._task import Picks, Task

__all__ = ["quota"]


def _cost(sizes: Sizes) -> Cost:
    if sizes.given("costs"):
        return Cost(steps=5 * sizes.N * log2(sizes.N), memory=50 * sizes.N)
    return Cost(steps=5 * (sizes.N + sizes.M * log2(sizes.M)), memory=50 * sizes.N)


@method(
    needs="scores",
    label="recommended",
    ranked=True,
    minds={"scores": ("keep", None)},
    cost=_cost,
    own_costs=True,
)
def quota(
    scores: AnyScores,
    budget: float,
    **options: Unpack[Options],
) -> Selection:
    """Keep the highest scores of each group, with exact quotas by floors, caps and shares.

    Parameters
    ----------
    scores : Score, or float array of shape (N,)
        Finite: quality, or any score where higher is better. A `Score` with direction "drop" is
        negated; one of another direction is used unchanged.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N. With `costs` it is in their units: a whole
        number, or a fraction of their sum.
    **options
        Keywords of every selector; see `Options`. `groups`, `group_budgets`, `floor`, `cap` and
        `shortfall` determine how the budget is apportioned. With `costs` these are in cost units
        too.

    Returns
    -------
    Selection
        Without weights. Sorted by group, and ranked within each group. `info["group_counts"]` holds
        the rows of each group; with costs, `info["cost"]` is the total cost, at most the budget.

    Raises
    ------
    ValueError
        If a group has fewer rows than its quota (`shortfall="raise"`; the message names it); if
        floors exceed caps or add up to more than the budget.

    Notes
    -----
    Order
        By score, ties broken by a hash of (seed, id). With costs, a row that exceeds the remaining
        budget of its group is skipped, and the unspent budget of all groups goes to the best rows
        that still fit under the caps.
    Cost
        O(N + M log M) time, or O(N log N) with `costs`; 50 N bytes.
    Gradients
        No weights.
    Source
        Largest-remainder apportionment.

    Examples
    --------
    >>> picked = quota([5, 4, 3, 2, 1], 3, groups=["a", "a", "a", "b", "b"], group_budgets="equal")
    >>> picked.indices
    array([0, 1, 3])
    >>> quota([5, 4, 3], 10, costs=[8, 9, 2]).indices
    array([0, 2])
    """
    values, bad = scores_of("scores", scores, options)

    def core(task: Task) -> Picks:
        return Picks(best(task.of(values), task.budget, task.keys))

    costs = options.get("costs")
    if costs is None:
        return select(
            "quota", values.size, budget, options, core, arguments={}, bad=bad, scores=values,
            order="descending",
        )  # fmt: skip
    amounts = costs_of(costs, values.size)
    limit = limit_of(budget, int(amounts.sum()))
    names, of_row = groups_of(options, values.size)
    codes = np.zeros(values.size, np.int64) if of_row is None else of_row
    names = np.zeros(1, np.int64) if of_row is None else names
    plain: Options = {k: v for k, v in options.items() if k not in _OWN}  # type: ignore[assignment]

    def within(task: Task) -> Picks:
        order = task.rows[by_value(-task.of(values), task.keys)]
        order = order[codes[order] >= 0]
        sums = np.bincount(codes[order], amounts[order], names.size).astype(np.int64)
        shares = group_counts(min(limit, int(sums.sum())), names, sums, options)
        taken = np.zeros(task.size, np.bool_)
        rooms = shares.copy()
        left = take_fitting(order, amounts, codes, rooms, limit, taken)
        caps = _caps(names, sums, options) - (shares - rooms)
        left = take_fitting(order, amounts, codes, caps, left, taken)
        places = np.flatnonzero(taken[task.rows])
        rank = by_value(-task.of(values)[places], task.keys[places])
        info = {"cost": limit - int(left), "unspent": int(left)}
        out = codes[task.rows] < 0
        return Picks(places[rank], None, [(out, NO_GROUP)] if out.any() else [], info)

    found = select(
        "quota", values.size, 1, plain, within, bad=bad, scores=values, order="descending",
        arguments={k: v for k, v in options.items() if k in _OWN},
    )  # fmt: skip
    return replace(found, ranked=False, arguments={**found.arguments, "budget": describe(budget)})


_OWN = {"costs", "groups", "group_budgets", "floor", "cap", "shortfall", "unlabeled"}


def _caps(names: Indices, sums: Indices, options: Options) -> Indices:
    """Return the cap of each group, in cost units."""
    caps = per_group("cap", options.get("cap"), names, float(sums.sum()))
    return np.minimum(np.floor(caps).astype(np.int64), sums)
