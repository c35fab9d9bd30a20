"""Leverage scores against the pseudo-inverse."""

import numpy as np
import oracle_rows
import pytest

from sampling.selection import leverage, leverage_scores

RANDOM = np.random.default_rng(11)
ROWS = RANDOM.standard_t(3, size=(300, 7))
EXACT = ("auto", "gram", "qr")
exact = pytest.mark.parametrize("method", EXACT)
every = pytest.mark.parametrize("method", [*EXACT, "sketch"])


def deficient():
    """Rank 5 of 9 columns: a sum of two, a copy, a column of zeros, a multiple."""
    free = RANDOM.normal(size=(200, 5))
    return np.column_stack(
        [free, free[:, 0] + free[:, 1], free[:, 2], np.zeros(200), 1e6 * free[:, 3]]
    )


@exact
@pytest.mark.parametrize("shape", [(300, 7), (7, 7), (4, 9), (1, 3), (50, 1), (2000, 300)])
def test_as_by_the_pseudo_inverse(method, shape):
    rows = RANDOM.normal(size=shape)
    found = leverage_scores(rows, method=method)
    assert found.dtype == np.float64
    assert found == pytest.approx(oracle_rows.leverage_by_pinv(rows), abs=1e-9)
    assert found.sum() == pytest.approx(min(shape), abs=1e-7)
    assert (found >= 0).all()
    assert (found <= 1).all()


@every
def test_deficient_rows_add_up_to_their_rank(method):
    rows = deficient()
    found = leverage_scores(rows, method=method)
    assert found.sum() == pytest.approx(5, abs=1e-6)
    oracle = oracle_rows.leverage_by_pinv(rows / np.maximum(np.abs(rows).max(axis=0), 1e-300))
    assert found == pytest.approx(oracle, abs=1e-8 if method != "sketch" else 0.1)


def test_digits_that_the_gram_matrix_has_lost():
    """Monomials of degree < 14 on [0, 1] have condition 10^10; their rank is 14 all the same."""
    rows = np.vander(np.linspace(0, 1, 2000), 14)
    basis = np.linalg.qr(rows)[0]
    oracle = (basis**2).sum(axis=1)
    for method in ("auto", "qr"):
        assert leverage_scores(rows, method=method) == pytest.approx(oracle, abs=1e-7)
    assert leverage_scores(rows, method="gram").sum() < 13  # as its docstring says


@exact
@pytest.mark.parametrize("ridge", [1e-3, 1.0, 1e4])
def test_a_ridge_gives_the_effective_dimension(method, ridge):
    found = leverage_scores(ROWS, ridge=ridge, method=method)
    assert found == pytest.approx(oracle_rows.leverage_by_pinv(ROWS, ridge), abs=1e-9)
    values = np.linalg.svd(ROWS, compute_uv=False) ** 2
    assert found.sum() == pytest.approx((values / (values + ridge)).sum())
    copies = np.column_stack([ROWS, ROWS])
    doubled = leverage_scores(copies, ridge=ridge, method=method)
    assert doubled == pytest.approx(oracle_rows.leverage_by_pinv(copies, ridge), abs=1e-8)


@exact
def test_units_of_columns_and_of_all_do_not_matter(method):
    found = leverage_scores(ROWS, method=method)
    units = 10.0 ** np.arange(-9, 12, 3)
    assert leverage_scores(ROWS * units, method=method) == pytest.approx(found, abs=1e-9)
    assert leverage_scores(ROWS * 1e-100, method=method) == pytest.approx(found, abs=1e-9)
    turned = np.linalg.qr(RANDOM.normal(size=(7, 7)))[0]
    assert leverage_scores(ROWS @ turned, method=method) == pytest.approx(found, abs=1e-9)


@every
def test_rows_of_zeros_have_none(method):
    rows = ROWS.copy()
    rows[[0, 9]] = 0.0
    found = leverage_scores(rows, method=method)
    assert (np.flatnonzero(found == 0) == [0, 9]).all()
    assert not leverage_scores(np.zeros((20, 3)), method=method).any()


def test_a_sketch_is_near_for_most_rows():
    rows = RANDOM.normal(size=(20_000, 100)).astype(np.float32)
    rows[:50] *= 30  # rows of high leverage
    true = leverage_scores(rows)
    for seed in range(3):
        found = leverage_scores(rows, method="sketch", seed=seed)
        ratio = found / true
        assert ((ratio > 0.6) & (ratio < 1.5)).mean() >= 0.98
        assert found.sum() == pytest.approx(100, rel=1e-3)
        assert found.max() <= 1.0
        assert np.array_equal(found, leverage_scores(rows, method="sketch", seed=seed))
    assert not np.array_equal(found, leverage_scores(rows, method="sketch"))


def test_float16_is_near_float32_and_memory_maps_are_read(tmp_path):
    np.save(tmp_path / "rows.npy", ROWS.astype(np.float16))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    whole = leverage_scores(ROWS.astype(np.float32))
    assert leverage_scores(mapped) == pytest.approx(whole, abs=2e-3)
    assert np.array_equal(leverage(mapped, 40).indices, leverage(np.array(mapped), 40).indices)


def test_blocks_change_nothing(monkeypatch):
    whole = {method: leverage_scores(ROWS, method=method) for method in (*EXACT, "sketch")}
    monkeypatch.setattr("sampling.selection.core._whiten.BLOCK", 7 * 11)
    for method, found in whole.items():
        assert leverage_scores(ROWS, method=method) == pytest.approx(found, abs=1e-12)


@every
def test_bad_rows_are_named(method):
    rows = ROWS.copy()
    rows[5, 2] = np.nan
    with pytest.raises(ValueError, match="rows must be finite, got nan in row 5"):
        leverage_scores(rows, method=method)
    rows[5, 2] = 1e200
    with pytest.raises(ValueError, match="rows must be of finite length, got more in row 5"):
        leverage_scores(rows, method=method)
    rows[5, 2] = np.inf
    with pytest.raises(ValueError, match="embeddings must be finite, got inf in row 5"):
        leverage(rows, 10, method=method)
    kept = leverage(rows, 10, method=method, on_bad="drop")
    assert 5 not in kept.indices
    others = np.delete(np.arange(300), 5)
    if method != "sketch":
        assert kept.scores[others] == pytest.approx(leverage_scores(rows[others]), abs=1e-12)
