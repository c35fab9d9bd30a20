"""Change the threshold of a selection, using its scores."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._check import _labels
from ..types import Indices, Keys
from ._explanation import NOT_ELIGIBLE
from ._fields import Fields
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
    if cut is None or "groups" in selection.arguments:
        raise ValueError(
            "rethreshold needs a selection determined by a threshold of its scores, without "
            f"groups, got those of {selection.method or 'a selection'}: select again"
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
    info = {**selection.info, "threshold": value}
    if "search" in info:  # its estimate applies to the other threshold
        estimated = ("recall", "interval", "threshold", "found", "others", "checked", "missed")
        info["search"] = {k: v for k, v in info["search"].items() if k not in estimated}
    rules = selection.rules
    never = [code for code, rule in enumerate(rules) if rule in NOT_ELIGIBLE]
    open_ = ~np.isin(verdicts, never)
    kept = open_ & (scores < value if cut.get("drops_equal") else scores <= value)
    rows = np.flatnonzero(kept)
    indices = rows[by_value(scores[rows], _ties(selection, rows, keys).astype(np.uint64))]
    decided = np.where(open_, rules.index(cut["rule"]), verdicts).astype(np.uint8)
    decided[indices] = 0
    dropped = int(np.count_nonzero(open_)) - rows.size
    return {
        "indices": indices,
        "weights": None,
        "ids": _ids(selection, indices, named),
        "arguments": {**selection.arguments, "budget": None, "threshold": value},
        "verdicts": decided,
        "info": {**info, cut["count"]: dropped},
        "shorten": None,
        "kept_rows": None,  # those of the other threshold
        "similarities": None,
    }


def _ties(selection: Fields, rows: Indices, keys: Keys | None) -> Keys | Indices:
    """Return the tie-breaking keys of these rows."""
    if keys is not None:
        return keys[rows]
    if "ids" not in selection.arguments:
        return keys_for(selection.arguments.get("seed", 0), None, selection.size or 0)[rows]
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
