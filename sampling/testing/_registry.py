"""What a check is, what it may find, and the list of them all.

A check is a function of a `Subject` that returns if the sampler keeps a line of the contract. It
calls `expect` or `same`, which raise `ContractError` with what was seen; the line's own words say
why that matters and how it is mended. `NotApplicable` says that the line asks nothing of this
sampler.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from .._keywords import told

if TYPE_CHECKING:
    from ._subject import Subject

Function: TypeAlias = "Callable[[Subject], None]"
SAMPLER, BATCHES = "sampler", "batch sampler"
LETTERS = "CDTNRLH"  # in the order in which they are run and listed


class ContractError(AssertionError):
    """A sampler breaks a line of the contract.

    The message says what was seen, what it breaks in practice and how to mend it.
    """


class NotApplicable(Exception):  # noqa: N818  # it is a finding, not an error
    """The line asks nothing of this sampler; the message says why."""


@told
@dataclass(frozen=True)
class Check:
    """One line of the contract.

    Attributes
    ----------
    id : str
        Letter and number: C for any loader, D for `DataLoader`, T for torchdata's
        `StatefulDataLoader`, N for `torchdata.nodes`, R for ranks, and the two lines of Lightning
        (L3) and accelerate (H3) that a batch sampler can be held to alone.
    title : str
        What a sampler does that keeps the line.
    why : str
        What breaks in practice where it is not kept.
    fix : str
        How it is mended.
    function : callable
        Takes a `Subject`; raises `ContractError` or `NotApplicable`, or returns.
    kinds : tuple of str
        "sampler", "batch sampler" or both.
    workers : bool
        Runs a loader, and so may run it with worker processes too.
    processes : bool
        Starts two processes that train together.
    """

    id: str
    title: str
    why: str = field(repr=False)
    fix: str = field(repr=False)
    function: Function = field(repr=False)
    kinds: tuple[str, ...] = (SAMPLER, BATCHES)
    workers: bool = False
    processes: bool = False


CHECKS: dict[str, Check] = {}


def line(
    id: str,
    title: str,
    *,
    why: str,
    fix: str,
    kinds: tuple[str, ...] = (SAMPLER, BATCHES),
    workers: bool = False,
    processes: bool = False,
) -> Callable[[Function], Function]:
    """Enter the decorated function in the list, as the check of one line."""

    def enter(function: Function) -> Function:
        CHECKS[id] = Check(id, title, why, fix, function, kinds, workers, processes)
        return function

    return enter


def broken(seen: str) -> NoReturn:
    """Raise `ContractError` with what was seen."""
    raise ContractError(seen)


def expect(kept: object, seen: str) -> None:
    """Raise `ContractError` with what was seen unless `kept`."""
    if not kept:
        broken(seen)


def same(seen: Sequence[object], expected: Sequence[object], what: str) -> None:
    """Raise `ContractError` with the first place in which two sequences differ."""
    for place, (one, other) in enumerate(zip(seen, expected, strict=False)):
        if _plain(one) != _plain(other):
            broken(f"{what}: item {place} is {one!r}, expected {other!r}")
    if len(seen) != len(expected):
        broken(f"{what}: {len(seen)} items, expected {len(expected)}")


def equal(one: Sequence[object], other: Sequence[object]) -> bool:
    """Return whether two sequences of draws or of batches are the same."""
    return [*map(_plain, one)] == [*map(_plain, other)]


def _plain(item: object) -> object:
    """Return an array or tuple as a list: of what type a batch is, C3 says alone."""
    return [*item] if isinstance(item, Iterable) else item


def does_not_apply(reason: str) -> NoReturn:
    """Raise `NotApplicable`."""
    raise NotApplicable(reason)
