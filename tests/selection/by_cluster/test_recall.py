"""What part of the copies a search inside clusters finds, estimated from a sample of rows."""

import dataclasses
import inspect
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from sampling import Selection, _rng
from sampling.cli import app
from sampling.clustering import kmeans
from sampling.selection import METHODS, SelectionPlan, Stage, d4, estimate, notes_of, semdedup
from sampling.selection.by_cluster._copies import Members, find_copies
from sampling.selection.by_cluster._recall import checked_search, search_note

RANDOM = np.random.default_rng(3)
BASE = RANDOM.normal(size=(1000, 8))
ROWS = np.concatenate([BASE, BASE[:500] + 0.15 * RANDOM.normal(size=(500, 8))]).astype(np.float32)
LIMIT = 0.97


def searched(assignments=1, classes=None):
    """Return copies as `semdedup` finds them, in 40 clusters."""
    where, rows = kmeans(ROWS, 40, spherical=True), np.arange(len(ROWS))
    rank = np.random.default_rng(0).permutation(len(ROWS))
    codes, others = where.labels, where.seconds if assignments == 2 else None
    if classes is not None:
        codes = codes * 3 + classes
        others = None if others is None else others * 3 + classes
    return find_copies(ROWS, Members.of(rows, codes, others), rank, None)


def missed_by_all_pairs(copies, threshold, classes=None):
    """Count rows that have an earlier row above the threshold, and were not found: one by one."""
    unit = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    cosines, count = unit @ unit.T, 0
    for row in range(len(ROWS)):
        earlier = copies.rank < copies.rank[row]
        if classes is not None:
            earlier &= classes == classes[row]
        above = earlier.any() and cosines[row][earlier].max() > threshold + 2e-6
        count += bool(above and copies.similarity[row] <= threshold)
    return count


@pytest.mark.parametrize("assignments", [1, 2])
@pytest.mark.parametrize("classed", [False, True])
def test_all_rows_checked_give_what_all_pairs_give(assignments, classed):
    classes = RANDOM.integers(0, 3, len(ROWS)) if classed else None
    copies = searched(assignments, classes)
    lots = np.arange(len(ROWS), dtype=np.uint64)
    facts = checked_search(ROWS, copies, classes, LIMIT, len(ROWS), lots)
    assert facts["missed"] == missed_by_all_pairs(copies, LIMIT, classes)
    assert (facts["missed"] > 0) == (assignments == 1)
    assert facts["found"] == (copies.similarity > LIMIT).sum()
    exact = facts["found"] / (facts["found"] + facts["missed"])
    assert facts["interval"] == [exact, exact] == [facts["recall"]] * 2
    note = search_note({**facts, "num_assignments": assignments})
    assert "interval" not in note
    assert f"{100 * exact:.4g} % were found" in note


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """200 samples of 150 rows; at 95 % and more, 182 or fewer within have a chance below 0.001."""
    copies = searched()
    missed = missed_by_all_pairs(copies, LIMIT)
    found = int((copies.similarity > LIMIT).sum())
    truth, within, means = found / (found + missed), 0, []
    for seed in range(200):
        lots = np.random.default_rng(seed).integers(0, 2**63, len(ROWS)).astype(np.uint64)
        facts = checked_search(ROWS, copies, None, LIMIT, 150, lots)
        low, high = facts["interval"]
        assert low <= facts["recall"] <= high
        within += low <= truth <= high
        means.append(facts["missed"] * facts["others"] / facts["checked"])
    assert within > 182
    assert abs(np.mean(means) - missed) < 4 * np.std(means) / np.sqrt(200)


def test_semdedup_says_how_far_its_search_can_be_trusted():
    found = semdedup(ROWS, threshold=LIMIT, clusters=40)
    search = found.info["search"]
    assert (search["exact"], search["num_assignments"], search["threshold"]) == (False, 2, LIMIT)
    assert search["found"] == found.info["copies"]
    low, high = search["interval"]
    assert 0 < low <= search["recall"] <= high <= 1
    (line,) = notes_of(found.info)
    assert "approximate: a row is compared with the rows of its two nearest clusters" in line
    assert f"of the rows with a copy above {LIMIT} about" in line
    assert search == semdedup(ROWS, threshold=LIMIT, clusters=40).info["search"]
    assert json.loads(json.dumps(search)) == search
    every = semdedup(ROWS, threshold=LIMIT, clusters=40, num_checked=10**6, num_assignments=1)
    assert every.info["search"]["checked"] == every.info["search"]["others"]
    none = semdedup(ROWS, threshold=LIMIT, clusters=40, num_checked=0)
    assert none.info["search"]["recall"] is None
    assert "num_checked=1000 estimates" in notes_of(none.info)[0]
    assert np.array_equal(none.indices, found.indices)
    by_budget = semdedup(ROWS, 1200, clusters=40).info
    assert by_budget["search"]["threshold"] == by_budget["threshold"]


def test_where_all_pairs_are_compared_it_says_so():
    labels = np.arange(len(ROWS)) % 3
    where = kmeans(ROWS, 2, spherical=True)
    exact = {"exact": True, "num_assignments": 2}
    for more in ({}, {"clusters": 2}, {"clusters": where}, {"labels": labels, "clusters": 3}):
        found = semdedup(ROWS, threshold=LIMIT, **more)
        assert found.info["search"] == exact, more
    assert "exact: all pairs" in notes_of(found.info)[0]
    for more in ({"clusters": 2, "num_assignments": 1}, {"clusters": 3},
                 {"labels": labels, "clusters": 9}):  # fmt: skip
        assert not semdedup(ROWS, threshold=LIMIT, **more).info["search"]["exact"], more


def test_rows_that_take_no_part_are_not_counted():
    rows, rng = ROWS.copy(), np.random.default_rng(0)
    rows[rng.permutation(len(rows))[:50]] = np.nan
    already = np.flatnonzero(np.isfinite(rows[:, 0]))[:100]
    found = semdedup(
        rows, threshold=LIMIT, clusters=40, on_bad="drop", already_selected=already,
        num_checked=10**6,
    )  # fmt: skip
    search = found.info["search"]
    assert search["found"] + search["others"] == len(rows) - 50
    groups = np.arange(len(rows)) % 2
    grouped = semdedup(ROWS, 1200, clusters=40, groups=groups)
    assert grouped.info["search"]["threshold"] == grouped.info["threshold"]


def test_without_copies_there_is_no_recall():
    rows = RANDOM.normal(size=(3000, 32))
    found = semdedup(rows, threshold=0.999, clusters=10)
    assert found.info["search"]["recall"] is None
    assert "no row with a copy above 0.999 was found (" in notes_of(found.info)[0]


def test_another_threshold_has_no_estimate():
    found = semdedup(ROWS, threshold=LIMIT, clusters=40).rethreshold(0.96)
    assert found.info["search"] == {"exact": False, "num_assignments": 2}
    assert "num_checked=1000 estimates" in notes_of(found.info)[0]


def test_d4_says_it_of_its_first_stage():
    found = d4(ROWS, 0.5, dedup_clusters=40)
    assert found.info["search"]["num_assignments"] == 2
    assert "the search for copies is approximate" in notes_of(found.info)[0]


def test_two_is_the_default_everywhere():
    assert inspect.signature(semdedup).parameters["num_assignments"].default == 2
    for name, entry in METHODS.items():
        parameters = inspect.signature(entry.function).parameters
        if "num_assignments" in parameters:
            assert parameters["num_assignments"].default == 2, name
    one, two = (estimate("semdedup", 10**6, 64, num_assignments=n) for n in (1, 2))
    assert estimate("semdedup", 10**6, 64).memory == two.memory >= one.memory


def test_the_command_line_says_it(tmp_path):
    np.save(tmp_path / "rows.npy", ROWS)
    words = ["dedup", tmp_path / "rows.npy", "--threshold", LIMIT, "--out", tmp_path / "s.parquet"]

    def run(*more):
        return CliRunner().invoke(app, [str(word) for word in (*words, "--show", 0, *more)])

    assert "the search for copies was exact" in run().stdout
    assert Selection.load(tmp_path / "s.parquet").arguments["num_assignments"] == 2
    np.save(tmp_path / "rows.npy", np.concatenate([ROWS, ROWS + 1, ROWS + 2]))
    said = run("--num-checked", 500).stdout
    assert "approximate: a row is compared with the rows of its two nearest clusters" in said
    assert "500 of the" in said
    assert "of its cluster;" in run("--num-assignments", 1).stdout
    refused = run("--num-checked", -1)
    assert refused.exit_code == 2
    assert "--num-checked must be in [0, inf)" in refused.stderr or "got -1" in refused.stderr
    facts = json.loads(run("--json").stdout)
    assert facts["info"]["search"]["exact"] is False


def test_a_stage_made_by_another_version_or_default_is_made_again(tmp_path, monkeypatch):
    np.save(tmp_path / "rows.npy", ROWS)
    plan = SelectionPlan(tmp_path / "rows.npy", [Stage("semdedup", settings={"threshold": LIMIT})])
    plan.run(tmp_path / "work")

    def again():
        plan.run(tmp_path / "work")
        manifest = json.loads((tmp_path / "work" / "manifest.json").read_text())
        return manifest["stages"][-1].get("reused", False)

    assert again()
    entry = METHODS["semdedup"]
    monkeypatch.setitem(METHODS, "semdedup", dataclasses.replace(entry, version=99))
    assert not again()
    assert again()
    monkeypatch.setitem(METHODS, "semdedup", entry)
    monkeypatch.setitem(inspect.unwrap(entry.function).__kwdefaults__, "num_assignments", 1)
    assert not again()
    assert _rng.key(0, 0, "dedup check") != _rng.key(1, 0, "dedup check")
