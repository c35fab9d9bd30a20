"""Conditions on columns, for filters of rows.

As in SQL, a missing value satisfies only `is_null`: neither "==" nor "!=", and neither "in" nor
"not in" a list. Missing values are NaN and nulls, which pandas writes for NaN.
"""

from __future__ import annotations

import math
import operator as operators
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ... import _check

__all__ = ["by_column", "conditions", "holds"]

_COMPARE: dict[str, Callable[..., Any]] = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_NUMBERS: dict[str, Callable[..., Any]] = {
    "==": operators.eq,
    "!=": operators.ne,
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
}
_LISTS, _TESTS = ("in", "not in"), ("is_null", "not_null")
_OPERATORS = (*_COMPARE, *_LISTS, *_TESTS)


def conditions(given: Any) -> tuple[tuple[Any, ...], ...]:  # of a plan
    """Return the conditions of a filter, checked as far as possible without the columns.

    given : sequence of (column, operator, value) or (column, "is_null" or "not_null"); or one such
    """
    listed = _check.listed("where", given)
    if len(listed) in (2, 3) and isinstance(listed[0], str):
        listed = [listed]
    return tuple(map(_condition, listed))


def _condition(given: Any) -> tuple[Any, ...]:  # of a plan
    each = () if isinstance(given, str) else tuple(_check.listed("where", given))
    if len(each) not in (2, 3):
        raise ValueError(
            f'where must hold [column, operator, value] or [column, "is_null"], got {given!r}'
        )
    column, operator, *value = each
    _check.text("the column in where", column)
    _check.choice("the operator in where", operator, _OPERATORS)
    if operator in _TESTS:
        if value:
            raise ValueError(f"where must hold [column, {operator!r}] without a value, got {given}")
        return each
    if not value:
        raise ValueError(f"where must hold [column, operator, value], got {given!r}")
    if operator in _LISTS:
        value = _check.listed(f"the value of {operator!r} in where", value[0])
    for word in value:
        if _is_missing(word):
            raise ValueError(
                f"where must compare {column!r} with a value, got {word!r}, to which nothing "
                f'compares: write [{column!r}, "is_null"] or [{column!r}, "not_null"]'
            )
    return each


def by_column(where: Sequence[Sequence[Any]]) -> dict[str, list[Sequence[Any]]]:
    """Return the conditions on each column, from `conditions`."""
    found: dict[str, list[Sequence[Any]]] = {}
    for each in where:
        found.setdefault(each[0], []).append(each)
    return found


def holds(
    where: Sequence[Sequence[Any]],
    column: Any,  # pyarrow.Array, or ChunkedArray
) -> NDArray[np.bool_]:
    """Return which values of a column satisfy all of its conditions: bool (n,).

    column : to see whether the conditions fit the type, one missing value will do

    Raises ValueError if they do not fit.
    """
    kept, values = np.ones(len(column), np.bool_), _values(column)
    for name, operator, *value in where:
        try:
            found = _holds(values, operator, *value)
        except (pa.ArrowException, TypeError, OverflowError) as error:
            raise ValueError(
                f"where must fit the columns, got {name!r} of {column.type} {operator} "
                f"{value[0]!r} ({type(value[0]).__name__}): compare it with "
                f"{_fitting(column.type)}"
            ) from error
        kept &= found.fill_null(False).to_numpy(zero_copy_only=False)
    return kept


def _values(column: Any) -> Any:  # pyarrow.Array
    """Return a column as one array of a comparable type, with null for NaN."""
    kind = column.type
    if pa.types.is_float16(kind):
        kind = pa.float32()
    elif _is_text(kind):
        kind = pa.large_string()  # one array may exceed 2 GiB
    column = column.cast(kind)
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays([pa.array([], kind), *column.chunks])
    if not pa.types.is_floating(kind):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)


def _holds(column: Any, operator: str, value: Any = None) -> Any:  # pyarrow.Array
    """Return whether each row satisfies a condition: bool (N,), null for missing values."""
    there = column.is_valid()
    if operator in _TESTS:
        return there if operator == "not_null" else pc.invert(there)
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.bool_())
    numeric = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    if operator not in _LISTS:
        if numeric and _is_number(value):
            return pc.and_(there, pa.array(_compared(_plain(column), operator, value)))
        return _COMPARE[operator](column, _scalar(value))
    values = list(value)
    if numeric and all(map(_is_number, values)):
        found = pa.array(_among_numbers(_plain(column), values))
    else:
        found = _among(column, [_scalar(each) for each in values])
    return pc.and_(there, found if operator == "in" else pc.invert(found))


def _among(column: Any, values: list[Any]) -> Any:  # pyarrow.Array
    """Return whether each row equals one of the values, which are pyarrow scalars."""
    found = pa.array(np.zeros(len(column), np.bool_))
    same = [each.as_py() for each in values if each.type == column.type]
    others = [each for each in values if each.type != column.type]
    if same:
        found = pc.is_in(column, value_set=pa.array(same, column.type))
    if others and _is_text(column.type) and all(_is_text(each.type) for each in others):
        words = pa.array([each.as_py() for each in others], column.type)
        return pc.or_(found, pc.is_in(column, value_set=words))
    for each in others:  # dates among times; there are few
        found = pc.or_(found, pc.equal(column, each).fill_null(False))
    return found


def _among_numbers(column: NDArray[Any], values: list[Any]) -> NDArray[np.bool_]:
    """Return whether each number is one of the values; none is rounded."""
    bounds = [_at_most(column.dtype, each) for each in values]
    same_type = np.array([each for each, same in bounds if same], column.dtype)
    return np.isin(column, same_type, kind="sort")  # a table overflows above 2**63 in numpy 2.0


def _compared(column: NDArray[Any], operator: str, value: Any) -> NDArray[np.bool_]:
    """Compare each number with a value; neither is rounded."""
    bound, same = _at_most(column.dtype, value)
    if not same and operator in ("==", "!="):
        return np.full(column.size, operator == "!=")
    if bound is None:
        return np.full(column.size, operator in (">", ">="))
    if not same:
        operator = "<=" if operator in ("<", "<=") else ">"
    found: NDArray[np.bool_] = _NUMBERS[operator](column, column.dtype.type(bound))
    return found


def _at_most(dtype: np.dtype[Any], value: Any) -> tuple[Any, bool]:  # a number
    """Return the highest number of a dtype that is <= value, and whether it equals the value.

    None where there is no such number.
    """
    value = int(value) if isinstance(value, int | np.integer) else float(value)
    if dtype.kind == "f":
        try:
            near = float(value)
        except OverflowError:
            near = sys.float_info.max if value > 0 else -math.inf
        if near > value:  # Python compares an int and a float exactly
            near = math.nextafter(near, -math.inf)
        return near, near == value
    ends = np.iinfo(dtype)
    if value > ends.max:
        return int(ends.max), False
    return (None, False) if value < ends.min else (math.floor(value), math.floor(value) == value)


def _fitting(kind: Any) -> str:  # pyarrow.DataType
    """Return what values can be compared with those of a type, and how one is written."""
    kinds = pa.types
    if kinds.is_boolean(kind):
        return "true or false"
    if kinds.is_integer(kind) or kinds.is_floating(kind):
        return "numbers"
    if _is_text(kind):
        return "strings"
    if kinds.is_date(kind):
        return "dates (in TOML 2024-01-03 without quotes, or a datetime.date)"
    if kinds.is_timestamp(kind):
        zone, word = ("", "without") if kind.tz is None else ("Z", "with")
        return (
            f"times {word} a zone (in TOML 2024-01-03T00:00:00{zone} without quotes, or a "
            "datetime.datetime)"
        )
    if kinds.is_time(kind):
        return "times of day (in TOML 07:30:00 without quotes, or a datetime.time)"
    if kinds.is_duration(kind):
        return "durations (datetime.timedelta, or numpy.timedelta64)"
    if kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind):
        return "bytes"
    return 'nothing: only "is_null" and "not_null" hold of such'


def _plain(column: Any) -> NDArray[Any]:  # pyarrow.Array
    """Return ints or float64 as a numpy array; missing entries are arbitrary."""
    numbers: NDArray[Any] = column.fill_null(0).to_numpy(zero_copy_only=False)
    return numbers.astype(np.float64) if numbers.dtype.kind == "f" else numbers


def _scalar(value: Any) -> Any:  # of a condition; pyarrow.Scalar
    if isinstance(value, np.datetime64 | np.timedelta64):
        return pa.array(np.asarray([value]))[0]
    return pa.scalar(value.item() if isinstance(value, np.generic) else value)


def _is_number(value: Any) -> bool:  # of a condition
    numbers = isinstance(value, int | float | np.integer | np.floating)
    return numbers and not isinstance(value, bool | np.timedelta64)


def _is_text(kind: Any) -> bool:  # pyarrow.DataType
    return str(kind) in ("string", "large_string", "string_view")


def _is_missing(value: Any) -> bool:  # of a condition
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    return isinstance(value, float | np.floating) and bool(np.isnan(value))
