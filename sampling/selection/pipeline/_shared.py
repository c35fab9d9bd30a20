"""Results shared by all stages of a plan: one clustering and one neighbour graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...clustering import (
    Clustering,
    Neighbours,
    kmeans,
    load_clustering,
    load_neighbours,
    neighbours,
    save_clustering,
    save_neighbours,
)
from ...engine import gathered
from ...io import Table
from ...types import Indices
from ..core._clusters import points_limit

__all__ = ["Shared", "SharedClusters", "SharedNeighbours"]


Made = Callable[[str, Mapping[str, Any], Any, Any], tuple[Any, Indices]]  # `Run.made`


class Shared(Protocol):
    """A result computed once, for the rows that first need it, and restricted to later stages."""

    def of(self, alive: Indices) -> Any:  # Clustering or Neighbours
        """Return the result for a subset of the rows, in ascending order."""


class SharedClusters:
    """Clusters shared by the stages of a plan.

    Parameters
    ----------
    table : Table
    given : mapping
        Arguments of `clustering.kmeans`.
    seed : int
    max_memory : int or str, optional
    made : callable
        Computes a result, or reads it from an earlier run; `Run.made`.
    """

    def __init__(
        self,
        table: Table,
        given: Mapping[str, Any],
        seed: int,
        max_memory: int | str | None,
        made: Made,
    ) -> None:
        self._table, self._given, self._seed = table, given, seed
        self._max_memory, self._by = max_memory, made
        self._made: tuple[Clustering, Indices] | None = None

    def of(self, alive: Indices) -> Clustering:
        """Return the clusters of a subset of the rows; centers are those of all rows."""
        if self._made is None:
            self._made = self._by("clusters", self._given, self._make, load_clustering)
        found, rows = self._made
        return replace(found.among(_places(rows, alive, "clusters")), rows=None)

    def _make(self, alive: Indices, path: Path, entry: dict[str, Any]) -> Clustering:
        given, own = dict(self._given), _embeddings(self._table, alive)
        if "groups" in given:
            given["groups"] = self._table.labels(given["groups"])[alive]
        limit = points_limit(self._max_memory, own.shape, given.get("n_clusters", 1))
        if limit is not None:
            given.setdefault("max_points_per_centroid", limit)
        found = kmeans(own, **{"seed": self._seed, **given})
        if alive.size < self._table.size:
            found = replace(found, rows=alive)
        save_clustering(found, path)
        used = given.get("max_points_per_centroid", len(own)) * given.get("n_clusters", 1)
        entry |= {"clusters": len(found.centers), "objective": found.objective}
        entry["rows for centers"] = min(used, len(own))
        return found


class SharedNeighbours:
    """Neighbour graph shared by the stages of a plan.

    Parameters
    ----------
    table : Table
    given : mapping
        Arguments of `clustering.neighbours`.
    made : callable
        As for clusters.
    """

    def __init__(self, table: Table, given: Mapping[str, Any], made: Made) -> None:
        self._table, self._given, self._by = table, given, made
        self._made: tuple[Neighbours, Indices] | None = None

    def of(self, alive: Indices) -> Neighbours:
        """Return the graph of a subset of the rows; dropped neighbours are not replaced."""
        if self._made is None:
            self._made = self._by("num_neighbours", self._given, self._make, load_neighbours)
        found, rows = self._made
        places = _places(rows, alive, "neighbours")
        return found.among(places)

    def _make(self, alive: Indices, path: Path, entry: dict[str, Any]) -> Neighbours:
        found = neighbours(_embeddings(self._table, alive), **self._given)
        save_neighbours(found, path)
        entry |= {"num_neighbours": found.indices.shape[1]}
        return found


def _embeddings(table: Table, alive: Indices) -> Any:  # array (n, D), or Rows
    embeddings: Any = table.embeddings
    if embeddings is None:
        raise ValueError(f"{table.paths[0]} must have embeddings, got none")
    return embeddings if alive.size == table.size else gathered(embeddings, alive)


def _places(rows: Indices, alive: Indices, what: str) -> Indices:
    """Return the positions of the rows of a stage among those of a shared result."""
    places = np.searchsorted(rows, alive)
    if (rows[np.minimum(places, rows.size - 1)] != alive).any():
        raise ValueError(f"{what} must be made of all rows of a later stage, got others")
    return places
