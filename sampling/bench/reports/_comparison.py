"""The table of verdicts in a terminal."""

import math
from collections.abc import Callable, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..statistics import Evaluation, Verdict

MakeTable = Callable[[str, Sequence[str], Sequence[str], int], Table]
_WIDEST = 12  # letters of a method's name that fit in a terminal of 80 columns


def comparison(found: Evaluation, unit: str, reason: str, make: MakeTable) -> Group:
    """Return the verdicts of an evaluation as a table, and what follows from them in words.

    found : the evaluation
    unit : unit of differences
    reason : why the margin is what it is
    make : makes an empty table of a title, headings and names of methods
    """
    rows = sorted(found.verdicts, key=lambda each: -each.keep)
    grid = make(
        f"minus full, in {unit}; non-inferior: not more than {found.margin:.3g} below",
        ["keep", "method", "mean", "95 % interval", "of all rows", "seeds", "needed", "verdict"],
        [each.name for each in rows],
        _WIDEST,
    )
    for each in rows:
        grid.add_row(
            f"{each.keep:g}",
            Text(each.name),
            f"{each.mean:+.2f}",
            _interval(each.low, each.high, each),
            _interval(each.low_all, each.high_all, each),
            f"{each.seeds}",
            "-" if each.seeds_needed is None else f"{each.seeds_needed}",
            Text(each.words + (", 0 excluded" if each.zero_excluded else "")),
        )
    lines = [f"Margin: {reason}.", *_words(found)]
    return Group(grid, *map(Text, lines))


def _interval(low: float, high: float, each: Verdict) -> str:
    if each.all_equal:
        return "all equal"
    if math.isnan(low):
        return "-"
    return f"{low:+.2f} {high:+.2f}"


def _words(found: Evaluation) -> list[str]:
    """Return what the evaluation is, and the notes of its rows, as sentences."""
    if not found.number:
        lines = ["A pilot of three seeds: no verdicts."]
    else:
        lines = [
            f"Evaluation {found.number} of these runs, at a one-sided level of {found.spent:.2g} "
            "over all rows (Holm). The interval of all rows holds for all of them together."
        ]
    if found.plan is not None and found.plan.reason:
        lines.append(f"Seeds: {found.plan.reason}.")
    lines += [
        f"{each.name} at keep {each.keep:g}: {each.note}" for each in found.verdicts if each.note
    ]
    return lines
