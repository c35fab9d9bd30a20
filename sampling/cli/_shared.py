"""Shared parts of the commands: the app, parsing of options, and error reports."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeAlias, TypeVar, get_args

import typer

from .._files._json import json_text
from .._interrupt import INTERRUPTED, end_quietly
from .._version import __version__
from ..errors import MissingExtraError, StateError

if TYPE_CHECKING:
    from .._files._paths import Output
    from ..io import Table
    from ..types import Progress

Number = TypeVar("Number", int, float)

FAILED = 1
REFUSED = 2

_POINT = re.compile(r"[+-]?([0-9]+\.|\.[0-9]+)")  # numbers that JSON writes otherwise
_WIDTH = 72  # characters of a text that are shown

Debug: TypeAlias = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object.")
]
Tables: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="Files of one table (.parquet, .arrow, .npy, .npz, .safetensors, .jsonl, .csv), "
        "folders, patterns in quotes such as 'corpus/lang=*/*.parquet', a folder of "
        "datasets.save_to_disk, or addresses such as s3://bucket/corpus; in row order. .npz, "
        ".jsonl and .csv are held in memory.",
    ),
]
Beside: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(help="Table with more columns of the same rows, as INPUT; may be repeated."),
]
Within: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="SUBSET",
        help="Subset file of this table: only these rows are used. Row numbers stay those of the "
        "table.",
    ),
]
Ids: TypeAlias = Annotated[
    str | None, typer.Option(help="Column of the names of the rows, for --id of explain.")
]
Digest: TypeAlias = Annotated[
    bool, typer.Option(help="Record the SHA-256 of each file, to detect changes.")
]
Dropped: TypeAlias = Annotated[
    bool,
    typer.Option("--dropped", help="Also write the dropped rows, as explain needs them."),
]
Subset: TypeAlias = Annotated[Path, typer.Option("--out", help="Path of the subset file to write.")]
Clusters: TypeAlias = Annotated[
    Path | None, typer.Option(help="File of the clusters of these rows, from `sampling cluster`.")
]
Embeddings: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Column or tensor of the embeddings; a pattern such as 'x*' selects the columns of "
        "numbers that match, x2 before x10."
    ),
]
Scratch: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Folder for a copy of Parquet embeddings, to avoid reading them into memory."
    ),
]
Quality: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Column of the quality: of copies, the one with the highest value is kept; with "
        "COLUMN:drop, the lowest."
    ),
]
Classes: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Column of classes: rows of different classes are never copies."),
]
Shown: TypeAlias = Annotated[str, typer.Option(metavar="INT", help="Number of examples to show.")]
Text: TypeAlias = Annotated[
    str | None, typer.Option(help="Column of the texts to show in examples.")
]
EngineName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="local|ray",
        help="Where the rows are processed: in this process, or by the workers of a Ray cluster, "
        "which read the files themselves. The result is the same.",
    ),
]
Address: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT|auto",
        help="Address of the Ray cluster; auto for the one that runs on this machine; by default "
        "that in RAY_ADDRESS, or workers on this machine.",
    ),
]
Seed: TypeAlias = Annotated[str, typer.Option(metavar="INT", help="Seed of every random decision.")]

app = typer.Typer(
    help="Which samples to use, how often, in what order and with what weight.",
    epilog="Exit codes: 0 success; 1 negative result (a contract is broken, a table has changed); "
    "2 error, with a one-line message; 130 interrupted. An interrupted or refused command "
    "leaves the old file, or none. No command overwrites a file that it reads, or a file of "
    "a kind other than it writes: that is refused before the computation.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"sampling {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Which samples to use, how often, in what order and with what weight."""


@contextmanager
def refusals(debug: bool, context: typer.Context | None = None, **renamed: str) -> Iterator[None]:
    """Report an error of the block on one line, with exit code 2; Ctrl-C exits with code 130.

    Warnings of the block are a line each. The options --engine and --address of the command apply
    to it.

    context : of the command, whose options a message names as the user writes them
    renamed : name of the command's parameter for arguments of functions that have another name
    """
    try:
        if context is not None:
            _refuse_dash(context)
        with warned(), _engine_of(context):
            yield
    except KeyboardInterrupt:
        if not debug:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None
        raise
    except BrokenPipeError:
        end_quietly()
    except (ValueError, TypeError, OSError, MissingExtraError, StateError) as error:
        if not debug:
            _refuse(str(error), context, renamed)
        raise
    except typer.Exit:
        raise
    except Exception as error:  # a bug of this package: still one line
        if not debug:
            found = type(error).__name__
            _refuse(f"unexpected {found}: {error} (--debug shows the traceback)", context, renamed)
        raise


def _engine_of(context: typer.Context | None) -> AbstractContextManager[Any]:
    """Return a context in which the engine of the command's options is used, if it has any."""
    given = {} if context is None else context.params
    name, address = given.get("engine"), given.get("address")
    if name is None and address is None:
        return nullcontext()
    from .. import engine

    return engine.use(engine.named(name, address))


def _refuse_dash(context: typer.Context) -> None:
    """Refuse "-" for a file: it means the standard streams, which no command uses."""
    for name, given in context.params.items():
        several = name in {"table", "beside", "check", "source"} and isinstance(given, list)
        if Path("-") in (map(Path, given) if several else [given]):
            raise ValueError(
                f"{name} must be a file or a folder, got '-': no command reads standard input or "
                "writes its files to standard output"
            )


@contextmanager
def warned() -> Iterator[None]:
    """Print each warning of the block on one line of standard error."""

    def show(message: object, *_: object, **__: object) -> None:
        typer.echo(f"warning: {' '.join(str(message).split())}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = show  # restored at the end of the block
        yield


def _refuse(message: str, context: typer.Context | None, renamed: Mapping[str, str]) -> NoReturn:
    """Print an error on one line, with the argument named as its option, and exit."""
    name, _, rest = message.partition(" ")
    if context is not None:
        options = {each.name or "": each.opts[0] for each in context.command.params}
        shown = {each.name: _as_written(each) for each in context.command.params}
        options |= {argument: shown[own] for argument, own in renamed.items()}
        if options.get(name, name) != name:
            message = f"{options[name]} {rest}"
        message = _spelt(message, context.command.name or "", options)
    with suppress(BrokenPipeError):  # then there is no reader
        typer.echo(f"error: {' '.join(message.split())}", err=True)
    raise typer.Exit(REFUSED)


def _as_written(parameter: Any) -> str:  # of click
    """Return an option, or the word for an argument in the usage line."""
    if parameter.param_type_name == "option":
        return str(parameter.opts[0])
    return str(parameter.metavar or parameter.name).partition(",")[0].strip("[].").upper()


def _spelt(message: str, command: str, options: Mapping[str, str]) -> str:
    """Return a message whose remedies, such as on_bad='drop', are as the command's user writes."""

    def own(found: re.Match[str]) -> str:
        name, value = found[1], found[2] or "..."
        if found[3]:
            if command == "run":
                return f"{name} = true"
            return options.get(name, found[0])
        if command == "run":
            return f'{name} = "{value}"' if found[2] else f"{name} = [{value}]"
        if name in options:
            return f"{options[name]} {value}"
        return f"--set {name}={value}" if command == "select" and found[2] else found[0]

    return re.sub(r"\b([a-z_]+)=(?:'([a-z_]+)'|(True)|\[\.\.\.\])", own, message)


@contextmanager
def bars() -> Iterator[Progress]:
    """Yield a progress callback, which shows a bar, or lines, for each unit on standard error."""
    from .._progress import Steps

    shown: dict[str, Steps] = {}

    def step(done: int, total: int, unit: str) -> None:
        if unit not in shown:
            shown[unit] = Steps("reading" if unit == "B" else unit, total, unit=unit)
        shown[unit].update(done)

    try:
        yield step
    finally:
        for each in shown.values():
            each.close()


@contextmanager
def unfinished(out: Path, tables: list[str], *facts: Any) -> Iterator[None]:
    """Keep the unfinished work of the block next to its output, as `.OUT.part`.

    The same command resumes there after it was killed.

    facts : what determines the work in addition to the files of the tables
    """
    from .._checkpoint import checkpoint, key_of
    from ..io import stamps_of

    with checkpoint(out.with_name(f".{out.name}.part"), key_of(facts, stamps_of(tables))):
        yield


def answer(facts: dict[str, Any]) -> None:
    """Print one JSON object."""
    print(json_text(facts))


def check_subset(
    out: Path,
    dropped: bool,
    tables: list[str],
    clusters: Path | None,
    scratch: Path | None,
    within: Path | None = None,
) -> None:
    """Refuse, before the computation, an output path that is an input or another kind of file."""
    from .. import _check, io

    reads = io.paths_read(tables)
    if within is not None:
        _check.file(within, "a subset file")
        reads += [Path(path) for path, _ in io.selection_outputs(within, dropped=True)]
    if clusters is not None:
        from ..clustering import clustering_outputs

        reads += [Path(path) for path, _ in clustering_outputs(clusters)]
    outputs = io.selection_outputs(out, dropped=dropped)
    io.check_outputs(outputs, reads)
    check_scratch(scratch, reads, outputs)


def subset_of(within: Path | None, inputs: dict[str, Any]) -> Any:  # Selection, unloaded
    """Return the selection in a subset file; refuse one of another table.

    inputs : digests of this table, from `io.inputs_of`
    """
    from .. import io

    if within is None:
        return None
    found = io.load_selection(within)
    io.refuse_other(found, inputs)
    return found


def one_line(text: object) -> str:
    """Return a text on one line, cut to fit a terminal."""
    from .._report._images import shortened

    return shortened(str(text), _WIDTH)


def check_scratch(scratch: Path | None, reads: list[Path], outputs: list[Output]) -> None:
    """Refuse, before the computation, an invalid folder for copies, or one that is an output."""
    from .. import io

    if scratch is not None:
        io.check_folder(scratch, reads, outputs=outputs)


def embeddings_in(table: Table) -> Any:  # array (N, D), or rows on disk
    """Return the embeddings of a table; refuse a table without embeddings."""
    table.refuse_no_embeddings("this command")
    return table.embeddings


def refuse_given(context: typer.Context, names: Iterable[str], why: str) -> None:
    """Refuse options that would have no effect; `names` are names of parameters."""
    parameters = {each.name or "": each for each in context.command.params}
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise ValueError(f"{parameters[name].opts[0]} must be omitted {why}, got it")


def refuse_all_but(context: typer.Context, names: Iterable[str], why: str) -> None:
    """Refuse all options but those of these parameters."""
    parameters = {each.name or "" for each in context.command.params}
    refuse_given(context, sorted(parameters.difference(names)), why)


def pairs(option: str, given: list[str] | None) -> list[tuple[str, str]]:
    """Parse NAME=VALUE pairs."""
    found = [word.partition("=") for word in given or []]
    for name, equals, value in found:
        if not (name and equals and value):
            raise ValueError(f"{option} must be NAME=VALUE, got {name + equals + value!r}")
        if sum(name == other for other, _, _ in found) > 1:
            raise ValueError(f"{option} must name each argument once, got {name!r} again")
    return [(name, value) for name, _, value in found]


def json_value(text: str) -> Any:  # any JSON value
    """Parse a value as JSON, or a number such as .5; return other text as a str."""
    try:
        return json.loads(text)
    except ValueError:
        return float(text) if _POINT.fullmatch(text.strip()) else text


def budget_of(text: str | None) -> float | None:
    """Parse a count, or, with a point or a percent sign, a fraction."""
    if text is None:
        return None
    word = text.strip()
    if word.endswith("%"):
        return share("budget", word)
    try:
        digits = word.replace("_", "").lstrip("+-")
        number = int(word) if digits.isdigit() else float(word)
        if "e" in word.lower() and number > 1 and number == int(number):
            digits = str(int(number))
            raise ValueError
        if math.isfinite(number):
            return number
        raise ValueError
    except (ValueError, OverflowError):
        whole, _, rest = digits.partition(",")
        decimal = rest.isdigit() and len(rest) != 3  # a decimal comma
        digits = f"{whole}.{rest}" if decimal else digits.replace(",", "")
        hint = f": write {digits}" if digits.replace(".", "", 1).isdigit() else ""
        raise ValueError(
            f"budget must be a count such as 1000, or a fraction such as 0.1 or 10%, got {text!r}"
            f"{hint}"
        ) from None


def share(name: str, word: str) -> float:
    """Parse a fraction or a percentage."""
    word = word.strip()
    if not word.endswith("%"):
        return parse(float, name, word)
    from .. import _check

    return _check.percentage(name, word)


def words(text: str) -> list[str]:
    """Split comma-separated words."""
    return [word.strip() for word in text.split(",") if word.strip()]


def choices(function: Callable[..., Any], argument: str) -> tuple[str, ...]:
    """Return the words that an argument of a function may be, from its annotation, a `Literal`."""
    return get_args(signature(function, eval_str=True).parameters[argument].annotation)


def parse(kind: type[Number], name: str, word: str) -> Number:
    """Parse a number; typer's own message would not show the refused value."""
    try:
        return kind(word)
    except ValueError:
        rule = "an int" if kind is int else "a number"
        raise ValueError(f"{name} must be {rule}, got {word!r}") from None
