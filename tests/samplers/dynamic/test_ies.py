import numpy as np
import pytest
import torch

from sampling.samplers import IESSampler, full_state, load_full_state

N = 25
EPOCHS = 24
DELTA = 0.03

# Multiples of 1/64: float32 computes with them exactly, as the loop does in float64.
_STEPS = np.random.default_rng(0).integers(-3, 4, (EPOCHS, N)) * (np.arange(N) % 5 > 0)
_STEPS[8:14, ::2] = 1  # every second sample runs straight for a while
LOSSES = (640 + np.cumsum(_STEPS, axis=0)) / 64.0


def mastered_by_loop(history, delta):
    """The rule of the released code, over the losses of all epochs; None = no loss in that one.

    A list of second differences, of which the last three are averaged once there are 3 + k = 4.
    """
    while None in history:
        history = history[history.index(None) + 1 :]  # ours: the history begins anew
    bends = [abs(c - 2 * b + a) for a, b, c in zip(history, history[1:], history[2:], strict=False)]
    return len(bends) >= 4 and sum(bends[-3:]) / 3 < delta


def watch(sampler, epoch, losses, forgotten=()):
    """Record what is dealt and rescore what is hidden, but for samples that are forgotten."""
    for part, take in ((sampler.indices(epoch), sampler.record), (sampler.hidden, sampler.rescore)):
        rows = np.setdiff1d(part, list(forgotten))
        if rows.size:
            take(rows, losses[rows])


@pytest.mark.parametrize("forget", [False, True])
def test_every_epoch_against_a_loop(forget):
    sampler = IESSampler(N, EPOCHS, delta=DELTA)
    histories = [[] for _ in range(N)]
    came_back = 0
    hidden = set()
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        expected = {i for i in range(N) if mastered_by_loop(histories[i], DELTA)}
        assert set(sampler.hidden.tolist()) == expected
        came_back += len(hidden - expected)
        hidden = expected
        forgotten = {epoch % N, (3 * epoch) % N} if forget else set()
        watch(sampler, epoch, LOSSES[epoch], forgotten)
        for i in range(N):
            histories[i].append(None if i in forgotten else float(LOSSES[epoch, i]))
    assert came_back > 5
    assert hidden


def test_the_seventh_epoch_is_the_first_that_can_leave_anything_out():
    sampler = IESSampler(4, 20)
    assert sampler.pruning_epochs == range(6, 20)
    for epoch in range(7):
        sampler.set_epoch(epoch)
        assert sampler.hidden.size == (0 if epoch < 6 else 3)  # an epoch is never empty
        sampler.record(list(sampler.indices(epoch)), np.ones(len(sampler)))


def test_a_short_run_deals_everything():
    sampler = IESSampler(4, 3)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        assert len(sampler) == 4
        sampler.record(range(4), np.ones(4))
    assert len(sampler.pruning_epochs) == 0


def rested(delta=0.1, size=8, epochs=30):
    """A sampler before epoch 6; the last sample's loss jumps, the others' stands still."""
    sampler = IESSampler(size, epochs, delta=delta)
    for epoch in range(6):
        sampler.set_epoch(epoch)
        losses = np.ones(size)
        losses[-1] = epoch % 2
        sampler.record(range(size), losses)
    sampler.set_epoch(6)
    return sampler


def test_samples_that_are_not_rescored_go_back_to_training_for_six_epochs():
    sampler = rested()
    assert sampler.hidden.tolist() == [*range(7)]
    sampler.record([7], [0.0])
    sampler.rescore([0, 1, 2], np.ones(3))
    sampler.set_epoch(7)
    assert sampler.hidden.tolist() == [0, 1, 2]
    for epoch in range(7, 13):
        assert set(sampler.hidden.tolist()) == {0, 1, 2}
        watch(sampler, epoch, np.array([1, 1, 1, 1, 1, 1, 1, epoch % 2.0]))
        sampler.set_epoch(epoch + 1)
    assert sampler.hidden.tolist() == [*range(7)]


def test_a_loss_that_moves_again_brings_a_sample_back():
    sampler = rested()
    sampler.record([7], [1.0])
    sampler.rescore(range(7), torch.tensor([1.0, 1.25, 1.5, 1, 1, 1, 1]))
    sampler.set_epoch(7)  # means of the bends: 0.25 / 3 and 0.5 / 3
    assert sampler.hidden.tolist() == [0, 1, 3, 4, 5, 6]


def test_the_threshold_is_strict():
    sampler = IESSampler(2, 20, delta=1.0)
    for epoch in range(6):
        sampler.set_epoch(epoch)
        sampler.record([0, 1], np.array([epoch % 2, 0.25 * (epoch % 2)]) / 2)
    sampler.set_epoch(6)
    np.testing.assert_array_equal(sampler.scores, [1.0, 0.25])
    assert sampler.hidden.tolist() == [1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_loss_that_is_not_finite_is_no_loss(bad):
    sampler = rested()
    sampler.record([7], [0.0])
    sampler.rescore(range(7), np.array([bad, 1, 1, 1, 1, 1, 1]))
    assert sampler.num_nonfinite == 1
    sampler.set_epoch(7)
    assert sampler.hidden.tolist() == [1, 2, 3, 4, 5, 6]
    assert np.isnan(sampler.scores[0])


def test_losses_at_the_end_of_the_range_do_not_warn():
    sampler = IESSampler(2, 20)
    for epoch in range(7):
        sampler.set_epoch(epoch)
        sampler.record([0, 1], np.array([3e38, -3e38]) * (-1) ** epoch)
    assert sampler.hidden.size == 0


def test_an_epoch_without_a_record_is_no_epoch():
    sampler = rested()
    before = sampler.scores.copy()
    sampler.set_epoch(9)
    np.testing.assert_array_equal(sampler.scores, before)
    assert sampler.hidden.tolist() == [*range(7)]


def test_defect_the_state_does_not_grow_with_the_epochs():
    sampler = IESSampler(N, EPOCHS, delta=DELTA)
    sizes = set()
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        watch(sampler, epoch, LOSSES[epoch])
        sizes.add(sum(each.nbytes for each in sampler._saved().values()))
    assert sizes == {25 * N}


@pytest.mark.parametrize("stop", [3, 6, 9, 16])
def test_a_resumed_run_is_the_unbroken_one(stop):
    def plans(sampler, first):
        found = []
        for epoch in range(first, EPOCHS):
            if epoch > first:
                sampler.set_epoch(epoch)
            found.append(sampler.indices(epoch).tolist())
            watch(sampler, epoch, LOSSES[epoch])
        return found

    sampler = IESSampler(N, EPOCHS, delta=DELTA)
    for epoch in range(stop):
        sampler.set_epoch(epoch)
        watch(sampler, epoch, LOSSES[epoch])
    sampler.set_epoch(stop)
    full = full_state(sampler)
    resumed = IESSampler(N, EPOCHS, delta=DELTA)
    load_full_state(resumed, full)
    np.testing.assert_array_equal(resumed.scores, sampler.scores)
    assert plans(resumed, stop) == plans(sampler, stop)


# ---- budgets -------------------------------------------------------------------------------------


def test_a_target_rests_those_that_bend_least():
    sampler = IESSampler.for_target(N, EPOCHS, 0.7)
    dealt = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        dealt.append(len(sampler))
        if sampler.hidden.size:
            left = np.setdiff1d(np.arange(N), sampler.hidden)
            assert sampler.scores[sampler.hidden].max() <= sampler.scores[left].min()
        watch(sampler, epoch, LOSSES[epoch])
    assert dealt[:6] == [N] * 6
    assert sum(dealt) == pytest.approx(0.7 * N * EPOCHS, abs=1)


def test_a_target_out_of_reach():
    # nine tenths can be excluded from 18 of 24 epochs
    with pytest.raises(ValueError, match="keep is unreachable: must be >= 0.325"):
        IESSampler.for_target(N, EPOCHS, 0.32)
    with pytest.raises(ValueError, match="delta must not be given with for_target"):
        IESSampler.for_target(N, EPOCHS, 0.7, delta=0.1)
    IESSampler.for_target(N, EPOCHS, 0.33)
    with pytest.raises(ValueError, match="must be >= 1.000 for 6 epochs"):
        IESSampler.for_target(N, 6, 0.9)


def test_what_a_run_is_expected_to_cost():
    assert IESSampler(N, EPOCHS).expected_samples() == N * EPOCHS
    expected = IESSampler.for_target(N, EPOCHS, 0.7).expected_samples()
    assert expected == pytest.approx(0.7 * N * EPOCHS, rel=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delta": 0.0}, r"delta must be in \(0, inf\), got 0.0"),
        ({"delta": np.nan}, r"delta must be in \(0, inf\), got nan"),
        ({"objective": "original"}, "no importance weights: samples whose loss has stopped"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        IESSampler(10, 10, **options)
