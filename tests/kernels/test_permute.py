"""The keyed permutation and the shuffle, against Python's integers."""

import math
import os
import subprocess
import sys

import numpy as np
import oracles
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numba import config

from sampling.kernels import _permute
from sampling.kernels._permute import _permute as permute_by_numpy
from sampling.kernels._permute import _shuffle as shuffle_by_numpy
from sampling.kernels._permute import add_hash, halves, permute, shuffle

KEYS = [0, 1, 2**63, 2**64 - 1, 0x9E3779B97F4A7C15, 0x0123456789ABCDEF]
keys = st.integers(0, 2**64 - 1)
sizes = st.one_of(
    st.integers(1, 100),
    st.integers(0, 62).map(lambda exponent: 2**exponent),
    st.integers(1, 62).map(lambda exponent: 2**exponent - 1),
    st.integers(0, 61).map(lambda exponent: 2**exponent + 1),
    st.integers(1, 2**31).map(lambda root: root * root),
    st.integers(1, 2**31 - 1).map(lambda root: root * root + 1),
    st.integers(1, 2**31 - 1).map(lambda root: root * (root + 1) + 1),
    st.integers(1, 2**62),
)
many = settings(deadline=None, derandomize=True, max_examples=200)
some = settings(deadline=None, derandomize=True, max_examples=60)


def permuted(key, n, positions):
    out = np.empty(len(positions), np.int64)
    permute(np.uint64(key), n, np.array(positions, np.int64), out)
    return out


@many
@given(sizes)
@example(1)
@example(2**62)
@example(2**62 - 1)
@example((2**31 - 1) ** 2 + 1)
def test_halves_cover_n_with_less_than_one_row_to_spare(n):
    a, b = (int(half) for half in halves(n))
    assert (a, b) == oracles.halves_by_roots(n)
    assert n <= a * b < n + a
    assert max(a, b) <= 2**31
    assert a == math.isqrt(n - 1) + 1


@some
@given(
    st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**32 - 1)), max_size=5),
    st.integers(1, 2**31),
    keys,
)
@example([(2**31 - 1, 5), (0, 2**32 - 1)], 2**31, 2**64 - 1)
@example([(0, 0)], 1, 0)
def test_add_hash_stays_below_its_modulus_and_is_an_addition(pairs, modulus, key):
    before = np.array([target % modulus for target, _ in pairs], np.uint32)
    source = np.array([source for _, source in pairs], np.uint32)
    after, zero = before.copy(), np.zeros_like(before)
    add_hash(after, source, modulus, np.uint64(key))
    add_hash(zero, source, modulus, np.uint64(key))  # the hash alone
    expected = [(int(t) + int(h)) % modulus for t, h in zip(before, zero, strict=True)]
    assert after.tolist() == expected


@many
@given(sizes, keys, st.data())
def test_permute_equals_python_integers(n, key, data):
    positions = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=4))
    positions += [0, n - 1, n // 2]
    expected = oracles.permute_in_integers(key, n, positions)
    np.testing.assert_array_equal(permuted(key, n, positions), expected)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("n", [1, 2, 3, 5, 16, 17, 31, 37])
def test_permute_is_a_permutation_of_small_sizes(n, key):
    out = permuted(key, n, range(n))
    np.testing.assert_array_equal(np.sort(out), np.arange(n))
    np.testing.assert_array_equal(out, oracles.permute_in_integers(key, n, range(n)))


@some
@given(sizes, keys, st.data())
def test_the_twin_runs_backwards(n, key, data):
    positions = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=4))
    places = permuted(key, n, positions)
    np.testing.assert_array_equal(oracles.unpermute_in_integers(key, n, places), positions)


@pytest.mark.parametrize("size", [511, 512, 513, 1025])
def test_permute_works_block_by_block_and_in_place(size):
    """Blocks of 512 positions: the ends of a block, and `out` being `positions`."""
    n, key = 1_000_003, 77
    positions = (np.arange(size, dtype=np.int64) * 7919) % n
    expected = permuted(key, n, positions)
    picked = [0, 1, 510, min(512, size - 1), size - 1]
    oracle = oracles.permute_in_integers(key, n, positions[picked])
    np.testing.assert_array_equal(expected[picked], oracle)
    one_by_one = [permuted(key, n, [positions[j]])[0] for j in picked]
    np.testing.assert_array_equal(expected[picked], one_by_one)
    permute(np.uint64(key), n, positions, positions)
    np.testing.assert_array_equal(positions, expected)


def test_permute_of_no_positions_and_of_repeated_ones():
    assert permuted(5, 10, []).size == 0
    assert len(set(permuted(5, 10, [3, 3, 3]).tolist())) == 1


def test_permute_reads_a_view_and_leaves_its_input_alone():
    positions = np.arange(40, dtype=np.int64)
    out = np.full(40, -1, np.int64)
    permute(np.uint64(9), 1000, positions[10:20], out[10:20])
    np.testing.assert_array_equal(out[10:20], oracles.permute_in_integers(9, 1000, range(10, 20)))
    assert (out[:10] == -1).all()
    assert (out[20:] == -1).all()
    np.testing.assert_array_equal(positions, np.arange(40))


@pytest.mark.slow
@pytest.mark.skipif(config.DISABLE_JIT, reason="about compiled code from numba's cache")
def test_read_only_positions_after_writable_ones(tmp_path):
    """Each is a specialisation of its own (as strided arrays are). A kernel that calls itself under
    another signature has no address there when it comes from the cache. Twice, since the first
    process fills the cache.
    """
    code = (
        "import numpy as np\n"
        "from sampling.kernels._permute import permute\n"
        "positions = np.arange(65_537)\n"
        "frozen = positions.copy()\n"
        "frozen.flags.writeable = False\n"
        "outs = []\n"
        "for each in (positions, frozen):\n"
        "    outs.append(np.empty(each.size, np.int64))\n"
        "    permute(np.uint64(3), 65_537, each, outs[-1])\n"
        "assert (outs[0] == outs[1]).all()\n"
    )
    for _ in range(2):
        result = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert result.returncode == 0, (result.returncode, result.stderr[-300:])


def test_walking_on_is_needed_and_done():
    """At n = a * b - a + 1 as many results as can be lie outside, and must be walked on from."""
    n = 37 * 37 + 1  # 38 x 37 cells, 36 of them outside
    first_results = [
        oracles.permute_in_integers(key, n, [0], rounds=8)[0] for key in range(5)
    ]  # the twin walks too
    assert [permuted(key, n, [0])[0] for key in range(5)] == first_results
    assert (permuted(3, n, range(0, n, 11)) < n).all()


def test_rounds_are_the_ones_that_were_measured():
    """Another number of rounds is another algorithm version, and other golden values."""
    assert _permute.ROUNDS == 8
    assert permuted(1, 10**9, [0, 1, 2]).tolist() != (
        oracles.permute_in_integers(1, 10**9, [0, 1, 2], rounds=6).tolist()
    )


@some
@given(keys, st.integers(0, 40))
@example(0, 0)
@example(0, 1)
@example(2**64 - 1, 2)
def test_shuffle_equals_its_twin(key, n):
    out = np.full(n, -1, np.int64)
    shuffle(np.uint64(key), out)
    np.testing.assert_array_equal(out, oracles.shuffle_in_integers(key, n))
    np.testing.assert_array_equal(np.sort(out), np.arange(n))


# ---------------------------------------------------------------------- by numpy, for first draws


@pytest.mark.parametrize("key", [0, 2**63 + 5, 2**64 - 1])
@pytest.mark.parametrize(
    "n", [1, 2, 3, 38 * 37, 37 * 37 + 1, 65_536, 65_537, 2**31 - 1, 2**31 + 1, 2**62 - 3, 2**62]
)
def test_permute_by_numpy_equals_the_kernel(n, key):
    """Also where many results are walked on from, and in place."""
    positions = np.unique([0, n - 1, n // 2, *((i * (n // 700 + 1)) % n for i in range(700))])
    expected = permuted(key, n, positions)
    permute_by_numpy(np.uint64(key), n, positions, positions)
    np.testing.assert_array_equal(positions, expected)


def test_permute_by_numpy_of_no_positions():
    permute_by_numpy(np.uint64(3), 10, np.empty(0, np.int64), np.empty(0, np.int64))


@pytest.mark.parametrize("key", [0, 2**63 + 5, 2**64 - 1])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 1000, 65_535, 65_536])
def test_shuffle_by_numpy_equals_the_kernel(n, key):
    expected, out = np.full((2, n), -1, np.int64)
    shuffle(np.uint64(key), expected)
    shuffle_by_numpy(np.uint64(key), out)
    np.testing.assert_array_equal(out, expected)
