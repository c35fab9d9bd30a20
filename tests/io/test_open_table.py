"""Tables: one file or shards, and what is refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as torch_save_file

from sampling._check._rows import Rows
from sampling.io import open_table, shape_of

ROWS = np.random.default_rng(0).normal(size=(20, 3))


def lists(rows, dtype=np.float32, fixed=True):
    flat = pa.array(rows.astype(dtype).ravel())
    if fixed:
        return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])
    return pa.ListArray.from_arrays(np.arange(len(rows) + 1) * rows.shape[1], flat)


def write(path, rows, **columns):
    pq.write_table(pa.table({"embedding": lists(rows), **columns}), path)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_npy_stays_on_disk(tmp_path, dtype):
    np.save(tmp_path / "rows.npy", ROWS.astype(dtype))
    table = open_table(tmp_path / "rows.npy")
    assert isinstance(table.embeddings, Rows)
    assert np.array_equal(table.embeddings, ROWS.astype(dtype))


@pytest.mark.parametrize("fixed", [True, False])
def test_shards_are_numbered_by_name(tmp_path, fixed):
    for name, part in (("b", ROWS[12:]), ("a", ROWS[:12])):
        columns = {
            "embedding": lists(part, fixed=fixed),
            "name": [f"{name}{i}" for i in range(len(part))],
        }
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    table = open_table(tmp_path)
    assert np.array_equal(table.embeddings, ROWS.astype(np.float32))
    assert table.size == 20
    assert table.names == ("name",)
    assert table.column("name")[[0, 12]].tolist() == ["a0", "b0"]


def test_safetensors(tmp_path):
    save_file({"x": ROWS, "y": ROWS[:2]}, tmp_path / "rows.safetensors")
    assert open_table(tmp_path / "rows.safetensors", embeddings="y").size == 2
    with pytest.raises(ValueError, match=r"embeddings must name one of the tensors \['x', 'y'\]"):
        open_table(tmp_path / "rows.safetensors")


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.bfloat16])
def test_safetensors_by_dtype(tmp_path, dtype):
    rows = torch.from_numpy(ROWS).to(dtype)
    torch_save_file({"a": torch.ones(3), "rows": rows}, tmp_path / "rows.safetensors")
    table = open_table(tmp_path / "rows.safetensors", embeddings="rows")
    assert np.array_equal(np.asarray(table.embeddings), rows.double().numpy())
    assert isinstance(table.embeddings, Rows) == (dtype != torch.bfloat16)
    with pytest.raises(ValueError, match="embeddings must be one of the tensors .*, got 'b'"):
        open_table(tmp_path / "rows.safetensors", embeddings="b")


def test_a_copy_on_disk_is_made_once(tmp_path):
    write(tmp_path / "a.parquet", ROWS[:12])
    write(tmp_path / "b.parquet", ROWS[12:])
    shards, scratch = tmp_path / "shards", tmp_path / "scratch" / "deep"
    shards.mkdir()
    for name in ("a", "b"):
        (tmp_path / f"{name}.parquet").rename(shards / f"{name}.parquet")
    table = open_table(shards, scratch=scratch)
    assert isinstance(table.embeddings, Rows)
    assert np.array_equal(np.asarray(table.embeddings), ROWS.astype(np.float32))
    first = {path: path.stat().st_mtime_ns for path in scratch.iterdir()}
    assert len(first) == 2
    open_table(shards, scratch=scratch)
    assert {path: path.stat().st_mtime_ns for path in scratch.iterdir()} == first
    write(shards / "b.parquet", ROWS[12:] + 1.0)  # changed: copied again
    again = open_table(shards, scratch=scratch).embeddings
    assert np.array_equal(again[12:], (ROWS[12:] + 1.0).astype(np.float32))


def test_a_bad_shard_leaves_no_copy(tmp_path):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "a.parquet", ROWS)
    write(tmp_path / "in" / "b.parquet", ROWS[:, :2])
    with pytest.raises(ValueError, match="embedding must hold lists of 3 numbers, got [0-9]+ in"):
        open_table(tmp_path / "in", scratch=tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_columns_beside(tmp_path):
    np.save(tmp_path / "rows.npy", ROWS)
    pq.write_table(pa.table({"quality": np.arange(20.0)}), tmp_path / "more.parquet")
    table = open_table(tmp_path / "rows.npy", beside=[tmp_path / "more.parquet"])
    assert table.column("quality").tolist() == list(range(20))
    pq.write_table(pa.table({"quality": np.arange(19.0)}), tmp_path / "more.parquet")
    with pytest.raises(ValueError, match=r"must have 20 rows, as .*, got 19"):
        open_table(tmp_path / "rows.npy", beside=[tmp_path / "more.parquet"])


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "rows.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"must be a whole \.npy file of numbers"):
        open_table(tmp_path / "rows.npy")


@pytest.mark.parametrize("suffix", ["npy", "parquet", "safetensors"])
def test_files_cut_short_are_refused(tmp_path, suffix):
    path = tmp_path / f"rows.{suffix}"
    if suffix == "npy":
        np.save(path, ROWS)
    elif suffix == "parquet":
        write(path, ROWS)
    else:
        save_file({"x": ROWS}, path)
    whole = path.read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="must be a whole"):
            open_table(path)


def test_uneven_shards_are_refused(tmp_path):
    write(tmp_path / "a.parquet", ROWS[:5])
    write(tmp_path / "b.parquet", ROWS[:5, :2])
    with pytest.raises(ValueError, match="embedding must hold lists of 3 numbers, got [0-9]+ in"):
        _ = open_table(tmp_path).embeddings
    ragged = pa.array([[1.0, 2.0], [1.0, 2.0], [3.0]])
    pq.write_table(pa.table({"embedding": ragged}), tmp_path / "c.parquet")
    with pytest.raises(ValueError, match="lists of .* numbers, got [0-9]+ in .*, row 2: embed all"):
        _ = open_table(tmp_path / "c.parquet").embeddings


def test_empty_shards_count_nothing(tmp_path):
    write(tmp_path / "a.parquet", ROWS)
    write(tmp_path / "b.parquet", ROWS[:0])
    assert open_table(tmp_path).size == 20
    write(tmp_path / "a.parquet", ROWS[:0])
    with pytest.raises(ValueError, match="embedding must not be empty"):
        _ = open_table(tmp_path).embeddings


def test_missing_values_are_named(tmp_path):
    pq.write_table(pa.table({"quality": [1.0, None, 3.0]}), tmp_path / "rows.parquet")
    table = open_table(tmp_path / "rows.parquet")
    with pytest.raises(
        ValueError, match="quality must have a value in each row, got a missing one in row 1"
    ):
        table.column("quality")
    with pytest.raises(ValueError, match=r"column must be one of \['quality'\], got 'x'"):
        table.column("x")


def test_other_paths(tmp_path):
    with pytest.raises(FileNotFoundError, match="must exist"):
        open_table(tmp_path / "absent.npy")
    for name in ("rows.xls", "rows.parquet.gz", "rows"):
        (tmp_path / name).write_text("1")
        with pytest.raises(ValueError, match=r"must end in one of \.npy, \.safetensors, \.parquet"):
            open_table(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        ValueError, match=r"must hold files of a table, such as \.parquet, got none"
    ):
        open_table(tmp_path / "empty")


def test_parquet_beside_parquet(tmp_path):
    """Each column is read from the files that have it; lists that are no embeddings are left."""
    tags = pa.array([["a"], ["b", "c"]] * 10)
    write(tmp_path / "rows.parquet", ROWS, quality=np.arange(20.0), tags=tags)
    write(tmp_path / "more.parquet", ROWS[:, :2], loss=np.ones(20))
    pq.write_table(pa.table({"other": np.zeros(20)}), tmp_path / "third.parquet")
    beside = [tmp_path / "more.parquet", tmp_path / "third.parquet"]
    table = open_table(tmp_path / "rows.parquet", beside=beside)
    assert table.names == ("quality", "loss", "other")
    assert table.embeddings.shape == (20, 3)
    assert [table.column(name)[5] for name in table.names] == [5.0, 1.0, 0.0]
    assert shape_of(tmp_path / "rows.parquet", beside=beside) == (20, 3, table.names)
    again = [tmp_path / "third.parquet"] * 2
    with pytest.raises(ValueError, match="beside must name each file once, got .*third.parquet"):
        open_table(tmp_path / "rows.parquet", beside=again)


def test_types_that_differ_between_shards(tmp_path):
    pq.write_table(pa.table({"label": [1, 2]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"label": ["x", "y"]}), tmp_path / "b.parquet")
    with pytest.raises(
        ValueError,
        match=r"'label' must be of one kind in all files, got int64 in .*a\.pa.* string in .*b\.pa",
    ):
        open_table(tmp_path).column("label")


def test_some_rows_of_a_table(tmp_path):
    write(tmp_path / "rows.parquet", ROWS, quality=np.arange(20.0))
    for scratch in (None, tmp_path / "scratch"):
        table = open_table(tmp_path / "rows.parquet", scratch=scratch)
        some = table.take(np.array([4, 9, 2])).take(np.array([2, 0]))
        assert some.size == 2
        assert some.column("quality").tolist() == [2.0, 4.0]
        assert np.array_equal(some.embeddings, ROWS[[2, 4]].astype(np.float32))


def test_embeddings_in_many_columns(tmp_path):
    columns = {f"x{i}": ROWS[:, i].astype(np.float32) for i in range(3)}
    pq.write_table(pa.table({"id": np.arange(20), **columns}), tmp_path / "rows.parquet")
    for scratch in (None, tmp_path / "scratch"):
        table = open_table(tmp_path / "rows.parquet", embeddings="x*", scratch=scratch)
        assert np.array_equal(table.embeddings, ROWS.astype(np.float32))
        assert table.names == ("id",)
    assert shape_of(tmp_path / "rows.parquet", embeddings="x*") == (20, 3, ("id",))
    assert open_table(tmp_path / "rows.parquet").embeddings is None
    with pytest.raises(ValueError, match="or a pattern such as 'x\\*' for two columns .*, got 'y"):
        open_table(tmp_path / "rows.parquet", embeddings="y*")
    gap = pa.array([1.0, None] * 10, pa.float32())
    pq.write_table(pa.table({**columns, "x1": gap}), tmp_path / "rows.parquet")
    table = open_table(tmp_path / "rows.parquet", embeddings="x*")
    assert np.flatnonzero(np.isnan(table.embeddings).any(axis=1)).tolist() == list(range(1, 20, 2))


def test_several_files_are_numbered_in_the_order_given(tmp_path):
    (tmp_path / "more").mkdir()
    write(tmp_path / "z.parquet", ROWS[:5], number=np.arange(5))
    write(tmp_path / "more" / "a.parquet", ROWS[5:], number=np.arange(5, 20))
    given = [tmp_path / "z.parquet", tmp_path / "more"]
    table = open_table(given)
    assert np.array_equal(table.embeddings, ROWS.astype(np.float32))
    assert np.array_equal(table.column("number"), np.arange(20))
    assert shape_of(given) == (20, 3, ("number",))
    with pytest.raises(ValueError, match="each file must be given once, got .*z.parquet again"):
        open_table([given[0], given[0]])
    np.save(tmp_path / "rows.npy", ROWS)
    with pytest.raises(ValueError, match="of files of one kind, got .*z.parquet and .*rows.npy"):
        open_table([given[0], tmp_path / "rows.npy"])
    with pytest.raises(ValueError, match="path must name at least one file"):
        open_table([])
