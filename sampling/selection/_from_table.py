"""A selector run over a table on disk: what the command line calls."""

import inspect
from collections.abc import Mapping
from typing import Any, get_args

from .. import _check
from ..io import Table, score_of
from ..types import Score, Selection
from ._registry import METHODS
from ._task import Options

__all__ = ["select_from"]


def select_from(
    table: Table,
    method: str,
    budget: float | None,
    *,
    columns: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Selection:
    """Run a selector over a table.

    Parameters
    ----------
    table : Table
        From `sampling.io.open_table`.
    method : str
        One of `methods()`.
    budget : int or float, optional
    columns : mapping of str to str, optional
        Argument of the method -> column of the table: what it reads first unless that is the
        embeddings, and `ids`, `groups`, `labels`, `quality`, ... An argument and a column of one
        name need no mention if the method cannot do without. A column of `save_scores` brings its
        direction along.
    settings : mapping, optional
        Other arguments of the method.

    Returns
    -------
    Selection

    Raises
    ------
    ValueError
        If there is no such method or column, or the method needs what is not given.
    TypeError
        If the method has no such argument.

    Examples
    --------
    >>> import tempfile, pyarrow, pyarrow.parquet
    >>> from pathlib import Path
    >>> from sampling.io import open_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "rows.parquet")
    ...     pyarrow.parquet.write_table(pyarrow.table({"loss": [0.1, 0.9, 0.5]}), path)
    ...     select_from(open_table(path), "top", 2, columns={"scores": "loss"}).indices
    array([1, 2])
    """
    if method not in METHODS:
        raise ValueError(
            f"method must be one of {', '.join(sorted(METHODS))}, got {method!r}"
            f"{_check.closest(method, METHODS)}"
        )
    entry, chosen = METHODS[method], dict(columns or {})
    known = inspect.signature(entry.function).parameters
    first = next(iter(known))
    allowed = [name for name in (*known, *Options.__annotations__) if name not in {"options"}]
    for name in (*chosen, *(settings or {})):
        if name not in allowed or name == "budget":
            raise TypeError(
                f"{method} has no argument {name!r}, only {', '.join(allowed)}"
                f"{_check.closest(name, allowed)}"
            )
    arguments: dict[str, Any] = {**(settings or {})}
    twice = set(chosen) & set(arguments)
    if twice:
        raise ValueError(f"{min(twice)} must be a column or a setting, got both")
    for name, parameter in known.items():
        needed = parameter.default is inspect.Parameter.empty
        if name in table.names and needed and name not in arguments:
            chosen.setdefault(name, name)
    for name, column in chosen.items():
        arguments[name] = _column(table, column, known.get(name))
    if "embeddings" in known and table.embeddings is not None:
        arguments.setdefault("embeddings", table.embeddings)
    if first not in arguments:
        raise ValueError(
            f"{method} needs {first}: name a column, {first}=COLUMN, one of {list(table.names)}"
            if first != "embeddings"
            else f"{method} needs embeddings, got none in {table.paths[0]}"
        )
    data = arguments.pop(first)
    return entry.function(data, budget, **arguments)


def _column(table: Table, column: str, argument: inspect.Parameter | None) -> Any:  # noqa: ANN401
    """Return a column for an argument: with its direction where that is known and asked for."""
    takes_scores = argument is not None and Score in get_args(argument.annotation)
    return score_of(table, column) if takes_scores else table.column(column)
