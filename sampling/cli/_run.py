"""The command that runs a plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._interrupt import INTERRUPTED
from ._report import Examples, Report, check_report
from ._shared import Address, AsJson, Debug, EngineName, answer, bars, refusals, refuse_given

if TYPE_CHECKING:
    from ..selection import SelectionPlan


def run(  # noqa: PLR0913  # one parameter for each option
    context: typer.Context,
    plan: Annotated[Path, typer.Argument(help="Path of the plan, a TOML file; see the README.")],
    work: Annotated[
        Path | None,
        typer.Option(help="Folder of the results of the stages; default: the name of the plan."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the plan, report its cost, and exit.")
    ] = False,
    report: Report = None,
    examples: Examples = True,
    engine: EngineName = None,
    address: Address = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run the stages of a plan in sequence: dedup, filter, quota, select, export.

    Embeddings are read once and clusters are computed once for all stages. The folder holds the
    selection of each stage, selection.parquet, and manifest.json with the counts, time and memory
    of each stage. After an interruption, the same command resumes, also inside a stage, whose
    unfinished work is saved every 30 seconds; only changed stages run again. A warning is given for
    a stage that can undo the group counts of an earlier one.

    sampling run plan.toml --dry-run

    sampling run plan.toml --work runs/first --report review.html
    """
    with refusals(debug, context):
        given = _read(plan, engine or address)
        folder = plan.with_suffix("") if work is None else work
        if dry_run:
            refuse_given(context, ["report", "examples"], "with --dry-run, which writes nothing")
            given.check_outputs(folder)
            needs, doubts = given.estimates(), given.warnings()
            if as_json:
                answer({"stages": needs, "warnings": doubts})
                return
            for doubt in doubts:
                typer.echo(f"warning: {doubt}", err=True)
            for each in needs:
                print(f"{each['name']}: at most {each['rows']:,} rows, about "
                      f"{each['memory'] / 2**30:.2f} GiB and {each['seconds']:,.0f} s")  # fmt: skip
            return
        page = _checked_page(context, given, folder, report)
        try:
            found = given.run(folder, None if as_json else print)
        except KeyboardInterrupt:
            if debug:
                raise
            typer.echo("interrupted: run the same command to resume", err=True)
            raise typer.Exit(INTERRUPTED) from None
        if as_json:
            answer({**found.summary(), "info": found.info, "warnings": given.warnings()})
        else:
            _print(found, given, folder)
        if page is not None:
            from ..reports import write_plan_report

            with bars() as progress:
                said = context.get_parameter_source("examples")
                own = examples if said is not None and said.name == "COMMANDLINE" else None
                write_plan_report(given, folder, page, examples=own, progress=progress)
            if not as_json:
                print("written:", page)


def _checked_page(
    context: typer.Context,
    plan: SelectionPlan,
    folder: Path,
    report: Path | None,
) -> Path | None:
    """Return the page to write, if any; refuse one that must not be written."""
    from .. import _check, io

    page = (plan.report or {}).get("path") if report is None else report
    if page is None:
        check_report(context, None, [])
        return None
    plan.check_outputs(folder)
    if folder.resolve() in Path(page).resolve().parents:  # the report is in it
        folder.mkdir(parents=True, exist_ok=True)
    reads = io.paths_read([*_check.paths("table", plan.table), *plan.beside])
    for subset in plan.subsets:
        reads += [Path(path) for path, _ in io.selection_outputs(subset, dropped=True)]
    check_report(context, Path(page), reads)
    return Path(page)


def _print(found: Any, plan: Any, folder: Path) -> None:  # Selection, SelectionPlan
    """Print the number of rows of each rule and group, and what was written."""
    for rule, count in found.summary()["rules"].items():
        print(f"{count:>12,}  {rule}")
    _print_groups(found.info["stages"])
    print("written:", folder / "selection.parquet")
    if plan.export is not None:
        print("written:", plan.export["folder"])


def _read(path: Path, engine: str | None) -> SelectionPlan:
    """Read a plan; its engine is ignored if the options of the command name one."""
    from ..selection import SelectionPlan

    found = SelectionPlan.read(path)
    return found if engine is None else replace(found, engine=None, address=None)


_SHOWN = 20  # groups whose counts are printed; the manifest holds all


def _print_groups(stages: list[dict[str, Any]]) -> None:
    """Print the number of rows per group after each stage, for each column."""
    counted = [stage for stage in stages if "groups" in stage]
    for column in counted[0]["groups"] if counted else ():
        print(f"rows per {column} after {', '.join(stage['name'] for stage in counted)}:")
        counts = [stage["groups"][column] for stage in counted]
        for name in list(counts[0])[:_SHOWN]:
            print("".join(f"{each[name]:>12,}" for each in counts), f" {name}")
        if len(counts[0]) > _SHOWN:
            print(f"{len(counts[0]) - _SHOWN:>12,} more groups are in the manifest")
