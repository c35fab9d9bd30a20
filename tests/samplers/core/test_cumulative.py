"""Packed sums draw what plain ones draw, whatever the blocks in which they were made."""

import tracemalloc

import numpy as np
import pytest

from sampling.samplers import WeightedSampler
from sampling.samplers.core import _cumulative
from sampling.samplers.core._cumulative import Cumulative
from sampling.samplers.core._tables import WeightedTable

random = np.random.default_rng(0)
WEIGHTS = {
    "uniform": random.random(5001),
    "lognormal": random.lognormal(0, 3, 5001),
    "sparse": np.where(random.random(5001) < 0.02, random.random(5001), 0.0),
    "heavy first": np.append(1e7, random.random(5000)),
    "zeros last": np.append(1e7, random.random(3000)).tolist() + [0.0] * 1999,
    "one": [3.0],
}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(_cumulative, "PACKED", 1)
    monkeypatch.setattr(_cumulative, "_BLOCK", 160)


@pytest.mark.parametrize("name", WEIGHTS)
def test_packed_sums_draw_the_same(name, small, monkeypatch):
    weights = np.array(WEIGHTS[name])
    packed = Cumulative(weights)
    plain = Cumulative.of_sums(np.cumsum(weights))
    assert packed.size == plain.size
    assert packed.total == plain.total
    np.testing.assert_array_equal(packed.sums, plain.sums)
    indices = random.integers(0, weights.size, 300)
    np.testing.assert_array_equal(packed.share(indices), plain.share(indices))
    slots = np.arange(9_000)
    for independent in (False, True):
        ours, theirs = (
            WeightedTable(each, slots.size, np.uint64(7), independent=independent)
            for each in (packed, plain)
        )
        np.testing.assert_array_equal(ours.take(slots), theirs.take(slots))
        arrays = ours.saved()
        again = WeightedTable.restored(arrays, weights.size)
        np.testing.assert_array_equal(again.take(slots), theirs.take(slots))


def test_a_sampler_of_packed_sums_has_its_state_and_weights(small, monkeypatch):
    weights = random.random(3000) + 0.1

    def made(weights=weights, **options):
        return WeightedSampler(weights, seed=5, objective="original", **options)

    packed = made()
    state, drawn = packed.state_dict(), list(packed)
    other = made(weights[::-1].copy())
    with pytest.raises(Exception, match="weights"):
        other.load_state_dict(state)
    made().load_state_dict(state)
    shares = packed.importance_weights(np.arange(3000))
    monkeypatch.setattr(_cumulative, "PACKED", 2**27)
    plain = made()
    assert list(plain) == drawn
    np.testing.assert_array_equal(plain.importance_weights(np.arange(3000)), shares)


def test_weights_are_not_kept_and_may_change_afterwards(small):
    weights = random.random(1000)
    sampler = WeightedSampler(weights)
    drawn = list(sampler)
    weights[:] = 1.0
    sampler.set_epoch(1)
    sampler.set_epoch(0)
    assert list(sampler) == drawn


@pytest.mark.parametrize("packed", [2**27, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.uint64, np.bool_, np.float16])
def test_weights_of_any_dtype_are_summed_as_float64_without_a_copy(dtype, packed, monkeypatch):
    monkeypatch.setattr(_cumulative, "PACKED", packed)
    weights = (random.random(1000) * 100).astype(dtype)
    for given in (weights, weights[::-2]):
        expected = np.cumsum(given.astype(np.float64))
        np.testing.assert_array_equal(Cumulative(given).sums, expected)
        whole = WeightedSampler(given.astype(np.float64))
        sampler = WeightedSampler(given)
        assert list(sampler) == list(whole)
        sampler.load_state_dict(whole.state_dict())
        half = [WeightedSampler(each, 40, replacement=False) for each in (given, given.tolist())]
        assert list(half[0]) == list(half[1])


@pytest.mark.filterwarnings("ignore:sample 0 is drawn about")
@pytest.mark.parametrize(("packed", "most"), [(2**27, 10.3), (1, 5.3)])
def test_the_peak_beyond_float32_weights_is_that_of_the_sums(packed, most, monkeypatch):
    monkeypatch.setattr(_cumulative, "PACKED", packed)
    monkeypatch.setattr(_cumulative, "_BLOCK", 2**14)
    weights = np.append(2.0**25, random.random(2**20)).astype(np.float32)
    WeightedSampler(weights[1:101])  # compiles
    tracemalloc.start()
    sampler = WeightedSampler(weights)
    peak = tracemalloc.get_traced_memory()[1] / weights.size
    tracemalloc.stop()
    assert sampler.size == weights.size
    assert peak < most


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("independent", [False, True])
def test_located_points_are_those_of_the_draws(name, independent, small):
    weights = np.array(WEIGHTS[name])
    slots, key = np.arange(9_000), np.uint64(7)
    sums = np.cumsum(weights)
    for cumulative in (Cumulative(weights), Cumulative.of_sums(sums)):
        found, inside = cumulative.located(key, 9_000, slots, independent=independent)
        drawn = cumulative.stratified(key, 9_000, slots)
        if independent:
            drawn = cumulative.independent(key, slots)
        assert (found == drawn).mean() > 0.999  # but for rounding at the edges
        assert ((inside >= 0) & (inside <= 1)).all()
        points = sums[found] - weights[found] * (1 - inside)
        if not independent:
            np.testing.assert_array_equal(np.floor(points / sums[-1] * 9_000 + 1e-6), slots)
