"""The table of verdicts in a terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from ..statistics import Evaluation, Verdict

MakeTable = Callable[[str, Sequence[str], Sequence[str]], Table]
_HEADINGS = ["keep", "method", "mean", "95 % interval", "needed", "verdict"]
_MORE = ["of all rows", "seeds"]
_WIDE = 100  # columns of a terminal


def comparison(found: Evaluation, unit: str, reason: str, make: MakeTable) -> Group:
    """Return the verdicts of an evaluation as a table, and what follows from them in words.

    found : the evaluation
    unit : unit of differences
    reason : why the margin is what it is
    make : makes an empty table of a title, headings and names of methods
    """
    rows = sorted(found.verdicts, key=lambda each: -each.keep)
    title = f"minus full, in {unit}; non-inferior: not more than {found.margin:.3g} below"
    names = [each.name for each in rows]
    wide = _filled(make(title, [*_HEADINGS[:4], *_MORE, *_HEADINGS[4:]], names), rows, wide=True)
    narrow = _filled(make(title, _HEADINGS, names), rows, wide=False)
    lines = [f"Margin: {reason}.", *_words(found)]
    return Group(_Fitting(wide, narrow), *map(Text, lines))


class _Fitting:
    """A table as wide as the terminal allows.

    Parameters
    ----------
    wide, narrow : Table
        With all columns, and without those that only a wide terminal has room for.
    """

    def __init__(self, wide: Table, narrow: Table) -> None:
        self._wide = wide
        self._narrow = narrow

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._wide if options.max_width >= _WIDE else self._narrow


def _filled(grid: Table, rows: Sequence[Verdict], *, wide: bool) -> Table:
    for each in rows:
        more = [_interval(each.low_all, each.high_all, each), f"{each.seeds}"] if wide else []
        grid.add_row(
            f"{each.keep:g}",
            Text(each.name),
            f"{each.mean:+.2f}",
            _interval(each.low, each.high, each),
            *more,
            "-" if each.seeds_needed is None else f"{each.seeds_needed}",
            Text(each.words + (" *" if each.zero_excluded else "")),
        )
    return grid


def _interval(low: float, high: float, each: Verdict) -> str:
    if each.all_equal:
        return "all equal"
    if math.isnan(low):
        return "-"
    return f"{low:+.2f} {high:+.2f}"


def _words(found: Evaluation) -> list[str]:
    """Return what the evaluation is, and the notes of its rows, as sentences."""
    if not found.number:
        lines = ["Up to three seeds are a pilot: no verdicts."]
    else:
        lines = [
            f"Evaluation {found.number} of these runs, at a one-sided level of {found.spent:.2g} "
            "over all rows (Holm). The intervals of all rows hold together."
        ]
        if any(each.zero_excluded for each in found.verdicts):
            lines.append("* the interval that holds for all rows together excludes 0.")
        if any(each.on_test_set for each in found.verdicts):
            lines.append("On this test set: the decision does not extend to new test samples.")
    if found.plan is not None and found.plan.reason:
        lines.append(f"Seeds: {found.plan.reason}.")
    if found.number:  # in a pilot all would say the same
        lines += [
            f"{each.name} at keep {each.keep:g}: {each.note}"
            for each in found.verdicts
            if each.note
        ]
    return lines
