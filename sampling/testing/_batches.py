"""Checks for Lightning and accelerate that a batch sampler can be tested on without them."""

from __future__ import annotations

from typing import Any

from ._outcomes import BATCHES, does_not_apply, expect, same
from ._registry import line
from ._subject import Subject, drain, has, set_epoch


@line(
    "L3",
    "gets set_epoch through its attribute `sampler`",
    why="Lightning calls `set_epoch` on `loader.sampler` and on `loader.batch_sampler.sampler`, "
    "never on the batch sampler itself: without that attribute every epoch has the order of "
    "epoch 0.",
    fix="An attribute `sampler` that has `set_epoch`: the sampler inside, or a property that "
    "returns the batch sampler itself.",
    kinds=(BATCHES,),
)
def gets_epochs_through_its_sampler(subject: Subject) -> None:
    subject.needs_epochs()
    batches = subject.make()
    inner: Any = getattr(batches, "sampler", None)
    expect(has(inner, "set_epoch"), "its attribute `sampler` has no set_epoch")
    inner.set_epoch(1)
    direct = subject.make()
    set_epoch(direct, 1)
    same(drain(batches), drain(direct), "epoch 1, set on its attribute `sampler`")


@line(
    "H3",
    "has a batch_size of None if sizes vary",
    why="accelerate relies on the number: a shorter batch is taken for the last one of the "
    "epoch, and the batches after it are silently lost.",
    fix="`batch_size = None`, or no such attribute, unless every batch but the last has that size.",
    kinds=(BATCHES,),
)
def says_none_where_sizes_vary(subject: Subject) -> None:
    batches = subject.make()
    size = getattr(batches, "batch_size", None)
    if size is None:
        does_not_apply("has no batch size")
    sizes = _sizes(subject.order(0))
    odd = [each for each in sizes[:-1] if each != size]
    expect(not odd, f"batch_size is {size}, but there are batches of {sorted(set(odd))}")


def _sizes(batches: list[Any]) -> list[int]:
    return [len(batch) for batch in batches]
