"""The page: one file that needs nothing else, and that fetches nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from ..._report._markup import Section, cell, folded, pairs, row
from ..._report._page import whole
from ..statistics import Verdict
from ._charts import (
    Looks,
    curves,
    full_cost,
    phases,
    pruning,
    table,
    time_to_target,
    total_cost,
)
from ._gallery import gallery
from ._samples import agreement, classes, data_map, dropped
from ._view import INFERIOR, NON_INFERIOR, Entry, View
from ._words import answer

PROGRAM = "sampling bench"
_TONE = {NON_INFERIOR: "good", INFERIOR: "bad"}


def page(view: View, examples: bool = True) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    view : View
        What is shown.
    examples : bool, default True
        Whether samples of the data may be shown.
    """
    looks = Looks(view)
    shown = gallery(view) if examples else None
    held = 0 if shown is None else shown.held
    charts = [pruning(view, looks), full_cost(view, looks), total_cost(view, looks)]
    found = [
        *charts,
        time_to_target(view),
        curves(view, looks),
        phases(view),
        classes(view),
        agreement(view),
        dropped(view),
        None if shown is None else shown.section,
        data_map(view),
        _verdicts(view),
        _without(view),
        _origin(view),
    ]
    return whole(
        PROGRAM,
        f"Benchmark of samplers: {view.title}",
        _facts(view),
        held,
        answer(view),
        [each for each in found if each is not None],
        version=_version(view),
        picker=looks.picker() if any(charts) else "",
    )


def _facts(view: View) -> str:
    said = view.results.identity
    about = view.results.about
    facts = [
        f"{about['samples']:,} training samples" if about.get("samples") else "",
        f"{about['test_samples']:,} test samples" if about.get("test_samples") else "",
        f"{about['classes']} classes" if about.get("classes") else "",
        f"{said['epochs']} epochs" if said.get("epochs") else "",
        f"batches of {said['batch_size']}" if said.get("batch_size") else "",
        f"equal {_PROTOCOLS.get(said['protocol'], said['protocol'])}"
        if said.get("protocol")
        else "",
        f"{view.seeds} seed{'s' if view.seeds != 1 else ''}",
        "higher is better" if view.sign > 0 else "lower is better",
    ]
    return f"{view.metric}; {', '.join(each for each in facts if each)}"


_PROTOCOLS = {"cost": "total cost"}


# ---------------------------------------------------------------------- the table


def _verdicts(view: View) -> Section | None:
    if not view.done:
        return None
    compared = bool(view.verdicts)
    for_all = any(not math.isnan(each.low_all) for each in view.verdicts.values())
    needed = any(each.seeds_needed for each in view.verdicts.values())
    notes = any(each.note for each in view.verdicts.values())
    heads = ["method", "keep", f"test {view.heading}"]
    if compared and view.full is not None:
        heads += [f"minus {view.full.method}", "95 % interval"]
        heads += ["interval for all rows"] if for_all else []
        heads += ["decision", "0 excluded"]
        heads += ["seeds needed"] if needed else []
    heads += ["seeds", "cost", "total cost", "seconds"]
    heads += ["note"] if notes else []
    lines = [
        row(each.method, _cells(view, each, (compared, for_all, needed, notes)), _kind(view, each))
        for each in view.done
    ]
    text = _how(view, for_all) + table(heads, lines, f"All rows: test {view.heading}", sorts=True)
    return Section("table", "Table and verdicts" if compared else "Table", text)


def _kind(view: View, entry: Entry) -> str:
    return "mark" if entry is view.full else ""


def _how(view: View, for_all: bool) -> str:
    if not view.verdicts or view.full is None:
        return ""
    side = "below" if view.sign > 0 else "above"
    text = (
        f"Non-inferior: at most {view.margin:.3g} {view.points} {side} {view.full.method}, the "
        "margin. Differences are paired by seed, and positive where the row is better. Up to three "
        "seeds are a pilot, without a verdict. "
    )
    if for_all:
        text += (
            "Decisions hold for all rows together; the 95 % interval is that of a row alone, the "
            "other one holds for all rows."
        )
    return f'<p class="soft">{escape(text)}</p>'


def _cells(view: View, entry: Entry, columns: tuple[bool, bool, bool, bool]) -> list[str]:
    compared, for_all, needed, notes = columns
    verdict = entry.verdict
    spread = "" if math.isnan(entry.deviation) else f" ± {view.number(entry.deviation)}"
    found = [
        cell(f"{entry.keep:g}", entry.keep),
        cell(f"{view.number(entry.mean)}{spread}", entry.mean),
    ]
    if compared and view.full is not None:
        found += _compared(view, verdict, for_all, needed)
    total = len(entry.runs) + len(entry.others)
    seconds = view.seconds(entry)
    found += [
        cell(f"{len(entry.runs)}/{total}", len(entry.runs)),
        cell(_or_dash(entry.cost, ".3f"), entry.cost),
        cell(_or_dash(entry.total_cost, ".3f"), entry.total_cost),
        cell(_or_dash(seconds or math.nan, ".3g"), seconds or math.nan),
    ]
    if notes:
        found.append(cell(escape(verdict.note if verdict else ""), kind="w note"))
    return found


def _compared(view: View, verdict: Verdict | None, for_all: bool, needed: bool) -> list[str]:
    if verdict is None:
        return [cell("", math.nan)] * (4 + for_all + needed)
    tone = _TONE.get(verdict.decision, "open")
    sign = {"good": "✓ ", "bad": "✗ "}.get(tone, "")
    found = [
        cell(view.number(verdict.mean, "+"), verdict.mean),
        cell(_interval(view, verdict.low, verdict.high), verdict.low),
    ]
    if for_all:
        found.append(cell(_interval(view, verdict.low_all, verdict.high_all), verdict.low_all))
    found += [
        cell(f"{sign}{escape(verdict.words)}", kind=f"w {tone}"),
        cell(_zero(verdict), kind="w"),
    ]
    if needed:
        count = verdict.seeds_needed
        found.append(cell("" if count is None else str(count), float(count or math.nan)))
    return found


def _zero(verdict: Verdict) -> str:
    if verdict.all_equal:
        return "all equal"
    return "yes" if verdict.zero_excluded else "no"


def _interval(view: View, low: float, high: float) -> str:
    if math.isnan(low) or math.isnan(high):
        return "-"
    return f"{view.number(low, '+')} to {view.number(high, '+')}"


def _or_dash(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)


def _without(view: View) -> Section | None:
    if not view.without:
        return None
    lines = []
    for entry in view.without:
        reasons: dict[tuple[str, str], list[int]] = {}
        for run in entry.others:
            reasons.setdefault((run.state, run.reason), []).append(run.seed)
        for (state, reason), seeds in reasons.items():
            cells = [
                cell(f"{entry.keep:g}", entry.keep),
                cell(escape(state), kind="w"),
                cell(", ".join(map(str, seeds)), kind="w"),
                cell(escape(reason.removeprefix(f"{state}: ")), kind="w note"),
            ]
            lines.append(row(entry.method, cells))
    heads = ["method", "keep", "state", "at seeds", "reason"]
    return Section("without", "Runs without a result", table(heads, lines, sorts=True))


# ---------------------------------------------------------------------- plan and versions


def _origin(view: View) -> Section:
    results = view.results
    notes = "".join(f"<li>{escape(note)}</li>" for note in results.notes)
    parts = [f"<ul>{notes}</ul>" if notes else ""]
    if results.plan:
        parts.append("<h3>Plan</h3>" + pairs(results.plan))
    if results.identity:
        parts.append("<h3>Data and protocol</h3>" + pairs(results.identity))
    if results.calibration:
        parts.append("<h3>Calibration</h3>" + pairs(results.calibration))
    if results.evaluations:
        parts.append(f"<p>Evaluations that printed verdicts: {len(results.evaluations)}.</p>")
    for about in _distinct(results.calls.values()):
        said = {
            "commit": about.get("commit"),
            **_named("version of", about.get("versions")),
            **_named("", about.get("hardware")),
        }
        title = f"Versions and machine of the call of {about.get('begun', 'an unknown time')}"
        parts.append(folded(title, pairs(said), open_=len(results.calls) == 1))
    return Section("origin", "Plan, versions and notes", "".join(parts))


def _named(prefix: str, given: object) -> dict[str, Any]:
    """Return the entries of a mapping with a prefix; none of anything else."""
    if not isinstance(given, Mapping):
        return {}
    return {f"{prefix} {name}".strip(): value for name, value in given.items()}


def _distinct(calls: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the calls that differ in more than their time."""
    found: dict[str, Mapping[str, Any]] = {}
    for each in calls:
        rest = {name: each.get(name) for name in ("commit", "versions", "hardware")}
        found.setdefault(str(rest), each)
    return list(found.values())


def _version(view: View) -> str:
    from ..._version import __version__

    found = {str(_version_in(each)) for each in view.results.calls.values()}
    return ", ".join(sorted(found)) if found else __version__


def _version_in(about: Mapping[str, Any]) -> Any:
    return _named("", about.get("versions")).get("sampling", "unknown")
