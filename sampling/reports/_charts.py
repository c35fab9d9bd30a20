"""Sections with charts: scores kept and dropped, coverage, and the map."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._report._markup import Section, cell, figure, folded, row, table
from .._report._svg import Frame, Look, limits, line, look, scattered, series, swatch
from ..types import Floats, Indices
from ._counts import conditions
from ._geometry import count_measured, laid_out, nearest
from ._steps import reached, survived
from ._view import View

_BINS = 40
_AT = (0, 1, 5, 25, 50, 75, 95, 99, 100)  # quantiles of a table, in percent
_MAPPED, _LEAST = 3000, 500  # rows of the map, and those of each kind
_CURVE = 101  # points of a curve of quantiles
_KEPT, _OTHER = look(0), Look(7, 7, 1)
_MOST_KINDS = 6  # stages with a colour of their own on the map


def _legend(*names: str) -> str:
    shown = zip((_KEPT, _OTHER), names, strict=True)
    return (
        '<ul class="legend">'
        + "".join(f"<li>{swatch(how, marker=False)}{name}</li>" for how, name in shown)
        + "</ul>"
    )


# ---------------------------------------------------------------------- scores


def scores(view: View, columns: Sequence[str]) -> list[Section]:
    """Return histograms of the scores of each step, and of columns of numbers."""
    found = []
    for step in view.steps:
        if step.scores is None:
            continue
        open_ = reached(step, view.dropped_by) & np.isfinite(step.scores)
        if view.selection.verdicts is not None:
            open_ &= ~np.isin(view.selection.verdicts, step.unjudged)
        kept = survived(step, view.dropped_by)
        own = step.scores
        at = step.info.get("threshold")
        title = f"Scores of {step.name}"
        what = f"score of {step.name}"
        order = {
            "ascending": "Low scores are kept first.",
            "descending": "High scores are kept first.",
        }.get(str(step.info.get("order")), "")
        section = _histogram(
            f"scores-{step.number}", title, what, own[open_ & kept], own[open_ & ~kept], at, order
        )
        found += [] if section is None else [section]
    for at_, name in enumerate(columns):
        values = view.table.column(name, missing=True).astype(np.float64)
        good = np.isfinite(values)
        kept = view.dropped_by == 0
        note = f"{int((~good).sum()):,} rows have no finite value. " if not good.all() else ""
        limits_ = conditions(view, name)
        note += "".join(f"A filter keeps {name} {sign} {at:g}. " for sign, at in limits_)
        section = _histogram(
            f"values-{at_}",
            f"Values of {name}",
            name,
            values[good & kept],
            values[good & ~kept],
            limits_[0][1] if limits_ else None,
            note,
        )
        found += [] if section is None else [section]
    return found


def _histogram(
    name: str, title: str, what: str, kept: Any, dropped: Any, threshold: Any, note: str
) -> Section | None:
    """Return a histogram of values of kept and of dropped rows, (m,) and (n,)."""
    both = [np.asarray(each, np.float64) for each in (kept, dropped)]
    values = np.concatenate(both)
    if not values.size:
        return None
    low, high = _range(values)
    edges = _edges(low, high, threshold)
    beyond_ = int(((values < low) | (values > high)).sum())
    low, high = float(edges[0]), float(edges[-1])
    shares, lines = [], []
    for own in both:
        counts, _ = np.histogram(np.clip(own, low, high), edges)
        shares.append(100 * counts / max(1, own.size))
    most = max(float(each.max()) for each in shares)
    frame = Frame(limits([low, high], 0.02), (0.0, 1.08 * most), what, "% of the rows", height=340)
    body = ""
    for at, (how, share) in enumerate(zip((_OTHER, _KEPT), reversed(shares), strict=True)):
        top = [
            point
            for left, right, each in zip(edges, edges[1:], share, strict=False)
            for point in ((float(left), float(each)), (float(right), float(each)))
        ]
        area = frame.band([(low, 0.0), (high, 0.0)], top)
        body += series(how, at, True, [f'<path class="b" d="{area}"/>', line(frame.path(top), how)])
    keys = ""
    if isinstance(threshold, int | float) and low <= threshold <= high:
        goal = frame.path([(threshold, 0.0), (threshold, 1.08 * most)])
        body += f'<path class="goal" d="{goal}"/>'
        keys = f" The dotted line is the threshold, {threshold:.6g}."
    kept_, dropped_ = both
    told = f"{kept_.size:,} rows kept, {dropped_.size:,} dropped."
    svg = frame.drawn(name, title, f"{told} Quantiles are in the table below.", body)
    beyond = f" {beyond_:,} values beyond the axis are in its first and last bar." * bool(beyond_)
    caption = f"{told} Each outline is in percent of its own rows.{keys}{beyond} {note}".strip()
    for label, own in (("kept", kept_), ("dropped", dropped_)):
        found = np.percentile(own, _AT) if own.size else np.full(len(_AT), np.nan)
        cells = [
            cell(f"{own.size:,}", own.size),
            *(cell(f"{each:.4g}" if np.isfinite(each) else "-", float(each)) for each in found),
        ]
        lines.append(row(label, cells))
    heads = ["", "rows", *(f"{at} %" for at in _AT)]
    quantiles = table(heads, lines, f"Quantiles of {what}")
    text = _legend("kept", "dropped") + figure(svg, caption) + quantiles
    return Section(name, title, text)


def _edges(low: float, high: float, threshold: Any) -> Floats:
    """Return the edges of the bars; a threshold is one of them, so that no bar has both sides."""
    step = (high - low) / _BINS
    if not isinstance(threshold, int | float) or not low <= threshold <= high:
        return np.linspace(low, high, _BINS + 1)
    below, above = np.ceil((threshold - low) / step), np.ceil((high - threshold) / step)
    return threshold + step * np.arange(-below, above + 1)


def _range(values: Floats) -> tuple[float, float]:
    """Return the range of a histogram: without the far tails, if these are long."""
    low, high = float(values.min()), float(values.max())
    inner = np.percentile(values, (0.5, 99.5))
    room = 0.25 * float(inner[1] - inner[0])
    low, high = max(low, float(inner[0]) - room), min(high, float(inner[1]) + room)
    if high <= low:
        low, high = low - (abs(low) or 1.0) * 0.5, high + (abs(high) or 1.0) * 0.5
    return low, high


# ---------------------------------------------------------------------- coverage


def coverage(view: View) -> tuple[Section | None, str]:
    """Return how far rows are from the nearest kept row, and the same of a random subset."""
    kept = view.kept
    if view.embeddings is None or not kept.size or kept.size == view.size:
        return None, ""
    every = np.arange(view.size)
    count = count_measured(view.size, kept.size, view.embeddings.shape[1])
    rows = view.some(every, count, "coverage")
    others = view.some(every, kept.size, "random subset")
    step = _steps(view, 2 * kept.size)
    found, _ = nearest(view.embeddings, rows, kept, step)
    base, _ = nearest(view.embeddings, rows, others, step)
    good = np.isfinite(found) & np.isfinite(base)
    if not good.any():
        return None, ""
    return _coverage(view, rows.size, found[good], base[good])


def _steps(view: View, total: int) -> Any:  # a function
    progress = view.options.progress
    return (lambda done: None) if progress is None else (lambda done: progress(done, total, "rows"))


def _coverage(view: View, measured: int, found: Floats, base: Floats) -> tuple[Section, str]:
    shares = np.linspace(0, 100, _CURVE)
    curves = [np.percentile(each, shares) for each in (found, base)]
    top = float(max(each[-1] for each in curves))
    frame = Frame(
        (0.0, 100.0), limits([0.0, top or 1.0], 0.03), "% of all rows", "distance", height=340
    )
    body = ""
    for at, (how, curve) in enumerate(zip((_OTHER, _KEPT), reversed(curves), strict=True)):
        points = list(zip(shares.tolist(), curve.tolist(), strict=True))
        body += series(how, at, True, [line(frame.path(points), how)])
    middle = [float(np.median(each)) for each in (found, base)]
    svg = frame.drawn(
        "coverage-chart",
        "Distance of rows to the nearest kept row",
        f"The median is {middle[0]:.4g}, and {middle[1]:.4g} for a random subset of the same size. "
        "Quantiles are in the table below.",
        body,
    )
    some = "All" if measured == view.size else f"{measured:,} of the {view.size:,}"
    skipped = measured - found.size
    note = f" {skipped:,} of them are not finite, and are not measured." if skipped else ""
    caption = (
        f"{some} rows, kept or not; a kept row has distance 0. Read: so many percent of the rows "
        f"are no farther from a kept row than this. Euclidean distance of the embeddings.{note}"
    )
    heads = ["nearest row of", "mean", *(f"{at} %" for at in _AT)]
    lines = []
    for label, each in (("the selection", found), ("a random subset", base)):
        numbers = [float(each.mean()), *np.percentile(each, _AT).tolist()]
        lines.append(row(label, [cell(f"{value:.4g}", value) for value in numbers]))
    ratio = f"{found.mean() / base.mean():.3f}" if base.mean() > 0 else "-"
    body = (
        _legend("selection", "random subset of the same size")
        + figure(svg, caption)
        + table(heads, lines, "Quantiles of the distance to the nearest kept row")
    )
    body += (
        f"<p>The mean distance is {ratio} times that of a random subset. Below 1, the selection "
        "covers the table better than chance; above 1, it leaves regions without a kept row, on "
        "purpose (a score, a filter) or not. The largest distances show what is lost.</p>"
    )
    said = (
        f"On average, a row is {found.mean():.3g} away from the nearest kept row, and "
        f"{base.mean():.3g} from the nearest row of a random subset of the same size."
    )
    return Section("coverage", "Coverage", body), said


# ---------------------------------------------------------------------- map


def mapped(view: View) -> Section | None:
    """Return the kept and the dropped rows on a map of the embeddings."""
    if view.embeddings is None:
        return None
    kinds = _kinds(view)
    rows, codes = [], []
    for code, (_, own) in enumerate(kinds):
        count = max(_LEAST, round(_MAPPED * own.size / view.size))
        chosen = view.some(own, count, f"map {code}")
        rows.append(chosen)
        codes.append(np.full(chosen.size, code))
    shown, code_of = np.concatenate(rows), np.concatenate(codes)
    order = np.argsort(shown, kind="stable")
    layout = laid_out(view.embeddings, shown[order], view.options.layout, view.options.seed)
    if layout.rows.size < 2:  # noqa: PLR2004
        return None
    code_of = code_of[order][np.isin(shown[order], layout.rows)]
    x, y = layout.xy[:, 0], layout.xy[:, 1]
    frame = Frame(_span(x), _span(y), *layout.names, height=520)
    body, items, lines = "", [], []
    for code in (*range(1, len(kinds)), 0):  # kept rows are drawn last
        own = code_of == code
        color = f"k{(0, 7, 1, 3, 6, 5, 2, 4)[code]}"
        color += " faint" if code else " solid"
        body += scattered(frame, x[own], y[own], color, cross=code > 0)
    for code, (name, every) in enumerate(kinds):
        own = code_of == code
        color = f"k{(0, 7, 1, 3, 6, 5, 2, 4)[code]}"
        sign = "×" if code else "●"
        label = f"{name}: {int(own.sum()):,} of {every.size:,}"
        items.append((color, sign, label))
        lines.append(_spread(name, every.size, x[own], y[own]))
    legend = "".join(
        f'<li><span class="{color} ink">{sign}</span> {escape(label)}</li>'
        for color, sign, label in items
    )
    svg = frame.drawn(
        "map-chart",
        "Map of the embeddings",
        "Kept and dropped rows; their numbers and middle positions are in the table below.",
        body,
    )
    count = layout.rows.size
    some = (
        f"All {count:,} rows."
        if count == view.size
        else f"{count:,} of {view.size:,} rows, drawn at random within each kind: the map shows "
        "how dense one kind is, not how it compares with another."
    )
    caption = f"{some} {layout.how}."
    heads = ["", "rows", "shown", "x: 25 %", "50 %", "75 %", "y: 25 %", "50 %", "75 %"]
    text = f'<ul class="legend">{legend}</ul>' + figure(svg, caption)
    text += folded("Table of the map", table(heads, lines, "Positions on the map, quartiles"))
    return Section("map", "Map", text)


def _kinds(view: View) -> list[tuple[str, Indices]]:
    """Return the rows that are kept, then those that each stage dropped; the smallest together."""
    found = [("kept", view.kept)]
    dropping = sorted((step for step in view.steps if step.dropped), key=lambda s: -s.dropped)
    named = sorted(dropping[:_MOST_KINDS], key=lambda step: step.number)
    several = len(view.steps) > 1
    found += [
        (
            f"dropped by {step.name}" if several else "dropped",
            np.flatnonzero(view.dropped_by == step.number),
        )
        for step in named
    ]
    rest = [step.number for step in dropping[_MOST_KINDS:]]
    if rest:
        found.append(("dropped by other stages", np.flatnonzero(np.isin(view.dropped_by, rest))))
    return [each for each in found if each[1].size] if view.kept.size else found


def _span(values: Floats) -> tuple[float, float]:
    return limits(values.tolist(), 0.03)


def _spread(name: str, count: int, x: NDArray[Any], y: NDArray[Any]) -> str:
    at = (25, 50, 75)
    numbers = [
        float(each)
        for values in (x, y)
        for each in (np.percentile(values, at) if values.size else [np.nan] * 3)
    ]
    cells = [
        cell(f"{count:,}", count),
        cell(f"{x.size:,}", x.size),
        *(cell(f"{each:.3g}" if np.isfinite(each) else "-", each) for each in numbers),
    ]
    return row(name, cells)
