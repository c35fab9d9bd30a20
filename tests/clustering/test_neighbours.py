import faiss
import numpy as np
import oracle_geometry as oracles
import pytest

from sampling._check._rows import Rows
from sampling.clustering import load_neighbours, neighbours, save_neighbours

RANDOM = np.random.default_rng(8)
ROWS = RANDOM.normal(size=(300, 6)).astype(np.float32)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(threads)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("offset", [0, 3])
def test_against_all_pairs(metric, offset):
    rows = ROWS + np.float32(offset)
    gaps = oracles.similarity(rows, "cosine")
    gaps = 2 - 2 * gaps if metric == "cosine" else -oracles.minus_distances(rows, rows)
    np.fill_diagonal(gaps, np.inf)
    found = neighbours(rows, 9, metric=metric)
    assert found.indices.dtype == np.int64
    assert found.distances.dtype == np.float32
    np.testing.assert_array_equal(found.indices, np.argsort(gaps, axis=1)[:, :9])
    np.testing.assert_allclose(found.distances, np.sort(gaps, axis=1)[:, :9], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_a_row_is_no_neighbour_of_its_own_among_copies(metric):
    rows = np.repeat(ROWS[:6], 50, axis=0)
    found = neighbours(rows, 10, metric=metric)
    assert not (found.indices == np.arange(300)[:, None]).any()
    assert (found.distances == 0).all()
    assert all(np.unique(each).size == 10 for each in found.indices)
    assert np.array_equal(found.indices // 50, np.repeat(np.arange(6), 50)[:, None].repeat(10, 1))


def test_where_there_are_fewer_the_rest_is_filled():
    found = neighbours(ROWS[:3], 5)
    assert (found.indices[:, 2:] == -1).all()
    assert np.isinf(found.distances[:, 2:]).all()
    assert np.array_equal(np.sort(found.indices[:, :2]), [[1, 2], [0, 2], [0, 1]])
    assert neighbours(ROWS[:1], 2).indices.tolist() == [[-1, -1]]


def test_zero_vectors_are_at_one_from_everything_under_cosine():
    rows = ROWS[:20].copy()
    rows[[4, 5]] = 0
    found = neighbours(rows, 19, metric="cosine")
    assert (found.distances[[4, 5]] == 1).all()


def test_close_rows_keep_their_digits():
    rows = np.float32(1000) + np.arange(50, dtype=np.float32)[:, None] * np.float32(2**-10)
    found = neighbours(rows, 1)
    np.testing.assert_array_equal(found.distances, np.float32(2**-10))


def test_float16_and_what_is_refused():
    half = ROWS.astype(np.float16)
    one, two = neighbours(half, 4), neighbours(half.astype(np.float32), 4)
    assert np.array_equal(one.indices, two.indices)
    with pytest.raises(ValueError, match=r"k must be >= 1|k must be in"):
        neighbours(ROWS, 0)
    with pytest.raises(ValueError, match="metric must be one of"):
        neighbours(ROWS, 2, metric="dot")
    bad = ROWS.copy()
    bad[7, 1] = np.nan
    with pytest.raises(ValueError, match="embeddings must be finite, got nan in row 7"):
        neighbours(bad, 2)


def test_among_some_rows():
    rows = np.random.default_rng(0).normal(size=(40, 3))
    graph = neighbours(rows, 39)
    some = np.random.default_rng(1).permutation(40)[:15]
    part, anew = graph.among(some), neighbours(rows[some], 14)
    assert np.array_equal(part.indices[:, :14], anew.indices)
    assert np.array_equal(part.distances[:, :14], anew.distances)
    assert (part.indices[:, 14:] == -1).all()
    assert np.isinf(part.distances[:, 14:]).all()


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_a_graph_on_disk(tmp_path, metric):
    graph = neighbours(np.random.default_rng(0).normal(size=(9, 3)), 12, metric=metric)
    save_neighbours(graph, tmp_path / "graph.parquet")
    again = load_neighbours(tmp_path / "graph.parquet")
    assert np.array_equal(again.indices, graph.indices)
    assert np.array_equal(again.distances, graph.distances)
    assert again.metric == metric
    (tmp_path / "graph.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="must be a whole Parquet file"):
        load_neighbours(tmp_path / "graph.parquet")
    with pytest.raises(FileNotFoundError, match="other.parquet must exist, got no such file"):
        load_neighbours(tmp_path / "other.parquet")


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_rows_are_searched_in_blocks_and_from_disk(metric, tmp_path, monkeypatch):
    """Ties, here of copies, go to the lower row in any block."""
    rows = np.random.default_rng(5).normal(size=(3000, 8)).astype(np.float32)
    rows[2000:2500] = rows[:500]
    rows.tofile(tmp_path / "rows")
    whole = neighbours(rows, 4, metric=metric)
    monkeypatch.setattr("sampling.clustering._neighbours._SEARCHED", 1)  # 1,024 rows
    monkeypatch.setattr("sampling.clustering._neighbours._QUERIES", 700)
    found = neighbours(Rows(tmp_path / "rows", rows.shape, rows.dtype), 4, metric=metric)
    assert np.array_equal(found.indices, whole.indices)
    assert np.array_equal(found.distances, whole.distances)


def test_a_part_of_a_graph_is_the_same_in_blocks(monkeypatch):
    graph = neighbours(np.random.default_rng(1).normal(size=(60, 3)), 5)
    rows = np.random.default_rng(2).permutation(60)[:41]
    whole = graph.among(rows)
    monkeypatch.setattr("sampling.clustering._neighbours._NUMBERS", 20)
    parts = graph.among(rows)
    assert np.array_equal(whole.indices, parts.indices)
    assert np.array_equal(whole.distances, parts.distances)
