"""Progress of long loops: a bar on a terminal; elsewhere a line every half minute."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

__all__ = ["Steps", "steps"]

T = TypeVar("T")
_PAUSE = 30.0  # seconds between lines, where no terminal shows a bar
_DELAY = 2.0  # seconds before a bar is shown
_UNEVEN = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}]"


class Steps:
    """Progress of a loop, on standard error.

    Parameters
    ----------
    title : str
    total : int, optional
        Number of steps.
    unit : str, default "it"
    even : bool, default True
        Whether all steps take about as long as each other, so that the time left follows from
        those done; otherwise none is stated.
    """

    def __init__(
        self, title: str, total: int | None = None, *, unit: str = "it", even: bool = True
    ) -> None:
        self._title, self._total, self._first, self._done = title, total, 0, 0
        self._even = even
        self._began = self._last = time.monotonic()
        self._bar: tqdm[Any] = tqdm(
            total=total, desc=title, leave=False, disable=None, delay=_DELAY, unit=unit,
            unit_scale=unit == "B", bar_format=None if even else _UNEVEN,
        )  # fmt: skip

    def skip(self, count: int) -> None:
        """Count steps that an earlier run did, and that took no time now."""
        self._first += count
        self._done += count
        if not self._bar.disable:
            self._bar.initial += count
            self._bar.n += count

    def update(self, count: int = 1) -> None:
        """Show that steps were done."""
        self._done += count
        self._bar.update(count)
        if self._bar.disable and time.monotonic() - self._last >= _PAUSE:
            self._last = time.monotonic()
            sys.stderr.write(f"{self._line()}\n")
            sys.stderr.flush()

    def _line(self) -> str:
        if self._total is None:
            return f"{self._title}: {self._done:,}"
        line = f"{self._title}: {self._done:,} of {self._total:,}"
        new = self._done - self._first
        left = (self._last - self._began) / max(1, new) * (self._total - self._done)
        return f"{line}, about {left / 60:.1f} min left" if new and self._even else line

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()


def steps(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """Yield items, and show how many."""
    with Steps(title, total) as bar:
        for item in items:
            yield item
            bar.update()
