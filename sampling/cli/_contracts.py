"""Command that checks the contracts of samplers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._shared import FAILED, Debug, parse, refusals, words


def contracts(
    context: typer.Context,
    samplers: Annotated[
        str | None,
        typer.Option(help="Names of the samplers, comma-separated; by default all of the package."),
    ] = None,
    loaders: Annotated[
        str | None,
        typer.Option(
            help="Names of the loaders, comma-separated: DataLoader, whole batches (of a "
            "DataLoader with batch_size=None), TensorLoader, StatefulDataLoader, torchdata.nodes, "
            "Lightning, accelerate, HF Trainer; by default all."
        ),
    ] = None,
    workers: Annotated[
        str, typer.Option(help="Numbers of workers of each loader, comma-separated.")
    ] = "0,2",
    ranks: Annotated[
        str, typer.Option(help="Numbers of ranks, comma-separated: 1, 2 or both.")
    ] = "1,2",
    out: Annotated[
        Path | None, typer.Option(help="Path of a JSON file to write the results to.")
    ] = None,
    add: Annotated[
        bool,
        typer.Option(
            "--add", help="Keep the results of --out for combinations that are not run this time."
        ),
    ] = False,
    debug: Debug = False,
) -> None:
    """Interrupt and resume every sampler in every loader, and compare with uninterrupted runs.

    Needs the extras stateful, lightning and hf. The exit code is 1 if any combination fails.

    sampling contracts --samplers ShuffleSampler --loaders DataLoader
    """
    from tqdm import tqdm

    from .. import io, testing

    with refusals(debug, context):
        if add and out is None:
            raise ValueError("--out must be given with --add, got none")
        known = {}
        if out is not None:
            io.check_outputs(testing.matrix_outputs(out))
            known = testing.read_matrix(out) if add else {}
        cells = testing.cells(
            *(None if names is None else words(names) for names in (samplers, loaders)),
            workers=[parse(int, "workers", word) for word in words(workers)],
            ranks=[parse(int, "ranks", word) for word in words(ranks)],
        )
        with tqdm(total=len(cells), disable=None, unit=" runs") as bar:
            found = testing.run_cells(cells, bar.update)
        print(testing.matrix_table(found))
        if out is not None:
            testing.write_matrix(known | found, out)
        failed = {case: text for case, text in found.items() if text}
        for case, text in failed.items():
            print(f"{case}: {text}")
        if failed:
            raise typer.Exit(FAILED)
