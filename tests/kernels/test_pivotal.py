"""Duels along an order, against a list of the undecided."""

import numpy as np
import oracles
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.kernels._pivotal import pivotal_walk

words = st.integers(0, 2**64 - 1)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), words, st.randoms())
def test_pivotal(pi, key, random):
    order = list(range(len(pi)))
    random.shuffle(order)
    out = np.zeros(len(pi), np.bool_)
    pivotal_walk(np.array(pi), np.array(order), np.uint64(key), out)
    assert out.tolist() == oracles.pivotal_by_duels(pi, order, key)
