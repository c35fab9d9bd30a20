"""The figures as PNG and SVG files for papers and slides, by matplotlib."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..._optional import require
from ..._report._style import LIGHT
from ._charts import Looks
from ._view import Entry, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SOURCE = "sampling bench"  # stored under "Source" in the metadata of a figure
_MARKERS = ("o", "s", "^", "v", "D", "P", "p", "X")
_DASHES = ("-", (0, (6, 2)), (0, (2, 2)), "-.", (0, (5, 2, 1, 2, 1, 2)), (0, (10, 3)), "--", ":")
_GREY = "0.75"


def pruning_figure(view: View, looks: Looks) -> Figure | None:
    """Return the metric against the pruning rate."""
    if not view.swept:
        return None
    figure = _new_figure()
    axes = figure.add_subplot()
    _draw_full(axes, view)
    for name in looks.back_to_front(view.swept):
        rows = [each for each in view.of_method(name) if each.keep < 1]
        _draw(axes, looks, name, [each.prune for each in rows], rows)
    _finish(axes, view, "pruning rate (1 - keep)")
    return figure


def cost_figure(view: View, looks: Looks) -> Figure | None:
    """Return the metric against the total cost."""
    priced = [each for each in view.done if not math.isnan(each.total_cost)]
    if not any(each is not view.full for each in priced):
        return None
    figure = _new_figure()
    axes = figure.add_subplot()
    _draw_full(axes, view)
    front = view.frontier
    if len(front) > 1:
        axes.plot([e.total_cost for e in front], [e.mean for e in front], color="0.6", linewidth=3,
                  alpha=0.6, label="frontier", zorder=1)  # fmt: skip
    for name in looks.back_to_front(looks.names):
        rows = [each for each in priced if each.method == name]
        if rows:
            _draw(axes, looks, name, [each.total_cost for each in rows], rows)
    _finish(axes, view, "total cost (1: training on all data)")
    return figure


def balance_figure(view: View, looks: Looks) -> Figure | None:
    """Return the methods at the full cost."""
    rows = view.at_full_cost
    if not rows:
        return None
    figure = _new_figure(5 + 0.25 * max(len(rows) - 12, 0))
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        shown = looks.of(row.method)
        axes.errorbar([row.mean], [place], xerr=_bars([row]), color=LIGHT[shown.color],
                      marker=_MARKERS[shown.marker], capsize=3)  # fmt: skip
    if view.full is not None:
        label = _plain(view.full.method)
        axes.axvline(view.full.mean, color="0.35", linewidth=1, linestyle="--", label=label)
        axes.legend(frameon=False, fontsize=8)
    axes.set_yticks(range(len(rows)), [_plain(row.method) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(_metric(view))
    _frame(axes, view)
    return figure


def image_of(figure: Figure, kind: str) -> bytes:
    """Return a figure as the bytes of a PNG or SVG file."""
    matplotlib = require("matplotlib", "bench", "the figures of `sampling bench`")
    buffer = io.BytesIO()
    dated = {"Date": None} if kind == "svg" else {}
    with matplotlib.rc_context({"svg.hashsalt": SOURCE}):
        figure.savefig(buffer, format=kind, metadata={"Source": SOURCE, **dated})
    return buffer.getvalue()


def _new_figure(height: float = 5.0) -> Figure:
    # A figure without pyplot: no backend is chosen and no global state is changed.
    module = require("matplotlib.figure", "bench", "the figures of `sampling bench`")
    figure: Figure = module.Figure(figsize=(8, height), dpi=150, layout="constrained")
    return figure


def _draw_full(axes: Axes, view: View) -> None:
    full = view.full
    if full is None:
        return
    band = "" if math.isnan(full.deviation) else " ± deviation"
    label = f"{_plain(full.method)} (cost 1){band}"
    axes.axhline(full.mean, color="0.35", linewidth=1, linestyle="--", label=label, zorder=1)
    if not math.isnan(full.deviation):
        low, high = full.mean - full.deviation, full.mean + full.deviation
        axes.axhspan(low, high, color="0.9", zorder=0)


def _draw(axes: Axes, looks: Looks, name: str, x: Sequence[float], rows: Sequence[Entry]) -> None:
    """Draw a method: with its colour, marker and bars if it is highlighted, else grey."""
    if not looks.on(name):
        axes.plot(x, [row.mean for row in rows], color=_GREY, linewidth=0.6, marker=".",
                  markersize=3, zorder=1)  # fmt: skip
        return
    shown = looks.of(name)
    axes.errorbar(
        x,
        [row.mean for row in rows],
        yerr=_bars(rows),
        color=LIGHT[shown.color],
        marker=_MARKERS[shown.marker],
        linestyle=_DASHES[shown.dash],
        linewidth=1.3,
        markersize=6,
        capsize=2,
        label=_plain(name) + _absent(rows),
        zorder=2,
    )


def _absent(rows: Sequence[Entry]) -> str:
    count = sum(len(row.others) for row in rows)
    return f" ({count} runs without a result)" if count else ""


def _finish(axes: Axes, view: View, label: str) -> None:
    axes.set_xlabel(label)
    axes.set_ylabel(_metric(view))
    _zoom(axes, view)
    _frame(axes, view)
    handles, labels = axes.get_legend_handles_labels()
    place = {name: at for at, name in enumerate(view.methods)}
    order = sorted(range(len(labels)), key=lambda at: place.get(labels[at].strip(), -1))
    axes.legend([handles[at] for at in order], [labels[at] for at in order], frameon=False,
                fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))  # fmt: skip


def _zoom(axes: Axes, view: View) -> None:
    """Show the highlighted methods, whatever a method far below them would need."""
    shown = [each for each in view.done if each.method in view.highlighted or each is view.full]
    if len(shown) == len(view.done):
        return
    spread = [0.0 if math.isnan(each.deviation) else each.deviation for each in shown]
    low = min(each.mean - s for each, s in zip(shown, spread, strict=True))
    high = max(each.mean + s for each, s in zip(shown, spread, strict=True))
    room = 0.1 * (high - low) or 0.01 * abs(high) or 1.0
    axes.set_ylim(low - room, high + room)


def _bars(rows: Sequence[Entry]) -> list[float] | None:
    """Return deviations; None if a row ran only once, so that no bar shows 0."""
    bars = [row.deviation for row in rows]
    return None if any(map(math.isnan, bars)) else bars


def _metric(view: View) -> str:
    return _plain(f"test {view.heading}, axis not from 0")


def _frame(axes: Axes, view: View) -> None:
    epochs = view.results.identity.get("epochs")
    counts = sorted({len(each.runs) for each in view.done})
    seeds = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    bars = "one run each" if counts == [1] else f"mean ± deviation over {seeds} seeds"
    cost = f"{epochs} epochs at full cost, " if epochs else ""
    axes.set_title(f"{_plain(view.title)}: {cost}{bars}", fontsize=10)
    axes.grid(axis="both", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _plain(name: str) -> str:
    """Return a name as a figure shows it literally: no formula, and not hidden."""
    shown = "".join(each if each.isprintable() else " " for each in name).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown
