"""Self-supervised prototypes: rows by their distance to the center of their cluster."""

from __future__ import annotations

from typing import Literal

from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check
from ...record import Selection
from ..core._clusters import GivenClusters, check_clusters, clusters_of
from ..core._cost import Cost, kmeans_cost, log2
from ..core._inputs import embeddings_of
from ..core._method import method
from ..core._options import Options
from ..core._order import best
from ..core._select import select
from ..core._task import Picks, Task

__all__ = ["prototypes"]


@method(
    version=2,
    needs="embeddings",
    label="baseline",
    source="Sorscher 2022",
    ranked=True,
    cost=lambda s: kmeans_cost(s) + Cost(steps=s.N + s.M * log2(s.M), memory=80 * s.N),
)
def prototypes(
    embeddings: ArrayLike,
    budget: float,
    *,
    keep: Literal["far", "near"] = "far",
    clusters: GivenClusters = None,
    **options: Unpack[Options],
) -> Selection:
    """Keep the rows least, or most, similar to the center of their cluster, by cosine.

    Parameters
    ----------
    embeddings : array of shape (N, D)
        Embeddings of a self-supervised model; rows are scaled to length 1.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    keep : {"far", "near"}, default "far"
        The paper recommends far (hard) rows if data are abundant, and near (easy) rows if they are
        scarce.
    clusters : Clustering or int, optional
        A clustering by spherical k-means, or the number of clusters; by default about sqrt(N / 2).
        The paper uses about as many as there are classes.
    **options
        Keywords of every selector; see `Options`. `groups` and `floor` keep a minimum of every
        class, which the authors need on imbalanced data.

    Returns
    -------
    Selection
        Ranked, without weights. `scores` are the distances sqrt(2 - 2 cos) to the center.

    Raises
    ------
    ValueError
        If a row is not finite; the message names it.

    Notes
    -----
    Order
        By distance, ties broken by a hash of (seed, id).
    Cost
        O(I N K D + N + M log M) time; R + 80 N bytes. k-means makes I passes over the rows, none if
        clusters are given, and holds R bytes of them: 4 N D, or half of `max_memory`.
    Gradients
        No weights.
    Source
        Sorscher, Geirhos, Shekhar, Ganguli, Morcos, "Beyond neural scaling laws: beating power law
        scaling via data pruning", NeurIPS 2022.

    Examples
    --------
    >>> rows = [[1.0, 0.0], [1.0, 0.1], [1.0, -0.5]]
    >>> prototypes(rows, 1, clusters=1).indices
    array([2])
    """
    keep = _check.choice("keep", keep, ("far", "near"))
    check_clusters(clusters)
    rows, bad = embeddings_of("embeddings", embeddings, options, cosine=True)
    _, distances, centers = clusters_of(rows, bad, clusters, options, spherical=True)

    def core(task: Task) -> Picks:
        own = task.of(distances)
        places = best(own if keep == "far" else -own, task.budget, task.keys)
        return Picks(places, info={"clusters": len(centers)})

    return select(
        "prototypes", len(rows), budget, options, core, bad=bad, scores=distances,
        order="descending" if keep == "far" else "ascending",
        arguments={"keep": keep, "clusters": clusters},
    )  # fmt: skip
