"""Rows taken while they fit, against a walk over lists."""

import numpy as np
import oracles
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.kernels._fill import take_fitting


@settings(deadline=None, derandomize=True)
@given(st.data(), st.integers(1, 30), st.integers(1, 4))
def test_take_fitting(data, n, groups):
    costs = data.draw(st.lists(st.integers(0, 20), min_size=n, max_size=n))
    codes = data.draw(st.lists(st.integers(0, groups - 1), min_size=n, max_size=n))
    room = data.draw(st.lists(st.integers(0, 60), min_size=groups, max_size=groups))
    taken = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    order = data.draw(st.permutations(range(n)))
    total = data.draw(st.integers(0, 200))
    rooms, out = np.array(room), np.array(taken)
    left = take_fitting(np.array(order), np.array(costs), np.array(codes), rooms, total, out)
    assert (left, rooms.tolist(), out.tolist()) == oracles.take_by_walking(
        order, costs, codes, room, total, taken
    )
