"""Files of selections: Parquet, readable by pandas, polars, duckdb and datasets."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .. import _check
from .._check import _labels
from .._check._keywords import told
from .._distinct import distinct
from .._files import _parquet
from .._files._json import json_text
from .._files._paths import Output, check_outputs, next_to, parquet_kind, written_whole
from ._fields import Fields

_VERSION = 1
_EARLIER = "earlier_row"
_ROWS, _KIND = "index", "a subset file, of Selection.save, `sampling select` or `sampling dedup`"
_MANIFEST: dict[str, Any] = {"method": str, "arguments": dict, "size": int | None, "ranked": bool,
                             "rules": list, "info": dict}  # fmt: skip
_SAME = ("fingerprint", "method", "arguments", "size", "rules")  # in both files of a selection


def _is_kept(facts: dict[str, Any], schema: Any) -> bool:  # pyarrow.Schema
    known = {"index", "id", "weight", "score", _EARLIER}
    return "method" in facts and facts.get("rows") != "dropped" and known.issuperset(schema.names)


def _is_rest(facts: dict[str, Any], schema: Any) -> bool:  # pyarrow.Schema
    earlier = "rows" not in facts and "rule" in schema.names  # without "rows", as once
    ours = "method" in facts and (facts.get("rows") == "dropped" or earlier)
    known = {"index", "id", "score", "rule", "kept_row", "kept_id", "similarity", _EARLIER}
    return ours and known.issuperset(schema.names)


_KEPT = parquet_kind("a subset file", _is_kept)
_REST = parquet_kind("the dropped rows of a subset file", _is_rest)


@told
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
    path, dropped = Path(path), _check.flag("dropped", dropped)
    others = _other(path)
    removed = others.is_file() and _REST.holds(others)
    return [(path, _KEPT), *([(others, _REST)] if dropped or removed else [])]


@told
def save_selection(selection: Fields, path: str | Path, *, dropped: bool = False) -> None:
    """Write a selection to a Parquet file atomically.

    Parameters
    ----------
    selection : Selection
    path : str or pathlib.Path
        An existing subset file is replaced; any other file is refused. The file has one row for
        each kept row, in selection order: `index` (int64) and, if the selection has them, `id`,
        `weight` (float64) and `score`. The method, its arguments, N and diagnostics are stored as
        JSON under the key "sampling" of the file's metadata.
    dropped : bool, default False
        Also write the dropped rows, with `id`, `score` and `rule` if known, to a second file next
        to it, whose name ends in ".dropped.parquet"; `Selection.explain` needs it. After a
        deduplication, each row dropped as a copy has `kept_row`, the row that was kept instead,
        `kept_id` and `similarity`; `earlier_row`, in both files, is its most similar row before it,
        from which `rethreshold` finds other kept rows. If False, such a file of an earlier
        selection is removed, if `save_selection` wrote it.

    Raises
    ------
    ValueError
        If a path is a folder, a device, or a file that `save_selection` did not write, or has the
        suffix of another format.
    OSError
        If the folder does not exist, cannot be written to, or is full.

    Examples
    --------
    >>> import tempfile
    >>> from sampling.io import load_selection
    >>> from sampling.selection import top
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_selection(top([0.1, 0.9, 0.5], 2), Path(folder, "subset.parquet"))
    ...     load_selection(Path(folder, "subset.parquet")).indices
    array([1, 2])
    """
    dropped = _check.flag("dropped", dropped)
    path = Path(path)
    outputs = selection_outputs(path, dropped=dropped)
    check_outputs(outputs)
    columns = _kept(selection)
    if dropped and selection.earlier is not None:
        columns[_EARLIER] = selection.earlier[columns[_ROWS]]
    manifest: dict[str, Any] = {
        "version": _VERSION,
        "method": selection.method,
        "arguments": selection.arguments,
        "size": selection.size,
        "ranked": selection.ranked and selection.shorten is None,
        "rules": list(selection.rules),
        "info": selection.info,
        "versions": versions(),
        "repeats": bool(distinct(selection.indices).size < len(selection)),
    }
    rest = _rest(selection) if dropped else {}
    manifest["fingerprint"] = _fingerprint(manifest, columns, rest)
    if dropped:
        rest = _with_gaps(rest, selection.row_ids)
        _write(outputs[1], rest, {**manifest, "rows": "dropped"})
    columns = _with_gaps(columns, None)
    _write(outputs[0], columns, {**manifest, "rows": "kept", "dropped": dropped})
    if not dropped:
        for others, _ in outputs[1:]:
            Path(others).unlink(missing_ok=True)  # it belongs to an earlier selection


def _kept(selection: Fields) -> dict[str, Any]:
    """Return the columns of the kept rows, checked so that `load_selection` accepts them."""
    kept = _indices("indices", selection.indices, selection.size)
    columns: dict[str, Any] = {_ROWS: kept}
    if selection.ids is not None:
        _check.same_length("ids", selection.ids, "indices", kept.size)
        columns["id"] = selection.ids
    if selection.weights is not None:
        columns["weight"] = _weights("weights", selection.weights)
        _check.same_length("weights", columns["weight"], "indices", kept.size)
    if selection.scores is not None:
        columns["score"] = _check.host(selection.scores)[kept]
    return columns


def _indices(name: str, values: Any, size: int | None) -> NDArray[np.int64]:
    """Return row numbers, int64 (M,), in [0, size); M may be 0, and rows may be repeated."""
    array = _check.host(values)
    if array.ndim == 1 and not array.size:
        return np.zeros(0, np.int64)
    _check.one_dimensional(name, array)
    _check.codes(name, array, _check.MAX_SIZE if size is None else size)
    return array.astype(np.int64)


def _weights(name: str, values: Any) -> NDArray[np.float64]:
    array = _check.host(values)
    if array.ndim == 1 and not array.size:
        return np.zeros(0)
    return _check.floats(name, array, "finite and >= 0")


def _fingerprint(manifest: Mapping[str, Any], *tables: Mapping[str, Any]) -> str:
    """Return what tells this selection from others: of kept and dropped rows together."""
    found = hashlib.sha256(json_text(manifest, ordered=True).encode())
    for table in tables:
        for name, values in table.items():
            found.update(f"{name} {len(values)}".encode())
            if isinstance(values, pa.Array):
                values = values.indices.to_numpy()
            if (
                isinstance(values, np.ndarray) and values.dtype.hasobject
            ):  # an array of these holds addresses
                for each in values.tolist():
                    word = each.encode() if isinstance(each, str) else bytes(each)
                    found.update(len(word).to_bytes(8, "little") + word)
                continue
            found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()[:32]


def versions() -> dict[str, str]:
    """Return the versions of the installed libraries that affect a selection."""
    found = {"python": platform.python_version()}
    for name in ("sampling", "numpy", "numba", "faiss-cpu", "scikit-learn", "pyarrow", "rensa"):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _rest(selection: Fields) -> dict[str, Any]:
    rows = np.flatnonzero(~selection.mask())
    columns: dict[str, Any] = {_ROWS: rows}
    if selection.row_ids is not None:
        _check.same_length("row_ids", selection.row_ids, "the data", int(selection.size or 0))
        columns["id"] = selection.row_ids[rows]
    if selection.scores is not None:
        columns["score"] = selection.scores[rows]
    if selection.verdicts is not None:
        codes = pa.array(selection.verdicts[rows].astype(np.int32))
        columns["rule"] = pa.DictionaryArray.from_arrays(codes, list(selection.rules))
    if selection.kept_rows is not None:
        columns["kept_row"] = selection.kept_rows[rows]
        if selection.similarities is not None:
            columns["similarity"] = selection.similarities[rows]
    if selection.earlier is not None:
        columns[_EARLIER] = selection.earlier[rows]
    return columns


def _with_gaps(columns: dict[str, Any], names: NDArray[Any] | None) -> dict[str, Any]:
    """Return columns with nulls for no row and no similarity, and with the ids of the kept rows.

    names : ids of all rows, (N,)
    """
    found = {}
    for name, values in columns.items():
        missing = None
        if name in {"kept_row", _EARLIER}:
            missing = values < 0
        elif name == "similarity":
            missing = np.isnan(values)
        found[name] = values if missing is None else pa.array(values, mask=missing)
        if name == "kept_row" and names is not None:
            own = names[np.maximum(values, 0)] if names.size else names
            found["kept_id"] = pa.array(own.tolist(), mask=values < 0)
    return found


def _other(path: Path) -> Path:
    return next_to(path, ".dropped.parquet")


def _write(place: Output, columns: dict[str, Any], manifest: dict[str, Any]) -> None:
    with written_whole(*place) as beside:
        _parquet.write_own(beside, pa.table(columns), {**manifest, "columns": list(columns)})


def read_selection(path: str | Path) -> dict[str, Any]:
    """Return the fields of a selection in a file; see `load_selection`."""
    path = Path(path)
    table, manifest = _read(path)
    size = manifest["size"]
    indices = _indices(f"index of {path}", _plain(path, table, _ROWS), size)
    if not manifest.get("repeats", True) and indices.size:
        _check.unique_rows(f"index of {path}", indices)
    weights = None
    if "weight" in table.column_names:
        weights = _weights(f"weight of {path}", _plain(path, table, "weight"))
    kept = _scores(path, table)
    ids = _plain(path, table, "id") if "id" in table.column_names else None
    ids = _names(ids)
    scores, verdicts, row_ids = None, None, None
    pairs: dict[str, Any] = {}
    beside = manifest.get("dropped", True)  # a file of that name may be of another kind
    if beside and size is not None and _other(path).is_file():
        scores, verdicts, row_ids = _all_rows(_other(path), indices, kept, ids, manifest)
        pairs = _pairs(_other(path), table, indices, size)
    return {
        "indices": indices,
        "weights": weights,
        "scores": scores,
        "ids": ids,
        **{name: manifest[name] for name in ("method", "arguments", "ranked", "info")},
        "size": size,
        "verdicts": verdicts,
        "rules": tuple(manifest["rules"]),
        "row_ids": row_ids,
        **pairs,
    }


def _pairs(path: Path, kept: Any, indices: NDArray[np.int64], size: int) -> dict[str, Any]:
    """Return the fields of the copies, of all rows (N,): which row was kept instead of each.

    path    : of the file with the dropped rows
    kept    : pyarrow.Table of the kept rows
    indices : int64 (M,), their numbers
    """
    rest = _parquet.read(path)
    rows = rest[_ROWS].to_numpy()
    found: dict[str, Any] = {}
    for field, name in (("kept_rows", "kept_row"), ("earlier", _EARLIER)):
        if name in rest.column_names:
            found[field] = np.full(size, -1, np.int64)
            found[field][rows] = _row_numbers(path, rest, name, size)
            if name in kept.column_names:
                found[field][indices] = _row_numbers(path, kept, name, size)
    if "similarity" in rest.column_names:
        values = rest["similarity"].to_numpy()
        found["similarities"] = np.full(size, np.nan, values.dtype)
        found["similarities"][rows] = values
    return found


def _row_numbers(path: Path, table: Any, name: str, size: int) -> NDArray[np.int64]:
    """Return a column of row numbers, -1 for none."""
    column = table[name]
    if not pa.types.is_integer(column.type):
        raise ValueError(f"{name} of {path} must hold ints, got {column.type}")
    values: NDArray[np.int64] = column.fill_null(-1).to_numpy().astype(np.int64)
    if values.size and (values.min() < -1 or values.max() >= size):
        raise ValueError(
            f"{name} of {path} must be in [0, {size}), got {values.min()}, {values.max()}"
        )
    return values


def _names(ids: NDArray[Any] | None) -> NDArray[Any] | None:
    return _labels.strings(ids.tolist()) if ids is not None and ids.dtype == object else ids


def _read(path: Path) -> tuple[Any, dict[str, Any]]:
    table, manifest = _parquet.read_own(path, _KIND, "version", "method")
    if manifest.get("version") != _VERSION:
        raise ValueError(f"{path} must have version {_VERSION}, got {manifest.get('version')!r}")
    for name, kinds in _MANIFEST.items():
        if not isinstance(manifest.get(name), kinds):
            raise ValueError(f"{path} must have a manifest with {name}, got {manifest.get(name)!r}")
    for name in manifest.get("columns", [_ROWS]):
        if name not in table.column_names:
            raise ValueError(f"{path} must have a column {name!r}, got {table.column_names}")
    return table, manifest


def _plain(path: Path, table: Any, name: str) -> NDArray[Any]:  # pyarrow.Table
    """Return a column that must not have missing values."""
    column = table[name]
    _parquet.refuse_missing(f"{name} of {path}", column)
    values: NDArray[Any] = column.to_numpy()
    return values


def _scores(path: Path, table: Any) -> NDArray[Any] | None:  # pyarrow.Table
    """Return the column of scores, if there is one; missing scores are NaN."""
    if "score" not in table.column_names:
        return None
    values: NDArray[Any] = table["score"].to_numpy()
    if values.dtype.kind not in "fiu":
        raise ValueError(f"score of {path} must hold numbers, got {table['score'].type}")
    return values


def _all_rows(
    path: Path,
    indices: NDArray[np.int64],
    kept: NDArray[Any] | None,
    ids: NDArray[Any] | None,
    manifest: dict[str, Any],
) -> tuple[NDArray[Any] | None, NDArray[np.uint8] | None, NDArray[Any] | None]:
    """Return the scores, verdicts and ids of all rows, from both files."""
    table, other = _read(path)
    if any(other.get(name) != manifest.get(name) for name in _SAME):
        raise ValueError(
            f"{path} must be of the same selection, got one of {other['method']!r} with another "
            "fingerprint: delete it if the dropped rows are not needed"
        )
    size = manifest["size"]
    rows = _indices(f"index of {path}", _plain(path, table, _ROWS), size)
    there = np.bincount(np.concatenate([distinct(indices), rows]), minlength=size)
    if (there != 1).any():
        wrong = int(np.flatnonzero(there != 1)[0])
        raise ValueError(
            f"{path} must hold each dropped row once, got row {wrong} {there[wrong]} "
            "times in both files"
        )
    scores, verdicts = None, None
    rest = _scores(path, table)
    if kept is not None and rest is not None:
        scores = np.full(size, np.nan, np.result_type(kept, rest))
        scores[rows], scores[indices] = rest, kept
    if "rule" in table.column_names:
        verdicts = np.zeros(size, np.uint8)
        verdicts[rows] = _codes(path, table["rule"], manifest["rules"])
    names = None
    if ids is not None and "id" in table.column_names:
        others = _names(_plain(path, table, "id"))
        names = np.empty(size, np.result_type(ids, others))
        names[rows], names[indices] = others, ids
    return scores, verdicts, names


def _codes(path: Path, column: Any, rules: list[str]) -> NDArray[Any]:
    """Return the index into `rules` of each word of a column."""
    words = column.combine_chunks()
    if not pa.types.is_dictionary(words.type) or words.null_count:
        raise ValueError(f"rule of {path} must hold words, got {column.type}")
    if len(words) and words.dictionary.to_pylist() != rules:  # else Parquet keeps none
        raise ValueError(f"rule of {path} must hold {rules}, got {words.dictionary.to_pylist()}")
    codes: NDArray[Any] = words.indices.to_numpy()
    return codes
