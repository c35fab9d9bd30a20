"""D4: deduplicate, cluster the remaining rows again, and drop those near their centers."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check
from ...clustering import Clustering
from ...engine import gathered
from ...record import Selection
from ..core._budget import count_of
from ..core._clusters import GivenClusters, check_clusters, clusters_of
from ..core._cost import Cost, Sizes, products_of
from ..core._inputs import embeddings_of
from ..core._method import method
from ..core._options import Options
from ..core._order import best
from ..core._select import already_of, select
from ..core._task import Picks, Task
from ._semdedup import semdedup

__all__ = ["d4"]

_COPY = "near copy of a row ranked before it"
_PLAIN = {"far": "too near to the center of its cluster", "near": "too far from its center"}


def _cost(sizes: Sizes) -> Cost:
    n, d, clusters = sizes.N, sizes.D, sizes.K
    passes = 1.4 * (sizes.I + 16) * products_of(n, clusters, d)
    pairs = 3 * products_of(n, n, d) / clusters
    return Cost(passes + pairs, 7e5 * clusters, memory=8 * n * d + 160 * n)


@method(
    needs="embeddings",
    label="for replication",
    source="Tirumala 2023",
    ranked=True,
    version=3,
    cost=_cost,
)
def d4(
    embeddings: ArrayLike,
    budget: float,
    *,
    dedup_keep: float = 0.75,
    keep: Literal["far", "near"] = "far",
    dedup_clusters: GivenClusters = None,
    clusters: int | None = None,
    **options: Unpack[Options],
) -> Selection:
    """Drop near-duplicates, cluster the remaining rows, and keep those far from their centers.

    Clusters computed before deduplication are centered on the duplicates; clustering again makes
    them represent the data.

    Parameters
    ----------
    embeddings : array of shape (N, D)
        Rows are scaled to length 1.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N, after both stages.
    dedup_keep : float in (0, 1], default 0.75
        Fraction of the rows that the first stage keeps; more if the budget is larger.
    keep : {"far", "near"}, default "far"
        Rows that the second stage keeps; see `prototypes`.
    dedup_clusters : Clustering or int, optional
        Clusters of the first stage; see `semdedup`.
    clusters : int, optional
        Number of clusters of the second stage, over the n rows that the first stage kept; by
        default about sqrt(n / 2).
    **options
        Keywords of every selector; see `Options`. With `groups` the budget of the second stage is
        apportioned; a group with fewer remaining rows than its share adds its least similar
        duplicates.

    Returns
    -------
    Selection
        Ranked (unless the budget exceeds the number of rows that the first stage keeps), without
        weights. `scores` are the distances sqrt(2 - 2 cos) to the new centers, NaN for
        near-duplicates. `info["deduplicated"]` is the number of rows that the first stage kept;
        `info["search"]` holds the estimated recall of its search, see `semdedup`.

    Raises
    ------
    ValueError
        If a row is not finite or is a zero vector; the message names it.

    Notes
    -----
    Order
        By distance, ties broken by a hash of (seed, id).
    Cost
        O(I N K D + N^2 D / K) time; 8 N D + 160 N bytes. The time is that of `semdedup`, and of
        k-means over the rows it keeps.
    Gradients
        No weights.
    Source
        Tirumala, Simig, Aghajanyan, Morcos, "D4: Improving LLM Pretraining via Document
        De-Duplication and Diversification", NeurIPS 2023.

    Examples
    --------
    >>> rows = [[1.0, 0.0], [1.0, 0.001], [1.0, 0.3], [1.0, -0.8]]
    >>> d4(rows, 1, clusters=1).indices
    array([3])
    """
    part = _check.number("dedup_keep", dedup_keep, "(0, 1]")
    keep = _check.choice("keep", keep, ("far", "near"))
    if isinstance(clusters, Clustering):
        raise TypeError(
            "clusters must be an int, as the rows that the first stage keeps are clustered, got a "
            "Clustering: give it as dedup_clusters"
        )
    check_clusters(clusters)
    check_clusters(dedup_clusters, "dedup_clusters")
    rows, bad = embeddings_of("embeddings", embeddings, options, cosine=True)
    open_ = np.ones(len(rows), np.bool_) if bad is None else ~bad
    open_[already_of(options, len(rows))] = False
    size = int(open_.sum())
    least = count_of(part, size) if size else 0
    asked = least if options.get("costs") is not None else count_of(budget, len(rows))
    first = _first_stage(rows, min(size, max(least, asked)), dedup_clusters, options)
    left = np.sort(first.indices)
    _, distances, centers = clusters_of(
        gathered(rows, left), None, clusters, options, spherical=True
    )
    scores = np.full(len(rows), np.nan)
    scores[left] = distances
    similarity = np.asarray(first.scores, np.float64)

    def core(task: Task) -> Picks:
        own = task.of(scores)
        copies = np.isnan(own)
        wanted = np.where(copies, -9.0 - task.of(similarity), own if keep == "far" else -own)
        places = best(wanted, task.budget, task.keys)
        info: dict[str, Any] = {"deduplicated": left.size, "clusters": len(centers)}
        info["search"] = first.info["search"]
        return Picks(places, ruled=[(~copies, _PLAIN[keep]), (copies, _COPY)], info=info)

    return select(
        "d4", len(rows), budget, options, core, bad=bad, scores=scores,
        order="descending" if keep == "far" else "ascending", ranked=asked <= least,
        arguments={"dedup_keep": part, "keep": keep, "dedup_clusters": dedup_clusters,
                   "clusters": clusters},
    )  # fmt: skip


def _first_stage(
    rows: NDArray[Any], count: int, clusters: GivenClusters, options: Options
) -> Selection:
    """Return the deduplicated rows; groups and costs apply to the second stage only."""
    own = ("seed", "ids", "on_bad", "already_selected")
    plain: Options = {k: v for k, v in options.items() if k in own}  # type: ignore[assignment]
    return semdedup(rows, count, clusters=clusters, **plain)
