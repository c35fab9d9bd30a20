"""Read selected rows of Parquet shards in blocks, skipping row groups without such rows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from .. import _check
from .._check._keywords import told
from .._files import _parquet
from ..types import Indices
from ._digest import table_files
from ._schema import Schemas, without_columns, without_views

__all__ = ["Joined", "Shards", "Stream", "joined", "read_column", "read_rows"]

_BLOCK = 2**24  # bytes, approximately, of rows decoded at a time
_ROWS = 2**16  # and at most this many rows
_READ = 2**20  # bytes per read; the default, whole column chunks, took 850 MiB for 330 MiB


@told
def read_rows(
    source: str | Path | Sequence[str | Path],
    rows: Indices,
    columns: str | Sequence[str] | None = None,
) -> Any:  # pyarrow.Table
    """Return selected rows of a Parquet file, or of the shards in a folder.

    Parameters
    ----------
    source : str, pathlib.Path, or sequence of them
        Rows are numbered consecutively over the files in the given order, those of a folder by
        name.
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
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pyarrow.parquet.write_table(pa.table({"x": [0, 10, 20]}), Path(folder, "a.parquet"))
    ...     read_rows(folder, np.array([2, 0]))["x"].to_pylist()
    [20, 0]
    """
    shards = Shards.of(source)
    wanted = _row_numbers(rows)
    if wanted.size and (wanted.min() < 0 or wanted.max() >= shards.size):
        raise ValueError(f"rows must be in [0, {shards.size}), got {wanted.min()}, {wanted.max()}")
    names = shards.columns(columns)
    order = np.argsort(wanted, kind="stable")
    blocks = list(shards.blocks(wanted[order], names))
    whole = pa.concat_tables([pa.table(shards.schema_of(names).empty_table()), *blocks])
    back = np.empty(order.size, np.int64)
    back[order] = np.arange(order.size)
    return whole.take(pa.array(back))


def _row_numbers(rows: Indices) -> Indices:
    """Return row numbers as int64 (n,); n may be 0."""
    array = _check.host(rows)
    _check.refuse_mask("rows", array)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TypeError(f"rows must hold ints of shape (n,), got {array.dtype} {array.shape}")
    return array.astype(np.int64)


@told
def read_column(
    sources: str | Path | Sequence[str | Path], name: str, rows: Sequence[int]
) -> list[Any]:
    """Return selected values of a column from the first table that has it.

    Parameters
    ----------
    sources : str or pathlib.Path, or sequence of them
        Tables of the same rows; those that are not Parquet are ignored.
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
    listed = _check.paths("sources", sources)
    parquet = [each for each in listed if _parquet.is_parquet(table_files(each)[0])]
    tables = [Shards.of(each) for each in parquet]
    names = [each for table in tables for each in table.names]
    if name not in names:
        raise ValueError(
            f"column must be one of {names}, got {name!r}{_check.closest(name, names)}"
        )
    source = next(each for each, table in zip(parquet, tables, strict=True) if name in table.names)
    wanted = [row for row in rows if row >= 0]
    values = iter(read_rows(source, np.array(wanted, np.int64), [name])[name].to_pylist())
    return [next(values) if row >= 0 else None for row in rows]


@dataclass(frozen=True)
class Shards:
    """Parquet files whose rows are numbered consecutively.

    Attributes
    ----------
    columns_in : Schemas
        Their columns, in the types that hold the values of all files.
    starts : int64 array of shape (number of files + 1,)
        Number of the first row of each file, and N.
    files : tuple of pathlib.Path
        A file that was given twice occurs twice.
    source : tuple of str or pathlib.Path
        The files and folders as given.
    """

    columns_in: Schemas
    starts: Indices
    files: tuple[Path, ...]
    source: tuple[str | Path, ...]

    @classmethod
    def of(cls, source: str | Path | Sequence[str | Path]) -> "Shards":
        """Open a file, a folder or several of them."""
        given = tuple(_check.paths("source", source))
        files = tuple(file for each in given for file in table_files(each))
        if not files:
            raise ValueError("source must name a file or a folder, got none")
        for path in files:
            if not _parquet.is_parquet(path):
                raise ValueError(f"{path} must be a Parquet file, got {path.suffix!r}")
        found = Schemas(dict.fromkeys(files))
        counts = dict(zip(found.files, found.counts, strict=True))
        return cls(found, np.cumsum([0, *(counts[path] for path in files)]), files, given)

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
    def files(self) -> tuple[Path, ...]:
        """The files of all parts."""
        return tuple(file for part in self.parts for file in part.files)

    @property
    def size(self) -> int:
        """N, the number of rows of each."""
        return self.parts[0].size

    def columns(self, names: str | Sequence[str] | None) -> list[str]:
        """Return the requested columns in the order of the parts; refuse unknown names."""
        every = [name for part in self.parts for name in part.columns_in.every()]
        for name in {name for name in every if self._has(name) > 1}:
            if names is None or name in _check.words("columns", names):
                one, other = [part for part in self.parts if name in part.names][:2]
                raise ValueError(
                    f"{name!r} must be one column, got it in {one.files[0]} and in "
                    f"{other.files[0]}: name the columns to be written, without it"
                )
        return _chosen(names, every, tuple(dict.fromkeys(every)), self._field)

    def _has(self, name: str) -> int:
        return sum(name in part.names for part in self.parts)

    def _field(self, name: str) -> Any:  # pyarrow.Field
        return self._part_of(name).columns_in.field(name)

    def _part_of(self, name: str) -> Shards:
        return next(part for part in self.parts if name in part.names)

    def used(self, names: Sequence[str]) -> "Joined":
        """Return the parts that have any of the columns."""
        return Joined(tuple(part for part in self.parts if set(part.names) & set(names)))

    def schema_of(self, names: Sequence[str]) -> Any:  # pyarrow.Schema
        """Return the schema of the given columns, in the order of the parts."""
        schemas = [part.schema_of(self._of(part, names)) for part in self.parts]
        metadata = schemas[0].metadata if schemas else None
        return pa.schema([each for schema in schemas for each in schema], metadata=metadata)

    def _of(self, part: Shards, names: Sequence[str]) -> list[str]:
        return [name for name in names if name in part.names]

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
    source: str | Path | Sequence[str | Path],
    beside: str | Path | Sequence[str | Path],
    columns: str | Sequence[str] | None,
) -> tuple[Joined, list[str]]:
    """Return the tables that hold the given columns: of a table and of the files `beside` it.

    By default all columns of the table, or, if it is not Parquet, those of the `beside` files.

    Raises
    ------
    ValueError
        If there is no such column, more than one, or no column at all; if the number of rows of a
        table differs from that of the first.
    """
    files = [file for each in _check.paths("source", source) for file in table_files(each)]
    besides = _check.paths("beside", beside)
    own = []
    if all(map(_parquet.is_parquet, files)):
        own = [Shards.of(source)]
    elif not besides:
        raise ValueError(
            f"source must be Parquet, or have Parquet files of the same rows next to it, got "
            f"{files[0]}"
        )
    whole = Joined((*own, *map(Shards.of, besides)))
    for part in whole.parts:
        if part.size != whole.size:
            raise ValueError(
                f"{part.files[0]} must have {whole.size} rows, as {whole.files[0]}, got {part.size}"
            )
    names = (Joined(tuple(own)) if own and columns is None else whole).columns(columns)
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


def _of_file(path: Path, rows: Indices, names: Sequence[str], schemas: Schemas) -> Iterator[Any]:
    with _parquet.opened(path, pre_buffer=False, buffer_size=_READ) as file:
        begin = 0
        for group in range(file.metadata.num_row_groups):
            facts = file.metadata.row_group(group)
            count, end = facts.num_rows, begin + facts.num_rows
            own = rows[slice(*np.searchsorted(rows, [begin, end]))] - begin
            if own.size:
                width = max(1, facts.total_byte_size // count)
                step = max(1, min(_ROWS, _BLOCK // width))
                there = schemas.within(path, names)
                for part in _of_group(file, group, own, there, step):
                    yield schemas.fitted(part, names, path)
            begin = end


def _of_group(
    file: Any,  # pyarrow.parquet.ParquetFile
    group: int,
    rows: Indices,
    names: list[str],
    step: int,
) -> Iterator[Any]:
    start = 0
    for batch in file.iter_batches(batch_size=step, row_groups=[group], columns=names):
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
