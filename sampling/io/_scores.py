"""Columns of a table as scores: their direction, stated in the files or by the caller."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa

from .. import _check
from .._check._keywords import told
from ..record import Direction, Score
from ..record.files import direction_in
from ._table import Table, npy_in

__all__ = [
    "directed",
    "direction_of",
    "read_vector",
    "score_of",
]


@told
def directed(text: str, names: Sequence[str]) -> tuple[str, Direction | None]:
    """Parse COLUMN or COLUMN:DIRECTION, such as "margin:easier".

    Parameters
    ----------
    text : str
    names : sequence of str
        Existing columns. Text that equals a column name has no direction.

    Returns
    -------
    tuple of str, and {"harder", "easier", "keep", "drop"} or None
        The column, which need not exist, and its direction.

    Raises
    ------
    ValueError
        If the text after a column and a colon is not a direction.

    Examples
    --------
    >>> directed("margin:easier", ["margin", "a:b"]), directed("a:b", ["margin", "a:b"])
    (('margin', 'easier'), ('a:b', None))
    """
    column, colon, word = text.rpartition(":")
    if text in names or not colon:
        return text, None
    allowed: tuple[Direction, ...] = get_args(Direction)
    for direction in allowed:
        if word.strip().lower() == direction:
            return column, direction
    if column not in names:
        return text, None
    raise ValueError(
        f"the direction of {column} must be one of {', '.join(map(repr, allowed))}, got {word!r}"
        f"{_check.closest(word, allowed)}"
    )


@told
def score_of(
    table: Table, column: str, higher_is: Direction | None = None, *, missing: bool = False
) -> Any:
    """Return a column of a table, as a `Score` if its files state a direction.

    Parameters
    ----------
    table : Table
    column : str
    higher_is : {"harder", "easier", "keep", "drop"}, optional
        Direction of the column, which overrides that in the files.
    missing : bool, default False
        Whether values may be missing; nulls become NaN.

    Returns
    -------
    Score or array of shape (N,)

    Raises
    ------
    ValueError
        If the files of the column state different directions, or values are missing and `missing`
        is False.
    """
    if higher_is is not None:
        higher_is = _check.choice("higher_is", higher_is, get_args(Direction))
    missing = _check.flag("missing", missing)
    direction, _ = direction_of(table, column, higher_is)
    values = table.column(column, missing=missing)
    if values.dtype == object and not pa.types.is_string(table.type_of(column)):
        values = np.array(values, np.float64)  # ints that float64 cannot represent, or bools
    return values if direction is None else Score(values, direction, column)


@told
def direction_of(
    table: Table, column: str, stated: Direction | None = None
) -> tuple[Direction | None, str]:
    """Return the direction of a column, and where it comes from.

    Parameters
    ----------
    table : Table
    column : str
    stated : {"harder", "easier", "keep", "drop"}, optional
        Direction given by the caller, which takes precedence over the files.

    Returns
    -------
    tuple of {"harder", "easier", "keep", "drop"} or None, and str
        The direction, and "stated", "file", "assumed" (if the direction is None) or, if a file
        disagrees, "stated, and its file says 'easier'".

    Raises
    ------
    ValueError
        If the files disagree, or only some state a direction, and `stated` is None.
    """
    if stated is not None:
        stated = _check.choice("stated", stated, get_args(Direction))
    fields = table.fields_of(column)
    files = [file for file, _ in fields]
    said = [direction_in(field, file) for file, field in fields]
    if stated is not None:
        other = [each for each in said if each not in {None, stated}]
        return stated, f"stated, and its file says {other[0]!r}" if other else "stated"
    for file, each in zip(files, said, strict=True):
        if each != said[0]:
            raise ValueError(
                f"higher_is of {column} must be the same in all files, {said[0]!r} as in "
                f"{files[0].name}, got {each!r} in {file}: state it, as in '{column}:harder'"
            )
    return said[0], "assumed" if said[0] is None else "file"


@told
def read_vector(path: str | Path) -> Any:  # array (N,)
    """Read a vector, such as labels, from a `.npy` file.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    array of shape (N,)

    Raises
    ------
    ValueError
        If the file is damaged, or holds pickled objects or a matrix.
    """
    return _check.one_dimensional(str(path), np.array(npy_in(Path(path))))
