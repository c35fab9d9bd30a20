"""Semantic deduplication: keep one row of each set of near-duplicates.

Pairs are searched within clusters only. This makes the search cheap but approximate: it misses
copies on two sides of a cluster boundary. Each row is therefore also compared with the rows of its
second nearest cluster, and a sample of rows with all others, to estimate the recall.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ..._distinct import distinct
from ...clustering import Clustering, kmeans, second_nearest
from ...engine import gathered
from ...record import ALREADY, Selection
from ...record.copies import cosines_of, held_instead
from ...record.keys import by_value, keys_for
from ...types import Floats, Indices
from ..core._budget import count_of
from ..core._clusters import check_clusters, labels_of, points_limit
from ..core._cost import Cost, Sizes, kmeans_cost, log2, products_of
from ..core._inputs import AnyScores, either, embeddings_of, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._order import best
from ..core._select import already_of, ids_of, select
from ..core._task import Picks, Task
from ._copies import Copies, Members, find_copies
from ._recall import checked_search, default_checked

__all__ = ["semdedup"]

Rule = Literal["any_earlier", "greedy", "components"]
Keep = Literal["hard", "easy", "random", "quality"]
_COPY = "near copy of a row ranked before it"
_PASSES = 10  # of k-means, if no clusters are given
_PER_CLUSTER = 1000  # approximate rows per cluster, if the number is not given


def _cost(sizes: Sizes) -> Cost:
    n, d, clusters = sizes.N, sizes.D, sizes.K
    checked = 1.75  # the time with the estimate of the recall, to that without
    pairs = 3 * products_of(n, n, d) / clusters
    products = checked * kmeans_cost(sizes).products + pairs
    return Cost(products, 2e5 * clusters + 5 * n * log2(n), sizes.R + 200 * n)


@method(
    needs="embeddings",
    label="recommended",
    source="Abbas 2023",
    evidence="0.1 % of near copies missed, 0.9 % by semhash in 31 times the time; 100,000 x 256",
    ranked=True,
    clusters=lambda size: _default_clusters(size),
    minds={"quality": ("keep",)},
    version=4,
    cost=_cost,
)
def semdedup(  # noqa: PLR0913  # the options of the method
    embeddings: ArrayLike,
    budget: float | None = None,
    *,
    threshold: float | None = None,
    keep: Keep = "hard",
    quality: AnyScores | None = None,
    rule: Rule = "any_earlier",
    labels: ArrayLike | None = None,
    clusters: Clustering | int | None = None,
    num_assignments: int = 2,
    num_checked: int | None = None,
    **options: Unpack[Options],
) -> Selection:
    """Drop near-duplicates: rows whose cosine similarity to an earlier row exceeds a threshold.

    The search is approximate: copies in clusters that are not compared with each other are missed.
    `info["search"]` holds an estimate of its recall on the data.

    Parameters
    ----------
    embeddings : array of shape (N, D)
        Rows are scaled to length 1; a row of zeros is similar to nothing, and kept.
    budget : int or float, optional
        M as a count, or as a fraction in (0, 1] of N, from which the threshold is determined.
    threshold : float in [-1, 1], optional
        Similarity above which a row is a copy: 1 - eps in the paper. Give either this or `budget`.
    keep : {"hard", "easy", "random", "quality"}, default "hard"
        Rows that come earlier: those farthest from their center, those nearest to it, rows in
        random order, or, if `quality` is given, the best.
    quality : Score, or float array of shape (N,), optional
        Higher is better. Implies keep="quality".
    rule : {"any_earlier", "greedy", "components"}, default "any_earlier"
        Drop a row if any earlier row is close, even a dropped one, as in the authors' code; if an
        earlier *kept* row is close; or drop all but the first row of each connected component.
        These differ widely on chains of similar rows.
    labels : int or str array of shape (N,), optional
        Rows of different classes are never copies of each other. Rows without a label are one more
        class.
    clusters : Clustering or int, optional
        A clustering of these rows by spherical k-means, or the number of clusters; N / 1,000 by
        default, and at most sqrt(N / 2).
    num_assignments : {1, 2}, default 2
        Compare a row with the rows of its cluster, or also with those of the second nearest cluster
        (of its label), which finds most copies across cluster boundaries for up to three times the
        comparisons.
    num_checked : int, optional
        Number of rows compared with all others to estimate the recall; 0 for no estimate. By
        default as many as need a quarter of the products of the search, at most 2,000.
    **options
        Keywords of every selector; see `Options`. `groups` are for quotas, and do not restrict the
        comparisons. Rows that are already selected come before all others.

    Returns
    -------
    Selection
        Rows by ascending similarity to the most similar earlier row, given in `scores` (-1 for
        none); without weights. `info` holds "threshold" and "copies"; with rule="any_earlier",
        `head` returns the selection for a smaller budget.

        `kept_rows` and `similarities` say which row was kept instead of each copy: with
        rule="any_earlier" the kept row at the end of the chain of most similar earlier rows, with
        "greedy" the most similar kept row, with "components" the first row of the component.

        `info["search"]` states whether all pairs were compared ("exact"). Otherwise "recall" is the
        estimated fraction of the rows with an earlier row above "threshold" for which the search
        found one, and "interval" its two-sided 95 % confidence interval. "found" is the number of
        rows with a copy found; of the "others", "checked" rows drawn at random were compared with
        all rows, and "missed" of these had a copy. "recall" is None if no copy was found, or
        nothing was checked.

    Raises
    ------
    ValueError
        If not exactly one of `budget` and `threshold` is given; if a row is not finite (the message
        names it).

    Notes
    -----
    Order
        Ties broken by a hash of (seed, id).
    Cost
        O(I N K D + N^2 D / K) time; R + 200 N bytes. k-means makes I passes over the rows, none if
        clusters are given, and holds R bytes of them: 4 N D, or half of `max_memory`. The
        comparisons take 1.5 N^2 D / K for clusters of equal size (0.5 with one assignment), in
        blocks, and N D for each row checked. In clusters of 5,000 rows or more, products that an
        upper bound from a few principal axes rules out are not computed, if a sample shows that
        this saves time; the similarities of all rows are computed as before, but may differ in the
        last digit of float32. 20 bytes more for each pair above the threshold if the
        rule is not "any_earlier".
    Gradients
        No weights; repeated rows count once.
    Source
        Abbas, Tirumala, Simig, Ganguli, Morcos, "SemDeDup", 2023.

    Examples
    --------
    >>> rows = [[1.0, 0.0], [1.0, 0.01], [0.0, 1.0]]
    >>> semdedup(rows, threshold=0.99, quality=[1.0, 2.0, 3.0]).indices
    array([2, 1])
    """
    limit = _checked(budget, threshold, rule, keep, quality, num_assignments)
    num_checked = None if num_checked is None else _check.integer("num_checked", num_checked, 0)
    check_clusters(clusters)
    rows, bad = embeddings_of("embeddings", embeddings, options)
    order: Keep | Floats = keep
    if quality is not None:
        order, worse = scores_of("quality", quality, options)
        _check.same_length("quality", order, "embeddings", len(rows))
        bad = either(bad, worse)
    classes = None if labels is None else labels_of("labels", labels, len(rows))[0]
    if isinstance(clusters, Clustering):
        _check.same_length("clusters", clusters.labels, "embeddings", len(rows))
    good = np.arange(len(rows)) if bad is None else np.flatnonzero(~bad)
    own = rows if bad is None else gathered(rows, good)
    where = _clusters(own, clusters, classes, good, options)
    rank = _rank(where, good, len(rows), order, options)
    if num_assignments == 2 and where.seconds is None:
        where = replace(where, seconds=second_nearest(own, where, spherical=True))
    members, exact = _members(where, good, classes, num_assignments)
    copies, limit, count = _found(rows, members, rank, rule, budget, limit, options)

    def core(task: Task) -> Picks:
        own = copies.similarity[task.rows].astype(np.float64)
        at = limit
        if at is None:  # determined by the budget
            at = float(np.partition(own, task.budget - 1)[task.budget - 1])
        kept = copies.kept(rule, at)[task.rows]
        places = best(np.where(kept, 4.0, 0.0) - own, task.budget, task.keys)
        info: dict[str, Any] = {
            "threshold": at, "copies": int((~kept).sum()), "clusters": len(where.centers)
        }  # fmt: skip
        if rule == "any_earlier":  # another threshold needs no new comparisons
            info["cut"] = {"rule": _COPY, "count": "copies", "range": "[-1, 1]"}
        return Picks(places, ruled=[(~kept, _COPY)], info=info)

    found = select(
        "semdedup", len(rows), budget, options, core, bad=bad, scores=copies.similarity,
        count=count, order="ascending" if rule == "any_earlier" else None,
        ranked=rule == "any_earlier",
        arguments={"threshold": threshold, "keep": keep if quality is None else "quality",
                   "rule": rule, "clusters": clusters, "num_assignments": num_assignments,
                   "num_checked": num_checked, "labels": labels, "quality": quality},
    )  # fmt: skip
    search: dict[str, Any] = {"exact": exact}
    if not exact:
        if num_checked is None:
            passes = 0 if isinstance(clusters, Clustering) else _PASSES
            num_checked = default_checked(good.size, members, len(where.centers), passes)
        lots = _keys(options, len(rows)) ^ _rng.key(options.get("seed", 0), 0, "dedup check")
        search = checked_search(rows, copies, classes, found.info["threshold"], num_checked, lots)
    search["num_assignments"] = num_assignments
    return _with_kept(found, rows, copies, rule, search)


def _with_kept(
    found: Selection, rows: NDArray[Any], copies: Copies, rule: Rule, search: dict[str, Any]
) -> Selection:
    """Return a selection that says of each copy which row was kept instead, and how similar it is.

    That row may be already selected. It is none for a copy of a row that was dropped for another
    reason, such as a budget of its group.
    """
    at, size = float(found.info["threshold"]), len(rows)
    dropped = np.zeros(size, np.bool_)
    if _COPY in found.rules and found.verdicts is not None:
        dropped = found.verdicts == found.rules.index(_COPY)
    held = found.mask(size)
    if found.verdicts is not None and ALREADY in found.rules:
        held |= found.verdicts == found.rules.index(ALREADY)
    kept = np.where(dropped, copies.kept_instead(rule, at), -1)
    kept = held_instead(kept, np.flatnonzero(held), size)
    similarities = np.full(size, np.nan, np.float32)
    own = np.flatnonzero(kept >= 0)
    direct = copies.twin[own] == kept[own]
    similarities[own[direct]] = copies.similarity[own[direct]]
    similarities[own[~direct]] = cosines_of(rows, own[~direct], kept[own[~direct]])
    earlier = copies.twin if rule == "any_earlier" else None
    info = {**found.info, "search": search}
    return replace(found, info=info, kept_rows=kept, similarities=similarities, earlier=earlier)


def _checked(  # noqa: PLR0913  # arguments of the method
    budget: float | None,
    threshold: float | None,
    rule: str,
    keep: str,
    quality: object,
    num_assignments: int,
) -> float | None:
    """Check the arguments that do not depend on the data; return the threshold."""
    if (budget is None) == (threshold is None):
        found = "neither" if budget is None else f"both, {budget!r} and {threshold!r}"
        raise ValueError(
            f"either budget or threshold must be given, got {found}: a threshold, such as 0.95, is "
            "the cosine similarity above which a row is a copy"
        )
    _check.choice("rule", rule, ("any_earlier", "greedy", "components"))
    _check.choice("keep", keep, ("hard", "easy", "random", "quality"))
    if keep == "quality" and quality is None:
        raise ValueError("quality must be given for keep='quality', got None")
    _check.integer("num_assignments", num_assignments, 1, 3)
    return None if threshold is None else _check.number("threshold", threshold, "[-1, 1]")


def _found(  # noqa: PLR0913
    rows: NDArray[Any],
    members: Members,
    rank: Indices,
    rule: Rule,
    budget: float | None,
    limit: float | None,
    options: Options,
) -> tuple[Copies, float | None, int | None]:
    """Return the copies, the threshold if it is known, and M if the threshold determines it."""
    already = already_of(options, len(rows))
    if budget is not None and rule != "any_earlier":
        wanted = count_of(budget, len(rows))
        copies, limit = _search(rows, members, rank, rule, wanted, already)
        return copies, limit, None
    copies = find_copies(rows, members, rank, None if rule == "any_earlier" else limit)
    if limit is None:
        return copies, None, None
    kept = copies.kept(rule, limit)
    kept[already] = False
    return copies, limit, int(kept.sum())


def _clusters(
    rows: NDArray[Any],
    given: Clustering | int | None,
    classes: Indices | None,
    good: Indices,
    options: Options,
) -> Clustering:
    """Return the clusters of the valid rows."""
    if isinstance(given, Clustering):
        return given.among(good)
    count = _default_clusters(len(rows)) if given is None else given
    if classes is not None:
        classes = classes[good]
        count = max(int(count), distinct(classes).size)
    count = min(_check.integer("clusters", count, 1), len(rows))
    limit = points_limit(options.get("max_memory"), rows.shape, count)
    return kmeans(
        rows,
        count,
        spherical=True,
        n_iter=_PASSES,
        seed=options.get("seed", 0),
        groups=classes,
        max_points_per_centroid=limit,
    )


def _default_clusters(size: int) -> int:
    """Return K: about 1,000 rows each, or fewer where k-means would cost as much as comparing."""
    return max(1, min(size // _PER_CLUSTER, math.isqrt(size // 2)))


def _keys(options: Options, size: int) -> NDArray[np.uint64]:
    return keys_for(_check.seed(options.get("seed", 0)), ids_of(options.get("ids"), size), size)


def _rank(
    where: Clustering, good: Indices, size: int, keep: Keep | Floats, options: Options
) -> Indices:
    """Return the rank of each row, lower for earlier rows: (N,), N for bad rows."""
    keys = _keys(options, size)[good]
    if isinstance(keep, np.ndarray):
        late = -keep[good]
    elif keep == "random":
        late = np.zeros(good.size)
    else:
        late = where.distances.astype(np.float64) * (-1.0 if keep == "hard" else 1.0)
    already = already_of(options, size)
    first = np.isin(good, already)
    order = by_value(late, keys)
    order = np.concatenate([order[first[order]], order[~first[order]]])
    rank = np.full(size, size, np.int64)
    rank[good[order]] = np.arange(good.size)
    return rank


def _members(
    where: Clustering, good: Indices, classes: Indices | None, num_assignments: int
) -> tuple[Members, bool]:
    """Return the rows of each cluster, with two assignments including the visiting rows.

    The flag states whether all pairs (of a label) are compared: no label is in more clusters.
    """
    codes, others = where.labels, where.seconds if num_assignments == 2 else None
    exact = _all_compared(codes, others, None if classes is None else classes[good])
    if classes is not None:  # given clusters may hold several labels
        count = int(classes.max()) + 1
        codes = codes * count + classes[good]
        if others is not None:
            others = np.where(others < 0, -1, others * count + classes[good])
    return Members.of(good, codes, others), exact


def _all_compared(codes: Indices, others: Indices | None, classes: Indices | None) -> bool:
    """Return whether each label is in one cluster, or in two and compared with both."""
    size = int(codes.max(initial=0)) + 1
    kinds = np.zeros(codes.size, np.int64) if classes is None else classes
    held = np.flatnonzero(np.bincount(kinds * size + codes))  # clusters of each label
    kind, code = np.divmod(held, size)
    counts = np.bincount(kind)
    if counts.max(initial=0) <= 1:
        return True
    if others is None or counts.max() > 2:
        return False
    other = np.bincount(kind, code).astype(np.int64)[kinds] - codes
    return bool((others == other)[counts[kinds] == 2].all())


def _search(
    rows: NDArray[Any],
    members: Members,
    rank: Indices,
    rule: Rule,
    count: int,
    already: Indices,
) -> tuple[Copies, float]:
    """Return copies and the highest threshold at which a rule keeps at most `count` rows.

    "any_earlier" drops most rows, and "components" even more of a chain. The floor below which no
    pair is needed is therefore unknown, and is lowered until enough rows are dropped.
    """
    plain = find_copies(rows, members, rank, None)
    own = np.sort(plain.similarity[rank < rank.size])
    floor = float(own[min(count, own.size) - 1])

    def kept(copies: Copies, threshold: float) -> int:
        mask = copies.kept(rule, threshold)
        mask[already] = False
        return int(mask.sum())

    while True:
        copies = find_copies(rows, members, rank, floor)
        if kept(copies, floor) <= count or floor <= -1.0:
            break
        floor = max(-1.0, floor - 0.1)
    steps = distinct(copies.pairs)
    low, high = -1, steps.size - 1  # at steps[high] all rows are kept; at the floor at most `count`
    while low < high:
        middle = (low + high + 1) // 2
        if kept(copies, float(steps[middle])) <= count:
            low = middle
        else:
            high = middle - 1
    return copies, float(steps[low]) if low >= 0 else floor
