"""The list of kept samples and the directory that replaces it draw the same."""

import numpy as np
import pytest

from sampling.samplers import InfoBatchSampler, full_state, load_full_state
from sampling.samplers.core import _tables
from sampling.samplers.core._tables import KeptTable


@pytest.mark.parametrize("share", [0.0, 0.01, 0.6, 1.0])
def test_a_list_and_a_directory_draw_the_same(share, monkeypatch):
    kept = np.random.default_rng(0).random(5_000) < share
    listed = KeptTable.of(kept)
    monkeypatch.setattr(_tables, "LISTED", listed.size - 1)
    found = KeptTable.of(kept)
    assert (listed._listed is None, found._listed is None) == (False, True)
    assert listed.size == found.size == np.count_nonzero(kept)
    slots = np.random.default_rng(1).permutation(listed.size)
    for table in (listed, found):
        drawn = table.take(slots)
        assert drawn.dtype == np.int64
        np.testing.assert_array_equal(drawn, np.flatnonzero(kept)[slots])
    assert listed.saved().keys() == found.saved().keys()
    assert [*map(str, listed.parts())] == [*map(str, found.parts())]


def test_a_state_saved_with_a_list_continues_with_a_directory(monkeypatch):
    def made():
        return InfoBatchSampler(1000, 8, seed=3)

    sampler = made()
    sampler.record(np.arange(1000), np.random.default_rng(0).random(1000))
    sampler.set_epoch(1)
    drawn = list(sampler)
    state = full_state(sampler)
    monkeypatch.setattr(_tables, "LISTED", 10)
    resumed = made()
    load_full_state(resumed, state)
    assert resumed._plan(1).table._listed is None
    assert resumed.indices(1).tolist() == drawn
