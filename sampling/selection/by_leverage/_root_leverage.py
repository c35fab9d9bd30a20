"""Draws by a root of the leverage, in rounds, for losses |a_i x - b_i|^p with p < 2.

Three cheap rounds, and nearly as few rows as `lewis`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check, _rng
from ...record import Selection
from ..core._cost import Cost, Sizes, leverage_cost
from ..core._inclusion import draw_rows
from ..core._inputs import embeddings_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ..core._task import Picks, Task
from ._drawing import Draw, Spread, check_drawing, spreading
from ._leverage_scores import scores_of_rows
from ._lewis_weights import check_power

__all__ = ["root_leverage"]


def _cost(sizes: Sizes) -> Cost:
    n, d = sizes.N, sizes.D
    memory = 8 * d**2 + 150 * n + 16 * d * (n * sizes.M) ** 0.5
    given = sizes.arguments.get("rounds")
    rounds = given if isinstance(given, int) else 3  # another one is refused later
    return leverage_cost(sizes, 0.6 * rounds) + Cost(memory=memory)


@method(
    needs="embeddings",
    label="baseline",
    source="Woodruff 2023",
    ranked=False,
    weights="1 / inclusion probability, multiplied over the rounds",
    cost=_cost,
)
def root_leverage(
    embeddings: ArrayLike,
    budget: float,
    *,
    p: float = 1.0,
    rounds: int = 3,
    draw: Draw = "pivotal",
    spread: Spread | None = "kd",
    **options: Unpack[Options],
) -> Selection:
    """Draw rows in proportion to leverage^(p/2) in successively smaller rounds, for p < 2.

    Cheaper than `lewis`, and needs nearly as few rows: each round weights the rows that remain by 1
    / pi and computes their leverage again.

    Parameters
    ----------
    embeddings : array of shape (N, D)
        A, see `leverage`.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N; at most the number of non-zero rows.
    p : float in [1, 2), default 1.0
        Exponent of the loss.
    rounds : int >= 1, default 3
        Largest number of rounds; only the last one keeps more than half of its rows.
    draw, spread : default "pivotal" and "kd"
        For the last round; see `leverage`.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Rows in ascending order. Weights are products over the rounds of 1 / conditional inclusion
        probability, so weighted sums are unbiased. `scores` are leverage^(p/2), over all rows.

    Raises
    ------
    ValueError
        If a row is not finite (the message names it); if p is not in [1, 2); if fewer rows than the
        budget can be drawn.

    Notes
    -----
    Order
        Random decisions by (seed, id).
    Cost
        O(N D^2 + N log^2 N) time; 8 D^2 + 150 N + 16 D sqrt(N M) bytes. Two passes; later rounds
        process geometrically decreasing numbers of rows, from N to M, in memory.
    Gradients
        With the weights, a loss summed over the kept rows estimates that of all rows.
    Source
        Woodruff, Yasuda, "Sharper Bounds for l_p Sensitivity Sampling", ICML 2023.

    Examples
    --------
    >>> picked = root_leverage([[1.0, 0.0], [1.0, 0.0], [0.0, 5.0], [0.0, 0.0]], 2)
    >>> len(picked), 3 in picked.indices
    (2, False)
    """
    p = check_power(p, 1.0, 2.0)
    rounds = _check.integer("rounds", rounds, 1)
    check_drawing(draw, spread)
    rows, bad = embeddings_of("embeddings", embeddings, options)
    along = spreading(rows, bad, draw, spread)
    levels, path = scores_of_rows("embeddings", rows, bad)
    scores = levels ** (p / 2.0)

    def core(task: Task) -> Picks:
        now, factor, own = task, np.ones(task.rows.size), task.of(scores)
        sizes = _sizes(int(np.count_nonzero(own)), task.budget, rounds)
        for number, size in enumerate(sizes[:-1]):
            key = _rng.subkey(task.key, 2 + number)
            picks = draw_rows(replace(now, budget=size, key=key), own, "pivotal")
            now = replace(now, rows=now.rows[picks.places], keys=now.keys[picks.places])
            factor = factor[picks.places] * (1.0 if picks.weights is None else picks.weights)
            weighed = np.asarray(rows[now.rows], np.float64) * factor[:, None] ** (1.0 / p)
            own = scores_of_rows("embeddings", weighed, None)[0] ** (p / 2.0)
        picks = draw_rows(now, own, draw, along(now))
        weights = None if picks.weights is None else picks.weights * factor[picks.places]
        places = np.searchsorted(task.rows, now.rows[picks.places])
        extra = {"path": path, "rounds": [int(n) for n in sizes]}
        return Picks(places, weights, info={**picks.info, **extra})

    return select(
        "root_leverage", len(rows), budget, options, core, bad=bad, scores=scores,
        arguments={"p": p, "rounds": rounds, "draw": draw, "spread": spread},
    )  # fmt: skip


def _sizes(rows: int, budget: int, rounds: int) -> list[int]:
    """Return the rows kept in each round: a geometric sequence that ends in the budget."""
    if rows <= 2 * budget:
        return [budget]
    rounds = min(rounds, math.ceil(math.log2(rows / budget)))
    counts = [math.ceil(rows * (budget / rows) ** (r / rounds)) for r in range(1, rounds)]
    return [*(max(budget, count) for count in counts), budget]
