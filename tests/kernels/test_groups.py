"""Encoding, grouping, dealing and scheduling, against sorting and queues."""

import numpy as np
import oracles
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numba import config

from sampling.kernels._groups import (
    EXACT,
    clip_schedule,
    collect_members,
    count,
    deal_pass,
    deal_windows,
    encode,
    interleave,
)

keys = st.integers(0, 2**64 - 1)
some = settings(deadline=None, derandomize=True, max_examples=80)

# ---------------------------------------------------------------------- encode


def encoded(labels):
    counts = np.zeros(max(int(np.max(labels)), -1) + 2, np.int64)
    count(labels[:3], counts)
    count(labels[3:], counts)
    numbers = np.cumsum(counts > 0).astype(np.int32) - 1 - (counts[0] > 0)
    numbers[0] = -1
    codes = np.full(len(labels), -7, np.int32)
    encode(labels, numbers, codes)
    return codes, counts


@some
@given(st.lists(st.integers(-1, 20), min_size=1, max_size=40))
@example([-1])
@example([-1, -1])
@example([0])
@example([1000, -1, 1000, 3])
def test_encode_equals_unique(labels):
    labels = np.array(labels, np.int64)
    codes, counts = encoded(labels)
    expected_codes, expected_counts = oracles.codes_by_unique(labels)
    np.testing.assert_array_equal(codes, expected_codes)
    np.testing.assert_array_equal(counts, expected_counts)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.uint64])
def test_encode_takes_labels_of_any_width_to_the_end_of_their_range(dtype):
    top = min(np.iinfo(dtype).max, 300)
    labels = np.array([top, 0, 3, top, 3], dtype)
    codes, counts = encoded(labels)
    expected_codes, expected_counts = oracles.codes_by_unique(labels)
    np.testing.assert_array_equal(codes, expected_codes)
    np.testing.assert_array_equal(counts, expected_counts)


# ---------------------------------------------------------------------- collect_members


def grouped(codes, dtype=np.int32):
    sizes = np.bincount(codes[codes >= 0], minlength=1)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    members = np.full(sizes.sum(), -1, dtype)
    cursor = starts[:-1].copy()
    collect_members(codes[:5], 0, cursor, members)
    collect_members(codes[5:], 5, cursor, members)
    np.testing.assert_array_equal(cursor, starts[1:])
    return members, starts


@some
@given(st.lists(st.integers(-1, 6), min_size=1, max_size=40))
@example([-1, -1, -1])
@example([3])
def test_members_equal_a_stable_sort(codes):
    codes = np.array(codes, np.int32)
    members, starts = grouped(codes)
    np.testing.assert_array_equal(members, oracles.members_by_sorting(codes))
    for c in range(starts.size - 1):
        here = members[starts[c] : starts[c + 1]]
        np.testing.assert_array_equal(here, np.flatnonzero(codes == c))


def test_members_of_64_bit_codes():
    codes, members = np.array([1, 0, -1, 1], np.int64), np.empty(3, np.int64)
    collect_members(codes, 0, np.array([0, 1]), members)
    assert members.tolist() == [1, 0, 3]


# ---------------------------------------------------------------------- deal_windows


def dealt(members, starts, used, quotas, key):
    out = np.full(int(np.sum(quotas)), -1, members.dtype)
    used, quotas = np.array(used, np.int64), np.array(quotas, np.int64)
    deal_windows(members, starts, used, quotas, np.uint64(key), out)
    return out


def groups_of(sizes):
    """Members that are no mere range, and where each group of the given sizes begins."""
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    members = (np.arange(starts[-1]) * 3 + 100).astype(np.int32)
    return members, starts


@some
@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(0, 30), st.integers(0, 25)),
        min_size=1,
        max_size=5,
    ),
    keys,
)
@example([(1, 0, 25), (1, 10**9, 3)], 0)  # many passes over tiny groups
@example([(2, 10**12 + 1, 7), (3, 2, 1)], 2**64 - 1)
@example([(5, 0, 0)], 1)  # nothing to deal
@example([(5, 5, 0), (4, 0, 4), (3, 3, 0)], 1)  # some groups sit out
@example([(5, 5, 5)], 1)  # exactly the second pass
@example([(5, 4, 2)], 1)  # the end of one pass and the start of the next
def test_deal_equals_walking(groups, key):
    sizes, used, quotas = zip(*groups, strict=True)
    members, starts = groups_of(sizes)
    out = dealt(members, starts, used, quotas, key)
    np.testing.assert_array_equal(out, oracles.deal_by_walking(members, starts, used, quotas, key))


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_every_sample_is_dealt_before_any_is_repeated(dtype):
    members, starts = groups_of([4, 1, 7])
    out = dealt(members.astype(dtype), starts, [0, 0, 0], [12, 3, 21], key=9)
    for c, (first, passes) in enumerate([(0, 3), (12, 3), (15, 3)]):
        group = members[starts[c] : starts[c + 1]]
        for number in range(passes):
            begin = first + number * group.size
            np.testing.assert_array_equal(np.sort(out[begin : begin + group.size]), group)


def test_windows_join_without_a_seam():
    """Dealing 5, 8 and 11 draws gives what dealing 24 at once gives."""
    members, starts = groups_of([6, 3])
    whole = dealt(members, starts, [0, 0], [24, 12], key=2)
    parts, used = [[], []], np.zeros(2, np.int64)
    for quotas in ([5, 0], [8, 7], [11, 5]):
        out = dealt(members, starts, used, quotas, key=2)
        parts[0].extend(out[: quotas[0]])
        parts[1].extend(out[quotas[0] :])
        used += quotas
    np.testing.assert_array_equal(whole, parts[0] + parts[1])


def test_deal_leaves_its_inputs_alone():
    members, starts = groups_of([6, 3])
    used, quotas = np.array([1, 2]), np.array([9, 4])
    copies = [each.copy() for each in (members, starts, used, quotas)]
    dealt(members, starts, used, quotas, key=2)
    for now, before in zip((members, starts, used, quotas), copies, strict=True):
        np.testing.assert_array_equal(now, before)


@pytest.mark.skipif(config.DISABLE_JIT, reason="shuffles 65,536 samples, a minute as plain Python")
@pytest.mark.parametrize("size", [EXACT, EXACT + 1, 70_000])
def test_deal_of_a_group_around_the_largest_exact_shuffle(size):
    members, starts = groups_of([3, size, 2])
    used, quotas = [1, size - 700, 0], [5, 1400, 3]  # over the end of a pass, in several blocks
    out = dealt(members, starts, used, quotas, key=4)
    large = out[5:-3]
    assert np.unique(large[:700]).size == np.unique(large[700:]).size == 700
    assert np.isin(large, members[3:-2]).all()
    if size > EXACT:
        # 700 as Feistel networks, one draw at a time
        expected = oracles.deal_by_walking(members, starts, used, quotas, key=4)
        np.testing.assert_array_equal(out, expected)
    whole = np.sort(dealt(members, starts, [0, size, 0], [0, size, 0], key=4))
    np.testing.assert_array_equal(whole, members[3:-2])


@some
@given(st.integers(1, 30), keys, st.data())
def test_deal_pass_is_a_window_of_a_shuffle(n, key, data):
    first = data.draw(st.integers(0, n))
    size = data.draw(st.integers(0, n - first))
    members = np.arange(n, dtype=np.int32) * 2
    out = np.empty(size, np.int32)
    deal_pass(members, np.uint64(key), first, np.empty(512, np.int64), out)
    expected = members[oracles.shuffle_in_integers(key, n)][first : first + size]
    np.testing.assert_array_equal(out, expected)


# ---------------------------------------------------------------------- clip_schedule


def scheduled(caps, level, key, m):
    caps = np.array(caps, np.int64)
    order = np.argsort(caps, kind="stable")
    out = np.full(m, -1, np.int64)
    clip_schedule(order, caps, level, np.uint64(key), out)
    expected = oracles.schedule_by_walking(order, caps, level, key, m)
    np.testing.assert_array_equal(out, expected)
    return out


@some
@given(st.lists(st.integers(0, 8), min_size=1, max_size=8), keys, st.data())
def test_schedule_equals_walking(caps, key, data):
    if max(caps) == 0:
        caps = [*caps, 1]
    level = data.draw(st.integers(0, max(caps) - 1))
    left = sum(max(0, cap - level) for cap in caps)
    scheduled(caps, level, key, data.draw(st.integers(0, left)))


def test_schedule_deals_each_group_up_to_its_cap():
    caps = [3, 1, 5, 0, 3]
    out = scheduled(caps, 0, key=8, m=12)
    np.testing.assert_array_equal(np.bincount(out, minlength=5), caps)
    assert sorted(out[:4].tolist()) == [0, 1, 2, 4]  # the first level holds every active group
    assert out[-2:].tolist() == [2, 2]  # the last ones only the group with the largest cap


def test_schedule_goes_on_at_a_level():
    caps = [4, 2, 6]
    whole = scheduled(caps, 0, key=8, m=12)
    np.testing.assert_array_equal(scheduled(caps, 2, key=8, m=6), whole[6:])
    scheduled([10**15, 10**15], 10**14, key=8, m=9)


# ---------------------------------------------------------------------- interleave


@some
@given(st.lists(st.integers(0, 4), max_size=40), st.integers(5, 7))
@example([], 5)
@example([4, 4, 4], 5)
def test_interleave_equals_queues(schedule, groups):
    schedule = np.array(schedule, np.int64)
    quotas = np.bincount(schedule, minlength=groups)
    dealt_ = (np.arange(schedule.size) * 5 + 1).astype(np.int32)
    out = np.full(schedule.size, -1, np.int32)
    interleave(schedule, quotas, dealt_, out)
    np.testing.assert_array_equal(out, oracles.interleave_by_queues(schedule, quotas, dealt_))
