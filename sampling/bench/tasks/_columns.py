"""Columns of a user's file: Parquet, CSV, or the array of a .npy file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ... import _check
from ..._check import _labels
from ..._files import _parquet
from ...io import open_table

CSV = (".csv", ".tsv")
NPY = ".npy"
MISSING = -1


class Columns(Protocol):
    """Columns of one number of rows."""

    @property
    def size(self) -> int:
        """Number of rows."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""

    def values(self, name: str) -> Any:  # pyarrow.ChunkedArray
        """Return a column."""


@dataclass(frozen=True)
class _Csv:
    """The columns of a CSV file, read into memory.

    Parameters
    ----------
    path : Path
        The file.
    table : pyarrow.Table
        Its content.
    """

    path: Path
    table: Any  # pyarrow.Table

    @property
    def size(self) -> int:
        """Number of rows."""
        return int(self.table.num_rows)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.table.column_names)

    def values(self, name: str) -> Any:  # pyarrow.ChunkedArray
        """Return a column."""
        if name not in self.names:
            raise ValueError(
                f"column must be one of {list(self.names)}, got {name!r}"
                f"{_check.closest(name, self.names)}"
            )
        if (count := self.names.count(name)) > 1:
            raise ValueError(f"column {name!r} must occur once, got {count} of that name")
        return self.table[name]


def open_columns(path: Path) -> Columns:
    """Open a Parquet file, a folder of them, or a CSV file, whose empty fields are missing."""
    if path.suffix.lower() not in CSV:
        return open_table(path)
    from pyarrow import csv

    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with _parquet.named(path, "a CSV file with a line of column names"):
        table = csv.read_csv(
            path,
            parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=csv.ConvertOptions(strings_can_be_null=True),
        )
    if not table.num_rows:
        raise ValueError(f"{path} must not be empty, got no rows")
    return _Csv(path, table)


@dataclass(frozen=True)
class Targets:
    """The targets of a table.

    Parameters
    ----------
    values : int64 or float64 array of shape (N,)
        Classes, or -1 for a missing one; or numbers, or NaN.
    names : list of str, optional
        Names of the classes; None for numbers.
    """

    values: NDArray[Any]
    names: list[str] | None

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Rows without a target, bool (N,)."""
        found = self.values == MISSING if self.names is not None else np.isnan(self.values)
        return np.asarray(found, np.bool_)


def targets_of(what: str, values: Any, *, numbers: bool) -> Targets:
    """Return classes, numbered in the order of their names, or numbers.

    Floats that are not all whole are numbers, and so is every column of numbers with `numbers`.

    Parameters
    ----------
    what : str
        Name of the column, for messages.
    values : pyarrow.ChunkedArray or array of shape (N,)
        The column.
    numbers : bool
        Whether the metric is one of numbers.
    """
    arrow = hasattr(values, "null_count")
    array = None if arrow and not _is_number(values.type) else _floats(values)
    if array is not None:
        infinite = np.isinf(array)
        if infinite.any():
            row = int(np.argmax(infinite))
            raise ValueError(f"{what} must be finite, got {array[row]} in row {row}")
        known = array[~np.isnan(array)]
        if numbers or (_is_float(values) and (known != np.floor(known)).any()):
            return Targets(array, None)
    elif numbers:
        got = getattr(values, "type", getattr(values, "dtype", type(values).__name__))
        raise ValueError(f"{what} must hold numbers for the metric R2, got {got}")
    found = _labels.labelled(what, values)
    names = [each.decode(errors="replace") if isinstance(each, bytes) else str(each)
             for each in found.names.tolist()]  # fmt: skip
    return Targets(found.codes, names)


def _is_number(kind: Any) -> bool:  # pyarrow.DataType
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_float(values: Any) -> bool:
    if hasattr(values, "null_count"):
        return bool(pa.types.is_floating(values.type))
    return bool(np.asarray(values).dtype.kind == "f")


def _floats(values: Any) -> NDArray[np.float64] | None:
    """Return numbers as float64, missing ones NaN; None for anything else."""
    if hasattr(values, "null_count"):
        return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(), np.float64)
    array = np.asarray(values)
    return array.astype(np.float64) if array.dtype.kind in "iuf" and array.ndim == 1 else None


def feature(what: str, values: Any) -> NDArray[np.float64]:
    """Return a column of numbers or bools, missing ones NaN: float64 (N,)."""
    kind = values.type
    if pa.types.is_boolean(kind):
        values = values.cast(pa.int8())
    elif not _is_number(kind):
        raise TypeError(
            f"{what} must hold numbers, got {kind}{_check.first_text(values)}: encode it as "
            "numbers, or omit it"
        )
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(), np.float64)
