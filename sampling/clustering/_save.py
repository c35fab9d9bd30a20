"""Clusterings on disk: the rows for everybody to read, and the centers beside them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .._files import KEY, Output, check_outputs, next_to, parquet_kind, written_whole
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


def _holds(key: str, *names: str) -> Any:  # noqa: ANN401  # see `parquet_kind`
    return lambda facts, schema: key in facts and set(names).issuperset(schema.names)


_ROWS = parquet_kind("a clustering", _holds("clustering", "label", "distance", "second"))
_CENTERS = parquet_kind(
    "the centers of a clustering", _holds("clustering", "center", "nearest", "size")
)
_GRAPH = parquet_kind("a neighbour graph", _holds("neighbours", "neighbour", "distance"))


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


def save_clustering(clustering: Clustering, path: str | Path) -> None:
    """Write a clustering to two Parquet files, both or neither.

    Parameters
    ----------
    clustering : Clustering
    path : str or pathlib.Path
        One row for each row that was clustered: `label` (int64), `distance` (float32) and, where
        known, `second` (int64). Beside it
        a file whose name ends in ".centers.parquet" has one row for each cluster: `center`,
        `nearest` and `size`. Files of `save_clustering` are replaced, and no others.

    Raises
    ------
    ValueError
        If a place is a folder or a device, has the suffix of another format, or holds a file that
        `save_clustering` did not write.
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


def load_clustering(path: str | Path) -> Clustering:
    """Read the files of `save_clustering`.

    Parameters
    ----------
    path : str or pathlib.Path
        Of the rows; the centers are looked for beside it.

    Returns
    -------
    Clustering

    Raises
    ------
    ValueError
        If a file is cut short, of something else, or the two are not of the same clustering.
    """
    path = Path(path)
    rows, facts = _read(path)
    clusters, others = _read(_centers(path))
    found = Clustering(
        centers=_matrix(clusters["center"]),
        labels=rows["label"].to_numpy().astype(np.int64),
        distances=rows["distance"].to_numpy().astype(np.float32),
        nearest=clusters["nearest"].to_numpy().astype(np.int64),
        sizes=clusters["size"].to_numpy().astype(np.int64),
        objective=facts["objective"],
        n_iter=facts["n_iter"],
        seed=facts["seed"],
        seconds=rows["second"].to_numpy() if "second" in rows.column_names else None,
    )
    if facts != others or _fingerprint(found) != facts["clustering"]:
        raise ValueError(f"{_centers(path)} must be of the clustering in {path.name}, got another")
    return found


def save_neighbours(graph: Neighbours, path: str | Path) -> None:
    """Write a neighbour graph to a Parquet file, whole or not at all.

    Parameters
    ----------
    graph : Neighbours
    path : str or pathlib.Path
        One row for each row of the graph: lists `neighbour` (int64) and `distance` (float32).
        A neighbour graph there is replaced, and no other file.

    Raises
    ------
    ValueError
        If the path is a folder or a device, has the suffix of another format, or holds a file that
        `save_neighbours` did not write.
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


def load_neighbours(path: str | Path) -> Neighbours:
    """Read a file of `save_neighbours`.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    Neighbours

    Raises
    ------
    ValueError
        If the file is cut short, or of something else.
    """
    table, facts = _read(Path(path), "save_neighbours", "neighbours")
    indices = _matrix(table["neighbour"], np.int64)
    return Neighbours(indices, _matrix(table["distance"]), facts["neighbours"])


def _centers(path: Path) -> Path:
    return next_to(path, ".centers.parquet")


def _fingerprint(clustering: Clustering) -> str:
    """Return what tells this clustering from others: of rows and centers together."""
    found = hashlib.sha256()
    for array in (clustering.labels, clustering.distances, clustering.centers):
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:32]


def _matrix(column: Any, dtype: Any = np.float32) -> Any:  # noqa: ANN401  # pyarrow's column
    flat = column.combine_chunks().flatten().to_numpy()
    return np.array(flat, dtype).reshape(len(column), -1)


def _write(path: Path, columns: dict[str, Any], facts: dict[str, Any]) -> None:
    text = json.dumps(facts, sort_keys=True)
    table = pa.table(columns).replace_schema_metadata({KEY: text})
    pq.write_table(table, path, compression="zstd")


def _read(
    path: Path, writer: str = "save_clustering", what: str = "clustering"
) -> tuple[Any, dict[str, Any]]:
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(f"{path} must exist: {writer} writes it") from error
        raise ValueError(f"{path} must be a whole Parquet file, got: {error}") from error
    facts: dict[str, Any] = json.loads((table.schema.metadata or {}).get(KEY, b"{}"))
    if facts.get("version") != _VERSION or what not in facts:
        raise ValueError(f"{path} must be a file of {writer}, got {table.column_names}")
    return table, facts
