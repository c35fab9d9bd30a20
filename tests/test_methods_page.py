"""docs/methods.md is that of the registries, and they name all that is public."""

import importlib
from pathlib import Path

import pytest

from sampling import samplers, selection
from sampling.samplers._registry import SAMPLERS

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
    for name in selection.methods():
        assert f"| `{name}` |" in text


def test_batch_samplers_are_those_of_their_folder(made):
    rows = made.page().split("## Batch samplers")[1].split("\n## ")[0]
    assert "`InfoBatchSampler`" not in rows  # its name ends so
    assert SAMPLERS["InfoBatchSampler"].needs == "losses"


def test_names_link_to_the_page_of_their_package(made):
    text = made.linked(made.page())
    assert "| [`PairBatchSampler`](api/samplers.PairBatchSampler.md) |" in text
    assert "| [`TopKLoss`](api/batch_selection.TopKLoss.md) |" in text
    assert "| [`semdedup`](api/selection.semdedup.md) |" in text
