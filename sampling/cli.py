"""The command line: parse, call, print. Packages are loaded by the command that needs them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

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


@app.command()
def select(  # noqa: PLR0913  # one parameter for each option
    method: Annotated[str, typer.Argument(help="One of `sampling methods`.")],
    table: Annotated[
        Path, typer.Argument(help=".npy, .parquet or .safetensors, or a folder of Parquet shards.")
    ],
    budget: Annotated[
        str | None, typer.Option(help="How many to keep: a count, or a fraction such as 0.1.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The subset file.")] = Path("subset.parquet"),
    columns: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="NAME=COLUMN", help="A column for an argument; repeat."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Another argument; repeat."),
    ] = None,
    embeddings: Annotated[
        str | None, typer.Option(help="Column or tensor with the embeddings.")
    ] = None,
    beside: Annotated[
        list[Path] | None, typer.Option(help="Parquet with more columns of the rows; repeat.")
    ] = None,
    seed: Annotated[str, typer.Option(metavar="INT", help="Of every random decision.")] = "0",
    dropped: Annotated[
        bool, typer.Option("--dropped", help="Write the dropped rows too, for inspect --explain.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Choose rows of a table, and write them to a Parquet file.

    sampling select top corpus.parquet --budget 0.1 --with scores=quality --with ids=url

    sampling select semdedup rows.npy --set threshold=0.95 --beside corpus.parquet --with
    quality=score
    """
    from . import io, selection

    try:
        given = {name: _value(text) for name, text in _pairs("--set", settings)}
        found = selection.select_from(
            io.open_table(table, embeddings=embeddings, beside=beside or ()),
            method,
            None if budget is None else _budget(budget),
            columns=dict(_pairs("--with", columns)),
            settings={**given, "seed": _parse(int, "seed", seed)},
        )
        io.save_selection(found, out, dropped=dropped)
    except (ValueError, TypeError, OSError) as error:
        if debug:
            raise
        _refuse(str(error))
    if as_json:
        print(json.dumps({**found.summary(), "arguments": found.arguments, "info": found.info}))
        return
    print(f"{method} kept {len(found):,} of {found.size:,} rows in {found.info['seconds']:.1f} s")
    for rule, count in found.summary()["rules"].items():
        print(f"{count:>12,}  {rule}")
    print("written:", out)


@app.command()
def methods() -> None:
    """List the selectors: what each needs, whether to use it, what it costs."""
    from rich.console import Console
    from rich.table import Table

    from . import selection

    grid = Table("method", "needs", "label", "head", "time", "memory", "weights", box=None)
    for entry in selection.methods().values():
        ranked = "yes" if entry.ranked else ""
        grid.add_row(
            entry.name, entry.needs, entry.label, ranked, entry.time, entry.memory, entry.weights
        )
    Console(width=140).print(grid)


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="A subset file.")],
    explain: Annotated[
        str | None, typer.Option(metavar="ROW", help="Why this row was kept or dropped.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Say what a subset file holds, and why."""
    from . import io

    try:
        found = io.load_selection(path)
        if explain is not None:
            why = found.explain(_parse(int, "explain", explain))
            print(json.dumps(asdict(why)))
            return
    except (ValueError, OSError) as error:
        if debug:
            raise
        _refuse(str(error))
    print(json.dumps({"method": found.method, **found.summary(), "arguments": found.arguments}))


def _pairs(option: str, words: list[str] | None) -> list[tuple[str, str]]:
    """Read NAME=VALUE pairs."""
    pairs = [word.partition("=") for word in words or []]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise ValueError(f"{option} must be NAME=VALUE, got {name + equals + value!r}")
    return [(name, value) for name, _, value in pairs]


def _value(text: str) -> Any:  # noqa: ANN401  # any JSON value
    """Read a value as JSON; what is none is a word."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _budget(text: str) -> float:
    """Read a count, or a fraction where there is a point."""
    if any(each in text for each in ".e"):
        return _parse(float, "budget", text)
    return _parse(int, "budget", text)


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
    options |= {"budget", "seed", "embeddings", "beside", "explain"}
    if name in options:
        message = f"--{name.replace('_', '-')} {rest}"
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(_FAILED)
