"""Draws without replacement with given inclusion probabilities.

Prefer `pivotal`: exact size, exact inclusion probabilities, and well-spread samples, because
neighbours in its order exclude each other. `systematic` is as exact and cheaper, but many pairs of
rows can never be drawn together, so it has no variance estimate. `poisson` draws each row
independently, so the sample size varies. torch's `WeightedRandomSampler(replacement=False)` does
not respect inclusion probabilities.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ...kernels._draw import systematic as systematic_kernel
from ...kernels._pivotal import pivotal_walk
from ...record import Selection
from ...types import Floats, Indices
from ._inputs import AnyScores, best, embeddings_of, scores_of, shuffled
from ._registry import method
from ._spatial_order import KINDS, axes_of, halved
from ._task import Options, Picks, Task, select

__all__ = ["inclusion_probabilities", "pivotal", "poisson", "systematic"]

DRAWS = ("pivotal", "systematic", "poisson", "top")


@told
def inclusion_probabilities(scores: ArrayLike, budget: int) -> Floats:
    """Return the inclusion probabilities min(1, c s_i), with c such that they add up to the budget.

    Parameters
    ----------
    scores : array of shape (n,)
        Finite and >= 0.
    budget : int
        At most the number of scores above 0.

    Returns
    -------
    float64 array of shape (n,)

    Raises
    ------
    ValueError
        If the number of scores above 0 is less than the budget.

    Notes
    -----
    Cost
        O(n log n) time, exact: the excess above 1 is redistributed.

    Examples
    --------
    >>> inclusion_probabilities([6.0, 1.0, 1.0, 0.0], 2)
    array([1. , 0.5, 0.5, 0. ])
    """
    values = _check.weights("scores", scores)
    positive = int(np.count_nonzero(values))
    budget = _check.integer("budget", budget, 1, values.size + 1)
    if budget > positive:
        raise ValueError(f"budget must be at most {positive}, the scores above 0, got {budget}")
    falling = -np.sort(-values)
    tails = np.cumsum(falling[::-1])[::-1]  # sum of the j-th and all lower scores
    left = budget - np.arange(budget)
    # c s of the j-th score if all higher ones get 1
    highest = left * (falling[:budget] / tails[:budget])
    certain = int(np.argmax(highest <= 1.0 + 1e-12))
    with np.errstate(over="ignore"):  # for higher scores, if the remaining ones are tiny
        pi: Floats = np.minimum(left[certain] * (values / tails[certain]), 1.0)
    pi[np.argsort(-values, kind="stable")[:certain]] = 1.0
    return pi


def draw_fixed(pi: Floats, order: Indices, key: np.uint64, budget: int) -> Indices:
    """Return `budget` positions drawn with probabilities pi, spread along an order; ascending."""
    out = np.zeros(pi.size, np.bool_)
    pivotal_walk(pi, order, key, out)
    found = np.flatnonzero(out)
    _refuse_other(found.size, budget)
    return found


def _refuse_other(drawn: int, budget: int) -> None:
    if drawn != budget:  # they add up to the budget up to rounding
        raise RuntimeError(f"drew {drawn} rows of {budget}: the probabilities do not add up")


def draw_rows(task: Task, scores: Floats, draw: str, along: Indices | None = None) -> Picks:
    """Draw rows of a task in proportion to their scores, with weights 1 / pi (none for "top").

    scores : float64 (n,), of the task's rows
    along : int64 (n,), positions in the order along which "pivotal" spreads; random by default
    """
    if draw == "top":
        return Picks(best(scores, task.budget, task.keys))
    chances = inclusion_probabilities(scores, task.budget)
    if draw == "poisson":
        points = (task.keys >> np.uint64(11)) * 2.0**-53
        places = np.flatnonzero(points < chances)
    elif draw == "systematic":
        along = shuffled(task.keys, task.key)
        out = np.full(task.budget, -1)
        start = _rng.uniform(_rng.subkey(task.key, 1))
        in_order = np.ascontiguousarray(chances[along])
        _refuse_other(systematic_kernel(in_order, 1.0, task.key, start, out), task.budget)
        places = np.sort(along[out])
    else:
        along = shuffled(task.keys, task.key) if along is None else along
        places = draw_fixed(chances, along, _rng.subkey(task.key, 1), task.budget)
    return Picks(places, 1.0 / chances[places], info={"inclusion": draw})


@method(
    needs="probabilities", label="recommended", ranked=False, weights="1 / inclusion probability",
    time="N log N, or N D + N log^2 N with embeddings",
    memory="75 N bytes, or 175 N bytes with embeddings",
)  # fmt: skip
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
        O(N log N) time, 75 N bytes; with embeddings, additionally the cost of `spatial_order`.
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
    _refuse_negative("pi", values)
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


@method(
    needs="probabilities", label="baseline", ranked=False, weights="1 / inclusion probability",
    time="N log N", memory="75 N bytes",
)  # fmt: skip
def systematic(pi: AnyScores, budget: float, **options: Unpack[Options]) -> Selection:
    """Draw exactly M rows by systematic sampling along a random order; see `pivotal`.

    Parameters
    ----------
    pi : Score, or float array of shape (N,)
        Finite and >= 0.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Rows in ascending order. Weights 1 / inclusion probability.

    Notes
    -----
    Order
        Random decisions by (seed, id).
    Cost
        O(N log N) time, 75 N bytes.
    Source
        Madow, "On the theory of systematic sampling, II", Annals of Mathematical Statistics 1949.

    Examples
    --------
    >>> len(systematic([5.0, 1.0, 1.0, 1.0, 0.0], 2))
    2
    """
    values, bad = scores_of("pi", pi, options)
    _refuse_negative("pi", values)

    def core(task: Task) -> Picks:
        return draw_rows(task, task.of(values), "systematic")

    return select(
        "systematic", values.size, budget, options, core, arguments={}, bad=bad, scores=values
    )


@method(
    needs="probabilities", label="baseline", ranked=False, weights="1 / inclusion probability",
    time="N log N", memory="75 N bytes",
)  # fmt: skip
def poisson(pi: AnyScores, budget: float, **options: Unpack[Options]) -> Selection:
    """Draw each row independently with its inclusion probability: about M rows; see `pivotal`.

    Parameters
    ----------
    pi : Score, or float array of shape (N,)
        Finite and >= 0.
    budget : int or float
        The expected number of rows, as a count or as a fraction in (0, 1] of N.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Rows in ascending order; their number is random. Weights 1 / inclusion probability.

    Notes
    -----
    Order
        Row i is drawn if a hash of (seed, id) is below its probability: a larger budget keeps all
        rows of a smaller one.
    Cost
        O(N log N) time, 75 N bytes.
    Source
        Hajek, "Asymptotic theory of rejective sampling", Annals of Mathematical Statistics 1964.

    Examples
    --------
    >>> poisson([1.0, 1.0, 0.0], 2).indices
    array([0, 1])
    """
    values, bad = scores_of("pi", pi, options)
    _refuse_negative("pi", values)

    def core(task: Task) -> Picks:
        return draw_rows(task, task.of(values), "poisson")

    return select(
        "poisson", values.size, budget, options, core, arguments={}, bad=bad, scores=values
    )


def _refuse_negative(name: str, values: Floats) -> None:
    if (values < 0).any():
        row = int(np.flatnonzero(values < 0)[0])
        raise ValueError(
            f"{name} must be >= 0, got {values[row]} in row {row}: rows are drawn in proportion to "
            "it; shift it so that its minimum is 0, or use its exponential"
        )
