"""Embeddings that come as a list for each row: of Python, of pandas, of pyarrow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ._containers import is_missing, unread
from ._host import as_array
from ._rows import Rows


def stacked(name: str, values: Any) -> Any:  # any array-like
    """Return rows that are lists as an array (N, D), a missing one as NaN; the rest as it is."""
    if isinstance(values, Rows | np.ma.MaskedArray):
        return values
    values = unread(name, values)
    if isinstance(values, list | tuple):
        gaps = any(is_missing(each) for each in values)
        if not gaps and not any(isinstance(each, list) and None in each for each in values):
            return values
        return _stacked(name, values)
    if hasattr(values, "to_pylist"):  # pyarrow's
        return _of_arrow(name, values)
    if not hasattr(values, "__array__"):
        return values
    array = values if isinstance(values, np.ndarray) else as_array(name, values)
    return _stacked(name, array) if array.dtype == object and array.ndim == 1 else array


def _stacked(name: str, values: Any) -> Any:  # a sequence of rows
    """Copy rows into one array; what holds no row is returned as it is."""
    found = [None if is_missing(each) else _row(name, row, each) for row, each in enumerate(values)]
    held = [(row, each) for row, each in enumerate(found) if each is not None]
    if not held or any(each.ndim != 1 for _, each in held):
        return values
    first, length = held[0][0], held[0][1].size
    for row, each in held:
        if each.size != length:
            _refuse_length(name, each.size, row, length, first)
    dtype = np.result_type(*{each.dtype for _, each in held})
    if len(held) < len(found):
        dtype = np.result_type(dtype, np.float32)
    array = np.full((len(found), length), np.nan if dtype.kind == "f" else 0, dtype)
    for row, each in held:
        array[row] = each
    return array


def _row(name: str, row: int, entry: Any) -> NDArray[Any]:  # a list, an array
    try:
        array = np.asarray(entry)
        if array.dtype == object and not any(isinstance(each, str | bytes) for each in array.flat):
            array = array.astype(np.float64)  # None is NaN
    except (TypeError, ValueError):
        raise TypeError(f"{name} must hold lists of numbers, got another in row {row}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold lists of numbers, got dtype {array.dtype} in row {row}")
    return array


def _refuse_length(name: str, length: int, row: int, other: int, first: int) -> None:  # noqa: PLR0913
    raise ValueError(
        f"{name} must have rows of one length, got {length} numbers in row {row} after {other} in "
        f"row {first}"
    )


def _of_arrow(name: str, values: Any) -> Any:  # an Array or a ChunkedArray
    """Copy the lists of pyarrow chunk by chunk, without a Python object for each."""
    chunks = cast("Iterable[Any]", getattr(values, "chunks", [values]))
    chunks = [getattr(each, "storage", each) for each in chunks if len(each)]
    kinds = ("list<", "large_list<", "fixed_size_list<")
    if not chunks or not str(chunks[0].type).startswith(kinds):
        return values
    parts, length, first, start = [], None, 0, 0
    for each in chunks:
        there = ~each.is_null().to_numpy(zero_copy_only=False)
        sizes = np.asarray(each.value_lengths().fill_null(-1))[there]
        rows = start + np.flatnonzero(there)
        if length is None and sizes.size:
            length, first = int(sizes[0]), int(rows[0])
        other = np.flatnonzero(sizes != length)
        if other.size:
            at = int(other[0])
            _refuse_length(name, int(sizes[at]), int(rows[at]), int(length or 0), first)
        parts.append((there, each.flatten().to_numpy(zero_copy_only=False)))
        start += len(each)
    if not length:
        return values
    dtype = np.result_type(*{flat.dtype for _, flat in parts if flat.size})
    if dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold lists of numbers, got {chunks[0].type}")
    if not all(there.all() for there, _ in parts):
        dtype = np.result_type(dtype, np.float32)
    array = np.full((start, length), np.nan if dtype.kind == "f" else 0, dtype)
    start = 0
    for there, flat in parts:
        array[start : start + there.size][there] = flat.reshape(-1, length)
        start += there.size
    return array
