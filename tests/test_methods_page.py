"""docs/methods.md is that of the registries, and they name all that is public."""

import importlib
import re
from pathlib import Path

import pytest

from sampling import labeling, samplers, selection
from sampling._entry import VERDICTS
from sampling._functions import FUNCTIONS
from sampling.samplers._registry import SAMPLERS
from sampling.scores._registry import SCORES

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture
def made(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module("methods_page")


def test_the_page_is_the_generated_one(made):
    assert made.PAGE.read_text() == made.page(), "run `python docs/methods_page.py`"


def test_every_sampler_and_selector_is_on_it(made):
    text = made.page()
    for name in samplers.__all__:
        if name.endswith("Sampler") and name not in ("EpochSampler", "ScoredSampler"):
            assert f"| `{name}` |" in text
    for name in (*selection.methods(), *SCORES):
        assert f"| `{name}` |" in text


def test_functions_are_named_with_their_packages():
    for name in FUNCTIONS:
        package, own = name.split(".")
        assert own in importlib.import_module(f"sampling.{package}").__all__
    results = {"RiskEstimate", "LearningCurve", "SizeEstimate", "Allocation"}
    told = {name.split(".")[1] for name in FUNCTIONS if name.startswith("labeling.")}
    assert told == set(labeling.__all__) - results


def test_every_method_has_its_verdict_and_evidence_in_the_table(made):
    heads, wrong = [], []
    for line in made.page().split("\n"):
        cells = [each.strip() for each in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and not cells[0].startswith("`"):
            heads = cells if cells[0].strip("- ") else heads
        elif cells:
            row = dict(zip(heads, cells, strict=True))  # no | in a cell but as \|
            if row["Verdict"] not in VERDICTS or not row["Evidence"]:
                wrong.append(line)
    assert not wrong


def test_batch_samplers_are_those_of_their_folder(made):
    rows = made.page().split("## Batch samplers")[1].split("\n## ")[0]
    assert "`InfoBatchSampler`" not in rows  # its name ends so
    assert SAMPLERS["InfoBatchSampler"].needs == "losses"


def test_names_link_to_the_page_of_their_package(made):
    text = made.linked(made.page())
    assert "| [`PairBatchSampler`](api/samplers.PairBatchSampler.md) |" in text
    assert "| [`TopKLoss`](api/batch_selection.TopKLoss.md) |" in text
    assert "| [`semdedup`](api/selection.semdedup.md) |" in text
    assert "| [`TrainingDynamics.el2n`](api/scores.TrainingDynamics.md) |" in text
    assert "| [`grand`](api/scores.grand.md) |" in text
    assert "| [`labeling.Acquisition`](api/labeling.Acquisition.md) |" in text
