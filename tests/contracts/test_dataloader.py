"""D lines of our own, beside those of the conformance kit: each sampler inside `DataLoader`."""

import copy
import itertools
import pickle

import numpy as np
import pytest
import torch
from products import turns
from torch.utils.data import DataLoader, Dataset

from sampling import Indexed
from sampling.errors import StateError
from sampling.samplers import SensitivitySampler, ShuffleSampler, SubsetSampler, WeightedSampler

from .cases import EVERY, N, order, run_to

every = pytest.mark.parametrize("factory", EVERY)
WORKERS = [0, pytest.param(2, marks=pytest.mark.slow)]


class Squares(Dataset):
    def __getitem__(self, index):
        return torch.tensor(float(index) ** 2)

    def __len__(self):
        return N


class Counting(ShuffleSampler):
    """Counts what was taken from it."""

    taken = 0

    def __iter__(self):
        for index in super().__iter__():
            self.taken += 1
            yield index


def loader(sampler, num_workers=0, **options):
    if num_workers:
        options.setdefault("multiprocessing_context", "fork")
    return DataLoader(
        Indexed(Squares()),
        batch_size=options.pop("batch_size", 8),
        sampler=sampler,
        num_workers=num_workers,
        **options,
    )


def flat(batches):
    return [int(index) for indices, _ in batches for index in indices]


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize(
    ("num_workers", "prefetch", "persistent"),
    [
        (0, None, False),
        pytest.param(2, 2, False, marks=pytest.mark.slow),
        pytest.param(2, 2, True, marks=pytest.mark.slow),
        pytest.param(4, 4, False, marks=pytest.mark.slow),
        pytest.param(4, 4, True, marks=pytest.mark.slow),
    ],
)
def test_d1_handed_out_runs_ahead_and_the_position_is_what_was_trained_on(
    num_workers, prefetch, persistent
):
    sampler = Counting(N)
    loading = loader(
        sampler, num_workers, prefetch_factor=prefetch, persistent_workers=persistent, batch_size=4
    )
    batches = iter(loading)
    for k in range(1, 5):
        next(batches)
        assert sampler.taken == min(N, (k + num_workers * (prefetch or 0)) * 4)
        state = sampler.state_dict(consumed=min(N, k * 4))
        assert state["consumed"] == k * 4
    list(batches)  # let the workers end


@turns({"factory": EVERY, "num_workers": WORKERS, "drop_last": [False, True]})
def test_d3_resume_without_torchdata(factory, drop_last, num_workers):
    interrupted = run_to(factory(drop_last=drop_last), 2)
    expected = order(interrupted)
    trained = flat(itertools.islice(loader(interrupted, num_workers), 3))
    state = pickle.loads(pickle.dumps(interrupted.state_dict(consumed=len(trained))))

    resumed = run_to(factory(drop_last=drop_last), 2)
    resumed.load_state_dict(state)
    resumed.set_epoch(2)  # the same epoch: the position stays
    assert resumed.remaining == len(expected) - len(trained)
    assert trained + flat(loader(resumed, num_workers)) == expected
    resumed.set_epoch(3)
    assert len(flat(loader(resumed, num_workers))) == len(resumed) == resumed.remaining


@every
def test_d3_a_state_carries_its_epoch(factory):
    sampler = factory()
    if sampler.dynamic:
        with pytest.raises(StateError, match="plan must be"):
            sampler.load_state_dict({**sampler.state_dict(), "plan": "0" * 16})
        return
    state = run_to(factory(), 2).state_dict(consumed=9)
    sampler.load_state_dict(state)
    assert sampler.epoch == 2
    assert list(sampler) == sampler.indices(2)[9:].tolist()
    sampler.load_state_dict(state)
    sampler.set_epoch(1)  # another epoch: the position is dropped
    assert list(sampler) == sampler.indices(1).tolist()


@every
def test_a_state_of_something_else_is_refused_and_changes_nothing(factory):
    sampler = run_to(factory(), 1)
    expected, state = order(sampler), sampler.state_dict(consumed=3)
    foreign = {
        "must have seed 0, got 7": {**state, "seed": 7},
        "must have size .*, got 5": {**state, "size": 5},
        "must have sampler .*, got 'Other'": {**state, "sampler": "Other"},
        "must have version 1, got 2": {**state, "version": 2},
        "same data and arguments": {**state, "fingerprint": "0" * 16},
        "missing": {key: value for key, value in state.items() if key != "epoch"},
        "consumed must be in": {**state, "consumed": 10**6},
        "epoch": {**state, "epoch": -1},
    }
    for message, wrong in foreign.items():
        with pytest.raises(ValueError, match=message):
            sampler.load_state_dict(wrong)
    assert (sampler.epoch, order(sampler)) == (1, expected)


def test_other_data_has_another_fingerprint():
    one, other = WeightedSampler([1, 2, 3]), WeightedSampler([1, 2, 4])
    with pytest.raises(StateError, match="same data and arguments"):
        other.load_state_dict(one.state_dict())
    with pytest.raises(StateError, match="same data and arguments"):
        SubsetSampler([0, 2, 3]).load_state_dict(SubsetSampler([0, 1, 3]).state_dict())


def test_d4_new_center_losses_wait_for_the_next_epoch():
    def make():
        return SensitivitySampler(
            np.ones(N), np.arange(N) % 4, [1.0, 2, 3, 4], 50, holder_constant=1.0
        )

    sampler, reference = make(), make()
    live = iter(sampler)
    first = next(live)
    sampler.refresh([9.0, 1, 1, 1])
    assert [first, *live] == list(reference)
    assert np.array_equal(sampler.weights_for([0, 1]), reference.weights_for([0, 1]))
    sampler.set_epoch(1)
    reference.set_epoch(1)
    assert list(sampler) != list(reference)
    assert sampler.weights_for([0])[0] < reference.weights_for([0])[0]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"generator": torch.Generator()}, id="generator"),
        {"batch_size": None},
        {"drop_last": True},
        pytest.param({"num_workers": 2, "in_order": False}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_d5_loader_options(options):
    sampler = ShuffleSampler(N)
    expected = order(sampler)
    loading = loader(sampler, **options)
    drawn = []
    for indices, _ in loading:
        drawn += indices.reshape(-1).tolist() if torch.is_tensor(indices) else [indices]
    if not options.get("in_order", True):
        assert sorted(drawn) == sorted(expected)
    else:
        assert drawn == expected[: len(drawn)]
        assert len(drawn) == (N // 8 * 8 if options.get("drop_last") else N)


@turns({"factory": EVERY, "num_workers": WORKERS})
def test_the_training_loop_is_the_same_for_every_sampler(factory, num_workers):
    sampler = factory()
    loading = loader(sampler, num_workers)
    scale = torch.ones((), requires_grad=True)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        seen = 0
        for indices, x in loading:
            loss = sampler.reduce(scale * (1 + x / N**2), indices)
            loss.backward()
            seen += len(indices)
        assert seen == len(sampler)
    assert torch.isfinite(scale.grad)


@every
def test_an_iterator_knows_what_it_handed_out(factory):
    sampler = run_to(factory(num_replicas=2, rank=1), 2)
    expected, whole = order(sampler), sampler.indices(2).size
    live = iter(sampler)
    trained = [next(live) for _ in range(7)]
    state = live.state_dict()
    assert (state["epoch"], state["consumed"]) == (2, 14)

    other = iter(sampler)
    other.load_state_dict(state)
    assert trained + list(other) == expected
    sampler.load_state_dict({**state, "consumed": 0})
    done = iter(sampler)
    list(done)
    assert (done.state_dict()["epoch"], done.state_dict()["consumed"]) == (2, whole)
    assert sampler.state_dict() == done.state_dict()


@every
def test_n1_a_state_without_a_count_is_where_the_latest_pass_stands(factory):
    sampler = run_to(factory(), 2)
    expected = order(sampler)
    assert sampler.state_dict()["consumed"] == 0
    live = iter(sampler)
    for count in (0, 5, len(expected)):
        sum(1 for _ in itertools.islice(live, count - sampler.state_dict()["consumed"]))
        state = sampler.state_dict()
        assert (state["epoch"], state["consumed"]) == (2, count)
        other = run_to(factory(), 2)
        other.state_dict()  # plans
        other.load_state_dict(state)
        assert other.state_dict() == state, "loaded, before a pass began"
        assert list(other) == expected[count:]
    again = copy.deepcopy(sampler)
    assert again.state_dict()["consumed"] == 0, "no pass runs in a copy"
    assert sampler.state_dict(3)["consumed"] == 3
    for each in (sampler, again):
        each.set_epoch(3)
        assert each.state_dict()["consumed"] == 0
