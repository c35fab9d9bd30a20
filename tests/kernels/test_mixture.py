"""Whose turn it is, against a queue of what is due; and how even the order is, exhaustively."""

import itertools

import numpy as np
import oracles
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sampling.kernels._mixture import even_of_many, even_of_two, group_draws, run_places

some = settings(deadline=None, derandomize=True, max_examples=60)


def walked(quotas, slots=None, at=0, counts=None):
    """(codes, ranks, counts afterwards) of slots, all of them by default."""
    quotas = np.array(quotas, np.int64)
    slots = np.arange(quotas.sum()) if slots is None else np.array(slots, np.int64)
    counts = np.zeros(quotas.size, np.int64) if counts is None else counts.copy()
    codes, ranks = np.full(slots.size, -7), np.full(slots.size, -7)
    walk = even_of_two if quotas.size == 2 else even_of_many
    walk(quotas, counts, at, slots, codes, ranks)
    return codes, ranks, counts


def parted(total, parts):
    """All ways to write a total as so many numbers >= 1, in every order."""
    for cuts in itertools.combinations(range(1, total), parts - 1):
        yield np.diff([0, *cuts, total]).tolist()


def windows(codes, quotas, *, around):
    """Largest distance of a source's draws in any stretch from k q / M, times M."""
    total = len(codes)
    own = np.asarray(codes)[:, None] == np.arange(len(quotas))
    sums = np.concatenate([np.zeros((1, len(quotas)), int), np.cumsum(np.tile(own, (2, 1)), 0)])
    worst = 0
    for k in range(1, total + 1):
        starts = total if around else total - k + 1
        found = sums[k : k + starts] - sums[:starts]
        worst = max(worst, np.abs(found * total - k * np.array(quotas)).max())
    return worst


@pytest.mark.parametrize("total", range(2, 16))
def test_of_two_equals_floors(total):
    for quotas in parted(total, 2):
        codes, ranks, counts = walked(quotas)
        assert list(zip(codes, ranks, strict=True)) == oracles.pair_by_floors(quotas)
        assert counts.tolist() == quotas


@pytest.mark.parametrize("parts", [1, 3, 4, 5])
def test_of_many_equals_a_queue(parts):
    for total in range(parts, 10):
        for quotas in parted(total, parts):
            codes, ranks, counts = walked(quotas)
            assert list(zip(codes, ranks, strict=True)) == oracles.even_by_queue(quotas)
            assert counts.tolist() == quotas


@some
@given(st.lists(st.integers(1, 60), min_size=3, max_size=7))
@example([1, 1, 98])
@example([50, 50, 50])
def test_of_many_equals_a_queue_for_long_orders(quotas):
    codes, ranks, _ = walked(quotas)
    assert list(zip(codes, ranks, strict=True)) == oracles.even_by_queue(quotas)


def test_any_stretch_of_two_sources_is_off_by_less_than_one():
    for total in range(2, 30):
        for quotas in parted(total, 2):
            assert windows(walked(quotas)[0], quotas, around=True) < total


def test_any_stretch_of_many_sources_is_off_by_less_than_two():
    worst = 0.0
    for total, parts in itertools.product(range(3, 12), (3, 4)):
        for quotas in parted(total, parts):
            codes = walked(quotas)[0]
            counts = np.cumsum(codes[:, None] == np.arange(parts), axis=0)
            ideal = np.outer(np.arange(1, total + 1), quotas)
            assert (np.abs(counts * total - ideal) < total).all()  # from the order's beginning
            worst = max(worst, windows(codes, quotas, around=True) / total)
    assert 1.0 < worst < 2.0


def test_no_order_of_three_sources_holds_every_stretch_to_less_than_one():
    """For quotas 3, 2, 1: so less than two is said, and not less than one."""
    orders = set(itertools.permutations([0, 0, 0, 1, 1, 2]))
    assert len(orders) == 60
    assert all(windows(order, [3, 2, 1], around=False) >= 6 for order in orders)


@some
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.data())
def test_a_walk_goes_on_where_another_stopped(quotas, data):
    whole = list(zip(*walked(quotas)[:2], strict=True))
    total = sum(quotas)
    slots = sorted(data.draw(st.lists(st.integers(0, total - 1), min_size=1, max_size=9)))
    codes, ranks, counts = walked(quotas, slots)  # with gaps, and slots twice
    assert list(zip(codes, ranks, strict=True)) == [whole[slot] for slot in slots]
    at = slots[-1] + 1
    if at < total:
        codes, ranks, _ = walked(quotas, range(at, total), at, counts)
        assert list(zip(codes, ranks, strict=True)) == whole[at:]


def test_two_sources_at_the_largest_size():
    quotas = [2**30 + 1, 2**30 - 3]
    total = sum(quotas)
    at = total - 1000
    first = at * quotas[0] // total
    codes, ranks, counts = walked(quotas, range(at, total), at, np.array([first, at - first]))
    expected = [(slot + 1) * quotas[0] // total - slot * quotas[0] // total
                for slot in range(at, total)]  # fmt: skip
    assert (1 - codes).tolist() == expected
    assert ranks.max() == quotas[0] - 1
    assert counts.tolist() == quotas


def test_three_sources_at_the_largest_size():
    """On from the middle, where every source has drawn its half, to one draw of the smallest."""
    quotas = [2**30, 2**29, 2**29 - 2]
    half = np.array(quotas) // 2
    at = int(half.sum())
    codes, ranks, counts = walked(quotas, range(at, at + 1000), at, half)
    ideal = np.outer(np.arange(1, 1001), quotas) / sum(quotas)
    drawn = np.cumsum(codes[:, None] == np.arange(3), axis=0)
    assert (np.abs(drawn - ideal) < 1).all()
    np.testing.assert_array_equal(counts, half + drawn[-1])
    assert (ranks >= half[codes]).all()


@some
@given(st.integers(1, 9), st.lists(st.integers(0, 60), max_size=30), st.integers(0, 2**64 - 1))
@example(1, [0, 5, 2**40], 0)
@example(4, [3, 2, 1, 0, 4], 2**64 - 1)
def test_places_equal_those_of_whole_shuffles(size, draws, key):
    out = np.full(len(draws), -1)
    run_places(np.array(draws, np.int64), size, np.uint64(key), out)
    np.testing.assert_array_equal(out, oracles.places_by_pass(draws, size, key))


@some
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 40)), min_size=1, max_size=5), st.data()
)
def test_draws_equal_those_of_a_sort(domains, data):
    quotas, cursors = np.array(domains, np.int64).T.copy()
    before = np.array([data.draw(st.integers(0, q - 1)) for q in quotas.tolist()], np.int64)
    codes = data.draw(st.lists(st.integers(0, len(domains) - 1), max_size=20))
    ranks = [data.draw(st.integers(0, int(quotas[c]) - 1)) for c in codes]
    rows, draws = np.full(len(codes), -1), np.full(len(codes), -1)
    ends = np.full(len(domains), -1)
    arrays = [np.array(codes, np.int64), np.array(ranks, np.int64)]
    group_draws(*arrays, before, quotas, cursors, ends, rows, draws)
    expected = oracles.draws_by_sorting(codes, ranks, before, quotas, cursors)
    for found, wanted in zip((ends, rows, draws), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
