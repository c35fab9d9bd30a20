"""Charts as inline SVG, drawn with classes so that one stylesheet colours them light or dark.

Text in an SVG scales with it, so the page raises its size on a phone: margins have room for that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

Point = tuple[float, float]
MARKERS = (  # outlines around 0, of one visual size
    "M4.4 0A4.4 4.4 0 1 1 -4.4 0A4.4 4.4 0 1 1 4.4 0Z",
    "M-4 -4H4V4H-4Z",
    "M0 -5.2L5 4H-5Z",
    "M0 5.2L5 -4H-5Z",
    "M0 -5.6L5.6 0L0 5.6L-5.6 0Z",
    "M-1.7 -5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z",
    "M0 -5.4L5.1 -1.7L3.2 4.4H-3.2L-5.1 -1.7Z",
    "M-5 -5H5L-5 5H5Z",
)
DASHES = ("none", "7 3", "2 3", "9 3 2 3", "5 2 1 2 1 2", "12 4", "4 4", "1 4")
_TICKS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Look:
    """How a method is drawn in every chart.

    Parameters
    ----------
    color, marker, dash : int
        Numbers of the colour in the stylesheet, of the marker, and of the dashes.
    """

    color: int
    marker: int
    dash: int


def look(place: int) -> Look:
    """Return how the method of a position in the legend is drawn, distinct for the first 64."""
    turn, color = divmod(place, len(MARKERS))
    return Look(color, (color + turn) % len(MARKERS), (color + 3 * turn) % len(DASHES))


def symbols() -> str:
    """Return the definitions of the markers, for one hidden SVG of the page."""
    shapes = "".join(f'<path id="m{at}" d="{path}"/>' for at, path in enumerate(MARKERS))
    return f'<svg class="defs" aria-hidden="true"><defs>{shapes}</defs></svg>'


def swatch(shown: Look, marker: bool = True) -> str:
    """Return the sign of a method in a legend, with its marker or its line alone."""
    mark = f'<use class="m" href="#m{shown.marker}" x="17" y="7"/>' if marker else ""
    return (
        f'<svg class="sw s on k{shown.color}" viewBox="0 0 34 14" aria-hidden="true">'
        f'<path class="l" style="--d:{DASHES[shown.dash]}" d="M1 7H33"/>{mark}</svg>'
    )


@dataclass(frozen=True)
class Frame:
    """Axes of a chart, and where values are on it.

    Parameters
    ----------
    x, y : (float, float)
        Limits of the axes.
    x_label, y_label : str
        What they show.
    width, height : int
        Size of the drawing, in its own units.
    left, right, top, bottom : int
        Margins.
    """

    x: Point
    y: Point
    x_label: str
    y_label: str
    width: int = 640
    height: int = 420
    left: int = 74
    right: int = 16
    top: int = 34
    bottom: int = 62

    def at(self, x: float, y: float) -> Point:
        """Return the position of a value."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            self.left + across * (self.width - self.left - self.right),
            self.height - self.bottom - up * (self.height - self.top - self.bottom),
        )

    def path(self, points: Iterable[Point]) -> str:
        """Return the commands of a line through values."""
        return "M" + "L".join(_pair(self.at(x, y)) for x, y in points)

    def dots(self, points: Iterable[Point]) -> str:
        """Return the commands of dots at values: lines of no length, with round ends."""
        return "".join(f"M{_pair(self.at(x, y))}h0" for x, y in points)

    def band(self, low: Sequence[Point], high: Sequence[Point]) -> str:
        """Return the commands of the area between two lines."""
        return self.path([*low, *reversed(high)]) + "Z"

    def mark(self, x: float, y: float, marker: int, title: str = "") -> str:
        """Return a marker at a value, whose title shows when it is pointed at."""
        across, down = self.at(x, y)
        told = f"<title>{escape(title)}</title>" if title else ""
        return f'<use class="m" href="#m{marker}" x="{across:.1f}" y="{down:.1f}">{told}</use>'

    def drawn(self, name: str, title: str, text: str, body: str) -> str:
        """Return the SVG with its axes and a title and description for screen readers.

        Parameters
        ----------
        name : str
            Unique on the page.
        title, text : str
            What a reader who cannot see it is told.
        body : str
            Markup inside the axes, clipped to them.
        """
        x0, y0 = self.at(self.x[0], self.y[0])
        x1, y1 = self.at(self.x[1], self.y[1])
        parts = [
            f'<svg class="chart" viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-labelledby="{name}-t {name}-d">',
            f'<title id="{name}-t">{escape(title)}</title>',
            f'<desc id="{name}-d">{escape(text)}</desc>',
            f'<clipPath id="{name}-c"><rect x="{x0 - 7:.1f}" y="{y1 - 7:.1f}" '
            f'width="{x1 - x0 + 14:.1f}" height="{y0 - y1 + 14:.1f}"/></clipPath>',
        ]
        for value in ticks(*self.x):
            across, _ = self.at(value, 0)
            parts.append(
                f'<path class="g" d="M{across:.1f} {y0:.1f}V{y1:.1f}"/>'
                f'<text class="t" x="{across:.1f}" y="{y0 + 20:.1f}" text-anchor="middle">'
                f"{_short(value)}</text>"
            )
        for value in ticks(*self.y):
            _, down = self.at(0, value)
            parts.append(
                f'<path class="g" d="M{x0:.1f} {down:.1f}H{x1:.1f}"/>'
                f'<text class="t" x="{x0 - 8:.1f}" y="{down:.1f}" dy=".35em" text-anchor="end">'
                f"{_short(value)}</text>"
            )
        parts += [
            f'<path class="a" d="M{x0:.1f} {y1:.1f}V{y0:.1f}H{x1:.1f}"/>',
            f'<text class="n" x="{(x0 + x1) / 2:.1f}" y="{self.height - 14}" text-anchor="middle">'
            f"{escape(self.x_label)}</text>",
            f'<text class="n" x="8" y="18">{escape(self.y_label)}</text>',
            f'<g clip-path="url(#{name}-c)">{body}</g></svg>',
        ]
        return "".join(parts)


def series(shown: Look, number: int, on: bool, parts: Iterable[str]) -> str:
    """Return a group that the legend can highlight."""
    state = " on" if on else ""
    return f'<g class="s k{shown.color}{state}" data-m="{number}">{"".join(parts)}</g>'


def line(commands: str, shown: Look) -> str:
    """Return a line of a series."""
    return f'<path class="l" style="--d:{DASHES[shown.dash]}" d="{commands}"/>'


def scattered(frame: Frame, x: Any, y: Any, kind: str, cross: bool = False) -> str:
    """Return dots or crosses at values, arrays (n,), in the colour of a class such as "k0"."""
    if not len(x):
        return ""
    points = [frame.at(float(a), float(b)) for a, b in zip(x, y, strict=True)]
    each = "M{:.1f} {:.1f}l4 4m0 -4l-4 4" if cross else "M{:.1f} {:.1f}h0"
    shift = 2.0 if cross else 0.0
    path = "".join(each.format(a - shift, b - shift) for a, b in points)
    return f'<path class="{"crosses" if cross else "dots"} {kind}" d="{path}"/>'


def limits(values: Iterable[float], share: float = 0.06) -> Point:
    """Return limits around finite values, with a margin; (0, 1) without any."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    room = share * (high - low) or max(abs(high), 1e-9) * share or share
    return low - room, high + room


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round values in an interval, at most `most`."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in _TICKS if power * each >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [step * number for number in range(first, last + 1)]


def thinned(points: Sequence[Point], most: int = 60) -> list[Point]:
    """Return at most so many of the points, with the first and the last."""
    if len(points) <= most:
        return list(points)
    return [points[round(at * (len(points) - 1) / (most - 1))] for at in range(most)]


def _pair(position: Point) -> str:
    return f"{position[0]:.1f} {position[1]:.1f}"


def _short(value: float) -> str:
    return f"{value:.6g}".replace("-", "−") if abs(value) > 1e-12 else "0"
