"""Bounds of cosines: they hold for float32, and change no result of a large cluster."""

import numpy as np
import pytest

from sampling.selection import semdedup
from sampling.selection.by_cluster import _bounds, _copies
from sampling.selection.by_cluster._bounds import sketch, sketched

RANDOM = np.random.default_rng(5)


def near_plane(n=700, d=100, axes=20, rest=0.05):
    """Rows near a subspace, with copies, exact ones and rows of zeros among them."""
    rows = RANDOM.normal(size=(n, axes)) @ RANDOM.normal(size=(axes, d))
    rows += rest * RANDOM.normal(size=rows.shape)
    rows[: n // 5] = rows[n // 2 : n // 2 + n // 5] + 0.3 * RANDOM.normal(size=(n // 5, d))
    rows[-40:-20] = rows[-20:]
    rows[7] = rows[70] = 0.0
    return rows[RANDOM.permutation(n)].astype(np.float32)


@pytest.fixture
def small(monkeypatch):
    """Let clusters of any size be compared by bounds."""
    monkeypatch.setattr(_bounds, "_LEAST", 1)
    monkeypatch.setattr(_copies, "_ROWS", 128)
    monkeypatch.setattr(_copies, "_COLUMNS", 96)


@pytest.mark.parametrize("width", [1, 6, 30])
@pytest.mark.parametrize("kind", ["near plane", "within it", "random", "one direction"])
def test_bounds_are_never_below_the_products(kind, width):
    rows = {
        "near plane": near_plane(),
        "within it": near_plane(rest=0.0),
        "random": RANDOM.normal(size=(300, 64)),
        "one direction": np.ones((300, 64)) + 1e-6 * RANDOM.normal(size=(300, 64)),
    }[kind]
    units = _copies.unit(rows)
    wide = units.astype(np.float64)
    axes = np.linalg.eigh(wide.T @ wide)[1][:, ::-1][:, :width].astype(np.float32)
    found = sketch(units, axes)
    assert found.shape == (len(rows), width + 2)
    bounds = found @ found.T
    assert (bounds >= units @ units.T).all()
    assert (bounds >= wide @ wide.T).all()
    assert (bounds >= (units[:, ::-1] @ units[:, ::-1].T)).all()  # another order of summation


@pytest.mark.parametrize("visits", [False, True])
@pytest.mark.parametrize("floor", [None, 0.9, 0.6])
def test_a_cluster_compared_by_bounds_gives_the_same(small, monkeypatch, floor, visits):
    rows = near_plane()
    rank = RANDOM.permutation(len(rows))
    codes = RANDOM.integers(0, 2, len(rows)) if visits else np.zeros(len(rows), np.int64)
    members = _copies.Members.of(np.arange(len(rows)), codes, 1 - codes if visits else None)
    calls = []
    monkeypatch.setattr(_copies, "sketched", lambda *a: calls.append(sketched(*a)) or calls[-1])
    found = _copies.find_copies(rows, members, rank, floor)
    assert calls and all(each is not None for each in calls)
    monkeypatch.setattr(_copies, "sketched", lambda *a: None)
    expected = _copies.find_copies(rows, members, rank, floor)
    np.testing.assert_allclose(found.similarity, expected.similarity, atol=1e-6)
    units = _copies.unit(rows)
    both = (found.twin >= 0) & (expected.twin >= 0)
    assert (both == (found.similarity > -1.0)).all()
    ours, theirs = ((units * units[each.twin]).sum(axis=1)[both] for each in (found, expected))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)  # another row only if it is a tie
    for name in ("earlier", "later"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    np.testing.assert_allclose(found.pairs, expected.pairs, atol=1e-6)


@pytest.mark.parametrize("rule", ["any_earlier", "greedy", "components"])
def test_selections_and_other_thresholds_are_the_same(small, monkeypatch, rule):
    """Also below the threshold: the similarity of every row is exact, not only of the copies."""
    rows, quality = near_plane(), RANDOM.permutation(700).astype(float)

    def select(threshold=0.95):
        return semdedup(rows, threshold=threshold, quality=quality, rule=rule, clusters=1)

    found, low = select(), select(0.6)
    monkeypatch.setattr(_copies, "sketched", lambda *a: None)
    expected = select()
    assert set(found.indices.tolist()) == set(expected.indices.tolist())
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    if rule == "any_earlier":
        np.testing.assert_array_equal(found.rethreshold(0.6).indices, low.indices)
        assert set(low.indices.tolist()) == set(select(0.6).indices.tolist())


def test_equal_rows_have_the_first_as_their_twin(small):
    rows = np.tile(near_plane(n=80), (3, 1))
    members = _copies.Members.of(np.arange(240), np.zeros(240, np.int64))
    found = _copies.find_copies(rows, members, np.arange(240), None)
    zero = ~rows.any(axis=1)
    assert (found.twin[160:][~zero[160:]] == found.twin[80:160][~zero[80:160]]).all()


def test_bounds_are_used_only_where_they_pay(small):
    units = _copies.unit(RANDOM.normal(size=(6000, 96)))
    assert sketched(units, None) is None  # random rows have no principal axes
    assert sketched(_copies.unit(near_plane()), None) is not None
    assert sketched(_copies.unit(near_plane()), -1.0) is None  # all pairs are asked for
    assert sketched(_copies.unit(near_plane(d=60)), None) is None  # too few dimensions
    assert sketched(np.zeros((900, 100), np.float32), None) is None


def test_a_sample_unlike_the_rows_costs_one_block(small, monkeypatch):
    """Axes that are wrong make all bounds 1: then the products are computed after all."""
    rows = RANDOM.normal(size=(700, 100)).astype(np.float32)
    counted = []
    refine = _copies.refine
    monkeypatch.setattr(
        _copies, "sketched", lambda u, _: sketch(u, np.eye(100, 1, dtype=np.float32))
    )
    monkeypatch.setattr(_copies, "refine", lambda *a: counted.append(a[0].size) or refine(*a))
    members = _copies.Members.of(np.arange(700), np.zeros(700, np.int64))
    found = _copies.find_copies(rows, members, np.arange(700), None)
    assert sum(counted) < 700**2 / 4
    units = _copies.unit(rows).astype(float)
    highest = np.where(np.tri(700, k=-1), units @ units.T, -1.0).max(axis=1)
    np.testing.assert_allclose(found.similarity, highest, atol=1e-6)
