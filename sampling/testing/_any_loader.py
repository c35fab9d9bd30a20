"""G and C checks: properties of a sampler that do not depend on the loader."""

from __future__ import annotations

import gc
import sys
import tracemalloc
import warnings
from collections.abc import Callable
from copy import deepcopy
from itertools import product
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
from torch.utils.data import BatchSampler, RandomSampler, SequentialSampler

from ._global_state import scramble, states
from ._outcomes import broken, does_not_apply, equal, expect, same
from ._processes import Failed, Fork, TookTooLong
from ._registry import line
from ._saved import fresh, resumed, saved
from ._settings import changes, restored, settings
from ._subject import (
    AnySampler,
    Subject,
    drain,
    flat,
    has,
    has_epochs,
    is_dynamic,
    keeps_position,
    losses,
    must_exist,
    set_epoch,
    start_method,
    take,
    weights_of,
)
from ._watch import Watch, at_once

MANY = 10**6  # samples of a large epoch
FAR = 2**40  # an epoch number of a run that counts steps
LINES = 10**6  # of Python for any epoch: ours run fewer than 50,000 to the first draw
SECONDS = 2  # of processor time for two of them, where Python is slowed down by counting lines
ITEMS = 10  # in an epoch that is compared with another: a few may be equal by chance
ALLOWED = 10 * MANY  # bytes up to its first index: one integer array is 8, a list 40


@line(
    "G1",
    "leaves the settings of the process as they were",
    why="Hooks, signal handlers, warning filters, the environment and the defaults of torch and "
    "numpy belong to the program. A sampler that replaces `sys.excepthook` hides its errors, one "
    "that handles SIGTERM loses its last checkpoint, and one that sets a default dtype changes "
    "what the model computes.",
    fix="Set nothing outside the sampler. Where a call needs another setting, use a context that "
    "restores it (`warnings.catch_warnings`, `np.errstate`), within the call.",
)
def leaves_the_process_alone(subject: Subject) -> None:
    modules = len(sys.modules)
    with restored():
        found = _changed_by(subject)
    if found and len(sys.modules) > modules:  # libraries set filters and variables when imported
        with restored():
            found = _changed_by(subject)
    expect(not found, found)


def _changed_by(subject: Subject) -> str:
    """Return which settings the first of all uses changes that changes one, or ""."""
    before = settings()
    must_exist(subject)
    sampler, what = subject.at(0), "construction"
    for following, step in _USES.items():
        if found := changes(before, settings()):
            return f"{what} changes {'; '.join(found)}"
        what = following
        with Watch():  # what fails is reported by the check of it
            step(subject, sampler)
    found = changes(before, settings())
    return f"{what} changes {'; '.join(found)}" if found else ""


def _is_resumed(subject: Subject, sampler: AnySampler) -> None:
    live = iter(sampler)
    state = saved(sampler, live, len(flat(take(2, live))))
    drain(resumed(fresh(subject, 1), state))


def _records(subject: Subject, sampler: AnySampler) -> None:
    drawn = np.unique(flat(subject.order(0)))
    sampler.record(drawn, losses(drawn, 0))
    weights_of(sampler, drawn)


_USES: dict[str, Callable[[Subject, AnySampler], object]] = {
    "a pass": lambda _, sampler: drain(sampler),
    "an unfinished pass": lambda _, sampler: take(2, iter(sampler)),
    "recording losses": _records,
    "set_epoch": lambda _, sampler: set_epoch(sampler, 1),
    "a pass through a DataLoader": lambda subject, sampler: drain(subject.loader(sampler)),
    "saving and loading a state": _is_resumed,
    "copying": lambda _, sampler: deepcopy(sampler),
    "deleting a copy": lambda _, sampler: gc.collect(1),
}


@line(
    "C1",
    "is constructed without an argument to torch's Sampler.__init__",
    why="`torch.utils.data.Sampler` has no `__init__` since torch 2.13: code that passes it "
    "`data_source` fails there with a TypeError before the first batch.",
    fix="Call `super().__init__()` with nothing, or not at all.",
)
def constructs(subject: Subject) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        subject.make()
    for each in caught:
        expect("data_source" not in str(each.message), f"construction warns: {each.message}")


@line(
    "C2",
    "is not an instance of a class that frameworks replace",
    why="accelerate and the Hugging Face Trainer replace every RandomSampler by a seeded shuffle "
    "of the dataset, Lightning replaces RandomSampler and SequentialSampler under DDP, and "
    "rebuilds a BatchSampler from (sampler, batch_size, drop_last): the order is silently lost.",
    fix="Derive from `torch.utils.data.Sampler`. A subclass of BatchSampler must take exactly "
    "those three arguments and batch whatever sampler it is given.",
)
def is_not_replaced(subject: Subject) -> None:
    sampler = subject.make()
    for bad in (RandomSampler, SequentialSampler):
        expect(not isinstance(sampler, bad), f"{type(sampler).__name__} is a {bad.__name__}")
    if isinstance(sampler, BatchSampler):
        again = type(sampler)(sampler=SequentialSampler(range(6)), batch_size=4, drop_last=False)
        same([*again], [[0, 1, 2, 3], [4, 5]], f"{type(sampler).__name__} rebuilt by Lightning")


@line(
    "C3",
    "yields Python ints in [0, N), in lists if they are batches",
    why="The type reaches `dataset[index]` unchanged: a numpy integer breaks `json`, database and "
    "Arrow look-ups, a tensor cannot be a dictionary key, and a batch that is not a list is taken "
    "for one sample by `__getitems__` and by collators.",
    fix="Yield from `array.tolist()`, which makes Python ints at the speed of C.",
)
def yields_python_ints(subject: Subject) -> None:
    size = subject.size
    for epoch in (0, 1):
        items = subject.order(epoch)
        for item in items if subject.batches else ():
            expect(type(item) is list, f"a batch is a {type(item).__name__}: {item!r}")
        for index in flat(items):
            expect(type(index) is int, f"an index is a {type(index).__name__}: {index!r}")
            expect(index >= 0, f"an index is negative: {index}")
            expect(size is None or index < size, f"an index is not in [0, {size}): {index}")


@line(
    "C4",
    "knows its length before the epoch runs",
    why="Trainers read `len` once, before the pass: the Hugging Face Trainer derives its steps "
    "from it, Lightning and schedules end the epoch there, and ranks with different lengths hang "
    "in the last all-reduce.",
    fix="`__len__` returns the number of items this rank will yield in the epoch of the last "
    "`set_epoch`, resumed or not; the items left after a resume are `remaining`.",
)
def knows_its_length(subject: Subject) -> None:
    worlds = (1, 3, 8) if subject.takes("num_replicas", "rank") else (1,)
    drops = (False, True) if subject.takes("drop_last") else (False,)
    pads = (True, False) if subject.takes("pad") else (True,)
    for world, drop_last, pad in product(worlds, drops, pads):
        for rank in range(world):
            chosen = {"num_replicas": world, "rank": rank, "drop_last": drop_last, "pad": pad}
            _lengths_are_true(subject, {k: v for k, v in chosen.items() if subject.takes(k)})
    sampler = subject.at(1)
    if keeps_position(sampler) and hasattr(sampler, "remaining"):
        sampler.load_state_dict(sampler.state_dict(consumed=len(flat(take(2, iter(sampler))))))
        left = sampler.remaining
        found = len(drain(sampler))
        expect(left == found, f"after a resume `remaining` is {left}, but {found} items are drawn")


def _lengths_are_true(subject: Subject, options: dict[str, Any]) -> None:
    sampler = subject.make(**options)
    expect(has(sampler, "__len__"), "has no __len__")
    for epoch in range(4):
        if epoch and has_epochs(sampler):
            set_epoch(sampler, epoch)
        expected = len(sampler)
        items = drain(sampler)
        what = ", ".join(f"{name}={value}" for name, value in options.items())
        expect(
            len(items) == expected,
            f"len is {expected}, but {len(items)} items are drawn, in epoch {epoch} with {what}",
        )
        if is_dynamic(sampler):
            dealt = np.unique(flat(items))
            sampler.record(dealt, losses(dealt, epoch))


@line(
    "C5",
    "yields the same epoch again until set_epoch changes it",
    why="Loaders call `iter` more often than a program passes over the data: StatefulDataLoader "
    "twice after a load, Lightning in its sanity check and its length check. An epoch that "
    "`__iter__` counts for itself is then wrong, and differs between ranks; a sampler that "
    "is its own iterator gives two loaders halves of one pass.",
    fix="Read the epoch in `__iter__`, advance it only in `set_epoch`, and return a new iterator.",
)
def deals_the_same_again(subject: Subject) -> None:
    sampler = subject.make()
    first, second = iter(sampler), iter(sampler)
    pairs = drain(zip(first, second, strict=False))
    same([b for _, b in pairs], [a for a, _ in pairs], "second of two live iterators")
    left = len([*take(10, first), *take(10, second)])
    expect(not left, "one of two live iterators ends before the other")
    try:
        again = drain(sampler)
    except RuntimeError:  # says that set_epoch is missing: the recorded losses must be used first
        return
    same(again, [a for a, _ in pairs], "second pass without set_epoch")


@line(
    "C6",
    "reads epoch and position when `iter` is called",
    why="A generator function runs none of its lines before the first `next`. Loaders call `iter` "
    "early and draw late (Lightning, StatefulDataLoader), so a `set_epoch` in between changes a "
    "pass that has begun, and a resumed epoch may be empty.",
    fix="Make `__iter__` an ordinary function that computes the order, or captures epoch and "
    "position, and returns an iterator.",
)
def reads_its_epoch_at_iter(subject: Subject) -> None:
    subject.needs_epochs()
    expected = subject.order(0)
    sampler = subject.at(0)
    live = iter(sampler)
    set_epoch(sampler, 1)
    same(drain(live), expected, "a pass begun before set_epoch(1)")


@line(
    "C7",
    "neither depends on nor changes the global random state",
    why="Otherwise a model that draws one random number more, another worker count or a resumed "
    "process changes the order of the data; ranks whose states differ draw overlapping shards; and "
    "a sampler that seeds the global state repeats the augmentations of all other code.",
    fix="Own the generator: derive it from (seed, epoch) in `__iter__`.",
)
def heeds_no_global_state(subject: Subject) -> None:
    orders = []
    for seed in (1, 2):
        scramble(seed)
        before = states()
        orders.append(subject.order(1))
        after = states()
        for name in before:
            expect(before[name] == after[name], f"a pass changes the global state of {name}")
    same(orders[1], orders[0], "with other global random states")


@line(
    "C8",
    "mixes seed and epoch into every order",
    why="Without both, a run cannot be repeated, resumed or varied. With `seed + epoch`, seed 0 "
    "in epoch 1 equals seed 1 in epoch 0: runs meant to differ see the same data one epoch later.",
    fix="Take `seed` and `set_epoch(epoch)`; hash the pair, each to its full 64 bits.",
)
def mixes_seed_and_epoch(subject: Subject) -> None:
    if _draws_nothing_at_random(subject):
        does_not_apply("takes no seed and needs none: one fixed order")
    expect(subject.takes("seed"), "takes no seed")
    expect(has_epochs(subject.make()), "has no set_epoch")

    def drawn(seed: int, epoch: int) -> list[Any]:
        return subject.order(epoch, seed=seed)

    reference = drawn(0, 1)
    same(drawn(0, 1), reference, "the same (seed, epoch) again")
    for seed, epoch in ((1, 0), (0, 2), (0, 0), (1, 1), (2**32, 1), (2**64 - 1, 1)):
        order = drawn(seed, epoch)
        short = min(len(order), len(reference))  # epochs may differ in length
        expect(
            not equal(order[:short], reference[:short]),
            f"seed {seed} in epoch {epoch} draws the order of seed 0 in epoch 1",
        )


def _draws_nothing_at_random(subject: Subject) -> bool:
    if subject.takes("seed"):
        return False
    orders = []
    for seed in (1, 2):
        scramble(seed)
        orders.append(subject.order(seed))
    short = min(map(len, orders))
    return equal(orders[0][:short], orders[1][:short])


@line(
    "C9",
    "can be pickled and copied in mid-epoch",
    why="Spawned workers and trainers that start processes (Lightning's ddp_spawn, accelerate's "
    "launchers, macOS and Windows always) pickle their arguments.",
    fix="Keep no lambda, generator, lock or open file in the sampler; exclude what belongs to the "
    "process in `__getstate__`.",
)
def can_be_copied(subject: Subject) -> None:
    sampler = subject.at(1)
    live = iter(sampler)
    take(5, live)
    pickled = ForkingPickler.loads(ForkingPickler.dumps(sampler))
    copies = {"unpickled": pickled, "deep-copied": deepcopy(sampler)}
    scramble(3)
    expected = drain(sampler)
    for how, copy in copies.items():
        scramble(3)  # using the global random state is a matter of C7
        same(drain(copy), expected, f"pass of the {how} sampler")


@line(
    "C10",
    "works with tiny data",
    why="Debug runs, `overfit_batches`, the last shard and small validation sets have fewer "
    "samples than ranks or batches. A loop that pads until it fits never ends, and a rank "
    "without a batch hangs the others.",
    fix="Repeat the front as often as needed; refuse N = 0 with a ValueError, or yield nothing.",
)
def survives_tiny_data(subject: Subject) -> None:
    ranked = subject.takes("num_replicas", "rank") and not subject.batches  # of batches: R3
    if not (subject.takes("size") or ranked):
        does_not_apply("takes no size" if subject.batches else "takes neither size nor ranks")
    for size in (0, 1, 2) if subject.takes("size") else ():
        _is_refused_or_right(subject, size)
    sizes: list[dict[str, Any]] = [{}, {"size": 2}] if subject.takes("size") else [{}]
    for size, drop_last in product(sizes, (False, True)) if ranked else ():
        world = len(subject.order(0, **size)) + 6
        chosen = {"num_replicas": world, "drop_last": drop_last, **size}
        counts = {len(subject.order(0, rank=rank, **chosen)) for rank in (0, 1, world - 1)}
        expect(len(counts) == 1, f"{world} ranks have different counts: {sorted(counts)}")


def _is_refused_or_right(subject: Subject, size: int) -> None:
    try:
        items = subject.order(0, size=size)
    except ValueError as refused:
        expect(size == 0, f"size {size} is refused: {refused}")
        expect(str(refused), "size 0 is refused without a message")
        return
    expect(size or not items, f"of 0 samples it yields {items[:5]}")


@line(
    "C11",
    "yields a large epoch without a list of all its indices",
    why="A Python list of 10 million indices takes 380 MiB and a second before the first batch, "
    "on every rank, and slows each run of the garbage collector afterwards.",
    fix="Compute a few thousand indices at a time, or keep one integer array.",
)
def deals_large_epochs(subject: Subject) -> None:
    subject.needs("size")
    take(100, iter(subject.make(size=MANY // 2)))  # exclude the cost of imports and compilation
    tracemalloc.start()
    try:
        take(100, iter(subject.make(size=MANY)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    expect(
        peak < ALLOWED,
        f"the first 100 items of {MANY} samples take {peak / MANY:.0f} bytes per sample",
    )


@line(
    "C12",
    "draws an epoch of any number at once",
    why="Runs that count steps, tokens or hours have epoch numbers of any size, and a resumed run "
    "begins at its own. An order that walks through the epochs before it takes longer in each, "
    "and one that keeps 32 bits of the number repeats itself or fails.",
    fix="Compute an epoch from (seed, epoch) and what was recorded, not from the epochs before it: "
    "a far one then takes as long as the first. Keep all 64 bits.",
)
def draws_any_epoch_at_once(subject: Subject) -> None:
    subject.needs_epochs()
    seed = {"seed": 2**64 - 1} if subject.takes("seed") else {}
    near = [
        subject.order(epoch, **seed) for epoch in (0, 1)
    ]  # also excludes imports and compilation
    try:
        if start_method() == "fork":
            with Fork(lambda _: _far(subject.at(1, **seed)), SECONDS) as fork:
                far = fork()
        else:
            far = _far(subject.at(1, **seed))
    except Failed as failed:
        broken(f"in a far epoch: {failed}")
    except TookTooLong:
        broken(f"the draws of epoch {FAR} take more than {SECONDS} s of processor time")
    if isinstance(far, str):
        does_not_apply(f"its schedule has an end: {far}")
    stop = max(subject.size or 0, 1 + max(flat([*near[0], *near[1]]), default=0))
    for number, order in enumerate(far):
        epoch = FAR + number
        expect(order is not None, f"the draws of epoch {epoch} take {LINES} lines of Python")
        expect(order, f"epoch {epoch} yields nothing")
        for index in flat(order):
            inside = 0 <= index and (subject.size is None or index < stop)
            expect(inside, f"epoch {epoch} yields {index}")
        repeats = _alike(order, near[number]) and not _alike(*near)
        expect(not repeats, f"epoch {epoch} draws the order of epoch {number}")


def _alike(one: list[Any], other: list[Any]) -> bool:
    """Return whether two epochs, which may differ in length, begin with the same draws."""
    short = min(len(flat(one)), len(flat(other)))
    return short > ITEMS and equal(flat(one)[:short], flat(other)[:short])


def _far(sampler: AnySampler) -> list[Any] | str:
    """Return the draws of two far epochs, or the message of a sampler with a last epoch."""
    orders: list[Any] = []
    _learn(sampler, drain(sampler))
    for epoch in (FAR, FAR + 1):
        try:
            order = at_once(lambda epoch=epoch: _drawn(sampler, epoch), LINES)  # type: ignore[misc]
        except ValueError as refused:
            if getattr(sampler, "num_epochs", None) is None:
                raise
            expect(str(refused), f"set_epoch({epoch}) is refused without a message")
            return str(refused)
        orders.append(order)
        if order is None:
            break
        _learn(sampler, order)
    return orders


def _learn(sampler: AnySampler, items: list[Any]) -> None:
    if is_dynamic(sampler):
        drawn = np.unique(flat(items))
        sampler.record(drawn, losses(drawn, 1))


def _drawn(sampler: AnySampler, epoch: int) -> list[Any]:
    set_epoch(sampler, epoch)
    return drain(sampler)
