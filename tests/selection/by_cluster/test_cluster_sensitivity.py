"""Sensitivity sampling by clusters: unbiased, with bounds as scores."""

import numpy as np
import pytest

from sampling.clustering import kmeans
from sampling.selection import cluster_sensitivity, cluster_uniform

RANDOM = np.random.default_rng(13)
SIZES = [400, 60, 30, 10]
PLACE = np.repeat(np.arange(4), SIZES)
ROWS = (np.eye(4)[PLACE] * 50 + RANDOM.normal(size=(500, 4))).astype(np.float32)
CLUSTERS = kmeans(ROWS, 4, groups=PLACE)
LOSSES = np.array([0.5, 1.0, 2.0, 4.0])


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("constant", [0.01, 0.1, 10.0])
def test_sensitivity_is_unbiased_for_any_constant(replacement, constant):
    """Mean of 300 estimates of a sum within 5 standard errors: one false alarm in 10^6."""
    values = LOSSES[PLACE] + 0.1 * RANDOM.normal(size=500)
    estimates = []
    for seed in range(300):
        found = cluster_sensitivity(
            ROWS, 50, center_losses=LOSSES, clusters=CLUSTERS, holder_constant=constant,
            replacement=replacement, seed=seed,
        )  # fmt: skip
        estimates.append((found.weights * values[found.indices]).sum())
        assert len(found) == 50
        assert replacement or np.unique(found.indices).size == 50
    error = np.mean(estimates) - values.sum()
    assert abs(error) < 5 * np.std(estimates) / np.sqrt(300)


def test_sensitivity_scores_and_refusals():
    arguments = {"center_losses": LOSSES, "clusters": CLUSTERS}
    found = cluster_sensitivity(ROWS, 50, holder_constant=0.5, exponent=1.0, **arguments)
    expected = LOSSES[CLUSTERS.labels] + 0.5 * CLUSTERS.distances
    assert found.scores == pytest.approx(expected, rel=1e-5)
    with pytest.warns(UserWarning, match="holder_constant is 0"):
        cluster_sensitivity(ROWS, 50, holder_constant=0.0, **arguments)
    shifted = cluster_sensitivity(
        ROWS, 50, holder_constant=0.5, center_losses=LOSSES - 3, clusters=CLUSTERS
    )
    assert shifted.scores.min() >= 0
    with pytest.raises(ValueError, match="center_losses must have the length of the clusters, 4"):
        cluster_sensitivity(ROWS, 50, holder_constant=0.5, center_losses=[1.0], clusters=CLUSTERS)
    with pytest.raises(ValueError, match="clusters must be of all 500 rows, got 100"):
        cluster_uniform(ROWS, 5, clusters=kmeans(ROWS[:100], 3))
