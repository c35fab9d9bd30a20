import numpy as np
import oracles
import pandas as pd
import pytest
from batch_helpers import check_fingerprints, check_loader, each_check, of_epoch

from sampling.samplers import TemporalBatchSampler

N = 103
RANDOM = np.random.default_rng(0)
USERS, ITEMS = RANDOM.integers(0, 20, (2, N))

FACTORIES = {
    "users and items": lambda **o: TemporalBatchSampler(USERS, ITEMS, **o),
    "a graph": lambda **o: TemporalBatchSampler(USERS, ITEMS, shared=True, **o),
    "streams": lambda **o: TemporalBatchSampler(USERS, max_events=3, **o),
}
each_factory = pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)


@each_factory
@each_check
def test_contract(factory, check):
    check(factory)


@pytest.mark.slow
def test_loader():
    check_loader(FACTORIES["users and items"], N)


def test_other_arguments_are_another_sampler():
    times = -np.arange(N)
    check_fingerprints(
        lambda: TemporalBatchSampler(USERS, ITEMS),
        lambda: TemporalBatchSampler(USERS),
        lambda: TemporalBatchSampler(USERS, ITEMS, times=times),
        lambda: TemporalBatchSampler(USERS, ITEMS, shared=True),
        lambda: TemporalBatchSampler(USERS, ITEMS, max_events=3),
        lambda: TemporalBatchSampler(USERS, ITEMS, seed=1),
    )


def entities(i, users, items, shared):
    both = {(0, users[i])} | (set() if items is None else {(0 if shared else 1, items[i])})
    return {each for each in both if each[1] is not None and each[1] != -1}


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("max_events", [None, 2])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_batch_has_an_entity_twice_and_each_entity_is_in_order(shared, max_events, seed):
    random = np.random.default_rng(seed)
    users, items = random.integers(-1, 8, (2, 60))
    times = random.integers(0, 25, 60)
    batches = TemporalBatchSampler(
        users, items, times=times, max_events=max_events, shared=shared, seed=seed
    )
    order = np.argsort(times, kind="stable")
    rank = np.argsort(order)
    for epoch in range(2):
        drawn = of_epoch(lambda: batches, epoch)
        assert sorted(sum(drawn, [])) == list(range(60))
        last = {}
        for batch in drawn:
            assert len(batch) <= (max_events or 60)
            seen = set()
            for i in batch:
                mine = entities(i, users, items, shared)
                assert not mine & seen
                seen |= mine
                assert all(last.get(each, -1) < rank[i] for each in mine)
            for i in batch:
                last |= dict.fromkeys(entities(i, users, items, shared), rank[i])
    layers = oracles.layers_by_earlier_events(users[order], items[order], shared)
    assert batches.num_layers == max(layers) + 1
    sizes = np.bincount(layers)
    assert len(batches) == (-(-sizes // (max_events or 60))).sum()


def test_golden_batches():
    """Users 0, 1, 0, 1, 2 and items 0, 0, 1, 1, 2, by hand."""
    users, items = [0, 1, 0, 1, 2], [0, 0, 1, 1, 2]
    drawn = of_epoch(lambda: TemporalBatchSampler(users, items))
    assert [sorted(batch) for batch in drawn] == [[0, 4], [1, 2], [3]]
    drawn = of_epoch(lambda: TemporalBatchSampler(users, items, shared=True))
    # nodes 0-0, 1-0, 0-1, 1-1, 2-2
    assert [sorted(batch) for batch in drawn] == [[0, 4], [1], [2], [3]]
    assert of_epoch(lambda: TemporalBatchSampler([7, 7, 7])) == [[0], [1], [2]]
    assert sorted(of_epoch(lambda: TemporalBatchSampler([1, 2, 3]))[0]) == [0, 1, 2]


def test_a_large_batch_is_cut_in_equal_shares():
    batches = TemporalBatchSampler(np.arange(10), max_events=4)
    assert sorted(len(batch) for batch in batches) == [3, 3, 4]
    first, second = of_epoch(lambda: batches, 0), of_epoch(lambda: batches, 1)
    assert first != second


def test_times_of_any_kind():
    users = ["a", "b", "a", None, "a"]
    ns = np.array([5, 0, 4, 1, 3]) + 2**60  # float64 would make them equal
    expected = [[1, 3, 4], [2], [0]]
    for times in (ns, ns.astype("datetime64[ns]"), [0.5, 0.0, 0.4, 0.1, 0.3]):
        drawn = of_epoch(lambda times=times: TemporalBatchSampler(users, times=times))
        assert [sorted(batch) for batch in drawn] == expected
    lost = ns.astype("datetime64[ns]")
    lost[2] = "NaT"
    with pytest.raises(ValueError, match="times must be given for each event, got none in row 2"):
        TemporalBatchSampler(users, times=lost)
    with pytest.raises(ValueError, match="times must be finite, got nan in row 1"):
        TemporalBatchSampler(users, times=[0, np.nan, 1, 2, 3])


def test_wrong_arguments():
    for arguments, options, message in (
        ((USERS, ITEMS[1:]), {}, "targets must have the length of sources, 103, got 102"),
        ((USERS,), {"times": [1.0]}, "times must have the length of sources, 103, got 1"),
        ((USERS,), {"shared": True}, "shared must be False without targets"),
        ((["a", "b"], [1, 2]), {"shared": True}, "targets must be ids of the kind of sources"),
        ((USERS,), {"max_events": 0}, "max_events must be"),
        (([-1, -1],), {}, "sources must name at least one entity"),
    ):
        with pytest.raises(ValueError, match=message):
            TemporalBatchSampler(*arguments, **options)


def test_times_of_pandas():
    days = ["2024-01-03", "2024-01-01", "2024-01-02"]
    zoned = pd.to_datetime(days).tz_localize("Europe/Paris")
    since = pd.to_timedelta([3, 1, 2], unit="h")
    for times in (zoned, pd.Series(zoned, index=[5, 6, 7]), since, pd.Series(since)):
        assert list(TemporalBatchSampler([1, 1, 1], times=times)) == [[1], [2], [0]]
    lost = pd.to_datetime([days[0], None, days[2]]).tz_localize("UTC")
    with pytest.raises(ValueError, match="times must be given for each event, got none in row 1"):
        TemporalBatchSampler([1, 1, 1], times=lost)
    with pytest.raises(TypeError, match=r"with '2024-01-03' in row 0: .*pandas.to_datetime"):
        TemporalBatchSampler([1, 1, 1], times=days)


def test_shared_ids_with_no_target_at_all():
    events = TemporalBatchSampler(["a", "b", "a"], [None] * 3, shared=True)
    assert [sorted(batch) for batch in events] == [[0, 1], [2]]
