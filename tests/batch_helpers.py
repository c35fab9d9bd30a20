"""What every batch sampler that makes its own batches must do; each has tests of its own besides.

A factory takes the options of `EpochSampler` and returns a batch sampler.
"""

import json
import pickle
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from sampling.errors import StateError


def of_epoch(factory, epoch=0, **options):
    """The batches of an epoch that one rank alone is dealt."""
    batches = factory(**options)
    batches.set_epoch(epoch)
    return list(batches)


def dealt_by_rank(factory, ranks, epoch=0, state=None, **options):
    """What each rank is dealt, from a state on if there is one."""
    found = []
    for rank in range(ranks):
        batches = factory(num_replicas=ranks, rank=rank, **options)
        if state is None:
            batches.set_epoch(epoch)
        else:
            batches.load_state_dict(state)
        expected = len(batches) if state is None else batches.remaining
        found.append(list(batches))
        assert len(found[-1]) == expected
        assert batches.length(epoch) == len(batches)
    return found


def interleaved(by_rank):
    """Batches 0, 1, 2, ... of ranks that take turns, the last round perhaps short."""
    longest = max(map(len, by_rank))
    return [each[i] for i in range(longest) for each in by_rank if i < len(each)]


def check_batches_are_plain_and_repeatable(factory):
    """Lists of Python ints, the same each time, that touch no global generator."""
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    first = of_epoch(factory, 3)
    assert all(type(batch) is list and batch for batch in first)
    assert {type(index) for batch in first for index in batch} == {int}
    assert of_epoch(factory, 3) == first
    batches = factory()
    batches.set_epoch(7)
    list(batches)
    batches.set_epoch(3)  # an epoch knows nothing of those before it
    assert list(batches) == first
    assert of_epoch(factory, 4) != first
    assert of_epoch(factory, 3, seed=1) != first
    assert of_epoch(factory, 1, seed=0) != of_epoch(factory, 0, seed=1)
    assert of_epoch(factory, 2**64 - 1)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)


def check_ranks(factory):
    """Ranks 1 to 8 deal the one order in turns, equally often, or exactly with pad=False."""
    for epoch in (0, 2):
        whole = of_epoch(factory, epoch)
        np.testing.assert_array_equal(factory().indices(epoch), np.concatenate(whole))
        for ranks in range(1, 9):
            by_rank = dealt_by_rank(factory, ranks, epoch)
            assert len({len(each) for each in by_rank}) == 1
            padded = [whole[i % len(whole)] for i in range(len(by_rank[0]) * ranks)]
            assert interleaved(by_rank) == padded
            exact = dealt_by_rank(factory, ranks, epoch, pad=False)
            assert interleaved(exact) == whole


def check_resume(factory):
    """After whole rounds the rest is dealt on any number of ranks, and the next epoch is whole."""
    epoch = 2
    whole, following = of_epoch(factory, epoch), of_epoch(factory, epoch + 1)
    for before, rounds in ((1, 0), (1, 3), (2, 1), (3, 1)):
        saved = factory(num_replicas=before, rank=0)
        saved.set_epoch(epoch)
        state = saved.state_dict(saved.consumed_after(rounds))
        assert len(json.dumps(state)) < 1024
        state = json.loads(json.dumps(state))
        rest = whole[before * rounds :]
        assert rest  # else there is nothing to see
        for after in (1, 2, 3, 4):
            by_rank = dealt_by_rank(factory, after, epoch, state)
            count = after * len(by_rank[0])
            padding = [whole[i % len(whole)] for i in range(count - len(rest))]
            assert interleaved(by_rank) == rest + padding
        resumed = factory()
        resumed.load_state_dict(state)
        list(resumed)
        resumed.set_epoch(epoch + 1)
        assert list(resumed) == following


def check_positions_between_batches_only(factory):
    """A state inside a batch is refused, and the sampler stays where it was."""
    batches = factory()
    whole = list(batches)
    inside = len(whole[0]) + 1
    assert len(whole[1]) > 1
    with pytest.raises(StateError, match="between two batches"):
        batches.state_dict(inside)
    state = batches.state_dict(len(whole[0]))
    other = factory()
    other.load_state_dict(state)
    with pytest.raises(StateError, match="between two batches"):
        other.load_state_dict({**state, "consumed": inside})
    assert list(other) == whole[1:]
    with pytest.raises(ValueError, match="consumed must be in"):
        batches.state_dict(sum(map(len, whole)) + 1)


def check_iterator_state(factory):
    """The iterator says where it stands, and goes on from there; after the end, the next epoch."""
    whole = of_epoch(factory, 1)
    batches = factory()
    batches.set_epoch(1)
    iterator = iter(batches)
    taken = [next(iterator) for _ in range(3)]
    assert taken == whole[:3]
    state = json.loads(json.dumps(iterator.state_dict()))
    other = factory()
    resumed = iter(other)
    resumed.load_state_dict(state)
    assert list(resumed) == whole[3:]
    assert list(iterator) == whole[3:]
    after = factory()
    after.load_state_dict(iterator.state_dict())
    assert (after.epoch, list(after)) == (1, [])
    assert list(after) == of_epoch(factory, 2)


def check_copies(factory):
    """Pickles and copies deal the same, in mid-epoch too."""
    whole = of_epoch(factory, 1)
    batches = factory()
    batches.set_epoch(1)
    batches.load_state_dict(batches.state_dict(batches.consumed_after(2)))
    for copied in (pickle.loads(pickle.dumps(batches)), deepcopy(batches)):
        assert type(copied) is type(batches)
        assert (copied.epoch, copied.batch_size) == (1, batches.batch_size)
        assert list(copied) == whole[2:]


def check_loader(factory, size):
    """torch's loader, with workers too."""
    whole = of_epoch(factory, 1)
    for workers in (0, 2):
        batches = factory()
        loader = DataLoader(
            range(size), batch_sampler=batches, num_workers=workers, collate_fn=list
        )
        batches.set_epoch(1)
        assert list(loader) == whole
        assert len(loader) == len(whole)


def check_fingerprints(*factories):
    """Each makes other batches, so none takes the state of another."""
    states = [factory().state_dict() for factory in factories]
    names = {(state["size"], state["seed"], state["fingerprint"]) for state in states}
    assert len(names) == len(states)
    for i, factory in enumerate(factories):
        for j, state in enumerate(states):
            if i == j:
                factory().load_state_dict(state)
            else:
                with pytest.raises(StateError):
                    factory().load_state_dict(state)


CHECKS = {
    "plain and repeatable": check_batches_are_plain_and_repeatable,
    "ranks": check_ranks,
    "resume": check_resume,
    "positions": check_positions_between_batches_only,
    "iterator state": check_iterator_state,
    "copies": check_copies,
}
each_check = pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
