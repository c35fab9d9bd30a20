"""Orders that keep neighbours together, and draws along them."""

import numpy as np
import oracle_rows
import pytest

from sampling.selection import pivotal, spatial_order
from sampling.selection.core._spatial_order import axes_of, halved

RANDOM = np.random.default_rng(2)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 31, 64, 100, 211])
@pytest.mark.parametrize("width", [1, 2, 3, 8])
def test_kd_is_the_recursion(size, width):
    rows = np.round(RANDOM.normal(size=(size, width)), 1).astype(np.float32)  # ties, and -0
    keys = RANDOM.integers(0, 2**63, size).astype(np.uint64)
    found = halved(axes_of(rows, "kd"), keys)
    assert found.dtype == np.int64
    assert found.tolist() == oracle_rows.kd_by_recursion(rows.tolist(), keys.tolist())


def test_ties_go_by_row_and_signs_are_in_order():
    rows = np.array([[0.0], [-0.0], [-1.5], [3e38], [-3e38], [1e-45], [0.0]])
    assert spatial_order(rows).tolist() == [4, 2, 0, 1, 6, 5, 3]
    assert spatial_order(np.ones((9, 3))).tolist() == list(range(9))


def test_pca_is_the_direction_of_most_variance():
    along = RANDOM.permutation(200).astype(np.float64)
    rows = along[:, None] * [0.6, -0.8, 0.0] + RANDOM.normal(size=(200, 3)) * 0.01 + 1e4
    found = along[spatial_order(rows, "pca")]
    assert (found == np.arange(200)).all() or (found == np.arange(200)[::-1]).all()


@pytest.mark.parametrize("width", [2, 5, 30])
def test_neighbours_in_the_order_are_near(width):
    """Rows on a plane in `width` dimensions: neighbours are far nearer than rows at random."""
    plane = RANDOM.uniform(size=(4000, 2))
    rows = plane @ np.linalg.qr(RANDOM.normal(size=(width, 2)))[0].T if width > 2 else plane
    near = {}
    for kind in ("kd", "pca"):
        order = spatial_order(rows, kind)
        assert np.array_equal(np.sort(order), np.arange(4000))
        near[kind] = np.linalg.norm(np.diff(plane[order], axis=0), axis=1).mean()
    assert near["kd"] < 0.12  # of 0.52 at random
    assert near["kd"] < 0.5 * near["pca"]


def test_float16_blocks_and_the_order_of_the_rows(monkeypatch):
    rows = RANDOM.normal(size=(500, 20)).astype(np.float16)
    found = spatial_order(rows)
    assert np.array_equal(spatial_order(rows.astype(np.float32)), found)
    monkeypatch.setattr("sampling.selection.core._whiten.BLOCK", 999)
    assert np.array_equal(spatial_order(rows), found)
    turn = RANDOM.permutation(500)
    assert np.array_equal(turn[spatial_order(rows[turn])], found)


def test_bad_arguments():
    with pytest.raises(ValueError, match="embeddings must be finite, got nan in row 1"):
        spatial_order([[0.0], [np.nan]])
    with pytest.raises(ValueError, match="kind must be one of 'kd', 'pca', got 'hilbert'"):
        spatial_order([[0.0]], "hilbert")
    with pytest.raises(ValueError, match="spread must be one of 'kd', 'pca', got 'z'"):
        pivotal([1.0, 1.0], 1, embeddings=[[0.0], [1.0]], spread="z")


def test_bad_embeddings_are_dropped_from_pivotal():
    rows = RANDOM.normal(size=(50, 12))
    rows[7] = np.nan
    for spread in ("kd", "pca"):
        found = pivotal(np.ones(50), 49, embeddings=rows, spread=spread, on_bad="drop")
        assert 7 not in found.indices
    with pytest.raises(ValueError, match="embeddings must be finite, got nan in row 7"):
        pivotal(np.ones(50), 10, embeddings=rows)


def test_a_spread_draw_covers_cells_evenly():
    """64 of 1,024 points of a grid, 64 cells of 16 that are parts of the tree: one in each."""
    grid = np.stack(np.meshgrid(np.arange(32.0), np.arange(32.0)), axis=-1).reshape(-1, 2)
    cells = (grid[:, 0] // 4 * 8 + grid[:, 1] // 4).astype(int)

    def variance(**options):
        counts = [
            np.bincount(cells[pivotal(np.ones(1024), 64, seed=s, **options).indices], minlength=64)
            for s in range(20)
        ]
        return np.var(counts)

    assert variance() > 0.8  # 0.94 by chance
    assert variance(embeddings=grid) == 0.0
    assert variance(embeddings=grid, spread="pca") > 0.7
