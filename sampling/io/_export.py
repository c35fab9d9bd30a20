"""The chosen rows themselves, as Parquet shards: what a training job reads."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from .. import _check, _parquet
from .._files import check_apart, json_kind, parquet_kind, written_whole
from .._json import json_text
from .._keywords import told
from ..types import Floats, Indices, Progress, Selection
from ._bytes import compare_stamps, stamps
from ._digest import differences, digests
from ._export_folder import MANIFEST, Place
from ._inputs import paths_read, share_files, tables_of
from ._parquet_rows import Joined, Stream, joined

__all__ = ["check_export", "export_rows"]

_VERSION = 1
_GROUP_BYTES, _GROUP_ROWS = 2**26, 2**20  # of one row group that is written

_SHARD = parquet_kind("a shard of an export", lambda facts, _: "export" in facts)
_FACTS = json_kind("the manifest of an export", "export", "shards")

Order = Literal["rows", "picks"]


@told
def export_rows(  # noqa: PLR0913  # how an export is written
    selection: Selection,
    source: str | Path | Sequence[str | Path],
    folder: str | Path,
    *,
    rows_per_shard: int = 1_000_000,
    columns: str | Sequence[str] | None = None,
    weights: bool = True,
    order: Order = "rows",
    beside: str | Path | Sequence[str | Path] = (),
    replace: bool = False,
    owners: str | Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the chosen rows of a Parquet table to a folder of Parquet shards.

    Parameters
    ----------
    selection : Selection
        Its N must be the number of rows of the source.
    source : str, pathlib.Path, or sequence of them
        A Parquet file, a folder of shards, or several of them; rows are numbered through the files
        in the order given, those of a folder by name.
    folder : str or pathlib.Path
        Made if it is not there. It must be empty, or hold this very export, begun before: then only
        the shards that are missing or damaged are written. See `replace` for one with another
        export. It must not be in a folder of the source.
    rows_per_shard : int, default 1,000,000
    columns : str or sequence of str, optional
        All of the source by default, or of the files beside it where the source is no Parquet.
        Types, nested ones too, are kept as they are where all files agree; else each column gets
        the one type that holds the values of all files, and is null where a file has none.
    weights : bool, default True
        Write the selection's weights, if it has any, as a column `weight`.
    order : {"rows", "picks"}, default "rows"
        The order of the source, or of the picks.
    beside : str or pathlib.Path, or sequence of them, default ()
        Parquet files, or folders, with further columns of the same rows.
    replace : bool, default False
        Let an export take the place of another one that is in the folder, when it is complete:
        until then the old one stays. A folder with anything else in it is refused.
    owners : str or sequence of str, default ()
        Names of what this export is one of, such as a plan: it is written under the first, and
        takes the place of one that was written under any of them.
    progress : callable, optional
        Called with (step, total, unit): bytes ("B") while the source's digests are made, then rows.

    Returns
    -------
    dict
        What is in `_export.json`: "rows", "size", "shards" (name, rows, bytes), "sources" (name,
        rows, bytes, digest), "checked" (whether the source is known to be what was selected from),
        the arguments, and the selection's method and arguments.

    Raises
    ------
    ValueError
        If the source has another N, is not what the selection's manifest has the digests of (the
        shard is named), changes while it is read, or has a column `weight` already; if no type
        holds the values of a column in all files, or a column is there twice; if the folder is the
        source's or holds anything else, another export too unless it may be replaced.
    OSError
        If the folder cannot be made, cannot be written to, or is full.

    Notes
    -----
    Order       Every shard is whole or not there, and `_export.json` comes last: what has it is
                complete. Pages have checksums, and an export that is continued reads the shards
                that are there before it counts on them. One that replaces another is written to a
                hidden folder next to it, and moved to its place at the end: the disk must have
                room for both. One export at a time may write to a folder.
    Cost        One pass over the source for its digests. Then in the order of the rows one pass
                over the row groups that hold any, whatever their size: blocks of 16 MiB are
                decoded and 64 MiB wait to be written, 330 MiB in all as measured; in the order of
                the picks one pass for each shard that is written, and one shard in memory, twice.

    Examples
    --------
    >>> import tempfile
    >>> import pyarrow.parquet as pq
    >>> from sampling.selection import top
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows = pa.table({"text": ["a", "b", "c"], "loss": [0.1, 0.9, 0.5]})
    ...     pq.write_table(rows, Path(folder, "all.parquet"))
    ...     picked = top([0.1, 0.9, 0.5], 2)
    ...     done = export_rows(picked, Path(folder, "all.parquet"), Path(folder, "chosen"))
    ...     pq.read_table(Path(folder, "chosen"), columns=["text"])["text"].to_pylist()
    ['b', 'c']
    """
    replace, named = _check.flag("replace", replace), _check.words("owners", owners)
    weighted = selection.weights is not None
    shards, names, place = _checked_call(
        source, folder, rows_per_shard, columns, weights, order, beside, weighted
    )
    if selection.size is not None and selection.size != shards.size:
        raise ValueError(f"source must have {selection.size} rows, got {shards.size}")
    if len(selection) and int(selection.indices.max()) >= shards.size:
        raise ValueError(f"source must have more than {selection.indices.max()} rows, got "
                         f"{shards.size}")  # fmt: skip
    per_shard = int(rows_per_shard)
    given = selection.weights if weights else None
    asked = _identity([names, per_shard, order], selection.indices, given)
    place.check(named or [asked], replace=replace)
    before = stamps(shards.files)
    parts = [digests(part.source, progress=progress) for part in shards.parts]
    sources = [each for part in parts for each in part]
    checked = all([_checked(selection, part) for part in parts])
    plan = _Plan(shards, names, selection.indices, given, per_shard, order, _identity(
        [[each["digest"] for each in sources], names, per_shard, order], selection.indices, given
    ), (named or [asked])[0])  # fmt: skip
    out = place.begin(plan.identity, replace=replace or bool(named))
    missing = _missing(out, plan)
    with_progress = _rows_done(progress, sum(plan.rows_of(shard) for shard in missing))
    for shard, tables in plan.contents(missing):
        with written_whole(out / plan.name(shard), _SHARD) as part:
            _write(part, plan.schema(shard), with_progress(tables))
            compare_stamps(shards.files, before)
    facts = {**plan.facts(out), "sources": sources, "checked": checked, "size": shards.size,
             "method": selection.method, "arguments": selection.arguments}  # fmt: skip
    with written_whole(out / MANIFEST, _FACTS) as path:
        path.write_text(json_text(facts, indent=1, ordered=True) + "\n")
    place.finish(out)
    return facts


@told
def check_export(  # noqa: PLR0913  # those of `export_rows`
    source: str | Path | Sequence[str | Path],
    folder: str | Path,
    *,
    rows_per_shard: int = 1_000_000,
    columns: str | Sequence[str] | None = None,
    weights: bool = True,
    order: Order = "rows",
    beside: str | Path | Sequence[str | Path] = (),
    replace: bool = False,
    owners: str | Sequence[str] = (),
    weighted: bool = False,
    made: str | Path | None = None,
) -> tuple[Joined, list[str]]:
    """Refuse, before there is a selection, what `export_rows` would refuse after it.

    Parameters
    ----------
    source, folder, rows_per_shard, columns, weights, order, beside, replace, owners
        Those of `export_rows`.
    weighted : bool, default False
        Whether the selection will have weights.
    made : str or pathlib.Path, optional
        A folder that will be made before the export: it need not exist.

    Returns
    -------
    tuple of Joined, list of str
        The tables that are read, and the columns that will be written.

    Raises
    ------
    ValueError
        If an argument is none that `export_rows` takes; if the folder is the source's or in it, or
        holds anything but an export that this one may go on with or replace.
    OSError
        If the folder cannot be made or written to.
    """
    replace, named = _check.flag("replace", replace), _check.words("owners", owners)
    shards, names, place = _checked_call(
        source, folder, rows_per_shard, columns, weights, order, beside, weighted
    )
    later = made is not None and place.folder.parent == Path(made).resolve()
    place.check(named, replace=replace, will_be_made=later)
    return shards, names


def _checked_call(  # noqa: PLR0913  # those of `export_rows`
    source: str | Path | Sequence[str | Path],
    folder: str | Path,
    rows_per_shard: int,
    columns: str | Sequence[str] | None,
    weights: bool,
    order: Order,
    beside: str | Path | Sequence[str | Path],
    weighted: bool,
) -> tuple[Joined, list[str], Place]:
    """Return the tables that are read, the columns and the folder, once the arguments are checked.

    What is in the folder is checked by `Place.check`.
    """
    _check.integer("rows_per_shard", rows_per_shard, 1)
    _check.flag("weights", weights)
    _check.flag("weighted", weighted)
    _check.choice("order", order, ("rows", "picks"))
    shards, names = joined(source, beside, columns)
    if weighted and weights and "weight" in names:
        raise ValueError(
            "columns must not include 'weight' where the selection's weights are written, got a "
            "column of that name: leave one of them out"
        )
    reads = [*_check.paths("source", source), *_check.paths("beside", beside)]
    check_apart(folder, paths_read(reads))
    return shards, names, Place(Path(folder))


@dataclass(frozen=True)
class _Plan:
    """Which rows go to which shard. Everything is checked."""

    shards: Joined
    names: list[str]
    indices: Indices
    weights: Floats | None
    per_shard: int
    order: Order
    identity: str
    owner: str

    @property
    def count(self) -> int:
        return max(1, -(-self.indices.size // self.per_shard))

    def name(self, shard: int) -> str:
        return f"part-{shard:05d}-of-{self.count:05d}.parquet"

    def rows_of(self, shard: int) -> int:
        return min(self.per_shard, self.indices.size - shard * self.per_shard)

    def schema(self, shard: int) -> Any:  # noqa: ANN401  # pyarrow.Schema
        """Return the schema of a shard: the source's, the weight, and which shard of what it is."""
        schema = self.shards.schema_of(self.names)
        if self.weights is not None:
            schema = schema.append(pa.field("weight", pa.float64()))
        return _parquet.with_facts(
            schema, {"export": self.identity, "shard": shard, "owner": self.owner}
        )

    def contents(self, wanted: Sequence[int]) -> Iterator[tuple[int, Iterator[Any]]]:
        """Give each wanted shard, and its tables, which are read as they are asked for."""
        if self.order == "picks":
            for shard in wanted:
                yield shard, self._picked(self._places(shard, np.arange(self.indices.size)))
            return
        order = np.argsort(self.indices, kind="stable")
        places = [self._places(shard, order) for shard in wanted]
        rows = self.indices[np.concatenate([order[:0], *places])]
        stream = Stream(self.shards.blocks(rows, self.names))
        for shard, own in zip(wanted, places, strict=True):
            yield shard, self._weighted(stream.read(own.size), own)

    def _places(self, shard: int, order: Indices) -> Indices:
        return order[shard * self.per_shard : (shard + 1) * self.per_shard]

    def _picked(self, places: Indices) -> Iterator[Any]:
        """Read the rows of one shard, and give them in the order of the picks."""
        order = np.argsort(self.indices[places], kind="stable")
        blocks = list(self.shards.blocks(self.indices[places][order], self.names))
        if not blocks:
            return
        whole, back = pa.concat_tables(blocks), np.empty(order.size, np.int64)
        back[order] = np.arange(order.size)
        step = 2**16  # a block of strings stays under 2 GiB, which their offsets cannot pass
        parts = (whole.take(pa.array(back[i : i + step])) for i in range(0, back.size, step))
        yield from self._weighted(parts, places)

    def _weighted(self, tables: Iterable[Any], places: Indices) -> Iterator[Any]:
        done = 0
        for table in tables:
            own = places[done : done + table.num_rows]
            done += table.num_rows
            if self.weights is not None:
                table = table.append_column("weight", pa.array(self.weights[own]))
            yield table

    def facts(self, folder: Path) -> dict[str, Any]:
        """Return what the manifest says about the shards, which are all there."""
        names = [self.name(shard) for shard in range(self.count)]
        return {
            "version": _VERSION,
            "export": self.identity,
            "owner": self.owner,
            "rows": int(self.indices.size),
            "columns": self.names,
            "weights": self.weights is not None,
            "order": self.order,
            "rows_per_shard": self.per_shard,
            "shards": [
                {"name": name, "rows": max(0, self.rows_of(i)),
                 "bytes": (folder / name).stat().st_size}
                for i, name in enumerate(names)
            ],
        }  # fmt: skip


def _write(path: Path, schema: Any, tables: Iterable[Any]) -> None:  # noqa: ANN401
    """Write tables to a file, a row group for each so many bytes or rows."""
    with _parquet.writer(path, schema) as writer:
        waiting: list[Any] = []
        size = rows = 0

        def flush() -> None:
            if waiting:
                whole = pa.concat_tables(waiting).replace_schema_metadata(schema.metadata)
                writer.write_table(whole)
                waiting.clear()

        for table in tables:
            waiting.append(table)
            size, rows = size + table.nbytes, rows + table.num_rows
            if size >= _GROUP_BYTES or rows >= _GROUP_ROWS:
                flush()
                size = rows = 0
        flush()


def _rows_done(progress: Progress | None, total: int) -> Any:  # noqa: ANN401  # see inside
    """Return what passes tables through and counts their rows."""

    def count(tables: Iterable[Any]) -> Iterator[Any]:
        for table in tables:
            yield table
            if progress is not None:
                progress(table.num_rows, total, "rows")

    return count


def _identity(facts: list[Any], indices: Indices, weights: Floats | None) -> str:
    """Return what tells this export from others."""
    found = hashlib.sha256(json.dumps([_VERSION, *facts]).encode())
    found.update(np.ascontiguousarray(indices, np.int64).data)
    found.update(b"" if weights is None else np.ascontiguousarray(weights, np.float64).data)
    return found.hexdigest()[:32]


def _checked(selection: Selection, sources: Sequence[dict[str, Any]]) -> bool:
    """Whether the source is a table that was selected from; refuse one that is no more.

    A table that shares no file with those (the texts, where embeddings were selected from) cannot
    be checked.
    """
    tables = tables_of(selection)
    if any(not differences(table, sources) for table in tables):
        return True
    for table in tables:
        if share_files(table, sources):
            raise ValueError(
                "source must be the table that was selected from, got another: "
                + "; ".join(differences(table, sources))
            )
    return False


def _missing(folder: Path, plan: _Plan) -> list[int]:
    """Return the shards that are not there yet, or damaged."""
    return [
        shard
        for shard in range(plan.count)
        if not _is_whole(folder / plan.name(shard), plan.schema(shard), plan.rows_of(shard))
    ]


def _is_whole(path: Path, schema: Any, rows: int) -> bool:  # noqa: ANN401  # pyarrow.Schema
    """Read all of a shard that is there; what is damaged is written again."""
    if not path.exists():
        return False
    try:
        with _parquet.opened(path, pre_buffer=False) as file:
            if not file.schema_arrow.equals(schema, check_metadata=False):
                return False
            return max(0, rows) == sum(int(batch.num_rows) for batch in file.iter_batches())
    except ValueError:
        return False
