"""H1 to H4, H7: accelerate deals each batch once, and our sampler hears of each epoch."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator, DataLoaderConfiguration, PartialState, skip_first_batches
from accelerate.data_loader import SeedableRandomSampler, prepare_data_loader
from products import pairs
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

from sampling import Indexed
from sampling.integrations._accelerate import check_prepared, complete_rounds, prepare_loader
from sampling.integrations._accelerate_chain import find_chain
from sampling.integrations._check_loader import check_loader
from sampling.samplers import (
    AdaptiveBatchSampler,
    ClassesPerBatchSampler,
    EpochBatchSampler,
    EpochSampler,
    GroupBatchSampler,
    InfoBatchSampler,
    ShuffleSampler,
    TokenBudgetBatchSampler,
    TwoStreamBatchSampler,
)

from .trainer_runs import attempt, flat, on_two_processes

N = 23


def shuffle(size=N, **options):
    return ShuffleSampler(size, seed=5, **{"num_replicas": 1, "rank": 0, **options})


def rank_of(world, rank):
    """What `prepare_loader` asks of an Accelerator, as rank r of W would answer."""
    PartialState(cpu=True)

    def make(**options):
        def prepare(loader):
            return prepare_data_loader(
                loader, num_processes=world, process_index=rank, **{"even_batches": True, **options}
            )

        names = {"dispatch_batches": None, "split_batches": False}
        known = {name: options.get(name, default) for name, default in names.items()}
        return SimpleNamespace(num_processes=world, process_index=rank, prepare=prepare, **known)

    return make


def loader_of(sampler, **options):
    data = range(getattr(sampler, "size", N))
    if isinstance(sampler, EpochSampler):
        return DataLoader(data, sampler=sampler, **{"batch_size": 4, **options})
    return DataLoader(data, batch_sampler=sampler)


def dealt(loader):
    return [batch.tolist() for batch in loader]


def by_rank(make, world, prepare=prepare_loader, **options):
    """Batches of each rank."""
    return [dealt(prepare(rank_of(world, rank)(**options), make(rank))) for rank in range(world)]


def plainly(accelerator, loader):
    return accelerator.prepare(loader)


GROUPS = np.repeat(np.arange(9), [1, 5, 2, 4, 1, 3, 3, 2, 2])


def groups(**options):
    """Batches of 1 to 5 samples."""
    return GroupBatchSampler(GROUPS, **{"seed": 5, "num_replicas": 1, "rank": 0, **options})


def tokens(**options):
    lengths = 1 + np.arange(N) ** 2 % 17
    return TokenBudgetBatchSampler(lengths, 30, seed=5, num_replicas=1, rank=0, **options)


def classes(**options):
    labels = np.arange(N) % 5
    return ClassesPerBatchSampler(labels, 3, 2, seed=5, num_replicas=1, rank=0, **options)


KINDS = {
    "sampler": lambda: loader_of(shuffle()),
    "sampler, drop_last": lambda: loader_of(shuffle(), drop_last=True),
    "batch sampler": lambda: loader_of(EpochBatchSampler(shuffle(), 4)),
    "batch sampler, drop_last": lambda: loader_of(EpochBatchSampler(shuffle(), 4, True)),
    "torch's batch sampler": lambda: loader_of(BatchSampler(shuffle(), 4, False)),
    "adaptive": lambda: loader_of(AdaptiveBatchSampler(shuffle(), 4)),
    "groups": lambda: loader_of(groups()),
    "tokens": lambda: loader_of(tokens()),
    "classes": lambda: loader_of(classes()),
}
OF_ONE_SIZE = [*itertools.islice(KINDS, 5)]

# ---------------------------------------------------------------------- A1: drop_last


def two_streams():
    options = {"drop_last": True, "seed": 5, "num_replicas": 1, "rank": 0}
    return TwoStreamBatchSampler(np.arange(15), np.arange(15, N), 3, 1, **options)


DROPPING = {
    "sampler": lambda: loader_of(shuffle(21), drop_last=True, batch_size=3),
    "batches": lambda: loader_of(EpochBatchSampler(shuffle(21), 3, drop_last=True)),
    "adaptive": lambda: loader_of(AdaptiveBatchSampler(shuffle(21), 3, drop_last=True)),
    "groups": lambda: loader_of(groups(drop_last=True, groups_per_batch=1)),
    "tokens": lambda: loader_of(tokens(drop_last=True)),
    "classes": lambda: loader_of(classes(drop_last=True)),
    "two streams": lambda: loader_of(two_streams()),
}


@pairs({"kind": DROPPING, "prepare": [prepare_loader, plainly], "even": [True, False]})
def test_a1_drop_last_leaves_out_the_last_round_as_for_torchs_batch_sampler(kind, prepare, even):
    whole = dealt(DROPPING[kind]())
    for world in (2, 3, 4):
        ranks = by_rank(lambda _: DROPPING[kind](), world, prepare, even_batches=even)
        rounds = len(whole) // world
        assert [*zip(*ranks, strict=True)] == [
            tuple(whole[i : i + world]) for i in range(0, rounds * world, world)
        ]
        prepared = prepare(rank_of(world, 0)(even_batches=even), DROPPING[kind]())
        assert len(prepared) == find_chain(prepared).batches(0) == rounds


def test_a1_is_what_torchs_own_does_and_a_sampler_that_deals_loses_nothing_by_it():
    torchs = lambda _: loader_of(BatchSampler(range(21), 3, True))  # noqa: E731
    ours = lambda _: DROPPING["batches"]()  # noqa: E731
    for even in (True, False):
        options = {"prepare": plainly, "even_batches": even}
        counts = [[len(each) for each in by_rank(make, 2, **options)] for make in (torchs, ours)]
        assert counts == [[3, 3], [3, 3]]
    dealing = lambda rank: loader_of(  # noqa: E731
        EpochBatchSampler(shuffle(21, num_replicas=2, rank=rank), 3, drop_last=True)
    )
    assert [len(each) for each in by_rank(dealing, 2)] == [4, 4]


# ---------------------------------------------------------------------- H1: the global order


WHOLE = [(kind, world, False) for kind in KINDS for world in (1, 2, 3, 7)]
SPLIT = [(kind, world, True) for kind in OF_ONE_SIZE for world in (2, 4)]


@pytest.mark.parametrize(("kind", "world", "split"), WHOLE + SPLIT)
def test_h1_an_unbroken_pass_is_dealt_as_accelerate_does(kind, world, split):
    options = {"split_batches": split}
    make = lambda rank: KINDS[kind]()  # noqa: E731
    ours = by_rank(make, world, **options)
    assert ours == by_rank(make, world, plainly, **options)
    seen = flat(flat(ours))
    assert set(seen) == set(range(N)) or "drop_last" in kind
    for rank in range(world):
        loader = prepare_loader(rank_of(world, rank)(**options), make(rank))
        assert len(loader) == len(ours[rank]) == find_chain(loader).batches(0)
        assert find_chain(loader).remaining == len(loader)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_whole_batches_are_dealt_like_any_others(world):
    def whole():
        sampler = EpochBatchSampler(shuffle(), 4)
        return DataLoader(Indexed(torch.arange(N)), sampler=sampler, batch_size=None)

    expected = by_rank(lambda _: KINDS["batch sampler"](), world)
    for rank in range(world):
        prepared = prepare_loader(rank_of(world, rank)(), whole())
        found = [(indices.tolist(), batch.tolist()) for indices, batch in prepared]
        assert found == [(each, each) for each in expected[rank]]
        assert not check_loader(prepared)
    loader = whole()
    lost = check_loader(plainly(rank_of(1, 0)(), loader), loader.sampler)
    assert [each.problem for each in lost] == ["replaced", "batch size lost"]


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_pass_is_the_rest_of_the_unbroken_one(kind, world):
    whole = by_rank(lambda rank: KINDS[kind](), world)
    for rank, taken in itertools.product(range(world), range(len(whole[0]))):
        loader = KINDS[kind]()
        chain = find_chain(loader)
        prepared = prepare_loader(rank_of(world, rank)(), loader)
        if kind == "adaptive":
            consumed = min(taken * world * 4, N)
        else:
            consumed = find_chain(prepared).consumed(taken)
        chain.sampler.load_state_dict(chain.sampler.state_dict(consumed))
        assert find_chain(prepared).remaining == len(whole[rank]) - taken
        assert dealt(prepared) == whole[rank][taken:]


@pytest.mark.parametrize("kind", [*OF_ONE_SIZE, "adaptive"])
def test_consumed_counts_the_draws_of_all_processes(kind):
    loader = prepare_loader(rank_of(2, 0)(), KINDS[kind]())
    chain = find_chain(loader)
    found = []
    for taken, _ in enumerate(loader, 1):
        found.append(chain.consumed(taken))
    # Over is over. Only `drop_last` lets accelerate leave out the last round.
    assert found == ([8, 23] if "drop_last" in kind else [8, 16, 23])
    assert chain.draws == N


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_h1_each_epoch_arrives(kind, world):
    loader = KINDS[kind]()
    sampler = find_chain(loader).inner
    prepared = prepare_loader(rank_of(world, 0)(), loader)
    orders = []
    for epoch in range(3):  # the loader counts by itself
        orders.append(flat(dealt(prepared)))
        assert sampler.epoch == epoch
    prepared.set_epoch(7)
    again = dealt(prepared)
    assert sampler.epoch == 7
    assert again != orders[0] != orders[1]
    assert orders[1][0] == sampler.indices(1)[0]


# ---------------------------------------------------------------------- H2: samplers with ranks


@pytest.mark.parametrize("kind", ["sampler", "batch sampler"])
def test_h2_what_deals_to_ranks_is_left_alone(kind):
    def make(rank):
        sampler = shuffle(21, num_replicas=2, rank=rank)
        return loader_of(sampler if kind == "sampler" else EpochBatchSampler(sampler, 4))

    ours = by_rank(make, 2)
    assert ours == [dealt(make(0)), dealt(make(1))]
    assert set(flat(flat(ours))) == set(range(21))
    assert min(len(own[-1]) for own in ours) < 4  # nothing was added
    twice = by_rank(make, 2, plainly)
    assert len(set(flat(flat(twice)))) < 21
    for rank in range(2):
        prepared = prepare_loader(rank_of(2, rank)(), make(rank))
        assert len(prepared) == len(ours[rank])
        check_prepared(prepared)
        with pytest.raises(ValueError, match=r"num_replicas must be 1 where accelerate shards"):
            check_prepared(plainly(rank_of(2, rank)(), make(rank)))
        prepared.set_epoch(4)
        assert find_chain(prepared).inner.epoch == 4


def test_h2_a_loader_that_is_prepared_already_can_be_mended():
    accelerator = rank_of(2, 1)()
    loader = plainly(accelerator, loader_of(shuffle(num_replicas=2, rank=1)))
    accelerator.prepare = lambda prepared: prepared  # as accelerate does with its own loaders
    prepared = prepare_loader(accelerator, loader)
    assert dealt(prepared) == dealt(loader_of(shuffle(num_replicas=2, rank=1)))


@pytest.mark.parametrize(
    ("replicas", "rank", "options", "message"),
    [
        (2, 1, {}, "num_replicas and rank must be 1 and 0, or 2 and 0"),
        (3, 0, {}, "or 2 and 0 as accelerate has them, got 3 and 0"),
        (2, 0, {"split_batches": True}, "split_batches must be False for a sampler that shards"),
        (2, 0, {"dispatch_batches": True}, "dispatch_batches must be False"),
    ],
)
def test_h2_other_ranks_than_accelerates_are_refused(replicas, rank, options, message):
    loader = loader_of(shuffle(num_replicas=replicas, rank=rank))
    with pytest.raises(ValueError, match=message):
        prepare_loader(rank_of(2, 0)(**options), loader)


def test_check_prepared_minds_its_own_business():
    check_prepared(DataLoader(range(4)))
    check_prepared(loader_of(shuffle(num_replicas=2, rank=0)))  # not prepared: nothing deals again
    assert find_chain(DataLoader(range(4), shuffle=True)) is None


# ---------------------------------------------------------------------- H3: several sizes


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("world", [2, 3])
def test_h3_no_sample_of_uneven_batches_is_lost(world, even):
    def make(rank):
        return loader_of(groups())

    whole = dealt(make(0))
    ours = by_rank(make, world, even_batches=even)
    together = [batch for step in itertools.zip_longest(*ours) for batch in step if batch]
    assert together[: len(whole)] == whole
    padding = -len(whole) % world if even else 0
    assert together[len(whole) :] == whole[:padding]


class Foreign:
    """Not ours: batches of several sizes, and perhaps a `batch_size` that they do not keep to."""

    drop_last = False

    def __init__(self, sizes, batch_size):
        self.sizes = sizes
        if batch_size:
            self.batch_size = batch_size

    def __len__(self):
        return len(self.sizes)

    def __iter__(self):
        ends = list(itertools.accumulate(self.sizes, initial=0))
        return (list(range(a, b)) for a, b in itertools.pairwise(ends))


@pytest.mark.parametrize("sizes", [[2, 1, 2, 2], [2, 3, 2], [1, 2, 2], [2, 1, 1]])
def test_h3_a_batch_size_that_does_not_hold_is_refused(sizes):
    def make(rank):
        return DataLoader(range(N), batch_sampler=Foreign(sizes, 2))

    samples = set(range(sum(sizes)))
    if sizes == [2, 1, 2, 2]:  # accelerate says nothing, and leaves out what it cannot place
        assert set(flat(flat(by_rank(make, 2, plainly)))) < samples
    with pytest.raises(ValueError, match="batches must have 2 samples, the batch_size of Foreign"):
        by_rank(make, 2)
    free = by_rank(lambda rank: DataLoader(range(N), batch_sampler=Foreign(sizes, None)), 2)
    assert set(flat(flat(free))) == samples


@pytest.mark.parametrize("sizes", [[2, 2, 2], [2, 2, 2, 1], [2, 1], [1]])
def test_h3_a_batch_size_that_holds_passes(sizes):
    def make(rank):
        return DataLoader(range(N), batch_sampler=Foreign(sizes, 2))

    assert by_rank(make, 2) == by_rank(make, 2, plainly)
    prepared = prepare_loader(rank_of(2, 0)(), make(0))
    assert len(prepared) == len(dealt(prepared))


def test_ranks_that_would_wait_for_each_other_are_named():
    loader = rank_of(2, 0)(even_batches=False).prepare(loader_of(shuffle(17)))
    with pytest.raises(ValueError, match="even_batches must be True for 5 batches on 2 processes"):
        find_chain(loader).batches(0)


# ---------------------------------------------------------------------- H4, H7: one real process


def test_h4_a_seedable_sampler_does_not_replace_ours():
    config = DataLoaderConfiguration(use_seedable_sampler=True)
    accelerator = Accelerator(cpu=True, dataloader_config=config)
    sampler = shuffle()
    prepared = accelerator.prepare(loader_of(sampler))
    assert prepared.batch_sampler.sampler is sampler
    assert not hasattr(sampler, "generator")
    assert flat(dealt(prepared)) == sampler.indices(0).tolist()
    theirs = DataLoader(range(N), sampler=RandomSampler(range(N)))
    assert isinstance(accelerator.prepare(theirs).batch_sampler.sampler, SeedableRandomSampler)


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_h7_after_skipped_batches_the_next_epoch_is_the_next(kind, world):
    whole = prepare_loader(rank_of(world, 0)(), KINDS[kind]())
    orders = []
    for epoch in range(3):
        whole.set_epoch(epoch)
        orders.append(dealt(whole))
    loader = prepare_loader(rank_of(world, 0)(), KINDS[kind]())
    for epoch in range(3):
        loader.set_epoch(epoch)
        passing = skip_first_batches(loader, 2) if epoch == 1 else loader
        assert dealt(passing) == orders[epoch][2 * (epoch == 1) :]


@pytest.mark.parametrize("world", [1, 2])
def test_h7_a_restored_position_needs_no_skipping(world):
    whole = prepare_loader(rank_of(world, 0)(), loader_of(shuffle()))
    orders = [dealt(whole) for _ in range(3)]
    loader = prepare_loader(rank_of(world, 0)(), loader_of(shuffle()))
    sampler = find_chain(loader).inner
    sampler.set_epoch(1)
    sampler.load_state_dict(sampler.state_dict(consumed=8 * world))
    loader.set_epoch(1)
    assert dealt(loader) == orders[1][2:]
    assert dealt(loader) == orders[2]  # the loader counts on


def test_completing_rounds_twice_changes_nothing():
    loader = prepare_loader(rank_of(2, 1)(), loader_of(shuffle()))
    before = loader.batch_sampler.batch_sampler
    complete_rounds(loader)
    assert loader.batch_sampler.batch_sampler is before
    assert before.sampler is find_chain(loader).inner
    with pytest.raises(AttributeError):
        _ = before.no_such_thing


# ---------------------------------------------------------------------- two processes


def runs(rank, folder):
    """All that one of two processes does, for the tests below."""
    found = {}
    for even, seedable in itertools.product([True, False], [True, False]):
        config = DataLoaderConfiguration(even_batches=even, use_seedable_sampler=seedable)
        accelerator = Accelerator(cpu=True, dataloader_config=config)
        sampler = shuffle()
        loader = prepare_loader(accelerator, loader_of(sampler))
        orders, epochs = [], []
        for _ in range(3):
            orders.append(dealt(loader))
            epochs.append(sampler.epoch)
        found[even, seedable] = orders, epochs
    accelerator = Accelerator(cpu=True)

    own = ShuffleSampler(N, seed=5)  # made after the processes were started: it has their ranks
    loader = loader_of(own)
    found["ranks"] = own.num_replicas, own.rank
    found["own"] = dealt(prepare_loader(accelerator, loader))
    twice = accelerator.prepare(loader_of(ShuffleSampler(N, seed=5)))
    found["refused"] = attempt(check_prepared, twice)

    pruned = InfoBatchSampler(N, 8, seed=3, num_replicas=1, rank=0)
    loader = prepare_loader(accelerator, loader_of(pruned))
    found["pruned"] = []
    for epoch in range(3):
        loader.set_epoch(epoch)
        mine = []
        for batch in loader:
            pruned.record(batch, 1.0 + np.sin(batch.numpy() * 7.0 + epoch))
            mine.append(batch.tolist())
        found["pruned"].append((mine, pruned.indices(epoch).tolist()))
    pruned.set_epoch(3)
    found["scores"] = pruned.scores.tolist()
    return found


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    return on_two_processes(runs, tmp_path_factory.mktemp("pairs"))


@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("seedable", [True, False])
def test_h1_h4_each_sample_once_on_two_processes(two_processes, even, seedable):
    sampler = shuffle()
    (ones, epochs), (twos, _) = (found[even, seedable] for found in two_processes)
    assert epochs == [0, 1, 2]
    for epoch, (one, two) in enumerate(zip(ones, twos, strict=True)):
        steps = itertools.zip_longest(one, two, fillvalue=[])
        order = [index for step in steps for batch in step for index in batch]
        whole = sampler.indices(epoch).tolist()
        assert order == (whole + whole[:1] if even else whole)


@pytest.mark.distributed
@pytest.mark.slow
def test_h2_ranks_of_our_own_on_two_processes(two_processes):
    for rank, found in enumerate(two_processes):
        assert found["ranks"] == (2, rank)
        assert found["own"] == dealt(loader_of(shuffle(num_replicas=2, rank=rank)))
        assert (
            "num_replicas must be 1 where accelerate shards the batches, got 2" in found["refused"]
        )


@pytest.mark.distributed
@pytest.mark.slow
def test_h1_scores_merge_although_accelerate_deals(two_processes):
    one, two = two_processes
    assert one["scores"] == two["scores"]
    assert not np.isnan(one["scores"]).any()
    for (mine, whole), (others, again) in zip(one["pruned"], two["pruned"], strict=True):
        assert whole == again
        order = [i for step in zip(mine, others, strict=True) for batch in step for i in batch]
        assert order[: len(whole)] == whole
    assert len(one["pruned"][1][1]) < N


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_check_loader_finds_nothing_in_a_prepared_loader(kind, world):
    loader = KINDS[kind]()
    prepared = prepare_loader(rank_of(world, 0)(), loader)
    report = check_loader(prepared, find_chain(loader).sampler)
    assert not [each for each in report if each.problem != "state hidden"], str(report)
