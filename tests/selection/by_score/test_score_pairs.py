"""Every score in every selector that takes scores: it works, or the refusal is true and helps."""

import inspect
import re
from typing import get_args

import numpy as np
import pytest
from typer.testing import CliRunner

from sampling import Selection
from sampling.cli import app
from sampling.io import open_table, save_scores
from sampling.record import Score
from sampling.samplers import CurriculumSampler
from sampling.scores import TrainingDynamics
from sampling.scores._dynamics_tables import FIELDS
from sampling.selection import (
    SelectionPlan,
    Stage,
    beta,
    ccs,
    cluster_sensitivity,
    d2,
    methods,
    moderate,
    notes_of,
    quota,
    select_from,
    surrogate,
    top,
    window,
)

N, C = 60, 4
RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, C, N)
ROWS = RANDOM.normal(size=(N, 6)).astype(np.float32)


def trained():
    found = TrainingDynamics(N, C, fields=list(FIELDS))
    for epoch in range(14):
        logits = RANDOM.normal(size=(N, C))
        logits[np.arange(N), LABELS] += epoch / 5
        found.update(np.arange(N), logits, LABELS)
    return found


DYNAMICS = trained()
SCORES = DYNAMICS.scores() | {
    "worth": Score(RANDOM.random(N), "keep", "worth"),
    "harm": Score(RANDOM.random(N), "drop", "harm"),
}
PAPERS = [  # score, selector, and what the selector takes beside
    ("dual", "beta", {"confidence": "confidence"}),  # its own paper
    *((name, "beta", {"confidence": "confidence"}) for name in ("el2n", "forgetting", "dyn_unc")),
    *((name, "ccs", {"margins": "aum"}) for name in ("el2n", "forgetting", "entropy", "aum")),
    *((name, "ccs", {"margins": "aum"}) for name in ("dual", "dyn_unc")),  # compared by DUAL
    *((name, "ccs", {}) for name in ("aum", "dual", "dyn_unc", "variability")),
    *((name, "d2", {"embeddings": None}) for name in ("forgetting", "el2n", "aum", "dual")),
    *((name, "window", {}) for name in ("el2n", "aum", "dual", "variability")),  # double-end
    *(
        (name, "top", {})
        for name in ("el2n", "forgetting", "dyn_unc", "dual", "variability", "tdds")
    ),
    *((name, "stratified", {}) for name in ("aum", "dual")),
    *((name, "quota", {}) for name in ("el2n", "forgetting")),  # within the quotas of DRoP
    *((name, "gumbel", {}) for name in ("el2n", "dual")),
]


def call(method, first, more):
    given = {name: ROWS if of is None else SCORES[of] for name, of in more.items()}
    return methods()[method].function(first, 9, **given)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("scores")
    save_scores(SCORES, found / "scores.parquet")
    np.save(found / "rows.npy", ROWS)
    return found


def test_every_pair_of_a_paper_works_in_python_and_over_a_table(folder):
    table = open_table(folder / "rows.npy", beside=[folder / "scores.parquet"])
    for score, method, more in PAPERS:
        expected = call(method, SCORES[score], more).indices
        columns = {"scores": score, **{k: of for k, of in more.items() if of is not None}}
        found = select_from(table, method, 9, columns=columns)
        assert np.array_equal(found.indices, expected), (score, method)
        meant = found.info.get("directions", {}).get("scores", {"by": "file"})
        assert meant["by"] == "file", (score, method)


@pytest.mark.parametrize("of", [*PAPERS[:1], ("dual", "ccs", {}), ("variability", "ccs", {})])
def test_the_scores_of_the_windows_on_the_command_line_and_in_plans(folder, of):
    score, method, more = of
    expected = call(method, SCORES[score], more).indices
    out, columns = folder / f"{score}-{method}.parquet", {"scores": score, **more}
    words = ["select", method, str(folder / "scores.parquet"), "--budget", "9", "--out", str(out)]
    for name, column in columns.items():
        words += ["--with", f"{name}={column}"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert np.array_equal(Selection.load(out).indices, expected)
    assert ("no row was cut as too hard" in result.output) == (method == "ccs")
    plan = SelectionPlan(folder / "scores.parquet", [Stage(method, 9, columns=columns)])
    found = plan.run(folder / f"{score}-{method}")
    assert np.array_equal(np.sort(found.indices), np.sort(expected))


REFUSED = {  # what is true of the pair, and the remedy
    "beta": r"scores must be in \[0, inf\), got -.* of '(\w+) with its sign changed': .*dual or",
    "pivotal": r"pi must be >= 0, got -.*: rows are drawn in proportion to it; shift it",
    "perplexity": r"perplexities must be > 0, got .*: give perplexities themselves",
    "quality": r"must be 'keep' or its opposite, got '\w+' of the score '\w+': .*, 'keep'\)",
}
REFUSED |= {"systematic": REFUSED["pivotal"], "poisson": REFUSED["pivotal"]}


def test_every_score_in_every_selector():
    cases = 0
    for name, entry in methods().items():
        if entry.needs == "texts":
            continue
        parameters = inspect.signature(entry.function, eval_str=True).parameters
        takers = [each for each in parameters if Score in get_args(parameters[each].annotation)]
        takers += [each for each in ("perplexities",) if each in parameters]
        for taker in set(takers) & {"scores", "pi", "quality", "perplexities"}:
            more = {"beta": {"confidence": "confidence"}, "d2": {"embeddings": None}}.get(name, {})
            given = {each: ROWS if of is None else SCORES[of] for each, of in more.items()}
            given |= {"embeddings": ROWS, "labels": LABELS} if name == "best_window" else {}
            budget = {"threshold": 0.9} if name == "semdedup" else {"budget": 9}
            budget |= {"target": [0.5, 1.0, 2.0]} if name == "match_histogram" else {}
            for score in SCORES.values():
                first = score if taker != "quality" else ROWS
                extra = {"quality": score} if taker == "quality" else {}
                cases += 1
                hard = score.higher_is in ("harder", "easier")
                low = score.values.min()
                refused = (
                    (taker == "quality" and hard)
                    or (name == "beta" and score.higher_is in ("easier", "drop"))
                    or (taker == "pi" and low < 0)
                    or (taker == "perplexities" and low <= 0)
                )
                if refused:
                    rule = REFUSED["quality" if taker == "quality" else name]
                elif taker == "quality" and name in ("dpp", "k_dpp") and score.higher_is == "drop":
                    refused, rule = True, r"quality must be > 0, got -.*: give exp\(quality\)"
                if refused:
                    with pytest.raises(ValueError, match=rule):
                        entry.function(first, **budget, **given, **extra)
                else:
                    assert len(entry.function(first, **budget, **given, **extra))
    assert cases > 200


def test_the_remedies_work():
    aum = SCORES["aum"]
    moved = Score(aum.values.max() - aum.values, "harder")
    assert len(beta(moved, 9, confidence=DYNAMICS.confidence())) == 9
    assert len(methods()["pivotal"].function(Score(aum.values - aum.values.min(), "easier"), 9))
    el2n = SCORES["el2n"]
    found = methods()["kmq"].function(ROWS, 9, quality=Score(el2n.values, "keep"))
    assert found.info["directions"]["quality"]["higher_is"] == "keep"


def test_a_score_that_says_nothing_of_hard_rows_cuts_none():
    dual = SCORES["dual"]
    found = ccs(dual, 6)
    assert (found.info["cut"], found.info["cut_by"]) == (0, "nothing")
    assert any("no row was cut as too hard" in line for line in notes_of(found.info))
    plain = methods()["stratified"].function(dual, 6)
    assert sorted(map(tuple, plain.info["strata"])) == sorted(map(tuple, found.info["strata"]))
    found = ccs(dual, 6, margins=SCORES["aum"])
    assert (found.info["cut"], found.info["cut_by"]) == (18, "margins")
    hardest = np.argsort(SCORES["aum"].values)[:18]
    assert not set(hardest) & set(found.indices.tolist())
    stated = ccs(Score(dual.values, "harder"), 6)  # as the authors of DUAL do
    assert (stated.info["cut"], stated.info["cut_by"]) == (18, "scores")
    assert not any("no row was cut" in line for line in notes_of(stated.info))
    with pytest.raises(ValueError, match=r"for cut=0.2, got None: the score 'dual' means 'keep'"):
        ccs(dual, 6, cut=0.2)
    assert len(ccs(dual, 6, cut=0.0)) == 6
    with pytest.raises(ValueError, match=r"'harder' or its opposite, got 'keep' .*, 'harder'\)"):
        ccs(dual, 6, margins=dual)


def test_drop_is_the_opposite_of_keep_everywhere():
    keep, drop = SCORES["worth"], Score(-SCORES["worth"].values, "drop")
    for select in (ccs, window, quota):
        assert np.array_equal(select(keep, 9).indices, select(drop, 9).indices)
    one, other = (d2(each, 9, embeddings=ROWS) for each in (keep, drop))
    assert np.array_equal(one.indices, other.indices)


def test_confidence_is_a_score_or_an_array():
    dual, sure = DYNAMICS.dual(), DYNAMICS.confidence()
    one, other = (beta(dual, 9, confidence=each).indices for each in (sure, sure.values))
    assert np.array_equal(one, other)
    with pytest.raises(ValueError, match=r"confidence must be in \[0, 1\], .*mean probability"):
        beta(dual, 9, confidence=DYNAMICS.forgetting().values)
    with pytest.raises(ValueError, match="'easier' or its opposite, got 'keep' of the score 'dual"):
        beta(dual, 9, confidence=dual)


def test_a_score_where_an_array_is_wanted_says_so():
    score, rule = SCORES["el2n"], re.escape("the score 'el2n': its direction would have no effect")
    for call_ in (
        lambda: surrogate(score, 9),
        lambda: top(score, 9, groups=score),
        lambda: cluster_sensitivity(ROWS, 9, clusters=3, center_losses=score, holder_constant=1.0),
        lambda: methods()["herding"].function(score, 9),
        lambda: moderate(ROWS, 9, labels=score),
    ):
        with pytest.raises(TypeError, match=rule):
            call_()
    with pytest.raises(ValueError, match=r"got 'keep' of the score 'dual': .*'harder'\)"):
        CurriculumSampler(SCORES["dual"], num_epochs=3)
