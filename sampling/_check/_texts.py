"""Read texts, one for each sample, from any container; they are not copied to a fixed width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from ._containers import is_missing, unread

_VIEWS = {"string_view": "large_string", "binary_view": "large_binary"}
_TEXT, _BYTES = {"string", "large_string"}, {"binary", "large_binary"}


class Texts:
    """Texts of samples, of which some may be missing.

    Attributes
    ----------
    lengths : int64 array of shape (N,)
        Characters of each text, or bytes of its encoding where these are known instead, which are
        at least as many; 0 if it is missing.
    missing : bool array of shape (N,), or None
        None, NaN, pandas' NA, an Arrow null, a masked entry; None if no text is missing.
    """

    def __init__(
        self,
        take: Callable[[NDArray[np.int64]], Sequence[str | bytes | None]],
        lengths: NDArray[np.int64],
        missing: NDArray[np.bool_],
    ) -> None:
        self._take = take
        self.lengths = lengths
        self.missing = missing if missing.any() else None

    def __len__(self) -> int:
        return self.lengths.size

    def take(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the texts of rows (n,); a missing one is ""."""
        found = self._take(rows)
        return [
            each if isinstance(each, str) else "" if each is None else each.decode()
            for each in found
        ]


def texts(name: str, values: ArrayLike) -> Texts:
    """Return the texts in a list, an array, a Series, an Arrow array or a column of a dataset.

    Bytes are read as UTF-8.

    Raises
    ------
    TypeError
        If an entry is no text; the message names the row.
    ValueError
        If there are none, or bytes are not UTF-8; the message names the row.
    """
    if isinstance(values, str | bytes):
        raise TypeError(f"{name} must hold one text for each row, got one text: give a list")
    masked = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    if masked is not None:
        values = np.asarray(values.data)  # type: ignore[union-attr]  # masked
    values = unread(name, values)
    if hasattr(values, "columns") and hasattr(values, "shape"):
        raise TypeError(f"{name} must be one column, got a {type(values).__name__}: select one")
    if hasattr(values, "isna") and hasattr(values, "to_numpy"):  # pandas
        values = values.to_numpy(object)
    if hasattr(values, "__arrow_c_array__") or hasattr(values, "__arrow_c_stream__"):
        return _of_arrow(name, values)
    if isinstance(values, np.ndarray) or not isinstance(values, list | tuple):
        values = _array(name, values)
    if not len(values):
        raise ValueError(f"{name} must not be empty, got length 0")
    if isinstance(values, np.ndarray) and values.dtype.kind in "US":
        return _of_words(name, values, masked)
    return _of_objects(name, values, masked)


def _array(name: str, values: Any) -> NDArray[Any]:  # any array-like
    array = _check.host(values, name)
    if array.ndim != 1:
        _check.refuse_shape(name, array)
    if array.dtype.kind not in "USOT":
        raise TypeError(
            f"{name} must hold strings, got dtype {array.dtype}: numbers are no texts; give "
            "str(number) of each if that is meant"
        )
    return array if array.dtype.kind in "US" else array.astype(object, copy=False)


def _of_words(name: str, array: NDArray[Any], masked: NDArray[np.bool_] | None) -> Texts:
    """Texts in a numpy array of fixed width, whose entries are not converted before use."""
    missing = np.zeros(array.size, np.bool_) if masked is None else masked
    lengths = np.strings.str_len(array) if hasattr(np, "strings") else np.char.str_len(array)
    lengths = np.where(missing, 0, lengths).astype(np.int64)
    if array.dtype.kind == "S":
        _refuse_other_bytes(name, array, missing)
    if not missing.any():
        return Texts(lambda rows: array[rows].tolist(), lengths, missing)
    return Texts(
        lambda rows: [
            None if missing[row] else each
            for row, each in zip(rows.tolist(), array[rows].tolist(), strict=True)
        ],
        lengths,
        missing,
    )


def _of_objects(name: str, rows: Any, masked: NDArray[np.bool_] | None) -> Texts:  # list, array
    """Texts that are Python objects."""
    held = rows.tolist() if isinstance(rows, np.ndarray) else rows
    if masked is not None:
        held = [None if out else each for each, out in zip(held, masked.tolist(), strict=True)]
    missing = np.zeros(len(held), np.bool_)
    kinds = set(map(type, held))
    if kinds != {str}:
        others = [kind for kind in kinds if not issubclass(kind, str | bytes)]
        if others:
            held = [None if is_missing(each) else each for each in held]
            missing = np.fromiter((each is None for each in held), np.bool_, len(held))
            _refuse_others(name, held)
        if any(issubclass(kind, bytes) for kind in kinds):
            _refuse_other_bytes(name, held, missing)
        held = [each.item() if isinstance(each, np.generic) else each for each in held]
    lengths = np.fromiter((0 if e is None else len(e) for e in held), np.int64, len(held))

    def take(rows: NDArray[np.int64]) -> Sequence[str | bytes | None]:
        return [held[row] for row in rows.tolist()]

    return Texts(take, lengths, missing)


def _refuse_others(name: str, held: Sequence[Any]) -> None:
    for row, each in enumerate(held):
        if each is not None and not isinstance(each, str | bytes):
            raise TypeError(
                f"{name} must hold strings, got {_check._shown(each)} of type "
                f"{type(each).__name__} in row {row}: make it a string, or None if it is missing"
            )


def _refuse_other_bytes(name: str, held: Any, missing: NDArray[np.bool_]) -> None:
    for row, each in enumerate(held):
        if isinstance(each, bytes) and not missing[row]:
            try:
                each.decode()
            except UnicodeDecodeError:
                raise ValueError(
                    f"{name} must be text in UTF-8, got other bytes in row {row}: decode them "
                    "first, or exclude the row"
                ) from None


def _of_arrow(name: str, values: Any) -> Texts:  # an Arrow array, or a container of one
    """Texts in an Arrow array, chunked or not, held in one buffer."""
    import pyarrow as pa  # imported only by users of Arrow arrays
    import pyarrow.compute as pc

    if not isinstance(values, pa.Array | pa.ChunkedArray):
        values = values.to_arrow() if hasattr(values, "to_arrow") else pa.chunked_array(values)
    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    kind = values.type
    if isinstance(kind, pa.BaseExtensionType):
        chunks, kind = [each.storage for each in chunks], kind.storage_type
    if pa.types.is_dictionary(kind):
        chunks, kind = [each.dictionary_decode() for each in chunks], kind.value_type
    word = _VIEWS.get(str(kind), str(kind)).removeprefix("large_")
    if word not in _TEXT | _BYTES and not pa.types.is_fixed_size_binary(kind):
        if not pa.types.is_null(kind):
            raise TypeError(f"{name} must hold strings, got Arrow's {kind}")
    if not len(values):
        raise ValueError(f"{name} must not be empty, got length 0")
    if word in _BYTES or pa.types.is_fixed_size_binary(kind):
        chunks = [each.cast(pa.large_binary()) for each in chunks]
    try:
        chunks = [each.cast(pa.large_string()) for each in chunks]
    except pa.ArrowInvalid:
        rows = [each.as_py() for chunk in chunks for each in chunk]
        _refuse_other_bytes(name, rows, np.zeros(len(rows), np.bool_))
        raise
    whole = chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)
    missing = np.asarray(whole.is_null())
    lengths = np.asarray(pc.binary_length(whole).fill_null(0)).astype(np.int64)
    return Texts(lambda rows: whole.take(pa.array(rows)).to_pylist(), lengths, missing)
