"""Checks before the computation: arguments and columns of a call of a selector."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from ... import _check
from ..._check._keywords import told
from ..._check._rehearsal import Data, call_before
from ...clustering import Clustering, Neighbours
from ...io import Table
from ._budget import count_of, per_group
from ._memory import bytes_of
from ._options import Options, check_options
from ._registry import METHODS, directed_for, known_method, refuse_engine, takes_scores
from ._spend import limit_of, refuse_costs

__all__ = ["check_call", "check_settings", "reads_embeddings"]

# Parts of the annotations of array arguments. From Python 3.12 on, numpy's is a name of its own.
_ARRAYS = set(get_args(ArrayLike) or [ArrayLike])
_OF_ROWS = ("ids", "groups", "costs")
_SHARED = {"clusters": 1, "num_neighbours": 1, "dedup_clusters": 1}  # valid values


@told
def reads_embeddings(method: str) -> bool:
    """Return whether a selector uses embeddings.

    Parameters
    ----------
    method : str
        One of `methods()`.

    Returns
    -------
    bool
    """
    return "embeddings" in known_method(method).parameters


@told
def check_call(
    table: Table,
    method: str,
    budget: float | None,
    *,
    columns: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Check the arguments of `select_from` before the rows of a table are read.

    Parameters
    ----------
    table : Table
        From `sampling.io.open_table`.
    method, budget, columns, settings
        Those of `select_from`.

    Raises
    ------
    ValueError, TypeError
        The errors of the selector itself.
    """
    columns, settings = dict(columns or {}), dict(settings or {})
    refuse_engine(known_method(method), settings)
    check_names(method, columns, settings)
    columns = with_own(method, columns, settings, table.names)
    check_columns(method, columns, table.names, table)
    table.check_rows()
    if reads_embeddings(method):
        table.check_embeddings()
    check_needs(method, {*columns, *settings}, table)
    check_settings(method, budget, columns, settings, size=table.size)
    for name, given in settings.items():
        whole = isinstance(given, Clustering) and given.rows is None  # else which rows is checked
        own = given.labels if whole else None  # with the rows that are selected from
        own = given.indices if isinstance(given, Neighbours) else own
        if own is not None and len(own) != table.size:
            raise ValueError(f"{name} must be of all {table.size} rows, got {len(own)}")


def check_names(method: str, columns: Mapping[str, str], settings: Mapping[str, Any]) -> None:
    """Refuse arguments that a selector does not have, or that are given both ways."""
    known = known_method(method).parameters
    allowed = [name for name in (*known, *Options.__annotations__) if name != "options"]
    for name in (*columns, *settings):
        if name not in allowed or name == "budget":
            raise TypeError(
                f"{method} has no argument {name!r}, only {', '.join(allowed)}"
                f"{_check.closest(name, allowed)}"
            )
    twice = set(columns) & set(settings)
    if twice:
        raise ValueError(f"{min(twice)} must be a column or a setting, got both")


def with_own(
    method: str, columns: Mapping[str, str], settings: Mapping[str, Any], names: Sequence[str]
) -> dict[str, str]:
    """Return the columns of a call, including required arguments that are not listed.

    For these, the column of the same name is used.
    """
    chosen = dict(columns)
    for name, parameter in METHODS[method].parameters.items():
        needed = parameter.default is inspect.Parameter.empty
        if name in names and needed and name not in settings:
            chosen.setdefault(name, name)
    return chosen


def check_columns(
    method: str, columns: Mapping[str, str], names: Sequence[str], table: Table | None = None
) -> None:
    """Refuse missing columns, unsuitable directions, and text columns for numbers.

    table : if given, types are checked too: unreadable columns are refused
    """
    entry = METHODS[method]
    for argument, text in columns.items():
        column, _ = directed_for(entry, argument, text, names)
        if column not in names:
            if table is not None:
                table.type_of(column)  # which may know it as one of lists
            raise ValueError(
                f"column must be one of {list(names)}, got {column!r}"
                f"{_check.closest(column, names)}"
            )
        if table is None:
            continue
        kind = table.type_of(column)
        if (argument == "costs" or takes_scores(entry, argument)) and _is_no_number(kind):
            found = _check.first_text(table.values(column))
            raise TypeError(f"{argument} must hold numbers, got {kind} in column {column!r}{found}")
        if argument == "texts" and not _is_text(kind):
            raise TypeError(f"texts must hold strings, got {kind} in column {column!r}")
        if argument == "ids" and (pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise TypeError(f"ids must hold ints or strings, got {kind} in column {column!r}")


def _is_no_number(kind: Any) -> bool:  # pyarrow.DataType
    words = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")
    others = (pa.types.is_fixed_size_binary, pa.types.is_temporal, pa.types.is_nested)
    return str(kind) in words or any(is_(kind) for is_ in others)


def _is_text(kind: Any) -> bool:  # pyarrow.DataType
    words = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")
    return str(kind) in words or pa.types.is_null(kind)


def _is_array(parameter: inspect.Parameter) -> bool:
    """Return whether an argument of a selector is an array, such as a value for each row."""
    return {parameter.annotation, *get_args(parameter.annotation)} >= _ARRAYS


def check_needs(method: str, given: set[str], table: Table) -> None:
    """Refuse a call that lacks a required argument.

    given : arguments given as columns or settings
    """
    for name, parameter in METHODS[method].parameters.items():
        if parameter.default is not inspect.Parameter.empty or name in {*given, "budget"}:
            continue
        if parameter.kind is parameter.VAR_KEYWORD or (
            name == "embeddings" and table.has_embeddings
        ):
            continue
        if name == "embeddings":
            table.refuse_no_embeddings(method)
        if METHODS[method].needs == "gradients":
            raise ValueError(
                f"{method} needs {name} of the current model, which no table holds: call it in "
                "Python, between epochs"
            )
        if not _is_array(parameter) or name == "center_losses":  # one number for each cluster
            raise ValueError(f"{method} needs {name}: give it as a setting")
        raise ValueError(
            f"{method} needs {name}: name a column, {name}=COLUMN, one of {list(table.names)}"
        )


def check_settings(
    method: str,
    budget: float | None,
    columns: Mapping[str, str],
    settings: Mapping[str, Any],
    *,
    size: int | None = None,
    shared: Sequence[str] = (),
) -> None:
    """Refuse settings, and a budget, that the selector would refuse for any data.

    columns : arguments that are read from the table
    size    : upper bound of the number of rows
    shared  : arguments provided by a plan
    """
    entry = METHODS[method]
    function: Any = inspect.unwrap(entry.function)
    known = entry.parameters
    options = {name: each for name, each in settings.items() if name in Options.__annotations__}
    for name, given in settings.items():
        each = known.get(name)
        of_rows = name in _OF_ROWS or (each is not None and _is_array(each))
        if of_rows and isinstance(given, str | bool | int | float):
            raise TypeError(
                f"{name} must hold a value for each row, got {given!r}: name a column instead"
            )
    costs = "costs" in {*columns, *settings}
    _check_options(method, options, costs=costs)
    _check_budget(method, budget, size, costs=costs)
    arguments: dict[str, Any] = {name: Data() for name in (*columns, "embeddings") if name in known}
    arguments |= {name: _SHARED[name] for name in shared if name in known}
    arguments |= {name: each for name, each in settings.items()}
    arguments |= {name: Data() for name in columns if name not in known}
    needed = [name for name, each in known.items() if each.default is inspect.Parameter.empty]
    arguments |= {
        name: _SHARED.get(name, Data())
        for name in needed
        if name not in {*arguments, "budget"}
        and known[name].kind is not inspect.Parameter.VAR_KEYWORD
    }
    call_before(function, budget=budget, **arguments)


def _check_options(method: str, options: Mapping[str, Any], *, costs: bool) -> None:
    given = cast(Options, dict(options))
    check_options(method, given)
    _check.seed(options.get("seed", 0))
    bytes_of(options.get("max_memory"), 0)
    for name in ("floor", "cap"):
        limit = options.get(name)
        mapping = _check.named(name, limit)
        names = np.array(list(mapping) if mapping is not None else [0])
        per_group(name, limit if mapping is None else None, names, 0.0)
        for key, each in (mapping or {}).items():
            _check.number(f"{name}[{key!r}]", each, "[0, inf)")
    shares = options.get("group_budgets")
    if shares is not None and not isinstance(shares, str):
        mapping = _check.named("group_budgets", shares)
        if mapping is None:
            raise TypeError(
                "group_budgets must be a mapping from groups, or a word, got "
                f"{type(shares).__name__}"
            )
        for key, each in mapping.items():
            _check.number(f"group_budgets[{key!r}]", each, "[0, inf)")
    already: Any = options.get("already_selected")
    if already is not None and np.size(already):
        _check.unique_rows("already_selected", already)
    if costs and not METHODS[method].own_costs:
        refuse_costs(method, given, ranked=METHODS[method].ranked)


def _check_budget(method: str, budget: float | None, size: int | None, *, costs: bool) -> None:
    """Refuse an invalid budget, or one above the largest possible number of rows."""
    kind = str(METHODS[method].parameters["budget"].annotation)
    if budget is None:
        if "None" not in kind:
            raise ValueError("budget must be given, a count or a fraction, got None")
    elif costs:
        limit_of(budget, 1)
    else:
        unknown = size is None or METHODS[method].repeats
        count_of(budget, _check.MAX_SIZE if unknown or size is None else size)
