"""R checks: the ranks of a training run together draw one epoch, and agree on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch.distributed as dist

from ._outcomes import BATCHES, broken, does_not_apply, expect, same
from ._processes import on_two_ranks
from ._registry import line
from ._subject import Subject, drain, flat, has, is_dynamic, losses, weights_of

WORLDS = (2, 3, 8)


@line(
    "R1",
    "interleaves over the ranks the order of one process",
    why="Two ranks that share samples train on them twice, and never on others; an order cut into "
    "blocks changes with the number of ranks, so that no run can be repeated or resumed on "
    "other hardware.",
    fix="Rank r of W takes positions r, r + W, ... of one global order. Unless `drop_last`, repeat "
    "the front of the order until every rank has the same number, as torch does.",
)
def deals_one_epoch(subject: Subject) -> None:
    subject.needs_ranks()
    tails: list[dict[str, Any]] = [{}]
    if subject.takes("drop_last") and not subject.batches:  # there it is about the short batch
        tails.append({"drop_last": True})
    if subject.takes("pad"):
        tails.append({"pad": False})
    whole = subject.order(2)
    for world in WORLDS:
        for tail in tails:
            for rank in range(world):
                seen = subject.order(2, num_replicas=world, rank=rank, **tail)
                what = f"rank {rank} of {world}" + "".join(f", {k}={v}" for k, v in tail.items())
                if subject.batches:
                    _same_batches(seen, whole, world, rank, what)
                else:
                    same(seen, _share(whole, world, rank, **tail), what)


def _same_batches(seen: list[Any], whole: list[Any], world: int, rank: int, what: str) -> None:
    """Compare all but the padding, which R3 checks; single draws may be sharded as well."""
    draws = flat(whole)[rank::world]
    if flat(seen)[: len(draws)] != draws:
        own = whole[rank::world]
        same(seen[: len(own)], own, what)


def _share(
    whole: list[Any], world: int, rank: int, drop_last: bool = False, pad: bool = True
) -> list[Any]:
    """Return the share of a rank in the whole epoch."""
    if drop_last:
        return whole[rank : len(whole) // world * world : world]
    if not pad or not whole:
        return whole[rank::world]
    places = range(rank, -(-len(whole) // world) * world, world)
    return [whole[place % len(whole)] for place in places]


@line(
    "R2",
    "takes its rank from the arguments, else from torch.distributed, else is the only rank",
    why="A sampler that reads only torch.distributed cannot be tried, tested or used for an "
    "evaluation on one rank; one that never reads it gives every process the same data.",
    fix="Defaults of None: read torch.distributed once, at construction, if it is initialised; "
    "otherwise rank 0 of 1. Refuse a rank that is not in [0, num_replicas).",
)
def takes_its_rank(subject: Subject) -> None:
    subject.needs_ranks()
    if dist.is_available() and dist.is_initialized():
        does_not_apply("torch.distributed is in use: the check would disturb it")
    whole = drain(subject.make())
    same(drain(subject.factory()), whole, "without arguments and without torch.distributed")
    third = drain(subject.make(num_replicas=4, rank=3))
    second = drain(subject.make(num_replicas=2, rank=1))
    with _second_of_two():
        same(drain(subject.factory()), second, "without arguments on rank 1 of 2")
        explicit = drain(subject.factory(num_replicas=4, rank=3))
        same(explicit, third, "rank=3, num_replicas=4 given on rank 1 of 2")
    try:
        subject.make(num_replicas=2, rank=2)
    except ValueError:
        return
    broken("rank=2 with num_replicas=2 is accepted")


@contextmanager
def _second_of_two() -> Iterator[None]:
    """Make torch.distributed report that this process is rank 1 of 2, without the other."""
    try:
        from torch.testing._internal.distributed.fake_pg import FakeStore
    except ImportError:
        does_not_apply("this torch has no fake process group")
    dist.init_process_group("fake", rank=1, world_size=2, store=FakeStore())
    try:
        yield
    finally:
        dist.destroy_process_group()


@line(
    "R3",
    "gives every rank the same number of batches, none of them empty",
    why="DistributedDataParallel waits in every backward pass for all ranks: one batch more on one "
    "of them is a hang until the timeout, and an empty batch is a loss of NaN.",
    fix="Cut the global order into batches first, then shard the batches; repeat batches of the "
    "front for the ranks that would have fewer.",
    kinds=(BATCHES,),
)
def deals_equal_batches(subject: Subject) -> None:
    drops = (False, True) if subject.takes("drop_last") else (False,)
    few = len(subject.order(0)) + 6  # ranks for too few batches
    for world in (*WORLDS, few) if subject.takes("num_replicas", "rank") else (1,):
        for epoch in range(3):
            for drop_last in drops:
                chosen = {"num_replicas": world, "drop_last": drop_last}
                dealt = [subject.order(epoch, rank=rank, **chosen) for rank in range(world)]
                counts = [len(batches) for batches in dealt]
                expect(len(set(counts)) == 1, f"epoch {epoch}: {world} ranks get {counts} batches")
                empty = [rank for rank, own in enumerate(dealt) if not all(len(b) for b in own)]
                expect(not empty, f"epoch {epoch}: ranks {empty} of {world} get an empty batch")


@line(
    "R4",
    "plans its epochs from the losses of all ranks",
    why="Each rank sees the losses of its own samples. Planned from those alone the next epochs "
    "differ between ranks: samples drawn twice and never, and different lengths, so that the run "
    "hangs.",
    fix="Synchronise the losses of all ranks in `set_epoch`, before the epoch is planned.",
    processes=True,
)
def agrees_on_losses(subject: Subject) -> None:
    if not is_dynamic(subject.make()):
        does_not_apply("its epochs do not depend on losses")
    ranked = subject.takes("num_replicas", "rank")

    def work(rank: int) -> tuple[list[Any], Any, list[float]]:
        sampler = subject.make(num_replicas=2, rank=rank)
        sampler.set_epoch(0)
        mine = drain(sampler) if ranked else drain(sampler)[rank::2]
        drawn = np.unique(flat(mine))
        sampler.record(drawn, losses(drawn, 0))
        sampler.set_epoch(1)
        state = sampler.state_dict() if has(sampler, "state_dict") else None
        everybodys = np.unique(flat(subject.order(1)))
        return drain(sampler), state, weights_of(sampler, everybodys)

    (one, state, weights), (two, state_of_two, weights_of_two) = on_two_ranks(work)
    expect(state == state_of_two, f"states differ: {state} on rank 0, {state_of_two} on rank 1")
    same(weights_of_two, weights, "weights on rank 1, against rank 0")
    whole = subject.order(1)
    for rank, seen in enumerate((one, two)):
        expected = _share(whole, 2, rank) if ranked else whole
        same(seen, expected, f"rank {rank} of 2 after losses were recorded on both")
