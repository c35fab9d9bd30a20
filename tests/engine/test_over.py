"""One function over parts: order, threads, errors."""

import os
import threading
import time

import numpy as np
import pytest

from sampling import engine
from sampling.engine import _over

ROWS = np.random.default_rng(0).normal(size=(1000, 8))


@pytest.fixture(autouse=True)
def even_small_ones(monkeypatch):
    monkeypatch.setattr(_over, "_SMALL", 0)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_parts(threads):
    parts = [slice(at, at + 10) for at in range(0, 1000, 10)]

    def slow_first(block, column):
        time.sleep(0.002 if column[0] % 20 == 0 else 0.0)
        return block.sum(), column[0]

    with engine.use(engine.Local(threads)):
        found = list(engine.over(slow_first, ROWS, np.arange(1000), parts=parts))
    assert [part for part, _ in found] == parts
    assert [first for _, (_, first) in found] == list(range(0, 1000, 10))
    assert sum(total for _, (total, _) in found) == pytest.approx(ROWS.sum())


def test_threads_do_not_change_a_bit():
    """BLAS has one thread in each: the number of threads cannot be seen in a product."""
    rows = np.random.default_rng(1).normal(size=(2000, 300)).astype(np.float32)
    parts = engine.blocks(rows, 2**17)
    found = []
    for threads in (2, 3):
        with engine.use(engine.Local(threads)):
            found.append([each for _, each in engine.over(lambda b: b @ b.T, rows, parts=parts)])
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


def test_only_so_many_parts_are_held():
    """The parts are drawn as they are needed: one for each thread, and the one handed out."""
    drawn, done = [], []

    def parts():
        for at in range(50):
            drawn.append(at)
            assert len(drawn) - len(done) <= 5  # 3 worked on, one waiting, one handed out
            yield slice(at, at + 1)

    with engine.use(engine.Local(3)):
        for part, _ in engine.over(np.sum, ROWS, parts=parts()):
            done.append(part)
    assert len(done) == 50


def test_parts_of_parts_are_worked_on_in_place():
    def inner(block):
        return threading.get_ident(), [t for _, t in engine.over(_thread, block, parts=_HALVES)]

    with engine.use(engine.Local(2)):
        found = [each for _, each in engine.over(inner, ROWS, parts=_HALVES * 4)]
    assert all(inside == [outside] * 2 for outside, inside in found)
    assert threading.get_ident() not in {outside for outside, _ in found}


_HALVES = [slice(0, 2), slice(2, 4)]


def _thread(_):
    return threading.get_ident()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_works_alone():
    code = os.fork()
    if code == 0:
        own = threading.get_ident()
        same = all(t == own for _, t in engine.over(_thread, ROWS, parts=_HALVES * 3))
        os._exit(0 if same else 1)
    assert os.waitpid(code, 0)[1] == 0


def test_an_error_stops_the_rest():
    seen = []

    def fails(block):
        seen.append(1)
        if len(seen) == 3:
            raise ValueError("part three")
        time.sleep(0.001)

    parts = [slice(at, at + 1) for at in range(500)]
    with engine.use(engine.Local(2)), pytest.raises(ValueError, match="part three"):
        list(engine.over(fails, ROWS, parts=parts))
    assert len(seen) < 20


def test_one_part_and_none():
    assert list(engine.over(np.sum, ROWS, parts=[])) == []
    found = list(engine.over(lambda _: threading.get_ident(), ROWS))
    assert [each for _, each in found] == [threading.get_ident()]


def test_blocks_cover_the_rows():
    for size in (1, 7, 1000):
        parts = engine.blocks(ROWS[:size], 64)
        assert np.array_equal(np.concatenate([ROWS[part] for part in parts]), ROWS[:size])
        assert all(part.stop - part.start <= 8 for part in parts)
