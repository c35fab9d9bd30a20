"""A running sum in half the memory equals numpy's to the last bit, and finds the same samples."""

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.kernels._draw import build_guide, find_block
from sampling.kernels._packed import LINE, WIDE, find_in, jitters, pack, unpack

HARD = {
    "one": [2.5],
    "a line": [1.0] * 16,
    "a line and one": [1.0] * 17,
    "zeros first": [0.0] * 40 + [1.0, 2.0],
    "zeros last": [1.0, 2.0] + [0.0] * 40,
    "zeros between": [1.0] + [0.0] * 50 + [1.0] + [0.0] * 50 + [3.0],
    "one huge": [1.0] * 20 + [1e15] + [1.0] * 60,
    "huge first": [1e15] + [1.0] * 60,
    "absorbed": [1e17] + [1.0] * 40 + [1e17],
    "tiny": [1e-250, 3e-250, 2e-250] * 20,
    "near the largest": [4e305] * 200,
    "a small growth": [2.0**20] + [2.0**-4, 2.0**-30] * 40,
    "just too wide": [1.0] + [0.0] * 15 + [2.0**-20 - 2.0**-52] + [0.0] * 20,
    "just narrow": [1.0] + [0.0] * 15 + [2.0**-20 - 2.0**-51] + [0.0] * 20,
}


def packed(weights, rows=0):
    weights = np.array(weights, np.float64)
    lines = -(-weights.size // LINE)
    offsets, ends = np.zeros(lines * LINE, np.uint32), np.zeros(lines)
    wide = np.zeros((lines, LINE))
    added = pack(weights, 0.0, rows, offsets, ends, wide)
    return offsets, ends, wide[:added]


def check(weights):
    offsets, ends, wide = packed(weights)
    sums = oracles.unpacked_by_numpy(np.array(weights, np.float64))
    out, indices = np.zeros(sums.size), np.arange(sums.size)[::-1].copy()
    unpack(offsets, ends, wide, indices, out)
    np.testing.assert_array_equal(out, sums[::-1])
    np.testing.assert_array_equal(ends, np.append(sums[LINE - 1 :: LINE], sums[-1])[: ends.size])

    edges = np.unique(np.concatenate([[0.0], sums]))
    points = np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges, np.inf)])
    points = np.append(points[points >= 0], np.linspace(0, sums[-1], 23))
    guide = np.empty(ends.size + 1, np.int32)
    build_guide(ends, guide)
    low, high, found = np.empty((3, points.size), np.int64)
    find_block(ends, guide, points, low, high, found)
    find_in(offsets, ends, wide, points, int(np.searchsorted(sums, sums[-1])), found)
    np.testing.assert_array_equal(found, oracles.find_by_bisection(sums, points))
    return offsets.reshape(-1, LINE)[:, 0] == WIDE


@pytest.mark.parametrize("name", HARD)
def test_hard_weights_equal_numpy(name):
    check(HARD[name])


def test_lines_that_grow_little_are_packed():
    assert check(HARD["a small growth"])[1:].sum() == 0
    assert check(HARD["just too wide"]).tolist() == [True, True, False]
    assert check(HARD["just narrow"]).tolist() == [True, False, False]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.one_of(st.just(0.0), st.floats(1e-300, 1e12)),  # callers scale weights up from below
    st.lists(st.one_of(st.just(0.0), st.floats(1e-9, 1e3)), min_size=1, max_size=70),
)
def test_sums_equal_numpy(first, weights):
    check([first, *weights] if first + sum(weights) > 0 else [1.0])


def test_rows_of_earlier_lines_are_counted():
    offsets, _, wide = packed([1.0] * 20, rows=7)
    assert offsets[[0, 1, 16, 17]].tolist() == [WIDE, 7, WIDE, 8]
    assert wide.shape == (2, LINE)


def test_jitters_equal_integers():
    slots, out = np.array([0, 5, 2**40, 5], np.int64), np.empty(4)
    jitters(np.uint64(2**63 + 5), slots, out)
    np.testing.assert_array_equal(out, oracles.jitters_in_integers(2**63 + 5, slots))
