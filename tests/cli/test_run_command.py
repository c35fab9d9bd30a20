"""`sampling run`: a plan through the real command, and what is wrong with one in one line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sampling import Selection, io
from sampling.cli import app
from sampling.selection.pipeline import _run

PLAN = """
[read]
table = "corpus"

[clusters]
n_clusters = 4

[[stage]]
method = "semdedup"
threshold = 0.99
columns = { quality = "quality" }

[[stage]]
method = "cluster_uniform"
budget = 20

[export]
folder = "chosen"
"""


@pytest.fixture
def plan(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "corpus").mkdir()
    for name in ("a", "b"):
        rows = rng.normal(size=(60, 4)).astype(np.float16)
        lists = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 4)
        table = pa.table({"embedding": lists, "quality": rng.random(60)})
        pq.write_table(table, tmp_path / "corpus" / f"{name}.parquet")
    (tmp_path / "plan.toml").write_text(PLAN)
    return tmp_path / "plan.toml"


def run(*words):
    return CliRunner().invoke(app, ["run", *(str(word) for word in words)])


def refused(*words):
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_it_runs_and_exports(plan):
    result = run(plan)
    assert result.exit_code == 0, result.output
    assert "cluster_uniform: " in result.stdout
    found = Selection.load(plan.parent / "plan" / "selection.parquet")
    assert len(found) == 20
    assert pq.read_table(plan.parent / "chosen").num_rows == 20
    assert not io.changes(found, plan.parent / "corpus")
    again = run(plan, "--json")  # all of it is read again
    facts = json.loads(again.stdout)
    assert facts["kept"] == 20
    assert [each["name"] for each in facts["info"]["stages"] if each.get("reused")] == [
        "semdedup", "cluster_uniform",
    ]  # fmt: skip


def test_what_it_will_need(plan):
    result = run(plan, "--dry-run")
    assert result.exit_code == 0, result.output
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == [
        "clusters", "semdedup", "cluster_uniform",
    ]  # fmt: skip
    assert not (plan.parent / "plan").exists()
    stages = json.loads(run(plan, "--dry-run", "--json").stdout)["stages"]
    assert all(each["memory"] > 0 for each in stages)


def test_ctrl_c(plan, monkeypatch):
    def stopped(*args, **settings):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_run, "select_from", stopped)
        result = run(plan)
    assert result.exit_code == 130
    assert "run the same command to resume" in result.stderr
    assert run(plan).exit_code == 0


def test_a_shard_cut_short_is_named(plan):
    shard = plan.parent / "corpus" / "b.parquet"
    shard.write_bytes(shard.read_bytes()[:200])
    assert "b.parquet must be a whole Parquet file" in refused(plan)
    assert "b.parquet must be a whole Parquet file" in refused(plan, "--dry-run")
    assert not (plan.parent / "plan" / "selection.parquet").exists()


def test_what_is_wrong_with_a_plan(plan):
    assert "nope.toml must exist" in refused(plan.parent / "nope.toml")
    plan.write_text(PLAN.replace("threshold", "treshold"))
    assert "stage 1 (semdedup): semdedup has no argument 'treshold'" in refused(plan, "--dry-run")
    plan.write_text(PLAN.replace('table = "corpus"', 'table = "corpus"\nmax_memory = "1MiB"'))
    assert "stage 1 (semdedup): max_memory must be at least" in refused(plan)


UNDONE = PLAN.replace('columns = { quality = "quality" }', 'columns = { quality = "quality" }\n'
    '\n[[stage]]\nmethod = "quota"\nbudget = 40\ngroup_budgets = "equal"\n'
    'columns = { scores = "quality", groups = "kind" }')  # fmt: skip


@pytest.mark.filterwarnings("default")
def test_quotas_that_a_later_stage_undoes(plan):
    for number, shard in enumerate(sorted((plan.parent / "corpus").iterdir())):
        table = pq.read_table(shard)
        kinds = pa.array(["rare" if i < 25 * number else "many" for i in range(len(table))])
        pq.write_table(table.append_column("kind", kinds), shard)
    plan.write_text(UNDONE)
    warning = "warning: stage 3 (cluster_uniform) can undo the counts per kind of stage 2 (quota)"
    dry = run(plan, "--dry-run")
    assert dry.stderr.startswith(warning)
    assert dry.stderr.count("\n") == 1
    assert len(json.loads(run(plan, "--dry-run", "--json").stdout)["warnings"]) == 1
    found = run(plan)
    assert found.exit_code == 0, found.output
    assert found.stderr.startswith(warning)
    assert "rows per kind after read, semdedup, quota, cluster_uniform:" in found.stdout
    assert [line.split()[:4] for line in found.stdout.splitlines() if line.endswith("  rare")] == [
        ["25", "24", "20", str(len_of(plan, "rare"))]
    ]
    shutil.rmtree(plan.parent / "chosen")
    plan.write_text(UNDONE.replace("budget = 20", 'budget = 20\ncolumns = { groups = "kind" }'))
    again = run(plan, "--json")
    assert again.stderr == ""
    assert json.loads(again.stdout)["warnings"] == []
    stages = {each["name"]: each for each in json.loads(again.stdout)["info"]["stages"]}
    assert stages["cluster_uniform"]["groups"] == {"kind": {"many": 10, "rare": 10}}


def len_of(plan, kind):
    found = Selection.load(plan.parent / "plan" / "selection.parquet")
    kinds = io.open_table(plan.parent / "corpus").column("kind")
    return int((kinds[found.indices] == kind).sum())


def test_plans_that_cannot_be_read(plan):
    plan.write_bytes(PLAN.replace("corpus", "größe").encode("latin-1"))
    assert "plan.toml must be TOML in UTF-8, got:" in refused(plan)
    plan.write_text(PLAN.replace('"semdedup"', "3"))
    assert "plan.toml: stage 1 (3): method must be a str, got 3" in refused(plan)
    assert "must be a TOML file, got a folder" in refused(plan.parent)


# ---------------------------------------------------------------------- a plan that changes


def exported(plan, folder="chosen"):
    """What the folder of an export says of itself, and the rows in it."""
    names = sorted(path.name for path in (plan.parent / folder).iterdir())
    facts = json.loads((plan.parent / folder / "_export.json").read_text())
    assert names == ["_export.json", *(each["name"] for each in facts["shards"])]
    assert pq.read_table(plan.parent / folder).num_rows == facts["rows"]
    assert not [path for path in plan.parent.iterdir() if path.name.startswith(".")]
    return facts["rows"]


def test_a_changed_plan_replaces_its_own_export_and_computes_what_changed(plan, monkeypatch):
    ran, select_from = [], _run.select_from

    def noted(table, method, *args, **settings):
        ran.append(method)
        return select_from(table, method, *args, **settings)

    monkeypatch.setattr(_run, "select_from", noted)

    def again(text):
        del ran[:]
        plan.write_text(text)
        result = run(plan)
        assert result.exit_code == 0, result.output
        return ran[:]

    assert again(PLAN) == ["semdedup", "cluster_uniform"]
    less = PLAN.replace("budget = 20", "budget = 10")
    assert again(less) == ["cluster_uniform"]
    assert exported(plan) == 10
    first = less.replace("0.99", "0.999")
    assert again(first) == ["cluster_uniform"]  # no row is compared again
    shards = first + "rows_per_shard = 3\n"  # only the export changed
    assert again(shards) == []
    assert exported(plan) == 10
    assert again(shards.replace('"chosen"', '"other"')) == []
    assert exported(plan, "other") == exported(plan) == 10
    assert again(shards) == []  # an unchanged one is continued
    stage = '[[stage]]\nmethod = "k_center"\nbudget = 4\n\n[export]'
    assert again(PLAN.replace("[export]", stage)) == ["cluster_uniform", "k_center"]
    assert exported(plan) == 4


def test_an_export_of_others_is_refused_before_the_work(plan, monkeypatch):
    assert run(plan).exit_code == 0
    before = {path: path.read_bytes() for path in (plan.parent / "chosen").iterdir()}
    monkeypatch.setattr(_run, "Run", None)  # no work has begun
    plan.write_text(PLAN.replace("budget = 20", "budget = 10"))
    for dry in ([], ["--dry-run"]):
        line = refused(plan, "--work", plan.parent / "elsewhere", *dry)
        assert "chosen must be empty or hold the same export, got _export.json" in line
        assert "allow replacing it with replace = true" in line
        plan.write_text(plan.read_text().replace("threshold", "treshold"))  # is said first
        line = refused(plan, "--work", plan.parent / "elsewhere", *dry)
        assert "has no argument 'treshold'" in line
        plan.write_text(plan.read_text().replace("treshold", "threshold"))
    (plan.parent / "chosen" / "mine.txt").write_text("mine")
    for text in (PLAN, PLAN + "replace = true\n"):
        plan.write_text(text)
        assert "got mine.txt, which does not belong to an export" in refused(plan)
    (plan.parent / "chosen" / "mine.txt").unlink()
    assert {path: path.read_bytes() for path in (plan.parent / "chosen").iterdir()} == before


def test_another_export_is_replaced_where_the_plan_says_so(plan):
    assert run(plan).exit_code == 0
    plan.write_text(PLAN.replace("budget = 20", "budget = 10") + "replace = true\n")
    result = run(plan, "--work", plan.parent / "elsewhere")
    assert result.exit_code == 0, result.output
    assert exported(plan) == 10


@pytest.mark.parametrize("at", [1, 2])
def test_an_export_is_replaced_whole_or_not_at_all(plan, monkeypatch, at):
    """Killed or refused at any step of the exchange, the next run finds the old one or the new."""
    assert run(plan).exit_code == 0
    plan.write_text(PLAN.replace("budget = 20", "budget = 10"))
    calls, rename = [], Path.rename

    def failing(self, target):
        calls.append(self.name)
        if len(calls) == at:
            raise OSError(5, "Input/output error", str(self))
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", failing)
        assert "Input/output error" in refused(plan)
    facts = json.loads((plan.parent / "chosen" / "_export.json").read_text())
    assert facts["rows"] == 20 == pq.read_table(plan.parent / "chosen").num_rows
    (plan.parent / "chosen").rename(plan.parent / ".chosen.old")  # killed between the two renames
    assert run(plan).exit_code == 0
    assert exported(plan) == 10


@pytest.mark.parametrize("name", ["file", "file/work", "absent/../file"])
def test_a_work_folder_in_place_of_a_file(plan, name):
    (plan.parent / "file").write_text("mine")
    for dry in ([], ["--dry-run"]):
        assert "must be a folder, got" in refused(plan, "--work", plan.parent / name, *dry)


def test_a_name_that_is_too_long_for_a_file(plan):
    plan.write_text(
        PLAN.replace('method = "semdedup"', f'method = "semdedup"\nname = "{"x" * 250}"')
    )
    assert "File name too long" in refused(plan, "--dry-run")
    assert not (plan.parent / "plan").exists()


def test_a_row_is_explained_by_its_id(plan):
    corpus = plan.parent / "corpus"
    for number, shard in enumerate(sorted(corpus.iterdir())):
        table = pq.read_table(shard)
        names = pa.array([f"doc-{number * 60 + i}" for i in range(len(table))])
        pq.write_table(table.append_column("id", names), shard)
    plan.write_text(PLAN.replace('"corpus"', '"corpus"\nids = "id"'))
    assert run(plan).exit_code == 0
    file = plan.parent / "plan" / "selection.parquet"
    kept = Selection.load(file).indices.tolist()
    dropped = next(row for row in range(120) if row not in kept)
    for row in (kept[0], dropped):
        for words in (["--id", f"doc-{row}"], ["--row", str(row)]):
            found = CliRunner().invoke(app, ["explain", str(file), *words, "--json"])
            assert found.exit_code == 0, found.output
            facts = json.loads(found.stdout)
            assert (facts["row"], facts["kept"]) == (row, row in kept)
            assert facts["id"] == f"doc-{row}"
    (file.parent / "selection.dropped.parquet").unlink()
    for words, line in (
        (["--id", "doc-x"], "--id must be the id of a kept row, or the number of any, got 'doc-x'"),
        (["--row", "120"], "--row must be in [0, 120), got 120"),
    ):
        found = CliRunner().invoke(app, ["explain", str(file), *words])
        assert found.exit_code == 2
        assert line in found.stderr


@pytest.mark.slow
def test_a_reader_that_goes_ends_a_command_quietly(plan):
    command = [sys.executable, "-m", "sampling", "run", str(plan)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141
