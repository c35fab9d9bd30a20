"""Mixing, dealing in blocks, packing and levelling, against sets, lists and queues."""

from collections import Counter
from itertools import combinations, product

import numpy as np
import oracles
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numba import config

from sampling._rng import key as key_of
from sampling._rng import subkey
from sampling.kernels._blocks import (
    deal_blocks,
    find_bands,
    lay_groups,
    layer_events,
    level_loads,
    mix_batches,
    next_pass,
    pack,
    trade,
)
from sampling.kernels._permute import EXACT

keys = st.integers(0, 2**64 - 1)
some = settings(deadline=None, derandomize=True, max_examples=80)
compiled = pytest.mark.skipif(config.DISABLE_JIT, reason="too many steps for plain Python")

ERROR = 1e-6  # chance, over keys, that a right kernel fails one of the statistical tests


def allowed(trials, probability, cells):
    """How far a count may stray from its mean, all cells together (Bernstein's inequality)."""
    log = np.log(2 * cells / ERROR)
    return log / 3 + np.sqrt((log / 3) ** 2 + 2 * trials * probability * (1 - probability) * log)


# ---------------------------------------------------------------------- trade


def traded(one, other, key, seen=None, mark=0, dtype=np.int64):
    one, other = np.array(one, dtype), np.array(other, dtype)
    seen = np.full(40, -1, np.int64) if seen is None else seen
    trade(one, other, seen, mark, np.uint64(key), np.empty(4 * one.size, np.int64))
    return one, other


@st.composite
def pairs(draw):
    width = draw(st.integers(1, 8))
    classes = st.lists(st.integers(0, 11), min_size=width, max_size=width, unique=True)
    return draw(classes), draw(classes)


@some
@given(pairs(), keys)
@example(([1, 2, 3], [3, 2, 1]), 0)  # nothing to deal
@example(([1, 2, 3], [4, 5, 6]), 0)  # everything
@example(([0], [1]), 2**64 - 1)
def test_trade_equals_sets(pair, key):
    for dtype in (np.int32, np.int64):
        found = traded(*pair, key, dtype=dtype)
        expected = oracles.trade_by_sets(*pair, key)
        np.testing.assert_array_equal(found, expected)
    assert Counter([*pair[0], *pair[1]]) == Counter([*found[0].tolist(), *found[1].tolist()])
    assert all(np.unique(batch).size == batch.size for batch in found)


def test_trade_is_not_misled_by_marks_of_earlier_trades():
    seen = np.full(40, -1, np.int64)
    for number in range(30):
        one, other = [number % 7, 7, 8 + number % 3], [8, 12 + number % 5, 7]
        if len(set(one)) == 3:
            found = traded(one, other, number, seen=seen, mark=2 * number)
            expected = oracles.trade_by_sets(one, other, number)
            np.testing.assert_array_equal(found, expected)


@compiled
def test_every_half_of_the_pool_is_as_likely():
    trials, key = 20_000, key_of(0, 0, "test trade")
    counts = Counter()
    for number in range(trials):
        one, _ = traded([0, 1, 2, 9], [3, 4, 5, 9], int(subkey(key, number)))
        counts[tuple(sorted(one.tolist()))] += 1
    halves = [(*half, 9) for half in combinations(range(6), 3)]
    assert set(counts) == set(halves)
    off = max(abs(counts[half] - trials / 20) for half in halves)
    assert off <= allowed(trials, 1 / 20, 20)


# ---------------------------------------------------------------------- mix_batches


def laid(blocks, width):
    """Class after class, on from batch to batch: the table that a sampler starts with."""
    count = sum(blocks) // width
    return np.ascontiguousarray(np.repeat(np.arange(len(blocks)), blocks).reshape(width, count).T)


@some
@given(st.integers(1, 4), st.integers(1, 9), st.integers(0, 4), keys, st.data())
def test_mix_equals_sets(width, count, sweeps, key, data):
    blocks = data.draw(st.lists(st.integers(0, count), min_size=width, max_size=9))
    blocks = [*blocks, *[count] * width]
    blocks = blocks[: np.searchsorted(np.cumsum(blocks), width * count, side="right")]
    if (over := width * count - sum(blocks)) > 0:
        blocks.append(over)
    table = laid(blocks, width)
    mixed = table.copy()
    mix_batches(mixed, len(blocks), sweeps, np.uint64(key))
    np.testing.assert_array_equal(mixed, oracles.mix_by_sets(table, sweeps, key))
    np.testing.assert_array_equal(np.bincount(mixed.ravel(), minlength=len(blocks)), blocks)
    assert all(np.unique(batch).size == width for batch in mixed)


@compiled
def test_every_table_is_as_likely_after_a_few_sweeps():
    """4 batches of 2 classes, 4 classes in 2 batches each: there are 90 such tables."""
    sets = list(combinations(range(4), 2))
    tables = [t for t in product(sets, repeat=4) if set(np.bincount(np.ravel(t))) == {2}]
    assert len(tables) == 90
    trials, key = 30_000, key_of(0, 0, "test mix")
    counts = Counter()
    for number in range(trials):
        mixed = laid([2, 2, 2, 2], 2)
        mix_batches(mixed, 4, 10, subkey(key, number))
        counts[tuple(tuple(sorted(batch)) for batch in mixed.tolist())] += 1
    assert set(counts) == set(tables)
    off = max(abs(counts[table] - trials / 90) for table in tables)
    assert off <= allowed(trials, 1 / 90, 90)


# ---------------------------------------------------------------------- next_pass


def passed(order, begun, block, key, held=None, seam=1):
    out = np.array(order, np.int64)
    held = np.zeros(out.size, np.int64) if held is None else held
    next_pass(out, begun, block, np.uint64(key), held, seam)
    return out


@some
@given(st.integers(1, 12), keys, st.data())
def test_next_pass_equals_swapping(n, key, data):
    block = data.draw(st.integers(1, n))
    begun = data.draw(st.integers(0, block - 1))
    before = np.array(data.draw(st.permutations(range(n))))
    after = passed(before, begun, block, key)
    expected = oracles.pass_by_swapping(before.tolist(), begun, block, key)
    np.testing.assert_array_equal(after, expected)
    np.testing.assert_array_equal(np.sort(after), np.arange(n))
    of_the_block = [*before[n - begun :], *after[: block - begun]]
    assert len(set(of_the_block)) == (block if begun else len(of_the_block))


@compiled
def test_what_a_new_shuffle_begins_with_is_fair():
    """Of 5 samples the block has one; each order of two of the other four is as likely."""
    trials, key = 20_000, key_of(0, 0, "test pass")
    counts = Counter()
    for number in range(trials):
        after = passed([0, 1, 2, 3, 4], 1, 3, int(subkey(key, number)))
        counts[tuple(after[:2].tolist())] += 1
    assert len(counts) == 12
    assert max(abs(n - trials / 12) for n in counts.values()) <= allowed(trials, 1 / 12, 12)


# ---------------------------------------------------------------------- deal_blocks


def groups_of(sizes):
    """Members that are no mere range, and where each class of the given sizes begins."""
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return (np.arange(starts[-1]) * 3 + 100).astype(np.int32), starts


def dealt(members, starts, draws, block, key):
    out = np.full(int(np.sum(draws)), -1, members.dtype)
    deal_blocks(members, starts, np.array(draws, np.int64), block, np.uint64(key), out)
    return out


@some
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 6)), min_size=1, max_size=5),
    st.integers(1, 6),
    keys,
)
@example([(1, 6)], 3, 0)  # a class of one sample
@example([(4, 6), (5, 6)], 4, 0)  # as large as a block, and one larger
@example([(3, 0), (2, 1)], 2, 1)  # a class without blocks
def test_blocks_equal_walking(classes, block, key):
    sizes, blocks = zip(*classes, strict=True)
    members, starts = groups_of(sizes)
    draws = [number * block for number in blocks]
    out = dealt(members, starts, draws, block, key)
    expected = oracles.blocks_by_walking(members, starts, draws, block, key)
    np.testing.assert_array_equal(out, expected)
    at = 0
    for c, wanted in enumerate(draws):
        group, mine = members[starts[c] : starts[c + 1]], out[at : at + wanted]
        at += wanted
        counts = np.bincount(np.searchsorted(group, mine), minlength=group.size)
        assert counts.max() - counts.min() <= 1  # none again before all have come
        if group.size >= block:
            assert all(np.unique(each).size == block for each in mine.reshape(-1, block))


@compiled
@pytest.mark.parametrize("size", [EXACT, EXACT + 1])
def test_blocks_of_a_class_around_the_largest_exact_shuffle(size):
    members, starts = groups_of([3, size])
    out = dealt(members, starts, [8, 2 * size // 8 * 8], 8, key=4)
    large = out[8:]
    assert all(len(set(each)) == 8 for each in large.reshape(-1, 8).tolist())
    np.testing.assert_array_equal(np.sort(large[:size]), members[3:])
    counts = np.bincount((large - 100) // 3 - 3, minlength=size)
    assert counts.min() >= 1
    assert counts.max() == 2


# ---------------------------------------------------------------------- find_bands


def banded(lengths, ratio):
    starts = np.full(len(lengths) + 1, -1, np.int64)
    count = find_bands(lengths, ratio, starts)
    return starts[: count + 1]


@some
@given(
    st.lists(st.one_of(st.integers(0, 30), st.floats(0, 1e6)), min_size=1, max_size=40),
    st.sampled_from([1.0, 1.1, 1.5, 100.0]),
)
@example([0, 0], 1.0)
@example([5, 5, 5], 1.0)
@example([3], 1.1)
def test_bands_equal_bisection(lengths, ratio):
    lengths = np.sort(np.array(lengths, np.float64))[::-1].copy()
    starts = banded(lengths, ratio)
    np.testing.assert_array_equal(starts, oracles.bands_by_bisection(lengths, ratio))
    for first, end in zip(starts[:-1], starts[1:], strict=True):
        assert lengths[first] <= ratio * lengths[end - 1]
        assert end == lengths.size or lengths[first] > ratio * lengths[end]


# ---------------------------------------------------------------------- pack


def packed(counts, sizes):
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    cuts = np.full(1 + sum(-(-n // size) for n, size in zip(counts, sizes, strict=True)), -1)
    found = pack(starts, np.array(sizes, np.int64), cuts)
    return cuts[: found + 1], starts


@some
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12)), min_size=1, max_size=8))
@example([(1, 1)])
@example([(3, 100), (2, 1)])  # one batch takes all
@example([(1, 4), (1, 1), (1, 1), (1, 1), (4, 2)])  # a batch over several bands
def test_pack_equals_counting(bands):
    counts, sizes = zip(*bands, strict=True)
    cuts, starts = packed(counts, sizes)
    np.testing.assert_array_equal(cuts, oracles.pack_by_counting(starts, np.array(sizes)))


# ---------------------------------------------------------------------- level_loads


def leveled(lengths, most, count, dtype=np.int32):
    loads, out = np.full(count, -1.0), np.full(len(lengths), -1, dtype)
    level_loads(lengths, most, loads, out)
    return loads, out


@some
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=40),
    st.integers(1, 9),
    st.integers(0, 3),
)
@example([7], 1, 0)
@example([5, 5, 5, 5], 2, 0)
@example([0, 0, 0], 3, 0)
def test_loads_equal_a_queue(lengths, count, room):
    lengths = np.sort(np.array(lengths, np.float64))[::-1].copy()
    most = -(-lengths.size // count) + room
    loads, out = leveled(lengths, most, count)
    expected_loads, expected = oracles.loads_by_queue(lengths, most, count)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(loads, expected_loads)
    np.testing.assert_array_equal(loads, np.bincount(out, lengths, count))
    assert np.bincount(out).max() <= most


# ---------------------------------------------------------------------- lay_groups


@some
@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.data())
def test_groups_equal_concatenation(sizes, data):
    members, starts = groups_of(sizes)
    order = np.array(data.draw(st.permutations(range(len(sizes)))))
    order = order[: data.draw(st.integers(1, len(sizes)))]
    out = np.full(int(np.diff(starts)[order].sum()), -1, members.dtype)
    lay_groups(members, starts, order, out)
    np.testing.assert_array_equal(out, oracles.groups_by_concatenating(members, starts, order))


# ---------------------------------------------------------------------- layer_events


@some
@given(st.lists(st.tuples(st.integers(-1, 5), st.integers(-1, 5)), max_size=30), st.booleans())
@example([(-1, -1), (-1, -1)], True)
@example([(2, 2), (2, 2)], False)
def test_events_are_in_the_first_batch_after_those_of_their_entities(events, shared):
    first, second = np.array(events, np.int64).reshape(-1, 2).T.copy()
    last = np.zeros(6, np.int64)
    out = np.empty(len(events), np.int64)
    layer_events(first, second, last, last if shared else np.zeros_like(last), out)
    assert out.tolist() == oracles.layers_by_earlier_events(first, second, shared)
