"""The steps of a selection: which stage dropped each row, by which rule, and by which score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..io import digest, load_selection
from ..record import NOT_ELIGIBLE, Selection
from ..types import Indices

Steps = NDArray[np.int16]  # (N,): 0 for a kept row, else the number of the step that dropped it
_READ = "read"


@dataclass(frozen=True)
class Step:
    """A stage of a plan or of a chain of commands, or the one step of another selection.

    Parameters
    ----------
    number : int
        From 1.
    name, method : str
        Name of the stage, and its method.
    rules : mapping of str to int
        Number of rows that each rule dropped.
    codes : mapping of str to int
        Index of each rule in the `rules` of the selection.
    info : mapping
        The diagnostics of the stage.
    scores : float array of shape (N,), optional
        The scores of the step, of rows that reached it.
    """

    number: int
    name: str
    method: str
    rules: Mapping[str, int]
    codes: Mapping[str, int]
    info: Mapping[str, Any]
    scores: NDArray[Any] | None = None

    @property
    def dropped(self) -> int:
        """Number of rows that it dropped."""
        return sum(self.rules.values())

    @property
    def copies(self) -> dict[str, int]:
        """The rules by which rows were dropped as copies of others, and their indices."""
        return {rule: code for rule, code in self.codes.items() if "copy" in rule}

    @property
    def unjudged(self) -> list[int]:
        """Indices of the rules of rows that were not eligible."""
        return [code for rule, code in self.codes.items() if rule in NOT_ELIGIBLE]


def steps_of(selection: Selection, size: int, folder: Path | None) -> tuple[list[Step], Steps]:
    """Return the steps in order, and the number of the step that dropped each row: int16 (N,).

    folder : that of the files of a plan's stages, which hold their scores
    """
    entries = [each for each in selection.info.get("stages", ()) if "method" in each]
    entries, verdicts = entries or _chained(selection), selection.verdicts
    if verdicts is None or not entries:
        return _one(selection, size)
    counts = np.bincount(verdicts, minlength=len(selection.rules))
    names = [_READ, *(each["name"] for each in entries)]
    owned: dict[str, dict[str, int]] = {name: {} for name in names}
    for code, rule in enumerate(selection.rules):
        fits = [name for name in names if rule.startswith(f"{name}: ")]
        if code and fits:
            name = max(fits, key=len)
            owned[name][rule.removeprefix(f"{name}: ")] = code
    found: list[tuple[str, str, Mapping[str, Any], NDArray[Any] | None]] = []
    if owned[_READ]:
        found.append((_READ, "read", {}, None))
    before: NDArray[Any] | None = None
    for entry in entries:
        scores = entry["scores"] if "scores" in entry else _scores_in(entry, folder)
        new = None if scores is not None and _same(scores, before) else scores
        before = before if scores is None else scores
        found.append((entry["name"], entry["method"], entry.get("info", {}), new))
    steps = []
    of_code = np.zeros(len(selection.rules), np.int16)
    for number, (name, method, info, scores) in enumerate(found, 1):
        codes = owned[name]
        of_code[list(codes.values())] = number
        rules = {rule: int(counts[code]) for rule, code in codes.items() if counts[code]}
        steps.append(Step(number, name, method, rules, codes, info, scores))
    return steps, of_code[verdicts]


def _chained(selection: Selection) -> list[dict[str, Any]]:
    """Return the stages of a selection among the rows of another one, from the names of its rules.

    Empty if it is of no other, or of one whose rules are unknown. Only the last stage is described;
    stages of one method are one.
    """
    parts = [rule.partition(": ") for rule in selection.rules[1:]]
    if not (selection.info.get("within") and all(rest for _, _, rest in parts)):
        return []
    names = [each for each in dict.fromkeys(name for name, _, _ in parts) if each != _READ]
    known = {"info": selection.info, "scores": selection.scores}
    last = selection.method or names[-1]
    others = [{"name": name, "method": name} for name in names if name != last]
    return [*others, {"name": last, "method": last, **known}]


def _one(selection: Selection, size: int) -> tuple[list[Step], Steps]:
    """Return the one step of a selection that is of no plan, or whose rules are unknown."""
    dropped = np.ones(size, np.int16)
    dropped[selection.indices] = 0
    name = selection.method or "selection"
    rules, codes = {"dropped": int(np.count_nonzero(dropped))}, dict[str, int]()
    if selection.verdicts is not None:
        counts = np.bincount(selection.verdicts, minlength=len(selection.rules)).tolist()
        codes = {rule: code for code, rule in enumerate(selection.rules) if code}
        rules = {rule: counts[code] for rule, code in codes.items() if counts[code]}
    scores = selection.scores if "stages" not in selection.info else None
    return [Step(1, name, name, rules, codes, selection.info, scores)], dropped


def _scores_in(entry: Mapping[str, Any], folder: Path | None) -> NDArray[Any] | None:
    """Return the scores in the files of a stage (N,), if they are there as they were written."""
    files: Mapping[str, str] = entry.get("files") or {}
    if folder is None or entry["method"] == "filter" or not files:
        return None
    there = {folder / name: then for name, then in files.items()}
    if not all(path.is_file() and digest(path) == then for path, then in there.items()):
        return None
    kept = [path for path in there if not path.name.endswith(".dropped.parquet")]
    return load_selection(kept[0]).scores if kept else None


def _same(scores: NDArray[Any], before: NDArray[Any] | None) -> bool:
    """Return whether a stage only passed on the scores of the one before it."""
    return before is not None and bool(np.array_equal(scores, before, equal_nan=True))


def reached(step: Step, dropped_by: Steps) -> NDArray[np.bool_]:
    """Return a mask of the rows that reached a step."""
    found: NDArray[np.bool_] = (dropped_by == 0) | (dropped_by >= step.number)
    return found


def survived(step: Step, dropped_by: Steps) -> NDArray[np.bool_]:
    """Return a mask of the rows that a step kept."""
    found: NDArray[np.bool_] = (dropped_by == 0) | (dropped_by > step.number)
    return found


def removed(selection: Selection, codes: Sequence[int], dropped_by: Steps, step: Step) -> Indices:
    """Return the rows that rules of a step dropped; all that it dropped if rules are unknown."""
    if selection.verdicts is None:
        return np.flatnonzero(dropped_by == step.number)
    return np.flatnonzero(np.isin(selection.verdicts, list(codes)))
