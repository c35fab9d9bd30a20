import numpy as np
import pytest

from sampling.clustering import _hard_negatives as module
from sampling.clustering import hard_negatives, kmeans, load_neighbours, neighbours, save_neighbours

RANDOM = np.random.default_rng(4)
ROWS = RANDOM.normal(size=(200, 6)).astype(np.float32)
LABELS = RANDOM.integers(0, 5, 200)


def by_all_pairs(rows, labels, k, metric, within=None):
    """All distances in float64, sorted."""
    rows = rows.astype(np.float64)
    if metric == "cosine":
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        unit = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
        gaps = 1 - unit @ unit.T
    else:
        gaps = np.sqrt(np.square(rows[:, None] - rows[None]).sum(axis=2))
    within = np.zeros_like(labels) if within is None else within
    allowed = (labels[:, None] != labels) & (within[:, None] == within)
    allowed &= (labels >= 0) & (labels >= 0)[:, None] & (within >= 0) & (within >= 0)[:, None]
    gaps[~allowed] = np.inf
    found = np.argsort(gaps, axis=1, kind="stable")[:, :k]
    gaps = np.take_along_axis(gaps, found, 1)
    return np.where(np.isfinite(gaps), found, -1), gaps


@pytest.mark.parametrize(
    ("metric", "offset"), [("euclidean", 0), ("euclidean", 300), ("cosine", 0), ("cosine", 3)]
)
def test_against_all_pairs(metric, offset, monkeypatch):
    monkeypatch.setattr(module, "_SIDE", 64)  # several blocks on both sides
    rows = ROWS + np.float32(offset)
    if metric == "cosine":
        rows[17] = 0  # at distance 1 from everything
    labels = LABELS.copy()
    labels[[0, 55]] = -1
    within = RANDOM.integers(-1, 4, 200)
    for coarse in (None, within):
        found = hard_negatives(rows, labels, 7, within=coarse, metric=metric)
        indices, gaps = by_all_pairs(rows, labels, 7, metric, coarse)
        assert (found.indices.dtype, found.distances.dtype) == (np.int64, np.float32)
        np.testing.assert_allclose(found.distances, gaps, rtol=1e-5, atol=1e-6)
        far = np.diff(np.minimum(gaps, 1e6 + np.arange(7)), axis=1, append=1e9, prepend=-1)
        clear = (far[:, 1:] > 1e-6) & (far[:, :-1] > 1e-6)
        assert clear.mean() > 0.9
        np.testing.assert_array_equal(found.indices[clear], indices[clear])
        assert not (labels[found.indices] == labels[:, None])[found.indices >= 0].any()


def test_where_a_graph_has_no_negative_the_table_has():
    rows = np.repeat([[0.0], [1.0]], 50, axis=0) + RANDOM.normal(0, 0.01, (100, 1))
    labels = np.repeat([0, 1], 50)
    graph = neighbours(rows, 10)
    assert (labels[graph.indices] == labels[:, None]).all()
    table = hard_negatives(rows, labels, 10)
    assert (labels[table.indices] != labels[:, None]).all()
    nearest = np.abs(rows - rows.T)[labels == 0][:, labels == 1].min(axis=1)
    np.testing.assert_allclose(table.distances[:50, 0], nearest, rtol=1e-6)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_with_clusters_only_those_near_are_searched(metric, monkeypatch):
    monkeypatch.setattr(module, "_SIDE", 32)
    found = kmeans(ROWS, 8, spherical=metric == "cosine")
    exact = hard_negatives(ROWS, LABELS, 6, metric=metric)
    whole = hard_negatives(ROWS, LABELS, 6, metric=metric, clusters=found, probes=8)
    np.testing.assert_array_equal(whole.indices, exact.indices)
    np.testing.assert_array_equal(whole.distances, exact.distances)
    hits = []
    for probes in (1, 3):
        some = hard_negatives(ROWS, LABELS, 6, metric=metric, clusters=found, probes=probes)
        gaps = np.square(found.centers[:, None] - found.centers).sum(axis=2)
        near = np.argsort(gaps, axis=1)[:, :probes]
        searched = (found.labels[some.indices][..., None] == near[found.labels][:, None]).any(2)
        assert searched[some.indices >= 0].all()
        assert (some.distances >= exact.distances).all()
        hits.append((some.indices == exact.indices).mean())
    assert hits[0] < hits[1] < 1
    with pytest.raises(ValueError, match="clusters must have the length of embeddings, 9, got 200"):
        hard_negatives(ROWS[:9], LABELS[:9], 6, clusters=found)
    with pytest.raises(TypeError, match="clusters must be a Clustering, as kmeans returns, got"):
        hard_negatives(ROWS, LABELS, 6, clusters=found.labels)


def test_where_there_are_fewer_the_rest_is_filled():
    table = hard_negatives(ROWS[:3], ["a", "a", "b"], 5)
    assert table.indices[:, 1:].tolist() == [[-1] * 4, [-1] * 4, table.indices[2, 1:].tolist()]
    assert sorted(table.indices[2, :2].tolist()) == [0, 1]
    assert np.isinf(table.distances[0, 1:]).all()
    assert hard_negatives(ROWS[:1], [0], 2).indices.tolist() == [[-1, -1]]
    assert (hard_negatives(ROWS[:4], [1, 1, 1, 1], 2).indices == -1).all()


def test_it_is_saved_as_a_graph(tmp_path):
    table = hard_negatives(ROWS, LABELS, 3, metric="cosine")
    save_neighbours(table, tmp_path / "table.parquet")
    found = load_neighbours(tmp_path / "table.parquet")
    np.testing.assert_array_equal(found.indices, table.indices)


def test_wrong_arguments():
    for labels, message in (
        (LABELS[1:], "labels must have the length of embeddings, 200, got 199"),
        (np.full(200, -1), "labels must label at least one sample, got -1 in all 200"),
    ):
        with pytest.raises(ValueError, match=message):
            hard_negatives(ROWS, labels, 3)
    with pytest.raises(ValueError, match="within must have the length of embeddings"):
        hard_negatives(ROWS, LABELS, 3, within=LABELS[1:])
    with pytest.raises(ValueError, match=r"k must be"):
        hard_negatives(ROWS, LABELS, 0)
    bad = ROWS.copy()
    bad[7, 0] = np.nan
    with pytest.raises(ValueError, match="embeddings must be finite, got nan in row 7"):
        hard_negatives(bad, LABELS, 1)
