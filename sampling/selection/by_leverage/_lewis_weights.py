"""Lewis weights of rows for losses |a_i x - b_i|^p, by iteration; leverage scores for p = 2."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ... import _check
from ..._check._keywords import told
from ...types import Floats
from ..core._whiten import (  # fmt: skip
    Bad,
    Rows,
    by_cholesky,
    by_eigh,
    squared_lengths,
    weighted_gram,
    whitening,
)

__all__ = ["check_power", "iterated", "lewis_weights"]

PLAIN_BELOW = 3.0  # from here on the damped iteration needs fewer steps
DIVERGES_FROM = 4.0
Iteration = Literal["auto", "plain", "damped"]


@told
def lewis_weights(
    rows: ArrayLike,
    p: float,
    *,
    iteration: Iteration = "auto",
    tolerance: float = 1e-3,
    max_iter: int = 50,
) -> Floats:
    """Return the Lewis weights: w such that w_i is the leverage of row i of W^(1/2 - 1/p) A.

    Parameters
    ----------
    rows : array of shape (N, D)
        A, finite, of any float type. A memory-mapped array is read in blocks.
    p : float >= 1
        Exponent of the loss.
    iteration : {"auto", "plain", "damped"}, default "auto"
        "plain": w = (a_i^T (A^T W^(1 - 2/p) A)^+ a_i)^(p/2), for p < 4. "damped": w = the leverage
        of row i of W^(1/2 - 1/p) A, for p >= 2. "auto": plain for p < 3, else damped.
    tolerance : float > 0, default 1e-3
        Stop when the largest relative change of a weight is at most this; to draw rows, weights
        within a constant factor are sufficient.
    max_iter : int >= 1, default 50

    Returns
    -------
    float64 array of shape (N,)
        The sum is the rank of A, within the tolerance; 0 for a row of zeros.

    Raises
    ------
    ValueError
        If a row is not finite (the message names it); if the iteration diverges for this p.
    RuntimeError
        If the weights have not converged after `max_iter` steps; the message gives their change.

    Notes
    -----
    Cost
        O(N D^2) time and two passes per step, and two passes to find a basis; O(D^2 + N) memory. A
        step multiplies the error by |1 - p/2| (plain) or 1 - 2/p (damped), so the plain iteration
        diverges for p >= 4.
    Source
        Cohen, Peng, "Lp row sampling by Lewis weights", STOC 2015.

    Examples
    --------
    >>> lewis_weights([[1.0], [1.0], [2.0]], 1.0).round(2)
    array([0.25, 0.25, 0.5 ])
    """
    array = _check.matrix("rows", rows)
    p = check_power(p, 1.0)
    return iterated("rows", array, None, p, iteration, tolerance, max_iter)[0]


def check_power(p: float, low: float, high: float = math.inf) -> float:
    return _check.number("p", p, f"[{low:g}, {high:g})")


def iterated(
    name: str, rows: Rows, bad: Bad, p: float, iteration: str, tolerance: float, max_iter: int
) -> tuple[Floats, dict[str, Any]]:
    """Return the Lewis weights (N,), the iteration used, and its number of steps."""
    iteration = _check.choice("iteration", iteration, ("auto", "plain", "damped"))
    tolerance = _check.number("tolerance", tolerance, "(0, inf)")
    max_iter = _check.integer("max_iter", max_iter, 1)
    plain = iteration == "plain" or (iteration == "auto" and p < PLAIN_BELOW)
    if plain and p >= DIVERGES_FROM:
        raise ValueError(
            f"p must be below 4 with the plain iteration, which multiplies its error by |1 - p/2| "
            f"per step and diverges, got {p}: use the damped one"
        )
    if not plain and p < 2.0:
        raise ValueError(f"p must be at least 2 with the damped iteration, got {p}")
    basis, _, path = whitening(name, rows, bad, 0.0, "auto")
    counted = squared_lengths(rows, basis, bad) > 0
    weights = np.where(counted, basis.shape[1] / len(rows), 0.0)
    for step in range(1, max_iter + 1):
        inverse = np.zeros(len(rows))  # w^(1 - 2/p); a row of zeros is ignored
        inverse[counted] = weights[counted] ** (1.0 - 2.0 / p)
        squares = weighted_gram(rows, basis, inverse, bad)
        inner = by_cholesky(squares, 0.0)
        if inner is None:
            inner = by_eigh(squares, 0.0, len(rows))
        found = squared_lengths(rows, basis @ inner, bad)
        found = found ** (p / 2.0) if plain else inverse * found
        found[counted] = np.maximum(found[counted], np.finfo(np.float64).tiny)
        change = float(np.abs(found[counted] / weights[counted] - 1.0).max(initial=0.0))
        weights = found
        if change <= tolerance:
            return weights, {"path": path, "steps": step}
    raise RuntimeError(
        f"the Lewis weights of p = {p} still change by {change:.3g} after {max_iter} steps, "
        f"more than the tolerance of {tolerance:.3g}: allow more steps, or a larger change"
    )
