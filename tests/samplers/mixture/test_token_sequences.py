"""Epochs counted in tokens: windows of each source's tokens, caps and redistribution in tokens."""

import numpy as np
import oracles
import pytest
import torch

from sampling import _rng
from sampling.errors import StateError
from sampling.samplers import (
    ODM,
    MixtureSampler,
    load_state,
    save_state,
)
from sampling.samplers.core._permutation import Permutation

SIZES = [50, 30, 7]
TOKENS = np.random.default_rng(0).integers(0, 20, sum(SIZES))
NAMES = ["web", "code", "books"]
STARTS = np.cumsum([0, *SIZES])


def made(sizes=None, **options):
    chosen = {"num_tokens": 300, "sample_tokens": TOKENS, "weights": [2, 1, 1], **options}
    return MixtureSampler(SIZES if sizes is None else sizes, **chosen)


def tokens_of(sampler, epoch):
    """Tokens of each source in the draws of an epoch, counted one by one."""
    rows = sampler.indices(epoch)
    return np.bincount(sampler._sources.of(rows), TOKENS[rows], len(SIZES))


def shuffles_of(code, seed=0):
    """The samples of the first shuffles of a source's sequence, one after the other."""
    key = _rng.subkey(_rng.key(seed, 0, "deal"), code)
    orders = [
        Permutation(SIZES[code], _rng.subkey(key, at))(np.arange(SIZES[code])) for at in range(40)
    ]
    return STARTS[code] + np.concatenate(orders)


def test_draws_are_those_whose_middle_is_in_the_window():
    sampler, quotas = made(), np.zeros((12, 3), int)
    for epoch in range(12):
        quotas[epoch] = sampler._budgeted(epoch)[1]
    assert (quotas.sum(axis=1) == 300).all()
    for code in range(3):
        sequence = shuffles_of(code)
        windows = oracles.token_windows_by_walking(TOKENS[sequence], quotas[:, code])
        for epoch, (begin, end) in enumerate(windows):
            rows = sampler.indices(epoch)
            rows = rows[(rows >= STARTS[code]) & (rows < STARTS[code + 1])]
            assert sorted(rows) == sorted(sequence[begin:end])


@pytest.mark.parametrize("compose", ["even", "shuffled"])
def test_tokens_are_exact_to_one_sample_in_any_epochs(compose):
    sampler = made(compose=compose)
    total, longest = np.zeros(3), np.maximum.reduceat(TOKENS, STARTS[:-1])
    for epoch in range(20):
        here = tokens_of(sampler, epoch)
        total += here
        np.testing.assert_array_equal(sampler.tokens_drawn(epoch), here)
        np.testing.assert_allclose(sampler.token_shares(epoch), here / here.sum())
        assert (np.abs(here - [150, 75, 75]) <= longest).all()
        assert (np.abs(total - (epoch + 1) * np.array([150, 75, 75])) <= longest / 2).all()
        assert sampler.length(epoch) == sampler.indices(epoch).size == sampler.quotas(epoch).sum()
    assert sampler.expected_samples(20) == sum(sampler.length(epoch) for epoch in range(20))
    np.testing.assert_allclose(sampler.repeats(20) * SIZES, np.bincount(
        sampler.domain_of(np.concatenate([sampler.indices(epoch) for epoch in range(20)])),
        minlength=3))  # fmt: skip


def test_every_sample_of_a_source_comes_before_any_is_repeated():
    sampler = made()
    used = np.zeros(sum(SIZES), int)
    for epoch in range(15):
        np.add.at(used, sampler.indices(epoch), 1)
        for begin, end in zip(STARTS, STARTS[1:], strict=False):
            assert np.ptp(used[begin:end]) <= 1


def test_token_shares_keep_their_ratio_while_a_capped_source_is_exhausted():
    sampler = made(dict(zip(NAMES, SIZES, strict=True)), max_repeats={"books": 3.0},
                   weights={"web": 2, "code": 1, "books": 1})  # fmt: skip
    used, longest = np.zeros(sum(SIZES), int), TOKENS.max()
    cap = 3 * TOKENS[STARTS[2] :].sum()
    for epoch in range(8):
        np.add.at(used, sampler.indices(epoch), 1)
        web, code, books = sampler._budgeted(epoch)[1]
        assert web + code + books == 300
        assert abs(web - 2 * code) <= 2
        assert np.abs(tokens_of(sampler, epoch).sum() - 300) < 3 * longest
        assert books == min(75, max(0, cap - 75 * epoch))
    assert used[STARTS[2] :].tolist() == [3] * 7  # to the sample
    assert sampler.report(7)["books"]["passes_left"] == 0
    assert sampler.report(0)["books"]["weight"] == 0.25
    assert sampler.report(0)["web"]["passes_left"] is None
    with pytest.raises(ValueError, match="max_repeats is reached by domain 2 in epoch"):
        made(max_repeats={2: 3.0}, shortfall="raise", num_epochs=8)
    with pytest.raises(ValueError, match="num_tokens must be at most .* tokens of all domains"):
        made(max_repeats=1.0, num_epochs=80)


def test_caps_by_name_without_tokens():
    sampler = MixtureSampler({"a": 10, "b": 5}, 9, weights={"a": 1, "b": 2}, max_repeats={"b": 2})
    assert [sampler.quotas(epoch).tolist() for epoch in range(3)] == [[3, 6], [5, 4], [9, 0]]
    row = sampler.report(1)["b"]
    assert (row["draws"], row["repeats"], row["passes_left"]) == (4, 2.0, 0.0)
    with pytest.raises(ValueError, match="max_repeats must name domains of"):
        MixtureSampler({"a": 10, "b": 5}, max_repeats={"c": 2.0})
    with pytest.raises(ValueError, match='max_repeats must be a number with weights="unimax"'):
        MixtureSampler([10, 5], weights="unimax", max_repeats={0: 2.0})


def test_mean_tokens_count_as_samples_of_one_length():
    sampler = MixtureSampler([50, 30], num_tokens=1000, mean_tokens=[10.5, 3], weights=[1, 1])
    total = np.zeros(2)
    for epoch in range(9):
        total += sampler.tokens_drawn(epoch)
        assert (np.abs(total - 500 * (epoch + 1)) <= [5.25, 1.5]).all()
    same = MixtureSampler(
        [50, 30], num_tokens=1000, sample_tokens=[7] * 50 + [3] * 30, weights=[1, 1]
    )
    mean = MixtureSampler([50, 30], num_tokens=1000, mean_tokens=[7, 3], weights=[1, 1])
    for epoch in (0, 1, 7):
        np.testing.assert_array_equal(same.indices(epoch), mean.indices(epoch))


def test_sample_tokens_without_a_budget_are_their_means():
    means = np.add.reduceat(TOKENS, STARTS[:-1]) / SIZES
    one = MixtureSampler(SIZES, 60, sample_tokens=TOKENS, weights=[1, 1, 1])
    other = MixtureSampler(SIZES, 60, mean_tokens=means, weights=[1, 1, 1])
    np.testing.assert_array_equal(one.indices(3), other.indices(3))
    np.testing.assert_array_equal(one.tokens_drawn(3), tokens_of(one, 3))
    for stop in ("first_exhausted", "all_exhausted"):
        ends = MixtureSampler(SIZES, sample_tokens=TOKENS, weights=[1, 1, 1], stop=stop)
        np.testing.assert_array_equal(ends.tokens_drawn(1), tokens_of(ends, 1))


def test_tokens_of_each_dataset_by_name():
    parts = np.split(TOKENS, STARTS[1:-1])
    sizes = dict(zip(NAMES, SIZES, strict=True))
    weights = dict(zip(NAMES, [2, 1, 1], strict=True))
    given = dict(zip(NAMES[::-1], parts[::-1], strict=True))  # in any order
    found = made(sizes, weights=weights, sample_tokens=given)
    np.testing.assert_array_equal(found.indices(3), made().indices(3))
    for wrong, message in [
        ({"web": parts[0]}, r"must name the datasets \['web', 'code', 'books'\], got \['web'\]"),
        (
            {**given, "code": parts[0]},
            r"sample_tokens\['code'\] must have the length of the dataset",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            made(sizes, weights=weights, sample_tokens=wrong)
    with pytest.raises(ValueError, match="must be one array for all samples with domains"):
        MixtureSampler(domains=["a", "b"], sample_tokens={"a": [1], "b": [2]})


def test_domains_and_missing_ones():
    domains = np.array(["b", "a", None, "a", "b", "b"], object)
    sampler = MixtureSampler(domains=domains, num_tokens=20, sample_tokens=[5, 4, 99, 6, 0, 5],
                             weights={"a": 1, "b": 1})  # fmt: skip
    rows = np.concatenate([sampler.indices(epoch) for epoch in range(4)])
    assert np.bincount(rows, minlength=6).tolist() == [4, 4, 0, 4, 4, 4]


def test_a_distant_epoch_is_reached_at_once():
    sampler = made()
    epoch = 2**50
    sampler.set_epoch(epoch)
    assert abs(tokens_of(sampler, epoch).sum() - 300) < 60
    np.testing.assert_array_equal(sampler.tokens_drawn(epoch), tokens_of(sampler, epoch))


@pytest.mark.parametrize("consumed", [0, 12])
def test_resume_and_ranks(consumed, tmp_path):
    def sampler(**options):
        return made(updater=ODM(exploration=0.1), **options)

    one = sampler()
    for epoch in range(3):
        one.set_epoch(epoch)
        one.record(one.indices(epoch), np.cos(one.indices(epoch)) + 2)
    one.set_epoch(3)
    save_state(one, tmp_path / "s", consumed=consumed)
    other = sampler()
    load_state(other, tmp_path / "s")
    rest = one.indices(3)[consumed:]
    assert list(other) == rest.tolist()
    for each in (one, other):
        each.record(rest, np.sin(rest) + 2)
        each.set_epoch(4)
    np.testing.assert_array_equal(one.indices(4), other.indices(4))
    np.testing.assert_array_equal(one.tokens_drawn(4), tokens_of(one, 4))
    np.testing.assert_array_equal(one.repeats(), other.repeats())
    whole = made().indices(2)
    parts = []
    for rank in range(3):
        share = made(num_replicas=3, rank=rank, pad=False)
        share.set_epoch(2)
        parts.append(list(share))
        assert parts[-1] == whole[rank::3].tolist()
    static = made()
    static.set_epoch(2)
    state = static.state_dict(consumed=6)
    with pytest.raises(StateError, match="sample_tokens"):
        made(sample_tokens=TOKENS[::-1]).load_state_dict(state)


def test_original_weights_average_to_one():
    sampler = made(objective="original")
    rows = np.concatenate([sampler.indices(epoch) for epoch in range(60)])
    weights = np.concatenate([
        sampler.weights_for(sampler.indices(epoch)) for epoch in range(60)
        if sampler.set_epoch(epoch) is None])  # fmt: skip
    values = np.bincount(rows, weights, sum(SIZES))
    np.testing.assert_allclose(values / values.mean(), 1, atol=0.12)
    assert sampler.reduce(torch.ones(2), sampler.indices(59)[:2]).isfinite()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_samples": 9}, ValueError, "only one of num_samples and num_tokens may be given"),
        ({"stop": "first_exhausted"}, ValueError, "num_tokens must not be given with stop="),
        ({"sample_tokens": None}, ValueError, "num_tokens needs sample_tokens or mean_tokens"),
        ({"mean_tokens": [1, 1, 1]}, ValueError, "only one of sample_tokens and mean_tokens may"),
        ({"num_tokens": 3}, ValueError, "num_tokens must be at least 5[0-9], one longest sample"),
        ({"num_tokens": 1.5}, TypeError, "num_tokens must be an int"),
        ({"sample_tokens": TOKENS + 0.5}, ValueError, "sample_tokens must be whole numbers, got"),
        ({"sample_tokens": TOKENS - 1.0}, ValueError, "sample_tokens must be finite and >= 0"),
        ({"sample_tokens": TOKENS * 0}, ValueError, "sample_tokens must not be 0 for a whole dom"),
        ({"sample_tokens": TOKENS[:-1]}, ValueError, "sample_tokens must have the length of the"),
    ],
)
def test_refuses(options, error, message):
    with pytest.raises(error, match=message):
        made(**options)


def test_tokens_need_lengths():
    with pytest.raises(ValueError, match="tokens_drawn needs sample_tokens or mean_tokens"):
        MixtureSampler([3, 4]).tokens_drawn(0)
