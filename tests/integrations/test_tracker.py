"""The tracker against a dataset that gives its own index as the sample."""

import itertools
import os

import numpy as np
import pytest
import torch
from contracts.cases import FACTORIES, N, order, run_to
from products import pairs, rounds
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, Sampler
from two_ranks import on_two_ranks

from sampling.integrations._tracker import BatchTracker, _heard
from sampling.samplers import EpochBatchSampler, InfoBatchSampler, ShuffleSampler

WORKERS = [0, pytest.param(2, marks=pytest.mark.slow)]
workers = pytest.mark.parametrize("num_workers", WORKERS)
noise = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
few_cores = pytest.mark.filterwarnings("ignore:This DataLoader will create")


class Items:
    """Sample i is i: a batch says what it holds."""

    def __getitem__(self, index):
        return index

    def __len__(self):
        return N


def make(kind=DataLoader, num_workers=0, **options):
    if num_workers:
        options.setdefault("multiprocessing_context", "fork")
    return kind(Items(), num_workers=num_workers, **options)


def stateful(num_workers=0, **options):
    module = pytest.importorskip("torchdata.stateful_dataloader", reason="needs torchdata")
    return make(module.StatefulDataLoader, num_workers, **options)


def flat(batches):
    """All indices of a tracked pass, after comparing each batch with what the tracker says."""
    drawn = []
    for indices, batch in batches:
        assert indices.dtype == torch.int64
        assert indices.device.type == "cpu"
        assert indices.tolist() == torch.as_tensor(batch).reshape(-1).tolist()
        drawn += indices.tolist()
    return drawn


class Variable(Sampler):
    """A batch sampler of somebody else: a generator, and sizes that vary."""

    def __iter__(self):
        for size in (3, 1, 4, 1, 5, 9, 2, 6):
            yield [size * 10 + i for i in range(size)]

    def __len__(self):
        return 8


class Arrays(Variable):
    """Batches that are no lists, and one list that is used again."""

    def __iter__(self):
        batch = [1]
        for _ in range(2):
            yield batch
            batch[0] += 1
        yield np.arange(3, dtype=np.uint16)
        yield [torch.tensor(7), torch.tensor(8)]
        yield [np.int16(9)]
        yield torch.arange(4)
        yield range(5, 8)
        yield (1, 2)


# ---- what it says is what the batch holds --------------------------------------------------------


@few_cores
@rounds(
    {
        "num_workers, prefetch, persistent": [
            pytest.param(0, None, False),
            pytest.param(2, 2, False, marks=pytest.mark.slow),
            pytest.param(2, 4, True, marks=pytest.mark.slow),
            pytest.param(3, 1, True, marks=pytest.mark.slow),
        ],
        "options": [{}, {"drop_last": True}, {"pin_memory": False}],
    },
    times=1,
)
def test_indices_are_those_of_the_batch(num_workers, prefetch, persistent, options):
    sampler = ShuffleSampler(N, seed=1)
    loader = make(
        num_workers=num_workers,
        sampler=sampler,
        batch_size=4,
        prefetch_factor=prefetch,
        persistent_workers=persistent,
        **options,
    )
    tracker = BatchTracker(loader)
    count = N // 4 * 4 if "drop_last" in options else N
    assert len(tracker) == len(loader)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        assert flat(tracker) == sampler.indices(epoch).tolist()[:count]
    sampler.set_epoch(0)
    indices, _ = next(iter(BatchTracker(loader)))
    assert len(indices) == 4


@workers
def test_every_kind_of_sampler(num_workers):
    inner = ShuffleSampler(N, seed=2)
    expected = inner.indices(0).tolist()
    variable = [size * 10 + i for size in (3, 1, 4, 1, 5, 9, 2, 6) for i in range(size)]
    cases = [
        ({"sampler": inner, "batch_size": 8}, expected),
        ({"sampler": inner, "batch_size": None}, expected),
        ({"batch_sampler": EpochBatchSampler(inner, 8)}, expected),
        ({"batch_sampler": BatchSampler(inner, 8, drop_last=True)}, expected[:96]),
        ({"batch_sampler": [[1, 2], [3]]}, [1, 2, 3]),
        ({"batch_sampler": Variable()}, variable),
        ({"sampler": [5, 5, 2], "batch_size": 2}, [5, 5, 2]),
        ({"batch_size": 8}, list(range(N))),
    ]
    for options, dealt in cases:
        inner.set_epoch(0)
        assert flat(BatchTracker(make(num_workers=num_workers, **options))) == dealt, options


def test_batches_of_any_type():
    drawn = flat(BatchTracker(make(batch_sampler=Arrays())))
    assert drawn == [1, 2, 0, 1, 2, 7, 8, 9, 0, 1, 2, 3, 5, 6, 7, 1, 2]


@workers
def test_a_random_sampler_of_somebody_else(num_workers):
    """Its order is known to nobody before it is dealt."""
    loader = make(num_workers=num_workers, shuffle=True, batch_size=8)
    tracker = BatchTracker(loader)
    first, second = flat(tracker), flat(tracker)
    assert sorted(first) == sorted(second) == list(range(N))
    assert first != second


@pytest.mark.parametrize("name", FACTORIES)
def test_every_sampler(name):
    sampler = FACTORIES[name]()
    tracker = BatchTracker(make(sampler=sampler, batch_size=8))
    for epoch in range(2):
        run_to(sampler, epoch)
        expected = order(sampler)
        assert flat(tracker) == expected


def test_single_samples_are_batches_of_one():
    for dealt in (7, np.int64(7), torch.tensor(7)):
        indices, batch = next(iter(BatchTracker(make(sampler=[dealt], batch_size=None))))
        assert (indices.tolist(), batch) == ([7], 7)


def test_training_with_reduce():
    sampler = InfoBatchSampler(N, 4)
    tracker = BatchTracker(make(sampler=sampler, batch_size=8))
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for indices, x in tracker:
            sampler.reduce(1.0 + x / N, indices)
    seen = np.unique(sampler.indices(2))
    np.testing.assert_allclose(sampler.scores[seen], 1.0 + seen / N, rtol=1e-6)


# ---- what it leaves as it was --------------------------------------------------------------------


@workers
@pytest.mark.parametrize("persistent", [False, True])
def test_the_loader_is_left_as_it_was(num_workers, persistent):
    if persistent and not num_workers:
        pytest.skip("no workers to keep")
    sampler = ShuffleSampler(N)
    loader = make(
        num_workers=num_workers, sampler=sampler, batch_size=8, persistent_workers=persistent
    )
    before = dict(vars(loader))
    plain = [int(i) for batch in loader for i in batch]
    kept = loader._iterator
    sampler.set_epoch(0)
    live = iter(BatchTracker(loader))
    for name, value in before.items():
        if name != "_iterator":
            assert vars(loader)[name] is value, name
    assert vars(loader).keys() == before.keys()
    assert loader._iterator is kept
    if kept is not None:
        assert kept._index_sampler is loader.batch_sampler
    assert flat(live) == plain
    sampler.set_epoch(0)
    assert [int(i) for batch in loader for i in batch] == plain


def test_a_loader_that_fails_to_begin_is_left_as_it_was():
    class Failing(Variable):
        def __iter__(self):
            raise KeyError("broken")

    sampler = Failing()
    loader = make(batch_sampler=sampler)
    with pytest.raises(KeyError, match="broken"):
        iter(BatchTracker(loader))
    assert loader.batch_sampler is sampler


def test_it_draws_no_random_number_and_deals_the_same():
    def drawn(wrap):
        torch.manual_seed(3)
        state, order = torch.get_rng_state(), []
        for batch in wrap(make(shuffle=True, batch_size=8)):
            order += (batch[1] if isinstance(batch, list | tuple) else batch).tolist()
        return order, torch.equal(torch.get_rng_state(), state), torch.get_rng_state().tolist()

    assert drawn(BatchTracker) == drawn(lambda loader: loader)


@pytest.mark.slow
def test_persistent_workers_that_began_without_it():
    sampler = ShuffleSampler(N)
    loader = make(num_workers=2, sampler=sampler, batch_size=8, persistent_workers=True)
    assert sum(1 for _ in loader) == 13
    pids = [each.pid for each in loader._iterator._workers]
    sampler.set_epoch(1)
    assert flat(BatchTracker(loader)) == sampler.indices(1).tolist()
    assert [each.pid for each in loader._iterator._workers] == pids


@workers
@pytest.mark.filterwarnings("ignore:epoch 0 is restarted")
def test_a_pass_that_breaks_off_and_two_at_once(num_workers):
    sampler = ShuffleSampler(N)
    tracker = BatchTracker(make(num_workers=num_workers, sampler=sampler, batch_size=8))
    expected = sampler.indices(0).tolist()
    assert flat(itertools.islice(tracker, 3)) == expected[:24]
    one, other = iter(tracker), iter(tracker)
    assert flat([next(one)]) + flat([next(other)]) == expected[:8] * 2
    assert flat(one) == flat(other) == expected[8:]


def test_the_loader_begins_its_pass_when_iter_is_called():
    sampler = ShuffleSampler(N)
    live = iter(BatchTracker(make(batch_sampler=EpochBatchSampler(sampler, 8))))
    sampler.set_epoch(5)
    assert flat(live) == sampler.indices(0).tolist()


class Broken(Items):
    """Some samples cannot be read."""

    def __getitem__(self, index):
        if index % 25 == 3:
            raise OSError(index)
        return index


def next_or_none(batches):
    try:
        return flat([next(batches)])
    except OSError:
        return None


@workers
def test_it_goes_on_behind_a_batch_that_failed_to_load(num_workers):
    options = {"multiprocessing_context": "fork"} if num_workers else {}
    sampler = ShuffleSampler(N)
    loader = DataLoader(Broken(), 4, sampler=sampler, num_workers=num_workers, **options)
    batches = iter(BatchTracker(loader))
    drawn = [next_or_none(batches) for _ in range(len(loader))]
    assert next(batches, None) is None
    dealt = [row.tolist() for row in np.split(sampler.indices(0), range(4, N, 4))]
    broken = [any(i % 25 == 3 for i in row) for row in dealt]
    assert drawn == [None if bad else row for row, bad in zip(dealt, broken, strict=True)]
    assert sum(broken) > 2


# ---- StatefulDataLoader --------------------------------------------------------------------------


def sampler_options(name, seed=3):
    """Options of a loader, and what the whole epoch e deals (None: nobody knows)."""
    inner = ShuffleSampler(N, seed=seed)
    options = {
        "sampler": {"sampler": inner, "batch_size": 4},
        "batch_sampler": {"batch_sampler": EpochBatchSampler(inner, 4)},
        "single": {"sampler": inner, "batch_size": None},
        "hidden": {"batch_sampler": BatchSampler(inner, 4, drop_last=False)},
        "no state": {"sampler": [*range(0, N, 2), *range(1, N, 2)], "batch_size": 4},
        "no state, batches": {"batch_sampler": [[i, i + 1] for i in range(60)]},
    }[name]
    return inner, options


@noise
@few_cores
@pairs(
    {
        "name": ["sampler", "batch_sampler", "single", "hidden", "no state", "no state, batches"],
        "num_workers": WORKERS,
        "every_n": [1, 3],
    }
)
def test_stateful_dataloader_resumes_under_the_tracker(name, num_workers, every_n):
    def begin():
        inner, options = sampler_options(name)
        loader = stateful(num_workers, snapshot_every_n_steps=every_n, **options)
        return inner, loader

    inner, loader = begin()
    whole = flat(BatchTracker(loader))
    inner.set_epoch(0)
    drawn = []
    for _ in range(2):
        drawn += flat(itertools.islice(BatchTracker(loader), 5))
        state = loader.state_dict()
        inner, loader = begin()
        loader.load_state_dict(state)
    assert drawn + flat(BatchTracker(loader)) == whole


@noise
@workers
def test_stateful_dataloader_at_the_end_of_an_epoch(num_workers):
    inner, options = sampler_options("sampler")
    loader = stateful(num_workers, **options)
    flat(BatchTracker(loader))
    state = loader.state_dict()
    inner, options = sampler_options("sampler")
    loader = stateful(num_workers, **options)
    loader.load_state_dict(state)
    assert flat(BatchTracker(loader)) == inner.indices(1).tolist()


@noise
@rounds({"name": ["sampler", "batch_sampler", "no state"], "num_workers": WORKERS}, times=1)
def test_a_state_that_was_asked_for_before_the_first_pass(name, num_workers):
    """torchdata then begins a pass on its own, before the tracker can listen."""
    inner, options = sampler_options(name)
    loader = stateful(num_workers, **options)
    expected = flat(BatchTracker(stateful(num_workers, **sampler_options(name)[1])))
    inner.set_epoch(0)
    loader.state_dict()
    assert flat(BatchTracker(loader)) == expected


@noise
@workers
def test_the_state_is_that_without_a_tracker(num_workers):
    found = []
    for wrap in (BatchTracker, lambda loader: loader):
        torch.manual_seed(0)
        _, options = sampler_options("sampler")
        loader = stateful(num_workers, **options)
        list(itertools.islice(wrap(loader), 5))
        found.append(loader.state_dict())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("sampler", "has_state"), [(ShuffleSampler(N), True), ([1, 2], False), (Variable(), False)]
)
def test_what_stands_in_has_a_state_where_the_sampler_has(sampler, has_state):
    """torchdata asks `isinstance(..., Stateful)`, which from Python 3.12 on looks at classes."""
    sampler_of = _heard(make(sampler=sampler, batch_size=None))
    for each in (sampler_of, iter(sampler_of)):
        for name in ("state_dict", "load_state_dict"):
            assert hasattr(type(each), name) == hasattr(each, name) == has_state


# ---- what it refuses -----------------------------------------------------------------------------


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(5))


@pytest.mark.parametrize(
    ("loader", "error", "message"),
    [
        (lambda: [1, 2], TypeError, "loader must be a DataLoader, got list"),
        (lambda: DataLoader(Stream()), TypeError, "must have a map-style dataset"),
        (
            lambda: make(num_workers=2, in_order=False),
            ValueError,
            "must have in_order=True, got False",
        ),
    ],
)
def test_refuses_what_it_cannot_follow(loader, error, message):
    with pytest.raises(error, match=message):
        BatchTracker(loader())


@pytest.mark.parametrize("sampler", [["a", "b"], [[[1]]], [1.5], [torch.tensor(1.0)], [[1, 2.5]]])
def test_refuses_samplers_that_deal_no_ints(sampler):
    loader = DataLoader({"a": 1, "b": 2}, sampler=sampler, batch_size=None)
    with pytest.raises(TypeError, match="sampler must yield ints or lists of ints, got"):
        next(iter(BatchTracker(loader)))


@pytest.mark.parametrize(("step", "how"), [(2, "fewer"), (-1, "more")])
def test_a_loader_that_parts_from_its_sampler_is_found_out(step, how):
    class Other(DataLoader):
        def __iter__(self):
            batches = list(super().__iter__())
            return iter(batches[::step] if step > 0 else batches * 2)

    with pytest.raises(RuntimeError, match=f"got Other, which yields {how} batches: wrap"):
        list(BatchTracker(Other(Items(), batch_size=8)))


# ---- accelerate ----------------------------------------------------------------------------------


def prepared(rank, config=None, **options):
    """What accelerate makes of a loader in one of two processes that a launcher set up."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="0")  # the group is there already
    from accelerate import Accelerator, DataLoaderConfiguration

    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(**config or {}))
    loader = accelerator.prepare(make(batch_size=4, **options))
    assert accelerator.num_processes == 2
    return loader


def tracked_shards(rank):
    from accelerate import skip_first_batches

    sampler = ShuffleSampler(N, num_replicas=1, rank=0)
    loader = prepared(rank, sampler=sampler)
    epochs = [flat(BatchTracker(loader)) for _ in range(2)]
    skipping = skip_first_batches(loader, 3)
    rest = flat(BatchTracker(skipping))
    loader.skip_batches, loader.iteration = 2, 0
    rest_2 = flat(BatchTracker(loader))
    loader = prepared(rank, shuffle=True, num_workers=2)
    with pytest.raises(ValueError, match="got accelerate's DataLoaderDispatcher"):
        BatchTracker(prepared(rank, {"dispatch_batches": True}))
    with pytest.raises(ValueError, match="around a StatefulDataLoader"):
        BatchTracker(prepared(rank, {"use_stateful_dataloader": True}))
    return epochs, rest, rest_2, flat(BatchTracker(loader)), type(loader).__name__


@pytest.mark.full
@pytest.mark.distributed
def test_accelerate_on_two_ranks():
    pytest.importorskip("accelerate", reason="needs accelerate")
    pytest.importorskip("torchdata", reason="needs torchdata")
    (one, rest_1, skipped_1, random_1, name), (two, rest_2, _, random_2, _) = on_two_ranks(
        tracked_shards, fresh=True
    )
    assert name == "DataLoaderShard"
    sampler = ShuffleSampler(N)
    for epoch in range(2):
        assert set(one[epoch]) | set(two[epoch]) == set(range(N))
        assert one[epoch][:4] + two[epoch][:4] == sampler.indices(epoch)[:8].tolist()
    assert (len(rest_1), len(rest_2)) == (len(one[0]) - 12, len(two[0]) - 12)
    assert skipped_1 == one[0][8:]
    assert set(random_1) | set(random_2) == set(range(N))


def test_random_sampler_is_what_shuffle_means():
    assert isinstance(make(shuffle=True).sampler, RandomSampler)
