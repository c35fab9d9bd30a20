import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import assert_mean, counts_of

from sampling.samplers import TrajectorySampler, WeightedSampler

LENGTHS, RETURNS = [10, 10, 20], [0.0, 5.0, 10.0]


def chances_by_loop(lengths, returns, alpha, unit="step"):
    """The probability of each transition, one after the other."""
    low, high = min(returns), max(returns)
    parts = []
    for length, value in zip(lengths, returns, strict=True):
        g = (value - low) / (high - low)
        parts += [np.exp(g / alpha) / (length if unit == "trajectory" else 1)] * length
    return np.array(parts) / sum(parts)


def test_golden_masses():
    sampler = TrajectorySampler(LENGTHS, RETURNS)
    np.testing.assert_allclose(sampler.masses, [0.000023, 0.003358, 0.996620], atol=1e-6)
    assert sampler.effective_size == pytest.approx(20.135, abs=1e-3)
    assert sampler.top_mass == pytest.approx(0.996620, abs=1e-6)
    assert sampler.positive_variance == pytest.approx(25 / 3)
    assert (len(sampler), sampler.size, sampler.starts.tolist()) == (40, 40, [0, 10, 20, 40])


@pytest.mark.parametrize("unit", ["step", "trajectory"])
def test_each_transition_has_its_probability(unit):
    sampler = TrajectorySampler(LENGTHS, RETURNS, 60, alpha=0.7, unit=unit, seed=3)
    chances = chances_by_loop(LENGTHS, RETURNS, 0.7, unit)
    table = sampler.table(0)
    np.testing.assert_allclose(table.expected(np.arange(40)) / 60, chances, rtol=1e-12)
    counts = counts_of(sampler, 3000)
    assert (np.abs(counts - 60 * chances) < 2).all()  # stratified, over transitions
    assert_mean(counts, 60 * chances)


def test_the_two_levels_draw_as_one_weight_a_transition():
    rng = np.random.default_rng(0)
    lengths, returns = rng.integers(1, 9, 50), rng.normal(size=50)
    sampler = TrajectorySampler(lengths, returns, 300, alpha=0.5, seed=5)
    weighted = WeightedSampler(chances_by_loop(lengths, returns, 0.5), 300)
    slots, key = np.arange(300), np.uint64(9)
    sampler.table(0)
    from sampling.samplers.static._trajectory import _TwoLevelTable

    ours = _TwoLevelTable(sampler._cumulative, sampler.starts, 300, key).take(slots)
    theirs = weighted._source.drawn.stratified(key, 300, slots)
    assert (ours == theirs).mean() > 0.99  # but for rounding at the edges


def test_the_released_defects_are_not_ours():
    """Returns are scaled before the exponential, so their unit and offset change nothing."""
    one = TrajectorySampler(LENGTHS, RETURNS).masses
    other = TrajectorySampler(LENGTHS, np.multiply(RETURNS, 1e6) - 3e7).masses
    np.testing.assert_allclose(one, other, rtol=1e-9)
    huge = TrajectorySampler(LENGTHS, [-1.5e308, 0.0, 1.5e308]).masses
    np.testing.assert_allclose(huge, one, rtol=1e-9)
    assert one.sum() == pytest.approx(1.0)  # a distribution
    epochs = [tuple(TrajectorySampler(LENGTHS, RETURNS, 9).indices(e)) for e in range(20)]
    assert len(set(epochs)) == 20  # no transitions fixed for the run


def test_top_draws_the_best_fraction_equally_and_ties_share_the_last_rank():
    returns = [0.0, 1.0, 1.0, 1.0, 2.0, -1.0, -1.0, -1.0, -1.0, -1.0]
    sampler = TrajectorySampler([1] * 10, returns, top=0.2)
    np.testing.assert_allclose(sampler.masses, np.array([0, 1, 1, 1, 3, 0, 0, 0, 0, 0]) / 6)
    assert TrajectorySampler([1, 2, 3], [3.0, 1.0, 2.0], top=0.01).masses.tolist() == [1, 0, 0]
    whole = TrajectorySampler([1, 2, 3], [3.0, 1.0, 2.0], top=1.0).masses
    np.testing.assert_allclose(whole, [1 / 6, 2 / 6, 3 / 6])


@pytest.mark.parametrize("given", [{}, {"top": 0.3}, {"baseline": [[1.0], [1.0], [1.0]]}])
def test_equal_returns_are_uniform(given):
    sampler = TrajectorySampler([1, 2, 5], [4.0, 4.0, 4.0], **given)
    np.testing.assert_allclose(sampler.masses, [1 / 8, 2 / 8, 5 / 8])
    near = TrajectorySampler([1, 2, 5], [0.0, 5e-324, 5e-324])  # half of the span is 0
    np.testing.assert_allclose(near.masses, [1 / 8, 2 / 8, 5 / 8])
    assert sampler.effective_size == pytest.approx(8)
    assert TrajectorySampler([7], [4.0]).masses.tolist() == [1.0]


def test_advantages_are_relative_to_the_initial_state():
    """G = 3 s + 1, and one trajectory is better by 1 than its state explains."""
    states = np.linspace(0, 10, 12)
    returns = 3 * states + 1
    returns[5] += 1.0
    by_state = TrajectorySampler([4] * 12, returns, baseline=states[:, None], alpha=0.2)
    assert np.argmax(by_state.masses) == 5
    fit = np.polyval(np.polyfit(states, returns, 1), states)
    given = TrajectorySampler([4] * 12, returns, baseline=fit, alpha=0.2)
    np.testing.assert_allclose(by_state.masses, given.masses, rtol=1e-9)
    assert np.argmax(TrajectorySampler([4] * 12, returns).masses) == 11


def test_few_trajectories_have_a_ridge_that_does_not_explain_everything():
    rng = np.random.default_rng(1)
    states, returns = rng.normal(size=(9, 30)), rng.normal(size=9)
    noise = TrajectorySampler([1] * 9, returns, baseline=states)
    plain = TrajectorySampler([1] * 9, returns)
    assert np.corrcoef(noise.masses, plain.masses)[0, 1] > 0.9  # nothing to explain
    exact = TrajectorySampler([1] * 9, states @ np.ones(30), baseline=states).positive_variance
    assert exact < 0.5 * np.var(states @ np.ones(30))


def test_steps_in_one_table():
    rewards, ends = [1.0, 0, 2, 2, 2, 5], [False, True, False, False, True, False]
    sampler = TrajectorySampler.from_steps(rewards, pd.Series(ends), alpha=0.3)
    same = TrajectorySampler([2, 3, 1], [1.0, 6.0, 5.0], alpha=0.3)
    assert sampler.truncated
    np.testing.assert_array_equal(sampler.masses, same.masses)
    observations = np.arange(12.0).reshape(6, 2)
    by_state = TrajectorySampler.from_steps(rewards, ends, observations=observations)
    other = TrajectorySampler([2, 3, 1], [1.0, 6.0, 5.0], baseline=observations[[0, 2, 5]])
    np.testing.assert_array_equal(by_state.masses, other.masses)
    found = sampler.locate(np.arange(6))
    assert [each.tolist() for each in found] == [[0, 0, 1, 1, 1, 2], [0, 1, 0, 1, 2, 0]]


def test_a_billion_transitions_take_memory_for_their_trajectories_only():
    sampler = TrajectorySampler(np.full(1000, 2_000_000), np.arange(1000.0), 2**20, alpha=1.0)
    sampler.set_epoch(2**40)
    first = next(iter(sampler))
    assert 0 <= first < sampler.size == 2_000_000_000
    weights = sampler.importance_weights([first])
    g = (first // 2_000_000) / 999
    z = np.exp(np.arange(1000) / 999).mean()
    assert weights[0] == pytest.approx(z / np.exp(g), rel=1e-6)


def test_original_restores_the_mean_over_all_transitions():
    sampler = TrajectorySampler(LENGTHS, RETURNS, 400, alpha=0.5, objective="original")
    values = np.arange(40.0)
    means = []
    for epoch in range(300):
        rows = sampler.indices(epoch)
        means.append(np.mean(sampler.importance_weights(rows) * values[rows]))
    assert np.mean(means) == pytest.approx(19.5, abs=0.1)
    with pytest.raises(ValueError, match="2 of 3 trajectories are never drawn"):
        TrajectorySampler(LENGTHS, RETURNS, top=0.1, objective="original")


def test_wrong_arguments_are_refused_by_name():
    for given, message in (
        (([1, 0], [1.0, 2.0]), r"lengths must be whole numbers >= 1, got 0 in row 1"),
        (([1, 2.5], [1.0, 2.0]), r"lengths must be whole numbers >= 1, got 2.5 in row 1"),
        (([1, 2], [1.0, np.nan]), "returns must be finite, got nan in row 1"),
        (([1, 2], [1.0]), "returns must have the length of lengths, 2, got 1"),
        (([2**62, 2**62], [1.0, 2.0]), r"lengths must have a sum of at most 2\*\*62"),
    ):
        with pytest.raises(ValueError, match=message):
            TrajectorySampler(*given)
    for wrong in ([1.0], np.eye(3)):
        with pytest.raises(ValueError, match="baseline must have the length of lengths, 2, got"):
            TrajectorySampler([1, 2], [1.0, 2.0], baseline=wrong)
    with pytest.raises(ValueError, match="baseline must be finite, got nan in row 1"):
        TrajectorySampler([1, 2], [1.0, 2.0], baseline=[[1.0], [np.nan]])
    with pytest.raises(ValueError, match="alpha must not be given with top, got 0.2"):
        TrajectorySampler([1, 2], [1.0, 2.0], alpha=0.2, top=0.5)
    with pytest.raises(ValueError, match=r"ends must be True or False, got 2 in row 1"):
        TrajectorySampler.from_steps([1.0, 2.0], [0, 2])
    with pytest.warns(UserWarning, match="transition of trajectory 1 is drawn about 909 times"):
        TrajectorySampler([999, 1], [0.0, 1.0], 10_000, alpha=0.2172)


def test_the_page_runs():
    text = (Path(__file__).parents[3] / "docs" / "trajectories.md").read_text()
    names = {}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(compile(block, "docs/trajectories.md", "exec"), names)
    expert = names["skill"]
    assert expert.mean() < 0.15
    assert expert[names["sampler"].indices(0)].mean() > 0.9
    assert (
        names["policy"].weight - 1.0
    ).abs().max() < 0.5  # the expert's; the others act at random


def test_steps_of_unsigned_indices_are_ints():
    for dtype in (np.uint64, np.uint8):
        found, steps = TrajectorySampler([1, 3], [1.0, 0.5]).locate(np.array([0, 3], dtype))
        assert found.dtype == steps.dtype == np.int64
        assert (found.tolist(), steps.tolist()) == ([0, 1], [0, 2])


def test_a_bad_observation_is_named_by_its_row_of_the_table():
    rows = np.ones((4, 2))
    rows[2, 1] = np.nan
    TrajectorySampler.from_steps(np.ones(4), [0, 0, 0, 1], observations=rows)  # not read
    with pytest.raises(ValueError, match="observations must be finite .* got nan in row 2"):
        TrajectorySampler.from_steps(np.ones(4), [0, 1, 0, 1], observations=rows)


def test_metrics_say_how_concentrated_the_draws_are():
    sampler = TrajectorySampler([2, 2], [0.0, 9.0], alpha=0.5)
    figures = sampler.metrics()
    assert figures["draws"] == 4
    assert figures["top_mass"] == sampler.top_mass
    assert figures["effective_size"] == sampler.effective_size
