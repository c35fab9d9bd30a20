"""The checksum of large arrays, against Python's integers, and what it must notice."""

import numpy as np
import oracles
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sampling.kernels._digest import _checksum as checksum_by_numpy
from sampling.kernels._digest import checksum

words = st.lists(st.integers(0, 2**64 - 1), max_size=12)
key = np.uint64(5)


def of(values):
    return int(checksum(np.array(values, np.uint64), key))


@settings(deadline=None, derandomize=True, max_examples=200)
@given(words, st.integers(0, 2**64 - 1))
@example([], 0)
@example([2**64 - 1] * 3, 2**64 - 1)
def test_checksum_equals_python(values, key):
    expected = oracles.checksum_by_words(values, key)
    assert int(checksum(np.array(values, np.uint64), np.uint64(key))) == expected
    assert int(checksum_by_numpy(np.array(values, np.uint64), np.uint64(key))) == expected


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12), st.data())
def test_one_changed_bit_always_changes_it(values, data):
    place = data.draw(st.integers(0, len(values) - 1))
    changed = [*values]
    changed[place] ^= 1 << data.draw(st.integers(0, 63))
    assert of(changed) != of(values)


def test_order_and_length_count():
    values = list(range(50))
    assert len({of(np.roll(values, shift)) for shift in range(50)}) == 50
    assert len({of([0] * length) for length in range(50)}) == 50
