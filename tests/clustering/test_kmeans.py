import hashlib
import os
import subprocess
import sys
import warnings

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracle_kmeans import all_squares, lloyd, rows_of

import sampling
from sampling._check._rows import Rows
from sampling.clustering import Clustering, kmeans
from sampling.clustering._kmeans import _apportion, _distinct, _hash

FIELDS = ("centers", "labels", "distances", "nearest", "sizes")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Small inputs on a busy machine: OpenMP threads awaiting each other take 40x."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(threads)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def same(one, two):
    return all(np.array_equal(getattr(one, f), getattr(two, f)) for f in FIELDS)


def check(embeddings, found, spherical=False):
    """Every claim of the docstring that needs no knowledge of how the centers were found."""
    k, n = len(found.centers), len(embeddings)
    assert [getattr(found, f).dtype for f in FIELDS] == [
        np.dtype(t) for t in ("f4", "i8", "f4", "i8", "i8")
    ]
    assert found.centers.shape == (k, np.shape(embeddings)[1])
    assert found.labels.shape == found.distances.shape == (n,)
    squares = all_squares(embeddings, found.centers, spherical)
    zero = ~rows_of(embeddings, spherical).any(axis=1) & spherical
    np.testing.assert_array_equal(found.labels, np.where(zero, 0, squares.argmin(axis=1)))
    own = np.sqrt(squares[np.arange(n), found.labels])
    np.testing.assert_allclose(found.distances, own, rtol=1e-6, atol=1e-44)
    np.testing.assert_array_equal(squares[found.nearest, np.arange(k)], squares.min(axis=0))
    np.testing.assert_array_equal(found.sizes, np.bincount(found.labels, minlength=k))
    assert found.sizes.min() >= 1
    assert found.objective == pytest.approx((own**2).sum(), rel=1e-12)


CASES = {
    "plain": normal(300, 8),
    "duplicates": normal(9, 5)[np.random.default_rng(1).integers(0, 9, 300)],
    "constant": np.full((40, 3), 7.3),
    "zeros": np.zeros((20, 3)),
    "some zeros": np.concatenate([normal(90, 6), np.zeros((7, 6))]),
    "one row": [[3.0, -4.0]],
    "one column": normal(200, 1),
    "grid with ties": np.stack(np.meshgrid(range(12), range(12)), -1).reshape(-1, 2),
    "offset": 1e4 + 0.1 * normal(300, 12),
    "huge": 1e30 * normal(200, 6),
    "tiny": 1e-30 * normal(200, 6),
    "dense": np.concatenate([1 + 1e-5 * normal(100, 9), 1e-5 * normal(100, 9, seed=1) - 1]),
    "outlier": np.concatenate([1e-4 * normal(200, 9), np.full((1, 9), 1e3)]),
    "wide": normal(60, 700),
    "float16": normal(100, 4).astype(np.float16),
    "float64": normal(100, 4).astype(np.float64) / 3,
    "ints": np.random.default_rng(2).integers(-3, 4, (200, 2)),
}


@pytest.mark.parametrize("n_clusters", [1, 7, 30])
@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_against_brute_force(name, spherical, n_clusters):
    rows = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # more clusters than rows
        found = kmeans(rows, n_clusters, spherical=spherical, n_iter=6)
    assert len(found.centers) <= min(n_clusters, len(rows))
    check(rows, found, spherical)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 25), st.integers(1, 4)),
               elements=st.integers(-3, 3).map(float)),
    st.integers(1, 8), st.booleans(), st.integers(1, 4), st.integers(0, 2**64 - 1),
)  # fmt: skip
def test_any_small_input(rows, n_clusters, spherical, n_iter, seed):
    n_clusters = min(n_clusters, len(rows))
    found = kmeans(rows, n_clusters, spherical=spherical, n_iter=n_iter, seed=seed)
    k, distinct = len(found.centers), len(np.unique(rows, axis=0))
    assert 1 <= k <= n_clusters
    squares = all_squares(rows, found.centers, spherical)
    own = squares[np.arange(len(rows)), found.labels]
    np.testing.assert_allclose(own, squares.min(axis=1), rtol=0, atol=1e-12)  # ties aside
    np.testing.assert_allclose(found.distances, np.sqrt(own), rtol=1e-6, atol=1e-7)
    assert found.sizes.min() >= 1 and found.sizes.sum() == len(rows)
    if not spherical and distinct <= n_clusters:
        assert k == distinct and found.objective == 0


@pytest.mark.parametrize("spherical", [False, True])
def test_is_lloyd_from_distinct_random_rows(spherical):
    rows = normal(400, 6) + 3
    order = np.argsort(_hash(5, "kmeans rows", np.arange(400)))
    for n_iter in (1, 2, 10):
        found = kmeans(rows, 8, spherical=spherical, n_iter=n_iter, seed=5)
        centers, labels, objective = lloyd(rows, rows[order[:8]], n_iter, spherical)
        np.testing.assert_allclose(found.centers, centers, atol=2e-6)
        np.testing.assert_array_equal(found.labels, labels)
        assert found.objective == pytest.approx(objective, rel=1e-6)


def test_objective_is_that_of_scikit_learn_from_the_same_rows():
    from sklearn.cluster import KMeans

    rows = normal(1000, 8)
    start = rows[np.argsort(_hash(0, "kmeans rows", np.arange(1000)))[:20]]
    peer = KMeans(20, init=start, n_init=1, max_iter=25, tol=0).fit(rows)
    assert kmeans(rows, 20).objective == pytest.approx(peer.inertia_, rel=1e-3)


def test_trains_on_all_rows_unless_told():
    rows = normal(3000, 2)
    found = kmeans(rows, 2, n_iter=20)  # faiss alone would take 512 of them
    for k in range(2):
        mean = rows[found.labels == k].mean(axis=0, dtype=np.float64)
        np.testing.assert_allclose(found.centers[k], mean, atol=2e-3)
    fewer = kmeans(rows, 2, n_iter=20, max_points_per_centroid=5)
    check(rows, fewer)
    assert fewer.objective > found.objective
    assert same(found, kmeans(rows, 2, n_iter=20, max_points_per_centroid=1500))


def test_deterministic_whatever_ran_before():
    rows = normal(500, 8)
    state = np.random.get_state  # noqa: NPY002
    before = state()[1].copy(), torch.random.get_rng_state()
    first = kmeans(rows, 12, seed=3)
    kmeans(normal(300, 3), 5, seed=9)
    assert same(first, kmeans(rows, 12, seed=3))
    assert not same(first, kmeans(rows, 12, seed=4))
    assert not same(first, kmeans(rows, 12, seed=3 + 2**32))
    np.testing.assert_array_equal(state()[1], before[0])
    assert torch.equal(torch.random.get_rng_state(), before[1])
    assert (first.n_iter, first.seed) == (25, 3)


def test_input_forms_agree_and_are_not_modified(tmp_path):
    rows = normal(200, 6).astype(np.float16).astype(np.float32)
    rows[0, 0] = 0.5
    wide = np.zeros((400, 12), np.float32)
    wide[::2, ::2] = rows
    np.save(tmp_path / "rows.npy", rows.astype(np.float16))
    forms = {
        "float32": rows, "float64": rows.astype(np.float64), "big-endian": rows.astype(">f4"),
        "strided": wide[::2, ::2], "fortran": np.asfortranarray(rows), "list": rows.tolist(),
        "memory map": np.load(tmp_path / "rows.npy", mmap_mode="r"),
        "tensor": torch.from_numpy(rows.copy()).requires_grad_(),
        "half": torch.from_numpy(rows).half(), "transposed": torch.from_numpy(rows.T.copy()).T,
    }  # fmt: skip
    for spherical in (False, True):
        first = kmeans(rows.copy(), 9, spherical=spherical)
        for name, form in forms.items():
            data = form.detach().numpy() if isinstance(form, torch.Tensor) else np.asarray(form)
            before = hashlib.sha256(data.tobytes()).digest()
            assert same(first, kmeans(form, 9, spherical=spherical)), name
            assert hashlib.sha256(data.tobytes()).digest() == before, name
    brain = torch.from_numpy(rows).bfloat16()
    assert same(kmeans(brain, 9), kmeans(brain.float(), 9))
    frozen = rows.copy()
    frozen.flags.writeable = False
    assert same(kmeans(frozen, 9), kmeans(rows, 9))


def test_more_clusters_than_rows():
    rows = normal(5, 3)
    with pytest.warns(UserWarning, match=r"n_clusters must be at most .* rows, 5, got 8: using 5"):
        found = kmeans(rows, 8)
    assert sorted(found.labels) == sorted(found.nearest) == list(range(5))
    assert found.objective == 0


def test_distances_near_a_center_keep_their_digits():
    # 1 - cos is 5e-13 here, far below what float32 resolves near 1
    angle = np.array([-1e-6, 1e-6, np.pi / 2 - 1e-6, np.pi / 2 + 1e-6])
    rows = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found = kmeans(rows, 2, spherical=True)
    np.testing.assert_allclose(found.distances, 1e-6, rtol=0.07)
    rows = np.concatenate([np.tile(normal(1, 50), (9, 1)), np.tile(normal(1, 50, seed=1), (9, 1))])
    scaled = rows * np.arange(1, 19)[:, None]
    assert kmeans(scaled, 2, spherical=True).distances.max() < 1e-7
    assert kmeans(rows, 2).distances.max() == 0


def test_spherical_rows_without_direction():
    rows = np.concatenate([np.zeros((4, 5)), np.full((1, 5), 1e-14), normal(80, 5)])
    found = kmeans(rows, 6, spherical=True)
    assert np.isfinite(found.centers).all()
    np.testing.assert_allclose(np.linalg.norm(found.centers, axis=1), 1, atol=1e-6)
    assert (found.labels[:5] == 0).all() and not np.isin(found.nearest, range(5)).any()
    np.testing.assert_allclose(found.distances[:5], np.sqrt(2))
    without = kmeans(rows[5:] * 3, 6, spherical=True)
    assert without.centers.shape == found.centers.shape
    nothing = kmeans(np.zeros((3, 2)), 2, spherical=True)
    assert nothing.centers.tolist() == [[0, 0]]
    np.testing.assert_allclose(nothing.distances, np.sqrt(2))
    opposite = kmeans([[1.0, 0.0], [-1.0, 0.0]], 1, spherical=True)
    assert abs(opposite.centers[0, 0]) == 1
    np.testing.assert_allclose(sorted(opposite.distances), [0, 2])


def test_ties_for_nearest_follow_the_seed_not_the_row():
    rows = np.zeros((100, 2))
    chosen = np.array([kmeans(rows, 1, n_iter=1, seed=s).nearest[0] for s in range(200)])
    assert len(np.unique(chosen)) > 60
    assert 40 < chosen.mean() < 59
    pair = [[-1.0], [1.0]]
    assert 70 < sum(int(kmeans(pair, 1, seed=s).nearest[0]) for s in range(200)) < 130


def test_nearest_may_belong_to_another_cluster():
    rows = np.array([[0.0, 10], [0, -10], [6, 0], [6.5, 0]])
    tries = (kmeans(rows, 2, n_iter=9, seed=s) for s in range(50))
    found = next(f for f in tries if f.labels[0] == f.labels[1])
    assert found.nearest[found.labels[0]] == 2
    check(rows, found)


@pytest.mark.parametrize("spherical", [False, True])
def test_groups(spherical):
    rows = normal(600, 5)
    names = np.array(["b", "a", "c"])[np.random.default_rng(0).choice(3, 600, p=[0.7, 0.29, 0.01])]
    found = kmeans(rows, 20, groups=names, spherical=spherical, seed=2)
    of_cluster = names[found.nearest]
    np.testing.assert_array_equal(of_cluster[found.labels], names)
    assert of_cluster.tolist() == sorted(of_cluster)
    assert (of_cluster == "c").sum() == 1 and len(found.centers) == 20
    for name in "abc":
        inside, clusters = np.flatnonzero(names == name), np.flatnonzero(of_cluster == name)
        squares = all_squares(rows[inside], found.centers[clusters], spherical)
        np.testing.assert_array_equal(found.labels[inside], clusters[squares.argmin(axis=1)])
        np.testing.assert_array_equal(found.nearest[clusters], inside[squares.argmin(axis=0)])
    assert found.objective == pytest.approx((found.distances.astype(float) ** 2).sum(), rel=1e-5)
    assert same(kmeans(rows, 6), kmeans(rows, 6, groups=np.full(600, -1)))


def test_shares_of_groups():
    def shares(total, *sizes):
        return _apportion(total, np.array(sizes), 0).tolist()

    assert shares(10, 50, 30, 20) == [5, 3, 2]
    assert shares(10, 1, 1, 998) == [1, 1, 8]
    assert shares(3, 1, 1, 998) == [1, 1, 1]
    assert shares(7, 4, 2, 1) == [4, 2, 1]
    assert shares(4, 60, 36, 4) == [2, 1, 1]  # 3 for two at 1.875 and 1.125
    assert sorted(shares(4, 5, 5, 5)) == [1, 1, 2]
    assert len({tuple(_apportion(4, np.array([5, 5, 5]), s)) for s in range(20)}) == 3


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.data())
def test_shares_of_any_groups(sizes, data):
    total = data.draw(st.integers(len(sizes), sum(sizes)))
    shares = _apportion(total, np.array(sizes), 1)
    assert shares.sum() == total and (shares >= 1).all() and (shares <= sizes).all()
    for i, size in enumerate(sizes):  # nobody is rounded up beyond its quota, but to 1
        assert shares[i] <= max(1, -(-total * size // sum(sizes)))


def test_distinct_rows_treat_both_zeros_alike():
    rows = np.array([[0.0, 1], [-0.0, 1], [0, 2]], np.float32)
    assert _distinct(rows, np.array([1, 0, 2]), 3).tolist() == [1, 2]


BAD = [
    (dict(n_clusters=0), ValueError, r"^n_clusters must be >= 1, got 0$"),
    (dict(n_clusters=2.0), TypeError, r"^n_clusters must be an int, got 2\.0$"),
    (dict(n_iter=0), ValueError, r"^n_iter must be >= 1, got 0$"),
    (dict(seed=-1), ValueError, r"^seed must be in \[0, 18446744073709551616\), got -1$"),
    (dict(max_points_per_centroid=0), ValueError, r"^max_points_per_centroid must be >= 1, got 0$"),
    (dict(groups=[0, 1]), ValueError, r"^groups must have the length of embeddings, 4, got 2$"),
    (dict(groups=[0, 1, 2, 0]), ValueError,
     r"^n_clusters must be >= the number of groups, 3, got 2$"),
    (dict(groups=[0.5, 1, 2, 0]), ValueError, r"^groups must be class ids, got 0\.5 in row 0"),
    (dict(embeddings=np.ones(4)), ValueError, r"^embeddings must have shape \(N, D\)"),
    (dict(embeddings=np.ones((0, 3))), ValueError, r"^embeddings must have shape .* \(0, 3\)$"),
    (dict(embeddings=[["a"], ["b"]]), TypeError, r"^embeddings must hold numbers, got dtype"),
    (dict(embeddings=[[1.0], [np.nan], [np.inf]]), ValueError,
     r"^embeddings must be finite, got nan in row 1 \(2 bad rows\): exclude such rows$"),
    (dict(embeddings=[[1.0], [1e300]]), ValueError,
     r"^embeddings must be finite as float32, got 1e"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error", "match"), BAD)
def test_bad_input(change, error, match):
    arguments = {"embeddings": np.eye(4), "n_clusters": 2, **change}
    with pytest.raises(error, match=match):
        kmeans(**arguments)


def test_result_is_frozen_and_has_one_address():
    found = kmeans(np.eye(3), 2)
    with pytest.raises(AttributeError, match="cannot assign"):
        found.seed = 1
    assert isinstance(found, sampling.clustering.Clustering) and Clustering is type(found)


def test_runs_in_a_forked_process():
    code = (
        "import os, numpy as np; from sampling.clustering import kmeans\n"
        "x = np.random.default_rng(0).normal(size=(2000, 32)); a = kmeans(x, 20, n_iter=3)\n"
        "pid = os.fork()\n"
        "if pid == 0: os._exit(kmeans(x, 20, n_iter=3).objective != a.objective)\n"
        "raise SystemExit(os.waitpid(pid, 0)[1])"
    )
    if hasattr(os, "fork"):
        done = subprocess.run(
            [sys.executable, "-c", code], timeout=60, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        assert b"WARNING" not in done.stderr + done.stdout


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
def test_second_nearest_centers(spherical, grouped):
    rows = np.random.default_rng(3).normal(size=(300, 4))
    groups = np.arange(300) % 2 if grouped else np.zeros(300, int)
    found = kmeans(rows, 9, spherical=spherical, seed=1, groups=groups)
    own = groups[found.nearest]
    points, centers = rows, found.centers
    if spherical:
        points = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    gaps = np.square(points[:, None] - centers[None]).sum(axis=2)
    gaps[groups[:, None] != own[None]] = np.inf
    assert np.array_equal(found.seconds, np.argsort(gaps, axis=1)[:, 1])
    some = np.array([5, 3, 200])
    part = found.among(some)
    assert np.array_equal(part.seconds, found.seconds[some])
    assert np.array_equal(part.distances, found.distances[some])
    assert (kmeans(rows, 1).seconds == -1).all()


def test_rows_on_disk_and_a_sample_of_them(tmp_path):
    """Rows that are read block by block give the clusters of the same array in memory."""
    rows = np.random.default_rng(4).normal(size=(3000, 6)).astype(np.float16)
    rows.tofile(tmp_path / "rows.bin")
    disk = Rows(tmp_path / "rows.bin", rows.shape, rows.dtype)
    for limit in (None, 20):
        for groups in (None, np.arange(3000) % 3):
            given = {"max_points_per_centroid": limit, "groups": groups, "n_iter": 4}
            one, other = kmeans(rows, 7, **given), kmeans(disk, 7, **given)
            assert np.array_equal(one.labels, other.labels)
            assert np.array_equal(one.centers, other.centers)
            assert np.array_equal(one.nearest, other.nearest)
