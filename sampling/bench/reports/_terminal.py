"""Report of the runs on the terminal: a table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ... import _check
from ..._check._keywords import told
from ..methods._named import all_methods
from ..methods._registry import METHODS
from ..results._run import Run, seconds_of
from ..results._store import Results, check_results
from ..results._verdicts import REFERENCE, margin_of, verdicts
from ..statistics import Evaluation
from ._comparison import comparison

_LEVELS = """
Level that a training script of your own, run with --command, must have for a method:
  draws      two lines: sampler = sampling.bench.sampler(dataset, labels=..., embeddings=...) in
             the loader, and sampling.bench.report(accuracy=..., correct=...) at the end. On several
             ranks the framework or the script calls set_epoch.
  losses     the dataset in sampling.Indexed, and sampler.reduce(losses, indices) as loss.
  schedule   sampling.bench.num_epochs(30) epochs, and a schedule that follows from them or from
             sampler.progress; also for equal steps and equal total cost.
  own loop   no script: forward passes or a loss of its own, so give data and model instead."""
_WIDEST = 24  # letters of a method's name that fit in a terminal of 80 columns


@dataclass(frozen=True)
class Row:
    """All runs of one method at one keep fraction.

    Parameters
    ----------
    method : str
        Name of the method.
    keep : float
        The requested keep fraction.
    done, others : list of Run
        The runs with a result, and those without, by seed.
    sample_seconds : float, default 0.0
        Seconds of a training step per sample, by the calibration.
    """

    method: str
    keep: float
    done: list[Run]
    others: list[Run]
    sample_seconds: float = 0.0

    def values(self, name: str) -> list[float]:
        """Return a field, a further metric, or the seconds, of the completed runs."""
        if name == "seconds":
            return [seconds_of(run, self.sample_seconds) for run in self.done]
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


def rows(results: Results) -> list[Row]:
    """Group the runs: the full cost first, then descending targets, methods in their order."""
    places = {name: place for place, name in enumerate(_names(results))}
    groups: dict[tuple[float, str], list[Run]] = {}
    for run in sorted(results.runs, key=lambda run: (-run.keep, places[run.method], run.seed)):
        groups.setdefault((run.keep, run.method), []).append(run)
    return [
        Row(
            method,
            keep,
            [run for run in runs if run.done],
            [run for run in runs if not run.done],
            results.calibration.get("sample_seconds", 0.0),
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
    compare: bool = True,
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
    compare : bool, default True
        Whether rows are compared with full data.

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
        if row.others:
            reasons.append(f"{row.method} at keep {row.keep:g}: {row.others[0].reason}")
    compared = []
    if _check.flag("compare", compare):
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


def _new_table(title: str, headings: Sequence[str], methods: Sequence[str] = ()) -> Table:
    grid = Table(title=Text(title), box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    fits = max(map(len, methods), default=0) <= _WIDEST
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
        return [*head, row.others[0].state, "-", "-", "-", f"0/{len(row.others)}"]
    if third == "total cost":
        second = f"{row.mean('total_cost'):.3f}" if all(row.values("total_cost")) else "-"
    else:
        second = _percent(row, "worst class", 100.0)
    runs = f"{len(row.done)}/{len(row.done) + len(row.others)}"
    cost, seconds = (
        form.format(row.mean(name)) if all(row.values(name)) else "-"
        for name, form in (("cost", "{:.3f}"), ("seconds", "{:.1f}"))
    )
    return [*head, _percent(row, "test", factor), second, cost, seconds, runs]


def _percent(row: Row, name: str, factor: float) -> str:
    mean, deviation = factor * row.mean(name), factor * row.deviation(name)
    return f"{mean:.2f}" if math.isnan(deviation) else f"{mean:.2f} ± {deviation:.2f}"


@told
def method_table() -> Table:
    """Return the output of `sampling bench --list`: every method, and what it requires."""
    grid = Table(
        "method", "level", "needs", "what it does", box=None, pad_edge=False,
        caption=_LEVELS, caption_justify="left",
    )  # fmt: skip
    last = ""
    for name, group, level, needs, does in all_methods():
        if last and group != last:
            grid.add_section()
        last = group
        grid.add_row(Text(name), level, ", ".join(needs), Text(does))
    return grid
