"""Pivotal sampling: exact size, exact inclusion probabilities, and a well-spread sample.

Neighbours in its order exclude each other, so estimates have less variance than from `systematic`
or `poisson`; prefer it to both.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check
from ...record import Selection
from ..core._cost import Cost, Sizes, log2, spread_cost
from ..core._inclusion import draw_rows, refuse_negative
from ..core._inputs import AnyScores, embeddings_of, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ..core._spatial_order import KINDS, axes_of, halved
from ..core._task import Picks, Task

__all__ = ["pivotal"]


def _cost(sizes: Sizes) -> Cost:
    if sizes.given("embeddings"):
        return spread_cost(sizes) + Cost(memory=175 * sizes.N)
    return Cost(steps=5 * sizes.N * log2(sizes.N), memory=75 * sizes.N)


@method(
    needs="probabilities",
    label="recommended",
    source="Deville 1998",
    evidence="71 to 78 % of the rows of independent draws for twice the least error",
    ranked=False,
    weights="1 / inclusion probability",
    cost=_cost,
)
def pivotal(
    pi: AnyScores,
    budget: float,
    *,
    order: ArrayLike | None = None,
    embeddings: ArrayLike | None = None,
    spread: Literal["kd", "pca"] = "kd",
    **options: Unpack[Options],
) -> Selection:
    """Draw exactly M rows by the pivotal method, with probabilities proportional to the score.

    Rows that are neighbours in an order exclude each other. With embeddings the draw is therefore
    spread over the space, and estimates from it have less variance than from independent draws.

    Parameters
    ----------
    pi : Score, or float array of shape (N,)
        Finite and >= 0; row i is drawn with probability min(1, c pi_i), c such that they add up
        to M.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N; at most the number of scores above 0.
    order : int array of shape (N,), optional
        A permutation of all rows with neighbours next to each other; by default derived from
        `embeddings`, otherwise random.
    embeddings : array of shape (N, D), optional
        If given, the order keeps neighbours in this space together.
    spread : {"kd", "pca"}, default "kd"
        Method of `spatial_order`; "pca" uses one direction only.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Rows in ascending order. Weights are 1 / inclusion probability: for any numbers x_i, their
        weighted sum over the kept rows is an unbiased estimate of sum(x).

    Raises
    ------
    ValueError
        If a score is negative or not finite; if fewer than M are above 0; if `order` is not a
        permutation of all rows.

    Notes
    -----
    Order
        Random decisions by (seed, id), or by (seed, position) if an order is given.
    Cost
        O(N log N) time, or O(N D + N log^2 N) with embeddings; 75 N bytes, or 175 N bytes with
        embeddings. The order of the embeddings is that of `spatial_order`.
    Gradients
        With the weights, a loss summed over the kept rows estimates that of all rows.
    Source
        Deville and Tille, "Unequal probability sampling without replacement through a splitting
        method", Biometrika 1998; spread along an order for active learning by Shimizu et al., ICLR
        2024.

    Examples
    --------
    >>> picked = pivotal([5.0, 1.0, 1.0, 1.0, 0.0], 2)
    >>> len(picked), 0 in picked.indices, 4 in picked.indices
    (2, True, False)
    """
    spread = _check.choice("spread", spread, KINDS)
    values, bad = scores_of("pi", pi, options)
    refuse_negative("pi", values)
    rank, axes = None, None
    if order is not None:
        given = _check.unique_rows("order", order, values.size)
        _check.same_length("order", given, "pi", values.size)
        rank = np.empty(values.size, np.int64)
        rank[given] = np.arange(values.size)
    elif embeddings is not None:
        rows, bad_rows = embeddings_of("embeddings", embeddings, options)
        _check.same_length("embeddings", rows, "pi", values.size)
        axes = axes_of(rows, spread, bad_rows)
        if bad_rows is not None:
            bad = bad_rows if bad is None else bad | bad_rows

    def core(task: Task) -> Picks:
        along = None
        if rank is not None:
            along = np.argsort(rank[task.rows], kind="stable")
        elif axes is not None:
            along = halved(task.of(axes), task.keys)
        return draw_rows(task, task.of(values), "pivotal", along)

    arguments = {"order": order, "embeddings": embeddings, "spread": spread}
    return select(
        "pivotal", values.size, budget, options, core, arguments=arguments, bad=bad, scores=values
    )
