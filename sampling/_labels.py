"""Labels, groups, domains: which class each sample has, whatever holds the answer.

Everything that takes a class of each sample reads it here, so that a missing one means the same
everywhere. Missing: None, NaN, NaT, pandas' NA, a masked entry of a numpy array. A missing label is
an unlabelled sample, as -1 is among ints.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check

Codes = NDArray[np.int64]

UNLABELLED = -1


class Labels:
    """The classes that occur, and which of them each sample has.

    Attributes
    ----------
    names : array of shape (C,)
        The caller's ids or strings, sorted; none for unlabelled.
    codes : int64 array of shape (N,)
        Position of each sample's class in `names`; -1 where it is missing, or -1.
    """

    def __init__(self, names: NDArray[Any], codes: Codes) -> None:
        self.names, self.codes = names, codes

    @classmethod
    def of(cls, ids: NDArray[Any]) -> "Labels":
        """Return the classes of an array of ids without missing ones; -1 is unlabelled."""
        names, codes = np.unique(ids, return_inverse=True)
        if ids.dtype.kind in "iu" and int(names[0]) == UNLABELLED:
            names, codes = names[1:], codes - 1
        return cls(names, codes.astype(np.int64, copy=False))

    def __len__(self) -> int:
        return self.codes.size


def read(name: str, values: ArrayLike) -> "NDArray[Any] | Labels":
    """Return labels as an array of ints (-1: unlabelled), bools or strings (N,), or as `Labels`.

    `Labels` where they are Python objects: an array of the longest string for each is not made.

    Raises
    ------
    TypeError
        If labels are of several kinds, or of another than int, str, bytes and bool; floats count as
        ints if they are whole. The message names the row.
    ValueError
        If a label is a fraction, infinite, or an int below -1. The message names the row.
    """
    missing: NDArray[np.bool_] | None = None
    if isinstance(values, np.ma.MaskedArray):
        missing = np.ma.getmaskarray(values)
        values = np.asarray(values.data)
    array = _array(values)
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (N,), got {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got length 0")
    if array.dtype.kind in "OT":
        return _of_objects(name, array.astype(object, copy=False), missing)
    if array.dtype.kind == "f":
        gone = np.isnan(array)
        missing = gone if missing is None else gone | missing
    if missing is None or not missing.any():
        return _check.labels(name, array)
    if array.dtype.kind in "US":
        return _of_objects(name, array.astype(object), missing)
    ids = np.full(array.size, UNLABELLED, np.int64)
    if not missing.all():
        ids[~missing] = _known(name, array, ~missing)
    return ids


def ids(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return class ids, strings or bools (N,) where each sample must have its own.

    Ints below 0 only -1, which the caller refuses or takes for a class; a missing label is refused.
    """
    found = read(name, values)
    if not isinstance(found, Labels):
        if found.dtype.kind == "i" and not _is_integers(values):
            _refuse_missing(name, np.flatnonzero(found == UNLABELLED), values)
        return found
    _refuse_missing(name, np.flatnonzero(found.codes == UNLABELLED), values)
    return found.names[found.codes]


def labelled(name: str, values: ArrayLike) -> Labels:
    """Return the class of each sample; one at least must have one."""
    found = read(name, values)
    return found if isinstance(found, Labels) else Labels.of(found)


def grouped(name: str, values: ArrayLike) -> tuple[NDArray[Any], Codes]:
    """Return (names (G,), codes (N,)) where the unlabelled are one more group, named -1.

    It comes first, as -1 does among ints.
    """
    found = labelled(name, values)
    if not (found.codes == UNLABELLED).any():
        return found.names, found.codes
    if found.names.size == 0:
        return np.array([UNLABELLED]), found.codes + 1
    names = found.names
    if names.dtype.kind not in "iu":
        names = names.astype(object)
    return np.concatenate([np.array([UNLABELLED], names.dtype), names]), found.codes + 1


def _array(values: Any) -> NDArray[Any]:  # noqa: ANN401  # array-likes and tensors
    """Return labels as an array that keeps what each is: numpy turns ["a", nan] into strings."""
    if isinstance(values, list | tuple) and not _is_plain(set(map(type, values))):
        array = np.empty(len(values), object)
        array[:] = [None if each is np.ma.masked else each for each in values]
        return array
    return _check.host(values)


def _is_plain(kinds: set[type]) -> bool:
    """Return whether numpy makes of a list with these types an array that says the same."""
    if len(kinds) == 1:
        return not issubclass(next(iter(kinds)), str | bytes | type(None))
    text = str | bytes | type(np.ma.masked)
    if any(hasattr(kind, "__len__") and not issubclass(kind, text) for kind in kinds):
        return True  # not one-dimensional, which is said of the array
    return all(issubclass(kind, int | np.integer) and kind is not bool for kind in kinds)


def _of_objects(
    name: str, array: NDArray[np.object_], missing: NDArray[np.bool_] | None
) -> "NDArray[Any] | Labels":
    """Return labels that are Python objects: all str, all bytes, all bool, or all whole numbers."""
    known = np.array([not _is_missing(each) for each in array.tolist()], np.bool_)
    if missing is not None:
        known &= ~missing
    if not known.any():
        return np.full(array.size, UNLABELLED, np.int64)
    kind, first = "", -1
    for row in np.flatnonzero(known).tolist():
        own = _kind(array[row])
        if not own:
            raise TypeError(
                f"{name} must hold class ids (int, str, bytes or bool; None for unlabelled), got "
                f"{array[row]!r} of type {type(array[row]).__name__} in row {row}"
            )
        if kind and own != kind:
            raise TypeError(
                f"{name} must hold labels of one kind, got {own} {array[row]!r} in row {row} after "
                f"{kind} {array[first]!r} in row {first}: make them all strings or all ints, and "
                "None where there is none"
            )
        kind, first = (own, row) if not kind else (kind, first)
    if kind == "int":
        ids = np.full(array.size, UNLABELLED, np.int64)
        ids[known] = _known(name, np.array(array[known].tolist()), known)
        return ids
    rows = array[known].tolist()
    names = sorted(set(rows))
    numbers = {each: number for number, each in enumerate(names)}
    codes = np.full(array.size, UNLABELLED, np.int64)
    codes[known] = np.fromiter((numbers[each] for each in rows), np.int64, len(rows))
    return Labels(np.array(names), codes)


def _kind(label: Any) -> str:  # noqa: ANN401  # anything
    if isinstance(label, bool | np.bool_):
        return "bool"
    if isinstance(label, int | np.integer | float | np.floating):
        return "int"
    if isinstance(label, str):
        return "str"
    return "bytes" if isinstance(label, bytes) else ""


def _is_missing(label: Any) -> bool:  # noqa: ANN401  # anything
    if label is None:
        return True
    if isinstance(label, str | bytes | int):
        return False
    if type(label).__name__ in {"NAType", "NaTType"}:  # pandas', which need not be installed
        return True
    if isinstance(label, np.datetime64 | np.timedelta64):
        return bool(np.isnat(label))
    return isinstance(label, float | np.floating) and bool(np.isnan(label))


def _known(name: str, array: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the ids of the rows that have one; a message names the row of all rows."""
    whole = np.zeros(known.size, array.dtype)
    whole[known] = array if array.size < known.size else array[known]
    return _check.labels(name, whole)[known]


def _is_integers(values: ArrayLike) -> bool:
    """Return whether a -1 can only be the caller's own: nothing else is there to be missing."""
    return not isinstance(values, np.ma.MaskedArray) and _array(values).dtype.kind in "iu"


def _refuse_missing(name: str, rows: Codes, values: ArrayLike) -> None:
    if rows.size == 0:
        return
    row = int(rows[0])
    given: Any = values
    label = given[row] if isinstance(given, list | tuple | np.ndarray) else "a missing one"
    more = f" ({rows.size} such rows)" if rows.size > 1 else ""
    raise ValueError(
        f"{name} must have a label in each row, got {label!r} in row {row}{more}: leave out the "
        "samples without one"
    )
