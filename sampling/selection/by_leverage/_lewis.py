"""Draws in proportion to Lewis weights, for losses |a_i x - b_i|^p.

`lewis` needs the fewest rows, and some tens of passes; `root_leverage` is nearly as good for p < 2
in three cheap rounds; `sensitivity_lp` draws by an upper bound of the sensitivity, in one round.
For p = 2 all three equal `leverage`.

Weights are 1 / pi, and multiply |.|^p: to solve a reweighted problem, scale a row by pi^(-1/p).
"""

from __future__ import annotations

from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check
from ...record import Selection
from ..core._cost import Cost, leverage_cost
from ..core._inputs import embeddings_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ._drawing import Draw, Spread, check_drawing, drawing
from ._lewis_weights import check_power, iterated

__all__ = ["lewis"]


@method(
    needs="embeddings",
    label="recommended",
    source="Cohen 2015",
    ranked=False,
    weights="1 / inclusion probability",
    cost=lambda s: leverage_cost(s, min(s.S, 5)) + Cost(memory=8 * s.D**2 + 150 * s.N),
)
def lewis(
    embeddings: ArrayLike,
    budget: float,
    *,
    p: float = 1.0,
    tolerance: float = 1e-3,
    max_iter: int = 50,
    draw: Draw = "pivotal",
    spread: Spread | None = "kd",
    **options: Unpack[Options],
) -> Selection:
    """Draw rows in proportion to their Lewis weights, for losses |a_i x - b_i|^p.

    Use p = 1 for absolute errors and hinge losses; p = 2 equals `leverage`, with more passes.

    Parameters
    ----------
    embeddings : array of shape (N, D)
        A, see `leverage`.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N; at most the number of non-zero rows.
    p : float >= 1, default 1.0
        Exponent of the loss.
    tolerance, max_iter : float > 0 and int >= 1, default 1e-3 and 50
        See `lewis_weights`.
    draw, spread : default "pivotal" and "kd"
        See `leverage`.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Rows in ascending order. Weights 1 / inclusion probability, of |.|^p: scale rows by their
        p-th root. `scores` are the Lewis weights, `info["steps"]` is the number of steps.

    Raises
    ------
    ValueError, RuntimeError
        As `lewis_weights`; if fewer rows than the budget can be drawn.

    Notes
    -----
    Order
        Random decisions by (seed, id) along the order.
    Cost
        O(S N D^2 + N log^2 N) time; 8 D^2 + 150 N bytes. O(N D^2) for each of at most S steps of
        `lewis_weights`, O(N log^2 N) and 150 N bytes for the order and draw.
    Gradients
        With the weights, a loss summed over the kept rows estimates that of all rows.
    Source
        Cohen, Peng, STOC 2015.

    Examples
    --------
    >>> picked = lewis([[1.0, 0.0], [1.0, 0.0], [0.0, 5.0], [0.0, 0.0]], 2)
    >>> 2 in picked.indices, 3 in picked.indices
    (True, False)
    """
    p = check_power(p, 1.0)
    check_drawing(draw, spread)
    tolerance = _check.number("tolerance", tolerance, "(0, inf)")
    max_iter = _check.integer("max_iter", max_iter, 1)
    rows, bad = embeddings_of("embeddings", embeddings, options)
    scores, info = iterated("embeddings", rows, bad, p, "auto", tolerance, max_iter)
    core = drawing(rows, bad, scores, draw, spread, info)

    return select(
        "lewis", len(rows), budget, options, core, bad=bad, scores=scores,
        arguments={
            "p": p, "tolerance": tolerance, "max_iter": max_iter, "draw": draw, "spread": spread,
        },
    )  # fmt: skip
