"""Tables on disk: embeddings and columns of the same rows, from .npy, Parquet and safetensors.

Rows are numbered through the files in the order of their names. Nothing is unpickled. Embeddings
of .npy and safetensors are left on disk; those of Parquet are read into memory, or, where a folder
for it is given, copied once into a file there.
"""

import fnmatch
import json
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tokenize import TokenError
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .. import _check, _parquet
from .._files import check_folder, tensors_of
from .._rows import Rows
from ._lists import rows_in_memory, rows_on_disk

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
        `Rows` are on disk: they are read where they are needed.
    names : tuple of str
        Columns that `column` can read.
    embedding_columns : tuple of str
        The Parquet columns that the embeddings are made of, or would be if they were read, in the
        order of their dimensions; () for another file.
    """

    paths: tuple[Path, ...]
    size: int
    embeddings: NDArray[Any] | Rows | None
    names: tuple[str, ...]
    _files: dict[str, tuple[Path, ...]] = field(default_factory=dict, repr=False)
    _rows: NDArray[np.int64] | None = field(default=None, repr=False)
    embedding_columns: tuple[str, ...] = ()

    def column(self, name: str) -> NDArray[Any]:
        """Return a column of the table: (N,), strings as numpy has them.

        Parameters
        ----------
        name : str

        Raises
        ------
        ValueError
            If there is no such column, or it has missing values: the message names the row.
        """
        parts = [_parquet.read(path, [name])[name] for path in self.files_of(name)]
        whole = pa.chunked_array([chunk for part in parts for chunk in part.chunks])
        if whole.null_count:
            row = int(np.flatnonzero(whole.is_null().to_numpy())[0])
            raise ValueError(f"{name} must have no missing values, got null in row {row}")
        array: NDArray[Any] = whole.to_numpy()
        if self._rows is not None:
            array = array[self._rows]
        return array.astype(str) if array.dtype == object else array

    def files_of(self, name: str) -> tuple[Path, ...]:
        """Return the files that hold a column, in the order of their rows.

        Parameters
        ----------
        name : str

        Raises
        ------
        ValueError
            If there is no such column.
        """
        if name not in self._files:
            raise ValueError(
                f"column must be one of {list(self.names)}, got {name!r}"
                f"{_check.closest(name, self.names)}"
            )
        return self._files[name]

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
        embeddings = self.embeddings
        if embeddings is not None:
            embeddings = embeddings.take(rows) if isinstance(embeddings, Rows) else embeddings[rows]
        own = rows if self._rows is None else self._rows[rows]
        return replace(self, size=len(rows), embeddings=embeddings, _rows=own)


def open_table(
    path: str | Path | Sequence[str | Path],
    *,
    embeddings: str | None = None,
    beside: Sequence[str | Path] = (),
    scratch: str | Path | None = None,
    contents: Sequence[Mapping[str, Any]] | None = None,
    read_embeddings: bool = True,
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
    beside : sequence of str or pathlib.Path, default ()
        Parquet files with further columns of the same rows; what lists they have is left out.
    scratch : str or pathlib.Path, optional
        Folder for a copy of embeddings that come from Parquet, N D values of their dtype; a later
        call with files of the same bytes finds it there. By default they are read into memory. It
        must not be in a folder that is read.
    contents : sequence of mapping, optional
        What `digests` says of the files of `path`, where that is known already. A copy in `scratch`
        goes by it, and the files are read once more for it by default.
    read_embeddings : bool, default True
        Whether embeddings are wanted. If not, those of Parquet are left where they are, the table
        has none, and it need not be said which of several columns holds them.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If a file is damaged or changes while it is read (the message names it), holds pickled
        objects or lists of several lengths, or files differ in their number of rows or in their
        columns. If `embeddings` is given for a `.npy` file, which holds one array, or `scratch`
        where there is nothing to copy.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder, "rows.npy"), np.eye(3, dtype=np.float16))
    ...     table = open_table(Path(folder, "rows.npy"))
    >>> table.size, table.embeddings.shape, table.names
    (3, (3, 3), ())
    """
    read_embeddings = _check.flag("read_embeddings", read_embeddings)
    paths = _all_files(path)
    _check_needless(paths, embeddings, scratch)
    if scratch is not None:
        given = [path] if isinstance(path, str | Path) else path
        check_folder(scratch, [*given, *beside])
    if kind_of(paths[0]) == ".npy":
        table = Table(paths, 0, _npy(paths[0]), ())
    elif kind_of(paths[0]) == ".safetensors":
        table = Table(paths, 0, _safetensors(paths[0], embeddings, read_embeddings), ())
    else:
        copies = None if scratch is None else Path(scratch)
        table = _of_parquet(paths, embeddings, copies, contents, read_embeddings)
    if scratch is not None and table.embeddings is None:
        none = "there are no embeddings" if read_embeddings else "no embeddings are read"
        raise ValueError(f"scratch must be left out where {none}, got {scratch}")
    if table.embeddings is not None:
        table.size = len(table.embeddings)
    for other in _check.listed("beside", beside):
        more = _columns(_files(Path(other)))
        if more.size != table.size:
            raise ValueError(f"{other} must have {table.size} rows, got {more.size}")
        twice = set(more.names) & set(table.names)
        if twice:
            raise ValueError(
                f"{other} must have columns of its own, got {sorted(twice)[0]!r} again"
            )
        table.names += more.names
        table._files |= dict.fromkeys(more.names, more.paths)
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


def shape_of(
    path: str | Path | Sequence[str | Path],
    *,
    embeddings: str | None = None,
    beside: Sequence[str | Path] = (),
    read_embeddings: bool = True,
) -> tuple[int, int | None, tuple[str, ...]]:
    """Return N, D and the names of the columns of a table, from what its files say of themselves.

    Parameters
    ----------
    path, embeddings, beside, read_embeddings
        Those of `open_table`.

    Returns
    -------
    tuple of int, int or None, tuple of str
        D is None where there are no embeddings, or they are not read.
    """
    read_embeddings = _check.flag("read_embeddings", read_embeddings)
    paths = _all_files(path)
    _check_needless(paths, embeddings, None)
    if not _parquet.is_parquet(paths[0]):
        table = open_table(
            path, embeddings=embeddings, beside=beside, read_embeddings=read_embeddings
        )
        wide = table.embeddings if read_embeddings else None
        return table.size, None if wide is None else int(np.prod(wide.shape[1:])), table.names
    found = _columns(paths)
    chosen, width = found.embeddings(embeddings, wanted=read_embeddings), None
    if not read_embeddings:
        pass
    elif len(chosen) == 1:
        with _parquet.opened(paths[0]) as file:
            first = next(file.iter_batches(columns=[*chosen], batch_size=1), None)
        width = 0 if first is None else len(first.column(0)[0])
    elif chosen:
        width = len(chosen)
    others = [_columns(_files(Path(other))).names for other in _check.listed("beside", beside)]
    names = [each for each in found.names if each not in chosen]
    return found.size, width, (*names, *(each for other in others for each in other))


def _all_files(given: str | Path | Sequence[str | Path]) -> tuple[Path, ...]:
    """Return the files of a table in the order of its rows: several are of Parquet."""
    if isinstance(given, str | Path):
        return _files(Path(given))
    found = tuple(file for each in given for file in _files(Path(each)))
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


def _safetensors(path: Path, name: str | None, wanted: bool) -> Rows | NDArray[Any]:
    from safetensors import SafetensorError

    _check.file(path, "a whole safetensors file")
    try:
        with tensors_of(path) as file:
            names = list(file.keys())
            lengths = {tuple(file.get_slice(each).get_shape()[:1]) for each in names}
            if name is None and len(names) != 1 and (wanted or len(lengths) != 1):
                raise ValueError(f"embeddings must name one of the tensors {names} of {path}")
            if name is not None and name not in names:
                raise ValueError(f"embeddings must be one of the tensors {names}, got {name!r}")
    except SafetensorError as error:
        raise ValueError(f"{path} must be a whole safetensors file, got: {error}") from error
    with path.open("rb") as file:  # the format: length of the header, header as JSON, tensors
        length = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(length))[names[0] if name is None else name]
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


@dataclass(frozen=True)
class _Columns:
    """What Parquet shards hold."""

    paths: tuple[Path, ...]
    size: int
    names: tuple[str, ...]  # of columns of single values
    wide: tuple[str, ...]  # of columns of lists of numbers
    numbers: tuple[str, ...]  # of columns of single numbers

    def embeddings(self, name: str | None, *, wanted: bool = True) -> tuple[str, ...]:
        """Return the columns with the embeddings: those that are named, or the only one of lists.

        Empty where there are none.
        """
        if name is None and not wanted:
            return ()
        if name is None and len(self.wide) > 1:
            raise ValueError(
                f"embeddings must name one of the columns {list(self.wide)} of {self.paths[0]}"
            )
        if name is None or name in self.wide:
            return self.wide if name is None else (name,)
        found = tuple(each for each in self.numbers if fnmatch.fnmatchcase(each, name))
        if len(found) < 2:
            raise ValueError(
                f"embeddings must be one of the list columns {list(self.wide)}, or a pattern such "
                f"as 'x*' for two columns of numbers or more, got {name!r}"
            )
        return in_order(found)


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


class _Named(Protocol):
    """A table, or its outline."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def embedding_columns(self) -> tuple[str, ...]: ...


def class_columns(table: _Named, *, labelled: bool = True) -> tuple[str, ...]:
    """Return the columns that hold the logits of class 0, 1, ... of a table that has such.

    Parameters
    ----------
    table : Table or Outline
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
    wanted: bool,
) -> Table:
    """Read the embeddings of Parquet shards, and note their other columns."""
    found = _columns(paths)
    chosen = found.embeddings(name, wanted=wanted)
    rows: NDArray[Any] | Rows | None = None
    if not wanted:
        pass
    elif chosen and scratch is None:
        rows = rows_in_memory(paths, chosen, found.size)
    elif chosen and scratch is not None:
        sums = None if contents is None else [str(each["digest"]) for each in contents]
        rows = rows_on_disk(paths, chosen, found.size, scratch, sums)
    names = tuple(each for each in found.names if each not in chosen)
    files = dict.fromkeys(names, paths)
    return Table(paths, found.size, rows, names, files, embedding_columns=chosen)


def _columns(paths: tuple[Path, ...]) -> _Columns:
    """Return the columns of shards, which must have the same, of the same types."""
    schemas, size = [], 0
    for path in paths:
        with _parquet.opened(path) as file:
            schemas.append(file.schema_arrow)
            size += file.metadata.num_rows
    first = schemas[0]
    names = tuple(each.name for each in first if not pa.types.is_nested(each.type))
    for path, schema in zip(paths, schemas, strict=True):
        if schema.names != first.names:
            raise ValueError(
                f"{path} must have the columns of {paths[0].name}, {first.names}, got "
                f"{schema.names}"
            )
        for name in names:
            if schema.field(name).type != first.field(name).type:
                raise ValueError(
                    f"{name} must be {first.field(name).type} in all files, as in "
                    f"{paths[0].name}, got {schema.field(name).type} in {path}"
                )
    wide = tuple(each.name for each in first if _is_rows(each.type))
    return _Columns(paths, size, names, wide, tuple(n for n in names if _is_number(first.field(n))))


def _is_number(field: Any) -> bool:  # noqa: ANN401  # pyarrow.Field
    return bool(pa.types.is_integer(field.type) or pa.types.is_floating(field.type))


def _is_rows(kind: Any) -> bool:  # noqa: ANN401  # pyarrow.DataType
    """Whether a type is one of lists of numbers."""
    lists = (pa.types.is_list, pa.types.is_fixed_size_list, pa.types.is_large_list)
    if not any(each(kind) for each in lists):
        return False
    return bool(pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type))
