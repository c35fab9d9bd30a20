"""Distances to the nearest kept row, and positions of rows on a map."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._optional import require
from ..types import Floats, Indices

_WORK = 2**37  # multiplications of rows by kept rows: a few seconds on a core
_FEWEST = 1024  # rows whose distance is measured, if the table has as many
_BLOCK = 2**21  # numbers of kept rows read at a time
_TILE = 2**21  # distances held at a time
_UMAP_NEIGHBOURS = 15
Rows = Any  # array or `Rows` (N, D)


def count_measured(size: int, kept: int, width: int) -> int:
    """Return how many rows are measured: all of a small table, else what a few seconds allow."""
    return min(size, max(_FEWEST, _WORK // max(1, kept * width)))


def finite(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Return a mask of the finite rows."""
    found: NDArray[np.bool_] = np.isfinite(rows).all(axis=1)
    return found


def nearest(
    points: Rows, rows: Indices, kept: Indices, step: Callable[[int], object]
) -> tuple[Floats, Indices]:
    """Return the distance of rows to the nearest kept row, and that row: (n,), (n,).

    points : (N, D); rows that are not finite are not kept, and have distance NaN
    rows   : (n,); their embeddings are held in memory, in float32
    kept   : (m,), ascending; read once, in blocks
    step   : called with the number of kept rows of each block

    Cost: O(n m D). Products are float32 around the mean of the rows; the distance to the row found
    is computed again from its difference.
    """
    own = np.asarray(points[rows], np.float32)
    good = finite(own)
    middle = own[good].mean(axis=0) if good.any() else np.zeros(own.shape[1], np.float32)
    own = np.where(good[:, None], own - middle, 0.0).astype(np.float32)
    best = np.full(rows.size, np.inf, np.float32)
    near = np.full(rows.size, -1, np.int64)
    gap = np.full(rows.size, np.nan)
    size = max(1, _BLOCK // max(1, own.shape[1]))
    for start in range(0, kept.size, size):
        part = kept[start : start + size]
        block = np.asarray(points[part], np.float32) - middle
        part, block = part[finite(block)], block[finite(block)]
        norms = np.einsum("nd,nd->n", block, block)
        tile = max(1, _TILE // max(1, part.size))
        for first in range(0, rows.size if part.size else 0, tile):
            mine = slice(first, first + tile)
            squares = norms - 2.0 * (own[mine] @ block.T)
            at = squares.argmin(axis=1)
            low = squares[np.arange(at.size), at]
            better = np.flatnonzero(low < best[mine])
            places = first + better
            best[places], near[places] = low[better], part[at[better]]
            apart = own[places].astype(np.float64) - block[at[better]]
            gap[places] = np.sqrt(np.einsum("nd,nd->n", apart, apart))
        step(part.size)
    gap[~good], near[~good] = np.nan, -1
    return gap, near


@dataclass(frozen=True)
class Layout:
    """Positions of rows on a map.

    Attributes
    ----------
    rows : int64 array of shape (n,)
        Those that are finite.
    xy : float64 array of shape (n, 2)
        Their positions.
    names : tuple of str
        What the axes are.
    how : str
        How they were computed.
    """

    rows: Indices
    xy: Floats
    names: tuple[str, str]
    how: str


def laid_out(points: Rows, rows: Indices, layout: str, seed: int) -> Layout:
    """Return positions of rows in two dimensions: by UMAP if it is installed, else by PCA."""
    own = np.asarray(points[rows], np.float32)
    good = finite(own)
    own, rows = own[good], rows[good]
    if layout == "umap" or (layout == "auto" and find_spec("umap") is not None):
        if rows.size > _UMAP_NEIGHBOURS and own.shape[1] > 2:  # noqa: PLR2004
            return _umap(own, rows, seed)
    return _pca(own, rows)


def _umap(own: NDArray[np.float32], rows: Indices, seed: int) -> Layout:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of libraries that it would also use
        umap = require("umap", "umap", "the map of a report by UMAP")
        made = umap.UMAP(
            n_neighbors=_UMAP_NEIGHBOURS, random_state=seed % 2**32, n_jobs=1, metric="euclidean"
        )
        xy = np.asarray(made.fit_transform(own), np.float64)
    version = getattr(umap, "__version__", "unknown")
    return Layout(rows, xy, ("UMAP 1", "UMAP 2"), f"UMAP {version} of the rows shown")


def _pca(own: NDArray[np.float32], rows: Indices) -> Layout:
    from sklearn.decomposition import PCA

    count = min(2, *own.shape)
    xy = np.zeros((rows.size, 2))
    shares = [0.0, 0.0]
    if rows.size > 1 and np.ptp(own, axis=0).any():
        made = PCA(
            count,
            svd_solver="full" if min(own.shape) <= 2 else "randomized",  # noqa: PLR2004
            random_state=0,
        )
        xy[:, :count] = made.fit_transform(own)
        shares[:count] = made.explained_variance_ratio_.tolist()
    names = tuple(
        f"component {at} ({100 * share:.0f} % of the variance)"
        for at, share in enumerate(shares, 1)
    )
    return Layout(rows, xy, (names[0], names[1]), "PCA of the rows shown")
