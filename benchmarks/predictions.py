"""What the papers say, as comparisons of two rows: `training/predictions.md`, claim by claim.

The claims were written down before the runs; this file states each as rows to compare, and looks
up whether it came out. A difference is paired by seed, in points of the metric, with its 95 %
interval (moderated t, not corrected for the number of claims: a claim names its rows beforehand).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from sampling.bench import Results, Verdict, verdicts

MARGIN = 0.3  # points; below full data that still count as equal
NEAR = 1.0  # points; of "near"
YES, NO, OPEN = "yes", "no", "undecided"
Row: TypeAlias = tuple[str, float]


@dataclass(frozen=True)
class Claim:
    """That a row is above, below, near or as good as a reference.

    Parameters
    ----------
    name : str
        The row of `training/predictions.md`.
    comparison : str
        The plan whose results decide.
    method : str
    keep : float
    relation : {"above", "below", "near", "as good as", "as"}
        "as" claims no order: it fails if the interval excludes 0.
    reference : (str, float)
        Method and keep fraction compared with.
    metric : str, default "test"
        A further metric of the runs, or "test".
    """

    name: str
    comparison: str
    method: str
    keep: float
    relation: str
    reference: Row
    metric: str = "test"


_FULL = ("full", 1.0)
_TEXT, _FASHION = "text-mlp", "fashion-plain"
_HARDEST = ("top:el2n", "top:forgetting", "bottom:aum")
_COVERAGE = ("ccs:aum", "d2:el2n", "beta:dual")
_KEPT = {_TEXT: (0.7, 0.5, 0.3, 0.2, 0.1), _FASHION: (0.7, 0.5, 0.2)}
_LOW = {_TEXT: (0.2, 0.1), _FASHION: (0.2,)}
_BALANCED = "balanced accuracy"


def _same_fraction(name: str, method: str, relation: str, reference: str,
                   kept: dict[str, tuple[float, ...]]) -> Iterator[Claim]:  # fmt: skip
    """Yield the claim for each comparison and keep fraction, both rows at that fraction."""
    for comparison, fractions in kept.items():
        for keep in fractions:
            yield Claim(name, comparison, method, keep, relation, (reference, keep))


def claims() -> list[Claim]:
    """Return all claims that compare two rows."""
    found: list[Claim] = []
    for method in _HARDEST:
        for comparison in (_TEXT, _FASHION):
            found.append(Claim("P1", comparison, method, 0.7, "as good as", _FULL))
            found.append(Claim("P1", comparison, method, 0.7, "above", ("random", 0.7)))
        found += _same_fraction("P2", method, "below", "random", _LOW)
    for method in _COVERAGE:
        found += _same_fraction("P3", method, "above", "random", _LOW)
    for one, other in (_COVERAGE[:2], _COVERAGE[1:], _COVERAGE[::2]):
        found.append(Claim("P4", _TEXT, one, 0.1, "as", (other, 0.1)))
    found += _same_fraction("P5", "rs2", "above", "random", _KEPT)
    for comparison in (_TEXT, _FASHION):
        found.append(Claim("P7", comparison, "infobatch", 0.7, "as good as", _FULL))
    found += _same_fraction("P9", "moderate", "near", "random", _KEPT)
    for comparison, metric in (("fashion-long-tail", "test"), (_TEXT, _BALANCED)):
        for method in ("logit-adjusted", "deferred"):
            balanced = ("class-balanced", 1.0)
            found.append(Claim("P10", comparison, method, 1.0, "above", balanced, metric))
        found.append(Claim("P10", comparison, "class-balanced", 1.0, "above", _FULL, metric))
    noisy, copies = "fashion-wrong-labels", "fashion-near-copies"
    found.append(Claim("P11", noisy, "top:el2n", 0.5, "below", ("random", 0.5)))
    for method in ("ccs:aum", "top:label_quality", "self-paced", "late-stopping"):
        found.append(Claim("P11", noisy, method, 0.5, "above", ("random", 0.5)))
    for method in ("semdedup", "d4"):
        found.append(Claim("P12", copies, method, 0.5, "above", ("random", 0.5)))
    found += _same_fraction("P13", "k_center", "below", "random", _LOW)
    return found


def by_metric(results: Results, metric: str) -> Results:
    """Return the results with another of their metrics as the one that is compared."""
    if metric == "test":
        return results
    runs = [
        replace(run, test=run.metrics[metric]) if run.done else run
        for run in results.runs
        if not run.done or metric in run.metrics
    ]
    return replace(results, metric=metric, runs=runs)


def row_of(results: Results, claim: Claim) -> Verdict | None:
    """Return the difference that a claim is about; None if one of its rows has no runs."""
    found = by_metric(results, claim.metric)
    runs = [run for run in found.runs if run.keep in (claim.keep, claim.reference[1])]
    rows = verdicts(replace(found, runs=runs), MARGIN, reference=claim.reference).verdicts
    own = (claim.method, claim.keep)
    return next((each for each in rows if (each.name, each.keep) == own and each.seeds), None)


_TESTS: dict[str, tuple[Callable[[Verdict], bool], Callable[[Verdict], bool]]] = {
    "above": (lambda row: row.low > 0, lambda row: row.high < 0),
    "below": (lambda row: row.high < 0, lambda row: row.low > 0),
    "near": (
        lambda row: -NEAR < row.low and row.high < NEAR,
        lambda row: row.low > NEAR or row.high < -NEAR,
    ),
    "as good as": (lambda row: row.low > -MARGIN, lambda row: row.high < -MARGIN),
    "as": (lambda row: row.low <= 0 <= row.high, lambda row: row.low > 0 or row.high < 0),
}


def came_out(relation: str, row: Verdict) -> str:
    """Return whether a difference is as claimed: "yes", "no", or "undecided"."""
    holds, fails = _TESTS[relation]
    return YES if holds(row) else NO if fails(row) else OPEN
