"""Embeddings in a column of lists: read block after block, into memory or into one file on disk."""

import hashlib
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .._files import written_whole
from .._rows import Rows

__all__ = ["rows_in_memory", "rows_on_disk"]

_BATCH = 65_536


def list_blocks(paths: tuple[Path, ...], name: str) -> Iterator[NDArray[Any]]:
    """Read a column of lists of one length, shard after shard: arrays (n, D) of one dtype."""
    done, width, kind = 0, -1, np.dtype(np.float32)
    for path in paths:
        for batch in pq.ParquetFile(path).iter_batches(columns=[name], batch_size=_BATCH):
            lists = batch.column(0)
            if not len(lists):
                continue
            flat = lists.flatten().to_numpy(zero_copy_only=False)
            lengths = np.nan_to_num(lists.value_lengths().to_numpy(zero_copy_only=False), nan=-1)
            if done == 0:
                width, kind = max(0, int(lengths[0])), flat.dtype
            other = np.flatnonzero(lengths != width)
            if other.size:
                raise ValueError(
                    f"{name} must hold lists of {width} numbers, got others in {path}, "
                    f"row {other[0] + done}"
                )
            if flat.dtype != kind:
                raise ValueError(f"{name} must be {kind} in all files, got {flat.dtype} in {path}")
            yield flat.reshape(len(lists), width)
            done += len(lists)
    if done == 0:
        raise ValueError(f"{name} must not be empty, got no rows in {paths[0]}")


def rows_in_memory(paths: tuple[Path, ...], name: str, size: int) -> NDArray[Any]:
    """Read a column of lists into one array (N, D)."""
    blocks = list_blocks(paths, name)
    first = next(blocks)  # there is one, or it raises
    rows = np.empty((size, first.shape[1]), first.dtype)
    done = 0
    for block in chain([first], blocks):
        rows[done : done + len(block)] = block
        done += len(block)
    return rows


def rows_on_disk(paths: tuple[Path, ...], name: str, size: int, scratch: Path) -> Rows:
    """Copy a column of lists into a file, unless an earlier call has; whole or not at all.

    The file's name is made of the shards' names, sizes and times: of another table there is
    another file. What it holds stands beside it as JSON.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    what = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    key = hashlib.blake2b(json.dumps([name, what]).encode(), digest_size=8).hexdigest()
    target, beside = scratch / f"rows-{key}.bin", scratch / f"rows-{key}.json"
    if not (target.exists() and beside.exists()):
        width, kind = 0, ""
        with written_whole(target) as path, path.open("wb") as file:
            for block in list_blocks(paths, name):
                file.write(np.ascontiguousarray(block).data)
                width, kind = block.shape[1], block.dtype.str
        with written_whole(beside) as path:
            path.write_text(json.dumps({"shape": [size, width], "dtype": kind}))
    known = json.loads(beside.read_text())
    return Rows(target, tuple(known["shape"]), known["dtype"], scratch=scratch)
