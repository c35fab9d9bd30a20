"""The tables that a selection was made from, by the digests in its manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["of_one_table", "table_text", "tables_of"]

_Table = Sequence[Mapping[str, Any]]  # an entry for each file
_SHOWN = 3  # files named in a message


def tables_of(info: Mapping[str, Any]) -> list[_Table]:
    """Return the digests of each table in the `info` of a selection: its own, and the others."""
    return [table for table in (info.get("inputs"), *info.get("beside", ())) if table]


def of_one_table(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool | None:
    """Return whether two selections have a table in common, by all its files in one order.

    None if one of them has no digests.
    """
    tables = [[_digests(table) for table in tables_of(info)] for info in (one, other)]
    if not all(tables):
        return None
    return any(table in tables[1] for table in tables[0])


def _digests(table: _Table) -> list[Any]:
    return [each["digest"] for each in table]


def table_text(info: Mapping[str, Any]) -> str:
    """Return the names of the files of the table of a selection, for a message."""
    names = [str(each["name"]) for each in tables_of(info)[0]]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
