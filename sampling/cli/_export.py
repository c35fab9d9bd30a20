"""The command that exports the selected rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from ._shared import (
    Address,
    AsJson,
    Beside,
    Debug,
    EngineName,
    Tables,
    answer,
    bars,
    parse,
    refusals,
    words,
)


def export(  # noqa: PLR0913  # one parameter for each option
    context: typer.Context,
    subset: Annotated[Path, typer.Argument(help="Path of the subset file to export.")],
    table: Tables,
    out: Annotated[Path, typer.Option(help="Folder to write to: new, empty, or to be resumed.")],
    rows_per_shard: Annotated[
        str, typer.Option(metavar="INT", help="Number of rows per shard.")
    ] = "1000000",
    columns: Annotated[
        str | None, typer.Option(help="Columns to write, comma-separated; default all.")
    ] = None,
    weights: Annotated[
        bool, typer.Option(help="Write the weights, if any, as a column `weight`.")
    ] = True,
    order: Annotated[
        str,
        typer.Option(
            help="Order of the rows written: rows, in one pass, or picks, in a pass per shard."
        ),
    ] = "rows",
    beside: Beside = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Replace another export in the folder once the new one is complete.",
        ),
    ] = False,
    engine: EngineName = None,
    address: Address = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write the selected rows as Parquet shards.

    Rows are read from the original table, of any kind, and keep their columns and types; those of
    .npy are a column `embeddings`. By default the columns of INPUT are written, or, if it is .npy,
    those of --beside. A table that
    has changed since the selection, or shares only some files with it, is refused by the digests in
    the subset file. A table that shares no file with it (such as texts, if the selection was from
    embeddings) is accepted if it has the same number of rows, and the output says so. Called again
    after an interruption, it writes the missing shards; _export.json is written last.

    sampling export subset.parquet corpus/ --out chosen --rows-per-shard 100000 --columns text,url
    """
    with refusals(debug, context, source="table", folder="out"):
        from .. import io

        given: dict[str, Any] = {
            "rows_per_shard": parse(int, "rows_per_shard", rows_per_shard),
            "columns": None if columns is None else words(columns),
            "weights": weights,
            "order": cast(Literal["rows", "picks"], order),
            "beside": beside or (),
            "replace": replace,
        }
        with bars() as progress:
            done = io.export_rows(
                io.load_selection(subset),
                list(table),
                out,
                **given,
                progress=progress,
            )
        if as_json:
            answer({**done, "out": str(out)})
            return
        shards = len(done["shards"])
        print(f"{done['rows']:,} rows in {shards:,} shard{'s' * (shards != 1)}")
        if not done["checked"]:
            print(
                "not checked: the subset file has no digests of this table, only the "
                "number of rows was compared"
            )
        print("written:", out)
