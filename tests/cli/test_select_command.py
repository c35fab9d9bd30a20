"""The command line over a table on disk."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sampling import Selection
from sampling.cli import app
from sampling.io import open_table
from sampling.selection import methods, select_from, semdedup, top

RANDOM = np.random.default_rng(2)
N = 60
ROWS = RANDOM.normal(size=(N, 4)).astype(np.float32)
QUALITY = RANDOM.normal(size=N)


@pytest.fixture
def table(tmp_path):
    flat = pa.FixedSizeListArray.from_arrays(pa.array(ROWS.ravel()), 4)
    names = [f"n{i}" for i in range(N)]
    labels = np.arange(N) % 3
    columns = {"embedding": flat, "quality": QUALITY, "name": names, "label": labels}
    pq.write_table(pa.table(columns), tmp_path / "corpus.parquet")
    return tmp_path / "corpus.parquet"


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_selection_from_columns(table):
    out = table.with_name("subset.parquet")
    result = run(
        "select", "top", table, "--budget", "0.1", "--out", out, "--with", "scores=quality",
        "--with", "ids=name", "--with", "groups=label", "--dropped",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "top kept 6 of 60 rows" in result.output
    found = Selection.load(out)
    expected = top(QUALITY, 6, ids=[f"n{i}" for i in range(N)], groups=np.arange(N) % 3)
    assert np.array_equal(found.indices, expected.indices)
    row = int(np.argmin(QUALITY))
    result = run("explain", out, "--row", row, "--json")
    assert json.loads(result.output)["rule"] == "beyond the budget"
    assert json.loads(run("inspect", out).output)["kept"] == 6


def test_a_selection_from_embeddings(table):
    out = table.with_name("subset.parquet")
    result = run(
        "select", "semdedup", table, "--set", "threshold=0.9", "--with", "quality=quality",
        "--set", "clusters=2", "--out", out, "--json", "--seed", 3,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["arguments"]["threshold"] == 0.9
    expected = semdedup(ROWS, threshold=0.9, quality=QUALITY, clusters=2, seed=3)
    assert np.array_equal(Selection.load(out).indices, expected.indices)


def test_the_list_of_methods(monkeypatch):
    """It fits the terminal, and says what each does; letters are defined where they are used."""
    monkeypatch.setenv("COLUMNS", "80")
    result = run("methods")
    assert result.exit_code == 0
    assert all(name in result.output for name in methods())
    assert max(map(len, result.output.splitlines())) <= 80
    words = set(result.output.split())
    assert all(set(each.summary.replace("`", "").split()) <= words for each in methods().values())
    for command in ("methods", "select"):
        text = " ".join(run(command, "--help").output.split())
        for letter in ("N", "M", "D dimensions", "K clusters", "C classes"):
            assert f" {letter} " in text.replace(",", " ").replace(".", " "), (command, letter)
    known = json.loads(run("methods", "--json").output)
    assert known["ccs"] == {
        "summary": methods()["ccs"].summary, "needs": "scores", "label": "for replication",
        "ranked": False, "time": "O(N log N)", "memory": "72 N bytes", "weights": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nope"], "method must be one of"),
        (["top", "--budget", "3"], "top needs scores: name a column, scores=COLUMN, one of"),
        (["top", "--budget", "61", "--with", "scores=quality"], r"--budget must be in \[1, 61\)"),
        (
            ["top", "--budget", "x", "--with", "scores=quality"],
            "--budget must be a count such as 1000, or a fraction .*, got 'x'",
        ),
        (["top", "--budget", "3", "--with", "scores"], "--with must be NAME=VALUE, got 'scores'"),
        (["top", "--budget", "3", "--with", "scores=q"], "column must be one of .*, got 'q'"),
        (["top", "--budget", "3", "--set", "size=1"], "top has no argument 'size', only scores"),
        (["top", "--budget", "3", "--with", "scores=name"], "scores must hold numbers"),
        (["ccs", "--with", "scores=quality"], "--budget must be given, a count or a fraction"),
    ],
)
def test_one_line_and_exit_code_2(table, words, message):
    method, *rest = words
    result = run("select", method, table, "--out", table.with_name("subset.parquet"), *rest)
    assert result.exit_code == 2
    import re

    assert re.search(message, " ".join(result.output.split()))
    assert "Traceback" not in result.output
    assert not table.with_name("subset.parquet").exists()


def test_debug_shows_where(table):
    result = run("select", "nope", table, "--debug")
    assert isinstance(result.exception, ValueError)


def test_names_that_match_need_no_mention(tmp_path):
    pq.write_table(pa.table({"scores": QUALITY}), tmp_path / "scores.parquet")
    opened = open_table(tmp_path / "scores.parquet")
    assert np.array_equal(select_from(opened, "top", 5).indices, top(QUALITY, 5).indices)
    with pytest.raises(TypeError, match="top has no argument 'budget'"):
        select_from(opened, "top", 5, settings={"budget": 3})
    with pytest.raises(ValueError, match="moderate needs embeddings, got none in"):
        select_from(opened, "moderate", 5)


@pytest.mark.parametrize("kind", [int, str])
def test_an_id_that_reads_as_a_row_number(tmp_path, kind):
    ids = [kind(each) for each in (5, 4, 2, 70, 1, 0)]
    pq.write_table(pa.table({"id": ids, "q": [1.0, 6, 3, 4, 5, 2]}), tmp_path / "t.parquet")
    words = ["select", "top", tmp_path / "t.parquet", "--budget", 3, "--with", "scores=q"]
    out = tmp_path / "s.parquet"
    result = run(*words, "--with", "ids=id", "--dropped", "--out", out)
    assert result.exit_code == 0, result.stderr
    for option, text, row in (("--row", 0, 0), ("--id", 0, 5), ("--id", 70, 3), ("--row", 3, 3)):
        result = run("explain", out, option, text, "--json")
        facts = json.loads(result.stdout)
        assert (facts["row"], facts["id"]) == (row, ids[row])
    for words, line in (
        (["--row", "x"], "--row must be an int, got 'x'"),
        (["--row", 6], "--row must be in [0, 6), got 6"),
        (["--id", "x"], "--id must be the id of one of 6 rows, got 'x'"),
        ([], "--id must be given, or --row instead of it, got neither"),
        (["--row", 1, "--id", 1], "--id must be given, or --row instead of it, got both"),
    ):
        assert line in run("explain", out, *words).stderr


def test_a_dash_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"q": [1.0, 6.0]}), "t.parquet")
    words = ["--budget", 1, "--with", "scores=q"]
    result = run("select", "top", "t.parquet", *words, "--out", "-")
    assert result.exit_code == 2
    assert "--out must be a file or a folder, got '-'" in result.stderr
    assert run("select", "top", "-", *words).exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]
