"""Sections of the page with charts: accuracy against rate and cost, times, curves and phases."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from ..._report._markup import Section, cell, figure, folded, row
from ..._report._markup import table as _table
from ..._report._svg import (
    Frame,
    Look,
    Point,
    limits,
    line,
    look,
    series,
    swatch,
    thinned,
)
from ._view import PHASES, Entry, View
from ._words import joined

_FAR = 0.5  # of the range of the highlighted rows: muted ones further below are clipped
_EARLY = 0.25  # share of a curve that may lie below the axis
_LONG = 20  # rows of a table before the others are folded
_IN_WORDS = ("decision", "0 excluded", "state", "at seeds", "reason", "note")  # columns
Series = Mapping[str, Sequence[Point]]


class Looks:
    """How each method is drawn, and whether it is highlighted, the same in every chart.

    Parameters
    ----------
    view : View
        What is shown.
    """

    def __init__(self, view: View) -> None:
        full = view.full.method if view.full else None
        rest = [name for name in view.methods if name not in view.highlighted and name != full]
        self.names = [*view.highlighted, *rest]
        self._on = set(view.highlighted)
        self._numbers = {name: place for place, name in enumerate(self.names)}

    def of(self, method: str) -> Look:
        """Return how a method is drawn."""
        return look(self._numbers[method])

    def on(self, method: str) -> bool:
        """Return whether a method is highlighted at first."""
        return method in self._on

    def number(self, method: str) -> int:
        """Return the number by which the legend finds a method."""
        return self._numbers[method]

    def drawn(self, method: str, parts: Iterable[str]) -> str:
        """Return the group of a method."""
        return series(self.of(method), self.number(method), self.on(method), parts)

    def back_to_front(self, methods: Iterable[str]) -> list[str]:
        """Sort methods so that the highlighted ones are drawn last."""
        return sorted(methods, key=lambda name: (self.on(name), -self.number(name)))

    def legend(self, methods: Iterable[str], keys: Sequence[tuple[str, str]] = ()) -> str:
        """Return the legend of a chart: keys of its lines, and its highlighted methods."""
        items = [f'<li><i class="{kind}"></i>{escape(text)}</li>' for kind, text in keys]
        for name in sorted(methods, key=self.number):
            off = "" if self.on(name) else ' class="off"'
            items.append(
                f'<li data-m="{self.number(name)}"{off}>{swatch(self.of(name))}{escape(name)}</li>'
            )
        return f'<ul class="legend">{"".join(items)}</ul>'

    def picker(self) -> str:
        """Return the buttons that highlight methods in all charts."""
        if len(self.names) < 2:  # noqa: PLR2004
            return ""
        few = "".join(self._button(name) for name in self.names if self.on(name))
        rest = [name for name in self.names if not self.on(name)]
        more = ""
        if rest:
            more = (
                f"<details><summary>{len(rest)} more, drawn grey</summary>"
                f'<div class="pick">{"".join(map(self._button, rest))}</div></details>'
            )
        return (
            '<div class="helps" hidden><p class="soft">Highlighted methods; choose any to change '
            f'all charts:</p><div class="pick">{few}</div>{more}</div>'
        )

    def _button(self, name: str) -> str:
        pressed = "true" if self.on(name) else "false"
        return (
            f'<button type="button" data-m="{self.number(name)}" aria-pressed="{pressed}">'
            f"{swatch(self.of(name))}{escape(name)}</button>"
        )


def table(heads: Sequence[str], rows: Sequence[str], caption: str = "", sorts: bool = False) -> str:
    """Return a table of the report; the first head is of names."""
    return _table(heads, rows, caption, sorts, _IN_WORDS)


# ---------------------------------------------------------------------- accuracy


def _top_half(values: Iterable[float], others: Iterable[float], sign: float) -> tuple[Point, int]:
    """Return limits around values, and how many of the others are on the bad side of them."""
    kept = [value for value in values if math.isfinite(value)]
    rest = [value for value in others if math.isfinite(value)]
    if not kept:
        return limits(rest), 0
    reach = _FAR * (max(kept) - min(kept) or max(abs(kept[0]), 1e-9) * 0.05)
    worst = min(sign * value for value in kept) - reach
    inside = [value for value in rest if sign * value >= worst]
    return limits([*kept, *inside]), len(rest) - len(inside)


def _around(entry: Entry) -> tuple[float, float]:
    spread = 0.0 if math.isnan(entry.deviation) else entry.deviation
    return entry.mean - spread, entry.mean + spread


def _y_limits(view: View, looks: Looks, rows: Sequence[Entry]) -> tuple[Point, int]:
    full = list(_around(view.full)) if view.full else []
    if view.full:
        full.append(view.full.mean - view.sign * view.margin)
    kept = [value for each in rows if looks_on(looks, each) for value in _around(each)]
    others = [each.mean for each in rows if not looks_on(looks, each)]
    return _top_half([*full, *kept], others, view.sign)


def looks_on(looks: Looks, entry: Entry) -> bool:
    """Return whether a row is highlighted."""
    return looks.on(entry.method)


def _reference(view: View, frame: Frame) -> str:
    """Return the line and band of full data, and the line of the margin."""
    if view.full is None:
        return ""
    low, high = _around(view.full)
    left, right = frame.x
    parts = []
    if high > low:
        band = frame.band([(left, low), (right, low)], [(left, high), (right, high)])
        parts.append(f'<path class="fullband" d="{band}"/>')
    goal = view.full.mean - view.sign * view.margin
    for kind, value in (("full", view.full.mean), ("goal", goal)):
        parts.append(f'<path class="{kind}" d="{frame.path([(left, value), (right, value)])}"/>')
    return "".join(parts)


def _keys(view: View) -> list[tuple[str, str]]:
    if view.full is None:
        return []
    side = "minus" if view.sign > 0 else "plus"
    name = view.full.method
    return [("key", name), ("key goal", f"{name} {side} the margin of {view.margin:.3g}")]


def _marks(view: View, frame: Frame, looks: Looks, points: Sequence[tuple[float, Entry]]) -> str:
    marker = looks.of(points[0][1].method).marker
    return "".join(
        frame.mark(x, each.mean, marker, f"{each.name}: {described(view, each)}")
        for x, each in points
    )


def described(view: View, entry: Entry) -> str:
    """Return the metric of a row in words."""
    spread = "" if math.isnan(entry.deviation) else f" ± {view.number(entry.deviation)}"
    return f"{view.heading} {view.number(entry.mean)}{spread}"


def _one_series(
    view: View, frame: Frame, looks: Looks, points: list[tuple[float, Entry]], band: bool
) -> str:
    line_points = [(x, each.mean) for x, each in points]
    method = points[0][1].method
    parts = []
    spread = [(x, *_around(each)) for x, each in points]
    if band and len(points) > 1 and any(high > low for _, low, high in spread):
        area = frame.band([(x, low) for x, low, _ in spread], [(x, high) for x, _, high in spread])
        parts.append(f'<path class="b" d="{area}"/>')
    elif band and spread[0][2] > spread[0][1]:
        x, low, high = spread[0]
        parts.append(line(frame.path([(x, low), (x, high)]), looks.of(method)))
    if len(points) > 1:
        parts.append(line(frame.path(line_points), looks.of(method)))
    parts.append(f'<path class="o" d="{frame.dots(line_points)}"/>')
    parts.append(_marks(view, frame, looks, points))
    return looks.drawn(method, parts)


def _below(count: int) -> str:
    if not count:
        return ""
    are = "point is" if count == 1 else "points are"
    return f" {count} grey {are} beyond the axis."


def pruning(view: View, looks: Looks) -> Section | None:
    """Return the metric against the pruning rate."""
    if not view.swept:
        return None
    rows = {name: [e for e in view.of_method(name) if e.keep < 1] for name in view.swept}
    y, outside = _y_limits(view, looks, [each for found in rows.values() for each in found])
    rates = [each.prune for found in rows.values() for each in found]
    frame = Frame(
        limits([0.0, max(rates)], 0.04),
        y,
        "pruning rate (1 − keep)",
        f"test {view.heading}",
    )
    body = _reference(view, frame) + "".join(
        _one_series(view, frame, looks, [(e.prune, e) for e in rows[name]], band=True)
        for name in looks.back_to_front(rows)
    )
    spread = (
        "Bands are one standard deviation over seeds."
        if view.seeds > 1
        else "One run each: no spread is known."
    )
    svg = frame.drawn(
        "pruning",
        f"Test {view.heading} against the pruning rate",
        f"{len(rows)} methods; {joined(view.highlighted, 8)} are highlighted. All numbers are in "
        "the table of this page.",
        body,
    )
    caption = f"Mean over seeds. {spread} The axis does not start at 0.{_below(outside)}"
    text = looks.legend(rows, _keys(view)) + figure(svg, caption)
    return Section("pruning", f"{_title(view)} against pruning rate", text)


def _title(view: View) -> str:
    return view.metric[:1].upper() + view.metric[1:]


def total_cost(view: View, looks: Looks) -> Section | None:
    """Return the metric against the total cost, with the frontier."""
    names = [name for name in looks.names if any(_is_priced(e) for e in view.of_method(name))]
    rows = {name: [e for e in view.of_method(name) if _is_priced(e)] for name in names}
    every = [each for found in rows.values() for each in found]
    if not every:
        return None
    y, outside = _y_limits(view, looks, every)
    costs = [each.total_cost for each in every]
    if view.full is not None and _is_priced(view.full):
        costs.append(view.full.total_cost)
    frame = Frame(
        limits([0.0, *costs], 0.03),
        y,
        "total cost (1 = training on all data)",
        f"test {view.heading}",
    )
    body = _reference(view, frame)
    front = [(each.total_cost, each.mean) for each in view.frontier]
    body += f'<path class="front" d="{frame.path(front)}"/>' if len(front) > 1 else ""
    body += "".join(
        _one_series(view, frame, looks, [(e.total_cost, e) for e in rows[name]], band=False)
        for name in looks.back_to_front(rows)
    )
    if view.full is not None and _is_priced(view.full):
        at = frame.dots([(view.full.total_cost, view.full.mean)])
        body += f'<path class="fulldot" d="{at}"/>'
    best = [f"{e.name} ({e.total_cost:.2f}: {view.number(e.mean)})" for e in view.frontier]
    svg = frame.drawn(
        "cost",
        f"Test {view.heading} against total cost",
        f"On the frontier, by ascending cost: {joined(best, 12)}.",
        body,
    )
    caption = (
        "Total cost counts training, pilot runs, scoring passes, selection and clustering. The "
        "frontier joins the rows that no cheaper row reaches; it is of means, and not of "
        f"significant differences.{_below(outside)}"
    )
    keys = [*_keys(view), ("key front", "frontier")] if len(front) > 1 else _keys(view)
    text = looks.legend(names, keys) + figure(svg, caption)
    text += f"<p>On the frontier, by ascending cost: {escape(joined(best, 12))}.</p>"
    return Section("cost", f"{_title(view)} against total cost", text)


def _is_priced(entry: Entry) -> bool:
    return not math.isnan(entry.total_cost)


def full_cost(view: View, looks: Looks) -> Section | None:
    """Return the methods that always have the full cost, as a list of ranges."""
    rows = view.at_full_cost
    if not rows:
        return None
    shown = [*rows, view.full] if view.full else rows
    low, high = limits([value for each in shown for value in _around(each)])
    lines = []
    for each in sorted(shown, key=lambda each: -view.sign * each.mean):
        first, last = _around(each)
        left, wide = (100 * value / (high - low) for value in (first - low, last - first))
        at = 100 * (each.mean - low) / (high - low)
        picture = (
            f'<div class="track" aria-hidden="true"><i style="left:{left:.1f}%;width:{wide:.1f}%">'
            f'</i><b style="left:{at:.1f}%"></b></div>'
        )
        verdict = each.verdict
        difference = "" if verdict is None else view.number(verdict.mean, "+")
        lines.append(
            row(
                each.method,
                [
                    cell(picture),
                    cell(escape(_spread(view, each)), each.mean),
                    cell(escape(difference), math.nan if verdict is None else verdict.mean),
                ],
                "mark" if each is view.full else "",
            )
        )
    heads = ["method", "", f"test {view.heading}", "minus full"]
    caption = "Mean and one standard deviation over seeds; the axis does not start at 0."
    return Section("full-cost", "Methods at the full cost", table(heads, lines, caption))


def _spread(view: View, entry: Entry) -> str:
    if math.isnan(entry.deviation):
        return view.number(entry.mean)
    return f"{view.number(entry.mean)} ± {view.number(entry.deviation)}"


# ---------------------------------------------------------------------- time


def time_to_target(view: View) -> Section | None:
    """Return how long each row takes to come within the margin of full data."""
    times = view.times
    if not times or view.target is None or view.full is None:
        return None
    unit = "seconds" if view.seconds_of_full else "of full training"
    most = max((each.spent for each in times if each.spent < math.inf), default=0.0)
    base = next((each.spent for each in times if each.entry is view.full), math.inf)
    lines = []
    for each in times:
        ends = each.spent < math.inf
        wide = 100 * each.spent / most if ends and most else 0.0
        filled = f'<i class="p3" style="width:{wide:.1f}%"></i>'
        bar = f'<div class="bar" aria-hidden="true">{filled}</div>'
        faster = base / each.spent if ends and base < math.inf and each.spent else math.nan
        lines.append(
            row(
                each.entry.name,
                [
                    cell(bar if ends else ""),
                    cell(_time(each.spent) if ends else "not reached",
                         each.spent if ends else math.nan),
                    cell("-" if math.isnan(faster) else f"{faster:.2f}", faster),
                    cell(f"{each.reached}/{each.runs}", each.reached / each.runs),
                ],
                "mark" if each.entry is view.full else "",
            )
        )  # fmt: skip
    heads = ["method", "", unit, "times as fast as full", "runs that reach it"]
    goal = view.number(view.factor * view.target)
    text = (
        f"<p>Until the validation {escape(view.heading)} first reaches {goal}, the end of "
        f"{escape(view.full.method)} {'minus' if view.sign > 0 else 'plus'} the margin. Pilot "
        "runs, scoring and selection count; evaluation does not. The median over seeds.</p>"
    )
    text += _long_table(heads, lines, "Time to target")
    if view.seconds_of_full:
        text += (
            '<p class="soft">Seconds are total cost times the measured seconds of a training step, '
            "so that runs side by side on one machine do not count against each other.</p>"
        )
    return Section("time", "Time to target", text)


def _time(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"  # noqa: PLR2004


def _long_table(heads: Sequence[str], lines: Sequence[str], caption: str) -> str:
    """Return a table whose rows after the first ones are folded."""
    if len(lines) <= _LONG + 5:
        return table(heads, lines, caption, sorts=True)
    return table(heads, lines[:_LONG], f"{caption}: first {_LONG} rows", sorts=True) + folded(
        f"{len(lines) - _LONG} more rows",
        table(heads, lines[_LONG:], f"{caption}: other rows", sorts=True),
    )


def curves(view: View, looks: Looks) -> Section | None:
    """Return the learning curves, one panel for each keep fraction."""
    panels = []
    shown: set[str] = set()
    full = _curve(view, view.full) if view.full else []
    for keep in view.keeps:
        found = {e.method: _curve(view, e) for e in view.of_keep(keep) if e is not view.full}
        found = {name: points for name, points in found.items() if points}
        if found:
            shown |= found.keys()
            panels.append(_panel(view, looks, keep, found, full))
    if not panels:
        return None
    text = looks.legend(shown, [("key", view.full.method)] if view.full and full else [])
    text += f'<div class="multi">{"".join(panels)}</div>'
    text += (
        '<p class="soft">Mean over seeds of the validation metric after each epoch. The first '
        "epochs may be beyond the axis.</p>"
    )
    return Section("curves", "Learning curves", text)


def _curve(view: View, entry: Entry) -> list[Point]:
    """Return the mean curve of a row over its total cost."""
    runs = [r for r in entry.runs if r.val_curve and len(r.cost_curve) == len(r.val_curve)]
    if not runs:
        return []
    length = min(len(run.val_curve) for run in runs)
    points = [
        (
            statistics.fmean(run.cost_curve[at] for run in runs),
            view.factor * statistics.fmean(run.val_curve[at] for run in runs),
        )
        for at in range(length)
    ]
    return thinned(points)


def _panel(view: View, looks: Looks, keep: float, found: Series, full: Sequence[Point]) -> str:
    chosen = [points for name, points in found.items() if looks.on(name)] or list(found.values())
    late = [y for points in [*chosen, full] for _, y in points[int(_EARLY * len(points)) :]]
    ends = [x for points in [*found.values(), full] for x, _ in points]
    frame = Frame(
        limits([0.0, *ends], 0.03),
        limits(late),
        "total cost",
        f"validation {view.heading}",
        width=360,
        height=270,
        left=56,
        right=10,
        bottom=54,
    )
    body = f'<path class="full" d="{frame.path(full)}"/>' if full else ""
    for name in looks.back_to_front(found):
        points = found[name]
        last = points[-1]
        parts = [line(frame.path(points), looks.of(name))] if len(points) > 1 else []
        parts.append(frame.mark(*last, looks.of(name).marker, f"{name}: {view.number(last[1])}"))
        body += looks.drawn(name, parts)
    title = "Full cost" if keep >= 1 else f"Keep {keep:g}"
    ends_at = [f"{name} {view.number(points[-1][1])}" for name, points in found.items()
               if looks.on(name)]  # fmt: skip
    svg = frame.drawn(
        f"curve-{view.keeps.index(keep)}",
        f"Learning curves, {title.lower()}",
        f"Last values: {joined(ends_at, 8)}.",
        body,
    )
    return f"<figure><h3>{title}</h3>{svg}</figure>"


def phases(view: View) -> Section | None:
    """Return the seconds of each phase, one table for each keep fraction."""
    by_row = {(e.method, e.keep): view.phases(e) for e in view.done}
    present = [each for each in PHASES if any(each in found for found in by_row.values())]
    most = max((sum(found.values()) for found in by_row.values()), default=0.0)
    if not present or most <= 0:
        return None
    heads = ["method", "", *present, "sum (s)"]
    parts = []
    for keep in view.keeps:
        rows = sorted(view.of_keep(keep), key=lambda e: sum(by_row[e.method, e.keep].values()))
        lines = []
        for each in rows:
            found = by_row[each.method, each.keep]
            bars = "".join(
                f'<i class="p{PHASES.index(phase)}" style="width:{100 * found[phase] / most:.2f}%">'
                "</i>"
                for phase in present
                if phase in found
            )
            total = sum(found.values())
            lines.append(
                row(
                    each.method,
                    [
                        cell(f'<div class="bar" aria-hidden="true">{bars}</div>'),
                        *(
                            cell(f"{found[p]:.3g}" if p in found else "-", found.get(p, 0.0))
                            for p in present
                        ),
                        cell(f"{total:.3g}", total),
                    ],
                )
            )
        title = "Full cost" if keep >= 1 else f"Keep {keep:g}"
        body = _long_table(heads, lines, f"Seconds of each phase: {title.lower()}")
        parts.append(folded(title, body, open_=keep == middle(view.keeps)))
    items = "".join(f'<li><i class="p{PHASES.index(phase)}"></i>{phase}</li>' for phase in present)
    text = f'<ul class="legend">{items}</ul>{"".join(parts)}'
    text += (
        '<p class="soft">Mean seconds of a run over seeds, evaluation excluded. A pilot run serves '
        "all rows that use its scores, and each of them is charged for it.</p>"
    )
    return Section("phases", "Cost by phase", text)


def middle(keeps: Sequence[float]) -> float:
    """Return the keep fraction that is shown first: the middle one below 1."""
    below = [keep for keep in keeps if keep < 1] or list(keeps)
    return below[len(below) // 2]
