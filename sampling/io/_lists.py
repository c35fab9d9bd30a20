"""Embeddings in Parquet, in lists or in many columns: read in blocks, into memory or a file."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _parquet
from .._files import written_whole
from .._rows import Rows
from ._bytes import digest

__all__ = ["rows_in_memory", "rows_on_disk"]

_BATCH = 65_536


def list_blocks(paths: tuple[Path, ...], names: tuple[str, ...]) -> Iterator[NDArray[Any]]:
    """Read rows shard after shard: arrays (n, D) of one dtype.

    names : one column of lists of one length, or D columns of numbers
    """
    done, width, kind = 0, -1, np.dtype(np.float32)
    what = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    for path in paths:
        for batch in _batches(path, names):
            if not batch.num_rows:
                continue
            block = _block(batch, names, width, f"{path}, row", done)
            if done == 0:
                width, kind = block.shape[1], block.dtype
            if block.dtype != kind:
                raise ValueError(f"{what} must be {kind} in all files, got {block.dtype} in {path}")
            yield block
            done += len(block)
    if done == 0:
        raise ValueError(f"{what} must not be empty, got no rows in {paths[0]}")


def _batches(path: Path, names: tuple[str, ...]) -> Iterator[Any]:
    with _parquet.opened(path) as file:
        yield from file.iter_batches(columns=list(names), batch_size=_BATCH)


def _block(batch: Any, names: tuple[str, ...], width: int, where: str, done: int) -> NDArray[Any]:  # noqa: ANN401
    """Return the rows (n, D) of a batch; lists must have the width of those before, if any."""
    if len(names) > 1:
        columns = [batch.column(name) for name in names]
        for name, column in zip(names, columns, strict=True):
            if column.null_count:
                row = done + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
                raise ValueError(f"{name} must have no missing values, got null in {where} {row}")
        return np.stack([each.to_numpy(zero_copy_only=False) for each in columns], axis=1)
    lists = batch.column(0)
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    lengths = np.nan_to_num(lists.value_lengths().to_numpy(zero_copy_only=False), nan=-1)
    width = max(0, int(lengths[0])) if width < 0 else width
    other = np.flatnonzero(lengths != width)
    if other.size:
        raise ValueError(
            f"{names[0]} must hold lists of {width} numbers, got others in {where} "
            f"{other[0] + done}"
        )
    rows: NDArray[Any] = flat.reshape(len(lists), width)
    return rows


def rows_in_memory(paths: tuple[Path, ...], names: tuple[str, ...], size: int) -> NDArray[Any]:
    """Read rows into one array (N, D)."""
    blocks = list_blocks(paths, names)
    first = next(blocks)  # there is one, or it raises
    rows = np.empty((size, first.shape[1]), first.dtype)
    done = 0
    for block in chain([first], blocks):
        _refuse_other(paths, done + len(block) <= size, size)
        rows[done : done + len(block)] = block
        done += len(block)
    _refuse_other(paths, done == size, size)
    return rows


def _refuse_other(paths: tuple[Path, ...], right: bool, size: int) -> None:
    """Refuse files that hold another number of rows than their footers say."""
    if not right:
        files = paths[0] if len(paths) == 1 else f"the files of {paths[0].parent}"
        raise ValueError(f"{files} must hold {size} rows, as their footers say, got another number")


def rows_on_disk(
    paths: tuple[Path, ...],
    names: tuple[str, ...],
    size: int,
    scratch: Path,
    sums: Sequence[str] | None = None,
) -> Rows:
    """Copy rows into a file, unless an earlier call has; whole or not at all.

    sums : digests of the files, made here unless they are known

    The file's name is made of the digests: another table of the same names, sizes and times has
    another file. After the copy they are made again: what changed meanwhile is under no name. The
    shape stands beside the copy as JSON.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    known = [digest(path) for path in paths] if sums is None else list(sums)
    key = hashlib.blake2b(json.dumps([names, known]).encode(), digest_size=8).hexdigest()
    target, beside = scratch / f"rows-{key}.bin", scratch / f"rows-{key}.json"
    found = _copied(target, beside)
    if found is not None:
        return found
    width, kind, done = 0, "", 0
    with written_whole(target) as path, path.open("wb") as file:
        for block in list_blocks(paths, names):
            file.write(np.ascontiguousarray(block).data)
            width, kind, done = block.shape[1], block.dtype.str, done + len(block)
        _refuse_other(paths, done == size, size)
        for each, then in zip(paths, known, strict=True):
            if digest(each) != then:
                raise ValueError(f"{each} must not change while it is read, got other bytes")
    with written_whole(beside) as path:
        path.write_text(json.dumps({"shape": [size, width], "dtype": kind}))
    return Rows(target, (size, width), kind, scratch=scratch)


def _copied(target: Path, beside: Path) -> Rows | None:
    """Return the rows that an earlier call has copied; None if it did not, or not to the end."""
    if not (target.exists() and beside.exists()):
        return None
    try:
        facts = json.loads(beside.read_text())
        return Rows(target, tuple(facts["shape"]), facts["dtype"], scratch=target.parent)
    except (ValueError, KeyError, TypeError):  # damaged: copied again
        return None
