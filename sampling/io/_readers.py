"""Readers of the files of a table, one for each kind of file, all as groups of Arrow batches.

A reader is opened for a block of code by `opened`. Errors of the block name the file. Those of
Parquet, Arrow files and arrays read rows on demand; CSV, JSON lines, streams of Arrow (as
`datasets` saves) and .npz are held as long as the reader is: CSV and JSON lines in memory, streams
as a memory map.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .._files import _parquet
from .._files._remote import Place, Remote, file_system
from ._arrays import Stored, arrays_in
from ._sources import kind_of

__all__ = ["EMBEDDINGS", "Reader", "opened", "storage_of"]

EMBEDDINGS = "embeddings"  # the column of a .npy file of rows
_BLOCK = 2**26  # bytes of a text parsed at a time, and the longest line
_BATCH = 65_536
_BYTES = 2**24  # of an array, in one group
_WHAT = {
    "parquet": "a whole Parquet file",
    "arrow": "a whole Arrow file or stream",
    "csv": "a whole CSV file in UTF-8",
    "jsonl": "a whole file of JSON lines in UTF-8",
}


class Reader(Protocol):
    """An open file of a table.

    Attributes
    ----------
    schema : pyarrow.Schema
    counts : list of int
        Rows of each group, in row order. Groups are read by themselves.
    keeps : bool
        Whether the content is held, so that the reader should be kept rather than opened again.
    """

    schema: Any
    counts: list[int]
    keeps: bool

    def batches(
        self, columns: Sequence[str], group: int | None = None, size: int = _BATCH
    ) -> Iterator[Any]:
        """Yield the columns of one group, or of all, as batches of at most `size` rows."""

    def read(self, columns: Sequence[str]) -> Any:  # pyarrow.Table
        """Return columns of all rows."""

    def bytes_of(self, group: int) -> int:
        """Return about how many bytes the rows of a group take."""

    def numbers_of(self, group: int, name: str) -> int | None:
        """Return the count of numbers in a column of lists, if it is known without reading."""

    def missing(self, names: Sequence[str]) -> bool | None:
        """Return whether columns have missing values or numbers; None if that must be read."""

    def close(self) -> None:
        """Close the file."""


def storage_of(kind: Any) -> Any:  # pyarrow.DataType, or None
    """Return the type in which values of an extension type are stored; other types as they are.

    So a `fixed_shape_tensor` is a list of numbers of fixed length.
    """
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


@contextmanager
def opened(path: Place, *, lean: bool = False, alone: bool = True) -> Iterator[Reader]:
    """Open a file of a table; errors of the block name the file.

    lean  : few bytes are read ahead
    alone : whether the table is this one file, whose name may then name a column
    """
    kind = kind_of(path)
    with _parquet.named(path, _WHAT.get(kind, "a whole file")):
        reader = _reader(path, kind, lean, alone)
        try:
            yield reader
        finally:
            reader.close()


def _reader(path: Place, kind: str, lean: bool, alone: bool) -> Reader:
    if kind == "parquet":
        return _Parquet(path, lean)
    if kind == "arrow":
        return _arrow(path)
    if kind == "csv":
        return _Held(_parsed_csv(path))
    if kind == "jsonl":
        return _Held(_parsed_jsonl(path))
    return _Arrays(path, kind, alone)


def held(path: Place, *, alone: bool = True) -> Reader | None:
    """Return an open reader of a file whose content is held; None for other kinds."""
    kind = kind_of(path)
    if kind == "parquet":
        return None
    with _parquet.named(path, _WHAT.get(kind, "a whole file")):
        reader = _reader(path, kind, False, alone)
    if reader.keeps:
        return reader
    reader.close()
    return None


class _Parquet:
    """Row groups of a Parquet file, whose page checksums are verified."""

    keeps = False

    def __init__(self, path: Place, lean: bool) -> None:
        settings: dict[str, Any] = {}
        if lean:  # the default, whole column chunks, took 850 MiB for 330 MiB
            settings = {"pre_buffer": False, "buffer_size": 2**20}
        self._file = _parquet.file_of(path, **settings)
        self.schema = self._file.schema_arrow
        facts = self._file.metadata
        self.counts = [facts.row_group(i).num_rows for i in range(facts.num_row_groups)]

    def batches(
        self, columns: Sequence[str], group: int | None = None, size: int = _BATCH
    ) -> Iterator[Any]:
        groups = {} if group is None else {"row_groups": [group]}
        yield from self._file.iter_batches(batch_size=size, columns=list(columns), **groups)

    def read(self, columns: Sequence[str]) -> Any:
        return self._file.read(columns=list(columns))

    def bytes_of(self, group: int) -> int:
        return int(self._file.metadata.row_group(group).total_byte_size)

    def numbers_of(self, group: int, name: str) -> int | None:
        facts = self._file.metadata.row_group(group)
        columns = map(facts.column, range(facts.num_columns))
        one = next((each for each in columns if name in _heads(each.path_in_schema)), None)
        return None if one is None else int(one.num_values)

    def missing(self, names: Sequence[str]) -> bool | None:
        facts, schema = self._file.metadata, self._file.schema
        own = [i for i in range(facts.num_columns)
               if not _heads(schema.column(i).path).isdisjoint(names)]  # fmt: skip
        for group in range(facts.num_row_groups):
            for i in own:
                known = facts.row_group(group).column(i).statistics
                if known is None or not known.has_null_count:
                    return None
                if known.null_count:
                    return True
        return False

    def close(self) -> None:
        self._file.close()


def _whole(reader: Any, columns: Sequence[str]) -> Any:  # pyarrow.Table
    """Return columns of all rows, from the batches of a reader."""
    schema = reader.schema
    own = [schema.field(i) for i, name in enumerate(schema.names) if name in columns]
    return pa.Table.from_batches(reader.batches(columns), pa.schema(own))


def _heads(path: str) -> set[str]:
    """Return the possible column names for the path of its values: "x" for "x.list.element"."""
    parts = path.split(".")
    return {".".join(parts[: i + 1]) for i in range(len(parts))}


class _Batches(ABC):
    """What readers of Arrow batches have in common."""

    schema: Any
    counts: list[int]

    @abstractmethod
    def _batch(self, group: int) -> Any:  # pyarrow.RecordBatch
        """Return a group."""

    def batches(
        self, columns: Sequence[str], group: int | None = None, size: int = _BATCH
    ) -> Iterator[Any]:
        for each in range(len(self.counts)) if group is None else [group]:
            batch = self._batch(each)
            names = [name for name in columns if name in self.schema.names]
            chosen = [i for i, name in enumerate(batch.schema.names) if name in names]
            arrays = [batch.column(i) for i in chosen]
            schema = pa.schema([batch.schema.field(i) for i in chosen])
            if not arrays:
                whole = pa.RecordBatch.from_struct_array(
                    pa.array([{}] * batch.num_rows, pa.struct([]))
                )
            else:
                whole = pa.RecordBatch.from_arrays(arrays, schema=schema)
            for start in range(0, batch.num_rows, size):
                yield whole.slice(start, size)

    def read(self, columns: Sequence[str]) -> Any:
        return _whole(self, columns)

    def bytes_of(self, group: int) -> int:
        return int(self._batch(group).nbytes)

    def numbers_of(self, group: int, name: str) -> int | None:  # noqa: ARG002  # of Reader
        return None

    def missing(self, names: Sequence[str]) -> bool | None:  # noqa: ARG002  # of Reader
        return None

    def close(self) -> None:
        return


class _Held(_Batches):
    """Batches in memory, or in a memory map."""

    keeps = True

    def __init__(self, table: Any, source: Any = None) -> None:  # pyarrow.Table
        self.schema = table.schema
        self._all = table.to_batches(max_chunksize=_BATCH)
        self.counts = [batch.num_rows for batch in self._all]
        self._source = source

    def _batch(self, group: int) -> Any:
        return self._all[group]


class _ArrowFile(_Batches):
    """Batches of an Arrow file, in any order."""

    keeps = False

    def __init__(self, file: Any, source: Any) -> None:  # pyarrow.ipc.RecordBatchFileReader
        self._file, self._source = file, source
        self.schema = file.schema
        self.counts = [file.get_batch(i).num_rows for i in range(file.num_record_batches)]

    def _batch(self, group: int) -> Any:
        return self._file.get_batch(group)

    def close(self) -> None:
        self._source.close()


def _arrow(path: Place) -> Reader:
    """Open an Arrow file (Feather), or a stream."""
    if isinstance(path, Remote):
        source = path.open()
    elif path.stat().st_size:
        source = pa.memory_map(str(path))
    else:
        raise pa.ArrowInvalid("an empty file")
    begin = source.read(6)
    source.seek(0)
    if begin == b"ARROW1":
        return _ArrowFile(pa.ipc.open_file(source), source)
    if begin[:4] == b"FEA1":
        raise pa.ArrowInvalid("a Feather file of version 1: write it again with version 2")
    return _Held(pa.ipc.open_stream(source).read_all(), source)


def _text(path: Place) -> Any:  # pyarrow.NativeFile
    system, inside = file_system(path)
    return system.open_input_stream(inside, compression="detect")


def _parsed_csv(path: Place) -> Any:  # pyarrow.Table
    """Parse CSV; a string that is empty without quotes is missing, as pandas writes it."""
    from pyarrow import compute, csv

    tabs = ".tsv" in path.name.lower().rsplit("/", 1)[-1]
    parse = csv.ParseOptions(delimiter="\t" if tabs else ",", newlines_in_values=True)
    read = csv.ReadOptions(block_size=_BLOCK)
    with _text(path) as file:
        found = csv.read_csv(file, read_options=read, parse_options=parse)
    empty = [
        name for at, name in enumerate(found.column_names)
        if pa.types.is_string(found.schema.types[at]) and found.column_names.count(name) == 1
        and compute.any(compute.equal(found[at], "")).as_py()
    ]  # fmt: skip
    if not empty:
        return found
    convert = csv.ConvertOptions(  # of these columns alone: elsewhere "NA" is a missing number
        include_columns=empty, column_types=dict.fromkeys(empty, pa.string()), null_values=[""],
        strings_can_be_null=True, quoted_strings_can_be_null=False,
    )  # fmt: skip
    with _text(path) as file:
        own = csv.read_csv(file, read_options=read, parse_options=parse, convert_options=convert)
    for name in empty:
        found = found.set_column(found.column_names.index(name), name, own[name])
    return found


def _parsed_jsonl(path: Place) -> Any:  # pyarrow.Table
    from pyarrow import json

    with _text(path) as file:
        try:
            return json.read_json(file, read_options=json.ReadOptions(block_size=_BLOCK))
        except pa.ArrowInvalid as error:
            if str(error).startswith("Empty JSON file"):
                return pa.table({})  # no rows, and no columns
            raise


class _Arrays:
    """Arrays of the same rows as columns; those of a matrix are lists of fixed length."""

    def __init__(self, path: Place, kind: str, alone: bool) -> None:
        self.keeps = kind == "npz"
        name = EMBEDDINGS
        if kind == "npy":
            found = arrays_in(path, kind, name)
            if len(found[name].shape) == 1:  # of a label or a score of each row
                found = {path.stem if alone else "values": found[name]}
        else:
            found = arrays_in(path, kind, name)
        self._arrays: Mapping[str, Stored] = found
        self.schema = pa.schema([pa.field(each, _type(of)) for each, of in found.items()])
        size = next((stored.shape[0] for stored in found.values()), 0)
        widest = max((_width(stored) for stored in found.values()), default=1)
        step = max(1, min(_BATCH, _BYTES // max(1, widest)))
        self._starts = range(0, size, step)
        self.counts = [min(step, size - start) for start in self._starts]

    def batches(
        self, columns: Sequence[str], group: int | None = None, size: int = _BATCH
    ) -> Iterator[Any]:
        names = [name for name in self._arrays if name in columns]
        schema = pa.schema([self.schema.field(name) for name in names])
        for each in range(len(self.counts)) if group is None else [group]:
            start, stop = self._starts[each], self._starts[each] + self.counts[each]
            for low in range(start, stop, size):
                high = min(low + size, stop)
                arrays = [_column(self._arrays[name].rows(low, high)) for name in names]
                if not names:
                    empty = pa.array([{}] * (high - low), pa.struct([]))
                    yield pa.RecordBatch.from_struct_array(empty)
                else:
                    yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def read(self, columns: Sequence[str]) -> Any:
        return _whole(self, columns)

    def bytes_of(self, group: int) -> int:
        return self.counts[group] * sum(map(_width, self._arrays.values()))

    def numbers_of(self, group: int, name: str) -> int | None:
        stored = self._arrays.get(name)
        if stored is None or len(stored.shape) < 2:
            return None
        return int(self.counts[group] * np.prod(stored.shape[1:], dtype=np.int64))

    def missing(self, names: Sequence[str]) -> bool | None:  # noqa: ARG002  # of Reader
        return False  # arrays have NaN, but no missing values

    def close(self) -> None:
        return


def _width(stored: Stored) -> int:
    return int(stored.dtype.itemsize * np.prod(stored.shape[1:], dtype=np.int64))


def _type(stored: Stored) -> Any:  # pyarrow.DataType
    kind: Any = pa.float32() if stored.is_bfloat else None
    if kind is None:
        text = stored.dtype.kind
        kind = {"U": pa.string(), "S": pa.binary(), "b": pa.bool_()}.get(text)
        kind = pa.from_numpy_dtype(stored.dtype.newbyteorder("=")) if kind is None else kind
    width = int(np.prod(stored.shape[1:], dtype=np.int64))
    return kind if len(stored.shape) == 1 else pa.list_(kind, width)


def _column(rows: NDArray[Any]) -> Any:  # pyarrow.Array
    flat = rows.reshape(-1)
    values = pa.array(flat.tolist() if rows.dtype.kind in "US" else np.ascontiguousarray(flat))
    if rows.ndim == 1:
        return values
    width = int(np.prod(rows.shape[1:], dtype=np.int64))
    return pa.FixedSizeListArray.from_arrays(values, width)
