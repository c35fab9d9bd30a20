"""Progress of a benchmark: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

from .results._run import Run

_PAUSE = 10.0  # seconds between lines, where no terminal shows a bar
_FIRST = 4  # runs, after which the time left is told


def say(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


class Progress:
    """What is shown while runs are done.

    Parameters
    ----------
    total : int
        Number of runs.
    metric : str
        Metric of the runs.
    shown : bool
        Whether anything is shown.

    Attributes
    ----------
    metric : str
        As given; of a script set after its first run.
    """

    def __init__(self, total: int, metric: str, shown: bool) -> None:
        self._total = total
        self.metric = metric
        self._lines = shown and not sys.stderr.isatty()
        self._bar: tqdm[Any] = tqdm(total=total, disable=not shown or self._lines, unit="run")
        self._count = 0
        self._began = self._last = time.monotonic()

    def say(self, text: str) -> None:
        """Show what is being done."""
        self._bar.set_description(text)

    def begin(self, place: tuple[str, float, int]) -> None:
        """Show the run that begins."""
        method, keep, seed = place
        self.say(f"{method} keep {keep:g} seed {seed}")

    def part(self, done: float) -> None:
        """Show a fraction of the current run."""
        self._bar.n = round(self._count + done, 2)
        self._bar.refresh()

    def done(self, run: Run) -> None:
        """Show a run that is done."""
        self._count += 1
        self.part(0.0)
        now = time.monotonic()
        due = now - self._last >= _PAUSE or self._count == self._total or not run.done
        if self._lines and due:
            self._last = now
            result = f"{self.metric} {run.test:.4f}" if run.test is not None else run.reason
            say(
                f"{self._count}/{self._total} {run.method} keep {run.keep:g} seed {run.seed}: "
                f"{result}{self._left(now)}"
            )

    def _left(self, now: float) -> str:
        """Return the time left; the first runs are the longest, on all data and with a start."""
        if self._count < _FIRST:
            return ""
        left = (now - self._began) / self._count * (self._total - self._count)
        return f"; about {left / 60:.1f} min left"

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()
