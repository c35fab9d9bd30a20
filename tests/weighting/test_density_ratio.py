"""Weights under which source samples look like a target."""

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from sampling.weighting import density_ratio_weights

RANDOM = np.random.default_rng(2)
SOURCE = RANDOM.normal(size=(4000, 2))
TARGET = RANDOM.normal(size=(1500, 2)) + [1.0, 0.0]


def test_two_normal_distributions_have_the_ratio_of_their_densities():
    """w = exp(x - 1/2) exactly, with effective sample size N / e."""
    weighting = density_ratio_weights(SOURCE, TARGET, clip_quantile=1.0)
    weights = weighting.values.astype(np.float64)
    assert weights.mean() == pytest.approx(1.0, abs=1e-6)
    slope, intercept = np.polyfit(SOURCE[:, 0], np.log(weights), 1)
    assert slope == pytest.approx(1.0, abs=0.1)
    assert intercept == pytest.approx(-0.5, abs=0.1)
    assert weighting.effective_sample_size / 4000 == pytest.approx(np.exp(-1), rel=0.25)
    assert np.average(SOURCE[:, 0], weights=weights) == pytest.approx(1.0, abs=0.15)
    assert np.average(SOURCE[:, 1], weights=weights) == pytest.approx(0.0, abs=0.1)


def test_no_sample_is_weighted_by_a_model_that_saw_it():
    """A classifier that remembers its rows would give all source samples the least weight."""

    class Remembers:
        def fit(self, rows, labels):
            self.seen = {tuple(row) for row, label in zip(rows, labels, strict=True) if label == 0}
            assert 0 < len(self.seen) < 4000

        def predict_proba(self, rows):
            chances = np.array([0.01 if tuple(row) in self.seen else 0.5 for row in rows])
            return np.stack([1 - chances, chances], axis=1)

    given = Remembers()
    weighting = density_ratio_weights(SOURCE, TARGET, classifier=given)
    assert weighting.values == pytest.approx(1.0)
    assert not hasattr(given, "seen")  # copies were trained


def test_a_target_that_is_the_source_changes_nothing():
    values = density_ratio_weights(SOURCE[:500], SOURCE[:500]).values
    assert values == pytest.approx(1.0, abs=0.35)


def test_power_flattens_and_the_quantile_limits():
    plain = density_ratio_weights(SOURCE, TARGET, clip_quantile=1.0)
    flat = density_ratio_weights(SOURCE, TARGET, clip_quantile=1.0, power=0.5)
    limited = density_ratio_weights(SOURCE, TARGET, clip_quantile=0.5)
    assert flat.effective_sample_size > plain.effective_sample_size
    assert np.count_nonzero(limited.values == limited.values.max()) >= 2000


def test_few_samples_with_all_of_the_weight_warn():
    source = np.concatenate([SOURCE, RANDOM.normal(size=(20, 2)) + [9.0, 0.0]])
    target = RANDOM.normal(size=(100, 2)) + [9.0, 0.0]
    with pytest.warns(UserWarning, match=r"an effective sample size of \S+ of 4020"):
        density_ratio_weights(source, target)


def test_no_overlap_warns_although_all_weights_are_alike():
    target = RANDOM.normal(size=(100, 2)) + [300.0, 0.0]
    with pytest.warns(UserWarning, match="density ratio a mean of .* instead of 1"):
        density_ratio_weights(SOURCE, target)


def test_a_classifier_that_is_too_sure_of_itself_is_named_as_the_reason():
    with pytest.warns(UserWarning, match="hardly overlap.*; or the classifier is too sure"):
        density_ratio_weights(SOURCE, TARGET, classifier=DecisionTreeClassifier(random_state=0))


def test_bad_arguments():
    with pytest.raises(ValueError, match="source must have at least 20 rows, got 19"):
        density_ratio_weights(SOURCE[:19], TARGET)
    with pytest.raises(ValueError, match="target must have at least 20 rows, got 3"):
        density_ratio_weights(SOURCE, TARGET[:3])
    with pytest.raises(ValueError, match="target must have the dimensions of source, 2, got 1"):
        density_ratio_weights(SOURCE, TARGET[:, :1])
    with pytest.raises(TypeError, match="classifier must have the methods fit and .*, got int"):
        density_ratio_weights(SOURCE, TARGET, classifier=3)
    broken = SOURCE.copy()
    broken[7, 1] = np.nan
    with pytest.raises(ValueError, match="source must be finite, got nan in row 7"):
        density_ratio_weights(broken, TARGET)
    with pytest.raises(ValueError, match=r"num_folds must be in \[2, 4001\), got 1"):
        density_ratio_weights(SOURCE, TARGET, num_folds=1)
