"""Digests of files, and what is said of a table that changed."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sampling import Selection
from sampling.io import changes, differences, digest, digests, table_files, unchanged, with_inputs


@pytest.fixture
def folder(tmp_path):
    for i in range(3):
        pq.write_table(pa.table({"x": np.arange(i, i + 4)}), tmp_path / f"p{i}.parquet")
    return tmp_path


@pytest.mark.parametrize("size", [0, 1, 2**20, 2**20 + 1])
def test_it_is_the_sha256_of_the_bytes(tmp_path, size):
    data = np.random.default_rng(0).bytes(size)
    (tmp_path / "x").write_bytes(data)
    assert digest(tmp_path / "x") == f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_names_hold_no_folder_but_that_of_the_shards(folder):
    found = digests(folder)
    assert [each["name"] for each in found] == [f"{folder.name}/p{i}.parquet" for i in range(3)]
    assert [each["rows"] for each in found] == [4, 4, 4]
    assert digests(folder / "p1.parquet")[0]["name"] == "p1.parquet"
    assert digests(table_files(folder))[2]["digest"] == found[2]["digest"]
    np.save(folder / "x.npy", np.eye(2))
    assert digests(folder / "x.npy")[0]["rows"] is None


def test_differences_name_the_shard(folder):
    before = digests(folder)
    assert differences(before, before) == []
    pq.write_table(pa.table({"x": np.arange(9, 13)}), folder / "p1.parquet")
    assert differences(before, digests(folder)) == [f"{folder.name}/p1.parquet holds other bytes"]
    with (folder / "p2.parquet").open("ab") as file:
        file.write(b"more")
    (wrong,) = changes(Selection(np.arange(2), info={"inputs": before[2:]}), folder / "p2.parquet")
    assert "p2.parquet has" in wrong  # a file that is not whole is one that changed
    (folder / "p2.parquet").unlink()
    (gone,) = differences(before, digests(folder))
    assert gone == f"2 files instead of 3 ({folder.name}/p2.parquet)"


def test_progress_counts_every_byte(folder):
    seen = []
    digests(folder, progress=lambda step, total, unit: seen.append((step, total, unit)))
    total = sum(path.stat().st_size for path in table_files(folder))
    assert sum(step for step, _, _ in seen) == total
    assert {(each[1], each[2]) for each in seen} == {(total, "B")}


def test_a_selection_says_what_it_was_made_from(folder, tmp_path_factory):
    beside = tmp_path_factory.mktemp("beside") / "more.parquet"
    pq.write_table(pa.table({"y": np.arange(12)}), beside)
    found = with_inputs(Selection(np.array([0, 5]), size=12), folder, [beside])
    assert changes(found, folder) == []
    assert changes(found, beside) == []
    pq.write_table(pa.table({"y": np.arange(1, 13)}), beside)
    (wrong,) = changes(found, beside)
    assert wrong.startswith("more.parquet h")
    with pytest.raises(ValueError, match="selection must hold the digests of its inputs"):
        changes(Selection(np.array([0])), folder)


def test_a_file_that_changes_on_the_way_is_named(folder):
    path = folder / "p1.parquet"
    with pytest.raises(ValueError, match=r"p1\.parquet must not change while it is read"):
        with unchanged(table_files(folder)):
            path.write_bytes(path.read_bytes() + b"x")
    with unchanged(table_files(folder)):
        pass
