"""Read embeddings from lists or columns of files, in blocks, into memory or a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .._check._rows import Rows
from .._files._paths import written_whole
from .._files._remote import Place
from ._parts import digests_of, each_part
from ._readers import storage_of
from ._schema import FilePart, Schemas, is_rows

__all__ = ["refuse_ragged", "rows_in_memory", "rows_on_disk", "width_of"]

_FEW = 64  # rows read to find the length of the lists


def blocks_of(
    schemas: Schemas, part: FilePart, names: tuple[str, ...], width: int, dtype: np.dtype[Any]
) -> Iterator[NDArray[Any]]:
    """Yield the rows of one `FilePart` in blocks: arrays (n, D) of one dtype.

    names : one column of lists of equal length, or D columns of numbers
    width : D, from `width_of`
    dtype : from `dtype_of`

    Missing rows and numbers are NaN.
    """
    done, end = part.start, part.start + part.rows
    with schemas.opened(part.path) as file:
        for batch in part.batches(file, schemas.stored(part.path, names)):
            block = _block(batch, names, width, part.path, done)
            done += len(block)
            if done > end:
                break
            if block.dtype.kind == "f" and dtype.kind != "f":
                raise ValueError(
                    f"{part.path} must have no missing {names[0]}, as its footer states, got one "
                    "missing"
                )
            yield block.astype(dtype, copy=False)
    if done != end:
        raise ValueError(
            f"{part.path} must hold {end} rows up to the end of its group {part.after - 1}, as its "
            "footer says, got another number"
        )


def width_of(schemas: Schemas, names: tuple[str, ...]) -> int:
    """Return D: the number of columns, or the length of the first non-missing list."""
    if len(names) > 1:
        return len(names)
    for path, count in zip(schemas.files, schemas.counts, strict=True):
        if not count or not schemas.within(path, names):
            continue
        with schemas.opened(path) as file:
            for batch in file.batches([*names], size=_FEW):
                lists = _stored(batch.column(batch.schema.get_field_index(names[0])))
                if not pa.types.is_null(lists.type) and lists.null_count < len(lists):
                    return int(lists.drop_null().value_lengths()[0].as_py())
    what = "rows" if not schemas.size else "rows but missing ones"
    raise ValueError(f"{names[0]} must not be empty, got no {what} in {schemas.files[0]}")


def refuse_ragged(schemas: Schemas, names: tuple[str, ...]) -> None:
    """Refuse lists of other lengths than the first, as far as the footers show it.

    A footer counts the numbers of a row group. Where they do not fit rows of one length, the row
    group is read, so that the message names the row. Lists whose lengths differ but add up as those
    of equal ones are found when they are read.
    """
    if len(names) > 1:
        return
    width, done = width_of(schemas, names), 0
    for path, count in zip(schemas.files, schemas.counts, strict=True):
        if count and schemas.within(path, names):
            with schemas.opened(path) as file:
                at = done
                for group, rows in enumerate(file.counts):
                    # a missing list and an empty one count as one number
                    if file.numbers_of(group, names[0]) not in {None, width * rows}:
                        for batch in file.batches([*names], group):
                            _block(batch, names, width, path, at)
                            at += batch.num_rows
                    else:
                        at += rows
        done += count


def dtype_of(schemas: Schemas, names: tuple[str, ...]) -> np.dtype[Any]:
    """Return the dtype that holds the numbers of all files, and NaN if any is missing."""
    kinds = [storage_of(schemas.field(name).type) for name in names]
    kinds = [kind.value_type if is_rows(kind) else kind for kind in kinds]
    known = [kind.to_pandas_dtype() for kind in kinds if not pa.types.is_null(kind)]
    dtype = np.result_type(*(known or [np.float32]))
    if dtype.kind == "f" or not any(_has_gaps(schemas, path, names) for path in schemas.files):
        return dtype
    return np.result_type(dtype, np.float32)


def _has_gaps(schemas: Schemas, path: Place, names: tuple[str, ...]) -> bool:
    """Return whether a file has missing numbers, from its footer or else its pages."""
    with schemas.opened(path) as file:
        if not sum(file.counts):
            return False
        if len(schemas.stored(path, names)) < len(names):
            return True
        known = file.missing(names)
        return any(map(_any_missing, file.batches([*names]))) if known is None else known


def _any_missing(batch: Any) -> bool:  # pyarrow.RecordBatch
    lists = (pa.types.is_list, pa.types.is_fixed_size_list, pa.types.is_large_list)
    columns = map(_stored, batch.columns)
    return any(
        column.null_count or (any(is_(column.type) for is_ in lists) and
                              column.flatten().null_count)
        for column in columns
    )  # fmt: skip


def _stored(column: Any) -> Any:  # pyarrow.Array
    """Return a column of an extension type as it is stored: tensors as lists of numbers."""
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def _block(
    batch: Any,  # pyarrow.RecordBatch
    names: tuple[str, ...],
    width: int,
    path: Place,
    done: int,
) -> NDArray[Any]:
    """Return the rows (n, D) of a batch; missing values are NaN.

    done : number of rows before the batch
    """
    places = [batch.schema.get_field_index(name) for name in names]
    gap = np.full(batch.num_rows, np.nan, np.float32)
    if len(names) > 1:
        columns = [gap if at < 0 else _numbers(batch.column(at)) for at in places]
        return np.stack(columns, axis=1)
    lists = None if places[0] < 0 else _stored(batch.column(places[0]))
    if lists is None or pa.types.is_null(lists.type):
        return np.broadcast_to(gap[:, None], (gap.size, width))
    there = lists.is_valid().to_numpy(zero_copy_only=False)
    lengths = np.full(there.size, width)
    lengths[there] = lists.drop_null().value_lengths().to_numpy(zero_copy_only=False)
    other = np.flatnonzero(lengths != width)
    if other.size:
        raise ValueError(
            f"{names[0]} must hold lists of {width} numbers, got {lengths[other[0]]} in {path}, "
            f"row {other[0] + done}: embed all rows by one model, or exclude such files"
        )
    rows: NDArray[Any] = _numbers(lists.flatten()).reshape(-1, width)
    if there.all():
        return rows
    whole = np.full((there.size, width), np.nan, np.result_type(rows, np.float32))
    whole[there] = rows
    return whole


def _numbers(column: Any) -> NDArray[Any]:  # pyarrow.Array
    """Return numbers as a numpy array; missing ones are NaN."""
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan, np.float32)
    numbers: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return numbers


def rows_in_memory(schemas: Schemas, names: tuple[str, ...]) -> NDArray[Any]:
    """Read rows into one array (N, D)."""
    width, dtype = width_of(schemas, names), dtype_of(schemas, names)
    rows, done = np.empty((schemas.size, width), dtype), 0
    for part in schemas.parts(1):
        for block in blocks_of(schemas, part, names, width, dtype):
            rows[done : done + len(block)] = block
            done += len(block)
    return rows


def rows_on_disk(
    schemas: Schemas,
    names: tuple[str, ...],
    scratch: Path,
    sums: Sequence[str] | None = None,
) -> Rows:
    """Copy rows to a file atomically, unless an earlier call has done so.

    sums : digests of the files, computed here unless given

    The file name is derived from the digests: another table of the same names, sizes and times has
    another file. The digests are computed again after the copy, so files that changed meanwhile are
    not saved under any name. The shape is stored next to the copy as JSON.
    """
    paths, size = schemas.files, schemas.size
    scratch.mkdir(parents=True, exist_ok=True)
    known = digests_of(paths) if sums is None else list(sums)
    key = hashlib.blake2b(json.dumps([names, known]).encode(), digest_size=8).hexdigest()
    target, beside = scratch / f"rows-{key}.bin", scratch / f"rows-{key}.json"
    found = _copied(target, beside)
    if found is not None:
        return found
    width, dtype = width_of(schemas, names), dtype_of(schemas, names)
    with written_whole(target) as path:
        with path.open("wb") as file:
            file.truncate(size * width * dtype.itemsize)
        copy = partial(_copy, path.absolute(), schemas, names, width, dtype)
        for _ in each_part(copy, schemas, "copying rows"):
            pass
        for each, then, now in zip(paths, known, digests_of(paths), strict=True):
            if now != then:
                raise ValueError(f"{each} must not change while it is read, got other bytes")
    with written_whole(beside) as path:
        path.write_text(json.dumps({"shape": [size, width], "dtype": dtype.str}))
    return Rows(target, (size, width), dtype, scratch=scratch)


def _copy(  # of `rows_on_disk`, where the part is read
    target: Path,
    schemas: Schemas,
    names: tuple[str, ...],
    width: int,
    dtype: np.dtype[Any],
    part: FilePart,
) -> None:
    """Write the rows of one `FilePart` at their offset in a file."""
    with target.open("r+b") as file:
        file.seek(part.start * width * dtype.itemsize)
        for block in blocks_of(schemas, part, names, width, dtype):
            file.write(np.ascontiguousarray(block).data)


def _copied(target: Path, beside: Path) -> Rows | None:
    """Return the rows copied by an earlier call; None if there is no complete copy."""
    if not (target.exists() and beside.exists()):
        return None
    try:
        facts = json.loads(beside.read_text())
        return Rows(target, tuple(facts["shape"]), facts["dtype"], scratch=target.parent)
    except (ValueError, KeyError, TypeError):  # damaged: copied again
        return None
