"""The stored table of other people's samplers is what a run says, for the versions it names."""

import json

import pytest

from sampling.testing._registry import CHECKS

pytest.importorskip("torchdata", reason="the table needs torchdata")
pytest.importorskip("pytorch_metric_learning", reason="the table needs pytorch-metric-learning")

from . import peers  # needs both


def stored():
    return json.loads(peers.STORED.read_text(encoding="utf-8"))


def test_the_table_is_generated_from_the_stored_results():
    assert peers.STORED.with_suffix(".md").read_text(encoding="utf-8") == peers.markdown(stored())


@pytest.mark.full
def test_a_fresh_run_says_the_same():
    kept = stored()
    if kept["versions"] != peers.versions():
        pytest.skip(f"stored with {kept['versions']}, installed are {peers.versions()}")
    assert peers.statuses(peers.run()) == peers.statuses(kept)


def test_the_results_name_lines_that_there_are():
    lines = {line for _, _, line in peers.statuses(stored())}
    assert lines == set(CHECKS) - {"R4"}
