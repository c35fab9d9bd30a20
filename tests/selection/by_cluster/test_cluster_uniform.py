"""`cluster_uniform` flattens the distribution."""

import numpy as np
import pytest

from sampling.clustering import kmeans
from sampling.selection import cluster_uniform

RANDOM = np.random.default_rng(13)
SIZES = [400, 60, 30, 10]
PLACE = np.repeat(np.arange(4), SIZES)
ROWS = (np.eye(4)[PLACE] * 50 + RANDOM.normal(size=(500, 4))).astype(np.float32)
CLUSTERS = kmeans(ROWS, 4, groups=PLACE)


def counts(found):
    return np.bincount(PLACE[found.indices], minlength=4).tolist()


def test_cluster_uniform_flattens():
    found = cluster_uniform(ROWS, 100, clusters=CLUSTERS)
    assert counts(found) == [30, 30, 30, 10]
    assert found.weights.sum() == pytest.approx(500)
    few = cluster_uniform(ROWS, 2, clusters=CLUSTERS)
    assert sorted(counts(few)) == [0, 0, 1, 1]
    seen = {tuple(counts(cluster_uniform(ROWS, 1, clusters=CLUSTERS, seed=s))) for s in range(40)}
    assert len(seen) == 4  # not the first clusters always: misses one once in 10^5 seeds
