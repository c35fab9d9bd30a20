"""Metrics, against scikit-learn's."""

import warnings

import numpy as np
import pytest
import torch
from sklearn import metrics

from sampling.bench.tasks._metric import METRICS, metric_of, per_class

RANDOM = np.random.RandomState(0)  # noqa: NPY002
CLASSES = RANDOM.randint(0, 4, 50)
CASES = {  # predicted, targets
    "all": (RANDOM.randint(0, 4, 50), CLASSES),
    "a class in neither": (np.array([0, 3, 3, 1, 0]), np.array([0, 3, 1, 1, 0])),
    "a class never predicted": (np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])),
    "a class only predicted": (np.array([0, 5, 1, 1]), np.array([0, 2, 1, 1])),
    "all wrong": (np.array([1, 0]), np.array([0, 1])),
}
THEIRS = {
    "accuracy": metrics.accuracy_score,
    "balanced accuracy": metrics.balanced_accuracy_score,
    "macro F1": lambda targets, found: metrics.f1_score(
        targets, found, average="macro", zero_division=0
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", THEIRS)
def test_metrics_of_classes(name, case):
    found, targets = CASES[case]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are only predicted
        wanted = THEIRS[name](targets, found)
    assert METRICS[name].value(found, targets) == pytest.approx(wanted)


def test_the_accuracy_of_a_class_without_samples_is_nan():
    found = per_class(np.array([0, 3, 0]), np.array([0, 2, 2]))
    np.testing.assert_array_equal(found, [1.0, np.nan, 0.0])


@pytest.mark.parametrize("columns", [None, 1, 3])
def test_r2_is_the_mean_over_targets(columns):
    shape = (40,) if columns is None else (40, columns)
    scale = 1.0 if columns is None else 10.0 ** np.arange(columns)
    targets = (5 + scale * RANDOM.normal(size=shape)).astype(np.float32)
    outputs = torch.from_numpy(targets + 0.5 * RANDOM.normal(size=shape).astype(np.float32))
    metric = METRICS["R2"]
    found = metric.outcome(outputs.reshape(40, -1), torch.from_numpy(targets))
    assert found.shape == targets.shape
    wanted = metrics.r2_score(targets, outputs.numpy())
    assert metric.value(found.numpy(), targets) == pytest.approx(wanted, rel=1e-5)


def test_log_loss_is_in_nats_and_lower_is_better():
    logits = torch.from_numpy(3 * RANDOM.normal(size=(50, 4)))
    metric = metric_of("cross-entropy")
    assert metric is METRICS["log-loss"]
    assert (metric.higher_is_better, metric.factor) == (False, 1.0)
    found = metric.outcome(logits.half(), torch.from_numpy(CLASSES).long())
    wanted = metrics.log_loss(CLASSES, logits.softmax(1).numpy(), labels=range(4))
    assert metric.value(found.numpy(), CLASSES) == pytest.approx(wanted, rel=1e-3)
