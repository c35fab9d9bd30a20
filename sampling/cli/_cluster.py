"""The command that clusters rows, for use by several selections."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ._select import digested
from ._shared import (
    Address,
    AsJson,
    Beside,
    Debug,
    Embeddings,
    EngineName,
    Scratch,
    Seed,
    Tables,
    Within,
    answer,
    check_scratch,
    embeddings_in,
    parse,
    refusals,
    refuse_given,
    subset_of,
)


def cluster(  # noqa: PLR0913  # one parameter for each option
    context: typer.Context,
    table: Tables,
    k: Annotated[str, typer.Argument(metavar="K", help="Number of clusters.")],
    out: Annotated[
        Path,
        typer.Option(help="Path of the file of rows to write; the centers are saved next to it."),
    ] = Path("clusters.parquet"),
    spherical: Annotated[
        bool, typer.Option("--spherical", help="Cluster by direction, as semdedup does.")
    ] = False,
    iterations: Annotated[
        str, typer.Option(metavar="INT", help="Number of k-means iterations.")
    ] = "25",
    labels: Annotated[
        str | None,
        typer.Option(
            help="Column of the classes: clusters do not cross them; rows without a class are one."
        ),
    ] = None,
    within: Within = None,
    embeddings: Embeddings = None,
    beside: Beside = None,
    scratch: Scratch = None,
    seed: Seed = "0",
    engine: EngineName = None,
    address: Address = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Cluster rows by k-means, and write the label and distance of each row.

    `sampling select --clusters FILE` reads them, so that several selections share one clustering.
    Clusters within a subset serve selections within it, or within a smaller one.

    sampling cluster rows.npy 1000 --spherical --out clusters.parquet

    sampling cluster rows.npy 1000 --within kept.parquet --out clusters.parquet
    """
    with refusals(debug, context, k="k", n_clusters="k", n_iter="iterations", groups="labels"):
        from .. import clustering, io, selection

        if labels is None and within is None:
            why = "without --labels, the only column that is read, or --within"
            refuse_given(context, ["beside"], why)
        given: dict[str, Any] = {
            "n_clusters": parse(int, "k", k),
            "spherical": spherical,
            "n_iter": parse(int, "iterations", iterations),
            "seed": parse(int, "seed", seed),
        }
        tables = [*table, *(beside or [])]
        reads, outputs = io.paths_read(tables), clustering.clustering_outputs(out)
        if within is not None:
            reads += [Path(path) for path, _ in io.selection_outputs(within, dropped=True)]
        io.check_outputs(outputs, reads)
        check_scratch(scratch, reads, outputs)
        source: dict[str, Any] = {"embeddings": embeddings, "beside": beside or ()}
        watch = io.Watch(tables)
        opened = io.open_table(table, **source)
        clustering.check_kmeans(opened, **given, groups=labels)
        if scratch is not None:
            opened = io.open_table(table, **source, scratch=scratch)
        subset = subset_of(within, digested(table, beside, wanted=within is not None))
        alive = None if subset is None else selection.rows_within(opened, subset)
        own = opened if alive is None else opened.take(alive)
        groups = None if labels is None else own.labels(labels)
        found = clustering.kmeans(embeddings_in(own), **given, groups=groups)
        found = replace(found, rows=alive)
        watch.compare()
        clustering.save_clustering(found, out)
        made_of = io.columns_text(opened.embedding_columns)
        least, most = int(found.sizes.min()), int(found.sizes.max())
        if as_json:
            answer({"rows": len(found.labels), "clusters": len(found.centers), "smallest": least,
                    "largest": most, "objective": found.objective, "out": str(out),
                    "embedding_columns": made_of})  # fmt: skip
            return
        print(f"{len(found.labels):,} rows in {len(found.centers):,} clusters of {least:,} to "
              f"{most:,}, objective {found.objective:.6g}")  # fmt: skip
        if len(opened.embedding_columns) > 1:
            print("embeddings:", made_of)
        print("written:", out)
