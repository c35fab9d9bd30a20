"""Keywords of every selector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from numpy.typing import ArrayLike

from ... import _check

__all__ = ["Options"]


class Options(TypedDict, total=False):
    """Keywords of every selector.

    seed : int in [0, 2**64), default 0
    ids : int or str array of shape (N,), optional
        Distinct names of the rows. Ties are broken by a hash of (seed, id), so the selection does
        not depend on the order of the rows; clusters that a method makes by k-means do.
    on_bad : {"raise", "drop"}, default "raise"
        Treatment of rows that are not finite.
    already_selected : int array, optional
        Rows that are already kept: they are not picked again, and are part of neither the budget
        nor the result. Methods that spread their picks avoid their neighbourhood.
    groups : int or str array of shape (N,), optional
        Class, source or language of each row: the budget is apportioned to the groups, and the
        method selects from each group separately.
    unlabeled : {"raise", "group", "drop"}, default "raise"
        Treatment of rows whose group is missing (None, NaN, NA, a null): refuse them, make them an
        additional group, or never pick them. That group is named -1; a mapping by group may use
        None too. In an array of ints, -1 is a group of that name, and is missing only for "drop".
    group_budgets : {"proportional", "equal", "sqrt"} or mapping, default "proportional"
        "equal" uses the same count for all groups, up to their sizes. A mapping gives the count of
        every group, whole numbers that add up to the budget, or the share of every group, which add
        up to 1 and are rounded to whole rows by largest remainder; ties go to the group that sorts
        first. Other values are refused, as is a mapping without one of the groups.
    floor, cap : int or mapping, optional
        Minimum and maximum number of rows of a group, as one whole number or by group; a group that
        is not named has no limit.
    shortfall : {"raise", "redistribute", "accept"}, default "raise"
        Treatment of a group with fewer rows than its quota; see `quota`.
    costs : int array of shape (N,), optional
        Tokens or bytes of each row, whole numbers >= 0. The budget is then in these units, or a
        fraction of their sum, and the selection is the longest one within the budget. For ranked
        methods, without groups. `quota` and `samplemix` document their own use.
    max_memory : int or str, optional
        Bytes, or text such as "4GiB". A method whose estimate exceeds it raises an error before it
        starts; see `estimate`. `facility_location` chooses an algorithm that fits.
    """

    seed: int
    ids: ArrayLike | None
    on_bad: Literal["raise", "drop"]
    already_selected: ArrayLike | None
    groups: ArrayLike | None
    unlabeled: Literal["raise", "group", "drop"]
    group_budgets: str | Mapping[Any, float]
    floor: float | Mapping[Any, float] | None
    cap: float | Mapping[Any, float] | None
    shortfall: Literal["raise", "redistribute", "accept"]
    costs: ArrayLike | None
    max_memory: int | str | None


WORDS = {
    "on_bad": ("raise", "drop"),
    "group_budgets": ("proportional", "equal", "sqrt"),
    "shortfall": ("raise", "redistribute", "accept"),
    "unlabeled": ("raise", "group", "drop"),
}


_OF_GROUPS = {
    "group_budgets": "proportional",
    "floor": None,
    "cap": None,
    "shortfall": "raise",
    "unlabeled": "raise",
}  # with their defaults


def check_options(name: str, options: Options) -> None:
    """Refuse unknown keywords, and words that an option does not allow."""
    unknown = set(options) - set(Options.__annotations__)
    if unknown:
        raise TypeError(f"{name} got unexpected arguments {sorted(unknown)}")
    check_words(options)


def refuse_without_groups(options: Options) -> None:
    """Refuse options that only groups obey: they would be ignored."""
    if options.get("groups") is not None:
        return
    given: Mapping[str, Any] = options
    for name, default in _OF_GROUPS.items():
        value = given.get(name)
        if value is not None and not (isinstance(value, str) and value == default):
            raise ValueError(
                f"{name} must be omitted without groups, got {value!r}: give groups=, the class, "
                "source or language of each row"
            )


def check_words(options: Options) -> None:
    """Refuse a word that an option does not allow, even if the option is not used."""
    for name, words in WORDS.items():
        value = options.get(name)
        given_by_group = name == "group_budgets" and not isinstance(value, str)
        if value is not None and not given_by_group:  # a mapping is checked with the group names
            _check.choice(name, value, words)
