"""Plans: stage after stage equals the selectors called by hand; interrupted, continued, refused."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sampling.clustering import kmeans, neighbours
from sampling.record import Selection
from sampling.selection import (
    SelectionPlan,
    Stage,
    cluster_uniform,
    d2,
    facility_location,
    quota,
    semdedup,
    top,
)
from sampling.selection.pipeline import _run

SIZE = 400


@pytest.fixture
def corpus(tmp_path):
    """Two shards: embeddings with copies, a class, a quality."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(SIZE, 8)).astype(np.float16)
    rows[200:300] = rows[:100]
    folder = tmp_path / "corpus"
    folder.mkdir()
    data = {
        "label": rng.integers(0, 3, SIZE),
        "quality": rng.random(SIZE),
        "language": rng.choice(["en", "de"], SIZE),
        "url": np.array([f"u{i}" for i in range(SIZE)]),
    }
    for name, part in (("a", slice(0, 150)), ("b", slice(150, SIZE))):
        lists = pa.FixedSizeListArray.from_arrays(pa.array(rows[part].ravel()), 8)
        columns = {each: values[part] for each, values in data.items()}
        pq.write_table(pa.table({"embedding": lists, **columns}), folder / f"{name}.parquet")
    return folder, rows, data


TEXT = """
[read]
table = "corpus"
ids = "url"
seed = 3

[clusters]
n_clusters = 12
spherical = true
n_iter = 5

[[stage]]
name = "english"
method = "filter"
where = [["language", "==", "en"], ["quality", ">", 0.05]]

[[stage]]
method = "semdedup"
threshold = 0.99
columns = { quality = "quality" }

[[stage]]
method = "quota"
budget = 90
group_budgets = "equal"
columns = { scores = "quality", groups = "label" }

[[stage]]
method = "cluster_uniform"
budget = 0.5
columns = { groups = "label" }

[export]
folder = "chosen"
rows_per_shard = 20
columns = ["url", "label"]
"""


def by_hand(rows, data):
    """The stages of TEXT, one call after another."""
    alive = np.flatnonzero((data["language"] == "en") & (data["quality"] > 0.05))
    wide = kmeans(rows[alive], 12, spherical=True, n_iter=5, seed=3)
    labels, distances = np.full(SIZE, -1), np.zeros(SIZE, np.float32)
    labels[alive], distances[alive] = wide.labels, wide.distances

    def among(some):
        own = {"labels": labels[some], "distances": distances[some], "seconds": None}
        return type(wide)(**{**vars(wide), **own})

    def given(some):
        return {"seed": 3, "ids": data["url"][some]}

    found = semdedup(rows[alive], threshold=0.99, quality=data["quality"][alive],
                     clusters=among(alive), **given(alive))  # fmt: skip
    alive = np.sort(alive[found.indices])
    found = quota(data["quality"][alive], 90, groups=data["label"][alive], group_budgets="equal",
                  **given(alive))  # fmt: skip
    alive = np.sort(alive[found.indices])
    found = cluster_uniform(rows[alive], 0.5, clusters=among(alive), groups=data["label"][alive],
                            **given(alive))  # fmt: skip
    return alive[found.indices], found.weights, data["url"][alive][found.indices]


@pytest.fixture
def plan(corpus, tmp_path):
    (tmp_path / "plan.toml").write_text(TEXT)
    return SelectionPlan.read(tmp_path / "plan.toml")


def test_a_plan_is_the_selectors_one_after_another(plan, corpus, tmp_path):
    _, rows, data = corpus
    lines = []
    found = plan.run(tmp_path / "work", lines.append)
    indices, weights, ids = by_hand(rows, data)
    assert found.indices.tolist() == indices.tolist()
    assert np.array_equal(found.weights, weights)
    assert found.ids.tolist() == ids.tolist()
    assert found.size == SIZE
    again = Selection.load(tmp_path / "work" / "selection.parquet")
    assert again.indices.tolist() == indices.tolist()
    notes = [line for line in lines if "assumed to mean 'keep'" in line or "the search for" in line]
    assert [line.split(":")[0] for line in notes] == ["semdedup", "semdedup", "quota"]
    assert [line.split(":")[0] for line in lines if line not in notes] == [
        "read", "english", "clusters", "semdedup", "quota", "cluster_uniform", "export",
    ]  # fmt: skip


def test_every_row_knows_its_stage(plan, corpus, tmp_path):
    _, _, data = corpus
    found = plan.run(tmp_path / "work")
    rules = np.array(found.rules)[found.verdicts]
    assert set(rules[found.indices]) == {"kept"}
    assert found.mask().sum() == (rules == "kept").sum()
    not_english = (data["language"] != "en") | (data["quality"] <= 0.05)
    assert np.array_equal(rules == "english: a condition does not hold", not_english)
    counts = found.summary()["rules"]
    stages = {each["name"]: each for each in found.info["stages"]}
    for name in ("english", "semdedup", "quota", "cluster_uniform"):
        gone = sum(count for rule, count in counts.items() if rule.startswith(f"{name}: "))
        assert stages[name]["before"] - stages[name]["after"] == gone
        assert stages[name]["seconds"] > 0
        assert stages[name]["peak_memory"] > 2**20
    dropped = int(np.flatnonzero(rules == "quota: beyond the budget")[0])
    assert found.explain(dropped).score == pytest.approx(data["quality"][dropped])


def test_what_is_exported(plan, corpus, tmp_path):
    _, _, data = corpus
    found = plan.run(tmp_path / "work")
    table = pq.read_table(tmp_path / "chosen")
    order = np.argsort(found.indices)
    assert table["url"].to_pylist() == data["url"][found.indices[order]].tolist()
    assert table["weight"].to_pylist() == found.weights[order].tolist()
    assert len(list((tmp_path / "chosen").glob("part-*.parquet"))) == -(-len(found) // 20)


def test_interrupted_and_continued(plan, tmp_path, monkeypatch):
    whole = plan.run(tmp_path / "whole")
    (tmp_path / "chosen" / "_export.json").unlink()
    ran, select_from = [], _run.select_from

    def interrupted(table, method, *args, **settings):
        ran.append(method)
        if method == "cluster_uniform" and ran.count(method) == 1:
            raise KeyboardInterrupt
        return select_from(table, method, *args, **settings)

    monkeypatch.setattr(_run, "select_from", interrupted)
    with pytest.raises(KeyboardInterrupt):
        plan.run(tmp_path / "work")
    assert ran == ["semdedup", "quota", "cluster_uniform"]
    with monkeypatch.context() as patch:  # stopped again while it reads what is there
        patch.setattr(_run, "load_selection", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            plan.run(tmp_path / "work")
    found = plan.run(tmp_path / "work")
    assert ran == ["semdedup", "quota", "cluster_uniform", "cluster_uniform"]
    assert found.indices.tolist() == whole.indices.tolist()
    assert np.array_equal(found.weights, whole.weights)
    assert np.array_equal(found.verdicts, whole.verdicts)
    np.testing.assert_array_equal(found.scores, whole.scores)
    manifest = json.loads((tmp_path / "work" / "manifest.json").read_text())
    assert [each["name"] for each in manifest["stages"] if each.get("reused")] == [
        "english", "semdedup", "quota", "clusters",
    ]  # fmt: skip


def test_only_what_changed_runs_again(plan, tmp_path, monkeypatch):
    plan.run(tmp_path / "work")
    ran, select_from = [], _run.select_from

    def noted(table, method, *args, **settings):
        ran.append(method)
        return select_from(table, method, *args, **settings)

    monkeypatch.setattr(_run, "select_from", noted)
    stages = [*plan.stages[:-1], Stage("cluster_uniform", 7, columns={"groups": "label"})]
    changed = SelectionPlan(**{**vars(plan), "stages": stages, "export": None})
    assert len(changed.run(tmp_path / "work")) == 7
    assert ran == ["cluster_uniform"]
    shard = plan.table / "b.parquet"
    rows = pq.read_table(shard)
    pq.write_table(rows.set_column(2, "quality", pa.array(np.ones(len(rows)))), shard)
    changed.run(tmp_path / "work")  # another table: nothing is left of the first
    assert ran == ["cluster_uniform", "semdedup", "quota", "cluster_uniform"]


def test_a_change_and_back_is_the_first_plan_again(tmp_path):
    """Files are named by their stage: one that another plan has written since is not read again."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(90, 3)).astype(np.float32)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 3)
    pq.write_table(pa.table({"e": flat, "q": rng.random(90)}), tmp_path / "t.parquet")

    def run(budget, n_clusters):
        lines = []
        top, spread = Stage("top", 60, columns={"scores": "q"}), Stage("cluster_uniform", budget)
        stages = [top, spread, Stage("quota", 4, columns={"scores": "q"})]
        plan = SelectionPlan(tmp_path / "t.parquet", stages, clusters={"n_clusters": n_clusters})
        found = plan.run(tmp_path / "work", lines.append)
        return found.indices.tolist(), [line.split(":")[0] for line in lines if "again" in line]

    first, _ = run(20, 4)
    _, again = run(9, 4)
    assert again == ["top", "clusters"]
    assert run(20, 4) == (first, ["top", "clusters"])
    _, again = run(20, 5)
    assert again == ["top"]  # which uses no clusters
    assert run(20, 4) == (first, ["top"])
    assert run(20, 4) == (first, ["top", "cluster_uniform", "quota"])
    foreign = tmp_path / "work" / "2-cluster_uniform.parquet"
    foreign.write_bytes(b"something else")
    with pytest.raises(ValueError, match="must be free or hold a subset file"):
        run(20, 4)
    foreign.unlink()
    assert run(20, 4) == (first, ["top", "clusters", "quota"])


@pytest.mark.parametrize("apart", [False, True])
def test_stages_share_one_graph_of_neighbours(tmp_path, apart):
    rng = np.random.default_rng(0)
    rows, scores = rng.normal(size=(90, 3)).astype(np.float32), rng.random(90)
    columns = {"q": scores}
    if apart:
        np.save(tmp_path / "e.npy", rows)
    else:
        columns["e"] = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 3)
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    plan = SelectionPlan(
        tmp_path / ("e.npy" if apart else "t.parquet"),
        [Stage("top", 60, columns={"scores": "q"}), Stage("d2", 9, columns={"scores": "q"})],
        beside=[tmp_path / "t.parquet"] if apart else (),
        neighbours={"k": 4},
    )
    found = plan.run(tmp_path / "work").indices
    first = np.sort(top(scores, 60).indices)
    expected = d2(scores[first], 9, embeddings=rows[first], num_neighbours=4)
    np.testing.assert_array_equal(found, first[expected.indices])


def test_a_shard_that_changes_meanwhile(plan, tmp_path, monkeypatch):
    select_from = _run.select_from

    def changing(*args, **settings):
        shard = plan.table / "a.parquet"
        pq.write_table(pq.read_table(shard), shard, compression="zstd")
        return select_from(*args, **settings)

    monkeypatch.setattr(_run, "select_from", changing)
    with pytest.raises(ValueError, match=r"a\.parquet must not change while it is read"):
        plan.run(tmp_path / "work")
    assert not (tmp_path / "work" / "selection.parquet").exists()


def test_weights_of_stages_multiply(corpus, tmp_path):
    folder, _, data = corpus
    stages = [
        Stage("poisson", 200, name="first", columns={"pi": "quality"}),
        Stage("systematic", 50, name="second", columns={"pi": "quality"}),
    ]
    found = SelectionPlan(folder, stages).run(tmp_path / "work")
    first = Selection.load(tmp_path / "work" / "1-first.parquet")
    earlier = dict(zip(first.indices.tolist(), first.weights.tolist(), strict=True))
    alone = SelectionPlan(folder, stages[:1]).run(tmp_path / "alone")
    assert alone.indices.tolist() == first.indices.tolist()
    alive = np.sort(first.indices)
    from sampling.selection import systematic

    own = systematic(data["quality"][alive], 50)
    expected = [earlier[row] for row in alive[own.indices].tolist()] * own.weights
    assert found.indices.tolist() == alive[own.indices].tolist()
    assert np.allclose(found.weights, expected)


def test_rows_that_are_not_finite(corpus, tmp_path):
    folder, rows, data = corpus
    rows[[7, 300]] = np.nan
    np.save(tmp_path / "rows.npy", rows)
    pq.write_table(pa.table({"quality": data["quality"]}), tmp_path / "more.parquet")
    stages = [Stage("top", 10, columns={"scores": "quality"}), Stage("prototypes", 5)]
    given = {"table": tmp_path / "rows.npy", "beside": [tmp_path / "more.parquet"]}
    plan = SelectionPlan(stages=stages, on_bad="drop", clusters={"n_clusters": 3}, **given)
    found = plan.run(tmp_path / "work")
    assert found.explain(7).rule == "read: a value that is not finite"
    clean = np.flatnonzero(np.isfinite(rows).all(axis=1))
    expected = clean[top(data["quality"][clean], 10).indices]
    assert set(found.indices) <= set(expected)
    bad = SelectionPlan(stages=stages[1:], clusters={"n_clusters": 3}, **given)
    with pytest.raises(ValueError, match="got nan in row 7"):
        bad.run(tmp_path / "other")


WRONG = [
    ("table = \"corpus\"", "", r"\[read\] must name a table"),
    ("seed = 3", "sead = 3", r"\[read\] must hold .*, got 'sead': did you mean 'seed'\?"),
    ("[clusters]", "[cluster]", r"the plan must hold .*, got 'cluster': did you mean 'clusters'\?"),
    ("n_iter = 5", "n_iters = 5", r"\[clusters\] must hold .*: did you mean 'n_iter'"),
    ("method = \"quota\"", "method = \"quotas\"",
     r"stage 3 \(quotas\): method must be .*, got 'quotas': did you mean 'quota'\?"),
    ("threshold = 0.99", "treshold = 0.99", r"stage 2 \(semdedup\): semdedup has no argument"),
    ("quality = \"quality\"", "quality = \"qualty\"",
     r"stage 2 \(semdedup\): column must be one of .*, got 'qualty': did you mean 'quality'\?"),
    ("name = \"english\"", "name = \"quota\"",
     r"stage 1 \(quota\): name must be of one stage only"),
    ("[\"language\", \"==\", \"en\"]", "[\"language\", \"==\"]",
     "where must hold .column, operator"),
    ("\"==\", \"en\"", "\"==\", 5", r"stage 1 \(english\): where must fit the columns"),
    ("\"==\", \"en\"", "\"is\", \"en\"", r"stage 1 \(english\): "),
    ("ids = \"url\"", "ids = \"name\"", "ids must be one of"),
    ("folder = \"chosen\"", "", r"\[export\] must name a folder"),
    ("budget = 90", "budget = 9000", r"stage 3 \(quota\): budget must be in"),
    ("[read]", "[read", "must be TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_what_is_wrong_is_named(corpus, tmp_path, old, new, message):
    assert old in TEXT
    (tmp_path / "plan.toml").write_text(TEXT.replace(old, new, 1))
    with pytest.raises((ValueError, TypeError), match=message):
        SelectionPlan.read(tmp_path / "plan.toml").run(tmp_path / "work")


def test_an_empty_plan(corpus, tmp_path):
    with pytest.raises(ValueError, match="stages must not be empty"):
        SelectionPlan(corpus[0], []).run(tmp_path / "work")


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_one_graph_for_all_stages(corpus, tmp_path, metric):
    """A given graph is what a stage would make of its rows, if enough neighbours are in it."""
    folder, rows, data = corpus
    columns = {"scores": "quality"}
    one = Stage("facility_location", 30, columns={}, settings={"metric": metric})
    stages = [Stage("top", 100, columns=columns), one]
    plan = SelectionPlan(folder, stages, neighbours={"k": 399, "metric": metric})
    found = plan.run(tmp_path / "work")
    assert [e["name"] for e in found.info["stages"]][-2:] == ["num_neighbours", one.name]
    alive = np.sort(top(data["quality"], 100).indices)
    own = facility_location(rows[alive], 30, metric=metric, num_neighbours=99)
    assert found.indices.tolist() == alive[own.indices].tolist()
    assert plan.run(tmp_path / "work").indices.tolist() == found.indices.tolist()


def test_graphs_that_do_not_fit():
    rows = np.random.default_rng(0).normal(size=(20, 3))
    graph = neighbours(rows, 5)
    scores = np.arange(20.0)
    own = d2(scores, 7, embeddings=rows, num_neighbours=5)
    assert d2(scores, 7, embeddings=rows, num_neighbours=graph).indices.tolist() == list(
        own.indices
    )
    with pytest.raises(ValueError, match="num_neighbours must be of all 10 rows, got 20"):
        d2(scores[:10], 7, embeddings=rows[:10], num_neighbours=graph)
    with pytest.raises(ValueError, match="num_neighbours must have metric 'cosine', got 'euclid"):
        facility_location(rows, 3, num_neighbours=graph)


def test_a_plan_from_python_writes_over_nothing_it_reads(tmp_path):
    (tmp_path / "w").mkdir()
    table = tmp_path / "w" / "selection.parquet"
    top([0.1, 0.9, 0.5], 2).save(table)
    before = table.read_bytes()
    plan = SelectionPlan(table, [Stage("top", 1, columns={"scores": "score"})])
    with pytest.raises(ValueError, match="must not be written over, got what is read"):
        plan.run(tmp_path / "w")
    assert [path.name for path in (tmp_path / "w").iterdir()] == ["selection.parquet"]
    assert table.read_bytes() == before
    assert plan.run(tmp_path / "v").indices.tolist() == [0]
