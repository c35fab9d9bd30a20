"""`sampling dedup-text`, and stages of a plan: what they write is what the function gives."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sampling import Selection
from sampling.cli import app
from sampling.io import with_inputs
from sampling.selection import SelectionPlan, Stage, dedup_text

WORDS = "red green blue grey pink gold lime teal".split()
RANDOM = np.random.default_rng(0)
TEXTS = [" ".join(RANDOM.choice(WORDS, 6)) for _ in range(40)]
TEXTS += [text.upper() for text in TEXTS[:5]] + [text + "." for text in TEXTS[5:15]]
N = len(TEXTS)
QUALITY = RANDOM.random(N)


@pytest.fixture
def corpus(tmp_path):
    columns = {"body": TEXTS, "quality": QUALITY, "number": np.arange(N)}
    columns |= {"url": [f"u{i}" for i in range(N)], "language": ["en", "de"] * (N // 2) + ["en"]}
    table = pa.table(columns)
    (tmp_path / "corpus").mkdir()
    pq.write_table(table.slice(0, 30), tmp_path / "corpus" / "a.parquet")
    pq.write_table(table.slice(30), tmp_path / "corpus" / "b.parquet")
    return tmp_path / "corpus"


def run(*words):
    return CliRunner().invoke(app, ["dedup-text", *(str(word) for word in words)])


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ([], {}),
        (["--threshold", 0.7, "--keep", "first"], {"threshold": 0.7, "keep": "first"}),
        (["--exact", "--normalize", "none"], {"exact": True, "normalize": "none"}),
        (["--quality", "quality", "--rule", "components"],
         {"quality": QUALITY, "rule": "components"}),
        (["--num-bands", 30, "--band-size", 2, "--ngram", 2, "--budget", "0.5"],
         {"num_bands": 30, "band_size": 2, "ngram": 2, "budget": 0.5}),
        (["--labels", "language"], {"labels": (["en", "de"] * N)[:N]}),
        (["--ids", "url", "--seed", 4], {"ids": [f"u{i}" for i in range(N)], "seed": 4}),
    ],
)  # fmt: skip
def test_the_command_writes_what_the_function_gives(corpus, words, options):
    out = corpus.with_name("subset.parquet")
    result = run(corpus, "--text", "body", "--out", out, *words)
    assert result.exit_code == 0, result.output
    assert np.array_equal(Selection.load(out).indices, dedup_text(TEXTS, **options).indices)


def test_it_selects_among_the_rows_of_a_subset_of_a_table_named_by_a_pattern(corpus, monkeypatch):
    monkeypatch.chdir(corpus.parent)
    some, out = corpus.with_name("some.parquet"), corpus.with_name("subset.parquet")
    first = ["filter", "corpus", "--where", "number >= 3", "--out", str(some)]
    assert CliRunner().invoke(app, first).exit_code == 0
    words = ("corpus/*.parquet", "--text", "body", "--out", out, "--within", some, "--dropped")
    result = run(*words, "--keep", "first", "--json")
    assert result.exit_code == 0, result.output
    found, rows = Selection.load(out), np.arange(3, N)
    wanted = dedup_text(TEXTS[3:], keep="first")
    assert found.indices.tolist() == rows[wanted.indices].tolist()
    gone = np.flatnonzero(wanted.kept_rows >= 0)
    assert found.kept_rows[rows[gone]].tolist() == rows[wanted.kept_rows[gone]].tolist()
    pairs = json.loads(result.stdout)["examples"]
    assert {(each["dropped"], each["kept"]) for each in pairs} <= {
        (int(rows[row]), int(rows[wanted.kept_rows[row]])) for row in gone
    }
    assert pairs
    np.save("other.npy", np.zeros((N, 2)))
    with_inputs(Selection(np.arange(9), size=N), "other.npy").save("o.parquet")
    refused = run(corpus, "--text", "body", "--within", "o.parquet")
    assert "--within must be a subset of this table, got one of other.npy" in refused.stderr


def test_examples_are_pairs_of_texts(corpus):
    out = corpus.with_name("subset.parquet")
    words = (corpus, "--text", "body", "--out", out, "--show", 3, "--keep", "first", "--dropped")
    found = json.loads(run(*words, "--json").stdout)
    assert found["info"]["same"] == 5
    assert len(found["examples"]) == 3
    for pair in found["examples"]:
        assert pair["dropped_body"] == pair["kept_body"] + "."
    lines = run(*words).stdout
    assert "pairs of similar texts were compared" in lines
    assert "same text as a row ranked before it" in lines


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--text", "bod"], "column must be one of .* got 'bod': did you mean 'body'"),
        (["--text", "number"], "--text must hold strings, got int64 in column 'number'"),
        (["--text", "body", "--exact", "--threshold", "0.9"],
         "--threshold must be omitted with --exact, got 0.9"),
        (["--text", "body", "--threshold", "much"], "--threshold must be a number, got 'much'"),
        (["--text", "body", "--num-bands", "4"], "--num-bands and band_size must be given"),
        (["--text", "body", "--labels", "no"], "column must be one of"),
    ],
)  # fmt: skip
def test_refusals(corpus, words, message):
    import re

    result = run(corpus, *words)
    assert result.exit_code == 2
    assert re.match(f"error: {message}", result.stderr), result.stderr


PLAN = """
[read]
table = "corpus"
ids = "url"

[[stage]]
method = "filter"
where = [["number", ">=", 3]]

[[stage]]
name = "equal"
method = "dedup_text"
exact = true
columns = {texts = "body"}

[[stage]]
name = "near"
method = "dedup_text"
threshold = 0.75
keep = "first"
columns = {texts = "body"}
"""


def test_stages_of_a_plan(corpus):
    path = corpus.with_name("plan.toml")
    path.write_text(PLAN)
    found = SelectionPlan.read(path).run(corpus.with_name("work"))
    rows, ids = np.arange(3, N), np.array([f"u{i}" for i in range(N)])
    one = dedup_text([TEXTS[i] for i in rows], exact=True, ids=ids[rows])
    kept_row = np.full(N, -1)
    gone = np.flatnonzero(one.kept_rows >= 0)
    kept_row[rows[gone]] = rows[one.kept_rows[gone]]
    rows = np.sort(rows[one.indices])
    two = dedup_text([TEXTS[i] for i in rows], threshold=0.75, keep="first", ids=ids[rows])
    gone = np.flatnonzero(two.kept_rows >= 0)
    kept_row[rows[gone]] = rows[two.kept_rows[gone]]
    assert found.indices.tolist() == rows[two.indices].tolist()
    assert found.kept_rows.tolist() == kept_row.tolist()
    assert np.array_equal(np.isnan(found.similarities), kept_row < 0)
    assert found.explain("u40").rule.startswith(("equal: same text", "filter", "kept", "near"))


def test_a_plan_with_missing_texts_says_which_row(corpus):
    texts = [None if i == 33 else text for i, text in enumerate(TEXTS)]
    pq.write_table(pa.table({"body": texts, "url": [f"u{i}" for i in range(N)]}),
                   corpus.with_name("gaps.parquet"))  # fmt: skip
    stage = Stage("dedup_text", columns={"texts": "body"}, settings={"exact": True})
    plan = SelectionPlan(corpus.with_name("gaps.parquet"), [stage], ids="url")
    with pytest.raises(ValueError, match="texts must not be missing, got .* in row 33, id 'u33'"):
        plan.run(corpus.with_name("work"))
    dropped = SelectionPlan(corpus.with_name("gaps.parquet"), [stage], on_bad="drop")
    assert 33 not in dropped.run(corpus.with_name("work")).indices


def test_estimates_of_a_plan_depend_on_the_length_of_the_texts(corpus):
    long = pa.table({"body": [text * 1000 for text in TEXTS]})
    pq.write_table(long, corpus.with_name("long.parquet"))
    stage = Stage("dedup_text", columns={"texts": "body"})
    short = SelectionPlan(corpus, [stage]).estimates()[0]
    more = SelectionPlan(corpus.with_name("long.parquet"), [stage]).estimates()[0]
    assert more["memory"] > short["memory"] + N * 100_000
    small = Stage("dedup_text", columns={"texts": "body"}, settings={"max_memory": "65MiB"})
    with pytest.raises(ValueError, match="max_memory must be at least .* the estimate for dedup"):
        SelectionPlan(corpus.with_name("long.parquet"), [small]).run(corpus.with_name("work"))


def test_a_plan_compares_again_only_for_a_lower_threshold(corpus):
    table, work = corpus, corpus.with_name("work")
    wanted = {}
    for threshold in (0.6, 0.7, 0.5):
        settings = {"rule": "any_earlier", "threshold": threshold}
        stage = Stage("dedup_text", columns={"texts": "body"}, settings=settings)
        said = []
        found = SelectionPlan(table, [stage]).run(work, said.append)
        wanted = dedup_text(TEXTS, **settings)
        assert set(found.indices.tolist()) == set(wanted.indices.tolist())
        rules = {f"dedup_text: {rule}": n for rule, n in wanted.summary()["rules"].items()}
        assert found.summary()["rules"] == {
            rule if rule != "dedup_text: kept" else "kept": n for rule, n in rules.items()
        }
        assert any("no row compared again" in line for line in said) == (threshold == 0.7)
