"""Weights of a core set, carried over to all rows."""

import numpy as np
import oracle_rows
import pytest

from sampling import Selection
from sampling.selection import propagate

RANDOM = np.random.default_rng(4)
ROWS = RANDOM.normal(size=(300, 5))
CLASSES = RANDOM.integers(0, 4, 300)
CORE = RANDOM.permutation(300)[:40]
WEIGHTS = RANDOM.gamma(1.0, size=40)


@pytest.mark.parametrize("k", [1, 2, 5, 40, 99])
@pytest.mark.parametrize("labels", [None, CLASSES])
def test_as_by_loops(k, labels):
    found = propagate(CORE, WEIGHTS, ROWS, num_neighbours=k, labels=labels)
    classes = np.zeros(300) if labels is None else labels
    assert found == pytest.approx(
        oracle_rows.propagate_by_loops(CORE, WEIGHTS, ROWS, k, classes), rel=1e-9
    )
    assert found.dtype == np.float64
    assert found.mean() == pytest.approx(1.0)


def test_blocks_change_nothing(monkeypatch):
    whole = propagate(CORE, WEIGHTS, ROWS)
    monkeypatch.setattr("sampling.selection.core._propagate.BLOCK", 200)
    assert propagate(CORE, WEIGHTS, ROWS) == pytest.approx(whole, rel=1e-12)


def test_core_rows_and_their_copies_keep_their_weights():
    """Far from the origin, where products of float64 alone see copies as 1e-4 apart."""
    rows = 1e6 + np.concatenate([ROWS, ROWS[CORE]])
    found = propagate(CORE, WEIGHTS, rows)
    assert found[CORE] / found[CORE[0]] == pytest.approx(WEIGHTS / WEIGHTS[0], rel=1e-12)
    assert np.array_equal(found[300:], found[CORE])


def test_copies_in_the_core_set_share_their_mean():
    rows = [[0.0], [0.0], [5.0], [0.0], [5.0]]
    found = propagate([0, 1, 2], [1.0, 3.0, 8.0], rows, num_neighbours=3)
    assert found == pytest.approx(np.array([2, 2, 8, 2, 8]) / 4.4)


def test_a_class_without_core_rows_has_weight_one():
    names = np.array(["a", "b", "c"])[np.arange(300) % 3]
    core = CORE[names[CORE] != "c"]
    found = propagate(core, np.full(core.size, 7.0), ROWS, labels=names)
    assert (found[names == "c"] == 1.0).all()
    assert found[names != "c"] == pytest.approx(1.0)
    weights = np.arange(1.0, core.size + 1)
    found = propagate(core, weights, ROWS, labels=names)
    assert (found[names == "c"] == 1.0).all()
    assert found.mean() == pytest.approx(1.0)


def test_weights_are_cut_off_before_they_are_scaled():
    weights = np.ones(40)
    weights[0] = 1e6
    found = propagate(CORE, weights, ROWS, max_weight=2.0)
    classes = np.zeros(300)
    assert found == pytest.approx(
        oracle_rows.propagate_by_loops(CORE, weights, ROWS, 5, classes, 2.0), rel=1e-9
    )
    assert found.max() / found.min() <= 2.0 + 1e-12


def test_float16_memory_maps_and_selections(tmp_path):
    np.save(tmp_path / "rows.npy", ROWS.astype(np.float16))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    picked = Selection(CORE, method="top", size=300)
    assert propagate(picked, WEIGHTS, mapped) == pytest.approx(
        propagate(CORE, WEIGHTS, ROWS), rel=0.05
    )


def test_bad_arguments():
    with pytest.raises(ValueError, match="weights must have the length of core, 40, got 39"):
        propagate(CORE, WEIGHTS[:-1], ROWS)
    with pytest.raises(ValueError, match="weights must be finite and >= 0, got -1.0 in row 1"):
        propagate([3, 4], [1.0, -1.0], ROWS)
    with pytest.raises(ValueError, match="core must hold no index twice, got 3 again in row 1"):
        propagate([3, 3], [1.0, 1.0], ROWS)
    with pytest.raises(ValueError, match=r"core must be in \[0, 300\), got 300 in row 0"):
        propagate([300], [1.0], ROWS)
    with pytest.raises(ValueError, match="weights must not all be 0 at the nearest core rows"):
        propagate([3], [0.0], ROWS)
    with pytest.raises(ValueError, match="labels must have the length of embeddings, 300, got 2"):
        propagate([3], [1.0], ROWS, labels=[0, 1])
    with pytest.raises(ValueError, match="num_neighbours must be >= 1, got 0"):
        propagate([3], [1.0], ROWS, num_neighbours=0)
    broken = ROWS.copy()
    broken[6] = np.nan
    with pytest.raises(ValueError, match="embeddings must be finite, got nan in row 6"):
        propagate([3], [1.0], broken)
