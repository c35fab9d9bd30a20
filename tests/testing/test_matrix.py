"""The contract matrix finds what it is there to find, and its cells pass."""

import json
import re
import sys

import pytest
from typer.testing import CliRunner

from sampling.cli import app
from sampling.samplers import EpochSampler
from sampling.samplers.core._passes import EpochIterator
from sampling.testing import cells, read_matrix, run_cells, write_matrix
from sampling.testing._matrix import _verdict
from sampling.testing._matrix_runs import EXTRAS

pytestmark = pytest.mark.filterwarnings("ignore")


def leg(dealt, order):
    return {"dealt": [(0, batch) for batch in dealt], "orders": {0: order}}


WHOLE = [[3, 1], [0, 2]]
ORDER = [3, 1, 0, 2]


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        ([[WHOLE, WHOLE[:1], WHOLE[1:]]], ""),
        ([[WHOLE, WHOLE[:1], WHOLE[:1]]], "the first that differs is number 1"),
        ([[WHOLE, WHOLE[:1], [*WHOLE[1:], [3, 1]]]], "resumed it drew 3 batches, uninterrupted 2"),
        ([[WHOLE, WHOLE, []]], "was not stopped and resumed"),
        ([[WHOLE[:1], WHOLE[:1], WHOLE[:1]]], "resumed it drew 2 batches"),
        ([[[[3, 1], [2, 0]], [[3, 1]], [[2, 0]]]], "drawn in another order than the sampler's"),
        ([[[[3, 1], [0, 0]], [[3, 1]], [[0, 0]]]], "1 samples lost or not drawn"),
        ([[[[3], [1]], [[3]], [[1]]], [[[0], [2]], [[0]], [[2]]]], ""),
        ([[[[3], [1]], [[3]], [[1]]], [[[3], [1]], [[3]], [[1]]]], "2 samples lost"),
        (
            [[[[3], [1], [0]], [[3]], [[1], [0]]], [[[0], [2]], [[0]], [[2]]]],
            r"the ranks had \[3, 2\]",
        ),
        (["ValueError: no"], "rank 0: ValueError: no"),
    ],
)
def test_verdicts(ranks, message):
    legs = [
        each if isinstance(each, str) else [leg(part, ORDER) for part in each] for each in ranks
    ]
    found = _verdict(legs)
    assert bool(found) == bool(message)
    assert re.search(message, found)


def rolls_over(iterator):
    """The state of an iterator that is at the next epoch after its last item, in the loop too."""
    dealt, plan = iterator._pass, iterator._pass.plan
    if dealt.taken >= dealt.count:
        return iterator._sampler._state(plan.epoch + 1, 0, None)
    return iterator._sampler._state(plan.epoch, dealt.consumed, plan)


def begins(sampler, consumed=0):
    """The state of a sampler that says 0 without a count."""
    plan = sampler._plan(sampler.epoch) if sampler.dynamic else None
    return sampler._state(sampler.epoch, consumed, plan)


@pytest.mark.parametrize(
    ("owner", "name", "mutant", "loader", "killed"),
    [
        (EpochIterator, "state_dict", rolls_over, "StatefulDataLoader", {"last batch"}),
        (EpochSampler, "state_dict", begins, "torchdata.nodes", {"mid-epoch", "last batch"}),
        (EpochSampler, "_begin", lambda s: (s._plan(s.epoch), None), "StatefulDataLoader", None),
    ],
)
@pytest.mark.parametrize("sampler", ["ShuffleSampler", "InfoBatchSampler"])
def test_a_mutant_is_killed_by_its_cells(monkeypatch, owner, name, mutant, loader, killed, sampler):
    if killed is None:  # a sampler that stays at the end; a dynamic one is told its epochs
        killed = set() if sampler == "InfoBatchSampler" else {"epoch end", "last batch"}
    elif loader == "torchdata.nodes":
        killed = killed | {"epoch end"}
    asked = cells([sampler], [loader], workers=[0], ranks=[1])
    assert not any(run_cells(asked).values())
    monkeypatch.setattr(owner, name, mutant)
    assert {case.where for case, text in run_cells(asked).items() if text} == killed


@pytest.mark.slow
@pytest.mark.parametrize(
    "sampler",
    [
        pytest.param("WeightedSampler", marks=pytest.mark.full),
        "EpochBatchSampler of InfoBatch",
    ],
)
def test_one_process_in_every_loader(sampler):
    found = run_cells(cells([sampler], workers=[0], ranks=[1]))
    assert {case: text for case, text in found.items() if text} == {}
    assert len(found) == 24


@pytest.mark.full
@pytest.mark.distributed
def test_two_processes_in_every_loader():
    asked = cells(["InfoBatchSampler"], workers=[0], ranks=[2])
    asked += cells(["ClassesPerBatchSampler"], ["DataLoader"], workers=[2], ranks=[2])
    found = run_cells(asked)
    assert {case: text for case, text in found.items() if text} == {}
    assert len(found) == 27


def test_the_command_prints_a_table_and_keeps_the_cells(tmp_path):
    arguments = ["--samplers", "ShuffleSampler", "--loaders", "DataLoader", "--workers", "0"]
    out = tmp_path / "matrix.json"
    result = CliRunner().invoke(app, ["contracts", *arguments, "--ranks", "1", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "| ShuffleSampler | 3/3 |" in result.output
    kept = json.loads(out.read_text())
    assert [cell["problem"] for cell in kept["cells"]] == ["", "", ""]


def test_results_are_added_to_a_matrix_of_the_same_versions(tmp_path):
    out = tmp_path / "matrix.json"
    asked = cells(["ShuffleSampler", "SubsetSampler"], ["DataLoader"], workers=[0], ranks=[1])
    write_matrix({asked[0]: "", asked[3]: "wrong"}, out)
    arguments = ["--samplers", "SubsetSampler", "--loaders", "DataLoader", "--workers", "0"]
    arguments = ["contracts", *arguments, "--ranks", "1", "--out", str(out), "--add"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert read_matrix(out) == dict.fromkeys([asked[0], *asked[3:]], "")

    held = json.loads(out.read_text())
    held["versions"]["torch"] = "1.0"
    out.write_text(json.dumps(held))
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "must be of the versions of this run, got torch 1.0: run all cells" in " ".join(
        result.output.split()
    )
    result = CliRunner().invoke(app, ["contracts", "--add"])
    assert result.exit_code == 2
    assert "--out must be given with --add" in result.output
    with pytest.raises(ValueError, match="must be a contract matrix"):
        read_matrix(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("option", "word", "message"),
    [
        ("--samplers", "Nope", "samplers must be of"),
        ("--loaders", "Nope", "loaders must be of"),
        ("--ranks", "3", r"ranks must be of \[1, 2\], got \[3\]"),
        ("--workers", "-1", "workers must be >= 0, got -1"),
        ("--workers", "x", "workers must be an int, got 'x'"),
    ],
)
def test_what_the_command_does_not_know_is_refused(option, word, message):
    result = CliRunner().invoke(app, ["contracts", option, word])
    assert result.exit_code == 2
    assert re.search(message, result.output)


@pytest.mark.parametrize("loader", EXTRAS)
def test_a_loader_whose_framework_is_missing_names_its_extra(monkeypatch, loader):
    package, extra = EXTRAS[loader]
    monkeypatch.setitem(sys.modules, package, None)
    result = CliRunner().invoke(app, ["contracts", "--loaders", f"DataLoader,{loader}"])
    assert result.exit_code == 2
    assert f"the matrix of {loader} needs {package}" in " ".join(result.output.split())
    assert f"pip install 'sampling[{extra}]'" in " ".join(result.output.split())
