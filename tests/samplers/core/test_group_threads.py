"""Groups and their draws are the same, whichever parts of the samples threads share."""

import numpy as np
import oracles
import pytest
import torch

from sampling.samplers import ClassBalancedSampler
from sampling.samplers.core import _groups
from sampling.samplers.core._groups import Groups, deal_windows

random = np.random.default_rng(0)
LABELS = {
    "few": random.integers(-1, 7, 3000),
    "sparse ids": random.integers(0, 5, 3000) * 2500,
    "skewed": (random.random(3000) ** 4 * 50).astype(np.int16),
    "one each": random.permutation(3000),
}


@pytest.fixture(params=[1, 3])
def parts(request, monkeypatch):
    monkeypatch.setattr(_groups, "PART", 170)
    monkeypatch.setattr(torch, "get_num_threads", lambda: request.param)


@pytest.mark.parametrize("shared", [2**16, 0])
@pytest.mark.parametrize("name", LABELS)
def test_groups_equal_a_stable_sort(name, shared, parts, monkeypatch):
    monkeypatch.setattr(_groups, "_SHARED", shared)
    labels = LABELS[name]
    groups = Groups("labels", labels)
    names = np.unique(labels[labels >= 0])
    np.testing.assert_array_equal(groups.names, names)
    codes, _ = oracles.codes_by_unique(labels)
    np.testing.assert_array_equal(groups.codes, codes)
    np.testing.assert_array_equal(groups.sizes, np.bincount(codes[codes >= 0]))
    np.testing.assert_array_equal(groups.members, oracles.members_by_sorting(codes))


def test_draws_equal_walking(parts):
    sizes = np.array([1, 40, 700, 3])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    members = random.permutation(int(sizes.sum())).astype(np.int32)
    used, quotas = np.array([5, 0, 650, 2]), np.array([100, 0, 900, 333])
    out = np.empty(int(quotas.sum()), np.int32)
    deal_windows(members, starts, used, quotas, np.uint64(3), out)
    expected = oracles.deal_by_walking(members, starts, used, quotas, 3)
    np.testing.assert_array_equal(out, expected)


def test_a_sampler_draws_the_same_in_parts(monkeypatch):
    def drawn():
        sampler = ClassBalancedSampler(LABELS["few"], 5000, seed=2)
        return [sampler.indices(epoch).tolist() for epoch in (0, 3)]

    whole = drawn()
    monkeypatch.setattr(_groups, "PART", 99)
    assert drawn() == whole
