"""kMQ: allocations, draws by quality, and the weights of clusters."""

import numpy as np
import pytest

from sampling.clustering import kmeans
from sampling.selection import kmq, reweight_clusters

RANDOM = np.random.default_rng(13)
SIZES = [400, 60, 30, 10]
PLACE = np.repeat(np.arange(4), SIZES)
ROWS = (np.eye(4)[PLACE] * 50 + RANDOM.normal(size=(500, 4))).astype(np.float32)
CLUSTERS = kmeans(ROWS, 4, groups=PLACE)
ONE = kmeans(ROWS, 1)
QUALITY = RANDOM.normal(size=500)


def counts(found):
    return np.bincount(PLACE[found.indices], minlength=4).tolist()


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
