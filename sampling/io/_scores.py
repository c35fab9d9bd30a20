"""Files of scores: a Parquet column for each score, with its direction in the metadata."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .. import _check, _parquet
from .._files import Output, parquet_kind, written_whole
from .._keywords import told
from ..types import Direction, Score
from ._table import Table, npy_in

__all__ = [
    "directed",
    "direction_of",
    "load_scores",
    "read_vector",
    "save_scores",
    "score_of",
    "score_outputs",
]

_HIGHER_IS = b"higher_is"


def _is_scores(facts: dict[str, Any], schema: Any) -> bool:  # noqa: ANN401  # pyarrow.Schema
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
        if (way := stated.get(field.name) or _direction(field, path)) is not None
    }
    if not found:
        raise ValueError(
            f"{path} must have a column with a direction, got {table.column_names}: state it, "
            f"higher_is={{{table.column_names[0]!r}: 'harder'}}"
        )
    return found


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
) -> Any:  # noqa: ANN401
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
    files = table.files_of(column)
    said = [_direction_in(file, column) for file in files]
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
def read_vector(path: str | Path) -> Any:  # noqa: ANN401  # array (N,)
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


def _numbers(column: Any, name: str) -> NDArray[Any]:  # noqa: ANN401  # pyarrow.ChunkedArray
    """Return a column of scores; missing scores are NaN."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise ValueError(f"{name} must hold numbers, got {kind}")
    values: NDArray[Any] = column.to_numpy()
    return values


def _direction_in(path: Path, column: str) -> Direction | None:
    with _parquet.opened(path) as file:
        return _direction(file.schema_arrow.field(column), path)


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
