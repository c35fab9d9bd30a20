"""Tables of embeddings and columns of the same rows, from files of one kind; see `_sources`.

Rows are numbered consecutively over the files. Nothing is unpickled. Embeddings in one local .npy
or safetensors file stay on disk; all others are read into memory or, if a folder is given, copied
once to a file there. Only the columns that are used are read, and must have compatible types.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .. import _check
from .._check import _labels
from .._check._keywords import short, told
from .._check._rows import Rows
from .._files import _parquet
from .._files._paths import check_folder, tensors_of
from .._files._remote import Place
from .._warning import warn
from ._arrays import BAD_HEADER, PLAIN
from ._lists import refuse_ragged, rows_in_memory, rows_on_disk, width_of
from ._parts import of_column
from ._readers import storage_of
from ._schema import Schemas, is_number, is_rows
from ._sources import Given, Source, paths_read, source_of

__all__ = ["Table", "class_columns", "columns_text", "in_order", "open_table", "shape_of"]

_NUMBER = re.compile("[0-9]+")
_SHOWN = 16  # names shown in a report


@told
@dataclass
class Table:
    """The rows of a file, or of the shards in a folder, with columns of additional files.

    Attributes
    ----------
    paths : tuple of pathlib.Path
        The files, in the order in which their rows are numbered. One on object storage is an object
        with the methods of a path that are needed to read it.
    size : int
        N.
    embeddings : array or Rows of shape (N, D), or None
        `Rows` are on disk, and read on demand. Embeddings in columns are read on first access;
        missing rows and numbers are NaN. A tensor of each row counts as its numbers.
    has_embeddings : bool
    embeddings_shape : tuple of int, or None
    names : tuple of str
        Names of the columns that `column` can read.
    embedding_columns : tuple of str
        The columns of the embeddings, in the order of their dimensions; () for one .npy or
        safetensors file.
    """

    paths: tuple[Place, ...]
    size: int
    names: tuple[str, ...]
    embedding_columns: tuple[str, ...] = ()
    _load: Callable[[], NDArray[Any] | Rows] | None = field(default=None, repr=False)
    _wide: Schemas | None = field(default=None, repr=False)  # the files of the embedding columns
    _columns: dict[str, list[Schemas]] = field(default_factory=dict, repr=False)
    _nested: dict[str, str] = field(default_factory=dict, repr=False)  # types of others
    _rows: NDArray[np.int64] | None = field(default=None, repr=False)
    _loaded: NDArray[Any] | Rows | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        more = f" and {len(self.paths) - 1} more files" if len(self.paths) > 1 else ""
        names, embeddings = short(self.names), self.has_embeddings
        rows = f"{self.size} rows of {self.paths[0]}{more}"
        return f"Table({rows}, names={names}, has_embeddings={embeddings})"

    @property
    def has_embeddings(self) -> bool:
        """Whether there are embeddings; they are not read."""
        return self._load is not None

    def refuse_no_embeddings(self, what: str) -> None:
        """Raise if there are no embeddings.

        what : what needs them, the beginning of the message
        """
        if not self.has_embeddings:
            raise ValueError(
                f"{what} needs embeddings, got none in {self.paths[0]}, with the columns "
                f"{list(self.names)}: name a column of lists, or columns of numbers by a pattern "
                "such as 'x*' (embeddings); or name the .npy file of the embeddings instead, and "
                "this table next to it (beside, in a command --beside); `sampling embed` makes "
                "embeddings of texts and images"
            )

    @property
    def embeddings(self) -> NDArray[Any] | Rows | None:
        """Embeddings (N, D), read on first access; None if there are none."""
        if self._loaded is None and self._load is not None:
            self._loaded = self._load()
        return self._loaded

    @property
    def embeddings_shape(self) -> tuple[int, ...] | None:
        """Shape of the embeddings, of which only a few rows are read; None if there are none.

        It is (N, D), except for a file with an array of another shape. Raises ValueError if several
        columns or tensors could be the embeddings and none is named.
        """
        if self._wide is not None and self._loaded is None:
            return self.size, width_of(self._wide, self.embedding_columns)
        rows = self.embeddings
        return None if rows is None else tuple(rows.shape)

    def check_rows(self) -> None:
        """Refuse a table without rows.

        Raises
        ------
        ValueError
        """
        if not self.size:
            raise ValueError(f"{self.paths[0]} must not be empty, got no rows")

    def check_embeddings(self) -> None:
        """Refuse embeddings that are not a matrix, before they are read; a table may have none.

        Lists of several lengths in Parquet are refused as far as the files' metadata show them.

        Raises
        ------
        ValueError
            Also if several columns or tensors could be the embeddings and none is named.
        """
        shape = self.embeddings_shape
        if shape is not None and (len(shape) != 2 or 0 in shape):
            raise ValueError(f"embeddings must have shape (N, D) with N, D >= 1, got {shape}")
        if self._wide is not None and self._loaded is None:
            refuse_ragged(self._wide, self.embedding_columns)

    def column(self, name: str, *, missing: bool = False) -> NDArray[Any]:
        """Return a column of the table as a numpy array (N,).

        Parameters
        ----------
        name : str
        missing : bool, default False
            Whether values may be missing: then numbers are float64 with NaN, times have NaT, and
            all other types are arrays of objects with None. Integers beyond 2**53, which float64
            cannot represent, are objects too.

        Raises
        ------
        ValueError
            If there is no such column, or more than one; if no type holds the values of all files;
            if values are missing and `missing` is False; the message names the row.
        """
        allowed, whole = _check.flag("missing", missing), self.values(name)
        if not whole.null_count:
            array: NDArray[Any] = whole.to_numpy()
            return _labels.strings(array.tolist()) if array.dtype == object else array
        if not allowed:
            _parquet.refuse_missing(name, whole, self._lacking(name))
        _warn_lacking(name, self._schemas_of(name), [name])
        return _with_gaps(whole)

    def labels(self, name: str) -> NDArray[Any]:
        """Return a column of labels or groups: (N,); nulls are None, or masked.

        Parameters
        ----------
        name : str

        Raises
        ------
        ValueError
            If there is no such column, or more than one; if no type holds the values of all files.
        TypeError
            If it does not hold ints, bools or strings.
        """
        found, missing = _labels.opened(name, self.values(name))
        _warn_lacking(name, self._schemas_of(name), [name])
        if isinstance(found, _labels.Labels):
            names = np.array([*found.names.tolist(), None], object)  # None belongs to -1
            array: NDArray[Any] = names[found.codes]
            return array
        return found if missing is None else np.ma.masked_array(found, missing)

    def values(self, name: str) -> Any:  # pyarrow.ChunkedArray
        """Return a column of the table as a pyarrow array (N,), in the common type of all files.

        Parameters
        ----------
        name : str

        Returns
        -------
        pyarrow.ChunkedArray
            Categories are decoded; decimal numbers become float64, or int64 if they are
            whole.

        Raises
        ------
        ValueError
            If there is no such column, or more than one; if no type holds the values of all files.
        """
        kind = self.type_of(name)
        found = of_column(_chunks, self._schemas_of(name), name, kind)
        whole = pa.chunked_array([chunk for part in found for chunk in part], kind)
        if self._rows is None:
            return whole
        if pa.types.is_string(kind):  # pyarrow concatenates their chunks: at most 2 GiB
            whole = whole.cast(pa.large_string())
        return whole.take(pa.array(self._rows))

    def flags(self, name: str, function: Callable[[Any], NDArray[np.bool_]]) -> NDArray[np.bool_]:
        """Return a flag for each row, computed from the values of a column where they are read.

        Parameters
        ----------
        name : str
        function : callable
            Takes the values of some rows, a pyarrow.ChunkedArray (n,) as of `values`, and returns
            a bool array (n,). It may be sent to other processes.

        Returns
        -------
        bool array of shape (N,)

        Raises
        ------
        ValueError
            As for `values`.
        """
        kind = self.type_of(name)
        found = of_column(partial(_packed, function), self._schemas_of(name), name, kind)
        whole = [np.unpackbits(bits, count=count).astype(np.bool_) for count, bits in found]
        every = np.concatenate([np.empty(0, np.bool_), *whole])
        return every if self._rows is None else every[self._rows]

    def type_of(self, name: str) -> Any:  # pyarrow.DataType
        """Return the type of `values` without reading the column; refuse an invalid column.

        Parameters
        ----------
        name : str

        Returns
        -------
        pyarrow.DataType

        Raises
        ------
        ValueError
            If there is no such column, or more than one, or no type holds the values of all files.
        """
        return _read_as(self._schemas_of(name).field(name).type)

    def check_column(self, name: str) -> None:
        """Refuse a column that the table does not have; one of nested values is accepted.

        Parameters
        ----------
        name : str

        Raises
        ------
        ValueError
            If there is no such column, or more than one.
        """
        if name not in self._nested:
            self._schemas_of(name)

    def fields_of(self, name: str) -> list[tuple[Place, Any]]:  # pyarrow.Field
        """Return the files with a column, in row order, and its field with metadata in each.

        Parameters
        ----------
        name : str

        Returns
        -------
        list of (pathlib.Path, pyarrow.Field)

        Raises
        ------
        ValueError
            If there is no such column, or more than one.
        """
        return self._schemas_of(name).said_of(name)

    def take(self, rows: NDArray[np.int64]) -> Table:
        """Return a table with a subset of the rows.

        Parameters
        ----------
        rows : int64 array of shape (n,)

        Returns
        -------
        Table
            Embeddings on disk stay on disk; those in memory are copied.
        """
        own = rows if self._rows is None else self._rows[rows]
        load = None if self._load is None else partial(_taken, self, rows)
        return replace(self, size=len(rows), _rows=own, _load=load, _loaded=None)

    def _schemas_of(self, name: str) -> Schemas:
        if name in self._nested:
            raise ValueError(
                f"column must hold single values, got {name!r}, of {self._nested[name]}"
            )
        if name not in self._columns:
            raise ValueError(
                f"column must be one of {list(self.names)}, got {name!r}"
                f"{_check.closest(name, self.names)}"
            )
        one, *others = self._columns[name]
        if others:
            raise ValueError(
                f"{name!r} must be one column, got it in {one.files[0]} and in "
                f"{others[0].files[0]}: rename one of them, or exclude it"
            )
        return one

    def _lacking(self, name: str) -> str:
        """Name a file without such a column, for the end of a message; "" if all files have it."""
        other = _without(self._schemas_of(name), [name])
        return f": {other[0]} has no such column" if other else ""


def _chunks(values: Any) -> list[Any]:  # pyarrow.ChunkedArray
    return list(values.chunks)


def _packed(
    function: Callable[[Any], NDArray[np.bool_]], values: Any
) -> tuple[int, NDArray[np.uint8]]:
    """Return the number of values, and a bit for each."""
    flags = function(values)
    return flags.size, np.packbits(flags)


def _without(schemas: Schemas, names: Sequence[str]) -> list[Place]:
    """Return the files with rows that do not have all of some columns."""
    return [
        path for path, count in zip(schemas.files, schemas.counts, strict=True)
        if count and len(schemas.within(path, names)) < len(names)
    ]  # fmt: skip


def _warn_lacking(what: str, schemas: Schemas, names: Sequence[str]) -> None:
    """Warn of files whose rows have no value because they do not have the column."""
    other = _without(schemas, names)
    if other:
        more = f" and {len(other) - 1} more" if len(other) > 1 else ""
        warn(f"{what} is missing in all rows of {other[0]}{more}: there is no such column")


def _read_as(kind: Any) -> Any:  # pyarrow.DataType
    """Return the type in which a column is read: for categories, the type of their values."""
    if pa.types.is_dictionary(kind):
        return _read_as(kind.value_type)
    kind = storage_of(kind)
    if pa.types.is_decimal(kind):
        return pa.float64() if kind.scale else pa.int64()
    return kind


def _taken(table: Table, rows: NDArray[np.int64]) -> NDArray[Any] | Rows:
    found: Any = table.embeddings
    return found.take(rows) if isinstance(found, Rows) else found[rows]


def _with_gaps(whole: Any) -> NDArray[Any]:  # pyarrow.ChunkedArray
    """Return a column with missing values as a numpy array; see `Table.column`."""
    kind = whole.type
    if pa.types.is_null(kind):
        return np.full(len(whole), np.nan)
    if pa.types.is_integer(kind):
        try:
            whole = whole.cast(pa.float64())
        except pa.ArrowException:  # not all numbers fit float64
            return np.array([*whole.to_pylist(), None], object)[:-1]
    elif not (pa.types.is_floating(kind) or pa.types.is_temporal(kind)):
        return np.array([*whole.to_pylist(), None], object)[:-1]
    array: NDArray[Any] = whole.to_numpy()
    return array.astype(np.float64) if array.dtype.kind == "f" else array


@told
def open_table(
    path: Given,
    *,
    embeddings: str | None = None,
    beside: Given = (),
    scratch: str | Path | None = None,
    contents: Sequence[Mapping[str, Any]] | None = None,
) -> Table:
    """Open a file, a folder of files, a pattern, or a sequence of them as one table.

    Parameters
    ----------
    path : str or pathlib.Path, or sequence of them
        A file; a folder, of which all files of tables are read, with its subfolders, in the order
        of their paths; a pattern such as "corpus/*.parquet" ("**" matches any folders), likewise; a
        folder of `datasets.Dataset.save_to_disk`, in its own order; or a sequence of these, in the
        given order. As in `pyarrow.dataset`, files and folders whose names begin with "." or "_"
        are ignored in a folder. An address such as s3://bucket/corpus, gs://... or file://... is
        opened by Arrow, any other by fsspec.

        All files of a table are of one kind: Parquet (.parquet, .pq, .parq), Arrow (.arrow,
        .feather, .ipc), .npy, .npz, .safetensors, JSON lines (.jsonl, .ndjson) or CSV (.csv, .tsv),
        the last two also compressed (.gz). In .npz and safetensors files every array with rows is a
        column, in .npz single values are ignored. JSON lines, CSV and .npz are held in memory while
        they are read: of a table that is larger, make Parquet or .npy first.
    embeddings : str, optional
        The column (lists of one length, or tensors of one shape) or the safetensors tensor that
        holds the embeddings; by default the only candidate. A pattern such as "x*" selects the
        matching columns of numbers, sorted by the numbers in their names (x2 before x10). Names
        with equal numbers, and those without numbers, which come last, are in the order of the
        file.
    beside : str or pathlib.Path, or sequence of them, default ()
        Tables with additional columns of the same rows, one path each; their list columns are
        ignored.
    scratch : str or pathlib.Path, optional
        Folder for a copy of embeddings from columns, N D values of their dtype, which later calls
        with files of the same bytes reuse. By default they are read into memory. It must not be in
        a folder that is read.
    contents : sequence of mapping, optional
        The `digests` of the files of `path`, if known. They identify a copy in `scratch`; by
        default the files are read once more to compute them.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If a file is damaged or changes while it is read (the message names it), or holds pickled
        objects; if files are of several kinds, or of none that is known; or if the `beside` tables
        have another number of rows. If `embeddings` is given for one .npy file, which holds one
        array, or `scratch` if there is nothing to copy. Lists of embeddings that differ in length
        are refused when they are read.
    OSError
        If a path does not exist or cannot be read.

    Notes
    -----
    Columns
        The columns of the files may differ. A column that is used is read as one type for all files
        with rows: numbers as the type that holds all of them, strings and lists regardless of how
        they are stored. If a file lacks the column, or has it without any value, its values are
        missing. Unused columns are not examined.
    Folders
        A folder named KEY=VALUE (a hive partition) below the given one, or below the deepest folder
        that several given paths share, gives a column KEY, as in `pyarrow.dataset`: of int32 if all
        its values are ints, else of strings, null for files in no such folder. A column of a file
        with the name of such a key is refused when it is used.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder, "rows.npy"), np.eye(3, dtype=np.float16))
    ...     table = open_table(Path(folder, "rows.npy"))
    >>> table.size, table.embeddings.shape, table.names
    (3, (3, 3), ())
    """
    source = source_of(path)
    if len({*source.paths}) < len(source.paths):
        again = next(each for i, each in enumerate(source.paths) if each in source.paths[:i])
        raise ValueError(f"each file must be given once, got {again} again")
    _check_needless(source, embeddings, scratch)
    besides = _check.paths("beside", beside)
    twice = [each for i, each in enumerate(besides) if each in besides[:i]]
    if twice:
        raise ValueError(f"beside must name each file once, got {twice[0]} again")
    if scratch is not None:
        check_folder(scratch, paths_read([*_check.paths("path", path), *besides]))
    copies = None if scratch is None else Path(scratch)
    table = _main(source, embeddings, copies, contents)
    if scratch is not None and not table.has_embeddings:
        raise ValueError(f"scratch must be omitted if there are no embeddings, got {scratch}")
    if scratch is not None:
        _ = table.embeddings  # the copy is made now
    for other in besides:
        _add(table, other)
    return table


def _main(
    source: Source,
    embeddings: str | None,
    scratch: Path | None,
    contents: Sequence[Mapping[str, Any]] | None,
) -> Table:
    """Open a table without the tables `beside` it."""
    if not source.stays_on_disk:
        return _of_columns(source, embeddings, scratch, contents)
    path = source.paths[0]
    if source.kind == "safetensors":
        return _of_safetensors(Path(path), embeddings)
    own = _npy(Path(path))
    return Table(source.paths, len(own), (), _load=lambda: own)


def _add(table: Table, beside: Any) -> None:  # a path
    """Add the columns of a table of the same rows."""
    more = Schemas(source_of(beside, name="beside"))
    if more.size != table.size:
        raise ValueError(
            f"{beside} must have {table.size} rows, as {table.paths[0]}, got {more.size}: row i of "
            "both is the same sample"
        )
    names = [name for name in more.names if _is_single(more, name)]
    table.names += tuple(name for name in names if name not in table.names)
    table._nested |= _nested(more, (*table.names, *table.embedding_columns))
    for name in names:
        if not any(_same_key(each, more, name) for each in table._columns.get(name, ())):
            table._columns.setdefault(name, []).append(more)


def _same_key(one: Schemas, other: Schemas, name: str) -> bool:
    """Return whether a column is a key of the folders of two tables, with equal values."""
    runs = one.key_runs(name)
    return runs is not None and runs == other.key_runs(name)


def _check_needless(source: Source, embeddings: Any, scratch: Any) -> None:
    """Refuse arguments that do not apply to the kind of the files."""
    if embeddings is not None and source.kind == "npy":
        raise ValueError(
            f"embeddings must be omitted for a .npy file, which holds one array, got "
            f"{embeddings!r} with {source.paths[0]}"
        )
    if scratch is not None and source.stays_on_disk:
        raise ValueError(
            f"scratch must be omitted for one .npy or .safetensors file, whose rows stay on disk, "
            f"got it with {source.paths[0]}"
        )


@told
def may_copy(path: Given) -> bool:
    """Return whether embeddings of a table can be copied to a `scratch` folder.

    Parameters
    ----------
    path : str or pathlib.Path, or sequence of them
        Those of `open_table`.

    Returns
    -------
    bool
        False for one .npy or safetensors file on this machine: its rows stay on disk.
    """
    return not source_of(path).stays_on_disk


@told
def shape_of(
    path: Given,
    *,
    embeddings: str | None = None,
    beside: Given = (),
) -> tuple[int, int | None, tuple[str, ...]]:
    """Return N, D and the column names of a table, from the metadata of its files.

    Parameters
    ----------
    path, embeddings, beside
        Those of `open_table`.

    Returns
    -------
    tuple of int, int or None, tuple of str
        D is None if there are no embeddings, or only scalars instead of them.

    Raises
    ------
    ValueError
        As in `open_table`; if several columns or tensors could be the embeddings and none is named.
    """
    table = open_table(path, embeddings=embeddings, beside=beside)
    shape = table.embeddings_shape
    return table.size, shape[1] if shape is not None and len(shape) > 1 else None, table.names


def _npy(path: Path) -> Rows | NDArray[Any]:
    rows: NDArray[Any] = npy_in(path)
    if not (rows.flags.c_contiguous and rows.size):
        return rows
    return Rows(path, rows.shape, rows.dtype, rows.offset)  # type: ignore[attr-defined]  # a memmap


def npy_in(path: Path) -> Any:  # numpy.memmap
    """Memory-map the array of a .npy file; scalars and pickled objects are refused."""
    what = "a whole .npy file of numbers"
    _check.file(path, what)
    try:
        array = np.lib.format.open_memmap(path, mode="r")
        wrong = f"dtype {array.dtype}" if array.dtype.kind not in "fiubUS" else None
    except BAD_HEADER as error:
        raise ValueError(_check.damaged(path, what, error)) from error
    if wrong is not None or array.ndim == 0:
        raise ValueError(f"{path} must be {what}, got {wrong or 'a single value'}")
    return array


def _of_safetensors(path: Path, name: str | None) -> Table:
    """Find the tensor of the embeddings; if there are several, one must be named only when used."""
    from safetensors import SafetensorError

    paths: tuple[Place, ...] = (path,)
    _check.file(path, "a whole safetensors file")
    try:
        with tensors_of(path) as file:
            lengths = {each: file.get_slice(each).get_shape()[:1] for each in file.keys()}  # noqa: SIM118  # no mapping
    except SafetensorError as error:
        raise ValueError(_check.damaged(path, "a whole safetensors file", error)) from error
    names = list(lengths)
    if name is not None and name not in names:
        raise ValueError(f"embeddings must be one of the tensors {names}, got {name!r}")
    if name is not None or len(names) == 1:
        own = _tensor(path, names[0] if name is None else name)
        return Table(paths, len(own), (), _load=lambda: own)
    more = _of_dynamics(path)
    several = partial(_refuse_several, "tensors", names, path, more)
    sizes = {each[0] for each in lengths.values() if each}
    if len(sizes) != 1 or [] in lengths.values():
        several()
    return Table(paths, sizes.pop(), (), _load=several)


def _of_dynamics(path: Path) -> str:
    """Return what to say of a file of `TrainingDynamics.save`; "" of another."""
    with tensors_of(path) as file:
        ours = "training dynamics" in (file.metadata() or {})
    if not ours:
        return ""
    return (
        ", a file of TrainingDynamics.save: make scores of it with `sampling score --of dynamics`"
    )


def _tensor(path: Path, name: str) -> Rows | NDArray[Any]:
    with path.open("rb") as file:  # the format: length of the header, header as JSON, tensors
        length = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(length))[name]
    kind, shape = entry["dtype"], tuple(entry["shape"])
    if not shape:
        raise ValueError(f"{path} must hold rows, got a single value")
    begin = 8 + length + entry["data_offsets"][0]
    if kind == "BF16":  # the upper half of a float32; numpy has no such dtype
        half = np.asarray(Rows(path, shape, "<u2", begin))
        return (half.astype(np.uint32) << 16).view(np.float32)
    if kind not in PLAIN:
        raise ValueError(f"{path} must hold one of {', '.join(PLAIN)} or BF16, got {kind}")
    return Rows(path, shape, PLAIN[kind], begin)


def _embedding_columns(schemas: Schemas, name: str | None) -> tuple[str, ...]:
    """Return the columns of the embeddings: those named, or the only column of lists.

    () if there are none. Several list columns are refused when the embeddings are needed and none
    is named.
    """
    wide = _wide(schemas)
    if name is None:
        return wide if len(wide) < 2 else ()
    if name in wide:
        return (name,)
    if name in schemas.names and schemas.type_of(name) is None:
        schemas.field(name)  # raises the reason
    like = [each for each in schemas.names if fnmatch.fnmatchcase(each, name)]
    like = [each for each in like if not schemas.is_key(each)]
    kinds = {each: schemas.field(each).type for each in like}  # no dimension is dropped silently
    found = tuple(each for each in like if is_number(kinds[each]) or pa.types.is_null(kinds[each]))
    if len(found) < 2:
        raise ValueError(
            f"embeddings must be one of the list columns {list(wide)}, or a pattern such "
            f"as 'x*' for two columns of numbers or more, got {name!r}"
        )
    return in_order(found)


def _wide(schemas: Schemas) -> tuple[str, ...]:
    return tuple(name for name in schemas.names if is_rows(schemas.type_of(name)))


def _is_single(schemas: Schemas, name: str) -> bool:
    """Return whether a column holds scalars, or values that are refused when it is used."""
    kind = storage_of(schemas.type_of(name))
    return kind is None or not pa.types.is_nested(kind)


def in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Sort names by the numbers in them, names without numbers last; stable.

    Parameters
    ----------
    names : sequence of str

    Examples
    --------
    >>> in_order(["rest", "x10", "x2", "x1_b", "x1_a"])
    ('x1_b', 'x1_a', 'x2', 'x10', 'rest')
    """
    numbers = {name: [int(each) for each in _NUMBER.findall(name)] for name in names}
    return tuple(sorted(names, key=lambda name: (not numbers[name], numbers[name])))


@told
def class_columns(table: Table, *, labelled: bool = True) -> tuple[str, ...]:
    """Return the columns with the logits of class 0, 1, ..., if a table has such columns.

    Parameters
    ----------
    table : Table
        Table opened with a pattern for its embeddings, such as "logit_*".
    labelled : bool, default True
        Whether the columns are compared with labels; otherwise their order does not matter.

    Returns
    -------
    tuple of str
        () if the logits are one column of lists, or come from a file of another format.

    Raises
    ------
    ValueError
        If the numbers in the names have a gap or a duplicate, or the first is neither 0 nor 1, or
        the table has another column of the kind: then the positions of the columns are not the
        classes.
    """
    labelled, names = _check.flag("labelled", labelled), table.embedding_columns
    if len(names) < 2:
        return ()
    numbers = [[int(each) for each in _NUMBER.findall(name)] for name in names]
    shapes = {_NUMBER.sub("#", name) for name in names}
    if labelled and len(shapes) == 1 and numbers[0]:
        for name, after, one, other in zip(names, names[1:], numbers, numbers[1:], strict=False):
            moved = [b - a for a, b in zip(one, other, strict=True) if a != b]
            if moved != [1]:
                raise ValueError(
                    f"columns of classes must be numbered one after another, got {name!r} and then "
                    f"{after!r}"
                )
        _refuse_part(names, table.names)
    return names


def _refuse_part(names: tuple[str, ...], others: Sequence[str]) -> None:
    """Refuse the columns of only some classes, if the first or others are missing."""
    first, second = ([int(each) for each in _NUMBER.findall(name)] for name in names[:2])
    place = next(i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b)
    alike = [name for name in others if _NUMBER.sub("#", name) == _NUMBER.sub("#", names[0])]
    for name in in_order(alike):
        own = [int(each) for each in _NUMBER.findall(name)]
        if own[:place] + own[place + 1 :] == first[:place] + first[place + 1 :]:
            raise ValueError(
                f"embeddings must take a column for each class, got {columns_text(names)} without "
                f"{name!r}: write a pattern that takes it too"
            )
    if first[place] > 1:
        raise ValueError(
            f"columns of classes must begin with number 0 or 1, got {names[0]!r} as the first"
        )


@told
def columns_text(names: Sequence[str]) -> str:
    """Format names for a report, in order: all, or the first ones and the last of many.

    Parameters
    ----------
    names : sequence of str

    Examples
    --------
    >>> columns_text(["x1", "x2"]), columns_text([f"x{i}" for i in range(99)])
    ('x1, x2', 'x0, x1, x2, x3, x4, x5, x6, x7, ..., x98 (99 columns)')
    """
    if len(names) <= _SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[: _SHOWN // 2])}, ..., {names[-1]} ({len(names)} columns)"


def _of_columns(
    source: Source,
    name: str | None,
    scratch: Path | None,
    contents: Sequence[Mapping[str, Any]] | None,
) -> Table:
    """Find the columns of files, and the embeddings, which are read when used."""
    schemas, paths = Schemas(source), source.paths
    chosen = _embedding_columns(schemas, name)
    names = tuple(n for n in schemas.names if n not in chosen and _is_single(schemas, n))
    load: Callable[[], NDArray[Any] | Rows] | None = None
    if chosen:
        load = partial(_read_embeddings, schemas, chosen, scratch, contents)
    elif _wide(schemas):
        load = partial(_refuse_several, "columns", list(_wide(schemas)), paths[0])
    columns = {each: [schemas] for each in names}
    wide = schemas if chosen else None
    nested = _nested(schemas, names)
    return Table(paths, schemas.size, names, chosen, load, wide, columns, nested)


def _nested(schemas: Schemas, names: Sequence[str]) -> dict[str, str]:
    """Return the types of columns without single values, but for those that have the names."""
    others = [name for name in schemas.names if name not in names]
    kinds = {name: schemas.type_of(name) for name in others if not _is_single(schemas, name)}
    return {name: str(kind) for name, kind in kinds.items() if kind is not None}


def _read_embeddings(
    schemas: Schemas,
    chosen: tuple[str, ...],
    scratch: Path | None,
    contents: Sequence[Mapping[str, Any]] | None,
) -> NDArray[Any] | Rows:
    _warn_lacking("embeddings", schemas, chosen)
    if scratch is None:
        return rows_in_memory(schemas, chosen)
    sums = None if contents is None else [str(each["digest"]) for each in contents]
    return rows_on_disk(schemas, chosen, scratch, sums)


def _refuse_several(what: str, names: list[str], path: Place, more: str = "") -> NoReturn:
    raise ValueError(f"embeddings must name one of the {what} {names} of {path}{more}")
