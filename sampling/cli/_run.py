"""The command that runs a plan."""

from pathlib import Path
from typing import Annotated

import typer

from .._interrupt import INTERRUPTED
from ._shared import AsJson, Debug, answer, refusals


def run(
    plan: Annotated[Path, typer.Argument(help="A TOML file: see the README.")],
    work: Annotated[
        Path | None,
        typer.Option(help="Folder of what the stages keep; the plan's name by default."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the plan, say what it needs, and stop.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run the stages of a plan one after another: dedup, filter, quota, select, export.

    Embeddings are read once, and clusters made once for all stages. The folder holds what each
    stage kept, selection.parquet, and manifest.json with counts, time and memory of each. The same
    command goes on after an interruption, and runs again only what has changed.

    sampling run plan.toml --dry-run

    sampling run plan.toml --work runs/first
    """
    with refusals(debug):
        from .. import selection

        given = selection.Plan.read(plan)
        if dry_run:
            needs = given.estimates()
            if as_json:
                answer({"stages": needs})
                return
            for each in needs:
                print(f"{each['name']}: at most {each['rows']:,} rows, about "
                      f"{each['memory'] / 2**30:.2f} GiB and {each['seconds']:,.0f} s")  # fmt: skip
            return
        folder = plan.with_suffix("") if work is None else work
        try:
            found = given.run(folder, None if as_json else print)
        except KeyboardInterrupt:
            if debug:
                raise
            typer.echo("interrupted: the same command goes on where it stopped", err=True)
            raise typer.Exit(INTERRUPTED) from None
        if as_json:
            answer({**found.summary(), "info": found.info})
            return
        for rule, count in found.summary()["rules"].items():
            print(f"{count:>12,}  {rule}")
        print("written:", folder / "selection.parquet")
        if given.export is not None:
            print("written:", given.export["folder"])
