"""Arrays in .npy, .npz and safetensors files, of which rows are read on demand.

Nothing is unpickled: an array of objects is refused.
"""

from __future__ import annotations

import json
import struct
import zipfile
from dataclasses import dataclass
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check
from .._files._remote import Place

__all__ = ["BAD_HEADER", "Stored", "arrays_in"]

# Exceptions for a damaged header: numpy evaluates it as a Python literal, and converts the result
# to a dtype.
BAD_HEADER = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, OverflowError,
              KeyError, AttributeError, EOFError, struct.error, TokenError)  # fmt: skip
PLAIN = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
         "I8": "|i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1"}  # fmt: skip
_KINDS = "fiubUS"


@dataclass(frozen=True)
class Stored:
    """An array in a file, or one that has been read from it.

    Attributes
    ----------
    path : Path or Remote
    shape : tuple of int
    dtype : dtype
        As stored; bfloat16, which numpy lacks, is the uint16 of its bits.
    offset : int
        Bytes before the first row; -1 for an array in memory.
    is_bfloat : bool
    array : array or None
        In memory.
    """

    path: Place
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int = -1
    is_bfloat: bool = False
    array: NDArray[Any] | None = None

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows [start, stop) in native byte order: (stop - start, ...)."""
        if self.array is not None:
            return self.array[start:stop]
        width = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
        count = (stop - start) * width
        with self.path.open("rb") as file:
            file.seek(self.offset + start * width)
            data = file.read(count)
        if len(data) < count:
            what = f"a whole file of {self.shape[0]} rows"
            raise ValueError(_check.damaged(self.path, what, "a file cut short"))
        found = np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])
        if self.is_bfloat:
            return (found.astype(np.uint32) << 16).view(np.float32)
        return found.astype(self.dtype.newbyteorder("="), copy=False)


def arrays_in(path: Place, kind: str, name: str) -> dict[str, Stored]:
    """Return the arrays of a file, by name; arrays without rows (single values) are omitted.

    name : of the array in a .npy file, which has none

    Raises
    ------
    ValueError
        If the file is damaged, or holds objects, or its arrays differ in their number of rows.
    """
    what = {"npy": "a whole .npy file of numbers", "npz": "a whole .npz file of numbers"}.get(
        kind, "a whole safetensors file"
    )
    try:
        if kind == "npy":
            found = {name: _of_npy(path)}
        else:
            found = _of_npz(path) if kind == "npz" else _of_tensors(path)
    except (*BAD_HEADER, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise ValueError(_check.damaged(path, what, error)) from error
    if kind == "npy" and not found[name].shape:
        raise ValueError(f"{path} must be {what}, got a single value")
    found = {each: stored for each, stored in found.items() if stored.shape}
    first = next(iter(found.items()), None)
    for each, stored in found.items():
        if first is not None and stored.shape[0] != first[1].shape[0]:
            raise ValueError(
                f"{path} must hold arrays of as many rows each, got {first[1].shape[0]} of "
                f"{first[0]!r} and {stored.shape[0]} of {each!r}"
            )
    return found


def _of_npy(path: Place) -> Stored:
    with path.open("rb") as file:
        shape, in_columns, dtype = _header(file)
        _refuse_kind(dtype)
        offset = int(file.tell())
        if in_columns and len(shape) > 1:
            file.seek(0)
            return _held(path, np.lib.format.read_array(file, allow_pickle=False))
        file.seek(0, 2)
        need = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if file.tell() < offset + need:
            raise ValueError(f"a file cut short, of {file.tell()} bytes")
    return Stored(path, shape, dtype, offset)


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        read = getattr(np.lib.format, "_read_array_header", None)
        if read is None:
            raise ValueError(f"version {version} of the format")
        return read(file, version)  # type: ignore[no-any-return]
    return read(file)


def _refuse_kind(dtype: np.dtype[Any]) -> None:
    if dtype.kind not in _KINDS:
        raise ValueError(f"dtype {dtype}")


def _held(path: Place, array: NDArray[Any]) -> Stored:
    _refuse_kind(array.dtype)
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return Stored(path, array.shape, native.dtype, array=np.ascontiguousarray(native))


def _of_npz(path: Place) -> dict[str, Stored]:
    with path.open("rb") as raw, zipfile.ZipFile(raw) as whole:
        found = {}
        for member in whole.namelist():
            if not member.endswith(".npy"):
                continue
            try:
                with whole.open(member) as file:
                    array = np.lib.format.read_array(file, allow_pickle=False)
                found[member[: -len(".npy")]] = _held(path, array)
            except BAD_HEADER as error:
                raise ValueError(f"array {member!r}: {error}") from error
    return found


def _of_tensors(path: Place) -> dict[str, Stored]:
    found = {}
    with path.open("rb") as file:  # the format: length of the header, header as JSON, tensors
        length = int.from_bytes(file.read(8), "little")
        if length > 2**27:
            raise ValueError("a header of more than 128 MiB")
        header = json.loads(file.read(length))
        file.seek(0, 2)
        size = int(file.tell())
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        kind, (begin, end) = entry["dtype"], entry["data_offsets"]
        if size < 8 + length + end:
            raise ValueError("a file cut short")
        if kind not in {*PLAIN, "BF16"}:
            raise ValueError(f"tensor {name!r} of {kind}, not of {', '.join(PLAIN)} or BF16")
        dtype = np.dtype(PLAIN.get(kind, "<u2"))
        shape = tuple(entry["shape"])
        found[name] = Stored(path, shape, dtype, 8 + length + begin, kind == "BF16")
    return found
