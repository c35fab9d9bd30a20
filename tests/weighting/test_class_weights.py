"""Class weights, logit adjustment, and their schedule."""

import json
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from oracle_weighting import (
    adjusted_losses,
    class_weights_by_formula,
    rebalanced_by_formula,
)
from two_ranks import on_two_ranks

from sampling.errors import StateError
from sampling.samplers import ClassBalancedSampler, ShuffleSampler
from sampling.weighting import (
    ClassWeights,
    CurriculumWeights,
    balanced_softmax,
    deferred,
    kl_dro,
    logit_adjustment,
)

NAN = float("nan")
COUNTS = [500, 50, 5]
LABELS = torch.tensor([0, 2, 1, 0, 0])
ONES = torch.ones(5)


@pytest.mark.parametrize(
    ("arguments", "golden"),
    [
        ({"beta": 0.99}, (0.126130, 0.317223, 2.556647)),
        ({"beta": 0.999}, (0.034111, 0.275169, 2.690720)),
        ({"beta": 0.0}, (1, 1, 1)),
        ({"power": 0}, (1, 1, 1)),
    ],
)
def test_golden_values(arguments, golden):
    np.testing.assert_allclose(ClassWeights(COUNTS, **arguments).values, golden, atol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"beta": "inverse"},
        {"beta": 0.9999},
        {"power": 0.5},
        {"power": -0.5},
        {"max_ratio": 7.0},
        {"beta": 0.99, "max_ratio": 2.5},
    ],
)
@pytest.mark.parametrize("counts", [COUNTS, [9, 0, 100, 1]])
def test_against_the_formula_also_of_moving_counts(arguments, counts):
    twin = class_weights_by_formula(counts, **arguments)
    fixed = ClassWeights(counts, empty="ignore", **arguments)
    np.testing.assert_allclose(fixed.values, twin, rtol=1e-5)
    moving = ClassWeights(counts, empty="ignore", momentum=0.5, **arguments)
    np.testing.assert_allclose(moving.values, twin, rtol=1e-5)


def test_the_mean_is_that_of_cross_entropy_with_weights():
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    losses = F.cross_entropy(logits, LABELS, reduction="none")
    weighting = ClassWeights(COUNTS)
    found = ShuffleSampler(5).reduce(losses, range(5), labels=LABELS, weighting=weighting)
    given = torch.from_numpy(weighting.values)
    torch.testing.assert_close(found, F.cross_entropy(logits, LABELS, weight=given))
    ignored = torch.where(torch.arange(5) == 1, -100, LABELS)
    losses = F.cross_entropy(logits, ignored, reduction="none")
    found = ShuffleSampler(5).reduce(losses, range(5), labels=ignored, weighting=weighting)
    # their mean is over the samples with a label, that of `reduce` over B
    expected = F.cross_entropy(logits, ignored, weight=given)
    torch.testing.assert_close(found * 5 / 4, expected)


def test_inverse_frequency_is_unbiased_for_the_mean_of_class_means():
    """The mean over the batches of an epoch is exact, that of class-balanced sampling near it."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    values = torch.from_numpy(rng.exponential(size=100) + labels).float()
    weighting = ClassWeights(np.bincount(labels), normalise="classes")
    scale = 100 / float((weighting.values[labels]).sum())  # of a weighted mean over the data
    wanted = np.mean([values[labels == c].mean() for c in range(3)])
    sampler, found = ShuffleSampler(100, seed=1), []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for batch in np.array_split(np.array(list(sampler)), 12):
            given = torch.from_numpy(labels[batch])
            loss = sampler.reduce(values[batch], batch, labels=given, weighting=weighting)
            found.append((float(loss) * scale * len(batch), len(batch)))
    sums, sizes = np.array(found).T
    mean = sums.sum() / sizes.sum()
    assert mean == pytest.approx(wanted, rel=1e-4)  # whole epochs: exact up to rounding
    assert sums[0] / sizes[0] != pytest.approx(wanted, rel=1e-3)
    balanced = ClassBalancedSampler(labels, 300, seed=0)
    balanced.set_epoch(0)
    drawn = np.array(list(balanced))
    assert float(values[drawn].mean()) == pytest.approx(wanted, rel=0.05)


def test_moving_counts_follow_the_batches():
    weighting = ClassWeights(num_classes=3, momentum=0.75)
    with pytest.raises(StateError, match="counts must be known: none were given, and there was no"):
        weighting.values  # noqa: B018
    counts = None
    for labels in ([0, 0, 0, 1], [2, 0, 0, 0], [0, 1, 0, 0]):
        fresh = np.bincount(labels, minlength=3)
        counts = fresh if counts is None else 0.75 * counts + 0.25 * fresh
        twin = np.array(class_weights_by_formula(counts.tolist()))
        found = weighting(torch.ones(4), labels=torch.tensor(labels))
        np.testing.assert_allclose(found, twin[labels] / twin[labels].mean(), rtol=1e-5)
        np.testing.assert_allclose(weighting.values, twin, rtol=1e-5)
    nothing = weighting(torch.full((2,), NAN), labels=torch.tensor([0, 1]))
    assert nothing.tolist() == [0, 0]
    np.testing.assert_allclose(weighting.values, twin, rtol=1e-5)


def test_a_loss_that_is_not_finite_moves_no_other():
    losses = torch.tensor([1.0, NAN, 1.0])
    weights = ClassWeights(COUNTS)(losses, labels=torch.tensor([0, 2, 1]))
    expected = ClassWeights(COUNTS)(torch.ones(2), labels=torch.tensor([0, 1]))
    assert weights[1] == 0
    torch.testing.assert_close(weights[[0, 2]], expected)


HOT = torch.tensor([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]])


def test_several_labels_of_a_sample():
    weighting = ClassWeights(COUNTS, normalise="classes")
    a, b, c = weighting.values.tolist()
    found = weighting(torch.ones(4), labels=HOT)
    np.testing.assert_allclose(found, [(a + c) / 2, b, min(a, b, c), (a + b + c) / 3], rtol=1e-6)
    most = ClassWeights(COUNTS, normalise="classes", across="max")(torch.ones(4), labels=HOT)
    np.testing.assert_allclose(most, [c, b, a, c], rtol=1e-6)
    moving = ClassWeights(num_classes=3, momentum=0.0)
    moving(torch.ones(4), labels=HOT.bool())
    np.testing.assert_allclose(moving.values, class_weights_by_formula([2, 2, 2]))


def test_the_correction_of_balanced_draws():
    """A sample without a label has r = 0, where the released code divides by zero."""
    found = ClassWeights(COUNTS).rebalanced(HOT)
    twin = rebalanced_by_formula(HOT.tolist(), COUNTS, 0.1, 10.0, 0.2)
    np.testing.assert_allclose(found, twin, rtol=1e-5)
    assert torch.isfinite(found).all()
    found = ClassWeights(COUNTS).rebalanced(HOT, alpha=0, beta=5, gamma=0.3)
    np.testing.assert_allclose(
        found, rebalanced_by_formula(HOT.tolist(), COUNTS, 0, 5, 0.3), rtol=1e-5
    )


def test_weights_begin_at_an_epoch_and_continue_past_twice_it():
    """The released phase index epoch // 160 into a list of two fails from epoch 320 on."""
    weighting = ClassWeights(COUNTS, start_epoch=160)
    late = ClassWeights(COUNTS)(ONES, labels=LABELS)
    for epoch, expected in ((0, ONES), (159, ONES), (160, late), (320, late), (10_000, late)):
        weighting.set_epoch(epoch)
        torch.testing.assert_close(weighting(ONES, labels=LABELS), expected)


def test_states():
    weighting = ClassWeights(num_classes=3, momentum=0.5, start_epoch=2)
    weighting.set_epoch(3)
    weighting(ONES, labels=LABELS)
    state = json.loads(json.dumps(weighting.state_dict()))
    other = ClassWeights(num_classes=3, momentum=0.5, start_epoch=2)
    other.load_state_dict(state)
    assert other.epoch == 3
    torch.testing.assert_close(other(ONES, labels=LABELS), weighting(ONES, labels=LABELS))
    with pytest.raises(StateError, match=r"momentum of the state must be 0.25, got 0.5"):
        ClassWeights(num_classes=3, momentum=0.25, start_epoch=2).load_state_dict(state)
    with pytest.raises(StateError, match="counts of the state must be"):
        ClassWeights([1, 2, 3]).load_state_dict(ClassWeights([1, 2, 4]).state_dict())
    fixed = pickle.loads(pickle.dumps(ClassWeights(COUNTS)))
    torch.testing.assert_close(
        fixed(ONES, labels=LABELS), ClassWeights(COUNTS)(ONES, labels=LABELS)
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ClassWeights(), ValueError, "counts must be given, or momentum and num_classes"),
        (
            lambda: ClassWeights([3, 0, 1, 0]),
            ValueError,
            r"counts must be > 0, got 0 for the classes \[1, 3\]: pass empty='ignore'",
        ),
        (lambda: ClassWeights([0, 0], empty="ignore"), ValueError, "counts must be > 0"),
        (lambda: ClassWeights({0: 3}), ValueError, "num_classes must be given if counts is a"),
        (
            lambda: ClassWeights({0: 3}, num_classes=2),
            ValueError,
            r"counts must name all classes, missing \[1\]",
        ),
        (lambda: ClassWeights([-1.0, 2]), ValueError, "counts must be finite and >= 0, got -1.0"),
        (lambda: ClassWeights(COUNTS, power=2, beta=0.9), ValueError, "only one of power and beta"),
        (lambda: ClassWeights(COUNTS, beta=1.0), ValueError, r"beta must be in \[0, 1\), got 1.0"),
        (
            lambda: ClassWeights(COUNTS)(ONES, labels=LABELS + 1),
            ValueError,
            r"labels must be in \[0, 3\), got 3 in row 1",
        ),
        (
            lambda: ClassWeights(COUNTS)(ONES, labels=torch.tensor([0, -1, 0, 0, 0])),
            ValueError,
            r"labels must be in \[0, 3\), got -1 in row 1",
        ),
        (
            lambda: ClassWeights([5, 0, 5], empty="ignore")(ONES, labels=LABELS),
            ValueError,
            "labels must be of classes that counts has samples of, got 1 in row 2",
        ),
        (
            lambda: ClassWeights(COUNTS)(ONES, labels=LABELS.float()),
            TypeError,
            "labels must hold ints, got torch.float32",
        ),
        (
            lambda: ClassWeights(COUNTS)(ONES, labels=HOT[:, :2]),
            ValueError,
            r"labels must have shape \(B, 3\) for multi-label data, got \(4, 2\)",
        ),
        (
            lambda: ClassWeights(COUNTS)(torch.ones(4), labels=HOT * 2),
            ValueError,
            r"labels must be 0 or 1 for multi-label data, got 2 in position \(0, 0\)",
        ),
        (
            lambda: ClassWeights(COUNTS)(torch.ones(3), labels=HOT),
            ValueError,
            "labels must have as many rows as losses, 3, got 4",
        ),
        (
            lambda: logit_adjustment(torch.zeros(2, 3), [1, 2]),
            ValueError,
            "counts must be 3, one for each class, got 2",
        ),
        (
            lambda: logit_adjustment(torch.zeros(2, 2), [1, 0]),
            ValueError,
            r"got 0 for the classes \[1\]: add a pseudo-count, such as counts \+ 1",
        ),
        (
            lambda: balanced_softmax(torch.zeros(2, 2), torch.tensor([0, 2]), [1, 1]),
            ValueError,
            r"labels must be in \[0, 2\), got 2 in row 1",
        ),
        (lambda: deferred(3, 2), TypeError, "weighting must be a function of losses, got int"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.fixture
def elsewhere(monkeypatch):
    """Let tensors say that they are on a device, where nobody looks at numbers."""
    monkeypatch.setattr(torch.Tensor, "is_cpu", property(lambda self: False))


@pytest.mark.usefixtures("elsewhere")
def test_on_a_device_a_bad_label_weighs_nan():
    found = ClassWeights([5, 0, 5], empty="ignore")(ONES, labels=torch.tensor([0, 1, 2, 3, -100]))
    assert torch.isnan(found).tolist() == [False, True, False, True, False]
    assert found[4] == 0


@pytest.mark.parametrize("labels", [LABELS, F.one_hot(LABELS, 3)], ids=["one", "several"])
@pytest.mark.parametrize("momentum", [None, 0.5])
def test_nothing_waits_for_a_device(labels, momentum):
    weighting = ClassWeights(COUNTS, momentum=momentum)
    for _ in range(2):
        assert weighting(ONES.to("meta"), labels=labels.to("meta")).is_meta


def of_two_ranks(rank):
    labels = torch.tensor([[0, 0, 1], [2, 0, 1]][rank])
    weighting = ClassWeights(num_classes=3, momentum=0.5)
    found = weighting(torch.ones(3), labels=labels)
    return found.tolist(), weighting.values.tolist()


@pytest.mark.distributed
@pytest.mark.slow
def test_ranks_have_one_batch():
    found = on_two_ranks(of_two_ranks)
    labels = torch.tensor([0, 0, 1, 2, 0, 1])
    weighting = ClassWeights(num_classes=3, momentum=0.5)
    alone = weighting(torch.ones(6), labels=labels)
    np.testing.assert_allclose([*found[0][0], *found[1][0]], alone, rtol=1e-6)
    for rank in range(2):
        np.testing.assert_allclose(found[rank][1], weighting.values, rtol=1e-6)


# ---------------------------------------------------------------------- logit adjustment


def test_adjusted_losses_are_those_of_the_formula_and_of_balanced_softmax():
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    for tau in (0.0, 0.5, 1.0):
        adjusted = logit_adjustment(logits, COUNTS, tau=tau)
        losses = F.cross_entropy(adjusted, LABELS, reduction="none")
        twin = adjusted_losses(logits.tolist(), LABELS.tolist(), COUNTS, tau)
        np.testing.assert_allclose(losses, twin, rtol=1e-5)
    torch.testing.assert_close(balanced_softmax(logits, LABELS, COUNTS), losses)
    back = logit_adjustment(adjusted, COUNTS, form="post_hoc")
    torch.testing.assert_close(back, logits)
    named = logit_adjustment(logits, {2: 5, 0: 500, 1: 50})
    assert torch.equal(named, logit_adjustment(logits, torch.tensor(COUNTS)))


def test_the_optimum_of_the_adjusted_loss_is_the_balanced_classifier():
    """Of data without features, plain logits learn the shares, adjusted ones that all are equal."""
    labels = torch.tensor([0] * 90 + [1] * 10)
    logits = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.SGD([logits], lr=5.0)
    for _ in range(300):
        optimizer.zero_grad()
        balanced_softmax(logits.expand(100, 2), labels, [90, 10]).mean().backward()
        optimizer.step()
    torch.testing.assert_close(logits.detach().softmax(0), torch.tensor([0.5, 0.5]))
    plain = torch.tensor([0.9, 0.1]).log()
    found = logit_adjustment(plain[None], [90, 10], form="post_hoc").softmax(1)
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.5]]))


def test_one_output_is_adjusted_as_two():
    z = torch.tensor([0.3, -1.0])
    both = logit_adjustment(torch.stack([torch.zeros(2), z], 1), [90, 10])
    torch.testing.assert_close(logit_adjustment(z, [90, 10]), both[:, 1] - both[:, 0])
    assert logit_adjustment(z[:, None], [90, 10]).shape == (2, 1)
    assert logit_adjustment(torch.zeros(2, 7, 3), COUNTS).shape == (2, 7, 3)  # of tokens
    half = logit_adjustment(torch.zeros(2, 3, dtype=torch.float16), COUNTS)
    assert half.dtype == torch.float32


# ---------------------------------------------------------------------- the schedule


def test_a_deferred_weighting_begins_at_its_epoch_and_ramps():
    inner = ClassWeights(COUNTS)
    late = inner(ONES, labels=LABELS)
    schedule = deferred(inner, 4, ramp_epochs=2)
    for epoch, share in ((0, 0), (3.9, 0), (4, 0), (5, 0.5), (6, 1), (99, 1)):
        schedule.set_epoch(epoch)
        assert schedule.progress == share
        expected = (1 - share) * ONES + share * late
        torch.testing.assert_close(schedule(ONES, labels=LABELS), expected)
    sharp = deferred(inner, 4, before=kl_dro)
    losses = torch.arange(5.0)
    torch.testing.assert_close(sharp(losses, labels=LABELS), kl_dro(losses))
    sharp.set_epoch(4)
    torch.testing.assert_close(sharp(losses, labels=LABELS), inner(losses, labels=LABELS))


def test_what_it_will_require_is_required_from_the_first_epoch_on():
    sampler = ShuffleSampler(5)
    schedule = deferred(ClassWeights(COUNTS), start=160)
    with pytest.raises(ValueError, match="labels must be given for weighting=ClassWeights"):
        sampler.reduce(ONES, range(5), weighting=schedule)
    assert float(sampler.reduce(ONES, range(5), weighting=schedule, labels=LABELS)) == 1


def test_a_schedule_that_never_begins_warns_and_one_at_0_is_the_weighting():
    with pytest.warns(UserWarning, match="start should be < num_epochs, got 9 of 9 epochs"):
        deferred(kl_dro, 9, num_epochs=9)
    losses = torch.arange(5.0)
    torch.testing.assert_close(deferred(kl_dro, 0)(losses), kl_dro(losses))


def test_the_state_of_a_schedule_holds_those_of_its_weightings():
    def make():
        curriculum = CurriculumWeights(np.linspace(0, 1, 5), 4)
        return deferred(ClassWeights(num_classes=3, momentum=0.5), 2, before=curriculum)

    schedule = make()
    schedule.set_epoch(1)
    assert schedule.before.epoch == 1
    schedule.set_epoch(2)
    schedule(ONES, labels=LABELS, indices=range(5))
    state = json.loads(json.dumps(schedule.state_dict()))
    other = make()
    other.load_state_dict(state)
    assert (other.epoch, other.before.epoch) == (2, 2)
    np.testing.assert_array_equal(other.weighting.values, schedule.weighting.values)
    with pytest.raises(StateError, match="start of the state must be 3"):
        deferred(kl_dro, 3).load_state_dict(state)
    with pytest.raises(StateError, match="weighting of the state must be of the same weighting"):
        deferred(kl_dro, 2).load_state_dict(state)


@pytest.mark.parametrize("given", [["cat", "cat", "dog"], [0, 0, 1]])
def test_a_column_of_labels_instead_of_counts_is_refused_with_the_way_to_count(given):
    pandas = pytest.importorskip("pandas")
    with pytest.raises(
        ValueError,
        match=r"a Series, got None: .* numpy.bincount.* pandas.factorize\(labels, sort=True",
    ):
        ClassWeights(pandas.Series(given))


def test_counts_by_the_names_of_classes_are_refused_with_the_order():
    with pytest.raises(ValueError, match=r"got the name 'dog': give .* in the order of the model"):
        ClassWeights({"dog": 3, "cat": 1}, num_classes=2)


def test_names_instead_of_class_numbers_are_refused_with_the_way_to_number_them():
    weigh = ClassWeights([2, 1])
    for names in (["cat", "dog"], np.array(["cat", "dog"], object)):
        with pytest.raises(TypeError, match=r"got dtype .*number the classes.*factorize"):
            weigh(torch.ones(2), labels=names)


def test_labels_given_as_counts_are_recognised():
    with pytest.raises(ValueError, match=r"look like labels: give numpy.bincount\(labels\)"):
        ClassWeights([0, 1, 1, 0, 1, 0])
    with pytest.raises(ValueError, match="pass empty='ignore'"):
        ClassWeights([90, 0, 10])


def test_a_schedule_that_stays_behind_the_sampler_warns():
    sampler = ShuffleSampler(4, seed=0)
    weighting = deferred(ClassWeights([3, 1]), start=1)
    labels, losses = torch.tensor([0, 0, 0, 1]), torch.ones(4)
    sampler.set_epoch(0)
    sampler.reduce(losses, torch.arange(4), labels=labels, weighting=weighting)
    sampler.set_epoch(1)
    with pytest.warns(UserWarning, match="set_epoch of the weighting .* got epoch 0 of Deferred"):
        sampler.reduce(losses, torch.arange(4), labels=labels, weighting=weighting)
    weighting.set_epoch(1.5)
    sampler.reduce(losses, torch.arange(4), labels=labels, weighting=weighting)
    sampler.set_epoch(2)
    sampler.reduce(losses, torch.arange(4), labels=labels, weighting=ClassWeights([3, 1]))
    with pytest.warns(UserWarning, match="start should be a number of epochs, got 0.8"):
        deferred(ClassWeights([3, 1]), start=0.8, num_epochs=10)
