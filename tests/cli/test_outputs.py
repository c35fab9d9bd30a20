"""`--out` and `--work` before any work: what is read or not ours is refused, and so are options
that do nothing."""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import sampling.selection  # noqa: F401  # before `io.open_table` is replaced
from sampling import Selection, io
from sampling.cli import app
from sampling.clustering import kmeans, save_clustering
from sampling.record import Score
from sampling.scores import TrainingDynamics

N = 30
RANDOM = np.random.default_rng(3)
ROWS = RANDOM.normal(size=(N, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Files that are ours where they can be: only that they are read protects them."""
    tmp_path = tmp_path_factory.mktemp("made")
    np.save(tmp_path / "rows.npy", ROWS)
    np.save(tmp_path / "labels.npy", np.arange(N) % 3)
    io.save_scores({"score": Score(ROWS[:, 0], "keep")}, tmp_path / "scores.parquet")
    lists = pa.FixedSizeListArray.from_arrays(pa.array(ROWS.ravel()), 3)
    (tmp_path / "corpus").mkdir()
    pq.write_table(
        pa.table({"x": lists, "kind": np.arange(N) % 3}), tmp_path / "corpus" / "a.parquet"
    )
    save_clustering(kmeans(ROWS, 2, spherical=True), tmp_path / "clusters.parquet")
    io.save_selection(
        Selection(np.arange(N), size=N, method="all"), tmp_path / "all.parquet", dropped=True
    )
    TrainingDynamics(4, 2).save(tmp_path / "run.safetensors")
    (tmp_path / "soft.parquet").symlink_to("scores.parquet")
    (tmp_path / "foreign.parquet").write_bytes(b"mine")
    (tmp_path / "x.centers.parquet").write_bytes(b"mine")
    return tmp_path


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "it", symlinks=True)
    monkeypatch.chdir(tmp_path / "it")
    return tmp_path / "it"


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(folder, *words):
    """Run a command that must be refused, and leave everything as it was."""
    before = contents(folder)
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    assert contents(folder) == before
    return result.stderr


SELECT = ["select", "semdedup", "rows.npy", "--set", "threshold=0.9", "--beside", "scores.parquet",
          "--with", "quality=score", "--clusters", "clusters.parquet"]  # fmt: skip
DEDUP = ["dedup", "rows.npy", "--threshold", "0.9", "--beside", "scores.parquet",
         "--clusters", "clusters.parquet"]  # fmt: skip
SCORE = ["score", "el2n", "rows.npy", "--labels", "labels.npy"]
CLUSTER = ["cluster", "corpus", "2"]
OUTS = {
    "select": (SELECT, ["rows.npy", "scores.parquet", "soft.parquet", "clusters.parquet",
                        "clusters.centers.parquet"]),
    "dedup": (DEDUP, ["corpus/../scores.parquet", "clusters.parquet"]),
    "score": (SCORE, ["rows.npy", "labels.npy"]),
    "score beside": (
        ["score", "margin", "corpus", "--beside", "scores.parquet"], ["scores.parquet"],
    ),
    "dynamics": (["score", "aum", "run.safetensors", "--of", "dynamics"], ["run.safetensors"]),
    "cluster": (CLUSTER, ["corpus/a.parquet", "corpus/new.parquet"]),
    "table": (["select", "top", "all.parquet", "--budget", 3, "--with", "scores=index"],
              ["all.parquet"]),
    "several": (["select", "moderate", "corpus/a.parquet", "--budget", 3], ["corpus/a.parquet"]),
    "dropped": (["select", "top", "all.dropped.parquet", "--budget", 3, "--with", "scores=index"],
                ["all.parquet"]),
}  # fmt: skip


@pytest.mark.parametrize("name", OUTS)
def test_out_over_what_is_read(folder, name, monkeypatch):
    monkeypatch.setattr(io, "open_table", None)  # no work has begun
    words, outs = OUTS[name]
    for out in outs:
        assert "must not be" in refused(folder, *words, "--out", out)


@pytest.mark.parametrize("words", [SELECT, DEDUP, SCORE, CLUSTER], ids=lambda words: words[0])
def test_out_that_is_no_place_for_it(folder, words, monkeypatch):
    monkeypatch.setattr(io, "open_table", None)
    for out, line in (
        ("foreign.parquet", "foreign.parquet must be free or hold"),
        ("new.csv", "must have a suffix of Parquet, such as .parquet"),
        ("new.npy", "must have a suffix of Parquet"),
        ("corpus", "corpus must be a file, got a folder"),
        ("/dev/null", "got a device"),
        ("/dev/stdout", "got a stream"),
        ("absent/new.parquet", "the folder of absent/new.parquet must exist"),
    ):
        assert line in refused(folder, *words, "--out", out)
    if words is CLUSTER:
        assert "x.centers.parquet must be free" in refused(folder, *words, "--out", "x.parquet")


def test_the_matrix_is_refused_before_its_cells_run(folder):
    (folder / "mine.json").write_text("{}")
    assert "mine.json must be free" in refused(folder, "contracts", "--out", "mine.json")


PLAN = """
[read]
table = "{table}"
{more}
[[stage]]
name = "top"
method = "top"
budget = 5
columns = {{ scores = "{column}" }}
"""


def plan(folder, *, table="scores.parquet", column="score", more="", end="", at="plan.toml"):
    text = PLAN.format(table=table, column=column, more=more) + end
    (folder / at).write_text(text)
    return folder / at


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "dry run"])
def test_work_over_what_is_read(folder, dry):
    (folder / "w").mkdir()
    io.save_selection(Selection(np.arange(N), size=N), folder / "w" / "selection.parquet")
    io.save_scores({"a": Score(ROWS[:, 0], "keep")}, folder / "w" / "2-top.parquet")
    for given, work, line in (
        ({"table": "w/selection.parquet", "column": "index"}, "w", "over, got what is read"),
        ({"more": 'beside = ["w/selection.parquet"]'}, "w", "over, got what is read"),
        ({"table": "corpus", "column": "kind"}, "corpus", "must not be"),
        ({"table": "corpus", "column": "kind"}, "corpus/work", "in a folder that is read"),
        ({}, "foreign.parquet", "must be a folder, got a file"),
        ({"table": ".", "column": "score", "at": "./plan.toml"}, "w", "in a folder that is read"),
    ):
        path = plan(folder, **given)
        assert line in refused(folder, "run", path, "--work", work, *dry)


@pytest.mark.parametrize(
    "name",
    ["1-top.parquet", "1-top.dropped.parquet", "selection.parquet", "manifest.json",
     "selection.dropped.parquet", "scratch"],
)  # fmt: skip
def test_work_with_files_of_others(folder, name):
    (folder / "w").mkdir()
    (folder / "w" / name).write_bytes(b"mine")
    assert f"w/{name} must be" in refused(folder, "run", plan(folder), "--work", "w")


def test_the_same_work_folder_can_be_used_again(folder):
    for budget in (5, 6):
        path = plan(folder)
        path.write_text(path.read_text().replace("budget = 5", f"budget = {budget}"))
        done = CliRunner().invoke(app, ["run", str(path), "--work", "w"])
        assert done.exit_code == 0, done.output
        assert len(Selection.load("w/selection.parquet")) == budget


@pytest.mark.parametrize(
    ("export", "line"),
    [
        ('folder = "corpus"', "must not be written over"),
        ('folder = "corpus/chosen"', "in a folder that is read"),
        ('folder = "."', "must have a folder of its own"),
        ('folder = "../it/full"', "must be empty or hold the same export"),
        ('folder = "w"', "must have a folder of its own"),
        ('folder = "w/scratch"', "must have a folder of its own"),
        ('folder = "absent/chosen"', "the folder of"),
        ('folder = "chosen"\norder = "pick"', "order must be one of"),
        ('folder = "chosen"\ncolumns = ["none"]', "none"),
        ("rows_per_shard = 5", "must name a folder"),
    ],
)
def test_an_export_is_refused_before_the_stages(folder, export, line):
    path = plan(folder, table="corpus", column="kind", end=f"\n[export]\n{export}\n")
    (folder / "full").mkdir()
    (folder / "full" / "a.txt").write_text("mine")
    assert line in refused(folder, "run", path, "--work", "w")
    assert not (folder / "w").exists()


def test_names_of_stages_are_names_of_files(folder):
    path = plan(folder)
    path.write_text(path.read_text().replace('name = "top"', 'name = "../../top"'))
    line = refused(folder, "run", path, "--work", "w", "--dry-run")
    assert "name must be a valid file name, got '../../top'" in line


# ---------------------------------------------------------------------- options that do nothing


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["bench", "--data-dir", "/nonexistent"], "--data-dir must be omitted for digits"),
        (["bench", "--methods", "full", "--without", "full-fewer,random,dynamic-random,rs2",
          "--keep", "0.5"], "--keep must be omitted where no"),
        (["bench", "--seeds", "2", "--margin", "1", "--out", "r"], "--margin must be omitted"),
        (["bench", "--list", "--seeds", "3"], "--seeds must be omitted with --list"),
        (["rethreshold", "s.parquet", 0.9, "--embeddings", "x"], "--embeddings must be omitted"),
        (["dedup", "rows.npy", "--threshold", 0.9, "--show", 0, "--text", "t"], "--text must be"),
        (["score", "aum", "run.safetensors", "--of", "dynamics", "--labels", "labels.npy"],
         "--labels must be omitted with --of dynamics"),
        (["score", "aum", "run.safetensors", "--of", "dynamics", "--values", "x"], "--values must"),
        (["score", "aum", "run.safetensors", "--of", "dynamics", "--beside", "scores.parquet"],
         "--beside must be"),
        (["score", "margin", "rows.npy", "--values", "x"], "--values must be omitted for a .npy"),
        (["cluster", "rows.npy", 2, "--beside", "scores.parquet"], "--beside must be omitted"),
        (["score", "margin", "rows.npy", "--missing", "raise"], "--missing must be omitted"),
        (["score", "entropy", "rows.npy", "--labels", "labels.npy"], "labels must be omitted"),
        (["select", "moderate", "rows.npy", "--budget", 3, "--embeddings", "x"],
         "--embeddings must be omitted for a .npy file"),
        (["select", "moderate", "rows.npy", "--budget", 3, "--scratch", "s"],
         "scratch must be omitted for one .npy"),
        (["select", "top", "scores.parquet", "--budget", 3, "--with", "scores=score", "--scratch",
          "s"], "--scratch must be omitted for top, which reads no embeddings"),
        (["cluster", "rows.npy", 2, "--scratch", "s"], "scratch must be omitted"),
        ([*SELECT, "--set", "seed=1", "--seed", 2], "--seed must be omitted with --set seed="),
        ([*SELECT, "--set", "clusters=2"], "--clusters must be omitted with --set clusters="),
        ([*SELECT, "--set", "quality=2"], "quality must be a column or a setting, got both"),
    ],
)  # fmt: skip
def test_an_option_that_does_nothing(folder, words, line):
    assert line in refused(folder, *words)
    assert not (folder / "s").exists()


def test_a_seed_among_the_settings_is_used(folder):
    words = "select gumbel scores.parquet --budget 5 --with scores=score --json --out"
    for seed in ("--set seed=7 a.parquet", "--seed 7 b.parquet"):
        *option, out = seed.split()
        result = CliRunner().invoke(app, [*words.split(), out, *option])
        assert result.exit_code == 0, result.output
        assert '"seed": 7' in result.stdout
    assert (Selection.load("a.parquet").indices == Selection.load("b.parquet").indices).all()


@pytest.mark.parametrize(
    ("given", "what"), [("[clusters]\nn_clusters = 2\n", "clusters"),
                        ("[neighbours]\nk = 2\n", "neighbours")]
)  # fmt: skip
def test_what_no_stage_of_a_plan_takes(folder, given, what):
    path = plan(folder, end=f"\n{given}")
    line = refused(folder, "run", path, "--work", "w", "--dry-run")
    drop = folder / "drop.toml"
    drop.write_text(
        '[read]\ntable = "scores.parquet"\non_bad = "drop"\n'
        '[[stage]]\nmethod = "filter"\nwhere = [["score", ">", 0.0]]\n'
    )
    for dry in ([], ["--dry-run"]):
        assert "on_bad must be omitted" in refused(folder, "run", drop, "--work", "v", *dry)
    assert f"[{what}] must be omitted if no stage takes" in line
