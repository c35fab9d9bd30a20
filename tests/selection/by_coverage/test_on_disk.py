"""Rows on disk under `max_memory`: the same rows as in memory, many blocks, and little memory."""

import tracemalloc

import numpy as np
import pytest

from sampling._check._rows import Rows
from sampling.io import ordered
from sampling.selection import (
    d2,
    facility_location,
    herding,
    k_center,
    leverage,
    moderate,
)
from sampling.selection.core._cost import FIXED

N, D = 1500, 6
RANDOM = np.random.default_rng(11)
ROWS = (3 + RANDOM.normal(size=(N, D)) * [1, 1, 1, 1, 5, 0.1]).astype(np.float32)
ROWS[1000:1010] = ROWS[:10]  # copies
SCORES = RANDOM.random(N)
IDS = RANDOM.permutation(N)
BEFORE = np.arange(500, 520)
GROUPS = np.arange(N) % 3

CALLS = {
    "k_center": lambda rows, **more: k_center(rows, 300, **more),
    "k_center, cosine": lambda rows, **more: k_center(rows, 300, metric="cosine", **more),
    "herding": lambda rows, **more: herding(rows, 300, **more),
    "herding, repeated": lambda rows, **more: herding(rows, 300, replacement=True, **more),
    "d2": lambda rows, **more: d2(SCORES, 300, embeddings=rows, **more),
    "facility": lambda rows, **more: facility_location(rows, 90, **more),
    "facility, euclidean": lambda rows, **more: facility_location(
        rows, 90, metric="euclidean", **more
    ),
    "facility, naive": lambda rows, **more: facility_location(rows, 30, optimizer="naive", **more),
    "facility, stochastic": lambda rows, **more: facility_location(
        rows, 90, optimizer="stochastic", **more
    ),
    "facility, graph": lambda rows, **more: facility_location(rows, 300, num_neighbours=7, **more),
    "leverage": lambda rows, **more: leverage(rows, 300, **more),
    "moderate": lambda rows, **more: moderate(rows, 300, labels=np.arange(N) % 5, **more),
}
REST = {"herding": 48, "d2": 100 + 280, "facility": 64, "moderate": 33 + 24 * 2 / 5}
GRAPH = 60 + 100 * 7


def limit_of(name):
    """Return a limit in which no float32 copy fits, nor an 8-bit one."""
    each = GRAPH if name == "facility, graph" else REST.get(name.split(",")[0], 150)
    return int(FIXED + each * N + 8 * D**2)


def small_blocks(monkeypatch):
    for name, value in {
        "io._regroup._WINDOW": 4 * D * 100,
        "selection.by_coverage._geometry._BLOCK": D * 64,
        "selection.by_coverage._greedy_coverage._ROWS": 100,
        "selection.by_coverage._greedy_coverage._COLUMNS": 256,
        "selection.by_coverage._facility_location._CENTERS": D * 16,
        "clustering._neighbours._QUERIES": 400,
        "clustering._neighbours._SEARCHED": 1,
        "selection.by_cluster._moderate._BLOCK": D * 64,
    }.items():
        monkeypatch.setattr(f"sampling.{name}", value)


@pytest.mark.parametrize("name", CALLS)
def test_the_rows_of_a_file_give_what_they_give_in_memory(name, tmp_path, monkeypatch):
    np.save(tmp_path / "rows.npy", ROWS)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    file = Rows(tmp_path / "rows.npy", (N, D), np.float32, mapped.offset, scratch=tmp_path)
    call = CALLS[name]
    plain = {"ids": IDS, "already_selected": BEFORE}
    one = call(ROWS, **plain)
    small_blocks(monkeypatch)
    limit = limit_of(name)
    for rows, more in ((mapped, {}), (file, {}), (file, {"groups": GROUPS})):
        found = call(rows, **plain, **more, max_memory=limit)
        again = one if not more else call(ROWS, **plain, **more)
        assert found.indices.tolist() == again.indices.tolist()
        if found.weights is not None:
            np.testing.assert_allclose(found.weights, again.weights, rtol=1e-9)
        for fact in {"radius", "objective", "moment_error"} & set(found.info):
            assert found.info[fact] == pytest.approx(again.info[fact], rel=1e-6)
    assert [each.name for each in tmp_path.iterdir()] == ["rows.npy"]


@pytest.mark.parametrize("name", ["herding", "facility"])
def test_a_copy_that_does_not_fit_is_not_held(name, tmp_path, monkeypatch):
    """What is saved is most of the copy, of 10 MB; there are blocks instead."""
    size = 150
    rows = np.random.default_rng(0).normal(size=(size, 2_500_000 // size)).astype(np.float32)
    rows.tofile(tmp_path / "rows")
    file = Rows(tmp_path / "rows", rows.shape, np.float32, scratch=tmp_path)
    monkeypatch.setattr("sampling.io._regroup._WINDOW", 2**20)
    monkeypatch.setattr("sampling._check._rows._SPAN", 2**20)
    monkeypatch.setattr("sampling.engine._over._BLOCK", 2**17)
    monkeypatch.setattr("sampling.selection.by_coverage._greedy_coverage._COLUMNS", 50)
    monkeypatch.setattr("sampling.selection.by_coverage._greedy_coverage._ROWS", 50)
    monkeypatch.setattr("sampling.selection.by_coverage._facility_location._CENTERS", 2**18)
    calls = {
        "herding": lambda **more: herding(file, 5, **more),
        "facility": lambda **more: facility_location(file, 5, **more),
    }
    calls[name](max_memory=FIXED + size * 170)
    peaks = []
    for limit in (FIXED + size * 170, "1GiB"):
        tracemalloc.start()
        calls[name](max_memory=limit)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] > 0.5 * rows.nbytes


def test_rows_in_any_order(tmp_path, monkeypatch):
    monkeypatch.setattr("sampling.io._regroup._WINDOW", 4 * D * 7)
    order = np.random.default_rng(2).permutation(N)[:700]
    with ordered(ROWS.astype(np.float64), order, tmp_path) as found:
        assert found.dtype == np.float32
        assert np.array_equal(found[:], ROWS[order])
    assert not list(tmp_path.iterdir())
