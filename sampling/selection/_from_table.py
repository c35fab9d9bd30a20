"""A selector run over a table on disk: what the command line calls."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .. import _check
from ..io import Table, columns_text, direction_of, score_of
from ..types import Selection
from ._registry import METHODS, Method, directed_for, takes_scores
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
        name need no mention if the method cannot do without. A score may state its direction,
        "margin:easier": one of harder, easier, keep, drop. Else a column of `save_scores` brings
        it along, and of any other what the method minds is assumed: `info["directions"]` says what
        was taken of each, and by what.
    settings : mapping, optional
        Other arguments of the method.

    Returns
    -------
    Selection

    Raises
    ------
    ValueError
        If there is no such method or column, or the method needs what is not given; if a direction
        is none, is stated of what is no score, or cannot be turned to what the method minds.
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
    said: dict[str, dict[str, Any]] = {}
    gaps = arguments.get("on_bad") == "drop"
    for name, column in chosen.items():
        arguments[name] = _column(table, entry, name, column, said, gaps)
    if "embeddings" in known and table.has_embeddings:
        arguments.setdefault("embeddings", table.embeddings)
    if first not in arguments:
        raise ValueError(
            f"{method} needs {first}: name a column, {first}=COLUMN, one of {list(table.names)}"
            if first != "embeddings"
            else f"{method} needs embeddings, got none in {table.paths[0]}"
        )
    data = arguments.pop(first)
    return _with_columns(entry.function(data, budget, **arguments), table, said, known)


def _column(  # noqa: PLR0913  # what is known of one argument
    table: Table,
    entry: Method,
    name: str,
    text: str,
    said: dict[str, dict[str, Any]],
    gaps: bool,
) -> Any:  # noqa: ANN401  # array (N,) or Score
    """Return a column for an argument, and note what is known of its direction, if it has one.

    gaps : whether numbers may be missing: the method drops such rows, or names them
    """
    column, stated = directed_for(entry, name, text, table.names)
    if not takes_scores(entry, name):
        own = name != "labels" and name not in Options.__annotations__
        return table.column(column, missing=gaps and own)
    direction, by = direction_of(table, column, stated)
    if name in entry.minds:
        said[name] = {"column": column, "by": by}
    elif stated is not None:
        said[name] = {"column": column, "higher_is": stated, "by": by, "unused": True}
    return score_of(table, column, direction, missing=gaps)


def _with_columns(
    found: Selection, table: Table, said: Mapping[str, dict[str, Any]], known: Mapping[str, Any]
) -> Selection:
    """Return a selection whose `info` says which columns were read, and as what."""
    info = dict(found.info)
    if said:
        taken = info.get("directions", {})
        of_columns = {name: {**taken.get(name, {}), **facts} for name, facts in said.items()}
        info["directions"] = {**taken, **of_columns}
    if len(table.embedding_columns) > 1 and "embeddings" in known:
        info["embedding_columns"] = columns_text(table.embedding_columns)
    return replace(found, info=info)
