"""Run a selector on a table on disk, as the command line does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

from ... import _check
from ..._check import _labels
from ..._check._keywords import told
from ..._distinct import distinct
from ...clustering import Clustering
from ...io import Table, columns_text, direction_of, score_of
from ...record import Selection
from ...record.keys import keys_for
from ..core._before import check_columns, check_names, check_needs, with_own
from ..core._estimate import Estimate, characters_of, estimate_of
from ..core._inputs import REMEDY, scores_of, texts_of
from ..core._options import Options
from ..core._registry import Method, directed_for, known_method, takes_scores
from ..core._select import groups_of, ids_of
from ..core._spend import costs_of
from ._stage import Stage, rows_named
from ._within import among, chosen, lifted, with_ids

__all__ = ["check_groups", "check_values", "estimate_from", "select_from"]


@told
def select_from(
    table: Table,
    method: str,
    budget: float | None,
    within: Selection | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Selection:
    """Run a selector on a table, or on the rows of it that an earlier selection kept.

    Parameters
    ----------
    table : Table
        From `sampling.io.open_table`.
    method : str
        One of `methods()`.
    budget : int or float, optional
        M as a count, or as a fraction of the rows that are selected from.
    within : Selection, optional
        Only of the rows that this selection of the same table kept.
    columns : mapping of str to str, optional
        Argument of the method -> column of the table: its first argument unless that is the
        embeddings, and `ids`, `groups`, `labels`, `quality`, ... A required argument is read from
        the column of the same name by default. A score may state its direction, as in
        "margin:easier": one of harder, easier, keep, drop. Otherwise the direction is read from a
        file of `save_scores`, or the one that the method needs is assumed; `info["directions"]`
        holds the direction of each and its origin.
    settings : mapping, optional
        Other arguments of the method. `clusters` and `num_neighbours` are of all rows of the table,
        also with `within`; clusters may be of these rows if they say so in their `rows`.

    Returns
    -------
    Selection
        In rows of the table. With `within`, as if both were stages of a plan: `rules` name the
        method that dropped a row, `weights` are products.

    Raises
    ------
    ValueError
        If there is no such method or column, or a required argument is missing; if a direction is
        invalid, is stated for an argument that is not a score, or cannot be converted to the one
        that the method needs; if `within` is of another number of rows, or keeps none.
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
    ...     first = select_from(open_table(path), "top", 2, columns={"scores": "loss"})
    ...     hard = select_from(open_table(path), "top", 1, first, columns={"scores": "loss"})
    >>> first.indices, hard.indices
    (array([1, 2]), array([1]))
    """
    names, given = dict(columns or {}), dict(settings or {})
    if within is None:
        if isinstance(given.get("clusters"), Clustering):
            given["clusters"] = given["clusters"].of_table(table.size)
        return _selected(table, method, budget, names, given)
    before = chosen(within, table.size)
    alive = distinct(before.indices)
    own, given = among(table, given, alive)
    with rows_named(table, Stage(method, columns=names), alive, names.get("ids")):
        found = _selected(own, method, budget, names, given)
    whole = lifted(found, alive, before, found.method)
    return with_ids(whole, table, names.get("ids"), within)


def _selected(
    table: Table,
    method: str,
    budget: float | None,
    columns: dict[str, str],
    settings: dict[str, Any],
) -> Selection:
    """Return the selection from all rows of a table."""
    entry, arguments = known_method(method), dict(settings)
    known = entry.parameters
    check_names(method, columns, arguments)
    read = with_own(method, columns, arguments, table.names)
    check_columns(method, read, table.names)
    check_needs(method, {*read, *arguments}, table)
    said: dict[str, dict[str, Any]] = {}
    gaps = arguments.get("on_bad") == "drop"
    for name, column in read.items():
        arguments[name] = _column(table, entry, name, column, said, gaps)
    if "embeddings" in known and table.has_embeddings:
        arguments.setdefault("embeddings", table.embeddings)
    data = arguments.pop(next(iter(known)))
    return _with_columns(entry.function(data, budget, **arguments), table, said, known)


def _column(  # noqa: PLR0913  # details of one argument
    table: Table,
    entry: Method,
    name: str,
    text: str,
    said: dict[str, dict[str, Any]],
    gaps: bool,
) -> Any:  # array (N,) or Score
    """Return a column for an argument, and record its direction, if it has one.

    gaps : whether numbers may be missing; the method drops or reports such rows
    """
    column, stated = directed_for(entry, name, text, table.names)
    if name in ("groups", "labels"):
        return table.labels(column)
    if name == "texts":  # read in blocks; the selector refuses or drops missing ones
        return table.values(column)
    if not takes_scores(entry, name):
        own = name not in Options.__annotations__
        with _remedied(table, column, gaps or not own):
            return table.column(column, missing=gaps and own)
    direction, by = direction_of(table, column, stated)
    if name in entry.minds:
        said[name] = {"column": column, "by": by}
    elif stated is not None:
        said[name] = {"column": column, "higher_is": stated, "by": by, "unused": True}
    with _remedied(table, column, gaps):
        return score_of(table, column, direction, missing=gaps)


@told
def estimate_from(
    table: Table,
    method: str,
    budget: float | None,
    *,
    columns: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    size: int | None = None,
    probe: bool = True,
) -> Estimate:
    """Estimate the cost of a selector on a table, of which no embeddings are read.

    Parameters
    ----------
    table : Table
        From `sampling.io.open_table`.
    method, budget, columns, settings
        As for `select_from`.
    size : int, optional
        Number of rows of the table that are selected from; all by default.
    probe : bool, default True
        Whether to measure the speed of this machine in any case, and not only if the work is long;
        see `estimate`.

    Returns
    -------
    Estimate

    Raises
    ------
    ValueError, TypeError
        If there is no such method or argument.
    """
    probe = _check.flag("probe", probe)
    entry, given = known_method(method), dict(settings or {})
    chosen = with_own(method, columns or {}, given, table.names)
    width: int | None = None
    if entry.needs == "texts":
        width = characters_of(table.values(chosen["texts"]))
    elif "embeddings" in entry.parameters and table.has_embeddings:
        width = (table.embeddings_shape or (0, 1))[1]
        if "embeddings" not in entry.needs:
            given.setdefault("embeddings", True)  # of which only the presence matters
    classes = 1
    if "labels" in chosen:
        classes = max(1, _labels.grouped("labels", table.labels(chosen["labels"]))[0].size)
    for name in ("costs", "margins", "quality", "groups"):
        if name in chosen:
            given.setdefault(name, True)
    rows = table.size if size is None else size
    return estimate_of(method, rows, width, given, budget, classes=classes, probe=probe)


@contextmanager
def _remedied(table: Table, column: str, gaps: bool) -> Iterator[None]:
    """Say what to do about missing values, where they may not be."""
    try:
        yield
    except ValueError as error:
        if gaps or not table.values(column).null_count:
            raise
        raise ValueError(f"{error}{REMEDY}") from error


def check_values(
    table: Table, method: str, columns: Mapping[str, str], settings: Mapping[str, Any]
) -> None:
    """Refuse what `select_from` would of the values in the columns, each read by itself.

    Missing and bad scores, missing ids, costs and groups; whether embeddings are finite is not
    checked.
    """
    entry, options = known_method(method), cast(Options, dict(settings))
    gaps = settings.get("on_bad") == "drop"
    for name, text in with_own(method, columns, settings, table.names).items():
        given = _column(table, entry, name, text, {}, gaps)
        if name == "groups":
            groups_of({**options, "groups": given}, table.size)
        elif name == "ids":
            keys_for(0, ids_of(given, table.size), table.size)  # refuses a name twice
        elif name == "costs":
            costs_of(given, table.size)
        elif name == "texts":
            texts_of(name, given, options)
        elif takes_scores(entry, name):
            scores_of(name, given, options)


def check_groups(table: Table, column: str, settings: Mapping[str, Any]) -> None:
    """Refuse numbers by group that name a group which no row of the table has."""
    mappings = {name: settings.get(name) for name in ("group_budgets", "floor", "cap")}
    named = {name: each for name, each in mappings.items() if _check.named(name, each) is not None}
    if named:
        unlabeled = "drop" if settings.get("unlabeled") == "drop" else "group"
        names, _ = _labels.grouped("groups", table.labels(column), unlabeled)
        for name, each in named.items():
            _check.by_name(name, each, names, "groups", default=0.0)


def _with_columns(
    found: Selection, table: Table, said: Mapping[str, dict[str, Any]], known: Mapping[str, Any]
) -> Selection:
    """Return a selection whose `info` holds the columns that were read, and their arguments."""
    info = dict(found.info)
    if said:
        taken = info.get("directions", {})
        of_columns = {name: {**taken.get(name, {}), **facts} for name, facts in said.items()}
        info["directions"] = {**taken, **of_columns}
    if len(table.embedding_columns) > 1 and "embeddings" in known:
        info["embedding_columns"] = columns_text(table.embedding_columns)
    return replace(found, info=info)
