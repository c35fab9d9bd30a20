"""Missing values from files: dropped or named, and in filters as in SQL."""

import datetime as dt
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sampling.cli import app
from sampling.io import load_selection, open_table
from sampling.selection import SelectionPlan, Stage, select_from

NAN = float("nan")
F4 = pa.list_(pa.float32())


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


# ---------------------------------------------------------------------- scores


@pytest.mark.parametrize("kind", ["float64", "Float32", "Int64", "boolean"])
def test_scores_that_pandas_wrote(tmp_path, kind):
    values = pd.Series([1, None, 0, 1]).astype(kind)
    pd.DataFrame({"q": values, "text": list("abcd")}).to_parquet(tmp_path / "t.parquet")
    words = ["select", "top", tmp_path / "t.parquet", "--budget", "2", "--with", "scores=q"]
    result = run(*words, "--out", tmp_path / "s.parquet")
    assert result.exit_code == 2
    assert "q must have a value in each row, got a missing one in row 1" in result.stderr
    result = run(*words, "--set", "on_bad=drop", "--out", tmp_path / "s.parquet")
    assert result.exit_code == 0, result.stderr
    assert sorted(load_selection(tmp_path / "s.parquet").indices.tolist()) == [0, 3]
    words = ["export", tmp_path / "s.parquet", tmp_path / "t.parquet", "--out", tmp_path / "out"]
    assert run(*words).exit_code == 0
    assert pd.read_parquet(tmp_path / "out")["text"].tolist() == ["a", "d"]


def test_every_argument_that_is_dropped_by(tmp_path):
    columns = {"scores": [1.0, None, 3.0, 4.0], "confidence": [0.1, 0.2, None, 0.3]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    table = open_table(tmp_path / "t.parquet")
    found = select_from(table, "beta", 2, settings={"on_bad": "drop"})
    assert sorted(found.indices.tolist()) == [0, 3]
    gaps = {"columns": {"probabilities": "confidence"}, "settings": {"on_bad": "drop"}}
    assert sorted(select_from(table, "surrogate", 3, **gaps).indices.tolist()) == [0, 1, 3]
    with pytest.raises(
        ValueError, match=r"confidence must have a value .* in row 2: exclude such rows"
    ):
        select_from(table, "surrogate", 3, columns={"probabilities": "confidence"})


def test_a_column_without_any_value(tmp_path):
    pq.write_table(pa.table({"q": pa.nulls(3), "n": [1, 2, 3]}), tmp_path / "t.parquet")
    table = open_table(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"q must have a value in each row.* row 0 \(3 such"):
        select_from(table, "top", 1, columns={"scores": "q"})
    with pytest.raises(ValueError, match="budget must be at most 0"):
        select_from(table, "top", 1, columns={"scores": "q"}, settings={"on_bad": "drop"})
    kept = Stage("filter", where=[["q", "is_null"]])
    assert len(SelectionPlan(tmp_path / "t.parquet", [kept]).run(tmp_path / "work")) == 3
    with pytest.raises(ValueError, match="q must have a value in each row"):
        select_from(table, "top", 1, columns={"scores": "n", "ids": "q"})


# ---------------------------------------------------------------------- embeddings

OLD = pytest.mark.skipif(int(pa.__version__.split(".")[0]) < 26, reason="needs pyarrow 26")
ROWS = [
    pa.array([None, [1, 2], [3, 4]], F4),
    pytest.param(pa.array([None, [1, 2], [3, 4]], pa.list_(pa.float64(), 2)), marks=OLD),
    pa.array([[1, None], [1, 2], [3, 4]], pa.large_list(pa.float16())),
    pa.array([None, [1, 2], [3, 4]], pa.list_(pa.int64())),
    pa.array([[None, 7], [1, 2], [3, 4]], pa.list_(pa.int8())),
]


@pytest.mark.parametrize("rows", ROWS, ids=lambda rows: str(rows.type))
@pytest.mark.parametrize("scratch", [False, True])
@pytest.mark.filterwarnings("ignore:embeddings is missing")  # in c
def test_missing_rows_and_numbers_of_embeddings(tmp_path, rows, scratch):
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"e": rows, "id": [0, 1, 2]}), tmp_path / "in" / "a.parquet")
    pq.write_table(pa.table({"e": pa.nulls(1), "id": [3]}), tmp_path / "in" / "b.parquet")
    pq.write_table(pa.table({"id": [4]}), tmp_path / "in" / "c.parquet")
    table = open_table(tmp_path / "in", scratch=tmp_path / "copy" if scratch else None)
    found = np.asarray(table.embeddings)
    assert np.isnan(found).any(axis=1).tolist() == [True, False, False, True, True]
    assert found[1:3].tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match=r"embeddings must be finite, got nan in row 0 \(3 bad"):
        select_from(table, "k_center", 2)
    picked = select_from(table, "k_center", 2, settings={"on_bad": "drop"})
    assert sorted(picked.indices.tolist()) == [1, 2]
    plan = SelectionPlan(tmp_path / "in", [Stage("k_center", 2)], on_bad="drop")
    assert sorted(plan.run(tmp_path / "work").indices.tolist()) == [1, 2]
    assert [need["rows"] for need in plan.estimates()] == [5]


def test_one_dtype_for_embeddings_of_all_files(tmp_path):
    for name, kind in (("a", pa.list_(pa.int32(), 2)), ("b", pa.large_list(pa.float32()))):
        pq.write_table(pa.table({"e": pa.array([[1, 2]], kind)}), tmp_path / f"{name}.parquet")
    assert open_table(tmp_path).embeddings.dtype == np.float64
    pq.write_table(pa.table({"e": pa.array([[1, 2]], pa.list_(pa.int8()))}, ),
                   tmp_path / "b.parquet", write_statistics=False)  # fmt: skip
    found = open_table(tmp_path).embeddings
    assert found.dtype == np.int32
    assert found.tolist() == [[1, 2], [1, 2]]


def test_embeddings_in_columns_with_gaps(tmp_path):
    columns = {"x0": [1, None, 3], "x1": [1.0, 2.0, 3.0]}
    pd.DataFrame(columns).astype({"x0": "Int64"}).to_parquet(tmp_path / "t.parquet")
    table = open_table(tmp_path / "t.parquet", embeddings="x*")
    picked = select_from(table, "k_center", 2, settings={"on_bad": "drop"})
    assert sorted(picked.indices.tolist()) == [0, 2]
    pd.DataFrame({**columns, "x2": None}).to_parquet(tmp_path / "t.parquet")
    table = open_table(tmp_path / "t.parquet", embeddings="x*")
    assert np.isnan(table.embeddings[:, 2]).all()  # no dimension is left out unsaid


def test_embeddings_that_nobody_asked_for(tmp_path):
    """Tokens of several lengths are no reason to refuse scores, nor are two columns of lists."""
    tokens = [[1], [1, 2], [1, 2, 3]]
    pq.write_table(pa.table({"tokens": tokens, "q": [1.0, 3.0, 2.0]}), tmp_path / "t.parquet")
    stages = [Stage("top", 1, columns={"scores": "q"})]
    plan = SelectionPlan(tmp_path / "t.parquet", stages, export={"folder": tmp_path / "out"})
    plan.check_outputs(tmp_path / "work")
    plan.estimates()
    assert plan.run(tmp_path / "work").indices.tolist() == [1]
    assert pq.read_table(tmp_path / "out")["tokens"].to_pylist() == [[1, 2]]
    assert not (tmp_path / "work" / "scratch").exists()
    table = open_table(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="tokens must hold lists of 1 numbers, got [0-9]+ in"):
        select_from(table, "k_center", 1)
    pq.write_table(pa.table({"a": tokens, "b": tokens, "q": [1, 3, 2]}), tmp_path / "t.parquet")
    assert SelectionPlan(tmp_path / "t.parquet", stages).run(
        tmp_path / "other"
    ).indices.tolist() == [1]
    with pytest.raises(ValueError, match=r"embeddings must name one of the columns \['a', 'b'\]"):
        SelectionPlan(tmp_path / "t.parquet", [Stage("k_center", 1)]).estimates()


# ---------------------------------------------------------------------- filters

COLUMNS = {
    "f": [1.0, None, NAN, 2.0],
    "i": [2**60, None, 3, 4],
    "s": ["a", None, "b", ""],
    "b": [True, None, False, True],
    "d": [dt.date(2024, 1, 1), None, dt.date(2024, 1, 3), dt.date(2024, 1, 4)],
    "t": [dt.datetime(2024, 1, 1), None, dt.datetime(2024, 1, 3), dt.datetime(2024, 1, 4)],
    "c": pa.array(["a", None, "b", "a"]).dictionary_encode(),
    "n": pa.nulls(4),
    "u": pa.array([2**64 - 1, None, 3, 4], pa.uint64()),
}
HOLD = [
    (["f", "==", 1], [0]),
    (["f", "!=", 1], [3]),
    (["f", "not in", [1]], [3]),
    (["f", "in", [1, 2.0, 7]], [0, 3]),
    (["f", "is_null"], [1, 2]),
    (["f", "not_null"], [0, 3]),
    (["f", "in", []], []),
    (["f", "not in", []], [0, 3]),
    (["i", "==", 2**60 + 1], []),
    (["i", "in", [2**60 + 1, 3, 0.5]], [2]),
    (["i", "<", 2**70], [0, 2, 3]),
    (["i", ">=", 3.5], [0, 3]),
    (["i", "is_null"], [1]),
    (["u", "in", [2**64 - 1, -1]], [0]),
    (["u", ">", -1], [0, 2, 3]),
    (["s", "!=", "a"], [2, 3]),
    (["s", "not in", ["a", "b"]], [3]),
    (["s", "==", ""], [3]),
    (["s", "is_null"], [1]),
    (["b", "==", False], [2]),
    (["b", "!=", True], [2]),
    (["b", "not in", [True]], [2]),
    (["d", ">", dt.date(2024, 1, 1)], [2, 3]),
    (["d", "!=", dt.date(2024, 1, 3)], [0, 3]),
    (["d", "not in", [dt.date(2024, 1, 3)]], [0, 3]),
    (["d", "not_null"], [0, 2, 3]),
    (["t", "<", dt.datetime(2024, 1, 3, 12)], [0, 2]),
    (["t", "in", [dt.date(2024, 1, 3), dt.datetime(2024, 1, 4)]], [2, 3]),
    (["c", "!=", "a"], [2]),
    (["c", "in", ["b", "z"]], [2]),
    (["n", "!=", "a"], []),
    (["n", "not in", ["a"]], []),
    (["n", "is_null"], [0, 1, 2, 3]),
]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("filters") / "t.parquet"
    pq.write_table(pa.table(COLUMNS), path)
    return path


@pytest.mark.parametrize(("condition", "kept"), HOLD, ids=str)
def test_no_condition_holds_of_a_missing_value(table, tmp_path, condition, kept):
    plan = SelectionPlan(table, [Stage("filter", where=[condition])])
    plan.estimates()
    assert plan.run(tmp_path / "work").indices.tolist() == kept
    alone = SelectionPlan(
        table, [Stage("filter", where=condition)]
    )  # one condition is a list of one
    assert alone.stages == plan.stages


def test_the_same_in_a_file(table, tmp_path):
    text = f"""
[read]
table = "{table}"
[[stage]]
method = "filter"
where = [["s", "not_null"], ["t", ">", 2024-01-01], ["f", "is_null"]]
"""
    (tmp_path / "plan.toml").write_text(text)
    result = run("run", tmp_path / "plan.toml", "--json")
    assert json.loads(result.stdout)["kept"] == 1
    assert load_selection(tmp_path / "plan" / "selection.parquet").indices.tolist() == [2]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (["s", "==", None], r"compare 's' with a value, got None.*\['s', \"is_null\"\]"),
        (["f", "!=", NAN], "compare 'f' with a value, got nan"),
        (["s", "in", ["a", None]], "compare 's' with a value, got None"),
        (["s", "is_null", True], "without a value"),
        (["s", "=="], r"where must hold \[column, operator, value\]"),
        (["s", "is null"], "the operator in where must be one of .*'is_null', 'not_null'"),
    ],
)
def test_conditions_that_are_none(condition, message):
    with pytest.raises(ValueError, match=message):
        Stage("filter", where=[condition])


@pytest.mark.parametrize(
    "condition",
    [["s", ">", 1], ["f", "==", "a"], ["b", "==", 1], ["f", "in", ["a"]], ["t", ">", "2024"]],
    ids=str,
)
def test_conditions_that_do_not_fit_are_refused_before_any_work(table, condition):
    plan = SelectionPlan(table, [Stage("filter", where=[condition])])
    with pytest.raises(ValueError, match=r"stage 1 \(filter\): where must fit the columns, got '"):
        plan.estimates()


def kept_by(tmp_path, column, *condition):
    """Rows that a filter keeps of a column, as its plan runs."""
    pq.write_table(pa.table({"i": column}), tmp_path / "t.parquet")
    plan = SelectionPlan(tmp_path / "t.parquet", [Stage("filter", where=[["i", *condition]])])
    return plan.run(tmp_path / "work").indices.tolist()


B = 2**53
INTS, FLOATS = pa.array([B - 1, B, B + 1, -3, None]), pa.array([B * 1.0, B + 2.0, -NAN, 0.5, None])
UNSIGNED = pa.array([2**63, 2**63 + 1, 0], pa.uint64())


@pytest.mark.parametrize(("column", "operator", "value", "kept"), [
    (INTS, "==", float(B), [1]),
    (INTS, ">", float(B), [2]),
    (INTS, "<=", float(B), [0, 1, 3]),
    (INTS, "!=", 0.5, [0, 1, 2, 3]),
    (INTS, "==", 0.5, []),
    (INTS, "<", -2.5, [3]),
    (INTS, ">=", -3.5, [0, 1, 2, 3]),
    (INTS, ">=", -2.5, [0, 1, 2]),
    (INTS, "<", float("inf"), [0, 1, 2, 3]),
    (INTS, "<=", -float("inf"), []),
    (INTS, ">", 2**70, []),
    (INTS, ">=", -(2**70), [0, 1, 2, 3]),
    (INTS, "in", [float(B), 2**70, 0.5, float("inf")], [1]),
    (INTS, "not in", [float(B), 2**70], [0, 2, 3]),
    (UNSIGNED, "==", float(2**63), [0]),
    (UNSIGNED, "in", [float(2**63), -1], [0]),
    (FLOATS, "==", B + 1, []),
    (FLOATS, ">", B + 1, [1]),
    (FLOATS, "<=", B + 1, [0, 3]),
    (FLOATS, "<", 2**1100, [0, 1, 3]),
    (FLOATS, ">", -(2**1100), [0, 1, 3]),
    (FLOATS, "in", [2**1100, B + 1, B], [0]),
])  # fmt: skip
def test_filters_round_neither_ints_nor_floats(tmp_path, column, operator, value, kept):
    assert kept_by(tmp_path, column, operator, value) == kept


ZONED = pa.array([dt.datetime(2024, 1, 3)], pa.timestamp("us", "UTC"))


@pytest.mark.parametrize(("column", "value", "remedy"), [
    (ZONED, dt.datetime(2024, 1, 3), "with times with a zone .in TOML 2024-01-03T00:00:00Z"),
    (ZONED.cast(pa.timestamp("us")), dt.datetime(2024, 1, 3, tzinfo=dt.timezone.utc),
     "with times without a zone"),
    (pa.array([dt.date(2024, 1, 3)]), "2024-01-03", "compare it with dates .in TOML 2024-01-03"),
    (pa.array([True]), 1, "compare it with true or false"),
    (pa.array([1]), "1", "compare it with numbers"),
])  # fmt: skip
def test_what_a_filter_cannot_compare_is_refused_before_the_run(tmp_path, column, value, remedy):
    """By the dry run, with what to write; the same for a list of values."""
    pq.write_table(pa.table({"i": column}), tmp_path / "t.parquet")
    for condition in (["i", "==", value], ["i", "in", [value]]):
        plan = SelectionPlan(tmp_path / "t.parquet", [Stage("filter", where=[condition])])
        with pytest.raises(ValueError, match=f"stage 1 .*{remedy}"):
            plan.estimates()


@pytest.mark.parametrize("kind", [pa.int64(), pa.string()])
def test_a_row_that_is_dropped_may_have_no_id(tmp_path, kind):
    """Ids are asked of the rows that reach a selector, which is named if one has none."""
    ids = pa.array([5, None, 7, None], pa.int64()).cast(kind)
    rows = pa.array([[1.0, 0.0], [NAN, 0.0], [0.0, 1.0], [1.0, 1.0]], F4)
    table = {"id": ids, "q": [1.0, 2.0, 3.0, 4.0], "x": rows}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    stages = [
        Stage("filter", where=[["q", "<", 4]]),
        Stage("k_center", 2),
        Stage("top", 1, columns={"scores": "q"}),
    ]
    plan = SelectionPlan(tmp_path / "t.parquet", stages, ids="id", on_bad="drop")
    found = plan.run(tmp_path / "work")
    assert found.indices.tolist() == [2]
    assert [str(each) for each in found.ids] == ["7"]
    assert load_selection(tmp_path / "work/selection.parquet").ids.tolist() == found.ids.tolist()
    refused = SelectionPlan(tmp_path / "t.parquet", stages[1:], ids="id", on_bad="drop")
    with pytest.raises(
        ValueError, match=r"stage 1 \(k_center\): ids must have .* row 3 of column 'id':"
    ):
        refused.run(tmp_path / "other")
