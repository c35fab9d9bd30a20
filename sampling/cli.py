"""The command line: parse, call, print. Packages are loaded by the command that needs them."""

from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer

from . import __version__

Number = TypeVar("Number", int, float)

app = typer.Typer(
    help="Which samples to use, how often, in what order and with what weight.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_FAILED = 2
_INTERRUPTED = 130


def main() -> None:
    """Run the command line."""
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"sampling {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show version.")
    ] = False,
) -> None:
    """Which samples to use, how often, in what order and with what weight."""


@app.command()
def bench(  # noqa: PLR0913  # one parameter for each option
    dataset: Annotated[str, typer.Argument(help="digits or fashion-mnist.")] = "digits",
    keep: Annotated[str, typer.Option(help="Keep fractions, with commas.")] = "0.3,0.5,0.7",
    methods: Annotated[
        str | None, typer.Option(help="Methods, with commas; all that suit the data by default.")
    ] = None,
    seeds: Annotated[
        str, typer.Option(metavar="INT", help="Runs of each method and keep fraction.")
    ] = "3",
    epochs: Annotated[
        str | None,
        typer.Option(metavar="INT", help="Epochs at full cost; 20 digits, 10 fashion-mnist."),
    ] = None,
    batch_size: Annotated[
        str | None,
        typer.Option(metavar="INT", help="Samples in a batch; 64 digits, 128 fashion-mnist."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results; runs/<dataset> by default.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    imbalance: Annotated[
        str | None,
        typer.Option(metavar="FLOAT", help="Long-tailed training: largest to smallest class."),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder with the files of fashion-mnist.")
    ] = None,
) -> None:
    """Train real models: which sampler, at which cost, keeps how much accuracy.

    A second call with the same --out goes on where the first one stopped.
    """
    from rich.console import Console

    from . import bench as benchmark
    from .errors import MissingExtraError

    try:
        ready = benchmark.prepare(
            benchmark.Settings(
                dataset,
                keep=tuple(_parse(float, "keep", word) for word in _words(keep)),
                methods=None if methods is None else tuple(_words(methods)),
                seeds=_parse(int, "seeds", seeds),
                epochs=None if epochs is None else _parse(int, "epochs", epochs),
                batch_size=None if batch_size is None else _parse(int, "batch_size", batch_size),
                out=out,
                device=device,
                imbalance=None if imbalance is None else _parse(float, "imbalance", imbalance),
                data_dir=data_dir,
            )
        )
    except (ValueError, TypeError, OSError, MissingExtraError) as error:
        _refuse(str(error))
    results = ready.run()
    files = benchmark.write_report(results, ready.folder)
    Console().print(benchmark.table(results))
    print("written:", ", ".join(map(str, [ready.folder / "results.json", *files])))
    if ready.interrupted:
        print(f"interrupted: {ready.pending} runs are left; the same command goes on with them")
        raise typer.Exit(_INTERRUPTED)


@app.command()
def contracts(
    samplers: Annotated[
        str | None, typer.Option(help="Names, with commas; all of the package by default.")
    ] = None,
    loaders: Annotated[
        str | None,
        typer.Option(
            help="Of DataLoader, StatefulDataLoader, Lightning, accelerate, HF Trainer; all."
        ),
    ] = None,
    workers: Annotated[str, typer.Option(help="Numbers of loader workers, with commas.")] = "0,2",
    ranks: Annotated[str, typer.Option(help="Numbers of processes: 1, 2 or both.")] = "1,2",
    out: Annotated[Path | None, typer.Option(help="File for the cells, as JSON.")] = None,
) -> None:
    """Stop and resume every sampler in every loader, and compare with unbroken runs.

    Needs the extras stateful, lightning and hf. Exit code 1 if a cell fails.
    """
    from tqdm import tqdm

    from . import testing
    from .errors import MissingExtraError

    try:
        cells = testing.cells(
            *(None if names is None else _words(names) for names in (samplers, loaders)),
            workers=[_parse(int, "workers", word) for word in _words(workers)],
            ranks=[_parse(int, "ranks", word) for word in _words(ranks)],
        )
        with tqdm(total=len(cells), disable=None, unit=" runs") as bar:
            found = testing.run_cells(cells, bar.update)
    except (ValueError, MissingExtraError) as error:
        _refuse(str(error))
    print(testing.matrix_table(found))
    if out is not None:
        testing.write_matrix(found, out)
    failed = {case: text for case, text in found.items() if text}
    for case, text in failed.items():
        print(f"{case}: {text}")
    if failed:
        raise typer.Exit(1)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _parse(kind: type[Number], name: str, word: str) -> Number:
    """Read a number; typer's own message would leave out the value that it refuses."""
    try:
        return kind(word)
    except ValueError:
        rule = "an int" if kind is int else "a number"
        raise ValueError(f"{name} must be {rule}, got {word!r}") from None


def _refuse(message: str) -> NoReturn:
    """Say on one line what is wrong, with the argument's name spelt as the option, and stop."""
    name, _, rest = message.partition(" ")
    options = {"keep", "methods", "seeds", "epochs", "batch_size", "out", "device", "imbalance"}
    if name in options:
        message = f"--{name.replace('_', '-')} {rest}"
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(_FAILED)
