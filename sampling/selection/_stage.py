"""One stage of a plan, as data."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .. import _check
from ..io import Outline
from ._before import check_columns, check_needs, check_settings, with_own
from ._options import Options
from ._registry import METHODS

__all__ = ["Stage", "said_of", "stage_named", "where_holds"]

_OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "in", "not in")  # of pyarrow's filters
_ROW = "the row's number"  # a column beside those of the table
_COLUMN_ONLY = {"ids", "groups", "labels", "already_selected"}  # one value for each row


@dataclass(frozen=True)
class Stage:
    """One selector of a plan, or a filter.

    Parameters
    ----------
    method : str
        One of `methods()`, or "filter".
    budget : int or float, optional
        A fraction is one of the rows that reach the stage.
    name : str, optional
        What the manifest and the rules call it; the method by default.
    columns : mapping of str to str, optional
        Argument of the method -> column of the table; of a score also "COLUMN:DIRECTION", such as
        "margin:easier", see `select_from`.
    where : sequence of (column, operator, value), optional
        For "filter": all of them must hold. Operators are those of pyarrow's filters: "==", "!=",
        "<", "<=", ">", ">=", "in", "not in"; the last two take a list of values.
    settings : mapping, optional
        Other arguments of the method.

    Attributes
    ----------
    group_column : str or None
        Column of the groups over which the stage shares its budget out.

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
        for each in _check.listed("where", self.where):
            if isinstance(each, str) or len(_check.listed("where", each)) != 3:
                raise ValueError(f"where must hold [column, operator, value], got {each!r}")
            _check.text("the column in where", each[0])
            _check.choice("the operator in where", each[1], _OPERATORS)
            if each[1] in {"in", "not in"}:
                _check.listed(f"the value of {each[1]!r} in where", each[2])
        object.__setattr__(self, "where", tuple(tuple(each) for each in self.where))
        _check.mapping("settings", self.settings)

    @property
    def group_column(self) -> str | None:
        """Column of the groups over which the stage shares its budget out; None without."""
        per_class = self.columns.get("labels") if self.settings.get("per_class") else None
        return self.columns.get("groups", per_class)

    def check(
        self,
        names: Sequence[str],
        outline: Outline | None = None,
        *,
        size: int | None = None,
        shared: Sequence[str] = (),
    ) -> None:
        """Refuse what can be known to fail before any work.

        Parameters
        ----------
        names : sequence of str
            Columns of the table.
        outline : Outline, optional
            Of the table: the types of its columns, and whether it has embeddings.
        size : int, optional
            Rows that reach the stage, at the most.
        shared : sequence of str, optional
            Arguments that the plan gives to all stages.

        Raises
        ------
        ValueError, TypeError
            If there is no such method, argument or column; if a value is one that the method
            refuses whatever its data are; if a condition does not fit the type of its column.
        """
        if self.method != "filter":
            self._check_known()
        types = {} if outline is None else outline.types
        columns = dict(self.columns)
        if self.method in METHODS:
            columns = with_own(self.method, columns, self.settings, names)
            check_columns(self.method, columns, names, types)
        for column in (*self.columns.values(), *(each[0] for each in self.where)):
            if self.method == "filter":
                _known(column, names)
        if not self.name.isprintable() or set("/\\") & set(self.name):
            raise ValueError(f"name must be one that a file can have, got {self.name!r}")
        twice = set(self.columns) & set(self.settings)
        if twice:
            raise ValueError(f"{min(twice)} must be a column or a setting, got both")
        if self.method == "filter":
            self._check_filter()
            if outline is not None:
                where_holds(
                    {each[0]: pa.array([], types[each[0]]) for each in self.where}, 0, self.where
                )
            return
        self._check_method()
        check_settings(self.method, self.budget, columns, self.settings, size=size, shared=shared)
        if outline is not None:
            given = {*columns, *self.settings, *shared}
            check_needs(self.method, given, names, outline.shape is not None, outline.path)

    def _check_filter(self) -> None:
        if not self.where or self.columns or self.settings or self.budget is not None:
            raise ValueError("where must be given for a filter, and nothing else")

    def _check_known(self) -> None:
        if self.method not in METHODS:
            raise ValueError(
                f"method must be filter or one of {', '.join(sorted(METHODS))}, got "
                f"{self.method!r}{_check.closest(self.method, METHODS)}"
            )

    def _check_method(self) -> None:
        if self.where:
            raise ValueError(f"where must be given for a filter only, got it for {self.method}")
        known = [*inspect.signature(METHODS[self.method].function).parameters]
        allowed = {*known, *Options.__annotations__} - {"options", "budget"}
        for name in (*self.columns, *self.settings):
            if name not in allowed:
                raise ValueError(
                    f"{self.method} has no argument {name!r}, only {', '.join(sorted(allowed))}"
                    f"{_check.closest(name, allowed)}"
                )
            if name in self.settings and name in _COLUMN_ONLY:
                raise ValueError(f"{name} must be a column: put it under columns")


def _known(column: str, names: Sequence[str]) -> None:
    if column not in names:
        raise ValueError(
            f"column must be one of {list(names)}, got {column!r}{_check.closest(column, names)}"
        )


def where_holds(
    columns: Mapping[str, Any], size: int, where: Sequence[Sequence[Any]]
) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Return the rows of which all conditions hold, int64 (n,); refuse those that do not fit.

    columns : pyarrow or numpy array (N,) of each column in the conditions
    size    : N
    """
    rows = {name: _plain(column) for name, column in columns.items()}
    try:
        table = pa.table({**rows, _ROW: np.arange(size)})
        holds = pq.filters_to_expression([tuple(each) for each in where])
        kept: np.ndarray[Any, np.dtype[np.int64]] = table.filter(holds)[_ROW].to_numpy()
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(f"where must fit the columns, got: {error}") from error
    return kept


def _plain(column: Any) -> Any:  # noqa: ANN401  # pyarrow or numpy array
    """Return a column as `Table.column` does, so that a type is compared as it will be."""
    if not isinstance(column, pa.Array):
        return column
    array = column.to_numpy(zero_copy_only=False)
    return array.astype(str) if array.dtype == object else array


@contextmanager
def stage_named(number: int, stage: Stage) -> Iterator[None]:
    """Say in an error which stage it is about."""
    with said_of(f"stage {number} ({stage.name})"):
        yield


@contextmanager
def said_of(what: str) -> Iterator[None]:
    """Say in an error of the block what it is about."""
    try:
        yield
    except TypeError as error:
        raise TypeError(f"{what}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
