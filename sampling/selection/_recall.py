"""How many copies a search inside clusters finds: a sample of rows is compared with all rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from ..engine import over
from ..types import Indices
from ._copies import Copies, Members, unit

__all__ = ["checked_search", "default_checked", "search_note"]

_LEVEL = 0.95
_SHARE = 0.25  # of the products of the search, at most: these are larger, and faster
_MOST = 2_000
_SLACK = 2e-6  # two products of the same rows differ by less
_COSINES, _NUMBERS = 2**20, 2**18  # at a time: cosines, and numbers of rows


def default_checked(size: int, members: Members, clusters: int, passes: int) -> int:
    """Return how many rows to compare with all of `size` rows, for a quarter of its work."""
    work = members.comparisons + passes * size * clusters
    return int(min(_MOST, _SHARE * work / max(1, size)))


def checked_search(  # noqa: PLR0913  # what a search is told by
    rows: NDArray[Any],
    copies: Copies,
    classes: Indices | None,
    threshold: float,
    count: int,
    lots: NDArray[np.uint64],
) -> dict[str, Any]:
    """Estimate which part of the copies was found, from rows that are compared with all others.

    A copy is a row with an earlier row above the threshold. What was found is counted; what was
    missed is among the other rows, of which `count` are drawn at random and compared exactly.

    rows    : (N, D), finite where they take part
    classes : int64 (N,), only rows of one class are compared; None for no classes
    lots    : uint64 (N,), the rows with the lowest are drawn

    Returns JSON values: "found", "others", "checked" and "missed" rows; "recall", None if there is
    no copy at all; "interval" of the recall, two-sided 95 %, by Clopper and Pearson.
    """
    inside = copies.rank < copies.rank.size
    found = int((inside & (copies.similarity > threshold)).sum())
    others = np.flatnonzero(inside & (copies.similarity <= threshold))
    count = min(count, others.size)
    drawn = np.sort(others[np.argsort(lots[others], kind="stable")[:count]])
    facts: dict[str, Any] = {
        "exact": False, "threshold": threshold, "found": found, "others": int(others.size),
        "checked": count, "missed": None, "recall": None, "interval": None,
    }  # fmt: skip
    if count == 0 and others.size:
        return facts
    missed = int(_has_copy(rows, copies, classes, drawn, threshold + _SLACK).sum())
    facts["missed"] = missed
    low, up = _share(missed, count, others.size)
    if found or missed:
        estimate = others.size * missed / max(1, count)
        facts["recall"] = _recall(found, estimate)
        facts["interval"] = [_recall(found, others.size * each) for each in (up, low)]
    return facts


def search_note(facts: Mapping[str, Any]) -> str:
    """Return the line of a report that says how far a search for copies can be trusted."""
    if facts["exact"]:
        return "the search for copies was exact: all pairs of rows were compared"
    where = {1: "its cluster", 2: "its two nearest clusters"}[facts["num_assignments"]]
    text = f"the search for copies is approximate: a row is compared with the rows of {where}"
    if facts.get("missed") is None:
        return f"{text}; num_checked=1000 estimates how many copies that finds"
    base = (
        f"{facts['checked']:,} of the {facts['others']:,} other rows were compared with all, and "
        f"{facts['missed']:,} of these had one"
    )
    above = f"copy above {facts['threshold']:.4g}"
    if facts["recall"] is None:
        return f"{text}; no row with a {above} was found ({base})"
    of = f"of the rows with a {above}"
    if facts["checked"] == facts["others"]:
        return f"{text}; {of} {_percent(facts['recall'])} were found ({base})"
    low, high = facts["interval"]
    return (
        f"{text}; {of} about {_percent(facts['recall'])} were found "
        f"(95 % interval {_percent(low)} to {_percent(high)}: {base})"
    )


def _percent(value: float) -> str:
    """Return a share such that only a whole is written as one."""
    shown = min(value, 0.9999) if value < 1.0 else value
    return f"{100 * shown:.4g} %"


def _recall(found: int, missed: float) -> float:
    return found / (found + missed) if found else 0.0


def _share(missed: int, count: int, size: int) -> tuple[float, float]:
    """Return the interval of a share of `size` rows, of which `count` were drawn."""
    if count == size:  # nothing was left to chance
        share = missed / max(1, size)
        return share, share
    tail = (1.0 - _LEVEL) / 2.0
    low = 0.0 if missed == 0 else float(beta.ppf(tail, missed, count - missed + 1))
    high = 1.0 if missed == count else float(beta.ppf(1.0 - tail, missed + 1, count - missed))
    return low, high


def _has_copy(
    rows: NDArray[Any], copies: Copies, classes: Indices | None, drawn: Indices, threshold: float
) -> NDArray[np.bool_]:
    """Return which of some rows have an earlier row above the threshold, of all: bool (n,)."""
    own, rank = unit(np.asarray(rows[drawn])), copies.rank
    kinds = np.zeros(len(rows), np.int8) if classes is None else classes
    step = max(1, min(_COSINES // max(1, drawn.size), _NUMBERS // rows.shape[1]))

    def work(block: NDArray[Any], ranks: Indices, kind: NDArray[Any]) -> Indices:
        found = []
        for start in range(0, len(block), step):
            part = slice(start, start + step)
            cosines = own @ unit(np.asarray(block[part])).T
            some = np.flatnonzero(cosines.max(axis=1) > threshold)  # few: themselves, and copies
            at, other = np.nonzero(cosines[some] > threshold)
            at = some[at]
            earlier = ranks[part][other] < rank[drawn[at]]
            found.append(at[earlier & (kind[part][other] == kinds[drawn[at]])])
        return np.concatenate(found)

    has = np.zeros(drawn.size, np.bool_)
    for _, at in over(work, rows, rank, kinds, title="checking the search"):
        has[at] = True
    return has
