"""Files of scores: a Parquet column for each score, with its direction in the metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .. import _check
from .._check._keywords import told
from .._files import _parquet
from .._files._paths import Output, parquet_kind, written_whole
from ._score import Direction, Score

_HIGHER_IS = b"higher_is"


def _is_scores(facts: dict[str, Any], schema: Any) -> bool:  # pyarrow.Schema
    return all(_HIGHER_IS in (field.metadata or {}) for field in schema)


_SCORES = parquet_kind("a file of scores", _is_scores)


@told
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


@told
def save_scores(
    scores: Mapping[str, Score], path: str | Path, *, info: Mapping[str, Any] | None = None
) -> None:
    """Write scores to a Parquet file atomically.

    Parameters
    ----------
    scores : mapping of str to Score
        One column for each score, of equal length; NaN is kept.
    path : str or pathlib.Path
        The field of a column holds its direction as `higher_is`, so that selectors can read it. An
        existing file of scores is replaced; any other file is refused.
    info : mapping, optional
        JSON values for the metadata of the file, such as a description of the data.

    Raises
    ------
    ValueError
        If the scores differ in length; if the path is a folder, a device, or a file that
        `save_scores` did not write, or has the suffix of another format.
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
    columns = [pa.array(np.asarray(each.values, np.float64)) for each in scores.values()]
    table = pa.table(columns, schema=pa.schema(fields))
    with written_whole(path, _SCORES) as beside:
        _parquet.write_own(beside, table, info or {})


@told
def load_scores(
    path: str | Path, *, higher_is: Mapping[str, Direction] | None = None
) -> dict[str, Score]:
    """Read scores written by `save_scores`.

    Parameters
    ----------
    path : str or pathlib.Path
    higher_is : mapping of str to {"harder", "easier", "keep", "drop"}, optional
        Direction of a column, which overrides that in the file: other programs drop the metadata
        when they rewrite the table.

    Returns
    -------
    dict of str to Score

    Raises
    ------
    ValueError
        If the file is damaged, has no column with a direction, or has one that does not hold
        numbers; if `higher_is` names a column that does not exist.
    """
    stated = {} if higher_is is None else _check.mapping("higher_is", higher_is)
    table = _parquet.read(path)
    _parquet.facts_in(table.schema, path)  # refuses damaged metadata
    for name, word in stated.items():
        if name not in table.column_names:
            raise ValueError(
                f"higher_is must name columns of {table.column_names}, got {name!r}"
                f"{_check.closest(name, table.column_names)}"
            )
        _check.choice(f"higher_is of {name}", word, get_args(Direction))
    found = {
        field.name: Score(_numbers(table[field.name], f"{field.name} of {path}"), way, field.name)
        for field in table.schema
        if (way := stated.get(field.name) or direction_in(field, path)) is not None
    }
    if not found:
        raise ValueError(
            f"{path} must have a column with a direction, got {table.column_names}: state it, "
            f"higher_is={{{table.column_names[0]!r}: 'harder'}}"
        )
    return found


def _numbers(column: Any, name: str) -> NDArray[Any]:  # pyarrow.ChunkedArray
    """Return a column of scores; missing scores are NaN."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise ValueError(f"{name} must hold numbers, got {kind}")
    values: NDArray[Any] = column.to_numpy()
    return values


def direction_in(field: Any, path: object) -> Direction | None:  # pyarrow.Field
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
