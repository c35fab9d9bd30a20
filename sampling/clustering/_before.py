"""Checks before rows are read, for clusterings and neighbour graphs that are to be computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import _check
from .._check._rehearsal import Data, call_before
from ..io import Table
from ._kmeans import kmeans
from ._neighbours import neighbours

__all__ = ["check_kmeans", "check_neighbours"]


def check_kmeans(table: Table, **given: Any) -> None:  # those of `kmeans`
    """Check the arguments of `kmeans` before the rows of a table are read.

    Parameters
    ----------
    table : Table
        From `sampling.io.open_table`.
    **given
        Arguments of `kmeans`; `groups` is a column of the table.

    Raises
    ------
    ValueError, TypeError
        The errors of `kmeans` itself; if there is no such column, or there are no embeddings.
    """
    column = given.get("groups")
    if column is not None:
        if column not in table.names:
            raise ValueError(
                f"groups must be one of {list(table.names)}, got {column!r}"
                f"{_check.closest(str(column), table.names)}"
            )
        table.type_of(column)  # refuses a column that cannot be read
        given["groups"] = Data()
    _check_made(table, kmeans, "n_clusters", given)


def check_neighbours(table: Table, **given: Any) -> None:  # of `neighbours`
    """Check the arguments of `neighbours` before the rows of a table are read.

    Parameters
    ----------
    table : Table
        From `sampling.io.open_table`.
    **given
        Arguments of `neighbours`.

    Raises
    ------
    ValueError, TypeError
        The errors of `neighbours` itself; if there are no embeddings.
    """
    _check_made(table, neighbours, "k", given)


def _check_made(
    table: Table, function: Callable[..., Any], needed: str, given: dict[str, Any]
) -> None:
    if needed not in given:
        raise ValueError(f"{needed} must be given, got none")
    table.refuse_no_embeddings(function.__name__)
    table.check_rows()
    table.check_embeddings()
    call_before(function, embeddings=Data(), **given)
