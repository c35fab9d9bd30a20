"""Plans over embeddings with Parquet beside them: what is exported, checked and refused early."""

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sampling.cli import app
from sampling.io import changes, export_rows, load_selection, open_table, shape_of, with_inputs
from sampling.selection import SelectionPlan, Stage

N = 20
ROWS = np.random.default_rng(0).normal(size=(N, 2)).astype(np.float32)


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def folder(tmp_path):
    """rows.npy, a corpus of two shards beside it, and scores in a third file."""
    np.save(tmp_path / "rows.npy", ROWS)
    (tmp_path / "corpus").mkdir()
    for name, part in (("a", range(12)), ("b", range(12, N))):
        texts = {"text": [f"t{i}" for i in part], "id": list(part)}
        pq.write_table(pa.table(texts), tmp_path / "corpus" / f"{name}.parquet")
    scores = {"q": np.arange(N) / N, "__index_level_0__": np.arange(N)}
    pq.write_table(pa.table(scores), tmp_path / "scores.parquet", row_group_size=7)
    return tmp_path


TEXT = """
[read]
table = "rows.npy"
beside = "corpus"
[[stage]]
method = "k_center"
budget = 5
[export]
folder = "chosen"
"""


def plan(folder, text=TEXT, *changed):
    for old, new in changed:
        text = text.replace(old, new)
    (folder / "plan.toml").write_text(text)
    return folder / "plan.toml"


def test_the_parquet_beside_is_exported_and_checked(folder):
    path = plan(folder)
    assert run("run", path, "--dry-run").exit_code == 0
    result = run("run", path)
    assert result.exit_code == 0, result.output
    subset = folder / "plan" / "selection.parquet"
    found = load_selection(subset)
    chosen = [f"t{i}" for i in np.sort(found.indices)]
    assert pq.read_table(folder / "chosen")["text"].to_pylist() == chosen
    facts = json.loads((folder / "chosen" / "_export.json").read_text())
    assert facts["checked"]
    assert [each["name"] for each in facts["sources"]] == ["corpus/a.parquet", "corpus/b.parquet"]
    for table in ("rows.npy", "corpus"):
        assert changes(found, folder / table) == []
    result = run("export", subset, folder / "corpus", "--out", folder / "again", "--json")
    assert json.loads(result.stdout)["checked"]
    pq.write_table(pa.table({"text": ["new"] * 8, "id": range(8)}), folder / "corpus/b.parquet")
    result = run("export", subset, folder / "corpus", "--out", folder / "third")
    assert "INPUT must be the table that was selected from, got another: " in result.stderr


@pytest.mark.parametrize("order", ["rows", "picks"])
def test_columns_of_several_files_beside(folder, order):
    several = 'beside = ["corpus", "scores.parquet"]'
    columns = f'folder = "chosen"\ncolumns = ["q", "text"]\nrows_per_shard = 2\norder = "{order}"'
    path = plan(folder, TEXT, ('beside = "corpus"', several), ('folder = "chosen"', columns))
    assert run("run", path).exit_code == 0
    found = load_selection(folder / "plan" / "selection.parquet").indices
    rows = found if order == "picks" else np.sort(found)
    table = pq.read_table(folder / "chosen")
    assert table.column_names == ["text", "q"]
    assert table["text"].to_pylist() == [f"t{i}" for i in rows]
    assert table["q"].to_pylist() == (rows / N).tolist()


def test_columns_beside_a_table_of_parquet(folder):
    """By default those of the table; others where they are named."""
    stage = Stage("top", 3, columns={"scores": "q"})
    given = {"table": folder / "corpus", "beside": str(folder / "scores.parquet")}
    SelectionPlan(stages=[stage], export={"folder": folder / "out"}, **given).run(folder / "work")
    assert pq.read_table(folder / "out").column_names == ["text", "id"]
    export = {"folder": folder / "more", "columns": "q"}
    SelectionPlan(stages=[stage], export=export, **given).run(folder / "work")
    assert pq.read_table(folder / "more").column_names == ["q"]
    words = [
        "export",
        folder / "work" / "selection.parquet",
        folder / "corpus",
        "--columns",
        "id,q",
    ]
    result = run(*words, "--beside", folder / "scores.parquet", "--out", folder / "cli")
    assert result.exit_code == 0, result.output
    assert pq.read_table(folder / "cli").to_pylist()[0] == {"id": 17, "q": 0.85}


WRONG = [
    (('"corpus"', '["corpus", "more.parquet"]'), "'id' must be one column, got it in .*a.parquet"),
    (('"corpus"', '"short.parquet"'), r"short.parquet must have 20 rows, as .*, got 1: row i"),
    (('"corpus"', '"weight.parquet"'), "columns must not include 'weight' if the selection's"),
    (('"corpus"', '"mixed"'), "'x' must be of one kind in all files, got int64 in .* and string"),
    (('"chosen"', '"chosen"\nbeside = "more.parquet"'), r"\[export\] must hold .*, got 'beside'"),
    (('"chosen"', '"chosen"\ncolumns = ["txt"]'), "columns must be of .*: did you mean 'text'?"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "dry run"])
def test_what_cannot_be_exported_is_refused_before_any_work(folder, change, message, dry):
    pq.write_table(pa.table({"id": range(N)}), folder / "more.parquet")
    pq.write_table(pa.table({"x": [1]}), folder / "short.parquet")
    pq.write_table(pa.table({"weight": np.ones(N)}), folder / "weight.parquet")
    (folder / "mixed").mkdir()
    for name, values in (("a", [1] * 12), ("b", ["x"] * 8)):
        pq.write_table(pa.table({"x": values}), folder / "mixed" / f"{name}.parquet")
    path = plan(folder, TEXT, change, ("k_center", "leverage"))
    result = run("run", path, *dry)
    assert result.exit_code == 2
    assert re.search(message, result.stderr), result.stderr
    assert not list((folder / "plan").glob("*-*.parquet"))


def test_a_path_alone_is_a_list_of_one(folder):
    more = folder / "scores.parquet"
    for given in (more, str(more), [more]):
        assert open_table(folder / "rows.npy", beside=given).column("q")[2] == 0.1
        assert shape_of(folder / "rows.npy", beside=given)[2] == ("q", "__index_level_0__")
    for given in (3, [3]):
        with pytest.raises(TypeError, match="beside must "):
            open_table(folder / "rows.npy", beside=given)
    found = SelectionPlan(folder / "rows.npy", [Stage("k_center", 3)]).run(folder / "work")
    noted = with_inputs(found, folder / "rows.npy", str(more))
    assert [each[0]["name"] for each in noted.info["beside"]] == ["scores.parquet"]
    done = export_rows(found, folder / "rows.npy", folder / "out", beside=more, columns="q")
    assert done["columns"] == ["q"]
