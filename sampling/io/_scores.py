"""Scores on disk: a Parquet column for each, whose metadata says what a high one means."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .. import _check, _parquet
from .._files import written_whole
from ..types import Direction, Score
from ._table import Table, npy_in

__all__ = ["load_scores", "read_vector", "save_scores", "score_of"]

_HIGHER_IS = b"higher_is"


def save_scores(
    scores: Mapping[str, Score], path: str | Path, *, info: Mapping[str, Any] | None = None
) -> None:
    """Write scores to a Parquet file, whole or not at all.

    Parameters
    ----------
    scores : mapping of str to Score
        A column for each, of one length; NaN stays NaN.
    path : str or pathlib.Path
        The field of a column holds its direction as `higher_is`, so that a selector that is given
        the column knows it.
    info : mapping, optional
        JSON values for the file's metadata, such as what was scored.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     margins = Score(np.array([2.0, -1.0]), "easier", "margin")
    ...     save_scores({"margin": margins}, Path(folder, "scores.parquet"))
    ...     load_scores(Path(folder, "scores.parquet"))["margin"].higher_is
    'easier'
    """
    if not scores:
        raise ValueError("scores must hold at least one score, got none")
    first = next(iter(scores))
    for name, each in scores.items():
        _check.same_length(name, each, first, len(scores[first]))
    fields = [
        pa.field(name, pa.float64(), metadata={_HIGHER_IS: each.higher_is})
        for name, each in scores.items()
    ]
    columns = [pa.array(np.asarray(each.values, np.float64)) for each in scores.values()]
    table = pa.table(columns, schema=pa.schema(fields))
    with written_whole(path) as beside:
        _parquet.write_own(beside, table, info or {})


def load_scores(path: str | Path) -> dict[str, Score]:
    """Read a file of `save_scores`.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    dict of str to Score

    Raises
    ------
    ValueError
        If the file is damaged, has no column with a direction, or one that holds no numbers.
    """
    table = _parquet.read(path)
    _parquet.facts_in(table.schema, path)  # refused where it is damaged
    found = {
        field.name: Score(_numbers(table[field.name], f"{field.name} of {path}"), way, field.name)
        for field in table.schema
        if (way := _direction(field, path)) is not None
    }
    if not found:
        raise ValueError(f"{path} must have a column with a direction, got {table.column_names}")
    return found


def score_of(table: Table, column: str) -> Any:  # noqa: ANN401  # Score, or array (N,)
    """Return a column of a table, as a `Score` if its file says what a high one means.

    Parameters
    ----------
    table : Table
    column : str

    Returns
    -------
    Score or array of shape (N,)
    """
    values = table.column(column)
    with _parquet.opened(table.files_of(column)[0]) as file:
        direction = _direction(file.schema_arrow.field(column), table.files_of(column)[0])
    return values if direction is None else Score(values, direction, column)


def read_vector(path: str | Path) -> Any:  # noqa: ANN401  # array (N,)
    """Return the vector in a `.npy` file, such as labels.

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


def _numbers(column: Any, name: str) -> NDArray[Any]:  # noqa: ANN401  # pyarrow.ChunkedArray
    """Return a column of scores: NaN where there is none."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise ValueError(f"{name} must hold numbers, got {kind}")
    values: NDArray[Any] = column.to_numpy()
    return values


def _direction(field: Any, path: str | Path) -> Direction | None:  # noqa: ANN401  # pyarrow.Field
    """Return the direction in a field's metadata."""
    word = (field.metadata or {}).get(_HIGHER_IS)
    if word is None:
        return None
    allowed: tuple[Direction, ...] = get_args(Direction)
    for each in allowed:
        if word == each.encode():
            return each
    got = word.decode(errors="replace")
    raise ValueError(f"higher_is of {field.name} must be one of {allowed}, got {got!r} in {path}")
