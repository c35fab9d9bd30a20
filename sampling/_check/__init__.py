"""Argument checks. A message consists of the name, the rule, and the value found (with its row).

Each function returns the argument in the form that later code relies on. Ranges are half-open, as
in the messages: `rank must be in [0, 8), got 8`.
"""

from __future__ import annotations

import difflib
import math
import operator
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._containers import is_missing, unlike, unread
from ._damaged import damaged as damaged
from ._host import as_array
from ._host import native as native
from ._keywords import short
from ._lists import stacked as stacked
from ._rows import Rows

Word = TypeVar("Word")

MAX_SIZE = 2**62
_SMALL = 2.0**-900
_LARGE = 2.0**1000
_ENTRIES = 1_000  # of a folder, compared with a name that is not in it
_NUMBERS = 2**22  # of embeddings, checked at a time


def _shown(value: object) -> str:
    """Return a value for a message, in short form; a placeholder for data is not looked into."""
    return repr(value) if type(value).__repr__ is object.__repr__ else short(value)


def integer(name: str, value: object, low: int, high: int | None = None) -> int:
    """Return `value` as an int in [low, high)."""
    if isinstance(value, bool) or "bool" in str(getattr(value, "dtype", "")):
        raise TypeError(f"{name} must be an int, got {_shown(value)}")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be an int, got {_shown(value)}") from None
    if high is not None and not low <= number < high:
        raise ValueError(f"{name} must be in [{low}, {high}), got {number}")
    if number < low:
        raise ValueError(f"{name} must be >= {low}, got {number}")
    return number


def number(name: str, value: object, interval: str = "(-inf, inf)") -> float:
    """Return `value` as a finite float inside `interval`, written as in the message: "(0, 1]"."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
        raise TypeError(f"{name} must be a number, got {_shown(value)}")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = result > low or (interval[0] == "[" and result == low)
    under = result < high or (interval[-1] == "]" and result == high)
    if not (math.isfinite(result) and above and under):
        rule = "finite" if interval == "(-inf, inf)" else f"in {interval}"
        raise ValueError(f"{name} must be {rule}, got {_shown(value)}")
    return result


def numbers(name: str, values: Any, interval: str = "(-inf, inf)") -> list[float]:
    """Return the numbers of a sequence, each inside `interval`; a number alone is a list of one."""
    if isinstance(values, str | bytes | bytearray):
        raise TypeError(f"{name} must be a number or a list of numbers, got {values!r}")
    alone = isinstance(values, int | float | np.floating | np.integer)
    return [number(name, each, interval) for each in ([values] if alone else listed(name, values))]


def flag(name: str, value: object) -> bool:
    """Return `value` as a bool; anything but a bool is refused, since "false" is truthy."""
    if not isinstance(value, bool | np.bool_):
        quoted = isinstance(value, str) and value.lower() in ("true", "false")
        remedy = ": write it without quotes" if quoted else ""
        several = hasattr(type(value), "ndim") and np.ndim(value) > 0  # type: ignore[arg-type]
        shown = _shown(value) if several else repr(value)  # array(True) is no bool
        raise TypeError(f"{name} must be True or False, got {shown}{remedy}")
    return bool(value)


def choice(name: str, value: Word, allowed: Iterable[str]) -> Word:
    """Return `value` if it is one of the allowed words."""
    words = list(allowed)
    if not isinstance(value, str) or value not in words:
        raise ValueError(
            f"{name} must be one of {', '.join(map(repr, words))}, got {_shown(value)}"
        )
    return cast("Word", str(value))


def closest(word: str, allowed: Iterable[str]) -> str:
    """Return a "did you mean" suggestion for a message, or "" if no allowed word is similar."""
    found = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.65)
    return f": did you mean {found[0]!r}?" if found else ""


def seed(value: object) -> int:
    """Return a seed in [0, 2**64)."""
    return integer("seed", value, 0, 2**64)


def epoch(value: object) -> int:
    """Return an epoch in [0, 2**64)."""
    return integer("epoch", value, 0, 2**64)


def size(name: str, source: int | Sized) -> int:
    """Return N, given as an int or as a dataset with a length; at least 1."""
    refuse_names(name, source)
    # Of arrays and tensors: a dataset may have any `shape` of its own.
    number = hasattr(type(source), "__index__") and not getattr(source, "shape", True)
    if hasattr(source, "__len__") and not number:
        source = len(source)
        if source == 0:
            raise ValueError(f"{name} must not be empty, got length 0")
    elif hasattr(source, "__iter__") and not hasattr(source, "shape"):
        raise TypeError(
            f"{name} must be a dataset with a length, or an int, got a {type(source).__name__}: an "
            "iterable dataset has no length, and no indices that could be drawn"
        )
    return integer(name, source, 1, MAX_SIZE + 1)


def refuse_names(name: str, source: Any) -> None:  # may be a dataset
    """Refuse text and mappings of names, such as a `DatasetDict`: their length is not N."""
    if isinstance(source, str | bytes | bytearray):
        raise TypeError(f"{name} must be a dataset with a length, or an int, got {source!r}")
    if hasattr(source, "batch_size") and hasattr(source, "sampler"):
        remedy = "give its `dataset`" if hasattr(source, "dataset") else "give the dataset"
        raise TypeError(
            f"{name} must be a dataset with a length, or an int, got a {type(source).__name__}, "
            f"whose length counts batches: {remedy}"
        )
    if isinstance(source, Mapping) and source and 0 not in source:
        raise TypeError(
            f"{name} must be a dataset with a length, or an int, got a {type(source).__name__} of "
            f"{', '.join(map(repr, list(source)[:3]))}: give one of its values"
        )


def text(name: str, value: Any) -> str:  # may not be a str
    """Return a word, such as the name of a column."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, got {value!r}")
    return value


def mapping(name: str, value: Any) -> Mapping[Any, Any]:  # may not be a mapping
    """Return a mapping."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping, a table in a file, got {value!r}")
    return value


def listed(name: str, values: Any) -> list[Any]:  # any iterable
    """Return the entries of a sequence as a list; a str is not accepted as a sequence."""
    alone = isinstance(values, str | bytes | bytearray | Mapping) or not isinstance(
        values, Iterable
    )
    if alone or getattr(values, "ndim", 1) == 0:  # scalars of numpy and torch seem iterable
        raise TypeError(f"{name} must be a list, got {values!r}")
    return list(values)


def paths(name: str, values: Any) -> list[Any]:  # a path, or any iterable
    """Return paths as a list; a single path becomes a list of one."""
    found = [values] if isinstance(values, str | os.PathLike) else listed(name, values)
    for each in found:
        if not isinstance(each, str | os.PathLike):
            raise TypeError(f"{name} must hold paths, got {each!r}")
    return found


def path(name: str, value: Any) -> Path:  # a str or a Path
    """Return the path of a file or a folder, which need not be there."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be a path, got {value!r}")
    return Path(value)


def words(name: str, values: Any) -> list[str]:  # a str, or any iterable
    """Return words, such as column names, as a list; a single word becomes a list of one."""
    found = [values] if isinstance(values, str) else listed(name, values)
    return [text(f"each of {name}", each) for each in found]


def no_file(path: Any, rule: str = "exist") -> str:  # of a file system
    """Return the message about a path without a file: which file may be meant, or where it is not.

    rule : what the path must do
    """
    text = f"{path} must {rule}, got no such file"
    if not isinstance(path, str | Path):
        return f"{text}: check the address"
    folder, name = Path(path).parent, Path(path).name
    if not folder.is_dir():
        return f"{text}: there is no folder {folder}"
    with suppress(OSError), os.scandir(folder) as entries:
        near = closest(name, [each.name for each in islice(entries, _ENTRIES)])
        if near:
            return f"{text}{near}"
    here = "" if Path(path).is_absolute() else f", which is relative to {Path.cwd()}"
    return f"{text}: check the path{here}"


def file(path: str | Path, what: str) -> Path:
    """Return the path of an existing regular file; `what` names the expected kind in messages."""
    found = Path(path)
    try:
        mode = found.stat().st_mode
    except FileNotFoundError:
        raise FileNotFoundError(no_file(path)) from None
    if stat.S_ISDIR(mode):
        raise ValueError(f"{path} must be {what}, got a folder: name a file in it")
    if not os.access(found, os.R_OK):
        raise PermissionError(f"{path} must be readable, got no permission: change its mode")
    return found


def one_dimensional(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return `values` as a non-empty one-dimensional array, without copying an array."""
    array = host(values, name)
    if array.ndim != 1:
        refuse_shape(name, array)
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got length 0")
    return array


def refuse_shape(name: str, array: NDArray[Any], shape: str = "(N,)") -> NoReturn:
    """Raise for an array of another shape; a value alone, such as a count or a path, is named."""
    if array.ndim:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    value = array.item()
    remedy = ": give what is in the file or column" if isinstance(value, str | bytes) else ""
    raise ValueError(
        f"{name} must have shape {shape}, a value for each sample, got {short(value)} alone{remedy}"
    )


def floats(
    name: str, values: ArrayLike, rule: str = "finite", remedy: str = ""
) -> NDArray[np.float64]:
    """Return `values` as a float64 array (N,) that is "finite", or "finite and >= 0".

    remedy : of bad rows, the end of the message
    """
    array = np.ascontiguousarray(_numbers(name, values), dtype=np.float64)
    _refuse_infinite(name, array, rule, remedy)
    return array


def _numbers(name: str, values: ArrayLike) -> NDArray[Any]:
    return as_numbers(name, one_dimensional(name, values))


def as_numbers(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return an array (N, ...) of numbers or bools unchanged, and one of objects as numbers.

    Objects that are missing, such as the None of a Hugging Face column, become NaN, as numpy,
    pandas and Arrow have them. The first row that holds no number is named.
    """
    if array.dtype.kind in "fiub":
        return array
    found = f"{name} must hold numbers, got dtype {array.dtype}"
    rows = np.atleast_1d(np.asarray(array))  # it may be on disk
    flat = rows.reshape(len(rows), -1).tolist()
    if array.dtype.kind in "US":  # one string in a list makes numpy convert its numbers too
        wrong = _first_where(lambda each: not _reads_as_number(each), flat)
        if wrong is None:
            raise TypeError(f"{found}, with {flat[0][0]!r} in row 0: convert it to float")
        raise TypeError(f"{found}, with {wrong[1]!r} in row {wrong[0]}")
    wrong = _first_where(lambda each: not (isinstance(each, _NUMBERS_OF) or is_missing(each)), flat)
    if wrong is not None:
        raise TypeError(f"{found}, with {wrong[1]!r} in row {wrong[0]}")
    wrong = _first_where(lambda each: isinstance(each, int) and not -(2**63) <= each < 2**64, flat)
    if wrong is not None:
        raise TypeError(f"{found}, with {short(wrong[1])} in row {wrong[0]}, beyond 64 bits")
    values = [[np.nan if is_missing(each) else each for each in row] for row in flat]
    exact = all(isinstance(each, int) for row in values for each in row)
    return np.array(values, None if exact else np.float64).reshape(array.shape)


_NUMBERS_OF = (int, float, Decimal, Fraction, np.number, np.bool_)


def _reads_as_number(text: str | bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def first_text(column: Any) -> str:  # pyarrow.ChunkedArray
    """Return ", with 'foo' in row 7" for the first text of a column that is no number, or ""."""
    row = 0
    for chunk in column.chunks:
        for text in chunk.to_pylist():
            if isinstance(text, str) and not _reads_as_number(text):
                return f", with {short(text)} in row {row}"
            row += 1
    return ""


def _first_where(
    wrong: Callable[[Any], bool], rows: Iterable[Iterable[Any]]
) -> tuple[int, Any] | None:
    """Return the first value of which something is true, with its row; None if of no value."""
    return next(((row, each) for row, own in enumerate(rows) for each in own if wrong(each)), None)


def _refuse_infinite(name: str, array: NDArray[Any], rule: str, remedy: str = "") -> None:
    low, high = array.min(), array.max()  # a NaN anywhere makes both NaN
    if not math.isfinite(low) or not math.isfinite(high) or (rule != "finite" and low < 0):
        array = array.astype(np.float64, copy=False)
        bad = ~np.isfinite(array) if rule == "finite" else ~(np.isfinite(array) & (array >= 0))
        _raise_for_rows(name, rule, array, bad, remedy)


def weights(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return relative weights: float64 (N,), finite, >= 0, not all 0."""
    return np.ascontiguousarray(weights_as_given(name, values), dtype=np.float64)


def weights_as_given(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return the same in their own dtype: a float64 copy of float32 takes twice its memory."""
    array = _numbers(name, values)
    if array.dtype.itemsize > 8:  # a long double may be beyond float64
        array = array.astype(np.float64)
    _refuse_infinite(name, array, "finite and >= 0")
    if array[0] == 0 and not array.any():
        raise ValueError(f"{name} must not all be 0, got {array.size} zeros")
    with np.errstate(over="ignore"):
        total = float(array.sum(dtype=np.float64))
    if not math.isfinite(total):
        raise ValueError(f"{name} must have a finite sum, got {total}")
    if total < _SMALL:  # 1 / total would overflow; a power of two changes no ratio
        array = np.ldexp(array, 1 - int(np.frexp(total)[1]))
    elif total > _LARGE:  # a sum in another order, or a multiple of it, would overflow
        array = np.ldexp(array, -24)
    return array


def percentage(name: str, word: str) -> float:
    """Return the fraction in (0, 1] that a percentage, such as "10%", means."""
    with suppress(ValueError):
        part = float(word.strip().removesuffix("%")) if word.strip().endswith("%") else 0.0
        if 0 < part <= 100:
            return part / 100
    raise ValueError(f"{name} must be in (0%, 100%], got {word!r}")


def named(name: str, given: object) -> Mapping[Any, Any] | None:
    """Return a mapping or pandas Series as a mapping by name; None for anything else."""
    if isinstance(given, Mapping):
        return given
    if hasattr(given, "to_dict") and hasattr(given, "index"):  # its index holds the names
        if not given.index.is_unique:
            raise ValueError(f"{name} must name each one once, got {given.index.tolist()[:10]}")
        return cast("Mapping[Any, Any]", given.to_dict())
    return None


def by_name(
    name: str,
    given: object,
    names: NDArray[Any],
    what: str,
    *,
    interval: str = "[0, inf)",
    default: float | None = None,
) -> NDArray[np.float64]:
    """Return a number for each domain, class or group, in the order of `names`: float64 (K,).

    given    : a mapping by name, or a pandas Series. Entry c of an array belongs to number c; an
               array is refused if the names are not numbers, since its order is then undefined
    what     : what the names denote, for messages, such as "domains"
    interval : the range of each number
    default  : value for names that are not given; None if all are required

    A name that does not occur must have the number 0. None, NaN and NA denote the unlabelled
    samples. Keys in TOML and JSON are strings: "3" denotes the name 3 unless "3" itself is a name.
    """
    ids = names.tolist()
    mapping = named(name, given)
    if mapping is None:
        if not all(isinstance(each, int) for each in ids):
            example = ", ".join(f"{each!r}: ..." for each in ids[:3])
            raise ValueError(
                f"{name} must be a mapping where {what} have names, {{{example}}}, got "
                f"{type(given).__name__}"
            )
        rule = "finite and >= 0" if float(interval[1:].split(",")[0]) >= 0 else "finite"
        array = floats(name, given, rule)  # type: ignore[arg-type]  # checked there
        if ids == list(range(len(ids))):
            same_length(name, array, f"the {what}", len(ids))
        mapping = dict(enumerate(array.tolist()))
    words = [each.decode() if isinstance(each, bytes) else str(each) for each in ids]
    places: dict[Any, int] = {word: at for at, word in enumerate(words)}
    places |= {each: at for at, each in enumerate(ids)}
    found = np.full(len(ids), np.nan)
    for given_key, value in mapping.items():
        key = -1 if is_missing(given_key) else given_key  # the name of the unlabelled
        entry = number(f"{name}[{key!r}]", value, interval if key in places else "(-inf, inf)")
        if key in places and np.isnan(found[places[key]]):
            found[places[key]] = entry
        elif key in places:
            raise ValueError(f"{name} must name each of the {what} once, got {key!r} again")
        elif entry:
            known = ids if len(ids) <= 10 else [*ids[:10], "..."]
            raise ValueError(
                f"{name} must name {what} of {known}, got {key!r}{closest(str(key), words)}"
            )
    missing = np.flatnonzero(np.isnan(found))
    if missing.size and default is None:
        more = f" and {missing.size - 5} more" if missing.size > 5 else ""
        raise ValueError(
            f"{name} must name all {what}, missing {[ids[at] for at in missing[:5]]}{more}"
        )
    found[missing] = default if default is not None else np.nan
    return found


def same_length(name: str, array: Sized, other: str, length: int) -> None:
    """Refuse an array whose length differs from that of another."""
    if len(array) != length:
        raise ValueError(f"{name} must have the length of {other}, {length}, got {len(array)}")


def matrix(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return embeddings (N, D) as they are stored, in memory or as `Rows` on disk.

    Lists of one length in a list, a pandas Series or a pyarrow array are rows; a missing one is NaN
    throughout.
    """
    array = host(stacked(name, values), name)
    if array.ndim == 0:
        refuse_shape(name, array, "(N, D)")
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name} must have shape (N, D) with N, D >= 1, got {array.shape}")
    return as_numbers(name, array)


def embeddings(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return embeddings (N, D) as they are stored, none NaN or infinite as float32."""
    array = matrix(name, values)
    bad = bad_rows(array)
    if bad is not None:
        refuse_rows(name, array, bad)
    return array


def bad_rows(array: NDArray[Any], *, directed: bool = False) -> NDArray[np.bool_] | None:
    """Return which rows of (N, D) are not finite as float32; None if all are.

    directed : rows of norm below 1e-12, which have no direction, are bad too

    Works block by block: neither memory maps nor rows on disk are copied as a whole.
    """
    bad = np.zeros(len(array), np.bool_)
    step = max(1, _NUMBERS // array.shape[1])
    for start in range(0, len(array), step):
        block = _single(array[start : start + step])
        with np.errstate(over="ignore", invalid="ignore"):  # overflow is refused
            squares = np.einsum("nd,nd->n", block, block, dtype=np.float64)
        bad[start : start + step] = ~np.isfinite(squares) | (directed & (squares < 1e-24))
    return bad if bad.any() else None


def refuse_rows(
    name: str, array: NDArray[Any], bad: NDArray[np.bool_], remedy: str = ""
) -> NoReturn:
    """Raise for bad rows: name the first; `remedy` is the end of the message."""
    row = int(np.flatnonzero(bad)[0])
    values = array[row]
    wrong = ~np.isfinite(_single(values))
    rule, got = "longer than 1e-12", "a zero vector"
    if wrong.any():
        got = values[wrong][0]
        rule = "finite as float32" if np.isfinite(got) else "finite"
    count = int(bad.sum())
    more = f" ({count} bad rows)" if count > 1 else ""
    raise ValueError(f"{name} must be {rule}, got {got} in row {row}{more}{remedy}")


def _single(values: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(values, np.float32)


def labels(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return class labels (N,): integers >= -1 (-1 is "unlabelled"), strings or bools."""
    array = one_dimensional(name, values)
    if array.dtype.kind == "f":
        whole = np.isfinite(array) & (array == np.floor(array))
        if not whole.all():
            _raise_for_rows(name, "class ids", array, ~whole)
        if float(np.abs(array).max()) >= 2.0**63:
            _raise_for_rows(name, "< 2**63", array, np.abs(array) >= 2.0**63)
        array = array.astype(np.int64)
    if array.dtype.kind in "iu" and int(array.min()) < -1:
        _raise_for_rows(name, ">= 0, or -1 for unlabelled", array, array < -1)
    if array.dtype.kind == "u" and int(array.max()) >= 2**63:
        _raise_for_rows(name, "< 2**63", array, array >= 2**63)
    if array.dtype.kind not in "iubUS":
        raise TypeError(f"{name} must hold class ids, got dtype {array.dtype}")
    return array


# The order is that of scikit-learn's `classes_`, so of the columns of its probabilities.
NUMBERED = ": number the classes, names in sorted order, as pandas.factorize(names, sort=True)[0]"


def codes(name: str, values: NDArray[Any], high: int, low: int = 0) -> None:
    """Refuse cluster numbers, or rows, outside [low, high)."""
    refuse_other_than_ints(name, values, NUMBERED if values.dtype.kind in "OTUS" else "")
    bad = (values < low) | (values >= high)
    if bad.any():
        row = int(np.argwhere(bad)[0, 0])
        rows = np.count_nonzero(bad.reshape(len(bad), -1).any(axis=1))
        more = f" ({rows} such rows)" if rows > 1 else ""
        raise ValueError(
            f"{name} must be in [{low}, {high}), got {values[bad][0]} in row {row}{more}"
        )


def refuse_other_than_ints(name: str, values: NDArray[Any], remedy: str = "") -> None:
    """Refuse an array (N, ...) of another dtype than ints; name the first row that holds no int."""
    if values.dtype.kind in "iu":
        return
    refuse_mask(name, values)
    found = f"{name} must hold ints, got dtype {values.dtype}"
    wrong = first_other_than_int(values)
    if wrong is not None:
        raise TypeError(f"{found}, with {wrong[1]!r} in row {wrong[0]}{remedy}")
    raise TypeError(f"{found}: convert it to int64")


def first_other_than_int(values: NDArray[Any]) -> tuple[int, Any] | None:
    """Return the row and the value of the first entry that is no int; None if all are."""
    if values.size == 0:
        return None
    rows = values.reshape(len(values) if values.ndim else 1, -1).tolist()
    if values.dtype.kind == "f":
        return _first_where(lambda each: each != each or each != np.floor(each), rows)
    wrong = _first_where(lambda each: not isinstance(each, int | np.integer), rows)
    if values.dtype.kind in "US":  # one string in a list makes numpy convert its ints too
        return _first_where(lambda each: not _reads_as_number(each), rows) or wrong
    return wrong


def refuse_mask(name: str, values: Any) -> None:  # an array or a tensor
    """Refuse a boolean mask instead of indices: as numbers it would be rows 0 and 1."""
    if "bool" in str(getattr(values, "dtype", "")):
        raise TypeError(
            f"{name} must hold ints, got bools, a mask of shape {tuple(values.shape)}: give "
            "np.flatnonzero(mask)"
        )


def batch_of_rows(name: str, shape: Sequence[int]) -> None:
    """Refuse the indices of a batch that are not of shape (B,)."""
    if len(shape) == 1:
        return
    single = (
        ""
        if len(shape)
        else ": of single samples, as a DataLoader yields them with "
        "batch_size=None; set batch_size, or give it an EpochBatchSampler"
    )
    raise ValueError(f"{name} must have shape (B,), got {tuple(shape)}{single}")


def unique_rows(name: str, indices: ArrayLike, high: int | None = None) -> NDArray[np.int64]:
    """Return dataset indices: int64 (M,), in [0, high), none twice."""
    if isinstance(indices, str | os.PathLike):
        raise TypeError(
            f"{name} must hold ints, got {str(indices)!r}: a selection in a file is read by "
            "Selection.load(path)"
        )
    array = one_dimensional(name, unread(name, indices, rows=True))
    refuse_other_than_ints(name, array)
    if high is not None and ((array < 0) | (array >= high)).any():
        _raise_for_rows(name, f"in [0, {high})", array, (array < 0) | (array >= high))
    if (array < 0).any():
        _raise_for_rows(name, ">= 0", array, array < 0)
    if (array >= MAX_SIZE).any():
        _raise_for_rows(name, "< 2**62", array, array >= MAX_SIZE)
    array = array.astype(np.int64, copy=False)
    ordered = np.sort(array)
    if (ordered[1:] == ordered[:-1]).any():
        order = np.argsort(array, kind="stable")
        twice = array[order][1:] == array[order][:-1]
        row = int(order[1:][twice][0])
        raise ValueError(f"{name} must hold no index twice, got {array[row]} again in row {row}")
    return array


def host(values: Any, name: str = "values") -> NDArray[Any]:  # array-likes
    """Return array-likes and tensors as numpy arrays, without a copy where possible.

    Tensors and arrays on a GPU are copied to the host, see `_host`. Arrays of non-native byte
    order, which neither numba nor torch accepts, are copied to native order. Rows on disk are
    returned unchanged, to be read in blocks. Masked values are missing and refused: numpy would
    return the numbers behind the mask.
    """
    if isinstance(values, Rows):
        return cast("NDArray[Any]", values)
    unmasked(name, values)
    values = unread(name, values)
    try:
        return as_array(name, values)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(f"{name} must have entries of one shape, got {unlike(values)}") from None


def unmasked(name: str, values: object) -> None:
    """Refuse a numpy masked array, or a list of them, if any value is masked."""
    if isinstance(values, list | tuple):
        if not any(issubclass(kind, np.ma.MaskedArray) for kind in set(map(type, values))):
            return
        masked = np.array([bool(np.ma.getmaskarray(each).any()) for each in values])
    elif isinstance(values, np.ma.MaskedArray):
        mask = np.atleast_1d(np.ma.getmaskarray(values))
        masked = np.asarray(mask.any(axis=tuple(range(1, mask.ndim))))
    else:
        return
    if masked.any():
        rows = np.flatnonzero(masked)
        more = f" ({rows.size} such rows)" if rows.size > 1 else ""
        raise ValueError(
            f"{name} must hold no masked values, got one in row {rows[0]}{more}: exclude those "
            "rows, or fill them with `.filled(value)`"
        )


def _raise_for_rows(
    name: str, rule: str, array: NDArray[Any], bad: NDArray[np.bool_], remedy: str = ""
) -> None:
    rows = np.flatnonzero(bad)
    more = f" ({rows.size} such rows)" if rows.size > 1 else ""
    raise ValueError(f"{name} must be {rule}, got {array[rows[0]]} in row {rows[0]}{more}{remedy}")
