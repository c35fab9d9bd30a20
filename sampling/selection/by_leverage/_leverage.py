"""Leverage scores, the influence of each row on a linear fit, and draws in proportion to them.

Rows in rare directions have high leverage; copies share it. `lewis` is the analogue for losses
other than squares; `k_center` covers the space, leverage its linear functions.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ...record import Selection
from ...types import Floats, Indices
from ..core._inclusion import DRAWS, draw_rows
from ..core._inputs import embeddings_of
from ..core._registry import method as listed
from ..core._repeats import filled
from ..core._spatial_order import KINDS, axes_of, halved
from ..core._task import Options, Picks, Task, select
from ..core._whiten import Bad, Rows, squared_lengths, whitening

__all__ = ["leverage", "leverage_scores"]

METHODS = ("auto", "gram", "qr", "sketch")
_LEAST = 1e-12
Draw = Literal["pivotal", "systematic", "poisson", "top"]
Spread = Literal["kd", "pca"]


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


@listed(
    needs="embeddings", label="recommended", ranked=False, weights="1 / inclusion probability",
    time="N D^2 + N log^2 N", memory="8 D^2 + 150 N bytes",
)  # fmt: skip
def leverage(
    embeddings: ArrayLike,
    budget: float,
    *,
    ridge: float = 0.0,
    method: Literal["auto", "gram", "qr", "sketch"] = "auto",
    draw: Draw = "pivotal",
    spread: Spread | None = "kd",
    uniform: float = 0.0,
    **options: Unpack[Options],
) -> Selection:
    """Draw rows in proportion to their leverage, for linear models and linear heads.

    With the weights, the squared loss over the kept rows approximates that over all rows for all
    linear models simultaneously, from a few times D log D rows. With pivotal draws along a k-d
    order, polynomials needed 0.7 to 0.95 times the rows of independent draws
    (benchmarks/pivotal.py); fewest along an order of the few coordinates Z that generate the
    columns: `pivotal(leverage_scores(A), M, embeddings=Z)`.

    Parameters
    ----------
    embeddings : array of shape (N, D)
        A; append a column of ones if the model has an intercept. For cross-entropy, multiply row i
        by sqrt(p_i (1 - p_i)) first.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N; at most the number of non-zero rows.
    ridge : float >= 0, default 0.0
        See `leverage_scores`.
    method : {"auto", "gram", "qr", "sketch"}, default "auto"
        See `leverage_scores`. With "sketch" draw 1.5 times as many rows.
    draw : {"pivotal", "systematic", "poisson", "top"}, default "pivotal"
        Sampling design, see the selectors of these names; "top" keeps the highest scores, without
        weights, and is biased.
    spread : {"kd", "pca"} or None, default "kd"
        Order along which "pivotal" spreads, see `spatial_order`; None for a random order.
    uniform : float in [0, 1), default 0.0
        Fraction of the probability that is uniform over all rows. Without it a row of zeros is
        never drawn, which does not affect a linear fit, but may affect another loss.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Rows in ascending order. Weights 1 / inclusion probability. `scores` are the leverages,
        computed over all rows even if groups are given; `info["path"]` is the method that "auto"
        chose.

    Raises
    ------
    ValueError
        If a row is not finite (the message names it); if fewer rows than the budget can be drawn.

    Notes
    -----
    Order
        Random decisions by (seed, id) along the order; "sketch" also by (seed, row).
    Cost
        That of `leverage_scores`, and O(N log^2 N) time and 150 N bytes for the order and draw.
    Gradients
        With the weights, a loss summed over the kept rows estimates that of all rows.
    Source
        Shimizu, Cheng, Musco, Weare, "Improved Active Learning via Dependent Leverage Score
        Sampling", ICLR 2024.

    Examples
    --------
    >>> picked = leverage([[1.0, 0.0], [1.0, 0.0], [0.0, 5.0], [0.0, 0.0]], 2)
    >>> 2 in picked.indices, 3 in picked.indices, float(picked.weights[1])
    (True, False, 1.0)
    """
    check_drawing(draw, spread)
    ridge = _check.number("ridge", ridge, "[0, inf)")
    _check.choice("method", method, METHODS)
    uniform = _check.number("uniform", uniform, "[0, 1)")
    seed = _check.seed(options.get("seed", 0))
    rows, bad = embeddings_of("embeddings", embeddings, options)
    scores, path = scores_of_rows("embeddings", rows, bad, ridge=ridge, method=method, seed=seed)
    mixed = scores
    if uniform:
        share = uniform / scores.size
        mixed = (1.0 - uniform) * scores / max(scores.sum(), _LEAST) + share
    arguments = {
        "ridge": ridge, "method": method, "draw": draw, "spread": spread, "uniform": uniform,
    }  # fmt: skip
    core = drawing(rows, bad, mixed, draw, spread, {"path": path})
    return select(
        "leverage", len(rows), budget, options, core, arguments=arguments, bad=bad, scores=scores
    )


def drawing(
    rows: Rows, bad: Bad, scores: Floats, draw: str, spread: str | None, info: dict[str, Any]
) -> Callable[[Task], Picks]:
    """Return a core that draws in proportion to scores (N,), spread over the rows (N, D)."""
    along = spreading(rows, bad, draw, spread)

    def core(task: Task) -> Picks:
        picks = draw_rows(task, task.of(scores), draw, along(task))
        return replace(picks, info={**picks.info, **info})

    return core


def check_drawing(draw: str, spread: str | None) -> None:
    """Refuse unknown sampling designs and orders."""
    _check.choice("draw", draw, DRAWS)
    if spread is not None:
        _check.choice("spread", spread, KINDS)


def spreading(
    rows: Rows, bad: Bad, draw: str, spread: str | None
) -> Callable[[Task], Indices | None]:
    """Return a function from a task to the order to draw along; None for a random order."""
    check_drawing(draw, spread)
    if spread is None or draw != "pivotal":
        return lambda task: None
    axes = axes_of(rows, spread, bad)
    return lambda task: halved(task.of(axes), task.keys)
