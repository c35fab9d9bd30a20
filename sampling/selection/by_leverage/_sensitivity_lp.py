"""Draws by an upper bound of the l_p sensitivity: one round, and more rows than `lewis`."""

from __future__ import annotations

import numpy as np
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
from ._leverage_scores import scores_of_rows
from ._lewis_weights import check_power

__all__ = ["sensitivity_lp"]


@method(
    needs="embeddings",
    label="baseline",
    source="Woodruff 2023",
    ranked=False,
    weights="1 / inclusion probability",
    cost=lambda s: leverage_cost(s) + Cost(memory=8 * s.D**2 + 150 * s.N),
)
def sensitivity_lp(
    embeddings: ArrayLike,
    budget: float,
    *,
    p: float,
    mixture: bool = False,
    draw: Draw = "pivotal",
    spread: Spread | None = "kd",
    **options: Unpack[Options],
) -> Selection:
    """Draw rows in proportion to an upper bound of their l_p sensitivity, for losses |a_i x|^p.

    The sensitivity is the largest fraction of the loss that a row can account for. The bound
    follows from the leverage t: t^(p/2) for p <= 2, and min(1, N^(p/2 - 1) t^(p/2)) for p > 2.

    Parameters
    ----------
    embeddings : array of shape (N, D)
        A, see `leverage`.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N; at most the number of non-zero rows.
    p : float >= 1
        Exponent of the loss.
    mixture : bool, default False
        Draw by leverage + bound, which needs fewer rows for p > 2.
    draw, spread : default "pivotal" and "kd"
        See `leverage`.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Rows in ascending order. Weights 1 / inclusion probability, of |.|^p: scale rows by their
        p-th root. `scores` are the bounds, or with `mixture` the sums.

    Raises
    ------
    ValueError
        If a row is not finite (the message names it); if fewer rows than the budget can be drawn.

    Notes
    -----
    Order
        Random decisions by (seed, id) along the order.
    Cost
        O(N D^2 + N log^2 N) time; 8 D^2 + 150 N bytes. As `leverage`.
    Gradients
        With the weights, a loss summed over the kept rows estimates that of all rows.
    Source
        Woodruff, Yasuda, "Sharper Bounds for l_p Sensitivity Sampling", ICML 2023.

    Examples
    --------
    >>> sensitivity_lp([[3.0], [1.0], [0.0], [1.0]], 1, p=4.0).scores.round(3)
    array([1.   , 0.033, 0.   , 0.033])
    """
    mixture = _check.flag("mixture", mixture)
    p = check_power(p, 1.0)
    check_drawing(draw, spread)
    rows, bad = embeddings_of("embeddings", embeddings, options)
    levels, path = scores_of_rows("embeddings", rows, bad)
    size = len(rows) if bad is None else int(np.count_nonzero(~bad))
    scores = np.minimum(1.0, max(1.0, size ** (p / 2.0 - 1.0)) * levels ** (p / 2.0))
    if mixture:
        scores = scores + levels
    core = drawing(rows, bad, scores, draw, spread, {"path": path})
    return select(
        "sensitivity_lp", len(rows), budget, options, core, bad=bad, scores=scores,
        arguments={"p": p, "mixture": mixture, "draw": draw, "spread": spread},
    )  # fmt: skip
