"""k-center against its definition, and where others fail: copies, offsets, zero vectors."""

import numpy as np
import oracle_geometry as oracles
import pytest

from sampling.selection import k_center

RANDOM = np.random.default_rng(3)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


CASES = {
    "plain": normal(300, 8),
    "wide": normal(90, 200),
    "one column": normal(200, 1),
    "offset": 100 + normal(300, 8),
    "far offset": np.float32(1e4) + normal(300, 8),
    "clusters": normal(5, 8)[RANDOM.integers(0, 5, 300)] * 10 + normal(300, 8) * np.float32(0.01),
    "huge": 1e30 * normal(200, 6),
    "tiny": 1e-30 * normal(200, 6),
    "outlier": np.concatenate([1e-3 * normal(200, 9), np.full((1, 9), 1e3, np.float32)]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_picks_of_the_definition(name):
    rows = CASES[name]
    found = k_center(rows, 60, start=17)
    picks, radius = oracles.k_center(rows, 60, 17)
    assert found.indices.tolist() == picks
    assert found.info["radius"] == pytest.approx(radius, rel=1e-12)
    assert found.info["duplicates"] == 0


@pytest.mark.parametrize("budget", [1, 2, 300])
def test_few_and_all(budget):
    rows = CASES["plain"]
    found = k_center(rows, budget, start=17)
    assert found.indices.tolist() == oracles.k_center(rows, budget, 17)[0]
    assert (found.info["radius"] == 0) == (budget == 300)


def test_cosine_is_the_distance_of_directions():
    rows = normal(300, 8) * RANDOM.uniform(0.1, 10, (300, 1)).astype(np.float32)
    unit = rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    found = k_center(rows, 60, metric="cosine", start=4)
    assert found.indices.tolist() == oracles.k_center(unit, 60, 4)[0]
    assert found.info["radius"] == pytest.approx(oracles.k_center(unit, 60, 4)[1], rel=1e-9)


def test_zero_vectors_are_named_under_cosine():
    rows = normal(20, 3)
    rows[7] = 0
    with pytest.raises(ValueError, match="longer than 1e-12, got a zero vector in row 7"):
        k_center(rows, 5, metric="cosine")
    assert 7 not in k_center(rows, 19, metric="cosine", on_bad="drop").indices
    assert 7 in k_center(rows, 20).indices


def test_it_begins_in_the_middle_or_anywhere():
    rows = CASES["plain"]
    middle = np.square(rows - rows.mean(axis=0)).sum(axis=1).argmin()
    assert k_center(rows, 5).indices[0] == middle
    firsts = {int(k_center(rows, 5, start="random", seed=seed).indices[0]) for seed in range(20)}
    assert len(firsts) > 15
    with pytest.raises(ValueError, match="start must be one of"):
        k_center(rows, 5, start="center")
    with pytest.raises(ValueError, match=r"start must be in \[0, 300\), got 300"):
        k_center(rows, 5, start=300)
    with pytest.raises(ValueError, match="start must be a row that can be picked, got 3"):
        k_center(rows, 5, start=3, already_selected=[3])


def test_copies_come_last_and_are_counted():
    rows = np.repeat(normal(10, 4), 30, axis=0)[np.random.default_rng(0).permutation(300)]
    found = k_center(rows, 50)
    assert len(np.unique(rows[found.indices[:10]], axis=0)) == 10
    assert found.info == found.info | {"duplicates": 40, "radius": 0.0}
    assert k_center(np.ones((20, 3)), 20).info["duplicates"] == 19


def test_ties_are_broken_by_id_and_not_by_row():
    rows = np.repeat(np.eye(6, dtype=np.float32), 4, axis=0)
    order = np.random.default_rng(1).permutation(24)
    ids = np.arange(24)
    one, two = k_center(rows, 9, ids=ids), k_center(rows[order], 9, ids=ids[order])
    assert one.ids.tolist() == two.ids.tolist()
    assert one.ids.tolist() != k_center(rows, 9, ids=ids, seed=1).ids.tolist()


def test_rows_already_selected_are_centers():
    rows = CASES["plain"]
    whole = k_center(rows, 80, start=17)
    rest = k_center(rows, 50, already_selected=whole.indices[:30])
    assert rest.indices.tolist() == whole.indices[30:].tolist()
    assert rest.info["radius"] == whole.info["radius"]


def test_float16_and_float64_are_taken_as_float32():
    rows = normal(200, 6).astype(np.float16)
    expected = k_center(rows.astype(np.float32), 40).indices
    assert np.array_equal(k_center(rows, 40).indices, expected)
    assert np.array_equal(k_center(rows.astype(np.float64), 40).indices, expected)


def test_groups_have_their_own_middle():
    rows = CASES["plain"]
    groups = np.arange(300) % 3
    found = k_center(rows, 30, groups=groups, start=4)
    assert found.indices[np.flatnonzero(groups[found.indices] == 1)[0]] == 4
    radii = [k_center(rows[groups == g], 10).info["radius"] for g in (0, 2)]
    assert found.info["radius"] >= max(radii)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_farthest_rows_are_left_out_first(metric):
    rows = np.random.default_rng(6).normal(size=(60, 3)) + 2.0
    rows[[3, 40]] *= -9.0
    work = rows / np.linalg.norm(rows, axis=1)[:, None] if metric == "cosine" else rows
    gaps = np.linalg.norm(work - work.mean(axis=0), axis=1)
    left = np.sort(np.argsort(gaps)[: 60 - 6])
    found = k_center(rows, 12, metric=metric, robust=0.1, start=int(left[5]))
    plain = k_center(rows[left], 12, metric=metric, start=5)
    assert found.info["radius"] == pytest.approx(plain.info["radius"])
    assert set(found.indices.tolist()) == set(left[plain.indices].tolist())
    assert found.explain(3).rule == "among the farthest from the mean"
    assert found.info["radius"] < k_center(rows, 12, metric=metric).info["radius"] + 1e-9
    with pytest.raises(ValueError, match="budget must be at most 54, the rows that robust=0.1"):
        k_center(rows, 55, robust=0.1)
    with pytest.raises(ValueError, match=r"robust must be in \[0, 1\), got 1"):
        k_center(rows, 5, robust=1)
    with pytest.raises(ValueError, match="start must be a row that can be picked, got 3"):
        k_center(rows, 5, robust=0.1, start=3)
