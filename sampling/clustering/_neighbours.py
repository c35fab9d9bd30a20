"""Nearest neighbours of each row: the graph used by sparse selection."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._check._keywords import told
from .._checkpoint import part as part_of
from .._progress import Steps
from ..engine import Local, current
from ..types import Indices, Scores
from ._assign import BLOCK, Space

__all__ = ["Neighbours", "neighbours"]

_PROCESS = os.getpid()  # OpenMP threads do not survive a fork
_QUERIES = 8192  # rows searched at a time
_COMPARED = BLOCK // 4  # numbers compared in float64 at a time: four arrays of 4 MiB
_NUMBERS = 2**18  # numbers in a block of a graph
_SEARCHED = 2**21  # numbers searched at a time: 8 MiB of float32
_SPARE = 4  # additional candidates, as float32 may rank the last ones wrongly


@told
@dataclass(frozen=True, eq=False)
class Neighbours:
    """The k nearest other rows of each row, sorted by distance.

    Attributes
    ----------
    indices : int64 array of shape (N, k)
        Row numbers; -1 if there are fewer than k other rows.
    distances : float32 array of shape (N, k)
        Distances in ascending order; infinite if there is no neighbour.
    metric : {"euclidean", "cosine"}
    """

    indices: Indices
    distances: Scores
    metric: str = "euclidean"

    def __post_init__(self) -> None:
        _check.choice("metric", self.metric, ("euclidean", "cosine"))
        shape = self.indices.shape
        if len(shape) != 2 or self.distances.shape != shape:
            raise ValueError(
                "indices and distances must have one shape (N, k), "
                f"got {shape} and {self.distances.shape}"
            )
        _check.codes("indices", self.indices, len(self.indices), low=-1)

    def among(self, rows: Indices) -> Neighbours:
        """Return the graph of a subset of the rows, renumbered in the given order.

        Parameters
        ----------
        rows : int64 array of shape (n,)
            Distinct row numbers.

        Returns
        -------
        Neighbours
            Those of the k neighbours that are in the subset: a row may have fewer than k, even if
            the subset has more rows.

        Examples
        --------
        >>> graph = neighbours([[0.0], [1.0], [3.0], [7.0]], 2)
        >>> graph.among(np.array([3, 0, 2])).indices.tolist()
        [[2, -1], [2, -1], [1, -1]]
        """
        places = np.full(len(self.indices) + 1, -1, np.int64)  # the last entry is for -1
        places[rows] = np.arange(rows.size)
        shape = (rows.size, self.indices.shape[1])
        indices, distances = np.empty(shape, np.int64), np.empty(shape, np.float32)
        step = max(1, _NUMBERS // max(1, shape[1]))
        for start in range(0, rows.size, step):
            part = slice(start, start + step)
            found = places[self.indices[rows[part]]]
            gone = found < 0
            near = np.where(gone, np.float32(np.inf), self.distances[rows[part]])
            order = np.argsort(gone, axis=1, kind="stable")  # the others move to the front
            indices[part] = np.take_along_axis(found, order, 1)
            distances[part] = np.take_along_axis(near, order, 1)
        return Neighbours(indices, distances, self.metric)


@told
def neighbours(embeddings: ArrayLike, k: int, *, metric: str = "euclidean") -> Neighbours:
    """Find the k nearest other rows of each row by exhaustive search.

    A row is excluded from its own neighbours by its number, at any rank: among exact copies it need
    not come first.

    Parameters
    ----------
    embeddings : array-like or tensor of shape (N, D), converted to float32
        Finite.
    k : int
        Number of neighbours, at least 1. Entries beyond N - 1 are filled with -1.
    metric : {"euclidean", "cosine"}, default "euclidean"
        "cosine" is 1 - cosine, in [0, 2]. Rows of norm below 1e-12 have distance 1 to everything.

    Returns
    -------
    Neighbours
        Indices and distances, each (N, k).

    Raises
    ------
    ValueError
        If a row is not finite (the first is named), or a shape or a number is out of range; inside
        a `use` of another engine than `Local`.

    Notes
    -----
    Order
        By distance, ties by the lower row; which of several equally distant rows come last may
        depend on the order of the rows. Distances are computed from differences in float64;
        neighbours excluded only by float32 rounding may be missed.
    Cost
        O(N^2 D) time. Holds the result, 12 N k bytes, and blocks of about 50 MiB. Rows on disk are
        read once for every 8,192 rows, or 1,024 if D is large.
    Source
        Exhaustive search by faiss.

    Examples
    --------
    >>> neighbours([[0.0], [1.0], [3.0]], 1).indices.tolist()
    [[1], [0], [1]]
    """
    k = _check.integer("k", k, 1)
    if not isinstance(current(), Local):
        raise ValueError(
            "neighbours must be found with the engine Local, with all rows in one process, got "
            f"{type(current()).__name__}: run it without --engine (in Python, outside engine.use)"
        )
    cosine = _check.choice("metric", metric, ("euclidean", "cosine")) == "cosine"
    raw = _check.embeddings("embeddings", embeddings)
    if os.getpid() != _PROCESS:
        faiss.omp_set_num_threads(1)
    n = len(raw)
    width = min(k, n - 1)
    indices = np.full((n, k), -1, np.int64)
    distances = np.full((n, k), np.inf, np.float32)
    if width == 0:
        return Neighbours(indices, distances, metric)
    space = Space.of(raw, cosine)
    wanted = min(n, width + 1 + _SPARE)
    queries = min(_QUERIES, max(1024, 2 * _SEARCHED // raw.shape[1]))
    start = 0
    with part_of("neighbours") as own, Steps("searching neighbours", n) as bar:
        if own.state:
            start = int(own.state["start"])
            indices[:start], distances[:start] = own.state["indices"], own.state["distances"]
            bar.skip(start)

        def state() -> dict[str, NDArray[Any]]:
            return {
                "start": np.array(start), "indices": indices[:start],
                "distances": distances[:start],
            }  # fmt: skip

        own.make = state
        while start < n:
            rows = np.arange(start, min(start + queries, n))
            near = _candidates(raw, space, slice(start, start + queries), wanted)
            step = max(1, _COMPARED // (near.shape[1] * raw.shape[1]))
            for at in range(0, rows.size, step):
                part = slice(at, at + step)
                found, gaps = _ranked(raw, space, rows[part], near[part], width)
                indices[rows[part], :width], distances[rows[part], :width] = found, gaps
            start += rows.size
            bar.update(rows.size)
            own.tick()
        own.done(**state())
    return Neighbours(indices, distances, metric)


def _candidates(raw: Any, space: Space, queries: slice, count: int) -> Indices:
    """Return the `count` rows nearest to each of some rows, as float32 finds them: (q, count).

    Rows are read, scaled and searched block by block.
    """
    kind = faiss.METRIC_INNER_PRODUCT if space.spherical else faiss.METRIC_L2
    own = space.seen(raw[queries])
    near = np.empty((len(own), 0), np.int64)
    gaps = np.empty((len(own), 0), np.float32)
    # Blocks of faiss have 1,024 rows: multiples of that, so that no product depends on ours.
    step = max(1, _SEARCHED // (1024 * raw.shape[1])) * 1024
    for start in range(0, len(raw), step):
        block = space.seen(raw[start : start + step])
        some, places = faiss.knn(own, block, min(count, len(block)), kind)
        if space.spherical:
            np.negative(some, out=some)
        near = np.concatenate([near, places + start], axis=1)
        gaps = np.concatenate([gaps, some], axis=1)
        if near.shape[1] > count:
            order = np.argsort(gaps, axis=1, kind="stable")[:, :count]  # ties to the lower row
            near, gaps = np.take_along_axis(near, order, 1), np.take_along_axis(gaps, order, 1)
    return near


def _ranked(
    raw: NDArray[np.generic], space: Space, rows: Indices, near: Indices, width: int
) -> tuple[Indices, NDArray[np.float64]]:
    """Return the `width` nearest of candidates (q, c) without the row itself, and distances.

    A candidate of -1 has an infinite distance.
    """
    own = space.exact(raw[rows])
    others = space.exact(raw[np.maximum(near, 0).ravel()]).reshape(*near.shape, -1)
    squares = np.square(others - own[:, None]).sum(axis=2)
    if space.spherical:
        squares /= 2.0
        squares[np.einsum("qcd,qcd->qc", others, others) == 0.0] = 1.0
        squares[np.einsum("qd,qd->q", own, own) == 0.0] = 1.0
    else:
        squares = np.sqrt(squares)
    squares[(near == rows[:, None]) | (near < 0)] = np.inf
    order = np.lexsort((near, squares), axis=1)[:, :width]
    return np.take_along_axis(near, order, 1), np.take_along_axis(squares, order, 1)
