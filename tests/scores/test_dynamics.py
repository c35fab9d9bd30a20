import copy
import pickle

import numpy as np
import pytest
import torch
from oracle_dynamics import histories, scores_of
from two_ranks import on_two_ranks

from sampling._files import _paths as _files
from sampling.errors import StateError
from sampling.record import Score
from sampling.scores import TrainingDynamics, mean_scores
from sampling.scores import _dynamics as module
from sampling.scores._dynamics_tables import FIELDS

EVERY = tuple(FIELDS)
SCORES = {  # method -> what a high one means
    "el2n": "harder",
    "aum": "easier",
    "confidence": "easier",
    "variability": "keep",
    "correctness": "easier",
    "forgetting": "harder",
    "first_learned": "harder",
    "dyn_unc": "keep",
    "dual": "keep",
    "ema_loss": "harder",
    "entropy": "harder",
    "margin": "easier",
    "tdds": "keep",
}


def run_of(n=12, classes=3, epochs=6, size=5, seed=0):
    """Batches of a run: every sample once an epoch, in another order each time."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    for _ in range(epochs):
        order = rng.permutation(n)
        for start in range(0, n, size):
            rows = order[start : start + size]
            logits = rng.normal(size=(rows.size, classes)).astype(np.float32) * 2
            yield rows, logits, labels[rows]


def recorded(batches, n=12, classes=3, **arguments):
    arguments = {"fields": EVERY, "window": 4, "max_streak": 2, **arguments}
    dynamics = TrainingDynamics(n, classes, **arguments)
    for batch in batches:
        dynamics.update(*batch)
    return dynamics


def answers(*right, classes=2, **arguments):
    """Record one sample of label 0 that is answered as told, with a margin of 1 or -1."""
    dynamics = TrainingDynamics(1, classes, **arguments)
    for each in right:
        logits = np.zeros((1, classes))
        logits[0, 0] = 1.0 if each else -1.0
        dynamics.update([0], logits, [0])
    return dynamics


# ---- scores --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_every_score_is_that_of_the_whole_history(seed):
    batches = list(run_of(seed=seed))
    batches.append((np.array([3, 3, 3]), np.eye(3, dtype=np.float32), np.array([0, 0, 0])))
    dynamics, whole = recorded(batches), histories(12, batches)
    assert dynamics.presentations.tolist() == [6, 6, 6, 9, *[6] * 8]
    expected = [scores_of(whole[i], window=4, ema=0.1, streaks=2) for i in range(12)]
    for name, direction in SCORES.items():
        score = getattr(dynamics, name)()
        assert (score.name, score.higher_is) == (name, direction)
        assert score.values.dtype == np.float64
        near = 2e-6 if name == "tdds" else 1e-7
        np.testing.assert_allclose(score.values, [each[name] for each in expected], atol=near)
        if name not in {"dyn_unc", "dual", "tdds"}:  # their windows are float32
            np.testing.assert_allclose(score.values, [e[name] for e in expected], atol=1e-12)


def test_never_learned_is_neither_0_nor_infinite():
    wrong, once, always = answers(0, 0, 0, 0), answers(0, 1, 0, 0), answers(1, 1, 1, 1)
    assert wrong.forgetting().values == 4.0
    assert once.forgetting().values == 1.0
    assert always.forgetting().values == 0.0
    assert wrong.never_learned.all()
    assert not once.never_learned.any()
    assert not TrainingDynamics(1, 2).never_learned.any()  # never seen is not never learned


def test_first_learned_wants_a_run_of_right_answers():
    dynamics = answers(1, 0, 1, 1, 0, max_streak=3)
    assert [dynamics.first_learned(k).values[0] for k in (1, 2, 3)] == [1.0, 4.0, 6.0]
    with pytest.raises(ValueError, match=r"k must be in \[1, 4\), got 4"):
        dynamics.first_learned(4)


def test_a_tie_is_no_right_answer():
    dynamics = TrainingDynamics(2, 2)
    dynamics.update([0, 1], np.zeros((2, 2)), [0, 1])
    assert dynamics.correctness().values.tolist() == [0.0, 0.0]


def test_aum_is_the_mean_of_logit_margins_over_the_run_and_low_is_suspicious():
    dynamics = TrainingDynamics(2, 3)
    for margin in (4.0, 1.0, -2.0):  # of the last epoch alone it would be -2
        dynamics.update([0, 1], [[margin, 0.0, -9.0], [0.0, -margin, -5.0]], [0, 1])
    assert dynamics.aum().values.tolist() == [1.0, -1.0]
    assert dynamics.aum().as_higher("harder").argmax() == 1


def test_variability_is_the_population_standard_deviation():
    dynamics = TrainingDynamics(1, 2)
    for p in (0.2, 0.6):
        dynamics.update([0], np.log([[p, 1 - p]]), [0])
    assert dynamics.variability().values[0] == pytest.approx(0.2)  # with ddof 1: 0.28
    assert dynamics.confidence().values[0] == pytest.approx(0.4)


def test_windows_slide_by_one_and_use_probabilities():
    chances = [0.1, 0.9, 0.5, 0.5, 0.3]
    dynamics = TrainingDynamics(1, 2, fields=("dual", "dyn_unc"), window=3)
    for p in chances:
        dynamics.update([0], np.log([[p, 1 - p]]), [0])
    windows = [chances[i : i + 3] for i in range(3)]
    stds = [np.std(window, ddof=1) for window in windows]
    assert dynamics.dyn_unc().values[0] == pytest.approx(np.mean(stds), abs=1e-7)
    duals = [std * (1 - np.mean(window)) for std, window in zip(stds, windows, strict=True)]
    assert dynamics.dual().values[0] == pytest.approx(np.mean(duals), abs=1e-7)


def test_tdds_is_the_spread_of_the_moves_and_the_last_window_decides():
    """Golden: p_0 = 0.5, 0.8, 0.8, 0.6: moves 0.5594, 0, 0.4499; windows of 2 moves."""
    dynamics = TrainingDynamics(2, 2, fields="tdds", window=3)
    still = np.log([0.3, 0.7])
    for p in (0.5, 0.8, 0.8, 0.6):
        dynamics.update([0, 1], [np.log([p, 1 - p]), still], [0, 1])
    first = 0.8 * np.log(0.8 / 0.5) + 0.2 * np.log(0.5 / 0.2)
    last = 0.6 * np.log(0.8 / 0.6) + 0.4 * np.log(0.4 / 0.2)
    expected = 0.09 * first / np.sqrt(2) + 0.9 * last / np.sqrt(2)
    assert dynamics.tdds().values[0] == pytest.approx(expected, abs=1e-6)
    assert dynamics.tdds().values[1] == pytest.approx(0.0, abs=1e-6)
    evenly = TrainingDynamics(1, 2, fields="tdds", window=3, decay=0.5)
    with pytest.raises(StateError, match=r"decay must be 0.5, got 0.9|size must be 1"):
        evenly.load_state_dict(dynamics.state_dict())
    with pytest.raises(ValueError, match="window must be >= 3 for 'tdds', got 2"):
        TrainingDynamics(1, 2, fields="tdds", window=2)


def test_a_state_from_before_tdds_is_read():
    """Files without the field hold no decay, and none is asked of them."""
    dynamics = recorded(run_of(), fields=("aum", "dual"))
    assert "decay" not in dynamics.state_dict()["arguments"]
    other = recorded([], fields=("aum", "dual"), decay=0.3)
    other.load_state_dict(dynamics.state_dict())


def test_the_last_presentation_and_the_moving_average():
    dynamics = TrainingDynamics(1, 2, fields=("ema_loss", "entropy", "margin"), ema=0.5)
    for p in (0.5, 0.75):
        dynamics.update([0], np.log([[p, 1 - p]]), [0])
    assert dynamics.margin().values[0] == pytest.approx(0.5)
    entropy = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    assert dynamics.entropy().values[0] == pytest.approx(entropy)
    assert dynamics.ema_loss().values[0] == pytest.approx(-(np.log(0.5) + np.log(0.75)) / 2)


def test_unseen_samples_are_named_or_nan():
    dynamics = TrainingDynamics(4, 2, fields=EVERY, window=3)
    dynamics.update([0, 1, 1, 1], np.ones((4, 2)), [0, 1, 1, 1])
    assert dynamics.num_seen == 2
    for name in SCORES:
        few = name in {"dyn_unc", "dual", "tdds"}
        at_least, row, rows = ("3 times", 0, 3) if few else ("1 times", 2, 2)
        message = rf"at least {at_least} for {name}, got .* in row {row} \({rows} such rows\)"
        with pytest.raises(ValueError, match=message):
            getattr(dynamics, name)()
        found = getattr(dynamics, name)(missing="nan").values
        assert np.isnan(found).tolist() == [few, False, True, True]
    with pytest.raises(ValueError, match="missing must be one of 'raise', 'nan'"):
        dynamics.aum(missing="zero")


def test_a_score_is_a_copy():
    dynamics = recorded(run_of())
    before = dynamics.entropy().values.copy()
    dynamics.entropy().values[:] = 7
    np.testing.assert_array_equal(dynamics.entropy().values, before)
    with pytest.raises(ValueError, match="read-only"):
        dynamics.presentations[0] = 1


def test_what_was_not_recorded_cannot_be_asked():
    dynamics = TrainingDynamics(2, 2, fields=("aum",))
    with pytest.raises(ValueError, match="fields must include 'cartography' for variability, got"):
        dynamics.variability()
    with pytest.raises(ValueError, match="fields must include 'forgetting' for first_learned"):
        dynamics.first_learned()
    assert set(dynamics.state_dict()["arrays"]) == {"presentations", "aum"}


def test_memory_does_not_grow_with_classes_or_epochs():
    dynamics = TrainingDynamics(100, 50)
    for _ in range(3):
        dynamics.update(np.arange(100), np.ones((100, 50)), np.zeros(100, np.int64))
    arrays = dynamics.state_dict()["arrays"].values()
    assert sum(array.nbytes for array in arrays) == 100 * (4 + 8 + 8 + 12 + 20)


# ---- input ---------------------------------------------------------------------------------------


def test_one_class_and_unknown_fields_are_refused():
    with pytest.raises(ValueError, match="num_classes must be >= 2, got 1"):
        TrainingDynamics(4, 1)
    with pytest.raises(ValueError, match="fields must be one of 'el2n', .* got 'grand'"):
        TrainingDynamics(4, 2, fields=("grand",))
    assert TrainingDynamics(4, 2, fields="aum").fields == ("aum",)
    with pytest.raises(ValueError, match="fields must name at least one, got"):
        TrainingDynamics(4, 2, fields=[])
    with pytest.raises(ValueError, match="window must be >= 2, got 1"):
        TrainingDynamics(4, 2, window=1)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (["cat", "dog"], TypeError, r"class ids in \[0, C\), got dtype <U3, .*'cat'.* in row 0"),
        ([0.0, 1.0], TypeError, "class ids"),
        ([0, -1], ValueError, r"labels must be in \[0, 3\), got -1 in row 1"),
        ([3, 0], ValueError, r"labels must be in \[0, 3\), got 3 in row 0"),
        ([0, 1, 2], ValueError, r"labels must have shape \(2,\), one for each row of logits"),
        ([[0, 1, 0], [0, 1, 0]], ValueError, r"labels must have shape \(2,\)"),
    ],
)
def test_bad_labels_are_refused_with_their_row(labels, error, message):
    dynamics = TrainingDynamics(4, 3)
    with pytest.raises(error, match=message):
        dynamics.update([0, 1], np.zeros((2, 3)), labels)
    assert dynamics.num_seen == 0


@pytest.mark.parametrize(
    ("indices", "logits", "message"),
    [
        ([0, 4], np.zeros((2, 3)), r"indices must be in \[0, 4\), got 4 in row 1"),
        ([-1, 0], np.zeros((2, 3)), r"indices must be in \[0, 4\), got -1 in row 0"),
        ([0], np.zeros((2, 3)), r"indices must have shape \(2,\)"),
        ([0, 1], np.zeros((2, 4)), r"logits must have shape \(B, 3\), got \(2, 4\)"),
        ([0, 1], np.zeros(3), r"logits must have shape \(B, 3\), got \(3,\)"),
    ],
)
def test_bad_batches_are_refused_whole(indices, logits, message):
    dynamics = TrainingDynamics(4, 3)
    with pytest.raises(ValueError, match=message):
        dynamics.update(indices, logits, [0, 1])
    assert dynamics.num_seen == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_counted_and_not_stored(bad):
    dynamics = TrainingDynamics(3, 2, fields=EVERY)
    dynamics.update([0, 1, 2], [[1.0, 0.0], [bad, 0.0], [0.0, 1.0]], [0, 0, 0])
    dynamics.update([1], [[0.0, bad]], [0])
    assert dynamics.num_nonfinite == 2
    assert dynamics.presentations.tolist() == [1, 0, 1]
    assert dynamics.aum(missing="nan").values.tolist()[::2] == [1.0, -1.0]


def test_a_batch_of_one_and_of_none():
    dynamics = TrainingDynamics(3, 2)
    dynamics.update(torch.tensor([1]), torch.tensor([[2.0, 0.5]]), torch.tensor([1]))
    dynamics.update(torch.empty(0, dtype=torch.int64), torch.empty(0, 2), np.empty(0, np.int64))
    assert dynamics.aum(missing="nan").values[1] == -1.5
    assert dynamics.num_seen == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_logits_of_every_float_type(dtype):
    dynamics, expected = TrainingDynamics(2, 2), TrainingDynamics(2, 2)
    logits = torch.tensor([[1.5, -0.25], [0.0, 3.0]], dtype=dtype, requires_grad=True)
    dynamics.update(torch.tensor([0, 1]), logits, torch.tensor([0, 0], dtype=torch.int32))
    expected.update([0, 1], [[1.5, -0.25], [0.0, 3.0]], [0, 0])
    np.testing.assert_array_equal(dynamics.el2n().values, expected.el2n().values)


def test_large_float16_logits_do_not_overflow():
    dynamics = TrainingDynamics(1, 2)
    dynamics.update([0], np.array([[60000.0, -60000.0]], np.float16), [0])
    assert dynamics.aum().values.tolist() == [120000.0]


def test_the_batch_is_not_modified_and_not_held():
    rows, logits, labels = np.array([0, 1]), np.eye(2, dtype=np.float32), np.array([0, 1])
    dynamics = TrainingDynamics(2, 2)
    dynamics.update(rows, logits, labels)
    np.testing.assert_array_equal(logits, np.eye(2))
    before = dynamics.aum().values.copy()
    rows[:], logits[:] = 0, 9
    np.testing.assert_array_equal(dynamics.aum().values, before)


# ---- device --------------------------------------------------------------------------------------


@pytest.fixture
def _everything_travels(monkeypatch):
    """Take host tensors for tensors on a device."""
    monkeypatch.setattr(module, "on_device", lambda x: x.device if torch.is_tensor(x) else None)


@pytest.mark.usefixtures("_everything_travels")
def test_batches_from_a_device_are_recorded_the_same():
    batches = list(run_of())
    travelled = TrainingDynamics(12, 3, fields=EVERY, window=4, max_streak=2)
    for rows, logits, labels in batches:
        tensors = torch.from_numpy(logits), torch.from_numpy(labels)
        travelled.update(rows, *tensors)
        tensors[0].zero_()
    here = recorded((rows, logits.tolist(), labels) for rows, logits, labels in run_of())
    for name in SCORES:
        expected = getattr(here, name)().values
        np.testing.assert_allclose(getattr(travelled, name)().values, expected, atol=1e-6)


@pytest.mark.usefixtures("_everything_travels")
def test_a_bad_batch_from_a_device_is_told_by_the_next_flush():
    dynamics = TrainingDynamics(3, 2)
    dynamics.update(torch.tensor([0, 1]), torch.eye(2), torch.tensor([0, 5]))
    dynamics.update(torch.tensor([2]), torch.ones(1, 2), torch.tensor([0]))
    with pytest.raises(ValueError, match=r"labels must be in \[0, 2\), got 5 in row 1 of a batch"):
        dynamics.flush()
    assert dynamics.presentations.tolist() == [0, 0, 1]
    with pytest.raises(TypeError, match="labels must hold ints, got dtype torch.float32"):
        dynamics.update(torch.tensor([2]), torch.ones(1, 2), torch.tensor([0.0]))
    with pytest.raises(ValueError, match=r"logits must have shape \(B, 2\), got \(1, 3\)"):
        dynamics.update(torch.tensor([2]), torch.ones(1, 3), torch.tensor([0]))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_batches_from_cuda_are_recorded_the_same():
    dynamics = TrainingDynamics(12, 3, fields=EVERY, window=4, max_streak=2)
    for rows, logits, labels in run_of():
        dynamics.update(rows, torch.from_numpy(logits).cuda(), torch.from_numpy(labels).cuda())
    here = recorded(run_of())
    for name in SCORES:
        np.testing.assert_array_equal(
            getattr(dynamics, name)().values, getattr(here, name)().values
        )


# ---- states --------------------------------------------------------------------------------------


def test_a_saved_run_goes_on_as_if_never_stopped(tmp_path):
    batches = list(run_of())
    whole = recorded(batches)
    recorded(batches[:7]).save(tmp_path / "dynamics")
    resumed = recorded(batches[-2:])  # overwritten by what is loaded
    resumed.load(tmp_path / "dynamics")
    for batch in batches[7:]:
        resumed.update(*batch)
    assert [path.name for path in tmp_path.iterdir()] == ["dynamics"]
    same(resumed, whole)


def same(one, two):
    arrays, others = one.state_dict()["arrays"], two.state_dict()["arrays"]
    assert set(arrays) == set(others)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name], err_msg=name)


def test_a_state_of_another_run_is_refused_and_nothing_taken():
    dynamics = recorded(run_of())
    before = copy.deepcopy(dynamics)
    for other, message in (
        ({"n": 13}, "size must be 12, got 13"),
        ({"classes": 4}, "num_classes must be 3, got 4"),
        ({"window": 5}, "window must be 4, got 5"),
        ({"fields": ("aum",)}, r"fields must be \['el2n'.* got \['aum'\]"),
    ):
        state = recorded([], **other).state_dict()
        with pytest.raises(StateError, match=message):
            dynamics.load_state_dict(state)
    state = recorded([]).state_dict()
    state["arrays"]["aum"] = np.zeros(3)
    with pytest.raises(StateError, match=r"aum must be float64 of shape \(12,\), got float64"):
        dynamics.load_state_dict(state)
    with pytest.raises(StateError, match="missing"):
        dynamics.load_state_dict({})
    same(dynamics, before)


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "dynamics"
    dynamics = recorded(run_of())
    dynamics.save(path)
    data = path.read_bytes()
    path.write_bytes(data[:-9])
    with pytest.raises(StateError, match="must be a whole file of TrainingDynamics.save"):
        dynamics.load(path)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(StateError, match="it is damaged"):
        dynamics.load(path)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "dynamics"
    recorded(run_of()).save(path)
    before = path.read_bytes()
    monkeypatch.setattr(_files.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        recorded(run_of(seed=1)).save(path)
    assert [each.name for each in tmp_path.iterdir()] == ["dynamics"]
    assert path.read_bytes() == before


def test_copies_and_pickles():
    dynamics = recorded(run_of())
    for other in (copy.deepcopy(dynamics), pickle.loads(pickle.dumps(dynamics))):
        same(other, dynamics)
        other.update([0], np.zeros((1, 3)), [0])
        assert other.presentations[0] == dynamics.presentations[0] + 1


# ---- ranks ---------------------------------------------------------------------------------------

WINDOW = 3


def by_ranks(rank):
    """Three epochs of one run, in which a rank takes every other sample of each batch."""
    dynamics = recorded([], window=WINDOW)
    batches = list(run_of(epochs=3, size=4))
    for epoch in range(3):
        for rows, logits, labels in batches[3 * epoch : 3 * epoch + 3]:
            dynamics.update(rows[rank::2], logits[rank::2], labels[rank::2])
        if epoch == 1:
            message = ""
            try:
                dynamics.aum(missing="nan")
            except RuntimeError as error:
                message = str(error)
            assert "got 6 presentations that only this rank has recorded: call merge()" in message
        assert dynamics.num_unmerged == 6
        dynamics.merge()
        assert dynamics.num_unmerged == 0
    return dict(dynamics.state_dict()["arrays"])


@pytest.mark.distributed
@pytest.mark.slow
def test_two_ranks_hold_what_one_process_would():
    whole = recorded(run_of(epochs=3, size=4), window=WINDOW).state_dict()["arrays"]
    for arrays in on_two_ranks(by_ranks):
        assert set(arrays) == set(whole)
        for name, array in whole.items():
            np.testing.assert_array_equal(arrays[name], array, err_msg=name)


PADDED = (np.array([0, 5]), np.array([[0.0, 3.0, 1.0], [2.0, 0.0, 0.0]]), np.array([1, 0]))


def padded(rank):
    """Both ranks see samples 0 and 5, and rank 0 sees 7 besides."""
    dynamics = recorded([], window=WINDOW)
    rows, logits, labels = PADDED
    dynamics.update(rows, logits + rank * np.eye(3)[2] * 5, labels)
    if rank == 0:
        dynamics.update([7], [[1.0, 0.0, 0.0]], [0])
    dynamics.merge()
    dynamics.merge()  # nothing new: nothing changes
    return dict(dynamics.state_dict()["arrays"])


def saves(rank):
    dynamics = recorded([], n=12 + rank)
    try:
        dynamics.merge()
    except RuntimeError as error:
        return str(error)
    return "merged"


@pytest.mark.distributed
@pytest.mark.slow
def test_a_sample_on_two_ranks_is_recorded_for_each_lower_ranks_first():
    rows, logits, labels = PADDED
    one = recorded([], window=WINDOW)
    one.update(rows, logits, labels)
    one.update([7], [[1.0, 0.0, 0.0]], [0])
    one.update(rows, logits + np.eye(3)[2] * 5, labels)
    found = on_two_ranks(padded)
    for arrays in found:
        for name, array in one.state_dict()["arrays"].items():
            np.testing.assert_array_equal(arrays[name], array, err_msg=name)
    assert found[0]["events"][[0, 5]].tolist() == [1, 1]  # right on rank 0, then wrong on rank 1


@pytest.mark.distributed
@pytest.mark.slow
def test_ranks_with_other_data_are_told():
    for message in on_two_ranks(saves):
        assert "size must be the same on all ranks in TrainingDynamics.merge" in message


def test_journals_are_played_block_by_block(monkeypatch):
    """Rows beyond the first block of an exchange keep their order and their numbers."""
    from sampling.scores import _dynamics_tables as tables

    monkeypatch.setattr(tables, "_BLOCK", 5)
    monkeypatch.setattr(tables, "gather_rows", lambda array, group: [array])
    batches = list(run_of())
    dynamics = recorded([])
    dynamics._ranks = 2
    for batch in batches:
        dynamics.update(*batch)
    dynamics._ranks = 1
    dynamics._journal.replay(dynamics._tables.record, 12, None)
    same(dynamics, recorded(batches))


# ---- mean_scores ---------------------------------------------------------------------------------


def test_mean_scores_of_runs():
    runs = [recorded(run_of(seed=seed)).el2n() for seed in range(3)]
    mean = mean_scores(runs)
    np.testing.assert_allclose(mean.values, np.mean([run.values for run in runs], axis=0))
    assert (mean.name, mean.higher_is) == ("el2n", "harder")


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (Score(np.ones(2), "easier", "a"), r"scores\[1\] must be of the kind of scores\[0\]"),
        (Score(np.ones(2), "harder", "b"), r"scores\[1\] must be of the kind of scores\[0\]"),
        (Score(np.ones(3), "harder", "a"), r"scores\[1\] must have the length of scores\[0\], 2"),
        (Score(np.array([0, np.inf]), "harder", "a"), "must not be infinite, got inf in row 1"),
    ],
)
def test_scores_that_cannot_be_averaged(second, message):
    with pytest.raises(ValueError, match=message):
        mean_scores([Score(np.zeros(2), "harder", "a"), second])
    with pytest.raises(ValueError, match="at least one score"):
        mean_scores([])
