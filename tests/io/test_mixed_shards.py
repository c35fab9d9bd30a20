"""Shards that do not agree: what is used is read as one type, and what is selected is exported."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sampling._files import _parquet
from sampling.io import export_rows, open_table, read_column, read_rows
from sampling.selection import select_from, top

DAY = datetime.datetime(2024, 1, 2)


def shards(folder, *tables):
    """Write tables as a.parquet, b.parquet, ..."""
    folder.mkdir(exist_ok=True)
    for name, table in zip("abcdef", tables, strict=False):
        table = table if isinstance(table, pa.Table) else pa.table(table)
        pq.write_table(table, folder / f"{name}.parquet")
    return folder


def of(values, kind=None):
    return pa.array(values, kind)


TEXT, WORDS = ["x", None], pa.array(["x", None]).dictionary_encode()
LISTS = [[1.0, 2.0], None]
OLD = pytest.mark.skipif(
    int(pa.__version__.split(".")[0]) < 26, reason="pyarrow cannot read missing lists of one size"
)
PAIRS = [
    (pa.nulls(2), of([1, 2]), [None, None, 1, 2]),
    (of([1, 2]), of([1.5, None]), [1.0, 2.0, 1.5, None]),
    (of([1, 2], pa.int8()), of([3, 2**40]), [1, 2, 3, 2**40]),
    (of([1], pa.uint8()), of([-1], pa.int8()), [1, -1]),
    (of(np.array([0.5], np.float16)), of([0.25], pa.float32()), [0.5, 0.25]),
    (of([1]), of([2.5]).cast(pa.decimal128(4, 1)), [1.0, 2.5]),
    (of(TEXT), of(TEXT, pa.large_string()), TEXT * 2),
    (WORDS, of(TEXT), TEXT * 2),
    (of(TEXT, pa.large_string()), WORDS, TEXT * 2),
    (WORDS, WORDS.cast(pa.dictionary(pa.int8(), pa.string())), TEXT * 2),
    (of([DAY], pa.timestamp("s")), of([DAY], pa.timestamp("us")), [DAY] * 2),
    (of([DAY.date()]), of([DAY], pa.timestamp("us")), [DAY] * 2),
    pytest.param(
        of(LISTS, pa.list_(pa.float32(), 2)),
        of(LISTS, pa.list_(pa.float64())),
        LISTS * 2,
        marks=OLD,
    ),
    pytest.param(
        of(LISTS, pa.large_list(pa.float32())),
        of(LISTS, pa.list_(pa.float32(), 2)),
        LISTS * 2,
        marks=OLD,
    ),
    (of([[None], None]), of([[1], [2]]), [[None], None, [1], [2]]),
    (of([{"a": 1}]), of([{"a": 2, "b": "x"}]), [{"a": 1, "b": None}, {"a": 2, "b": "x"}]),
    (of([[{"a": 1}]]), of([[{"a": 0.5}], None]), [[{"a": 1.0}], [{"a": 0.5}], None]),
]


@pytest.mark.parametrize(("first", "second", "expected"), PAIRS)
@pytest.mark.parametrize("turned", [False, True])
def test_one_type_for_all_files(tmp_path, first, second, expected, turned):
    """A row is read, and exported in both orders, as the values that the files hold."""
    parts = [first, second][:: -1 if turned else 1]
    if turned:
        expected = expected[len(first) :] + expected[: len(first)]
    folder = shards(tmp_path / "in", *({"x": each, "n": range(len(each))} for each in parts))
    rows = np.arange(len(expected))[::-1]
    assert read_rows(folder, rows, "x")["x"].to_pylist() == expected[::-1]
    picked = top(np.arange(len(expected)), 1.0)
    for order in ("rows", "picks"):
        export_rows(picked, folder, tmp_path / order, order=order, rows_per_shard=3)
        found = pq.read_table(tmp_path / order)["x"].to_pylist()
        assert found == (expected if order == "rows" else expected[::-1])


def test_a_column_that_is_not_used_is_not_looked_at(tmp_path):
    """It may be of two kinds, there twice, or lists of several lengths."""
    twice = pa.table([[0.1, 0.9], [1, 2], ["u", "v"], ["w", "x"], [[1], [1, 2]]],
                     ["loss", "license", "tag", "tag", "tokens"])  # fmt: skip
    folder = shards(tmp_path / "in", twice, {"loss": [0.5], "license": ["mit"], "tag": ["y"]})
    table = open_table(folder)
    picked = select_from(table, "top", 2, columns={"scores": "loss"})
    assert picked.indices.tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"'license' must be of one kind .* int64 in .*a\.parquet"
                                         r" and string in .*b\.parquet"):  # fmt: skip
        table.column("license")
    with pytest.raises(ValueError, match=r"'tag' must be one column, got two .* in .*a\.parquet"):
        table.column("tag")
    with pytest.raises(ValueError, match="'license' must be of one kind"):
        export_rows(picked, folder, tmp_path / "all")
    export_rows(picked, folder, tmp_path / "out", columns=["loss", "tokens"])
    assert pq.read_table(tmp_path / "out")["tokens"].to_pylist() == [[1, 2], None]


def test_columns_of_one_name_are_exported_both(tmp_path):
    twice = pa.table([[0.1, 0.9], ["u", "v"], ["w", "x"]], ["loss", "tag", "tag"])
    folder = shards(tmp_path / "in", twice, twice)
    export_rows(top([0, 2, 3, 1], 2), folder, tmp_path / "out")
    found = pq.ParquetFile(next((tmp_path / "out").glob("part*"))).read()
    assert found.columns[1].to_pylist() == ["v", "u"]
    assert found.columns[2].to_pylist() == ["x", "w"]
    with pytest.raises(ValueError, match="'tag' must be one column, got two of that name"):
        export_rows(top([0, 2, 3, 1], 2), folder, tmp_path / "other", columns="tag")


def test_a_column_of_some_files_is_missing_in_others(tmp_path):
    columns = [{"n": [0, 1]}, {"n": [2], "q": [0.5]}, {"q": [1.5]}]
    folder = shards(tmp_path / "in", *columns)
    table = open_table(folder)
    assert table.names == ("n", "q")
    message = r"q must have a value in each row, got a missing one in row 0 \(2 such rows\): .*a\."
    with pytest.raises(ValueError, match=message):
        table.column("q")
    with pytest.warns(UserWarning, match=r"q is missing in all rows of .*a\.parquet: there is no"):
        found = table.column("q", missing=True)
    assert np.array_equal(found, [np.nan, np.nan, 0.5, 1.5], equal_nan=True)
    assert read_column(folder, "n", [3, 2]) == [None, 2]
    export_rows(top([1, 2, 3, 4], 4), folder, tmp_path / "out", columns=["q"])
    assert pq.read_table(tmp_path / "out")["q"].to_pylist() == [None, None, 0.5, 1.5]


def test_files_without_rows_say_nothing(tmp_path):
    empty = pa.table({"x": pa.array([], pa.string()), "emb": pa.array([], pa.int64()), "y": []})
    full = pa.table({"x": [1, 2], "emb": LISTS[:1] * 2})
    folder = shards(tmp_path / "in", empty, full, empty)
    table = open_table(folder)
    assert table.names == ("x",)
    assert table.column("x").tolist() == [1, 2]
    assert table.embeddings.shape == (2, 2)
    export_rows(top([1, 2], 2), folder, tmp_path / "out")
    assert pq.read_table(tmp_path / "out").column_names == ["x", "emb"]


def test_the_order_of_columns_and_nullability_may_differ(tmp_path):
    strict = pa.schema([pa.field("x", pa.int64(), nullable=False), pa.field("y", pa.string())])
    other = {"y": ["b"], "x": of([None], pa.int64())}
    folder = shards(tmp_path / "in", pa.table([[1], ["a"]], schema=strict), other)
    export_rows(top([1, 2], 2), folder, tmp_path / "out")
    assert pq.read_table(tmp_path / "out").to_pylist() == [
        {"x": 1, "y": "a"}, {"x": None, "y": "b"},
    ]  # fmt: skip


def test_a_value_that_the_common_type_has_not_is_named(tmp_path):
    folder = shards(tmp_path / "in", {"id": [2**53 + 1]}, {"id": [0.5]})
    with pytest.raises(ValueError, match=r"'id' must fit double, .* got int64 in .*a\.parquet: "):
        open_table(folder).column("id")


def test_columns_of_one_name_in_two_files_of_the_same_rows(tmp_path):
    """As pandas writes its index into both."""
    pq.write_table(pa.table({"id": [1, 2], "loss": [0.1, 0.2]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": [1, 2], "q": [0.3, 0.1]}), tmp_path / "b.parquet")
    table = open_table(tmp_path / "a.parquet", beside=tmp_path / "b.parquet")
    assert table.column("q").tolist() == [0.3, 0.1]
    with pytest.raises(ValueError, match=r"'id' must be one column, got it in .*a\.p.* in .*b\.p"):
        table.column("id")


# ---------------------------------------------------------------------- what others write


def test_frames_of_pandas(tmp_path):
    """A column without values has no type, ints with a gap are floats, text may be a category."""
    frames = [
        pd.DataFrame({"q": [1, 2], "license": [None, None], "kind": pd.Categorical(["a", "b"])}),
        pd.DataFrame({"q": [np.nan, 0.5], "license": ["mit", None], "kind": ["c", None]}),
        pd.DataFrame({"q": [], "license": [], "kind": []}),
        pd.DataFrame({"q": [7, None], "kind": ["a", "a"]}, index=[5, 7]).astype({"q": "Int64"}),
    ]
    (tmp_path / "in").mkdir()
    for i, frame in enumerate(frames):
        frame.to_parquet(tmp_path / "in" / f"{i}.parquet")
    table = open_table(tmp_path / "in")
    found = select_from(table, "top", 3, columns={"scores": "q"}, settings={"on_bad": "drop"})
    assert found.indices.tolist() == [4, 1, 0]
    export_rows(found, tmp_path / "in", tmp_path / "out")
    back = pd.read_parquet(tmp_path / "out")
    assert back["q"].tolist() == [1.0, 2.0, 7.0]
    assert back["kind"].tolist() == ["a", "b", "a"]
    assert back["license"].isna().all()


def test_datasets_of_hugging_face(tmp_path):
    datasets = pytest.importorskip("datasets")
    (tmp_path / "in").mkdir()
    for name, score, tags in (("a", [1, 2], [["x"], []]), ("b", [0.5, None], [None, ["y"]])):
        data = {"score": score, "input_ids": [[1], [2, 3]], "mask": [[1], [1, 1]], "tags": tags}
        datasets.Dataset.from_dict(data).to_parquet(tmp_path / "in" / f"{name}.parquet")
    table = open_table(tmp_path / "in")  # two columns of lists, neither of them embeddings
    found = select_from(table, "top", 2, columns={"scores": "score"}, settings={"on_bad": "drop"})
    assert found.indices.tolist() == [1, 0]
    export_rows(found, tmp_path / "in", tmp_path / "out")
    files = [str(path) for path in (tmp_path / "out").glob("part*")]
    back = datasets.Dataset.from_parquet(files, cache_dir=str(tmp_path / "cache"))
    assert back["score"][:] == [1.0, 2.0]
    assert back["tags"][:] == [["x"], []]


AT_ODDS = [
    (of([["a"]]), of([[b"a"]])),
    (of([{"a": "x"}]), of([{"a": b"x", "b": 1}])),
    (of([[{"a": ["x"]}]]), of([[{"a": [b"x"]}]])),
    (of([["a"]], pa.list_(pa.large_string())), of([[b"a"]], pa.list_(pa.binary(1)))),
    (
        of([[("k", "x")]], pa.map_(pa.string(), pa.string())),
        of([[("k", b"x")]], pa.map_(pa.string(), pa.binary())),
    ),
]


@pytest.mark.parametrize(("first", "second"), AT_ODDS)
def test_strings_are_never_made_bytes(tmp_path, first, second):
    """Text beside bytes is refused inside lists, structs and maps as it is at the top."""
    for number, pair in enumerate(((first, second), (second, first))):
        folder = shards(tmp_path / f"in{number}", *({"x": each} for each in pair))
        with pytest.raises(ValueError, match="'x' must be of one kind in all files"):
            export_rows(top([1.0, 2.0], 2), folder, tmp_path / "out")


LONG = decimal.Decimal("12345678901234567890.123")


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x, None], lambda x: {"a": [x]}])
def test_no_decimal_is_rounded_to_a_float(tmp_path, wrap):
    """As an int beside floats: one that a float holds is read, one that it does not is refused."""
    kind = pa.decimal128(38, 18)
    first = of([wrap(LONG)])
    folder = shards(tmp_path / "in", {"x": first}, {"x": of([wrap(0.5)])})
    with pytest.raises(ValueError, match=r"'x' must fit .*a\.parquet: a decimal number has more"):
        export_rows(top([1.0, 2.0], 2), folder, tmp_path / "out")
    short = of([decimal.Decimal("0.1"), None], kind)
    folder = shards(tmp_path / "short", {"x": short}, {"x": of([0.5])})
    assert read_rows(folder, np.arange(3))["x"].to_pylist() == [0.1, None, 0.5]


def test_a_file_without_rows_has_no_say(tmp_path):
    """Neither where a column is read nor where its type is asked for."""
    empty = {"x": of([], pa.list_(pa.int8()))}
    table = open_table(shards(tmp_path / "in", {"x": [1, 2]}, empty, {"x": [3]}))
    assert table.values("x").to_pylist() == [1, 2, 3]
    assert table.column("x").tolist() == [1, 2, 3]


def test_views_of_strings_are_read_and_taken(tmp_path):
    """Strings and bytes that are views, nested ones too, go through a selection and an export."""
    views = {
        "x": of(["a", None, "b"], pa.string_view()),
        "y": of([[b"a"], None, [b"b", None]], pa.list_(pa.binary_view())),
        "z": of([{"a": "x"}, None, {"a": None}], pa.struct([("a", pa.string_view())])),
    }
    folder = shards(tmp_path / "in", views)
    table = open_table(folder).take(np.array([2, 0]))
    assert table.column("x", missing=True).tolist() == ["b", "a"]
    assert table.labels("x").tolist() == ["b", "a"]
    for order in ("rows", "picks"):
        export_rows(top([1.0, 2.0, 3.0], 2), folder, tmp_path / order, order=order)
        found = pq.read_table(tmp_path / order).to_pylist()
        wanted = [{name: views[name][i].as_py() for name in views} for i in (1, 2)]
        assert found == (wanted if order == "rows" else wanted[::-1])


def test_what_pyarrow_cannot_do_is_no_damage(tmp_path):
    """The message does not send the user after a broken file."""
    folder = shards(tmp_path / "in", {"x": [1]})
    with (
        pytest.raises(ValueError, match="must hold what pyarrow can read, got: no such kernel"),
        _parquet.opened(folder / "a.parquet"),
    ):
        raise pa.ArrowNotImplementedError("no such kernel")


def test_missing_lists_of_one_size_on_an_old_pyarrow(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"x": [1]}), path)
    found = pa.ArrowInvalid("Expected all lists to be of size=2 but index 2 had size=0")
    with pytest.raises(ValueError, match=r"rows\.parquet holds lists .*: install pyarrow 26"):
        with _parquet.named(path):
            raise found
