"""Epochs that are parts of a pass, and a first batch of the longest samples."""

import numpy as np
import pytest

from sampling.samplers import (
    ClassesPerBatchSampler,
    TokenBudgetBatchSampler,
    full_state,
    load_full_state,
)

LABELS = np.repeat(np.arange(7), [40, 30, 20, 9, 8, 3, 2])


def batches_of(batches, epoch):
    batches.set_epoch(epoch)
    return [list(each) for each in batches]


@pytest.mark.parametrize("num_batches", [1, 4, 7, 100])
def test_epochs_of_any_length_are_parts_of_whole_passes(num_batches):
    whole = ClassesPerBatchSampler(LABELS, 3, 4, seed=5)
    parts = ClassesPerBatchSampler(LABELS, 3, 4, num_batches=num_batches, seed=5)
    assert len(parts) == parts.num_batches == num_batches
    epochs = -(-2 * whole.num_batches // num_batches)
    drawn = [each for epoch in range(epochs) for each in batches_of(parts, epoch)]
    passes = [each for turn in range(2) for each in batches_of(whole, turn)]
    assert drawn[: len(passes)] == passes
    for epoch in (1, 2**40):
        for batch in batches_of(parts, epoch)[:50]:
            assert np.unique(LABELS[batch]).size == 3


def test_the_number_of_a_pass_changes_nothing():
    whole = ClassesPerBatchSampler(LABELS, 3, 4, seed=5)
    same = ClassesPerBatchSampler(LABELS, 3, 4, num_batches=whole.num_batches, seed=5)
    assert batches_of(whole, 3) == batches_of(same, 3)


def test_the_mean_over_the_samples_is_restored_by_epochs_that_make_whole_passes():
    whole = ClassesPerBatchSampler(LABELS, 3, 4, seed=1)
    count = whole.num_batches
    parts = ClassesPerBatchSampler(LABELS, 3, 4, num_batches=2, objective="original", seed=1)
    classes = []
    for epoch in range(count):  # two passes
        drawn = np.concatenate(batches_of(parts, epoch))
        weights = parts.sampler.importance_weights(drawn)
        classes.append(np.bincount(LABELS[drawn], weights, minlength=7) / drawn.size)
    # Every class has its natural share, whatever samples of it came.
    natural = np.bincount(LABELS) / LABELS.size
    np.testing.assert_allclose(np.mean(classes, axis=0), natural, rtol=1e-5)


def test_bounded_epochs_resume_and_are_identified_by_their_number():
    def made(num_batches=5):
        return ClassesPerBatchSampler(LABELS, 3, 4, num_batches=num_batches, seed=2)

    batches = made()
    expected = batches_of(batches, 3)
    again = made()
    load_full_state(again, full_state(batches, 24))
    assert [list(each) for each in again] == expected[2:]
    with pytest.raises(ValueError, match="num_batches"):
        load_full_state(made(6), full_state(batches, 24))
    for bad in (0, 2.5):
        with pytest.raises((ValueError, TypeError), match="num_batches"):
            made(bad)


@pytest.mark.parametrize("noise", [0.0, 0.1, 4.0])
@pytest.mark.parametrize("round_size", [1, 4, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_the_longest_batch_comes_first_and_all_samples_still_come_once(round_size, seed, noise):
    lengths = np.random.default_rng(seed).integers(1, 200, 500)

    def made(first):
        return TokenBudgetBatchSampler(
            lengths, 1000, noise=noise, round_size=round_size, longest_first=first, seed=seed
        )

    batches = batches_of(made(True), 0)
    longest = [int(lengths[each].max()) for each in batches]
    assert longest[0] == lengths.max()
    assert sorted(np.concatenate(batches)) == list(range(500))
    assert sorted(longest) == sorted(lengths[each].max() for each in batches_of(made(False), 0))
    if 1 < round_size < len(batches):  # ranks of the first step have similar batches
        assert min(longest[:round_size]) * (1 + noise) >= sorted(longest)[-round_size]
    assert batches_of(made(True), 1) == batches_of(made(False), 1)


def test_batches_of_equal_sums_have_no_longest():
    with pytest.raises(ValueError, match="longest_first must be False with padded=False"):
        TokenBudgetBatchSampler([1, 2], 5, padded=False, longest_first=True)
