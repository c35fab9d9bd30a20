"""Every check of an argument. A message is: name, rule, value found (and which row).

Each function returns the argument in the form that the code behind it relies on. Ranges are
half-open, as in the messages: `rank must be in [0, 8), got 8`.
"""

import difflib
import math
import operator
from collections.abc import Iterable, Sized
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_SIZE = 2**62
_SMALL = 2.0**-900


def integer(name: str, value: object, low: int, high: int | None = None) -> int:
    """Return `value` as an int in [low, high)."""
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an int, got {value!r}")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be an int, got {value!r}") from None
    if high is not None and not low <= number < high:
        raise ValueError(f"{name} must be in [{low}, {high}), got {number}")
    if number < low:
        raise ValueError(f"{name} must be >= {low}, got {number}")
    return number


def number(name: str, value: object, interval: str = "(-inf, inf)") -> float:
    """Return `value` as a finite float inside `interval`, written as in the message: "(0, 1]"."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = result > low or (interval[0] == "[" and result == low)
    under = result < high or (interval[-1] == "]" and result == high)
    if not (math.isfinite(result) and above and under):
        rule = "finite" if interval == "(-inf, inf)" else f"in {interval}"
        raise ValueError(f"{name} must be {rule}, got {value!r}")
    return result


def choice(name: str, value: str, allowed: Iterable[str]) -> str:
    """Return `value` if it is one of the allowed words."""
    words = list(allowed)
    if value not in words:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, words))}, got {value!r}")
    return value


def closest(word: str, allowed: Iterable[str]) -> str:
    """Return a question for the end of a message, or nothing if no allowed word is like it."""
    found = difflib.get_close_matches(word, list(allowed), n=1)
    return f": did you mean {found[0]!r}?" if found else ""


def seed(value: object) -> int:
    """Return a seed in [0, 2**64)."""
    return integer("seed", value, 0, 2**64)


def epoch(value: object) -> int:
    """Return an epoch in [0, 2**64)."""
    return integer("epoch", value, 0, 2**64)


def size(name: str, source: int | Sized) -> int:
    """Return N, given as an int or as anything with a length; at least 1."""
    if hasattr(source, "__len__"):
        source = len(source)
        if source == 0:
            raise ValueError(f"{name} must not be empty, got length 0")
    return integer(name, source, 1, MAX_SIZE + 1)


def one_dimensional(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return `values` as a non-empty one-dimensional array, without a copy where it is one."""
    array = host(values)
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (N,), got {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got length 0")
    return array


def floats(name: str, values: ArrayLike, rule: str = "finite") -> NDArray[np.float64]:
    """Return `values` as a float64 array (N,) that is "finite", or "finite and >= 0"."""
    array = one_dimensional(name, values)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}")
    array = np.ascontiguousarray(array, dtype=np.float64)
    low, high = array.min(), array.max()  # a NaN anywhere makes both NaN
    if not math.isfinite(low) or not math.isfinite(high) or (rule != "finite" and low < 0):
        bad = ~np.isfinite(array) if rule == "finite" else ~(np.isfinite(array) & (array >= 0))
        _raise_for_rows(name, rule, array, bad)
    return array


def weights(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return relative weights: float64 (N,), finite, >= 0, not all 0."""
    array = floats(name, values, "finite and >= 0")
    if not array.any():
        raise ValueError(f"{name} must not all be 0, got {array.size} zeros")
    with np.errstate(over="ignore"):
        total = array.sum()
    if not math.isfinite(total):
        raise ValueError(f"{name} must have a finite sum, got {total}")
    if total < _SMALL:  # 1 / total would overflow; a power of two changes no ratio
        array = np.ldexp(array, 1 - int(np.frexp(total)[1]))
    return array


def same_length(name: str, array: Sized, other: str, length: int) -> None:
    """Refuse arrays that should be parallel and are not."""
    if len(array) != length:
        raise ValueError(f"{name} must have the length of {other}, {length}, got {len(array)}")


def embeddings(name: str, values: ArrayLike) -> NDArray[np.float32]:
    """Return `values` as a C-contiguous float32 matrix (N, D) without NaN or infinity."""
    array = host(values)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name} must have shape (N, D) with N, D >= 1, got {array.shape}")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}")
    with np.errstate(invalid="ignore", over="ignore"):  # what overflows is refused below
        array = np.ascontiguousarray(array, dtype=np.float32)
        suspect = not math.isfinite(float(np.abs(array).max()))
    if suspect:
        bad = ~np.isfinite(array).all(axis=1)
        row = int(np.flatnonzero(bad)[0])
        found = array[row][~np.isfinite(array[row])][0]
        raise ValueError(
            f"{name} must be finite, got {found} in row {row} ({int(bad.sum())} bad rows)"
        )
    return array


def labels(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return class labels (N,): integers (below 0 only -1, "unlabelled"), strings or bools."""
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


def codes(name: str, values: NDArray[Any], high: int) -> None:
    """Refuse cluster numbers outside [0, high)."""
    if values.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold ints, got dtype {values.dtype}")
    bad = (values < 0) | (values >= high)
    if bad.any():
        _raise_for_rows(name, f"in [0, {high})", values, bad)


def unique_rows(name: str, indices: ArrayLike, high: int | None = None) -> NDArray[np.int64]:
    """Return dataset indices: int64 (M,), in [0, high), none twice."""
    array = one_dimensional(name, indices)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold ints, got dtype {array.dtype}")
    if high is not None and ((array < 0) | (array >= high)).any():
        _raise_for_rows(name, f"in [0, {high})", array, (array < 0) | (array >= high))
    if (array < 0).any():
        _raise_for_rows(name, ">= 0", array, array < 0)
    if (array >= MAX_SIZE).any():
        _raise_for_rows(name, "< 2**62", array, array >= MAX_SIZE)
    array = array.astype(np.int64, copy=False)
    order = np.argsort(array, kind="stable")
    twice = array[order][1:] == array[order][:-1]
    if twice.any():
        row = int(order[1:][twice][0])
        raise ValueError(f"{name} must hold no index twice, got {array[row]} again in row {row}")
    return array


def host(values: Any) -> NDArray[Any]:  # noqa: ANN401  # array-likes and tensors
    """Return array-likes and tensors as numpy has them, without a copy where it can."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # which numpy has not
            values = values.float()
        values = values.numpy()
    return np.asarray(values)


def _raise_for_rows(name: str, rule: str, array: NDArray[Any], bad: NDArray[np.bool_]) -> None:
    rows = np.flatnonzero(bad)
    more = f" ({rows.size} such rows)" if rows.size > 1 else ""
    raise ValueError(f"{name} must be {rule}, got {array[rows[0]]} in row {rows[0]}{more}")
