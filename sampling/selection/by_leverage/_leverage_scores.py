"""Leverage scores, the influence of each row on a linear fit.

Rows in rare directions have high leverage; copies share it. `lewis_weights` are the analogue for
losses other than squares.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ... import _check, _rng
from ..._check._keywords import told
from ...types import Floats
from ..core._repeats import filled
from ..core._whiten import Bad, Rows, squared_lengths, whitening

__all__ = ["leverage_scores", "scores_of_rows"]

METHODS = ("auto", "gram", "qr", "sketch")
_LEAST = 1e-12


@told
def leverage_scores(
    rows: ArrayLike,
    *,
    ridge: float = 0.0,
    method: Literal["auto", "gram", "qr", "sketch"] = "auto",
    seed: int = 0,
) -> Floats:
    """Return the leverage a_i^T (A^T A + ridge I)^+ a_i of each row: its influence on its own fit.

    Parameters
    ----------
    rows : array of shape (N, D)
        A, finite, of any float type; no column of ones is added. A memory-mapped array is read in
        blocks.
    ridge : float >= 0, default 0.0
        Added to the diagonal of A^T A: scale the columns first if you use it.
    method : {"auto", "gram", "qr", "sketch"}, default "auto"
        "gram": exact, by Cholesky, or by eigenvalues if that fails; columns that agree to half of
        the digits count as one. "qr": exact with all digits. "auto": "gram" if it is
        well-conditioned, otherwise "qr". "sketch": an estimate, within 0.6 to 1.5 times the true
        value for 98 % of the rows, for D of several hundred and more.
    seed : int in [0, 2**64), default 0
        Seed of the sketch; ignored by the other methods.

    Returns
    -------
    float64 array of shape (N,)
        In [0, 1]; 0 for a row of zeros. The sum is the rank of A, or with a ridge the effective
        dimension.

    Raises
    ------
    ValueError
        If a row is not finite; the message names it.

    Notes
    -----
    Cost
        "gram": O(N D^2) time, two passes; "auto" adds one if it switches to "qr": two passes, and
        up to 10 times the time. "sketch": O(N D + D^3) and 64 N D, two passes. Memory is O(D^2),
        and 8 * 16 D^2 bytes for the sketch, in addition to the result and blocks of 4 MiB.
    Source
        Drineas, Magdon-Ismail, Mahoney, Woodruff, "Fast approximation of matrix coherence and
        statistical leverage", JMLR 2012; the sketch by Clarkson, Woodruff, "Low rank approximation
        and regression in input sparsity time", STOC 2013.

    Examples
    --------
    >>> leverage_scores([[1.0, 0.0], [1.0, 0.0], [0.0, 5.0], [0.0, 0.0]])
    array([0.5, 0.5, 1. , 0. ])
    """
    array = _check.matrix("rows", rows)
    return scores_of_rows("rows", array, None, ridge=ridge, method=method, seed=seed)[0]


def scores_of_rows(
    name: str, rows: Rows, bad: Bad, *, ridge: float = 0.0, method: str = "auto", seed: int = 0
) -> tuple[Floats, str]:
    """Return the leverage of rows as stored, and the method used.

    Bad rows are ignored and have leverage 0.
    """
    ridge = _check.number("ridge", ridge, "[0, inf)")
    method = _check.choice("method", method, METHODS)
    key = _rng.key(_check.seed(seed), 0, "leverage sketch")
    transform, total, path = whitening(name, rows, bad, ridge, method, key)
    found = squared_lengths(rows, transform, bad)
    if total is None:
        return np.minimum(found, 1.0, out=found), path
    if found.any():
        counted = found > 0
        found = filled(found, counted.astype(np.float64), total)
        found[counted] = np.maximum(found[counted], _LEAST)
    return found, path
