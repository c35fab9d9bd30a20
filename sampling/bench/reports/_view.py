"""What the report shows, computed once: rows with their numbers, verdicts, and what is highlighted.

The page, the figures and the tables read a `View`; none of them computes a number of its own.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import _check
from ..._check._keywords import short
from ..methods._named import EQUAL_COST
from ..methods._registry import CONTROLS
from ..results._run import Run, seconds_of
from ..results._store import Results, load_details
from ..results._verdicts import REFERENCE, margin_of
from ..results._verdicts import verdicts as verdicts_of
from ..statistics import Verdict
from ..tasks._data import Data
from ._terminal import Row, rows

NON_INFERIOR, INFERIOR, UNDECIDED = "non-inferior", "inferior", "undecided"
ALL_EQUAL, PILOT = "all equal", "pilot"
HIGHLIGHTED = 8  # series that a reader can tell from each other
PERCENT = 100.0
PHASES = ("selecting", "scoring", "pilot", "training", "starting")


@dataclass(frozen=True)
class Entry:
    """A row of the report: a method at a keep fraction.

    Parameters
    ----------
    method : str
        Name of the method.
    keep : float
        The requested keep fraction.
    runs : tuple of Run
        Those with a result, by seed.
    others : tuple of Run
        Those without.
    mean, deviation : float
        Test metric in the unit of the table, and its standard deviation over seeds; NaN without.
    cost, total_cost : float
        Means over the runs; NaN if a run does not say.
    verdict : Verdict, optional
        Comparison with the reference.
    """

    method: str
    keep: float
    runs: tuple[Run, ...]
    others: tuple[Run, ...]
    mean: float
    deviation: float
    cost: float
    total_cost: float
    verdict: Verdict | None

    @property
    def prune(self) -> float:
        """The pruning rate."""
        return 1.0 - self.keep

    @property
    def name(self) -> str:
        """Method and keep fraction, as text."""
        return self.method if self.keep >= 1 else f"{self.method} at keep {self.keep:g}"


@dataclass(frozen=True)
class Target:
    """How long the runs of a row take to reach the target.

    Parameters
    ----------
    entry : Entry
        The row.
    spent : float
        Median over the runs that reach it, in the unit of `View.seconds_of_full`; infinite if
        half of the runs do not.
    reached, runs : int
        How many runs reach it, of how many.
    """

    entry: Entry
    spent: float
    reached: int
    runs: int


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else math.nan


def _all_given(values: Sequence[float]) -> float:
    """Return the mean; NaN if one is 0, that is not said."""
    return _mean(values) if all(values) else math.nan


class View:
    """Everything that the report shows.

    Parameters
    ----------
    results : Results
        Complete or not.
    folder : Path
        Folder of the results, whose `details` hold what is kept of the samples.
    data : Data, optional
        The data of the first seed, for classes, clusters and examples.
    margin : float, optional
        Margin of non-inferiority, in the unit of the table.
    verdicts : sequence, optional
        Verdicts on the rows; by default those of the results.
    pilot : mapping of str to array, optional
        Training dynamics of the first seed: "confidence" and "variability", and any scores, each
        of shape (N,).
    said : sequence of str, default ()
        Sentences that come first in the answer.
    """

    def __init__(
        self,
        results: Results,
        folder: Path,
        data: Data | None = None,
        margin: float | None = None,
        verdicts: Sequence[Verdict] | None = None,
        pilot: Mapping[str, Any] | None = None,
        said: Sequence[str] = (),
    ) -> None:
        self.results = results
        self.said = list(said)
        self.folder = folder
        self.data = data
        self.factor = float(results.about.get("factor", PERCENT))
        self.sign = 1.0 if results.about.get("higher_is_better", True) else -1.0
        given = results.plan.get("margin") if margin is None else margin
        self.margin = _check.number(
            "margin", margin_of(results).value if given is None else given, "(0, inf)"
        )
        found = verdicts
        if found is not None and not all(isinstance(each, Verdict) for each in found):
            raise TypeError(f"verdicts must hold Verdicts, got {short(found)}")
        if found is None:
            found = verdicts_of(results, self.margin, folder=folder).verdicts
        self.verdicts = {(each.name, each.keep): each for each in found}
        self.entries = [self._entry(row) for row in rows(results)]
        self.done = [entry for entry in self.entries if entry.runs]
        self.pilot = {name: np.asarray(array) for name, array in (pilot or {}).items()}

    def _entry(self, row: Row) -> Entry:
        runs = row.done
        tests = [self.factor * run.test for run in runs if run.test is not None]
        return Entry(
            row.method,
            row.keep,
            tuple(runs),
            tuple(row.others),
            _mean(tests),
            statistics.stdev(tests) if len(tests) > 1 else math.nan,
            _all_given([run.cost for run in runs]),
            _all_given([run.total_cost for run in runs]),
            self.verdicts.get((row.method, row.keep)),
        )

    # ------------------------------------------------------------------ words and numbers

    @property
    def title(self) -> str:
        """Name of the data, with what was made of them."""
        said = self.results.identity
        parts = [str(said.get("dataset") or "own data")]
        if said.get("imbalance"):
            parts.append(f"long tail 1:{said['imbalance']:g}")
        for name, words in (("label_noise", "labels wrong"), ("near_copies", "near copies")):
            if said.get(name):
                parts.append(f"{100 * said[name]:g} % {words}")
        return ", ".join(parts)

    @property
    def metric(self) -> str:
        """Name of the metric."""
        return self.results.metric

    @property
    def heading(self) -> str:
        """Metric with its unit."""
        return f"{self.metric} (%)" if self.factor == PERCENT else self.metric

    @property
    def points(self) -> str:
        """Unit of differences."""
        return "points" if self.factor == PERCENT else f"of {self.metric}"

    def number(self, value: float, sign: str = "") -> str:
        """Return a metric or a difference as text; "-" for NaN."""
        if math.isnan(value):
            return "-"
        text = f"{value:{sign}.2f}" if self.factor == PERCENT else f"{value:{sign}.4g}"
        return text if float(text) else text.lstrip("+-")  # 0 has no sign

    @property
    def seeds(self) -> int:
        """Largest number of seeds of a row."""
        return max((len(entry.runs) for entry in self.entries), default=0)

    # ------------------------------------------------------------------ rows

    @cached_property
    def full(self) -> Entry | None:
        """The reference."""
        return next((each for each in self.done if each.method == REFERENCE), None)

    @cached_property
    def methods(self) -> list[str]:
        """Methods with a result, controls first, then from best to worst."""
        names = list(dict.fromkeys(entry.method for entry in self.done))
        ranked = self._ranked([name for name in names if not is_control(name)])
        return [
            *[name for name in CONTROLS if name in names],
            *ranked,
            *[name for name in names if name.startswith(EQUAL_COST)],
        ]

    def _ranked(self, names: Sequence[str]) -> list[str]:
        """Sort methods: the best of each keep fraction first, then by their mean rank."""
        best, places = [], {name: [math.inf] for name in names}
        for keep in self.keeps:
            order = [each for each in self.of_keep(keep) if each.method in places]
            order.sort(key=lambda each: -self.sign * each.mean)
            best += [each.method for each in order[:1]]
            for place, each in enumerate(order):
                places[each.method] = [p for p in places[each.method] if p < math.inf] + [
                    place / len(order)
                ]
        rest = sorted(names, key=lambda name: _mean(places[name]))
        return list(dict.fromkeys([*best, *rest]))

    @cached_property
    def highlighted(self) -> list[str]:
        """Methods in colour: the controls, and the best others."""
        return [name for name in self.methods if name != REFERENCE][:HIGHLIGHTED]

    @cached_property
    def keeps(self) -> list[float]:
        """Keep fractions with results, descending."""
        return sorted({entry.keep for entry in self.done}, reverse=True)

    def of_keep(self, keep: float) -> list[Entry]:
        """Return the rows with a result at a keep fraction."""
        return [entry for entry in self.done if entry.keep == keep]

    def of_method(self, method: str) -> list[Entry]:
        """Return the rows with a result of a method, from the gentlest rate to the harshest."""
        return [entry for entry in self.done if entry.method == method]

    @cached_property
    def swept(self) -> list[str]:
        """Methods with a result at a keep fraction below 1."""
        return [name for name in self.methods if any(e.keep < 1 for e in self.of_method(name))]

    @cached_property
    def at_full_cost(self) -> list[Entry]:
        """Rows of methods that always have the full cost, such as those for a long tail."""
        found = [each for each in self.done if each.keep >= 1 and each.method != REFERENCE]
        return sorted(found, key=lambda each: -self.sign * each.mean)

    @cached_property
    def without(self) -> list[Entry]:
        """Rows with a run that has no result."""
        return [entry for entry in self.entries if entry.others]

    @cached_property
    def frontier(self) -> list[Entry]:
        """Rows that no row of at most their total cost reaches or exceeds, by ascending cost."""
        found: list[Entry] = []
        priced = [each for each in self.done if not math.isnan(each.total_cost)]
        for each in sorted(priced, key=lambda each: (each.total_cost, -self.sign * each.mean)):
            if not found or self.sign * each.mean > self.sign * found[-1].mean:
                found.append(each)
        return found

    # ------------------------------------------------------------------ time

    @property
    def seconds_of_full(self) -> float | None:
        """Seconds of a training on all data; None if the calibration is not known."""
        per_sample = self.results.calibration.get("sample_seconds")
        size = self.results.about.get("samples")
        epochs = self.results.identity.get("epochs")
        return per_sample * size * epochs if per_sample and size and epochs else None

    @cached_property
    def target(self) -> float | None:
        """Validation metric of the reference at its end, less the margin, as runs store it."""
        ends = [] if self.full is None else [r.val_curve[-1] for r in self.full.runs if r.val_curve]
        return _mean(ends) - self.sign * self.margin / self.factor if ends else None

    @cached_property
    def times(self) -> list[Target]:
        """Time to target of each row with curves, the fastest first."""
        if self.target is None:
            return []
        found = []
        for entry in self.done:
            runs = [run for run in entry.runs if run.val_curve and _priced(run)]
            if runs:
                spent = [_reached(run, self.target, self.sign) for run in runs]
                scale = self.seconds_of_full or 1.0
                found.append(
                    Target(
                        entry,
                        scale * statistics.median(spent),
                        sum(each < math.inf for each in spent),
                        len(runs),
                    )
                )
        return sorted(found, key=lambda each: each.spent)

    def seconds(self, entry: Entry) -> float:
        """Return the mean seconds of a run of a row, as in its total cost; NaN without runs."""
        per_sample = self.results.calibration.get("sample_seconds", 0.0)
        return _mean([seconds_of(run, per_sample) for run in entry.runs])

    def phases(self, entry: Entry) -> dict[str, float]:
        """Return the mean seconds of each phase of a row, without those of no time."""
        found = {}
        per_sample = self.results.calibration.get("sample_seconds", 0.0)
        for phase in PHASES:
            values = [
                per_sample * run.piloted if phase == "pilot" else run.seconds.get(phase, 0.0)
                for run in entry.runs
            ]
            if any(values):
                found[phase] = _mean(values)
        return found

    # ------------------------------------------------------------------ samples

    @cached_property
    def seed(self) -> int:
        """The seed whose draws are shown."""
        return min((run.seed for entry in self.done for run in entry.runs), default=0)

    def details(self, run: Run) -> dict[str, NDArray[Any]]:
        """Return what is kept of the samples of a run; empty if nothing is."""
        return load_details(self.folder, run)

    @cached_property
    def counts(self) -> dict[tuple[str, float], NDArray[np.int64]]:
        """Draws of each training sample in the run of `seed`, of rows below the full cost."""
        found = {}
        size = self.results.about.get("samples")
        for entry in self.done:
            run = next((each for each in entry.runs if each.seed == self.seed), None)
            if run is None or entry.keep >= 1 or _draws_all(entry.method):
                continue
            counts = self.details(run).get("counts")
            if counts is not None and counts.ndim == 1 and counts.sum() > 0:
                found[entry.method, entry.keep] = counts.astype(np.int64)
        sizes = {counts.size for counts in found.values()}
        if len(sizes) > 1:  # of other data: the folder holds files of an earlier benchmark
            found = {key: counts for key, counts in found.items() if counts.size == size}
        return found

    @cached_property
    def labels(self) -> NDArray[np.int64] | None:
        """Classes of the training samples, if they are those that `counts` are of."""
        labels = None if self.data is None else self.data.labels()
        size = next((counts.size for counts in self.counts.values()), None)
        return labels if labels is not None and labels.size == size else None

    def class_name(self, number: int) -> str:
        """Return the name of a class, or its number."""
        names = self.results.about.get("class_names") or ()
        return str(names[number]) if number < len(names) else str(number)


def is_control(method: str) -> bool:
    """Return whether a method is there for comparison."""
    return method in CONTROLS or method.startswith(EQUAL_COST)


def _draws_all(method: str) -> bool:
    """Return whether a method is a control that draws every sample equally often."""
    return method in ("full", "full-fewer") or method.startswith(EQUAL_COST)


def _priced(run: Run) -> bool:
    return len(run.cost_curve) == len(run.val_curve)


def _reached(run: Run, target: float, sign: float) -> float:
    """Return the total cost at which a run first reaches a value; infinite if it never does."""
    pairs = zip(run.val_curve, run.cost_curve, strict=True)
    return next((cost for value, cost in pairs if sign * value >= sign * target), math.inf)
