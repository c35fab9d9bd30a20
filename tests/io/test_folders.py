"""Folders of shards: the files that `pyarrow.dataset` finds, and no others."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from sampling.io import (
    digests,
    export_rows,
    open_table,
    read_column,
    read_rows,
    shape_of,
    table_files,
    unchanged,
)
from sampling.selection import SelectionPlan, Stage, top


def shard(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"x": values}), path)


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / ".cache" / "corpus"  # what lies above the folder does not count
    shard(folder / "b.parquet", [3.0, 4.0])
    shard(folder / "a.parquet", [1.0, 2.0])
    shard(folder / "a" / "c.parquet", [5.0])
    shard(folder / "z.parquet" / "part.parquet", [6.0])
    (folder / "empty.parquet").mkdir()
    for name in ("_backup.parquet", ".hidden.parquet", "_old/d.parquet", ".git/e.parquet"):
        shard(folder / name, [9.0, 9.0, 9.0])
    for name in ("_metadata", "_common_metadata", "_SUCCESS", "._a.parquet", ".DS_Store"):
        (folder / name).write_bytes(b"no Parquet")
    return folder


NAMES = ["a.parquet", "a/c.parquet", "b.parquet", "z.parquet/part.parquet"]
VALUES = [1.0, 2.0, 5.0, 3.0, 4.0, 6.0]


def test_it_is_the_rule_of_pyarrow(corpus):
    files = [path.relative_to(corpus).as_posix() for path in table_files(corpus)]
    assert files == NAMES
    assert [str(corpus / name) for name in files] == sorted(ds.dataset(corpus).files)


def test_everything_that_reads_a_folder_reads_the_same(corpus, tmp_path):
    assert open_table(corpus).column("x").tolist() == VALUES
    assert open_table([corpus]).size == 6
    assert shape_of(corpus) == (6, None, ("x",))
    assert read_rows(corpus, np.arange(6))["x"].to_pylist() == VALUES
    assert read_column([corpus], "x", [5, 2]) == [6.0, 5.0]
    assert [each["name"] for each in digests(corpus)] == [f"corpus/{name}" for name in NAMES]
    done = export_rows(top(np.array(VALUES), 2), corpus, tmp_path / "out")
    assert [each["rows"] for each in done["sources"]] == [2, 1, 2, 1]
    plan = SelectionPlan(corpus, [Stage("top", 2, columns={"scores": "x"})])
    assert plan.run(tmp_path / "work").indices.tolist() == [5, 2]


def test_other_names_are_ignored_and_capitals_are_not(corpus):
    (corpus / "README.md").write_text("what this is")
    shard(corpus / "C.PARQUET", [7.0])
    assert [path.name for path in table_files(corpus)][0] == "C.PARQUET"
    assert open_table(corpus).size == 7
    assert open_table(corpus / "C.PARQUET").size == 1


def test_other_suffixes_of_parquet(corpus):
    shard(corpus / "d.pq", [1.0, 2.0])
    shard(corpus / "e.parq", [1.0])
    assert open_table(corpus).size == 9
    assert open_table(corpus / "d.pq").size == 2


def test_a_link_to_nothing_is_a_lost_shard(corpus):
    (corpus / "_hidden.parquet").symlink_to(corpus / "nowhere.parquet")
    assert open_table(corpus).size == 6
    (corpus / "d.parquet").symlink_to(corpus / "nowhere.parquet")
    with pytest.raises(FileNotFoundError, match=r"d\.parquet must exist, got a broken link"):
        open_table(corpus)


def test_an_empty_file_is_no_shard_without_rows(corpus):
    (corpus / "d.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match=r"d\.parquet must be a whole Parquet file"):
        open_table(corpus)
    shard(corpus / "d.parquet", np.zeros(0))
    assert open_table(corpus).size == 6


def test_a_folder_without_shards(tmp_path):
    shard(tmp_path / "_only.parquet", [1.0])
    with pytest.raises(ValueError, match="must hold files of a table, such as .parquet, got none"):
        open_table(tmp_path)


def test_a_shard_that_comes_meanwhile(corpus):
    with pytest.raises(ValueError, match=r"c2\.parquet must not appear while"), unchanged([corpus]):
        shard(corpus / "a" / "c2.parquet", [1.0])
    with pytest.raises(ValueError, match=r"c2\.parquet must not change"), unchanged([corpus]):
        Path(corpus / "a" / "c2.parquet").unlink()
