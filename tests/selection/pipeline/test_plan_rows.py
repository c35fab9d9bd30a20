"""Plans over rows that some stage cannot take: refused early, and by the rows of the table."""

import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sampling.cli import app
from sampling.io import open_table
from sampling.selection import SelectionPlan, Stage, select_from

LOSS = [0.1, 0.9, 0.5, None, 0.7, float("nan"), 0.3]


@pytest.fixture
def table(tmp_path):
    columns = {"loss": LOSS, "kind": list("aabbbbb"), "url": [f"u{i}" for i in range(7)],
               "rank": range(7), "emb": [[1.0, float(i)] for i in range(7)]}  # fmt: skip
    pq.write_table(pa.table({k: pa.array(v) for k, v in columns.items()}), tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


BEST = Stage("top", 2, columns={"scores": "loss"})
ONLY_B = Stage("filter", where=["kind", "==", "b"])


def test_on_bad_of_a_plan_is_that_of_every_stage(table, tmp_path):
    found = SelectionPlan(table, [ONLY_B, BEST], on_bad="drop").run(tmp_path / "work")
    assert found.indices.tolist() == [4, 2]
    own = Stage("top", 2, columns={"scores": "loss"}, settings={"on_bad": "raise"})
    with pytest.raises(ValueError, match="pass on_bad='drop'"):
        SelectionPlan(table, [ONLY_B, own], on_bad="drop").run(tmp_path / "other")


def test_values_of_the_first_stage_are_looked_at_before_any_work(table, tmp_path):
    plan = SelectionPlan(table, [BEST, Stage("k_center", 1)], ids="url")
    with pytest.raises(ValueError, match=r"stage 1 \(top\): loss .* in row 3, id 'u3'.*on_bad"):
        plan.estimates()
    with pytest.raises(ValueError, match=r"in row 3, id 'u3'"):
        plan.run(tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_groups_that_are_named_and_not_there(table, tmp_path):
    for name, given in (("group_budgets", {"a": 1, "c": 1}), ("floor", {"c": 1})):
        stage = Stage("quota", 2, columns={"scores": "rank", "groups": "kind"},
                      settings={name: given})  # fmt: skip
        with pytest.raises(ValueError, match=rf"stage 2 \(quota\): {name} must name groups of"):
            SelectionPlan(table, [ONLY_B, stage]).estimates()


def test_errors_name_the_row_of_the_table(table, tmp_path):
    with pytest.raises(ValueError, match=r"stage 2 \(top\): loss .* row 3.*on_bad='drop'"):
        SelectionPlan(table, [ONLY_B, BEST]).run(tmp_path / "one")
    x = [0.0, 1.0, 2.0, 3.0, 4.0, np.nan, 6.0]
    pq.write_table(pa.table({"x": x, "url": [*"abcdefg"]}), tmp_path / "nan.parquet")
    stages = [Stage("filter", where=["url", ">", "d"]), Stage("top", 1, columns={"scores": "x"})]
    with pytest.raises(ValueError, match=r"scores .* nan in row 5, id 'f'"):
        SelectionPlan(tmp_path / "nan.parquet", stages, ids="url").run(tmp_path / "two")


def test_a_filter_that_leaves_nothing_is_named(table, tmp_path):
    none = Stage("filter", where=["kind", "==", "c"])
    with pytest.raises(ValueError, match=r"stage 2 \(top\): .*: stage 1 \(filter\) left no rows"):
        SelectionPlan(table, [none, BEST]).run(tmp_path / "work")


def test_ids_of_the_rows_that_filters_leave_are_checked_before_any_work(table, tmp_path):
    """Of the table, `kind` repeats; after a filter, each name is there once."""
    high = Stage("filter", where=[["rank", "in", [0, 2]]])
    core = Stage("k_center", 1)
    assert SelectionPlan(table, [high, core], ids="kind").estimates()
    for stages, stage in (([ONLY_B, core], 2), ([core], 1)):
        plan = SelectionPlan(table, stages, ids="kind")
        with pytest.raises(ValueError, match=rf"stage {stage} \(k_center\): ids must hold no name"):
            plan.estimates()
    with pytest.raises(ValueError, match=r"stage 2 \(k_center\): budget must be in .*, got 6"):
        SelectionPlan(table, [ONLY_B, Stage("k_center", 6)]).estimates()
    none = Stage("filter", where=["kind", "==", "c"])
    with pytest.raises(
        ValueError, match=r"stage 2 \(k_center\): .*stage 1 \(filter\) left no rows"
    ):
        SelectionPlan(table, [none, core]).estimates()


@pytest.mark.parametrize("lists", [[[1.0], [2.0, 3.0]], [[1.0, 2.0], None, [3.0], [1.0, 2.0]],
                                   [[1.0, 2.0], [1.0, None], []]])  # fmt: skip
def test_lists_of_several_lengths_are_refused_before_any_work(tmp_path, lists):
    even = [[1.0] * len(lists[0])] * 3
    (tmp_path / "corpus").mkdir()
    for name, rows in (("a", even), ("b", [*even, None, *lists])):
        part = pa.table({"x": pa.array(rows, pa.list_(pa.float32()))})
        pq.write_table(part, tmp_path / "corpus" / f"{name}.parquet", row_group_size=4)
    plan = SelectionPlan(tmp_path / "corpus", [Stage("k_center", 1)])
    row = 7 + next(
        i for i, each in enumerate(lists) if each and len(each) != len(lists[0]) or each == []
    )
    with pytest.raises(ValueError, match=rf"\[read\]: x must hold lists .*b.parquet, row {row}"):
        plan.estimates()
    open_table(tmp_path / "corpus" / "a.parquet").check_embeddings()
    gaps = [*even, None, [None] * len(lists[0])]
    pq.write_table(pa.table({"x": pa.array(gaps, pa.list_(pa.float32()))}), tmp_path / "g.parquet")
    open_table(tmp_path / "g.parquet").check_embeddings()


def test_more_clusters_than_rows_are_told_by_the_dry_run(table):
    plan = SelectionPlan(table, [Stage("cluster_uniform", 2)], clusters={"n_clusters": 50})
    with pytest.warns(UserWarning, match=r"\[clusters\]: n_clusters must be at most .* 7, got 50"):
        plan.estimates()


def test_the_remedy_is_spelt_as_it_is_written(table, tmp_path):
    (tmp_path / "plan.toml").write_text(
        '[read]\ntable = "t.parquet"\n[[stage]]\nmethod = "top"\nbudget = "50%"\n'
        'columns = { scores = "loss" }\n'
    )
    given = ["select", "top", str(table), "--budget", "2", "--with", "scores=loss"]
    given += ["--out", str(tmp_path / "o.parquet")]
    for words, remedy in (
        (["run", str(tmp_path / "plan.toml"), "--dry-run"], 'pass on_bad = "drop"'),
        (given, "pass --set on_bad=drop"),
    ):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 2
        assert remedy in done.output


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (["emb", "==", 1.0], r"single values, got 'emb', of list<"),
        (["nested", "==", 1.0], r"single values, got 'nested', of struct<"),
        (["date", ">", "2024-01-02"], "in TOML 2024.* without quotes"),
        (["date", "in", ["2024-01-02"]], "in TOML 2024.* without quotes"),
        (["kind", ">", 5], "compare it with strings"),
        (["rank", ">", "5"], "compare it with numbers"),
        (["knd", "==", "a"], "did you mean 'kind'"),
    ],
)
def test_what_a_filter_can_compare(table, where, message):
    rows = pq.read_table(table)
    rows = rows.append_column("date", pa.array([datetime.datetime(2024, 1, 2)] * 7))
    rows = rows.append_column("nested", pa.array([{"a": 1}] * 7))
    pq.write_table(rows, table)
    with pytest.raises(ValueError, match=message) as found:
        SelectionPlan(table, [Stage("filter", where=where)]).estimates()
    assert "kernel" not in str(found.value)


def test_a_suggestion_is_made_once(table):
    stage = Stage("top", 1, settings={"score": [0.0]})
    with pytest.raises(ValueError, match="did you mean 'scores'") as found:
        SelectionPlan(table, [stage]).estimates()
    assert str(found.value).count("did you mean") == 1


def test_an_export_of_all_columns_says_so(table, tmp_path):
    (tmp_path / "shards").mkdir()
    for name, x in (("a", [1, 2]), ("b", ["x", "y"])):
        rows = pa.table({"loss": [0.1, 0.2], "x": x})
        pq.write_table(rows, tmp_path / "shards" / f"{name}.parquet")
    text = '[read]\ntable = "shards"\n[export]\nfolder = "chosen"\n[[stage]]\nmethod = "top"\n'
    (tmp_path / "plan.toml").write_text(text + 'budget = 1\ncolumns = { scores = "loss" }\n')
    done = CliRunner().invoke(app, ["run", str(tmp_path / "plan.toml")])
    assert "[export]: 'x' must be of one kind" in done.output
    assert "unless some are named: columns = [...]" in done.output


def test_bad_scores_are_dropped_where_there_are_no_embeddings(tmp_path):
    pq.write_table(pa.table({"loss": [1.0, None, 3.0, 2.0]}), tmp_path / "plain.parquet")
    stage = Stage("top", 2, columns={"scores": "loss"})
    found = SelectionPlan(tmp_path / "plain.parquet", [stage], on_bad="drop").run(tmp_path / "work")
    assert found.indices.tolist() == [2, 3]


def test_bad_embeddings_that_no_stage_uses_drop_no_row(tmp_path):
    rows = pa.array([[1.0, 2.0], None, [3.0, 4.0], [np.nan, 1.0]])
    pq.write_table(pa.table({"emb": rows, "q": [1.0, 9.0, 3.0, 8.0]}), tmp_path / "t.parquet")
    best = Stage("top", 2, columns={"scores": "q"})
    found = SelectionPlan(tmp_path / "t.parquet", [best], on_bad="drop").run(tmp_path / "one")
    assert found.indices.tolist() == [1, 3]
    used = [Stage("k_center", 2), Stage("top", 1, columns={"scores": "q"})]
    found = SelectionPlan(tmp_path / "t.parquet", used, on_bad="drop").run(tmp_path / "two")
    assert found.indices.tolist() == [2]


def test_a_column_that_a_shard_lacks_is_told_where_its_rows_are_dropped(tmp_path):
    (tmp_path / "t").mkdir()
    for name, column in (("a", "q"), ("b", "Q")):
        table = pa.table({column: [1.0, 2.0], "label": ["x", "y"]})
        pq.write_table(table, tmp_path / "t" / f"{name}.parquet")
    with pytest.warns(UserWarning, match=r"q is missing in all rows of .*b\.parquet: there is no"):
        found = select_from(
            open_table(tmp_path / "t"), "top", 1, columns={"scores": "q"},
            settings={"on_bad": "drop"},
        )  # fmt: skip
    assert found.indices.tolist() == [1]
    assert found.explain(3).score is None
    assert found.explain(0).score == 1.0
