"""Strict reader of the IDX format of MNIST and similar datasets: damaged files are refused.

An IDX file is two zero bytes, a type code, the number of dimensions, each dimension as a
big-endian uint32, and the values. Only unsigned bytes (code 8) occur in these datasets.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ... import _check

_UNSIGNED_BYTE = 0x08
_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: Path, ndim: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, plain or gzip-compressed.

    Parameters
    ----------
    path : Path
        The file. Its first bytes, not its name, determine whether it is compressed.
    ndim : int
        Required number of dimensions: 3 for images, 1 for labels.

    Returns
    -------
    uint8 array with `ndim` dimensions
        A writable copy.

    Raises
    ------
    ValueError
        If the file is truncated, damaged, longer than its header says, of another type or another
        number of dimensions. The message names the file, the rule and the value found.
    """
    raw = _decompressed(path)
    if len(raw) < 4:
        raise ValueError(f"{path} must start with a 4-byte IDX header, got {len(raw)} bytes")
    if raw[:3] != bytes([0, 0, _UNSIGNED_BYTE]):
        raise ValueError(
            f"{path} must start with bytes 00 00 08 (IDX, unsigned bytes), got {raw[:3].hex(' ')}"
        )
    if raw[3] != ndim:
        raise ValueError(f"{path} must have {ndim} dimensions, got {raw[3]}")
    start = 4 + 4 * ndim
    if len(raw) < start:
        raise ValueError(f"{path} must have a header of {start} bytes, got {len(raw)}: truncated")
    shape = struct.unpack(f">{ndim}I", raw[4:start])
    if 0 in shape:
        raise ValueError(f"{path} must not be empty, got shape {shape}")
    wanted, found = math.prod(shape), len(raw) - start
    if found != wanted:
        state = "truncated" if found < wanted else "bytes after the end"
        raise ValueError(
            f"{path} must hold {wanted} values for its shape {shape}, got {found}: {state}"
        )
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape).copy()


def _decompressed(path: Path) -> bytes:
    raw = path.read_bytes()
    if raw[:2] != _GZIP_MAGIC:
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(_check.damaged(path, "a whole gzip file", error)) from error
