"""A classifier of one output z is, everywhere, that of the two outputs 0 and z: to the last bit."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sampling import scores
from sampling.samplers import (
    ImportanceSampler,
    KakurenboSampler,
    LateStoppingSampler,
    VarianceBudgetSampler,
)

N = 40
Z = torch.randn(N, generator=torch.Generator().manual_seed(3)) * 3
Z[5] = 0.0  # a tie: no prediction
Y = torch.arange(N) % 2
TWO = torch.stack([torch.zeros(N), Z], dim=1)
P = torch.sigmoid(Z.double())
LOSSES = F.cross_entropy(TWO, Y, reduction="none")

LOGITS = {"column": Z[:, None], "flat": Z}
LABELS = {
    "ints": Y, "bools": Y.bool(), "floats": Y.float(), "a column of ints": Y[:, None],
    "a column of floats": Y[:, None].float(), "a column of halves": Y[:, None].half(),
    "a column of bytes": Y[:, None].to(torch.uint8),
}  # fmt: skip

logits_of = pytest.mark.parametrize("logits", LOGITS.values(), ids=LOGITS)
labels_of = pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)


# ---------------------------------------------------------------------- scores


@logits_of
@labels_of
def test_scores_of_logits(logits, labels):
    kinds = {
        "el2n": scores.el2n, "margin": scores.margin, "confidence": scores.confidence,
        "margin of logits": lambda z, y: scores.margin(z, y, of="logits"),
        "stored": lambda z, y: scores.score_stored(["entropy", "el2n"], z, y)["entropy"],
    }  # fmt: skip
    for name, score in kinds.items():
        expected = score(TWO, Y).values
        np.testing.assert_array_equal(score(logits, labels).values, expected, err_msg=name)
        found = score(logits.double().numpy(), labels.numpy()).values
        np.testing.assert_array_equal(found, score(TWO.double().numpy(), Y.numpy()).values)


def test_scores_without_labels():
    for score in (scores.entropy, scores.margin, scores.confidence):
        np.testing.assert_array_equal(score(Z[:, None]).values, score(TWO).values)
        with pytest.raises(ValueError, match=r"pass logits\[:, None\] if .* logits\[None\] if"):
            score(Z)


@pytest.mark.parametrize("shape", [(N, 1), (N,)])
def test_scores_of_probabilities(shape):
    both = torch.stack([1 - P, P], dim=1)
    kinds = ["el2n", "entropy", "margin", "confidence"]
    expected = scores.score_stored(kinds, both, Y, of="probabilities")
    found = scores.score_stored(kinds, P.reshape(shape), Y.float(), of="probabilities")
    for kind in kinds:
        np.testing.assert_array_equal(found[kind].values, expected[kind].values)
    with pytest.raises(ValueError, match=r"probabilities must be in \[0, 1\], got .* in row 3"):
        bad = P.clone()
        bad[3] = 1.5
        scores.score_stored(kinds, bad.reshape(shape), Y, of="probabilities")


@logits_of
@labels_of
def test_training_dynamics(logits, labels):
    one, two = (scores.TrainingDynamics(N, 2) for _ in range(2))
    for scale in (1.0, -1.0, 2.0):
        one.update(np.arange(N), scale * logits, labels)
        two.update(np.arange(N), scale * TWO, Y)
    for name, score in two.scores().items():
        np.testing.assert_array_equal(one.scores()[name].values, score.values, err_msg=name)


def test_training_dynamics_of_a_batch_on_a_device(monkeypatch):
    """Looked at on the host, when the batch has landed."""
    one, two = (scores.TrainingDynamics(N, 2) for _ in range(2))
    monkeypatch.setattr("sampling.scores._dynamics.on_device", lambda array: True)
    one.update(torch.arange(N), Z[:, None], Y[:, None].float())
    two.update(torch.arange(N), TWO, Y)
    np.testing.assert_array_equal(one.aum().values, two.aum().values)
    one.update(torch.arange(N), Z[:, None], torch.full((N, 1), 0.3))
    with pytest.raises(ValueError, match="labels must be 0 or 1.* got 0.3 in row 0.* a device"):
        one.flush()


def test_training_dynamics_of_more_classes():
    dynamics = scores.TrainingDynamics(N, 3)
    for logits in LOGITS.values():
        with pytest.raises(ValueError, match=r"logits must have shape \(B, 3\).*num_classes=2"):
            dynamics.update(np.arange(N), logits, Y)
    with pytest.raises(ValueError, match="num_classes must be >= 2, got 1: a model of one output"):
        scores.TrainingDynamics(N, 1)
    with pytest.raises(ValueError, match="num_classes must be >= 2, got 1: a model of one output"):
        scores.threshold_samples(Y, 1)


def test_threshold_samples():
    expected = scores.threshold_samples(Y, 2)
    for labels in LABELS.values():
        found = scores.threshold_samples(labels.float().reshape(labels.shape), 2)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(N, 1), (N,)])
def test_label_errors(shape):
    pytest.importorskip("cleanlab")
    both = torch.stack([1 - P, P], dim=1)
    one = P.reshape(shape)
    for function in (lambda *a: scores.label_quality(*a).values, scores.label_issues):
        np.testing.assert_array_equal(function(Y[:, None].float(), one), function(Y, both))


# ---------------------------------------------------------------------- gradients


@logits_of
@labels_of
def test_gradient_norms(logits, labels):
    expected = scores.gradient_norm_bound(TWO, Y)
    assert torch.equal(scores.gradient_norm_bound(logits, labels), expected)
    assert expected.min() < 0.1 < 1.0 < expected.max()


@logits_of
def test_gradient_norms_of_one_sigmoid_take_any_target(logits):
    soft = torch.linspace(0, 1, N)
    expected = (torch.sigmoid(Z) - soft).abs()
    for targets in (soft, soft[:, None]):
        found = scores.gradient_norm_bound(logits, targets, multi_label=True)
        torch.testing.assert_close(found, expected)


def test_no_label_has_no_gradient_norm():
    labels = torch.tensor([-100, 1])
    found = scores.gradient_norm_bound(Z[:2, None], labels)
    assert found.isnan().tolist() == [True, False]


# ---------------------------------------------------------------------- samplers


def kakurenbo():
    return KakurenboSampler(N, 9, keep=0.4)


def late_stopping():
    return LateStoppingSampler(N, 9, keep=0.3, rounds=(1,), warm_up=0)


def importance():
    return ImportanceSampler(N, signal="gradient_norm")


def variance_budget():
    return VarianceBudgetSampler(N, 9, signal="gradient_norm", tau=0.5)


@logits_of
@labels_of
@pytest.mark.parametrize("make", [kakurenbo, late_stopping, importance, variance_budget])
def test_samplers_draw_the_same(make, logits, labels):
    one, two = make(), make()
    for epoch in range(2):
        for sampler, z, y in ((one, logits, labels), (two, TWO, Y)):
            sampler.set_epoch(epoch)
            rows = np.unique(sampler.indices(epoch))
            sampler.record(rows, LOSSES[rows], logits=z[rows], labels=y[rows])
    for sampler in (one, two):
        sampler.set_epoch(2)
    assert one.indices(2).tolist() == two.indices(2).tolist()


def test_no_class_is_hidden_where_every_row_is_wrong():
    sampler = KakurenboSampler(N, 9, keep=0.4)
    wrong = (1.0 - 2.0 * Y)[:, None] * 5
    losses = torch.arange(N) / N
    sampler.record(range(N), losses, logits=wrong, labels=Y[:, None].float())
    sampler.set_epoch(1)
    assert sampler.hidden.size == 0


def test_rescored_and_evaluated_answers():
    sampler = kakurenbo()
    sampler.record(range(N), LOSSES, logits=TWO, labels=Y)
    sampler.set_epoch(1)
    rows = sampler.hidden
    assert rows.size
    sampler.rescore(rows, LOSSES[rows], logits=-Z[rows, None], labels=Y[rows, None].float())
    assert (sampler.confidences[rows] == 0).all()
    late = LateStoppingSampler(N, 9, warm_up=0, evaluate=True)
    for epoch in (1, 2):  # the answers of the first epoch of a round are ignored
        late.record_answers(range(N), Z[:, None], Y[:, None].float())
        late.set_epoch(epoch)
    assert late.learned == int(((Z > 0) == Y.bool())[Z != 0].sum())


# ---------------------------------------------------------------------- what is no class


BAD = {
    "a part": (torch.tensor([0.0, 0.3]), "labels must be 0 or 1 .* got 0.3 in row 1"),
    "two": (torch.tensor([0, 2]), "labels must be 0 or 1 .* got 2 in row 1"),
    "two, a float": (torch.tensor([[2.0], [1.0]]), "labels must be 0 or 1 .* got 2 in row 0"),
    "NaN": (torch.tensor([0.0, torch.nan]), "labels must .* got .* in row 1"),
    "signs": (torch.tensor([-1.0, 1.0]), "labels must be 0 or 1 .* got -1 in row 0"),
    "signs, ints": (torch.tensor([1, -1]), "labels must be 0 or 1 .* got -1 in row 1"),
    "two columns": (torch.zeros(2, 2), r"labels must have shape \(2,\) or \(2, 1\).*got \(2, 2\)"),
}


@pytest.mark.parametrize(("labels", "message"), BAD.values(), ids=BAD)
def test_labels_that_are_no_class_of_two_are_refused(labels, message):
    z, losses = Z[:2, None], torch.ones(2)
    places = [
        lambda: scores.el2n(z, labels),
        lambda: scores.confidence(z.numpy(), labels.numpy()),
        lambda: scores.TrainingDynamics(2, 2).update([0, 1], z, labels),
        lambda: scores.gradient_norm_bound(z, labels),
        lambda: KakurenboSampler(2, 9).record([0, 1], losses, logits=z, labels=labels),
        lambda: ImportanceSampler(2, signal="gradient_norm").reduce(
            losses, [0, 1], logits=z, labels=labels
        ),
        lambda: LateStoppingSampler(2, 9).record([0, 1], losses, logits=z, labels=labels),
    ]
    for place in places:
        with pytest.raises(ValueError, match=message):
            place()


def test_on_a_device_such_labels_are_counted_and_not_learnt():
    """The meta device stands in for one that must not be waited for."""
    from sampling.scores._heads import binary_ids, one_class

    assert binary_ids(torch.zeros(3, 1, device="meta"), 3).shape == (3,)
    assert one_class(torch.zeros(3, 2, device="meta")).shape == (3,)
    found = scores.gradient_norm_bound(
        torch.zeros(3, 1, device="meta"), torch.zeros(3, device="meta")
    )
    assert found.is_meta


def test_several_labels_a_sample_are_refused_with_the_remedy():
    several = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    z, remedy = torch.zeros(2, 3), r"logits\[:, \[c\]\], labels\[:, c\]"
    with pytest.raises(ValueError, match=f"sum to 1 in each row, got 2 in row 0.*{remedy}"):
        KakurenboSampler(2, 9).record([0, 1], torch.ones(2), logits=z, labels=several)
    with pytest.raises(ValueError, match=f"sum to 1 in each row, got 2 in row 0.*{remedy}"):
        LateStoppingSampler(2, 9).record([0, 1], torch.ones(2), logits=z, labels=several.bool())
    for place in (
        lambda: scores.el2n(z, several),
        lambda: scores.TrainingDynamics(2, 3).update([0, 1], z, several),
    ):
        with pytest.raises(ValueError, match=f"one class id per sample.*{remedy}"):
            place()
    mixed = torch.tensor([[0.9, 0.1, 0.0], [0.3, 0.3, 0.4]]).half()
    KakurenboSampler(2, 9).record([0, 1], torch.ones(2), logits=z, labels=mixed)
