"""Sections that count rows: by stage and rule, by group, and the checks before deleting."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .._report._markup import Section, bar, cell, folded, pairs, row, shaded, table
from ..record import BAD, NOT_ELIGIBLE
from ..selection import notes_of
from ._view import MISSING, View

_SHOWN, _FOLDED = 25, 500  # groups of a table, and those below it
_FEW = 20  # groups of a column that may be as many as half of the rows
_WIDE = 200  # values of a column of ints that are shown as groups
_NAMED = 5  # groups named in a sentence
_STRONG = 1.0  # a factor of two has the darkest shade
_LETTERS = 80  # of the name of a group
# Columns whose counts are shown without being asked for, by name.
_KNOWN = ("license", "licence", "source", "dataset", "domain", "language", "lang")


def percent(part: float, whole: float) -> str:
    """Return a share as a percentage."""
    return f"{100 * part / whole:.3g} %" if whole else "-"


# ---------------------------------------------------------------------- stages


def waterfall(view: View) -> Section:
    """Return the number of rows after each stage, and of those that each rule dropped."""
    size, left = view.size, view.size
    lines = [row("table", [cell(bar(("p3", 100.0))), *_numbers(size, 0, size)], "mark")]
    for step in view.steps:
        left -= step.dropped
        title = step.name if step.method in (step.name, "read") else f"{step.name} ({step.method})"
        lines.append(
            row(title, [_bar(left, step.dropped, size), *_numbers(left, step.dropped, size)])
        )
        if list(step.rules) not in ([], ["dropped"]):
            after = left + step.dropped
            for rule, count in step.rules.items():
                after -= count
                picture = bar(("", 100 * after / size), ("p2", 100 * count / size))
                cells = [
                    cell(picture),
                    cell(""),
                    cell(f"{count:,}", count),
                    cell(percent(count, size), count / size),
                ]
                lines.append(row(f"– {rule}", cells, "sub"))
    lines.append(row("kept", [_bar(left, 0, size), *_numbers(left, 0, size)], "mark"))
    text = (
        '<ul class="legend"><li><i class="p3"></i>rows left</li>'
        '<li><i class="p2"></i>rows dropped</li></ul>'
    )
    text += table(
        ["stage", "", "rows left", "dropped", "share of the table"],
        lines,
        "Rows after each stage; below it, the rules by which it dropped rows",
    )
    if view.repeats:
        extra = len(view.selection) - view.kept.size
        text += (
            f"<p>Rows are kept more than once: {len(view.selection):,} draws of "
            f"{view.kept.size:,} rows, {extra:,} of them repeats.</p>"
        )
    return Section("stages", "Rows by stage", text)


def _bar(left: int, dropped: int, size: int) -> str:
    return cell(bar(("p3", 100 * left / size), ("p2", 100 * dropped / size)))


def _numbers(left: int, dropped: int, size: int) -> list[str]:
    return [
        cell(f"{left:,}", left),
        cell(f"{dropped:,}" if dropped else "", dropped),
        cell(percent(left, size), left / size),
    ]


# ---------------------------------------------------------------------- groups


def columns_of(view: View) -> tuple[list[str], list[str]]:
    """Return the columns whose groups are shown, and those of numbers, in order."""
    known = [each for each in view.table.names if each.lower() in _KNOWN]
    found = dict.fromkeys([*view.options.by, *_of_plan(view), *known])
    groups, numbers = [], []
    for name in found:
        if name not in view.table.names:
            continue
        kind = view.table.type_of(name)
        if pa.types.is_floating(kind) or (pa.types.is_integer(kind) and _is_wide(view, name)):
            numbers.append(name)
        elif not pa.types.is_nested(kind):
            groups.append(name)
    return groups, numbers


def _is_wide(view: View, name: str) -> bool:
    """Return whether a column of ints has too many values to be groups."""
    return len(view.table.values(name).unique()) > _WIDE


def _stages(view: View) -> list[Mapping[str, Any]]:
    """Return the stages of a plan, or the conditions of a filter alone."""
    given = view.selection.arguments
    return list(given["stages"]) if "stages" in given else [{"where": given.get("where")}]


def conditions(view: View, name: str) -> list[tuple[str, float]]:
    """Return the numbers that a column is compared with in filters: (sign, number)."""
    return [
        (str(sign), float(value))
        for stage in _stages(view)
        for column, sign, value in stage.get("where") or ()
        if column == name and isinstance(value, int | float) and not isinstance(value, bool)
    ]


def _of_plan(view: View) -> list[str]:
    """Return the columns that stages read, but for the names of rows."""
    names: list[str] = []
    for stage in _stages(view):
        for argument, text in stage.get("columns", {}).items():
            names += [] if argument == "ids" else [_column(text, view.table.names)]
        names += [str(each[0]) for each in stage.get("where") or ()]
    for facts in view.selection.info.get("directions", {}).values():
        names += [facts["column"]] if "column" in facts else []
    return names


def _column(text: str, names: Sequence[str]) -> str:
    """Return the column of an argument, which may end in the direction of a score."""
    return text if text in names else text.rpartition(":")[0]


def groups(view: View, columns: Sequence[str]) -> tuple[list[Section], list[str]]:
    """Return a section for each column with groups, and sentences on groups without a kept row."""
    found, lost = [], []
    for at, name in enumerate(columns):
        names, codes = view.groups(name)
        asked = name in view.options.by
        if len(names) > max(_FEW, view.size // 2) and not (asked and view.options.examples):
            continue  # they are names of rows
        steps = len(view.steps) + 1
        both = codes.astype(np.int64) * steps + view.dropped_by
        counts = np.bincount(both, minlength=len(names) * steps).reshape(-1, steps)
        order = np.argsort(-counts.sum(axis=1), kind="stable")
        shown = _names(names, order, view.options.examples or asked)
        body = _groups_table(view, name, counts[order], shown)
        gone = [shown[i] for i in np.flatnonzero(counts[order, 0] == 0)]
        if gone:
            told = f"{len(gone):,} of {len(names):,} groups of {name} lost all their rows"
            named = ", ".join(_cut(each) for each in gone[:_NAMED])
            more = f" and {len(gone) - _NAMED:,} more" if len(gone) > _NAMED else ""
            lost.append(f"{told}: {named}{more}.")
            body = f'<p><span class="bad">{escape(lost[-1])}</span></p>{body}'
        found.append(Section(f"groups-{at}", f"Rows by {name}", body))
    return found, lost


def _names(names: list[str], order: NDArray[np.int64], open_: bool) -> list[str]:
    """Return the names of groups in this order, or their numbers on a page to be shared."""
    if open_:
        return [names[at] for at in order]
    return [MISSING if names[at] == MISSING else f"group {i}" for i, at in enumerate(order, 1)]


def _cut(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"


def _groups_table(view: View, column: str, counts: NDArray[np.int64], names: list[str]) -> str:
    """Return the rows of each group before, after each stage, and the share that is kept."""
    size, most = view.size, int(counts.sum(axis=1).max(initial=1))
    kept = int(counts[:, 0].sum())
    overall = kept / size if size else 0.0
    # after[:, k] : rows left after step k; column 0 is before the first
    after = counts.sum(axis=1)[:, None] - np.cumsum(
        np.concatenate([np.zeros((len(counts), 1), np.int64), counts[:, 1:]], axis=1), axis=1
    )

    def line(name: str, left: NDArray[np.int64], kind: str = "") -> str:
        before, own = int(left[0]), int(left[-1])
        share = own / before if before else math.nan
        change = math.log2(max(share, 1e-6) / overall) if overall else 0.0
        wide = 100 / (most if not kind else size)
        picture = bar(("p3", wide * own), ("p2", wide * (before - own)), short=True)
        cells = [
            cell(picture),
            *(cell(f"{each:,}", each) for each in left.tolist()),
            shaded(f"{100 * share:.3g} %" if before else "-", share, change, _STRONG),
            cell(percent(before, size), before / size if size else math.nan),
            cell(percent(own, kept), own / kept if kept else math.nan),
        ]
        return row(_cut(name), cells, kind)

    stages = [f"after {step.name}" for step in view.steps[:-1]]
    heads = ["group", "", "rows", *stages, "kept", "% kept", "% of all before", "% of kept"]
    lines = [line(name, left) for name, left in zip(names, after, strict=True)][: _SHOWN + _FOLDED]
    total = line("all rows", after.sum(axis=0), "mark")
    text = (
        f'<p class="soft">{len(names):,} group{"s" * (len(names) != 1)}. Shades compare the share '
        "that is kept with that of all rows: blue above, orange below.</p>"
    )
    few = len(lines) <= _SHOWN + 5
    first = lines if few else lines[:_SHOWN]
    caption = f"Rows by {column}" + ("" if few else f": the {_SHOWN} largest groups")
    text += table(heads, [total, *first], caption, sorts=True)
    if not few:
        rest = lines[_SHOWN:]
        text += folded(
            f"{len(rest):,} smaller groups",
            table(heads, rest, f"Rows by {column}: smaller groups", sorts=True),
        )
    if len(names) > len(lines):
        others = after[len(lines) :].sum(axis=0)
        text += f"<p>{len(names) - len(lines):,} more groups, of {others[0]:,} rows, of which "
        text += f"{others[-1]:,} are kept, are not listed.</p>"
    return text


# ---------------------------------------------------------------------- checks


def checks(view: View, lost: Sequence[str], more: Sequence[tuple[str, str, str]]) -> Section:
    """Return what to know before rows are deleted; `more` are further (name, text, tone)."""
    found = [*_tables(view), *_reasons(view), *_skipped(view), *_copies(view), *more]
    found += [("Groups", each, "bad") for each in lost]
    found += [("Plan", each, "open") for each in view.facts.get("warnings", ())]
    found += [("Not shown", each, "open") for each in view.notes]
    sign = {"good": "✓", "bad": "✗", "open": "!"}
    lines = [
        row(name, [cell(f"{sign[tone]}", kind=f"w {tone}"), cell(escape(text), kind="w note")])
        for name, text, tone in found
    ]
    body = table(["check", "", "result"], lines, words=("", "result"))
    return Section("checks", "Before rows are deleted", body)


def _tables(view: View) -> list[tuple[str, str, str]]:
    other = [each["name"] for each in view.inputs if not each["checked"]]
    if not view.selection.info.get("inputs"):
        return [
            (
                "Table",
                "Not checked: the selection holds no digests of its table; only the "
                "number of rows was compared.",
                "bad",
            )
        ]
    same = len(view.inputs) - len(other)
    word = "file has the bytes" if same == 1 else "files have the bytes"
    found = [("Table", f"{same:,} {word} from which was selected, by SHA-256.", "good")]
    if other:
        found.append(
            (
                "Other files",
                f"Not checked but for the number of rows: {', '.join(other)}. "
                "The selection was made without them.",
                "open",
            )
        )
    return found


def _reasons(view: View) -> list[tuple[str, str, str]]:
    if view.selection.verdicts is not None:
        return [("Reasons", "The rule by which each row was dropped is recorded.", "good")]
    return [
        (
            "Reasons",
            "Why a row was dropped is not recorded: the subset file was written "
            "without its dropped rows.",
            "open",
        )
    ]


def _skipped(view: View) -> list[tuple[str, str, str]]:
    """Return the rows that were dropped without being compared with others."""
    found: dict[str, int] = {}
    for step in view.steps:
        for rule, count in step.rules.items():
            if rule in NOT_ELIGIBLE:
                found[rule] = found.get(rule, 0) + count
    if not found:
        return [("Skipped rows", "None: all rows were evaluated.", "good")] * (
            view.selection.verdicts is not None
        )
    bad = "They were dropped for that, not for what they hold." if BAD in found else ""
    said = "; ".join(f"{count:,} with the rule {rule!r}" for rule, count in found.items())
    return [("Skipped rows", f"Dropped without being evaluated: {said}. {bad}".strip(), "open")]


def _copies(view: View) -> list[tuple[str, str, str]]:
    """Return what the methods say of themselves: approximate searches, assumed directions."""
    found = []
    for step in view.steps:
        for note in notes_of(step.info):
            tone = "open" if "approximate" in note or "assumed" in note else "good"
            found.append((step.name, note[:1].upper() + note[1:] + ".", tone))
    return found


# ---------------------------------------------------------------------- weights


def weights(view: View) -> Section | None:
    """Return the weights of the kept rows, and how often rows are repeated."""
    parts = []
    given = view.selection.weights
    if given is not None and given.size:
        total, squares = float(given.sum()), float(np.square(given).sum())
        effective = total**2 / squares if squares else 0.0
        at = [0, 1, 25, 50, 75, 99, 100]
        cells = [cell(f"{each:.4g}", float(each)) for each in np.percentile(given, at)]
        heads = ["", *(f"{each} %" for each in at)]
        parts.append(table(heads, [row("weight", cells)], "Quantiles of the weights"))
        parts.append(
            f"<p>Their sum is {total:.6g}, their mean {total / given.size:.4g}. Effective number "
            f"of samples, (sum of w)² / (sum of w²): {effective:,.0f} of {given.size:,}. "
            "Training without the weights changes what is estimated.</p>"
        )
    if view.repeats:
        times = np.bincount(np.bincount(view.selection.indices))
        lines = [
            row(f"{at:,}", [cell(f"{count:,}", count)])
            for at, count in enumerate(times.tolist())
            if at and count
        ]
        caption = "Rows by how often they are kept"
        body = table(["times kept", "rows"], lines[:_SHOWN], caption)
        parts.append(body)
    if not parts:
        return None
    return Section("weights", "Weights and repeats" if view.repeats else "Weights", "".join(parts))


# ---------------------------------------------------------------------- origin


def origin(view: View, hidden: Callable[[Any], Any]) -> Section:
    """Return inputs with digests, the plan or arguments, cost, and versions."""
    parts = ["<h3>Inputs</h3>", _inputs(view)]
    if view.name:
        parts.append("<h3>Subset file</h3>")
        parts.append(
            pairs(
                {
                    "name": view.name,
                    "digest": view.facts.get("digest"),
                    "fingerprint": view.facts.get("fingerprint"),
                }
            )
        )
    arguments: Mapping[str, Any] = view.selection.arguments
    if "stages" in arguments:
        whole = {name: value for name, value in arguments.items() if name != "stages"}
        parts += ["<h3>Plan</h3>", pairs(hidden(whole))]
        for number, stage in enumerate(arguments["stages"], 1):
            first = ("method", "budget", "columns", "where", "settings")
            names = [*first, *(name for name in stage if name not in (*first, "name"))]
            plain = hidden({name: stage[name] for name in names if stage.get(name)})
            shown = {name: value for name, value in plain.items() if value not in ({}, [])}
            parts += [f"<h3>Stage {number}: {escape(str(stage.get('name')))}</h3>", pairs(shown)]
    else:
        parts += [
            "<h3>Method and arguments</h3>",
            pairs({"method": view.selection.method, **hidden(arguments)}),
        ]
    parts.append(_results(view))
    parts.append(_cost(view))
    parts += ["<h3>Versions</h3>", pairs(view.facts.get("versions", {}))]
    parts.append(
        f'<p class="soft">Rows that the page shows, and the random subset, are drawn with seed '
        f"{view.options.seed}: the same call writes the same page.</p>"
    )
    return Section("origin", "Inputs, plan and versions", "".join(parts))


def _inputs(view: View) -> str:
    lines = []
    for each in view.inputs:
        rows = "" if each["rows"] is None else f"{each['rows']:,}"
        tone = "good" if each["checked"] else "open"
        state = "✓ as selected from" if each["checked"] else "! not checked"
        lines.append(
            row(
                each["name"],
                [
                    cell(rows, float(each["rows"] or math.nan)),
                    cell(f"{each['bytes']:,}", each["bytes"]),
                    cell(state, kind=f"w {tone}"),
                    cell(escape(each["digest"]), kind="w note digest"),
                ],
            )
        )
    heads = ["file", "rows", "bytes", "state", "digest"]
    return table(heads, lines, "Files that were read for this page", words=("state", "digest"))


_RESULTS = ("threshold", "copies", "clusters", "order", "objective", "recall")


def _results(view: View) -> str:
    """Return the thresholds and counts that the stages found."""
    lines = []
    for step in view.steps:
        facts = {name: step.info[name] for name in _RESULTS if name in step.info}
        facts = {name: each for name, each in facts.items() if isinstance(each, int | float | str)}
        for name, each in facts.items():
            said = f"{each:.6g}" if isinstance(each, float) else escape(str(each))
            lines.append(row(step.name, [cell(escape(name), kind="w"), cell(said)]))
    if not lines:
        return ""
    return "<h3>Results of the stages</h3>" + table(
        ["stage", "what", "value"], lines, "Results", words=("what",)
    )


def _cost(view: View) -> str:
    lines = []
    entries = view.selection.info.get("stages") or [view.selection.info]
    for each in entries:
        seconds, peak = each.get("seconds"), each.get("peak_memory", each.get("memory"))
        if seconds is None:
            continue
        memory = f"{peak / 2**30:.2f}" if isinstance(peak, int | float) else ""
        name = each.get("name", view.selection.method)
        again = "read from an earlier run" if each.get("reused") else ""
        lines.append(
            row(str(name), [cell(f"{seconds:.1f}", seconds), cell(memory), cell(again, kind="w")])
        )
    if not lines:
        return ""
    heads = ["step", "seconds", "peak memory (GiB)", "note"]
    return "<h3>Cost</h3>" + table(heads, lines, "Time and memory", words=("note",))
