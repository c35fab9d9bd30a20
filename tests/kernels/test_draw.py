"""Guide tables, weighted draws and systematic sampling, against bisection."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.kernels._draw import (
    build_guide,
    find_block,
    independent,
    stratified,
    systematic,
)

keys = st.integers(0, 2**64 - 1)
weight = st.one_of(
    st.just(0.0),
    st.just(1.0),
    st.floats(1e-3, 1e3),
    st.sampled_from([1e-12, 1e12, 2.0**-60, 0.1, 1 / 3]),
)
weight_lists = st.lists(weight, min_size=1, max_size=30).filter(any)
some = settings(deadline=None, derandomize=True, max_examples=100)

CASES = {
    "one": [2.5],
    "equal": [1.0] * 7,
    "zero first": [0.0, 0.0, 1.0, 2.0],
    "zero last": [1.0, 2.0, 0.0, 0.0],
    "zeros in a block": [1.0] + [0.0] * 20 + [1.0] + [0.0] * 20,
    "one of many": [0.0] * 30 + [3.0] + [0.0] * 30,
    "one huge": [1.0] * 10 + [1e15] + [1.0] * 10,
    "one huge first": [1e15] + [1.0] * 20,
    "one huge last": [1.0] * 20 + [1e15],
    "absorbed by the sum": [1e17, 1.0, 1.0, 1e17],
    "tiny": [1e-290, 3e-290, 2e-290],
    "near the largest float": [4e307, 8e307, 2e307],
    "geometric": [2.0**-i for i in range(40)],
    "thirds": [1 / 3] * 9,
}


def guide_of(cumulative, cells):
    guide = np.full(cells + 1, -1, np.int32)
    build_guide(cumulative, guide)
    return guide


def all_points(cumulative):
    """Every edge of the running sum, the floats beside it, and points in between."""
    total = cumulative[-1]
    edges = np.unique(np.concatenate([[0.0], cumulative]))
    points = np.concatenate(
        [edges, np.nextafter(edges, 0), np.nextafter(edges, np.inf), np.linspace(0, total, 23)]
    )
    return points[(points >= 0) & np.isfinite(points)]


def found_at(cumulative, guide, points):
    out, low, high = np.full((3, points.size), -1, np.int64)
    find_block(cumulative, guide, points, low, high, out)
    return out


def check_draws(weights, cells, key):
    cumulative = np.cumsum(np.array(weights, np.float64))
    guide = guide_of(cumulative, cells)
    np.testing.assert_array_equal(guide, oracles.guide_by_bisection(cumulative, cells))

    points = all_points(cumulative)
    found = found_at(cumulative, guide, points)
    np.testing.assert_array_equal(found, oracles.find_by_bisection(cumulative, points))

    size = 2 * len(weights) + 1
    slots = np.arange(size, dtype=np.int64)[:: max(1, size // 15)]
    out = np.empty(slots.size, np.int64)
    stratified(cumulative, guide, np.uint64(key), size, slots, out)
    expected = oracles.stratified_by_bisection(cumulative, key, size, slots)
    np.testing.assert_array_equal(out, expected)
    assert (np.array(weights)[out] > 0).all()

    independent(cumulative, guide, np.uint64(key), slots, out)
    expected = oracles.independent_by_bisection(cumulative, key, slots)
    np.testing.assert_array_equal(out, expected)
    assert (np.array(weights)[out] > 0).all()


@pytest.mark.parametrize("cells", [1, 2, 3, 10, 100])
@pytest.mark.parametrize("name", CASES)
def test_draws_of_hard_weights_equal_bisection(name, cells):
    check_draws(CASES[name], cells, key=12345)


@some
@given(weight_lists, st.integers(1, 40), keys)
def test_draws_equal_bisection(weights, cells, key):
    check_draws(weights, cells, key)


@pytest.mark.parametrize("m", [1, 2, 7])
def test_stratified_holds_one_draw_in_each_slice(m):
    """Equal weights, as many draws as samples: every sample exactly once."""
    n = 12
    cumulative = np.cumsum(np.ones(n * m))
    out = np.empty(n * m, np.int64)
    slots = np.arange(n * m, dtype=np.int64)
    stratified(cumulative, guide_of(cumulative, 5), np.uint64(7), n * m, slots, out)
    np.testing.assert_array_equal(out, np.arange(n * m))
    stratified(cumulative, guide_of(cumulative, 5), np.uint64(7), n, slots[:n], out[:n])
    np.testing.assert_array_equal(out[:n] // m, np.arange(n))


def test_draws_may_be_written_over_their_slots():
    cumulative = np.cumsum([1.0, 5.0, 0.0, 2.0])
    guide = guide_of(cumulative, 3)
    slots = np.array([3, 0, 7, 7, 5], np.int64)
    out = np.empty_like(slots)
    stratified(cumulative, guide, np.uint64(3), 8, slots, out)
    inplace = slots.copy()
    stratified(cumulative, guide, np.uint64(3), 8, inplace, inplace)
    np.testing.assert_array_equal(inplace, out)
    independent(cumulative, guide, np.uint64(3), slots, out)
    independent(cumulative, guide, np.uint64(3), slots, slots)
    np.testing.assert_array_equal(slots, out)


@pytest.mark.parametrize("n", [511, 512, 513, 1300])
def test_blocks_of_draws_equal_bisection(n):
    """Both of samples, in the guide, and of draws; a guide of a cell for each two samples."""
    weights = np.where(np.arange(n) % 7 == 0, 0.0, 1.0 + np.arange(n) % 3)
    cumulative = np.cumsum(weights)
    guide = guide_of(cumulative, n // 2)
    np.testing.assert_array_equal(guide, oracles.guide_by_bisection(cumulative, n // 2))
    slots, out = np.arange(n, dtype=np.int64), np.empty(n, np.int64)
    stratified(cumulative, guide, np.uint64(n), n, slots, out)
    expected = oracles.stratified_by_bisection(cumulative, n, n, slots)
    np.testing.assert_array_equal(out, expected)
    independent(cumulative, guide, np.uint64(n), slots, out)
    np.testing.assert_array_equal(out, oracles.independent_by_bisection(cumulative, n, slots))


def test_a_guide_of_many_random_weights_equals_bisection():
    """Many edges of cells within a rounding error of a sample's end."""
    random = np.random.default_rng(0)
    for weights in (np.ones(10**4), random.random(10**4), random.lognormal(0, 4, 10**4)):
        cumulative = np.cumsum(weights)
        for cells in (10**4, 5_000, 9_973):
            guide = guide_of(cumulative, cells)
            np.testing.assert_array_equal(guide, oracles.guide_by_bisection(cumulative, cells))


@pytest.mark.parametrize(
    ("cells", "total", "edge"),
    [
        (2178, 0.00013390397743761473, 0.00012179236882640715),  # its cell is rounded down twice
        (716, 10705.399828954565, 437 * (10705.399828954565 / 716)),  # up, for the point before it
    ],
)
def test_edges_whose_cell_is_rounded(cells, total, edge):
    cumulative = np.array([edge, total])
    guide = guide_of(cumulative, cells)
    np.testing.assert_array_equal(guide, oracles.guide_by_bisection(cumulative, cells))
    points = np.array([np.nextafter(edge, 0), edge, np.nextafter(edge, np.inf)])
    expected = oracles.find_by_bisection(cumulative, points)
    np.testing.assert_array_equal(found_at(cumulative, guide, points), expected)


def test_a_64_bit_guide_finds_the_same():
    cumulative = np.cumsum([0.0, 1.0, 5.0, 0.0, 2.0])
    guide = np.empty(3, np.int64)
    build_guide(cumulative, guide)
    np.testing.assert_array_equal(guide, guide_of(cumulative, 2))
    points = np.array([0.0, 0.5, 1.0, 5.9, 6.0, 8.0, 9.0])
    assert found_at(cumulative, guide, points).tolist() == [1, 1, 2, 2, 4, 4, 4]


# ---------------------------------------------------------------------- systematic


def chosen(weights, scale, key, offset, m):
    out = np.full(m, -1, np.int64)
    systematic(np.array(weights, np.float64), scale, np.uint64(key), offset, out)
    return out


def check_systematic(weights, scale, key, offset, m):
    out = chosen(weights, scale, key, offset, m)
    expected = oracles.systematic_by_loop(weights, scale, key, offset, m)
    np.testing.assert_array_equal(out, expected)
    assert np.unique(out).size == m
    assert (np.array(weights)[out] > 0).all()
    probabilities = np.minimum(1.0, scale * np.array(weights))
    if sum(map(Fraction, probabilities)) <= m:  # a rounded scale can make the sum exceed m
        assert set(np.flatnonzero(probabilities == 1.0)) <= set(out.tolist())


def water_filled(weights, m):
    """The scale at which min(1, scale * w) sums to m, by halving."""
    weights = np.array(weights)
    low, high = 0.0, 2.0 * m / weights[weights > 0].min()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(1, middle * weights).sum() < m else (low, middle)
    return high


offsets = st.one_of(
    st.sampled_from([0.0, 2.0**-53, 0.5, 1.0 - 2.0**-53]), st.floats(0, 1, exclude_max=True)
)


@some
@given(weight_lists, keys, offsets, st.data())
def test_systematic_equals_bisection(weights, key, offset, data):
    positive = sum(w > 0 for w in weights)
    m = data.draw(st.integers(1, positive))
    if m == positive:  # as `WeightedSampler` passes it
        weights, scale = [float(w > 0) for w in weights], 1.0
    else:
        scale = water_filled(weights, m)
    check_systematic(weights, scale, key, offset, m)


@pytest.mark.parametrize("offset", [0.0, 0.5, 1.0 - 2.0**-53])
@pytest.mark.parametrize("m", [1, 2, 9])
def test_systematic_of_equal_weights(m, offset):
    check_systematic([1.0] * 9, m / 9, key=5, offset=offset, m=m)
    check_systematic([0.1] * 10, m / 10 / 0.1, key=6, offset=offset, m=m)
    check_systematic([1 / 3] * 27, m / 27 * 3, key=7, offset=offset, m=m)


@pytest.mark.parametrize("offset", [0.0, 0.3, 1.0 - 2.0**-53])
def test_systematic_when_rounding_ends_the_sum_below_the_last_point(offset):
    """Probabilities one rounding error short of 1: the sample passed over is put in at the end."""
    check_systematic([1.0] * 12, 1.0 - 2.0**-53, key=3, offset=offset, m=12)
    check_systematic([1.0] * 12, 0.5 - 2.0**-50, key=3, offset=offset, m=6)


def test_systematic_takes_certain_samples_outright():
    weights = [100.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 50.0]
    for key in range(20):
        check_systematic(weights, 0.25, key, key / 20, m=3)
    assert set(chosen([5.0, 0.0, 5.0], 1.0, 1, 0.7, 2).tolist()) == {0, 2}


def test_systematic_keeps_each_probability_over_the_offsets():
    """Given the order, sample i is chosen on a set of offsets of length p_i: counted on a grid."""
    weights = np.array([0.1, 0.9, 0.5, 0.25, 0.25])
    grid = (np.arange(200) + 0.5) / 200
    counts = np.zeros(5)
    for offset in grid:
        counts[chosen(weights, 1.0, 11, offset, 2)] += 1
    np.testing.assert_allclose(counts / 200, weights, atol=1.01 / 200)


@pytest.mark.parametrize("n", [511, 512, 513, 1030])
def test_systematic_passes_the_ends_of_blocks(n):
    weights = np.where(np.arange(n) % 7 == 0, 0.0, 1.0 + np.arange(n) % 3)
    m = 40
    check_systematic(weights.tolist(), m / weights.sum(), key=n, offset=0.25, m=m)


@pytest.mark.slow
def test_weights_too_small_for_a_reciprocal_are_drawn_or_refused():
    """cells / total is infinite below 1e-308. In a process of its own: it may end by a crash."""
    code = (
        "from sampling.samplers import WeightedSampler\n"
        "import numpy as np\n"
        "np.seterr(over='ignore')\n"  # integers wrap, also without the JIT
        "cases = [5e-324] * 2, [1e-310] * 4, [0.0, 2e-320, 1e-320, 0.0]\n"
        "for weights, rest in [(each, rest) for each in cases for rest in ((40,), (1, False))]:\n"
        "    try:\n"
        "        drawn = list(WeightedSampler(weights, *rest))\n"
        "    except ValueError as error:\n"
        "        assert str(error).startswith('weights must')\n"
        "    else:\n"
        "        assert (np.array(weights)[drawn] > 0).all()\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr[-500:]
