"""The results as CSV, for other programs, and as LaTeX, for papers."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from ..results._run import PHASES
from ._view import Entry, View

RUNS_START, TABLE_START = "method,keep,seed,budget,state", "method,keep,seeds,metric,mean"
LATEX_START = "% sampling bench"
_RUN = ("method", "keep", "seed", "budget", "state", "reason", "draws", "steps", "epochs", "cost",
        "scored", "piloted", "total_cost", "test")  # fmt: skip
_ROW = ("method", "keep", "seeds", "metric", "mean", "deviation", "cost", "total_cost", "seconds",
        "difference", "low", "high", "low_all", "high_all", "decision", "zero_excluded",
        "seeds_needed", "on_test_set", "margin", "note")  # fmt: skip
_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "_": r"\_", "%": r"\%", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", '"': r"\textquotedbl{}", "|": r"\textbar{}",
    "±": r"$\pm$",
}  # fmt: skip
_LATIN = 0x180  # characters below are in the fonts of every LaTeX


def runs_csv(view: View) -> str:
    """Return one line for each run: its fields, seconds, further metrics and settings."""
    runs = view.results.runs
    metrics = sorted({name for run in runs for name in run.metrics})
    settings = sorted({name for run in runs for name in run.setting})
    heads = [*_RUN, *(f"seconds_{phase}" for phase in PHASES), *metrics]
    heads += [f"setting_{name}" for name in settings]
    lines: list[Sequence[Any]] = [heads]
    for run in runs:
        fields = [getattr(run, name) for name in _RUN]
        lines.append(
            [
                *fields,
                *(run.seconds.get(phase, "") for phase in PHASES),
                *(run.metrics.get(name, "") for name in metrics),
                *(run.setting.get(name, "") for name in settings),
            ]
        )
    return _csv(lines)


def table_csv(view: View) -> str:
    """Return one line for each row of the table, with its verdict."""
    lines: list[Sequence[Any]] = [_ROW]
    for entry in view.entries:
        verdict = entry.verdict
        seconds = view.seconds(entry)
        lines.append(
            [
                entry.method,
                entry.keep,
                len(entry.runs),
                view.heading,
                *map(_blank, (entry.mean, entry.deviation, entry.cost, entry.total_cost)),
                _blank(seconds),
                *(
                    [""] * 10
                    if verdict is None
                    else [
                        *map(_blank, (verdict.mean, verdict.low, verdict.high)),
                        *map(_blank, (verdict.low_all, verdict.high_all)),
                        verdict.decision,
                        verdict.zero_excluded,
                        "" if verdict.seeds_needed is None else verdict.seeds_needed,
                        verdict.on_test_set,
                        view.margin,
                    ]
                ),
                verdict.note if verdict is not None else _reason(entry),
            ]
        )
    return _csv(lines)


def _reason(entry: Entry) -> str:
    return entry.others[0].reason if entry.others else ""


def _blank(value: float) -> float | str:
    return "" if math.isnan(value) else value


def _csv(lines: Sequence[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(lines)
    return buffer.getvalue()


def latex(view: View) -> str:
    r"""Return one table for each keep fraction, that needs no package but booktabs."""
    compared = bool(view.verdicts) and view.full is not None
    heads = ["Method", f"Test {view.heading}"]
    if compared and view.full is not None:
        heads += [f"Minus {view.full.method}", "95 % interval", "Decision"]
    heads += ["Total cost"]
    parts = [
        f"{LATEX_START}: {_comment(view.title)}. Needs \\usepackage{{booktabs}}.",
        f"% Margin {view.margin:.3g} {_comment(view.points)}; mean and standard deviation over "
        "seeds.",
    ]
    columns = "l" + "r" * (len(heads) - 1)
    for keep in view.keeps:
        parts += [
            "",
            f"% {'full cost' if keep >= 1 else f'keep {keep:g}'}",
            f"\\begin{{tabular}}{{{columns}}}",
            "\\toprule",
            " & ".join(map(tex, heads)) + " \\\\",
            "\\midrule",
            *(_tex_row(view, each, compared) for each in view.of_keep(keep)),
            "\\bottomrule",
            "\\end{tabular}",
        ]
    return "\n".join(parts) + "\n"


def _tex_row(view: View, entry: Entry, compared: bool) -> str:
    spread = "" if math.isnan(entry.deviation) else f" $\\pm$ {view.number(entry.deviation)}"
    cells = [tex(entry.method), f"${view.number(entry.mean)}$" + spread]
    if compared:
        verdict = entry.verdict
        if verdict is None:
            cells += ["", "", ""]
        else:
            low, high = view.number(verdict.low, "+"), view.number(verdict.high, "+")
            interval = "" if math.isnan(verdict.low) else f"${low}$ to ${high}$"
            cells += [f"${view.number(verdict.mean, '+')}$", interval, tex(verdict.words)]
    cells.append("" if math.isnan(entry.total_cost) else f"{entry.total_cost:.3f}")
    return " & ".join(cells) + " \\\\"


def tex(text: str) -> str:
    """Return text with the characters that LaTeX reads as commands escaped."""
    return "".join(_ESCAPES.get(each) or _letter(each) for each in text)


def _letter(letter: str) -> str:
    if letter.isspace():
        return " "
    if letter.isprintable() and ord(letter) < _LATIN:
        return letter
    return f"[U+{ord(letter):04X}]"


def _comment(text: str) -> str:
    """Return text that stays in one line of a comment."""
    return "".join(map(_letter, text))
