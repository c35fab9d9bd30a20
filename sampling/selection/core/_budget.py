"""Budgets, and their exact apportionment to groups.

`share_out` rounds by largest remainder, `water_fill` raises a common level; both return integers
that add up to the budget.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _check
from ..._check import _labels
from ..._check._keywords import told
from ...types import Floats, Indices

__all__ = ["count_of", "share_out", "water_fill"]

_MOST = 2.0**61


@told
def count_of(budget: float, size: int, name: str = "budget", *, repeats: int = 1) -> int:
    """Return a budget as a number of rows: an int is a count, a float in (0, 1] a fraction.

    Half a row is rounded up, and any positive fraction gives at least one row. A count may be up to
    `repeats * size`.
    """
    if isinstance(budget, bool | np.bool_ | str):
        raise TypeError(f"{name} must be a count or a fraction, got {budget!r}: such as 100 or 0.1")
    if isinstance(budget, float | np.floating):
        part = _check.number(name, budget, "(0, 1]")
        return max(1, min(size, math.floor(part * size + 0.5)))
    return _check.integer(name, budget, 1, size * repeats + 1)


@told
def share_out(weights: ArrayLike, total: int, caps: ArrayLike | None = None) -> Indices:
    """Apportion `total` in proportion to weights, as integers that do not exceed the caps.

    Parameters
    ----------
    weights : array of shape (G,)
        Finite and >= 0, not all 0.
    total : int
    caps : int array of shape (G,), optional
        Upper limits; the excess is redistributed to the others in proportion to their weights.

    Returns
    -------
    int64 array of shape (G,)
        The sum is `total`, or the sum of the caps of the groups with weight > 0 if that is less.
        The largest remainders are rounded up; ties go to the earlier group.

    Examples
    --------
    >>> share_out([3.0, 1.0, 1.0], 8)
    array([5, 2, 1])
    >>> share_out([3.0, 1.0, 1.0], 8, caps=[3, 9, 9])
    array([3, 3, 2])
    """
    shares = _check.weights("weights", weights)
    total = _check.integer("total", total, 0, _check.MAX_SIZE // shares.size + 1)
    limits = np.full(shares.size, total)
    if caps is not None:
        limits = np.minimum(whole("caps", caps, shares.size), total)
    limits[shares == 0] = 0
    if limits.sum() <= total:
        return limits
    wanted = _capped(shares, float(total), limits.astype(np.float64))
    given = np.floor(wanted + 1e-9).astype(np.int64)
    rest = np.where(given < limits, wanted - given, -1.0)
    for group in np.argsort(-rest, kind="stable")[: total - int(given.sum())]:
        given[group] += 1
    return given


def _capped(shares: Floats, total: float, limits: Floats) -> Floats:
    """Return total * shares / sum, capped at the limits, with the excess redistributed."""
    given = np.zeros(shares.size)
    open_ = shares > 0
    while open_.any():
        left = total - given[~open_].sum()
        part = left * shares / shares[open_].sum()
        full = open_ & (part >= limits)
        if not full.any():
            given[open_] = part[open_]
            break
        given[full] = limits[full]
        open_ &= ~full
    return given


@told
def water_fill(capacities: ArrayLike, total: int) -> Indices:
    """Apportion `total` evenly up to the capacities: min(capacity, level) each.

    Parameters
    ----------
    capacities : int array of shape (G,)
    total : int

    Returns
    -------
    int64 array of shape (G,)
        The sum is `total`, or the sum of the capacities if that is less. The remainder is given one
        each to the largest groups with remaining capacity; ties go to the earlier group.

    Examples
    --------
    >>> water_fill([1, 5, 9, 0], 8)
    array([1, 3, 4, 0])
    """
    limits, total = whole("capacities", capacities), _check.integer("total", total, 0)
    if sum(limits.tolist()) <= total:
        return limits.copy()
    order = np.argsort(limits, kind="stable")
    below = np.concatenate([[0], np.cumsum(limits[order])[:-1]])
    levels = (total - below) // np.arange(limits.size, 0, -1)
    # the first group that the level does not fill
    first = int(np.flatnonzero(levels < limits[order])[0])
    level = int(levels[first])
    given = np.minimum(limits, level)
    over = total - int(given.sum())
    room = np.flatnonzero(limits > level)
    given[room[np.argsort(-limits[room], kind="stable")[:over]]] += 1
    return given


def per_group(
    name: str, value: float | Mapping[Any, float] | None, names: NDArray[Any], default: float
) -> Floats:
    """Return the limit of each group, given as one number or as a mapping by group name.

    Limits must be whole numbers: fractions of rows or of the budget are refused. They are capped at
    2**61, more than any group has rows, so that a sum of two fits in 64 bits.
    """
    if value is None:
        return np.full(names.size, default)
    if _check.named(name, value) is None:
        limits = np.full(names.size, _check.number(name, value, "[0, inf)"))
    else:
        limits = _check.by_name(name, value, names, "groups", default=default)
    broken = np.flatnonzero(limits != np.floor(limits))
    if broken.size:
        at = broken[0]
        raise ValueError(
            f"{name} must be whole numbers, got {limits[at]:g} for group "
            f"{_labels.item(names[at])!r}"
        )
    found: Floats = np.minimum(limits, _MOST)
    return found


def whole(name: str, values: ArrayLike, size: int | None = None) -> Indices:
    """Return whole numbers >= 0 as int64 (G,), capped at 2**61; fractions are refused."""
    array = _check.floats(name, values, "finite and >= 0")
    if size is not None:
        _check.same_length(name, array, "the weights", size)
    broken = np.flatnonzero(array != np.floor(array))
    if broken.size:
        row = broken[0]
        raise ValueError(f"{name} must be whole numbers, got {array[row]:g} in row {row}")
    return np.minimum(array, _MOST).astype(np.int64)
