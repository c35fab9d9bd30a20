import math

import numpy as np
import pytest
import torch
from helpers import assert_hits

from sampling.samplers import KakurenboSampler, full_state, load_full_state

N = 60
EPOCHS = 20


def run_of(seed=0, epochs=EPOCHS, size=N):
    """Losses (E, N), logits (E, N, 4) and labels (N,) of a model that grows sure of itself."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=size)
    easy = rng.uniform(0.0, 3.0, size)
    logits = rng.normal(size=(epochs, size, 4))
    grown = np.linspace(0.5, 2.0, epochs)[:, None] * easy
    logits[:, np.arange(size), labels] += grown
    logits = torch.tensor(logits, dtype=torch.float32)
    labels = torch.tensor(labels)
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), labels.repeat(epochs), reduction="none"
    )
    return losses.view(epochs, size), logits, labels


LOSSES, LOGITS, LABELS = run_of()


def watch(sampler, epoch, rescored=True):
    """Record what the epoch deals, and rescore what it hides."""
    rows = torch.tensor(np.unique(sampler.indices(epoch)))
    sampler.record(rows, LOSSES[epoch, rows], logits=LOGITS[epoch, rows], labels=LABELS[rows])
    rows = torch.tensor(sampler.hidden)
    if rescored and rows.numel():
        sampler.rescore(rows, LOSSES[epoch, rows], logits=LOGITS[epoch, rows], labels=LABELS[rows])


def confidence_by_loop(logits, label):
    """Probability of the predicted class if it is the label's, else 0: one row, in Python."""
    values = [float(each) for each in logits]
    parts = [math.exp(each - max(values)) for each in values]
    right = values.index(max(values)) == int(label) and values.count(max(values)) == 1
    return max(parts) / sum(parts) if right else 0.0


def hidden_by_loop(losses, logits, labels, fraction, least):
    """The rule, one sample at a time: pick the lowest losses, move the unsure back."""
    order = sorted(range(len(losses)), key=lambda i: float(losses[i]))
    picked = order[: math.floor(fraction * len(losses) + 1e-9)]
    return sorted(i for i in picked if confidence_by_loop(logits[i], labels[i]) >= least)


@pytest.mark.parametrize(("fraction", "least"), [(0.3, 0.7), (0.6, 0.9), (0.9, 0.3), (0.5, 0.0)])
def test_every_epoch_against_a_loop(fraction, least):
    sampler = KakurenboSampler(N, EPOCHS, keep=1 - fraction, confidence=least)
    counts = set()
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        expected = []
        if epoch:
            scale = [1.0, 0.8, 0.6, 0.4][sum(epoch >= start for start in (6, 12, 16))]
            assert sampler.keep_at(epoch) == pytest.approx(1 - fraction * scale)
            last = LOSSES[epoch - 1], LOGITS[epoch - 1], LABELS
            expected = hidden_by_loop(*last, fraction * scale, least)
        assert sampler.hidden.tolist() == expected
        counts.add(len(expected))
        watch(sampler, epoch)
    assert len(counts) > 2


def test_without_a_forward_pass_the_last_loss_in_training_stands():
    sampler = KakurenboSampler(N, EPOCHS)
    last = np.zeros(N, int)
    for epoch in range(8):
        sampler.set_epoch(epoch)
        watch(sampler, epoch, rescored=False)
        last[sampler.indices(epoch)] = epoch
        np.testing.assert_array_equal(sampler.scores, LOSSES.numpy()[last, np.arange(N)])
    assert last.min() < 7


# ---- defects of the released code ----------------------------------------------------------------


def test_defect_the_confidence_is_over_classes_not_over_the_batch():
    logits = torch.tensor([[5.0, 0.0], [5.0, 0.0], [5.0, 0.0], [0.1, 0.0]])
    labels = torch.zeros(4, dtype=torch.int64)
    losses = torch.tensor([0.1, 0.2, 0.3, 0.0])
    over_batch = logits.softmax(dim=0).amax(dim=1)
    assert (over_batch < 0.7).all()  # with the defect nothing is sure, and nothing hidden
    sampler = KakurenboSampler(4, 9, keep=0.25)
    sampler.record(range(4), losses, logits=logits, labels=labels)
    sampler.set_epoch(1)
    assert sampler.hidden.tolist() == [0, 1]  # of the picked 3, 0 and 1 the last is unsure
    np.testing.assert_allclose(sampler.confidences[:3], 1 / (1 + math.exp(-5.0)), rtol=1e-6)
    alone = KakurenboSampler(4, 9, keep=0.25)
    for row in range(4):  # a batch of one: over the batch everything would be sure
        alone.record([row], losses[row : row + 1], logits=logits[row : row + 1], labels=labels[:1])
    alone.set_epoch(1)
    assert alone.hidden.tolist() == [0, 1]


def test_defect_the_learning_rate_follows_what_was_really_hidden():
    sampler = KakurenboSampler(N, EPOCHS, keep=0.5)
    assert sampler.lr_factor == 1.0
    for epoch in range(1, 4):
        watch(sampler, epoch - 1)
        sampler.set_epoch(epoch)
        assert 0 < sampler.hidden.size < 0.5 * N
        assert sampler.lr_factor == 1 / (1 - sampler.hidden.size / N)
        assert sampler.lr_factor < 1 / sampler.keep_at(epoch)


# ---- predictions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("soft", [False, True])
def test_logits_of_any_precision_and_labels_of_any_form(dtype, soft):
    logits = LOGITS[0].to(dtype)
    labels = torch.nn.functional.one_hot(LABELS, 4) * 0.6 + 0.1 if soft else LABELS
    sampler = KakurenboSampler(N, EPOCHS)
    sampler.reduce(LOSSES[0].to(dtype), range(N), logits=logits, labels=labels)
    expected = [confidence_by_loop(logits[i].float(), LABELS[i]) for i in range(N)]
    np.testing.assert_allclose(sampler.confidences, expected, atol=1e-6)


def test_a_tie_is_no_prediction():
    sampler = KakurenboSampler(3, 9, keep=0.1, confidence=0.0)
    logits = torch.tensor([[1.0, 1.0], [2.0, 1.0], [-math.inf, 0.0]])
    sampler.record(range(3), torch.ones(3), logits=logits, labels=torch.tensor([0, 0, 1]))
    np.testing.assert_allclose(sampler.confidences, [0, 1 / (1 + math.exp(-1)), 1], rtol=1e-6)


def test_what_is_not_finite_keeps_the_old_answer():
    sampler = KakurenboSampler(4, 9, keep=0.5, confidence=0.0)
    logits = torch.tensor([[2.0, 0.0]]).repeat(4, 1)
    labels = torch.zeros(4, dtype=torch.int64)
    sampler.record(range(4), torch.tensor([1.0, 2.0, 3.0, 4.0]), logits=logits, labels=labels)
    before = sampler.confidences.copy()
    bad = torch.tensor([[math.nan, 0.0], [0.0, math.nan], [math.inf, 0.0], [9.0, 0.0]])
    losses = torch.tensor([math.nan, math.inf, math.nan, 0.5])
    sampler.record(range(4), losses, logits=bad, labels=labels)
    np.testing.assert_array_equal(sampler.confidences[:3], before[:3])
    assert sampler.confidences[3] > before[3]
    np.testing.assert_array_equal(sampler.scores, [1.0, 2.0, 3.0, 0.5])
    assert sampler.num_nonfinite == 3
    sampler.set_epoch(1)
    assert sampler.hidden.tolist() == [0, 3]


def test_labels_that_are_no_class_are_never_right():
    sampler = KakurenboSampler(2, 9, keep=0.1, confidence=0.0)
    logits = torch.tensor([[9.0, 0.0], [9.0, 0.0]])
    sampler.record([0, 1], torch.zeros(2), logits=logits, labels=torch.tensor([-100, 2]))
    sampler.set_epoch(1)
    np.testing.assert_array_equal(sampler.confidences, 0)


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        ({}, ValueError, "logits and labels must be given.*got no logits"),
        ({"logits": torch.zeros(2, 3)}, ValueError, "got no labels"),
        (
            {"logits": torch.zeros(()), "labels": torch.zeros(2)},
            ValueError,
            r"logits must be floating of shape \(B, C\), B = 2, got torch.float32 of shape \(\)",
        ),
        ({"logits": torch.zeros(3, 2), "labels": torch.zeros(2)}, ValueError, r"shape \(3, 2\)"),
        (
            {"logits": torch.zeros(2, 3), "labels": torch.zeros(3, dtype=torch.int64)},
            ValueError,
            r"labels must have shape \(2,\) or that of logits, \(2, 3\), got \(3,\)",
        ),
        (
            {"logits": torch.zeros(2, 3), "labels": torch.zeros(2)},
            TypeError,
            r"labels of shape \(B,\) must hold ints, got torch.float32",
        ),
        ({"logits": np.zeros((2, 3)), "labels": [0, 1]}, TypeError, "logits must be a tensor"),
    ],
)
def test_bad_predictions(more, error, message):
    sampler = KakurenboSampler(4, 9)
    with pytest.raises(error, match=message):
        sampler.reduce(torch.ones(2), [0, 1], **more)
    assert np.isnan(sampler.scores).all()
    assert np.isnan(sampler.confidences).all()


# ---- which samples -------------------------------------------------------------------------------


def sure(size, losses, **options):
    """A sampler that has seen right and sure predictions with these losses."""
    sampler = KakurenboSampler(size, EPOCHS, **options)
    logits = torch.tensor([[9.0, 0.0]]).repeat(size, 1)
    labels = torch.zeros(size, dtype=torch.int64)
    losses = torch.as_tensor(losses, dtype=torch.float32)
    sampler.record(range(size), losses, logits=logits, labels=labels)
    sampler.set_epoch(1)
    return sampler


def test_ties_are_hidden_by_lot():
    """Losses of exactly 0 are common; the order of the rows has no say."""
    losses = np.repeat([0.0, 1.0], [3000, 1000])
    one, two = (sure(4000, losses, keep=0.7, seed=seed).hidden for seed in (0, 1))
    for hidden in (one, two):
        assert hidden.size == 1200
        hits = np.bincount(hidden // 100, minlength=40)
        assert_hits(hits, 100, np.repeat([0.4, 0.0], [30, 10]))
    assert_hits(np.intersect1d(one, two).size, 3000, 0.4**2)


def test_an_epoch_is_never_empty_and_the_unseen_are_dealt():
    assert len(sure(5, range(5), keep=0.01)) == 1
    sampler = KakurenboSampler(5, EPOCHS, keep=0.01, confidence=0.0)
    logits = torch.tensor([[9.0, 0.0]])
    sampler.record([3], torch.zeros(1), logits=logits, labels=torch.tensor([0]))
    sampler.set_epoch(1)
    assert sampler.hidden.tolist() == [3]


def test_annealing_is_there_if_asked_for():
    sampler = KakurenboSampler(N, EPOCHS, anneal_fraction=0.25)
    assert sampler.pruning_epochs == range(1, 15)
    assert [sampler.keep_at(epoch) < 1 for epoch in (0, 1, 14, 15)] == [
        False,
        True,
        True,
        False,
    ]


# ---- budgets -------------------------------------------------------------------------------------


def test_a_target_is_met_stage_by_stage():
    sampler = KakurenboSampler.for_target(N, EPOCHS, 0.8, confidence=0.0)
    dealt = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        dealt.append(len(sampler))
        rows = torch.tensor(np.unique(sampler.indices(epoch)))
        right = torch.nn.functional.one_hot(LABELS, 4).float()
        sampler.record(rows, LOSSES[epoch, rows], logits=right[rows], labels=LABELS[rows])
    assert sum(dealt) == pytest.approx(0.8 * N * EPOCHS, abs=1)
    assert dealt[1] < dealt[8] < dealt[14] < dealt[18] < N
    assert dealt[0] == N


def test_a_target_waits_for_sure_predictions():
    """Nobody unsure is hidden for the budget's sake; later epochs make up for it."""
    sampler = KakurenboSampler.for_target(N, EPOCHS, 0.8)
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        assert (sampler.confidences[sampler.hidden] >= 0.7).all()
        watch(sampler, epoch)
    spent = sampler.expected_samples() / (N * EPOCHS)
    assert 0.8 - 1e-3 <= spent < 0.9


def test_a_target_out_of_reach():
    with pytest.raises(ValueError, match=r"keep is unreachable: must be >= 0.3\d\d for"):
        KakurenboSampler.for_target(N, EPOCHS, 0.3)
    assert KakurenboSampler.for_target(N, EPOCHS, 0.45).keep >= 0.1 - 1e-9


def test_resume_carries_the_target_and_refuses_another():
    sampler = KakurenboSampler.for_target(N, EPOCHS, 0.8)
    for epoch in range(4):
        sampler.set_epoch(epoch)
        watch(sampler, epoch)
    full = full_state(sampler)
    resumed = KakurenboSampler.for_target(N, EPOCHS, 0.8)
    load_full_state(resumed, full)
    for each in (sampler, resumed):
        each.set_epoch(4)
    np.testing.assert_array_equal(sampler.indices(4), resumed.indices(4))
    with pytest.raises(ValueError, match="got target of for_target=0.8"):
        load_full_state(KakurenboSampler(N, EPOCHS), full)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 0.0}, r"keep must be in \(0, 1\], got 0.0"),
        ({"confidence": 1.5}, r"confidence must be in \[0, 1\], got 1.5"),
        ({"schedule": []}, r"schedule must begin with part 0, got \[\]"),
        ({"schedule": [(0.1, 1.0)]}, "schedule must begin with part 0"),
        ({"schedule": [(0, 1.0), (0.5, 2.0)]}, r"scale of schedule must be in \[0, 1\], got 2.0"),
        (
            {"schedule": [(0, 1), (0.5, 1), (0.5, 0)]},
            "parts of schedule must ascend, got 0.5 after",
        ),
        ({"objective": "original"}, "no importance weights: samples with low losses are certain"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        KakurenboSampler(10, 10, **options)
