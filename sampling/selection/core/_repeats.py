"""Repeats of each row or source, for totals that exceed the data.

`repeat_counts` converts row weights to integer repeats under a cap; `unimax` apportions a budget to
sources as evenly as a cap on epochs allows. Both use water-filling under ceilings: amount_i =
min(ceiling_i, level * weight_i).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ... import _check, _rng
from ..._check._keywords import told
from ...types import Floats, Indices
from ._budget import share_out
from ._whiten import hashed

__all__ = ["UniMax", "repeat_counts", "unimax"]

_SNAP = 1e-9  # numbers closer than this to an integer are rounded to it
TINIEST = 1e-200  # relative to the largest weight, so that levels do not overflow


@told
@dataclass(frozen=True, eq=False)
class UniMax:
    """Amounts of each source, from `unimax`.

    Attributes
    ----------
    amounts : float64 array of shape (K,)
        Amounts in the unit of the sizes, not rounded.
    probabilities : float64 array of shape (K,)
        Amounts divided by their sum.
    epochs : float64 array of shape (K,)
        Passes over each source: amounts divided by sizes, 0 for an empty source.
    shortfall : float
        Amount of the total that is not used because all sources are at their cap.
    """

    amounts: Floats
    probabilities: Floats
    epochs: Floats
    shortfall: float


@told
def unimax(sizes: ArrayLike, total: float, *, max_epochs: float = 1.0) -> UniMax:
    """Apportion a total to sources evenly, with at most `max_epochs` passes over each (UniMax).

    Parameters
    ----------
    sizes : array of shape (K,)
        Finite and >= 0, not all 0: rows, tokens or characters of each source.
    total : float > 0
        Total amount, in the same unit.
    max_epochs : float > 0, default 1.0

    Returns
    -------
    UniMax
        Amounts, probabilities, epochs and shortfall: `shortfall` is positive if the total exceeds
        `max_epochs` passes over all sources. An empty source gets nothing.

    Raises
    ------
    ValueError
        If a size is negative or not finite; the message names it.

    Notes
    -----
    Order
        A pure function of its arguments.
    Cost
        O(K log K).
    Gradients
        Drawing by the probabilities satisfies the cap on average; to satisfy it exactly, stop a
        source at its amount.
    Source
        Chung et al., "UniMax: Fairer and More Effective Language Sampling for Large-Scale
        Multilingual Pretraining", ICLR 2023.

    Examples
    --------
    >>> unimax([10, 100, 1000], 600, max_epochs=4).amounts
    array([ 40., 280., 280.])
    >>> unimax([10, 100, 1000], 6000, max_epochs=4).shortfall
    1560.0
    """
    found = _check.floats("sizes", sizes, "finite and >= 0")
    if not found.any():
        raise ValueError(f"sizes must not all be 0, got {found.size} zeros")
    total = _check.number("total", total, "(0, inf)")
    ceilings = found * _check.number("max_epochs", max_epochs, "(0, inf)")
    amounts = filled(np.ones(found.size), ceilings, total)
    epochs = np.divide(amounts, found, out=np.zeros(found.size), where=found > 0)
    shortfall = max(0.0, total - float(ceilings.sum()))
    return UniMax(amounts, amounts / amounts.sum(), epochs, shortfall)


@told
def repeat_counts(
    weights: ArrayLike,
    total: int,
    *,
    max_repeats: int,
    rounding: Literal["systematic", "largest"] = "systematic",
    seed: int = 0,
) -> Indices:
    """Return the repeats of each row, in proportion to weights and at most `max_repeats`.

    Parameters
    ----------
    weights : array of shape (N,)
        Finite and >= 0, not all 0.
    total : int >= 1
        Sum of the repeats of all rows.
    max_repeats : int >= 1
        Upper limit for each row; the excess is redistributed in proportion to the weights.
    rounding : {"systematic", "largest"}, default "systematic"
        "systematic": the count of each row is its exact share rounded up or down at random, with
        that share as its mean. "largest": the largest remainders are rounded up, ties go to the
        earlier row, and small weights may all get 0.
    seed : int in [0, 2**64), default 0

    Returns
    -------
    int64 array of shape (N,)
        Their sum is `total`.

    Raises
    ------
    ValueError
        If a weight is negative or not finite (the message names it); if the total exceeds
        `max_repeats` times the number of rows with weight > 0.

    Notes
    -----
    Order
        "systematic" is random by (seed, row); "largest" is deterministic.
    Cost
        O(N log N) time, 50 N bytes.
    Gradients
        Repeating a row k times weights its loss by k.
    Source
        Madow, Annals of Mathematical Statistics 1949, applied to the fractional parts of the
        shares.

    Examples
    --------
    >>> repeat_counts([8.0, 2.0, 1.0, 1.0, 0.0], 8, max_repeats=4)
    array([4, 2, 1, 1, 0])
    """
    shares = _check.weights("weights", weights)
    total = _check.integer("total", total, 1)
    cap = _check.integer("max_repeats", max_repeats, 1)
    rounding = _check.choice("rounding", rounding, ("systematic", "largest"))
    most = cap * int(np.count_nonzero(shares))
    if total > most:
        raise ValueError(
            f"total must be at most {most}, {cap} times the weights above 0, got {total}"
        )
    if rounding == "largest":
        return share_out(shares, total, np.full(shares.size, cap))
    shares = np.where(shares > 0, np.maximum(shares, shares.max() * TINIEST), 0.0)
    exact = filled(shares, np.where(shares > 0, float(cap), 0.0), float(total))
    key = _rng.key(_check.seed(seed), 0, "repeat_counts")
    start = _rng.uniform(_rng.subkey(key, shares.size))
    counts = rounded(exact, np.argsort(hashed(shares.size, key), kind="stable"), start, total)
    gap = total - int(counts.sum())  # rounding error of huge totals
    if gap:
        sign = 1 if gap > 0 else -1
        room = np.flatnonzero((counts < cap) & (shares > 0) if gap > 0 else counts > 0)
        order = np.argsort(sign * (counts - exact)[room], kind="stable")
        counts[room[order[: abs(gap)]]] += sign
    return counts


def rounded(exact: Floats, order: Indices, start: float, total: int | None = None) -> Indices:
    """Round each number up or down at random, preserving its mean: (n,).

    order : the positions in random order
    start : uniform in [0, 1)
    total : the sum of the result, if `exact` has this sum; by default its sum rounded up or down
    """
    counts = np.floor(exact + _SNAP).astype(np.int64)
    parts = np.maximum(exact - counts, 0.0)
    order = order[parts[order] >= _SNAP]
    edges = np.cumsum(parts[order])
    if order.size == 0:
        return counts
    if total is not None:
        edges *= max(0, total - int(counts.sum())) / edges[-1]
    points = start + np.arange(max(0, math.ceil(edges[-1] - start)))
    counts[order[np.minimum(np.searchsorted(edges, points, side="right"), order.size - 1)]] += 1
    return counts


def filled(weights: Floats, ceilings: Floats, total: float) -> Floats:
    """Return min(ceiling, level * weight), with the level at which they add up to the total.

    Returns the ceilings if these add up to less.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        reached = np.where(weights > 0, ceilings / weights, 0.0)  # the level that fills each one
        order = np.argsort(reached, kind="stable")
        reached = reached[order]
        # sum of the ceilings before the j-th
        below = np.concatenate([[0.0], np.cumsum(ceilings[order])[:-1]])
        open_ = np.cumsum(weights[order][::-1])[::-1]
        levels = (total - below) / open_
    found = np.flatnonzero((open_ > 0) & (levels <= reached))
    if not found.size:
        return ceilings.copy()
    first = int(found[0])
    level = max(float(levels[first]), float(reached[first - 1]) if first else 0.0)
    amounts: Floats = np.minimum(ceilings, level * weights)
    return amounts
