"""Verdicts about the runs of a folder: rows against full data, by `statistics`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import _check
from ..._check._keywords import told
from ..statistics import (
    Components,
    Evaluation,
    LimitSearch,
    Margin,
    Row,
    components,
    default_margin,
    evaluate,
    pseudo_values,
)
from ..statistics._seeds import PILOT
from ..tasks._metric import METRICS
from ._run import Run
from ._store import Results, check_results, load_details

REFERENCE = "full"
_BY_CLASSES = ("balanced accuracy", "macro F1", "R2")


@told
def verdicts(
    results: Results,
    margin: float | None = None,
    *,
    reference: tuple[str, float] = (REFERENCE, 1.0),
    folder: str | Path | None = None,
    planned: int | None = None,
    max_seeds: int = 20,
    pilot: int = 0,
) -> Evaluation:
    """Compare every method and keep fraction with full data, or another row, seed by seed.

    Parameters
    ----------
    results : Results
        Complete or not. Methods may be any, including the caller's.
    margin : float > 0, optional
        Points of the test metric below full data that still count as equal; by default the larger
        of 0.3 points and three test samples, for accuracies.
    reference : (str, float), default ("full", 1.0)
        Method and keep fraction to compare with.
    folder : str or Path, optional
        Folder of the results, whose outcomes by test sample tell whether a verdict holds for new
        samples too.
    planned : int, optional
        Number of evaluations, if it was planned before the first.
    max_seeds : int, default 20
        The largest number of seeds to plan for.
    pilot : int, default 0
        First seeds that only set the number of seeds; 0 for a number that was fixed beforehand.

    Returns
    -------
    Evaluation
        With a verdict for each method and keep fraction; none of them is decided with three seeds
        or fewer.

    Raises
    ------
    ValueError, TypeError
        If `results` is no `Results`, or the default margin cannot be computed.

    Examples
    --------
    >>> from sampling import bench
    >>> full = [bench.Run("full", 1.0, s, 1.0, test=t) for s, t in enumerate([0.91, 0.92] * 3)]
    >>> mine = [bench.Run("mine", 0.5, s, 0.5, test=t) for s, t in enumerate([0.9, 0.92] * 3)]
    >>> results = bench.Results({"dataset": "mine"}, "accuracy", runs=full + mine)
    >>> [(each.name, each.seeds, each.decision) for each in bench.verdicts(results, 2).verdicts]
    [('mine', 6, 'non-inferior')]
    """
    check_results(results)
    rows = _rows(results, reference, None if folder is None else Path(folder))
    name = reference[0] if reference[1] == 1 else f"{reference[0]} at keep {reference[1]:g}"
    limit = margin_of(results).value if margin is None else margin
    return evaluate(
        rows,
        _check.number("margin", limit, "(0, inf)"),
        earlier=results.evaluations,
        family=f"{results.metric} against {name}",
        planned=planned,
        max_seeds=max_seeds,
        pilot=pilot,
    )


def margin_of(results: Results) -> Margin:
    """Return the default margin of the metric, with its reason."""
    about = results.about
    values = [run.test for run in _done(results, REFERENCE) if run.test is not None]
    if not values and results.metric not in METRICS:
        return Margin(1.0, "", f"without runs of {REFERENCE} there is nothing to compare with")
    if results.metric not in METRICS and len(values) <= PILOT and not any(values):
        return Margin(1.0, "", f"the {results.metric} of {REFERENCE} is 0, and has no scale")
    return default_margin(
        results.metric,
        about.get("test_samples") or 1000,
        class_counts=about.get("test_classes") or None,
        classes=about.get("classes") or None,
        reference=float(np.mean(values)) * about.get("factor", 100.0) if values else None,
    )


def limit_search(
    results: Results,
    method: str,
    grid: Iterable[float],
    margin: float,
    max_seeds: int,
    first_seed: int = 0,
) -> LimitSearch:
    """Return what is known about where a method breaks."""
    full = _by_seed(results, _done(results, REFERENCE))
    found: dict[float, dict[int, float]] = {}
    for keep in grid:
        rows = _by_seed(results, [run for run in _done(results, method) if run.keep == keep])
        found[keep] = {
            seed - first_seed: value - full[seed] for seed, value in rows.items() if seed in full
        }
    return LimitSearch(found, margin, sorted(grid, reverse=True), max_seeds)


def _done(results: Results, method: str) -> list[Run]:
    return [run for run in results.runs if run.method == method and run.done]


def _by_seed(results: Results, runs: Iterable[Run]) -> dict[int, float]:
    """Return the metric by seed, in points, where higher is better."""
    sign = 1.0 if results.about.get("higher_is_better", True) else -1.0
    factor = sign * results.about.get("factor", 100.0)
    return {run.seed: factor * run.test for run in runs if run.test is not None}


def _rows(results: Results, reference: tuple[str, float], folder: Path | None) -> list[Row]:
    """Return the rows, with differences at the seeds of the reference in ascending order."""
    groups: dict[tuple[str, float], dict[int, Run]] = {}
    for run in results.runs:
        if run.done:
            groups.setdefault((run.method, run.keep), {})[run.seed] = run
    other = groups.pop(reference, {})
    seeds = sorted(other)
    base = _by_seed(results, other.values())
    if not seeds:
        return []
    samples = _Samples(results, folder)
    rows = []
    for (method, keep), runs in groups.items():
        values = _by_seed(results, runs.values())
        differences = [values[s] - base[s] if s in values else np.nan for s in seeds]
        pairs = [(runs[s], other[s]) for s in seeds if s in runs]
        rows.append(Row(method, keep, np.array(differences), samples.components(pairs)))
    return rows


class _Samples:
    """What the runs of a folder keep of each test sample, in points.

    Parameters
    ----------
    results : Results
        The runs.
    folder : Path, optional
        Their folder; without one nothing is known of samples.
    """

    def __init__(self, results: Results, folder: Path | None) -> None:
        self._results = results
        self._folder = folder
        self._held: dict[tuple[str, float, int], NDArray[Any] | None] = {}

    def components(self, pairs: Sequence[tuple[Run, Run]]) -> Components | None:
        """Return the mean squares of paired differences; None where samples are not kept."""
        found = []
        for run, reference in pairs:
            one, other = self._values(run), self._values(reference)
            if one is None or other is None or one.shape != other.shape:
                return None
            found.append(one - other)
        return components(np.array(found)) if len(found) > 1 and found[0].size > 1 else None

    def _values(self, run: Run) -> NDArray[Any] | None:
        if run.place not in self._held:
            self._held[run.place] = self._read(run)
        return self._held[run.place]

    def _read(self, run: Run) -> NDArray[Any] | None:
        kept = {} if self._folder is None else load_details(self._folder, run)
        if "outcomes" not in kept or "targets" not in kept:
            return None
        outcomes, targets = kept["outcomes"], kept["targets"]
        factor = self._results.about.get("factor", 100.0)
        if self._results.metric == "accuracy":
            return np.asarray(factor * (outcomes == targets))
        if self._results.metric == "log-loss":
            return np.asarray(-outcomes.astype(np.float64))
        if self._results.metric in _BY_CLASSES and outcomes.ndim == 1:
            return np.asarray(factor * pseudo_values(self._results.metric, outcomes, targets))
        return None
