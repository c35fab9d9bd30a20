"""Outcomes of a check: what it raises if a sampler breaks the contract, or need not keep it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NoReturn

SAMPLER, BATCHES = "sampler", "batch sampler"


class ContractError(AssertionError):
    """A sampler violates the contract.

    The message states what was observed, why it matters in practice and how to fix it.
    """


class NotApplicable(Exception):  # noqa: N818  # it is a finding, not an error
    """The check does not apply to this sampler; the message gives the reason."""


def broken(seen: str) -> NoReturn:
    """Raise `ContractError` with what was observed."""
    raise ContractError(seen)


def expect(kept: object, seen: str) -> None:
    """Raise `ContractError` with what was observed unless `kept`."""
    if not kept:
        broken(seen)


def same(seen: Sequence[object], expected: Sequence[object], what: str) -> None:
    """Raise `ContractError` with the first position at which two sequences differ."""
    for place, (one, other) in enumerate(zip(seen, expected, strict=False)):
        if _plain(one) != _plain(other):
            broken(f"{what}: item {place} is {one!r}, expected {other!r}")
    if len(seen) != len(expected):
        broken(f"{what}: {len(seen)} items, expected {len(expected)}")


def equal(one: Sequence[object], other: Sequence[object]) -> bool:
    """Return whether two sequences of draws or of batches are the same."""
    return [*map(_plain, one)] == [*map(_plain, other)]


def _plain(item: object) -> object:
    """Return an array or tuple as a list: only C3 checks the type of a batch."""
    return [*item] if isinstance(item, Iterable) else item


def does_not_apply(reason: str) -> NoReturn:
    """Raise `NotApplicable`."""
    raise NotApplicable(reason)
