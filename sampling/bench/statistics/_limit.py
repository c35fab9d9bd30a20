"""Where a method breaks: the gentlest and the harshest rates that a budget can decide.

Two things are kept apart. Where to spend runs is bisection, on three seeds a rate: any rule may
choose what to run. What is claimed are tests in an order that is fixed beforehand: non-inferiority
from the gentlest rate upwards, inferiority from the harshest downwards, each to the first that is
not rejected, each with the whole level of its side and no correction for the number of rates.

A fixed sequence is false only if its first true hypothesis is rejected, and which one that is does
not depend on what was run: so bisection cannot raise the error, and a rate that was not run, or has
not all of its seeds, ends the sequence. Tests of only those rates that bisection visits would
need a correction: on a curve that lies at the margin everywhere, it visits up to four.

Each rate is tested once, with exactly the planned number of seeds, by the plain paired t on its own
variance (rates of one method are not alike: harsher ones vary more). The pilot's spread set the
number of seeds and is not used again. Further seeds are a further evaluation, at its own level.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np

from ... import _check
from ._distributions import Floats, t_tail
from ._moderated import moderate
from ._seeds import MOST, PILOT, plan_seeds, seeds_needed
from ._spending import level_at, level_for_seeds

GRID = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
LEVEL = 0.0125  # of each direction
_VISIBLE = 0.05  # of a curve that is not monotone, over all pairs of rates


@dataclass(frozen=True, eq=False)
class LimitSearch:
    """What is known about one method, and how its limit is to be found.

    Parameters
    ----------
    differences : mapping of float to mapping of int to float
        Keep fraction -> seed -> method minus full data, in the unit of the margin, positive where
        the method is better. Seeds are 0, 1, 2, ...; what was not run is missing.
    margin : float > 0
        Margin of non-inferiority.
    grid : sequence of float, default 0.9, 0.8, ..., 0.1
        Keep fractions from the gentlest to the harshest, fixed before the first run.
    max_seeds : int >= 5, default 20
        Most seeds of a rate.
    seeds : int, optional
        Seeds of a further evaluation, more than the last one's; by default those of the last one,
        or, at first, what the pilot says.
    earlier : sequence of mapping, default none
        Records of the earlier evaluations, oldest first.
    planned : int, optional
        Number of evaluations, given before the first one; by default there is no plan.
    level : float in (0, 0.5), default 0.0125
        One-sided level of each direction, over all evaluations.
    """

    differences: Mapping[float, Mapping[int, float]]
    margin: float
    grid: Sequence[float] = GRID
    max_seeds: int = MOST
    seeds: int | None = None
    earlier: Sequence[Mapping[str, Any]] = ()
    planned: int | None = None
    level: float = LEVEL

    def __post_init__(self) -> None:
        """Check the arguments."""
        _check.number("margin", self.margin, "(0, inf)")
        _check.integer("max_seeds", self.max_seeds, PILOT + 2)
        grid = _check.numbers("grid", self.grid, "(0, 1]")
        if not grid or any(a <= b for a, b in zip(grid, grid[1:], strict=False)):
            raise ValueError(f"grid must descend from the gentlest keep fraction, got {grid}")
        known = {round(keep, 9) for keep in grid}
        other = sorted(keep for keep in self.differences if round(keep, 9) not in known)
        if other:
            raise ValueError(f"differences must be at keep fractions of the grid, got {other[0]}")
        for each in self.earlier:
            for name in ("margin", "level", "planned"):
                if each[name] != getattr(self, name):
                    raise ValueError(
                        f"{name} must be that of evaluation {each['evaluation']}, {each[name]}, "
                        f"got {getattr(self, name)}"
                    )
        if self.seeds is not None:
            last = self.earlier[-1]["seeds"] if self.earlier else 0
            _check.integer("seeds", self.seeds, max(PILOT + 2, last))


@dataclass(frozen=True)
class NextRun:
    """The next run to spend: a method at a keep fraction and a seed, and the reference's seed.

    Attributes
    ----------
    keep, seed : float, int
        The run.
    why : str
        "locate" for the bisection, "decide" for the tests.
    """

    keep: float
    seed: int
    why: str


@dataclass(frozen=True)
class Limit:
    """What can be claimed.

    Attributes
    ----------
    non_inferior_up_to : float or None
        Harshest keep fraction up to which all are non-inferior; None if none is.
    inferior_from : float or None
        Gentlest keep fraction from which all harsher ones are inferior; None if none is.
    undecided : tuple of float
        Keep fractions between the two.
    not_monotone : tuple of float, or None
        A gentler keep fraction below the margin and a harsher one above it that is visibly better:
        the method then breaks at no single rate, and no interval is reported.
    evaluation, seeds : int
        Number of the evaluation and seeds that its tests take; 0 while the pilot is incomplete.
    more_seeds : mapping of float to int
        Seeds still to run at each keep fraction before more can be claimed; empty if decided.
    p_non_inferior, p_inferior : mapping of float to float
        One-sided p-values of the rates that have all seeds.
    reason : str
        Why more seeds may not decide, or empty.
    record : dict
        What later evaluations need, of types that JSON has.
    """

    non_inferior_up_to: float | None
    inferior_from: float | None
    undecided: tuple[float, ...]
    not_monotone: tuple[float, float] | None
    evaluation: int
    seeds: int
    more_seeds: Mapping[float, int]
    p_non_inferior: Mapping[float, float]
    p_inferior: Mapping[float, float]
    reason: str
    record: Mapping[str, Any] = field(repr=False)

    @property
    def words(self) -> str:
        """The conclusion as a sentence, in pruning rates (1 - keep)."""
        if self.not_monotone is not None:
            gentle, harsh = (_rate(keep) for keep in self.not_monotone)
            return (
                f"the curve is not monotone: a pruning rate of {gentle} is below the margin and "
                f"{harsh} is above it, so no limit is reported"
            )
        parts = []
        if self.non_inferior_up_to is not None:
            parts.append(f"non-inferior up to a pruning rate of {_rate(self.non_inferior_up_to)}")
        if self.inferior_from is not None:
            parts.append(f"inferior from a pruning rate of {_rate(self.inferior_from)}")
        if self.more_seeds:
            where = ", ".join(f"{n} at {_rate(keep)}" for keep, n in self.more_seeds.items())
            count = sum(self.more_seeds.values())
            word = "seed" if count == 1 else "seeds"
            parts.append(f"undecided at this budget: {count} more {word} ({where})")
        elif self.undecided:
            parts.append(f"undecided at {', '.join(_rate(keep) for keep in self.undecided)}")
        return "; ".join(parts) + (f" ({self.reason})" if self.reason else "")


def next_run(search: LimitSearch) -> NextRun | None:
    """Return the run to spend next, or None if the tests have all that they can use.

    The pilot is a bisection: three seeds in the middle of the rates between the last whose mean is
    above minus the margin and the first below it. Then the tests are completed in their order, from
    the gentlest rate to the first that fails, and from the harshest; the rate after the bisection's
    bracket ends each.
    """
    return _State(search).next_run()


def find_limit(search: LimitSearch) -> Limit:
    """Return what can be claimed with what was run, complete or not.

    A budget may end at any run: a rate without all of its seeds is not tested, so calling this
    often spends no error.
    """
    return _State(search).limit()


class _State:
    def __init__(self, search: LimitSearch) -> None:
        self.search = search
        self.grid = [float(each) for each in search.grid]
        self.margin = float(search.margin)
        given = {round(float(keep), 9): found for keep, found in search.differences.items()}
        self.runs = [
            {int(s): float(v) for s, v in found.items() if math.isfinite(v)}
            for found in (given.get(round(keep, 9), {}) for keep in self.grid)
        ]
        past = [each for each in search.earlier if each["evaluation"]]  # not those of a pilot
        self.last = past[-1] if past else None
        self.located, self.bracket, self.visited = self._bisect()
        self.evaluation, self.seeds = self._evaluation()
        spent = level_at(self.evaluation, search.planned, search.level) if self.evaluation else 0.0
        # a table of one row for each rate: no variance is shared between rates
        self.complete = [
            bool(self.seeds) and all(seed in runs for seed in range(self.seeds))
            for runs in self.runs
        ]
        values = [
            [[runs[seed] if done else math.nan for seed in range(self.seeds)]]
            for runs, done in zip(self.runs, self.complete, strict=True)
        ]
        self.found = moderate(values, pilot=PILOT)
        self.p_good = self._p_values(self.found.non_inferior(self.margin))
        self.p_bad = self._p_values(self.found.inferior(self.margin))
        self.good = self._sequence(range(len(self.grid)), self.p_good, spent, "non_inferior")
        self.bad = self._sequence(range(len(self.grid) - 1, -1, -1), self.p_bad, spent, "inferior")
        self.crossing = self._not_monotone()

    # ------------------------------------------------------------ what to run

    def next_run(self) -> NextRun | None:
        if self.crossing is not None:
            return None
        if self.located is not None:
            return self.located
        for i in self._open():
            missing = [seed for seed in range(self.seeds) if seed not in self.runs[i]]
            if missing:
                return NextRun(self.grid[i], missing[0], "decide")
        return None

    def _bisect(self) -> tuple[NextRun | None, tuple[int, int], list[int]]:
        """Return the next run of the pilot, its bracket, and the rates that it has."""
        low, high = -1, len(self.grid)
        visited: list[int] = []
        while high - low > 1:
            middle = (low + high) // 2
            missing = [seed for seed in range(PILOT) if seed not in self.runs[middle]]
            if missing:
                run = NextRun(self.grid[middle], missing[0], "locate")
                return run, (low, high), visited
            visited.append(middle)
            mean = float(np.mean([self.runs[middle][seed] for seed in range(PILOT)]))
            low, high = (middle, high) if mean >= -self.margin else (low, middle)
        return None, (low, high), visited

    def _evaluation(self) -> tuple[int, int]:
        search = self.search
        if self.last is not None:
            seeds = search.seeds or int(self.last["seeds"])
            return int(self.last["evaluation"]) + (seeds > int(self.last["seeds"])), seeds
        if self.located is not None:
            return 0, 0
        if search.seeds is not None:
            return 1, search.seeds
        level = level_for_seeds(1, search.planned, search.level)
        pilot = tuple(tuple(self.runs[i][seed] for seed in range(PILOT)) for i in self.visited)
        return 1, _seeds_of(pilot, self.margin, level, search.max_seeds)

    def _open(self) -> list[int]:
        """Return the rates that the two sequences need next, in the order of running."""
        low, high = self.bracket
        up = [i for i in range(len(self.grid)) if i <= high]
        down = [i for i in range(len(self.grid) - 1, -1, -1) if i >= low]
        return [*self._until_failed(up, self.good), *self._until_failed(down, self.bad)]

    def _until_failed(self, order: Sequence[int], claimed: Sequence[int]) -> list[int]:
        """Return the rates of a sequence that are not complete, unless one before them failed."""
        found = []
        for i in order:
            if i in claimed:
                continue
            if self.complete[i]:
                break  # complete, and not rejected
            found.append(i)
        return found

    # ------------------------------------------------------------ what to claim

    def _p_values(self, found: Floats) -> list[float | None]:
        """Return the p-value of each complete rate; 1 where all differences are equal."""
        values = np.where(np.isnan(found[:, 0]), 1.0, found[:, 0]).tolist()
        return [p if done else None for p, done in zip(values, self.complete, strict=True)]

    def _sequence(
        self, order: Sequence[int], p: Sequence[float | None], spent: float, name: str
    ) -> list[int]:
        """Return the rates that a fixed sequence claims; claims of earlier evaluations stay."""
        carried = set(self.last[name]) if self.last is not None else set()
        claimed = []
        for i in order:
            value = p[i]
            if self.grid[i] not in carried and not (value is not None and value <= spent):
                break
            claimed.append(i)
        return claimed

    def _not_monotone(self) -> tuple[float, float] | None:
        """Return a gentler rate below the margin and a harsher, visibly better one above it."""
        pairs = [
            (i, j)
            for i in range(len(self.grid))
            for j in range(i + 1, len(self.grid))
            if len(self.runs[i].keys() & self.runs[j].keys()) >= PILOT
        ]
        found = []
        for i, j in pairs:
            seeds = sorted(self.runs[i].keys() & self.runs[j].keys())
            gentle, harsh = ([self.runs[k][s] for s in seeds] for k in (i, j))
            if not fmean(gentle) < -self.margin < fmean(harsh):
                continue
            gain = np.array(harsh) - np.array(gentle)
            error = gain.std(ddof=1) / math.sqrt(len(seeds))
            if error <= 1e-9 * max(1.0, abs(gain.mean())):
                p = 0.0
            else:
                p = float(t_tail(gain.mean() / error, len(seeds) - 1))
            if p <= _VISIBLE / len(pairs):
                found.append((p, self.grid[i], self.grid[j]))
        return min(found)[1:] if found else None

    def limit(self) -> Limit:
        grid, size = self.grid, len(self.grid)
        top, bottom = len(self.good), size - len(self.bad)
        between = tuple(grid[top:bottom])
        more, reason = self._more(between)
        record = {
            "evaluation": self.evaluation,
            "seeds": self.seeds,
            "margin": self.search.margin,
            "level": self.search.level,
            "planned": self.search.planned,
            "non_inferior": [grid[i] for i in self.good],
            "inferior": [grid[i] for i in self.bad],
        }
        whole = self.crossing is None
        return Limit(
            non_inferior_up_to=grid[top - 1] if top and whole else None,
            inferior_from=grid[bottom] if bottom < size and whole else None,
            undecided=between,
            not_monotone=self.crossing,
            evaluation=self.evaluation,
            seeds=self.seeds,
            more_seeds=more if whole else {},
            p_non_inferior={k: p for k, p in zip(grid, self.p_good, strict=True) if p is not None},
            p_inferior={k: p for k, p in zip(grid, self.p_bad, strict=True) if p is not None},
            reason=reason if whole else "",
            record=record,
        )

    def _more(self, between: Sequence[float]) -> tuple[dict[float, int], str]:
        """Return the seeds that more claims need: what is incomplete, else what would decide."""
        if not between:
            return {}, ""
        if self.located is not None:
            left = PILOT - len(self.runs[self.grid.index(self.located.keep)].keys() & {0, 1, 2})
            return {self.located.keep: left}, "the pilot is incomplete"
        lacking = {
            self.grid[i]: sum(seed not in self.runs[i] for seed in range(self.seeds))
            for i in sorted(set(self._open()))
        }
        if lacking:
            return lacking, ""
        search = self.search
        if search.planned is not None and self.evaluation >= search.planned:
            return {}, f"the error of {search.planned} planned evaluations is spent"
        level = level_for_seeds(self.evaluation + 1, search.planned, search.level)
        more, reason = {}, ""
        for keep in dict.fromkeys((between[0], between[-1])):
            i = self.grid.index(keep)
            if not self.complete[i]:
                continue
            mean = float(self.found.mean[i, 0])
            if abs(mean + self.margin) < 1e-12 or bool(self.found.equal[i, 0]):
                reason = f"the differences at keep {keep:g} are equal or at the margin"
                continue
            deviation = math.sqrt(float(self.found.own[i, 0]))
            wanted = seeds_needed(deviation, self.margin, level, difference=mean)
            more[keep] = max(wanted - self.seeds, 1)
            if wanted > search.max_seeds:
                reason = (
                    f"{wanted:,} seeds at keep {keep:g}, more than {search.max_seeds}: its mean "
                    f"difference of {mean:+.2f} is too close to {-self.margin:g}"
                )
        return more, reason


@functools.lru_cache(maxsize=64)
def _seeds_of(
    pilot: tuple[tuple[float, ...], ...], margin: float, level: float, max_seeds: int
) -> int:
    found = moderate(pilot)
    if not float(found.pooled_df) > 0:  # nothing varies
        return PILOT + 2
    return plan_seeds([found], margin, 1, level, max_seeds).seeds


def _rate(keep: float) -> str:
    return f"{round(1 - keep, 6):g}"
