"""Non-inferiority to full data: differences of paired runs, with an interval and a margin."""

import math
import statistics
from dataclasses import dataclass

from ... import _check
from ..._check._keywords import told
from ._store import Results, check_results

REFERENCES = ("full",)
LEVEL = 0.95
_POINT = 1e-6  # in points: a narrower interval is only rounding
FEWEST = 3  # two differences are easily equal by chance, and their interval is then a point


@dataclass(frozen=True)
class Difference:
    """Difference of a method from full data or another row, over the seeds that both have.

    Parameters
    ----------
    method : str
        Name of the method.
    keep : float
        The requested keep fraction.
    reference : str
        What it is compared with: by default `full`.
    runs : int
        Seeds that both have, at least 3.
    mean : float
        Method minus reference, in the test metric, in points (percent).
    low, high : float
        Two-sided 95 % interval of the mean by Student's t over the paired differences, in points.
    margin : float
        Points below the reference that still count as non-inferior.
    """

    method: str
    keep: float
    reference: str
    runs: int
    mean: float
    low: float
    high: float
    margin: float

    @property
    def interval(self) -> str:
        """The interval as text: none if all differences are equal, and their spread is unknown."""
        if self.high - self.low < _POINT:
            return "none, all equal"
        return f"{self.low:+.2f} to {self.high:+.2f}"

    @property
    def verdict(self) -> str:
        """Verdict of the interval relative to the margin.

        "superior": the interval is above 0; "non-inferior": it is above minus the margin;
        "inferior": it is below minus the margin; "inconclusive": it contains minus the margin, or
        all differences are equal, as on a small test set, so that their spread is unknown.
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

    The interval covers the spread over seeds (initial weights, order, the method's own draws) on
    this test set, not the spread over test sets. Each row has its own interval, without correction
    for the number of rows.

    Parameters
    ----------
    results : Results
        Complete or not.
    margin : float > 0
        Margin in points.
    reference : (str, float), optional
        Method and target to compare with; by default `full`, at the full cost.

    Returns
    -------
    list of Difference
        For each method and target with three seeds in common with the reference; empty without one.
    """
    check_results(results)
    margin = _check.number("margin", margin, "(0, inf)")
    by_row: dict[tuple[str, float], dict[int, float]] = {}
    factor = results.about.get("factor", 100.0) * (
        1 if results.about.get("higher_is_better", True) else -1
    )
    for run in results.runs:
        if run.done and run.test is not None:
            by_row.setdefault((run.method, run.keep), {})[run.seed] = factor * run.test
    rows = [reference] if reference is not None else [(name, 1.0) for name in REFERENCES]
    chosen = next((row for row in rows if row in by_row), None)
    if chosen is None:
        return []
    base = by_row.pop(chosen)
    found = []
    for (method, keep), tests in by_row.items():
        paired = [tests[seed] - base[seed] for seed in sorted(tests.keys() & base.keys())]
        if len(paired) >= FEWEST:
            mean, half = statistics.fmean(paired), _half_width(paired)
            found.append(
                Difference(
                    method, keep, chosen[0], len(paired), mean, mean - half, mean + half, margin
                )
            )
    return found


def _half_width(values: list[float]) -> float:
    from scipy.stats import t

    quantile = float(t.ppf((1 + LEVEL) / 2, len(values) - 1))
    return quantile * statistics.stdev(values) / math.sqrt(len(values))
