"""Tables of given features, made in each test."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch

from sampling import bench
from sampling.bench._work import prepared
from sampling.bench.tasks._table import Given

N = 120
ROWS = np.random.RandomState(0).normal(size=(N, 6)).astype(np.float32)
Y = np.arange(N) % 3
WORDS = np.array(["pear", "apple", "fig"])[Y]
COLUMNS = {
    "section": pa.array(WORDS),
    "embedding": pa.FixedSizeListArray.from_arrays(pa.array(ROWS.ravel()), 6),
    "a": pa.array(ROWS[:, 0] * 1000 + 10**6),
    "b": pa.array(ROWS[:, 1].astype(np.float64)),
    "price": pa.array(ROWS.sum(1) * 100),
    "title": pa.array([f"row {i}" for i in range(N)]),
    "part": pa.array(["train"] * 80 + ["VAL"] * 20 + ["test"] * 20),
}
ONE = {"methods": ("full",), "without": ("full-fewer", "random", "dynamic-random", "rs2"),
       "seeds": 1, "epochs": 2, "jobs": 1}  # fmt: skip


@pytest.fixture
def table(tmp_path):
    return write(tmp_path / "table.parquet")


def write(path, **changed):
    columns = {name: each for name, each in {**COLUMNS, **changed}.items() if each is not None}
    pq.write_table(pa.table(columns), path)
    return path


def load(data, out="out", **given):
    folder = (data if data is not None else given["features"]).parent / out
    given = {name: str(each) if name == "features" else each for name, each in given.items()}
    if data is not None:
        given["data"] = data
    return prepared(bench.Settings(**given), folder)


def test_a_table_is_run_in_both_models(table):
    for model, layers in (("probe", 2), ("mlp", 4)):
        settings = bench.Settings(
            str(table), label="section", model=model, out=table.parent / model, **ONE
        )
        benchmark = bench.prepare(settings)
        results = benchmark.run(progress=False)
        assert results.runs[0].done
        assert results.identity["dataset"] == benchmark.source.name == f"table-screening-{model}"
        assert results.identity["model"] == model
        assert results.notes[0].startswith("Screening: ")
        assert len(benchmark.data.task.model()) == layers
    with pytest.raises(ValueError, match="out must hold results of dataset table-screening-mlp"):
        bench.prepare(bench.Settings(table, label="section", out=table.parent / "probe", **ONE))


def test_classes_are_numbered_by_name_and_split_by_class(table):
    data = load(table, label="section", features="embedding")
    assert data.task.class_names == ("apple", "fig", "pear")
    assert torch.bincount(data.test.y).tolist() == [8, 8, 8]
    assert torch.bincount(data.val.y).tolist() == [5, 5, 5]
    first = data.task.examples(np.array([0, 5]))
    row = int(first[1].split()[1])
    np.testing.assert_array_equal(data.task.train.x[5], ROWS[row])
    assert data.task.class_names[int(data.task.train.y[5])] == WORDS[row]
    np.testing.assert_array_equal(data.embeddings(), data.train.x)


def test_all_ways_to_name_the_same_rows(table):
    folder = table.parent
    np.save(folder / "rows.npy", ROWS)
    np.save(folder / "y.npy", np.array([2, 0, 1])[Y])
    pa.csv.write_csv(pa.table({"section": WORDS}), folder / "labels.csv")
    rows = folder / "rows.npy"
    ways = [
        load(table, label="section"),
        load(table, label="section", features=rows),
        load(rows, labels=f"{table}:section"),
        load(None, features=rows, labels=f"{table}:section"),
        load(None, features=rows, labels=f"{folder / 'labels.csv'}:section"),
        load(None, features=rows, labels=str(folder / "labels.csv")),
        load(None, features=rows, labels=str(folder / "y.npy")),
    ]
    assert len({data.digest for data in ways}) == 1
    assert ways[-1].task.class_names == ("0", "1", "2")
    assert [type(way.task.examples).__name__ for way in ways[:5]] == ["function"] * 4 + ["NoneType"]


def test_columns_of_numbers_are_scaled_by_training(table):
    for path in (table, table.parent / "table.csv"):
        if path != table:
            pa.csv.write_csv(pq.read_table(table).drop_columns(["embedding"]), path)
        data = load(path, label="section", features="a, b", split="part")
        assert [len(part) for part in (data.train, data.val, data.test)] == [80, 20, 20]
        assert data.train.x.mean(0).abs().max() < 1e-4
        assert (data.train.x.std(0, correction=0) - 1).abs().max() < 1e-4
    assert load(table, label="price", features="[ab]").train.x.shape[1] == 2


def test_floats_are_a_regression(table):
    settings = bench.Settings(table, label="price", out=table.parent / "o", **{**ONE, "epochs": 8})
    benchmark = bench.prepare(settings)
    assert benchmark.data.n_classes == 0
    run = benchmark.run(progress=False).runs[0]
    assert benchmark.results.metric == "R2"
    assert run.test > 0.5


@pytest.mark.parametrize("model", ["probe", "mlp"])
def test_a_regression_on_features_that_are_alike_does_not_diverge(tmp_path, model):
    x = ROWS[:, :1] + 0.01 * np.random.RandomState(1).normal(size=(N, 300)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", ROWS[:, 0] * 1e6)
    settings = bench.Settings(features=str(tmp_path / "x.npy"), labels=str(tmp_path / "y.npy"),
                              model=model, out=tmp_path / "o", **ONE)  # fmt: skip
    run = bench.prepare(settings).run(progress=False).runs[0]
    assert run.done
    assert run.test > 0


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (pa.array(Y * 10 + 5), ("5", "15", "25")),
        (pa.array(Y == 1), ("False", "True")),
        (pa.array(WORDS).dictionary_encode(), ("apple", "fig", "pear")),
        (pa.array(Y.astype(np.float32) + 7), ("7", "8", "9")),
        (pa.array([word.encode() for word in WORDS]), ("apple", "fig", "pear")),
    ],
    ids=["ints", "bools", "categories", "whole floats", "bytes"],
)
def test_kinds_of_labels(tmp_path, labels, names):
    path = write(tmp_path / "t.parquet", section=labels)
    assert load(path, label="section").task.class_names == names


def test_whole_numbers_are_a_regression_by_the_metric(tmp_path):
    path = write(tmp_path / "t.parquet", price=pa.array(np.arange(N) * 3))
    assert load(path, label="price", metric="R2").n_classes == 0
    with pytest.raises(ValueError, match=r"must hold numbers for the metric R2, got string"):
        load(path, label="section", metric="R2")
    with pytest.raises(ValueError, match=r"must leave rows for test, got none"):
        load(path, label="price")  # classes of one row each


def gaps(values, *rows):
    return pa.array([None if i in rows else each for i, each in enumerate(values)])


def test_missing_labels_are_named_or_dropped(tmp_path):
    words = [*WORDS[:-1], "quince"]
    path = write(tmp_path / "t.parquet", section=gaps(words, 3, 8), price=gaps(ROWS[:, 0], 7))
    with pytest.raises(ValueError, match=r"'section' of .*got none in row 3 \(2 such rows\)"):
        load(path, label="section")
    data = load(path, label="section", on_bad="drop")
    assert data.notes[:2] == (
        "Dropped: 2 incomplete rows of 120 (rows 3, 8).",
        "Classes with one training sample: 1 (quince).",
    )
    assert 3 not in data.test.y
    with pytest.raises(ValueError, match=r"'price' of .*got none in row 7"):
        load(path, label="price")
    assert len(load(path, label="price", on_bad="drop").task.train) == 95


def test_nan_in_features_is_named_or_dropped(tmp_path):
    rows = ROWS.copy()
    rows[11, 2] = np.inf
    np.save(tmp_path / "x.npy", rows)
    path = write(tmp_path / "t.parquet", a=gaps(ROWS[:, 0], 4))
    for given in ({"features": tmp_path / "x.npy"}, {"features": "a,b"}):
        with pytest.raises(
            ValueError, match=r"finite in each row, got a missing value, nan, inf.* in row"
        ):
            load(path, label="section", **given)
        assert load(path, label="section", on_bad="drop", **given).notes[0].startswith("Dropped: 1")


BAD = {
    "no label": ({}, "label must be given for .*section"),
    "unknown label": ({"label": "sectoin"}, "did you mean 'section'"),
    "list as label": ({"label": "embedding"}, "must hold single values, got 'embedding'"),
    "label and labels": ({"label": "section", "labels": "x.npy"}, "label must be omitted with"),
    "unknown feature": ({"label": "section", "features": "a,bb"}, "got 'bb'"),
    "words as feature": ({"label": "section", "features": "a,title"}, "must hold numbers, got str"),
    "label as feature": ({"label": "price", "features": "a,price"}, "must not hold the label"),
    "twice": ({"label": "section", "features": "a,a"}, "each column once, got 'a' again"),
    "lists and numbers": ({"label": "section", "features": "a,embedding"}, "one column of lists"),
    "unknown split": ({"label": "section", "split": "title"}, "got 'row 0' in row 0"),
    "no file": ({"labels": "none.parquet:x"}, "none.parquet must exist"),
    "accuracy of numbers": ({"label": "price", "metric": "accuracy"}, "metric must be R2"),
    "no such metric": ({"label": "section", "metric": "acuracy"}, "metric must be one of"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_used_is_named(table, given, message):
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=message):
        load(table, **given)


def test_more_that_cannot_be_used(tmp_path):
    path = write(tmp_path / "t.parquet", section=pa.array(["one"] * N))
    with pytest.raises(ValueError, match="must hold two classes or more, got only 'one'"):
        load(path, label="section")
    np.save(tmp_path / "x.npy", ROWS[:7])
    with pytest.raises(ValueError, match="must have the length of the features, 7, got 120"):
        load(path, label="title", features=tmp_path / "x.npy")
    with pytest.raises(ValueError, match="labels must be given as FILE or FILE:COLUMN"):
        load(tmp_path / "x.npy")
    with pytest.raises(ValueError, match="features must be given for .*columns of numbers"):
        load(write(tmp_path / "n.parquet", embedding=None), label="section")
    (tmp_path / "twice.csv").write_text("a,a,y\n" + "1,2,x\n3,4,z\n" * 9)
    with pytest.raises(ValueError, match=r"twice.csv: column 'a' must occur once, got 2 of that"):
        load(tmp_path / "twice.csv", label="y", features="a")
    late = pa.array(["train"] * 60 + ["test"] * 60)
    words = pa.array(np.where(np.arange(N) < 60, Y, Y + 1))
    with pytest.raises(ValueError, match="rows of each class in 'train', got none of '3', which"):
        load(write(tmp_path / "s.parquet", part=late, section=words), label="section", split="part")


def test_lists_are_kept_once_and_mapped(table):
    load(table, label="section")
    kept = sorted((table.parent / "out" / "data").iterdir())
    assert [path.suffix for path in kept] == [".bin", ".json"]
    before = kept[0].stat().st_mtime_ns
    load(table, label="section")
    assert kept[0].stat().st_mtime_ns == before


def test_names_with_colons(tmp_path):
    write(tmp_path / "a:b.parquet", **{"x:y": pa.array(Y)})
    given = Given(None, None, "rows.npy", f"{tmp_path}/a:b.parquet:x:y", None)
    assert given.label_file == (tmp_path / "a:b.parquet", "x:y")
