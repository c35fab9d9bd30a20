"""Nearest rows of another class. Nearest rows of any class: `_neighbours.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._check import _labels
from .._check._keywords import told
from .._checkpoint import part as part_of
from .._progress import Steps
from ..engine import Local, current
from ..kernels._negatives import keep_nearest
from ..types import Indices
from ._assign import Space
from ._kmeans import Clustering
from ._neighbours import _COMPARED, _SPARE, Neighbours, _ranked

__all__ = ["hard_negatives"]

_SIDE = 4096  # rows of each side of a block of products: 64 MiB of float32
_NUMBERS = 2**22  # numbers of a block of rows: 16 MiB of float32


@told
def hard_negatives(
    embeddings: ArrayLike,
    labels: ArrayLike,
    k: int,
    *,
    within: ArrayLike | None = None,
    metric: str = "euclidean",
    clusters: Clustering | None = None,
    probes: int = 8,
) -> Neighbours:
    """Find the k nearest rows of another class for each row.

    The neighbours in a graph of `neighbours` are often all of the row's own class; here that class
    is excluded during the search, so that every row has k negatives wherever that many exist.
    `NeighborPairBatchSampler` draws from the table. Negatives that are too near may be mislabelled
    positives: set the `indices` to -1 where `distances` are below a margin.

    Parameters
    ----------
    embeddings : array-like or tensor of shape (N, D), converted to float32
        Finite; in memory or on disk.
    labels : int or str array-like of shape (N,)
        Class of each row: the identity, the query that a document answers. A row without one (-1,
        None, NaN) has no negatives and is no negative.
    k : int
        Number of negatives, at least 1. Entries without a row are filled with -1.
    within : int or str array-like of shape (N,), optional
        Coarse class of each row: negatives are of the same coarse class, for training from coarse
        to fine. A row without one has no negatives and is no negative.
    metric : {"euclidean", "cosine"}, default "euclidean"
        "cosine" is 1 - cosine, in [0, 2]. Rows of norm below 1e-12 have distance 1 to everything.
    clusters : Clustering, optional
        Of the same rows, from `kmeans`. Only the rows of a few clusters are then searched for each
        row, which is faster and misses some negatives; by default the search is exhaustive.
    probes : int, default 8
        Number of clusters searched, the row's own and those whose centers are nearest to its
        center. Ignored without `clusters`. With few, rows whose clusters hold one class only have
        no negatives: compare with an exhaustive search of a sample of the rows.

    Returns
    -------
    Neighbours
        Indices and distances, each (N, k), ascending; -1 and infinite where fewer than k rows
        qualify, among those searched.

    Raises
    ------
    TypeError
        If `clusters` is not a `Clustering`.
    ValueError
        If a row is not finite (the first is named), or a shape or a number is out of range; if no
        row has a label; inside a `use` of another engine than `Local`.

    Notes
    -----
    Order
        By distance, ties by the lower row. Distances are computed from differences in float64;
        negatives excluded only by float32 rounding may be missed.
    Cost
        O(N^2 D) time, or O(N^2 D probes / K) with K clusters of equal size. Holds the result, 12 N
        k bytes, 8 N of codes, 8 N more with clusters, and blocks of about 150 MiB. Rows on disk are
        read once for every 4,096 rows, or fewer if D is above 1,024; with clusters each row is read
        about `probes` times, one by one.
    Source
        Search by blocks of products; clusters as in an inverted file. Hard negatives for text
        retrieval: Wu et al., "Towards Robust Text Retrieval with Progressive Learning", 2023.

    Examples
    --------
    >>> graph = hard_negatives([[0.0], [1.0], [3.0], [7.0]], ["a", "a", "b", "b"], 1)
    >>> graph.indices.tolist(), graph.distances.tolist()
    ([[2], [2], [1], [1]], [[3.0], [2.0], [2.0], [6.0]])
    """
    k = _check.integer("k", k, 1)
    if not isinstance(current(), Local):
        raise ValueError(
            "hard_negatives must be found with the engine Local, with all rows in one process, got "
            f"{type(current()).__name__}: run it without --engine (in Python, outside engine.use)"
        )
    cosine = _check.choice("metric", metric, ("euclidean", "cosine")) == "cosine"
    raw = _check.embeddings("embeddings", embeddings)
    kinds = _codes("labels", labels, len(raw))
    groups = np.zeros_like(kinds) if within is None else _codes("within", within, len(raw))
    probes = _check.integer("probes", probes, 1)
    space = Space.of(raw, cosine)
    n, width = len(raw), min(k, len(raw))
    indices = np.full((n, k), -1, np.int64)
    distances = np.full((n, k), np.inf, np.float32)
    start = 0
    with part_of("hard negatives") as own, Steps("searching hard negatives", n) as bar:
        if own.state:
            start = int(own.state["start"])
            indices[:], distances[:] = own.state["indices"], own.state["distances"]

        def state() -> dict[str, NDArray[Any]]:
            return {"start": np.array(start), "indices": indices, "distances": distances}

        own.make = state
        for number, (rows, pool) in enumerate(_jobs(raw, clusters, probes)):
            if number < start:
                bar.skip(rows.size)
                continue
            near = _candidates(raw, space, (kinds, groups), (rows, pool), width + _SPARE)
            step = max(1, _COMPARED // (near.shape[1] * raw.shape[1]))
            for at in range(0, rows.size, step):
                part = slice(at, at + step)
                found, gaps = _ranked(raw, space, rows[part], near[part], width)
                indices[rows[part], :width] = np.where(np.isfinite(gaps), found, -1)
                distances[rows[part], :width] = gaps
            start = number + 1
            bar.update(rows.size)
            own.tick()
        own.done(**state())
    return Neighbours(indices, distances, metric)


def _jobs(
    raw: Any, clusters: Clustering | None, probes: int
) -> Iterator[tuple[Indices, Indices | None]]:
    """Yield rows that search together, and the rows that they search; None for all."""
    n = len(raw)
    side = min(_SIDE, max(1024, _NUMBERS // raw.shape[1] // 1024 * 1024))
    if clusters is None:
        for start in range(0, n, side):
            yield np.arange(start, min(start + side, n)), None
        return
    if not isinstance(clusters, Clustering):
        raise TypeError(
            f"clusters must be a Clustering, as kmeans returns, got {type(clusters).__name__}"
        )
    _check.same_length("clusters", clusters.labels, "embeddings", n)
    order = np.argsort(clusters.labels, kind="stable")
    ends = np.cumsum(np.bincount(clusters.labels, minlength=len(clusters.centers)))
    members = np.split(order, ends[:-1])
    centers = clusters.centers.astype(np.float64)
    for number, own in enumerate(members):
        gaps = np.square(centers - centers[number]).sum(axis=1)
        gaps[number] = -1.0  # its own cluster is first, also among equal centers
        nearest = np.argsort(gaps, kind="stable")[:probes]
        pool = np.sort(np.concatenate([members[each] for each in nearest]))
        for start in range(0, own.size, side):
            yield own[start : start + side], pool


def _codes(name: str, values: ArrayLike, size: int) -> NDArray[np.int32]:
    """Return the code of each row's class, -1 for none."""
    found = _labels.labelled(name, values)
    _check.same_length(name, found.codes, "embeddings", size)
    if not (found.codes >= 0).any():
        raise ValueError(f"{name} must label at least one sample, got -1 in all {size}")
    return found.codes.astype(np.int32)


def _candidates(
    raw: Any,
    space: Space,
    codes: tuple[NDArray[np.int32], NDArray[np.int32]],
    job: tuple[Indices, Indices | None],
    count: int,
) -> Indices:
    """Return the `count` nearest allowed rows of some rows, as float32 finds them; -1 if fewer."""
    (kinds, groups), (rows, pool) = codes, job
    near = np.full((rows.size, count), -1, np.int64)
    scores = np.full((rows.size, count), -np.inf, np.float32)
    own = space.seen(raw[rows])
    if not space.spherical:  # |a - b|^2 is |a|^2 minus (a, 1)(2 b, -|b|^2): one product
        own = np.hstack([own, np.ones((len(own), 1), np.float32)])
    own_kinds, own_groups = kinds[rows], groups[rows]
    for start in range(0, len(raw) if pool is None else pool.size, _SIDE):
        part: Any = slice(start, start + _SIDE)  # not listed, so that rows on disk are one range
        if pool is not None:
            part = pool[part]
        block = space.seen(raw[part])
        if not space.spherical:
            squares = np.einsum("nd,nd->n", block, block)
            block = np.hstack([2.0 * block, -squares[:, None]])
        products = own @ block.T
        keep_nearest(
            products, own_kinds, own_groups, kinds[part], groups[part], start, scores, near
        )
    return near if pool is None else np.where(near >= 0, pool[near], -1)
