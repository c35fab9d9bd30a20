"""What a page shows, and the table that it is read from: rows are read as they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check, _rng
from .._files._paths import own_folder
from .._warning import warn
from ..io import Table, differences, digests, open_table, paths_read, read_column
from ..record import BAD, Selection
from ..types import Indices, Progress
from ._steps import Step, Steps

Source = str | Path | Sequence[str | Path]
_SMALL = 2**26  # numbers of embeddings in Parquet that are read into memory
MISSING = "(missing)"


@dataclass(frozen=True)
class Options:
    """How a page is made; see `write_selection_report`."""

    by: Sequence[str] = ()
    text: str | None = None
    image: str | None = None
    layout: str = "auto"
    examples: bool = True
    seed: int = 0
    progress: Progress | None = None


@dataclass
class View:
    """What a page shows.

    Parameters
    ----------
    selection : Selection
        What was selected.
    name : str
        Name of its file; "" if it is of none.
    table : Table
        The rows selected from.
    sources : sequence of list of paths
        The files of the table, then each of the `beside` files.
    inputs : list of dict
        The digests of all files, each with "checked".
    steps : list of Step
        The stages.
    dropped_by : int16 array of shape (N,)
        Number of the step that dropped each row; 0 for kept rows.
    options : Options
        How it is shown.
    facts : dict
        Versions, fingerprint and digest of the file, warnings of the plan.
    """

    selection: Selection
    name: str
    table: Table
    sources: Sequence[Sequence[str | Path]]
    inputs: list[dict[str, Any]]
    steps: list[Step]
    dropped_by: Steps
    options: Options
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # what the page does not show, and why

    @property
    def size(self) -> int:
        """N."""
        return self.table.size

    @cached_property
    def kept(self) -> Indices:
        """The kept rows, each once, ascending."""
        return np.flatnonzero(self.dropped_by == 0)

    @property
    def repeats(self) -> bool:
        """Whether a row is kept more than once."""
        return len(self.selection) > self.kept.size

    @cached_property
    def embeddings(self) -> Any:  # array or Rows (N, D), or None
        """The embeddings; None if there are none, or none are to be shown."""
        return None if not self.has_embeddings else self.table.embeddings

    @cached_property
    def has_embeddings(self) -> bool:
        """Whether the table has a matrix of numbers that can be shown."""
        if self.options.layout == "none" or not self.table.has_embeddings:
            return False
        try:
            self.table.check_embeddings()
        except ValueError as error:  # several that could be them, or scores in a .npy file
            warn(f"the report shows neither coverage nor map: {error}")
            self.notes.append(
                "Coverage and map are not shown: the table has no single matrix of "
                "embeddings, and none is named."
            )
            return False
        return True

    def some(self, rows: Indices, count: int, purpose: str) -> Indices:
        """Return at most so many of the rows, at random by the seed, ascending."""
        if rows.size <= count:
            return np.sort(rows)
        words = _rng.values(
            _rng.key(self.options.seed, 0, f"report {purpose}"), rows.astype(np.uint64)
        )
        return np.sort(rows[np.argpartition(words, count)[:count]])

    def bad(self) -> int:
        """Return the number of rows that were dropped because a value is not finite."""
        return sum(
            count for step in self.steps for rule, count in step.rules.items() if rule == BAD
        )

    def values_at(self, name: str, rows: Indices) -> list[Any]:
        """Return the values of a column at some rows, of which few are read from disk."""
        found: list[Any] = read_column(self.sources, name, rows.tolist())
        return found

    def groups(self, name: str) -> tuple[list[str], NDArray[np.int32]]:
        """Return the names of the groups of a column, and the group of each row: int32 (N,)."""
        coded = self.table.values(name).dictionary_encode().unify_dictionaries()
        words = coded.chunk(0).dictionary.to_pylist() if coded.num_chunks else []
        parts = [each.indices.fill_null(len(words)).to_numpy() for each in coded.chunks]
        codes = np.concatenate([np.zeros(0, np.int32), *parts]).astype(np.int32)
        return [*map(_word, words), *([MISSING] if coded.null_count else [])], codes


def _word(value: Any) -> str:  # of a column
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


@contextmanager
def opened(
    source: Source,
    beside: Source,
    embeddings: str | None,
    scratch: str | Path | None,
    target: Path | None,
) -> Iterator[Table]:
    """Open the table; large embeddings in Parquet are copied to disk, and the copy is removed.

    target : next to it the copy is made, unless a folder is given; None for no copy
    """
    reads: Any = source if isinstance(source, str | Path) else list(source)
    if not isinstance(reads, str | Path) and len(reads) == 1:
        reads = reads[0]
    given: dict[str, Any] = {"embeddings": embeddings, "beside": beside}
    table = open_table(reads, **given)
    if scratch is not None:
        yield open_table(reads, **given, scratch=scratch)
        return
    if target is None or not table.embedding_columns or _numbers(table) <= _SMALL:
        yield table
        return
    with own_folder(target) as (folder, _):
        yield open_table(reads, **given, scratch=folder / "rows")


def _numbers(table: Table) -> int:
    shape = table.embeddings_shape or (0,)
    return int(np.prod(shape, dtype=np.int64))


def inputs_of(
    selection: Selection, sources: Sequence[Source], progress: Progress | None
) -> list[dict[str, Any]]:
    """Return the digests of all files, with whether each table is one that was selected from.

    Raises
    ------
    ValueError
        If a table has changed since, or none is a table that was selected from though its digests
        are recorded.
    """
    info = selection.info
    recorded = [each for each in (info.get("inputs"), *info.get("beside", ())) if each]
    found: list[dict[str, Any]] = []
    for source in sources:
        entries = digests(source, progress=progress)
        same = any(not differences(then, entries) for then in recorded)
        for then in recorded:
            if not same and _share(then, entries):
                raise ValueError(
                    "source must be the table that was selected from, got another: "
                    + "; ".join(differences(then, entries))
                )
        found += [{**each, "checked": same} for each in entries]
    if recorded and not any(each["checked"] for each in found):
        names = ", ".join(each["name"] for each in recorded[0][:3])
        raise ValueError(
            "source must be the table that was selected from, got one without a file of it: it was "
            f"made of {names}"
        )
    return found


def _share(one: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]]) -> bool:
    """Return whether two tables have a file of the same name or the same bytes."""
    return any(
        {each[key] for each in one} & {each[key] for each in other} for key in ("name", "digest")
    )


def listed(source: Source) -> list[str | Path]:
    """Return the paths of a table as a list."""
    return [source] if isinstance(source, str | Path) else _check.paths("source", source)


def reads_of(source: Source, beside: Source) -> list[Path]:
    """Return all files and folders that are read."""
    return paths_read([*listed(source), *_check.paths("beside", beside)])
