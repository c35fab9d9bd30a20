"""The lines in a script, in this process: what is drawn, what is learnt of it, what is refused."""

import copy
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from sampling import Indexed, bench
from sampling.errors import StateError
from sampling.samplers import EpochBatchSampler, RepeatedSubsetSampler, ShuffleSampler

from .conftest import LABELS, ROWS, SIZE

CORRECT = np.arange(40) % 4 > 0


def trained(sampler, epochs=3, level="draws", data=range(SIZE)):
    """Train nothing, with everything that is seen of it."""
    loader = DataLoader(data, batch_size=20, sampler=sampler)
    for _ in range(epochs):
        for batch in loader:
            if level == "losses":
                losses = torch.rand(len(batch), requires_grad=True)
                sampler.reduce(losses, batch).backward()


# ------------------------------------------------------------------ outside of `sampling bench`


def test_outside_it_is_plain_shuffling_and_each_pass_is_an_epoch():
    sampler = bench.sampler(range(SIZE), labels=LABELS, embeddings=lambda: 1 / 0)
    plain = ShuffleSampler(SIZE)
    assert type(sampler) is ShuffleSampler
    for epoch in range(3):
        assert list(sampler) == plain.indices(epoch).tolist()
    assert (bench.seed(7), bench.num_epochs(30)) == (7, 30)
    assert bench.report(accuracy=0.5) is None


def test_the_lines_load_nothing_of_the_benchmark():
    code = (
        "import sys, sampling.bench as b; "
        "assert not any(n.startswith('torch') for n in sys.modules); "
        "b.sampler(10); b.report(accuracy=0.5); b.seed(); b.num_epochs(3); "
        "heavy = {'bench.methods', 'bench._work', 'bench.training', 'bench.tasks', 'clustering'}; "
        "assert not [n for n in sys.modules if any(n.startswith('sampling.' + h) for h in heavy)]; "
        "assert not {'rich', 'scipy', 'matplotlib', 'sklearn', 'faiss'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"accuracy": 91.0}, ValueError, "in .0, 1., got 91.0: divide percent by 100"),
        ({"test_acc": 91}, ValueError, "divide percent by 100"),
        ({"accuracy": float("nan")}, ValueError, "accuracy must be finite, got nan"),
        ({"accuracy": "0.9"}, TypeError, "accuracy must be a number, got '0.9'"),
        ({"accuracy": torch.ones(3)}, TypeError, "accuracy must be a number"),
        ({}, TypeError, "must be given the one metric"),
        ({"accuracy": 0.5, "loss": 1.0}, TypeError, "got accuracy, loss"),
        ({"accuracy": 0.5, "correct": CORRECT}, ValueError, "must be the mean of correct, 0.7500"),
        ({"correct": [[True]]}, ValueError, "correct must have shape .M,."),
        ({"correct": [0, 2]}, ValueError, "got 2 in row 1: it is predictions == targets"),
        ({"correct": ["a"]}, TypeError, "correct must hold bools"),
        ({"accuracy": 0.5, "predictions": ["a"]}, TypeError, "predictions must be numbers"),
        ({"correct": [True], "predictions": [1, 2]}, ValueError, "predictions must have"),
        ({"accuracy": 0.5, "val_curve": 3}, TypeError, "val_curve must be a list"),
        ({"accuracy": 0.5, "val_curve": [50.0]}, ValueError, "val_curve must be a fraction"),
    ],
)
def test_a_report_that_cannot_be_meant_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        bench.report(**given)


def test_labels_and_embeddings_of_another_length_are_refused_outside_too():
    with pytest.raises(ValueError, match="labels must have"):
        bench.sampler(range(SIZE), labels=LABELS[:-1])


# ------------------------------------------------------------------ the first run


def test_the_first_run_shows_epochs_level_and_metric(begin):
    answer = begin(first=True)
    assert bench.seed(5) == 0
    sampler = bench.sampler(range(SIZE), labels=LABELS)
    trained(sampler, 3)
    correct = torch.from_numpy(CORRECT)
    bench.report(accuracy=correct.float().mean(), correct=correct, val_curve=[0.5, 0.6, 0.7])
    found = answer()
    assert (found["state"], found["size"], found["epochs"], found["draws"]) == ("done", 60, 3, 180)
    assert (found["metric"], found["value"], found["fraction"]) == ("accuracy", 0.75, True)
    assert (found["losses"], found["asked_epochs"], found["asked_seed"]) == (False, 0, True)
    assert (found["has_labels"], found["has_embeddings"]) == (True, False)
    assert found["test_samples"] == 40
    assert set(found["seconds"]) == {"starting", "selecting", "training"}


@pytest.mark.parametrize(
    ("call", "level"),
    [
        (lambda s, rows: s.reduce(torch.rand(len(rows)), rows), True),
        (lambda s, rows: s.record(rows, torch.rand(len(rows))), False),  # not weighed
        (lambda s, rows: (s.record(rows, torch.rand(len(rows))), s.weights_for(rows)), True),
        (lambda s, rows: EpochBatchSampler(s, 2).reduce(torch.rand(len(rows)), rows), True),
    ],
)
def test_the_level_losses_is_to_record_and_to_weigh(begin, call, level):
    answer = begin(first=True)
    sampler = bench.sampler(range(SIZE))
    rows = torch.tensor(list(sampler))
    call(sampler, rows)
    bench.report(r2=0.3)
    assert (answer()["losses"], answer()["fraction"]) == (level, False)


@pytest.mark.parametrize("name", ["log_loss", "loss", "test_mse", "error"])
def test_lower_is_better_for_losses(begin, name):
    answer = begin(first=True)
    list(bench.sampler(range(SIZE)))
    bench.report(**{name: np.float32(0.25)})
    assert not answer()["higher_is_better"]


# ------------------------------------------------------------------ runs of a method


def test_a_method_gets_its_sampler_and_its_draws_are_counted(begin, monkeypatch):
    answer = begin("rs2", 0.5)
    sampler = bench.sampler(range(SIZE))
    assert type(sampler) is RepeatedSubsetSampler
    trained(sampler)
    bench.report(accuracy=0.9)
    assert (answer()["draws"], answer()["epochs"], answer()["state"]) == (90, 3, "done")
    path = os.environ["SAMPLING_BENCH"].replace("order.json", "arrays.npz")
    with np.load(path) as arrays:
        assert arrays["counts"].sum() == 90


def test_labels_and_embeddings_are_read_when_a_method_needs_them(begin):
    answer = begin("cluster-clip", 0.5)
    words = np.array(["a", "b", "c"])[LABELS].tolist()
    trained(bench.sampler(range(SIZE), labels=lambda: words, embeddings=lambda: ROWS))
    bench.report(accuracy=0.9)
    assert answer()["setting"]["n_clusters"] == 30
    assert answer()["seconds"]["selecting"] > 0


def test_a_look_at_one_batch_is_no_pass(begin):
    answer = begin("random", 0.5)
    sampler = bench.sampler(range(SIZE))
    next(iter(DataLoader(range(SIZE), sampler=sampler)))
    with pytest.warns(UserWarning, match="restarted"):
        trained(sampler)
    bench.report(accuracy=0.9)
    assert (answer()["state"], answer()["draws"]) == ("done", 90)


def test_passes_over_a_copy_and_in_batches_are_counted(begin):
    answer = begin("random", 0.5)
    sampler = bench.sampler(range(SIZE))
    trained(copy.deepcopy(sampler), 1)
    sampler.set_epoch(1)
    assert len(list(EpochBatchSampler(sampler, 7))) == 5
    bench.report(accuracy=0.9)
    assert "plan of 3 epochs, got 2" in answer()["reason"]


def test_the_number_of_epochs_is_the_same_before_and_after_the_sampler(begin):
    for before in (True, False):
        answer = begin("full-fewer", 0.5, epochs=6)
        if before:
            assert bench.num_epochs(6) == 3
        sampler = bench.sampler(range(SIZE))
        assert bench.num_epochs(6) == 3
        trained(sampler, 3)
        bench.report(accuracy=0.9)
        assert (answer()["state"], answer()["draws"]) == ("done", 180)


def test_a_limited_total_cost_leaves_fewer_epochs(begin):
    answer = begin("rs2", 0.5, epochs=10, cost_limit=0.26, calibration={"sample_seconds": 1e9})
    sampler = bench.sampler(range(SIZE))
    assert bench.num_epochs(10) == 5
    trained(sampler, 5)
    bench.report(accuracy=0.9)
    assert answer()["draws"] == 150


def test_weights_of_a_method_are_multiplied_in(begin):
    begin("kl-dro")
    sampler = bench.sampler(range(SIZE), labels=LABELS)
    rows = torch.arange(4)
    losses = torch.tensor([0.0, 1.0, 2.0, 3.0])
    mean = sampler.reduce(losses, rows)
    doubled = sampler.reduce(losses, rows, weighting=lambda losses, indices: 2 * torch.ones(4))
    assert mean > losses.mean()
    assert doubled == pytest.approx(2 * float(mean))


@pytest.mark.parametrize(
    ("method", "how", "reason"),
    [
        ("rs2", lambda s: None, "never iterated: pass it to the loader"),
        ("rs2", lambda s: next(iter(s)), "got 1 of 30 draws in epoch 0"),
        ("rs2", lambda s: trained(s, 2), "end of its plan of 3 epochs, got 2"),
        ("rs2", lambda s: trained(s, 4), "end of its plan of 3 epochs, got 4"),
        ("rs2", lambda s: (s.set_epoch(2), trained(s, 1)), "must begin at epoch 0"),
        ("mixture", lambda s: trained(s), "reduce was never called"),
        ("kl-dro", lambda s: trained(s), "reduce was never called"),
    ],
)
def test_a_run_that_did_something_else_fails(begin, method, how, reason):
    answer = begin(method, 0.5 if method == "rs2" else 1.0)
    how(bench.sampler(range(SIZE), labels=LABELS))
    bench.report(accuracy=0.9)
    assert answer()["state"] == "failed"
    assert reason in answer()["reason"]


def test_a_run_of_fewer_epochs_fails_if_the_script_never_asked(begin):
    answer = begin("full-fewer", 0.5, epochs=6)
    trained(bench.sampler(range(SIZE)), 3)
    bench.report(accuracy=0.9)
    assert "num_epochs was not asked for" in answer()["reason"]


def test_a_pass_of_one_epoch_again_and_again_fails(begin, monkeypatch):
    """As on several ranks without `set_epoch`, where there is no `auto_epoch`."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    answer = begin(first=True)
    sampler = bench.sampler(range(SIZE))
    list(sampler)
    with pytest.warns(UserWarning, match="iterated a second time"):
        list(sampler)
    bench.report(accuracy=0.9)
    assert "call sampler.set_epoch(epoch)" in answer()["reason"]


def test_only_the_first_rank_writes(begin, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    answer = begin(first=True)
    list(bench.sampler(range(SIZE)))
    bench.report(accuracy=0.9)
    with pytest.raises(FileNotFoundError):
        answer()


def test_two_reports_two_samplers_and_training_afterwards_are_refused(begin):
    answer = begin(first=True)
    with pytest.raises(StateError, match="must be called before"):
        bench.report(accuracy=0.9)
    sampler = bench.sampler(range(SIZE))
    with pytest.raises(StateError, match="got a second call"):
        bench.sampler(range(SIZE))
    list(sampler)
    bench.report(accuracy=0.9)
    assert answer()["state"] == "done"
    with pytest.raises(StateError, match="must follow the whole training"):
        list(sampler)
    with pytest.raises(StateError, match="got a second call"):
        bench.report(accuracy=0.9)
    assert answer()["state"] == "failed"


@pytest.mark.parametrize(
    ("method", "state", "reason"),
    [
        ("curriculum", "not run", "needs classes"),
        ("infobatch", "unreachable", "unreachable"),
        ("importance", "not run", "logits and labels must be given"),
        ("sensitivity", "not run", "only the training loop of the benchmark"),
        ("top-k", "not run", "only the training loop of the benchmark"),
        ("kakurenbo", "not run", "only the training loop of the benchmark"),
        ("logit-adjusted", "not run", "only the training loop of the benchmark"),
        ("full-matched-rate", "not run", "the learning rate"),
    ],
)
def test_a_method_that_cannot_run_ends_the_process_without_an_error(begin, method, state, reason):
    """Also where nothing says so in advance, as of a method of the user's own."""
    keep = 0.1 if state == "unreachable" else 0.7
    answer = begin(method, keep, epochs=20)
    labels = None if "classes" in reason else LABELS
    with pytest.raises(SystemExit) as found:
        bench.sampler(range(SIZE), labels=labels, embeddings=ROWS)
    assert found.value.code == 0
    assert answer()["state"] == state
    assert reason in answer()["reason"]


def test_another_dataset_than_in_the_first_run_fails(begin):
    answer = begin("rs2", 0.5)
    with pytest.raises(SystemExit):
        bench.sampler(range(SIZE - 1))
    assert "60 samples, as in the first run, got 59" in answer()["reason"]


def test_a_run_ends_with_the_benchmark(begin, monkeypatch):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setattr(os, "getpid", lambda: gone.pid)
    begin(first=True)
    sampler = bench.sampler(range(SIZE))
    with pytest.raises(SystemExit, match="has ended"):
        list(sampler)


def test_an_indexed_dataset_is_a_dataset(begin):
    answer = begin("seta", 0.5)
    data = Indexed(torch.utils.data.TensorDataset(torch.zeros(SIZE, 1)))
    sampler = bench.sampler(data)
    for _ in range(3):
        for indices, _ in DataLoader(data, batch_size=20, sampler=sampler):
            sampler.reduce(torch.rand(len(indices)), indices)
    bench.report(accuracy=0.9)
    assert answer()["state"] == "done"
