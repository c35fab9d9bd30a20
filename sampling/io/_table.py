"""Tables on disk: embeddings and columns of the same rows, from .npy, Parquet and safetensors.

Rows are numbered through the files in the order of their names. Nothing is unpickled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

__all__ = ["Table", "open_table"]

_SUFFIXES = (".npy", ".parquet", ".safetensors")


@dataclass
class Table:
    """The rows of one file, or of the shards in a folder, and of files beside them.

    Attributes
    ----------
    paths : tuple of pathlib.Path
        The files, in the order in which their rows are numbered.
    size : int
        N.
    embeddings : array of shape (N, D), or None
        Of a `.npy` file memory-mapped.
    names : tuple of str
        Columns that `column` can read.
    """

    paths: tuple[Path, ...]
    size: int
    embeddings: NDArray[Any] | None
    names: tuple[str, ...]
    _parquet: tuple[Path, ...] = field(default=(), repr=False)

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
        if name not in self.names:
            raise ValueError(f"column must be one of {list(self.names)}, got {name!r}")
        parts = [pq.read_table(path, columns=[name])[name] for path in self._parquet]
        whole = pa.chunked_array([chunk for part in parts for chunk in part.chunks])
        if whole.null_count:
            row = int(np.flatnonzero(whole.is_null().to_numpy())[0])
            raise ValueError(f"{name} must have no missing values, got none in row {row}")
        array: NDArray[Any] = whole.to_numpy()
        return array.astype(str) if array.dtype == object else array


def open_table(
    path: str | Path, *, embeddings: str | None = None, beside: Sequence[str | Path] = ()
) -> Table:
    """Open a file or a folder of shards.

    Parameters
    ----------
    path : str or pathlib.Path
        A `.npy`, `.parquet` or `.safetensors` file, or a folder of Parquet files, whose rows are
        numbered by file name.
    embeddings : str, optional
        The Parquet column (lists of one length) or the safetensors tensor that holds the
        embeddings; by default the only one that can.
    beside : sequence of str or pathlib.Path, default ()
        Parquet files with further columns of the same rows.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If a file is cut short, holds pickled objects or lists of several lengths, or files differ
        in their number of rows or in their columns.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder, "rows.npy"), np.eye(3, dtype=np.float16))
    ...     table = open_table(Path(folder, "rows.npy"))
    >>> table.size, table.embeddings.shape, table.names
    (3, (3, 3), ())
    """
    path = Path(path)
    paths = _files(path)
    if paths[0].suffix == ".npy":
        table = Table(paths, 0, _npy(paths[0]), ())
    elif paths[0].suffix == ".safetensors":
        table = Table(paths, 0, _safetensors(paths[0], embeddings), ())
    else:
        table = _parquet(paths, embeddings)
    if table.embeddings is not None:
        table.size = len(table.embeddings)
    for other in beside:
        more = _parquet(_files(Path(other)), None)
        if more.size != table.size:
            raise ValueError(f"{other} must have {table.size} rows, got {more.size}")
        table.names += more.names
        table._parquet += more._parquet
    return table


def _files(path: Path) -> tuple[Path, ...]:
    if path.is_dir():
        shards = tuple(sorted(path.glob("*.parquet")))
        if not shards:
            raise ValueError(f"{path} must hold Parquet files, got none")
        return shards
    if not path.exists():
        raise FileNotFoundError(f"{path} must exist")
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"{path} must end in one of {', '.join(_SUFFIXES)}, got {path.suffix!r}")
    return (path,)


def _npy(path: Path) -> NDArray[Any]:
    try:
        rows: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} must be a whole .npy file of numbers, got: {error}") from error
    return rows


def _safetensors(path: Path, name: str | None) -> NDArray[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            if name is None and len(names) != 1:
                raise ValueError(f"embeddings must name one of the tensors {names} of {path}")
            rows: NDArray[Any] = file.get_tensor(names[0] if name is None else name)
    except SafetensorError as error:
        raise ValueError(f"{path} must be a whole safetensors file, got: {error}") from error
    return rows


def _parquet(paths: tuple[Path, ...], name: str | None) -> Table:
    """Read the embeddings of Parquet shards, and note their other columns."""
    schemas, size = [], 0
    for path in paths:
        try:
            file = pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"{path} must be a whole Parquet file, got: {error}") from error
        schemas.append(file.schema_arrow)
        size += file.metadata.num_rows
    for path, schema in zip(paths, schemas, strict=True):
        if schema.names != schemas[0].names:
            raise ValueError(
                f"{path} must have the columns of {paths[0].name}, {schemas[0].names}, got "
                f"{schema.names}"
            )
    wide = [each.name for each in schemas[0] if _is_list(each.type)]
    if name is None and len(wide) > 1:
        raise ValueError(f"embeddings must name one of the columns {wide} of {paths[0]}")
    chosen = name if name is not None else next(iter(wide), None)
    if chosen is not None and chosen not in wide:
        raise ValueError(f"embeddings must be one of the list columns {wide}, got {chosen!r}")
    rows = None if chosen is None else _rows(paths, chosen, size)
    names = tuple(each for each in schemas[0].names if each not in wide)
    return Table(paths, size, rows, names, paths)


def _is_list(kind: Any) -> bool:  # noqa: ANN401  # pyarrow.DataType
    return bool(
        pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind)
    )


def _rows(paths: tuple[Path, ...], name: str, size: int) -> NDArray[Any]:
    """Read a column of lists of one length into one array, shard after shard."""
    rows: NDArray[Any] | None = None
    done = 0
    for path in paths:
        for batch in pq.ParquetFile(path).iter_batches(columns=[name], batch_size=65_536):
            lists = batch.column(0)
            if not len(lists):
                continue
            flat = lists.flatten().to_numpy(zero_copy_only=False)
            lengths = np.nan_to_num(lists.value_lengths().to_numpy(zero_copy_only=False), nan=-1)
            if rows is None:
                rows = np.empty((size, max(0, int(lengths[0]))), flat.dtype)
            other = np.flatnonzero(lengths != rows.shape[1])
            if other.size:
                raise ValueError(
                    f"{name} must hold lists of {rows.shape[1]} numbers, got others in {path}, "
                    f"row {other[0] + done}"
                )
            if flat.dtype != rows.dtype:
                raise ValueError(f"{name} must be {rows.dtype} in all files, got {flat.dtype}")
            rows[done : done + len(lists)] = flat.reshape(len(lists), -1)
            done += len(lists)
    if rows is None:
        raise ValueError(f"{name} must not be empty, got no rows in {paths[0]}")
    return rows
