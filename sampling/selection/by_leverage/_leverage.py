"""Draws in proportion to leverage, for squared losses.

`lewis` is the analogue for other losses; `k_center` covers the space, leverage its linear
functions.
"""

from __future__ import annotations

from typing import Literal

from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check
from ...record import Selection
from ..core._cost import Cost, leverage_cost
from ..core._inputs import embeddings_of
from ..core._method import method as listed
from ..core._options import Options
from ..core._select import select
from ._drawing import Draw, Spread, check_drawing, drawing
from ._leverage_scores import _LEAST, METHODS, scores_of_rows

__all__ = ["leverage"]


@listed(
    needs="embeddings",
    label="recommended",
    source="Shimizu 2024",
    evidence="71 to 78 % of the rows of independent draws for twice the least error",
    ranked=False,
    weights="1 / inclusion probability",
    cost=lambda s: leverage_cost(s) + Cost(memory=8 * s.D**2 + 150 * s.N),
)
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
        O(N D^2 + N log^2 N) time; 8 D^2 + 150 N bytes. O(N D^2) for `leverage_scores`, O(N log^2 N)
        and 150 N bytes for the order and draw.
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
