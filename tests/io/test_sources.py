"""Every way to name a table gives the same rows, in every kind of file."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from sampling import Selection
from sampling.errors import MissingExtraError
from sampling.io import (
    changes,
    check_outputs,
    digests,
    export_rows,
    open_table,
    paths_read,
    read_column,
    read_rows,
    save_selection,
    selection_outputs,
    table_files,
    unchanged,
    with_inputs,
)

N = 6
ROWS = np.arange(18, dtype=np.float32).reshape(N, 3)
TEXTS = [f"text {i}" for i in range(N)]


def lists(rows):
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])


def table(rows=slice(None), **more):
    return pa.table({"x": lists(ROWS[rows]), "text": TEXTS[rows], "n": range(N)[rows], **more})


def write_arrow(path, rows, *, stream=False):
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with make(path, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=2)


def write_jsonl(path, rows):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows.to_pylist())


def write_csv(path, rows):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt") as file:
        names = [name for name in rows.column_names if name != "x"]
        file.write(",".join(names) + "\n")
        file.writelines(",".join(str(row[n]) for n in names) + "\n" for row in rows.to_pylist())


def write_npz(path, rows):
    wide = np.array(rows["x"].to_pylist(), np.float32)
    np.savez(path, x=wide, text=rows["text"].to_pylist(), n=rows["n"].to_numpy(), epoch=3)


WRITERS = {
    ".parquet": lambda path, rows: pq.write_table(rows, path),
    ".arrow": write_arrow,
    ".ipc": lambda path, rows: write_arrow(path, rows, stream=True),
    ".feather": lambda path, rows: pyarrow.feather.write_feather(rows, path, compression="zstd"),
    ".npz": write_npz,
    ".jsonl": write_jsonl,
    ".jsonl.gz": write_jsonl,
    ".csv": write_csv,
    ".csv.gz": write_csv,
}


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_kind_holds_the_same_rows(tmp_path, suffix):
    """One file, several, a folder, a pattern and file:// are one table: read, watched, exported."""
    folder = tmp_path / "corpus"
    for number, rows in enumerate((slice(0, 2), slice(2, N))):
        (folder / f"lang={'de' if number else 'en'}").mkdir(parents=True)
        path = folder / f"lang={'de' if number else 'en'}" / f"part-{1 - number}{suffix}"
        WRITERS[suffix](path, table(rows))
    by_path = [2, 3, 4, 5, 0, 1]  # "lang=de" comes before "lang=en"
    for given in (folder, str(folder / "lang=*"), f"{folder}/**/*{suffix}", folder.as_uri()):
        found = open_table(given)
        assert found.column("text").tolist() == [TEXTS[i] for i in by_path]
        assert found.column("n").tolist() == by_path
        assert found.column("lang").tolist() == ["de"] * 4 + ["en"] * 2
        if "csv" not in suffix:
            assert np.array_equal(found.embeddings, ROWS[by_path])
            copied = open_table(given, scratch=tmp_path / "scratch").embeddings
            assert np.array_equal(copied, ROWS[by_path])
    in_order = sorted(folder.rglob("part-*"), reverse=True)
    assert open_table(in_order).column("n").tolist() == list(range(N))
    assert open_table(in_order).column("lang").tolist() == ["en"] * 2 + ["de"] * 4
    assert read_rows(folder, np.array([4, 0, 4]))["lang"].to_pylist() == ["en", "de", "en"]
    assert read_column([folder], "text", [5, -1]) == ["text 1", None]
    assert [each["name"] for each in digests(folder)] == [
        f"corpus/lang=de/part-0{suffix}", f"corpus/lang=en/part-1{suffix}"
    ]  # fmt: skip
    picked = with_inputs(Selection(np.array([4, 1]), size=N), folder)
    assert not changes(picked, folder.as_uri())
    done = export_rows(picked, folder, tmp_path / "out")
    assert done["checked"]
    written = ds.dataset(tmp_path / "out").to_table()
    assert written["text"].to_pylist() == ["text 3", "text 0"]
    assert written["lang"].to_pylist() == ["de", "en"]
    with pytest.raises(ValueError, match=r"part-1\S+ must not change"), unchanged(folder):
        (folder / "lang=en" / f"part-1{suffix}").write_bytes(b"")


def test_keys_of_folders(tmp_path):
    """Types are those of pyarrow; a key that is also a column, or has two types, is refused."""
    for name in ("y=1/k=a", "y=2/k=b", "y=3"):
        (tmp_path / "t" / name).mkdir(parents=True)
        pq.write_table(pa.table({"n": [0]}), tmp_path / "t" / name / "p.parquet")
    found = open_table(tmp_path / "t")
    told = ds.dataset(tmp_path / "t", partitioning="hive").to_table()
    assert found.type_of("y") == told.schema.field("y").type == pa.int32()
    assert found.column("y").tolist() == told["y"].to_pylist() == [1, 2, 3]
    assert found.values("k").to_pylist() == told["k"].to_pylist() == ["a", "b", None]
    assert "y" not in open_table(tmp_path / "t" / "y=1").names  # above what is given
    (tmp_path / "u" / "y=new").mkdir(parents=True)
    pq.write_table(pa.table({"n": [1]}), tmp_path / "u" / "y=new" / "p.parquet")
    both = open_table([tmp_path / "t", tmp_path / "u"])
    assert both.column("y").tolist() == ["1", "2", "3", "new"]  # as pyarrow: not all are ints
    (tmp_path / "t" / "n=4").mkdir()
    pq.write_table(pa.table({"n": [4], "m": [0]}), tmp_path / "t" / "n=4" / "p.parquet")
    mixed = open_table(tmp_path / "t")
    assert mixed.values("m").null_count == 3
    for use in (lambda: mixed.column("n"), lambda: read_rows(tmp_path / "t", np.array([0]))):
        with pytest.raises(ValueError, match=r"'n' must be one column, got it in .*n=4.* and in"):
            use()


def test_tables_beside_each_other_may_have_the_same_keys(tmp_path):
    for kind, rows in (("texts", {"text": ["a", "b"]}), ("numbers", {"n": [1, 2]})):
        for key in ("de", "en"):
            (tmp_path / kind / f"lang={key}").mkdir(parents=True)
            pq.write_table(pa.table(rows), tmp_path / kind / f"lang={key}" / "p.parquet")
    found = open_table(tmp_path / "texts", beside=tmp_path / "numbers")
    assert found.column("lang").tolist() == ["de"] * 2 + ["en"] * 2
    picked = Selection(np.array([3, 0]), size=4)
    export_rows(picked, tmp_path / "texts", tmp_path / "out", beside=tmp_path / "numbers",
                columns=["n", "lang"])  # fmt: skip
    assert ds.dataset(tmp_path / "out").to_table().to_pylist() == [
        {"lang": "de", "n": 1}, {"lang": "en", "n": 2}
    ]  # fmt: skip
    (tmp_path / "numbers" / "lang=en").rename(tmp_path / "numbers" / "lang=fr")
    other = open_table(tmp_path / "texts", beside=tmp_path / "numbers")
    with pytest.raises(ValueError, match="'lang' must be one column, got it in"):
        other.column("lang")


def test_tensors_of_one_shape(tmp_path):
    kind = pa.fixed_shape_tensor(pa.float32(), [3, 1])
    whole = pa.ExtensionArray.from_storage(kind, lists(ROWS))
    for suffix in (".parquet", ".arrow"):
        path = tmp_path / f"t{suffix}"
        WRITERS[suffix](path, pa.table({"x": whole, "n": range(N)}))
        found = open_table(path)
        assert found.embeddings_shape == (N, 3)
        assert np.array_equal(found.embeddings, ROWS)
        assert found.names == ("n",)
        assert read_rows(path, np.array([1]))["x"].type == kind
        export_rows(Selection(np.array([2]), size=N), path, tmp_path / f"out{suffix}")
        assert (
            pq.read_schema(*(tmp_path / f"out{suffix}").glob("*.parquet")).field("x").type == kind
        )
    other = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float32(), [1, 3]), lists(ROWS))
    pq.write_table(pa.table({"x": other}), tmp_path / "u.parquet")
    with pytest.raises(ValueError, match="'x' must be of one kind in all files"):
        _ = open_table([tmp_path / "t.parquet", tmp_path / "u.parquet"], embeddings="x").embeddings


def test_arrays(tmp_path):
    """Several .npy files are one table; .npy rows are exported; nothing is unpickled."""
    np.save(tmp_path / "a.npy", ROWS[:4])
    np.save(tmp_path / "b.npy", np.asfortranarray(ROWS[4:]).astype(">f4"))
    whole = open_table(f"{tmp_path}/[ab].npy")
    assert np.array_equal(whole.embeddings, ROWS)
    np.save(tmp_path / "rows.npy", ROWS)
    np.save(tmp_path / "label.npy", np.array(["a", "b", "c"] * 2))
    found = open_table(tmp_path / "rows.npy", beside=tmp_path / "label.npy")
    assert found.column("label").tolist() == ["a", "b", "c"] * 2
    picked = Selection(np.array([5, 1]), size=N)
    export_rows(picked, tmp_path / "rows.npy", tmp_path / "out")
    assert (
        ds.dataset(tmp_path / "out").to_table()["embeddings"].to_pylist() == ROWS[[1, 5]].tolist()
    )
    export_rows(picked, tmp_path / "rows.npy", tmp_path / "both", beside=tmp_path / "label.npy",
                columns=["label", "embeddings"])  # fmt: skip
    assert ds.dataset(tmp_path / "both").to_table()["label"].to_pylist() == ["b", "c"]
    np.savez(tmp_path / "bad.npz", x=np.array([object()]))
    with pytest.raises(
        ValueError, match=r"bad\.npz must be a whole \.npz file of numbers, got: arr"
    ):
        open_table(tmp_path / "bad.npz")
    np.savez(tmp_path / "uneven.npz", x=ROWS, y=np.zeros(5))
    with pytest.raises(ValueError, match="arrays of as many rows each, got 6 of 'x' and 5 of 'y'"):
        open_table(tmp_path / "uneven.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "uneven.npz").read_bytes()[:90])
    with pytest.raises(ValueError, match=r"cut\.npz must be a whole \.npz file"):
        open_table(tmp_path / "cut.npz")


def test_a_saved_data_set(tmp_path):
    """The order is that of state.json; a mapping of indices and a DatasetDict are refused."""
    folder = tmp_path / "saved"
    folder.mkdir()
    for name, rows in (("data-1.arrow", slice(0, 2)), ("data-0.arrow", slice(2, N))):
        write_arrow(folder / name, table(rows), stream=True)
    write_arrow(folder / "cache-1.arrow", table(), stream=True)
    files = [{"filename": "data-1.arrow"}, {"filename": "data-0.arrow"}]
    (folder / "state.json").write_text(json.dumps({"_data_files": files}))
    found = open_table(folder)
    assert found.column("n").tolist() == list(range(N))
    assert np.array_equal(found.embeddings, ROWS)
    mapped = {"_data_files": files, "_indices_data_files": [{"filename": "indices.arrow"}]}
    (folder / "state.json").write_text(json.dumps(mapped))
    with pytest.raises(ValueError, match="without an indices mapping.*flatten_indices"):
        open_table(folder)
    (folder / "state.json").write_text("{}")
    with pytest.raises(ValueError, match=r"state\.json must list the files"):
        open_table(folder)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["saved"]}')
    with pytest.raises(ValueError, match="must be one data set, got a DatasetDict"):
        open_table(tmp_path)


def test_what_datasets_saves(tmp_path):
    datasets = pytest.importorskip("datasets")
    whole = datasets.Dataset.from_dict({"x": ROWS.tolist(), "n": list(range(N))})
    whole.select([4, 1, 5]).save_to_disk(tmp_path / "saved", num_shards=2)
    assert open_table(tmp_path / "saved").column("n").tolist() == [4, 1, 5]


def test_bad_names(tmp_path):
    folder = tmp_path / "t"
    folder.mkdir()
    pq.write_table(table(), folder / "a.parquet")
    write_csv(folder / "b.csv", table())
    with pytest.raises(ValueError, match=r"one kind, got .*a\.parquet and .*b\.csv: name those"):
        open_table(folder)
    assert open_table(f"{folder}/*.parquet").size == N
    for name in ("*.feather", "c.parquet", "[z]/*.parquet"):
        with pytest.raises(FileNotFoundError, match="must (exist|match a file), got no such file"):
            open_table(folder / name)
    (folder / "a[1].parquet").write_bytes((folder / "a.parquet").read_bytes())
    assert table_files(folder / "a[1].parquet") == (folder / "a[1].parquet",)
    with pytest.raises(ValueError, match="must not match a pattern that is read as a table"):
        check_outputs(selection_outputs(folder / "s.parquet"), paths_read(f"{folder}/*.parquet"))
    save_selection(Selection(np.array([0]), size=N), tmp_path / "s.parquet")  # no pattern matches
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n{"a": "b"}\n')
    with pytest.raises(ValueError, match=r"x\.jsonl must be a whole file of JSON lines"):
        open_table(tmp_path / "x.jsonl")
    (tmp_path / "y.arrow").write_bytes(b"ARROW1 and no more")
    with pytest.raises(ValueError, match=r"y\.arrow must be a whole Arrow file"):
        open_table(tmp_path / "y.arrow")


def test_other_file_systems(tmp_path, monkeypatch):
    """Any file system of fsspec: here one in memory; outputs are never written there."""
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    np.save(tmp_path / "rows.npy", ROWS)
    pq.write_table(table(slice(0, 2)), tmp_path / "a.parquet")
    pq.write_table(table(slice(2, N)), tmp_path / "b.parquet")
    for name, source in (("lang=a/p", "a"), ("lang=b/p", "b")):
        memory.pipe(f"/bucket/t/{name}.parquet", (tmp_path / f"{source}.parquet").read_bytes())
    memory.pipe("/bucket/rows.npy", (tmp_path / "rows.npy").read_bytes())
    for given in ("memory://bucket/t", "memory://bucket/t/*/*.parquet", "memory://bucket/**/p.*"):
        found = open_table(given)
        assert found.column("lang").tolist() == ["a"] * 2 + ["b"] * 4
        assert np.array_equal(found.embeddings, ROWS)
        assert read_rows(given, np.array([5]))["text"].to_pylist() == ["text 5"]
    assert np.array_equal(open_table("memory://bucket/rows.npy").embeddings, ROWS)
    kept = open_table("memory://bucket/rows.npy", scratch=tmp_path / "scratch").embeddings
    assert np.array_equal(kept, ROWS)
    picked = with_inputs(Selection(np.array([4]), size=N), "memory://bucket/t")
    assert export_rows(picked, "memory://bucket/t", tmp_path / "out")["checked"]
    assert paths_read("memory://bucket/t") == []
    with pytest.raises(ValueError, match="must not change"), unchanged("memory://bucket/t"):
        memory.pipe("/bucket/t/lang=a/p.parquet", b"shorter")
    with pytest.raises(ValueError, match="memory:/+bucket/t/lang=a/p.parquet must be a whole Parq"):
        open_table("memory://bucket/t")
    with pytest.raises(FileNotFoundError, match="must exist, got no such file"):
        open_table("memory://bucket/absent.parquet")
    with pytest.raises(ValueError, match="must have the scheme of a file system.*'nothing'"):
        open_table("nothing://bucket/t")
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(MissingExtraError, match=r"sampling\[remote\]"):
        open_table("memory://other/t")


def test_an_object_store_that_cannot_be_read():
    here = "s3://key:hidden@bucket/t.parquet?endpoint_override=127.0.0.1:9&scheme=http"
    with pytest.raises(OSError, match="s3://bucket/t.parquet must be readable, got") as found:
        open_table(here)
    assert "hidden" not in str(found.value)


def test_an_empty_string_of_csv_is_missing_unless_it_is_quoted(tmp_path):
    """As pandas writes and reads them; "NA" is a word in a column of strings."""
    path = tmp_path / "rows.csv"
    path.write_text('text,n,code,dup,dup\na,1,NA,x,y\n,,"",,z\n"",NA,us,,\n')
    table = open_table(path)
    assert table.values("text").to_pylist() == ["a", None, ""]
    assert table.values("code").to_pylist() == ["NA", "", "us"]
    assert table.values("n").to_pylist() == [1, None, None]
