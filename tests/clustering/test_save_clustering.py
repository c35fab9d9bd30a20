"""Clusterings on disk."""

import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest

from sampling.clustering import kmeans, load_clustering, save_clustering
from sampling.selection import cluster_uniform

ROWS = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)


@pytest.mark.parametrize("spherical", [False, True])
def test_what_is_saved_is_loaded(tmp_path, spherical):
    found = kmeans(ROWS, 7, spherical=spherical, seed=3)
    save_clustering(found, tmp_path / "clusters.parquet")
    again = load_clustering(tmp_path / "clusters.parquet")
    for field in dataclasses.fields(found):
        old, new = getattr(found, field.name), getattr(again, field.name)
        assert np.array_equal(old, new), field.name
        assert getattr(old, "dtype", None) == getattr(new, "dtype", None)
        assert getattr(new, "flags", np.zeros(1).flags).c_contiguous
    rows = pq.read_table(tmp_path / "clusters.parquet")
    assert rows.column_names == ["label", "distance", "second"]
    assert rows["label"].to_pylist() == found.labels.tolist()
    one, two = (cluster_uniform(ROWS, 9, clusters=each) for each in (found, again))
    assert np.array_equal(one.indices, two.indices)


def test_rows_and_centers_of_two_clusterings_are_refused(tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        save_clustering(kmeans(ROWS, 7, seed=seed), tmp_path / f"{name}.parquet")
    (tmp_path / "a.centers.parquet").replace(tmp_path / "b.centers.parquet")
    with pytest.raises(ValueError, match=r"b\.centers\.parquet must be of the clustering in b\.p"):
        load_clustering(tmp_path / "b.parquet")
    with pytest.raises(FileNotFoundError, match=r"a\.centers\.parquet must exist"):
        load_clustering(tmp_path / "a.parquet")


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "clusters.parquet"
    with pytest.raises(FileNotFoundError, match="must exist"):
        load_clustering(path)
    save_clustering(kmeans(ROWS, 7), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(ValueError, match="must be a whole Parquet file"):
        load_clustering(path)
    pq.write_table(
        pq.read_table(tmp_path / "clusters.centers.parquet").replace_schema_metadata(),
        tmp_path / "other.parquet",
    )
    (tmp_path / "other.centers.parquet").write_bytes(whole)
    with pytest.raises(ValueError, match="must be a file of clusters, of .*, got"):
        load_clustering(tmp_path / "other.parquet")
