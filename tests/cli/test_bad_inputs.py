"""What is wrong with an input is one line and exit code 2; nothing half-written, old files kept."""

import ctypes
import json
import os
import resource
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sampling import Selection, io
from sampling.cli import app
from sampling.scores import TrainingDynamics

N = 40
RANDOM = np.random.default_rng(1)
ROWS = RANDOM.normal(size=(N, 3)).astype(np.float32)
SCORES = RANDOM.normal(size=N)
OLD = Selection(np.array([7, 3]), method="the old file")


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "rows.npy", ROWS)
    pq.write_table(pa.table({"score": SCORES, "id": np.arange(N)}), tmp_path / "table.parquet")
    (tmp_path / "out").mkdir()
    io.save_selection(OLD, tmp_path / "out" / "subset.parquet")
    return tmp_path


def refused(folder, *words):
    """Run a command that must be refused; return its line."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    kept = Selection.load(folder / "out" / "subset.parquet")
    assert kept.indices.tolist() == OLD.indices.tolist()
    assert [path.name for path in (folder / "out").iterdir()] == ["subset.parquet"]
    return result.stderr


def select(folder, *words, method="top", table="table.parquet", budget=5):
    out = folder / "out" / "subset.parquet"
    named = any(str(word).startswith("scores=") for word in words)
    scores = ["--with", "scores=score"] if method == "top" and not named else []
    return refused(
        folder, "select", method, folder / table, "--budget", budget, "--out", out, *scores, *words
    )


@pytest.mark.parametrize("name", ["rows.npy", "table.parquet"])
@pytest.mark.parametrize("command", ["select", "cluster", "dedup", "score"])
def test_a_file_cut_short(folder, name, command):
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    kind = "subset" if command in {"select", "dedup"} else command
    out = ["--out", folder / "out" / f"{kind}.parquet"]
    words = {
        "select": ["moderate", folder / name, "--budget", 3],
        "cluster": [folder / name, 2],
        "dedup": [folder / name, "--threshold", 0.9],
        "score": ["entropy", folder / name],
    }[command]
    assert f"{name} must be a whole" in refused(folder, command, *words, *out)


@pytest.mark.filterwarnings("always")
def test_a_warning_is_one_line(folder):
    np.save(folder / "few.npy", np.eye(20))
    words = ["cluster", folder / "few.npy", 50, "--out", folder / "few.parquet"]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("warning: ")
    assert "UserWarning" not in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_subset_file_cut_short(folder):
    whole = (folder / "table.parquet").read_bytes()
    (folder / "half.parquet").write_bytes(whole[:-5])
    words = [folder / "half.parquet", folder / "table.parquet", "--out", folder / "chosen"]
    assert "half.parquet must be a whole Parquet file" in refused(folder, "export", *words)
    assert "half.parquet must be a whole" in refused(folder, "inspect", folder / "half.parquet")
    line = "table.parquet must be a subset file, of Selection.save, `sampling select` or"
    assert line in refused(folder, "inspect", folder / "table.parquet")
    assert "nope.parquet must exist" in refused(folder, "inspect", folder / "nope.parquet")
    assert not (folder / "chosen").exists()


def test_files_of_another_kind_are_named_in_the_users_words(folder):
    words = ["score", "entropy", folder / "rows.npy", "--out", folder / "s.parquet"]
    assert CliRunner().invoke(app, [str(each) for each in words]).exit_code == 0
    line = refused(folder, "inspect", folder / "s.parquet")
    assert "s.parquet must be a subset file, of Selection.save" in line and "'entropy'" in line
    own = folder / "s.parquet"
    line = select(folder, "--clusters", own, method="d4", table="rows.npy")
    assert "must be a file of clusters, of save_clustering or `sampling cluster`" in line
    line = select(folder, "--clusters", own, method="k_center", table="rows.npy")
    assert "--clusters must be omitted for k_center, which uses none" in line
    assert "--with must name each argument once, got 'ids' again" in select(
        folder, "--with", "ids=id", "--with", "ids=id"
    )
    words = ["all", folder / "rows.npy", "--of", "dynamics", "--out", folder / "d.parquet"]
    assert "rows.npy must be a whole file of TrainingDynamics.save" in refused(
        folder, "score", *words
    )


@pytest.mark.filterwarnings("always")
def test_a_dropped_row_of_a_file_without_the_dropped_ones(folder):
    words = ["select", "top", folder / "table.parquet", "--budget", "5", "--with", "scores=score"]
    words += ["--with", "ids=id", "--out", folder / "s.parquet"]
    row = int(np.argmin(SCORES))
    for more, known in (([], False), (["--dropped"], True)):
        assert CliRunner().invoke(app, [str(each) for each in [*words, *more]]).exit_code == 0
        shown = CliRunner().invoke(
            app, ["explain", str(folder / "s.parquet"), "--row", f"{row}", "--json"]
        )
        assert shown.exit_code == 0
        assert ("was written without --dropped" in shown.stderr) is not known
        assert json.loads(shown.stdout)["rule"] == ("beyond the budget" if known else "dropped")
    assert CliRunner().invoke(app, [str(each) for each in words]).exit_code == 0
    line = refused(folder, "explain", folder / "s.parquet", "--id", row)
    assert "has the ids of dropped rows if it was written with --dropped" in line


def test_objects_are_not_unpickled(folder):
    np.save(folder / "rows.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    assert "rows.npy must be a whole .npy file" in select(
        folder, method="moderate", table="rows.npy"
    )


def test_an_unknown_column_and_the_likely_one(folder):
    assert "got 'scor': did you mean 'score'?" in select(folder, "--with", "scores=scor")
    assert "has no argument 'id', only" in select(folder, "--with", "id=id")
    assert "did you mean 'top'?" in select(folder, method="topp")


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (0, "--budget must be in [1, 41), got 0"),
        (41, "--budget must be in [1, 41), got 41"),
        ("0.0", "--budget must be in (0, 1], got 0.0"),
        ("1.5", "--budget must be in (0, 1], got 1.5"),
        (-3, "--budget must be in [1, 41), got -3"),
        (
            "nan",
            "--budget must be a count such as 1000, or a fraction such as 0.1 or 10%, got 'nan'",
        ),
    ],
)
def test_budgets_out_of_range(folder, budget, message):
    assert message in select(folder, budget=budget)


def test_a_row_that_is_no_number_is_named(folder):
    bad = ROWS.copy()
    bad[17, 1] = np.nan
    np.save(folder / "rows.npy", bad)
    assert "got nan in row 17" in select(folder, method="moderate", table="rows.npy")
    scores = SCORES.copy()
    scores[9] = np.inf
    pq.write_table(pa.table({"score": scores}), folder / "table.parquet")
    assert "scores must be finite, got inf in row 9" in select(folder)
    missing = [None if i == 4 else float(i) for i in range(N)]
    pq.write_table(pa.table({"score": missing}), folder / "table.parquet")
    assert "score must have a value in each row, got a missing one in row 4" in select(folder)


def test_tables_of_other_lengths(folder):
    pq.write_table(pa.table({"quality": SCORES[1:]}), folder / "more.parquet")
    words = ["--beside", folder / "more.parquet", "--with", "quality=quality"]
    line = select(folder, *words, method="semdedup", table="rows.npy")
    assert "more.parquet must have 40 rows, as " in line
    assert "rows.npy, got 39: row i of both is the same sample" in line
    found = Selection(np.arange(3), size=N + 1)
    io.save_selection(found, folder / "s.parquet")
    words = [folder / "s.parquet", folder / "table.parquet", "--out", folder / "chosen"]
    assert "INPUT must have 41 rows, got 40" in refused(folder, "export", *words)
    clusters = folder / "clusters.parquet"
    np.save(folder / "few.npy", ROWS[:20])
    CliRunner().invoke(app, ["cluster", str(folder / "few.npy"), "2", "--out", str(clusters)])
    line = select(folder, "--clusters", clusters, method="cluster_uniform", table="rows.npy")
    assert "--clusters must be of all 40 rows, got 20" in line


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (ROWS, ROWS[:, :2], "must hold lists of 3 numbers, got 2 in"),
        (ROWS[:0], ROWS[:0], "must not be empty"),
    ],
)
def test_shards_that_do_not_fit(folder, first, second, message):
    (folder / "shards").mkdir()
    for name, rows in (("a", first), ("b", second)):
        flat = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
        pq.write_table(pa.table({"e": flat}), folder / "shards" / f"{name}.parquet")
    assert message in select(folder, method="moderate", table="shards")


def test_an_empty_shard_counts_nothing(folder):
    (folder / "shards").mkdir()
    for name, part in (("a", SCORES[:0]), ("b", SCORES)):
        pq.write_table(pa.table({"score": part}), folder / "shards" / f"{name}.parquet")
    out = folder / "subset.parquet"
    words = ["select", "top", folder / "shards", "--budget", 3, "--with", "scores=score"]
    done = CliRunner().invoke(app, [str(word) for word in [*words, "--out", out]])
    assert done.exit_code == 0, done.output
    assert Selection.load(out).indices.tolist() == np.argsort(-SCORES)[:3].tolist()


def test_ids(folder):
    twice = np.arange(N)
    twice[7] = 3
    pq.write_table(pa.table({"score": SCORES, "id": twice}), folder / "table.parquet")
    assert "ids must hold no name twice, got 3 again in row 7" in select(folder, "--with", "ids=id")
    large = np.arange(N) + 2**31 + 2**40
    pq.write_table(pa.table({"score": SCORES, "id": large}), folder / "table.parquet")
    out = folder / "subset.parquet"
    words = ["select", "top", folder / "table.parquet", "--budget", 3, "--with", "scores=score"]
    words += ["--with", "ids=id", "--out", out]
    assert CliRunner().invoke(app, [str(word) for word in words]).exit_code == 0
    found = Selection.load(out)
    assert found.ids.tolist() == large[found.indices].tolist()


def test_numbers_that_are_none(folder):
    rows = folder / "rows.npy"
    for words, line in (
        (["cluster", rows, "x"], "K must be an int, got 'x'"),
        (["cluster", rows, 0], "K must be >= 1, got 0"),
        (["cluster", rows, 2, "--iterations", 0], "--iterations must be >= 1, got 0"),
        (["dedup", rows], "either budget or threshold must be given, got neither"),
        (["dedup", rows, "--threshold", 2], "--threshold must be in [-1, 1], got 2.0"),
        (["dedup", rows, "--threshold", 0.9, "--num-assignments", 3], "must be in [1, 3), got 3"),
        (["score", "el2n", rows], "labels must be given for 'el2n'"),
        (["score", "el2", rows], "did you mean 'el2n'?"),
        (["score", "entropy", rows, "--of", "odds"], "of must be one of"),
        (["cluster", folder / "table.parquet", 2], "kmeans needs embeddings, got none in"),
    ):
        name = "subset" if words[0] == "dedup" else words[0]
        assert line in refused(folder, *words, "--out", folder / "out" / f"{name}.parquet")


def test_debug_shows_where(folder):
    for words in (["export", "x", "y", "--out", "z"], ["dedup", "x"], ["score", "x", "y"],
                  ["cluster", "x", "2"], ["inspect", "x"], ["bench", "cifar"],
                  ["contracts", "--workers", "x"]):  # fmt: skip
        result = CliRunner().invoke(app, [*words, "--debug"])
        assert isinstance(result.exception, ValueError | OSError), words


def test_interrupted_it_says_so(folder, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(io, "open_table", interrupt)
    result = CliRunner().invoke(app, ["cluster", str(folder / "rows.npy"), "2"])
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


def test_what_was_not_foreseen_is_one_line_too(folder, monkeypatch):
    def lost(*args, **kwargs):
        raise KeyError("lost")

    monkeypatch.setattr(io, "open_table", lost)
    line = select(folder)
    assert line == "error: unexpected KeyError: 'lost' (--debug shows the traceback)\n"


# ---- of the system


@contextmanager
def small_files():
    """No file may grow over 64 KiB: what a full disk looks like to the one who writes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("command", ["select", "cluster", "score", "export"])
def test_a_full_disk_leaves_the_old_file(folder, command):
    size = 30_000
    noise = np.random.default_rng(0).normal(size=(size, 2))
    np.save(folder / "rows.npy", noise)
    kind = "subset" if command == "select" else command
    table, out = folder / "table.parquet", folder / "out" / f"{kind}.parquet"
    pq.write_table(pa.table({"score": noise[:, 0]}), table)
    io.save_selection(Selection(np.arange(size), size=size), folder / "s.parquet")
    words = {
        "select": ["bottom", table, "--budget", size, "--with", "scores=score", "--out", out],
        "cluster": [folder / "rows.npy", 2, "--iterations", 1, "--out", out],
        "score": ["entropy", folder / "rows.npy", "--out", out],
        "export": [folder / "s.parquet", table, "--out", folder / "chosen"],
    }[command]
    with small_files():
        line = refused(folder, command, *words)
    assert "File too large" in line
    assert str(folder / "chosen" if command == "export" else out) in line
    if command == "export":
        assert list((folder / "chosen").iterdir()) == []


def like_a_user():
    """Root may write anywhere; without this capability (1) it is held to the folder's mode."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(24, 1)


@pytest.mark.slow
def test_a_folder_that_may_not_be_written_to(folder):
    io.save_selection(Selection(np.arange(3), size=N), folder / "s.parquet")
    (folder / "out").chmod(0o555)
    words = ["export", folder / "s.parquet", folder / "table.parquet"]
    done = subprocess.run(
        [sys.executable, "-m", "sampling", *words, "--out", folder / "out" / "chosen"],
        capture_output=True,
        text=True,
        preexec_fn=like_a_user,
    )
    (folder / "out").chmod(0o755)
    assert done.returncode == 2, done.stderr
    assert "Permission denied" in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in (folder / "out").iterdir()] == ["subset.parquet"]


def test_dedup_drops_bad_rows(folder):
    rows = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    rows[3] = np.nan
    np.save(folder / "bad.npy", rows)
    given = (
        "dedup",
        str(folder / "bad.npy"),
        "--threshold",
        "0.9",
        "--out",
        str(folder / "o.parquet"),
    )
    assert "pass --on-bad drop" in refused(folder, *given)
    done = CliRunner().invoke(app, [*given, "--on-bad", "drop", "--json"])
    assert json.loads(done.output)["rules"]["a value that is not finite"] == 1


def test_a_file_of_training_dynamics_is_scored_as_one(folder):
    dynamics = TrainingDynamics(4, 3)
    dynamics.save(folder / "dyn.safetensors")
    said = refused(folder, "score", "confidence", str(folder / "dyn.safetensors"))
    assert "sampling score --of dynamics" in said
    said = refused(folder, "score", "confidence", folder / "dyn.safetensors", "--of", "dynamics")
    assert "--missing nan gives them" in said
