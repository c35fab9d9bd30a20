"""A stage of a plan, as data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pyarrow as pa

from ... import _check
from ..._check._keywords import told
from ...io import Table
from ...types import Indices
from ..core._before import check_columns, check_needs, check_settings, with_own
from ..core._options import Options
from ..core._registry import METHODS, refuse_engine
from ._filter import by_column, conditions, holds

__all__ = ["Stage", "refuse_no_id", "refuse_no_rows", "rows_named", "said_of", "stage_named"]

_COLUMN_ONLY = {"ids", "groups", "labels", "already_selected"}  # one value for each row
_ROW = re.compile(r"\bin row (\d+)\b")  # as messages name one


@told
@dataclass(frozen=True)
class Stage:
    """A stage of a plan: a selector or a filter.

    Parameters
    ----------
    method : str
        One of `methods()`, or "filter".
    budget : int or float, optional
        A count, or a fraction of the rows that reach the stage.
    name : str, optional
        Name in the manifest and in the rules; the method by default.
    columns : mapping of str to str, optional
        Argument of the method -> column of the table; for a score also "COLUMN:DIRECTION", such as
        "margin:easier", see `select_from`.
    where : sequence of (column, operator, value), optional
        Conditions of a "filter", all of which must hold. Operators are "==", "!=", "<", "<=", ">",
        ">=", and "in" and "not in" with a list of values. As in SQL, none of them holds for a
        missing value (null or NaN); use (column, "is_null") and (column, "not_null") to test for
        these.
    settings : mapping, optional
        Other arguments of the method.

    Attributes
    ----------
    group_column : str or None
        Column of the groups to which the stage apportions its budget.
    gives_weights : bool
        Whether the kept rows will have weights.

    Raises
    ------
    TypeError, ValueError
        If a value is of another type, or an operator is unknown.

    Examples
    --------
    >>> Stage("semdedup", columns={"quality": "score"}, settings={"threshold": 0.95}).name
    'semdedup'
    """

    method: str
    budget: float | None = None
    name: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    where: Sequence[Sequence[Any]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check.text("method", self.method)
        object.__setattr__(self, "name", _check.text("name", self.name) or self.method)
        if self.budget is not None:
            _check.number("budget", self.budget, "(0, inf)")
        for argument, column in _check.mapping("columns", self.columns).items():
            _check.text(f"columns[{argument!r}]", column)
        object.__setattr__(self, "where", conditions(self.where))
        _check.mapping("settings", self.settings)

    @property
    def group_column(self) -> str | None:
        """Column of the groups to which the stage apportions its budget; None without."""
        per_class = self.columns.get("labels") if self.settings.get("per_class") else None
        return self.columns.get("groups", per_class)

    @property
    def gives_weights(self) -> bool:
        """Whether the kept rows will have weights."""
        weights = "" if self.method not in METHODS else METHODS[self.method].weights
        asked = "or none" not in weights or self.settings.get("reweight") is True
        return bool(weights) and asked

    def check(
        self,
        names: Sequence[str],
        table: Table | None = None,
        *,
        size: int | None = None,
        shared: Sequence[str] = (),
    ) -> None:
        """Check the stage before the computation.

        Parameters
        ----------
        names : sequence of str
            Columns of the table.
        table : Table, optional
            The table itself; if given, types and the existence of embeddings are checked too.
        size : int, optional
            Upper bound of the number of rows that reach the stage.
        shared : sequence of str, optional
            Arguments that the plan provides to all stages.

        Raises
        ------
        ValueError, TypeError
            If there is no such method, argument or column; if the method would refuse a value for
            any data; if a column occurs twice or has two types, or a condition does not fit its
            type.
        """
        if self.method != "filter":
            self._check_known()
        columns = dict(self.columns)
        if self.method in METHODS:
            columns = with_own(self.method, columns, self.settings, names)
            check_columns(self.method, columns, names, table)
        for column in (*self.columns.values(), *(each[0] for each in self.where)):
            if self.method == "filter":
                _known(column, names, table)
        if not self.name.isprintable() or set("/\\") & set(self.name):
            raise ValueError(f"name must be a valid file name, got {self.name!r}")
        twice = set(self.columns) & set(self.settings)
        if twice:
            raise ValueError(f"{min(twice)} must be a column or a setting, got both")
        if self.method == "filter":
            self._check_filter(table)
            return
        self._check_method()
        refuse_engine(METHODS[self.method], self.settings)
        check_settings(self.method, self.budget, columns, self.settings, size=size, shared=shared)
        if table is not None:
            check_needs(self.method, {*columns, *self.settings, *shared}, table)

    def _check_filter(self, table: Table | None) -> None:
        if not self.where or self.columns or self.settings or self.budget is not None:
            raise ValueError("where must be given for a filter, and nothing else")
        if table is not None:
            for name, own in by_column(self.where).items():
                holds(own, pa.nulls(1, table.type_of(name)))  # they fit its type

    def _check_known(self) -> None:
        if self.method not in METHODS:
            raise ValueError(
                f"method must be filter or one of {', '.join(sorted(METHODS))}, got "
                f"{self.method!r}{_check.closest(self.method, METHODS)}"
            )

    def _check_method(self) -> None:
        if self.where:
            raise ValueError(f"where must be given for a filter only, got it for {self.method}")
        known = [*METHODS[self.method].parameters]
        allowed = {*known, *Options.__annotations__} - {"options", "budget"}
        for name in (*self.columns, *self.settings):
            if name not in allowed:
                raise ValueError(
                    f"{self.method} has no argument {name!r}, only {', '.join(sorted(allowed))}"
                    f"{_check.closest(name, allowed)}"
                )
            if name in self.settings and name in _COLUMN_ONLY:
                raise ValueError(f"{name} must be a column: put it under columns")


def _known(column: str, names: Sequence[str], table: Table | None) -> None:
    if column not in names:
        if table is not None:
            table.type_of(column)  # which may know it as one of lists
        raise ValueError(
            f"column must be one of {list(names)}, got {column!r}{_check.closest(column, names)}"
        )


def refuse_no_rows(who: str) -> NoReturn:
    """Refuse to choose among no rows; `who` left none."""
    raise ValueError(f"there must be rows to choose from, got none: {who} left no rows")


def refuse_no_id(column: str, rows: Indices) -> None:
    """Refuse rows of the table, of shape (n,), that have no id in the column of the ids."""
    if rows.size:
        others = f" ({rows.size} such rows)" if rows.size > 1 else ""
        raise ValueError(
            f"ids must have a value in each row that reaches a stage, got a missing one in row "
            f"{rows.min()} of column {column!r}{others}: drop such rows before, with a filter "
            f'where = [["{column}", "not_null"]]'
        )


@contextmanager
def stage_named(number: int, stage: Stage) -> Iterator[None]:
    """Add the number and name of the stage to errors of the block."""
    with said_of(f"stage {number} ({stage.name})"):
        yield


@contextmanager
def rows_named(
    table: Table, stage: Stage | None = None, rows: Indices | None = None, ids: str | None = None
) -> Iterator[None]:
    """Say in an error which row of the table it is about, and the row's id.

    stage : that of the error; None for what all stages share
    rows  : which of the table's are numbered in the error, if not all
    ids   : column of the names of the rows
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        text, found = str(error), _ROW.search(str(error))
        names = {*table.names, "embeddings", "ids", *(stage.columns if stage is not None else ())}
        names -= {*(stage.settings if stage is not None else ())}  # whose rows are their own
        about = tuple(f"{word} " for name in names for word in (name, repr(name)))
        row = -1 if found is None or not text.startswith(about) else int(found[1])
        if found is None or not 0 <= row < (table.size if rows is None else len(rows)):
            raise
        own = row if rows is None else int(rows[row])
        name = None if ids is None else table.values(ids)[own].as_py()
        named = "" if name is None else f", id {name!r}"
        text = f"{text[: found.start()]}in row {own}{named}{text[found.end() :]}"
        if isinstance(error, TypeError):
            raise TypeError(text) from error
        raise ValueError(text) from error


@contextmanager
def said_of(what: str) -> Iterator[None]:
    """Add a prefix to the messages of errors of the block."""
    try:
        yield
    except TypeError as error:
        raise TypeError(f"{what}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
