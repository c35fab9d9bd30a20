"""Keys hashed from ids, against whole numbers."""

import numpy as np
import oracles
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.kernels._keys import keys_of_ids, keys_of_words

words = st.integers(0, 2**64 - 1)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20), words)
def test_keys_of_ids(ids, key):
    out = np.empty(len(ids), np.uint64)
    keys_of_ids(np.array(ids, np.int64), np.uint64(key), out)
    assert out.tolist() == oracles.keys_of_ids_by_integers(ids, key)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.lists(words, min_size=3, max_size=3), min_size=1, max_size=10), words)
def test_keys_of_words(rows, key):
    out = np.empty(len(rows), np.uint64)
    keys_of_words(np.array(rows, np.uint64), np.uint64(key), out)
    assert out.tolist() == oracles.keys_of_words_by_integers(rows, key)
