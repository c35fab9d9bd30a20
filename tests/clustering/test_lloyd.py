"""Iterations on lists: against their slow twin, and against exact ones where lists hold all."""

import faiss
import numpy as np
import pytest
from oracle_kmeans import all_squares, lloyd_on_lists
from oracle_kmeans import lloyd as exact_lloyd

from sampling.clustering._lloyd import lloyd, pays


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(threads)


def rows_of(n, d, seed=0, spherical=False):
    """Clumps, centered, of numbers about 1."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(9, d))[random.integers(0, 9, n)] + 0.3 * random.normal(size=(n, d))
    rows -= rows.mean(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True) if spherical else np.abs(rows).max()
    return rows.astype(np.float32)


def order_of(rows):
    return np.random.default_rng(5).permutation(len(rows))


def objective(rows, centers):
    return all_squares(rows, centers).min(axis=1).sum()


SHAPES = [  # n, d, k, width, spherical
    (200, 5, 30, 3, False),
    (200, 5, 30, 3, True),
    (90, 1, 8, 2, False),
    (60, 3, 50, 4, False),
    (60, 3, 50, 4, True),
]


@pytest.mark.parametrize(("n", "d", "k", "width", "spherical"), SHAPES)
@pytest.mark.parametrize("n_iter", [1, 2, 3, 14])
def test_against_the_twin(n, d, k, width, spherical, n_iter):
    rows = rows_of(n, d, seed=n, spherical=spherical)
    order = order_of(rows)
    found, labels, counts = lloyd(
        rows, rows[order[:k]], order, n_iter, spherical=spherical, width=width
    )
    expected, clusters = lloyd_on_lists(rows, rows[order[:k]], order, n_iter, width, spherical)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert labels.tolist() == clusters
    assert (found.dtype, labels.dtype) == (np.float32, np.int64)
    assert counts["exact"] == {1: 1, 2: 2, 3: 2, 14: 3}[n_iter]


@pytest.mark.parametrize("listed", [False, True])
def test_blocks_that_are_prepared_when_they_are_read(listed):
    """Against the twin, on rows of twice the size; empty clusters are filled across the blocks."""
    rows = rows_of(200, 5)
    order = order_of(rows)
    first = np.concatenate([rows[order[:28]], rows[:2] + 9])
    parts = [slice(0, 70), slice(70, 77), slice(77, 200)]
    found, labels, counts = lloyd(
        2 * rows, first, order, 14, spherical=False, width=3, listed=listed,
        prepare=lambda block: block / 2, parts=parts,
    )  # fmt: skip
    expected, clusters = lloyd_on_lists(rows, first, order, 14, 3 if listed else 30)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert labels.tolist() == clusters and counts["filled"] >= 2
    assert counts["exact"] == (3 if listed else 14)


@pytest.mark.parametrize("spherical", [False, True])
def test_with_every_center_listed_it_is_exact(spherical):
    rows = rows_of(300, 6, spherical=spherical)
    first = rows[order_of(rows)[:20]]
    found, _, counts = lloyd(rows, first, order_of(rows), 9, spherical=spherical, width=99)
    expected, _, _ = exact_lloyd(rows, first, 9, spherical)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert counts["filled"] == 0


def test_short_lists_lose_little():
    rows = rows_of(500, 6)
    first = rows[order_of(rows)[:60]]
    found, _, _ = lloyd(rows, first, order_of(rows), 8, spherical=False, width=6)
    expected, _, _ = exact_lloyd(rows, first, 8)
    assert objective(rows, found) < 1.01 * objective(rows, expected)


def test_the_objective_falls_from_one_iteration_to_the_next():
    rows = rows_of(400, 4)
    first = np.concatenate([rows[:30], rows[:3] + 9])  # three run empty at once
    found = [lloyd(rows, first, order_of(rows), i, spherical=False)[0] for i in range(1, 13)]
    values = [objective(rows, centers) for centers in found]
    assert all(two <= one * (1 + 1e-6) for one, two in zip(values, values[1:], strict=False))


def test_the_farthest_rows_fill_empty_clusters():
    rows = np.array([[0], [1], [2], [3], [10], [-16]], np.float32) / 16
    first = np.array([[0.1], [5], [6]], np.float32)
    found, _, counts = lloyd(rows, first, np.arange(6), 1, spherical=False)
    np.testing.assert_allclose(found * 16, [[1.5], [-16], [10]])
    assert counts == {"exact": 1, "filled": 2, "changed": 6}


def test_equally_far_rows_fill_in_the_order_given():
    rows = np.array([[-1], [1], [0], [0]], np.float32)
    first = np.array([[0], [7]], np.float32)
    for order in ([0, 1, 2, 3], [3, 1, 2, 0]):
        found, _, _ = lloyd(rows, first, np.array(order), 1, spherical=False)
        assert found[1] == rows[min(0, 1, key=order.index)]


@pytest.mark.parametrize("spherical", [False, True])
def test_copies_and_fewer_distinct_rows_than_clusters(spherical):
    few = rows_of(5, 3, spherical=spherical)
    rows = np.repeat(few, 40, axis=0)
    found, _, counts = lloyd(rows, rows[::25], order_of(rows), 12, spherical=spherical)
    assert np.isfinite(found).all()
    assert objective(rows, found) < 1e-10
    # A copy may go to and fro between centers that are equal but for rounding.
    assert counts["changed"] <= len(rows) // 40


def test_as_many_clusters_as_rows():
    rows = rows_of(70, 3)
    found, _, counts = lloyd(rows, rows.copy(), order_of(rows), 12, spherical=False)
    np.testing.assert_array_equal(found, rows)
    assert counts["filled"] == 0


def test_a_center_whose_directions_cancel_stays():
    rows = np.array([[1, 0], [-1, 0]], np.float32)
    first = np.array([[0, 1]], np.float32)
    found, _, _ = lloyd(rows, first, np.arange(2), 3, spherical=True)
    assert found.tolist() == [[0, 1]]


def test_the_same_again_and_nothing_is_written_to():
    rows, order = rows_of(500, 8), np.arange(500)
    first = rows[:40].copy()
    for array in (rows, order, first):
        array.setflags(write=False)
    one, two = (lloyd(rows, first, order, 5, spherical=False) for _ in range(2))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])
    assert one[2] == two[2]
    assert np.array_equal(first, rows[:40])


def test_when_lists_pay():
    assert pays(1_000, 64, 10)
    assert pays(10_000, 384, 24)
    assert not pays(2_000, 8, 10)
    assert not pays(256, 384, 24)
    assert not pays(10_000, 384, 3)
