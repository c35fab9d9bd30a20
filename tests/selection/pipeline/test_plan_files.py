"""Plans over files that change, plans run in one folder after another, and plans that are wrong."""

import datetime
import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sampling.clustering import kmeans
from sampling.selection import SelectionPlan, Stage
from sampling.selection.core._exact import exact
from sampling.selection.pipeline import _run

SIZE = 60


def write(path, seed):
    """A table of 60 rows; of another seed it has the same size and time."""
    rng = np.random.default_rng(seed)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(rng.normal(size=SIZE * 2)), 2)
    columns = {"x": lists, "loss": rng.random(SIZE), "label": np.arange(SIZE) % 3}
    pq.write_table(pa.table(columns), path, compression="none", use_dictionary=False)
    os.utime(path, (1, 1))


@pytest.fixture
def table(tmp_path):
    write(tmp_path / "table.parquet", 0)
    return tmp_path / "table.parquet"


def centers(table, work, count=10):
    plan = SelectionPlan(table, [Stage("k_center", count)])
    return plan.run(work).indices.tolist()


def best(table, work, count=3, **given):
    plan = SelectionPlan(table, [Stage("top", count, columns={"scores": "loss"})], **given)
    return plan.run(work).indices.tolist()


def test_a_stage_of_a_table_that_changed_is_not_kept(table, tmp_path, monkeypatch):
    """Not even for the old table, under whose digests it would be."""
    expected = best(table, tmp_path / "clean")
    whole, select_from = table.read_bytes(), _run.select_from

    def meanwhile(*args, **settings):
        write(table, 1)
        return select_from(*args, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(_run, "select_from", meanwhile)
        with pytest.raises(ValueError, match=r"table\.parquet must not change while it is read"):
            best(table, tmp_path / "work")
    table.write_bytes(whole)
    os.utime(table, (1, 1))
    assert best(table, tmp_path / "work") == expected


def test_embeddings_of_a_table_that_changed_are_not_kept(table, tmp_path, monkeypatch):
    expected = centers(table, tmp_path / "clean")
    whole, digests = table.read_bytes(), _run.digests

    def before(*args, **settings):
        found = digests(*args, **settings)
        write(table, 1)  # after the digests, and before the embeddings are copied
        return found

    with monkeypatch.context() as patch:
        patch.setattr(_run, "digests", before)
        with pytest.raises(ValueError, match=r"table\.parquet must not change while it is read"):
            centers(table, tmp_path / "work")
    table.write_bytes(whole)
    assert centers(table, tmp_path / "work") == expected


def test_a_new_table_of_the_same_size_and_time(table, tmp_path):
    size = table.stat().st_size
    first = centers(table, tmp_path / "work")
    write(table, 1)
    assert table.stat().st_size == size
    second = centers(table, tmp_path / "work")
    assert second == centers(table, tmp_path / "clean") != first


def test_plans_that_take_turns_in_one_folder(table, tmp_path):
    """The second replaces the files of the first, which are not taken for it again."""
    first, second = (best(table, tmp_path / "work", count) for count in (3, 5))
    assert best(table, tmp_path / "work", 3) == first != second
    clusters = {"clusters": {"n_clusters": 3}}
    plans = [
        SelectionPlan(table, [Stage("cluster_uniform", 9)], seed=seed, **clusters)
        for seed in (0, 1, 0)
    ]
    found = [plan.run(tmp_path / "work").indices.tolist() for plan in plans]
    assert found[0] == found[2] == plans[0].run(tmp_path / "other").indices.tolist()


def test_clusters_of_another_column_are_others(table, tmp_path):
    rows = pq.read_table(table)
    other = np.random.default_rng(5).normal(size=SIZE * 2)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(other), 2)
    pq.write_table(rows.append_column("y", lists), table)
    plans = [
        SelectionPlan(
            table, [Stage("cluster_uniform", 9)], embeddings=name, clusters={"n_clusters": 3}
        )
        for name in ("x", "y")
    ]
    for plan in plans:
        found = plan.run(tmp_path / "work").indices.tolist()
        assert found == plan.run(tmp_path / str(plan.embeddings)).indices.tolist()


def test_a_damaged_stage_is_never_read(table, tmp_path):
    first = centers(table, tmp_path / "work")
    path = tmp_path / "work" / "1-k_center.parquet"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"1-k_center\.parquet must be free or hold a subset file"):
        centers(table, tmp_path / "work")  # it may be anybody's
    path.unlink()
    assert centers(table, tmp_path / "work") == first
    scratch = next((tmp_path / "work" / "scratch").glob("*.json"))
    scratch.write_text("{")
    assert centers(table, tmp_path / "work") == first


def test_a_result_goes_by_all_of_an_argument():
    rows = np.random.default_rng(0).normal(size=(9, 2))
    values = [
        1, 1.0, True, "1", None, [1], {"1": 1}, {1: 1}, list(range(20)), list(range(19, -1, -1)),
        np.arange(3), np.arange(3.0), np.arange(1, 4), datetime.date(2024, 1, 1),
        datetime.date(2024, 1, 2), kmeans(rows, 2), kmeans(rows + 1, 2), kmeans(rows, 3),
    ]  # fmt: skip
    told = [json.dumps(exact(value)) for value in values]
    assert len(set(told)) == len(told)
    assert told == [json.dumps(exact(value)) for value in values]
    assert exact(len) != exact(len)  # nothing is known of it
    assert exact(np.int64(3)) == 3


def test_dates_and_numpy_numbers_in_a_plan(table, tmp_path):
    rows = pq.read_table(table)
    days = pa.array([datetime.date(2024, 1, 1 + i % 9) for i in range(SIZE)])
    pq.write_table(rows.append_column("day", days), table)
    late = Stage("filter", where=[["day", ">=", datetime.date(2024, 1, 5)]])
    stages = [late, Stage("top", np.int64(4), columns={"scores": "loss"})]
    found = SelectionPlan(table, stages, seed=np.int64(1)).run(tmp_path / "work")
    assert len(found) == 4
    assert len(SelectionPlan(table, stages[:1]).run(tmp_path / "work")) == 32


# ---------------------------------------------------------------------- counts by group


def kept(table, work, stages):
    SelectionPlan(table, stages).run(work)
    manifest = json.loads((work / "manifest.json").read_text())
    counts = {each["name"]: each.get("groups") for each in manifest["stages"]}
    return counts, manifest["warnings"]


EVEN = Stage("quota", 30, columns={"scores": "loss", "groups": "label"},
             settings={"group_budgets": "equal"})  # fmt: skip


@pytest.mark.filterwarnings("ignore:stage 3")
def test_counts_by_group(table, tmp_path):
    stages = [Stage("top", 50, columns={"scores": "loss"}), EVEN, Stage("k_center", 12)]
    with pytest.warns(UserWarning, match=r"stage 3 \(k_center\) can undo the counts per label of"):
        counts, warned = kept(table, tmp_path / "work", stages)
    assert counts["read"] == {"label": {"0": 20, "1": 20, "2": 20}}
    assert sum(counts["top"]["label"].values()) == 50
    assert counts["quota"] == {"label": {"0": 10, "1": 10, "2": 10}}
    assert sum(counts["k_center"]["label"].values()) == 12
    assert len(warned) == 1
    again, _ = kept(table, tmp_path / "work", stages)  # all of it is read again
    assert again == counts


def test_groups_in_what_comes_after_keep_the_counts(table, tmp_path):
    later = Stage("k_center", 12, columns={"groups": "label"})
    counts, warned = kept(table, tmp_path / "work", [EVEN, later])
    assert counts["k_center"] == {"label": {"0": 4, "1": 4, "2": 4}}
    assert warned == []
    assert SelectionPlan(table, [later, Stage("top", 9, columns={"scores": "loss"})]).warnings()
    counts, _ = kept(table, tmp_path / "work", [Stage("k_center", 12)])
    assert counts["k_center"] is None


UNDONE = [
    ([EVEN], 0),
    ([EVEN, Stage("filter", where=[["loss", ">", 0.1]])], 1),
    ([EVEN, Stage("semdedup", settings={"threshold": 0.9})], 1),
    ([EVEN, Stage("top", 5, columns={"scores": "loss", "groups": "kind"})], 1),
    ([EVEN, Stage("top", 5, name="a"), Stage("top", 4, name="b")], 1),
    ([EVEN, Stage("top", 5, columns={"groups": "label"}), Stage("top", 4, name="b")], 1),
    ([Stage("moderate", 5, columns={"labels": "label"}, settings={"per_class": True}), EVEN], 0),
    ([Stage("moderate", 5, columns={"labels": "label"}, settings={"per_class": True}),
      Stage("k_center", 3)], 1),
    ([Stage("semdedup", columns={"labels": "label"}, settings={"threshold": 0.9}),
      Stage("k_center", 3)], 0),
]  # fmt: skip


@pytest.mark.parametrize(("stages", "count"), UNDONE)
def test_what_undoes_counts(stages, count):
    assert len(SelectionPlan("corpus", stages).warnings()) == count


# ---------------------------------------------------------------------- plans that are wrong

PLAN = {
    "read": {"table": "t.parquet"},
    "stage": [{"method": "top", "budget": 3, "columns": {"scores": "loss"}}],
}
TYPES = [
    ("stage", "method", 3, r"stage 1 \(3\): method must be a str, got 3"),
    ("stage", "name", 3, r"stage 1 \(3\): name must be a str, got 3"),
    ("stage", "budget", "3", "budget must be a number, got '3'"),
    ("stage", "budget", True, "budget must be a number, got True"),
    ("stage", "budget", 0, r"budget must be in \(0, inf\), got 0"),
    ("stage", "columns", "loss", "columns must be a mapping, a table in a file, got 'loss'"),
    ("stage", "columns", {"scores": 3}, r"columns\['scores'\] must be a str, got 3"),
    ("stage", "where", "loss", "where must be a list, got 'loss'"),
    ("stage", "where", ["a>1"], "where must hold .column, operator, value. or .*, got 'a>1'"),
    ("stage", "where", [["a", "in", "en"]], "the value of 'in' in where must be a list, got 'en'"),
    ("stage", "where", [["a", "=", 1]], "the operator in where must be one of .*, got '='"),
    ("read", "table", 3, "table must be a path, or a list of paths, got 3"),
    ("read", "beside", 3, "beside must be a list, got 3"),
    ("read", "beside", [3], "beside must hold paths, got 3"),
    ("read", "embeddings", 3, "embeddings must be a str, got 3"),
    ("read", "ids", ["a"], r"ids must be a str, got \['a'\]"),
    ("read", "seed", "0", "seed must be an int, got '0'"),
    ("read", "on_bad", "droop", "on_bad must be one of 'raise', 'drop', got 'droop'"),
    ("read", "max_memory", "lots", "max_memory must be bytes, or a text such as '4GiB'"),
    (None, "read", 3, r"\[read\] must be a mapping, a table in a file, got 3"),
    (None, "read", {}, r"\[read\] must name a table"),
    (None, "clusters", 3, r"\[clusters\] must be a mapping"),
    (None, "export", [], r"\[export\] must be a mapping"),
    (None, "export", {"folder": 3}, "folder must be a path, got 3"),
    (None, "stage", {"method": "top"}, r"stage must be a list of tables, .*: write \[\[stage\]\]"),
    (None, "stage", [3], "stage 1 must be a mapping"),
    (None, "stage", [{"budget": 3}], "stage 1 must name a method, got none"),
]


@pytest.mark.parametrize(("part", "name", "value", "message"), TYPES)
def test_values_of_another_type(part, name, value, message):
    given = json.loads(json.dumps(PLAN))
    where = given if part is None else given[part][0] if part == "stage" else given[part]
    where[name] = value
    with pytest.raises((TypeError, ValueError), match=message):
        SelectionPlan.of(given)


def test_a_plan_in_python_is_checked_at_once():
    with pytest.raises(TypeError, match=r"stages must hold Stage objects, got \{'method': 'top'\}"):
        SelectionPlan("t.parquet", [{"method": "top"}])
    with pytest.raises(TypeError, match="stages must be a list, got Stage"):
        SelectionPlan("t.parquet", EVEN)
    assert SelectionPlan("t.parquet", [EVEN], beside="more.parquet").beside == ("more.parquet",)


def test_errors_of_types_name_the_stage(table, tmp_path):
    stage = Stage("semdedup", settings={"threshold": "high"})
    with pytest.raises(TypeError, match=r"stage 1 \(semdedup\): threshold must be a number"):
        SelectionPlan(table, [stage]).run(tmp_path / "work")


def test_files_that_are_no_plan(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_bytes('[read]\ntable = "größe.parquet"\n'.encode("latin-1"))
    with pytest.raises(ValueError, match=r"plan\.toml must be TOML in UTF-8, got: .*position"):
        SelectionPlan.read(path)
    path.write_text('[read]\ntable = "größe.parquet"\n', encoding="utf-8-sig")
    assert SelectionPlan.read(path).table.name == "größe.parquet"
    path.write_text("[read]\ntable = 3\n")
    with pytest.raises(
        TypeError, match=r"plan\.toml: table must be a path, or a list of paths, got 3"
    ):
        SelectionPlan.read(path)
    with pytest.raises(ValueError, match="must be a TOML file, got a folder"):
        SelectionPlan.read(tmp_path)
    for text in ("[1]", "{", '"a"'):
        (tmp_path / "work").mkdir(exist_ok=True)
        (tmp_path / "work" / "manifest.json").write_text(text)
        write(tmp_path / "t.parquet", 0)
        with pytest.raises(ValueError, match=r"manifest\.json must be free or hold the manifest"):
            SelectionPlan(tmp_path / "t.parquet", [EVEN]).run(tmp_path / "work")
