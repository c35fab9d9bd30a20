"""Tables on disk: embeddings and columns of the same rows, from .npy, Parquet and safetensors.

Rows are numbered through the files in the order of their names. Nothing is unpickled. Embeddings
of .npy and safetensors are left on disk; those of Parquet are read into memory, or, where a folder
for it is given, copied once into a file there. Of Parquet only what is used is read, and must fit.
"""

import fnmatch
import json
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tokenize import TokenError
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .. import _check, _labels, _parquet
from .._files import check_folder, tensors_of
from .._keywords import told
from .._rows import Rows
from ._lists import rows_in_memory, rows_on_disk, width_of
from ._schema import Schemas, is_number, is_rows

__all__ = ["Table", "class_columns", "columns_text", "in_order", "open_table", "shape_of"]

_PLAIN = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I8": "|i1",
          "U8": "|u1"}  # fmt: skip
_SUFFIXES = (".npy", ".safetensors", *_parquet.SUFFIXES)
_NUMBER = re.compile("[0-9]+")
_SHOWN = 16  # names in a report
# What a damaged header raises: numpy has it evaluated as a literal of Python, and makes a dtype of
# what comes out.
_BAD_HEADER = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, OverflowError,
               KeyError, AttributeError, EOFError, struct.error, TokenError)  # fmt: skip


@dataclass
class Table:
    """The rows of one file, or of the shards in a folder, and of files beside them.

    Attributes
    ----------
    paths : tuple of pathlib.Path
        The files, in the order in which their rows are numbered.
    size : int
        N.
    embeddings : array or Rows of shape (N, D), or None
        `Rows` are on disk: they are read where they are needed. Those of Parquet are read when they
        are first asked for; a missing row, or number, is NaN.
    has_embeddings : bool
    embeddings_shape : tuple of int, or None
    names : tuple of str
        Columns that `column` can read.
    embedding_columns : tuple of str
        The Parquet columns that the embeddings are made of, in the order of their dimensions; ()
        for another file.
    """

    paths: tuple[Path, ...]
    size: int
    names: tuple[str, ...]
    embedding_columns: tuple[str, ...] = ()
    _load: Callable[[], NDArray[Any] | Rows] | None = field(default=None, repr=False)
    _wide: Schemas | None = field(default=None, repr=False)  # the files of the embedding columns
    _columns: dict[str, list[Schemas]] = field(default_factory=dict, repr=False)
    _nested: dict[str, str] = field(default_factory=dict, repr=False)  # types of others
    _rows: NDArray[np.int64] | None = field(default=None, repr=False)
    _loaded: NDArray[Any] | Rows | None = field(default=None, repr=False)

    @property
    def has_embeddings(self) -> bool:
        """Whether there are embeddings, which need not have been read."""
        return self._load is not None

    @property
    def embeddings(self) -> NDArray[Any] | Rows | None:
        """Embeddings (N, D), read when they are first asked for; None where there are none."""
        if self._loaded is None and self._load is not None:
            self._loaded = self._load()
        return self._loaded

    @property
    def embeddings_shape(self) -> tuple[int, ...] | None:
        """Shape of the embeddings, of which no more is read than a few; None where there are none.

        It is (N, D) but for a file that holds another array. Raises ValueError where several
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
        """Refuse, before they are read, embeddings that are no matrix; a table may have none.

        Raises
        ------
        ValueError
            Also where several columns or tensors could be the embeddings and none is named.
        """
        shape = self.embeddings_shape
        if shape is not None and (len(shape) != 2 or 0 in shape):
            raise ValueError(f"embeddings must have shape (N, D) with N, D >= 1, got {shape}")

    def column(self, name: str, *, missing: bool = False) -> NDArray[Any]:
        """Return a column of the table: (N,), strings as numpy has them.

        Parameters
        ----------
        name : str
        missing : bool, default False
            Whether values may be missing: then numbers are float64 with NaN, times have NaT, and
            anything else is an array of objects with None. Whole numbers beyond 2**53, which
            float64 has not, are objects too.

        Raises
        ------
        ValueError
            If there is no such column, or more than one; if no type holds the values of all files;
            if values are missing and may not be: the message names the row.
        """
        allowed, whole = _check.flag("missing", missing), self.values(name)
        if not whole.null_count:
            array: NDArray[Any] = whole.to_numpy()
            return _labels.strings(array.tolist()) if array.dtype == object else array
        if not allowed:
            _parquet.refuse_missing(name, whole, self._lacking(name))
        return _with_gaps(whole)

    def labels(self, name: str) -> NDArray[Any]:
        """Return a column of labels or groups: (N,), where a null is None, or masked.

        Parameters
        ----------
        name : str

        Raises
        ------
        ValueError
            If there is no such column, or more than one; if no type holds the values of all files.
        TypeError
            If it holds no ints, bools or strings.
        """
        found, missing = _labels.opened(name, self.values(name))
        if isinstance(found, _labels.Labels):
            names = np.array([*found.names.tolist(), None], object)  # None is that of -1
            array: NDArray[Any] = names[found.codes]
            return array
        return found if missing is None else np.ma.masked_array(found, missing)

    def values(self, name: str) -> Any:  # noqa: ANN401  # pyarrow.ChunkedArray
        """Return a column of the table as pyarrow has it, in the type for all files: (N,).

        Parameters
        ----------
        name : str

        Returns
        -------
        pyarrow.ChunkedArray
            Categories as what they stand for, decimal numbers as float64, or int64 without places.

        Raises
        ------
        ValueError
            If there is no such column, or more than one; if no type holds the values of all files.
        """
        schemas, kind = self._schemas_of(name), self.type_of(name)
        chunks = []
        for path, count in zip(schemas.files, schemas.counts, strict=True):
            if not count:
                continue  # whose type need not fit
            part = schemas.read(path, [name])[name]
            try:
                chunks += part.cast(kind).chunks
            except pa.ArrowException as error:
                raise ValueError(
                    f"{name!r} must fit {kind}, got {part.type} in {path}: {error}"
                ) from error
        whole = pa.chunked_array(chunks, kind)
        if self._rows is None:
            return whole
        if pa.types.is_string(kind):  # whose chunks pyarrow puts together: 2 GiB at the most
            whole = whole.cast(pa.large_string())
        return whole.take(pa.array(self._rows))

    def type_of(self, name: str) -> Any:  # noqa: ANN401  # pyarrow.DataType
        """Return the type of `values`, or refuse the column, without reading it.

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

    def files_of(self, name: str) -> tuple[Path, ...]:
        """Return the files that hold a column, in the order of their rows.

        Parameters
        ----------
        name : str

        Raises
        ------
        ValueError
            If there is no such column, or more than one.
        """
        return self._schemas_of(name).files_of(name)

    def take(self, rows: NDArray[np.int64]) -> "Table":
        """Return the table of some of the rows.

        Parameters
        ----------
        rows : int64 array of shape (n,)

        Returns
        -------
        Table
            Embeddings on disk stay there; those in memory are copied.
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
                f"{others[0].files[0]}: rename one of them, or leave it out"
            )
        return one

    def _lacking(self, name: str) -> str:
        """Return which file has no such column, for the end of a message; "" if all have."""
        schemas = self._schemas_of(name)
        other = [
            path for path, count in zip(schemas.files, schemas.counts, strict=True)
            if count and not schemas.within(path, [name])
        ]  # fmt: skip
        return f": {other[0]} has no such column" if other else ""


def _read_as(kind: Any) -> Any:  # noqa: ANN401  # pyarrow.DataType
    """Return the type in which a column is read: of categories, that of what they stand for."""
    if pa.types.is_dictionary(kind):
        return _read_as(kind.value_type)
    if pa.types.is_decimal(kind):
        return pa.float64() if kind.scale else pa.int64()
    return kind


def _taken(table: Table, rows: NDArray[np.int64]) -> NDArray[Any] | Rows:
    found: Any = table.embeddings
    return found.take(rows) if isinstance(found, Rows) else found[rows]


def _with_gaps(whole: Any) -> NDArray[Any]:  # noqa: ANN401  # pyarrow.ChunkedArray
    """Return a column with missing values as numpy has them, see `Table.column`."""
    kind = whole.type
    if pa.types.is_null(kind):
        return np.full(len(whole), np.nan)
    if pa.types.is_integer(kind):
        try:
            whole = whole.cast(pa.float64())
        except pa.ArrowException:  # not all of them are numbers of float64
            return np.array([*whole.to_pylist(), None], object)[:-1]
    elif not (pa.types.is_floating(kind) or pa.types.is_temporal(kind)):
        return np.array([*whole.to_pylist(), None], object)[:-1]
    array: NDArray[Any] = whole.to_numpy()
    return array.astype(np.float64) if array.dtype.kind == "f" else array


@told
def open_table(
    path: str | Path | Sequence[str | Path],
    *,
    embeddings: str | None = None,
    beside: str | Path | Sequence[str | Path] = (),
    scratch: str | Path | None = None,
    contents: Sequence[Mapping[str, Any]] | None = None,
) -> Table:
    """Open a file or a folder of shards, or several one after another.

    Parameters
    ----------
    path : str or pathlib.Path, or sequence of them
        A `.npy`, `.parquet` or `.safetensors` file, or a folder of Parquet files, whose rows are
        numbered by file name. As in `pyarrow.dataset`, folders in it belong to it, and files and
        folders whose names begin with "." or "_" do not. Several are Parquet files and folders,
        numbered in the order given.
    embeddings : str, optional
        The Parquet column (lists of one length) or the safetensors tensor that holds the
        embeddings; by default the only one that can. A pattern such as "x*" takes the Parquet
        columns of numbers that match, in the order of the numbers in their names (x2 before x10);
        names with equal numbers, and those without, which come last, in the order of the file.
    beside : str or pathlib.Path, or sequence of them, default ()
        Parquet files with further columns of the same rows; what lists they have is left out.
    scratch : str or pathlib.Path, optional
        Folder for a copy of embeddings that come from Parquet, N D values of their dtype; a later
        call with files of the same bytes finds it there. By default they are read into memory. It
        must not be in a folder that is read.
    contents : sequence of mapping, optional
        What `digests` says of the files of `path`, where that is known already. A copy in `scratch`
        goes by it, and the files are read once more for it by default.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If a file is damaged or changes while it is read (the message names it), holds pickled
        objects, or files beside it have another number of rows. If `embeddings` is given for a
        `.npy` file, which holds one array, or `scratch` where there is nothing to copy. Embeddings
        of Parquet that are lists of several lengths are refused when they are read.

    Notes
    -----
    Columns     Files need not agree in their columns. What is used is read as one type for all
                files with rows: numbers as the one that holds all, strings and lists whatever way
                they are stored; a column that a file has not, or has without any value, is missing
                there. What is not used is not looked at.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder, "rows.npy"), np.eye(3, dtype=np.float16))
    ...     table = open_table(Path(folder, "rows.npy"))
    >>> table.size, table.embeddings.shape, table.names
    (3, (3, 3), ())
    """
    paths = _all_files(path)
    _check_needless(paths, embeddings, scratch)
    besides = _check.paths("beside", beside)
    twice = [each for i, each in enumerate(besides) if each in besides[:i]]
    if twice:
        raise ValueError(f"beside must name each file once, got {twice[0]} again")
    if scratch is not None:
        check_folder(scratch, [*_check.paths("path", path), *besides])
    if kind_of(paths[0]) == ".npy":
        own = _npy(paths[0])
        table = Table(paths, len(own), (), _load=lambda: own)
    elif kind_of(paths[0]) == ".safetensors":
        table = _of_safetensors(paths, embeddings)
    else:
        copies = None if scratch is None else Path(scratch)
        table = _of_parquet(paths, embeddings, copies, contents)
    if scratch is not None and not table.has_embeddings:
        raise ValueError(f"scratch must be left out where there are no embeddings, got {scratch}")
    if scratch is not None:
        _ = table.embeddings  # they are wanted: the copy is made now
    for other in besides:
        more = Schemas(_files(Path(other)))
        if more.size != table.size:
            raise ValueError(f"{other} must have {table.size} rows, got {more.size}")
        names = [name for name in more.names if _is_single(more, name)]
        table.names += tuple(name for name in names if name not in table.names)
        table._nested |= _nested(more, (*table.names, *table.embedding_columns))
        for name in names:
            table._columns.setdefault(name, []).append(more)
    return table


def _check_needless(paths: tuple[Path, ...], embeddings: Any, scratch: Any) -> None:  # noqa: ANN401
    """Refuse arguments that a file of this format has no use for."""
    if embeddings is not None and paths[0].suffix == ".npy":
        raise ValueError(
            f"embeddings must be left out for a .npy file, which holds one array, got "
            f"{embeddings!r} with {paths[0]}"
        )
    if scratch is not None and not _parquet.is_parquet(paths[0]):
        raise ValueError(f"scratch must be left out but for Parquet, got it with {paths[0]}, whose "
                         "rows stay on disk")  # fmt: skip


@told
def shape_of(
    path: str | Path | Sequence[str | Path],
    *,
    embeddings: str | None = None,
    beside: str | Path | Sequence[str | Path] = (),
) -> tuple[int, int | None, tuple[str, ...]]:
    """Return N, D and the names of the columns of a table, from what its files say of themselves.

    Parameters
    ----------
    path, embeddings, beside
        Those of `open_table`.

    Returns
    -------
    tuple of int, int or None, tuple of str
        D is None where there are no embeddings, or single values in their place.

    Raises
    ------
    ValueError
        What `open_table` refuses; if several columns or tensors could be the embeddings and none is
        named.
    """
    table = open_table(path, embeddings=embeddings, beside=beside)
    shape = table.embeddings_shape
    return table.size, shape[1] if shape is not None and len(shape) > 1 else None, table.names


def _all_files(given: str | Path | Sequence[str | Path]) -> tuple[Path, ...]:
    """Return the files of a table in the order of its rows: several are of Parquet."""
    if isinstance(given, str | Path):
        return _files(Path(given))
    found = tuple(file for each in _check.paths("path", given) for file in _files(Path(each)))
    if not found:
        raise ValueError("path must name at least one file, got none")
    for file in found:
        if len(found) > 1 and not _parquet.is_parquet(file):
            raise ValueError(f"several files must be Parquet, got {file}")
        if found.count(file) > 1:
            raise ValueError(f"each file must be given once, got {file} again")
    return found


def _files(path: Path) -> tuple[Path, ...]:
    if path.is_dir():
        shards = _parquet.shards_in(path)
        if not shards:
            raise ValueError(f"{path} must hold Parquet files, got none")
        return shards
    _check.file(path, "a file")
    if kind_of(path) not in _SUFFIXES:
        raise ValueError(f"{path} must end in one of {', '.join(_SUFFIXES)}, got {path.suffix!r}")
    return (path,)


def kind_of(path: Path) -> str:
    """Return the suffix of a file that says how it is read."""
    return path.suffix.lower()


def _npy(path: Path) -> Rows | NDArray[Any]:
    rows: NDArray[Any] = npy_in(path)
    if not (rows.flags.c_contiguous and rows.size):
        return rows
    return Rows(path, rows.shape, rows.dtype, rows.offset)  # type: ignore[attr-defined]  # a memmap


def npy_in(path: Path) -> Any:  # noqa: ANN401  # numpy.memmap
    """Map the array of a .npy file, not a scalar, into memory; nothing is unpickled."""
    what = "a whole .npy file of numbers"
    _check.file(path, what)
    try:
        array = np.lib.format.open_memmap(path, mode="r")
        wrong = f"dtype {array.dtype}" if array.dtype.kind not in "fiubUS" else None
    except _BAD_HEADER as error:
        raise ValueError(f"{path} must be {what}, got: {error}") from error
    if wrong is not None or array.ndim == 0:
        raise ValueError(f"{path} must be {what}, got {wrong or 'a single value'}")
    return array


def _of_safetensors(paths: tuple[Path, ...], name: str | None) -> Table:
    """Find the tensor with the embeddings; which of several need be said only where it is used."""
    from safetensors import SafetensorError

    (path,) = paths
    _check.file(path, "a whole safetensors file")
    try:
        with tensors_of(path) as file:
            lengths = {each: file.get_slice(each).get_shape()[:1] for each in file.keys()}  # noqa: SIM118  # no mapping
    except SafetensorError as error:
        raise ValueError(f"{path} must be a whole safetensors file, got: {error}") from error
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
    if kind == "BF16":  # the upper half of a float32, which numpy has not
        half = np.asarray(Rows(path, shape, "<u2", begin))
        return (half.astype(np.uint32) << 16).view(np.float32)
    if kind not in _PLAIN:
        raise ValueError(f"{path} must hold one of {', '.join(_PLAIN)} or BF16, got {kind}")
    return Rows(path, shape, _PLAIN[kind], begin)


def _embedding_columns(schemas: Schemas, name: str | None) -> tuple[str, ...]:
    """Return the columns with the embeddings: those that are named, or the only one of lists.

    () where there are none. Several of lists are refused where they are needed, and none is named.
    """
    wide = _wide(schemas)
    if name is None:
        return wide if len(wide) < 2 else ()
    if name in wide:
        return (name,)
    if name in schemas.names and schemas.type_of(name) is None:
        schemas.field(name)  # says why it is none
    like = [each for each in schemas.names if fnmatch.fnmatchcase(each, name)]
    kinds = {each: schemas.field(each).type for each in like}  # no dimension is left out unsaid
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
    """Whether a column holds single values, or what is refused when it is used."""
    kind = schemas.type_of(name)
    return kind is None or not pa.types.is_nested(kind)


def in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Return names in the order of the numbers in them, those without any last; stable.

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
    """Return the columns that hold the logits of class 0, 1, ... of a table that has such.

    Parameters
    ----------
    table : Table
        Opened with a pattern for its embeddings, such as "logit_*".
    labelled : bool, default True
        Whether labels are compared with them: else their order does not matter.

    Returns
    -------
    tuple of str
        () where the logits are one column of lists, or come from another file.

    Raises
    ------
    ValueError
        If the numbers of the names have a gap, or a number comes twice, or the first is neither 0
        nor 1, or the table has another column of the kind: then the columns' places are not the
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
    """Refuse columns of some classes: those of the first, or of others, are not among them."""
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
    """Return names for a report, in their order: all, or the first and the last of many.

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


def _of_parquet(
    paths: tuple[Path, ...],
    name: str | None,
    scratch: Path | None,
    contents: Sequence[Mapping[str, Any]] | None,
) -> Table:
    """Find the embeddings of Parquet shards, to be read when they are used, and the columns."""
    schemas = Schemas(paths)
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
    if scratch is None:
        return rows_in_memory(schemas, chosen)
    sums = None if contents is None else [str(each["digest"]) for each in contents]
    return rows_on_disk(schemas, chosen, scratch, sums)


def _refuse_several(what: str, names: list[str], path: Path, more: str = "") -> NoReturn:
    raise ValueError(f"embeddings must name one of the {what} {names} of {path}{more}")
