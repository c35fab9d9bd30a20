"""The command that writes the report of a selection, and the option of others that does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, cast

import typer

from ._shared import (
    AsJson,
    Beside,
    Debug,
    Embeddings,
    Scratch,
    Seed,
    Tables,
    Text,
    answer,
    bars,
    parse,
    refusals,
    refuse_given,
    words,
)

Report: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--report", metavar="FILE", help="Also write a report of the selection, an HTML page."
    ),
]
Examples: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--examples/--no-examples",
        help="Whether the report shows rows of the data; names of groups are numbers without.",
    ),
]


def report(  # noqa: PLR0913  # one parameter for each option
    context: typer.Context,
    subset: Annotated[Path, typer.Argument(help="Path of the subset file to report on.")],
    table: Tables,
    out: Annotated[Path, typer.Option(help="Path of the HTML page to write.")] = Path(
        "report.html"
    ),
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Columns to show, comma-separated: of floats as a histogram, others as groups; "
            "may be repeated. License, source, dataset, domain and language are shown by default."
        ),
    ] = None,
    text: Text = None,
    image: Annotated[
        str | None,
        typer.Option(help="Column of the images to show in examples: bytes, or paths."),
    ] = None,
    map_: Annotated[
        str,
        typer.Option(
            "--map",
            help="Map of the embeddings: auto (umap if installed, else pca), pca, umap, or none, "
            "which reads no embeddings.",
        ),
    ] = "auto",
    work: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run of a plan, for the scores of its stages; default: that of "
            "the subset file."
        ),
    ] = None,
    examples: Examples = True,
    embeddings: Embeddings = None,
    beside: Beside = None,
    scratch: Scratch = None,
    seed: Seed = "0",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write a report of a selection for its reviewer: one HTML page.

    It shows rows by stage and rule, group counts before and after each stage, scores of kept and
    dropped rows, coverage, a map, pairs of copies, rows at the border of each threshold, and inputs
    with digests. A table that has changed since the selection is refused. Write the subset file
    with --dropped, so that rules and scores are known. Pages for others: --no-examples.

    sampling report subset.parquet corpus/ --by license,quality --text text

    sampling report runs/first/selection.parquet rows.npy --beside texts.parquet --no-examples
    """
    with refusals(debug, context, source="table", selection="subset", path="out", layout="map_"):
        from ..reports import write_selection_report

        with bars() as progress:
            written = write_selection_report(
                subset,
                table,
                out,
                beside=beside or (),
                embeddings=embeddings,
                scratch=scratch,
                work=work,
                by=[name for each in by or () for name in words(each)],
                text=text,
                image=image,
                layout=cast(Literal["auto", "pca", "umap", "none"], map_),
                examples=examples,
                seed=parse(int, "seed", seed),
                progress=progress,
            )
        if as_json:
            answer({"out": str(written), "bytes": written.stat().st_size})
            return
        print("written:", written)


def check_report(
    context: typer.Context, path: Path | None, reads: Sequence[Path], out: Path | None = None
) -> None:
    """Refuse, before the computation, a report that cannot or must not be written.

    reads : files and folders that are read
    out   : the subset file that the command writes
    """
    if path is None:
        refuse_given(context, ["examples"], "without --report")
        return
    from .. import io
    from ..reports import selection_report_outputs

    outputs = [] if out is None else io.selection_outputs(out)
    io.check_outputs([*outputs, *selection_report_outputs(path)], reads)


def write_report(
    path: Path | None, found: Any, table: Any, *, quiet: bool = False, **given: Any
) -> None:
    """Write the report of a selection that was just made, if one is asked for.

    found : Selection, or the path of its file
    """
    if path is None:
        return
    from ..reports import write_selection_report

    with bars() as progress:
        write_selection_report(found, table, path, progress=progress, **given)
    if not quiet:
        print("written:", path)
