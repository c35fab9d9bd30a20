"""Read labels, groups, domains and ids, one for each sample, from any container.

All arguments that hold a class of each sample are read here, so that every container is accepted
and a missing label means the same everywhere. Containers: lists, numpy arrays of any kind, tensors,
Series of pandas and polars, Arrow arrays, columns of Hugging Face datasets. Missing: None, NaN,
NaT, pandas' NA, an Arrow null, a masked entry of a numpy array. A missing label is an unlabelled
sample, as -1 is among ints.

Strings are encoded as numbers at once. They are never stored at a fixed width: one long string
among many short ones would take N times its length.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from ._containers import is_missing, unread

Codes = NDArray[np.int64]

UNLABELLED = -1
_ROWS = 2**16  # rows of a numpy string array converted to Python strings at a time
_VIEWS = {"string_view": "string", "binary_view": "binary"}  # Arrow cannot encode these
_WORDS = {"string", "large_string", "binary", "large_binary", *_VIEWS}
_OBJECT = 57  # bytes of a short Python string beyond its characters, and of the pointer to it


class Labels:
    """Classes that occur, and the class of each sample.

    Attributes
    ----------
    names : array of shape (C,)
        The caller's ids or strings, sorted; unlabelled samples have no name.
    codes : int64 array of shape (N,)
        Position of each sample's class in `names`; -1 if the label is missing or -1.
    """

    def __init__(self, names: NDArray[Any], codes: Codes) -> None:
        self.names, self.codes = names, codes

    @classmethod
    def of(cls, ids: NDArray[Any]) -> Labels:
        """Return the classes of an array of ints or bools; -1 is unlabelled."""
        names, codes = np.unique(ids, return_inverse=True)
        if ids.dtype.kind in "iu" and int(names[0]) == UNLABELLED:
            names, codes = names[1:], codes - 1
        return cls(names, codes.astype(np.int64, copy=False))

    @classmethod
    def among(cls, words: list[Any], codes: Codes) -> Labels:
        """Return the classes of codes into distinct words in any order; -1 is missing."""
        used = np.bincount(codes[codes >= 0], minlength=len(words)) > 0
        order = sorted(np.flatnonzero(used).tolist(), key=words.__getitem__)
        places = np.full(len(words) + 1, -1)  # the last entry belongs to -1
        places[order] = np.arange(len(order))
        return cls(strings([words[each] for each in order]), places[codes])

    def __len__(self) -> int:
        return self.codes.size


def strings(words: Iterable[Any]) -> NDArray[Any]:
    """Return str or bytes as an array: of fixed width, or of objects if that takes less memory.

    A hundred thousand short strings and one of 1,000 characters are 6 MB as objects, and 400 MB at
    the width of the longest. Of objects also where one ends in NUL, which numpy drops at the end
    of a fixed width. Subclasses of str and bytes, such as members of an enumeration, count as
    their value.
    """
    held = list(map(_plain, words))
    if not held:
        return np.array(held, str)
    longest, total = max(map(len, held)), sum(map(len, held))
    size, end = (1, b"\0") if isinstance(held[0], bytes) else (4, "\0")
    narrow = longest * size * len(held) <= total + _OBJECT * len(held)
    if narrow and not any(each.endswith(end) for each in held):
        return np.array(held)
    array = np.empty(len(held), object)
    array[:] = held
    return array


def item(value: Any) -> Any:  # an entry of an array, of objects or not
    """Return an entry of an array as a Python object."""
    return value.item() if isinstance(value, np.generic) else value


def _plain(word: Any) -> Any:  # str or bytes
    """Return the str or bytes that an object of a subclass holds, whatever it prints as."""
    if type(word) in {str, bytes}:
        return word
    return str.__str__(word) if isinstance(word, str) else bytes(memoryview(word))


def read(name: str, values: ArrayLike) -> NDArray[Any] | Labels:
    """Return labels as an array of ints (-1: unlabelled) or bools (N,), or as `Labels`: of strings.

    Raises
    ------
    TypeError
        If labels are of several kinds, or of a kind other than int, str, bytes and bool; whole
        floats count as ints. The message names the row. If the container holds samples instead of
        labels; the samples are not read.
    ValueError
        If a label is a fraction, infinite, or an int below -1. The message names the row.
    """
    return _read(name, *opened(name, values))


def _read(
    name: str, array: NDArray[Any] | Labels, missing: NDArray[np.bool_] | None
) -> NDArray[Any] | Labels:
    if isinstance(array, Labels):
        return array
    if missing is None:
        return _check.labels(name, array)
    ids = np.full(array.size, UNLABELLED, np.int64)
    if not missing.all():
        if array.dtype.kind == "b":
            codes = np.where(missing, -1, array.astype(np.int64))
            return Labels(*_present(np.array([False, True]), codes))
        ids[~missing] = _known(name, array, ~missing)
    return ids


def opened(name: str, values: ArrayLike) -> tuple[NDArray[Any] | Labels, NDArray[np.bool_] | None]:
    """Return the content of a container: numbers (N,) and a mask of missing ones, or `Labels`.

    The numbers are ints, floats or bools of any meaning; those of missing entries are arbitrary.
    The mask is None if nothing is missing.
    """
    held, missing = _held(name, values)
    if isinstance(held, Labels):
        return held, None
    if held.ndim != 1:
        _check.refuse_shape(name, held)
    if held.size == 0:
        raise ValueError(f"{name} must not be empty, got length 0")
    if held.dtype.kind in "OT":
        return _of_objects(name, held.astype(object, copy=False), missing)
    if held.dtype.kind in "US":
        return _of_words(held, missing), None
    if held.dtype.kind == "f":
        gone = np.isnan(held)
        missing = gone if missing is None else gone | missing
    return held, missing if missing is not None and missing.any() else None


def ids(name: str, values: ArrayLike, what: str = "a label") -> NDArray[Any]:
    """Return class ids, strings or bools (N,), one for each sample.

    The only int below 0 is -1, which the caller refuses or treats as a class. A missing label is
    refused; `what` names it in the message.
    """
    array, missing = opened(name, values)
    if isinstance(array, Labels):
        missing = array.codes == UNLABELLED
    elif missing is not None:
        missing = missing | (array == UNLABELLED)  # both are unlabelled
    if missing is not None and missing.any():
        _refuse_missing(name, np.flatnonzero(missing), values, what)
    return array.names[array.codes] if isinstance(array, Labels) else _check.labels(name, array)


def names_of_rows(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return the name of each row, (N,): any ints, or strings; a missing name is refused."""
    _check.unmasked(name, values)
    if isinstance(values, np.ndarray) and values.dtype.kind in "US":
        return _check.one_dimensional(name, values)
    held = np.asarray(values) if hasattr(values, "isna") else values
    if isinstance(held, list) or (isinstance(held, np.ndarray) and held.dtype == object):
        rows = list(held)
        if set(map(type, rows)) in ({str}, {bytes}):  # unchanged: names are not encoded
            return strings(rows)
    array, missing = opened(name, values)
    if isinstance(array, Labels):
        missing = array.codes == UNLABELLED
    if missing is not None and missing.any():
        _refuse_missing(name, np.flatnonzero(missing), values, "an id")
    if isinstance(array, Labels):
        array = array.names[array.codes]
    if array.dtype.kind == "f" and isinstance(held, list):
        _refuse_wide(name, held)
    if array.dtype.kind not in "iuUSO":
        raise TypeError(f"{name} must hold ints or strings, got dtype {array.dtype}")
    return array


def labelled(name: str, values: ArrayLike) -> Labels:
    """Return the class of each sample; at least one sample must be labelled."""
    found = read(name, values)
    return found if isinstance(found, Labels) else Labels.of(found)


def grouped(
    name: str,
    values: ArrayLike,
    unlabeled: str = "group",
    remedy: str = "exclude those rows, or pass unlabeled='group' or unlabeled='drop'",
) -> tuple[NDArray[Any], Codes]:
    """Return (names (G,), codes (N,)) of the groups of samples.

    unlabeled : "group": the samples without a label form an additional group named -1, which comes
                first, as -1 does among ints. "drop": their code is -1. "raise": a missing label is
                refused, and -1 in an array of ints is a group of that name
    remedy : of "raise", the end of the message
    """
    held, missing = opened(name, values)
    if isinstance(held, Labels):
        missing = held.codes == UNLABELLED
    if unlabeled == "raise" and missing is not None and missing.any():
        _refuse_missing(name, np.flatnonzero(missing), values, "a name", remedy)
    found = _read(name, held, missing)
    found = found if isinstance(found, Labels) else Labels.of(found)
    if unlabeled != "drop":
        found = as_group(found)
    return found.names, found.codes


def as_group(read: NDArray[Any] | Labels) -> Labels:
    """Return labels in which the unlabelled samples, if any, form a group named -1."""
    found = read if isinstance(read, Labels) else Labels.of(read)
    if not (found.codes == UNLABELLED).any():
        return found
    if found.names.size == 0:
        return Labels(np.array([UNLABELLED]), found.codes + 1)
    names = found.names
    if names.dtype.kind not in "iu":
        names = names.astype(object)
    first = np.array([UNLABELLED], names.dtype)
    return Labels(np.concatenate([first, names]), found.codes + 1)


# ---------------------------------------------------------------------- containers


def _held(
    name: str,
    values: Any,  # any container of labels
) -> tuple[NDArray[Any] | Labels, NDArray[np.bool_] | None]:
    """Return the array in a container, and a mask of its masked or null entries."""
    if isinstance(values, np.ma.MaskedArray):
        return np.asarray(values.data), np.ma.getmaskarray(values)
    values = unread(name, values)
    columns = getattr(values, "column_names", getattr(values, "columns", None))
    if columns is not None and not callable(columns):
        first = list(columns)[:1]
        remedy = f": give one of its columns, such as table[{first[0]!r}]" if first else ""
        raise TypeError(f"{name} must be one column, got a {type(values).__name__}{remedy}")
    if hasattr(values, "isna") and hasattr(values, "dtype"):  # pandas
        return _of_pandas(values)
    if hasattr(values, "__arrow_c_array__") or hasattr(values, "__arrow_c_stream__"):
        return _of_arrow(name, values)
    if isinstance(values, list | tuple) and not _is_plain(set(map(type, values))):
        array = np.empty(len(values), object)
        array[:] = [None if each is np.ma.masked else each for each in values]
        return array, None
    return _check.host(values, name), None


def _of_pandas(
    values: Any,  # a Series, an Index or an array of pandas
) -> tuple[NDArray[Any] | Labels, NDArray[np.bool_] | None]:
    """Read a Series, an Index or an extension array of pandas.

    numpy would convert ints with missing values to floats and round them.
    """
    categories = getattr(values, "cat", values)
    if hasattr(categories, "categories") and hasattr(categories, "codes"):
        words = np.asarray(categories.categories)
        codes = np.asarray(categories.codes).astype(np.int64)
        if words.dtype.kind == "O" and set(map(type, words.tolist())) == {str} and codes.size:
            return Labels.among(words.tolist(), codes), None
        held = np.empty(len(words) + 1, object)
        held[:-1], held[-1] = words.tolist(), None
        return held[codes], None
    if isinstance(values.dtype, np.dtype):
        return np.asarray(values), None
    missing = np.asarray(values.isna())
    kind = getattr(values.dtype, "kind", "O")
    if not missing.any():
        return np.asarray(values), None
    if kind in "iub":
        return np.asarray(values.fillna(False if kind == "b" else 0)), missing
    return np.asarray(values, object), None


def _of_arrow(
    name: str,
    values: Any,  # an Arrow array, or a container of one
) -> tuple[NDArray[Any] | Labels, NDArray[np.bool_] | None]:
    """Read an Arrow array, chunked or not; nulls are missing."""
    import pyarrow as pa  # imported only by users of Arrow arrays

    if not isinstance(values, pa.Array | pa.ChunkedArray):
        values = values.to_arrow() if hasattr(values, "to_arrow") else pa.chunked_array(values)
    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    kind = values.type
    if isinstance(kind, pa.BaseExtensionType):  # such as a UUID
        chunks, kind = [each.storage for each in chunks], kind.storage_type
    coded = pa.types.is_dictionary(kind)
    kind = kind.value_type if coded else kind
    if str(kind) in _VIEWS and not coded:
        chunks = [each.cast(_VIEWS[str(kind)]) for each in chunks]
    if str(kind) in _WORDS or pa.types.is_fixed_size_binary(kind):
        return _of_arrow_words(chunks), None
    if coded:
        chunks = [each.dictionary_decode() for each in chunks]
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if not numbers and not pa.types.is_null(kind):
        raise TypeError(f"{name} must hold class ids, got Arrow's {kind}")
    if not len(values):
        return np.empty(0, np.int64), None
    missing: NDArray[np.bool_] = np.concatenate([np.asarray(each.is_null()) for each in chunks])
    if pa.types.is_null(kind):
        return np.zeros(len(values), np.int64), missing
    chunks = [each.fill_null(pa.scalar(0).cast(kind)) for each in chunks]
    held = np.concatenate([each.to_numpy(zero_copy_only=False) for each in chunks])
    return held, missing if missing.any() else None


def _of_arrow_words(chunks: Sequence[Any]) -> NDArray[Any] | Labels:
    """Return Arrow strings as `Labels`; each distinct string is converted once per chunk."""
    numbers: dict[Any, int] = {}
    parts = []
    for chunk in chunks:
        if not len(chunk):
            continue
        coded = chunk if hasattr(chunk, "dictionary") else chunk.dictionary_encode()
        words = coded.dictionary.to_pylist()
        places = np.full(len(words) + 1, UNLABELLED)  # the last entry belongs to nulls
        for place, word in enumerate(words):
            if word is not None:
                places[place] = numbers.setdefault(word, len(numbers))
        parts.append(places[np.asarray(coded.indices.cast("int64").fill_null(len(words)))])
    if not parts:
        return np.empty(0, np.int64)
    return Labels.among(list(numbers), np.concatenate(parts))


def _is_plain(kinds: set[type]) -> bool:
    """Return whether numpy converts a list of these types to an array of the same values."""
    if len(kinds) == 1:
        return not issubclass(next(iter(kinds)), str | bytes | type(None))
    text = str | bytes | type(np.ma.masked)
    if any(hasattr(kind, "__len__") and not issubclass(kind, text) for kind in kinds):
        return True  # not one-dimensional: refused later, as an array
    return all(issubclass(kind, int | np.integer) and kind is not bool for kind in kinds)


# ---------------------------------------------------------------------- words and objects


def _of_words(array: NDArray[Any], missing: NDArray[np.bool_] | None) -> Labels:
    """Return numpy strings as `Labels`, converted to Python strings block by block."""
    numbers: dict[Any, int] = {}
    codes = np.empty(array.size, np.int64)
    for start in range(0, array.size, _ROWS):
        block = array[start : start + _ROWS].tolist()
        codes[start : start + _ROWS] = [numbers.setdefault(each, len(numbers)) for each in block]
    if missing is not None:
        codes[missing] = UNLABELLED
    return Labels.among(list(numbers), codes)


def _of_objects(
    name: str, array: NDArray[np.object_], missing: NDArray[np.bool_] | None
) -> tuple[NDArray[Any] | Labels, NDArray[np.bool_] | None]:
    """Return labels that are Python objects: all str, all bytes, all bool, or all whole numbers."""
    rows = array.tolist()
    kinds = {each: _kind(each) for each in set(map(type, rows))}
    if missing is None and set(kinds.values()) in ({"str"}, {"bytes"}):
        return _numbered(rows), None
    gone = np.array([is_missing(each) for each in rows], np.bool_)
    if missing is not None:
        gone |= missing
    if gone.all():
        return np.full(array.size, UNLABELLED), gone
    kind, first = "", -1
    for row in np.flatnonzero(~gone).tolist():
        own = kinds[type(rows[row])]
        if not own:
            raise TypeError(
                f"{name} must hold class ids (int, str, bytes or bool; None for unlabelled), got "
                f"{_short(rows[row])} of type {type(rows[row]).__name__} in row {row}: make them "
                "strings"
            )
        if kind and own != kind:
            raise TypeError(
                f"{name} must hold labels of one kind, got {own} {item(rows[row])!r} in row {row} "
                f"after {kind} {item(rows[first])!r} in row {first}: make them all "
                "strings or all ints, and use None for a missing label"
            )
        kind, first = (own, row) if not kind else (kind, first)
    if kind in {"str", "bytes"}:
        return _numbered([None if out else row for row, out in zip(rows, gone, strict=True)]), None
    held: list[Any] = [False if out else row for row, out in zip(rows, gone, strict=True)]
    if kind == "int" and gone.any():
        held = [0 if out else row for row, out in zip(rows, gone, strict=True)]
    found = np.array(held)
    if found.dtype == object:
        _refuse_wide(name, held)
    return found, gone if gone.any() else None


def _refuse_wide(name: str, rows: list[Any]) -> None:
    """Refuse ints above the range of int64 mixed with negative ones."""
    for row, each in enumerate(rows):
        if isinstance(each, int) and not -(2**63) <= each < 2**63:
            raise ValueError(
                f"{name} must be >= -2**63 and < 2**63, got {_short(each)} in row {row}: make them "
                "strings"
            )


def _numbered(rows: list[Any]) -> Labels:
    """Return str or bytes, None for a missing one, as `Labels`."""
    numbers: dict[Any, int] = {}
    words = (None if each is None else _plain(each) for each in rows)
    codes = [-1 if each is None else numbers.setdefault(each, len(numbers)) for each in words]
    return Labels.among(list(numbers), np.array(codes, np.int64))


def _present(names: NDArray[Any], codes: Codes) -> tuple[NDArray[Any], Codes]:
    """Return the names that occur, and the codes into these."""
    found = Labels.of(codes)
    return names[found.names], found.codes


def _kind(kind: type) -> str:
    if issubclass(kind, bool | np.bool_):
        return "bool"
    if issubclass(kind, int | np.integer | float | np.floating):
        return "int"
    if issubclass(kind, str):
        return "str"
    return "bytes" if issubclass(kind, bytes) else ""


def _short(value: object) -> str:
    text = hex(value) if isinstance(value, int) else repr(value)  # of any length
    return text if len(text) <= 100 else f"{text[:100]}..."


def _known(name: str, array: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the ids of the labelled rows; messages name rows of the whole input."""
    whole = np.zeros(known.size, array.dtype)
    whole[known] = array[known]
    return _check.labels(name, whole)[known]


def _refuse_missing(
    name: str,
    rows: Codes,
    values: ArrayLike,
    what: str,
    remedy: str = "exclude the samples without one",
) -> None:
    row = int(rows[0])
    given: Any = values
    label = given[row] if isinstance(given, list | tuple | np.ndarray) else "a missing one"
    label = repr(item(label)) if isinstance(given, list | tuple | np.ndarray) else label
    more = f" ({rows.size} such rows)" if rows.size > 1 else ""
    raise ValueError(
        f"{name} must have {what} in each row, got {label} in row {row}{more}: {remedy}"
    )
