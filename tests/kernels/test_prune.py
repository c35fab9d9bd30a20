"""Grouping by score, thinning and finding what is kept, against numpy."""

import numpy as np
import oracles
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sampling.kernels._draw import build_guide
from sampling.kernels._prune import (
    BLOCK,
    FIRST_GROUP,
    LEFT_OUT,
    UNSEEN,
    assign,
    count_kept,
    drop_marked,
    first_left_out,
    fold_losses,
    kept_bytes,
    list_kept,
    summarise,
    take_kept,
    thin,
)

keys = st.integers(0, 2**64 - 1)
score = st.one_of(
    st.sampled_from([0.0, -0.0, 0.5, 1.0, np.nan]),
    st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6),
)
score_lists = st.lists(score, max_size=40)
some = settings(deadline=None, derandomize=True, max_examples=100)
SIZES = [1, 2, 63, 64, 65, 127, 128, 129, 200]


def floats32(values):
    return np.array(values, np.float32)


# ---------------------------------------------------------------------- summarise


@some
@given(score_lists)
@example([])
@example([np.nan])
@example([np.nan, np.nan, -3.0])
def test_summary_equals_numpy(scores):
    scores = floats32(scores)
    seen, total, largest = summarise(scores)
    expected = oracles.summary_by_numpy(scores)
    assert (seen, largest) == (expected[0], expected[2])
    scale = np.nansum(np.abs(scores.astype(np.float64)))
    assert total == pytest.approx(expected[1], rel=0, abs=1e-13 * scale)


def test_the_sum_is_float64():
    """2**24 + 1 is no float32: a float32 running sum would end at 2**24."""
    assert summarise(floats32([2.0**24, 1.0, 1.0]))[1] == 2.0**24 + 2.0


# ---------------------------------------------------------------------- assign


def assigned(scores, thresholds):
    codes = np.full(len(scores), 99, np.uint8)
    counts = np.full(len(thresholds) + 1, 99, np.int64)
    assign(floats32(scores), np.array(thresholds, np.float64), codes, counts)
    return codes, counts


@some
@given(score_lists, st.lists(st.floats(-2, 2), max_size=4).map(sorted))
@example([0.5, 0.5, 1.0, 0.0], [0.5, 1.0])  # scores equal to thresholds belong above
@example([-0.0, 0.0], [0.0])
@example([np.nan] * 3, [0.0])
@example([1.0, 2.0], [1.5, 1.5])  # a group between equal thresholds stays empty
@example([1.0, np.nan], [])
@example([0.5], [-np.inf, np.inf])
def test_groups_equal_numpy(scores, thresholds):
    codes, counts = assigned(scores, thresholds)
    expected_codes, expected_counts = oracles.groups_by_numpy(floats32(scores), thresholds)
    np.testing.assert_array_equal(codes, expected_codes)
    np.testing.assert_array_equal(counts, expected_counts)


def test_a_float32_score_meets_a_float64_threshold_in_float64():
    """float32(0.1) exceeds 0.1: rounding the threshold would make them equal."""
    assert assigned([0.1], [0.1])[0].tolist() == [FIRST_GROUP + 1]
    assert assigned([0.3], [float(np.float32(0.3))])[0].tolist() == [FIRST_GROUP + 1]
    assert assigned([0.3], [np.nextafter(float(np.float32(0.3)), 1)])[0].tolist() == [FIRST_GROUP]


def test_many_groups():
    """As many as codes below 128 can tell apart."""
    codes, counts = assigned(np.arange(126) - 0.5, np.arange(125))
    np.testing.assert_array_equal(codes, np.arange(126) + FIRST_GROUP)
    assert codes.max() == 127
    assert (counts == 1).all()


# ---------------------------------------------------------------------- thin


limits = st.one_of(st.sampled_from([0, 2**63, 2**64 - 1]), st.integers(0, 2**64 - 1))


@some
@given(st.lists(st.integers(0, 4), max_size=60), keys, st.data())
def test_thinning_by_limits_equals_one_sample_after_another(codes, key, data):
    codes, first = np.array(codes, np.uint8), data.draw(st.integers(0, 2**40))
    low, high = np.full((2, 128), 2**64 - 1, np.uint64)
    for code in (2, 3, 4):
        low[code], high[code] = sorted(data.draw(st.tuples(limits, limits)))
    most = data.draw(st.integers(0, 30))
    expected, counts, rows, hashed = oracles.thin_by_sample(codes, first, key, low, high)
    kept, near, hashes = np.ones(128, np.int64), np.full(most, -1), np.zeros(most, np.uint64)
    found = thin(codes, first, np.uint64(key), low, high, kept, near, hashes)
    assert found == len(rows)
    np.testing.assert_array_equal(near[:found], rows[:most])
    np.testing.assert_array_equal(hashes[:found], np.array(hashed[:most], np.uint64))
    np.testing.assert_array_equal(kept, np.array(counts) + 1)  # added to
    np.testing.assert_array_equal(codes, expected)
    drop_marked(codes)
    np.testing.assert_array_equal(codes, oracles.without_marks(expected))


# ---------------------------------------------------------------------- count_kept, take_kept


def words_of(codes):
    """The codes, eight to a word, padded with 0 to whole blocks."""
    padded = np.zeros(-(-len(codes) // BLOCK) * BLOCK, np.uint8)
    padded[: len(codes)] = codes
    return padded.view(np.uint64)


def check_kept(codes):
    codes = np.array(codes, np.uint8)
    words = words_of(codes)
    kept = oracles.kept_by_numpy(codes)
    ends = np.arange(BLOCK, codes.size + BLOCK, BLOCK)
    sums = np.full(ends.size, -1.0)
    count_kept(words, sums)
    np.testing.assert_array_equal(sums, np.searchsorted(kept, ends))
    for dtype in (np.int32, np.int64):
        listed = np.full(kept.size, -1, dtype)
        list_kept(codes, listed)
        np.testing.assert_array_equal(listed, kept)
    if kept.size == 0:
        return
    for cells in {1, max(1, sums.size // 2), 3 * sums.size}:
        guide = np.empty(cells + 1, np.int32)
        build_guide(sums, guide)
        slots = np.arange(kept.size, dtype=np.int64)[::-1].copy()
        out = np.full(kept.size, -1, np.int64)
        take_kept(words, sums, guide, slots, out)
        np.testing.assert_array_equal(out, kept[::-1])
        take_kept(words, sums, guide, slots, slots)
        np.testing.assert_array_equal(slots, kept[::-1])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kept", ["all", "none", "first", "last", "even"])
def test_kept_of_sizes_around_a_block(size, kept):
    codes = np.zeros(size, np.uint8)
    if kept != "none":
        where = {"all": slice(None), "first": 0, "last": -1, "even": slice(0, None, 2)}[kept]
        codes[where] = UNSEEN
    check_kept(codes)


@pytest.mark.parametrize("empty", [[0], [1], [3], [0, 1], [1, 2], [2, 3], [0, 1, 2], [1, 2, 3]])
def test_kept_with_whole_blocks_left_out(empty):
    codes = np.full(4 * BLOCK - 5, FIRST_GROUP, np.uint8)
    for block in empty:
        codes[block * BLOCK : (block + 1) * BLOCK] = LEFT_OUT
    check_kept(codes)


@pytest.mark.parametrize("full", [[0], [1], [3], [0, 2]])
def test_kept_with_whole_blocks_kept_among_sparse_ones(full):
    codes = np.where(np.arange(4 * BLOCK - 5) % 50 == 7, UNSEEN, LEFT_OUT).astype(np.uint8)
    for block in full:
        codes[block * BLOCK : (block + 1) * BLOCK] = FIRST_GROUP
    check_kept(codes)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=150))
def test_kept_equals_numpy(codes):
    check_kept(codes)


@some
@given(st.lists(st.integers(0, 127), min_size=8, max_size=8))
@example([0] * 8)
@example([127] * 8)
@example([127, 0] * 4)
@example([1, 0, 0, 0, 0, 0, 0, 127])
def test_kept_bytes_mark_every_code_but_0(codes):
    word = np.array(codes, np.uint8).view(np.uint64)[0]
    marks = np.array([kept_bytes(word)], np.uint64).view(np.uint8)
    np.testing.assert_array_equal(marks, np.array(codes) != LEFT_OUT)


@pytest.mark.parametrize("position", range(8))
@pytest.mark.parametrize("before", range(8))
def test_the_only_kept_code_of_a_word(position, before):
    """At each byte of each word of a block, after a full block and with large codes around."""
    codes = np.zeros(3 * BLOCK, np.uint8)
    codes[:BLOCK] = 127
    codes[BLOCK + 8 * before + position] = 64
    codes[-1] = 127
    check_kept(codes)


# ---------------------------------------------------------------------- first_left_out


@some
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=70),
    st.lists(st.integers(-3, 80), max_size=10),
)
@example([1], [])
@example([1], [0])
@example([0], [0])
@example([1, 1], [0, 1, 2])
@example([1, 1], [0, -1, 5])
def test_first_left_out_equals_numpy(codes, indices):
    codes, indices = np.array(codes, np.uint8), np.array(indices, np.int64)
    absent = np.flatnonzero(~np.isin(indices, oracles.kept_by_numpy(codes)))
    assert first_left_out(codes, indices) == (absent[0] if absent.size else -1)


# ---------------------------------------------------------------------- fold_losses

any_score = st.one_of(
    st.sampled_from([0.0, 1.0, 3e38, -3e38, np.nan]), st.floats(-1e3, 1e3, width=32)
)


@some
@given(
    st.lists(st.tuples(any_score, any_score, st.floats(0, 1e3, width=32)), min_size=1, max_size=20),
    st.floats(0, 1, exclude_min=True),
)
@example([(np.nan, 1.0, 2.0), (1.0, np.nan, 0.0), (np.nan, np.nan, 0.0)], 0.5)
@example([(3e38, -3e38, 1.0), (1.0, 1.0, 3e38)], 1.0)
def test_folding_equals_floats(rows, decay):
    fresh, average, spread = (floats32(column) for column in zip(*rows, strict=True))
    averages, spreads = oracles.folded_in_floats(fresh, average, spread, decay)
    fold_losses(fresh, average, spread, decay)
    np.testing.assert_allclose(average, averages, rtol=1e-6, atol=1e-3)
    np.testing.assert_allclose(spread, spreads, rtol=1e-6, atol=1e-30)
    assert np.isfinite(spread).all()
