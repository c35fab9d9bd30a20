"""D checks: a sampler inside torch's own `DataLoader`, trained and resumed."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from ._global_state import scramble
from ._outcomes import does_not_apply, expect, same
from ._registry import line
from ._subject import (
    BATCH,
    PREFETCH,
    AnySampler,
    Subject,
    drain,
    flat,
    has,
    has_epochs,
    keeps_position,
    losses,
    set_epoch,
    take,
    weights_of,
)

AHEAD = 4  # batches held by two workers, prefetching two each, while one is trained on


class Counting:
    """The items of a sampler, counted when the loader takes them."""

    def __init__(self, sampler: AnySampler) -> None:
        self.sampler = sampler
        self.taken = 0

    def __iter__(self) -> Iterator[Any]:
        for item in self.sampler:
            self.taken += 1
            yield item

    def __len__(self) -> int:
        return len(self.sampler)


@line(
    "D1",
    "counts as its position the draws trained on",
    why="With workers a loader has drawn `num_workers * prefetch_factor` batches more than the "
    "model has seen. A position that counts the batches drawn skips them after a resume: data "
    "is lost with every restart.",
    fix="`state_dict(consumed=...)` takes the count from the training loop and does not count "
    "itself; an iterator that ends changes nothing in its sampler.",
    workers=True,
)
def counts_what_was_trained_on(subject: Subject) -> None:
    subject.needs_position()
    order = subject.order(1)
    per_batch = 1 if subject.batches else BATCH
    for trained in (1, 3, len(order) // per_batch - 2):
        sampler = subject.at(1)
        done = min(trained, len(order) // per_batch) * per_batch
        if subject.num_workers:
            _take_from_workers(subject, sampler, done, len(order))
        else:  # the effect of a loader with workers on a sampler, without the workers
            take(done + AHEAD * per_batch + 1, iter(sampler))
        state = sampler.state_dict(consumed=len(flat(order[:done])))
        resumed = subject.at(1)
        resumed.load_state_dict(state)
        same(drain(resumed), order[done:], f"resumed after {done} of {len(order)} items")


def _take_from_workers(subject: Subject, sampler: AnySampler, done: int, total: int) -> None:
    counting = Counting(sampler)
    per_batch = 1 if subject.batches else BATCH
    batches = iter(subject.loader(counting))
    take(done // per_batch, batches)
    handed_out = min(total, done + subject.num_workers * PREFETCH * per_batch)
    expect(
        counting.taken == handed_out,
        f"after {done} items {counting.taken} were sent to the workers, not {handed_out}",
    )


@line(
    "D2",
    "applies set_epoch at the next pass, and only there",
    why="A loader with persistent workers calls `iter` on the sampler once an epoch. An epoch "
    "that is not applied repeats the old order (the most reported fault of distributed "
    "training); one that is applied in mid-pass draws some samples twice and others never.",
    fix="Store the epoch in `set_epoch`, read it in `__iter__`, and do not change a running pass.",
    workers=True,
)
def takes_up_epochs(subject: Subject) -> None:
    subject.needs_epochs()
    orders = [_after_epochs(subject, epoch) for epoch in range(3)]
    sampler = subject.make()
    loader = subject.loader(sampler, persistent_workers=subject.num_workers > 0)
    for epoch in range(2):
        set_epoch(sampler, epoch)
        batches = iter(loader)
        dealt = take(1, batches)
        if epoch == 1:
            set_epoch(sampler, 2)
        dealt += drain(batches)
        _same_draws(dealt, orders[epoch], f"epoch {epoch} through a DataLoader")
    _same_draws(drain(loader), orders[2], "the pass after a set_epoch(2) during epoch 1")


def _after_epochs(subject: Subject, epoch: int) -> list[Any]:
    sampler = subject.make()
    for each in range(epoch + 1):
        set_epoch(sampler, each)
    return drain(sampler)


def _same_draws(batches: list[Any], order: list[Any], what: str) -> None:
    same(flat(batches), flat(order), what)


@line(
    "D3",
    "resumes in mid-epoch without torchdata",
    why="A plain DataLoader keeps no position: without that of the sampler a restart begins the "
    "epoch again, and the samples before the checkpoint count twice (or are skipped for hours).",
    fix="`state_dict(consumed=0)` with the draws trained on by all ranks since the epoch began, "
    "and `load_state_dict`; the next `iter` yields the remaining draws.",
    workers=True,
)
def resumes_without_torchdata(subject: Subject) -> None:
    original = subject.at(2)
    expect(has(original, "state_dict", "load_state_dict"), "has no state_dict and load_state_dict")
    expect(
        keeps_position(original),
        "state_dict takes no `consumed`: its own position would count what was prefetched",
    )
    order = subject.order(2)
    batches = iter(subject.loader(original, num_workers=0))
    trained = take(4, batches)
    state = original.state_dict(consumed=len(flat(trained)))

    resumed = subject.at(2)
    resumed.load_state_dict(state)
    drain(batches)
    _same_draws([*trained, *drain(subject.loader(resumed))], order, "a run resumed in epoch 2")
    if has_epochs(resumed):
        for sampler in (original, resumed):
            set_epoch(sampler, 3)
        _same_draws(
            drain(subject.loader(resumed)), drain(original), "the epoch after a resumed one"
        )


@line(
    "D4",
    "does not change the running epoch when losses are recorded",
    why="Otherwise the next draws would depend on how far workers have prefetched: no run could be "
    "repeated or resumed, ranks would diverge, and the weights of samples already drawn would "
    "no longer match the draws.",
    fix="Store what is recorded; use it in the next `set_epoch`.",
)
def leaves_the_running_epoch_alone(subject: Subject) -> None:
    sampler = subject.at(1)
    if not has(sampler, "record"):
        does_not_apply("takes no losses")
    order = subject.order(1)
    live = iter(sampler)
    dealt = take(3, live)
    drawn = np.unique(flat(order))
    before = weights_of(sampler, drawn)
    sampler.record(drawn, losses(drawn, 5))
    same([*dealt, *drain(live)], order, "an epoch in which losses were recorded")
    same(weights_of(sampler, drawn), before, "weights after losses were recorded")


@line(
    "D5",
    "works with every option of the loader, and after an unfinished pass",
    why="`limit_train_batches`, a sanity check or an early stop leave an iterator half used; "
    "`generator=` and `batch_size=None` change what the loader draws and when. None of these may "
    "affect the order.",
    fix="Keep the state of a pass in its iterator, not in the sampler.",
    workers=True,
)
def works_with_every_option(subject: Subject) -> None:
    scramble(3)  # a sampler may use the global state (C7), if the loader does not change it
    order = subject.order(0)
    options: list[dict[str, Any]] = [{"generator": torch.Generator()}, {"batch_size": None}]
    if torch.cuda.is_available():
        options.append({"pin_memory": True})
    for chosen in options:
        scramble(3)
        drawn = drain(subject.loader(subject.at(0), **chosen))
        _same_draws(drawn, order, f"a loader with {', '.join(chosen)}=")
    if subject.num_workers and "in_order" in signature(DataLoader).parameters:
        drawn = flat(drain(subject.loader(subject.at(0), in_order=False)))
        same(sorted(drawn), sorted(flat(order)), "a loader with in_order=False, sorted")

    sampler = subject.at(0)
    loader = subject.loader(sampler)
    take(2, iter(loader))
    if not has_epochs(sampler):  # the next pass may be another epoch
        found = len(flat(drain(loader)))
        expect(
            found == len(flat(order)),
            f"the pass after an unfinished one has {found} draws, not {len(flat(order))}",
        )
        return
    set_epoch(sampler, 0)
    _same_draws(drain(loader), order, "the pass after an unfinished one")
