"""Exports: the same rows as a plain take, whole shards only, and going on where one stopped."""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling import Selection
from sampling._files import _paths as _files
from sampling.io import _export as module
from sampling.io import check_export, digest, export_rows, read_column, read_rows, with_inputs
from sampling.selection import pivotal

N = 200


def corpus(size=N):
    """Rows with strings, lists of several lengths, structs, maps, categories, nulls and dates."""
    number = np.arange(size)
    return pa.table(
        {
            "text": [f"text {i}" * (i % 4) for i in number],
            "tags": [["a", None, f"t{i}"][: i % 4] for i in number],
            "row": number,
            "facts": [{"url": f"u{i}", "parts": [{"n": int(i)}]} for i in number],
            "kind": pa.array([f"k{i % 3}" for i in number]).dictionary_encode(),
            "maybe": [None if i % 5 == 0 else float(i) for i in number],
            "when": pa.array(number * 1000, pa.timestamp("ms", tz="UTC")),
            "bytes": [bytes([i % 256]) for i in number],
            "pair": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(2.0 * size)), 2),
        }
    )


@pytest.fixture(scope="module")
def table():
    return corpus()


@pytest.fixture(scope="module")
def source(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for i, (start, stop) in enumerate([(0, 70), (70, 70), (70, 171), (171, N)]):
        pq.write_table(table.slice(start, stop - start), folder / f"p{i}.parquet", row_group_size=9)
    return folder


def read(folder):
    """All shards, one after another."""
    shards = sorted(folder.glob("part-*.parquet"))
    return pa.concat_tables([pq.read_table(path) for path in shards])


def same(found, expected):
    assert found.schema.names == expected.schema.names
    assert found.schema.types == expected.schema.types
    assert found.to_pylist() == expected.to_pylist()


@pytest.mark.parametrize("order", ["rows", "picks"])
@pytest.mark.parametrize("per_shard", [1, 7, 40, 1000])
def test_it_is_a_take(table, source, tmp_path, order, per_shard):
    indices = np.random.default_rng(per_shard).permutation(N)[:40]
    picked = Selection(indices, weights=np.arange(40) / 7, size=N, method="mine")
    facts = export_rows(picked, source, tmp_path / "out", rows_per_shard=per_shard, order=order)
    places = np.argsort(indices) if order == "rows" else np.arange(40)
    expected = table.take(indices[places]).append_column("weight", pa.array(places / 7))
    same(read(tmp_path / "out"), expected)
    assert facts == json.loads((tmp_path / "out" / "_export.json").read_text())
    assert [each["rows"] for each in facts["shards"]] == [
        min(per_shard, 40 - start) for start in range(0, 40, per_shard)
    ]
    assert facts["sources"][1]["digest"] == digest(source / "p1.parquet")
    assert not facts["checked"]
    assert pq.read_table(tmp_path / "out").num_rows == 40  # the manifest is in nobody's way


@settings(deadline=None, derandomize=True, max_examples=30)
@given(
    indices=st.lists(st.integers(0, N - 1), max_size=30),
    per_shard=st.integers(1, 12),
    order=st.sampled_from(["rows", "picks"]),
    groups=st.integers(1, 60),
)
def test_any_rows_and_any_row_groups(tmp_path_factory, indices, per_shard, order, groups):
    """Rows that were drawn more than once, and none at all, too."""
    folder, table = tmp_path_factory.mktemp("any"), corpus()
    pq.write_table(table, folder / "all.parquet", row_group_size=groups)
    picked = Selection(np.array(indices, np.int64), size=N)
    path = folder / "all.parquet"
    export_rows(picked, path, folder / "out", rows_per_shard=per_shard, order=order)
    wanted = sorted(indices) if order == "rows" else indices
    same(read(folder / "out"), table.take(pa.array(wanted, pa.int64())))


def test_some_columns(table, source, tmp_path):
    picked = Selection(np.array([3, 1]), size=N)
    export_rows(picked, source, tmp_path / "out", columns=["pair", "text"])
    same(read(tmp_path / "out"), table.take([1, 3]).select(["text", "pair"]))
    with pytest.raises(ValueError, match=r"columns must be of .*, got 'txt': did you mean 'text'"):
        export_rows(picked, source, tmp_path / "none", columns=["txt"])
    with pytest.raises(ValueError, match="columns must name at least one column"):
        export_rows(picked, source, tmp_path / "none", columns=[])
    assert not (tmp_path / "none").exists()


def test_a_second_weight_is_refused(tmp_path):
    pq.write_table(pa.table({"weight": [1.0, 2.0], "x": [3, 4]}), tmp_path / "all.parquet")
    picked = Selection(np.array([1]), weights=np.array([5.0]), size=2)
    with pytest.raises(ValueError, match="columns must not include 'weight'"):
        export_rows(picked, tmp_path / "all.parquet", tmp_path / "out")
    export_rows(picked, tmp_path / "all.parquet", tmp_path / "plain", weights=False)
    assert read(tmp_path / "plain").to_pylist() == [{"weight": 2.0, "x": 4}]
    export_rows(picked, tmp_path / "all.parquet", tmp_path / "out", columns=["x"])
    assert read(tmp_path / "out").to_pylist() == [{"x": 4, "weight": 5.0}]


def test_several_sources_follow_one_another(table, tmp_path):
    for i, name in enumerate(["b", "a"]):
        pq.write_table(table.slice(i * 100, 100), tmp_path / f"{name}.parquet")
    picked = Selection(np.array([0, 150]), size=N)
    both = [tmp_path / "b.parquet", tmp_path / "a.parquet"]
    export_rows(picked, both, tmp_path / "out", columns=["row"])
    assert read(tmp_path / "out")["row"].to_pylist() == [0, 150]


@pytest.mark.parametrize("order", ["rows", "picks"])
def test_an_export_goes_on_where_it_stopped(source, tmp_path, monkeypatch, order):
    picked = Selection(np.random.default_rng(0).permutation(N)[:50], size=N)
    out, options = tmp_path / "out", {"rows_per_shard": 8, "order": order}
    write, calls = module._write, []

    def stop_at_the_fourth(path, *rest):
        calls.append(path)
        if len(calls) == 4:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        write(path, *rest)

    monkeypatch.setattr(module, "_write", stop_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        export_rows(picked, source, out, **options)
    assert sorted(path.name for path in out.iterdir()) == [
        f"part-{i:05d}-of-00007.parquet" for i in range(3)
    ]
    for left in (".part-00003-of-00007.parquet.4194305", "._export.json.4194305-1"):
        (out / left).mkdir()  # as a killed process leaves it
        (out / left / _files._OWNER).write_text(_files._MARK)
        (out / left / "half").write_bytes(b"half")
    (out / "part-00001-of-00007.parquet").unlink()
    first = (out / "part-00000-of-00007.parquet").stat().st_mtime_ns
    export_rows(picked, source, out, **options)
    assert len(calls) == 4 + 5
    assert (out / "part-00000-of-00007.parquet").stat().st_mtime_ns == first
    export_rows(picked, source, tmp_path / "whole", **options)
    same(read(out), read(tmp_path / "whole"))
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert sorted(path.name for path in out.iterdir()) == names
    export_rows(picked, source, out, **options)  # nothing is left to do
    assert len(calls) == 4 + 5 + 7


def test_another_export_is_refused(source, tmp_path):
    picked, out = Selection(np.arange(9), size=N), tmp_path / "out"
    export_rows(picked, source, out, rows_per_shard=4)
    text = f"{out} must be empty or hold the same export, got _export.json"
    for other, options in (
        (Selection(np.arange(1, 10), size=N), {"rows_per_shard": 4}),
        (Selection(np.arange(9), weights=np.ones(9), size=N), {"rows_per_shard": 4}),
        (picked, {"rows_per_shard": 3}),
        (picked, {"rows_per_shard": 4, "columns": ["text"]}),
        (picked, {"rows_per_shard": 4, "order": "picks"}),
    ):
        with pytest.raises(ValueError, match="^" + text.replace(".", r"\.")):
            export_rows(other, source, out, **options)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"the same export, got thesis\.txt"):
        export_rows(picked, source, tmp_path / "full")
    with pytest.raises(ValueError, match="must be a folder, got a file"):
        export_rows(picked, source, tmp_path / "full" / "thesis.txt")
    with pytest.raises(FileNotFoundError, match="the folder of .* must exist"):
        export_rows(picked, source, tmp_path / "no" / "out")


def test_a_source_of_other_rows_is_refused(source, tmp_path):
    for size, text in ((N + 1, "source must have 201 rows, got 200"), (None, "more than 200 rows")):
        with pytest.raises(ValueError, match=text):
            export_rows(Selection(np.array([200]), size=size), source, tmp_path / "out")
    with pytest.raises(ValueError, match=r"order must be one of 'rows', 'picks', got 'row'"):
        export_rows(Selection(np.array([0]), size=N), source, tmp_path / "out", order="row")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def two(tmp_path):
    folder = tmp_path / "two"
    folder.mkdir()
    for i in range(2):
        pq.write_table(pa.table({"x": np.arange(5) + 5 * i}), folder / f"p{i}.parquet")
    return folder


def test_a_shard_that_changed_is_named(two, tmp_path):
    picked = with_inputs(Selection(np.array([1, 7]), size=10), two)
    assert export_rows(picked, two, tmp_path / "one")["checked"]
    pq.write_table(pa.table({"x": np.arange(1, 6)}), two / "p0.parquet")
    with pytest.raises(ValueError, match=r"that was selected from, got another: two/p0\.parquet h"):
        export_rows(picked, two, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    other = two.rename(tmp_path / "texts")
    with pytest.raises(ValueError, match=r"got another: texts/p0\.parquet h"):  # p1 is the same
        export_rows(picked, other, tmp_path / "out")
    pq.write_table(pa.table({"x": np.arange(7, 12)}), other / "p1.parquet")
    # another table: nothing is known of it
    assert not export_rows(picked, other, tmp_path / "out")["checked"]


def test_a_shard_that_changes_on_the_way_leaves_no_half(two, tmp_path, monkeypatch):
    write = module._write

    def write_and_touch(path, *rest):
        write(path, *rest)
        os.utime(two / "p1.parquet", (1, 1))

    monkeypatch.setattr(module, "_write", write_and_touch)
    with pytest.raises(ValueError, match=r"p1\.parquet must not change while it is read"):
        export_rows(Selection(np.array([1, 7]), size=10), two, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_damaged_shards_are_refused(two, tmp_path):
    picked = Selection(np.array([1, 7]), size=10)
    whole = (two / "p0.parquet").read_bytes()
    (two / "p1.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"p1.parquet must be a whole Parquet file"):
        export_rows(picked, two, tmp_path / "out")
    damaged = bytearray(whole)
    damaged[4:40] = bytes(36)  # a page, and not the footer
    (two / "p1.parquet").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"p1.parquet must be a whole Parquet file"):
        export_rows(picked, two, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_row_groups_without_a_chosen_row_are_not_read(source, tmp_path, monkeypatch):
    read_groups = []
    plain = pq.ParquetFile.iter_batches

    def watched(self, *args, row_groups, **kwargs):
        read_groups.extend(row_groups)
        return plain(self, *args, row_groups=row_groups, **kwargs)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    export_rows(Selection(np.array([0, 10, 171]), size=N), source, tmp_path / "out")
    assert read_groups == [0, 1, 0]


def test_progress_is_told_of_every_row(source, tmp_path):
    seen = []
    picked = pivotal(np.random.default_rng(0).gamma(2.0, size=N), 30)
    export_rows(picked, source, tmp_path / "out", progress=lambda *each: seen.append(each))
    rows = [each for each in seen if each[2] == "rows"]
    assert sum(step for step, _, _ in rows) == 30
    assert {total for _, total, _ in rows} == {30}


def test_some_rows_of_a_table(table, source):
    rows = np.array([199, 0, 70, 0])
    same(read_rows(source, rows, ["row", "text"]), table.take(rows).select(["text", "row"]))
    same(read_rows(source, rows[:0]), table.slice(0, 0))
    with pytest.raises(ValueError, match=r"rows must be in \[0, 200\), got 0, 200"):
        read_rows(source, np.array([0, 200]))


def test_some_values_of_the_table_that_has_the_column(source, tmp_path):
    np.save(tmp_path / "rows.npy", np.eye(3))
    pq.write_table(pa.table({"more": np.arange(N)}), tmp_path / "more.parquet")
    tables = [tmp_path / "rows.npy", tmp_path / "more.parquet", source]
    assert read_column(tables, "row", [7, -1, 3]) == [7, None, 3]
    with pytest.raises(ValueError, match="got 'mor': did you mean 'more'?"):
        read_column(tables, "mor", [7])


def test_a_folder_that_only_has_the_name_is_left_alone(tmp_path):
    """Neither a check nor an export moves or empties a `.nn.old` or `.nn.next` of the user's."""
    pq.write_table(pa.table({"x": [1, 2, 3]}), tmp_path / "t.parquet")
    own = [tmp_path / ".nn.old", tmp_path / ".nn.next"]
    for each in own:
        each.mkdir()
        (each / "mine").write_text("x")
    call = (tmp_path / "t.parquet", tmp_path / "nn")
    check_export(*call)
    assert not (tmp_path / "nn").exists()
    export_rows(Selection(np.array([0, 2]), size=3), *call)
    with pytest.raises(
        ValueError, match=r"\.nn\.(old|next) must be .* got mine, which does not belong to an ex"
    ):
        check_export(*call, replace=True)
    with pytest.raises(
        ValueError, match=r"\.nn\.(old|next) must be .* got mine, which does not belong to an ex"
    ):
        export_rows(Selection(np.array([1]), size=3), *call, replace=True)
    assert [(each / "mine").read_text() for each in own] == ["x", "x"]
    assert read(tmp_path / "nn")["x"].to_pylist() == [1, 3]


def test_a_check_moves_no_earlier_export(tmp_path):
    """One that a killed process has left aside is looked at where it is; the export takes it."""
    pq.write_table(pa.table({"x": [1, 2, 3]}), tmp_path / "t.parquet")
    call = (tmp_path / "t.parquet", tmp_path / "nn")
    export_rows(Selection(np.array([0]), size=3), *call)
    (tmp_path / "nn").rename(tmp_path / ".nn.old")
    with pytest.raises(ValueError, match="the same export"):
        check_export(*call)
    check_export(*call, replace=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".nn.old", "t.parquet"]
    export_rows(Selection(np.array([1]), size=3), *call, replace=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nn", "t.parquet"]
    assert read(tmp_path / "nn")["x"].to_pylist() == [2]
