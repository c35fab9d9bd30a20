"""A tree of clusters, whose branches share the budget evenly."""

import numpy as np
import pytest

from sampling.clustering import kmeans
from sampling.selection import cluster_hierarchy, cluster_uniform
from sampling.selection.by_cluster._cluster_hierarchy import _tree

RANDOM = np.random.default_rng(2)
# Three concepts: one with 8 parts of 20 rows, one with 2 parts of 10 rows, one with a part of 3.
PARTS = np.repeat(np.arange(11), [20] * 8 + [10] * 2 + [3])
CONCEPT = np.repeat([0, 1, 2], [160, 20, 3])
PLACES = np.concatenate([np.arange(8) * 8, 1000 + np.arange(2) * 8, [2000]])
ROWS = (PLACES[PARTS] + RANDOM.normal(size=183))[:, None].astype(np.float32)


def concepts(found):
    return np.bincount(CONCEPT[found.indices], minlength=3).tolist()


def shared_by_units(capacities, total):
    """One row to each branch in turn, until none is left: the counts without the remainder."""
    given = [0] * len(capacities)
    while True:
        room = [i for i, most in enumerate(capacities) if given[i] < most]
        if not room or total < len(room):
            return given, total, room
        for i in room:
            given[i] += 1
        total -= len(room)


def test_branches_share_evenly_up_to_their_rows():
    found = cluster_hierarchy(ROWS, 33, num_clusters=[60, 3])
    assert found.info["clusters"] == [60, 3]
    assert concepts(found) == [15, 15, 3]
    flat = concepts(cluster_uniform(ROWS, 33, clusters=kmeans(ROWS, 60)))
    assert flat[0] > 20  # the concept with most clusters


@pytest.mark.parametrize("budget", [1, 7, 40, 100, 183])
def test_every_node_is_filled_in_turn(budget):
    """By the definition, on the tree that was found: only remainders are random."""
    found = cluster_hierarchy(ROWS, budget, num_clusters=[40, 9, 3], seed=4)
    tree = _tree(ROWS, [40, 9, 3], 0, 10, {"seed": 4})
    kept = np.bincount(tree.labels[found.indices], minlength=tree.levels[0])
    sizes = np.bincount(tree.labels, minlength=tree.levels[0])
    levels = [(kept, sizes)]
    for above in tree.parents:
        levels.append(tuple(np.bincount(above, each).astype(int) for each in levels[-1]))
    nodes = [np.zeros(tree.levels[-1], int), *tree.parents[::-1]]
    totals = [[budget], *(own for own, _ in levels[:0:-1])]
    for (own, most), above, total in zip(levels[::-1], nodes, totals, strict=True):
        assert (own <= most).all()
        for node, count in enumerate(total):
            members = np.flatnonzero(above == node)
            base, rest, room = shared_by_units(most[members].tolist(), int(count))
            extra = own[members] - base
            assert set(extra.tolist()) <= {0, 1}
            assert extra.sum() == rest
            assert set(np.flatnonzero(extra).tolist()) <= set(room)
    np.testing.assert_allclose(
        found.weights, (sizes / np.maximum(kept, 1))[tree.labels[found.indices]]
    )


def test_the_remainder_is_random():
    seen = {
        tuple(concepts(cluster_hierarchy(ROWS, 1, num_clusters=[11, 3], seed=s))) for s in range(30)
    }
    assert len(seen) == 3


def test_the_nearest_rows_of_a_cluster():
    rows = np.array([[0.0], [1.0], [2.0], [4.0], [4.0], [13.0]])  # center 4
    found = cluster_hierarchy(rows, 3, num_clusters=[1], keep="nearest")
    assert set(found.indices.tolist()) == {3, 4, 2}
    ties = {
        tuple(cluster_hierarchy(rows, 1, num_clusters=[1], keep="nearest", seed=s).indices.tolist())
        for s in range(20)
    }
    assert ties == {(3,), (4,)}  # by a hash, not by the row


def test_resampling_spreads_the_centers():
    """Dense and sparse rows: without it most centers are among the dense ones."""
    dense = RANDOM.normal(size=3000) * 0.5
    rows = np.concatenate([dense, RANDOM.uniform(-20, 20, 200)])[:, None].astype(np.float32)
    plain = _tree(rows, [20], 0, 3, {})
    moved = _tree(rows, [20], 10, 3, {})

    def inner(tree):
        means = [rows[tree.labels == each].mean() for each in range(tree.levels[0])]
        return (np.abs(means) < 1.5).mean()

    assert inner(moved) < inner(plain)
    assert np.bincount(moved.labels).min() >= 1


def test_groups_bad_rows_copies_and_one_row():
    groups = np.arange(183) % 2
    found = cluster_hierarchy(ROWS, 40, num_clusters=[20, 3], groups=groups)
    assert np.bincount(groups[found.indices]).tolist() == [20, 20]
    broken = ROWS.copy()
    broken[5] = np.nan
    with pytest.raises(ValueError, match="embeddings must be finite, got nan in row 5"):
        cluster_hierarchy(broken, 9)
    found = cluster_hierarchy(broken, 182, num_clusters=[20, 3], on_bad="drop")
    assert 5 not in found.indices
    copies = cluster_hierarchy(np.ones((30, 2)), 7, num_clusters=[9, 3], resampling_steps=2)
    assert len(copies) == 7
    assert copies.info["clusters"] == [1, 1]
    assert cluster_hierarchy([[3.0, 1.0]], 1).indices.tolist() == [0]
    for factor in (1e-30, 1e30):
        assert concepts(cluster_hierarchy(ROWS * factor, 33, num_clusters=[60, 3])) == [15, 15, 3]


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"num_clusters must .* descend .*, got \[3, 60\]"):
        cluster_hierarchy(ROWS, 9, num_clusters=[3, 60])
    with pytest.raises(ValueError, match=r"num_clusters must be at least one number.*, got \[\]"):
        cluster_hierarchy(ROWS, 9, num_clusters=[])
    with pytest.raises(ValueError, match="num_clusters must be >= 1, got 0"):
        cluster_hierarchy(ROWS, 9, num_clusters=[3, 0])
    with pytest.raises(ValueError, match="resampling_steps must be >= 0, got -1"):
        cluster_hierarchy(ROWS, 9, resampling_steps=-1)
