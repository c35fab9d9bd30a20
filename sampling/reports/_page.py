"""The page of a selection: its answer and its sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._report._page import whole
from .._version import __version__
from ._charts import coverage, mapped, scores
from ._counts import checks, columns_of, groups, origin, percent, waterfall, weights
from ._examples import chosen, sections, twins
from ._view import View

PROGRAM = "sampling report"
_HIDDEN = "(not shown)"
# Values that a person wrote for the method, and that are never rows of the data.
_OPEN = {
    "method",
    "columns",
    "on_bad",
    "rule",
    "keep",
    "metric",
    "embeddings",
    "max_memory",
    "ids",
    "order",
    "name",
    "unlabeled",
    "weighting",
    "transform",
    "within",
}


def page(view: View) -> str:
    """Return the page as HTML."""
    by, numbers = columns_of(view)
    counted, lost = groups(view, by)
    scored = scores(view, numbers)
    covered, said = coverage(view)
    on_map = mapped(view)
    lists, more = twins(view)
    shown = []
    held = 0
    if view.options.examples:
        lists = chosen(view, lists)
        shown, held = sections(view, lists), int(lists.rows.size)
    found = [
        waterfall(view),
        checks(view, lost, more),
        *counted,
        *scored,
        covered,
        on_map,
        *shown,
        weights(view),
        origin(view, _open if view.options.examples else _shared),
    ]
    return whole(
        PROGRAM,
        f"Selection: {view.name or view.selection.method or 'unnamed'}",
        _facts(view),
        held,
        _answer(view, lost, said),
        [each for each in found if each is not None],
        version=__version__,
    )


def _facts(view: View) -> str:
    kind = view.selection.method
    if kind == "plan" or len(view.steps) > 1:
        kind = " → ".join(step.name for step in view.steps if step.method != "read")
    parts = [kind, f"{view.size:,} rows"]
    if view.has_embeddings and view.embeddings is not None:
        parts.append(f"embeddings of {view.embeddings.shape[1]:,} dimensions")
    return ", ".join(part for part in parts if part)


def _answer(view: View, lost: list[str], said: str) -> list[str]:
    kept, size = view.kept.size, view.size
    found = [f"Keeps {kept:,} of {size:,} rows ({percent(kept, size)}) and drops {size - kept:,}."]
    if len(view.steps) > 1:
        each = ", ".join(f"{step.name} {step.dropped:,}" for step in view.steps)
        found.append(f"Dropped by stage: {each}.")
    checked = any(each["checked"] for each in view.inputs)
    found.append(
        "The table is the one that was selected from."
        if checked
        else "Not checked: nothing shows that this is the table that was selected from."
    )
    if view.bad():
        found.append(f"{view.bad():,} rows were dropped unseen, because a value is not finite.")
    return [*found, *lost[:3], *([said] if said else [])]


def _open(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments for a page that may show the data."""
    return dict(given)


def _shared(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments for a page to be shared: without values that may come from the data."""
    return {
        name: value if name in _OPEN else _without(name, value) for name, value in given.items()
    }


def _without(name: str, value: Any) -> Any:  # any JSON value
    if value is None or isinstance(value, bool | int | float):
        return value
    if name == "where":
        return [[column, sign, _without("", each)] for column, sign, each in value]
    if name in ("settings", "clusters", "neighbours") and isinstance(value, Mapping):
        return _shared(value)
    if isinstance(value, Mapping):
        return f"(numbers of {len(value)} groups)"
    if isinstance(value, list | tuple):
        plain = all(isinstance(each, bool | int | float) for each in value)
        return list(value) if plain and name != "already_selected" else f"({len(value)} values)"
    return _HIDDEN
