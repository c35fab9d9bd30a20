"""The benchmark of a billion samples runs at a small size, and its table holds what it found."""

import importlib
from pathlib import Path

import pytest
import torch


@pytest.fixture
def made(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "benchmarks")
    return importlib.import_module("billion")


def test_every_sampler_can_be_made_and_has_its_peer(made):
    assert made.SAMPLERS.keys() == made.PEER_OF.keys()
    for prepare, make in (made.SAMPLERS | made.PEERS).values():
        assert 0 <= next(iter(make(prepare(2000)))) < 2000


def test_the_weighted_sampler_of_torch_refuses(made, monkeypatch):
    assert made.CATEGORIES == 2**24

    def refuse(weights, *_, **__):
        assert len(weights) == 2**24 + 1
        raise RuntimeError("number of categories cannot exceed 2^24\nmore")

    monkeypatch.setattr(torch, "multinomial", refuse)
    assert made.refusal() == "number of categories cannot exceed 2^24"


def test_the_table_names_what_is_extrapolated(made):
    row = {"total GiB": 3.04, "beyond the input GiB": 1.0, "first index s": 2.0}
    row |= {"of the processor s": 1.0, "a draw ns": 70.4}
    peer = {"name": "other", "run at": 10, "first index s": 5.0, "beyond the input GiB": 9.0}
    lines = made.table({"a": {**row, "peer": peer}, "b": {**row, "peer": {"name": "none"}}}, 1000)
    assert (
        "| a | 3.0 | 1.0 | 2 s (1 s) | 70 ns | other: 9 GiB, 5 s (100 times those at 10) |" in lines
    )
    assert lines.endswith("| 70 ns | none |")
