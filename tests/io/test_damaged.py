"""Files that are damaged, or something else: refused by name, never read as if they were whole."""

import json
import os
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sampling import Selection
from sampling.clustering import (
    kmeans,
    load_clustering,
    load_neighbours,
    neighbours,
    save_clustering,
    save_neighbours,
)
from sampling.io import (
    digest,
    export_rows,
    load_scores,
    load_selection,
    open_table,
    read_rows,
    read_vector,
    save_scores,
    save_selection,
)
from sampling.record import Score
from sampling.samplers import ShuffleSampler, load_state
from sampling.scores import TrainingDynamics
from sampling.selection import SelectionPlan, top

VALUES = np.random.default_rng(0).random(300)
ROWS = np.random.default_rng(1).normal(size=(300, 2))


def subset(folder):
    save_selection(top(VALUES, 200), folder / "file.parquet")
    return [folder / "file.parquet"], load_selection


def subset_with_dropped(folder):
    save_selection(top(VALUES, 100), folder / "file.parquet", dropped=True)
    return [folder / "file.parquet", folder / "file.dropped.parquet"], load_selection


def scores(folder):
    save_scores({"loss": Score(VALUES, "harder", "loss")}, folder / "file.parquet")
    return [folder / "file.parquet"], load_scores


def clusters(folder):
    save_clustering(kmeans(ROWS, 9), folder / "file.parquet")
    return [folder / "file.parquet", folder / "file.centers.parquet"], load_clustering


def graph(folder):
    save_neighbours(neighbours(ROWS, 3), folder / "file.parquet")
    return [folder / "file.parquet"], load_neighbours


def same(one, other):
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if hasattr(one, "__dataclass_fields__"):
        return same(vars(one), vars(other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return one == other


KINDS = [subset, subset_with_dropped, scores, clusters, graph]


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_in_any_page_is_found(tmp_path, kind):
    files, load = kind(tmp_path)
    right, refused = load(files[0]), 0
    for path in files:
        whole = path.read_bytes()
        footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
        for at in np.random.default_rng(0).integers(4, footer, 25):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
            try:
                assert same(load(files[0]), right)  # statistics before a page, which decide nothing
            except ValueError as error:
                assert path.name in str(error)
                refused += 1
        path.write_bytes(whole)
    assert refused > 15 * len(files)
    assert same(load(files[0]), right)


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_manifest_is_found(tmp_path, kind):
    files, load = kind(tmp_path)
    table = pq.read_table(files[0])
    key = b"sampling"
    text = table.schema.metadata[key].replace(b"1", b"2").replace(b"{}", b"[]")
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, key: text}), files[0])
    with pytest.raises(ValueError, match=r"file\.parquet must have the checksum in its metadata"):
        load(files[0])


def test_a_folder_where_a_file_is_wanted(tmp_path):
    folder = tmp_path / "it.parquet"
    folder.mkdir()
    pq.write_table(pa.table({"x": [1]}), folder / "a.parquet")
    loads = [load_selection, load_scores, load_clustering, load_neighbours, read_vector]
    loads += [
        SelectionPlan.read,
        TrainingDynamics.from_file,
        partial(load_state, ShuffleSampler(9)),
    ]
    for load in loads:
        with pytest.raises((ValueError, OSError), match=r"it\.parquet must be .*, got a folder"):
            load(folder)
    for load in loads:
        with pytest.raises(FileNotFoundError, match=r"none\.parquet"):
            load(tmp_path / "none.parquet")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_not_missing(tmp_path):
    (path,), load = subset(tmp_path)
    path.chmod(0)
    with pytest.raises(PermissionError, match="file.parquet"):
        load(path)


# ---------------------------------------------------------------------- columns


def rewritten(path, **columns):
    """Give the file other columns, and leave its metadata."""
    table = pq.read_table(path)
    for name, values in columns.items():
        array = values if isinstance(values, pa.Array) else pa.array(values)
        place = table.schema.get_field_index(name)
        table = table.append_column(name, array) if place < 0 else table.set_column(
            place, name, array
        )  # fmt: skip
    pq.write_table(table, path)


SUBSETS = [
    ({"index": [0, 0, 2]}, "index of .* must hold no index twice, got 0 again in row 1"),
    ({"index": [0.0, 1.0, 2.0]}, "index of .* must hold ints"),
    (
        {"index": [0, 1, None]},
        "index of .* must have a value in each row, got a missing one in row 2",
    ),
    ({"index": [0, 1, 9]}, r"index of .* must be in \[0, 9\), got 9 in row 2"),
    ({"index": [0, 1, -1]}, r"index of .* must be in \[0, 9\), got -1"),
    ({"weight": [1.0, -1.0, 1.0]}, "weight of .* must be finite and >= 0, got -1.0 in row 1"),
    ({"weight": [1.0, 1.0, np.nan]}, "weight of .* must be finite and >= 0, got nan in row 2"),
    ({"weight": [1.0, None, 1.0]}, "weight of .* must have a value in each row"),
    ({"weight": ["a", "b", "c"]}, "weight of .* must hold numbers"),
    ({"score": ["a", "b", "c"]}, "score of .* must hold numbers"),
]


@pytest.mark.parametrize(("columns", "message"), SUBSETS)
def test_the_columns_of_a_subset(tmp_path, columns, message):
    Selection(np.arange(3), np.ones(3), np.arange(9.0), size=9).save(tmp_path / "a.parquet")
    rewritten(tmp_path / "a.parquet", **columns)
    with pytest.raises((ValueError, TypeError), match=message):
        Selection.load(tmp_path / "a.parquet")


def test_what_could_not_be_loaded_is_not_saved(tmp_path):
    for weights in ([1.0, -1.0], [np.nan, 1.0], [1.0]):
        with pytest.raises(ValueError, match="weights must"):
            Selection(np.arange(2), np.array(weights)).save(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"indices must be in \[0, 2\)"):
        Selection(np.array([0, 2]), size=2).save(tmp_path / "a.parquet")
    assert not list(tmp_path.iterdir())


def test_rows_that_a_method_repeats_are_kept(tmp_path):
    Selection(np.array([1, 1, 0]), size=2).save(tmp_path / "a.parquet")
    assert Selection.load(tmp_path / "a.parquet").indices.tolist() == [1, 1, 0]
    Selection(np.zeros(0, np.int64), np.zeros(0), size=2).save(tmp_path / "a.parquet")
    assert len(Selection.load(tmp_path / "a.parquet")) == 0


GRAPHS = [
    ([[1], [0], [7]], "neighbour of .* must be in .*, or -1, got .*7.* in row 2"),
    ([[1], [1], [0]], "neighbour of .* must be another row, got .* in row 1"),
    ([[1.0], [0.0], [0.0]], "neighbour of .* must hold lists of int64"),
]


@pytest.mark.parametrize(("indices", "message"), GRAPHS)
def test_the_columns_of_a_graph(tmp_path, indices, message):
    save_neighbours(neighbours(ROWS[:3], 1), tmp_path / "a.parquet")
    flat = pa.array(np.array(indices).ravel())
    rewritten(tmp_path / "a.parquet", neighbour=pa.FixedSizeListArray.from_arrays(flat, 1))
    with pytest.raises(ValueError, match=message):
        load_neighbours(tmp_path / "a.parquet")


def test_the_columns_of_clusters_and_scores(tmp_path):
    save_clustering(kmeans(ROWS[:5], 2), tmp_path / "a.parquet")
    rewritten(tmp_path / "a.parquet", label=[0.0, 1.0, 0.0, 1.0, 0.0])
    with pytest.raises(ValueError, match="label of .* must hold ints"):
        load_clustering(tmp_path / "a.parquet")
    rewritten(tmp_path / "a.parquet", label=[0, 1, 0, 2, 0])
    with pytest.raises(ValueError, match=r"label of .* must be in \[0, 2\), got 2 in row 3"):
        load_clustering(tmp_path / "a.parquet")
    field = pa.field("s", pa.string(), metadata={"higher_is": "harder"})
    pq.write_table(pa.table([["a"]], schema=pa.schema([field])), tmp_path / "s.parquet")
    with pytest.raises(ValueError, match=r"s of .*s\.parquet must hold numbers, got string"):
        load_scores(tmp_path / "s.parquet")


# ---------------------------------------------------------------------- two files of one selection


def test_the_dropped_rows_of_another_run_are_refused(tmp_path):
    one, other = np.array([0.1, 0.9, 0.5, 0.4]), np.array([0.9, 0.1, 0.5, 0.4])
    save_selection(top(one, 2), tmp_path / "a.parquet", dropped=True)
    save_selection(top(other, 2), tmp_path / "b.parquet", dropped=True)
    (tmp_path / "b.dropped.parquet").replace(tmp_path / "a.dropped.parquet")
    with pytest.raises(ValueError, match=r"a\.dropped\.parquet must be of the same selection"):
        Selection.load(tmp_path / "a.parquet")


@pytest.mark.parametrize("rows", [[0], [0, 0], [0, 1], [0, 5]])
def test_each_dropped_row_is_there_once(tmp_path, rows):
    save_selection(top(np.array([0.1, 0.9, 0.5, 0.4]), 2), tmp_path / "a.parquet", dropped=True)
    path = tmp_path / "a.dropped.parquet"
    table = pq.read_table(path).slice(0, len(rows))
    pq.write_table(table.set_column(0, "index", pa.array(rows)), path)
    with pytest.raises(ValueError, match=r"a\.dropped\.parquet must"):
        Selection.load(tmp_path / "a.parquet")


# ---------------------------------------------------------------------- tables


def test_damaged_shards_are_named(tmp_path):
    for name in ("a", "b"):
        lists = pa.FixedSizeListArray.from_arrays(pa.array(ROWS.ravel()), 2)
        columns = {"x": VALUES, "rows": lists}
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet", compression="zstd")
    path = tmp_path / "b.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(5000) + whole[5004:])
    named = r"b\.parquet must be a whole Parquet file"
    with pytest.raises(ValueError, match=named):
        _ = open_table(tmp_path).embeddings
    with pytest.raises(ValueError, match=named):
        open_table(tmp_path, embeddings="rows", scratch=tmp_path.parent / "scratch of damaged")
    with pytest.raises(ValueError, match=named):
        read_rows(tmp_path, np.arange(600))
    pq.write_table(pa.table({"x": VALUES}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": VALUES}), path, compression="zstd")
    whole = path.read_bytes()
    path.write_bytes(whole[:60] + bytes(500) + whole[560:])
    with pytest.raises(ValueError, match=named):
        open_table(tmp_path).column("x")


def refusal(read, path):
    try:
        read(path)
    except ValueError as error:
        return str(error)
    return "rows.npy is read"


def test_damaged_headers_of_npy(tmp_path):
    """Either the file is read, or one error names it, whatever the header is."""
    path, random = tmp_path / "rows.npy", np.random.default_rng(0)
    np.save(path, ROWS[:6])
    whole = path.read_bytes()
    made = [whole[:n] for n in range(0, 130, 7)] + [b"PK\x03\x04" + whole[4:], b""]
    for _ in range(150):
        parts = bytearray(whole)
        for at in random.integers(0, 100, random.integers(1, 4)):
            parts[at] = random.integers(256)
        made.append(bytes(parts))
    shapes = (b"(-6, 2)", b"(6,-2)", b"(6, 2,", b"(9**9)", b"[6, 2]", b"((6,2))", b"(6, 99)", b"()")
    made += [whole.replace(b"(6, 2)", shape.ljust(6)[:6]) for shape in shapes]
    made += [whole.replace(b"'<f8'", kind) for kind in (b"'|O8'", b"'<x8'", b"'f,i'", b"[0,1]")]
    for content in made:
        path.write_bytes(content)
        for read in (open_table, read_vector):
            assert "rows.npy" in refusal(read, path)


# ---------------------------------------------------------------------- exports


def test_a_finished_shard_is_read_before_it_counts(tmp_path):
    pq.write_table(pa.table({"x": VALUES}), tmp_path / "all.parquet")
    picked, out = top(VALUES, 90), tmp_path / "out"
    export_rows(picked, tmp_path / "all.parquet", out, rows_per_shard=30)
    sums = {path.name: digest(path) for path in out.iterdir()}
    damaged = out / "part-00001-of-00003.parquet"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
    steps = []
    export_rows(picked, tmp_path / "all.parquet", out, rows_per_shard=30,
                progress=lambda step, total, unit: steps.append((step, unit)))  # fmt: skip
    assert sum(step for step, unit in steps if unit == "rows") == 30
    assert {path.name: digest(path) for path in out.iterdir()} == sums
    assert json.loads((out / "_export.json").read_text())["rows"] == 90


def test_an_export_of_our_own_files(tmp_path):
    """Their metadata has a key and a checksum of ours: the export has its own."""
    save_scores({"loss": Score(VALUES, "harder", "loss")}, tmp_path / "s.parquet")
    export_rows(top(VALUES, 9), tmp_path / "s.parquet", tmp_path / "out")
    export_rows(top(VALUES, 9), tmp_path / "s.parquet", tmp_path / "out")
    assert load_scores(next((tmp_path / "out").glob("part*")))["loss"].higher_is == "harder"
