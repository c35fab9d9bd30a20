"""Methods by what a user writes in `--methods`: names, selectors with scores, files, own code."""

from __future__ import annotations

from dataclasses import replace

from ... import _check
from ._method import LOSSES, Method, Rows
from ._own import is_own, own_method
from ._registry import CONTROLS, METHODS, registered
from ._scores import SCORES
from ._selectors import example, selector_method, selectors
from ._subset_file import is_path, subset_method

EQUAL_COST = "full-fewer:"  # the control of a method that scores: all data, at its total cost


def method_named(text: str) -> Method:
    """Return a method by its name.

    Parameters
    ----------
    text : str
        The name of a registered method; a selector, NAME, NAME:SCORE or NAME:SCORE:ARGUMENT=VALUE;
        the path of a subset file; FILE.py:NAME; or "full-fewer:" and one of these.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError
        If there is none; the message says which name is nearest.
    """
    if text in METHODS:
        return METHODS[text]
    if text.startswith(EQUAL_COST):
        return _control_of(method_named(text.removeprefix(EQUAL_COST)))
    if is_own(text):
        return own_method(text)
    name = text.partition(":")[0]
    if name in selectors():
        return selector_method(text)
    if text in (others := registered()):
        return others[text]
    if is_path(text):
        return subset_method(text)
    raise ValueError(
        "methods must be names of `sampling bench --list`, SELECTOR:SCORE, subset files, or "
        f"FILE.py:NAME, got {text!r}{_nearest(text)}"
    )


def resolved(method: Method, rows: Rows) -> Method:
    """Return a method for known data, after the checks that need them.

    Raises
    ------
    ValueError, MissingExtraError
        If the method cannot run on these data, such as a subset file of another training set.
    """
    return method if method.resolve is None else method.resolve(method, rows)


def all_methods() -> list[tuple[str, str, str, tuple[str, ...], str]]:
    """Return (name, group, level, needs, help) of every method, for a table.

    Groups are "control", "sampler", "balance", "selector", "score" (a score for SELECTOR:SCORE),
    "file" and "own code". Selectors have a score for which each was made, or that it can use.
    """
    found = [
        (name, _group(name, each), str(each.level), each.needs, each.help)
        for name, each in registered().items()
    ]
    for name, entry in selectors().items():
        full = example(name)
        own = selector_method(full.replace("=P", "=1"))
        help_ = entry.summary.rstrip(".").replace("`", "")
        found.append((full, "selector", str(own.level), own.needs, help_))
    found += [
        (f"SELECTOR:{name}", "score", "draws", (), f"{score.help}; high is {score.direction}")
        for name, score in SCORES.items()
    ]
    return [
        *found,
        ("SUBSET.parquet", "file", "draws", (), "Rows that `sampling select` or Selection.save "
         "wrote, at their own keep fraction"),
        ("FILE.py:NAME", "own code", LOSSES, (), "A class of samplers, or a function that returns "
         "a sampler, a Selection, indices or a TrainingPlan"),
    ]  # fmt: skip


def _group(name: str, method: Method) -> str:
    if name in CONTROLS:
        return "control"
    return "sampler" if method.swept else "balance"


def _control_of(of: Method) -> Method:
    """Return the control of equal total cost of a method."""
    control = replace(
        METHODS["full-fewer"],
        help="All data for fewer epochs, at the total cost of that method",
        keep=of.keep,
        default_on=(),
    )
    if of.resolve is None:
        return control
    return replace(control, resolve=lambda own, rows: replace(own, keep=resolved(of, rows).keep))


def _nearest(text: str) -> str:
    """Return a suggestion of the nearest of all names."""
    text = text.removeprefix(EQUAL_COST)
    name, colon, rest = text.partition(":")
    if not colon:
        return _check.closest(text, [*registered(), *selectors(), *map(example, selectors())])
    return _check.closest(text, [f"{each}:{rest}" for each in selectors()])
