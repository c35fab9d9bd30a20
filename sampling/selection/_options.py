"""The keywords that every selector takes."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from numpy.typing import ArrayLike

from .. import _check

__all__ = ["Options"]


class Options(TypedDict, total=False):
    """Keywords of every selector.

    seed : int in [0, 2**64), default 0
    ids : int or str array of shape (N,), optional
        Names of the rows, none twice. Ties are broken by a hash of (seed, id): the selection does
        not depend on the order of the rows.
    on_bad : {"raise", "drop"}, default "raise"
        What to do about rows that are not finite.
    already_selected : int array, optional
        Rows that are kept anyway: they are not picked again, and count in neither the budget nor
        the result; methods that spread their picks keep away from them.
    groups : int or str array of shape (N,), optional
        Class, source or language of each row: the budget is shared out over them, and the method
        selects in each by itself.
    unlabeled : {"raise", "group", "drop"}, default "raise"
        What to do about rows whose group is missing (None, NaN, NA, a null): refuse them, make them
        one more group, or never pick them. That group is named -1; a mapping by group may call it
        None too. In an array of ints -1 is a group of that name, and is missing for "drop" alone.
    group_budgets : {"proportional", "equal", "sqrt"} or mapping, default "proportional"
        "equal" raises one level for all. A mapping gives every group its count, whole numbers that
        add up to the budget, or its share of the budget, which add up to 1: rounded to whole rows
        by largest remainder, on a tie up for the group that sorts first. What is neither is
        refused, as is a group that is not named.
    floor, cap : int or mapping, optional
        Least and most rows of a group, whole, as one number or by group; a group that is not named
        has none.
    shortfall : {"raise", "redistribute", "accept"}, default "raise"
        What to do where a group has fewer rows than it is given: see `quota`.
    costs : int array of shape (N,), optional
        Tokens or bytes of each row, whole numbers >= 0. The budget is then in their units, or a
        fraction of their sum, and the picks are the longest list that it pays for: for methods
        whose picks are ranked, without groups. `quota` and `samplemix` say what they do with it.
    max_memory : int or str, optional
        Bytes, or a text such as "4GiB". A method that is estimated to need more refuses before it
        begins: see `estimate`. `facility_location` takes the path that fits.
    """

    seed: int
    ids: ArrayLike | None
    on_bad: Literal["raise", "drop"]
    already_selected: ArrayLike | None
    groups: ArrayLike | None
    unlabeled: Literal["raise", "group", "drop"]
    group_budgets: "str | Mapping[Any, float]"
    floor: "float | Mapping[Any, float] | None"
    cap: "float | Mapping[Any, float] | None"
    shortfall: Literal["raise", "redistribute", "accept"]
    costs: ArrayLike | None
    max_memory: "int | str | None"


WORDS = {
    "on_bad": ("raise", "drop"),
    "group_budgets": ("proportional", "equal", "sqrt"),
    "shortfall": ("raise", "redistribute", "accept"),
    "unlabeled": ("raise", "group", "drop"),
}


def check_options(name: str, options: Options) -> None:
    """Refuse keywords that no selector has, and words that are none of an option's."""
    unknown = set(options) - set(Options.__annotations__)
    if unknown:
        raise TypeError(f"{name} got unexpected arguments {sorted(unknown)}")
    check_words(options)


def check_words(options: Options) -> None:
    """Refuse a word that is none of an option's, whether or not the option is needed."""
    for name, words in WORDS.items():
        value = options.get(name)
        given_by_group = name == "group_budgets" and not isinstance(value, str)
        if value is not None and not given_by_group:  # a mapping is checked with the groups' names
            _check.choice(name, value, words)
