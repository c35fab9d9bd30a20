"""T and N checks: a sampler inside torchdata's `StatefulDataLoader`, or its `nodes`."""

from __future__ import annotations

import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import Any

from ._outcomes import broken, does_not_apply, equal, expect, same
from ._registry import line
from ._subject import (
    BATCH,
    AnySampler,
    Loader,
    State,
    Subject,
    drain,
    flat,
    has,
    has_epochs,
    is_dynamic,
    keeps_position,
    set_epoch,
    take,
    torchdata,
)

TRAINED = 4  # batches before a save
BYTES = 1024  # largest state in JSON
WORKING = 64 * 1024  # bytes that computing a state may take
LARGE = 10**6  # number of samples with which a state must not grow


def _begun(subject: Subject, sampler: AnySampler, trained: int = TRAINED) -> tuple[State, Loader]:
    """Return (state of a loader after a few batches, its iterator), the state as if from a file."""
    loader = subject.stateful_loader(sampler)
    batches = iter(loader)
    take(trained, batches)
    return deepcopy(loader.state_dict()), batches


def _resumed(subject: Subject, sampler: AnySampler, state: State, **options: object) -> Loader:
    """Return a loader of a restarted program, with its state loaded."""
    loader = subject.stateful_loader(sampler, **options)
    loader.load_state_dict(state)
    return loader


@line(
    "T1",
    "continues exactly from the state of the loader",
    why="StatefulDataLoader saves the state of the sampler or its iterator; without one it "
    "draws again as many items as were used, from whatever order a new sampler has: another "
    "permutation, with samples drawn twice and never.",
    fix="Give the iterator `state_dict` and `load_state_dict` with epoch and position (or the "
    "sampler, and read them in `__iter__`). The epoch belongs to the state: `set_epoch` is not "
    "called after a load.",
    workers=True,
)
def continues_exactly(subject: Subject) -> None:
    subject.needs_batches(2 * TRAINED - 1)
    for epoch in (0, 2):
        state, rest = _begun(subject, subject.at(epoch))
        expected = drain(rest)
        second = _resumed(subject, subject.reborn(epoch), state)
        batches = iter(second)
        dealt = take(3, batches)
        state = deepcopy(second.state_dict())
        again = drain(_resumed(subject, subject.reborn(epoch), state))
        what = f"epoch {epoch}, saved after {TRAINED} batches and again after 3 more"
        same([*dealt, *again], expected, what)

        sampler = subject.reborn(epoch)
        if has_epochs(sampler) and not subject.num_workers:  # as a loop that resumes does
            loader = _resumed(subject, sampler, state)
            set_epoch(sampler, epoch)
            same(drain(loader), expected[3:], f"{what}, with set_epoch({epoch}) after the load")


@line(
    "T2",
    "keeps a restored position through set_epoch of the same epoch, and drops it for another",
    why="The loop of a resumed run calls `set_epoch` with its current epoch before the pass: a "
    "position lost there trains on the first half twice. One that is kept for another epoch skips "
    "that epoch's first half.",
    fix="In `set_epoch`: return if the epoch is the current one, else set the position to 0.",
)
def keeps_a_restored_position(subject: Subject) -> None:
    subject.needs_batches(TRAINED + 1)
    subject.needs_epochs()
    original = subject.at(2)
    state, left = _position(original, len(subject.order(2)))
    resumed = subject.at(2)
    resumed.load_state_dict(state)
    set_epoch(resumed, 2)
    dealt = drain(resumed)
    same(dealt, subject.order(2)[-left:], "the rest of epoch 2 after load and set_epoch(2)")

    resumed = subject.at(2)
    resumed.load_state_dict(state)
    for sampler in (resumed, original):
        set_epoch(sampler, 3)
    same(drain(resumed), drain(original), "epoch 3 after a load in epoch 2 and set_epoch(3)")


def _position(sampler: AnySampler, total: int) -> tuple[State, int]:
    """Return a state in mid-epoch that the sampler itself loads, and the number of items left."""
    if not has(sampler, "state_dict", "load_state_dict"):
        does_not_apply("has no state_dict and load_state_dict of its own (see D3)")
    live = iter(sampler)
    dealt = take(TRAINED, live)
    given = {"consumed": len(flat(dealt))} if keeps_position(sampler) else {}
    state = deepcopy(sampler.state_dict(**given))
    drain(live)
    return state, total - len(dealt)


@line(
    "T3",
    "continues with the next epoch from a state saved at the end of an epoch",
    why="Trainers save between epochs. Restored from there, a sampler that stays in its epoch "
    "repeats it, and one at its end yields nothing: an epoch is lost.",
    fix="After its last item, the state of an iterator is the beginning of the next epoch. A "
    "sampler whose next epoch depends on losses refuses to iterate until `set_epoch`.",
    workers=True,
)
def goes_on_with_the_next_epoch(subject: Subject) -> None:
    for epoch in (0, 2):
        original = subject.at(epoch)
        loader = subject.stateful_loader(original)
        drain(loader)
        state = deepcopy(loader.state_dict())
        if has_epochs(original):
            set_epoch(original, epoch + 1)
        expected = drain(loader)
        what = f"the pass after a load at the end of epoch {epoch}"

        sampler = subject.reborn(epoch)
        loader = _resumed(subject, sampler, state)
        if is_dynamic(sampler):
            ahead = _unless_refused(partial(drain, loader), what)
            expect(ahead is None, f"{what}, without set_epoch: it is drawn before it is planned")
        else:
            same(drain(loader), expected, what)
        sampler = subject.reborn(epoch)
        if has_epochs(sampler) and (is_dynamic(sampler) or not subject.num_workers):
            loader = _resumed(subject, sampler, state)
            set_epoch(sampler, epoch + 1)
            same(drain(loader), expected, f"{what}, with set_epoch({epoch + 1})")


@line(
    "T8",
    "has no batch left in a state saved in the loop after the last batch",
    why="A typical `every k steps` saves after an epoch's last batch too, before the loop ends. "
    "The state says that the loader has not finished: resumed, a pass without batches must follow. "
    "A sampler whose iterator is already at the next epoch draws that epoch twice.",
    fix="After its last item, the state of an iterator is the end of its own epoch. A pass resumed "
    "there is empty, and the `iter` after it begins the next epoch: for a state saved after the "
    "loop StatefulDataLoader makes both at once.",
    workers=True,
)
def has_no_batch_left(subject: Subject) -> None:
    subject.needs_batches(1)
    for epoch in (0, 2):
        original = subject.at(epoch)
        loader = subject.stateful_loader(original)
        state: State = None
        for _ in loader:
            state = loader.state_dict()
        state = deepcopy(state)
        if has_epochs(original):
            set_epoch(original, epoch + 1)
        expected = drain(loader)
        what = f"after a load of the state saved in the loop at the last batch of epoch {epoch}"
        for told in (False, True)[: 1 + has_epochs(original)]:
            sampler = subject.reborn(epoch)
            loader = _resumed(subject, sampler, state)
            if told:
                set_epoch(sampler, epoch)
            same(drain(loader), [], f"the pass {what}")
            if told or is_dynamic(sampler):
                set_epoch(sampler, epoch + 1)
            same(drain(loader), expected, f"the second pass {what}")


@line(
    "T4",
    "keeps its state in every way of passing it to the loader",
    why="As `sampler=` torchdata wraps it in its own batch sampler; as `batch_sampler=` or with "
    "`batch_size=None` the loader asks it directly, draw by draw. Without a state the pass is "
    "replayed from its start, and torch's BatchSampler hides the state of the sampler inside.",
    fix="Give the iterator its state after each single item. Pass a stateful batch sampler, "
    "not torch's BatchSampler around a stateful sampler.",
    workers=True,
)
def carries_its_state(subject: Subject) -> None:
    subject.needs_batches(TRAINED + 1)
    stateful = torchdata("torchdata.stateful_dataloader.sampler")
    sampler = subject.at(1)
    protocol = ("state_dict", "load_state_dict")
    expect(
        has(sampler, *protocol) or has(iter(sampler), *protocol),
        "neither it nor its iterator has state_dict and load_state_dict",
    )
    ways: dict[str, Callable[[Any], dict[str, Any]]] = {
        "batch_size=None": lambda _: {"batch_size": None}
    }
    if not subject.batches:
        ways["batch_sampler=torchdata's BatchSampler"] = lambda sampler: {
            "batch_sampler": stateful.BatchSampler(sampler, BATCH - 1, False),
        }
    for way, options in ways.items():
        sampler = subject.at(1)
        loader = subject.stateful_loader(sampler, **options(sampler))
        batches = iter(loader)
        take(TRAINED + 3, batches)
        state = deepcopy(loader.state_dict())
        fresh = subject.at(1)
        resumed = _resumed(subject, fresh, state, **options(fresh))
        same(drain(resumed), drain(batches), f"epoch 1 resumed as {way}")


@line(
    "T5",
    "has a state that is small, plain and its own",
    why="With workers StatefulDataLoader asks for the state at every batch and keeps several in a "
    "queue: a state of N entries takes gigabytes and seconds, one that changes later restores "
    "the wrong position, and one that is not JSON ties a checkpoint to a library's version.",
    fix="Return a new dictionary of a few integers and strings: epoch, position, and the values "
    "to validate.",
)
def has_a_small_state(subject: Subject) -> None:
    states = _states(subject.at(1))
    if not states:
        does_not_apply("keeps no state (see D3 and T4)")
    for what, (take_state, move_on) in states.items():
        state = take_state()
        text = _as_json(state, what)
        expect(len(text) < BYTES, f"{what} takes {len(text)} bytes")
        move_on()
        take_state()
        expect(_as_json(state, what) == text, f"{what} changes after it was returned")
        fresh = take_state()
        text = _as_json(fresh, what)
        fresh.clear()
        expect(_as_json(take_state(), what) == text, f"{what} is the sampler's own dictionary")
    if subject.takes("size"):
        for what, (take_state, _) in _states(subject.make(size=LARGE)).items():
            take_state()
            peak = _peak(take_state)
            expect(peak < WORKING, f"{what} of {LARGE} samples takes {peak >> 10} KiB to make")
            size = len(_as_json(take_state(), what))
            expect(size < BYTES, f"{what} of {LARGE} samples takes {size} bytes")


def _states(sampler: AnySampler) -> dict[str, tuple[Callable[[], State], Callable[[], object]]]:
    """Return the available states: name -> (how to take one, what advances the pass)."""
    live = iter(sampler)
    take(TRAINED, live)
    found: dict[str, tuple[Callable[[], State], Callable[[], object]]] = {}
    if has(sampler, "state_dict"):
        found["the sampler's state"] = (sampler.state_dict, lambda: take(1, live))
    if has(live, "state_dict"):
        found["the iterator's state"] = (live.state_dict, lambda: take(1, live))
    return found


def _as_json(state: State, what: str) -> str:
    try:
        text = json.dumps(state)
    except (TypeError, ValueError) as error:
        broken(f"{what} is not JSON: {error}")
    expect(json.loads(text) == state, f"{what} changes when written to JSON and read back")
    return text


def _peak(function: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@line(
    "T6",
    "loads its state with other ranks and batch sizes, and refuses another run's",
    why="Runs are resumed with fewer GPUs or another batch size; a position that counts one rank's "
    "batches is then wrong. And a state loaded into another dataset, or under another "
    "seed, resumes in the middle of an order that was never trained on.",
    fix="Store the global position in draws, together with N and seed; compare them in "
    "`load_state_dict` and raise a ValueError that names the difference.",
)
def loads_elsewhere_and_refuses(subject: Subject) -> None:
    subject.needs_batches(TRAINED + 1)
    ranked = subject.takes("num_replicas", "rank")
    others = {name: 1 for name in ("seed",) if subject.takes(name)}
    if subject.takes("size") and subject.size is not None:
        others["size"] = subject.size + 1
    if subject.batches and not (ranked or others):
        does_not_apply("takes neither ranks nor seed nor size")
    state, rest = _begun(subject, subject.at(1))
    expected = flat(drain(rest))
    if not subject.batches:
        loader = _resumed(subject, subject.at(1), state, batch_size=BATCH + 1)
        same(flat(drain(loader)), expected, f"resumed with batches of {BATCH + 1}, not {BATCH}")
    if ranked:
        two, _ = _begun(subject, subject.at(1, num_replicas=2, rank=0), TRAINED // 2)
        alone = _resumed(subject, subject.at(1, num_replicas=1, rank=0), two)
        done = TRAINED * (1 if subject.batches else BATCH)
        same(flat(drain(alone)), flat(subject.order(1)[done:]), "from two ranks to one")
    for name, value in others.items():
        loader = _resumed(subject, subject.at(1, **{name: value}), state)
        drawn = _unless_refused(partial(drain, loader), f"a state of another {name}")
        # A state that includes the whole order is harmless.
        accepted = drawn is None or equal(flat(drawn), expected)
        expect(accepted, f"a state of another {name} is accepted, and another order is drawn")


def _unless_refused(action: Callable[[], list[Any]], what: str) -> list[Any] | None:
    """Return the result of the action, or None if it is refused with a message."""
    with _unheard():
        try:
            return action()
        except (ValueError, RuntimeError) as error:
            expect(str(error), f"{what} is refused without a message")
            return None


@contextmanager
def _unheard() -> Iterator[None]:
    """Suppress the error that torchdata raises when it deletes a partly constructed loader."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        yield
    finally:
        sys.unraisablehook = hook


@line(
    "T7",
    "restores every rank from the state of rank 0",
    why="Lightning and most trainers write the state of rank 0 only, and load it on every rank.",
    fix="Keep nothing rank-specific in the state: the position counts the draws of all ranks.",
)
def restores_every_rank(subject: Subject) -> None:
    subject.needs_ranks()
    subject.needs_batches(TRAINED + 1)
    ranks = [subject.at(1, num_replicas=2, rank=rank) for rank in (0, 1)]
    began = [_begun(subject, sampler, TRAINED // 2) for sampler in ranks]
    state = began[0][0]
    for rank, (_, rest) in enumerate(began):
        fresh = subject.at(1, num_replicas=2, rank=rank)
        loader = _resumed(subject, fresh, state)
        same(drain(loader), drain(rest), f"rank {rank} of 2, restored from the state of rank 0")


# ---------------------------------------------------------------------- torchdata.nodes


@line(
    "N1",
    "continues exactly inside `torchdata.nodes`",
    why="The nodes ask the sampler itself for its state, with no argument, and never its iterator; "
    "and if it has one they do not skip the items already drawn. A state with `consumed: 0` in the "
    "middle of a pass silently restarts the epoch.",
    fix="Without a count, `state_dict()` of the sampler counts the items its latest iterator "
    "yielded: the whole epoch after the last item. A sampler without `state_dict` is valid too.",
)
def continues_in_nodes(subject: Subject) -> None:
    subject.needs_batches(1)
    for epoch in (0, 2):
        original = subject.at(epoch)
        loader = _node_loader(original, epoch)
        items = iter(loader)
        take(TRAINED, items)
        middle = deepcopy(loader.state_dict())
        rest = drain(items)
        end = deepcopy(loader.state_dict())
        if has_epochs(original):
            set_epoch(original, epoch + 1)
        following = drain(original)
        what = f"a load of the state after {TRAINED} items of epoch {epoch}"
        same(_resumed_in_nodes(subject, epoch, middle), rest, f"after {what}")
        what = f"a load of the state at the end of epoch {epoch}"
        same(_resumed_in_nodes(subject, epoch, end), following, f"after {what}")


def _node_loader(sampler: AnySampler, epoch: int) -> Any:  # torchdata's
    nodes = torchdata("torchdata.nodes")
    return nodes.Loader(nodes.SamplerWrapper(sampler, initial_epoch=epoch))


def _resumed_in_nodes(subject: Subject, epoch: int, state: Any) -> list[Any]:
    loader = _node_loader(subject.reborn(epoch), epoch)
    loader.load_state_dict(state)
    return drain(iter(loader))
