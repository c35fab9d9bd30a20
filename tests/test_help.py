"""What `help()` and `repr()` show: names by purpose, readable signatures, no addresses."""

import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import sampling
from sampling import (
    Indexed,
    Score,
    batch_selection,
    bench,
    clustering,
    engine,
    integrations,
    io,
    labeling,
    loading,
    samplers,
    scores,
    selection,
    testing,
    weighting,
)
from sampling.testing._every_sampler import SAMPLERS

DOCS = Path(__file__).parent.parent / "docs"
UNREADABLE = re.compile(r" at 0x|<factory>|\btyping\.|numpy\.|collections\.abc")


@pytest.fixture
def pages(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module("api_pages")


@pytest.fixture
def packages(pages):
    named = {name: importlib.import_module(f"sampling.{name}") for name in pages.PACKAGES}
    return {"": sampling, **named}


def test_a_package_lists_each_public_name_once_by_purpose_and_no_private_file(pages, packages):
    for name, package in packages.items():
        listed = [each for names in pages.groups_of(package).values() for each in names]
        assert sorted(listed) == sorted(package.__all__), name
        private = re.findall(r"(?<![\w.])_[a-z]\w*|\w+\.py\b|\b\w+/ ", package.__doc__)
        assert not private, name


def callables(packages):
    """(name, callable) of the public functions and classes, and of their methods."""
    for package in packages.values():
        for name in package.__all__:
            thing = getattr(package, name)
            if inspect.isroutine(thing) or inspect.isclass(thing):
                yield name, thing
            for method in vars(thing) if inspect.isclass(thing) else ():
                if not method.startswith("_") and callable(getattr(thing, method)):
                    yield f"{name}.{method}", getattr(thing, method)


def test_signatures_are_readable(packages):
    unreadable = []
    for name, thing in callables(packages):
        try:
            text = str(inspect.signature(thing))
        except ValueError:  # an exception or a TypedDict, which has none
            assert issubclass(thing, Exception | dict), name
            continue
        if UNREADABLE.search(text):
            unreadable.append(f"{name}{text}")
    assert not unreadable


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        (
            samplers.ShuffleSampler,
            "(data_source: int | Sized, num_samples: int | None = None, *, num_repeats: int = 1, "
            "seed: int = 0, num_replicas: int | None = None, rank: int | None = None, "
            "drop_last: bool = False, pad: bool = True, "
            "process_group: dist.ProcessGroup | None = None, "
            "objective: Literal['sampled', 'original'] = 'sampled', "
            "nonfinite: Literal['propagate', 'drop'] = 'propagate', "
            "exposure: ExposureCounter | None = None, auto_epoch: bool = False)",
        ),
        (
            samplers.ShuffleSampler.importance_weights,
            "(self, indices: ArrayLike | torch.Tensor) -> Scores | torch.Tensor",
        ),
        (
            selection.top,
            "(scores: AnyScores, budget: float, **options: Unpack[Options]) -> Selection",
        ),
        (
            labeling.LearningCurve,
            "(floor: float, scale: float, exponent: float, noise: float = nan, "
            "replicates: Floats = <float64 (0, 3)>, highest: float = inf)",
        ),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_signature_shows_annotations_as_they_are_written(thing, text):
    assert str(inspect.signature(thing)) == text


def objects():
    """One object of each kind that a user meets."""
    rows = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    shuffle = samplers.ShuffleSampler(30)
    curve = labeling.LearningCurve(0.1, 2.0, 0.5)
    top = batch_selection.TopKLoss(keep=0.5)
    picked = selection.top(np.arange(30.0), 5)
    yield from (make() for make in SAMPLERS.values())
    yield from (samplers.ODM(), samplers.DoReMi(), samplers.SkillIt(np.eye(2)), samplers.Aioli())
    yield from (
        shuffle.table(0),
        samplers.tables.Cumulative([1.0, 2.0]),
        samplers.Groups("labels", [0, 1]),
    )
    yield from (picked, picked.explain(3), Score(np.arange(9.0), "harder"), Indexed([1, 2]))
    yield from (selection.Stage("top", budget=3), selection.bags(20, 3), selection.methods()["top"])
    yield from (clustering.kmeans(rows, 3), clustering.neighbours(rows, 2), engine.Local())
    yield from (labeling.Acquisition(9), curve, curve.size_for(0.2))
    yield labeling.allocate({"a": curve, "b": curve}, 50)
    yield from (scores.TrainingDynamics(9, 2), scores.ScoreTable(9), scores.ExposureCounter(9))
    yield from (weighting.ClassWeights([1, 2]), weighting.GroupWeights(3))
    yield weighting.deferred(weighting.ClassWeights([1, 2]), 3)
    yield from (top, batch_selection.SelectiveForward(torch.nn.Linear(2, 2), print, top))
    yield from (
        bench.Settings("digits"),
        bench.Run("rs2", 0.5, 0, 0.5, test=0.9),
        bench.Results({}, "accuracy"),
    )
    yield loading.TensorLoader(shuffle, 2, torch.arange(30))
    yield integrations.check_loader(DataLoader(range(30), 2, sampler=shuffle))
    yield testing.check_sampler(
        lambda size=103, **o: samplers.ShuffleSampler(size, **o), only=["C5"]
    )


def test_the_text_of_an_object_has_no_address_and_no_whole_array(tmp_path):
    np.save(tmp_path / "rows.npy", np.eye(9, dtype=np.float32))
    for each in (*objects(), io.open_table(tmp_path / "rows.npy")):
        assert not UNREADABLE.search(repr(each)), repr(each)
        assert "array(" not in repr(each)
        assert len(repr(each)) < 800


def test_a_result_shows_few_numbers_and_the_shape_of_many():
    curve = labeling.LearningCurve(0.1, 2.0, 0.5)
    found = repr(labeling.allocate({"a": curve, "b": curve}, 50))
    assert found.startswith(
        "Allocation(names=['a', 'b'], counts=[25, 25], collect=[25, 25], spent=50.0, losses=[0.5, "
    )
    found = repr(clustering.neighbours(np.eye(30, dtype=np.float32), 2))
    assert found.startswith("Neighbours(indices=<int64 (30, 2)>, distances=<float32 (30, 2)>, ")
