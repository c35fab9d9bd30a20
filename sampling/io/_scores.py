"""Scores on disk: a Parquet column for each, whose metadata says what a high one means."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .. import _check
from .._files import KEY, Output, parquet_kind, written_whole
from ..types import Direction, Score
from ._table import Table

__all__ = ["load_scores", "read_vector", "save_scores", "score_of", "score_outputs"]

_HIGHER_IS = b"higher_is"


def _is_scores(facts: dict[str, Any], schema: Any) -> bool:  # noqa: ANN401  # pyarrow.Schema
    return all(_HIGHER_IS in (field.metadata or {}) for field in schema)


_SCORES = parquet_kind("a file of scores", _is_scores)


def score_outputs(path: str | Path) -> list[Output]:
    """Return the files that `save_scores` will write, for `check_outputs`.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    list of (path, Kind)
    """
    return [(path, _SCORES)]


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
        the column knows it. A file of scores there is replaced, and no other file.
    info : mapping, optional
        JSON values for the file's metadata, such as what was scored.

    Raises
    ------
    ValueError
        If the scores differ in length; if the path is a folder or a device, has the suffix of
        another format, or holds a file that `save_scores` did not write.
    OSError
        If the folder does not exist, cannot be written to, or is full.

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
    text = json.dumps(dict(info or {}), sort_keys=True).encode()
    columns = [pa.array(np.asarray(each.values, np.float64)) for each in scores.values()]
    table = pa.table(columns, schema=pa.schema(fields, metadata={KEY: text}))
    with written_whole(path, _SCORES) as beside:
        pq.write_table(table, beside, compression="zstd")


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
        If the file is cut short, or has no column with a direction.
    """
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(f"{path} must exist, got no such file") from error
        raise ValueError(f"{path} must be a whole Parquet file, got: {error}") from error
    found = {
        field.name: Score(table[field.name].to_numpy(), direction, field.name)
        for field in table.schema
        if (direction := _direction(field)) is not None
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
    direction = _direction(pq.read_schema(table.files_of(column)[0]).field(column))
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
        If the file is cut short, or holds pickled objects or a matrix.
    """
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} must be a whole .npy file of numbers, got: {error}") from error
    return _check.one_dimensional(str(path), values)


def _direction(field: Any) -> Direction | None:  # noqa: ANN401  # pyarrow.Field
    """Return the direction in a field's metadata."""
    word = (field.metadata or {}).get(_HIGHER_IS)
    if word is None:
        return None
    allowed: tuple[Direction, ...] = get_args(Direction)
    for each in allowed:
        if word.decode() == each:
            return each
    raise ValueError(f"higher_is of {field.name} must be one of {allowed}, got {word.decode()!r}")
