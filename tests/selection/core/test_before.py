"""What can be known before any work: refused then, by plans, their dry run and the command line."""

import inspect
import json
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy as safetensors
from numpy.typing import ArrayLike
from typer.testing import CliRunner

from sampling import io
from sampling.cli import app
from sampling.clustering import kmeans, save_clustering
from sampling.selection import METHODS, SelectionPlan, Stage
from sampling.selection.core._before import check_settings
from sampling.selection.pipeline import _run

N = 30
RANDOM = np.random.default_rng(2)
ARRAYS = set(get_args(ArrayLike))


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = RANDOM.normal(size=(N, 2)).astype(np.float32)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 2)
    columns = {"e": lists, "score": RANDOM.random(N), "word": ["a", "b", "c"] * 10,
               "weight": np.ones(N), "half": RANDOM.random(N)}  # fmt: skip
    pq.write_table(pa.table(columns), "t.parquet")
    pq.write_table(pa.table({**columns, "f": lists}), "two.parquet")
    return tmp_path / "t.parquet"


@pytest.fixture
def nothing_read(monkeypatch):
    """No rows are read: what is refused is refused by what files say of themselves."""

    def read(*args, **settings):
        raise AssertionError("work has begun")

    monkeypatch.setattr("sampling.io._table.rows_in_memory", read)
    monkeypatch.setattr("sampling.io._table.rows_on_disk", read)
    monkeypatch.setattr(io.Table, "column", read)
    monkeypatch.setattr(_run, "digests", read)


def test_every_setting_of_every_selector_is_checked_before_its_data():
    missed = []
    for name, entry in METHODS.items():
        for argument, each in inspect.signature(entry.function, eval_str=True).parameters.items():
            of_rows = {*map(str, get_args(each.annotation))} >= {*map(str, ARRAYS)}
            if argument in ("budget", "options") or of_rows:
                continue
            try:
                check_settings(name, 0.5, {}, {argument: object()})
            except (TypeError, ValueError):
                continue
            missed.append(f"{name}({argument}=)")
    assert missed == []


STAGES = [
    (Stage("k_center", 3, settings={"metric": "manhattan"}), "metric must be one of"),
    (Stage("k_center", 31), r"budget must be in \[1, 31\)"),
    (Stage("k_center"), "budget must be given"),
    (Stage("k_center", 3, settings={"start": 99.5}), "start must be an int"),
    (Stage("top", 3, columns={"scores": "word"}), "scores must hold numbers, got string"),
    (Stage("top", 3), "top needs scores: name a column"),
    (Stage("top", 3, columns={"scores": "score", "ids": "score"}), "ids must hold ints or strings"),
    (Stage("kmq", 3), "kmq needs quality: name a column"),
    (Stage("semdedup", settings={"threshold": 2}), r"threshold must be in \[-1, 1\]"),
    (Stage("filter", where=[["word", ">", 3]]), "where must fit the columns"),
    (Stage("filter", where=[["score", "==", "high"]]), "where must fit the columns"),
    (Stage("filter", where=[["score", "in", [1, "a"]]]), "where must fit the columns"),
    (Stage("top", 3, columns={"scores": "score", "groups": "word"}, settings={"cap": -1}),
     r"cap must be in \[0, inf\)"),
    (Stage("top", 3, columns={"scores": "score"}, settings={"seed": -1}), "seed must be in"),
    (Stage("k_center", 3, settings={"max_memory": "1KiB"}), "max_memory must be at least"),
]  # fmt: skip


@pytest.mark.parametrize("stage", range(len(STAGES)))
def test_a_dry_run_refuses_what_the_run_would_and_the_run_at_once(table, nothing_read, stage):
    found, message = STAGES[stage]
    first = Stage("top", 1.0, name="all", columns={"scores": "score"})
    plan = SelectionPlan(table, [first, found])
    with pytest.raises((TypeError, ValueError), match=f"stage 2.*{message}"):
        plan.estimates()
    with pytest.raises((TypeError, ValueError), match=f"stage 2.*{message}"):
        plan.run("work")
    assert not (table.parent / "work").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"clusters": {"n_clusters": 0}}, r"\[clusters\]: n_clusters must be >= 1, got 0"),
        ({"clusters": {}}, r"\[clusters\]: n_clusters must be given"),
        ({"clusters": {"n_clusters": 2, "groups": "wrod"}}, "did you mean 'word'"),
        ({"clusters": {"n_clusters": 2, "spherical": "yes"}}, "spherical must be True or False"),
        ({"neighbours": {"k": 2, "metric": "cosine"}}, "metric must be that of .neighbours., 'cos"),
        ({"neighbours": {"k": 0}}, r"\[neighbours\]: k must be >= 1"),
        ({"ids": "score"}, "ids must hold ints or strings"),
        ({"embeddings": "word"}, "embeddings must be one of the list columns"),
        ({"export": {"folder": "chosen"}}, "columns must not include 'weight'"),
        (
            {"export": {"folder": "t.parquet/x", "weights": False}},
            "the folder of t.parquet/x must exist",
        ),
    ],
)
def test_what_stages_share_is_checked_too(table, nothing_read, given, message):
    stages = [Stage("cluster_uniform", 9), Stage("d2", 3, columns={"scores": "score"})]
    with pytest.raises((TypeError, ValueError, OSError), match=message):
        SelectionPlan(table, stages, **given).run("work")
    assert not (table.parent / "work").exists()


def test_costs_are_no_count_of_rows(table):
    stage = Stage("top", 10**6, columns={"scores": "score", "costs": "weight"})
    assert SelectionPlan(table, [stage, Stage("k_center", 3)]).estimates()[1]["rows"] == N


def refused(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_the_command_line_reads_nothing_before_it_refuses(table, nothing_read):
    (table.parent / "file").write_text("mine")
    (table.parent / "sub").mkdir()
    top = ["select", "top", table, "--with", "scores=score", "--budget"]
    center = ["select", "k_center", table, "--budget", 3]
    dedup = ["dedup", table, "--threshold", 0.9]
    for words, line in (
        ([*center, "--set", "metric=l1"], "metric must be one of"),
        ([*center, "--set", "robust=2"], "robust must be in"),
        ([*top, 31], "--budget must be in [1, 31), got 31"),
        ([*top, "ten"], "--budget must be a count such as 1000, or a fraction such as 0.1 or 10%"),
        ([*top, "10,000"], "got '10,000': write 10000"),
        ([*top, "1e1"], "got '1e1': write 10"),
        ([*top, "0%"], "--budget must be in (0%, 100%], got '0%'"),
        ([*top, 3, "--set", "ids=url"], "ids must hold a value for each row, got 'url'"),
        (["select", "top", table, "--budget", 3, "--with", "scores=word"], "must hold numbers"),
        ([*center, "--scratch", "file"], "file must be a folder, got a file"),
        ([*center, "--scratch", "file/in"], "file/in must be a folder, got one in a file, /"),
        ([*center, "--scratch", "s.parquet", "--out", "s.parquet"],
         "s.parquet must be a folder of its own, got the path of s.parquet"),
        ([*center, "--scratch", "s.parquet/in", "--out", "s.parquet"], "got the path of s.parq"),
        (["cluster", table, 2, "--scratch", "s.parquet", "--out", "s.parquet"], "got the path of"),
        ([*dedup, "--text", "txt"], "column must be one of"),
        ([*dedup, "--show", -1], "--show must be >= 0, got -1"),
        ([*dedup, "--show", "x"], "--show must be an int, got 'x'"),
        ([*dedup, "--labels", "wrod"], "did you mean 'word'"),
        ([*dedup, "--num-assignments", 7], "--num-assignments must be in [1, 3), got 7"),
        ([*dedup, "--scratch", "subset.parquet"], "got the path of subset.parquet"),
        (["cluster", table, 2, "--labels", "wrod"], "--labels must be one of"),
        (["cluster", table, 2, "--seed", -1], "--seed must be in"),
        (["cluster", "two.parquet", 2], "--embeddings must name one of the columns ['e', 'f']"),
        (["score", "el2n", "two.parquet"], "--values must name one of the columns ['e', 'f']"),
        (["score", "el3n", table], "KIND must be of"),
        (["score", "entropy", table, "--of", "odds"], "--of must be one of 'logits'"),
        (["score", "el2n", table], "--labels must be given for 'el2n'"),
    ):  # fmt: skip
        assert line in refused(*words), words
    assert sorted(path.name for path in table.parent.iterdir()) == [
        "file", "sub", "t.parquet", "two.parquet",
    ]  # fmt: skip


def test_clusters_of_other_rows_are_refused_before_the_table_is_read(table, nothing_read):
    save_clustering(kmeans(RANDOM.normal(size=(7, 2)), 2), "c.parquet")
    words = ["select", "cluster_uniform", table, "--budget", 3, "--clusters", "c.parquet"]
    assert "--clusters must be of all 30 rows, got 7" in refused(*words)


def test_a_method_without_embeddings_reads_none_and_asks_for_no_column(table, monkeypatch):
    monkeypatch.setattr("sampling.io._table.rows_in_memory", None)
    words = ["select", "top", "two.parquet", "--budget", "10%", "--with", "scores=score", "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["kept"] == 3
    assert (
        len(SelectionPlan("two.parquet", [Stage("top", 4, columns={"scores": "score"})]).run("w"))
        == 4
    )


def test_columns_that_no_type_holds_are_refused_before_any_work(table, nothing_read):
    """Of the types of all files, not of the first one."""
    (table.parent / "two").mkdir()
    for name, values in (("a", [1, 2]), ("b", ["x", "y"])):
        columns = {"e": [[0.0, 1.0]] * 2, "s": values, "q": [0.5, 1.0]}
        pq.write_table(pa.table(columns), f"two/{name}.parquet")
    pq.write_table(pa.table({"s": pa.array(["x", "y"]).dictionary_encode()}), "word.parquet")
    line = "'s' must be of one kind in all files, got int64 in two/a.parquet and string in two/b.pa"
    top = ["select", "top", "two", "--budget", 1, "--with"]
    for words in (
        [*top, "scores=s"],
        [*top, "scores=q", "--with", "groups=s"],
        ["dedup", "two", "--threshold", 0.9, "--labels", "s"],
        ["cluster", "two", 2, "--labels", "s"],
    ):
        assert line in refused(*words), words
    words = ["select", "top", "word.parquet", "--budget", 1, "--with", "scores=s"]
    assert "scores must hold numbers, got string in column 's'" in refused(*words)
    for stage in (
        Stage("top", 1, columns={"scores": "s"}),
        Stage("filter", where=[["s", "==", 1]]),
    ):
        with pytest.raises(ValueError, match="stage 1.*'s' must be of one kind in all files"):
            SelectionPlan("two", [stage]).run("work")


def test_scratch_and_tensors_of_a_method_without_embeddings(table, nothing_read):
    safetensors.save_file({"a": np.eye(3), "b": np.eye(3)}, "t.safetensors")
    pq.write_table(pa.table({"score": [1.0, 2.0, 3.0]}), "score.parquet")
    top = ["select", "top", table, "--budget", 3, "--with", "scores=score", "--scratch", "copy"]
    assert "--scratch must be omitted for top, which reads no embeddings" in refused(*top)
    stored = io.open_table("t.safetensors", beside="score.parquet")
    assert stored.size == 3
    center = ["select", "k_center", "t.safetensors", "--budget", 2]
    line = "--embeddings must name one of the tensors ['a', 'b'] of t.safetensors"
    assert line in refused(*center)
    with pytest.raises(ValueError, match="embeddings must name one of the tensors"):
        _ = stored.embeddings
    safetensors.save_file({"a": np.eye(3), "b": np.eye(2)}, "t.safetensors")
    with pytest.raises(ValueError, match="embeddings must name one of the tensors"):
        io.open_table("t.safetensors")  # of as many rows as which?


def test_classes_of_a_pattern_that_leaves_some_out(table):
    rows = RANDOM.normal(size=(N, 12))
    columns = {f"logit_{i}": rows[:, i] for i in range(12)}
    for first, pattern, line in (
        (0, "logit_1?", "got logit_10, logit_11 without 'logit_0'"),
        (0, "logit_?", "without 'logit_10'"),
        (10, "logit_1?", "columns of classes must begin with number 0 or 1, got 'logit_10'"),
    ):
        own = dict(list(columns.items())[first:])
        pq.write_table(pa.table({**own, "y": np.zeros(N, int)}), "logits.parquet")
        words = ["score", "el2n", "logits.parquet", "--values", pattern, "--labels", "y"]
        assert line in refused(*words)
    own = {f"p{i + 1}": rows[:, i] for i in range(3)}
    pq.write_table(pa.table({**own, "y": np.zeros(N, int)}), "one.parquet")
    words = ["score", "el2n", "one.parquet", "--values", "p*", "--labels", "y"]
    assert "classes 0 to 2: p1, p2, p3" in CliRunner().invoke(app, words).stdout
