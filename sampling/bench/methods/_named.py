"""Methods by what a user writes in `--methods`: names, selectors with scores, files, own code."""

from dataclasses import replace

from ... import _check
from ._method import Method
from ._registry import METHODS

EQUAL_COST = "full-fewer:"  # the control of a method that scores: all data, at its total cost


def method_named(text: str) -> Method:
    """Return a method by its name.

    Raises
    ------
    ValueError
        If there is none; the message says which name is nearest.
    """
    if text in METHODS:
        return METHODS[text]
    if text.startswith(EQUAL_COST):
        of = method_named(text.removeprefix(EQUAL_COST))
        return replace(
            METHODS["full-fewer"],
            help="All data for fewer epochs, at the total cost of that method",
            keep=of.keep,
            default_on=(),
        )
    raise ValueError(
        f"methods must be one of {', '.join(map(repr, METHODS))}, got {text!r}"
        f"{_check.closest(text, METHODS)}"
    )
