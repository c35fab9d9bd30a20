"""The answer in words: what the verdicts say, and what they do not."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from ..results._verdicts import REFERENCE
from ._view import INFERIOR, NON_INFERIOR, PILOT, UNDECIDED, Entry, View, is_control

_NAMED = 3  # methods in one sentence
_LETTERS = 60  # of a name in a sentence
_FEWEST = 4  # seeds of a test; three are a pilot
_LEVEL = 0.05  # of all comparisons with random, two-sided
_RANDOM = "random"


def answer(view: View) -> list[str]:
    """Return the answer as sentences, the most important first."""
    if not view.done:
        return ["No run has a result yet."]
    if view.full is None:
        return [_without_reference(view), *_best(view), *_absent(view)]
    judged = [each for each in view.done if each.verdict is not None]
    if not judged and view.said:
        return [*view.said, *_best(view), *_time(view), *_absent(view)]
    if not judged:
        return [
            f"No verdict yet: fewer than three seeds have both a method and {view.full.method}.",
            *_best(view),
            *_absent(view),
        ]
    swept = [each for each in judged if each.keep < 1]
    found = []
    if all(each.verdict and each.verdict.decision == PILOT for each in judged):
        found += [_pilot(view), *_best(view)]
    else:
        found += _limits(view, swept)
        found += _by_keep(view, swept)
        found += _whole(view, [each for each in judged if each.keep >= 1])
        found += _against_random(view)
    return [*view.said, *found, *_time(view), *_absent(view)]


def joined(names: Sequence[str], most: int = _NAMED) -> str:
    """Return names as a list in a sentence, the last ones counted."""
    shown = [_short(name) for name in dict.fromkeys(names)]
    if len(shown) > most + 1:
        return f"{', '.join(shown[:most])} and {len(shown) - most} others"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _without_reference(view: View) -> str:
    return (
        f"There are no runs on all the data ({REFERENCE}), so nothing is said about "
        f"how much {view.metric} a method loses."
    )


def _pilot(view: View) -> str:
    return (
        f"{_seeds(view.seeds)} {'are' if view.seeds > 1 else 'is'} a pilot: no verdict. The means "
        "below may order methods by chance."
    )


def _seeds(count: int) -> str:
    words = {1: "One seed", 2: "Two seeds", 3: "Three seeds"}
    return words.get(count, f"{count} seeds")


def _best(view: View) -> list[str]:
    """Say the highest mean of each keep fraction, as a number and not as a verdict."""
    found = []
    for keep in view.keeps:
        rows = [each for each in view.of_keep(keep) if each.method != REFERENCE]
        if not rows:
            continue
        best = max(rows, key=lambda each: view.sign * each.mean)
        among = f" of {len(rows)} methods" if len(rows) > 1 else ""
        full = ""
        if view.full is not None:
            full = f"; {view.full.method} has {view.number(view.full.mean)}"
        at = "At the full cost" if keep >= 1 else f"At keep {keep:g}"
        word = "best" if len(rows) > 1 else "only"
        found.append(
            f"{at} the {word} mean {view.heading}{among} is {view.number(best.mean)}, of "
            f"{best.method}{full}."
        )
    return found


def _limits(view: View, rows: Sequence[Entry]) -> list[str]:
    """Say the harshest rate that is non-inferior, which is what most readers came for."""
    good = [each for each in rows if each.verdict and each.verdict.decision == NON_INFERIOR]
    if not rows or view.full is None:
        return []
    if not good:
        unsure = any(each.verdict and each.verdict.decision != INFERIOR for each in rows)
        end = (
            "is shown to be non-inferior; where the decision is not “inferior”, more seeds may show"
            " it"
            if unsure
            else "is non-inferior"
        )
        return [
            f"On {view.title}, no method at any keep fraction below 1 {end} (margin "
            f"{_margin(view)})."
        ]
    keep = min(each.keep for each in good)
    own = [each for each in good if each.keep == keep]
    best = max(
        (each for each in own if not is_control(each.method)),
        key=lambda each: view.sign * each.mean,
        default=max(own, key=lambda each: view.sign * each.mean),
    )
    verdict = best.verdict
    seeds = verdict.seeds if verdict else 0
    where = " on this test set" if verdict and verdict.on_test_set else ""
    cost = ""
    if not math.isnan(best.total_cost) and best.total_cost > best.cost + 0.005:
        cost = f", at a total cost of {best.total_cost:.2f} of full training"
    return [
        f"On {view.title}, {best.method} trains on {_percent(keep)} of the samples within "
        f"{_margin(view)} of {view.full.method} ({NON_INFERIOR}{where}, {seeds} seeds){cost}."
    ]


def _margin(view: View) -> str:
    return f"{view.margin:.3g} {view.points}"


def _by_keep(view: View, rows: Sequence[Entry]) -> list[str]:
    """Say what is decided at each keep fraction, in one sentence where all rows are alike."""
    alike: dict[str, list[float]] = {}
    found = []
    for keep in sorted({each.keep for each in rows}, reverse=True):
        here = [each for each in rows if each.keep == keep]
        words = {_word(each) for each in here}
        if len(words) == 1 and len(here) > 1 and UNDECIDED not in words:
            alike.setdefault(words.pop(), []).append(keep)
        else:
            found.append(_at(view, keep, here))
    return found + [
        f"At keep {joined([f'{keep:g}' for keep in keeps], 20)} every method is {word}."
        for word, keeps in alike.items()
    ]


def _word(entry: Entry) -> str:
    decision = entry.verdict.decision if entry.verdict else UNDECIDED
    return decision if decision in (NON_INFERIOR, INFERIOR) else UNDECIDED


def _at(view: View, keep: float, rows: Sequence[Entry]) -> str:
    """Say what is decided at one keep fraction."""
    by: dict[str, list[Entry]] = {}
    for each in sorted(rows, key=lambda each: -view.sign * each.mean):
        by.setdefault(_word(each), []).append(each)
    parts = []
    for word, found in by.items():
        if word == UNDECIDED:
            continue
        parts.append(f"{joined([each.method for each in found])} {_is(found)} {word}")
    open_rows = by.get(UNDECIDED, [])
    if open_rows:
        needed = [each.verdict.seeds_needed for each in open_rows if each.verdict]
        known = [count for count in needed if count]
        more = f" ({max(known)} seeds needed)" if known and len(known) == len(needed) else ""
        which = (
            "nothing is decided"
            if len(open_rows) == len(rows)
            else f"{joined([each.method for each in open_rows])} {_is(open_rows)} undecided"
        )
        parts.append(which + more)
    return f"At keep {keep:g}: {'; '.join(parts)}."


def _is(rows: Sequence[Entry]) -> str:
    return "is" if len(rows) == 1 else "are"


def _whole(view: View, rows: Sequence[Entry]) -> list[str]:
    """Say which methods at the full cost differ from full data."""
    if not rows or view.full is None:
        return []
    sure = [each for each in rows if each.verdict and each.verdict.zero_excluded]
    better = [each for each in sure if each.verdict and each.verdict.mean > 0]
    worse = [each for each in sure if each.verdict and each.verdict.mean < 0]
    found = []
    for which, word in ((better, "better"), (worse, "worse")):
        if which:
            which.sort(key=lambda each: -abs(each.verdict.mean) if each.verdict else 0.0)
            said = [
                f"{each.method} ({view.number(each.verdict.mean, '+')})"
                for each in which
                if each.verdict
            ]
            found.append(
                f"At the full cost, {joined(said)} {_is(which)} significantly {word} than "
                f"{view.full.method}."
            )
    if not found:
        found.append(f"At the full cost, no method differs significantly from {view.full.method}.")
    return found


def _against_random(view: View) -> list[str]:
    """Compare every method with a random subset of the same size, as one family."""
    base = {each.keep: each for each in view.of_method(_RANDOM)}
    pairs: list[tuple[Entry, list[float]]] = []
    for each in view.done:
        if each.keep in base and each.keep < 1 and not is_control(each.method):
            other = {run.seed: run.test for run in base[each.keep].runs}
            paired = [
                view.sign * view.factor * (run.test - value)
                for run in each.runs
                if run.test is not None and (value := other.get(run.seed)) is not None
            ]
            if len(paired) >= _FEWEST:
                pairs.append((each, paired))
    if not pairs:
        return []
    better = [each for each, paired in pairs if _lowest(paired, len(pairs)) > 0]
    worse = [each for each, paired in pairs if _lowest([-v for v in paired], len(pairs)) > 0]
    how = f"(paired t intervals over seeds, simultaneous for {len(pairs)} rows)"
    if not better:
        found = [
            f"Nothing is significantly better than random subsets at the same keep fraction {how}."
        ]
    else:
        names = joined([each.name for each in better])
        found = [f"Significantly better than random subsets of the same size: {names} {how}."]
    if worse:
        names = joined([each.name for each in worse])
        found.append(f"Significantly worse than random subsets of the same size: {names}.")
    return found


def _lowest(values: Sequence[float], rows: int) -> float:
    """Return the lower end of the interval of a mean that holds for all rows together."""
    from scipy.stats import t

    deviation = statistics.stdev(values)
    if deviation <= 1e-9 * max(map(abs, values)):  # all equal: the spread is unknown
        return -math.inf
    quantile = float(t.ppf(1 - _LEVEL / 2 / rows, len(values) - 1))
    return statistics.fmean(values) - quantile * deviation / math.sqrt(len(values))


def _time(view: View) -> list[str]:
    """Say which row reaches the target first."""
    reached = [each for each in view.times if each.spent < math.inf]
    full = next((each for each in reached if each.entry is view.full), None)
    if not reached or full is None:
        return []
    first, unit = reached[0], "s" if view.seconds_of_full else "of full training"
    goal = f"a validation {view.metric} {_margin(view)} short of {full.entry.method}'s end"
    if first is full:
        return [
            f"Nothing reaches {goal} sooner than {full.entry.method} ({full.spent:.3g} {unit})."
        ]
    return [
        f"Soonest at {goal}: {first.entry.name}, in {first.spent:.3g} {unit}; {full.entry.method} "
        f"needs {full.spent:.3g} {unit}."
    ]


def _absent(view: View) -> list[str]:
    """Say how many runs have no result, by state."""
    states: dict[str, int] = {}
    for entry in view.without:
        for run in entry.others:
            states[run.state] = states.get(run.state, 0) + 1
    if not states:
        return []
    said = ", ".join(f"{count} {state}" for state, count in states.items())
    return [f"Runs without a result: {said}; the reasons are at the end."]
