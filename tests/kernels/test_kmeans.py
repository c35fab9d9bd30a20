import numpy as np
import oracles
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.kernels._kmeans import move_rows, nearest_listed, nearest_members


def check(work, centers, moved, lists, labels, squares):
    expected = oracles.nearest_listed_by_sorting(work, centers, lists, labels)
    nearest_listed(work, centers, moved, lists, labels, squares)
    assert list(zip(labels.tolist(), squares.tolist(), strict=True)) == expected


@settings(deadline=None, derandomize=True, max_examples=50)
@given(
    st.integers(1, 8), st.integers(1, 20), st.integers(1, 6), st.integers(0, 4), st.integers(0, 999)
)
def test_nearest_listed(n, d, k, m, seed):
    """Small whole numbers: sums are exact, and there are ties. Then some centers move."""
    random = np.random.default_rng(seed)
    work = random.integers(-3, 4, (n, d)).astype(np.float32)
    centers = random.integers(-3, 4, (k, d)).astype(np.float32)
    lists = random.integers(0, k, (n, m)).astype(np.int32)
    labels, squares = random.integers(0, k, n), np.full(n, -1, np.float32)
    check(work, centers, np.ones(k, np.bool_), lists, labels, squares)
    moved = random.random(k) < 0.4
    centers[moved] += random.integers(-1, 2, (np.count_nonzero(moved), d))
    check(work, centers, moved, lists, labels, squares)


def test_no_digits_are_lost_far_from_the_origin():
    work = np.full((1, 3), 1000, np.float32)
    centers = work + np.array([[2.0**-10], [2.0**-11]], np.float32)
    labels, squares = np.zeros(1, np.int64), np.zeros(1, np.float32)
    lists = np.array([[0, 1]], np.int32)
    check(work, centers, np.ones(2, np.bool_), lists, labels, squares)
    assert labels.tolist() == [1]


def test_move_rows():
    """Whole numbers: sums are exact."""
    random = np.random.default_rng(3)
    work = random.integers(-9, 10, (60, 3)).astype(np.float32)
    before, labels = random.integers(-1, 5, 60), random.integers(0, 5, 60)
    sums = np.zeros((5, 3))
    move_rows(work, before, labels, sums)
    assert np.array_equal(sums, oracles.move_rows_by_cluster(work, before, labels, 5))


def test_nearest_members():
    random = np.random.default_rng(4)
    labels = random.choice([0, 1, 2, 4], 200)
    squares, keys = random.integers(0, 6, 200) / 2, random.permutation(200)
    rows = np.full(5, -1)
    nearest_members(labels, squares, keys, rows)
    assert rows.tolist() == oracles.nearest_members_by_sorting(labels, squares, keys, 5)
    assert rows[3] == -1
