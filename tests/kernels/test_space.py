"""Rows as clustering sees them, against numpy row by row."""

import numpy as np
import oracles
import pytest

from sampling.kernels._space import add_rows, place_rows, row_lengths, squares_to

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("dimensions", [1, 3, 4, 5, 11])
def test_row_lengths(dimensions):
    rows = RANDOM.normal(size=(20, dimensions)).astype(np.float32)
    rows[3], rows[7] = 0.0, 1e-14
    out = np.empty(20)
    row_lengths(rows, 1e-12, out)
    expected = oracles.lengths_by_numpy(rows, 1e-12)
    np.testing.assert_allclose(out, expected, rtol=1e-15)
    assert (out[[3, 7]] == 0).all()


@pytest.mark.parametrize("dimensions", [1, 3, 4, 5, 11])
def test_place_rows(dimensions):
    rows = RANDOM.normal(size=(20, dimensions)).astype(np.float32)
    lengths = RANDOM.uniform(1, 3, 20)
    lengths[5] = 0.0
    shift, out = RANDOM.normal(size=dimensions), np.full(rows.shape, 7, np.float32)
    place_rows(rows, lengths, shift, 4.0, out)
    assert np.array_equal(out, oracles.placed_by_numpy(rows, lengths, shift, 4.0))


@pytest.mark.parametrize("dimensions", [1, 3, 4, 5, 11])
def test_squares_to(dimensions):
    rows = RANDOM.normal(size=(20, dimensions)).astype(np.float32)
    lengths, labels = RANDOM.uniform(1, 3, 20), RANDOM.integers(0, 4, 20)
    lengths[5] = 0.0
    centers, out = RANDOM.normal(size=(4, dimensions)), np.empty(20)
    squares_to(rows, lengths, centers, labels, out)
    expected = oracles.squares_by_numpy(rows, lengths, centers, labels)
    np.testing.assert_allclose(out, expected, rtol=1e-14)


def test_add_rows():
    rows = RANDOM.normal(size=(20, 5)).astype(np.float32)
    lengths, labels = RANDOM.uniform(1, 3, 20), RANDOM.integers(0, 4, 20)
    lengths[5], out = 0.0, np.zeros((4, 5))
    add_rows(rows, lengths, labels, out)
    assert np.array_equal(out, oracles.sums_by_numpy(rows, lengths, labels, 4))
