"""Read and write Parquet files with checksums, and with errors that name the file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .. import _check
from ._json import json_text
from ._paths import KEY
from ._remote import Place, Remote

__all__ = [
    "facts_in",
    "file_of",
    "is_parquet",
    "named",
    "opened",
    "read",
    "read_own",
    "refuse_missing",
    "with_facts",
    "write_own",
    "writer",
]

_CHECKSUM = KEY + b".checksum"
SUFFIXES = (".parquet", ".pq", ".parq")
_WRITTEN: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}


def is_parquet(path: Place) -> bool:
    """Return whether the name of a file is that of a Parquet file."""
    return path.suffix.lower() in SUFFIXES


@contextmanager
def named(path: str | Place, what: str = "a whole Parquet file") -> Iterator[None]:
    """Name the file in errors of the block: damaged, missing, or a folder.

    Other errors of the system, such as `PermissionError`, are raised unchanged.
    """
    if isinstance(path, Path | str):
        _check.file(path, what)
    try:
        yield
    except pa.ArrowNotImplementedError as error:  # which says nothing about the file
        raise ValueError(f"{path} must hold what pyarrow can read, got: {error}") from error
    except (pa.ArrowMemoryError, pa.ArrowCapacityError):
        raise
    except (pa.ArrowException, OSError, UnicodeError) as error:
        if "Expected all lists to be of size" in str(error):  # a defect of pyarrow before 26
            raise ValueError(
                f"{path} holds lists of one size of which some are missing, which pyarrow "
                f"{pa.__version__} cannot read: install pyarrow 26 or later"
            ) from error
        if isinstance(error, OSError) and (error.errno is not None or str(path) in str(error)):
            raise
        if isinstance(error, OSError) and isinstance(path, Remote):  # of its file system
            raise OSError(f"{path} must be readable, got: {error}") from error
        raise ValueError(_check.damaged(path, what, error)) from error


@contextmanager
def opened(path: str | Place, **settings: Any) -> Iterator[Any]:
    """Open a Parquet file and verify its page checksums, if it has any.

    Errors of the block name the file, so the code that reads from it belongs inside.
    """
    with named(path), file_of(path, **settings) as file:
        yield file


def file_of(path: str | Place, **settings: Any) -> Any:  # pyarrow.parquet.ParquetFile
    """Return an open Parquet file, local or remote, whose page checksums are verified."""
    source = path.open() if isinstance(path, Remote) else path
    return pq.ParquetFile(source, page_checksum_verification=True, **settings)


def read(path: str | Path, columns: Sequence[str] | None = None) -> Any:
    """Read a Parquet file as a pyarrow.Table; folder names do not add partition columns."""
    with opened(path) as file:
        return file.read(columns=None if columns is None else list(columns))


def writer(path: str | Path, schema: Any) -> Any:  # pyarrow's
    """Return a writer of row groups with page checksums."""
    return pq.ParquetWriter(path, schema, **_WRITTEN)


def write_own(path: str | Path, table: Any, facts: Mapping[str, Any]) -> None:
    """Write a table, with JSON values under our metadata key."""
    table = table.replace_schema_metadata(with_facts(table.schema, facts).metadata)
    pq.write_table(table, path, **_WRITTEN)


def with_facts(schema: Any, facts: Mapping[str, Any]) -> Any:  # pyarrow.Schema
    """Return a schema with JSON values under our own key, and a checksum of them."""
    text = json_text(facts, ordered=True).encode()
    return schema.with_metadata({**(schema.metadata or {}), KEY: text, _CHECKSUM: _sum(text)})


def read_own(path: str | Path, kind: str, *needed: str) -> tuple[Any, dict[str, Any]]:
    """Read a file written by `write_own`: the table and the JSON values.

    kind   : what the file must be, and what writes it, for messages
    needed : names of JSON values that tell these files from others that `write_own` wrote
    """
    table = read(path)
    facts = facts_in(table.schema, path)
    if facts is None or not facts.keys() >= {*needed}:
        raise ValueError(f"{path} must be {kind}, got another file, with the columns "
                         f"{', '.join(map(repr, table.column_names))}")  # fmt: skip
    return table, facts


def refuse_missing(name: str, column: Any, more: str = "") -> None:
    """Refuse a column, a pyarrow.ChunkedArray, with missing values; `more` ends the message.

    The message names the first row without a value.
    """
    if column.null_count:
        rows = np.flatnonzero(column.is_null().to_numpy())
        others = f" ({rows.size} such rows)" if rows.size > 1 else ""
        raise ValueError(
            f"{name} must have a value in each row, got a missing one in row {rows[0]}{others}"
            f"{more}"
        )


def facts_in(schema: Any, path: str | Path) -> dict[str, Any] | None:
    """Return the JSON values under our metadata key; None if there are none."""
    metadata = schema.metadata or {}
    text = metadata.get(KEY)
    if text is None:
        return None
    if metadata.get(_CHECKSUM, _sum(text)) != _sum(text):
        raise ValueError(f"{path} must have the checksum in its metadata, got another: it is "
                         "damaged: write the file again, or copy it again")  # fmt: skip
    try:
        facts = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path} must have JSON in its metadata, got: {error}") from error
    if not isinstance(facts, dict):
        raise ValueError(f"{path} must have a JSON object in its metadata, got {facts!r}")
    return facts


def _sum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:32].encode()
