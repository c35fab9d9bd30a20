"""Selectors by cluster: prototypes, cluster_uniform, kMQ, sensitivity."""

import numpy as np
import pytest

from sampling.clustering import kmeans
from sampling.selection import (
    cluster_sensitivity,
    cluster_uniform,
    kmq,
    prototypes,
    reweight_clusters,
)

RANDOM = np.random.default_rng(13)
SIZES = [400, 60, 30, 10]
PLACE = np.repeat(np.arange(4), SIZES)
ROWS = (np.eye(4)[PLACE] * 50 + RANDOM.normal(size=(500, 4))).astype(np.float32)
CLUSTERS = kmeans(ROWS, 4, groups=PLACE)
ONE = kmeans(ROWS, 1)
QUALITY = RANDOM.normal(size=500)


def counts(found):
    return np.bincount(PLACE[found.indices], minlength=4).tolist()


def test_prototypes_keep_the_far_or_the_near():
    rows = np.stack([np.cos(np.linspace(-1, 1, 101)), np.sin(np.linspace(-1, 1, 101))], axis=1)
    near = prototypes(rows, 21, keep="near", clusters=1)
    assert sorted(near.indices) == list(range(40, 61))
    far = prototypes(rows, 2, clusters=1)
    assert sorted(far.indices) == [0, 100]
    with pytest.raises(ValueError, match="embeddings must be longer than 1e-12, got a zero vector"):
        prototypes(np.zeros((3, 2)), 1)


def test_cluster_uniform_flattens():
    found = cluster_uniform(ROWS, 100, clusters=CLUSTERS)
    assert counts(found) == [30, 30, 30, 10]
    assert found.weights.sum() == pytest.approx(500)
    few = cluster_uniform(ROWS, 2, clusters=CLUSTERS)
    assert sorted(counts(few)) == [0, 0, 1, 1]
    seen = {tuple(counts(cluster_uniform(ROWS, 1, clusters=CLUSTERS, seed=s))) for s in range(40)}
    assert len(seen) == 4  # not the first clusters always: misses one once in 10^5 seeds


def test_kmq_allocations():
    arguments = {"quality": QUALITY, "clusters": CLUSTERS}
    assert counts(kmq(ROWS, 100, **arguments)) == [30, 30, 30, 10]
    assert counts(kmq(ROWS, 100, allocation="proportional", **arguments)) == [80, 12, 6, 2]
    assert sum(counts(kmq(ROWS, 100, allocation="sqrt", **arguments))) == 100
    assert len(kmq(ROWS, 3, **arguments)) == 3  # M < K: the released code keeps nothing
    weighted = kmq(ROWS, 20, cluster_weights=[0.0, 1.0, 1.0, 2.0], **arguments)
    assert counts(weighted) == [0, 5, 5, 10]
    more = kmq(ROWS, 120, cluster_weights=[0.0, 1.0, 1.0, 2.0], **arguments)
    assert sum(counts(more)) == 120  # what weight 0 must give once the others are used up


def test_kmq_draws_by_quality():
    """Softmax of large qualities does not overflow; linear draws in proportion: 5 sd."""
    huge = kmq(ROWS, 4, quality=1e5 * QUALITY, clusters=CLUSTERS)
    best = [int(np.flatnonzero(PLACE == c)[np.argmax(QUALITY[PLACE == c])]) for c in range(4)]
    assert sorted(huge.indices) == sorted(best)
    quality = np.where(np.arange(500) % 2, 3.0, 1.0)
    drawn = [kmq(ROWS, 1, quality=quality, weighting="linear", clusters=ONE, seed=s).indices[0] % 2
             for s in range(2000)]  # fmt: skip
    assert abs(np.mean(drawn) - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 2000)
    with pytest.raises(ValueError, match="quality must be >= 0 if linear, got"):
        kmq(ROWS, 5, quality=QUALITY, weighting="linear")


def test_clusters_without_a_row_keep_their_weight():
    """The released group-by leaves them out, and the ids after them shift."""
    weights = reweight_clusters([0.1, 0.2, 0.3], [1.0, 3.0], [2, 2], rate=0.25)
    assert weights == pytest.approx([0.1, 0.2, 0.25 * 2 + 0.75 * 0.3])
    with pytest.raises(ValueError, match=r"clusters must be in \[0, 3\), got 3 in row 0"):
        reweight_clusters([0.0, 0.0, 0.0], [1.0], [3])


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
