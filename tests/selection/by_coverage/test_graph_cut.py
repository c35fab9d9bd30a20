"""Graph cut: the picks of its objective over all pairs, without them."""

import numpy as np
import oracle_geometry as oracles
import pytest

from sampling.selection import facility_location, graph_cut

RANDOM = np.random.default_rng(8)
ROWS = (RANDOM.normal(size=(150, 6)) + np.arange(150)[:, None] % 3 * [2, 0, 0, 1, 0, 0]).astype(
    "f4"
)


@pytest.mark.parametrize("redundancy", [0.0, 0.5, 3.0, 40.0])
def test_the_picks_of_the_definition(redundancy):
    found = graph_cut(ROWS, 30, redundancy=redundancy)
    picks, objective = oracles.graph_cut(ROWS, 30, redundancy)
    assert found.indices.tolist() == picks
    assert found.info["objective"] == pytest.approx(objective)


def test_lambda_multiplies_the_redundancy_and_not_the_coverage():
    """A copy has gain lambda * coverage - 2 * redundancy: at 1/2 that is redundancy 2 here."""
    copy, _ = oracles.graph_cut(ROWS, 30, 1.0, coverage=0.05)
    assert graph_cut(ROWS, 30, redundancy=20.0).indices.tolist() == copy
    assert graph_cut(ROWS, 30, redundancy=0.05).indices.tolist() != copy


def test_no_pick_of_all_rows_lowers_the_objective_up_to_a_half():
    gains = np.diff([graph_cut(ROWS, m).info["objective"] for m in (1, 50, 100, 149, 150)])
    assert (gains > 0).all()
    beyond = [graph_cut(ROWS, m, redundancy=1.0).info["objective"] for m in (75, 150)]
    assert beyond[1] < beyond[0]


def test_rows_already_selected_count_as_kept():
    found = graph_cut(ROWS, 20, redundancy=10.0, already_selected=[3, 40, 41])
    picks, objective = oracles.graph_cut(ROWS, 20, 10.0, already=(3, 40, 41))
    assert found.indices.tolist() == picks
    assert found.info["objective"] == pytest.approx(objective)


def test_groups_are_cut_on_their_own():
    groups = np.arange(150) % 2
    found = graph_cut(ROWS, 20, groups=groups, redundancy=10.0, already_selected=[4, 5])
    expected, total = [], 0.0
    for group in (0, 1):
        own = np.flatnonzero(groups == group)
        picks, objective = oracles.graph_cut(ROWS[own], 10, 10.0, already=(2,))
        expected += own[picks].tolist()
        total += objective
    assert set(found.indices.tolist()) == set(expected)
    assert found.info["objective"] == pytest.approx(total)


def test_copies_are_distinguished_by_id_and_not_by_row():
    rows = np.repeat(ROWS[:10], 12, axis=0)
    order, ids = RANDOM.permutation(120), np.arange(120)
    one, two = graph_cut(rows, 30, ids=ids), graph_cut(rows[order], 30, ids=ids[order])
    assert one.ids.tolist() == two.ids.tolist()
    assert np.unique(one.indices).size == 30


@pytest.mark.parametrize("scale", [1e-9, 1e30])
def test_only_directions_matter(scale):
    scales = np.where(np.arange(150) % 2, scale, 1.0)[:, None]
    assert np.array_equal(graph_cut(ROWS * scales, 25).indices, graph_cut(ROWS, 25).indices)


def test_one_row_and_rows_without_a_direction():
    assert graph_cut([[2.0, 0.0]], 1).info["objective"] == 0.5  # 1 - 1 / 2
    rows = ROWS[:20].copy()
    rows[7] = 0.0
    with pytest.raises(ValueError, match="embeddings must .* row 7"):
        graph_cut(rows, 5)
    assert 7 not in graph_cut(rows, 19, on_bad="drop").indices
    with pytest.raises(ValueError, match=r"redundancy must be in \[0, 1e6\], got -1"):
        graph_cut(ROWS, 5, redundancy=-1.0)


def test_it_takes_the_middle_where_facility_location_takes_every_part():
    rows = np.concatenate([RANDOM.normal([9, 0], 1, (90, 2)), RANDOM.normal([0, 9], 1, (10, 2))])
    assert (graph_cut(rows, 5).indices < 90).all()
    assert (facility_location(rows, 5).indices >= 90).any()
