"""What the files of a table say of themselves: all that can be known of it before it is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import _check, _parquet
from ._table import open_table, shape_of

__all__ = ["Outline", "outline_of"]


@dataclass(frozen=True)
class Outline:
    """Number of rows, columns and their types of a table, whose rows have not been read.

    Attributes
    ----------
    path : str
        What was opened, for messages.
    size : int
        N.
    shape : tuple of int, or None
        That of the embeddings, (N, D); None where there are none, or they are not to be read.
    types : dict of str to pyarrow.DataType
        The columns that `Table.column` can read.
    embedding_columns : tuple of str
        Those of the table.
    """

    path: str
    size: int
    shape: tuple[int, ...] | None
    types: Mapping[str, Any]
    embedding_columns: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""
        return tuple(self.types)

    def check_rows(self) -> None:
        """Refuse a table without rows, and embeddings that are no matrix."""
        if not self.size:
            raise ValueError(f"{self.path} must not be empty, got no rows")
        if self.shape is not None and (len(self.shape) != 2 or 0 in self.shape):
            raise ValueError(f"embeddings must have shape (N, D) with N, D >= 1, got {self.shape}")


def outline_of(
    path: str | Path | Sequence[str | Path],
    *,
    embeddings: str | None = None,
    beside: Sequence[str | Path] = (),
    read_embeddings: bool = True,
) -> Outline:
    """Return what the files of a table say of themselves; no rows are read.

    Parameters
    ----------
    path, embeddings, beside, read_embeddings
        Those of `open_table`, which refuses the same.

    Returns
    -------
    Outline
    """
    read_embeddings = _check.flag("read_embeddings", read_embeddings)
    size, width, _ = shape_of(
        path, embeddings=embeddings, beside=beside, read_embeddings=read_embeddings
    )
    table = open_table(path, embeddings=embeddings, beside=beside, read_embeddings=False)
    shape = None if width is None else (size, width)
    if read_embeddings and table.embeddings is not None:  # on disk: they may have any shape
        shape = tuple(table.embeddings.shape)
    schemas: dict[Path, Any] = {}
    for name in table.names:
        first = table.files_of(name)[0]
        if first not in schemas:
            with _parquet.opened(first) as file:
                schemas[first] = file.schema_arrow
    types = {name: schemas[table.files_of(name)[0]].field(name).type for name in table.names}
    return Outline(str(table.paths[0]), table.size, shape, types, table.embedding_columns)
