"""S checks: a saved state in another process, and with other data."""

from __future__ import annotations

from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from ._new_process import elsewhere
from ._other_data import over_other_data
from ._outcomes import BATCHES, SAMPLER, broken, does_not_apply, equal, expect, same
from ._processes import Failed, TookTooLong
from ._registry import line
from ._saved import Saved, fresh, resumed, saved
from ._subject import (
    AnySampler,
    Factory,
    Subject,
    drain,
    flat,
    has_epochs,
    is_dynamic,
    losses,
    set_epoch,
    take,
    weights_of,
)
from ._watch import Watch

EPOCH = 1  # of the save
ITEMS = 5  # before it, or half of a short epoch
VARIANTS = 12  # other data that are tried

Rest: TypeAlias = tuple[list[Any], list[Any]]  # of the epoch, and the next one


@line(
    "S1",
    "resumes in another process with the draws of the uninterrupted run",
    why="A run that is resumed is always another process. What is kept in a module, in the class "
    "or in a field that is not part of the state, and what depends on `id` or on `hash` of a "
    "string, is lost or different there: the run continues, with other draws.",
    fix="Put everything that later draws depend on into the state, recorded losses included, and "
    "derive draws from numbers: `hashlib`, not `hash`. In a subclass of `EpochSampler`, what "
    "`save_state` does not write is lost.",
)
def resumes_in_another_process(subject: Subject) -> None:
    with elsewhere(subject, continued) as other_process:
        original = subject.at(EPOCH)
        count = min(ITEMS, len(subject.order(EPOCH)) // 2)
        live = iter(original)
        begun = take(count, live)
        _learn(original, begun)
        state = saved(original, live, len(flat(begun)))
        rest = _rest(original, drain(live))
        try:
            seen: Rest = other_process((state, begun))
        except Failed as failed:
            broken(f"in another process: {failed}")
        except TookTooLong as late:
            broken(f"in another process: {late}")
    what = f"by {state.name} after {count} items of epoch {EPOCH}, in another process"
    same(seen[0], rest[0], f"the rest of a run resumed {what}")
    same(seen[1], rest[1], f"the epoch after that of a run resumed {what}")


def continued(subject: Subject, argument: tuple[Saved, list[Any]]) -> Rest:
    """Load a state into a new sampler, and return the rest of the epoch and the next one."""
    state, begun = argument
    sampler = fresh(subject, EPOCH)
    if state.keeper != "file":
        _learn(sampler, begun)
    return _rest(sampler, drain(resumed(sampler, state)))


def _rest(sampler: AnySampler, rest: list[Any]) -> Rest:
    """Record the losses of the rest of an epoch, and return it with the next one."""
    _learn(sampler, rest)
    last = getattr(sampler, "num_epochs", None)
    if not has_epochs(sampler) or last == EPOCH + 1:
        return rest, []
    set_epoch(sampler, EPOCH + 1)
    return rest, drain(sampler)


def _learn(sampler: AnySampler, items: list[Any]) -> None:
    if is_dynamic(sampler) and items:
        drawn = np.unique(flat(items))
        sampler.record(drawn, losses(drawn, EPOCH))


@line(
    "S2",
    "refuses a state that was saved with other data",
    why="Labels, weights or a list of rows that were changed between two runs give another order: "
    "loaded into it, a position skips samples that were never trained on, without a word. N and "
    "the seed are the same, so nothing else notices.",
    fix="Store a digest of every array that determines the draws in the state, and compare it in "
    "`load_state_dict`. `EpochSampler` does so with the identity of a subclass.",
)
def refuses_other_data(subject: Subject) -> None:
    original = subject.at(EPOCH)
    live = iter(original)
    begun = take(ITEMS, live)
    state = saved(original, live, len(flat(begun)))
    expected = _all_of(original, drain(live))
    reference, tried = _drawn(subject), 0
    for what, factory in _others(subject):
        other = Subject(factory, BATCHES if subject.batches else SAMPLER, subject.given_size)
        drawn: list[Any] | None = None
        with Watch():  # the data may be refused
            drawn = _drawn(other)
        if drawn is None and subject.other is not None:
            broken("the factory `other` makes no sampler that can be iterated")
        if drawn is None or equal(drawn, reference):
            continue
        tried += 1
        seen = _accepted(other, state)
        # A state that includes the data is harmless.
        harmless = seen is None or (subject.other is None and equal(seen, expected))
        expect(harmless, f"a state saved with other data is accepted: {what}")
    if not tried:
        does_not_apply(
            "the factory `other` gives the same draws and loss weights" if subject.other else
            "no array that it draws by is found in the factory: give other=, a factory with other "
            "data"
        )  # fmt: skip


def _others(subject: Subject) -> list[tuple[str, Factory]]:
    if subject.other is not None:
        return [("that of `other`", subject.other)]
    return list(islice(over_other_data(subject.factory), VARIANTS))


def _drawn(subject: Subject) -> list[Any]:
    """Return the draws of two epochs, and the loss weights."""
    sampler = subject.at(EPOCH)
    items = drain(sampler)
    return [*subject.order(0), *items, *_weights(sampler, items)]


def _all_of(sampler: AnySampler, rest: list[Any]) -> list[Any]:
    """Return the rest of an epoch, the loss weights in it, and the next epoch."""
    weights = _weights(sampler, rest)
    rest, following = _rest(sampler, rest)
    return [*rest, *weights, *following]


def _weights(sampler: AnySampler, items: list[Any]) -> list[float]:
    return weights_of(sampler, np.unique(flat(items))) if items else []


def _accepted(other: Subject, state: Saved) -> list[Any] | None:
    """Return what follows in a sampler that loads the state, or None if it is refused."""
    sampler, result = fresh(other, EPOCH), None
    with Watch() as watch:
        result = _all_of(sampler, drain(resumed(sampler, state)))
    if isinstance(watch.error, ValueError | RuntimeError):
        expect(str(watch.error), "a state saved with other data is refused without a message")
        return None
    if watch.error is not None:
        broken(
            "a state saved with other data ends in "
            f"{type(watch.error).__name__}: {watch.error} ({watch.where})"
        )
    return result
