import math

import numpy as np
import pytest
import torch

from sampling.samplers import LateStoppingSampler, SubsetSampler, full_state, load_full_state

N = 40
EPOCHS = 60
RIGHT = np.random.default_rng(0).random((EPOCHS, N)) < np.linspace(0.2, 0.95, N)


def answers_of(rows, epoch, right=RIGHT):
    """Losses and two-class logits of samples, right where the table says so."""
    rows = np.asarray(rows)
    labels = torch.tensor(rows % 2)
    given = torch.nn.functional.one_hot(labels, 2).float()
    logits = torch.where(torch.tensor(right[epoch, rows])[:, None], given, 1 - given)
    return torch.ones(rows.size), logits, labels


def watch(sampler, epoch, right=RIGHT, rows=None):
    rows = np.unique(sampler.indices(epoch)) if rows is None else np.asarray(rows)
    losses, logits, labels = answers_of(rows, epoch, right)
    sampler.record(rows, losses, logits=logits, labels=labels)


def run(sampler, epochs, right=RIGHT):
    """Train to the start of an epoch."""
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        watch(sampler, epoch, right)
    sampler.set_epoch(epochs)
    return sampler


def rounds_by_loop(right, rho, rounds, warm_up, max_epochs=None, behind=0):
    """The set of each epoch, by looking at all answers of the round again after each epoch.

    behind : epochs at the end of the round that are not looked at; 1 in the released code
    """
    ks = [k for k, count in enumerate(rounds, 1) for _ in range(count)]
    current, number, began, sets = set(range(right.shape[1])), 1, 0, []
    for epoch in range(len(right)):
        sets.append(sorted(current))
        if number > len(ks):
            continue
        k, looked = ks[number - 1], range(began + warm_up + 1, epoch + 1 - behind)
        learned = {
            i
            for i in current
            if any(all(right[start : start + k, i]) for start in looked if start + k - 1 in looked)
        }
        reached = len(learned) >= rho**number * right.shape[1] - 1e-9
        if reached or (max_epochs and epoch + 1 - began >= max_epochs):
            current = learned if reached else current
            number, began = number + 1, epoch + 1
    return sets


@pytest.mark.parametrize(
    ("rho", "rounds", "warm_up", "max_epochs"),
    [
        (0.9, (2, 2, 1), 1, None),
        (0.8, (1, 1, 1), 0, None),
        (0.95, (3, 0, 2), 2, 6),
        (0.97, (2, 2), 0, 3),
        (0.9, (4, 4, 4), 6, None),
        (0.5, (1,), 0, None),
    ],
)
def test_every_epoch_against_a_loop(rho, rounds, warm_up, max_epochs):
    sampler = LateStoppingSampler(
        N, EPOCHS, keep=rho, rounds=rounds, warm_up=warm_up, max_epochs=max_epochs
    )
    expected = rounds_by_loop(RIGHT, rho, rounds, warm_up, max_epochs)
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        assert sampler.kept.tolist() == expected[epoch]
        assert sorted(sampler.indices(epoch)) == expected[epoch]
        watch(sampler, epoch)
    assert len(expected[-1]) < N or max_epochs == 3  # too few for any round


def test_defect_the_epoch_that_just_ended_counts():
    """The released code looks at the epochs before it only, and ends each round one later."""
    right = np.zeros((6, N), bool)
    right[1:, :30] = True
    sampler = LateStoppingSampler(N, 6, keep=0.75, rounds=(1,), warm_up=0)
    sizes = []
    for epoch in range(6):
        sampler.set_epoch(epoch)
        sizes.append(len(sampler))
        watch(sampler, epoch, right)
    assert sizes == [40, 40, 30, 30, 30, 30]
    assert [len(each) for each in rounds_by_loop(right, 0.75, (1,), 0)] == sizes
    late = rounds_by_loop(right, 0.75, (1,), 0, behind=1)
    assert [len(each) for each in late] == [40, 40, 40, 30, 30, 30]


@pytest.mark.parametrize("size", [7, 40, 1000])
@pytest.mark.parametrize("rho", [0.9, 0.5, 0.98])
def test_defect_targets_are_parts_of_n_not_of_a_size_written_down(size, rho):
    for number in (1, 2):
        need = math.ceil(rho**number * size - 1e-9)
        for learned in (need - 1, need):
            sampler = LateStoppingSampler(size, 9, keep=rho, rounds=(3,), warm_up=0)
            sampler.round = number
            right = np.zeros((3, size), bool)
            right[:, :learned] = True
            run(sampler, 2, right)
            assert sampler.round_ended == (learned == need)
            assert len(sampler) == (learned if learned == need else size)


def test_answers_of_the_warm_up_are_ignored_in_each_round():
    """The released code reads epochs whose number is above 6 only, in every round."""
    right = np.zeros((40, N), bool)
    right[:7] = True  # epochs 0 to 6, and never again
    never = run(LateStoppingSampler(N, 40, rounds=(1,)), 20, right)
    assert (never.round, never.learned) == (1, 0)
    right[7] = True
    right[8:15] = True  # the warm-up of the second round
    sampler = LateStoppingSampler(N, 40, rounds=(2,))
    for epoch in range(20):
        sampler.set_epoch(epoch)
        assert sampler.round_ended == (epoch == 8)
        watch(sampler, epoch, right)
    assert (sampler.round, sampler.learned) == (2, 0)


def test_a_streak_that_begins_in_the_warm_up_begins_after_it():
    right = np.zeros((12, N), bool)
    right[5:9] = True  # 5 and 6 do not count, so three in a row would end in epoch 9
    sampler = run(LateStoppingSampler(N, 12, rounds=(0, 0, 1)), 12, right)
    assert (sampler.round, sampler.learned) == (1, 0)
    right[9] = True
    ended = run(LateStoppingSampler(N, 12, rounds=(0, 0, 1)), 10, right)
    assert (ended.round_ended, ended.finished) == (True, True)


def test_epochs_without_answers_are_not_of_the_warm_up():
    right = np.ones((12, N), bool)
    sampler = LateStoppingSampler(N, 12, rounds=(1,), warm_up=1)
    for epoch in range(6):
        sampler.set_epoch(epoch)
        assert sampler.round_ended == (epoch == 5)  # answers in 0, 2 and 4
        if epoch % 2 == 0:
            watch(sampler, epoch, right)


def test_a_round_that_does_not_reach_its_target_goes_on_or_ends_without_shrinking():
    right = np.zeros((EPOCHS, N), bool)
    right[:, :20] = True
    options = {"keep": 0.7, "rounds": (3,), "warm_up": 1}
    endless = run(LateStoppingSampler(N, EPOCHS, **options), 50, right)
    assert (endless.round, endless.learned, len(endless)) == (1, 20, N)
    assert not endless.round_ended
    # 28 are never reached in 5 epochs; 0.49 N = 19.6 are in the next round, after 3.
    limited = LateStoppingSampler(N, EPOCHS, max_epochs=5, **options)
    seen = []
    for epoch in range(10):
        limited.set_epoch(epoch)
        seen.append((limited.round, limited.round_ended, len(limited)))
        watch(limited, epoch, right)
    assert seen[:5] == [(1, False, N)] * 5
    assert seen[5:9] == [(2, True, N), (2, False, N), (2, False, N), (3, True, 20)]


def test_each_round_asks_for_its_streak():
    sampler = LateStoppingSampler(N, EPOCHS, rounds=(2, 0, 1))
    found = []
    for number in range(1, 5):
        sampler.round = number
        found.append((sampler.streak, sampler.finished))
    assert found == [(1, False), (1, False), (3, False), (3, True)]


def test_a_round_counts_anew():
    """Right answers of the round before neither count nor start a streak."""
    right = np.ones((EPOCHS, N), bool)
    right[3:, 0] = False
    options = {"keep": 0.9, "rounds": (0, 2), "warm_up": 0}
    sampler = run(LateStoppingSampler(N, EPOCHS, **options), 3, right)
    assert (sampler.round, len(sampler)) == (2, N)  # two in a row, all of them
    sampler = run(LateStoppingSampler(N, EPOCHS, **options), 6, right)
    assert sampler.finished
    assert sampler.kept.tolist() == [*range(1, N)]


def test_what_is_gone_is_gone():
    sampler = run(LateStoppingSampler(N, 30, keep=0.8, rounds=(1,), warm_up=0), 20)
    assert sampler.finished
    assert not sampler.round_ended
    gone = np.setdiff1d(np.arange(N), sampler.kept)
    assert gone.size
    with pytest.raises(ValueError, match="must be draws of epoch 20"):
        watch(sampler, 20, rows=gone[:1])
    sampler.reduce(torch.tensor([1.0, math.nan]), sampler.kept[:2])  # answers are not needed now
    assert sampler.num_nonfinite == 1
    kept = sampler.kept.tolist()
    for epoch in (29, 30, 99, 0):  # whatever epoch, past the end of the run too
        sampler.set_epoch(epoch)
        assert sorted(sampler.indices(epoch)) == kept
    subset = SubsetSampler(sampler.kept)
    assert sorted(subset) == sampler.kept.tolist()


def test_answers_from_an_evaluation_pass_alone():
    trained = LateStoppingSampler(N, EPOCHS, keep=0.9, rounds=(2,), warm_up=0)
    evaluated = LateStoppingSampler(N, EPOCHS, keep=0.9, rounds=(2,), warm_up=0, evaluate=True)
    for epoch in range(20):
        for sampler in (trained, evaluated):
            sampler.set_epoch(epoch)
        np.testing.assert_array_equal(trained.kept, evaluated.kept)
        watch(trained, epoch)
        rows = evaluated.kept
        watch(evaluated, epoch, ~RIGHT)  # ignored
        evaluated.reduce(torch.ones(rows.size), rows)
        _, logits, labels = answers_of(rows, epoch)
        for part in np.array_split(np.arange(rows.size), 3):
            evaluated.record_answers(rows[part], logits[part], labels[part])
    assert trained.finished
    with pytest.raises(ValueError, match="evaluate must be True for record_answers, got False"):
        trained.record_answers([0], torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))
    with pytest.raises(ValueError, match="must be draws of epoch"):
        gone = np.setdiff1d(np.arange(N), rows)[:1]
        evaluated.record_answers(gone, torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))


def test_a_non_finite_loss_in_training_is_counted_even_if_nothing_is_learnt_from_it():
    sampler = LateStoppingSampler(N, EPOCHS, evaluate=True)
    sampler.reduce(torch.tensor([1.0, math.nan, math.inf]), [0, 1, 2])
    assert sampler.num_nonfinite == 2


def learned_after(logits, losses=None, labels=None):
    """Which samples are learnt after the first epoch that counts, with k = 1."""
    size = len(logits)
    sampler = LateStoppingSampler(size, EPOCHS, rounds=(1,), warm_up=0)
    wrong = torch.tensor([[0.0, 1.0]] * size)
    sampler.record(range(size), torch.ones(size), logits=wrong, labels=torch.zeros(size).long())
    sampler.set_epoch(1)
    labels = torch.zeros(size, dtype=torch.int64) if labels is None else labels
    losses = torch.ones(size) if losses is None else losses
    sampler.reduce(losses, range(size), logits=logits, labels=labels)
    sampler.set_epoch(2)
    return np.flatnonzero(sampler._history["learned"]).tolist()


def test_what_is_a_right_answer():
    logits = [[2.0, 1.0], [1.0, 2.0], [1.0, 1.0], [math.nan, 0.0], [math.inf, 0.0], [0, -math.inf]]
    assert learned_after(torch.tensor(logits)) == [0, 5]
    losses = torch.tensor([math.nan, 1.0, math.inf])
    assert learned_after(torch.tensor([[2.0, 1.0]] * 3), losses) == [1]
    half = torch.tensor([[2.0, 2.0004], [2.0, 2.1]], dtype=torch.float16)  # the first is a tie
    assert learned_after(half) == []
    assert learned_after(half.flip(1)) == [1]
    soft = torch.tensor([[0.6, 0.4], [0.3, 0.7]])
    assert learned_after(torch.tensor([[2.0, 1.0]] * 2), labels=soft) == [0]


def test_samples_that_an_epoch_did_not_look_at_keep_their_run():
    sampler = LateStoppingSampler(4, EPOCHS, keep=0.9, rounds=(0, 0, 1), warm_up=0)
    right = np.ones((EPOCHS, 4), bool)
    right[2, 2] = False
    for epoch, rows in enumerate([[0], [0, 1, 2, 3], [0, 2, 3], [0, 1, 2, 3], [1, 2]]):
        sampler.set_epoch(epoch)
        watch(sampler, epoch, right, rows)
    sampler.set_epoch(5)
    np.testing.assert_array_equal(sampler._history["runs"], [3, 3, 2, 3])
    np.testing.assert_array_equal(sampler._history["learned"], [1, 1, 0, 1])
    sampler.set_epoch(6)  # nothing was recorded: no epoch
    np.testing.assert_array_equal(sampler._history["runs"], [3, 3, 2, 3])


@pytest.mark.parametrize("stop", [0, 3, 6, 11, 30])
def test_a_resumed_run_is_the_unbroken_one(stop):
    def make():
        return LateStoppingSampler(N, EPOCHS, keep=0.85, rounds=(1, 2), warm_up=1)

    def plans(sampler):
        found = []
        for epoch in range(stop, EPOCHS):
            sampler.set_epoch(epoch)
            found.append((sampler.indices(epoch).tolist(), sampler.round, sampler.round_ended))
            watch(sampler, epoch)
        return found

    sampler = run(make(), stop)
    half = sampler.kept[::2]
    watch(sampler, stop, rows=half)
    full = full_state(sampler, consumed=half.size)
    resumed = make()
    load_full_state(resumed, full)
    assert (resumed.round, resumed.round_ended) == (sampler.round, sampler.round_ended)
    assert plans(resumed) == plans(sampler)


def test_no_share_of_draws_can_be_promised():
    with pytest.raises(ValueError, match="keep is unreachable for LateStoppingSampler"):
        LateStoppingSampler.for_target(N, EPOCHS, 0.7)
    sampler = LateStoppingSampler(N, EPOCHS)
    assert sampler.expected_samples() == N * EPOCHS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 1.0}, r"keep must be in \(0, 1\), got 1.0"),
        ({"rounds": ()}, r"rounds must be 1 to 255 counts, not all 0, got \(\)"),
        ({"rounds": (0, 0)}, "not all 0"),
        ({"rounds": (2, -1)}, "rounds must be >= 0, got -1"),
        ({"warm_up": -1}, "warm_up must be >= 0, got -1"),
        ({"max_epochs": 9}, "max_epochs must be >= 10, got 9"),
        ({"max_epochs": 7, "rounds": (9, 0)}, "max_epochs must be >= 8, got 7"),
        ({"objective": "original"}, "no importance weights: samples that are learned late are"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        LateStoppingSampler(10, 10, **options)


def test_answers_are_asked_for():
    with pytest.raises(ValueError, match="LateStoppingSampler learns from predictions"):
        LateStoppingSampler(N, EPOCHS).reduce(torch.ones(2), [0, 1])
