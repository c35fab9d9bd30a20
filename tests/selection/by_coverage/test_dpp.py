from itertools import combinations

import numpy as np
import oracle_geometry as oracles
import pytest
from helpers import assert_hits

from sampling import Score
from sampling.selection import dpp, k_dpp
from sampling.selection.by_coverage import _dpp


def clumps(seed, n=120, d=6):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, d)) + 3 * rng.normal(size=(9, d))[rng.integers(0, 9, n)]
    return rows.astype(np.float32), rng.uniform(0.5, 2.0, n)


# ---- the greedy set ------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(("pool", "panel"), [(4096, 64), (8, 3), (2, 64), (20, 1)])
def test_picks_are_those_of_determinants(metric, pool, panel, monkeypatch):
    """Whatever the number of rows that is updated at a time."""
    monkeypatch.setattr(_dpp, "_POOL", pool)
    monkeypatch.setattr(_dpp, "_PANEL", panel)
    monkeypatch.setattr(_dpp, "_COLUMNS", 50)
    rows, quality = clumps(1)
    kernel = oracles.gaussian_kernel(rows, metric, 1.0 if metric == "euclidean" else 0.3)
    width = 1.0 if metric == "euclidean" else 0.3
    found = dpp(rows, 30, quality=quality, metric=metric, bandwidth=width)
    expected, gains = oracles.greedy_determinant(quality[:, None] * kernel * quality, 30)
    assert found.indices.tolist() == expected
    assert found.info["log_det"] == pytest.approx(np.log(gains).sum(), abs=1e-3)
    already = expected[3:9]
    rest = dpp(rows, 10, quality=quality, metric=metric, bandwidth=width, already_selected=already)
    expected, gains = oracles.greedy_determinant(quality[:, None] * kernel * quality, 10, already)
    assert rest.indices.tolist() == expected
    assert rest.info["log_det"] == pytest.approx(np.log(gains).sum(), abs=1e-3)


def test_the_default_bandwidth_is_half_of_the_root_mean_squared_distance():
    rows, quality = clumps(2)
    pairs = np.square(rows[:, None].astype(float) - rows).sum(-1)
    width = 0.5 * np.sqrt(pairs.mean())
    one = dpp(rows, 9, quality=quality, metric="euclidean")
    other = dpp(rows, 9, quality=quality, metric="euclidean", bandwidth=float(width))
    assert one.indices.tolist() == other.indices.tolist()
    assert one.info["log_det"] == pytest.approx(other.info["log_det"], abs=1e-3)
    moved = dpp(1000 * rows + 3e4, 9, quality=quality, metric="euclidean")
    assert moved.indices.tolist() == one.indices.tolist()


def test_copies_are_last_and_counted():
    """Released code continues past a gain of 0, and may add rows that others explain."""
    rows, quality = clumps(3, n=20)
    double = np.concatenate([rows, rows])
    values = np.concatenate([quality, 0.9 * quality])
    found = dpp(double, 30, quality=values, metric="euclidean", bandwidth=0.5)
    assert sorted(found.indices[:20].tolist()) == list(range(20))
    assert found.info["no_gain"] == 10
    assert found.indices[20:].tolist() == (20 + np.argsort(-quality)[:10]).tolist()  # by quality
    assert np.isfinite(found.info["log_det"])
    equal = dpp(np.ones((5, 3)), 4)
    assert (equal.info["no_gain"], np.unique(equal.indices).size) == (3, 4)
    assert len(dpp([[1.0, 2.0]], 1)) == 1


def test_quality_is_weighed_against_diversity():
    rows = [[0.0], [0.2], [5.0]]
    for last, expected in ((1.0, [0, 1]), (4.0, [0, 2])):
        found = dpp(rows, 2, quality=[9.0, 8.0, last], metric="euclidean", bandwidth=1.0)
        assert found.indices.tolist() == expected
    worst = Score(np.array([1.0, 2.0, 3.0]), "drop")
    for call in (dpp, k_dpp):
        with pytest.raises(ValueError, match="quality must be > 0, got -1.0 in row 0"):
            call(np.eye(3), 1, quality=worst)
        with pytest.raises(ValueError, match="quality must be finite, got nan in row 1"):
            call(np.eye(3), 1, quality=[1.0, np.nan, 2.0])
        kept = call(np.eye(3), 2, quality=[1.0, np.nan, 2.0], on_bad="drop")
        assert sorted(kept.indices.tolist()) == [0, 2]
    scaled = dpp(np.eye(3), 2, quality=[1e-200, 2e-200, 3e-200])
    assert scaled.indices.tolist() == [2, 1]
    with pytest.raises(ValueError, match=r"bandwidth must be in \(0, 1e100\], got 0"):
        dpp(rows, 1, bandwidth=0)


# ---- a draw --------------------------------------------------------------------------------------


def frequencies(draws, n, k):
    sets = {each: i for i, each in enumerate(combinations(range(n), k))}
    counts = np.zeros(len(sets))
    for found in draws:
        counts[sets[tuple(sorted(found.indices.tolist()))]] += 1
    return counts


@pytest.mark.parametrize(("k", "d"), [(1, 3), (2, 3), (3, 3), (4, 3), (3, 2)])
def test_sets_are_drawn_in_proportion_to_their_determinants(k, d):
    """Also beyond the rank, where it is the limit of the kernel plus a small multiple of one."""
    rng = np.random.default_rng(k)
    rows, quality = rng.normal(size=(6, d)), rng.uniform(0.5, 2.0, 6)
    rows[1] = 1.001 * rows[0]
    kernel = quality[:, None] * (rows @ rows.T) * quality
    chances = oracles.determinants(kernel + (1e-9 if k > d else 0.0) * np.eye(6), k)
    draws = [k_dpp(rows, k, quality=quality, normalize=False, seed=seed) for seed in range(900)]
    assert_hits(frequencies(draws, 6, k), 900, chances)
    assert (draws[0].info["rank"], draws[0].info["uniform"]) == (d, max(0, k - d))


def test_the_draw_is_conditional_on_what_is_already_selected():
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(7, 3))
    rows /= np.linalg.norm(rows, axis=1)[:, None]
    kernel = rows @ rows.T
    sets = list(combinations(range(1, 7), 2))
    chances = np.array([np.linalg.det(kernel[np.ix_((0, *s), (0, *s))]) for s in sets])
    counts = np.zeros(len(sets))
    for seed in range(800):
        found = k_dpp(rows, 2, seed=seed, already_selected=[0])
        counts[sets.index(tuple(sorted(found.indices.tolist())))] += 1
    assert_hits(counts, 800, chances / chances.sum())


def test_copies_are_not_drawn_together_and_the_rank_is_reported():
    rows = np.repeat(np.eye(4, dtype=np.float32), 5, axis=0)
    for seed in range(20):
        found = k_dpp(rows, 4, seed=seed)
        assert sorted(found.indices // 5) == [0, 1, 2, 3]
    beyond = k_dpp(rows, 7)
    assert (beyond.info["rank"], beyond.info["uniform"], len(beyond)) == (4, 3, 7)
    none = k_dpp(rows, 3, already_selected=[0, 5, 10, 15])
    assert (none.info["rank"], len(none)) == (0, 3)
    wide = np.random.default_rng(0).normal(size=(300, 64))
    assert len(k_dpp(wide, 64)) == 64  # small products of many eigenvalues
    assert k_dpp(1e-30 * wide, 10, normalize=False).info["rank"] == 64
    assert k_dpp(1e30 * wide, 10, normalize=False).info["rank"] == 64
