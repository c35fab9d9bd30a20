"""Command that benchmarks samplers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._interrupt import INTERRUPTED
from ._shared import Debug, parse, refusals, refuse_all_but, refuse_given, share, words

if TYPE_CHECKING:
    from ..bench import Benchmark

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def bench(  # noqa: PLR0913  # one parameter for each option
    context: typer.Context,
    data: Annotated[
        str,
        typer.Argument(
            help="Name of a dataset (digits or fashion-mnist), folder of images, table, "
            "FILE.py:FUNCTION that returns a task, or plan file (.toml)."
        ),
    ] = "digits",
    label: Annotated[
        str | None, typer.Option(help="Column of a table that holds the classes.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="Column of the features of a table, or file of rows (.npy)."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="File of the classes of rows, as FILE or FILE:COLUMN."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model on given features: probe or mlp.")
    ] = None,
    image_size: Annotated[
        str | None,
        typer.Option(metavar="INT", help="Height and width of images, in pixels; default 32."),
    ] = None,
    on_bad: Annotated[
        str, typer.Option(help="What to do with unreadable samples: raise or drop.")
    ] = "raise",
    split: Annotated[
        str | None,
        typer.Option(help="Column of a table that says train, val or test for each row."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="Metric of the benchmark's own models: accuracy, balanced accuracy, macro F1, "
            "log-loss or R2."
        ),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(help="Training script with its arguments, run once for each run."),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(help="Time after which a run of the command is ended, such as 90s or 2h."),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            help="Fractions or percentages to keep, comma-separated; default 0.3,0.5,0.7. "
            "With --find-limit, 0.1 to 0.9 by default."
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="Names of the methods, comma-separated; selectors as ccs:el2n, subset files, and "
            "FILE.py:NAME; by default those suited to the data."
        ),
    ] = None,
    without: Annotated[
        str | None,
        typer.Option(
            help="Names of controls not to run, comma-separated; full-fewer: names those of equal "
            "total cost."
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="Quantity that is equal among methods: samples, epochs, steps or cost (the total)."
        ),
    ] = "samples",
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="INT",
            help="Fixed number of seeds; by default computed from a pilot of three, 5 for digits.",
        ),
    ] = None,
    max_seeds: Annotated[
        str, typer.Option(metavar="INT", help="Largest number of seeds, where it is computed.")
    ] = "20",
    evaluations: Annotated[
        str | None,
        typer.Option(metavar="INT", help="Planned number of evaluations that give verdicts."),
    ] = None,
    margin: Annotated[
        str | None,
        typer.Option(
            metavar="FLOAT",
            help="Points below full data that still count as equal; by default the larger of 0.3 "
            "and three test samples.",
        ),
    ] = None,
    first_seed: Annotated[
        str,
        typer.Option(
            metavar="INT", help="First of the seeds, so that several processes can share one --out."
        ),
    ] = "0",
    find_limit: Annotated[
        bool,
        typer.Option("--find-limit", help="Find the lowest fraction that each method can keep."),
    ] = False,
    time_budget: Annotated[
        str | None,
        typer.Option(help="Time after which no run is started, such as 90s, 30m or 2h."),
    ] = None,
    epochs: Annotated[
        str | None,
        typer.Option(metavar="INT", help="Number of epochs at full cost; by default the task's."),
    ] = None,
    batch_size: Annotated[
        str | None,
        typer.Option(metavar="INT", help="Number of samples per batch; by default the task's."),
    ] = None,
    learning_rate: Annotated[
        str | None,
        typer.Option(metavar="FLOAT", help="Peak learning rate of the benchmark's own models."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write the results to; default runs/<data>.")
    ] = None,
    device: Annotated[str, typer.Option(help="Device to train on: auto, cpu, cuda, ....")] = "auto",
    jobs: Annotated[
        str | None,
        typer.Option(
            metavar="INT", help="Number of runs at the same time; by default as the cores allow."
        ),
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option(metavar="INT", help="Largest number of training samples, for a first try."),
    ] = None,
    imbalance: Annotated[
        str | None,
        typer.Option(
            metavar="FLOAT",
            help="Make the training set long-tailed, with this ratio of its largest class to "
            "its smallest.",
        ),
    ] = None,
    label_noise: Annotated[
        str | None, typer.Option(metavar="FLOAT", help="Fraction of training labels to corrupt.")
    ] = None,
    near_copies: Annotated[
        str | None,
        typer.Option(
            metavar="FLOAT", help="Fraction of training samples to replace by near copies."
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder that holds the fashion-mnist files.")
    ] = None,
    examples: Annotated[bool, typer.Option(help="Show samples of the data in the report.")] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the runs and an estimate, and train nothing.")
    ] = False,
    list_: Annotated[
        bool, typer.Option("--list", help="Describe the methods and exit without training.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Train models and report the accuracy of each method at a given training cost.

    A second call with the same --out resumes an interrupted one. Needs the extra bench.

    sampling bench digits --keep 0.5 --methods infobatch,ccs:el2n
    """
    from rich.console import Console

    from .. import bench as benchmark

    with refusals(debug, context):
        if list_:
            refuse_all_but(context, ("list_", "debug"), "with --list, which trains nothing")
            Console(width=140).print(benchmark.method_table())
            return
        options = _given(context)
        if data.endswith(".toml"):
            settings = benchmark.Settings.from_plan(data, **options)
        else:
            settings = benchmark.Settings(data, **options)
        ready = benchmark.prepare(settings)
        if not ready.has_verdicts:
            refuse_given(context, ["margin"], "without verdicts, which need the method full and "
                         "more than three seeds")  # fmt: skip
        if dry_run:
            Console().print(ready.forecast())
            return
        ready.run()
        _show(ready)


def _show(ready: Benchmark) -> None:
    """Print the table, and write the report."""
    from rich.console import Console

    Console().print(ready.table())
    if ready.settings.find_limit:
        for name, limit in ready.limits().items():
            print(f"{name}: {limit.words}")
    files = ready.report()
    print("written:", ", ".join(map(str, files)))
    if ready.interrupted:
        print(f"interrupted: {ready.pending} runs are left; run the same command to resume")
        raise typer.Exit(INTERRUPTED)
    if ready.pending:
        print(f"time is over: {ready.pending} runs are left; run the same command to resume")
    elif not any(run.done for run in ready.results.runs):
        raise ValueError("at least one run must have a result, got none: see the reasons above")


def _given(context: typer.Context) -> dict[str, Any]:
    """Return the settings among the options that were given, as values."""
    found: dict[str, Any] = {}
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        if name in ("data", "debug", "dry_run", "list_") or source is None:
            continue
        if source.name == "COMMANDLINE":
            found[name] = _value(name, value)
    return found


def _value(name: str, value: Any) -> Any:  # of an option
    if name == "keep":
        return tuple(share(name, word) for word in words(value))
    if name in ("methods", "without"):
        return tuple(words(value))
    if name in ("label_noise", "near_copies"):
        return share(name, value)
    if name in ("margin", "learning_rate", "imbalance"):
        return parse(float, name, value)
    if name in ("time_budget", "timeout"):
        return _seconds(name, value)
    integers = ("image_size", "seeds", "max_seeds", "evaluations", "first_seed", "epochs",
                "batch_size", "jobs", "limit")  # fmt: skip
    return parse(int, name, value) if name in integers else value


def _seconds(name: str, word: str) -> float:
    """Parse a time such as 90s, 30m or 2h."""
    digits = word.strip().rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = word.strip()[len(digits) :]
    if unit not in _UNITS:
        raise ValueError(f"{name} must be a time such as 90s, 30m or 2h, got {word!r}")
    return parse(float, name, digits) * _UNITS[unit]
