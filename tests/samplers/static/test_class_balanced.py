import numpy as np
import pytest
import torch
from helpers import assert_hits, assert_mean, counts_of, epochs_of

from sampling.samplers import ClassBalancedSampler

pytestmark = pytest.mark.filterwarnings("ignore:.*is drawn about .* times in each epoch")

TAIL = np.repeat([0, 1, 2], [500, 50, 5])  # the counts of the golden values
UNEVEN = np.random.default_rng(0).permutation(np.repeat(np.arange(6), [40, 20, 11, 5, 2, 1]))


def class_counts(sampler, labels, epochs):
    """Draws of each class in each epoch: (epochs, C)."""
    labels = np.asarray(labels)
    drawn = [np.bincount(labels[order], minlength=labels.max() + 1) for order in epochs]
    return np.stack(drawn)


# ---- shares --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("power", "shares", "per_sample"),
    [
        (1.0, (0.900901, 0.090090, 0.009009), (1 / 555, 1 / 555, 1 / 555)),
        (0.5, (0.706101, 0.223289, 0.070610), (0.001412, 0.004466, 0.014122)),
        (0.0, (1 / 3, 1 / 3, 1 / 3), (0.000667, 0.006667, 0.066667)),
    ],
)
def test_golden_power(power, shares, per_sample):
    sampler = ClassBalancedSampler(TAIL, power=power)
    np.testing.assert_allclose(sampler.shares(0), shares, atol=1e-6)
    np.testing.assert_allclose(sampler.shares(0) / sampler.class_counts, per_sample, atol=1e-6)
    # A draw's weight is 1/(N p).
    weights = sampler.importance_weights([0, 500, 550])
    np.testing.assert_allclose(weights * 555 * np.array(per_sample), 1, rtol=2e-3)


def test_golden_progressive():
    sampler = ClassBalancedSampler(TAIL, progressive_epochs=3)
    natural, balanced = np.array([500, 50, 5]) / 555, np.full(3, 1 / 3)
    np.testing.assert_allclose(sampler.shares(0), natural)
    np.testing.assert_allclose(sampler.shares(1), (0.617117, 0.211712, 0.171171), atol=1e-6)
    for epoch in (2, 3, 100):
        np.testing.assert_allclose(sampler.shares(epoch), balanced)


@pytest.mark.parametrize(
    ("beta", "weights"),
    [
        (0.99, (0.126130, 0.317223, 2.556647)),
        (0.999, (0.034111, 0.275169, 2.690720)),
        (0.0, (1, 1, 1)),
    ],
)
def test_golden_effective_number(beta, weights):
    """The sampler's mass of a class is its count times the loss weight of the paper."""
    mass = np.array([500, 50, 5]) * weights
    sampler = ClassBalancedSampler(TAIL, beta=beta)
    np.testing.assert_allclose(sampler.shares(0), mass / mass.sum(), rtol=1e-5)
    if beta == 0.999:
        np.testing.assert_allclose(sampler.shares(0), (0.385280, 0.310803, 0.303916), atol=1e-6)


def test_effective_number_at_its_ends():
    shares = ClassBalancedSampler(TAIL, beta="inverse").shares(0)
    np.testing.assert_allclose(shares, 1 / 3)
    close = ClassBalancedSampler(TAIL, beta=1 - 1e-14).shares(0)  # 1 - beta**n would cancel
    np.testing.assert_allclose(close, 1 / 3, rtol=1e-9)
    natural = ClassBalancedSampler(TAIL, power=1.0).shares(0)
    np.testing.assert_allclose(ClassBalancedSampler(TAIL, beta=0.0).shares(0), natural)


@pytest.mark.parametrize("power", [2.0, 500.0])
def test_large_powers_favour_the_head(power):
    expected = np.array([1, 0.1, 0.01]) ** power
    shares = ClassBalancedSampler(TAIL, power=power).shares(0)
    np.testing.assert_allclose(shares, expected / expected.sum(), atol=1e-12)


@pytest.mark.parametrize("power", [-1.0, -3.0, -500.0])
def test_negative_powers_favour_the_tail_and_warn(power):
    with pytest.warns(UserWarning, match=f"power should be >= 0, got {power:g}"):
        sampler = ClassBalancedSampler(TAIL, power=power)
    expected = np.array([0.01, 0.1, 1]) ** -power
    np.testing.assert_allclose(sampler.shares(0), expected / expected.sum(), atol=1e-12)


@pytest.mark.parametrize(
    "target",
    [
        {0: 1, 1: 2, 2: 5},
        [1, 2, 5],
        np.array([0.125, 0.25, 0.625]),
        {0: 1, 1: 2, 2: 5, 9: 0},
        torch.tensor([1.0, 2.0, 5.0]),
    ],
)
def test_target(target):
    sampler = ClassBalancedSampler(TAIL, 800, target=target)
    np.testing.assert_allclose(sampler.shares(0), [1 / 8, 2 / 8, 5 / 8])
    np.testing.assert_array_equal(np.bincount(TAIL[sampler.indices(3)]), [100, 200, 500])


def test_target_may_leave_a_class_out():
    sampler = ClassBalancedSampler(TAIL, target={0: 1, 1: 0, 2: 1})
    assert not (TAIL[np.concatenate(epochs_of(sampler, 5))] == 1).any()
    message = "ClassBalancedSampler has no importance weights: class 1 has share 0"
    with pytest.raises(ValueError, match=message):
        sampler.importance_weights([0])
    with pytest.raises(ValueError, match=message):
        ClassBalancedSampler(TAIL, target={0: 1, 1: 0, 2: 1}, objective="original")
    with pytest.raises(ValueError, match="indices must be draws of epoch 0, got 510 in row 0"):
        sampler.weights_for([510])


# ---- quotas --------------------------------------------------------------------------------------

SETTINGS = [
    {},
    {"power": 0.5},
    {"beta": 0.9},
    {"target": [5, 0, 1, 1, 1, 20]},
    {"progressive_epochs": 7},
    {"power": 0.5, "progressive_epochs": 7},
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("num_samples", [1, 5, 79, 1000])
def test_shares_are_exact_to_one_draw_in_each_epoch(settings, num_samples):
    sampler = ClassBalancedSampler(UNEVEN, num_samples, **settings)
    for epoch, counts in enumerate(class_counts(sampler, UNEVEN, epochs_of(sampler, 20))):
        assert counts.sum() == num_samples == sampler.length(epoch)
        wanted = num_samples * sampler.shares(epoch)
        assert (np.floor(wanted - 1e-9) <= counts).all()
        assert (counts <= np.ceil(wanted + 1e-9)).all()


@pytest.mark.parametrize("num_samples", [1, 4, 79])
def test_fractional_quotas_average_out(num_samples):
    epochs = 3000
    sampler = ClassBalancedSampler(UNEVEN, num_samples, power=0.3, seed=8)
    counts = class_counts(sampler, UNEVEN, epochs_of(sampler, epochs))
    wanted = num_samples * sampler.shares(0)
    assert_hits((counts - np.floor(wanted)).sum(axis=0), epochs, wanted - np.floor(wanted))


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("num_samples", [3, 41, 79, 300])
def test_every_sample_of_a_class_comes_before_any_comes_again(settings, num_samples):
    """Over 20 epochs: at the end of each, the uses of a class's samples differ by at most one."""
    sampler = ClassBalancedSampler(UNEVEN, num_samples, seed=3, **settings)
    used = np.cumsum(counts_of(sampler, 20), axis=0)
    for label in range(6):
        of_class = used[:, label == UNEVEN]
        assert (of_class.max(axis=1) - of_class.min(axis=1) <= 1).all()


def test_passes_of_a_class_differ_and_are_uniform():
    """Which samples of a class an epoch takes is fresh; none is favoured."""
    labels, seeds = np.repeat([0, 1], [6, 3]), 1500
    chosen = np.stack(
        [np.bincount(ClassBalancedSampler(labels, 4, seed=s).indices(1), minlength=9)
         for s in range(seeds)]
    )  # fmt: skip
    # Epoch 1 takes places 2 and 3 of the shuffle of class 0: each sample with probability 1/3.
    assert_hits(chosen[:, :6].sum(axis=0), seeds, 2 / 6)
    sampler = ClassBalancedSampler([0] * 5 + [1], 10)
    passes = [tuple(order[order < 5]) for order in epochs_of(sampler, 30)]
    assert len(set(passes)) > 20
    assert all(sorted(each) == list(range(5)) for each in passes)


def test_order_within_an_epoch_is_shuffled():
    epochs = 3000
    labels = np.array([0, 0, 0, 1])
    first = np.array(
        [labels[order[0]] for order in epochs_of(ClassBalancedSampler(labels), epochs)]
    )
    assert_hits(np.bincount(first), epochs, 1 / 2)


@pytest.mark.parametrize("settings", SETTINGS)
def test_epoch_50_is_the_same_by_walking_and_at_once(settings):
    walked = ClassBalancedSampler(UNEVEN, 33, seed=4, **settings)
    orders = epochs_of(walked, 51)
    fresh = ClassBalancedSampler(UNEVEN, 33, seed=4, **settings)
    for epoch in (50, 3, 49, 50, 0):  # forward, back, on
        np.testing.assert_array_equal(fresh.indices(epoch), orders[epoch])


# ---- labels --------------------------------------------------------------------------------------


def test_unlabelled_are_excluded_and_counted():
    labels = np.array([-1, 3, -1, 3, 8, 3, -1])
    sampler = ClassBalancedSampler(labels)
    assert sampler.num_unlabeled == 3
    assert len(sampler) == 4
    np.testing.assert_array_equal(sampler.classes, [3, 8])
    np.testing.assert_array_equal(sampler.class_counts, [3, 1])
    counts = counts_of(sampler, 10)
    assert not counts[:, labels == -1].any()
    assert (counts[:, labels == 3].sum(axis=1) == 2).all()
    # The objective's N is the labelled samples.
    np.testing.assert_allclose(sampler.importance_weights([1, 4]), [1.5, 0.5])
    with pytest.raises(ValueError, match="indices must be draws of epoch 0, got 2 in row 1"):
        sampler.weights_for([1, 2])


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([7, 7, 10**15, -1, 7], [7, 10**15]),
        ([5, 5, 900_000, -1, 5], [5, 900_000]),
        (["cat", "cat", "axolotl", "", "cat"], ["", "axolotl", "cat"]),
        ([True, False, True, True, True], [False, True]),
        (np.array([0, 0, 255, 1, 0], np.uint8), [0, 1, 255]),
        (np.array([0, 0, 127, -1, 0], np.int8), [0, 127]),
        (np.array([0, 0, 2, 1, 0], np.uint64), [0, 1, 2]),
        (np.array([0.0, 0.0, 2.0, -1.0, 0.0]), [0, 2]),
        (torch.tensor([4, 4, 2, -1, 4]), [2, 4]),
    ],
)
def test_any_class_ids(labels, classes):
    sampler = ClassBalancedSampler(labels, 12 * len(classes))
    np.testing.assert_array_equal(sampler.classes, classes)
    given = np.asarray(labels)
    assert sampler.class_counts.tolist() == [np.count_nonzero(given == c) for c in classes]
    drawn = given[sampler.indices(0)]
    for each in classes:
        assert np.count_nonzero(drawn == each) == 12


def test_string_classes_take_a_target():
    labels = np.array(["b", "a", "a", "a"])
    with pytest.raises(ValueError, match="target must be a mapping where classes have names"):
        ClassBalancedSampler(labels, 8, target=[1, 3])
    sampler = ClassBalancedSampler(labels, 8, target={"a": 1, "b": 3})
    assert np.count_nonzero(labels[sampler.indices(0)] == "b") == 6


def test_one_class_is_a_plain_shuffle():
    sampler = ClassBalancedSampler(np.full(9, 4))
    for order in epochs_of(sampler, 5):
        assert sorted(order) == list(range(9))
    np.testing.assert_array_equal(sampler.importance_weights(np.arange(9)), 1)


def test_a_class_of_one_is_repeated():
    counts = counts_of(ClassBalancedSampler([0, 0, 0, 0, 0, 1]), 4)
    assert (counts[:, 5] == 3).all()
    assert list(ClassBalancedSampler([6])) == [0]


def test_the_callers_labels_may_change_afterwards():
    labels = UNEVEN.copy()
    sampler = ClassBalancedSampler(labels)
    labels[:] = 0
    np.testing.assert_array_equal(sampler.indices(2), ClassBalancedSampler(UNEVEN).indices(2))


def test_large_classes_are_dealt_without_a_list():
    """Above 65,536 samples a class's shuffle is computed by position; nothing else changes."""
    labels = np.repeat([0, 1], [70_000, 10])
    sampler = ClassBalancedSampler(labels, 60_000)
    used = np.cumsum(counts_of(sampler, 5), axis=0)
    for part in (used[:, :70_000], used[:, 70_000:]):
        assert (part.max(axis=1) - part.min(axis=1) <= 1).all()


# ---- gradients -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"power": 0.5}, {"target": [1, 2, 5]}])
def test_reduce_gives_the_gradient_of_the_objective(settings):
    """A linear model: "sampled" the mean over classes in their shares, "original" over samples."""
    labels = np.repeat([0, 1, 2], [12, 4, 1])
    x = torch.tensor(np.random.default_rng(1).normal(size=(17, 3)) + labels[:, None])
    y = torch.tensor(np.random.default_rng(2).normal(size=17))
    model = torch.nn.Parameter(torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64))

    def gradient(weights, rows):
        loss = (weights * (x[rows] @ model - y[rows]) ** 2).sum()
        return torch.autograd.grad(loss, model)[0].numpy()

    found = {}
    for objective in ("sampled", "original"):
        sampler = ClassBalancedSampler(labels, 10, seed=5, objective=objective, **settings)
        found[objective] = []
        for epoch in range(400):
            sampler.set_epoch(epoch)
            order = sampler.indices(epoch)
            losses = (x[order] @ model - y[order]) ** 2
            mean = sampler.reduce(losses, order)
            found[objective].append(torch.autograd.grad(mean, model)[0].numpy())
    everything = np.arange(17)
    shares = (sampler.shares(0) / sampler.class_counts)[labels]
    balanced = gradient(torch.tensor(shares), everything)
    full = gradient(torch.full((17,), 1 / 17), everything)
    assert_mean(found["sampled"], balanced)
    assert_mean(found["original"], full)
    assert np.abs(balanced - full).max() > 0.5  # the two could be told apart


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([], ValueError, "labels must not be empty, got length 0"),
        ([-1, -1], ValueError, "labels must label at least one sample, got -1 in all 2"),
        ([0, -2, -3], ValueError, r"labels must be >= 0, or -1 for .*, got -2 in row 1 \(2 such"),
        ([0, 1.5], ValueError, "labels must be class ids, got 1.5 in row 1"),
        ([0, np.inf], ValueError, "labels must be class ids, got inf in row 1"),
        ([None, np.nan], ValueError, "labels must label at least one sample, got -1 in all 2"),
        ([[0, 1]], ValueError, r"labels must have shape \(N,\), got \(1, 2\)"),
        (np.array([1, 2**63], np.uint64), ValueError, "labels must be < .*, got 92233.* in row 1"),
        ([0.0, 1e300], ValueError, r"labels must be .*, got 1e\+300 in row 1"),
        ([1, {}], TypeError, "labels must hold class ids .*, got {} of type dict in row 1"),
    ],
)
def test_refuses_labels(labels, error, message):
    with pytest.raises(error, match=message):
        ClassBalancedSampler(labels)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"num_samples": 0}, ValueError, r"num_samples must be in \[1, .*, got 0"),
        ({"power": np.nan}, ValueError, r"power must be in \[-1e6, 1e6\], got nan"),
        ({"power": "sqrt"}, TypeError, "power must be a number, got 'sqrt'"),
        ({"beta": 1.0}, ValueError, r"beta must be in \[0, 1\), got 1.0"),
        ({"beta": -0.1}, ValueError, r"beta must be in \[0, 1\), got -0.1"),
        (
            {"power": 0.5, "beta": 0.9},
            ValueError,
            "only one of power, beta and target .*beta.*power",
        ),
        ({"beta": 0.9, "target": [1, 1, 1]}, ValueError, "only one of power, beta and target"),
        ({"target": {0: 1, 1: 1}}, ValueError, r"target must name all classes, missing \[2\]"),
        ({"target": [1, 1]}, ValueError, "target must have the length of the classes, 3, got 2"),
        ({"target": [1, 1, 1, 1]}, ValueError, "the length of the classes, 3, got 4"),
        ({"target": {0: 1, 1: 1, 2: 1, "x": 1}}, ValueError, r"name classes of .*, got 'x'"),
        ({"target": {0: 1, 1: -1, 2: 1}}, ValueError, r"target\[1\] must be in \[0, inf\), got -1"),
        ({"target": {0: 1, 1: np.nan, 2: 1}}, ValueError, r"target\[1\] must be .*, got nan"),
        ({"target": [0, 0, 0]}, ValueError, "target must not all be 0"),
        ({"progressive_epochs": 0}, ValueError, "progressive_epochs must be >= 1, got 0"),
    ],
)
def test_refuses_settings(settings, error, message):
    with pytest.raises(error, match=message):
        ClassBalancedSampler(TAIL, **settings)


def test_one_progressive_epoch_is_natural():
    sampler = ClassBalancedSampler(TAIL, progressive_epochs=1)
    np.testing.assert_allclose(sampler.shares(0), np.array([500, 50, 5]) / 555)
