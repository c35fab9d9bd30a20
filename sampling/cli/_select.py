"""Commands that select rows, and that explain a selection."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ._shared import (
    FAILED,
    Address,
    AsJson,
    Beside,
    Clusters,
    Debug,
    Digest,
    Dropped,
    Embeddings,
    EngineName,
    Scratch,
    Seed,
    Subset,
    answer,
    bars,
    budget_of,
    check_subset,
    json_value,
    pairs,
    parse,
    refusals,
    refuse_given,
)


def select(  # noqa: PLR0913  # one parameter for each option
    context: typer.Context,
    method: Annotated[str, typer.Argument(help="Name of the method, one of `sampling methods`.")],
    table: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="Table to select from: .npy, .parquet or .safetensors, a folder of Parquet "
            "shards, or several Parquet files and folders in row order.",
        ),
    ],
    budget: Annotated[
        str | None,
        typer.Option(help="Number of rows to keep: a count, or a fraction such as 0.1 or 10%."),
    ] = None,
    out: Subset = Path("subset.parquet"),
    with_: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME=COLUMN",
            help="Read an argument from a column; may be repeated. A score may state its "
            "direction: "
            "NAME=COLUMN:DIRECTION with harder, easier, keep or drop.",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Set an argument; may be repeated."),
    ] = None,
    embeddings: Embeddings = None,
    beside: Beside = None,
    scratch: Scratch = None,
    clusters: Clusters = None,
    seed: Seed = "0",
    dropped: Dropped = False,
    digest: Digest = True,
    engine: EngineName = None,
    address: Address = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Select rows of a table, and write their indices to a Parquet file.

    Columns written by `sampling score` include their direction, for methods that need hard rows.
    Other programs drop it when they rewrite the table: then state it. The report lists the
    directions that were read, and those that were assumed.

    The budget is M of the N rows. Costs in messages and in `sampling methods` are in these letters,
    D dimensions of the embeddings, K clusters and C classes.

    sampling select top corpus.parquet --budget 0.1 --with scores=quality --with ids=url

    sampling select ccs rows.npy --budget 0.3 --beside scores.parquet --with scores=el2n

    sampling select ccs table.parquet --budget 0.3 --with scores=margin:easier

    sampling select semdedup rows.npy --set threshold=0.95 --beside corpus.parquet --with
    quality=score
    """
    with refusals(debug, context):
        from .. import io, selection

        given: dict[str, Any] = {name: json_value(text) for name, text in pairs("--set", set_)}
        for name in {"seed", "clusters"} & set(given):
            refuse_given(context, [name], f"with --set {name}=")
        given.setdefault("seed", parse(int, "seed", seed))
        named, wanted = dict(pairs("--with", with_)), budget_of(budget)
        tables = [*table, *(beside or [])]
        check_subset(out, dropped, tables, clusters, scratch)
        source: dict[str, Any] = {"embeddings": embeddings, "beside": beside or ()}
        if clusters is not None:
            entry = selection.methods().get(method)
            if entry is not None and "clusters" not in entry.parameters:
                raise ValueError(
                    f"clusters must be omitted for {method}, which uses none, got {clusters}"
                )
            from ..clustering import load_clustering

            given["clusters"] = load_clustering(clusters)
        with io.unchanged(tables):
            opened = io.open_table(table, **source)
            selection.check_call(opened, method, wanted, columns=named, settings=given)
            if scratch is not None:
                if not selection.reads_embeddings(method):
                    raise ValueError(
                        f"scratch must be omitted for {method}, which reads no embeddings, got "
                        f"{scratch}"
                    )
                opened = io.open_table(table, **source, scratch=scratch)
            found = selection.select_from(opened, method, wanted, columns=named, settings=given)
            if digest:
                with bars() as progress:
                    found = io.with_inputs(found, table, beside or (), progress=progress)
        io.save_selection(found, out, dropped=dropped)
        report(found, out, as_json)


def report(found: Any, out: Path, as_json: bool) -> None:  # Selection, unloaded
    """Print a report of the selection."""
    from ..selection import notes_of

    if as_json:
        facts = {**found.summary(), "arguments": found.arguments, "info": found.info}
        answer({**facts, "method": found.method, "out": str(out)})
        return
    seconds = found.info["seconds"]
    print(f"{found.method} kept {len(found):,} of {found.size:,} rows in {seconds:.1f} s")
    for rule, count in found.summary()["rules"].items():
        print(f"{count:>12,}  {rule}")
    for line in notes_of(found.info):
        print(line)
    print("written:", out)


def methods(as_json: AsJson = False, debug: Debug = False) -> None:
    """List the selectors: what each does, what it needs, and its cost.

    The letters of a cost: N rows of the table, D dimensions of the embeddings, M rows kept (the
    budget), K clusters, C classes, k neighbours of a row, S steps, I passes of k-means over the
    rows, and R bytes of the rows that it is trained on, 4 N D if max_memory allows. Memory is in
    addition to the input. "head": one selection serves every smaller budget. "weights": the kept
    rows have weights.

    sampling methods --json
    """
    with refusals(debug):
        from .. import selection

        columns = ("name", "summary", "needs", "label", "ranked", "time", "memory", "weights")
        rows = [
            {column: getattr(entry, column) for column in columns}
            for entry in selection.methods().values()
        ]
        if as_json:
            answer({row.pop("name"): row for row in rows})
            return
        from rich.console import Console
        from rich.table import Table

        grid = Table(box=None, pad_edge=False, leading=1, expand=True)
        grid.add_column("method", no_wrap=True)
        grid.add_column("what it does", ratio=4)
        grid.add_column("needs, label", width=15)
        grid.add_column("time, memory", ratio=3)
        for row in rows:
            gives = ["head"] * row["ranked"] + ["weights"] * bool(row["weights"])
            facts = [row["needs"], row["label"], ", ".join(gives)]
            texts = (row["summary"], "\n".join(facts).strip(), f"{row['time']}\n{row['memory']}")
            grid.add_row(row["name"], *(text.replace("`", "") for text in texts))
        Console(highlight=False, markup=False).print(grid)


def _row_of(text: str, found: Any) -> int | str:  # Selection, unloaded
    """Read the number of a row, or its id; refuse what is the number of one and the id of another.

    found : Selection, whose ids may look like numbers
    """
    kind, _, rest = text.partition(":")
    if kind == "id":
        return rest
    if kind == "row":
        return parse(int, "row", rest)
    if not text.strip().lstrip("+-").isdecimal():
        return text
    number = parse(int, "row", text)
    try:
        named = found.explain(text.strip()).row
    except ValueError:  # no id that reads so
        return number
    inside = 0 <= number < (found.size or 0)
    if inside and named != number:
        raise ValueError(
            f"row must be the number of a row or its id, got {text}, which is both (row {named} "
            f"has this id): write row:{number} or id:{text.strip()}"
        )
    return number if inside else text.strip()


def inspect(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="Path of the subset file to inspect.")],
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="ROW",
            help="Explain why this row, a number or an id, was kept or dropped; row:7 or id:7 "
            "where it could be either. Why a row was dropped, and its id, are known if the file "
            "was written with --dropped.",
        ),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(metavar="TABLE", help="Check that this table is still the one selected from."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object, as is always done.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Describe a subset file, or explain a row, as one JSON object.

    --check reads the whole table; if a file has changed it is named, and the exit code is 1.

    sampling inspect subset.parquet --explain 17

    sampling inspect subset.parquet --check corpus.parquet
    """
    with refusals(debug, context, row="explain"):
        from .. import io
        from .._warning import warn

        found = io.load_selection(path)
        if explain is not None:
            refuse_given(context, ["check"], "with --explain: ask one question at a time")
            why = found.explain(_row_of(explain, found))
            if found.verdicts is None and not why.kept:
                warn(f"{path} does not say why a row was dropped: it was written without --dropped")
            answer(asdict(why))
            return
        if check is not None:
            with bars() as progress:
                wrong = io.changes(found, check, progress=progress)
            answer({"same": not wrong, "changes": wrong})
            if wrong:
                raise typer.Exit(FAILED)
            return
        answer({"method": found.method, **found.summary(), "arguments": found.arguments,
                "info": found.info})  # fmt: skip
