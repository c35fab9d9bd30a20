"""Rows to keep of each group: proportional, equal or given quotas, floors, caps, shortfalls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import _check
from ..._check import _labels
from ...types import Floats, Indices
from ._budget import per_group, share_out, water_fill
from ._options import Options

__all__ = ["apportion", "group_counts"]

_CLOSE = 1e-6  # tolerance of a sum of shares from 1


def group_counts(budget: int, names: NDArray[Any], sizes: Indices, options: Options) -> Indices:
    """Return the rows to keep of each group; they add up to the budget, unless accepted."""
    rule = options.get("group_budgets", "proportional")
    shortfall = _check.choice(
        "shortfall", options.get("shortfall", "raise"), ("raise", "redistribute", "accept")
    )
    low = per_group("floor", options.get("floor"), names, 0.0).astype(np.int64)
    high = per_group("cap", options.get("cap"), names, float(sizes.sum())).astype(np.int64)
    if (low > high).any():
        at = int(np.flatnonzero(low > high)[0])
        raise ValueError(
            f"floor must be <= cap, got {low[at]} > {high[at]} in group {names.tolist()[at]!r}"
        )
    mapping = _check.named("group_budgets", rule)
    if mapping is not None:
        asked = _given(budget, names, mapping, low, high)
        wanted, given = asked, np.minimum(asked, sizes)
    else:
        if not isinstance(rule, str):
            raise TypeError(
                f"group_budgets must be a mapping from groups, or a word, got {type(rule).__name__}"
            )
        word = _check.choice("group_budgets", rule, ("proportional", "equal", "sqrt"))
        wanted = low
        given = _asked(word, budget, sizes, np.minimum(low, sizes), np.minimum(high, sizes))
    short = np.flatnonzero(wanted > sizes)
    if short.size and shortfall == "raise":
        at = int(short[0])
        raise ValueError(
            "shortfall must be 'redistribute' or 'accept' if a group has too few rows, got "
            f"'raise' and {sizes[at]} rows in group {names.tolist()[at]!r}, which is to give "
            f"{wanted[at]}"
        )
    over = budget - int(given.sum())
    if over > 0 and shortfall == "redistribute":
        given = given + share_out(np.maximum(sizes, 1), over, np.minimum(high, sizes) - given)
    if int(given.sum()) < budget and shortfall != "accept":
        raise ValueError(
            f"budget must be at most {given.sum()}, the rows of the groups under their caps, got "
            f"{budget}"
        )
    return given


def _given(
    budget: int, names: NDArray[Any], rule: Mapping[Any, Any], low: Indices, high: Indices
) -> Indices:
    """Return the quota of each group: given counts, or shares rounded by largest remainder."""
    amounts = _check.by_name("group_budgets", rule, names, "groups")
    total, whole = float(amounts.sum()), amounts == np.floor(amounts)
    fractions = any(isinstance(each, float | np.floating) for each in rule.values())
    if fractions and abs(total - 1.0) <= _CLOSE and budget != 1:
        return apportion(amounts, budget, low, high)
    if not whole.all():
        at = int(np.flatnonzero(~whole)[0])
        raise ValueError(
            "group_budgets must be whole counts, or shares that add up to 1, got "
            f"{amounts[at]:g} for group {_labels.item(names[at])!r}, and {total:g} in all"
        )
    if total != budget:
        raise ValueError(f"group_budgets must add up to the budget, {budget}, got {total:.0f}")
    asked = amounts.astype(np.int64)
    for limit, beyond in (("floor", asked < low), ("cap", asked > high)):
        if beyond.any():
            at = int(np.flatnonzero(beyond)[0])
            bound = low[at] if limit == "floor" else high[at]
            raise ValueError(
                f"group_budgets must keep to the {limit}, {bound}, got {asked[at]} for group "
                f"{_labels.item(names[at])!r}"
            )
    return asked


def _asked(word: str, budget: int, sizes: Indices, low: Indices, high: Indices) -> Indices:
    """Return the quota of each group: floors first, the remainder by the rule, under the caps."""
    _check_floors(low, budget)
    if word == "equal":
        return np.maximum(low, _level(low, high, budget))
    weights = sizes.astype(np.float64) if word == "proportional" else np.sqrt(sizes)
    return apportion(weights, budget, low, high)


def _check_floors(low: Indices, budget: int) -> None:
    if int(low.sum()) > budget:
        raise ValueError(f"floors must add up to at most the budget, {budget}, got {low.sum()}")


def apportion(weights: Floats, budget: int, low: Indices, high: Indices) -> Indices:
    """Apportion a budget by weights: floors first, then by largest remainder, under the caps.

    A group of weight 0 gets its floor. The sum is less than the budget if the others are full.
    """
    _check_floors(low, budget)
    fixed = np.zeros(low.size, np.bool_)
    asked = low.copy()
    # a group below its floor gets the floor, and the others share the remainder
    while not fixed.all():
        rest = budget - int(asked[fixed].sum())
        share = share_out(weights[~fixed], rest, high[~fixed])
        below = share < low[~fixed]
        asked[~fixed] = np.maximum(share, low[~fixed])
        if not below.any():
            break
        fixed[np.flatnonzero(~fixed)[below]] = True
    return asked


def _level(low: Indices, high: Indices, budget: int) -> Indices:
    """Return the quotas of one common level, within floors and caps, that add up to the budget."""
    extra = water_fill(high - low, budget - int(low.sum())) if not low.any() else None
    if extra is not None:
        return extra
    down, up = 0, int(high.max())
    while down < up:
        middle = (down + up + 1) // 2
        if int(np.clip(middle, low, high).sum()) <= budget:
            down = middle
        else:
            up = middle - 1
    given: Indices = np.clip(down, low, high)
    room = np.flatnonzero((given < high) & (given >= down))
    given[room[: budget - int(given.sum())]] += 1
    return given
