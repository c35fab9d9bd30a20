"""Some rows of Parquet shards, a block at a time: row groups without any of them are not read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from .. import _check, _parquet
from .._keywords import told
from ..types import Indices
from ._digest import table_files

__all__ = ["Shards", "read_column", "read_rows"]

_BLOCK = 2**24  # bytes, about, of rows that are decoded together
_ROWS = 2**16  # and no more rows than this
_READ = 2**20  # bytes read at once: by default whole column chunks, 850 MiB of a row group of 330


@told
def read_rows(
    source: str | Path | Sequence[str | Path],
    rows: Indices,
    columns: Sequence[str] | None = None,
) -> Any:  # noqa: ANN401  # pyarrow.Table
    """Return some rows of a Parquet file, or of the shards of a folder.

    Parameters
    ----------
    source : str, pathlib.Path, or sequence of them
        Rows are numbered through the files in the order given, those of a folder by name.
    rows : int64 array of shape (n,)
        In any order; a row may be there twice.
    columns : sequence of str, optional
        All of them by default.

    Returns
    -------
    pyarrow.Table
        In the order of `rows`.

    Raises
    ------
    ValueError
        If a file is damaged (it is named), files differ in their columns, or there is no such row
        or column.

    Notes
    -----
    Cost        The row groups that hold the rows are decoded, in blocks of about 16 MiB.

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
def read_column(sources: Sequence[str | Path], name: str, rows: Sequence[int]) -> list[Any]:
    """Return some values of a column of the first table that has it.

    Parameters
    ----------
    sources : sequence of str or pathlib.Path
        Tables of the same rows, one beside the other; those that are not Parquet are passed over.
    name : str
    rows : sequence of int
        -1 stands for no row.

    Returns
    -------
    list
        Python's values; None for no row.

    Raises
    ------
    ValueError
        If no table has the column.
    """
    listed = _check.listed("sources", sources)
    parquet = [each for each in listed if _parquet.is_parquet(table_files(each)[0])]
    tables = [Shards.of(each) for each in parquet]
    names = [each for table in tables for each in table.schema.names]
    if name not in names:
        raise ValueError(
            f"column must be one of {names}, got {name!r}{_check.closest(name, names)}"
        )
    source = next(
        each for each, table in zip(parquet, tables, strict=True) if name in table.schema.names
    )
    wanted = [row for row in rows if row >= 0]
    values = iter(read_rows(source, np.array(wanted, np.int64), [name])[name].to_pylist())
    return [next(values) if row >= 0 else None for row in rows]


@dataclass(frozen=True)
class Shards:
    """Parquet files of one schema.

    Attributes
    ----------
    files : tuple of pathlib.Path
    starts : int64 array of shape (number of files + 1,)
        Number of the first row of each, and N.
    schema : pyarrow.Schema
        With the metadata of the first file.
    """

    files: tuple[Path, ...]
    starts: Indices
    schema: Any

    @classmethod
    def of(cls, source: str | Path | Sequence[str | Path]) -> "Shards":
        """Open a file, a folder or several of them, and compare their schemas."""
        sources = [source] if isinstance(source, str | Path) else _check.listed("source", source)
        files = tuple(file for each in sources for file in table_files(each))
        if not files:
            raise ValueError("source must name a file or a folder, got none")
        counts, schema = [0], None
        for path in files:
            if not _parquet.is_parquet(path):
                raise ValueError(f"{path} must be a Parquet file, got {path.suffix!r}")
            with _parquet.opened(path) as file:
                counts.append(file.metadata.num_rows)
                schema = file.schema_arrow if schema is None else schema
                _same_schema(path, file.schema_arrow, files[0], schema)
        return cls(files, np.cumsum(counts), schema)

    @property
    def size(self) -> int:
        """N, rows in all files."""
        return int(self.starts[-1])

    def columns(self, names: Sequence[str] | None) -> list[str]:
        """Return the chosen columns in the order of the files, or refuse a name."""
        for name in _check.listed("columns", () if names is None else names):
            if name not in self.schema.names:
                raise ValueError(
                    f"columns must be of {self.schema.names}, got {name!r}"
                    f"{_check.closest(name, self.schema.names)}"
                )
        chosen = [each for each in self.schema.names if names is None or each in names]
        if not chosen:
            raise ValueError("columns must name at least one column, got none")
        return chosen

    def schema_of(self, names: Sequence[str]) -> Any:  # noqa: ANN401  # pyarrow.Schema
        """Return the schema of some columns."""
        fields = [self.schema.field(name) for name in names]
        return pa.schema(fields, metadata=self.schema.metadata)

    def blocks(self, rows: Indices, names: Sequence[str]) -> Iterator[Any]:
        """Give tables of the rows, which rise (two may be equal), in their order."""
        ends = np.searchsorted(rows, self.starts)
        for i, path in enumerate(self.files):
            own = rows[ends[i] : ends[i + 1]] - self.starts[i]
            if own.size:
                yield from _of_file(path, own, list(names))


def _of_file(path: Path, rows: Indices, names: list[str]) -> Iterator[Any]:
    with _parquet.opened(path, pre_buffer=False, buffer_size=_READ) as file:
        begin = 0
        for group in range(file.metadata.num_row_groups):
            facts = file.metadata.row_group(group)
            count, end = facts.num_rows, begin + facts.num_rows
            own = rows[slice(*np.searchsorted(rows, [begin, end]))] - begin
            if own.size:
                width = max(1, facts.total_byte_size // count)
                step = max(1, min(_ROWS, _BLOCK // width))
                yield from _of_group(file, group, own, names, step)
            begin = end


def _of_group(
    file: Any,  # noqa: ANN401  # pyarrow.parquet.ParquetFile
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
            yield pa.Table.from_batches([batch]).select(names).take(pa.array(own))
        if rows[-1] < stop:
            return  # the rest of the row group is not decoded
        start = stop


def _same_schema(path: Path, schema: Any, first: Path, expected: Any) -> None:  # noqa: ANN401
    """Refuse a file with other columns, or columns of other types."""
    if schema.names != expected.names:
        raise ValueError(
            f"{path} must have the columns of {first.name}, {expected.names}, got {schema.names}"
        )
    for name, kind, other in zip(schema.names, schema.types, expected.types, strict=True):
        if kind != other:
            raise ValueError(f"{name} must be {other} as in {first.name}, got {kind} in {path}")
