import json

import numpy as np
import oracle_pairs as oracles
import pandas as pd
import pytest
from batch_helpers import check_fingerprints, check_loader, each_check, of_epoch

from sampling.samplers import (
    ClassPairBatchSampler,
    load_state,
    save_state,
    selmix_pairs,
)

N = 103
RANDOM = np.random.default_rng(0)
LABELS = RANDOM.choice(4, N, p=[0.5, 0.3, 0.15, 0.05])
SHARES = np.array([[0, 3, 1, 2], [4, 0, 0, 1], [1, 1, 2, 0], [0, 0, 0, 5]])

FACTORIES = {
    "shares": lambda **o: ClassPairBatchSampler(LABELS, SHARES, 10, **o),
    "short epochs": lambda **o: ClassPairBatchSampler(LABELS, SHARES, 5, 48, **o),
    "whole batches only": lambda **o: ClassPairBatchSampler(
        LABELS, SHARES, 10, drop_last=True, **o
    ),
}
each_factory = pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)


@each_factory
@each_check
def test_contract(factory, check):
    check(factory)


@pytest.mark.slow
def test_loader():
    check_loader(FACTORIES["shares"], N)


def test_other_arguments_are_another_sampler():
    check_fingerprints(
        lambda: ClassPairBatchSampler(LABELS, SHARES, 10),
        lambda: ClassPairBatchSampler(LABELS[::-1], SHARES, 10),
        lambda: ClassPairBatchSampler(LABELS, SHARES.T, 10),
        lambda: ClassPairBatchSampler(LABELS, SHARES, 11),
        lambda: ClassPairBatchSampler(LABELS, SHARES, 10, 50),
        lambda: ClassPairBatchSampler(LABELS, SHARES, 10, drop_last=True),
        lambda: ClassPairBatchSampler(LABELS, SHARES, 10, seed=1),
    )


def pairs_of(batches, epoch=0):
    found = [np.array(batch).reshape(2, -1) for batch in of_epoch(lambda: batches, epoch)]
    return np.concatenate(found, axis=1)


def test_every_class_pair_has_its_share_in_every_epoch():
    batches = ClassPairBatchSampler(LABELS, SHARES, 10, 90)
    wanted = SHARES / SHARES.sum() * 90
    total = np.zeros((4, 4))
    for epoch in range(200):
        counts = np.zeros((4, 4))
        np.add.at(counts, tuple(LABELS[pairs_of(batches, epoch)]), 1)
        assert (np.abs(counts - wanted) < 1).all()
        total += counts
    # rounding is fair: each count has a deviation below 1/2 an epoch
    assert (np.abs(total / 200 - wanted) < 6 * 0.5 / np.sqrt(200)).all()


def test_samples_of_a_class_are_drawn_evenly_in_each_role():
    batches = ClassPairBatchSampler(LABELS, SHARES, 10, 500)
    for role in pairs_of(batches):
        counts = np.bincount(role, minlength=N)
        for each in range(4):
            mine = counts[LABELS == each]
            assert mine.max() - mine.min() <= 1
    expected = batches.sampler.expected()
    shares = SHARES / SHARES.sum()
    per_class = 500 * (shares.sum(axis=0) + shares.sum(axis=1)) / np.bincount(LABELS)
    np.testing.assert_allclose(expected, per_class[LABELS])


def test_classes_without_samples_are_ignored():
    labels = np.array([0, 0, 3, 3, 3])  # of five classes
    batches = ClassPairBatchSampler(labels, np.ones((5, 5)), 4, 40)
    counts = np.zeros((4, 4))
    np.add.at(counts, tuple(labels[pairs_of(batches)]), 1)
    assert counts[np.ix_([0, 3], [0, 3])].tolist() == [[10, 10], [10, 10]]
    words = ClassPairBatchSampler(["b", "a", "b"], [[0, 1], [0, 0]], 2)
    assert all(batch[0] == 1 for batch in of_epoch(lambda: words))


def test_new_shares_are_used_from_the_next_epoch(tmp_path):
    batches = FACTORIES["shares"]()
    batches.set_epoch(0)
    first = list(batches)
    batches.set_class_pairs(np.diag([1, 0, 0, 0]))
    assert batches.batches(0) == first
    batches.set_epoch(1)
    second = batches.batches(1)
    assert (LABELS[np.concatenate(second)] == 0).all()
    iterator = iter(batches)
    next(iterator)
    save_state(batches, tmp_path / "state", consumed=20)
    fresh = FACTORIES["shares"]()
    load_state(fresh, tmp_path / "state")
    assert list(fresh) == second[1:]
    with pytest.raises(ValueError, match="class_pairs must not all be 0"):
        batches.set_class_pairs(np.zeros((4, 4)))
    other = FACTORIES["shares"]()
    other.set_class_pairs(np.diag([0, 1, 0, 0]))
    other.load_state_dict(json.loads(json.dumps(FACTORIES["shares"]().state_dict())))


def test_wrong_arguments():
    for arguments, message in (
        ((LABELS, SHARES, 0), "pairs_per_batch must be"),
        ((LABELS, SHARES, 3, 0), "num_pairs must be"),
        ((LABELS, SHARES[:3], 3), r"class_pairs must have shape \(4, 4\)"),
        ((["a", "b"], SHARES, 3), r"class_pairs must have shape \(2, 2\)"),
        ((LABELS, -SHARES, 3), "class_pairs must be finite and >= 0, got -3 in row 0, column 1"),
        ((LABELS, SHARES * np.nan, 3), "class_pairs must be finite and >= 0, got nan in row 0"),
        ((LABELS, 0 * SHARES, 3), "class_pairs must not all be 0"),
        ((LABELS, SHARES[0], 3), "class_pairs must have shape"),
    ):
        with pytest.raises(ValueError, match=message):
            ClassPairBatchSampler(*arguments)


# ---- SelMix --------------------------------------------------------------------------------------


def test_gains_are_the_change_by_a_small_step():
    """Card 4.4: finite differences of the metric over one gradient step, for every pair."""
    random = np.random.default_rng(3)
    classes, width = 4, 6
    features, layer = random.normal(size=(2, classes, width))
    logits = random.normal(size=(classes, classes))
    confusion = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    recalls = np.diag(confusion)
    soft = np.exp(-50 * recalls)
    for metric, slopes in (
        ("mean_recall", np.eye(classes)),
        ("min_recall", np.diag(classes * soft / soft.sum())),
    ):
        gains = np.array(
            [
                [
                    oracles.gain_by_a_step(slopes, logits, features, layer, 0.8, i, j)
                    for j in range(classes)
                ]
                for i in range(classes)
            ]
        )
        wanted = np.where(gains > 0, np.exp(gains / 0.1), 0)
        found = selmix_pairs(37 * confusion, features, layer, metric=metric)
        np.testing.assert_allclose(found, wanted / wanted.sum(), rtol=1e-4, atol=1e-12)
        assert found.sum() == pytest.approx(1)


def test_coverage_adds_to_the_objective_of_classes_that_are_predicted_too_rarely():
    random = np.random.default_rng(3)
    features, layer = random.normal(size=(2, 3, 5))
    confusion = np.array([[0.8, 0.15, 0.05], [0.5, 0.45, 0.05], [0.6, 0.2, 0.2]])
    logits = np.log(confusion)
    gaps = confusion.mean(axis=0) - 0.95 / 3
    multipliers = np.maximum(0, 10 * (1 - np.exp(gaps / 0.1)))
    assert (multipliers > 0).tolist() == [False, True, True]
    slopes = (np.eye(3) + multipliers) / (1 + multipliers.max())
    gains = np.array(
        [
            [oracles.gain_by_a_step(slopes, logits, features, layer, 0.75, i, j) for j in range(3)]
            for i in range(3)
        ]
    )
    wanted = np.where(gains > 0, np.exp(gains / 0.2), 0)
    found = selmix_pairs(confusion, features, layer, coverage=0.95, temperature=0.2, lambda_min=0.5)
    np.testing.assert_allclose(found, wanted / wanted.sum(), rtol=1e-4, atol=1e-12)


def test_a_bias_shifts_the_logits():
    features, layer = np.random.default_rng(7).normal(size=(2, 2, 4))
    confusion, bias = np.array([[0.6, 0.4], [0.3, 0.7]]), np.array([0.8, -0.5])
    gains = np.array(
        [
            [
                oracles.gain_by_a_step(
                    np.eye(2), np.log(confusion), features, layer, 0.8, i, j, bias
                )
                for j in range(2)
            ]
            for i in range(2)
        ]
    )
    wanted = np.where(gains > 0, np.exp(gains / 0.1), 0)
    found = selmix_pairs(confusion, features, layer, bias)
    np.testing.assert_allclose(found, wanted / wanted.sum(), rtol=1e-4, atol=1e-12)
    assert not np.allclose(found, selmix_pairs(confusion, features, layer))


def test_nothing_to_improve():
    with pytest.warns(UserWarning, match="no pair with a gain"):
        found = selmix_pairs(np.eye(3), np.eye(3), np.eye(3))
    np.testing.assert_array_equal(found, np.full((3, 3), 1 / 9))


def test_large_gains_do_not_overflow():
    found = selmix_pairs([[5, 5], [5, 5]], 1e4 * np.eye(2), 1e-4 * np.eye(2))
    assert np.isfinite(found).all()
    assert found.sum() == pytest.approx(1)


def test_wrong_arguments_of_selmix():
    square, other = np.eye(3), np.ones((3, 2))
    for arguments, options, message in (
        ((np.ones((2, 3)), square, square), {}, r"confusion must have shape \(C, C\)"),
        ((-square, square, square), {}, "confusion must be >= 0"),
        ((np.diag([1, 0, 1]), square, square), {}, "got none in row 1"),
        ((square, square[:2], square), {}, "prototypes must have the length of confusion, 3"),
        ((square, square * np.nan, square), {}, "prototypes must be finite, got nan in row 0"),
        ((square, other, square), {}, "weight must have the shape of prototypes"),
        ((square, square, square, [1.0]), {}, "bias must have the length of confusion"),
        ((square, square, square), {"metric": "recall"}, "metric must be one of"),
        ((square, square, square), {"temperature": 0}, "temperature must be"),
        ((square, square, square), {"lambda_min": 2}, "lambda_min must be"),
        ((square, square, square), {"coverage": 2}, "coverage must be"),
    ):
        with pytest.raises(ValueError, match=message):
            selmix_pairs(*arguments, **options)


def test_a_frame_is_taken_by_its_names():
    labels, names = np.array(["red", "rose", "white"] * 9), ["white", "red", "rose"]
    frame = pd.DataFrame([[0, 1, 0], [0, 0, 0], [0, 0, 0]], index=names, columns=names)
    first, second = np.array(next(iter(ClassPairBatchSampler(labels, frame, 6)))).reshape(2, -1)
    assert set(labels[first]) == {"white"}
    assert set(labels[second]) == {"red"}
