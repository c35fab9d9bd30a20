"""Shares, the even order, runs of shuffles, stop rules, caps: what an epoch of a mixture holds."""

import itertools

import numpy as np
import oracles
import pytest
import torch
from helpers import assert_hits, assert_mean, counts_of, epochs_of
from numba import config
from torch.utils.data import ConcatDataset, DataLoader, TensorDataset

from sampling import Indexed, _rng
from sampling.samplers import EpochBatchSampler, MixtureSampler

LENGTHS = [40, 20, 11, 5, 2, 1]
SETTINGS = [
    {},
    {"temperature": 3.0, "compose": "shuffled"},
    {"weights": [5, 0, 1, 1, 1, 20]},
    {"phases": [(0, 5.0), (4, [1, 1, 1, 1, 1, 0.0]), (7, 1.0)]},
]


def drawn(sampler, epoch):
    """Draws of each domain in an epoch."""
    codes = sampler.domain_of(sampler.indices(epoch))
    return np.bincount(codes, minlength=sampler.sizes.size)


def off(codes, quotas):
    """How far the draws of a domain in any stretch stray from k q / M, at most."""
    total = sum(quotas)
    own = np.asarray(codes)[:, None] == np.arange(len(quotas))
    sums = np.concatenate([np.zeros((1, len(quotas)), int), np.cumsum(own, axis=0)])
    ideal = np.outer(np.arange(total + 1), np.asarray(quotas) / total)
    gap = sums - ideal
    return (gap.max(axis=0) - gap.min(axis=0)).max()


# ---- shares and quotas ---------------------------------------------------------------------------


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("num_samples", [1, 5, 79, 400])
def test_shares_are_exact_to_one_draw_in_each_epoch(settings, num_samples):
    sampler = MixtureSampler(LENGTHS, num_samples, **settings)
    for epoch in range(10):
        counts, wanted = drawn(sampler, epoch), num_samples * sampler.shares(epoch)
        np.testing.assert_array_equal(counts, sampler.quotas(epoch))
        assert counts.sum() == num_samples == sampler.length(epoch)
        assert (np.floor(wanted - 1e-9) <= counts).all()
        assert (counts <= np.ceil(wanted + 1e-9)).all()


def test_fractional_quotas_average_out():
    epochs = 2000
    sampler = MixtureSampler(LENGTHS, 7, temperature=2.0, seed=8)
    counts = np.stack([sampler.quotas(epoch) for epoch in range(epochs)])
    wanted = 7 * sampler.shares(0)
    assert_hits((counts - np.floor(wanted)).sum(axis=0), epochs, wanted - np.floor(wanted))


def test_every_place_of_an_even_epoch_has_the_shares():
    """The order begins anywhere: else the first draws of all epochs would be alike."""
    epochs = 800
    sampler = MixtureSampler([50, 30, 20], 10)
    first = np.array([sampler.domain_of(sampler.indices(e, 0, 1))[0] for e in range(epochs)])
    assert_hits(np.bincount(first, minlength=3), epochs, np.array([0.5, 0.3, 0.2]))


# ---- the even order ------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [[1, 1], [7, 3], [0.999, 0.001], [1, np.pi]])
def test_any_stretch_of_two_domains_is_off_by_less_than_one(weights):
    sampler = MixtureSampler([300, 100], 211, weights=weights)
    for epoch in range(4):
        codes = sampler.domain_of(sampler.indices(epoch))
        assert off(codes, sampler.quotas(epoch)) < 1 + 1e-9


@pytest.mark.parametrize("lengths", [LENGTHS, [1] * 9, [500, 3, 2, 1]])
def test_any_stretch_of_many_domains_is_off_by_less_than_two(lengths):
    sampler = MixtureSampler(lengths, 311, temperature=1.5)
    for epoch in range(4):
        codes = sampler.domain_of(sampler.indices(epoch))
        assert off(codes, sampler.quotas(epoch)) < 2 + 1e-9


def test_a_shuffled_epoch_is_a_shuffle():
    epochs = 800
    sampler = MixtureSampler([3, 1], compose="shuffled")
    firsts = np.array([order[0] for order in epochs_of(sampler, epochs)])
    assert_hits(np.bincount(firsts), epochs, 1 / 4)


def test_whole_batches_give_every_rank_all_domains():
    """Two equal domains and two ranks: dealt draw by draw, each rank would see one domain."""
    alone = MixtureSampler([50, 50], num_replicas=2, rank=0)
    assert np.unique(alone.domain_of(list(alone))).size == 1
    for rank in range(2):
        batches = EpochBatchSampler(MixtureSampler([50, 50], num_replicas=2, rank=rank), 8)
        for batch in batches:
            counts = np.bincount(alone.domain_of(batch), minlength=2)
            assert np.abs(counts - len(batch) / 2).max() < 1


@pytest.mark.skipif(config.DISABLE_JIT, reason="shuffles 65,536 samples, a minute as plain Python")
@pytest.mark.parametrize("lengths", [[70_000, 90_000], [70_000, 90_000, 5, 4000]])
@pytest.mark.parametrize("compose", ["even", "shuffled"])
def test_any_part_of_a_long_epoch_is_read_at_once(lengths, compose):
    def made():
        return MixtureSampler(lengths, 180_000, temperature=2.0, compose=compose, seed=3)

    whole = made().indices(1)
    fresh = made()
    for start, stop in [(170_000, 170_020), (3, 9), (65_530, 65_545), (131_000, 140_000)]:
        np.testing.assert_array_equal(fresh.indices(1, start, stop), whole[start:stop])
    ranks = [MixtureSampler(lengths, 180_000, temperature=2.0, compose=compose, seed=3,
                            num_replicas=3, rank=rank) for rank in range(3)]  # fmt: skip
    for rank, sampler in enumerate(ranks):
        sampler.set_epoch(1)
        head = list(itertools.islice(iter(sampler), 30_000))
        np.testing.assert_array_equal(head, whole[rank::3][:30_000])
    used = np.bincount(np.concatenate([made().indices(0), whole]), minlength=sum(lengths))
    for at, size in zip(np.cumsum([0, *lengths]), lengths, strict=False):
        assert np.ptp(used[at : at + size]) <= 1


# ---- runs of shuffles ----------------------------------------------------------------------------


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("num_samples", [3, 79, 300])
def test_every_sample_of_a_domain_comes_before_any_comes_again(settings, num_samples):
    sampler = MixtureSampler(LENGTHS, num_samples, seed=3, **settings)
    used = np.cumsum(counts_of(sampler, 10), axis=0)
    for start, size in zip(np.cumsum([0, *LENGTHS]), LENGTHS, strict=False):
        assert (np.ptp(used[:, start : start + size], axis=1) <= 1).all()


@pytest.mark.parametrize("settings", SETTINGS)
def test_domains_are_dealt_as_by_walking(settings):
    """Each domain's draws, in order, go on in its run of shuffles from epoch to epoch."""
    sampler = MixtureSampler(LENGTHS, 150, seed=5, **settings)
    starts, key = np.cumsum([0, *LENGTHS]), int(_rng.key(5, 0, "deal"))
    used = np.zeros(6, np.int64)
    for epoch in range(4):
        order = sampler._plan(epoch).table.take(np.arange(150))
        quotas = sampler.quotas(epoch)
        expected = oracles.deal_by_walking(np.arange(79), starts, used, quotas, key)
        dealt = order[np.argsort(sampler.domain_of(order), kind="stable")]
        np.testing.assert_array_equal(dealt, expected)
        used += quotas


@pytest.mark.parametrize("settings", [*SETTINGS, {"stop": "first_exhausted"}])
def test_epoch_20_is_the_same_by_walking_and_at_once(settings):
    draws = None if "stop" in settings else 33
    orders = epochs_of(MixtureSampler(LENGTHS, draws, seed=4, **settings), 21)
    fresh = MixtureSampler(LENGTHS, draws, seed=4, **settings)
    for epoch in (20, 3, 19, 20, 0):
        np.testing.assert_array_equal(fresh.indices(epoch), orders[epoch])


@pytest.mark.parametrize("world", [1, 2, 5])
def test_a_resumed_epoch_goes_on_on_any_ranks(world):
    whole = MixtureSampler(LENGTHS, 90, temperature=4.0).indices(2)
    ranks = [MixtureSampler(LENGTHS, 90, temperature=4.0, num_replicas=world, rank=rank)
             for rank in range(world)]  # fmt: skip
    state = MixtureSampler(LENGTHS, 90, temperature=4.0)
    state.set_epoch(2)
    for rank, sampler in enumerate(ranks):
        sampler.load_state_dict(state.state_dict(consumed=40))
        np.testing.assert_array_equal(list(sampler), whole[40 + rank :: world])


# ---- sources -------------------------------------------------------------------------------------


def test_datasets_in_a_concatenation():
    """torch's ConcatDataset is enough: Indexed gives its index, `locate` the dataset and place."""
    parts = [TensorDataset(torch.arange(n) + 100 * k) for k, n in enumerate([6, 3])]
    train = Indexed(ConcatDataset(parts))
    sampler = MixtureSampler(train, 6, weights=[1, 1])
    for given in (parts, [6, 3], np.array([6, 3]), torch.tensor([6, 3]), [parts[0], 3]):
        same = MixtureSampler(given, 6, weights=[1, 1])
        assert same.state_dict()["fingerprint"] == sampler.state_dict()["fingerprint"]
        same.load_state_dict(sampler.state_dict())
    seen = []
    for indices, (values,) in DataLoader(train, batch_size=2, sampler=sampler):
        sources, places = sampler.locate(indices)
        np.testing.assert_array_equal(values.numpy(), places + 100 * sources)
        np.testing.assert_array_equal(sampler.domain_of(indices), sources)
        seen += sources.tolist()
    assert sorted(seen) == [0, 0, 0, 1, 1, 1]


def test_domain_ids():
    domains = np.array(["b", "a", "a", "b", "b", "c"])
    sampler = MixtureSampler(domains=domains, weights={"a": 1, "b": 3, "c": 0}, num_samples=8)
    np.testing.assert_array_equal(sampler.names, ["a", "b", "c"])
    np.testing.assert_array_equal(sampler.sizes, [2, 3, 1])
    for order in epochs_of(sampler, 5):
        assert np.count_nonzero(domains[order] == "a") == 2
        assert np.count_nonzero(domains[order] == "b") == 6
    assert sampler.domain_of([0, 1]).tolist() == ["b", "a"]
    with pytest.raises(ValueError, match="locate needs lengths of datasets"):
        sampler.locate([0])


def test_samples_in_no_domain_are_never_drawn():
    sampler = MixtureSampler(domains=[-1, 3, -1, 3, 8, 3])
    assert len(sampler) == 4
    counts = counts_of(sampler, 6)
    assert not counts[:, [0, 2]].any()
    np.testing.assert_allclose(sampler.importance_weights([1, 4]), 1)  # N counts the others only
    with pytest.raises(ValueError, match="indices must be in a domain, got 2"):
        sampler.domain_of([1, 2])
    with pytest.raises(ValueError, match="indices must be draws of epoch 0, got 2 in row 1"):
        sampler.weights_for([1, 2])


def test_a_billion_samples_take_no_memory():
    sampler = MixtureSampler([10**9, 10**8], 10**7, temperature=2.0)
    first = list(itertools.islice(iter(sampler), 1000))
    assert max(first) > 10**9 > min(first)
    held = sum(each.nbytes for each in vars(sampler._sources).values() if hasattr(each, "nbytes"))
    assert held < 1000


# ---- stop rules ----------------------------------------------------------------------------------


def test_first_exhausted():
    sampler = MixtureSampler([10, 4], weights=[1, 1], stop="first_exhausted")
    assert len(sampler) == 8
    for order in epochs_of(sampler, 5):
        assert np.unique(order).size == 8  # none twice
        assert set(range(10, 14)) <= set(order.tolist())
    assert set(sampler.indices(0).tolist()) != set(sampler.indices(1).tolist())


def test_all_exhausted():
    sampler = MixtureSampler([10, 4], weights=[1, 1], stop="all_exhausted")
    assert len(sampler) == 20
    for counts in counts_of(sampler, 5):
        assert (counts[:10] == 1).all()
        assert counts[10:].sum() == 10
        assert np.ptp(counts[10:]) == 1


@pytest.mark.parametrize("stop", ["first_exhausted", "all_exhausted"])
def test_stops_with_any_shares(stop):
    generator = np.random.default_rng(0)
    for _ in range(40):
        sizes = generator.integers(1, 40, generator.integers(1, 6))
        weights = generator.random(sizes.size) + 0.05
        sampler = MixtureSampler(sizes, weights=weights, stop=stop)
        for epoch in range(3):
            quotas = sampler.quotas(epoch)
            assert sampler.length(epoch) == quotas.sum() == sampler.indices(epoch).size
            if stop == "first_exhausted":
                assert (quotas <= sizes).all()
                assert (quotas + 1 >= sizes).any()
            else:
                assert (quotas >= sizes).all()


def test_stops_follow_the_phases():
    sampler = MixtureSampler([10, 4], phases=[(0, [1, 1]), (2, [5, 2])], stop="first_exhausted")
    assert [sampler.length(epoch) for epoch in range(4)] == [8, 8, 14, 14]
    assert sampler.expected_samples(4) == 44


# ---- repeats and caps ----------------------------------------------------------------------------


def test_repeats_are_reported():
    sampler = MixtureSampler([100, 10], 40, weights=[1, 1])
    np.testing.assert_allclose(sampler.repeats(), [0.2, 2])
    np.testing.assert_allclose(sampler.repeats(5), [1, 10])
    np.testing.assert_allclose(sampler.repeats(0), [0, 0])
    sampler.set_epoch(1)
    np.testing.assert_allclose(sampler.repeats(), [0.4, 4])


def test_a_domain_at_its_cap_leaves_the_rest_to_the_others():
    sampler = MixtureSampler([100, 10, 50], 40, weights=[2, 2, 1], max_repeats=3, num_epochs=6)
    draws = np.stack([sampler.quotas(epoch) for epoch in range(6)])
    assert draws.sum(axis=1).tolist() == [40] * 6
    assert draws[:, 1].tolist() == [16, 14, 0, 0, 0, 0]  # 3 * 10 uses
    assert draws[2].tolist() == [27, 0, 13]  # 2 to 1
    np.testing.assert_allclose(sampler.shares(3).sum(), 1)
    used = counts_of(sampler, 6).sum(axis=0)
    assert used.max() <= 3
    with pytest.raises(ValueError, match="domain 1 has share 0"):
        sampler.set_epoch(4)
        sampler.importance_weights([0])


def test_caps_that_no_run_can_keep():
    message = "num_samples must be at most 110 for 3 epochs: max_repeats leaves 330 uses"
    with pytest.raises(ValueError, match=message):
        MixtureSampler([100, 10], 111, max_repeats=3, num_epochs=3)
    with pytest.raises(ValueError, match="max_repeats is reached by domain 1 in epoch 1"):
        MixtureSampler([100, 10], 40, weights=[1, 1], max_repeats=3, num_epochs=3,
                       shortfall="raise")  # fmt: skip
    with pytest.raises(ValueError, match="max_repeats leaves 10 draws for epoch 0, which needs 40"):
        MixtureSampler([100, 10], 40, weights=[0, 1], max_repeats=1)
    late = MixtureSampler([100, 10], 40, weights=[1, 1], max_repeats=1)
    late.set_epoch(1)
    with pytest.raises(ValueError, match="max_repeats leaves 30 draws for epoch 2, which needs 40"):
        late.indices(2)


def test_unimax_spreads_its_cap_over_the_run():
    """Card 2.3: sizes 10, 100, 1000 and 600 draws, four passes at most: 40, 280, 280."""
    sampler = MixtureSampler([10, 100, 1000], 60, weights="unimax", max_repeats=4, num_epochs=10)
    np.testing.assert_allclose(sampler.shares(0) * 600, [40, 280, 280])
    total = sum(sampler.quotas(epoch) for epoch in range(10))
    assert total.sum() == 600
    assert total[0] <= 40
    assert np.abs(total - [40, 280, 280]).max() <= 10  # each epoch is rounded by itself
    used = counts_of(sampler, 10).sum(axis=0)
    assert used[:10].max() <= 4


# ---- objective -----------------------------------------------------------------------------------


@pytest.mark.parametrize("compose", ["even", "shuffled"])
def test_original_weights_restore_the_mean_over_all_samples(compose):
    values = np.random.default_rng(1).normal(size=60) + np.repeat([0, 5, 20], [40, 15, 5])
    estimates = []
    for seed in range(200):
        sampler = MixtureSampler([40, 15, 5], 20, weights=[1, 2, 3], seed=seed, compose=compose,
                                 objective="original")  # fmt: skip
        order = sampler.indices(0)
        losses = torch.from_numpy(values[order])
        estimates.append(sampler.reduce(losses, order).item())
    assert_mean(estimates, values.mean())
    weights = sampler.weights_for(np.arange(60))
    shares = np.array([1, 2, 3]) / 6 / np.array([40, 15, 5])
    np.testing.assert_allclose(weights, 1 / (60 * np.repeat(shares, [40, 15, 5])), rtol=1e-6)


def test_sampled_is_the_mean_over_domains():
    sampler = MixtureSampler([40, 15, 5], 30, weights=[1, 1, 1])
    order = sampler.indices(0)
    losses = torch.from_numpy(sampler.domain_of(order).astype(float))
    assert sampler.reduce(losses, order).item() == 1.0


def test_variance_factor():
    """sum p^2 / p1: by hand, and the factor of Li et al. grows with the temperature."""
    assert MixtureSampler([30, 10]).variance_factor(0) == pytest.approx(1)
    even = MixtureSampler([30, 10], weights=[1, 1])
    assert even.variance_factor(0) == pytest.approx(0.25 / 0.75 + 0.25 / 0.25)
    factors = [MixtureSampler(LENGTHS, temperature=t).variance_factor(0) for t in (1, 2, 5, 100)]
    assert (np.diff(factors) > 0).all()


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "one of lengths and domains must be given, got neither"),
        ({"lengths": [1], "domains": [0]}, ValueError, "must be given, got both"),
        ({"lengths": []}, ValueError, "lengths must not be empty"),
        ({"lengths": 5}, TypeError, "lengths must be a list or a mapping of counts or of datasets"),
        ({"lengths": [3, 0]}, ValueError, r"lengths\[1\] must be in \[1, .*got 0"),
        ({"lengths": [3, []]}, ValueError, r"lengths\[1\] must not be empty"),
        ({"lengths": [3, 1.5]}, TypeError, r"lengths\[1\] must be an int, got 1.5"),
        ({"domains": [-1, -1]}, ValueError, "domains must label at least one sample"),
        ({"lengths": [3, 2], "weights": [1]}, ValueError, "length of the domains, 2, got 1"),
        ({"lengths": [3, 2], "weights": [1, -1]}, ValueError, "weights must be finite and >= 0"),
        ({"lengths": [3, 2], "weights": [1, np.nan]}, ValueError, "got nan in row 1"),
        ({"lengths": [3, 2], "weights": [0, 0]}, ValueError, "weights must not all be 0"),
        ({"lengths": [3, 2], "weights": {0: 1}}, ValueError, r"all domains, missing \[1\]"),
        ({"domains": [0, 1], "weights": {0: 1, 1: 1, 7: 2}}, ValueError,
         r"weights must name domains of \[0, 1\], got 7"),
        ({"domains": ["a", "b"], "weights": [1, 2]}, ValueError,
         r"weights must be a mapping where domains have names, {'a': ..., 'b': ...}, got list"),
        ({"domains": ["a", "b"], "mean_tokens": np.array([1, 2])}, ValueError,
         "mean_tokens must be a mapping where domains have names, .*, got ndarray"),
        ({"domains": ["a", "b"], "phases": [(0, [1, 2])]}, ValueError,
         r"phases\[0\]\[1\] must be a mapping where domains have names"),
        ({"domains": ["a", "b"], "mean_tokens": {"a": 1}}, ValueError,
         r"mean_tokens must name all domains, missing \['b'\]"),
        ({"domains": ["aa", "bb"], "mean_tokens": {"aa": 1, "bb": 2, "bbb": 3}}, ValueError,
         r"mean_tokens must name domains of .*, got 'bbb': did you mean 'bb'"),
        ({"domains": ["a", "b"], "mean_tokens": {"a": 1, "b": 0}}, ValueError,
         r"mean_tokens\['b'\] must be in \[1e-100, 1e100\], got 0"),
        ({"domains": [10, 20], "weights": [1, 2]}, ValueError, r"domains of \[10, 20\], got 0"),
        ({"lengths": [3, 2], "weights": "even"}, ValueError, "weights must be one of 'unimax'"),
        ({"lengths": [3, 2], "weights": "unimax"}, ValueError, "max_repeats must be given"),
        ({"lengths": [3, 2], "temperature": 0.0}, ValueError, r"temperature must be in \(0, inf\)"),
        ({"lengths": [3], "weights": [1], "temperature": 2.0}, ValueError,
         "only one of weights, temperature and phases may be given"),
        ({"lengths": [3, 2], "mean_tokens": [1, 0]}, ValueError,
         r"mean_tokens\[1\] must be in \[1e-100, 1e100\], got 0"),
        ({"lengths": [3], "stop": "never"}, ValueError, "stop must be one of"),
        ({"lengths": [3], "compose": "iid"}, ValueError, "compose must be one of"),
        ({"lengths": [3], "shortfall": "accept"}, ValueError, "shortfall must be one of"),
        ({"lengths": [3], "stop": "first_exhausted", "num_samples": 2}, ValueError,
         "num_samples must not be given with stop='first_exhausted', got 2"),
        ({"lengths": [3], "num_samples": 0}, ValueError, "num_samples must be >= 1, got 0"),
        ({"lengths": [3], "num_samples": 2**31}, ValueError, "num_samples must be below 2"),
        ({"lengths": [3, 2], "weights": [1, 0], "objective": "original"}, ValueError,
         "MixtureSampler has no importance weights: domain 1 has share 0 and is never drawn"),
        ({"lengths": [3], "updater": 3}, TypeError, "updater must be a MixtureUpdater, got int"),
    ],
)  # fmt: skip
def test_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        MixtureSampler(**arguments)


def test_other_arguments_have_other_states():
    sampler = MixtureSampler([30, 20])
    for other in (
        MixtureSampler([20, 30]),
        MixtureSampler([30, 20], weights=[1, 1]),
        MixtureSampler([30, 20], phases=[(0, 1.0), (1, 1.0)]),
        MixtureSampler([30, 20], compose="shuffled"),
        MixtureSampler([30, 20], max_repeats=100),
        MixtureSampler([30, 20], mean_tokens=[1, 2]),
        MixtureSampler(domains=np.repeat([0, 1], [30, 20])),
    ):
        with pytest.raises(Exception, match="of the same data and arguments"):
            other.load_state_dict(sampler.state_dict())


def test_one_domain_is_a_shuffle():
    for order in epochs_of(MixtureSampler([9]), 4):
        assert sorted(order.tolist()) == list(range(9))


NAMES = np.repeat(["wiki", "code", "books"], [60, 300, 140])


class Series:
    """What pandas calls one: values under names, of which numpy sees the values alone."""

    def __init__(self, given):
        self.given = given
        self.index = type("Index", (), {"is_unique": True, "tolist": lambda _: list(given)})()

    def to_dict(self):
        return dict(self.given)

    def __array__(self, *_, **__):
        return np.array(list(self.given.values()), float)


@pytest.mark.parametrize("kind", [dict, Series])
def test_what_is_by_domain_goes_by_name(kind):
    """Weights and tokens in whatever order: each domain gets its share of the tokens."""
    shares, tokens = (
        {"wiki": 0.6, "code": 0.3, "books": 0.1},
        {"code": 100, "books": 50, "wiki": 10},
    )
    sampler = MixtureSampler(
        domains=NAMES, num_samples=500, weights=kind(shares), mean_tokens=kind(tokens)
    )
    names = sampler.names.tolist()
    drawn = sampler.shares(0) * [tokens[name] for name in names]
    np.testing.assert_allclose(drawn / drawn.sum(), [shares[name] for name in names])
    first = MixtureSampler(domains=NAMES, phases=[(0, 5.0), (2, kind(shares))])
    np.testing.assert_allclose(first.shares(2), [shares[name] for name in names])


def test_an_array_goes_by_the_number_of_the_domain():
    sampler = MixtureSampler(domains=np.repeat([0, 2], [10, 30]), weights=[1, 0, 3])
    assert sampler.shares(0).tolist() == [0.25, 0.75]
    assert MixtureSampler([10, 30], weights={1: 3, 0: 1}).shares(0).tolist() == [0.25, 0.75]
    assert MixtureSampler([10, 30], weights={"1": 3, "0": 1}).shares(0).tolist() == [0.25, 0.75]


def test_a_mapping_names_its_datasets():
    parts = {"web": range(6), "books": range(2), "code": 4}
    sampler = MixtureSampler(parts, 12, weights={"web": 1, "books": 2, "code": 1}, seed=0)
    same = MixtureSampler([6, 2, 4], 12, weights=[1, 2, 1], seed=0)
    assert sampler.names.tolist() == ["web", "books", "code"]  # in its order, as concatenated
    assert list(sampler) == list(same)
    assert sampler.domain_of([5, 6, 8]).tolist() == ["web", "books", "code"]
    assert sampler.locate([6])[0].tolist() == [1]
    sampler.load_state_dict(same.state_dict())
    with pytest.raises(ValueError, match="weights must be a mapping where domains have names"):
        MixtureSampler(parts, weights=[1, 2, 1])


@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ({}, ValueError, "lengths must not be empty"),
        ({"a": 3, "b": []}, ValueError, r"lengths\['b'\] must not be empty"),
        ({"a": {"train": [1], "test": [2]}}, TypeError, "give one of its values"),
        ({"a": 3, 1: 4}, TypeError, "one kind"),
        ({None: 3, "a": 4}, ValueError, "lengths must have names"),
    ],
)
def test_mappings_that_are_no_datasets(lengths, error, message):
    with pytest.raises(error, match=message):
        MixtureSampler(lengths)
