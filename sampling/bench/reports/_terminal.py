"""Report of the runs: a table, and plots of accuracy against realised cost."""

import io
import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..._check._keywords import told
from ..._files._paths import Kind, Output, written_whole
from ..._optional import require
from ..methods._method import PLAIN
from ..methods._registry import METHODS
from ..results._run import Run
from ..results._store import Results, check_results
from ..results._verdicts import REFERENCE, margin_of, verdicts
from ..statistics import Evaluation
from ._comparison import comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PRUNING_PLOT = "pruning.png"
BALANCE_PLOT = "balance.png"
# Okabe and Ito's colours, distinguishable for the colour-blind; markers make print so too.
_LOOKS = [
    ("#0072B2", "o"),
    ("#E69F00", "s"),
    ("#009E73", "^"),
    ("#CC79A7", "v"),
    ("#D55E00", "D"),
    ("#000000", "*"),
    ("#56B4E9", "P"),
    ("#8C6D31", "X"),
]
_LEVELS = """
Level that a training script of your own, run with --command, must have for a method:
  draws      two lines: sampler = sampling.bench.sampler(dataset, labels=..., embeddings=...) in
             the loader, and sampling.bench.report(accuracy=..., correct=...) at the end. On several
             ranks the framework or the script calls set_epoch.
  losses     the dataset in sampling.Indexed, and sampler.reduce(losses, indices) as loss.
  schedule   sampling.bench.num_epochs(30) epochs, and a schedule that follows from them or from
             sampler.progress; also for equal steps and equal total cost.
  own loop   no script: forward passes or a loss of its own, so give data and model instead."""
_SPREAD = 0.018
_WIDEST = 24  # letters of a method's name that fit in a terminal of 80 columns
_SOURCE = "sampling bench"  # stored under "Source" in the text of a PNG file


def _is_plot(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return f"Source\0{_SOURCE}".encode() in file.read(2**12)
    except OSError:
        return False


_PLOT = Kind("a plot of `sampling bench`", "PNG", _is_plot)


def plot_outputs(folder: Path) -> list[Output]:
    """Return the files that `write_report` may write, for `check_outputs`."""
    return [(folder / PRUNING_PLOT, _PLOT), (folder / BALANCE_PLOT, _PLOT)]


@dataclass(frozen=True)
class Row:
    """All runs of one method at one target.

    Parameters
    ----------
    method : str
        Name of the method.
    keep : float
        The requested keep fraction.
    done : list of Run
        The runs with a result.
    reasons, states : list of str
        Reasons why the others have none, and their states.
    """

    method: str
    keep: float
    done: list[Run]
    reasons: list[str]
    states: list[str]

    @property
    def state(self) -> str:
        """State of the runs without a result."""
        return self.states[0] if self.states else ""

    def values(self, name: str) -> list[float]:
        """Return a field, a further metric, or the seconds of all phases, of the completed runs."""
        if name == "seconds":
            return [_spent(run) for run in self.done]
        return [
            run.metrics[name] if name in run.metrics else getattr(run, name) for run in self.done
        ]

    def mean(self, name: str) -> float:
        """Return the mean of a field over the completed runs."""
        return statistics.fmean(self.values(name))

    def deviation(self, name: str) -> float:
        """Return the standard deviation of a field (n - 1); NaN for a single run."""
        values = self.values(name)
        return statistics.stdev(values) if len(values) > 1 else math.nan


def _spent(run: Run) -> float:
    """Return the seconds of a run without those of its evaluations and of its start."""
    apart = ("evaluating", "starting")
    return sum(spent for phase, spent in run.seconds.items() if phase not in apart)


def rows(results: Results) -> list[Row]:
    """Group the runs: the full cost first, then descending targets, methods in their order."""
    places = {name: place for place, name in enumerate(_names(results))}
    groups: dict[tuple[float, str], list[Run]] = {}
    for run in sorted(results.runs, key=lambda run: (-run.keep, places[run.method])):
        groups.setdefault((run.keep, run.method), []).append(run)
    return [
        Row(
            method,
            keep,
            [run for run in runs if run.done],
            [run.reason for run in runs if not run.done],
            [run.state for run in runs if not run.done],
        )
        for (keep, method), runs in groups.items()
    ]


def _names(results: Results) -> list[str]:
    """Return the methods: those of the benchmark, then any others in the order of their runs."""
    return list(dict.fromkeys([*METHODS, *(run.method for run in results.runs)]))


@told
def table(
    results: Results,
    margin: float | None = None,
    *,
    evaluation: Evaluation | None = None,
    methods: Collection[str] | None = None,
) -> Group:
    """Return the terminal output: the table, verdicts, reasons of empty rows, and notes.

    Parameters
    ----------
    results : Results
        Complete or not. Methods may be any, including the caller's and those of earlier versions.
    margin : float > 0, optional
        Points of the test metric below full data that still count as equal; see `verdicts`.
    evaluation : Evaluation, optional
        The verdicts, if they are known; by default those of `verdicts(results, margin)`.
    methods : collection of str, optional
        Methods to show; by default all.

    Returns
    -------
    rich.console.Group
        To be passed to the `print` of a rich console.

    Raises
    ------
    ValueError, TypeError
        If `results` is no `Results`, or holds two runs of one method, keep fraction and seed.

    Examples
    --------
    A method of your own next to those of the benchmark: train it with the same data and seeds, and
    add each of its runs to the results.

    >>> from dataclasses import replace
    >>> from sampling import bench
    >>> full = [bench.Run("full", 1.0, seed, 1.0, test=0.9) for seed in range(3)]
    >>> results = bench.Results({"dataset": "digits"}, "accuracy", runs=full)  # or those of `run`
    >>> tests = [0.89, 0.88, 0.90]  # of seeds 0, 1 and 2, half of the data kept
    >>> mine = [bench.Run("mine", 0.5, seed, 0.5, test=test) for seed, test in enumerate(tests)]
    >>> results = replace(results, runs=[*results.runs, *mine])
    >>> shown = bench.table(results)  # rich.print(shown)
    """
    check_results(results)
    third = _third_column(results)
    factor = results.about.get("factor", 100.0)
    unit = " (%)" if factor == 100 else ""  # noqa: PLR2004
    grid = _new_table(
        _title(results),
        ["keep", "method", f"test {results.metric}{unit}", third, "cost", "seconds", "runs"],
        [run.method for run in results.runs],
    )
    last, reasons = math.nan, []
    for row in rows(results):
        if methods is not None and row.method not in methods:
            continue
        if row.keep != last and not math.isnan(last):
            grid.add_section()
        last = row.keep
        grid.add_row(*_cells(row, third, factor))
        if row.reasons:
            reasons.append(f"{row.method} at keep {row.keep:g}: {row.reasons[0]}")
    compared = _compared(results, margin, evaluation, methods)
    # As `Text`, so that brackets in a message are not parsed as markup.
    return Group(grid, *compared, *map(Text, [*reasons, *results.notes]))


def _compared(
    results: Results,
    margin: float | None,
    evaluation: Evaluation | None,
    methods: Collection[str] | None,
) -> list[Group]:
    """Return the verdicts to show, if there is full data to compare with."""
    if not any(run.method == REFERENCE and run.done for run in results.runs):
        return []
    found = verdicts(results, margin) if evaluation is None else evaluation
    if methods is not None:
        shown = tuple(each for each in found.verdicts if each.name in methods)
        found = replace(found, verdicts=shown)
    if not found.verdicts:
        return []
    reason = "as given" if margin is not None else margin_of(results).reason
    unit = "points" if results.about.get("factor", 100.0) == 100 else results.metric  # noqa: PLR2004
    return [comparison(found, unit, reason, _new_table)]


def _title(results: Results) -> str:
    identity = results.identity
    parts = [f"{identity.get('dataset', 'own data')}{_data_of(results)}"]
    for name, words in (("epochs", "{} epochs"), ("batch_size", "batches of {}")):
        if identity.get(name) is not None:
            parts.append(words.format(identity[name]))
    return ", ".join(parts)


def _new_table(
    title: str, headings: Sequence[str], methods: Sequence[str] = (), widest: int = _WIDEST
) -> Table:
    grid = Table(title=Text(title), box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    fits = max(map(len, methods), default=0) <= widest
    for heading in headings:
        folds = heading.startswith(("test", "worst", "verdict"))
        folds = folds or (heading == "method" and not fits)
        grid.add_column(
            heading,
            justify="left" if heading in ("method", "verdict") else "right",
            no_wrap=not folds,
            overflow="fold" if folds else "ellipsis",
        )
    return grid


def _third_column(results: Results) -> str:
    """Return the heading of the column next to the metric, which depends on data and methods."""
    done = [run for run in results.runs if run.done]
    if _is_hard(results) and all("worst class" in run.metrics for run in done):
        return "worst class (%)"
    return "total cost"


def _is_hard(results: Results) -> bool:
    """Return whether the data have a long tail or wrong labels."""
    return bool(results.identity.get("imbalance") or results.identity.get("label_noise"))


def _data_of(results: Results) -> str:
    imbalance, noise = (results.identity.get(name) for name in ("imbalance", "label_noise"))
    tail = f", long tail 1:{imbalance:g}" if imbalance else ""
    return tail + (f", {noise:.0%} of labels wrong" if noise else "")


def _cells(row: Row, third: str, factor: float) -> list[str | Text]:
    """Return a row of the table; "-" for values that custom runs do not provide."""
    head: list[str | Text] = [f"{row.keep:g}", Text(row.method)]
    if not row.done:
        return [*head, row.state, "-", "-", "-", f"0/{len(row.reasons)}"]
    counted = all(run.draws for run in row.done)
    beside = f"{row.mean('draws'):,.0f}" if counted else "-"
    if third == "total cost":
        beside = f"{row.mean('total_cost'):.3f}" if all(row.values("total_cost")) else "-"
    elif third != "samples":
        beside = _percent(row, "worst class", 100.0)
    runs = f"{len(row.done)}/{len(row.done) + len(row.reasons)}"
    cost, seconds = (
        form.format(row.mean(name)) if all(row.values(name)) else "-"
        for name, form in (("cost", "{:.3f}"), ("seconds", "{:.1f}"))
    )
    return [*head, _percent(row, "test", factor), beside, cost, seconds, runs]


def _percent(row: Row, name: str, factor: float) -> str:
    mean, deviation = factor * row.mean(name), factor * row.deviation(name)
    return f"{mean:.2f}" if math.isnan(deviation) else f"{mean:.2f} ± {deviation:.2f}"


@told
def method_table() -> Table:
    """Return the output of `sampling bench --list`: every method, and where it runs by default."""
    grid = Table(
        "method", "at", "level", "by default on", "what it does", box=None, pad_edge=False,
        caption=_LEVELS, caption_justify="left",
    )  # fmt: skip
    for name, method in METHODS.items():
        at = "each keep" if method.swept else "full cost"
        grid.add_row(name, at, method.level, ", ".join(method.default_on), method.help)
    return grid


@told
def write_report(results: Results, folder: Path) -> list[Path]:
    """Write the plots of the results into a folder.

    `pruning.png` shows the methods that run at several keep fractions, `balance.png` those for long
    tails and wrong labels. Each is written only if it has a completed run to show. A method that is
    not one of the benchmark is in the second if its data have a long tail or wrong labels and its
    target is the full cost, else in the first.

    Parameters
    ----------
    results : Results
        Complete or not.
    folder : Path
        Output folder, created if it does not exist. Existing plots of `write_report` are replaced,
        and no other file.

    Returns
    -------
    list of Path
        The files written, each atomically.

    Raises
    ------
    ValueError
        If another file has the name of a plot.
    """
    check_results(results)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    found = [row for row in rows(results) if row.done]
    swept = [row for row in found if _is_swept(row, results)]
    tail = [row for row in found if _is_balanced(row, results)]
    written = []
    if swept:
        full = next((row for row in found if row.method == REFERENCE), None)
        figure = _new_figure()
        _draw_pruning(figure.add_subplot(), results, swept, full)
        written.append(_write_figure(figure, folder / PRUNING_PLOT))
    if tail:
        figure = _new_figure()
        _draw_balance(figure.add_subplot(), results, tail)
        written.append(_write_figure(figure, folder / BALANCE_PLOT))
    return written


def _is_swept(row: Row, results: Results) -> bool:
    method = METHODS.get(row.method)
    return not _is_balanced(row, results) if method is None else method.swept


def _is_balanced(row: Row, results: Results) -> bool:
    method = METHODS.get(row.method)
    if method is None:
        return _is_hard(results) and row.keep >= 1.0
    return PLAIN not in method.default_on and not method.swept and row.method != "full"


def _plain(name: str) -> str:
    """Return a name as a plot shows it literally: no formula, and not hidden."""
    shown = name.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def _new_figure() -> "Figure":
    # A figure without pyplot: no backend is chosen and no global state is changed.
    module = require("matplotlib.figure", "bench", "the plot of `sampling bench`")
    figure: Figure = module.Figure(figsize=(8, 5), dpi=150, layout="constrained")
    return figure


def _write_figure(figure: "Figure", path: Path) -> Path:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Source": _SOURCE})
    with written_whole(path, _PLOT) as beside:
        beside.write_bytes(buffer.getvalue())
    return path


def _draw_pruning(axes: "Axes", results: Results, swept: list[Row], full: Row | None) -> None:
    if full is not None:
        mean, deviation = 100 * full.mean("test"), 100 * full.deviation("test")
        band = "" if math.isnan(deviation) else " ± deviation"
        label = f"{_plain(full.method)} (cost 1){band}"
        axes.axhline(mean, color="0.35", linewidth=1, linestyle="--", label=label, zorder=1)
        if not math.isnan(deviation):
            axes.axhspan(mean - deviation, mean + deviation, color="0.88", zorder=0)
    methods = [name for name in _names(results) if any(row.method == name for row in swept)]
    for place, name in enumerate(methods):
        series = sorted((row for row in swept if row.method == name), key=lambda row: row.keep)
        shift = _SPREAD * (2 * place / max(len(methods) - 1, 1) - 1) if len(methods) > 1 else 0.0
        color, marker = _look(place)
        axes.errorbar(
            [row.mean("cost") + shift for row in series],
            [100 * row.mean("test") for row in series],
            yerr=_bars(series),
            color=color,
            marker=marker,
            linewidth=1,
            markersize=6,
            capsize=2,
            label=_plain(name) + _absent(results, name),
        )
    axes.set_xlabel(
        "cost: realised samples / (N x epochs)\n"
        f"(points are shifted horizontally by up to {_SPREAD:g}, to be distinguishable)"
    )
    _label(axes, results, swept, "y")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _look(place: int) -> tuple[str, str]:
    """Return the colour and marker of a position in the legend, distinct for the first 64."""
    turn, color = divmod(place, len(_LOOKS))
    return _LOOKS[color][0], _LOOKS[(color + turn) % len(_LOOKS)][1]


def _absent(results: Results, method: str) -> str:
    targets = {run.keep for run in results.runs if run.method == method and not run.done}
    return f" (not at {', '.join(f'{t:g}' for t in sorted(targets))})" if targets else ""


def _draw_balance(axes: "Axes", results: Results, tail: list[Row]) -> None:
    names = [_plain(row.method) for row in tail]
    for place, row in enumerate(tail):
        axes.errorbar(
            [100 * row.mean("test")],
            [place],
            xerr=_bars([row]),
            color=_look(place)[0],
            marker="o",
            capsize=3,
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    _label(axes, results, tail, "x")


def _bars(series: Sequence[Row]) -> list[float] | None:
    """Return deviations in percent; None if any method ran only once, so that no bar shows 0."""
    bars = [100 * row.deviation("test") for row in series]
    return None if any(map(math.isnan, bars)) else bars


def _label(axes: "Axes", results: Results, shown: list[Row], direction: str) -> None:
    identity = results.identity
    counts = sorted({len(row.done) for row in shown})
    seeds = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    bars = "one run each" if counts == [1] else f"mean ± deviation over {seeds} seeds"
    text = _plain(f"test {results.metric} (%), axis not from 0")
    axes.set(**{f"{direction}label": text})
    name = _plain(f"{identity.get('dataset', 'own data')}{_data_of(results)}")
    epochs = f"{identity['epochs']} epochs at full cost, " if identity.get("epochs") else ""
    axes.set_title(f"{name}: {epochs}{bars}", fontsize=10)
    axes.grid(axis="both", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
