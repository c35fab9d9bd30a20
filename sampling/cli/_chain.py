"""Commands that work on subset files: filter, rethreshold, combine and explain."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ._select import digested, report, saved
from ._shared import (
    Address,
    AsJson,
    Beside,
    Debug,
    Digest,
    Dropped,
    Embeddings,
    EngineName,
    Ids,
    Subset,
    Tables,
    Within,
    answer,
    bars,
    check_subset,
    embeddings_in,
    one_line,
    parse,
    refusals,
    refuse_given,
    subset_of,
)

_HOW = ("union", "intersect", "subtract")


def filter_(  # noqa: PLR0913  # one parameter for each option
    context: typer.Context,
    table: Tables,
    where: Annotated[
        list[str],
        typer.Option(
            metavar="CONDITION",
            help="Condition that a row must satisfy, such as 'quality >= 0.2', 'lang in en,de' or "
            "'text not_null'; may be repeated: all must hold.",
        ),
    ],
    out: Subset = Path("subset.parquet"),
    within: Within = None,
    ids: Ids = None,
    beside: Beside = None,
    dropped: Dropped = False,
    digest: Digest = True,
    engine: EngineName = None,
    address: Address = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Keep the rows that satisfy all conditions, as the stage `filter` of a plan does.

    Operators are ==, !=, <, <=, >, >=, in, not in, is_null and not_null. A missing value satisfies
    is_null only. Values are read as the type of the column: dates as 2024-01-03.

    sampling filter corpus/ --where 'quality >= 0.2' --where 'lang in en,de' --out kept.parquet
    """
    with refusals(debug, context):
        from .. import io, selection

        tables = [*table, *(beside or [])]
        check_subset(out, dropped, tables, None, None, within)
        with io.unchanged(tables):
            opened = io.open_table(table, beside=beside or ())
            conditions = selection.parse_where(where, opened)
            inputs = digested(table, beside, wanted=digest or within is not None)
            subset = subset_of(within, inputs)
            found = selection.filter_from(opened, conditions, subset, ids=ids)
        report(saved(found, out, inputs if digest else {}, dropped=dropped), out, as_json)


def rethreshold(
    context: typer.Context,
    subset: Annotated[
        Path, typer.Argument(help="Subset file of a deduplication, written with --dropped.")
    ],
    threshold: Annotated[
        str,
        typer.Argument(metavar="THRESHOLD", help="Threshold to apply instead of the first one."),
    ],
    table: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INPUT...]",
            help="Table of the rows, to compute similarities to kept rows that were not compared.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Path of the subset file to write; default: SUBSET-THRESHOLD.parquet."),
    ] = None,
    embeddings: Embeddings = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Apply another threshold to a deduplication, without comparing rows again.

    The subset may be a result of `sampling dedup`, of `select semdedup`, or of a stage of a plan,
    such as WORK/1-semdedup.parquet. The dropped rows are written too.

    sampling rethreshold subset.parquet 0.9
    """
    with refusals(debug, context, threshold="threshold", subset="subset"):
        from .. import io

        value = parse(float, "threshold", threshold)
        target = subset.with_name(f"{subset.stem}-{threshold}.parquet") if out is None else out
        if not table:
            refuse_given(context, ["embeddings"], "without a table")
        check_subset(target, True, table or [], None, None, subset)
        found = io.load_selection(subset)
        rows = None
        if table:
            io.refuse_other(found, io.inputs_of(table), name="subset")
            rows = embeddings_in(io.open_table(table, embeddings=embeddings))
        found = found.rethreshold(value, rows)
        found = replace(found, info={k: v for k, v in found.info.items() if k != "seconds"})
        io.save_selection(found, target, dropped=True)
        report(found, target, as_json)


def combine(
    context: typer.Context,
    how: Annotated[
        str,
        typer.Argument(metavar="HOW", help="How to combine them: union, intersect or subtract."),
    ],
    left: Annotated[Path, typer.Argument(metavar="A", help="First of the subset files.")],
    right: Annotated[Path, typer.Argument(metavar="B", help="Second of the subset files.")],
    out: Subset = Path("combined.parquet"),
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Combine two subsets of one table: rows of either, of both, or of A without those of B.

    Rows are in the order of A, then of B. There are no weights. Subsets of different tables are
    refused, by the digests of their files.

    sampling combine union images.parquet texts.parquet --out either.parquet
    """
    with refusals(debug, context, selections="left", how="how"):
        from .. import _check, io
        from .._warning import warn

        _check.choice("how", how, _HOW)
        reads = [path for each in (left, right) for path, _ in io.selection_outputs(each)]
        io.check_outputs(io.selection_outputs(out), reads)
        one, other = io.load_selection(left), io.load_selection(right)
        if not ("inputs" in one.info and "inputs" in other.info):
            warn("a subset has no digests of its table: only the number of rows is compared")
        found = {"union": one.__or__, "intersect": one.__and__, "subtract": one.__sub__}[how](other)
        io.save_selection(found, out)
        if as_json:
            answer({**found.summary(), "method": found.method, "out": str(out)})
            return
        print(f"{how}: {len(found):,} of {found.size:,} rows, from {len(one):,} and {len(other):,}")
        print("written:", out)


def explain(  # noqa: PLR0913  # one parameter for each option
    context: typer.Context,
    subset: Annotated[Path, typer.Argument(help="Path of the subset file.")],
    table: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INPUT...]",
            help="Table of the rows, for --near and --text; by default the files that the subset "
            "was made from, if they are in this folder or that of the subset.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Explain the row with this id.")
    ] = None,
    row: Annotated[
        str | None, typer.Option(metavar="INT", help="Explain the row with this number.")
    ] = None,
    near: Annotated[
        str,
        typer.Option(metavar="INT", help="Number of most similar kept rows to show."),
    ] = "0",
    text: Annotated[str | None, typer.Option(help="Column of the texts to show.")] = None,
    embeddings: Embeddings = None,
    beside: Beside = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Explain why a row was kept or dropped, and show the row that was kept instead.

    Why a row was dropped, its id, and the row kept instead of a copy are known if the subset was
    written with --dropped.

    sampling explain subset.parquet --id doc-000005 --near 5 --text text
    """
    asked = "row" if name is None else "name"
    with refusals(debug, context, row=asked, column="text", subset="subset"):
        from .. import _check, io, selection
        from .._warning import warn

        count = _check.integer("near", parse(int, "near", near), 0)
        if (name is None) == (row is None):
            raise ValueError(
                f"name must be given, or --row instead of it, got {'both' if row else 'neither'}"
            )
        found = io.load_selection(subset)
        why = found.explain(name if name is not None else parse(int, "row", str(row)))
        if found.verdicts is None and not why.kept:
            warn(f"{subset} does not say why a row was dropped: it was written without --dropped")
        facts: dict[str, Any] = {**asdict(why), "id": found.id_of(why.row)}
        del facts["nearest"]
        rows = [why.row, *([] if why.kept_row is None else [why.kept_row])]
        if count or text is not None:
            tables = _tables(found, subset, table, beside)
            if count:
                opened = io.open_table(tables[0], embeddings=embeddings)
                with bars() as progress:
                    twins = selection.nearest_kept(
                        found, embeddings_in(opened), why.row, count, progress=progress
                    )
                facts["near"] = [
                    {"row": each.kept, "id": found.id_of(each.kept), "similarity": each.similarity}
                    for each in twins
                ]
                rows += [each.kept for each in twins]
            if text is not None:
                words = io.read_column(tables, text, rows)
                facts["texts"] = dict(zip(map(str, rows), words, strict=True))
        if as_json:
            answer(facts)
            return
        _print(facts)


def _tables(
    found: Any,  # Selection, unloaded
    subset: Path,
    table: list[str] | None,
    beside: list[str] | None,
) -> list[Any]:
    """Return the tables of a selection, one each, as named or as in its manifest."""
    from .. import io

    if table:
        io.refuse_other(found, io.inputs_of(table, beside or ()), name="subset")
        return [table, *(beside or [])]
    return io.located_inputs(found, [Path(), subset.parent])


def _print(facts: dict[str, Any]) -> None:
    """Print the explanation of a row."""
    texts = facts.get("texts", {})

    def line(row: int, name: Any, more: str) -> None:
        shown = "" if name is None else f" (id {name})"
        cut = one_line(texts[str(row)]) if str(row) in texts else ""
        print(f"row {row}{shown}{more}" + (f"\n    {cut}" if cut else ""))

    why = "kept" if facts["kept"] else f"dropped: {facts['rule']}"
    score = "" if facts["score"] is None else f", score {facts['score']:.6g}"
    rank = "" if facts["rank"] is None else f", rank {facts['rank']}"
    line(facts["row"], facts["id"], f": {why}{score}{rank}")
    if facts["kept_row"] is not None:
        near = facts["similarity"]
        more = "" if near is None else f", similarity {near:.4f}"
        print("kept instead:")
        line(facts["kept_row"], facts["kept_id"], more)
    if "near" in facts:
        print("most similar kept rows:")
        for each in facts["near"]:
            line(each["row"], each["id"], f", similarity {each['similarity']:.4f}")
