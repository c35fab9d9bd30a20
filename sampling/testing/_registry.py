"""Definition of a check, its possible outcomes, and the list of all checks.

A check is a function of a `Subject` that returns if the sampler satisfies one clause of the
contract. It calls `expect` or `same`, which raise `ContractError` with what was observed; the
check's own texts state why that matters and how to fix it. `NotApplicable` states that the check
requires nothing of this sampler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from .._check._keywords import told
from ._outcomes import BATCHES, SAMPLER
from ._subject import Subject

Function: TypeAlias = Callable[[Subject], None]
LETTERS = "GCDTNSRLH"  # in the order in which they are run and listed


@told
@dataclass(frozen=True)
class Check:
    """One check of the contract.

    Attributes
    ----------
    id : str
        Letter and number: G for the settings of the process, C for any loader, D for `DataLoader`,
        T for torchdata's `StatefulDataLoader`, N for `torchdata.nodes`, S for a saved state in
        another process, R for ranks, and the two checks for Lightning (L3) and accelerate (H3) that
        a batch sampler can be tested on by itself.
    title : str
        What a sampler does that satisfies the check.
    why : str
        What breaks in practice otherwise.
    fix : str
        How to fix it.
    function : callable
        Takes a `Subject`; raises `ContractError` or `NotApplicable`, or returns.
    kinds : tuple of str
        "sampler", "batch sampler" or both.
    workers : bool
        Whether it runs a loader, and so can be run with worker processes too.
    processes : bool
        Whether it starts two processes that train together.
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
    """Register the decorated function as the check of this id."""

    def enter(function: Function) -> Function:
        CHECKS[id] = Check(id, title, why, fix, function, kinds, workers, processes)
        return function

    return enter
