"""Lewis weights of rows for losses |a_i x - b_i|^p, and cheaper bounds of the sensitivity.

`lewis` needs the fewest rows, and some tens of passes; `root_leverage` is nearly as good for p < 2
in three cheap rounds; `sensitivity_lp` draws by an upper bound of the sensitivity, in one round.
For p = 2 all three equal `leverage`.

Weights are 1 / pi, and multiply |.|^p: to solve a reweighted problem, scale a row by pi^(-1/p).
"""

import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ...record import Selection
from ...types import Floats
from ..core._inclusion import draw_rows
from ..core._inputs import embeddings_of
from ..core._registry import method
from ..core._task import Options, Picks, Task, select
from ..core._whiten import (  # fmt: skip
    Bad,
    Rows,
    by_cholesky,
    by_eigh,
    squared_lengths,
    weighted_gram,
    whitening,
)
from ._leverage import Draw, Spread, check_drawing, drawing, scores_of_rows, spreading

__all__ = ["lewis", "lewis_weights", "root_leverage", "sensitivity_lp"]

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
    p = _check_power(p, 1.0)
    return _iterated("rows", array, None, p, iteration, tolerance, max_iter)[0]


def _check_power(p: float, low: float, high: float = math.inf) -> float:
    return _check.number("p", p, f"[{low:g}, {high:g})")


def _iterated(
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


@method(
    needs="embeddings", label="recommended", ranked=False, weights="1 / inclusion probability",
    time="S N D^2 + N log^2 N", memory="8 D^2 + 150 N bytes",
)  # fmt: skip
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
        That of `lewis_weights`, and O(N log^2 N) time and 150 N bytes for the order and draw.
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
    p = _check_power(p, 1.0)
    check_drawing(draw, spread)
    tolerance = _check.number("tolerance", tolerance, "(0, inf)")
    max_iter = _check.integer("max_iter", max_iter, 1)
    rows, bad = embeddings_of("embeddings", embeddings, options)
    scores, info = _iterated("embeddings", rows, bad, p, "auto", tolerance, max_iter)
    core = drawing(rows, bad, scores, draw, spread, info)

    return select(
        "lewis", len(rows), budget, options, core, bad=bad, scores=scores,
        arguments={
            "p": p, "tolerance": tolerance, "max_iter": max_iter, "draw": draw, "spread": spread,
        },
    )  # fmt: skip


@method(
    needs="embeddings", label="baseline", ranked=False,
    weights="1 / inclusion probability, multiplied over the rounds",
    time="N D^2 + N log^2 N", memory="8 D^2 + 150 N + 16 D sqrt(N M) bytes",
)  # fmt: skip
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
        O(N D^2 + N log^2 N) time, two passes; later rounds process geometrically decreasing numbers
        of rows, from N to M, in memory.
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
    p = _check_power(p, 1.0, 2.0)
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


@method(
    needs="embeddings", label="baseline", ranked=False, weights="1 / inclusion probability",
    time="N D^2 + N log^2 N", memory="8 D^2 + 150 N bytes",
)  # fmt: skip
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
        As `leverage`.
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
    p = _check_power(p, 1.0)
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
