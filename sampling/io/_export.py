"""Export of the selected rows as Parquet shards, for training jobs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from .. import _check
from .._check._keywords import told
from .._files import _parquet
from .._files._json import json_text
from .._files._paths import check_apart, json_kind, parquet_kind, written_whole
from .._files._remote import Place
from ..engine import Local, current, each
from ..record import Selection
from ..record.inputs import tables_of
from ..types import Floats, Indices, Progress
from ._bytes import Stamp, compare_stamps, stamps
from ._digest import differences, digests
from ._export_folder import MANIFEST, ExportFolder
from ._inputs import share_files
from ._parquet_rows import Joined, Stream, joined
from ._parts import anywhere
from ._sources import Given, paths_read

__all__ = ["check_export", "export_rows"]

_VERSION = 1
_GROUP_BYTES, _GROUP_ROWS = 2**26, 2**20  # size of a row group, in bytes and rows

_SHARD = parquet_kind("a shard of an export", lambda facts, _: "export" in facts)
_FACTS = json_kind("the manifest of an export", "export", "shards")

Order = Literal["rows", "picks"]


@told
def export_rows(  # noqa: PLR0913  # how an export is written
    selection: Selection,
    source: Given,
    folder: str | Path,
    *,
    rows_per_shard: int = 1_000_000,
    columns: str | Sequence[str] | None = None,
    weights: bool = True,
    order: Order = "rows",
    beside: Given = (),
    replace: bool = False,
    owners: str | Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the selected rows of a table to a folder of Parquet shards.

    Parameters
    ----------
    selection : Selection
        A selection from the source: its N must be the number of rows of the source.
    source : str, pathlib.Path, or sequence of them
        Files, folders, patterns and addresses, as for `open_table`. Whatever their kind, Parquet is
        written, with keys in the names of folders as columns. The array of a .npy file is a column
        `embeddings`.
    folder : str or pathlib.Path
        On this machine, created if it does not exist. It must be empty or hold the same export,
        possibly incomplete: then only missing or damaged shards are written. See `replace` for a
        folder with another export. It must not be in a folder of the source.
    rows_per_shard : int, default 1,000,000
    columns : str or sequence of str, optional
        Columns to write; by default all of the source, or, if it is .npy or safetensors, of the
        tables `beside` it, if there are any. Types, including nested types, are kept if all files
        agree; otherwise a column gets the one type that holds the values of all files, and is null
        for files without it.
    weights : bool, default True
        Write the selection's weights, if it has any, as a column `weight`.
    order : {"rows", "picks"}, default "rows"
        Order of the rows: that of the source, or that of the selection.
    beside : str or pathlib.Path, or sequence of them, default ()
        Tables with additional columns of the same rows, one path each.
    replace : bool, default False
        Replace another export in the folder once the new one is complete; until then the old one is
        kept. A folder with any other file is refused.
    owners : str or sequence of str, default ()
        Names of the owner of this export, such as a plan: it is written under the first name, and
        replaces an export written under any of them.
    progress : callable, optional
        Called with (step, total, unit): bytes ("B") while the source's digests are computed, then
        rows.

    Returns
    -------
    dict
        Content of `_export.json`: "rows", "size", "shards" (name, rows, bytes), "sources" (name,
        rows, bytes, digest), "checked" (whether the source was verified to be the table selected
        from), the arguments, and the selection's method and arguments.

    Raises
    ------
    ValueError
        If the source has another N, differs from the digests in the selection's manifest (the
        message names the shard), changes while it is read, or already has a column `weight`; if no
        type holds the values of a column in all files, or a column occurs twice; if the folder is
        the source's or holds other files, or another export without `replace`.
    OSError
        If the folder cannot be created, cannot be written to, or is full.

    Notes
    -----
    Order
        Every shard is written atomically, and `_export.json` last, so a folder with this file is
        complete. Pages have checksums, and a resumed export verifies existing shards by reading
        them. An export that replaces another is written to a hidden folder next to it, and moved
        into place at the end: the disk must have room for both. Only one export at a time may write
        to a folder.
    Cost
        One pass over the source for its digests. Then, in row order, one pass over the row groups
        that contain selected rows, of any size: blocks of 16 MiB are decoded and 64 MiB are
        buffered for writing, 330 MiB in total as measured. In selection order, one pass for each
        shard written, with two copies of one shard in memory. With an engine of other processes
        each shard is written by a worker, in one pass over its rows, and files are digested by
        them: they must see the files and the folder, and a row group that two shards share is
        decoded by both. CSV, JSON lines and .npz are read by this process.

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
    identity = _identity(
        [[each["digest"] for each in sources], names, per_shard, order], selection.indices, given
    )
    mark = _Mark(identity, (named or [asked])[0])
    plan = _Plan(shards, names, selection.indices, given, per_shard, order, mark)
    out = place.begin(identity, replace=replace or bool(named))
    _write_shards(plan, _missing(out, plan), out, before, progress)
    facts = {**plan.facts(out), "sources": sources, "checked": checked, "size": shards.size,
             "method": selection.method, "arguments": selection.arguments}  # fmt: skip
    with written_whole(out / MANIFEST, _FACTS) as path:
        path.write_text(json_text(facts, indent=1, ordered=True) + "\n")
    place.finish(out)
    return facts


@told
def check_export(  # noqa: PLR0913  # those of `export_rows`
    source: Given,
    folder: str | Path,
    *,
    rows_per_shard: int = 1_000_000,
    columns: str | Sequence[str] | None = None,
    weights: bool = True,
    order: Order = "rows",
    beside: Given = (),
    replace: bool = False,
    owners: str | Sequence[str] = (),
    weighted: bool = False,
    made: str | Path | None = None,
) -> tuple[Joined, list[str]]:
    """Check the arguments of `export_rows` before the selection is computed.

    Parameters
    ----------
    source, folder, rows_per_shard, columns, weights, order, beside, replace, owners
        Those of `export_rows`.
    weighted : bool, default False
        Whether the selection will have weights.
    made : str or pathlib.Path, optional
        A folder that will be created before the export, so it need not exist.

    Returns
    -------
    tuple of Joined, list of str
        The tables to read, and the columns to write.

    Raises
    ------
    ValueError
        If `export_rows` would refuse an argument; if the folder is the source's or in it, or holds
        anything but an export that may be resumed or replaced.
    OSError
        If the folder cannot be created or written to.
    """
    replace, named = _check.flag("replace", replace), _check.words("owners", owners)
    shards, names, place = _checked_call(
        source, folder, rows_per_shard, columns, weights, order, beside, weighted
    )
    later = made is not None and place.folder.parent == Path(made).resolve()
    place.check(named, replace=replace, will_be_made=later)
    return shards, names


def _checked_call(  # noqa: PLR0913  # those of `export_rows`
    source: Given,
    folder: str | Path,
    rows_per_shard: int,
    columns: str | Sequence[str] | None,
    weights: bool,
    order: Order,
    beside: Given,
    weighted: bool,
) -> tuple[Joined, list[str], ExportFolder]:
    """Check the arguments and return the tables to read, the columns and the folder.

    The content of the folder is checked by `ExportFolder.check`.
    """
    _check.integer("rows_per_shard", rows_per_shard, 1)
    _check.flag("weights", weights)
    _check.flag("weighted", weighted)
    _check.choice("order", order, ("rows", "picks"))
    shards, names = joined(source, beside, columns)
    if weighted and weights and "weight" in names:
        raise ValueError(
            "columns must not include 'weight' if the selection's weights are written, got a "
            "column of that name: exclude one of them"
        )
    reads = [*_check.paths("source", source), *_check.paths("beside", beside)]
    check_apart(folder, paths_read(reads))
    return shards, names, ExportFolder(Path(folder))


@dataclass(frozen=True)
class _Mark:
    """What the files of an export state of it: see `_export_folder.Mark`."""

    export: str
    owner: str


@dataclass(frozen=True)
class _Shard:
    """A shard to write: its number and file name, and its rows and their weights in order."""

    number: int
    name: str
    rows: Indices
    weights: Floats | None


@dataclass(frozen=True)
class _Plan:
    """Assignment of rows to shards. Arguments are checked."""

    shards: Joined
    names: list[str]
    indices: Indices
    weights: Floats | None
    per_shard: int
    order: Order
    mark: _Mark

    @property
    def count(self) -> int:
        return max(1, -(-self.indices.size // self.per_shard))

    def name(self, shard: int) -> str:
        return f"part-{shard:05d}-of-{self.count:05d}.parquet"

    def rows_of(self, shard: int) -> int:
        return min(self.per_shard, self.indices.size - shard * self.per_shard)

    def schema(self, shard: int) -> Any:  # pyarrow.Schema
        """Return the schema of a shard: that of the source, the weight, and the shard's mark."""
        return _schema(self.shards, self.names, shard, self.mark, weighted=self.weights is not None)

    def wanted(self, shards: Sequence[int]) -> Iterator[_Shard]:
        """Yield the content of shards."""
        picks = self.order == "picks"
        order = np.arange(self.indices.size) if picks else np.argsort(self.indices, kind="stable")
        for shard in shards:
            own = order[shard * self.per_shard : (shard + 1) * self.per_shard]
            weights = None if self.weights is None else self.weights[own]
            yield _Shard(shard, self.name(shard), self.indices[own], weights)

    def facts(self, folder: Path) -> dict[str, Any]:
        """Return the manifest of the shards, which are all complete."""
        names = [self.name(shard) for shard in range(self.count)]
        return {
            "version": _VERSION,
            "export": self.mark.export,
            "owner": self.mark.owner,
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


def _write(path: Path, schema: Any, tables: Iterable[Any]) -> None:
    """Write tables to a file in row groups of limited bytes and rows."""
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


@dataclass(frozen=True)
class _Writer:
    """How shards are written, in this process or another.

    files, before : the files of the source, and their stamps
    """

    shards: Joined
    names: list[str]
    order: Order
    mark: _Mark
    out: Path
    files: list[Place]
    before: list[Stamp]

    def __call__(self, run: Sequence[_Shard], done: Callable[[int], object] | None = None) -> int:
        """Write shards, in one pass over the source in row order; return the number of rows.

        done : called with rows as they are written
        """
        streams = map(self._picked, run) if self.order == "picks" else self._read(run)
        for shard, tables in zip(run, streams, strict=True):
            weighted = shard.weights is not None
            schema = _schema(self.shards, self.names, shard.number, self.mark, weighted=weighted)
            with written_whole(self.out / shard.name, _SHARD) as part:
                _write(part, schema, _weighted(tables, shard.weights, done))
                compare_stamps(self.files, self.before)
        return sum(shard.rows.size for shard in run)

    def _read(self, run: Sequence[_Shard]) -> Iterator[Iterator[Any]]:
        """Yield an iterator over the tables of each shard, which are read lazily."""
        rows = np.concatenate([np.empty(0, np.int64), *(shard.rows for shard in run)])
        stream = Stream(self.shards.blocks(rows, self.names))
        for shard in run:
            yield stream.read(shard.rows.size)

    def _picked(self, shard: _Shard) -> Iterator[Any]:
        """Yield the rows of one shard in selection order."""
        order = np.argsort(shard.rows, kind="stable")
        blocks = list(self.shards.blocks(shard.rows[order], self.names))
        if not blocks:
            return
        whole, back = pa.concat_tables(blocks), np.empty(order.size, np.int64)
        back[order] = np.arange(order.size)
        step = 2**16  # a block of strings stays below 2 GiB, the limit of their offsets
        yield from (whole.take(pa.array(back[i : i + step])) for i in range(0, back.size, step))


def _write_shards(
    plan: _Plan, missing: Sequence[int], out: Path, before: list[Stamp], progress: Progress | None
) -> None:
    """Write shards: here in one pass over the source, on other engines each by a worker."""
    total = sum(plan.rows_of(shard) for shard in missing)
    files = [anywhere(file) for file in plan.shards.files]
    write = _Writer(plan.shards, plan.names, plan.order, plan.mark, out.absolute(), files, before)

    def done(rows: int) -> None:
        if progress is not None:
            progress(rows, total, "rows")

    if isinstance(current(), Local) or plan.shards.is_held:
        write(list(plan.wanted(missing)), done)
        return
    for rows in each(write, ([shard] for shard in plan.wanted(missing))):
        done(rows)


def _schema(  # pyarrow.Schema
    shards: Joined, names: Sequence[str], shard: int, mark: _Mark, *, weighted: bool
) -> Any:
    """Return the schema of a shard: that of the source, the weight, and the shard's mark."""
    schema = shards.schema_of(names)
    if weighted:
        schema = schema.append(pa.field("weight", pa.float64()))
    facts = {"export": mark.export, "shard": shard, "owner": mark.owner}
    return _parquet.with_facts(schema, facts)


def _weighted(
    tables: Iterable[Any], weights: Floats | None, done: Callable[[int], object] | None
) -> Iterator[Any]:
    """Yield tables with the column of weights, if there are any."""
    start = 0
    for table in tables:
        if weights is not None:
            own = weights[start : start + table.num_rows]
            table = table.append_column("weight", pa.array(own))
        start += table.num_rows
        yield table
        if done is not None:
            done(table.num_rows)


def _identity(facts: list[Any], indices: Indices, weights: Floats | None) -> str:
    """Return a digest that identifies this export."""
    found = hashlib.sha256(json.dumps([_VERSION, *facts]).encode())
    found.update(np.ascontiguousarray(indices, np.int64).data)
    found.update(b"" if weights is None else np.ascontiguousarray(weights, np.float64).data)
    return found.hexdigest()[:32]


def _checked(selection: Selection, sources: Sequence[dict[str, Any]]) -> bool:
    """Return whether the source is a table selected from; refuse one that has changed.

    A table that shares no file with those (such as texts, if the selection was from embeddings)
    cannot be checked.
    """
    tables = tables_of(selection.info)
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
    """Return the shards that are missing or damaged."""
    return [
        shard
        for shard in range(plan.count)
        if not _is_whole(folder / plan.name(shard), plan.schema(shard), plan.rows_of(shard))
    ]


def _is_whole(path: Path, schema: Any, rows: int) -> bool:  # pyarrow.Schema
    """Return whether a shard can be read completely; a damaged one is written again."""
    if not path.exists():
        return False
    try:
        with _parquet.opened(path, pre_buffer=False) as file:
            if not file.schema_arrow.equals(schema, check_metadata=False):
                return False
            return max(0, rows) == sum(int(batch.num_rows) for batch in file.iter_batches())
    except ValueError:
        return False
