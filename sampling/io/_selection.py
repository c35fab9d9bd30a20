"""Selections on disk: a Parquet file that pandas, polars, duckdb and datasets read."""

import json
import platform
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .. import _check
from .._files import KEY, Output, check_outputs, next_to, parquet_kind, written_whole
from ..types import Selection

__all__ = ["load_selection", "save_selection", "selection_outputs"]

_VERSION = 1


def _is_kept(facts: dict[str, Any], schema: Any) -> bool:  # noqa: ANN401  # pyarrow.Schema
    known = {"index", "id", "weight", "score"}
    return "method" in facts and facts.get("rows") != "dropped" and known.issuperset(schema.names)


def _is_rest(facts: dict[str, Any], schema: Any) -> bool:  # noqa: ANN401  # pyarrow.Schema
    earlier = "rows" not in facts and "rule" in schema.names  # before files said which rows
    ours = "method" in facts and (facts.get("rows") == "dropped" or earlier)
    return ours and {"index", "score", "rule"}.issuperset(schema.names)


_KEPT = parquet_kind("a subset file", _is_kept)
_REST = parquet_kind("the dropped rows of a subset file", _is_rest)


def selection_outputs(path: str | Path, *, dropped: bool = False) -> list[Output]:
    """Return the files that `save_selection` will write or remove, for `check_outputs`.

    Parameters
    ----------
    path, dropped
        Those of `save_selection`.

    Returns
    -------
    list of (path, Kind)
    """
    path = Path(path)
    others = _other(path)
    removed = others.is_file() and _REST.holds(others)
    return [(path, _KEPT), *([(others, _REST)] if dropped or removed else [])]


def save_selection(selection: Selection, path: str | Path, *, dropped: bool = False) -> None:
    """Write a selection to a Parquet file, whole or not at all.

    Parameters
    ----------
    selection : Selection
    path : str or pathlib.Path
        A subset file there is replaced, and no other file. One row for each kept row, in the order
        of the picks: `index` (int64), and where the
        selection has them `id`, `weight` (float64) and `score`. The method, its arguments, N and
        what was found on the way are JSON under the key "sampling" of the file's metadata.
    dropped : bool, default False
        Write the other rows too, with `score` and `rule`, to a second file beside it, whose name
        ends in ".dropped.parquet": what `Selection.explain` needs. If not, such a file of an
        earlier selection is removed, if `save_selection` wrote it.

    Raises
    ------
    ValueError
        If a place is a folder or a device, has the suffix of another format, or holds a file that
        `save_selection` did not write.
    OSError
        If the folder does not exist, cannot be written to, or is full.

    Examples
    --------
    >>> import tempfile
    >>> from sampling.selection import top
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_selection(top([0.1, 0.9, 0.5], 2), Path(folder, "subset.parquet"))
    ...     load_selection(Path(folder, "subset.parquet")).indices
    array([1, 2])
    """
    dropped = _check.flag("dropped", dropped)
    path, kept = Path(path), selection.indices
    outputs = selection_outputs(path, dropped=dropped)
    check_outputs(outputs)
    columns: dict[str, Any] = {"index": kept.astype(np.int64)}
    if selection.ids is not None:
        columns["id"] = selection.ids
    if selection.weights is not None:
        columns["weight"] = selection.weights
    if selection.scores is not None:
        columns["score"] = selection.scores[kept]
    manifest = {
        "version": _VERSION,
        "method": selection.method,
        "arguments": selection.arguments,
        "size": selection.size,
        "ranked": selection.ranked and selection.shorten is None,
        "rules": list(selection.rules),
        "info": selection.info,
        "versions": _versions(),
    }
    if dropped:
        _write(outputs[1], _rest(selection), {**manifest, "rows": "dropped"})
    _write(outputs[0], columns, {**manifest, "rows": "kept", "dropped": dropped})
    if not dropped:
        for others, _ in outputs[1:]:
            Path(others).unlink(missing_ok=True)  # of another selection, by now


def _versions() -> dict[str, str]:
    """Return the versions of what decides a selection, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in ("sampling", "numpy", "numba", "faiss-cpu", "scikit-learn", "pyarrow"):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _rest(selection: Selection) -> dict[str, Any]:
    rows = np.flatnonzero(~selection.mask())
    columns: dict[str, Any] = {"index": rows}
    if selection.scores is not None:
        columns["score"] = selection.scores[rows]
    if selection.verdicts is not None:
        codes = pa.array(selection.verdicts[rows].astype(np.int32))
        columns["rule"] = pa.DictionaryArray.from_arrays(codes, list(selection.rules))
    return columns


def _other(path: Path) -> Path:
    return next_to(path, ".dropped.parquet")


def _write(place: Output, columns: dict[str, Any], manifest: dict[str, Any]) -> None:
    table = pa.table(columns)
    text = json.dumps(manifest, sort_keys=True).encode()
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: text})
    with written_whole(*place) as beside:
        pq.write_table(table, beside, compression="zstd")


def load_selection(path: str | Path) -> Selection:
    """Read a file of `save_selection`, and the one with the dropped rows if it is there.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    Selection
        `scores` (N,) are there if the dropped rows are; NaN for none.

    Raises
    ------
    ValueError
        If the file is cut short or of something else, or its rows do not fit its N.
    """
    path = Path(path)
    table, manifest = _read(path)
    columns = {name: table[name].to_numpy() for name in table.column_names}
    if "index" not in columns:
        raise ValueError(f"{path} must have a column 'index', got {table.column_names}")
    indices, size = columns["index"].astype(np.int64), manifest["size"]
    if indices.size and (indices.min() < 0 or (size is not None and indices.max() >= size)):
        raise ValueError(f"index must be in [0, {size}), got {indices.min()} to {indices.max()}")
    scores, verdicts = None, None
    beside = manifest.get("dropped", True)  # a file of that name may be of something else
    if beside and size is not None and _other(path).is_file():
        scores, verdicts = _all_rows(_other(path), indices, columns.get("score"), manifest)
    return Selection(
        indices,
        columns.get("weight"),
        scores,
        _names(columns.get("id")),
        manifest["method"],
        manifest["arguments"],
        size,
        manifest["ranked"],
        verdicts,
        tuple(manifest["rules"]),
        manifest["info"],
    )


def _names(ids: NDArray[Any] | None) -> NDArray[Any] | None:
    return ids.astype(str) if ids is not None and ids.dtype == object else ids


def _read(path: Path) -> tuple[Any, dict[str, Any]]:
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(f"{path} must exist, got no such file") from error
        raise ValueError(f"{path} must be a whole Parquet file, got: {error}") from error
    text = (table.schema.metadata or {}).get(KEY)
    if text is None:
        raise ValueError(f"{path} must be a file of save_selection, got one without its manifest")
    manifest: dict[str, Any] = json.loads(text)
    if manifest.get("version") != _VERSION:
        raise ValueError(f"{path} must have version {_VERSION}, got {manifest.get('version')!r}")
    return table, manifest


def _all_rows(
    path: Path,
    indices: NDArray[np.int64],
    kept: NDArray[Any] | None,
    manifest: dict[str, Any],
) -> tuple[NDArray[Any] | None, NDArray[np.uint8] | None]:
    """Return scores and verdicts of all rows, from both files."""
    table, other = _read(path)
    if (other["method"], other["arguments"]) != (manifest["method"], manifest["arguments"]):
        raise ValueError(f"{path} must be of the same selection, got one of {other['method']!r}")
    rows = table["index"].to_numpy()
    scores, verdicts = None, None
    if kept is not None and "score" in table.column_names:
        scores = np.empty(manifest["size"], kept.dtype)
        scores[rows], scores[indices] = table["score"].to_numpy(), kept
    if "rule" in table.column_names:
        verdicts = np.zeros(manifest["size"], np.uint8)
        codes = table["rule"].combine_chunks().indices.to_numpy()
        verdicts[rows] = codes
    return scores, verdicts
