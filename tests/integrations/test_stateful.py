"""T lines: samplers in torchdata's StatefulDataLoader, resumed with any number of workers."""

import json

import numpy as np
import pytest
from contracts.cases import FACTORIES, N, run_to
from products import pairs, rounds
from torch.utils.data import BatchSampler, DataLoader

from sampling.errors import StateError
from sampling.integrations._stateful import load_loader_state
from sampling.samplers import (
    ClassBalancedSampler,
    EpochBatchSampler,
    ShuffleSampler,
    TokenBudgetBatchSampler,
    full_state,
    load_full_state,
)

torchdata = pytest.importorskip("torchdata.stateful_dataloader", reason="needs torchdata")
pytestmark = [
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
]

STATIC = ["shuffle", "shuffle over", "weighted", "class balanced", "rs2 large", "cluster clip"]
DYNAMIC = ["infobatch", "dynamic random"]
WORKERS = [0, pytest.param(2, marks=pytest.mark.slow)]
CHANGES = [(2, 0), (0, 2), (2, 3), (1, 2), (0, 0), (2, 2)]
slow_changes = [
    pytest.param(*each, marks=[pytest.mark.slow] if any(each) else []) for each in CHANGES
]
HOW = ["sampler", "batch_sampler"]


class Items:
    """Sample i is i."""

    def __getitem__(self, index):
        return index

    def __len__(self):
        return N


class Counted(Items):
    """A dataset with a state of its own."""

    def state_dict(self):
        return {"read": 5}

    def load_state_dict(self, state):
        pass


def loader_of(sampler, how="sampler", num_workers=0, batch_size=4, **options):
    """A loader of a sampler; `how` it is given."""
    if num_workers:
        options["multiprocessing_context"] = "fork"
    drop_last = options.pop("drop_last", False)
    given = {
        "sampler": lambda: {"sampler": sampler, "batch_size": batch_size, "drop_last": drop_last},
        "batch_sampler": lambda: {
            "batch_sampler": EpochBatchSampler(sampler, batch_size, drop_last)
        },
        "blocks": lambda: {"batch_sampler": sampler},
        "single": lambda: {"sampler": sampler, "batch_size": None},
        "hidden": lambda: {"batch_sampler": BatchSampler(sampler, batch_size, drop_last)},
        "foreign": lambda: {"sampler": list(range(N)), "batch_size": batch_size},
        "shuffle": lambda: {"shuffle": True, "batch_size": batch_size},
    }[how]()
    kind = options.pop("kind", torchdata.StatefulDataLoader)
    dataset = options.pop("dataset", None) or Items()
    return kind(dataset, num_workers=num_workers, **given, **options)


def flat(batches):
    return [
        int(i)
        for batch in batches
        for i in np.atleast_1d(batch.numpy() if hasattr(batch, "numpy") else batch)
    ]


def take(loader, count):
    """The first batches of a pass, which stays open: its loader can be asked for its state."""
    batches = iter(loader)
    return flat([next(batches) for _ in range(count)])


def whole_epoch(name, epoch, **options):
    return run_to(FACTORIES[name](**options), epoch).indices(epoch).tolist()


def again(name, sampler, **options):
    """Another process's sampler: made alike; a dynamic one also gets its full state."""
    fresh = FACTORIES[name](**options)
    if sampler.dynamic:
        load_full_state(fresh, full_state(sampler))
    return fresh


# ---- T1 to T4: without the helper ----------------------------------------------------------------


@rounds(
    {"name": [*STATIC, *DYNAMIC], "how": HOW, "num_workers": WORKERS, "epoch": [0, 2]},
    times=1,  # all combinations of the other three
)
def test_t1_continues_exactly_twice_in_an_epoch(name, how, num_workers, epoch):
    """Once without being told the epoch after the load, and once with."""
    sampler = run_to(FACTORIES[name](), epoch)
    loader = loader_of(sampler, how, num_workers)
    expected = whole_epoch(name, epoch)
    drawn = []
    for told in (False, True):
        drawn += take(loader, 4)
        state = loader.state_dict()
        sampler = again(name, sampler)
        loader = loader_of(sampler, how, num_workers)
        loader.load_state_dict(state)
        if told:
            sampler.set_epoch(epoch)
    assert drawn + flat(loader) == expected
    assert sampler.epoch == epoch


@pytest.mark.parametrize("how", ["sampler", "batch_sampler"])
@pytest.mark.parametrize("num_workers", WORKERS)
def test_t2_another_epoch_drops_the_position(how, num_workers):
    sampler = run_to(ShuffleSampler(N), 2)
    loader = loader_of(sampler, how, num_workers)
    take(loader, 4)
    state = loader.state_dict()
    sampler = ShuffleSampler(N)
    loader = loader_of(sampler, how, num_workers)
    load_loader_state(loader, state)
    iter(loader)
    sampler.set_epoch(5)
    assert flat(loader) == sampler.indices(5).tolist()


@rounds(
    {
        "before, after": slow_changes,
        "how": HOW,
        "name": ["shuffle", "weighted", "infobatch"],
        "drop_last": [False, True],
    }
)
def test_t3_saved_at_the_end_of_an_epoch_the_next_pass_is_the_next_epoch(
    name, how, before, after, drop_last
):
    sampler = run_to(FACTORIES[name](), 1)
    loader = loader_of(sampler, how, before, drop_last=drop_last)
    flat(loader)
    state = loader.state_dict()
    resumed = again(name, sampler)
    loader = loader_of(resumed, how, after, drop_last=drop_last)
    load_loader_state(loader, state)
    if resumed.dynamic:
        with pytest.raises(RuntimeError, match=r"epoch 1 is over: call set_epoch\(2\)"):
            next(iter(resumed))
        resumed.set_epoch(2)
    assert flat(loader) == resumed.indices(2)[: len(loader) * 4].tolist()
    assert resumed.epoch == 2


IN_LOOP = [
    ("shuffle", "sampler", False, 1),
    ("shuffle", "batch_sampler", True, 1),
    ("infobatch", "sampler", True, 1),
    ("infobatch", "batch_sampler", False, 1),
    ("token budget", "blocks", False, 1),
    ("weighted", "sampler", False, 5),
]


@rounds(
    {
        "before, after": slow_changes,
        "told": [False, True],
        "name, how, drop_last, every_n": [pytest.param(*each) for each in IN_LOOP],
    }
)
def test_t3_saved_in_the_loop_after_the_last_batch_none_is_left_of_the_epoch(
    name, how, before, after, drop_last, every_n, told
):
    """The loop has not ended: a pass of no batch is due, and after it the whole next epoch."""
    blocks = {"token budget": lambda: TokenBudgetBatchSampler(3 + np.arange(N) % 17, 40)}
    factory = {**FACTORIES, **blocks}[name]
    sampler = run_to(factory(), 1)
    options = {"drop_last": drop_last, "snapshot_every_n_steps": every_n}
    loader = loader_of(sampler, how, before, **options)
    states = [loader.state_dict() for _ in loader]
    full = full_state(sampler, consumed=sampler.indices(1).size)
    for load in [load_loader_state] + [lambda loader, s: loader.load_state_dict(s)] * (
        before == after
    ):
        resumed = factory()
        if resumed.dynamic:
            load_full_state(resumed, full)
        loader = loader_of(resumed, how, after, **options)
        load(loader, states[-1])
        if told:
            resumed.set_epoch(1)
        assert flat(loader) == []
        if told or resumed.dynamic:
            resumed.set_epoch(2)
        epoch_2 = flat(loader)
        assert resumed.epoch == 2
        assert epoch_2 == resumed.indices(2)[: len(epoch_2)].tolist()
        assert len(epoch_2) in {resumed.indices(2).size, len(loader) * 4}


@pytest.mark.parametrize("how", ["sampler", "batch_sampler"])
@pytest.mark.parametrize("num_workers", WORKERS)
def test_t3_saved_after_the_loop_with_older_snapshots_or_a_short_batch_dropped(how, num_workers):
    """Without our helper: torchdata's own state is that of some batches before the end."""
    sampler = run_to(ShuffleSampler(N + 1), 1)
    options = {"drop_last": True, "snapshot_every_n_steps": 5}
    loader = loader_of(sampler, how, num_workers, **options)
    whole = len(flat(loader))
    resumed = ShuffleSampler(N + 1)
    again = loader_of(resumed, how, num_workers, **options)
    again.load_state_dict(loader.state_dict())
    assert flat(again) == resumed.indices(2)[:whole].tolist()


def test_t3_an_earlier_state_of_the_same_process_goes_back_to_the_end_of_its_epoch():
    sampler = ShuffleSampler(N)
    loader = loader_of(sampler)
    states = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        states += [loader.state_dict() for _ in loader]
    last = len(loader) - 1
    for number in (last, last - 1):
        loader.load_state_dict(states[number])
        assert len(flat(loader)) == (0 if number == last else N % 4)
        assert flat(loader) == sampler.indices(1).tolist()


def test_t4_torchs_batch_sampler_hides_the_state():
    sampler = run_to(ShuffleSampler(N), 2)
    loader = loader_of(sampler, "hidden")
    take(loader, 4)
    state = loader.state_dict()
    assert "fingerprint" not in json.dumps(state)
    with pytest.raises(StateError, match="holds only that 4 batches were yielded. Give it"):
        load_loader_state(loader_of(ShuffleSampler(N), num_workers=1), state)


# ---- T6: another number of workers ---------------------------------------------------------------


@rounds(
    {
        "name": ["shuffle over", "class balanced", "infobatch", "dynamic random"],
        "how": HOW,
        "before, after": slow_changes,
    }
)
def test_t6_workers_may_change_in_mid_epoch(name, how, before, after):
    expected = whole_epoch(name, 2)
    sampler = run_to(FACTORIES[name](), 2)
    loader = loader_of(sampler, how, before)
    drawn = take(loader, 3)
    state = loader.state_dict()

    sampler = again(name, sampler)
    loader = loader_of(sampler, how, after)
    load_loader_state(loader, state)
    drawn += take(loader, 2)
    state = loader.state_dict()  # a second time in the same epoch, and back

    sampler = again(name, sampler)
    loader = loader_of(sampler, how, before)
    load_loader_state(loader, state)
    assert drawn + flat(loader) == expected
    assert sampler.epoch == 2


@pairs(
    {
        "how": [*HOW, "single"],
        "taken": [0, 4, 5, 13],
        "every_n": [1, 5],
        "before, after": [
            pytest.param(2, 0, marks=pytest.mark.slow),
            pytest.param(0, 2, marks=pytest.mark.slow),
        ],
    }
)
def test_t6_what_was_handed_out_counts_and_not_what_was_prefetched(
    how, taken, every_n, before, after
):
    expected = whole_epoch("shuffle", 2)
    sampler = run_to(FACTORIES["shuffle"](), 2)
    loader = loader_of(
        sampler, how, before, snapshot_every_n_steps=every_n, prefetch_factor=3 if before else None
    )
    drawn = take(loader, taken)
    state = loader.state_dict()
    resumed = FACTORIES["shuffle"]()
    loader = loader_of(resumed, how, after)
    load_loader_state(loader, state)
    assert drawn + flat(loader) == expected


@pytest.mark.slow
@pytest.mark.parametrize("how", ["sampler", "batch_sampler"])
def test_t6_ranks_and_batch_size_may_change_too(how):
    """The state of rank 0 alone; from 2 ranks of 3 workers to one of none, and back."""
    expected = whole_epoch("shuffle", 2)
    ranks = [run_to(ShuffleSampler(N, num_replicas=2, rank=rank), 2) for rank in range(2)]
    loaders = [loader_of(each, how, 3) for each in ranks]
    drawn = [take(loader, 3) for loader in loaders]
    state = loaders[0].state_dict()
    alone = ShuffleSampler(N)
    loader = loader_of(alone, how, 0, batch_size=7)
    load_loader_state(loader, state)
    seen = sorted(drawn[0] + drawn[1])
    assert seen == sorted(expected[:24])
    rest = take(loader, 2)
    assert rest == expected[24:38]
    state = loader.state_dict()
    found = []
    for rank in range(2):
        sampler = ShuffleSampler(N, num_replicas=2, rank=rank, pad=False)
        loader = loader_of(sampler, how, 2, batch_size=2)
        load_loader_state(loader, state)
        found += flat(loader)
    assert sorted(found) == sorted(expected[38:])


def test_t6_another_batch_size_of_the_same_workers():
    sampler = ShuffleSampler(N)
    loader = loader_of(sampler)
    drawn = take(loader, 3)
    state = loader.state_dict()
    loader = loader_of(ShuffleSampler(N), batch_size=9)
    load_loader_state(loader, state)
    assert drawn + flat(loader) == sampler.indices(0).tolist()


@pytest.mark.slow
def test_the_batch_size_of_the_saved_run_counts_since_its_snapshot():
    sampler = ShuffleSampler(N)
    loader = loader_of(sampler, "sampler", 2, snapshot_every_n_steps=4)
    drawn = take(loader, 7)
    state = loader.state_dict()
    assert state["_steps_since_snapshot"] == 3
    loader = loader_of(ShuffleSampler(N), "sampler", 0, batch_size=9)
    load_loader_state(loader, state)
    assert drawn + flat(loader) == sampler.indices(0).tolist()


@pytest.mark.slow
def test_a_batch_sampler_takes_the_state_of_a_sampler():
    sampler = ShuffleSampler(N)
    loader = loader_of(sampler, "sampler", 2)
    drawn = take(loader, 3)
    state = loader.state_dict()
    loader = loader_of(ShuffleSampler(N), "batch_sampler", 0)
    load_loader_state(loader, state)
    drawn += take(loader, 3)
    state = loader.state_dict()
    loader = loader_of(ShuffleSampler(N), "hidden", 1)
    load_loader_state(loader, state)
    assert drawn + flat(loader) == sampler.indices(0).tolist()


@pytest.mark.slow
def test_a_state_behind_its_snapshot_must_be_of_a_loader_that_is_built_alike():
    loader = loader_of(ShuffleSampler(N), "batch_sampler", 2, snapshot_every_n_steps=5)
    take(loader, 3)
    state = loader.state_dict()
    with pytest.raises(StateError, match="built alike, .* got one of another kind, 3 batches"):
        load_loader_state(loader_of(ShuffleSampler(N), "sampler", 0), state)


def test_a_plain_loader_will_do():
    sampler = run_to(ShuffleSampler(N), 2)
    loader = loader_of(sampler)
    drawn = take(loader, 3)
    state = loader.state_dict()
    loader = loader_of(ShuffleSampler(N), kind=DataLoader)
    load_loader_state(loader, state)
    assert drawn + flat(loader) == sampler.indices(2).tolist()


@pytest.mark.slow
def test_a_pass_that_the_loader_has_begun_is_forgotten():
    sampler = ShuffleSampler(N)
    loader = loader_of(sampler)
    drawn = take(loader, 3)
    state = loader.state_dict()
    loader = loader_of(ShuffleSampler(N), num_workers=2)
    loader.state_dict()  # begins a pass, and prefetches from it
    load_loader_state(loader, state)
    assert drawn + flat(loader) == sampler.indices(0).tolist()


def test_loading_twice_is_loading_once():
    sampler = ShuffleSampler(N)
    loader = loader_of(sampler)
    drawn = take(loader, 3)
    state = loader.state_dict()
    resumed = ShuffleSampler(N)
    loader = loader_of(resumed, kind=DataLoader)
    for _ in range(2):
        load_loader_state(loader, state)
        resumed.load_state_dict(sampler.state_dict(consumed=12))
    assert drawn + flat(loader) == sampler.indices(0).tolist()


def test_a_dynamic_sampler_needs_its_plan():
    sampler = run_to(FACTORIES["infobatch"](), 2)
    loader = loader_of(sampler)
    take(loader, 3)
    with pytest.raises(StateError, match="plan"):
        load_loader_state(loader_of(FACTORIES["infobatch"](), kind=DataLoader), loader.state_dict())


# ---- what it refuses -----------------------------------------------------------------------------


def saved(how="sampler", num_workers=0, **options):
    loader = loader_of(ShuffleSampler(N), how, num_workers, **options)
    take(loader, 3)
    return loader.state_dict()


def test_an_empty_state_is_nothing():
    sampler = ShuffleSampler(N)
    load_loader_state(loader_of(sampler), {})
    assert sampler.remaining == N


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"epoch": 3}, r"must be what StatefulDataLoader.state_dict\(\) returned, got .*'epoch'"),
        ({"_snapshot": {}}, r"must be what StatefulDataLoader.state_dict\(\) returned"),
    ],
)
def test_refuses_what_is_no_state_of_a_loader(state, message):
    with pytest.raises(StateError, match=message):
        load_loader_state(loader_of(ShuffleSampler(N)), state)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("hidden", "holds only that 3 batches were yielded. Give"),
        ("foreign", "holds only that 3 batches were yielded. Give"),
        ("shuffle", "holds that of another sampler. Give"),
    ],
)
def test_refuses_states_without_a_sampler_of_ours(how, message):
    with pytest.raises(StateError, match=f"num_workers must be 0, .* got 1: .*{message}"):
        load_loader_state(loader_of(ShuffleSampler(N), num_workers=1), saved(how))


def test_refuses_an_epoch_without_a_position():
    class Own(ShuffleSampler):
        def __iter__(self):
            yield from super().__iter__()

    loader = loader_of(Own(N))
    take(loader, 3)
    with pytest.raises(StateError, match="holds its epoch but not its position"):
        load_loader_state(loader_of(Own(N), num_workers=1), loader.state_dict())


@pytest.mark.parametrize(
    "sampler", [ShuffleSampler(N, seed=1), ShuffleSampler(N + 1), ClassBalancedSampler([0, 1] * 9)]
)
def test_refuses_the_state_of_another_sampler_and_changes_nothing(sampler):
    loader = loader_of(sampler, kind=DataLoader)
    before = (sampler.epoch, sampler.remaining)
    with pytest.raises(StateError, match="state must have"):
        load_loader_state(loader, saved())
    assert (sampler.epoch, sampler.remaining) == before


def test_refuses_a_loader_without_a_sampler_of_ours():
    with pytest.raises(TypeError, match="must have a sampler of this package .*, got BatchSampler"):
        load_loader_state(loader_of(None, "foreign", num_workers=1), saved())


@pytest.mark.parametrize("before", WORKERS)
def test_the_state_of_a_dataset_stays_with_its_workers(before):
    sampler = ShuffleSampler(N)
    state = saved(num_workers=before, dataset=Counted())
    loader = loader_of(sampler, num_workers=1, dataset=Counted())
    with pytest.raises(StateError, match=f"num_workers must be {before} .*dataset .*, got 1"):
        load_loader_state(loader, state)
    assert sampler.remaining == N
    load_loader_state(loader, state, ignore_dataset_state=True)
    assert sampler.remaining == N - 12
    load_loader_state(loader_of(sampler, num_workers=before, dataset=Counted()), state)
