"""Kernels of greedy selection against their oracles."""

import numpy as np
import oracle_geometry as oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.kernels._greedy import (
    add_messages,
    change_gains,
    come_nearer,
    count_ends,
    farthest,
    fill_ends,
    gather_pairs,
    look_ahead,
    pick_gains,
    pick_messages,
    to_distances,
    whole_products,
)

numbers = st.integers(0, 2**32 - 1)
few = settings(max_examples=40, deadline=None)


def keys_for(random, n):
    return random.permutation(n).astype(np.uint64) * np.uint64(2**59) + np.uint64(3)


@few
@given(st.lists(st.integers(-1, 4), min_size=1, max_size=25), st.integers(1, 25), numbers)
def test_farthest(values, count, seed):
    distances = np.array(values, np.float64)
    keys = keys_for(np.random.default_rng(seed), len(values))
    out = np.empty(min(count, len(values)), np.int64)
    farthest(distances, keys, out)
    assert out.tolist() == oracles.farthest_by_sorting(distances, keys, out.size)


@few
@given(st.integers(1, 10), st.integers(1, 10), numbers)
def test_look_ahead(n, count, seed):
    random = np.random.default_rng(seed)
    rows = random.integers(0, 3, (n, 2)).astype(np.float64)
    keys = keys_for(random, n)
    distances = random.integers(0, 6, n).astype(np.float64)
    order = oracles.farthest_by_sorting(distances, keys, n)
    rows, keys, distances = rows[order], keys[order], distances[order]
    out = np.empty(count, np.int64)
    found = look_ahead(rows, distances.copy(), keys, out)
    assert out[:found].tolist() == oracles.look_ahead_by_definition(rows, distances, keys, count)


@few
@given(st.integers(1, 9), st.integers(1, 5), numbers)
def test_come_nearer(n, p, seed):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(n, 3)).astype(np.float32)
    centers = random.normal(size=(p, 3)).astype(np.float32)
    distances = np.where(random.random(n) < 0.3, np.inf, random.random(n) * 8)
    lean = 0.5 * (1 - 1e-5)
    found = distances.copy()
    come_nearer(
        rows, np.full(n, 2.0), rows @ centers.T * 2, lean * 4 * (rows.astype(float) ** 2).sum(1),
        centers.astype(np.float64) * 2, (lean * 4 * (centers**2).sum(1)).astype(np.float32), found,
    )  # fmt: skip
    expected = oracles.nearest_by_definition(rows * 2.0, centers * 2.0, distances)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def graph_for(random, n, k):
    """Neighbours in no order, -1 among them, and distances that are the same both ways."""
    neighbours = np.array([random.permutation(np.r_[np.delete(np.arange(n), i), -1])[:k]
                           for i in range(n)])  # fmt: skip
    both = random.integers(0, 8, (n, n)) / 4
    both = np.float32(both + both.T)
    return neighbours, np.take_along_axis(both, np.maximum(neighbours, 0), 1)


def ends_for(neighbours, distances):
    counts = np.empty(len(neighbours), np.int64)
    count_ends(neighbours, counts)
    starts = np.r_[0, np.cumsum(counts)]
    ends, gaps = np.full(starts[-1], -7, np.int32), np.empty(starts[-1], np.float32)
    fill_ends(neighbours, distances, starts, np.zeros_like(counts), ends, gaps)
    return starts, ends, gaps


@few
@given(st.integers(2, 12), st.integers(1, 4), numbers)
def test_count_ends_and_fill_ends(n, k, seed):
    graph = graph_for(np.random.default_rng(seed), n, k)
    starts, ends, gaps = ends_for(*graph)
    for i, expected in enumerate(oracles.ends_of_edges(*graph)):
        own = slice(starts[i], starts[i + 1])
        assert len(expected) == starts[i + 1] - starts[i]
        assert dict(zip(ends[own].tolist(), gaps[own].tolist(), strict=True)) == expected


@few
@given(st.integers(2, 12), st.integers(1, 3), numbers)
def test_add_messages_and_pick_messages(n, k, seed):
    random = np.random.default_rng(seed)
    graph = graph_for(random, n, k)
    edges, (starts, ends, gaps) = oracles.ends_of_edges(*graph), ends_for(*graph)
    own, values = random.integers(0, 4, n).astype(np.float64), np.empty(n)
    add_messages(starts, ends, gaps, 0.5, own, values)
    np.testing.assert_allclose(values, oracles.messages_of_neighbours(edges, own, 0.5))
    values = random.integers(-1, 4, n).astype(np.float64)
    before = np.arange(n)[n - n // 4 :]
    allowed = np.arange(n - n // 4)
    count = int(random.integers(1, allowed.size + 1))
    picks, left = oracles.messages_by_scanning(
        edges, lambda gap: gap / 4, before, values, allowed, count
    )
    out, bounds = np.empty(count, np.int64), values.copy()
    heap = allowed[np.argsort(-values[allowed], kind="stable")]
    pick_messages(starts, ends, gaps / np.float32(4), before, values, bounds, heap, out)
    assert out.tolist() == picks
    np.testing.assert_allclose(values, left, atol=1e-12)


@few
@given(st.integers(1, 6), st.integers(1, 6), numbers)
def test_change_gains(b, w, seed):
    random = np.random.default_rng(seed)
    values, old = random.random((b, w), np.float32), random.random(b, np.float32)
    new = old + random.random(b, np.float32)
    old[random.random(b) < 0.3] = np.inf
    gains = np.ones(w)
    change_gains(values, old, new, gains)
    np.testing.assert_allclose(gains, 1 + oracles.gains_by_definition(values, old, new), atol=1e-5)


def test_whole_products():
    random = np.random.default_rng(0)
    rows = random.integers(-127, 128, (9, 37), np.int8)
    turned = random.integers(-(2**15) + 1, 2**15, 37).astype(np.int16)
    out = np.empty(9, np.int32)
    whole_products(rows, turned, out)
    assert out.tolist() == oracles.products_of_whole_numbers(rows, turned)


@pytest.mark.parametrize("spread", [1.0, 1e-3, 0.0])
def test_to_distances(spread):
    random = np.random.default_rng(1)
    rows = (1 + spread * random.normal(size=(6, 4))).astype(np.float32)
    columns = (1 + spread * random.normal(size=(5, 4))).astype(np.float32)
    columns[0] = rows[0]
    values = rows @ columns.T
    to_distances(values, rows, columns, (rows**2).sum(1), (columns**2).sum(1))
    np.testing.assert_allclose(values, oracles.minus_distances(rows, columns), rtol=3e-6, atol=1e-9)


@few
@given(st.integers(1, 6), st.integers(1, 8), numbers)
def test_gather_pairs(b, n, seed):
    random = np.random.default_rng(seed)
    values, current = random.random((b, n), np.float32), random.random(n, np.float32)
    expected = oracles.pairs_by_scanning(values, current)
    room = sum(map(len, expected)) + n + 2
    rows, kept = np.empty(room, np.int32), np.empty(room, np.float32)
    lengths = np.empty(b, np.int64)
    end = gather_pairs(values, current, 2, rows, kept, lengths)
    assert lengths.tolist() == [len(each) for each in expected]
    assert rows[2:end].tolist() == [i for each in expected for i in each]
    at = np.repeat(np.arange(b), lengths), rows[2:end]
    assert np.array_equal(kept[2:end], values[at])
    assert gather_pairs(values, current, 0, rows[: n - 1], kept[: n - 1], lengths) == -1


@few
@given(st.integers(1, 10), numbers)
def test_pick_gains(n, seed):
    random = np.random.default_rng(seed)
    matrix = random.integers(0, 8, (n, n)).astype(np.float32) / 8  # eighths: sums are exact
    matrix[random.random((n, n)) < 0.4] = -np.inf
    current = random.integers(0, 3, n).astype(np.float32) / 8
    count = int(random.integers(1, n + 1))
    picks, gained, covered = oracles.greedy_on_pairs(matrix, current, count)
    columns, rows = np.nonzero(np.isfinite(matrix.T))
    lengths = np.bincount(columns, minlength=n)
    gains = np.full(n, 1.0 * n)
    out = np.empty(count, np.int64)
    pick_gains(
        np.cumsum(lengths) - lengths, lengths, rows.astype(np.int32), matrix[rows, columns],
        current, gains, np.arange(n), out,
    )  # fmt: skip
    assert out.tolist() == picks
    assert gains[out].tolist() == gained
    np.testing.assert_array_equal(current, covered)
