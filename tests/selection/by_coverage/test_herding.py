"""Herding: nearer to the mean than random rows, and never the farthest."""

import numpy as np
import oracle_geometry as oracles
import pytest

from sampling.selection import herding

RANDOM = np.random.default_rng(5)
ROWS = RANDOM.normal(size=(2000, 16)).astype(np.float32)


def error(picks, rows=ROWS):
    return np.linalg.norm(rows[picks].mean(axis=0, dtype=np.float64) - rows.mean(axis=0))


def test_the_card_below_random_where_the_copy_is_far_above():
    """n = 2,000, d = 16, m = 200: 0.012 by argmin, 0.26 at random, 1.9 by argmax."""
    found = herding(ROWS, 200)
    random = np.mean([error(RANDOM.choice(2000, 200, False)) for _ in range(20)])
    assert error(found.indices) < random / 10
    assert found.info["moment_error"] == pytest.approx(error(found.indices), rel=1e-3)
    assert error(oracles.herding(ROWS, 200, sign=-1)) > 5 * random


@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("budget", [1, 150, 400])
def test_the_picks_of_the_definition(offset, budget):
    rows = (ROWS[:400] + offset).astype(np.float32)
    assert herding(rows, budget).indices.tolist() == oracles.herding(rows, budget)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_scale_of_the_data_does_not_matter(scale):
    rows = ROWS[:300] * np.float32(2.0 ** round(np.log2(scale)))
    assert np.array_equal(herding(rows, 50).indices, herding(ROWS[:300], 50).indices)


def test_copies_are_told_apart_by_id_and_not_by_row():
    rows = np.repeat(ROWS[:10], 20, axis=0)
    order, ids = RANDOM.permutation(200), np.arange(200)
    one, two = herding(rows, 30, ids=ids), herding(rows[order], 30, ids=ids[order])
    assert one.ids.tolist() == two.ids.tolist()
    assert np.unique(one.indices).size == 30
    assert herding(np.ones((20, 3)), 20).info["moment_error"] == 0


def test_rows_already_selected_are_made_up_for():
    far = np.argsort(-ROWS[:, 0])[:40]
    found = herding(ROWS, 160, already_selected=far)
    both = np.concatenate([far, found.indices])
    assert error(both) < error(found.indices) / 5
    assert found.info["moment_error"] == pytest.approx(error(both), rel=1e-3)


def test_groups_keep_to_their_own_mean():
    groups = np.arange(2000) % 2
    rows = ROWS + 5 * groups[:, None].astype(np.float32)
    far = np.flatnonzero(groups)[:50]
    found = herding(rows, 200, groups=groups, already_selected=far, shortfall="redistribute")
    zero = found.indices[groups[found.indices] == 0]
    alone = np.flatnonzero(groups == 0)
    assert np.linalg.norm(rows[zero].mean(axis=0) - rows[alone].mean(axis=0)) < 0.1
    assert found.info["moment_error"] < 0.1


def test_float16_is_taken_as_float32():
    rows = ROWS.astype(np.float16)
    assert np.array_equal(herding(rows, 60).indices, herding(rows.astype(np.float32), 60).indices)


def test_rows_that_are_not_finite_are_named_or_dropped():
    rows = ROWS[:50].copy()
    rows[9, 1] = np.nan
    with pytest.raises(ValueError, match="embeddings must be finite, got nan in row 9"):
        herding(rows, 5)
    assert 9 not in herding(rows, 49, on_bad="drop", already_selected=None).indices


def test_with_replacement_by_the_definition():
    """The row that brings the sum of picks nearest to t times the mean, whether picked or not."""
    rows = np.random.default_rng(2).normal(size=(30, 4))
    mean, total, expected = rows.mean(axis=0), np.zeros(4), []
    for step in range(1, 31):
        gaps = np.linalg.norm(step * mean - total - rows, axis=1)
        expected.append(int(gaps.argmin()))
        total += rows[expected[-1]]
    found = herding(rows, 30, replacement=True)
    assert found.indices.tolist() == expected
    assert len(set(expected)) < 30
    error = np.linalg.norm(rows[expected].mean(axis=0) - mean)
    assert found.info["moment_error"] == pytest.approx(error, rel=1e-3)
    first = found.head(8)
    assert np.array_equal(first.indices, herding(rows, 8, replacement=True).indices)
    assert np.array_equal(first.verdicts == 0, first.mask())
