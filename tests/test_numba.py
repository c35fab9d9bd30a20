"""Kernels that are compiled when they are first called, and what is called before."""

import copy
import inspect
import pickle
import threading

import numba
import numpy as np
import pytest

from sampling import _numba
from sampling._rng import mix

jit = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


@pytest.fixture(autouse=True)
def _numba_unused(monkeypatch):
    """As in a process that has called no kernel."""
    monkeypatch.setattr(_numba, "_KERNELS", [])
    monkeypatch.setattr(_numba, "_in_use", False)
    monkeypatch.setattr(_numba, "_spent", 0.0)


@_numba.kernel
def one_more(x):
    """Return x + 1."""
    return x + 1


def doubled(cost=0.0):
    """A kernel with a twin that says that it was called."""

    @_numba.kernel
    def double(x):
        return one_more(x) + x - 1

    calls = []

    @double.twin(call=cost, entry=0.0)
    def _double(x):
        calls.append(x)
        return x + x

    return double, calls


def test_a_kernel_looks_like_its_function():
    assert one_more.__name__ == "one_more"
    assert one_more.__doc__ == "Return x + 1."
    assert list(inspect.signature(one_more).parameters) == ["x"]
    assert callable(one_more)
    assert one_more.py_func(2) == 3


def test_kernels_call_kernels_that_were_not_called_before():
    double, calls = doubled()
    _numba.use()
    assert double(4) == 8
    assert double(2.5) == 5.0
    assert calls == []


@jit
def test_functions_that_users_compile_may_call_a_kernel():
    @numba.njit
    def three_more(x):
        return one_more(one_more(one_more(x)))

    assert three_more(4) == 7


def test_the_twin_is_called_until_another_kernel_was():
    double, calls = doubled()
    assert (double(1), double(2)) == (2, 4)
    assert calls == [1, 2]
    _numba.kernel(lambda x: x)(1)
    assert double(3) == 6
    assert calls == [1, 2]


def test_the_twin_is_called_until_it_took_as_long_as_loading_numba():
    double, calls = doubled(cost=0.4 * _numba._LOAD)
    assert [double(x) for x in range(5)] == [0, 2, 4, 6, 8]
    assert calls == [0, 1]


def test_what_a_twin_takes_grows_with_the_largest_array():
    @_numba.kernel
    def total(x, y):
        return x.sum() + y

    @total.twin(call=1.0, entry=2.0)
    def _total(x, y):
        return x.sum() + y

    assert total(np.arange(4), 1) == 7
    assert _numba._spent == 9.0
    assert total(np.arange(4), y=1) == 7
    assert _numba._spent == 18.0


def test_a_kernel_travels_by_its_address():
    assert pickle.loads(pickle.dumps(mix)) is mix
    assert copy.deepcopy(mix) is mix


@jit
def test_threads_that_call_at_once_compile_once():
    double, _ = doubled()
    _numba.use()
    barrier, found = threading.Barrier(4), []

    def call():
        barrier.wait()
        found.append(double(21))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [42] * 4
    assert len(double.dispatcher.signatures) == 1
    stats = double.dispatcher.stats
    assert sum(stats.cache_hits.values()) + sum(stats.cache_misses.values()) == 1


@jit
def test_kernels_are_listed_as_numbas_objects():
    double, _ = doubled()
    assert _numba.kernels() == (double.dispatcher,)
