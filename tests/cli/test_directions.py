"""What a high score means, stated on the command line and in plans; the order of columns."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sampling import Selection
from sampling.cli import app
from sampling.io import load_scores, open_table, save_scores
from sampling.record import Score
from sampling.selection import (
    SelectionPlan,
    Stage,
    beta,
    ccs,
    d2,
    methods,
    quota,
    select_from,
    top,
    window,
)

N = 40
RANDOM = np.random.default_rng(5)
MARGIN, ROWS = RANDOM.normal(size=N), RANDOM.normal(size=(N, 3)).astype(np.float32)
EASIER = Score(MARGIN, "easier", "margin")


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def done(*words):
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*words):
    result = run(*words)
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.split())


@pytest.fixture
def rewritten(tmp_path):
    """Scores as another program writes them again: without our metadata."""
    columns = {"margin": MARGIN, "name": [f"n{i}" for i in range(N)], "kind": np.arange(N) % 2}
    pq.write_table(pa.table(columns), tmp_path / "rewritten.parquet")
    return tmp_path / "rewritten.parquet"


@pytest.fixture
def scored(tmp_path):
    save_scores({"margin": EASIER}, tmp_path / "scores.parquet")
    return tmp_path / "scores.parquet"


def test_a_direction_is_stated_or_said_to_be_assumed(rewritten, scored):
    out = rewritten.with_name("subset.parquet")
    words = ["--budget", "10", "--out", out]
    expected, other = ccs(EASIER, 10).indices, ccs(MARGIN, 10).indices
    assert not np.array_equal(expected, other)
    said = done("select", "ccs", rewritten, *words, "--with", "scores=margin:easier")
    assert "scores: a high margin means 'easier' (stated)" in said
    found = Selection.load(out)
    assert np.array_equal(found.indices, expected)
    assert found.info["directions"] == {
        "scores": {"column": "margin", "higher_is": "easier", "by": "stated"}
    }
    said = done("select", "ccs", rewritten, *words, "--with", "scores=margin")
    assert "scores: a high margin is assumed to mean 'harder': state margin:harder or" in said
    assert np.array_equal(Selection.load(out).indices, other)
    facts = json.loads(done("select", "ccs", scored, *words, "--with", "scores=margin", "--json"))
    assert facts["info"]["directions"]["scores"]["by"] == "file"
    assert np.array_equal(Selection.load(out).indices, expected)
    said = done("select", "ccs", scored, *words, "--with", "scores=margin:harder")
    assert "means 'harder' (stated, and its file says 'easier')" in said
    assert np.array_equal(Selection.load(out).indices, other)


def test_no_word_where_the_direction_does_not_matter(rewritten):
    words = ["--budget", "10", "--out", rewritten.with_name("subset.parquet")]
    for method in ("top", "stratified"):
        said = done("select", method, rewritten, *words, "--with", "scores=margin")
        assert "assumed" not in said
    said = done("select", "top", rewritten, *words, "--with", "scores=margin:easier")
    assert "(stated), which the method does not use: values are unchanged" in said
    assert "directions" not in top(MARGIN, 3).info


def test_directions_that_are_none(rewritten):
    words = [
        "select",
        "ccs",
        rewritten,
        "--budget",
        "10",
        "--out",
        rewritten.with_name("s.parquet"),
    ]
    with_ = [*words, "--with"]
    assert "must be one of 'harder', 'easier'" in refused(*with_, "scores=margin:easer")
    assert "got 'easer': did you mean 'easier'?" in refused(*with_, "scores=margin:easer")
    assert "got 'margn': did you mean 'margin'?" in refused(*with_, "scores=margn:easier")
    message = refused(*with_, "scores=margin", "--with", "ids=name:easier")
    assert "ids must be a column without a direction, got 'name:easier'" in message
    message = refused(*with_, "scores=margin", "--with", "margins=margin:keep")
    assert "higher_is must be 'harder' or its opposite, got 'keep' of margins" in message
    assert "or COLUMN:harder for a column" in message


def test_a_column_with_a_colon_in_its_name(tmp_path):
    pq.write_table(pa.table({"a:easier": MARGIN, "a": -MARGIN}), tmp_path / "t.parquet")
    table = open_table(tmp_path / "t.parquet")
    plain = select_from(table, "ccs", 9, columns={"scores": "a:easier"})
    assert np.array_equal(plain.indices, ccs(MARGIN, 9).indices)
    turned = select_from(table, "ccs", 9, columns={"scores": "a:easier:easier"})
    assert np.array_equal(turned.indices, ccs(EASIER, 9).indices)


def test_shards_that_disagree_are_refused_unless_stated(tmp_path, scored):
    folder = tmp_path / "shards"
    folder.mkdir()
    save_scores({"margin": EASIER}, folder / "a.parquet")
    pq.write_table(pa.table({"margin": MARGIN}), folder / "b.parquet")
    table = open_table(folder)
    with pytest.raises(ValueError, match=r"'easier' as in a\.parquet, got None in .*b\.parquet"):
        select_from(table, "ccs", 9, columns={"scores": "margin"})
    found = select_from(table, "ccs", 9, columns={"scores": "margin:easier"})
    assert found.info["directions"]["scores"]["by"] == "stated"


def test_a_plan_states_directions(rewritten):
    text = """
    [read]
    table = "rewritten.parquet"
    [[stage]]
    method = "window"
    budget = 30
    columns = { scores = "margin" }
    [[stage]]
    method = "ccs"
    budget = 10
    columns = { scores = "margin:easier" }
    """
    path = rewritten.with_name("plan.toml")
    path.write_text(text)
    said = done("run", path, "--work", rewritten.with_name("work"))
    assert "window: scores: a high margin is assumed to mean 'harder'" in said
    assert "ccs: scores: a high margin means 'easier' (stated)" in said
    manifest = json.loads((rewritten.with_name("work") / "manifest.json").read_text())
    assert [each["info"]["directions"]["scores"]["by"] for each in manifest["stages"][1:]] == [
        "assumed",
        "stated",
    ]
    first = np.sort(window(MARGIN, 30).indices)
    expected = first[ccs(Score(MARGIN[first], "easier"), 10).indices]
    found = Selection.load(rewritten.with_name("work") / "selection.parquet")
    assert np.array_equal(np.sort(found.indices), np.sort(expected))
    for text, message in (("margin:eesier", "got 'eesier'"), ("margin:drop", "got 'drop'")):
        plan = SelectionPlan(
            rewritten, [Stage("ccs", 5, columns={"scores": "margin", "margins": text})]
        )
        with pytest.raises(ValueError, match=f"stage 1 .ccs.*{message}"):
            plan.check(["margin"])


def test_quality_of_dedup_states_its_direction(rewritten):
    rows = np.repeat(np.random.default_rng(0).normal(size=(20, 16)), 2, axis=0)
    np.save(rewritten.with_name("rows.npy"), rows)
    out = rewritten.with_name("subset.parquet")
    words = ["dedup", rewritten.with_name("rows.npy"), "--threshold", "0.999", "--out", out]
    words += ["--beside", rewritten, "--show", "0"]
    pairs = MARGIN.reshape(20, 2)
    assert "quality: a high margin is assumed to mean 'keep'" in done(*words, "--quality", "margin")
    kept = np.sort(Selection.load(out).indices)
    assert np.array_equal(kept, np.arange(20) * 2 + pairs.argmax(axis=1))
    done(*words, "--quality", "margin:drop")
    kept = np.sort(Selection.load(out).indices)
    assert np.array_equal(kept, np.arange(20) * 2 + pairs.argmin(axis=1))


def test_in_python_an_array_is_harder_and_the_record_says_so():
    cases = [
        (ccs, {}, "harder"), (window, {}, "harder"), (quota, {}, "keep"),
        (d2, {"embeddings": ROWS}, "harder"), (ccs, {"margins": MARGIN}, "harder"),
    ]  # fmt: skip
    for method, more, meaning in cases:
        found = method(MARGIN, 8, **more).info["directions"]
        assert found["scores"] == {"higher_is": meaning, "by": "assumed"}
    assert beta(abs(MARGIN), 8, confidence=np.full(N, 0.5)).info["directions"]
    turned = window(Score(MARGIN, "easier"), 8)
    assert turned.info["directions"] == {"scores": {"higher_is": "easier", "by": "stated"}}
    assert np.array_equal(turned.indices, window(-MARGIN, 8).indices)
    with pytest.raises(ValueError, match="'harder' or its opposite, got 'keep' of the score 'q'"):
        ccs(MARGIN, 8, margins=Score(MARGIN, "keep", "q"))


def test_every_score_argument_is_minded_or_taken_as_it_is():
    as_they_are = {"top", "bottom", "stratified", "gumbel", "pivotal", "systematic", "poisson"}
    as_they_are |= {"match_histogram"}
    for name, entry in methods().items():
        import inspect
        from typing import get_args

        parameters = inspect.signature(entry.function, eval_str=True).parameters.values()
        scores = {each.name for each in parameters if Score in get_args(each.annotation)}
        assert set(entry.minds) == (set() if name in as_they_are else scores), name


def test_a_rewritten_file_is_loaded_with_stated_directions(rewritten):
    with pytest.raises(ValueError, match="must have a column with a direction, got .*: state it"):
        load_scores(rewritten)
    found = load_scores(rewritten, higher_is={"margin": "easier"})
    assert found["margin"].higher_is == "easier"
    assert list(found) == ["margin"]
    with pytest.raises(ValueError, match="got 'margn': did you mean 'margin'"):
        load_scores(rewritten, higher_is={"margn": "easier"})
    with pytest.raises(ValueError, match="higher_is of margin must be one of"):
        load_scores(rewritten, higher_is={"margin": "louder"})


# ---------------------------------------------------------------------- columns by a pattern


def test_columns_are_taken_in_the_order_of_their_numbers(tmp_path):
    labels = np.arange(N) % 12
    columns = {f"logit_{c}": np.where(labels == c, 5.0, 0.0) for c in sorted(range(12), key=str)}
    pq.write_table(pa.table({**columns, "label": labels}), tmp_path / "t.parquet")
    out = tmp_path / "scores.parquet"
    words = ["score", "margin,el2n", tmp_path / "t.parquet", "--labels", "label", "--out", out]
    said = done(*words, "--values", "logit_*")
    assert "classes 0 to 11: logit_0, logit_1, logit_2, logit_3," in said
    assert (load_scores(out)["margin"].values > 0).all()
    facts = json.loads(done(*words, "--values", "logit_*", "--json"))
    assert facts["classes"] == [f"logit_{c}" for c in range(12)]
    del columns["logit_4"]
    pq.write_table(pa.table({**columns, "label": labels}), tmp_path / "t.parquet")
    message = refused(*words, "--values", "logit_*")
    assert "one after another, got 'logit_3' and then 'logit_5'" in message


def test_names_without_numbers_stay_in_the_order_of_the_file(tmp_path):
    labels = np.arange(N) % 3
    names = ["p_dog", "p_cat", "p_ape"]
    columns = {name: np.where(labels == c, 0.8, 0.1) for c, name in enumerate(names)}
    pq.write_table(pa.table({**columns, "label": labels}), tmp_path / "t.parquet")
    words = ["score", "margin", tmp_path / "t.parquet", "--labels", "label", "--values", "p_*"]
    said = done(*words, "--of", "probabilities", "--out", tmp_path / "scores.parquet")
    assert "classes 0 to 2: p_dog, p_cat, p_ape" in said
    assert (load_scores(tmp_path / "scores.parquet")["margin"].values > 0).all()


def test_embeddings_by_a_pattern_say_their_order(tmp_path):
    order = [0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9]
    rows = RANDOM.normal(size=(N, 11))
    pq.write_table(pa.table({f"x{i}": rows[:, i] for i in order}), tmp_path / "t.parquet")
    opened = open_table(tmp_path / "t.parquet", embeddings="x*")
    assert np.array_equal(opened.embeddings, rows)
    on_disk = open_table(tmp_path / "t.parquet", embeddings="x*", scratch=tmp_path / "scratch")
    assert np.array_equal(on_disk.embeddings, rows)
    text = "embeddings: x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10\n"
    words = [tmp_path / "t.parquet", "--embeddings", "x*"]
    out = ["--out", tmp_path / "o.parquet"]
    assert text in done("select", "k_center", *words, "--budget", "3", *out)
    assert text in done("cluster", *words[:1], "2", *words[1:], "--out", tmp_path / "c.parquet")
    plan = (
        '[read]\ntable = "t.parquet"\nembeddings = "x*"\n[[stage]]\nmethod = "k_center"\nbudget = 3'
    )
    (tmp_path / "plan.toml").write_text(plan)
    assert text in done("run", tmp_path / "plan.toml")
