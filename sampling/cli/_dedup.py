"""The command that removes near-duplicates, and shows examples of them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ._report import Examples, Report, check_report, write_report
from ._select import digested, report, saved, selected
from ._shared import (
    Address,
    AsJson,
    Beside,
    Classes,
    Clusters,
    Debug,
    Digest,
    Dropped,
    Embeddings,
    EngineName,
    Ids,
    Quality,
    Scratch,
    Seed,
    Shown,
    Subset,
    Tables,
    Text,
    Within,
    bars,
    budget_of,
    check_subset,
    embeddings_in,
    one_line,
    parse,
    refusals,
    refuse_given,
    subset_of,
    unfinished,
)


def dedup(  # noqa: PLR0913, PLR0915  # one parameter for each option
    context: typer.Context,
    table: Tables,
    threshold: Annotated[
        str | None,
        typer.Option(metavar="FLOAT", help="Cosine similarity above which a row is a copy."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Rows to keep, instead of a threshold: a count, or a fraction such as 0.8 or 80%."
        ),
    ] = None,
    out: Subset = Path("subset.parquet"),
    quality: Quality = None,
    labels: Classes = None,
    within: Within = None,
    ids: Ids = None,
    rule: Annotated[
        str,
        typer.Option(help="Rule by which copies are dropped: any_earlier, greedy or components."),
    ] = "any_earlier",
    num_assignments: Annotated[
        str, typer.Option(metavar="1|2", help="Number of clusters searched for each row.")
    ] = "2",
    num_checked: Annotated[
        str | None,
        typer.Option(
            metavar="INT",
            help="Number of rows compared with all others, to estimate the recall of the search; "
            "0 for no estimate.",
        ),
    ] = None,
    clusters: Clusters = None,
    show: Shown = "20",
    text: Text = None,
    embeddings: Embeddings = None,
    beside: Beside = None,
    scratch: Scratch = None,
    on_bad: Annotated[
        str, typer.Option(help="What to do about rows that are not finite: raise or drop.")
    ] = "raise",
    seed: Seed = "0",
    dropped: Dropped = False,
    digest: Digest = True,
    report_: Report = None,
    examples: Examples = True,
    engine: EngineName = None,
    address: Address = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Remove near-duplicates by cosine similarity, and show examples.

    Each dropped row is shown with the most similar kept row. The examples are sorted from the least
    to the most similar pair: if the first ones are not copies, the threshold is too low. Copies are
    searched in the two clusters nearest to each row; the report estimates the recall of this
    search. Unfinished work is saved every 30 seconds in the folder .OUT.part next to the output:
    after a kill the same command resumes there.

    sampling dedup rows.npy --threshold 0.95 --beside corpus.parquet --quality score --text text
    """
    with refusals(debug, context, count="show"):
        from .. import _check, io, selection

        given: dict[str, Any] = {
            "rule": rule,
            "on_bad": on_bad,
            "seed": parse(int, "seed", seed),
            "num_assignments": parse(int, "num_assignments", num_assignments),
        }
        given |= numbers(num_checked=(int, num_checked), threshold=(float, threshold))
        shown = _check.integer("show", parse(int, "show", show), 0)
        if shown == 0:
            refuse_given(context, ["text"], "with --show 0, which shows no examples")
        wanted = budget_of(budget)
        tables = [*table, *(beside or [])]
        each_table: list[Any] = [table, *(beside or [])]
        check_subset(out, dropped, tables, clusters, scratch, within)
        check_report(context, report_, io.paths_read(tables), out)
        if clusters is not None:
            from ..clustering import load_clustering

            given["clusters"] = load_clustering(clusters)
        named = {"quality": quality, "labels": labels, "ids": ids}
        columns = {name: column for name, column in named.items() if column is not None}
        source: dict[str, Any] = {"embeddings": embeddings, "beside": beside or ()}
        with io.unchanged(tables):
            opened = io.open_table(table, **source)
            selection.check_call(opened, "semdedup", wanted, columns=columns, settings=given)
            add_texts(each_table, text, [])  # checks that the column exists
            inputs = digested(table, beside, wanted=digest or within is not None)
            subset = subset_of(within, inputs)
            if scratch is not None:
                opened = io.open_table(table, **source, scratch=scratch)
            with unfinished(out, tables, wanted, subset, columns, given, embeddings):
                found = selected(
                    opened, "semdedup", wanted, subset, columns=columns, settings=given
                )
            with bars() as progress:
                twins = selection.twins_of(found, embeddings_in(opened), shown, progress=progress)
            pairs = [asdict(twin) for twin in twins]
            add_texts(each_table, text, pairs)
        found = saved(found, out, inputs if digest else {}, dropped=dropped)
        report(found, out, as_json, examples=pairs)
        if not as_json:
            print_pairs(pairs, text)
        write_report(report_, found, table, **source, text=text, examples=examples, quiet=as_json)


def numbers(**words: tuple[type[int] | type[float], str | None]) -> dict[str, float]:
    """Parse options that have no default here; those that are omitted are not in the result."""
    return {
        name: parse(kind, name, word) for name, (kind, word) in words.items() if word is not None
    }


def add_texts(tables: list[Any], text: str | None, pairs: list[dict[str, Any]]) -> None:
    """Add the texts of the rows to the pairs; without pairs, check that there is such a column.

    tables : one each, a path or a list of several
    """
    from .. import io

    if text is None:
        return
    for end in ("dropped", "kept"):
        read = io.read_column(tables, text, [pair[end] for pair in pairs])
        for pair, word in zip(pairs, read, strict=True):
            pair[f"{end}_{text}"] = word


def print_pairs(pairs: list[dict[str, Any]], text: str | None) -> None:
    """Print pairs of a dropped and a kept row, with their texts."""
    for pair in pairs:
        print(f"\nsimilarity {pair['similarity']:.4f}")
        for word in ("kept", "dropped"):
            shown = "" if text is None else one_line(pair[f"{word}_{text}"])
            print(f"  {word:<8}{pair[word]:>12}  {shown}".rstrip())
    if pairs and text is None:
        print("\nThe numbers are rows of the table: --text COLUMN shows their texts.")
