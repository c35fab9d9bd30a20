"""A subset file is read by the usual readers, with the same rows."""

import numpy as np
import pytest

from sampling.io import load_selection, save_selection
from sampling.selection import pivotal

SCORES = np.random.default_rng(0).gamma(2.0, size=60)


def by_pandas(path):
    return pytest.importorskip("pandas", reason="needs pandas").read_parquet(path)


def by_polars(path):
    return pytest.importorskip("polars", reason="needs polars").read_parquet(path)


def by_duckdb(path):
    duckdb = pytest.importorskip("duckdb", reason="needs duckdb")
    with duckdb.connect() as database:
        return database.execute("select * from read_parquet(?)", [str(path)]).fetchnumpy()


def by_datasets(path):
    datasets = pytest.importorskip("datasets", reason="needs datasets")
    return datasets.Dataset.from_parquet(str(path), cache_dir=str(path.parent / "cache"))


@pytest.mark.parametrize("read", [by_pandas, by_polars, by_duckdb, by_datasets])
@pytest.mark.parametrize("names", [[f"row-{i}" for i in range(60)], list(range(2**31, 2**31 + 60))])
def test_the_same_rows(tmp_path, read, names):
    found = pivotal(SCORES, 12, ids=names)
    path = tmp_path / "subset.parquet"
    save_selection(found, path, dropped=True)
    table = read(path)
    assert list(table["index"]) == found.indices.tolist()
    assert list(table["id"]) == [names[i] for i in found.indices]
    assert list(table["weight"]) == found.weights.tolist()
    assert list(table["score"]) == found.scores[found.indices].tolist()
    again = load_selection(path)
    assert np.array_equal(again.ids, found.ids)
    rest = read(tmp_path / "subset.dropped.parquet")
    assert sorted([*rest["index"], *found.indices]) == list(range(60))
    assert set(rest["rule"]) == {"beyond the budget"}
