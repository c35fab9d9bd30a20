"""Change the threshold of a selection, using its scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._check import _labels
from ..types import Indices, Keys
from ._explanation import NOT_ELIGIBLE
from ._fields import Fields
from .copies import copies_at
from .keys import by_value, keys_for


def changes_at(
    selection: Fields,
    threshold: float,
    *,
    keys: Keys | None = None,
    names: ArrayLike | None = None,
) -> dict[str, Any]:
    """Return the fields that change at another threshold; see `at_threshold`."""
    cut, scores, verdicts = selection.info.get("cut"), selection.scores, selection.verdicts
    if cut is None and "stages" in selection.info:
        raise ValueError(
            "rethreshold needs a plan whose last stage has a threshold, got one that drops more "
            "rows after it: change the threshold in the plan and run it again, which compares no "
            "rows again"
        )
    rule = selection.arguments.get("rule", "any_earlier")
    if cut is None or "groups" in selection.arguments:
        raise ValueError(
            "rethreshold needs a selection determined by a threshold of its scores, without "
            f"groups, got those of {selection.method or 'a selection'}: select again"
            + ("" if rule == "any_earlier" else ", with rule='any_earlier'")
        )
    if scores is None or verdicts is None:
        raise ValueError(
            "rethreshold needs the scores of all rows, got those of the kept: save with "
            "dropped=True"
        )
    value = _check.number("threshold", threshold, cut["range"])
    named = None if names is None else _labels.names_of_rows("names", names)
    for name, each in (("keys", keys), ("names", named)):
        if each is not None:
            array = _check.one_dimensional(name, each)
            _check.same_length(name, array, "the data", len(scores))
    if keys is not None:
        keys = _check.one_dimensional("keys", keys)
        _check.refuse_other_than_ints("keys", keys)
    info = {**selection.info, "threshold": value}
    if "search" in info:  # its estimate applies to the other threshold
        estimated = ("recall", "interval", "threshold", "found", "others", "checked", "missed")
        info["search"] = {k: v for k, v in info["search"].items() if k not in estimated}
    if selection.weights is not None:
        raise ValueError(
            "rethreshold needs a selection without weights, got one whose weights are those of an "
            "earlier stage: select again"
        )
    rules, stage = selection.rules, cut.get("stage", "")
    open_ = np.isin(verdicts, [code for code, rule in enumerate(rules) if _decided(rule, stage)])
    kept = open_ & (scores < value if cut.get("drops_equal") else scores <= value)
    rows = np.flatnonzero(kept)
    indices = rows[by_value(scores[rows], _ties(selection, rows, keys).astype(np.uint64))]
    always = [rules.index(rule) for rule in cut.get("always", ()) if rule in rules]
    changed = open_ & ~np.isin(verdicts, always)  # the others are copies at every threshold
    decided = np.where(changed, rules.index(cut["rule"]), verdicts).astype(np.uint8)
    decided[indices] = 0
    dropped = int(np.count_nonzero(open_)) - rows.size
    copies = np.isin(decided, [rules.index(cut["rule"]), *always])
    return {
        **copies_at(selection, indices, copies, open_, value),
        "indices": indices,
        "weights": None,
        "ids": _ids(selection, indices, named),
        "arguments": {**selection.arguments, "budget": None, "threshold": value},
        "verdicts": decided,
        "info": {**info, cut["count"]: dropped},
        "shorten": None,
    }


def _decided(rule: str, stage: str) -> bool:
    """Whether a rule is one of the stage that has the threshold, and of eligible rows.

    stage : what its rules begin with in a plan, and those of other stages do not
    """
    own = rule.removeprefix(stage)
    return rule == "kept" or (rule.startswith(stage) and own not in NOT_ELIGIBLE)


def _ties(selection: Fields, rows: Indices, keys: Keys | None) -> Keys | Indices:
    """Return the tie-breaking keys of these rows."""
    if keys is not None:
        return keys[rows]
    size, cut = selection.size or 0, selection.info["cut"]
    seed = cut.get("seed", selection.arguments.get("seed", 0))
    if not cut.get("named", "ids" in selection.arguments):
        stage = cut.get("stage", "")
        codes = [code for code, rule in enumerate(selection.rules)
                 if code == 0 or rule.startswith(stage)]  # fmt: skip
        verdicts = np.asarray(selection.verdicts)
        reached = np.flatnonzero(np.isin(verdicts, codes))  # the rows it numbered
        own = keys_for(seed, None, reached.size)
        return own[np.searchsorted(reached, rows)]
    if selection.row_ids is not None:
        return keys_for(seed, selection.row_ids, size)[rows]
    place = np.full(selection.size or 0, -1)
    place[selection.indices] = np.arange(len(selection))
    if (place[rows] < 0).any():
        row = int(rows[place[rows] < 0][0])
        raise ValueError(
            "threshold must not add rows to a selection from a file without the ids of dropped "
            f"rows, got one that adds row {row}: select again"
        )
    return place[rows]


def _ids(
    selection: Fields, indices: Indices, names: NDArray[Any] | None
) -> NDArray[np.generic] | None:
    if names is not None:
        return names[indices]
    if selection.ids is None:
        return None
    place = np.zeros(selection.size or 0, np.int64)
    place[selection.indices] = np.arange(len(selection))
    found: NDArray[np.generic] = selection.ids[place[indices]]
    return found
