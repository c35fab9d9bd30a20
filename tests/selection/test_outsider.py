"""A selector of somebody else's is used everywhere as ours are, `on_bad` included."""

import ast
import doctest
import importlib
import inspect
import json
import math
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import ArrayLike  # noqa: F401  # named in an annotation
from typer.testing import CliRunner

from sampling import Score, Selection
from sampling.cli import app
from sampling.io import open_table
from sampling.selection import (
    METHODS,
    Cost,
    SelectionPlan,
    Stage,
    estimate,
    method,
    methods,
    select,
    select_from,
    top,
)

SCORES = [0.1, 0.9, math.nan, 0.6, 0.2]
ROWS = np.array([[0.0, 1.0], [3.0, 0.0], [math.nan, 0.0], [2.0, 0.0], [math.inf, 0.0]], np.float32)


@pytest.fixture(autouse=True)
def outsider():
    """The module, loaded again for each test: its methods are not kept."""
    before = dict(METHODS)
    loaded = importlib.import_module("selection.outsider")
    yield importlib.reload(loaded)
    METHODS.clear()
    METHODS.update(before)
    sys.modules.pop("selection.outsider", None)


@pytest.fixture
def table(tmp_path):
    columns = {"loss": [None if each != each else each for each in SCORES],
               "e": pa.FixedSizeListArray.from_arrays(pa.array(ROWS.ravel()), 2)}  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def test_in_python(outsider):
    found = outsider.nearest(SCORES, 2, target=0.5, on_bad="drop")
    assert found.indices.tolist() == [3, 4]
    assert found.explain(2).rule == "a value that is not finite"
    assert found.info["estimate"]["memory"] == 64 * 2**20 + 50 * 5
    with pytest.raises(
        ValueError, match=r"scores must be finite, got nan in row 2: exclude .*drop"
    ):
        outsider.nearest(SCORES, 2)
    assert outsider.longest(ROWS, 2, on_bad="drop").indices.tolist() == [1, 3]
    with pytest.raises(ValueError, match="embeddings must be finite"):
        outsider.longest(ROWS, 2)
    assert outsider.nearest(Score(np.arange(4.0), "keep"), 1, target=3.0).indices.tolist() == [3]


def test_over_a_table(table):
    opened = open_table(table)
    for name, columns in (("nearest", {"scores": "loss"}), ("longest", {})):
        with pytest.raises(ValueError, match="finite|missing"):
            select_from(opened, name, 2, columns=columns)
        found = select_from(opened, name, 2, columns=columns, settings={"on_bad": "drop"})
        assert 2 not in found.indices
        assert len(found) == 2


def test_in_a_plan(table, tmp_path):
    stages = [Stage("nearest", 3, columns={"scores": "loss"}, settings={"target": 1.0}),
              Stage("longest", 2)]  # fmt: skip
    plan = SelectionPlan(table, stages, on_bad="drop")
    assert [each["name"] for each in plan.estimates()] == ["nearest", "longest"]
    assert plan.run(tmp_path / "work").indices.tolist() == [1, 3]
    with pytest.raises(ValueError, match="stage 1 .nearest.: loss|stage 1 .nearest.: scores"):
        SelectionPlan(table, stages).run(tmp_path / "other")


def test_on_the_command_line(table, tmp_path):
    words = ["select", "nearest", str(table), "--budget", "2", "--with", "scores=loss"]
    words += ["--out", str(tmp_path / "subset.parquet")]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    done = CliRunner().invoke(app, [*words, "--set", "on_bad=drop", "--set", "target=1"])
    assert done.exit_code == 0, done.output
    assert Selection.load(tmp_path / "subset.parquet").indices.tolist() == [1, 3]
    listed = json.loads(CliRunner().invoke(app, ["methods", "--json"]).output)["nearest"]
    assert listed["summary"] == "Keep the rows whose score is nearest to a target."
    assert (listed["time"], listed["memory"]) == ("O(N log N)", "50 N bytes")


def test_a_name_that_is_taken_is_refused(outsider):
    known = dict(METHODS)

    def made(name):
        def mine(scores, budget, **options):
            return top(scores, budget, **options)

        mine.__name__ = name
        return method(needs="scores", label="baseline", ranked=True, cost=lambda s: Cost())(mine)

    with pytest.raises(
        ValueError, match=r"got 'top', which is sampling.*by_score._top.top: rename"
    ):
        made("top")
    with pytest.raises(
        ValueError, match="name must not be that of a stage of a plan, got 'filter'"
    ):
        made("filter")
    assert known == METHODS
    importlib.reload(outsider)  # the same functions again
    importlib.reload(importlib.import_module("sampling.selection.by_score._top"))
    assert set(methods()) == set(known)


@pytest.mark.parametrize(
    ("function", "cost", "message"),
    [
        (lambda scores, budget: None, lambda s: Cost(), r"must take the data, budget, .*got \(sco"),
        (lambda scores, keep, **options: None, lambda s: Cost(), "must take the data, budget"),
        (lambda scores, budget, **options: None, lambda s: 3.0, "must return a Cost, got float"),
    ],
)
def test_what_is_no_selector_is_not_registered(function, cost, message):
    known = dict(METHODS)
    with pytest.raises(TypeError, match=message):
        method(needs="scores", label="baseline", ranked=True, cost=cost)(function)
    assert known == METHODS


def test_annotations_may_be_text():
    """As `from __future__ import annotations` makes them."""

    def textual(scores: "ArrayLike | Score", budget: float, **options):
        return select("textual", 3, budget, options, None, arguments={}, bad=None)

    method(needs="scores", label="baseline", ranked=True, cost=lambda s: Cost())(textual)
    known = METHODS["textual"].parameters
    assert Score in known["scores"].annotation.__args__
    assert estimate("textual", 10).memory == 64 * 2**20


def test_the_example_of_the_docstring_is_this_file(outsider):
    """Of the selector and of its cost, statement by statement."""
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(method))
    shown = ast.parse("".join(each.source for each in examples))
    own = ast.parse(inspect.getsource(outsider))
    for name in ("cost", "nearest"):
        one, other = (
            next(each for each in tree.body if getattr(each, "name", "") == name)
            for tree in (shown, own)
        )
        one.body[0] = other.body[0] if name == "nearest" else one.body[0]  # docstrings indent
        assert ast.dump(one) == ast.dump(other)


@pytest.mark.full
def test_mypy_finds_nothing_in_it(outsider):
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", outsider.__file__],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
