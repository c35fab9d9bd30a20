"""Draws from a growing front, against whole numbers."""

import numpy as np
import oracles
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.kernels._pace import draw_front

some = settings(deadline=None, derandomize=True, max_examples=30)


def ranks_of(key, size, places, fronts):
    out = np.full(len(places), -1, np.int64)
    draw_front(np.uint64(key), size, np.asarray(places, np.int64), np.asarray(fronts), out)
    return out


@some
@given(st.integers(0, 2**64 - 1), st.integers(1, 40), st.integers(1, 40))
def test_draw_front_is_its_oracle(key, size, most):
    places = np.arange(size)[::-1].copy()
    fronts = 1 + places * (most - 1) // size
    found = ranks_of(key, size, places, fronts)
    assert found.tolist() == oracles.front_in_integers(key, size, places, fronts)
    assert ((found >= 0) & (found < fronts)).all()


@some
@given(st.integers(0, 2**64 - 1), st.integers(1, 50))
def test_a_front_as_long_as_the_epoch_is_dealt_once_each(key, size):
    places = np.arange(size)
    assert ranks_of(key, size, places, np.full(size, size)).tolist() == places.tolist()


@some
@given(st.integers(0, 2**64 - 1), st.integers(1, 30), st.integers(1, 90))
def test_draws_of_one_front_are_even(key, front, size):
    found = ranks_of(key, size, np.arange(size), np.full(size, front))
    counts = np.bincount(found, minlength=front)
    assert np.abs(counts - size / front).max() < 2


def test_the_largest_sizes_do_not_overflow():
    size, front = 2**32 - 1, 2**31 - 1
    places = np.array([0, size // 2, size - 1])
    found = ranks_of(7, size, places, np.full(3, front))
    wanted = [  # the oracle searches; here the division is
        (int(p) * front + oracles.below_in_integers(oracles.value_in_integers(7, int(p)), front))
        // size
        for p in places
    ]
    assert found.tolist() == wanted
    assert found[0] == 0
    assert found[-1] == front - 1
