"""Is a method as good as full data? Differences of paired runs, with an interval and a margin."""

import math
import statistics
from dataclasses import dataclass

from .. import _check
from .._keywords import told
from ._store import Results, check_results

REFERENCES = ("full", "uniform")
LEVEL = 0.95
_POINT = 1e-6  # points: below it an interval is rounding
FEWEST = 3  # two differences are equal by chance too easily, and then their interval is a point


@dataclass(frozen=True)
class Difference:
    """A method against full data or another row, by the seeds that both have.

    Parameters
    ----------
    method : str
        Its name.
    target : float
        The keep fraction asked for.
    reference : str
        What it is compared with: by default `full`, or `uniform`, which is the same training.
    runs : int
        Seeds that both have, at least 3.
    mean : float
        Method minus reference, of the test metric, in points (percent).
    low, high : float
        Two-sided 95 % interval of the mean by Student's t over the paired differences, in points.
    margin : float
        Points below the reference that still count as equal.
    """

    method: str
    target: float
    reference: str
    runs: int
    mean: float
    low: float
    high: float
    margin: float

    @property
    def interval(self) -> str:
        """The interval as text: none where all differences are equal, which say no spread."""
        if self.high - self.low < _POINT:
            return "none, all equal"
        return f"{self.low:+.2f} to {self.high:+.2f}"

    @property
    def verdict(self) -> str:
        """What the interval says of the margin.

        "superior": all of it is above 0; "non-inferior": all of it is above minus the margin;
        "inferior": all of it is below; "inconclusive": minus the margin is inside, or the
        differences are all equal, as on a small test part, and say nothing of their spread.
        """
        if self.high - self.low < _POINT:
            return "inconclusive"
        if self.low > 0:
            return "superior"
        if self.low > -self.margin:
            return "non-inferior"
        return "inferior" if self.high < -self.margin else "inconclusive"


@told
def differences(
    results: Results, margin: float, reference: tuple[str, float] | None = None
) -> list[Difference]:
    """Compare every method and target with full data, or with another row.

    The interval is of the seeds' spread (initial weights, order, the method's own draws) on this
    test part, not of what another test part would say. It is each row's own, and not corrected for
    how many rows are looked at.

    Parameters
    ----------
    results : Results
        Finished or not.
    margin : float > 0
        In points.
    reference : (str, float), optional
        Method and target to compare with; by default `full`, else `uniform`, at the full cost.

    Returns
    -------
    list of Difference
        For each method and target with three seeds in common with the reference; none without one.
    """
    check_results(results)
    margin = _check.number("margin", margin, "(0, inf)")
    by_row: dict[tuple[str, float], dict[int, float]] = {}
    for run in results.runs:
        if run.done:
            by_row.setdefault((run.method, run.target), {})[run.seed] = 100 * run.test
    rows = [reference] if reference is not None else [(name, 1.0) for name in REFERENCES]
    chosen = next((row for row in rows if row in by_row), None)
    if chosen is None:
        return []
    base = by_row.pop(chosen)
    found = []
    for (method, target), tests in by_row.items():
        paired = [tests[seed] - base[seed] for seed in sorted(tests.keys() & base.keys())]
        if len(paired) >= FEWEST:
            mean, half = statistics.fmean(paired), _half_width(paired)
            found.append(
                Difference(
                    method, target, chosen[0], len(paired), mean, mean - half, mean + half, margin
                )
            )
    return found


def _half_width(values: list[float]) -> float:
    from scipy.stats import t

    quantile = float(t.ppf((1 + LEVEL) / 2, len(values) - 1))
    return quantile * statistics.stdev(values) / math.sqrt(len(values))
