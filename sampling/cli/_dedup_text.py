"""The command that removes duplicate texts, and shows examples of them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ._dedup import add_texts, numbers, print_pairs
from ._report import Examples, Report, check_report, write_report
from ._select import digested, report, saved, selected
from ._shared import (
    Address,
    AsJson,
    Beside,
    Classes,
    Debug,
    Digest,
    Dropped,
    EngineName,
    Ids,
    Quality,
    Seed,
    Shown,
    Subset,
    Tables,
    Within,
    budget_of,
    check_subset,
    parse,
    refusals,
    subset_of,
)


def dedup_text(  # noqa: PLR0913  # one parameter for each option
    context: typer.Context,
    table: Tables,
    text: Annotated[str, typer.Option(help="Column of the texts.")] = "text",
    threshold: Annotated[
        str | None,
        typer.Option(
            metavar="FLOAT",
            help="Jaccard similarity of the character n-grams at which a row is a copy; 0.8 by "
            "default.",
        ),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Drop only texts that are equal after normalization.")
    ] = False,
    budget: Annotated[
        str | None,
        typer.Option(help="Rows to keep: a count, or a fraction such as 0.8 or 80%."),
    ] = None,
    out: Subset = Path("subset.parquet"),
    keep: Annotated[
        str | None,
        typer.Option(help="Which of several copies is kept: random (default), longest or first."),
    ] = None,
    quality: Quality = None,
    labels: Classes = None,
    within: Within = None,
    rule: Annotated[
        str,
        typer.Option(help="Rule by which copies are dropped: greedy, any_earlier or components."),
    ] = "greedy",
    normalize: Annotated[
        str,
        typer.Option(
            help="Normalization before the comparison: casefold (Unicode NFKC, case folding, "
            "single spaces), nfkc (keeps case) or none."
        ),
    ] = "casefold",
    ngram: Annotated[
        str, typer.Option(metavar="INT", help="Number of characters of an n-gram.")
    ] = "3",
    num_bands: Annotated[
        str | None,
        typer.Option(metavar="INT", help="Number of bands of the MinHash signatures."),
    ] = None,
    band_size: Annotated[
        str | None, typer.Option(metavar="INT", help="Number of hashes in a band.")
    ] = None,
    ids: Ids = None,
    show: Shown = "20",
    beside: Beside = None,
    on_bad: Annotated[
        str, typer.Option(help="What to do about missing texts: raise or drop.")
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
    """Remove duplicate texts by their wording, and show examples.

    Each dropped row is shown with the kept row that it belongs to, from the least to the most
    similar pair: if the first ones are not copies, the threshold is too low. Every pair is
    verified; the report says how many pairs at the threshold the search is expected to find.
    Unless --exact, this needs an extra: pip install 'sampling[text]'.

    sampling dedup-text corpus.parquet --text description --threshold 0.8

    sampling dedup-text corpus.parquet --text body --exact --labels language
    """
    with refusals(debug, context, count="show", texts="text"):
        from .. import _check, io, selection

        given: dict[str, Any] = {
            "exact": exact,
            "rule": rule,
            "normalize": normalize,
            "on_bad": on_bad,
            "seed": parse(int, "seed", seed),
            "ngram": parse(int, "ngram", ngram),
        }
        given |= numbers(
            num_bands=(int, num_bands), band_size=(int, band_size), threshold=(float, threshold)
        )
        if keep is not None:
            given["keep"] = keep
        shown = _check.integer("show", parse(int, "show", show), 0)
        wanted = budget_of(budget)
        tables = [*table, *(beside or [])]
        each_table: list[Any] = [table, *(beside or [])]
        check_subset(out, dropped, tables, None, None, within)
        check_report(context, report_, io.paths_read(tables), out)
        named = {"texts": text, "quality": quality, "labels": labels, "ids": ids}
        columns = {name: column for name, column in named.items() if column is not None}
        with io.unchanged(tables):
            opened = io.open_table(table, beside=beside or ())
            selection.check_call(opened, "dedup_text", wanted, columns=columns, settings=given)
            inputs = digested(table, beside, wanted=digest or within is not None)
            subset = subset_of(within, inputs)
            found = selected(opened, "dedup_text", wanted, subset, columns=columns, settings=given)
            pairs = [asdict(twin) for twin in selection.twins_of(found, count=shown)]
            add_texts(each_table, text, pairs)
        found = saved(found, out, inputs if digest else {}, dropped=dropped)
        report(found, out, as_json, examples=pairs)
        if not as_json:
            print_pairs(pairs, text)
        source: dict[str, Any] = {"beside": beside or (), "text": text}
        write_report(report_, found, table, **source, examples=examples, quiet=as_json)
