"""The command that writes the chosen rows themselves."""

from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from ._shared import AsJson, Beside, Debug, answer, bars, parse, refusals, words


def export(  # noqa: PLR0913  # one parameter for each option
    context: typer.Context,
    subset: Annotated[Path, typer.Argument(help="A subset file.")],
    original: Annotated[
        list[Path], typer.Argument(help="Parquet: files in their order, or a folder of shards.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the shards: new, empty, or begun before.")],
    rows_per_shard: Annotated[
        str, typer.Option(metavar="INT", help="Rows of each shard but the last.")
    ] = "1000000",
    columns: Annotated[str | None, typer.Option(help="Columns, with commas; all of them.")] = None,
    weights: Annotated[
        bool, typer.Option(help="Write the weights, if any, as a column `weight`.")
    ] = True,
    order: Annotated[
        str, typer.Option(help="rows, one pass; or picks, one pass for each shard.")
    ] = "rows",
    beside: Beside = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Let it take the place of another export in the folder, once it is complete.",
        ),
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write the chosen rows as Parquet shards.

    They are read from the original Parquet, and keep their columns and types. A table that was
    selected from and has changed, or shares only some of its files, is refused by the digests in
    the subset file. One that shares none (the texts, where embeddings were selected from) is taken
    if it has as many rows, and the output says so. Called again after an interruption, it writes
    the missing shards; _export.json comes last.

    sampling export subset.parquet corpus/ --out chosen --rows-per-shard 100000 --columns text,url
    """
    with refusals(debug, context):
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
                list(original),
                out,
                **given,
                progress=progress,
            )
        if as_json:
            answer({**done, "out": str(out)})
            return
        print(f"{done['rows']:,} rows in {len(done['shards']):,} shards")
        if not done["checked"]:
            print(
                "not checked: the subset file has no digests of a file of this table, only its "
                "number of rows was compared"
            )
        print("written:", out)
