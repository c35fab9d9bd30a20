"""Verdicts of a table: all rows against their reference on one metric, at one evaluation.

The order of use: three seeds of every row (a pilot, which has no verdicts), `Evaluation.plan` for
the number of seeds, those seeds, `evaluate`, and its `record` in the folder. More seeds make the
next evaluation, which spends less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ... import _check
from ..._check._keywords import told
from ._distributions import Floats
from ._examples import Components, NewExamples, new_examples
from ._holm import holm
from ._moderated import moderate
from ._seeds import MOST, PILOT, SeedPlan, plan_seeds, seeds_needed
from ._spending import LEVEL, level_at, level_for_seeds

NON_INFERIOR = "non-inferior"
INFERIOR = "inferior"
UNDECIDED = "undecided"
ALL_EQUAL = "all equal"
IN_PILOT = "pilot"
_PLAIN = 0.025  # on each side of an interval without correction
Key = tuple[str, float]


@dataclass(frozen=True, eq=False)
class Row:
    """A method at a keep fraction, as differences from the reference.

    Parameters
    ----------
    name : str
        Method.
    keep : float
        Keep fraction. Rows of one keep fraction share what they know of the variance.
    differences : array of shape (S,)
        Row minus reference by seed, positive where the row is better, in the unit of the margin;
        NaN where one of both lacks the seed. Position s is the same seed in all rows of a table.
    examples : Components, optional
        Mean squares of the differences per test example, in the same unit.
    """

    name: str
    keep: float
    differences: ArrayLike
    examples: Components | None = None


@told
@dataclass(frozen=True)
class Verdict:
    """What a table says about one row.

    Attributes
    ----------
    name, keep : str, float
        The row.
    seeds : int
        Seeds that row and reference have in common.
    mean : float
        Mean difference; NaN without a seed.
    low, high : float
        Two-sided 95 % interval by the moderated t, without correction; NaN without a spread.
    low_all, high_all : float
        Interval that holds for all rows at all evaluations together (Bonferroni); NaN in a pilot.
    p_non_inferior, p_inferior, p_zero : float
        p-values of mean > -margin and mean < -margin, one-sided, and of mean != 0, two-sided;
        without correction. NaN in a pilot and where all differences are equal.
    decision : str
        "non-inferior", "inferior" or "undecided" by Holm's method; "all equal" if the differences
        are, and have no spread to test with; "pilot" up to three seeds.
    decided_at : int or None
        Evaluation that decided it.
    zero_excluded : bool
        Whether the interval of all rows excludes 0.
    all_equal : bool
        Whether all differences are equal.
    seeds_needed : int or None
        Seeds for a power of 0.8 at no true difference, at the level of one row; None if the row is
        decided, its spread is unknown, or no error is left to spend.
    new_examples : NewExamples or None
        Interval for new examples of the same source, 95 %, without correction.
    on_test_set : bool
        Whether the decision holds on this test set only: the same test for new examples does not
        come to it.
    note : str
        Sentences in addition, or empty.
    """

    name: str
    keep: float
    seeds: int
    mean: float
    low: float
    high: float
    low_all: float
    high_all: float
    p_non_inferior: float
    p_inferior: float
    p_zero: float
    decision: str
    decided_at: int | None
    zero_excluded: bool
    all_equal: bool
    seeds_needed: int | None
    new_examples: NewExamples | None
    on_test_set: bool
    note: str

    @property
    def words(self) -> str:
        """The decision as a table prints it."""
        return f"{self.decision} on this test set" if self.on_test_set else self.decision


@told
@dataclass(frozen=True)
class Evaluation:
    """Verdicts of all rows of a table, and what they spent.

    Attributes
    ----------
    number : int
        Number of the evaluation, from 1; 0 for a pilot.
    is_new : bool
        Whether it has seeds that no earlier evaluation had, so that its record must be stored.
    family : str
        Metric and reference, as given.
    margin : float
        Margin of the decisions.
    spent : float
        One-sided familywise level of this evaluation; 0 for a pilot and after the planned ones.
    level, planned : float, int or None
        One-sided level over all evaluations, and their planned number.
    verdicts : tuple of Verdict
        One for each row, in the order of the rows.
    plan : SeedPlan or None
        Seeds that decide the table at the next evaluation; None if no row is open, the spread is
        unknown, or no error is left to spend.
    """

    number: int
    is_new: bool
    family: str
    margin: float
    spent: float
    level: float
    planned: int | None
    verdicts: tuple[Verdict, ...]
    plan: SeedPlan | None

    def record(self) -> dict[str, Any]:
        """Return what later evaluations need, of types that JSON has."""
        return {
            "evaluation": self.number,
            "family": self.family,
            "margin": self.margin,
            "level": self.level,
            "planned": self.planned,
            "rows": [
                {
                    "name": each.name,
                    "keep": each.keep,
                    "seeds": each.seeds,
                    "decision": each.decision,
                    "decided_at": each.decided_at,
                    "on_test_set": each.on_test_set,
                }
                for each in self.verdicts
            ],
        }


def evaluate(
    rows: Sequence[Row],
    margin: float,
    *,
    earlier: Sequence[Mapping[str, Any]] = (),
    family: str = "",
    planned: int | None = None,
    level: float = LEVEL,
    max_seeds: int = MOST,
    pilot: int = PILOT,
) -> Evaluation:
    """Return the verdicts of a table.

    Parameters
    ----------
    rows : sequence of Row
        All rows of the table but the reference: a verdict depends on how many there are, so print
        some of the verdicts rather than evaluate some of the rows.
    margin : float > 0
        Margin of non-inferiority, in the unit of the differences.
    earlier : sequence of mapping, default none
        Records of the earlier evaluations, oldest first; those of other families are ignored.
    family : str, default ""
        Metric and reference, such as "accuracy against full".
    planned : int, optional
        Number of evaluations, given before the first one. By default there is no plan.
    level : float in (0, 0.5), default 0.025
        One-sided familywise level over all evaluations.
    max_seeds : int >= 5, default 20
        Most seeds of the plan.
    pilot : int >= 0, default 3
        First seeds whose spread set the number of seeds, and is not used again; 0 for a number that
        was fixed beforehand. A row with no more seeds than 3 has no verdict in either case.

    Returns
    -------
    Evaluation
        A pilot if no row has more than three seeds.

    Raises
    ------
    ValueError
        If a row occurs twice, rows have different lengths, or `planned` or `level` is not that of
        the earlier evaluations.

    Notes
    -----
    Two directions. "Non-inferior" and "inferior" are two families of hypotheses, each tested by
    Holm's method at the one-sided level: the probability that any row is wrongly called
    non-inferior is at most 0.025, and so is that of any wrong "inferior", as with the two sides of
    one 95 % interval. Of the two hypotheses of a row at most one is true, unless its mean is
    exactly minus the margin, so a row that cannot be wrong on one side adds its error to the other
    alone.

    Decisions stay. A hypothesis rejected at an earlier evaluation is rejected, and leaves the
    family of the later ones. The level of an evaluation bounds the first false rejection, at which
    all true hypotheses are still in the family, so the sum of the levels bounds the error. A
    decision that was dropped whenever new seeds are less clear would be no safer, and the table
    would contradict itself. If new data contradict it, the note says so. With another margin, the
    hypotheses are others: evaluations count, decisions do not.

    Rows added later belong to the family from then on. Rows of the pilot and rows all of whose
    differences are equal are members that cannot be rejected.

    Holm's method can decide a row whose interval for all rows contains minus the margin: the
    interval is Bonferroni's, which is wider than Holm's last steps.

    Examples
    --------
    >>> rows = [
    ...     Row("rs2", 0.5, [0.05, -0.1, 0.08, 0.02, -0.04, 0.01, 0.03, -0.06]),
    ...     Row("top:el2n", 0.5, [-2.1, -1.8, -2.4, -2.0, -1.9, -2.2, -2.3, -1.7]),
    ... ]
    >>> first = evaluate(rows, 0.3)
    >>> [each.words for each in first.verdicts]
    ['non-inferior', 'inferior']
    >>> again = evaluate(rows, 0.3, earlier=[first.record()])
    >>> first.number, first.is_new, again.number, again.is_new
    (1, True, 1, False)
    """
    given = list(rows)
    margin = _check.number("margin", margin, "(0, inf)")
    level = _check.number("level", level, "(0, 0.5)")
    keys = _keys(given)
    past = _of_family(earlier, family, planned, level)
    table = _Table(given, _check.integer("pilot", pilot, 0))
    tested = table.seeds > PILOT
    number, is_new = _number(keys, table.seeds, tested, past)
    spent = level_at(number, planned, level) if number else 0.0
    count = max(len(given), 1)

    carried = _carried(keys, past, margin)
    p = {
        NON_INFERIOR: np.where(tested, table.non_inferior(margin), np.nan),
        INFERIOR: np.where(tested, table.inferior(margin), np.nan),
    }
    decisions = _decide(p, spent, [each.decision for each in carried])
    others = _for_new_examples(table, margin, p)
    on_new = _decide(others, spent, [each.for_new_examples for each in carried])
    at = [
        number if word != each.decision else each.at
        for word, each in zip(decisions, carried, strict=True)
    ]

    low, high = table.interval(_PLAIN)
    low_all, high_all = table.interval(spent / count if spent else np.nan)
    zero = np.where(tested, table.not_zero(), np.nan)
    following = level_for_seeds(number + 1, planned, level)
    if planned is not None and number >= planned:
        following = 0.0
    verdicts = []
    for i, row in enumerate(given):
        decision = decisions[i]
        if decision == UNDECIDED and not tested[i]:
            decision = IN_PILOT
        elif decision == UNDECIDED and table.equal[i]:
            decision = ALL_EQUAL
        decided = decision in (NON_INFERIOR, INFERIOR)
        on_test_set = decided and row.examples is not None and on_new[i] != decision
        needed = None
        if following and not decided and table.shrunk[i] > 0:
            needed = seeds_needed(math.sqrt(table.shrunk[i]), margin, following / count)
        verdicts.append(
            Verdict(
                name=row.name,
                keep=float(row.keep),
                seeds=int(table.seeds[i]),
                mean=float(table.mean[i]),
                low=float(low[i]),
                high=float(high[i]),
                low_all=float(low_all[i]) if tested[i] else math.nan,
                high_all=float(high_all[i]) if tested[i] else math.nan,
                p_non_inferior=float(p[NON_INFERIOR][i]),
                p_inferior=float(p[INFERIOR][i]),
                p_zero=float(zero[i]),
                decision=decision,
                decided_at=at[i],
                zero_excluded=bool(tested[i] and (low_all[i] > 0 or high_all[i] < 0)),
                all_equal=bool(table.equal[i]),
                seeds_needed=needed,
                new_examples=table.new[i],
                on_test_set=on_test_set,
                note=_note(decision, at[i], number, planned, table, i, margin),
            )
        )
    still = any(each.decision not in (NON_INFERIOR, INFERIOR) for each in verdicts)
    plan = None
    if following and still and any(float(each.pooled_df) > 0 for each in table.pools):
        plan = plan_seeds(table.pools, margin, count, following, max_seeds)
    return Evaluation(number, is_new, family, margin, spent, level, planned, tuple(verdicts), plan)


class _Table:
    """The moments of all rows, each moderated by the rows of its keep fraction."""

    def __init__(self, rows: Sequence[Row], pilot: int) -> None:
        lengths = {np.asarray(row.differences).shape for row in rows}
        if len(lengths) > 1 or any(len(shape) != 1 for shape in lengths):
            raise ValueError(
                "differences of all rows must have one shape (S,), NaN where a seed is missing, "
                f"got {', '.join(map(str, sorted(lengths)))}"
            )
        values = np.array([np.asarray(row.differences, float) for row in rows])
        keeps = np.array([float(row.keep) for row in rows])
        self.at = [np.flatnonzero(keeps == keep) for keep in sorted(set(keeps.tolist()))]
        self.pools = [moderate(values[places], pilot=pilot) for places in self.at]
        self.rows = len(rows)
        self.mean = self._of("mean")
        self.seeds = self._of("seeds").astype(int)
        self.variance = self._of("variance")
        self.shrunk = self._of("shrunk")
        self.df = self._of("df")
        self.equal = self._of("equal").astype(bool)
        self.new = [
            None if row.examples is None or self.seeds[i] < 2 else self._new(i, row.examples)
            for i, row in enumerate(rows)
        ]

    def _of(self, name: str) -> Floats:
        return self._spread([getattr(each, name) for each in self.pools])

    def _spread(self, parts: Sequence[np.ndarray]) -> Floats:
        found = np.full(self.rows, np.nan)
        for places, part in zip(self.at, parts, strict=True):
            found[places] = part
        return found

    def _new(self, i: int, found: Components) -> NewExamples | None:
        if found.seeds != self.seeds[i]:
            raise ValueError(
                f"examples of a row must have its seeds, got {found.seeds} seeds for "
                f"{self.seeds[i]} differences in row {i}"
            )
        return new_examples(
            float(self.mean[i]), found, _PLAIN, variance=float(self.variance[i]), df=self.df[i]
        )

    def non_inferior(self, margin: float) -> Floats:
        return self._spread([each.non_inferior(margin) for each in self.pools])

    def inferior(self, margin: float) -> Floats:
        return self._spread([each.inferior(margin) for each in self.pools])

    def not_zero(self) -> Floats:
        return self._spread([each.not_zero() for each in self.pools])

    def interval(self, tail: float) -> tuple[Floats, Floats]:
        both: list[tuple[Floats, Floats]] = [each.interval(tail) for each in self.pools]
        return self._spread([low for low, _ in both]), self._spread([high for _, high in both])


def _keys(rows: Sequence[Row]) -> list[Key]:
    keys: list[Key] = [
        (_check.text("name", row.name), _check.number("keep", row.keep)) for row in rows
    ]
    for i, key in enumerate(keys):
        if key in keys[:i]:
            raise ValueError(f"rows must differ, got {key[0]!r} at keep {key[1]:g} twice (row {i})")
    return keys


def _of_family(
    earlier: Sequence[Mapping[str, Any]], family: str, planned: int | None, level: float
) -> list[Mapping[str, Any]]:
    past = [each for each in earlier if each["family"] == family]
    for each in past:
        for name, value in (("planned", planned), ("level", level)):
            if each[name] != value:
                raise ValueError(
                    f"{name} must be that of evaluation {each['evaluation']}, {each[name]}, got "
                    f"{value}: how error is spent cannot change after a verdict"
                )
    return past


def _number(
    keys: Sequence[Key], seeds: np.ndarray, tested: np.ndarray, past: Sequence[Mapping[str, Any]]
) -> tuple[int, bool]:
    """Return the number of this evaluation, and whether it has seeds that were not evaluated."""
    last = max((int(each["evaluation"]) for each in past), default=0)
    known = {
        (row["name"], row["keep"]): row["seeds"]
        for each in past
        if each["evaluation"] == last
        for row in each["rows"]
    }
    is_new = any(
        known.get(key) != int(count)
        for key, count, counts in zip(keys, seeds, tested, strict=True)
        if counts
    )
    return last + is_new, is_new


@dataclass(frozen=True)
class _Carried:
    """What earlier evaluations decided about a row, on this test set and for new examples."""

    decision: str = UNDECIDED
    at: int | None = None
    for_new_examples: str = UNDECIDED


def _carried(
    keys: Sequence[Key], past: Sequence[Mapping[str, Any]], margin: float
) -> list[_Carried]:
    found: dict[Key, _Carried] = {}
    for each in past:
        for row in each["rows"] if each["margin"] == margin else ():
            key, decision = (row["name"], row["keep"]), row["decision"]
            before = found.get(key, _Carried())
            if decision not in (NON_INFERIOR, INFERIOR):
                continue
            new = before.for_new_examples
            if new == UNDECIDED and not row["on_test_set"]:
                new = decision
            found[key] = _Carried(decision, row["decided_at"], new)
    return [found.get(key, _Carried()) for key in keys]


def _decide(p: Mapping[str, Floats], spent: float, carried: Sequence[str]) -> list[str]:
    """Return the decision of each row by Holm's method; carried decisions stay."""
    decisions = list(carried)
    for word, values in p.items():
        rejected = holm(values, spent, np.array([each == word for each in carried], bool))
        for i in np.flatnonzero(rejected):
            if decisions[i] == UNDECIDED:
                decisions[i] = word
    return decisions


def _for_new_examples(table: _Table, margin: float, p: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the p-values for new examples; those of this test set where examples are not known.

    Never below those of this test set: what is not shown here is not shown elsewhere.
    """
    found = {word: values.copy() for word, values in p.items()}
    for i, new in enumerate(table.new):
        if new is None:
            continue
        mean = float(table.mean[i])
        found[NON_INFERIOR][i] = np.maximum(p[NON_INFERIOR][i], new.non_inferior(mean, margin))
        found[INFERIOR][i] = np.maximum(p[INFERIOR][i], new.inferior(mean, margin))
    return found


def _note(
    decision: str,
    decided_at: int | None,
    number: int,
    planned: int | None,
    table: _Table,
    i: int,
    margin: float,
) -> str:
    parts = []
    mean, seeds = float(table.mean[i]), int(table.seeds[i])
    if decision == IN_PILOT:
        parts.append(f"{seeds} seeds are a pilot, it takes {PILOT + 1} to give a verdict")
    if table.equal[i] and seeds > 1:
        parts.append(f"all {seeds} differences are {mean:+.3g}: their spread is unknown")
    if decided_at is not None and decided_at < number:
        parts.append(f"decided at evaluation {decided_at}")
        if (mean < -margin) == (decision == NON_INFERIOR):
            side = "below" if mean < -margin else "above"
            parts.append(f"the mean is now {side} minus the margin")
    if planned is not None and number > planned and decided_at is None:
        parts.append(
            f"evaluation {number} of {planned} planned: the error is spent, nothing more is decided"
        )
    return "; ".join(parts)
