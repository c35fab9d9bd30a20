"""Estimate the recall of a search within clusters, by comparing a sample with all rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._checkpoint import part as part_of
from ...engine import blocks, over
from ...types import Indices
from ._copies import Copies, Members, unit

__all__ = ["checked_search", "default_checked", "search_note"]

_LEVEL = 0.95
_SHARE = 0.25  # at most this fraction of the products of the search; these are larger, and faster
_MOST = 2_000
_SLACK = 2e-6  # bound of the difference between two products of the same rows
_COSINES, _NUMBERS = 2**20, 2**18  # processed at a time: cosines, and numbers of rows


def default_checked(size: int, members: Members, clusters: int, passes: int) -> int:
    """Return how many rows to compare with all `size` rows, for a quarter of the search's work."""
    work = members.comparisons + passes * size * clusters
    return int(min(_MOST, _SHARE * work / max(1, size)))


def checked_search(  # noqa: PLR0913  # settings of a search
    rows: NDArray[Any],
    copies: Copies,
    classes: Indices | None,
    threshold: float,
    count: int,
    lots: NDArray[np.uint64],
) -> dict[str, Any]:
    """Estimate the recall of the search, from rows that are compared with all others.

    A copy is a row with an earlier row above the threshold. Found copies are counted; missed copies
    are among the other rows, of which `count` are drawn at random and compared exactly.

    rows    : (N, D), finite for all rows that are compared
    classes : int64 (N,), only rows of the same class are compared; None for no classes
    lots    : uint64 (N,), random keys; the rows with the lowest are drawn

    Returns JSON values: "found", "others", "checked" and "missed" rows; "recall", None if there are
    no copies; "interval" of the recall, two-sided 95 %, by Clopper and Pearson.
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
    """Return the report line on the accuracy of a search for copies."""
    if facts["exact"]:
        return "the search for copies was exact: all pairs of rows were compared"
    where = {1: "its cluster", 2: "its two nearest clusters"}[facts["num_assignments"]]
    text = f"the search for copies is approximate: a row is compared with the rows of {where}"
    if facts.get("missed") is None:
        return f"{text}; num_checked=1000 estimates its recall"
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
    """Format a fraction as a percentage, with 100 % only for exactly 1."""
    shown = min(value, 0.9999) if value < 1.0 else value
    return f"{100 * shown:.4g} %"


def _recall(found: int, missed: float) -> float:
    return found / (found + missed) if found else 0.0


def _share(missed: int, count: int, size: int) -> tuple[float, float]:
    """Return the confidence interval of a fraction of `size` rows, from a sample of `count`."""
    if count == size:  # all rows were compared
        share = missed / max(1, size)
        return share, share
    from scipy.stats import beta  # takes a second to import, and only this interval needs it

    tail = (1.0 - _LEVEL) / 2.0
    low = 0.0 if missed == 0 else float(beta.ppf(tail, missed, count - missed + 1))
    high = 1.0 if missed == count else float(beta.ppf(1.0 - tail, missed + 1, count - missed))
    return low, high


def _has_copy(
    rows: NDArray[Any], copies: Copies, classes: Indices | None, drawn: Indices, threshold: float
) -> NDArray[np.bool_]:
    """Return which of the given rows have any earlier row above the threshold: bool (n,)."""
    own, rank = unit(np.asarray(rows[drawn])), copies.rank
    own_rank = rank[drawn]
    kinds = np.zeros(len(rows), np.int8) if classes is None else classes
    own_kinds = kinds[drawn]
    step = max(1, min(_COSINES // max(1, drawn.size), _NUMBERS // rows.shape[1]))

    def work(block: NDArray[Any], ranks: Indices, kind: NDArray[Any]) -> Indices:
        found = []
        for start in range(0, len(block), step):
            part = slice(start, start + step)
            cosines = own @ unit(np.asarray(block[part])).T
            # few: the rows themselves, and copies
            some = np.flatnonzero(cosines.max(axis=1) > threshold)
            at, other = np.nonzero(cosines[some] > threshold)
            at = some[at]
            earlier = ranks[part][other] < own_rank[at]
            found.append(at[earlier & (kind[part][other] == own_kinds[at])])
        return np.concatenate(found)

    has, parts, done = np.zeros(drawn.size, np.bool_), blocks(rows), 0
    with part_of("checking the search") as saved:
        if saved.state:
            has, done = saved.state["has"], int(saved.state["done"])
        saved.make = lambda: {"has": has, "done": np.array(done)}
        left = parts[done:]
        for _, at in over(work, rows, rank, kinds, parts=left, title="checking the search"):
            has[at] = True
            done += 1
            saved.tick()
        saved.done(has=has, done=np.array(done))
    return has
