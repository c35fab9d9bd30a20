"""Work on the parts of the files of a table, which an engine reads where it processes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from .._files._remote import Place
from ..engine import Local, current, each
from ..types import Progress
from ._bytes import digest, digest_of_bytes
from ._schema import FilePart, Schemas

__all__ = ["anywhere", "digests_of", "each_part", "of_column"]

T = TypeVar("T")
_ROWS = 2**18  # at least, of a part; row groups have up to a million
_SMALL = 2**20  # fewer rows are read by this thread


def each_part(
    function: Callable[[FilePart], T], schemas: Schemas, title: str | None = None
) -> Iterator[T]:
    """Call a function with each part of the files, and return the results in row order.

    function : as of `engine.over`; it may use `schemas`, of which a copy is sent
    title    : of a progress bar

    What this process holds in memory (CSV, JSON lines, .npz) is not sent: it is processed here.
    """
    small = schemas.is_held or schemas.size < _SMALL
    return each(function, schemas.parts(_ROWS), small=small, title=title)


def of_column(function: Callable[[Any], T], schemas: Schemas, name: str, kind: Any) -> Iterator[T]:
    """Call a function with the values of a column in each part: a pyarrow.ChunkedArray.

    kind : their type, a pyarrow.DataType

    Raises ValueError if a value does not fit the type; the message names the file.
    """
    return each_part(partial(_with_values, function, schemas, name, kind), schemas)


def _with_values(
    function: Callable[[Any], T], schemas: Schemas, name: str, kind: Any, part: FilePart
) -> T:
    values = schemas.read_part(part, [name])[name]
    try:
        return function(values.cast(kind))
    except pa.ArrowException as error:
        raise ValueError(
            f"{name!r} must fit {kind}, got {values.type} in {part.path}: {error}"
        ) from error


def digests_of(paths: Sequence[Place], progress: Progress | None = None) -> list[str]:
    """Return the digest of each file, as `digest` does; `progress` counts bytes."""
    sizes = [path.stat().st_size for path in paths]
    total = sum(sizes)
    if isinstance(current(), Local):
        lock = threading.Lock()

        def step(done: int, of: int, unit: str) -> None:
            with lock:
                if progress is not None:
                    progress(done, of, unit)

        return list(each(lambda path: digest_of_bytes(path, step, total), paths))
    found = []
    for done, size in zip(each(digest, [anywhere(path) for path in paths]), sizes, strict=True):
        found.append(done)
        if progress is not None:
            progress(size, total, "B")
    return found


def anywhere(path: Place) -> Place:
    """Return the path of a file for other processes, which may work in another folder."""
    return path.absolute() if isinstance(path, Path) else path
