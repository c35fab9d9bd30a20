"""Batches of similar length of the draws of any sampler."""

from functools import partial

import numpy as np
import pytest
import torch
from batch_helpers import interleaved

from sampling.errors import StateError
from sampling.samplers import (
    ClassBalancedSampler,
    CurriculumSampler,
    EpochBatchSampler,
    GroupBatchSampler,
    ImportanceSampler,
    InfoBatchSampler,
    MixtureSampler,
    RepeatedSubsetSampler,
    ShuffleSampler,
    SubsetSampler,
    TokenBudgetBatchSampler,
    WeightedSampler,
    full_state,
    load_full_state,
)

N = 300
RANDOM = np.random.default_rng(3)
LENGTHS = np.clip(RANDOM.lognormal(3, 0.8, N).astype(int), 1, 120)
BUDGET = 300
SAMPLERS = {
    "pruned": partial(InfoBatchSampler, N, 6),
    "important": partial(ImportanceSampler, N),
    "balanced": partial(ClassBalancedSampler, np.arange(N) % 7 // 5),
    "mixed": partial(MixtureSampler, [200, 70, 30], 250, temperature=2.0),
    "weighted": partial(WeightedSampler, RANDOM.random(N), 170, objective="original"),
    "subset": partial(SubsetSampler, np.arange(5, N, 3)),
    "rounds": partial(RepeatedSubsetSampler, N, 0.3),
    "curriculum": partial(CurriculumSampler, LENGTHS, 4),
}


def by_length(name, window=None, padded=True, **options):
    return TokenBudgetBatchSampler(
        LENGTHS, BUDGET, sampler=SAMPLERS[name](**options), window=window, padded=padded
    )


def trained(sampler, epochs):
    """Record losses of some epochs, in the sampler's own order."""
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        rows = sampler.indices(epoch)
        sampler.record(rows, np.abs(np.sin(rows * 7.0)))
    sampler.set_epoch(epochs)
    return sampler


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("name", SAMPLERS)
def test_the_draws_are_the_samplers_in_batches_of_similar_length(name, padded):
    alone, batches = trained(SAMPLERS[name](), 2), trained(by_length(name, padded=padded), 2)
    drawn = list(batches)
    flat = np.concatenate(drawn)
    np.testing.assert_array_equal(np.sort(flat), np.sort(alone.indices(2)))
    np.testing.assert_array_equal(batches.indices(2), flat)
    assert len(drawn) == len(batches) == batches.length(2) == batches.num_batches
    longest = np.array([LENGTHS[each].max() for each in drawn])
    sizes = np.array([len(each) for each in drawn])
    if padded:
        assert (longest * sizes).max() <= BUDGET
        assert LENGTHS[flat].sum() > 0.85 * (longest * sizes).sum()  # little is padded
        assert np.any(np.diff(longest) > 0)
        assert np.any(np.diff(longest) < 0)  # and the batches are shuffled
    else:
        assert max(LENGTHS[each].sum() for each in drawn) <= BUDGET
    np.testing.assert_array_equal(batches.weights_for(flat), alone.weights_for(flat))
    losses = torch.rand(len(drawn[0]), generator=torch.Generator().manual_seed(0))
    assert torch.equal(batches.reduce(losses, drawn[0]), alone.reduce(losses, drawn[0]))


@pytest.mark.parametrize("name", ["pruned", "weighted", "mixed"])
def test_ranks_take_turns_and_any_number_of_them_resumes(name):
    whole = list(trained(by_length(name), 2))
    ranks = [trained(by_length(name, num_replicas=2, rank=rank), 2) for rank in (0, 1)]
    shares = [list(each) for each in ranks]
    assert len(shares[0]) == len(shares[1])  # equal in number
    assert interleaved(shares)[: len(whole)] == whole
    saved = trained(by_length(name), 2)
    passing = iter(saved)
    for _ in range(4):
        next(passing)
    full = full_state(saved)
    assert full["state"]["consumed"] == sum(map(len, whole[:4])) == saved.consumed_after(4)
    resumed = [by_length(name, num_replicas=2, rank=rank) for rank in (0, 1)]
    for each in resumed:
        load_full_state(each, full)
    assert [each.remaining for each in resumed] == [-(-(len(whole) - 4) // 2)] * 2
    assert interleaved([list(each) for each in resumed])[: len(whole) - 4] == whole[4:]
    with pytest.raises(StateError, match="between two batches"):
        full_state(saved, 1 + sum(map(len, whole[:4])))


def test_a_window_keeps_the_samplers_order():
    alone, batches = SAMPLERS["curriculum"](), by_length("curriculum", window=40)
    expected, found = alone.indices(1), np.concatenate(list(batches_of(batches, 1)))
    assert not np.array_equal(expected, found)
    for start in range(0, expected.size, 40):
        window = slice(start, start + 40)
        np.testing.assert_array_equal(np.sort(expected[window]), np.sort(found[window]))


def batches_of(batches, epoch):
    batches.set_epoch(epoch)
    return list(batches)


def test_a_number_of_samples_instead_of_a_budget():
    sampler = SAMPLERS["balanced"]()
    batches = TokenBudgetBatchSampler(LENGTHS, max_batch_size=32, sampler=sampler, noise=0)
    sizes = [len(batch) for batch in batches]
    assert sorted(sizes, reverse=True) == [32] * (N // 32) + [N % 32]
    assert np.mean([np.ptp(LENGTHS[batch]) for batch in batches_of(batches, 0)]) < 15
    assert batches.max_tokens is None
    plain = TokenBudgetBatchSampler(LENGTHS, max_batch_size=32, padded=False)
    assert sorted({len(batch) for batch in plain}) in ([30], [30, 31], [30, 31, 32])


def test_the_longest_batch_comes_first():
    batches = TokenBudgetBatchSampler(
        LENGTHS, BUDGET, sampler=SAMPLERS["pruned"](), longest_first=True
    )
    assert LENGTHS[next(iter(batches))].max() == LENGTHS.max()


def test_a_state_is_of_these_batches():
    state = SAMPLERS["weighted"]().state_dict(0)
    with pytest.raises(StateError, match="of the batches"):
        by_length("weighted").load_state_dict(state)
    other = TokenBudgetBatchSampler(LENGTHS, BUDGET + 1, sampler=SAMPLERS["weighted"]())
    with pytest.raises(StateError, match="max_tokens of the batches"):
        other.load_state_dict(by_length("weighted").state_dict(0))


def test_samples_that_are_never_drawn_may_be_too_long():
    lengths = np.where(np.arange(N) % 3 == 2, LENGTHS, 1000)
    kept = SubsetSampler(np.arange(5, N, 3))
    assert len(TokenBudgetBatchSampler(lengths, BUDGET, sampler=kept)) > 0
    lengths[8] = 400
    with pytest.raises(ValueError, match="at most max_tokens, 300, got 400 in row 8: exclude"):
        TokenBudgetBatchSampler(lengths, BUDGET, sampler=SubsetSampler(np.arange(5, N, 3)))
    with pytest.raises(ValueError, match="got 1000 in row 0"):
        TokenBudgetBatchSampler(lengths, BUDGET, sampler=SAMPLERS["pruned"]())


def begun():
    sampler = SAMPLERS["pruned"]()
    next(iter(sampler))
    return sampler


@pytest.mark.parametrize(
    ("sampler", "options", "error", "message"),
    [
        (range(N), {}, TypeError, "sampler must be an EpochSampler"),
        (EpochBatchSampler(ShuffleSampler(N), 4), {}, TypeError, "got EpochBatchSampler"),
        (GroupBatchSampler(np.arange(N), 2).sampler, {}, ValueError, "of a GroupBatchSampler"),
        (by_length("pruned").sampler, {}, ValueError, "of a TokenBudgetBatchSampler: make another"),
        (begun(), {}, ValueError, "at the beginning of an epoch.*load the state into it"),
        (ShuffleSampler(N + 1), {}, ValueError, "ShuffleSampler, 301, got 300"),
        (SubsetSampler([N]), {}, ValueError, "at least 301, got 300"),
        (ShuffleSampler(N), {"seed": 1}, ValueError, "seed must not be given with sampler"),
        (ShuffleSampler(N), {"window": 0}, ValueError, "window must be >= 1, got 0"),
        (ShuffleSampler(N), {"window": 9, "longest_first": True}, ValueError, "with a window"),
        (None, {"window": 9}, ValueError, "window must not be given without sampler, got 9"),
    ],
)
def test_refused(sampler, options, error, message):
    with pytest.raises(error, match=message):
        TokenBudgetBatchSampler(LENGTHS, BUDGET, sampler=sampler, **options)


def test_neither_budget_nor_size_is_refused():
    with pytest.raises(ValueError, match="max_tokens or max_batch_size must be given"):
        TokenBudgetBatchSampler(LENGTHS)


def test_no_other_batches_of_an_arranged_sampler():
    with pytest.raises(ValueError, match="of a TokenBudgetBatchSampler"):
        EpochBatchSampler(by_length("pruned").sampler, 4)
