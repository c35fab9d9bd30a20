"""SampleMix: repeats of each document by its quality and the diversity of its cluster."""

from __future__ import annotations

import operator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ...record import Selection
from ...types import Floats, Indices
from ..core._clusters import GivenClusters, check_clusters, clusters_of
from ..core._cost import Cost, kmeans_cost, log2
from ..core._exact import describe
from ..core._inputs import AnyScores, either, embeddings_of, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._order import shuffled
from ..core._repeats import TINIEST, filled, rounded
from ..core._select import select
from ..core._spend import costs_of, limit_of
from ..core._task import Picks, Task

__all__ = ["samplemix"]

_MOST = 2**20  # no limit on repeats
_BLOCK = 2**22  # distances computed at a time
_LOW = 5.0  # percentile to which lower diversity is raised


@method(
    version=2,
    needs="embeddings",
    label="for replication",
    source="Xi 2025",
    ranked=False,
    weights="uses of the row, sum M",
    minds={"quality": ("keep",)},
    cost=lambda s: kmeans_cost(s) + Cost(s.K**2 * s.D, 2 * s.N * log2(s.N), 130 * s.N),
    fixed_size=False,
    repeats=True,
    own_costs=True,
)
def samplemix(  # noqa: PLR0913  # the options of the method
    embeddings: ArrayLike,
    budget: float,
    *,
    quality: AnyScores,
    clusters: GivenClusters = None,
    alpha: float = 0.8,
    tau: float = 0.2,
    max_repeat: int | None = None,
    rounding: Literal["systematic", "bernoulli"] = "systematic",
    **options: Unpack[Options],
) -> Selection:
    """Assign each row a number of repeats by its quality and the diversity of its cluster.

    The share of a row is softmax(w / tau) with w = alpha diversity + (1 - alpha) quality, both
    scaled to [0, 1]. Diversity is that of its cluster: the mean distance of its rows to the center,
    times the mean distance of the center to the other centers.

    Parameters
    ----------
    embeddings : array of shape (N, D)
    budget : int or float
        M, the total number of repeats: a count, which may exceed N, or a fraction in (0, 1] of N.
        With `costs` it is in their units, or a fraction of their sum.
    quality : Score, or float array of shape (N,)
        Higher is better.
    clusters : Clustering or int, optional
        A clustering, or the number of clusters; by default about sqrt(N / 2).
    alpha : float in [0, 1], default 0.8
        Weight of diversity.
    tau : float > 0, default 0.2
        Temperature: towards 0 the best rows get all repeats, towards infinity all rows get the
        same. The default is not from the paper.
    max_repeat : int, optional
        Maximum number of repeats of a row; the excess is redistributed in proportion to the shares.
        By default there is no limit; 1 gives a subset.
    rounding : {"systematic", "bernoulli"}, default "systematic"
        The repeats of a row are its share of M rounded up or down at random, and equal to the share
        on average. "systematic" gives exactly M in total; "bernoulli", as in the paper, rounds each
        row independently, and gives M on average.
    **options
        Keywords of every selector; see `Options`. With `costs` the repeats cost the budget on
        average, up to about the cost of the rows that are rounded; rows of cost 0 are dropped.

    Returns
    -------
    Selection
        Rows with at least one repeat, in ascending order. `weights` are the repeats: repeat each
        row (`numpy.repeat(picked.indices, picked.weights.astype(int))`), or weight its loss by
        them. `scores` are w. `info["uses"]` is the total number of repeats, with costs
        `info["cost"]` their cost.

    Raises
    ------
    ValueError
        If a row or a quality is not finite (the message names it); if the budget exceeds
        `max_repeat` repeats of every row.

    Notes
    -----
    Order
        Random decisions by (seed, id).
    Cost
        O(I N K D + K^2 D + N log N) time; R + 130 N bytes. k-means makes I passes over the rows,
        none if clusters are given, and holds R bytes of them: 4 N D, or half of `max_memory`.
    Gradients
        With the weights, those of the mixture: the objective is changed by design.
    Source
        Xi et al., "SampleMix", Findings of EMNLP 2025. Ours: diversity is at least its 5th
        percentile, so that clusters of one row do not set the scale; a term that is equal for all
        rows is 0.5; with a single cluster, its separation is 1.

    Examples
    --------
    >>> rows = [[0.0], [1.0], [9.0], [14.0]]
    >>> picked = samplemix(rows, 8, quality=[0.0, 0.0, 0.0, 9.0], clusters=2)
    >>> picked.indices, picked.weights
    (array([2, 3]), array([2., 6.]))
    """
    alpha = _check.number("alpha", alpha, "[0, 1]")
    tau = _check.number("tau", tau, "(0, inf)")
    cap = _MOST if max_repeat is None else _check.integer("max_repeat", max_repeat, 1, _MOST + 1)
    rounding = _check.choice("rounding", rounding, ("systematic", "bernoulli"))
    check_clusters(clusters)
    shares, bad, count = _shares(embeddings, quality, clusters, alpha, options)
    amounts, limit, plain = _budget_of_costs(budget, shares.size, options)

    def core(task: Task) -> Picks:
        own = task.of(shares) / tau
        weights = np.maximum(np.exp(own - own.max()), TINIEST)
        if amounts is None:
            total: int | None = task.budget
            exact = filled(weights, np.full(own.size, float(cap)), float(task.budget))
        else:
            total, exact = None, _spent(weights, amounts[task.rows], cap, limit)
        if rounding == "systematic":
            start = _rng.uniform(_rng.subkey(task.key, 1))
            counts = rounded(exact, shuffled(task.keys, task.key), start, total)
        else:
            points = ((task.keys ^ task.key) >> np.uint64(11)) * 2.0**-53
            counts = np.floor(exact + points).astype(np.int64)
        info = {"clusters": count, "uses": int(counts.sum())}
        if amounts is not None:
            info["cost"] = int((counts * amounts[task.rows]).sum())
        places = np.flatnonzero(counts)
        uses = counts[places].astype(np.float64)
        return Picks(places, uses, info=info, merge={"uses": operator.add})

    found = select(
        "samplemix", shares.size, budget if amounts is None else 1, plain, core, bad=bad,
        scores=shares, repeats=cap,
        arguments={"quality": quality, "clusters": clusters, "alpha": alpha, "tau": tau,
                   "max_repeat": max_repeat, "rounding": rounding, "costs": options.get("costs")},
    )  # fmt: skip
    found.arguments["budget"] = describe(budget)
    return found


def _shares(
    embeddings: ArrayLike,
    quality: AnyScores,
    clusters: GivenClusters,
    alpha: float,
    options: Options,
) -> tuple[Floats, NDArray[np.bool_] | None, int]:
    """Return alpha diversity + (1 - alpha) quality (N,), the mask of bad rows, and K."""
    rows, bad = embeddings_of("embeddings", embeddings, options)
    values, worse = scores_of("quality", quality, options)
    _check.same_length("quality", values, "embeddings", len(rows))
    labels, distances, centers = clusters_of(rows, bad, clusters, options, spherical=False)
    bad = either(bad, worse)
    good = np.ones(len(rows), np.bool_) if bad is None else ~bad
    shares = np.zeros(len(rows))
    diversity = _diversity(labels[good], distances[good], centers)
    shares[good] = alpha * _unit(diversity) + (1.0 - alpha) * _unit(values[good])
    return shares, bad, len(centers)


def _budget_of_costs(
    budget: float, size: int, options: Options
) -> tuple[Indices | None, int, Options]:
    """Return the costs, the budget in their unit, and the other options; None without costs."""
    costs = options.get("costs")
    if costs is None:
        return None, 0, options
    if options.get("groups") is not None:
        raise ValueError("costs must be omitted with groups, except for quota, got both")
    amounts = costs_of(costs, size)
    plain: Options = {k: v for k, v in options.items() if k != "costs"}  # type: ignore[assignment]
    return amounts, limit_of(budget, int(amounts.sum())), plain


def _spent(weights: Floats, costs: Indices, cap: int, limit: int) -> Floats:
    """Return repeats in proportion to weights, under the cap, whose total cost is the limit."""
    most = cap * int(costs.sum())
    if limit > most:
        raise ValueError(
            f"budget must be at most {most}, the cost of {cap} repeats of every row, got {limit}"
        )
    wide = costs.astype(np.float64)
    amounts = filled(weights * wide, cap * wide, float(limit))
    return np.divide(amounts, wide, out=np.zeros(wide.size), where=costs > 0)


def _diversity(labels: Indices, distances: Floats, centers: NDArray[np.float32]) -> Floats:
    """Return compactness times separation of each row's cluster, at least the 5th percentile."""
    count = len(centers)
    sizes = np.bincount(labels, minlength=count)
    compact = np.bincount(labels, distances, count) / np.maximum(sizes, 1)
    found: Floats = (compact * _separation(centers))[labels]
    return np.maximum(found, np.percentile(found, _LOW)) if found.size else found


def _separation(centers: NDArray[np.float32]) -> Floats:
    """Return the mean distance of each center to the others: (K, D) -> (K,); 1 if K = 1."""
    count = len(centers)
    if count == 1:
        return np.ones(1)
    wide = centers.astype(np.float64)
    wide -= wide.mean(axis=0)
    squares = np.einsum("kd,kd->k", wide, wide)
    total = np.empty(count)
    step = max(1, _BLOCK // count)
    for start in range(0, count, step):
        at = slice(start, start + step)
        gaps = squares[at, None] + squares - 2.0 * (wide[at] @ wide.T)
        gaps[np.arange(len(gaps)), np.arange(start, start + len(gaps))] = 0.0
        total[at] = np.sqrt(np.maximum(gaps, 0.0)).sum(axis=1)
    return total / (count - 1)


def _unit(values: Floats) -> Floats:
    """Return values scaled to [0, 1]; 0.5 if they are equal."""
    if values.size == 0 or values.min() == values.max():
        return np.full(values.size, 0.5)
    low, high = float(values.min()), float(values.max())
    return (values / 2 - low / 2) / (high / 2 - low / 2)  # halves: no overflow
