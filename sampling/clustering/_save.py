"""Clusterings on disk: the rows for everybody to read, and the centers beside them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..io import written_whole
from ._kmeans import Clustering

__all__ = ["load_clustering", "save_clustering"]

_KEY = b"sampling"
_VERSION = 1


def save_clustering(clustering: Clustering, path: str | Path) -> None:
    """Write a clustering to two Parquet files, both or neither.

    Parameters
    ----------
    clustering : Clustering
    path : str or pathlib.Path
        One row for each row that was clustered: `label` (int64) and `distance` (float32). Beside it
        a file whose name ends in ".centers.parquet" has one row for each cluster: `center`,
        `nearest` and `size`.

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
    clusters = {"center": lists, "nearest": clustering.nearest, "size": clustering.sizes}
    facts = {
        "version": _VERSION,
        "clustering": _fingerprint(clustering),
        "objective": clustering.objective,
        "n_iter": clustering.n_iter,
        "seed": clustering.seed,
    }
    with written_whole(_centers(path)) as one, written_whole(path) as other:
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
    )
    if facts != others or _fingerprint(found) != facts["clustering"]:
        raise ValueError(f"{_centers(path)} must be of the clustering in {path.name}, got another")
    return found


def _centers(path: Path) -> Path:
    return path.with_name(f"{path.stem}.centers.parquet")


def _fingerprint(clustering: Clustering) -> str:
    """Return what tells this clustering from others: of rows and centers together."""
    found = hashlib.sha256()
    for array in (clustering.labels, clustering.distances, clustering.centers):
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:32]


def _matrix(column: Any) -> Any:  # noqa: ANN401  # pyarrow's column -> array (K, D)
    flat = column.combine_chunks().flatten().to_numpy()
    return np.array(flat, np.float32).reshape(len(column), -1)


def _write(path: Path, columns: dict[str, Any], facts: dict[str, Any]) -> None:
    text = json.dumps(facts, sort_keys=True)
    table = pa.table(columns).replace_schema_metadata({_KEY: text})
    pq.write_table(table, path, compression="zstd")


def _read(path: Path) -> tuple[Any, dict[str, Any]]:
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(f"{path} must exist: save_clustering writes it") from error
        raise ValueError(f"{path} must be a whole Parquet file, got: {error}") from error
    facts: dict[str, Any] = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
    if facts.get("version") != _VERSION or "clustering" not in facts:
        raise ValueError(f"{path} must be a file of save_clustering, got {table.column_names}")
    return table, facts
