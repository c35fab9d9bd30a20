"""What the README prints runs, and what the documentation says of ordinary scripts."""

import importlib
import json
import re
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from sampling import Indexed, samplers
from sampling._evidence import COMPARED
from sampling.batch_selection._registry import SELECTORS
from sampling.samplers import ClassBalancedSampler, InfoBatchSampler, ShuffleSampler
from sampling.samplers._registry import SAMPLERS
from sampling.selection import methods
from sampling.weighting._registry import WEIGHTINGS

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
BENCHMARKS = (ROOT / "benchmarks" / "README.md").read_text()


@pytest.fixture
def task():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 5, generator=generator)
    model = torch.nn.Linear(5, 2)
    return TensorDataset(x, (x[:, 0] > 0).long()), model, torch.optim.SGD(model.parameters(), 0.1)


def losses_of(model, x, y):
    return F.cross_entropy(model(x), y, reduction="none")


def test_the_first_block_begins_before_line_20_and_all_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = TEXT.splitlines()
    assert lines.index("```python") < 20
    for block in re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL):
        exec(compile(block, "README.md", "exec"), {})


def test_the_loop_serves_every_sampler_but_those_that_need_more(task):
    """Those that learn, in the loop of the first block, without another argument."""
    dataset, model, optimizer = task
    train, more = Indexed(dataset), set()
    for kind in (getattr(samplers, name) for name in SAMPLERS):
        required = {
            name for name, each in signature(kind).parameters.items() if each.default is each.empty
        }
        if not {"data_source", "num_epochs"} <= required or len(required) > 2:
            continue
        sampler = kind(train, num_epochs=3)
        sampler.set_epoch(0)
        indices, (x, y) = next(iter(DataLoader(train, 16, sampler=sampler)))
        try:
            sampler.reduce(losses_of(model, x, y), indices).backward()
            sampler.set_epoch(1)
        except ValueError as error:
            assert "logits and labels must be given" in str(error)
            more.add(kind.__name__)
        if hasattr(sampler, "rescore"):
            more.add(kind.__name__)
    needs = {name for name, each in SAMPLERS.items() if re.search("logits|forward", each.needs)}
    assert more == needs


def test_it_is_short():
    assert len(TEXT.splitlines()) <= 150


@pytest.mark.parametrize("name", ["harness", "selection_table"])
def test_the_speed_tables_are_the_generated_ones(name, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    made = importlib.import_module(name)
    results = json.loads(made.RESULTS.read_text())
    printed = BENCHMARKS.split(made.BEGIN)[1].split(made.END)[0]
    assert printed.strip() == made.table(results).strip()


def test_the_tables_of_training_are_the_generated_ones(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    made = importlib.import_module("training")
    printed = BENCHMARKS.split(made.BEGIN)[1].split(made.END)[0]
    assert printed.strip() == made.tables().strip()


def test_the_evidence_of_methods_is_what_the_runs_say(monkeypatch):
    """Every line, and each at a method that there is."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    made = importlib.import_module("evidence")
    written = {}
    exec(made.text(), written)
    assert written["COMPARED"] == COMPARED
    known = {*SAMPLERS, *WEIGHTINGS, *SELECTORS, *methods()}
    assert {*made.ROWS} <= known
    assert COMPARED["RepeatedSubsetSampler"] in SAMPLERS["RepeatedSubsetSampler"].evidence
    assert COMPARED["semdedup"] in methods()["semdedup"].entry.evidence


def test_intervals_that_a_page_states_are_those_of_the_tables():
    """So a page cannot keep a figure of runs that were replaced."""
    pages = {path.name: path.read_text() for path in (ROOT / "docs").glob("*.md")}
    found = {
        (name, each)
        for name, text in {**pages, "README.md": TEXT}.items()
        for each in re.findall(r"[-+]\d+\.\d+ to [-+]\d+\.\d+", text)
    }
    assert len(found) > 5
    assert {each for each in found if each[1] not in BENCHMARKS} == set()


def test_amp(task):
    dataset, model, optimizer = task
    sampler = ShuffleSampler(dataset)
    scaler = torch.amp.GradScaler("cpu")
    for indices, (x, y) in DataLoader(Indexed(dataset), batch_size=16, sampler=sampler):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = losses_of(model, x, y)
        scaler.scale(sampler.reduce(losses, indices)).backward()
        scaler.step(optimizer)
        scaler.update()


def test_gradient_accumulation(task):
    dataset, model, _ = task
    sampler = ShuffleSampler(dataset)
    for indices, (x, y) in DataLoader(Indexed(dataset), batch_size=16, sampler=sampler):
        sampler.reduce(losses_of(model, x, y), indices, denominator=64).backward()
    accumulated = model.weight.grad.clone()
    model.zero_grad()
    losses_of(model, *dataset.tensors).mean().backward()
    torch.testing.assert_close(accumulated, model.weight.grad)


def test_scheduler(task):
    dataset, _, _ = task
    sampler = InfoBatchSampler(dataset, num_epochs=4)
    assert sampler.progress(0) == 0
    sampler.set_epoch(3)
    assert sampler.progress(3, consumed=32) == 0.875


def test_mixup(task):
    dataset, model, _ = task
    sampler = InfoBatchSampler(dataset, num_epochs=4)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for indices, (x, y) in DataLoader(Indexed(dataset), batch_size=16, sampler=sampler):
            own = losses_of(model, x, y)
            sampler.record(indices, own)
            partner = torch.arange(len(indices)).flip(0)
            weights = sampler.weights_for(indices) * sampler.weights_for(indices[partner])
            mixed = model(0.5 * x + 0.5 * x[partner])
            pair = 0.5 * F.cross_entropy(mixed, y, reduction="none") + 0.5 * F.cross_entropy(
                mixed, y[partner], reduction="none"
            )
            (weights * pair).mean().backward()
    assert np.isfinite(sampler.scores).all()


def test_a_trainer_that_shards(task):
    dataset, _, _ = task
    assert len(ShuffleSampler(dataset, num_replicas=1, rank=0)) == len(dataset)


class Dicts(Dataset):
    def __getitem__(self, row):
        return {"x": torch.full((3,), float(row))}

    def __len__(self):
        return 20


def test_dict_batches():
    train = Indexed(Dicts(), key="index")
    sampler = ShuffleSampler(train)
    for batch in DataLoader(train, batch_size=5, sampler=sampler):
        sampler.reduce(batch["x"].sum(1), batch["index"])
        assert batch["x"][:, 0].tolist() == batch["index"].tolist()


def stack(samples):
    return torch.stack([x for x, _ in samples])


def test_own_collate_fn(task):
    dataset, _, _ = task
    loader = DataLoader(Indexed(dataset), batch_size=8, collate_fn=Indexed.collate(stack))
    indices, x = next(iter(loader))
    assert indices.tolist() == list(range(8))
    assert x.shape == (8, 5)


def test_a_subset(task):
    dataset, model, _ = task
    part = Indexed(Subset(dataset, range(10, 30)))
    sampler = ShuffleSampler(part)
    for indices, (x, y) in DataLoader(part, batch_size=4, sampler=sampler):
        sampler.reduce(losses_of(model, x, y), indices)
    sampler.set_epoch(1)
    wrong = Subset(Indexed(dataset), range(10, 30))
    with pytest.raises(ValueError, match="Indexed must be the outermost wrapper"):
        for indices, (x, y) in DataLoader(wrong, batch_size=4, sampler=sampler):
            sampler.reduce(losses_of(model, x, y), indices)


def test_a_restart_in_mid_epoch(task):
    dataset, _, _ = task
    sampler = ClassBalancedSampler(dataset.tensors[1])
    sampler.set_epoch(3)
    whole = list(sampler)
    state = json.loads(json.dumps(sampler.state_dict(consumed=24)))
    again = ClassBalancedSampler(dataset.tensors[1])
    again.load_state_dict(state)
    assert list(again) == whole[24:]
