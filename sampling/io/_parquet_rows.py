"""Read selected rows of a table in blocks, skipping groups of rows without such rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from .. import _check
from .._check._keywords import told
from .._files._remote import Place
from ..types import Indices
from ._readers import Reader
from ._schema import Schemas, without_columns, without_views
from ._sources import ARRAYS, Given, kind_of, source_of

__all__ = ["Joined", "Shards", "Stream", "joined", "read_column", "read_rows"]

_BLOCK = 2**24  # bytes, approximately, of rows decoded at a time
_ROWS = 2**16  # and at most this many rows


@told
def read_rows(
    source: Given,
    rows: Indices,
    columns: str | Sequence[str] | None = None,
) -> Any:  # pyarrow.Table
    """Return selected rows of a table.

    Parameters
    ----------
    source : str, pathlib.Path, or sequence of them
        Files, folders, patterns and addresses, as for `open_table`. The array of a .npy file is a
        column `embeddings`, or, if it has one value for each row, of the name of the file.
    rows : int64 array of shape (n,)
        Row numbers in any order, repetitions allowed.
    columns : str or sequence of str, optional
        Columns to read; all by default.

    Returns
    -------
    pyarrow.Table
        In the order of `rows`. Each column has the one type that holds the values of all files, and
        is null for files without it.

    Raises
    ------
    ValueError
        If a file is damaged (the message names it), no type holds the values of all files, or there
        is no such row or column.

    Notes
    -----
    Cost
        The row groups that hold the rows are decoded, in blocks of about 16 MiB.

    Examples
    --------
    >>> import tempfile, pyarrow.parquet
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pyarrow.parquet.write_table(pa.table({"x": [0, 10, 20]}), Path(folder, "a.parquet"))
    ...     read_rows(folder, np.array([2, 0]))["x"].to_pylist()
    [20, 0]
    """
    shards = Shards.of(source)
    wanted = _row_numbers(rows)
    if wanted.size and (wanted.min() < 0 or wanted.max() >= shards.size):
        raise ValueError(f"rows must be in [0, {shards.size}), got {wanted.min()}, {wanted.max()}")
    return shards.read(wanted, shards.columns(columns))


def _row_numbers(rows: Indices) -> Indices:
    """Return row numbers as int64 (n,); n may be 0."""
    array = _check.host(rows)
    _check.refuse_mask("rows", array)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TypeError(f"rows must hold ints of shape (n,), got {array.dtype} {array.shape}")
    return array.astype(np.int64)


@told
def read_column(sources: Given | Sequence[Given], name: str, rows: Sequence[int]) -> list[Any]:
    """Return selected values of a column from the first table that has it.

    Parameters
    ----------
    sources : str or pathlib.Path, or sequence of them
        Tables of the same rows: one path each, or a list of several paths.
    name : str
    rows : sequence of int
        Row numbers; -1 for no row.

    Returns
    -------
    list
        Python values; None for -1.

    Raises
    ------
    ValueError
        If no table has the column.
    """
    each_of: list[Any] = [sources] if isinstance(sources, str | os.PathLike) else [*sources]
    tables = [Shards.of(each) for each in each_of]
    names = [each for table in tables for each in table.names]
    if name not in names:
        raise ValueError(
            f"column must be one of {names}, got {name!r}{_check.closest(name, names)}"
        )
    table = next(each for each in tables if name in each.names)
    wanted = [row for row in rows if row >= 0]
    values = iter(table.read(np.array(wanted, np.int64), [name])[name].to_pylist())
    return [next(values) if row >= 0 else None for row in rows]


@dataclass(frozen=True)
class Shards:
    """Files of a table, whose rows are numbered consecutively.

    Attributes
    ----------
    columns_in : Schemas
        Their columns, in the types that hold the values of all files.
    starts : int64 array of shape (number of files + 1,)
        Number of the first row of each file, and N.
    files : tuple of Path or Remote
        A file that was given twice occurs twice.
    source : tuple of str or pathlib.Path
        The files and folders as given.
    """

    columns_in: Schemas
    starts: Indices
    files: tuple[Place, ...]
    source: tuple[Any, ...]

    @classmethod
    def of(cls, source: Given) -> Shards:
        """Open a file, a folder, a pattern or several of them."""
        given = tuple(_check.paths("source", source))
        of = source_of(given, name="source")
        found = Schemas(of)
        counts = dict(zip(found.files, found.counts, strict=True))
        return cls(found, np.cumsum([0, *(counts[path] for path in of.paths)]), of.paths, given)

    def read(self, rows: Indices, names: Sequence[str]) -> Any:  # pyarrow.Table
        """Return rows in the given order, repetitions allowed."""
        order = np.argsort(rows, kind="stable")
        blocks = list(self.blocks(rows[order], names))
        whole = pa.concat_tables([pa.table(self.schema_of(names).empty_table()), *blocks])
        back = np.empty(order.size, np.int64)
        back[order] = np.arange(order.size)
        return whole.take(pa.array(back))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.columns_in.names

    @property
    def size(self) -> int:
        """N, the number of rows in all files."""
        return int(self.starts[-1])

    def columns(self, names: str | Sequence[str] | None) -> list[str]:
        """Return the requested columns in the order of the files; refuse unknown names."""
        return _chosen(names, self.columns_in.every(), self.names, self.columns_in.field)

    def schema_of(self, names: Sequence[str]) -> Any:  # pyarrow.Schema
        """Return the schema of the given columns."""
        return self.columns_in.schema(names)

    def blocks(self, rows: Indices, names: Sequence[str]) -> Iterator[Any]:
        """Yield tables of the rows, given in non-decreasing order."""
        ends = np.searchsorted(rows, self.starts)
        for i, path in enumerate(self.files):
            own = rows[ends[i] : ends[i + 1]] - self.starts[i]
            if own.size:
                yield from _of_file(path, own, names, self.columns_in)


@dataclass(frozen=True)
class Joined:
    """Tables of the same rows with different columns.

    Attributes
    ----------
    parts : tuple of Shards
    """

    parts: tuple[Shards, ...]

    @property
    def files(self) -> tuple[Place, ...]:
        """The files of all parts."""
        return tuple(file for part in self.parts for file in part.files)

    @property
    def is_held(self) -> bool:
        """Whether the content of any file is held by this process."""
        return any(part.columns_in.is_held for part in self.parts)

    @property
    def size(self) -> int:
        """N, the number of rows of each."""
        return self.parts[0].size

    def columns(self, names: str | Sequence[str] | None) -> list[str]:
        """Return the requested columns in the order of the parts; refuse unknown names."""
        every = [name for part in self.parts for name in self._of(part, part.columns_in.every())]
        for name in {name for name in every if self._has(name) > 1}:
            if names is None or name in _check.words("columns", names):
                one, other = [part for part in self.parts if name in part.names][:2]
                raise ValueError(
                    f"{name!r} must be one column, got it in {one.files[0]} and in "
                    f"{other.files[0]}: name the columns to be written, without it"
                )
        return _chosen(names, every, tuple(dict.fromkeys(every)), self._field)

    def _has(self, name: str) -> int:
        """Return in how many parts a column is; a key of their folders with equal values is one."""
        having = [part.columns_in for part in self.parts if name in part.names]
        runs = [part.key_runs(name) for part in having]
        return 1 if runs and runs[0] is not None and runs.count(runs[0]) == len(runs) else len(runs)

    def _field(self, name: str) -> Any:  # pyarrow.Field
        return self._part_of(name).columns_in.field(name)

    def _part_of(self, name: str) -> Shards:
        return next(part for part in self.parts if name in part.names)

    def used(self, names: Sequence[str]) -> Joined:
        """Return the parts that have any of the columns."""
        return Joined(tuple(part for part in self.parts if set(part.names) & set(names)))

    def schema_of(self, names: Sequence[str]) -> Any:  # pyarrow.Schema
        """Return the schema of the given columns, in the order of the parts."""
        schemas = [part.schema_of(self._of(part, names)) for part in self.parts]
        metadata = schemas[0].metadata if schemas else None
        return pa.schema([each for schema in schemas for each in schema], metadata=metadata)

    def _of(self, part: Shards, names: Sequence[str]) -> list[str]:
        return [name for name in names if name in part.names and self._part_of(name) is part]

    def blocks(self, rows: Indices, names: Sequence[str]) -> Iterator[Any]:
        """Yield tables of the rows, given in non-decreasing order."""
        streams = [Stream(part.blocks(rows, self._of(part, names))) for part in self.parts]
        schema, done = self.schema_of(names), 0
        while done < rows.size:
            count = min(stream.ready() for stream in streams)
            parts = [stream.next(count) for stream in streams]
            columns = [column for part in parts for column in part.columns]
            yield pa.table(columns, schema=schema)
            done += count


def joined(
    source: Given,
    beside: Given,
    columns: str | Sequence[str] | None,
) -> tuple[Joined, list[str]]:
    """Return the tables that hold the given columns: of a table and of the files `beside` it.

    By default all columns of the table, or, if it is .npy or safetensors, those of the `beside`
    tables, if there are any.

    Raises
    ------
    ValueError
        If there is no such column, more than one, or no column at all; if the number of rows of a
        table differs from that of the first.
    """
    besides = _check.paths("beside", beside)
    own = Shards.of(source)
    whole = Joined((own, *map(Shards.of, besides)))
    for part in whole.parts:
        if part.size != whole.size:
            raise ValueError(
                f"{part.files[0]} must have {whole.size} rows, as {whole.files[0]}, got {part.size}"
            )
    default = whole  # which columns are written unless some are named
    if columns is None:
        arrays = kind_of(own.files[0]) in ARRAYS.values()
        default = Joined(whole.parts[1:] if arrays and besides else (own,))
    names = default.columns(columns)
    used = whole.used(names)
    try:
        used.schema_of(names)  # refuses what has no type for all files
    except ValueError as error:
        if columns is not None:
            raise
        raise ValueError(
            f"{error}. The export writes every column, also one that nothing else used, unless "
            "some are named: columns=[...]"
        ) from error
    return used, names


class Stream:
    """A stream of tables that is split again at other rows.

    Parameters
    ----------
    tables : iterator of pyarrow.Table
    """

    def __init__(self, tables: Iterator[Any]) -> None:
        self._tables = tables
        self._rest: Any = None

    def ready(self) -> int:
        """Return the largest count for `next`, at least 1."""
        if self._rest is None:
            self._rest = next(self._tables)
        return int(self._rest.num_rows)

    def next(self, count: int) -> Any:  # pyarrow.Table
        """Return a table of `count` rows."""
        table = self._rest
        self._rest = table.slice(count) if table.num_rows > count else None
        return table.slice(0, count)

    def read(self, count: int) -> Iterator[Any]:
        """Yield tables with `count` rows in total."""
        while count:
            table = self.next(min(count, self.ready()))
            count -= table.num_rows
            yield table


def _chosen(
    names: str | Sequence[str] | None,
    every: list[str],
    known: tuple[str, ...],
    check: Callable[[str], object],
) -> list[str]:
    """Return the requested columns, all by default, in the order of the files.

    check : refuses a requested column that cannot be read
    """
    if names is None:
        if not every:
            raise ValueError("columns must name at least one column, got none")
        return every
    wanted = _check.words("columns", names)
    for name in wanted:
        if name not in known:
            raise ValueError(
                f"columns must be of {list(known)}, got {name!r}{_check.closest(name, known)}"
            )
        check(name)
    if not wanted:
        raise ValueError("columns must name at least one column, got none")
    return [name for name in known if name in wanted]


def _of_file(path: Place, rows: Indices, names: Sequence[str], schemas: Schemas) -> Iterator[Any]:
    with schemas.opened(path, lean=True) as file:
        begin, there = 0, schemas.stored(path, names)
        for group, count in enumerate(file.counts):
            end = begin + count
            own = rows[slice(*np.searchsorted(rows, [begin, end]))] - begin
            if own.size:
                width = max(1, file.bytes_of(group) // count)
                step = max(1, min(_ROWS, _BLOCK // width))
                for part in _of_group(file, group, own, there, step):
                    yield schemas.fitted(part, names, path)
            begin = end


def _of_group(
    file: Reader, group: int, rows: Indices, names: list[str], step: int
) -> Iterator[Any]:
    start = 0
    for batch in file.batches(names, group, step):
        stop = start + batch.num_rows
        own = rows[slice(*np.searchsorted(rows, [start, stop]))] - start
        if own.size:
            yield _taken(batch, own)
        if rows[-1] < stop:
            return  # the rest of the row group is not decoded
        start = stop


def _taken(batch: Any, rows: Indices) -> Any:  # pyarrow.RecordBatch, and a Table
    if not batch.num_columns:
        return without_columns(rows.size)
    return without_views(pa.Table.from_batches([batch])).take(pa.array(rows))
