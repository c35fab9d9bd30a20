"""Weights by sample: of domains, of targets, given."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_weighting import density_weights_by_loops

from sampling.samplers import MixtureSampler, ShuffleSampler, WeightedSampler, temperature_weights
from sampling.weighting import (
    SampleWeights,
    effective_sample_size,
    target_density_weights,
    upweight,
)

DOMAINS = np.repeat([0, 1, 2], [80, 15, 5])


@pytest.mark.parametrize(
    ("temperature", "golden"),
    [
        (3.33, (0.555540, 0.237799, 0.155056, 0.051605)),
        (5, (0.454302, 0.258178, 0.194191, 0.093329)),
        (100, (0.259440, 0.252212, 0.248646, 0.239702)),
    ],
)
def test_golden_shares_of_domains(temperature, golden):
    sizes = np.array([2733, 162, 39, 1])
    found = upweight(np.repeat([7, 3, 9, 5], sizes), temperature)
    first = np.cumsum(sizes) - 1
    np.testing.assert_allclose(found.values[first] * sizes / sizes.sum(), golden, atol=1e-6)
    natural = sizes / sizes.sum()
    factor = (np.square(golden) / natural).sum()  # the paper's factor of the variance
    assert found.effective_sample_size == pytest.approx(sizes.sum() / factor, rel=1e-4)
    assert found.values.mean() == pytest.approx(1)
    shares = temperature_weights(sizes, temperature)  # the sampler's
    np.testing.assert_allclose(found.values[first] * natural, shares, rtol=1e-6)


def test_weights_equal_the_sampler_in_expectation_and_have_more_variance():
    """Both estimate the mean over domains in their shares; fixed seeds, 4 standard errors."""
    losses = torch.from_numpy(np.random.default_rng(0).exponential(size=100) + 3 * (DOMAINS == 2))
    losses = losses.float()
    shares = temperature_weights([80, 15, 5], 5.0)
    wanted = sum(s * float(losses[DOMAINS == k].mean()) for k, s in enumerate(shares))
    weighting = upweight(DOMAINS, 5.0)
    mixture = MixtureSampler(domains=DOMAINS, temperature=5.0, seed=3)
    plain = ShuffleSampler(100, seed=3)

    def steps(sampler, weighting):
        found = []
        for epoch in range(60):
            sampler.set_epoch(epoch)
            drawn = np.array(list(sampler))
            batches = drawn.reshape(10, 10)
            found += [float(sampler.reduce(losses[b], b, weighting=weighting)) for b in batches]
        return np.array(found)

    by_weight, by_draw = steps(plain, weighting), steps(mixture, None)
    for found in (by_weight, by_draw):
        assert found.mean() == pytest.approx(wanted, abs=4 * found.std() / np.sqrt(found.size))
    assert by_weight.mean() == pytest.approx(wanted, rel=1e-4)  # over whole epochs exact
    assert by_weight.var() > 2 * by_draw.var()


def test_one_domain_and_none():
    assert upweight(["a"] * 3, 5.0).values.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="domains must name a domain in each row, got none in row"):
        upweight([0, -1, 1], 2.0)
    with pytest.raises(ValueError, match="domains must name a domain in each row, got none in row"):
        upweight(["a", None], 2.0)
    with pytest.raises(ValueError, match=r"temperature must be in \(0, inf\), got 0"):
        upweight([0, 1], 0)


def test_weights_of_samples():
    weighting = SampleWeights(np.arange(1.0, 6.0))
    assert weighting(torch.ones(2), indices=np.array([4, 0])).tolist() == [5, 1]
    assert len(weighting) == 5
    loss = ShuffleSampler(5).reduce(torch.ones(2), [4, 0], weighting=weighting)
    assert float(loss) == 3
    with pytest.raises(ValueError, match=r"indices must be in \[0, 5\), got 5 in row 0"):
        weighting(torch.ones(1), indices=[5])
    with pytest.raises(ValueError, match="weights must be finite and >= 0, got -1.0 in row 1"):
        SampleWeights([1.0, -1.0])


def test_effective_size_at_any_scale():
    weights = np.array([9.0, 1.0, 1.0, 1.0])
    for scale in (1e-300, 1.0, 1e300):
        assert effective_sample_size(weights * scale) == pytest.approx(144 / 84)
    assert effective_sample_size([0.0, 3.0]) == 1


# ---------------------------------------------------------------------- targets


@given(
    targets=st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=40),
    bins=st.integers(1, 12),
    smoothing=st.sampled_from([0.0, 0.5, 2.0]),
    power=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    max_ratio=st.sampled_from([None, 1.0, 1.5, 10.0]),
)
@settings(deadline=None, derandomize=True, max_examples=80)
def test_against_loops(targets, **arguments):
    found = target_density_weights(targets, **arguments)
    # a target on an edge may be rounded to either bin
    low, high = min(targets), max(targets)
    parts = [(t - low) / max(high - low, 1e-9) * arguments["bins"] for t in targets]
    if any(0 < part < arguments["bins"] and abs(part - round(part)) < 1e-9 for part in parts):
        return
    np.testing.assert_allclose(found, density_weights_by_loops(targets, **arguments), rtol=1e-7)


def test_extreme_targets():
    assert target_density_weights(np.full(7, 3.0)).tolist() == [1] * 7
    assert target_density_weights([5.0]).tolist() == [1]
    huge = target_density_weights(
        [-1.7e308, 1.7e308, 1.7e308, 1.7e308], bins=2, smoothing=0, power=1
    )
    np.testing.assert_allclose(huge, [2, 2 / 3, 2 / 3, 2 / 3])
    times = 1.7e9 + np.array([0.0, 0.0, 0.0, 1e-3])  # far from 0 for their range
    np.testing.assert_allclose(target_density_weights(times, bins=2, smoothing=0, power=1)[3], 2)
    steep = target_density_weights(np.r_[np.zeros(9999), 1.0], power=200, smoothing=0)
    assert np.isfinite(steep).all()
    with pytest.raises(ValueError, match="targets must be finite, got nan in row 1"):
        target_density_weights([0.0, np.nan])
    with pytest.raises(ValueError, match="bins must be a number, or at least 2 edges in ascending"):
        target_density_weights([0.0, 1.0], bins=[1.0, 0.0])


def test_edges_and_quantiles():
    targets = np.array([-5.0, 0.0, 0.5, 1.0, 1.5, 99.0])
    found = target_density_weights(targets, bins=[0, 1, 2], smoothing=0, power=1, max_ratio=None)
    np.testing.assert_allclose(found, np.ones(6))  # the outer bins are open: 3 in each
    edges = np.quantile(np.r_[np.zeros(50), np.arange(50)], np.linspace(0, 1, 11))
    assert (np.diff(edges) == 0).any()
    weights = target_density_weights(np.r_[np.zeros(50), np.arange(50)], bins=edges, smoothing=0)
    assert np.isfinite(weights).all()
    assert weights[-1] > weights[0]


def test_the_ends_are_not_taken_for_rare_by_the_kernel():
    """Convolving with zeros beyond the ends would give the ends of uniform targets more weight."""
    uniform = target_density_weights(np.linspace(0, 1, 10_000), smoothing=5, power=1)
    np.testing.assert_allclose(uniform, 1, atol=0.02)


def test_a_sampler_and_a_loss_of_the_same_weights_have_one_expectation():
    rng = np.random.default_rng(0)
    targets = rng.exponential(size=200)
    weights = target_density_weights(targets, bins=20)
    values = torch.from_numpy(targets).float()
    wanted = float((weights * targets).mean())
    sampler = WeightedSampler(weights, num_samples=4_000, seed=0)
    assert targets[np.array(list(sampler))].mean() == pytest.approx(wanted, rel=5e-3)
    plain = ShuffleSampler(200)
    loss = plain.reduce(values, range(200), weighting=SampleWeights(weights))
    assert float(loss) == pytest.approx(wanted, rel=1e-5)
    assert effective_sample_size(weights) < 200


def test_a_million_targets():
    targets = np.random.default_rng(0).normal(size=10**6)
    weights = target_density_weights(targets, bins=10_000)
    assert weights.mean() == pytest.approx(1)
    assert len(upweight(np.arange(10**6) % 7, 3.0)) == 10**6


def test_weights_beyond_float32_are_refused():
    with pytest.raises(ValueError, match="finite as float32, got 1e.300 in row 1"):
        SampleWeights([1.0, 1e300])
    with pytest.raises(ValueError, match="not all be 0 as float32, got at most 1e-200"):
        SampleWeights([0.0, 1e-200])


def test_results_are_used_as_they_are():
    made = SampleWeights([1.0, 2.0])
    with pytest.raises(TypeError, match="got SampleWeights: use them as they are"):
        SampleWeights(made)
    with pytest.raises(TypeError, match="use the first of the results as they are"):
        SampleWeights((made, np.ones(3)))
