"""Rows on disk give what the same array in memory gives."""

import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling._check import _rows
from sampling._check._rows import Rows
from sampling.io import open_table, regrouped

ARRAY = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float16)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.bin"
    with path.open("wb") as file:
        file.write(b"header..")
        file.write(ARRAY.tobytes())
    return Rows(path, ARRAY.shape, ARRAY.dtype, 8)


@settings(deadline=None, derandomize=True)
@given(
    places=st.lists(st.integers(0, 49), max_size=60),
    low=st.integers(-60, 60),
    high=st.integers(-60, 60),
    gap=st.sampled_from([0, 6, 30, 2**16]),
    span=st.sampled_from([6, 20, 2**24]),
)
def test_parts_as_of_an_array(rows, places, low, high, gap, span):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_rows, "_GAP", gap)
        patch.setattr(_rows, "_SPAN", span)
        some = np.array(places, np.int64)
        assert np.array_equal(rows[some], ARRAY[some])
        assert np.array_equal(rows[low:high], ARRAY[low:high])
        taken = rows.take(some)
        assert taken.shape == (some.size, 3)
        assert np.array_equal(taken[low:high], ARRAY[some][low:high])
        assert np.array_equal(np.asarray(taken), ARRAY[some])
        assert np.array_equal(np.asarray(taken.take(np.arange(some.size))), ARRAY[some])


def test_other_ways_to_ask(rows):
    mask = np.arange(50) % 3 == 0
    assert np.array_equal(rows[mask], ARRAY[mask])
    assert np.array_equal(rows[7], ARRAY[7])
    assert np.array_equal(rows[::5], ARRAY[::5])
    assert np.asarray(rows, np.float32).dtype == np.float32
    assert (len(rows), rows.shape, rows.ndim, rows.dtype) == (50, (50, 3), 2, np.float16)


def test_rows_that_are_not_there(rows, tmp_path):
    for wrong in (-1, 50):
        with pytest.raises(IndexError, match=rf"row must be in \[0, 50\), got {wrong}"):
            rows[np.array([0, wrong])]
    with pytest.raises(ValueError, match="copy must not be False"):
        np.asarray(rows, copy=False)
    path = tmp_path / "short.bin"
    path.write_bytes(b"1234")
    with pytest.raises(ValueError, match=r"must hold 3 rows, 6 bytes, got 4"):
        Rows(path, (3, 1), np.float16)
    whole = Rows(path, (2, 1), np.float16)
    path.write_bytes(b"12")
    with pytest.raises(ValueError, match="got: a file cut short"):
        whole[:]


def test_a_file_replaced_under_an_open_table_is_noticed(tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, ARRAY)
    found = open_table(path).embeddings
    parts = found, found.part(slice(3, 9)), found.take(np.arange(0, 50, 7))
    assert all(np.isfinite(part[:]).all() for part in parts)
    os.utime(path, ns=(0, 0))
    for part in parts:
        for which in (slice(None), np.array([1])):
            with pytest.raises(ValueError, match=r"rows\.npy must not change while it is read"):
                part[which]
    assert np.array_equal(pickle.loads(pickle.dumps(found))[:], ARRAY)  # on another machine
    assert np.array_equal(open_table(path).embeddings[:], ARRAY)


@settings(deadline=None, derandomize=True)
@given(order=st.lists(st.integers(0, 49), max_size=80), step=st.sampled_from([6, 48, 2**28]))
def test_regrouped(rows, order, step):
    """The rows in another order, some twice, whatever the block; the file is gone afterwards."""
    from sampling.io import _regroup

    places = np.array(order, np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_regroup, "_BLOCK", step)
        with regrouped(rows, places) as laid:
            assert np.array_equal(np.asarray(laid), ARRAY[places])
    assert not laid._path.exists()
