"""Files of clusterings: one Parquet file of rows, and one of centers next to it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from .. import _check
from .._check._keywords import short, told
from .._files import _parquet
from .._files._paths import Output, check_outputs, next_to, parquet_kind, written_whole
from ._kmeans import Clustering
from ._neighbours import Neighbours

__all__ = [
    "clustering_outputs",
    "load_clustering",
    "load_neighbours",
    "neighbour_outputs",
    "save_clustering",
    "save_neighbours",
]

_VERSION = 1


def _holds(key: str, *names: str) -> Any:  # see `parquet_kind`
    return lambda facts, schema: key in facts and set(names).issuperset(schema.names)


_ROWS = parquet_kind("a clustering", _holds("clustering", "label", "distance", "second", "row"))
_CENTERS = parquet_kind(
    "the centers of a clustering", _holds("clustering", "center", "nearest", "size")
)
_GRAPH = parquet_kind("a neighbour graph", _holds("neighbours", "neighbour", "distance"))


@told
def clustering_outputs(path: str | Path) -> list[Output]:
    """Return the files that `save_clustering` will write, for `io.check_outputs`.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    list of (path, Kind)
    """
    return [(path, _ROWS), (_centers(Path(path)), _CENTERS)]


@told
def neighbour_outputs(path: str | Path) -> list[Output]:
    """Return the files that `save_neighbours` will write, for `io.check_outputs`.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    list of (path, Kind)
    """
    return [(path, _GRAPH)]


@told
def save_clustering(clustering: Clustering, path: str | Path) -> None:
    """Write a clustering to two Parquet files; on an error neither is written.

    Parameters
    ----------
    clustering : Clustering
    path : str or pathlib.Path
        File with one row for each clustered row: `label` (int64), `distance` (float32) and, if
        known, `second` and `row` (int64). A file next to it, whose name ends in ".centers.parquet",
        has one row for each cluster: `center`, `nearest` and `size`. Existing files of
        `save_clustering` are replaced; any other file is refused.

    Raises
    ------
    ValueError
        If a path is a folder, a device, or a file that `save_clustering` did not write, or has the
        suffix of another format.
    OSError
        If the folder does not exist, cannot be written to, or is full.

    Examples
    --------
    >>> import tempfile
    >>> from sampling.clustering import kmeans
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_clustering(kmeans([[0.0], [2.0], [9.0]], 2), Path(folder, "clusters.parquet"))
    ...     load_clustering(Path(folder, "clusters.parquet")).distances
    array([1., 1., 0.], dtype=float32)
    """
    path, centers = Path(path), np.ascontiguousarray(clustering.centers)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(centers.ravel()), centers.shape[1])
    rows = {"label": clustering.labels, "distance": clustering.distances}
    if clustering.seconds is not None:
        rows["second"] = clustering.seconds
    if clustering.rows is not None:
        rows["row"] = clustering.rows
    clusters = {"center": lists, "nearest": clustering.nearest, "size": clustering.sizes}
    facts = {
        "version": _VERSION,
        "clustering": _fingerprint(clustering),
        "objective": clustering.objective,
        "n_iter": clustering.n_iter,
        "seed": clustering.seed,
    }
    outputs = clustering_outputs(path)
    check_outputs(outputs)
    with written_whole(*outputs[1]) as one, written_whole(*outputs[0]) as other:
        _write(one, clusters, facts)
        _write(other, rows, facts)


@told
def load_clustering(path: str | Path) -> Clustering:
    """Read a clustering written by `save_clustering`.

    Parameters
    ----------
    path : str or pathlib.Path
        The file of the rows; that of the centers must be next to it.

    Returns
    -------
    Clustering

    Raises
    ------
    ValueError
        If a file is damaged or of another kind, or the two are not of the same clustering; if a
        label is not the number of a cluster. The message names the file.
    """
    path = Path(path)
    rows, facts = _read(path)
    clusters, others = _read(_centers(path))
    count = len(clusters)
    seconds = _numbers(path, rows, "second", -1, count) if "second" in rows.column_names else None
    own = _numbers(path, rows, "row", 0, _check.MAX_SIZE) if "row" in rows.column_names else None
    if own is not None and (own[1:] <= own[:-1]).any():
        raise ValueError(f"row of {path} must be in ascending order, got {short(own)}")
    found = Clustering(
        centers=_matrix(_centers(path), clusters, "center"),
        labels=_numbers(path, rows, "label", 0, count),
        distances=_numbers(path, rows, "distance").astype(np.float32),
        nearest=_numbers(_centers(path), clusters, "nearest", 0, _check.MAX_SIZE),
        sizes=_numbers(_centers(path), clusters, "size", 0, _check.MAX_SIZE),
        objective=facts["objective"],
        n_iter=facts["n_iter"],
        seed=facts["seed"],
        seconds=seconds,
        rows=own,
    )
    if facts != others or _fingerprint(found) != facts["clustering"]:
        raise ValueError(f"{_centers(path)} must be of the clustering in {path.name}, got another")
    return found


@told
def save_neighbours(graph: Neighbours, path: str | Path) -> None:
    """Write a neighbour graph to a Parquet file atomically.

    Parameters
    ----------
    graph : Neighbours
    path : str or pathlib.Path
        File with one row for each row of the graph: lists `neighbour` (int64) and `distance`
        (float32). An existing neighbour graph is replaced; any other file is refused.

    Raises
    ------
    ValueError
        If the path is a folder, a device, or a file that `save_neighbours` did not write, or has
        the suffix of another format.
    OSError
        If the folder does not exist, cannot be written to, or is full.

    Examples
    --------
    >>> import tempfile
    >>> from sampling.clustering import neighbours
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_neighbours(neighbours([[0.0], [2.0], [9.0]], 1), Path(folder, "graph.parquet"))
    ...     load_neighbours(Path(folder, "graph.parquet")).distances.tolist()
    [[2.0], [2.0], [7.0]]
    """
    width = graph.indices.shape[1]
    columns = {
        "neighbour": pa.FixedSizeListArray.from_arrays(pa.array(graph.indices.ravel()), width),
        "distance": pa.FixedSizeListArray.from_arrays(pa.array(graph.distances.ravel()), width),
    }
    with written_whole(path, _GRAPH) as beside:
        _write(beside, columns, {"version": _VERSION, "neighbours": graph.metric})


@told
def load_neighbours(path: str | Path) -> Neighbours:
    """Read a neighbour graph written by `save_neighbours`.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    Neighbours

    Raises
    ------
    ValueError
        If the file is damaged or of another kind; if a neighbour is not a row of the graph, or a
        row has the same neighbour twice. The message names the file.
    """
    path = Path(path)
    table, facts = _read(path, "a file of neighbours, of save_neighbours", "neighbours")
    indices = _matrix(path, table, "neighbour", np.int64)
    distances = _matrix(path, table, "distance")
    if distances.shape != indices.shape:
        raise ValueError(f"{path} must hold a distance for each neighbour, got {distances.shape} "
                         f"and {indices.shape}")  # fmt: skip
    _check_graph(path, indices, distances)
    return Neighbours(indices, distances, facts["neighbours"])


def _centers(path: Path) -> Path:
    return next_to(path, ".centers.parquet")


def _fingerprint(clustering: Clustering) -> str:
    """Return a fingerprint of the clustering, over rows and centers."""
    found = hashlib.sha256()
    arrays: list[Any] = [clustering.labels, clustering.distances, clustering.centers]
    arrays += [] if clustering.rows is None else [clustering.rows]
    for array in arrays:
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:32]


def _numbers(
    path: Path,
    table: Any,  # pyarrow.Table
    name: str,
    low: int | None = None,
    high: int = 0,
) -> Any:  # array (n,)
    """Return a column of ints in [low, high), or of finite numbers >= 0 if there is no low."""
    if name not in table.column_names:
        raise ValueError(f"{path} must have a column {name!r}, got {table.column_names}")
    what = f"{name} of {path}"
    _parquet.refuse_missing(what, table[name])
    values = table[name].to_numpy()
    if low is None:
        return _check.floats(what, values, "finite and >= 0") if values.size else values
    if values.dtype.kind not in "iu":
        raise ValueError(f"{what} must hold ints, got {table[name].type}")
    bad = np.flatnonzero((values < low) | (values >= high))
    if bad.size:
        raise ValueError(f"{what} must be in [{low}, {high}), got {values[bad[0]]} in row {bad[0]}")
    return values.astype(np.int64)


def _matrix(path: Path, table: Any, name: str, dtype: Any = np.float32) -> Any:
    """Return a column of lists of equal length: (n, width)."""
    column = table[name] if name in table.column_names else None
    if column is None or not pa.types.is_fixed_size_list(column.type) or column.null_count:
        raise ValueError(f"{path} must have a column {name!r} of lists of one length, got "
                         f"{table.column_names}")  # fmt: skip
    flat = column.combine_chunks().flatten()
    kinds = pa.types.is_integer if dtype is np.int64 else pa.types.is_floating
    if not kinds(flat.type) or flat.null_count:
        raise ValueError(f"{name} of {path} must hold lists of {np.dtype(dtype)}, got {flat.type}")
    return np.array(flat.to_numpy(zero_copy_only=False), dtype).reshape(-1, column.type.list_size)


def _check_graph(path: Path, indices: Any, distances: Any) -> None:  # arrays (n, k)
    """Refuse a graph whose neighbours are not rows, are duplicated, or lack a distance."""
    size, gone = len(indices), indices == -1
    own = np.arange(size)[:, None]
    in_order = np.sort(np.where(gone, -1 - np.arange(indices.shape[1]), indices), axis=1)
    wrong = {
        f"neighbour of {path} must be in [0, {size}), or -1": (indices < -1) | (indices >= size),
        f"neighbour of {path} must be another row": indices == own,
        f"neighbour of {path} must hold no row twice": in_order[:, 1:] == in_order[:, :-1],
        f"distance of {path} must be >= 0, and infinite for no neighbour": ~(distances >= 0)
        | (gone & np.isfinite(distances)),
    }
    for rule, bad in wrong.items():
        if bad.any():
            row = int(np.flatnonzero(bad.any(axis=1))[0])
            raise ValueError(f"{rule}, got {indices[row].tolist()} at {distances[row].tolist()} in "
                             f"row {row}")  # fmt: skip


def _write(path: Path, columns: dict[str, Any], facts: dict[str, Any]) -> None:
    _parquet.write_own(path, pa.table(columns), facts)


def _read(
    path: Path,
    kind: str = "a file of clusters, of save_clustering or `sampling cluster`",
    what: str = "clustering",
) -> tuple[Any, dict[str, Any]]:
    table, facts = _parquet.read_own(path, kind, "version", what)
    if facts["version"] != _VERSION:
        raise ValueError(f"{path} must have version {_VERSION}, got {facts['version']!r}")
    return table, facts
