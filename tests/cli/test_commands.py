"""Commands on files: what they write is what the functions give."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sampling import Selection
from sampling.cli import app
from sampling.clustering import kmeans, load_clustering
from sampling.io import load_scores
from sampling.scores import TrainingDynamics, score_stored
from sampling.selection import cluster_uniform, methods, semdedup

RANDOM = np.random.default_rng(5)
N = 80
FIRST = RANDOM.normal(size=(60, 6))
ROWS = np.concatenate([FIRST, FIRST[:20] + 0.02 * RANDOM.normal(size=(20, 6))]).astype(np.float32)
QUALITY, LABELS = RANDOM.normal(size=N), np.arange(N) % 3


@pytest.fixture
def rows(tmp_path):
    np.save(tmp_path / "rows.npy", ROWS)
    columns = {"quality": QUALITY, "label": LABELS, "text": [f"the text {i}" for i in range(N)]}
    (tmp_path / "corpus").mkdir()
    table = pa.table(columns)
    pq.write_table(table.slice(0, 30), tmp_path / "corpus" / "a.parquet")
    pq.write_table(table.slice(30), tmp_path / "corpus" / "b.parquet", row_group_size=9)
    return tmp_path / "rows.npy"


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def answer_of(*words):
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("words", [["--threshold", "0.98"], ["--budget", "0.8"]])
def test_dedup(rows, words):
    out = rows.with_name("subset.parquet")
    found = answer_of(
        "dedup", rows, *words, "--beside", rows.with_name("corpus"), "--quality", "quality",
        "--text", "text", "--show", 3, "--out", out, "--rule", "greedy", "--num-assignments", 2,
    )  # fmt: skip
    options = {"threshold": 0.98} if words[0] == "--threshold" else {"budget": 0.8}
    options |= {"rule": "greedy", "num_assignments": 2, "quality": QUALITY}
    assert np.array_equal(Selection.load(out).indices, semdedup(ROWS, **options).indices)
    assert len(found["examples"]) == 3
    for pair in found["examples"]:
        assert pair["dropped_text"] == f"the text {pair['dropped']}"
        assert pair["kept_text"] == f"the text {pair['kept']}"
        assert abs(pair["kept"] - pair["dropped"]) == 60  # each copy lies 60 rows on


def test_dedup_within_classes_prints_its_examples(rows):
    out = rows.with_name("subset.parquet")
    result = run(
        "dedup", rows, "--threshold", "0.9", "--beside", rows.with_name("corpus"), "--labels",
        "label", "--text", "text", "--out", out, "--show", 2,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    expected = semdedup(ROWS, threshold=0.9, labels=LABELS)
    assert np.array_equal(Selection.load(out).indices, expected.indices)
    assert f"semdedup kept {len(expected)} of 80 rows" in result.stdout
    assert result.stdout.count("similarity ") == 2
    assert "the text" in result.stdout


def test_clusters_are_made_once_and_used(rows):
    clusters, out = rows.with_name("clusters.parquet"), rows.with_name("subset.parquet")
    facts = answer_of("cluster", rows, 9, "--out", clusters, "--seed", 3, "--iterations", 7)
    expected = kmeans(ROWS, 9, seed=3, n_iter=7)
    assert np.array_equal(load_clustering(clusters).labels, expected.labels)
    assert facts["clusters"] == 9
    assert facts["smallest"] == expected.sizes.min()
    run("select", "cluster_uniform", rows, "--budget", 18, "--clusters", clusters, "--out", out)
    wanted = cluster_uniform(ROWS, 18, clusters=expected)
    assert np.array_equal(Selection.load(out).indices, wanted.indices)
    words = ["--labels", "label", "--beside", rows.with_name("corpus"), "--spherical"]
    result = run("cluster", rows, 9, "--out", clusters, *words)
    assert "80 rows in 9 clusters of" in result.stdout
    grouped = kmeans(ROWS, 9, groups=LABELS, spherical=True)
    assert np.array_equal(load_clustering(clusters).labels, grouped.labels)


def test_scores_of_logits(rows):
    logits, out = RANDOM.normal(size=(N, 3)), rows.with_name("scores.parquet")
    np.save(rows.with_name("logits.npy"), logits)
    np.save(rows.with_name("labels.npy"), LABELS)
    kinds = ["el2n", "margin"]
    expected = score_stored(kinds, logits, LABELS)
    words = ["score", "el2n,margin", rows.with_name("logits.npy"), "--out", out]
    facts = answer_of(*words, "--labels", rows.with_name("labels.npy"))
    assert [each["higher_is"] for each in facts["scores"]] == ["harder", "easier"]
    for kind, score in load_scores(out).items():
        assert np.array_equal(score.values, expected[kind].values)
    corpus = rows.with_name("corpus")  # or the labels are a column
    result = run(*words, "--labels", "label", "--beside", corpus, "--of", "logits")
    assert "margin         higher is easier: " in result.stdout
    assert np.array_equal(load_scores(out)["el2n"].values, expected["el2n"].values)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.save(rows.with_name("shares.npy"), shares)
    words = ["score", "entropy", rows.with_name("shares.npy"), "--of", "probabilities"]
    answer_of(*words, "--out", out)
    expected = score_stored(["entropy"], shares, of="probabilities")
    assert np.array_equal(load_scores(out)["entropy"].values, expected["entropy"].values)


def test_scores_of_a_saved_run(rows):
    dynamics, out = TrainingDynamics(N, 3, fields=("aum",)), rows.with_name("scores.parquet")
    dynamics.update(np.arange(1, N), RANDOM.normal(size=(N - 1, 3)), LABELS[1:])
    dynamics.save(rows.with_name("run.safetensors"))
    words = ["score", "all", rows.with_name("run.safetensors"), "--of", "dynamics", "--out", out]
    result = run(*words)
    assert result.exit_code == 2
    assert "samples must have been presented at least 1 times for aum" in result.stderr
    facts = answer_of(*words, "--missing", "nan")
    assert facts["scores"][0]["scored"] == N - 1
    expected = dynamics.aum(missing="nan").values
    assert np.array_equal(load_scores(out)["aum"].values, expected, equal_nan=True)


def test_from_scores_to_shards(rows):
    """The whole way: select, check, export, and a table that changes in between."""
    folder, subset = rows.with_name("corpus"), rows.with_name("subset.parquet")
    words = ["--budget", "0.25", "--with", "scores=quality", "--out", subset]
    chosen = answer_of("select", "top", folder, *words)
    assert [each["name"] for each in chosen["info"]["inputs"]] == [
        "corpus/a.parquet",
        "corpus/b.parquet",
    ]
    assert answer_of("inspect", subset, "--check", folder) == {"same": True, "changes": []}
    out = rows.with_name("chosen")
    result = run("export", subset, folder, "--out", out, "--rows-per-shard", 8)
    assert result.stdout == f"20 rows in 3 shards\nwritten: {out}\n"
    found = pq.read_table(out)
    rows_of = np.sort(Selection.load(subset).indices)
    assert found["text"].to_pylist() == [f"the text {i}" for i in rows_of]
    again = answer_of("export", subset, folder, "--out", out, "--rows-per-shard", 8)
    assert again["checked"]
    (folder / "b.parquet").write_bytes((folder / "b.parquet").read_bytes()[::-1])
    result = run("inspect", subset, "--check", folder)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["changes"] == ["corpus/b.parquet holds other bytes"]
    pq.write_table(pq.read_table(folder / "a.parquet").slice(0, 29), folder / "a.parquet")
    result = run("export", subset, folder, "--out", rows.with_name("more"))
    assert result.exit_code == 2
    assert not rows.with_name("more").exists()


def test_an_export_from_a_copy_of_which_a_file_has_changed_is_refused(rows):
    folder, subset = rows.with_name("corpus"), rows.with_name("subset.parquet")
    words = ["--budget", 5, "--with", "scores=quality", "--out", subset]
    assert run("select", "top", folder, *words).exit_code == 0
    copy = rows.with_name("copy")
    copy.mkdir()
    for name in ("a.parquet", "b.parquet"):
        (copy / name).write_bytes((folder / name).read_bytes())
    assert run("export", subset, copy, "--out", rows.with_name("same")).exit_code == 0
    table = pq.read_table(copy / "b.parquet")
    pq.write_table(table.take(list(range(len(table)))[::-1]), copy / "b.parquet")
    result = run("export", subset, copy, "--out", rows.with_name("other"))
    assert result.exit_code == 2
    assert "got another: copy/b.parquet h" in result.stderr
    assert not rows.with_name("other").exists()


def test_an_export_without_digests_says_so(rows):
    folder, subset = rows.with_name("corpus"), rows.with_name("subset.parquet")
    words = ["--budget", 5, "--with", "scores=quality", "--out", subset, "--no-digest"]
    assert run("select", "top", folder, *words).exit_code == 0
    result = run("export", subset, folder, "--out", rows.with_name("chosen"), "--columns", "text")
    assert "not checked: the subset file has no digests" in result.stdout
    assert pq.read_table(rows.with_name("chosen")).column_names == ["text"]
    result = run("inspect", subset, "--check", folder)
    assert result.exit_code == 2
    assert "error: selection must hold the digests of its inputs" in result.stderr


def test_methods_as_json():
    assert sorted(answer_of("methods")) == sorted(methods())


@pytest.mark.parametrize("command", ["select", "score", "cluster", "dedup", "inspect", "export",
                                     "methods", "bench", "contracts"])  # fmt: skip
def test_help_shows_an_example_and_debug(command):
    shown = run(command, "--help").output
    assert f"  sampling {command} " in shown or f"sampling\n  {command} " in shown
    assert "--debug" in shown


def test_help_says_the_exit_codes():
    shown = " ".join(run("--help").output.split())
    assert "Exit codes: 0 success; 1 negative result" in shown
    assert "130 interrupted" in shown


def test_select_from_several_files(rows):
    shards = [rows.with_name("corpus") / name for name in ("b.parquet", "a.parquet")]
    out = rows.with_name("subset.parquet")
    words = ["--budget", 5, "--with", "scores=quality", "--out", out]
    answer_of("select", "top", *shards, *words)
    found = Selection.load(out)
    assert np.array_equal(found.indices, np.argsort(-np.roll(QUALITY, -30))[:5])
    assert [each["name"] for each in found.info["inputs"]] == ["b.parquet", "a.parquet"]
