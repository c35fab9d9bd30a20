"""Conditions as text, such as "quality >= 0.2", for the command line."""

from __future__ import annotations

import csv
import datetime
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa

from ... import _check
from ..._check._keywords import told
from ...io import Table

__all__ = ["parse_where"]

_SIGNS = r"==|!=|<=|>=|<|>|="
_WORDS = r"not\s+in|in|is_null|not_null"
_OPERATOR = re.compile(rf"\s*(?:({_SIGNS})|({_WORDS})(?=\s|\[|\(|$))\s*")
_FORM = (
    "where must be 'COLUMN OPERATOR VALUE' with one of ==, !=, <, <=, >, >=, in and not in (values "
    "after commas), or 'COLUMN is_null' or 'COLUMN not_null'"
)


@told
def parse_where(texts: str | Sequence[str], table: Table) -> list[tuple[Any, ...]]:
    """Return conditions for `filter_from` and `Stage`, from text.

    Parameters
    ----------
    texts : str or sequence of str
        Such as "quality >= 0.2", "lang in en,de", "text not_null" or "day < 2024-01-03". A value is
        read as the type of its column; quotes around strings may be omitted.
    table : Table
        From `sampling.io.open_table`.

    Returns
    -------
    list of tuple

    Raises
    ------
    ValueError
        If a text has another form, there is no such column, or a value does not fit its type.

    Examples
    --------
    >>> import tempfile, pyarrow, pyarrow.parquet
    >>> from pathlib import Path
    >>> from sampling.io import open_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows = pyarrow.table({"quality": [0.1, 0.9], "lang": ["en", "fr"]})
    ...     pyarrow.parquet.write_table(rows, Path(folder, "rows.parquet"))
    ...     parse_where(["quality >= 0.2", "lang in en, de"], open_table(folder))
    [('quality', '>=', 0.2), ('lang', 'in', ['en', 'de'])]
    """
    return [_parsed(text, table) for text in _check.words("where", texts)]


def _parsed(text: str, table: Table) -> tuple[Any, ...]:
    column, operator, rest = _split(text.strip(), table.names)
    kind = table.type_of(column)
    if operator in {"is_null", "not_null"}:
        if rest:
            raise ValueError(f"{_FORM}, got {rest!r} after {operator} in {text!r}")
        return column, operator
    if not rest:
        raise ValueError(f"{_FORM}, got no value in {text!r}")
    if operator in {"in", "not in"}:
        words = _words(rest)
        if len(words) == 1 and words[0] == rest and " " in rest:  # a list without commas?
            raise ValueError(
                f"{_FORM}, got {rest!r} after {operator}: separate values by commas, or put "
                "the one value in quotes"
            )
        return column, operator, [_value(word, kind, column) for word in words]
    return column, operator, _value(rest, kind, column)


def _split(text: str, names: Sequence[str]) -> tuple[str, str, str]:
    """Return column, operator and the rest; the longest column that the text begins with."""
    for name in sorted(names, key=len, reverse=True):
        for written in (name, f'"{name}"', f"'{name}'", f"`{name}`"):
            if text.startswith(written):
                found = _OPERATOR.match(text, len(written))
                if found is not None:
                    return name, _named(found), text[found.end() :].strip()
    found = re.search(rf"\s*(?:{_SIGNS})\s*|\s+(?:{_WORDS})(?:\s|$)", text)
    if found is None:
        raise ValueError(f"{_FORM}, got {text!r}")
    column = text[: found.start()].strip()
    raise ValueError(
        f"the column in where must be one of {list(names)}, got {column!r}"
        f"{_check.closest(column, names)}"
    )


def _named(found: re.Match[str]) -> str:
    sign = found[1] or " ".join(found[2].split())
    return "==" if sign == "=" else sign


def _words(text: str) -> list[str]:
    """Split a list: words after commas, in quotes if they have any; or a list as JSON."""
    if text.startswith("["):
        with suppress(ValueError):  # else it is no JSON
            values = json.loads(text)
            return [each if isinstance(each, str) else json.dumps(each) for each in values]
    inner = text[1:-1] if text[0] + text[-1] in {"[]", "()"} else text
    quote = "'" if "'" in inner and '"' not in inner else '"'
    row = next(csv.reader([inner], skipinitialspace=True, quotechar=quote), [])
    return [word.strip() for word in row]


def _value(word: str, kind: Any, column: str) -> Any:  # pyarrow.DataType
    """Read a value as the type of its column."""
    kinds = pa.types
    try:
        if kinds.is_boolean(kind):
            return {"true": True, "false": False}[word.lower()]
        if kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_null(kind):
            return _number(word)
        if kinds.is_date(kind):
            return datetime.date.fromisoformat(word)
        if kinds.is_timestamp(kind):
            return datetime.datetime.fromisoformat(word.replace("Z", "+00:00"))
        if kinds.is_time(kind):
            return datetime.time.fromisoformat(word)
    except (ValueError, KeyError):
        what = {"bool": "true or false"}.get(str(kind), f"a value of {kind}")
        several = re.search(r"\s(?:and|or)\s", word, re.IGNORECASE)
        remedy = ": give each condition by itself; all must hold" if several else ""
        raise ValueError(
            f"where must compare {column!r} with {what}, got {word!r}{remedy}"
        ) from None
    quoted = len(word) > 1 and word[0] == word[-1] and word[0] in "\"'"
    return word[1:-1] if quoted else word


def _number(word: str) -> int | float:
    try:
        return int(word.replace("_", ""))
    except ValueError:
        return float(word)
