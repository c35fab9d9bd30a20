"""Commands that select rows, and that describe a selection."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._report import Examples, Report, check_report, write_report
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
    Tables,
    Within,
    answer,
    bars,
    budget_of,
    check_subset,
    json_value,
    pairs,
    parse,
    refusals,
    refuse_given,
    subset_of,
    unfinished,
)

if TYPE_CHECKING:
    from ..io import Table

LONG = 30.0  # seconds of work that is announced


def select(  # noqa: PLR0913  # one parameter for each option
    context: typer.Context,
    method: Annotated[str, typer.Argument(help="Name of the method, one of `sampling methods`.")],
    table: Tables,
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
    within: Within = None,
    embeddings: Embeddings = None,
    beside: Beside = None,
    scratch: Scratch = None,
    clusters: Clusters = None,
    seed: Seed = "0",
    dropped: Dropped = False,
    digest: Digest = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the call, print its time and memory, and exit.")
    ] = False,
    report_: Report = None,
    examples: Examples = True,
    engine: EngineName = None,
    address: Address = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Select rows of a table, and write their indices to a Parquet file.

    Columns written by `sampling score` include their direction, for methods that need hard rows.
    Other programs drop it when they rewrite the table: then state it. The report lists the
    directions that were read, and those that were assumed.

    Unfinished work that takes long is saved every 30 seconds in the folder .OUT.part next to the
    output: after a kill the same command resumes there.

    The budget is M of the N rows. Costs in messages and in `sampling methods` are in these letters,
    D dimensions of the embeddings, K clusters and C classes.

    sampling select top corpus.parquet --budget 0.1 --with scores=quality --with ids=url

    sampling select ccs rows.npy --budget 0.3 --beside scores.parquet --with scores=el2n

    sampling select ccs table.parquet --budget 0.3 --with scores=margin:easier

    sampling select semdedup rows.npy --set threshold=0.95 --beside corpus.parquet --with
    quality=score

    sampling select k_center rows.npy --budget 1000 --within filtered.parquet --beside corpus/

    sampling select k_center rows.npy --budget 1000 --dry-run
    """
    with refusals(debug, context):
        from .. import io, selection

        given: dict[str, Any] = {name: json_value(text) for name, text in pairs("--set", set_)}
        for name in {"seed", "clusters"} & set(given):
            refuse_given(context, [name], f"with --set {name}=")
        given.setdefault("seed", parse(int, "seed", seed))
        named, wanted = dict(pairs("--with", with_)), budget_of(budget)
        tables = [*table, *(beside or [])]
        check_subset(out, dropped, tables, clusters, scratch, within)
        check_report(context, report_, io.paths_read(tables), out)
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
            if dry_run:
                refuse_given(context, ["report_"], "with --dry-run, which writes nothing")
                _dry(opened, method, wanted, within, named, given, as_json)
                return
            inputs = digested(table, beside, wanted=digest or within is not None)
            subset = subset_of(within, inputs)
            if scratch is not None:
                if not selection.reads_embeddings(method):
                    raise ValueError(
                        f"scratch must be omitted for {method}, which reads no embeddings, got "
                        f"{scratch}"
                    )
                opened = io.open_table(table, **source, scratch=scratch)
            with unfinished(out, tables, method, wanted, subset, named, given, embeddings):
                found = selected(opened, method, wanted, subset, columns=named, settings=given)
        found = saved(found, out, inputs if digest else {}, dropped=dropped)
        report(found, out, as_json)
        write_report(report_, found, table, **source, examples=examples, quiet=as_json)


def _dry(  # noqa: PLR0913  # those of the command
    table: Table,
    method: str,
    budget: float | None,
    within: Path | None,
    columns: dict[str, str],
    settings: dict[str, Any],
    as_json: bool,
) -> None:
    """Print the estimated time and memory of a selection."""
    from .. import io, selection

    size = table.size if within is None else len(io.load_selection(within))
    need = selection.estimate_from(
        table, method, budget, columns=columns, settings=settings, size=size
    )
    if as_json:
        facts = {"method": method, "rows": size, "memory": need.memory, "seconds": need.seconds}
        answer(facts)
        return
    print(f"{method} of {size:,} rows: {need.said}")


def digested(table: list[str], beside: list[str] | None, *, wanted: bool) -> dict[str, Any]:
    """Return the digests of a table; empty if they are not wanted."""
    from .. import io

    if not wanted:
        return {}
    with bars() as progress:
        return io.inputs_of(table, beside or (), progress=progress)


def saved(found: Any, out: Path, inputs: dict[str, Any], *, dropped: bool) -> Any:
    """Write a subset file, and return the selection with the digests of its table.

    found  : Selection
    inputs : from `digested`, or none
    """
    from .. import io

    found = replace(found, info={**found.info, **inputs})
    io.save_selection(found, out, dropped=dropped)
    return found


def selected(  # noqa: PLR0913  # those of `select_from`
    table: Table,
    method: str,
    budget: float | None,
    within: Any,  # Selection, unloaded
    *,
    columns: dict[str, str],
    settings: dict[str, Any],
) -> Any:  # Selection, unloaded
    """Return the selection of a method; work that takes long is announced."""
    from .. import selection

    given: dict[str, Any] = {"columns": columns, "settings": settings}
    size = None if within is None else len(within)
    if size != 0:  # which `select_from` refuses
        need = selection.estimate_from(table, method, budget, **given, size=size, probe=False)
        if need.seconds >= LONG:
            typer.echo(f"estimate: {need.said}", err=True)
    return selection.select_from(table, method, budget, within, **given)


def report(found: Any, out: Path, as_json: bool, **more: Any) -> None:  # Selection, unloaded
    """Print a report of the selection; `more` is for the answer as JSON."""
    from ..selection import notes_of

    if as_json:
        facts = {**found.summary(), "arguments": found.arguments, "info": found.info}
        answer({**facts, "method": found.method, "out": str(out), **more})
        return
    seconds = f" in {found.info['seconds']:.1f} s" if "seconds" in found.info else ""
    print(f"{found.method} kept {len(found):,} of {found.size:,} rows{seconds}")
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


def inspect(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="Path of the subset file to inspect.")],
    check: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INPUT",
            help="Check that this table is still the one selected from; may be repeated.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object, as is always done.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Describe a subset file as one JSON object; `sampling explain` explains a row.

    --check reads the whole table; if a file has changed it is named, and the exit code is 1.

    sampling inspect subset.parquet --check corpus.parquet
    """
    with refusals(debug, context):
        from .. import io

        found = io.load_selection(path)
        if check:
            with bars() as progress:
                wrong = io.changes(found, check, progress=progress)
            answer({"same": not wrong, "changes": wrong})
            if wrong:
                raise typer.Exit(FAILED)
            return
        answer({"method": found.method, **found.summary(), "arguments": found.arguments,
                "info": found.info})  # fmt: skip
