import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from sampling.errors import MissingExtraError
from sampling.scores import label_issues, label_quality
from sampling.selection import bottom

PROBS = np.array([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4], [0.1, 0.9]])
LABELS = np.array([0, 1, 1, 0])


@pytest.fixture(scope="module")
def digits():
    """Labels of which one in ten is wrong, which those are, and probabilities without them."""
    rng = np.random.default_rng(0)
    inputs, labels = load_digits(return_X_y=True)
    flipped = rng.random(len(labels)) < 0.1
    labels = np.where(flipped, (labels + rng.integers(1, 10, len(labels))) % 10, labels)
    model = KNeighborsClassifier(15)
    return labels, flipped, cross_val_predict(model, inputs, labels, method="predict_proba", cv=3)


@pytest.mark.parametrize("method", ["self_confidence", "normalized_margin"])
def test_flipped_labels_of_digits_are_the_lowest(digits, method):
    labels, flipped, probs = digits
    score = label_quality(labels, probs, method=method)
    assert (score.name, score.higher_is) == (f"label quality by {method}", "keep")
    assert roc_auc_score(~flipped, score.values) > 0.98  # 0.997 and more, over four seeds
    assert flipped[bottom(score, 100).indices].mean() > 0.9


def test_flipped_labels_of_digits_are_found(digits):
    labels, flipped, probs = digits
    found = label_issues(labels, probs)
    assert found.dtype == np.bool_
    # 0.85 to 0.90 and 0.82 to 0.91, over four seeds
    assert (found & flipped).sum() > 0.8 * flipped.sum()
    assert (found & flipped).sum() > 0.75 * found.sum()
    fewer = label_issues(labels, probs, frac_noise=0.5)
    assert fewer.sum() < 0.7 * found.sum()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_quality_by_the_formulas(dtype):
    probs = PROBS.astype(dtype)
    close = {"atol": 1e-3 if dtype == np.float16 else 1e-7}
    own = label_quality(LABELS, probs)
    assert own.values.dtype == np.float64
    np.testing.assert_allclose(own.values, [0.7, 0.8, 0.4, 0.1], **close)
    margin = label_quality(LABELS, probs, method="normalized_margin")
    np.testing.assert_allclose(margin.values, [0.7, 0.8, 0.4, 0.1], **close)  # (p - q + 1) / 2


def test_every_rule_runs_and_says_bool():
    probs = np.tile(PROBS[:2], (10, 1))
    labels = np.array([0, 1] * 10)
    labels[4] = 1
    rules = ["prune_by_noise_rate", "prune_by_class", "both", "confident_learning"]
    rules += ["predicted_neq_given", "low_normalized_margin", "low_self_confidence"]
    for rule in rules:
        found = label_issues(torch.from_numpy(labels), torch.from_numpy(probs), filter_by=rule)
        assert found.dtype == np.bool_
        assert np.flatnonzero(found).tolist() == [4], rule


def test_probabilities_of_training_samples_are_warned_about():
    sure = np.tile([[0.995, 0.005], [0.005, 0.995]], (5, 1))
    for score in (label_quality, label_issues):
        with pytest.warns(UserWarning, match="pred_probs give the labels 0.995 on average"):
            score([0, 1] * 5, sure)


@pytest.mark.parametrize("score", [label_quality, label_issues])
@pytest.mark.parametrize(
    ("labels", "probs", "message"),
    [
        (LABELS, PROBS * [[1], [1], [2], [2]], r"sum to 1 in each row, got 2 in row 2 \(2 such"),
        (LABELS, PROBS * [[1], [np.nan], [1], [1]], "sum to 1 in each row, got nan in row 1"),
        (LABELS, [*PROBS[:3], [1.5, -0.5]], "pred_probs must be >= 0, got -0.5 in row 3"),
        ([0, 1, 2, 0], PROBS, r"labels must be in \[0, 2\), got 2 in row 2"),
        ([0, -1, 1, 0], PROBS, r"labels must be in \[0, 2\), got -1 in row 1"),
        ([0, 1, 1], PROBS, "labels must have the length of pred_probs, 4, got 3"),
        (LABELS, PROBS[None], r"pred_probs must have shape \(N, C\).*got \(1, 4, 2\)"),
        (LABELS, PROBS[:, :1] * 2, r"pred_probs must be in \[0, 1\], got 1.4 in row 0"),
    ],
)
def test_bad_inputs_are_refused(score, labels, probs, message):
    with pytest.raises(ValueError, match=message):
        score(labels, probs)


def test_bad_arguments_are_refused():
    with pytest.raises(TypeError, match="pred_probs must hold floats, got dtype int64"):
        label_quality(LABELS, PROBS.round().astype(np.int64))
    with pytest.raises(ValueError, match="method must be one of 'self_confidence', .*got 'own'"):
        label_quality(LABELS, PROBS, method="own")
    with pytest.raises(ValueError, match="adjust_pred_probs must be False for method='conf"):
        label_quality(LABELS, PROBS, method="confidence_weighted_entropy", adjust_pred_probs=True)
    with pytest.raises(ValueError, match="filter_by must be one of .*got 'all'"):
        label_issues(LABELS, PROBS, filter_by="all")
    with pytest.raises(ValueError, match=r"frac_noise must be in \(0, 1\], got 0"):
        label_issues(LABELS, PROBS, frac_noise=0)
    with pytest.raises(ValueError, match="frac_noise must be 1 for filter_by='confident_learning'"):
        label_issues(LABELS, PROBS, filter_by="confident_learning", frac_noise=0.5)


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cleanlab.rank", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sampling\[cleanlab\]'"):
        label_quality(LABELS, PROBS)
