"""D4: the two stages by hand, exact budgets, and which stage dropped a row."""

import numpy as np
import pytest

from sampling.clustering import kmeans
from sampling.selection import d4, semdedup

RANDOM = np.random.default_rng(8)
BASE = RANDOM.normal(size=(90, 6))
ROWS = np.concatenate([BASE, BASE[:30] + 1e-3 * RANDOM.normal(size=(30, 6))])
N = len(ROWS)


def by_stages(budget, keep_rate, keep, already=()):
    """Both stages with plain loops over what `semdedup` and `kmeans` give."""
    candidates = N - len(already)
    count = min(candidates, max(budget, round(keep_rate * candidates + 1e-9)))
    left = sorted(semdedup(ROWS, count, clusters=2, already_selected=list(already)).indices)
    found = kmeans(ROWS[left], 4, spherical=True)
    order = sorted(
        range(len(left)), key=lambda i: found.distances[i] * (-1 if keep == "far" else 1)
    )
    return [int(left[i]) for i in order[:budget]], set(map(int, left))


@pytest.mark.parametrize("keep", ["far", "near"])
@pytest.mark.parametrize(("budget", "rate"), [(1, 0.75), (40, 0.75), (90, 0.75), (100, 0.6)])
@pytest.mark.parametrize("already", [(), (3, 95)])
def test_the_two_stages(keep, budget, rate, already):
    found = d4(
        ROWS, budget, dedup_keep=rate, keep=keep, dedup_clusters=2, clusters=4,
        already_selected=list(already),
    )  # fmt: skip
    expected, left = by_stages(budget, rate, keep, already)
    assert found.indices.tolist() == expected
    assert found.info["deduplicated"] == len(left)
    second = {"far": "too near to the center of its cluster", "near": "too far from its center"}
    for row in range(N):
        rule = found.explain(row).rule
        if row in already:
            assert rule == "already selected"
        elif row in expected:
            assert rule == "kept"
        else:
            assert rule == (second[keep] if row in left else "near copy of a row ranked before it")
            assert np.isnan(found.scores[row]) == (row not in left)
            assert (found.explain(row).rank is None) == (row not in left)


def test_ranked_unless_the_budget_decides_the_first_stage():
    whole = d4(ROWS, 90, clusters=4)
    assert np.array_equal(whole.head(20).indices, d4(ROWS, 20, clusters=4).indices)
    with pytest.raises(ValueError, match="head needs ranked picks"):
        d4(ROWS, 100, clusters=4).head(20)


def test_a_group_of_copies_gives_copies_too():
    groups = np.r_[np.zeros(90, int), np.ones(30, int)]
    found = d4(ROWS, 40, groups=groups, group_budgets={0: 20, 1: 20}, clusters=4)
    assert np.bincount(groups[found.indices]).tolist() == [20, 20]


def test_budgets_in_tokens():
    costs = RANDOM.integers(1, 9, N)
    found = d4(ROWS, 100, clusters=4, costs=costs)
    assert costs[found.indices].sum() == found.info["cost"] <= 100
    assert np.array_equal(found.indices, d4(ROWS, len(found), clusters=4).indices)


def test_clusters_are_of_the_second_stage():
    rows = np.eye(6)
    with pytest.raises(TypeError, match="clusters must be an int, .* give it as dedup_clusters"):
        d4(rows, 2, clusters=kmeans(rows, 2, spherical=True))


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"dedup_keep must be in \(0, 1\], got 0"):
        d4(ROWS, 9, dedup_keep=0)
    with pytest.raises(ValueError, match="keep must be one of 'far', 'near', got 'hard'"):
        d4(ROWS, 9, keep="hard")
    zero = ROWS.copy()
    zero[4] = 0
    with pytest.raises(ValueError, match=r"embeddings must be longer than 1e-12, got .* row 4"):
        d4(zero, 9)
    assert 4 not in d4(zero, 119, on_bad="drop").indices
