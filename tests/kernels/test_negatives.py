"""The nearest rows of another class, against sorted lists."""

import numpy as np
import oracles
import pytest

from sampling.kernels._negatives import keep_nearest

RANDOM = np.random.default_rng(3)


@pytest.mark.parametrize("blocks", [[0, 40], [0, 7, 8, 40]])
@pytest.mark.parametrize("count", [1, 3, 60])
def test_against_sorted_lists(blocks, count):
    products = RANDOM.integers(0, 9, (12, 40)).astype(np.float32)  # with ties
    kinds, groups = RANDOM.integers(-1, 3, (2, 12)).astype(np.int32)
    other_kinds, other_groups = RANDOM.integers(-1, 3, (2, 40)).astype(np.int32)
    scores = np.full((12, count), -np.inf, np.float32)
    rows = np.full((12, count), -1, np.int64)
    for start, stop in zip(blocks, blocks[1:], strict=False):
        part = slice(start, stop)
        keep_nearest(
            np.ascontiguousarray(products[:, part]),
            kinds,
            groups,
            other_kinds[part],
            other_groups[part],
            start,
            scores,
            rows,
        )
    expected = oracles.nearest_of_other_kinds(
        products, kinds, groups, other_kinds, other_groups, count
    )
    np.testing.assert_array_equal(rows, expected)
    here = rows >= 0
    assert np.isneginf(scores[~here]).all()
    np.testing.assert_array_equal(scores[here], products[np.nonzero(here)[0], rows[here]])
