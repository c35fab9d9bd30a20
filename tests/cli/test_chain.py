"""Commands in a chain give what one plan gives, and refuse subsets of other tables."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sampling.cli import app
from sampling.cli._shared import json_value
from sampling.io import load_selection, open_table
from sampling.selection import SelectionPlan, filter_from, parse_where

N, D = 120, 6
RNG = np.random.Generator(np.random.PCG64(5))
ROWS = RNG.normal(size=(N, D)).astype(np.float32)
ROWS[60:90] = ROWS[:30] + 0.01 * RNG.normal(size=(30, D))  # planted copies
COLUMNS = {
    "id": [f"doc-{i:03d}" for i in range(N)],
    "text": [f"text {i}" for i in range(N)],
    "quality": (np.arange(N) % 11 / 10).tolist(),
    "lang": ["en", "de", "fr"] * 40,
}
PLAN = """
[read]
table = {table}
beside = {beside}
ids = "id"

[[stage]]
method = "filter"
where = [["quality", ">=", 0.2], ["lang", "in", ["en", "de"]]]

[[stage]]
method = "semdedup"
threshold = {threshold}
clusters = 3
columns = {{ quality = "quality" }}

[[stage]]
method = "k_center"
budget = 20
"""


@pytest.fixture(params=["parquet", "npy"])
def here(request, tmp_path, monkeypatch):
    """A table with its embeddings inside, or in a .npy file next to it: (table, beside)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    inside = {} if request.param == "npy" else {"x": list(ROWS)}
    whole = pa.table({**COLUMNS, **inside})
    pq.write_table(whole.slice(0, 50), "corpus/a.parquet")
    pq.write_table(whole.slice(50), "corpus/b.parquet")
    np.save("rows.npy", ROWS)
    return ("rows.npy", ["corpus"]) if request.param == "npy" else ("corpus", [])


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output + result.stderr
    return result.stdout


def refused(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 2, result.output
    return result.stderr


def plan_of(table, beside, threshold=0.95):
    text = PLAN.format(table=json.dumps(table), beside=json.dumps(beside), threshold=threshold)
    Path("plan.toml").write_text(text)
    return SelectionPlan.read("plan.toml")


def by_verbs(table, beside):
    more = [word for each in beside for word in ("--beside", each)]
    run("filter", table, *more, "--where", "quality >= 0.2", "--where", "lang in en,de",
        "--ids", "id", "--dropped", "--out", "kept.parquet")  # fmt: skip
    run("select", "semdedup", table, *more, "--within", "kept.parquet", "--set", "threshold=0.95",
        "--set", "clusters=3", "--with", "quality=quality", "--with", "ids=id", "--dropped",
        "--out", "dedup.parquet")  # fmt: skip
    run("select", "k_center", table, *more, "--within", "dedup.parquet", "--budget", 20,
        "--with", "ids=id", "--dropped", "--out", "final.parquet")  # fmt: skip
    return more


def test_copies_within_a_subset_are_shown(here):
    table, beside = here
    more = by_verbs(table, beside)
    words = ("dedup", table, *more, "--within", "kept.parquet", "--threshold", 0.95)
    found = json.loads(run(*words, "--text", "text", "--dropped", "--json"))
    kept = load_selection("subset.parquet")
    assert found["examples"]
    for pair in found["examples"]:
        assert kept.kept_rows[pair["dropped"]] >= 0
        assert pair["kept"] in kept.indices
        assert pair["kept_text"] == f"text {pair['kept']}"


def test_verbs_are_stages_of_a_plan(here):
    table, beside = here
    more = by_verbs(table, beside)
    found, wanted = load_selection("final.parquet"), plan_of(table, beside).run("work")
    assert np.array_equal(found.indices, wanted.indices)
    assert found.ids.tolist() == wanted.ids.tolist() == [COLUMNS["id"][i] for i in found.indices]
    assert found.rules == wanted.rules
    assert np.array_equal(found.verdicts, wanted.verdicts)
    assert np.array_equal(found.kept_rows, wanted.kept_rows)
    assert (found.kept_rows >= 0).any()
    checked = [word for each in [*beside, table] for word in ("--check", each)]  # in any order
    assert json.loads(run("inspect", "final.parquet", *checked))["same"]
    with pytest.raises(ValueError, match=r"ids must hold no name twice, got '\w\w' again in row"):
        filter_from(open_table("corpus"), [["quality", ">=", 0]], ids="lang")
    run("export", "final.parquet", table, *more, "--out", "chosen")
    written = ds.dataset("chosen").to_table()
    assert written["text"].to_pylist() == [f"text {i}" for i in np.sort(found.indices)]
    assert written.column_names == [*COLUMNS, *(["x"] if table == "corpus" else [])]
    # a plan begins where a command ended
    first = plan_of(table, beside)
    later = SelectionPlan(first.table, first.stages[2:], beside=first.beside, ids="id",
                          within="dedup.parquet")  # fmt: skip
    assert np.array_equal(later.run("later").indices, found.indices)
    assert later.estimates()[0]["rows"] == len(load_selection("dedup.parquet"))


def test_a_changed_threshold_compares_no_row_again(here, monkeypatch):
    """In a plan, and of the file of its stage; what it gives is what a fresh run gives."""
    table, beside = here
    plan_of(table, beside, 0.9).run("fresh")
    plan_of(table, beside, 0.999).run("work")
    run("rethreshold", "work/2-semdedup.parquet", 0.9, table, "--out", "again.parquet")
    monkeypatch.setattr("sampling.selection.by_cluster._semdedup.find_copies", None)
    said = []
    found = plan_of(table, beside, 0.9).run("work", said.append)
    assert any("no row compared again" in line for line in said)
    for one, other in (
        (found, load_selection("fresh/selection.parquet")),
        (load_selection("work/2-semdedup.parquet"), load_selection("fresh/2-semdedup.parquet")),
        (load_selection("again.parquet"), load_selection("fresh/2-semdedup.parquet")),
    ):
        assert np.array_equal(one.indices, other.indices)
        assert np.array_equal(one.verdicts, other.verdicts)
        assert np.array_equal(one.kept_rows, other.kept_rows)
        assert np.allclose(one.similarities, other.similarities, equal_nan=True, atol=1e-6)
        assert (one.row_ids is None) == (other.row_ids is None)
    line = refused("rethreshold", "work/selection.parquet", 0.8)
    assert "rethreshold needs a plan whose last stage has a threshold" in line
    assert "THRESHOLD must be a number, got 'x'" in refused("rethreshold", "again.parquet", "x")


def test_a_row_and_the_row_that_was_kept_instead(here):
    table, beside = here
    more = by_verbs(table, beside)
    found = load_selection("dedup.parquet")
    row = int(np.flatnonzero(found.kept_rows >= 0)[0])
    kept = int(found.kept_rows[row])
    for named in ([], [table, *more]):  # by default, the files that its manifest names
        words = ["dedup.parquet", *named, "--id", COLUMNS["id"][row], "--near", 2, "--text", "text"]
        facts = json.loads(run("explain", *words, "--json"))
        assert (facts["row"], facts["kept_row"], facts["kept_id"]) == (
            row, kept, COLUMNS["id"][kept]
        )  # fmt: skip
        assert facts["near"][0]["row"] == kept
        assert facts["near"][0]["similarity"] == pytest.approx(facts["similarity"], abs=1e-5)
        assert facts["texts"][str(kept)] == f"text {kept}"
        shown = run("explain", *words)
        assert f"row {row} (id {COLUMNS['id'][row]}): dropped: semdedup: near copy" in shown
        assert f"kept instead:\nrow {kept}" in shown
    np.save("other.npy", ROWS + 1)
    assert "SUBSET must be a subset of this table" in refused(
        "explain", "dedup.parquet", "other.npy", "--row", 3, "--near", 1
    )


@pytest.mark.filterwarnings("always")
def test_subsets_of_other_tables(here):
    table, beside = here
    more = by_verbs(table, beside)
    np.save("other.npy", ROWS + 1)
    run("select", "k_center", "other.npy", "--budget", 9, "--out", "other.parquet")
    words = ["k_center", table, *more, "--budget", 9, "--within", "other.parquet"]
    assert "--within must be a subset of this table, got one of other.npy" in refused(
        "select", *words, "--out", "new.parquet"
    )
    for how in ("union", "intersect", "subtract"):
        line = refused("combine", how, "final.parquet", "other.parquet", "--out", "new.parquet")
        assert "must be of the same input, got those of two tables" in line
    np.save("short.npy", ROWS[:9])
    run("select", "k_center", "short.npy", "--budget", 3, "--out", "short.parquet", "--no-digest")
    np.save("other.npy", ROWS + 2)
    for command in (["select", "k_center", "other.npy", "--budget", 9, "--within"],
                    ["explain"]):  # fmt: skip
        line = refused(*command, "other.parquet", *(["--row", 3, "--near", 1] * (len(command) < 2)))
        assert "other.npy holds other bytes: select again" in line
    words[-1] = "short.parquet"
    assert f"--within must be of a table of {N} rows, got a selection from 9" in refused(
        "select", *words, "--out", "new.parquet"
    )
    assert "must not be written over" in refused(
        "select", *words[:-1], "dedup.parquet", "--out", "dedup.parquet"
    )
    assert "no.parquet must exist" in refused(*"select top rows.npy --within no.parquet".split())


def test_combined_subsets(here):
    table, beside = here
    more = by_verbs(table, beside)
    sets = {
        name: {*load_selection(f"{name}.parquet").indices.tolist()} for name in ("dedup", "final")
    }
    run("combine", "subtract", "dedup.parquet", "final.parquet", "--out", "rest.parquet")
    rest = load_selection("rest.parquet")
    assert {*rest.indices.tolist()} == sets["dedup"] - sets["final"]
    run("combine", "union", "final.parquet", "rest.parquet", "--out", "all.parquet")
    assert {*load_selection("all.parquet").indices.tolist()} == sets["dedup"]
    run("combine", "intersect", "final.parquet", "rest.parquet", "--out", "none.parquet")
    assert len(load_selection("none.parquet")) == 0
    assert "HOW must be one of 'union', 'intersect', 'subtract'" in refused(
        "combine", "join", "final.parquet", "rest.parquet"
    )
    assert "must not be written over" in refused(
        "combine", "union", "final.parquet", "rest.parquet", "--out", "rest.parquet"
    )
    words = ["k_center", table, *more, "--budget", 1, "--within", "none.parquet"]
    assert "must be rows to choose from, got none: within left no rows" in refused("select", *words)


def test_plans_combine_subsets(here):
    """`within` of several files is their union, `without` a difference, as `combine` makes them."""
    table, beside = here
    more = by_verbs(table, beside)
    run("filter", table, *more, "--where", "lang == fr", "--out", "french.parquet")
    run("select", "bottom", table, *more, "--with", "scores=quality", "--budget", 30,
        "--out", "poor.parquet")  # fmt: skip
    run("combine", "union", "dedup.parquet", "french.parquet", "--out", "either.parquet")
    run("combine", "subtract", "either.parquet", "poor.parquet", "--out", "good.parquet")
    run("select", "k_center", table, *more, "--within", "good.parquet", "--budget", 15,
        "--with", "ids=id", "--out", "verbs.parquet")  # fmt: skip
    read = f'[read]\ntable = {json.dumps(table)}\nbeside = {json.dumps(beside)}\nids = "id"\n'
    sets = 'within = ["dedup.parquet", "french.parquet"]\nwithout = "poor.parquet"\n'
    stage = '[[stage]]\nmethod = "k_center"\nbudget = 15\n'
    Path("sets.toml").write_text(read + sets + stage)
    plan = SelectionPlan.read("sets.toml")
    found, wanted = plan.run("sets"), load_selection("verbs.parquet")
    assert np.array_equal(found.indices, wanted.indices)
    assert found.ids.tolist() == wanted.ids.tolist()
    either, poor = load_selection("either.parquet"), load_selection("poor.parquet")
    assert found.summary()["rules"]["read: in poor.parquet"] == len(either & poor) > 0
    assert plan.estimates()[0]["rows"] == len(load_selection("good.parquet"))
    said = []
    run("select", "bottom", table, *more, "--with", "scores=quality", "--budget", 40,
        "--out", "poor.parquet")  # fmt: skip
    plan.run("sets", said.append)
    assert not any("read again" in line for line in said)  # the subset is another one
    np.save("other.npy", ROWS + 1)
    run("select", "k_center", "other.npy", "--budget", 9, "--out", "poor.parquet")
    with pytest.raises(ValueError, match=r"\[read\]: without must be a subset of this table, got"):
        plan.run("sets")
    for wrong, message in (
        ("within = []", "within must name at least one subset file, got none"),
        ('within = "french.parquet"\nwithout = "french.parquet"',
         r"stage 1 \(k_center\): there must be rows to choose from, got none: \[read\] left no"),
    ):  # fmt: skip
        Path("sets.toml").write_text(f"{read}{wrong}\n{stage}")
        with pytest.raises(ValueError, match=message):
            SelectionPlan.read("sets.toml").run("no")
    Path("sets.toml").write_text(read + 'without = "french.parquet"\n' + stage)
    assert "fr" not in {
        COLUMNS["lang"][i] for i in SelectionPlan.read("sets.toml").run("s").indices
    }


def test_clusters_of_a_subset(here):
    """They serve selections within it, and are those of a plan that begins with it."""
    table, beside = here
    more = by_verbs(table, beside)
    run("cluster", table, 4, *more, "--within", "kept.parquet", "--spherical",
        *(["--labels", "lang"] if table == "corpus" else []))  # fmt: skip
    words = [*more, "--clusters", "clusters.parquet", "--set", "threshold=0.95", "--dropped"]
    for within in ("kept.parquet", "dedup.parquet"):
        run("select", "semdedup", table, *words, "--within", within)
    for less in ([], ["--within", "french.parquet"]):
        run("filter", table, *more, "--where", "lang == fr", "--out", "french.parquet")
        line = refused("select", "semdedup", table, *words, *less, "--out", "new.parquet")
        assert "--clusters must be of all rows that are selected from, got those of a sub" in line
        assert "cluster all rows, or those of the subset" in line
    assert "must not be written over" in refused(
        "cluster", table, 4, *more, "--within", "kept.parquet", "--out", "kept.parquet"
    )
    # those of a plan, of the rows that reached its first stage with clusters
    text = PLAN.replace("clusters = 3\n", "") + "[clusters]\nn_clusters = 3\nspherical = true\n"
    text = text.format(table=json.dumps(table), beside=json.dumps(beside), threshold=0.95)
    Path("plan.toml").write_text(text)
    SelectionPlan.read("plan.toml").run("work")
    run("select", "semdedup", table, *more, "--clusters", "work/clusters.parquet", "--set",
        "threshold=0.95", "--within", "kept.parquet", "--with", "quality=quality", "--with",
        "ids=id")  # fmt: skip
    found, wanted = load_selection("subset.parquet"), load_selection("work/2-semdedup.parquet")
    assert np.array_equal(found.indices, wanted.indices)


WHERE = {
    "quality >= 0.2": ("quality", ">=", 0.2),
    "quality>=0.2": ("quality", ">=", 0.2),
    "n = 3": ("n", "==", 3),
    "n not in 1, 2": ("n", "not in", [1, 2]),
    "lang in en,de": ("lang", "in", ["en", "de"]),
    'lang in "a, b", c': ("lang", "in", ["a, b", "c"]),
    'lang in ["a, b", "c"]': ("lang", "in", ["a, b", "c"]),
    "lang == 'en'": ("lang", "==", "en"),
    "lang == 3": ("lang", "==", "3"),
    "lang is_null": ("lang", "is_null"),
    "in stock == true": ("in stock", "==", True),
    "n in": None,
    "n in x": None,
    "quality > high": None,
    "in stock == yes": None,
    "lang": None,
    "lang is_null now": None,
    "day < 2024-13-01": None,
}


@pytest.mark.parametrize("text", WHERE)
def test_conditions_as_text(tmp_path, text):
    import datetime

    day = [datetime.date(2024, 1, 3)]
    rows = {"quality": [0.5], "n": [1], "lang": ["en"], "in stock": [True], "day": day}
    pq.write_table(pa.table(rows), tmp_path / "t.parquet")
    table = open_table(tmp_path / "t.parquet")
    if WHERE[text] is None:
        with pytest.raises(ValueError, match="^where must"):
            parse_where(text, table)
    else:
        assert parse_where(text, table) == [WHERE[text]]
    with pytest.raises(ValueError, match="give each condition by itself"):
        parse_where("quality > 1 and day < 2024-02-01", table)
    with pytest.raises(ValueError, match="after in: separate values by commas, or put the one"):
        parse_where("lang in en de", table)
    assert parse_where("lang in 'en de'", table) == [("lang", "in", ["en de"])]
    with pytest.raises(ValueError, match="one of .*, got 'qualty': did you mean 'quality'"):
        parse_where("qualty > 1", table)
    assert parse_where("day < 2024-02-01", table)[0][2] == datetime.date(2024, 2, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (".5", 0.5),
        ("-2.", -2.0),
        ("3", 3),
        ("1e-3", 1e-3),
        ("equal", "equal"),
        (".", "."),
        ("[1]", [1]),
    ],
)
def test_settings_as_text(text, value):
    assert json_value(text) == value
    assert type(json_value(text)) is type(value)
