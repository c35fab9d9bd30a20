"""Facility location: lazy, naive and by definition; on all pairs, in little memory, on a graph."""

import numpy as np
import oracle_geometry as oracles
import pytest

from sampling.selection import facility_location

RANDOM = np.random.default_rng(11)
ROWS = (RANDOM.normal(size=(6, 8))[RANDOM.integers(0, 6, 400)] * 2
        + RANDOM.normal(size=(400, 8))).astype(np.float32)  # fmt: skip
EITHER = pytest.mark.parametrize("metric", ["cosine", "euclidean"])


def covered(rows, picks, metric):
    return oracles.similarity(rows, metric)[:, picks].max(axis=1).sum()


@EITHER
@pytest.mark.parametrize("optimizer", ["lazy", "naive"])
@pytest.mark.parametrize("max_memory", [2**30, 3 * 2**24 + 2**19, 1])  # all pairs, a list, blocks
def test_the_picks_of_the_definition(metric, optimizer, max_memory):
    found = facility_location(ROWS, 60, metric=metric, optimizer=optimizer, max_memory=max_memory)
    matrix = oracles.similarity(ROWS, metric)
    picks, gains, _ = oracles.greedy_on_pairs(matrix, np.zeros(400), 60)
    assert found.indices[:20].tolist() == picks[:20]
    assert covered(ROWS, found.indices, metric) == pytest.approx(sum(gains), rel=1e-6)
    if metric == "cosine":
        assert found.info["objective"] == pytest.approx(sum(gains), rel=1e-6)
    assert found.info["no_gain"] == 0


@EITHER
def test_lazy_naive_and_little_memory_reach_the_same(metric):
    found = [
        facility_location(ROWS, 200, metric=metric, **each).info["objective"]
        for each in ({}, {"optimizer": "naive"}, {"max_memory": 1})
    ]
    assert found[1:] == pytest.approx([found[0]] * 2, rel=1e-6)


@EITHER
def test_weights_count_the_nearest_rows(metric):
    found = facility_location(ROWS, 40, metric=metric)
    nearest = oracles.similarity(ROWS, metric)[:, found.indices].argmax(axis=1)
    assert found.weights.tolist() == np.bincount(nearest, minlength=40).tolist()
    assert found.weights.sum() == 400
    assert found.head(10).weights is None
    groups = np.arange(400) % 3
    assert facility_location(ROWS, 40, metric=metric, groups=groups).weights.sum() == 400


@EITHER
@pytest.mark.parametrize("each", [{}, {"optimizer": "naive"}, {"num_neighbours": 12}])
def test_copies_gain_nothing_and_come_last(metric, each):
    if "num_neighbours" in each:  # on a graph a row has at least all its copies
        rows = np.repeat(ROWS[:20], 5, axis=0)
    else:
        rows = np.repeat(ROWS[:20], 15, axis=0)
    found = facility_location(rows, 50, metric=metric, **each)
    assert len(np.unique(rows[found.indices[:20]], axis=0)) == 20
    assert found.info["no_gain"] == 30
    same = facility_location(np.ones((30, 3)), 30, metric=metric, **each)
    assert same.info["no_gain"] == (29 if metric == "cosine" else 30)  # of c - d, c is 0


def test_stochastic_is_near_and_not_ranked():
    whole = facility_location(ROWS, 60).info["objective"]
    found = facility_location(ROWS, 60, optimizer="stochastic")
    assert found.info["objective"] > 0.98 * whole
    assert np.unique(found.indices).size == 60
    with pytest.raises(ValueError, match="head needs ranked picks"):
        found.head(10)
    others = facility_location(ROWS, 60, optimizer="stochastic", seed=1)
    assert set(others.indices) != set(found.indices)
    ids, order = np.arange(400), RANDOM.permutation(400)
    again = facility_location(ROWS[order], 60, optimizer="stochastic", ids=ids[order])
    named = facility_location(ROWS, 60, optimizer="stochastic", ids=ids)
    assert named.ids.tolist() == again.ids.tolist()


@EITHER
def test_the_graph_is_the_matrix_without_its_far_pairs(metric):
    found = facility_location(ROWS, 50, metric=metric, num_neighbours=9)
    gaps = oracles.similarity(ROWS, metric)
    ranks = gaps.copy()
    np.fill_diagonal(ranks, -np.inf)
    near = np.argsort(-ranks, axis=1)[:, :9]
    edges = np.zeros((400, 400), bool)
    np.put_along_axis(edges, near, True, axis=1)
    longest = np.take_along_axis(gaps, near, 1).min() if metric == "euclidean" else 0.0
    edges |= edges.T | np.eye(400, dtype=bool)
    own = gaps.max() if metric == "euclidean" else 1.0
    matrix = np.where(edges, gaps - longest, 0)
    np.fill_diagonal(matrix, own - longest)
    picks, gains, _ = oracles.greedy_on_pairs(matrix, np.zeros(400), 50)
    assert found.indices[:20].tolist() == picks[:20]
    assert found.info["objective"] == pytest.approx(sum(gains), rel=1e-5)
    assert found.info["path"] == "neighbour graph"
    assert found.weights.sum() == 400


@EITHER
@pytest.mark.parametrize("each", [{}, {"num_neighbours": 9}])
def test_rows_already_selected_cover(metric, each):
    whole = facility_location(ROWS, 60, metric=metric, **each)
    rest = facility_location(ROWS, 30, metric=metric, already_selected=whole.indices[:30], **each)
    both = np.concatenate([whole.indices[:30], rest.indices])
    reached, alone = (covered(ROWS, some, metric) for some in (both, whole.indices))
    assert reached == pytest.approx(alone, rel=0.02)
    assert reached > covered(ROWS, np.r_[rest.indices, whole.indices[:3]], metric) * 0.999


def test_one_row_and_few_neighbours():
    assert facility_location([[1.0, 2.0]], 1).weights.tolist() == [1.0]
    assert facility_location([[1.0, 2.0]], 1, num_neighbours=3).info["objective"] == 1.0
    found = facility_location(ROWS[:4], 4, num_neighbours=50)
    assert sorted(found.indices.tolist()) == [0, 1, 2, 3]


def test_float16_is_taken_as_float32():
    rows = ROWS.astype(np.float16)
    one, two = facility_location(rows, 60), facility_location(rows.astype(np.float32), 60)
    assert np.array_equal(one.indices, two.indices)


def test_what_is_refused():
    with pytest.raises(ValueError, match="optimizer must be one of"):
        facility_location(ROWS, 5, optimizer="greedy")
    with pytest.raises(ValueError, match="must be 'lazy' if num_neighbours is given"):
        facility_location(ROWS, 5, optimizer="naive", num_neighbours=5)
    with pytest.raises(ValueError, match=r"epsilon must be in \(0, 1\), got 1"):
        facility_location(ROWS, 5, epsilon=1.0)
    rows = ROWS.copy()
    rows[8] = 0
    with pytest.raises(ValueError, match="got a zero vector in row 8"):
        facility_location(rows, 5)
