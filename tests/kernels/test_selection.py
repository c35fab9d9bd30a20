"""Kernels of selection against their oracles."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from oracles import (
    keys_of_ids_by_integers,
    keys_of_words_by_integers,
    pivotal_by_duels,
    take_by_walking,
)

from sampling.kernels._fill import take_fitting
from sampling.kernels._keys import keys_of_ids, keys_of_words
from sampling.kernels._pivotal import pivotal_walk

words = st.integers(0, 2**64 - 1)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20), words)
def test_keys_of_ids(ids, key):
    out = np.empty(len(ids), np.uint64)
    keys_of_ids(np.array(ids, np.int64), np.uint64(key), out)
    assert out.tolist() == keys_of_ids_by_integers(ids, key)


@given(st.lists(st.lists(words, min_size=3, max_size=3), min_size=1, max_size=10), words)
def test_keys_of_words(rows, key):
    out = np.empty(len(rows), np.uint64)
    keys_of_words(np.array(rows, np.uint64), np.uint64(key), out)
    assert out.tolist() == keys_of_words_by_integers(rows, key)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), words, st.randoms())
def test_pivotal(pi, key, random):
    order = list(range(len(pi)))
    random.shuffle(order)
    out = np.zeros(len(pi), np.bool_)
    pivotal_walk(np.array(pi), np.array(order), np.uint64(key), out)
    assert out.tolist() == pivotal_by_duels(pi, order, key)


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
    assert (left, rooms.tolist(), out.tolist()) == take_by_walking(
        order, costs, codes, room, total, taken
    )
