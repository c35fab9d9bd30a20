import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers import assert_hits, assert_mean, counts_of, epochs_of, spread

from sampling.samplers import WeightedSampler

RNG = np.random.default_rng(0)
WEIGHTS = {
    "uniform": np.ones(23),
    "one in a thousand": np.array([1.0] * 20 + [1e-3]),
    "heavy tail": RNG.pareto(0.6, 50),
    "one heavy": np.array([1.0, 1, 1, 1e6, 1, 1]),
    "zeros": np.array([0.0, 0, 3, 0, 1, 0, 0, 2, 0]),
    "tiny": RNG.random(30) * 1e-300,
    "huge": RNG.random(30) * 1e300,
    "wide": 10.0 ** RNG.uniform(-12, 3, 40),
    "ints": np.arange(9),
    "one": np.array([0.3]),
}

# ---- with replacement ----------------------------------------------------------------------------


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("num_samples", [1, 7, 40, 1000])
def test_counts_are_never_two_away_from_expectation(weights, num_samples):
    sampler = WeightedSampler(weights, num_samples, seed=1)
    expected = num_samples * (weights / weights.max()) / (weights / weights.max()).sum()
    for counts in counts_of(sampler, 50):
        assert counts.sum() == num_samples
        assert np.abs(counts - expected).max() < 2
        assert (counts[weights == 0] == 0).all()


@pytest.mark.parametrize("name", ["uniform", "heavy tail", "zeros", "one heavy", "wide"])
@pytest.mark.parametrize("num_samples", [5, 60])
def test_counts_average_to_the_expectation(name, num_samples):
    weights, epochs = WEIGHTS[name], 3000
    p = weights / weights.sum()
    total = counts_of(WeightedSampler(weights, num_samples, seed=2), epochs).sum(axis=0)
    # Each slice holds the sample or not: its variance is at most that of independent draws.
    allowed = spread(epochs * num_samples * p * (1 - p), p.size)
    assert (np.abs(total - epochs * num_samples * p)[p > 0] <= allowed[p > 0]).all()
    assert (total[p == 0] == 0).all()


def test_counts_differ_between_epochs():
    counts = counts_of(WeightedSampler(np.arange(1.0, 60), 90), 20)
    assert len({tuple(each) for each in counts}) == 20


def test_half_of_a_uniform_dataset_is_not_all_even_or_all_odd():
    """Systematic sampling in index order would give every epoch one parity only."""
    size, epochs = 1000, 200
    orders = np.stack(epochs_of(WeightedSampler(np.ones(size), size // 2, seed=3), epochs))
    odd = (orders % 2).sum(axis=1)
    assert np.abs(odd - size / 4).max() <= spread(size / 8, epochs)
    assert np.abs(odd.sum() - epochs * size / 4) <= spread(epochs * size / 8)
    assert np.unique(odd).size > 20
    # Stratified: exactly one of each two neighbours that share a slice.
    np.testing.assert_array_equal(np.sort(orders // 2, axis=1)[0], np.arange(size // 2))


def test_order_is_random():
    """Slices follow the index; positions must not."""
    epochs = 3000
    orders = np.stack(epochs_of(WeightedSampler(np.ones(6), seed=4), epochs))
    for position in range(6):
        assert_hits(np.bincount(orders[:, position], minlength=6), epochs, 1 / 6)


@pytest.mark.parametrize("where", [slice(0, 1), slice(-1, None), slice(3, 9), slice(0, 11)])
@pytest.mark.parametrize("independent", [False, True])
def test_zero_weights_are_never_drawn(where, independent):
    weights = np.ones(12)
    weights[where] = 0
    sampler = WeightedSampler(weights, 5000, independent=independent)
    drawn = np.bincount(sampler.indices(0), minlength=12)
    np.testing.assert_array_equal(drawn > 0, weights > 0)


@pytest.mark.parametrize("place", [0, 5, 11])
@pytest.mark.parametrize("independent", [False, True])
def test_one_sample_may_carry_all_weight(place, independent):
    weights = np.zeros(12)
    weights[place] = 1e-9
    assert set(WeightedSampler(weights, 100, independent=independent)) == {place}
    assert list(WeightedSampler(weights, 1, replacement=False)) == [place]


@pytest.mark.slow
def test_more_samples_than_torch_can_take():
    """Torch refuses more than 2**24; a float32 running sum would stop growing there."""
    size, draws = 2**24 + 1000, 4000
    order = np.sort(WeightedSampler(np.ones(size, np.float32), draws, seed=1).indices(0))
    edges = np.arange(draws + 1) * (size / draws)
    assert (order >= np.floor(edges[:-1])).all()
    assert (order <= edges[1:]).all()
    weights = np.zeros(size)
    weights[-3:] = 1, 2, 1
    assert np.bincount(WeightedSampler(weights, 8).indices(0) - (size - 3)).tolist() == [2, 4, 2]


# ---- independent ---------------------------------------------------------------------------------


def test_independent_draws_scatter_as_multinomial_ones():
    """Pearson's statistic of C classes is C - 1 on average for independent draws; ours is not."""
    weights, draws, epochs = np.array([1.0, 2, 3, 4, 5, 6, 7, 8]), 200, 2000
    expected = draws * weights / weights.sum()
    for independent in (True, False):
        counts = counts_of(WeightedSampler(weights, draws, independent=independent), epochs)
        pearson = ((counts - expected) ** 2 / expected).sum(axis=1)
        if independent:
            assert_mean(pearson, weights.size - 1)
            assert_mean(counts, expected)
        else:
            assert pearson.mean() < 1


def test_independent_draws_follow_each_other_freely():
    size, pairs = 5, 20_000
    order = WeightedSampler(np.ones(size), 2 * pairs, independent=True).indices(0).reshape(-1, 2)
    assert_hits(np.bincount(order[:, 0] * size + order[:, 1], minlength=25), pairs, 1 / 25)


# ---- without replacement -------------------------------------------------------------------------


def inclusion(weights, draws):
    """Water-filling by bisection: the scale at which min(1, scale * w) sums to `draws`."""
    low, high = 0.0, 1.0
    while np.minimum(1, high * weights).sum() < draws - 1e-12 and high < 1e30:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if np.minimum(1, middle * weights).sum() < draws else (low, middle)
        )
    probability = np.minimum(1, high * weights)
    return np.where(probability > 1 - 1e-9, 1.0, probability)


PARTS = [
    ("heavy tail", 12),
    ("heavy tail", 45),
    ("uniform", 11),
    ("zeros", 2),
    ("one heavy", 3),
    ("wide", 10),
    ("ints", 4),
    ("one", 1),
]


@pytest.mark.parametrize(("name", "draws"), PARTS)
def test_inclusion_is_exactly_proportional(name, draws):
    weights, epochs = WEIGHTS[name].astype(float), 4000
    chosen = counts_of(WeightedSampler(weights, draws, False, seed=5), epochs)
    assert chosen.max() == 1
    assert (chosen.sum(axis=1) == draws).all()
    probability = inclusion(weights, draws)
    assert probability.sum() == pytest.approx(draws)
    assert_hits(chosen.sum(axis=0), epochs, probability)


def test_torchs_inclusion_is_not():
    """The comparison above can tell: `WeightedRandomSampler(replacement=False)` fails it."""
    weights, draws, epochs = np.arange(1.0, 11), 5, 4000
    generator = torch.Generator().manual_seed(0)
    rows = torch.tensor(weights).expand(epochs, -1)
    theirs = torch.multinomial(rows, draws, replacement=False, generator=generator).numpy()
    with pytest.raises(AssertionError, match="off"):
        assert_hits(np.bincount(theirs.ravel()), epochs, inclusion(weights, draws))
    ours = counts_of(WeightedSampler(weights, draws, False), epochs).sum(axis=0)
    assert_hits(ours, epochs, inclusion(weights, draws))


def test_no_pair_of_neighbours_excludes_itself():
    """With equal weights every pair comes together alike; in a fixed order half of them never."""
    size, draws, epochs = 8, 4, 4000
    chosen = counts_of(WeightedSampler(np.ones(size), draws, False, seed=6), epochs)
    together = (chosen.T @ chosen)[np.triu_indices(size, 1)]
    assert_hits(together, epochs, draws * (draws - 1) / (size * (size - 1)))
    uneven = counts_of(WeightedSampler(np.arange(1.0, 9), draws, False), 500)
    assert (uneven.T @ uneven > 0).all()


def test_order_without_replacement_is_random():
    """Also for a sample that is always chosen."""
    epochs, draws = 3000, 5
    weights = np.array([1.0, 1, 1, 50, 1, 1, 1, 1])
    orders = np.stack(epochs_of(WeightedSampler(weights, draws, False, seed=7), epochs))
    assert_hits((orders == 3).sum(axis=0), epochs, 1 / draws)
    first = np.delete(np.bincount(orders[:, 0], minlength=8), 3)
    assert_hits(first, epochs, (1 - 1 / draws) / 7)


def test_as_many_as_there_are_positive_weights():
    weights = WEIGHTS["heavy tail"].copy()
    weights[[0, 7, 49]] = 0
    sampler = WeightedSampler(weights, 47, replacement=False)
    orders = epochs_of(sampler, 5)
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.flatnonzero(weights))
    assert len({tuple(each) for each in orders}) == 5


@pytest.mark.parametrize("size", [2, 1000, 70_001])
def test_always_exactly_as_many_as_asked(size):
    """Rounding of the running sum must not lose a draw or take a sample twice."""
    weights = 10.0 ** np.random.default_rng(size).uniform(-6, 0, size)
    for draws in {1, size // 2, size - 1}:
        order = WeightedSampler(weights, draws, False).indices(0)
        assert order.size == np.unique(order).size == draws
        assert order.min() >= 0
        assert order.max() < size


# ---- weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("independent", [False, True])
def test_importance_weights_with_replacement(independent):
    weights = WEIGHTS["heavy tail"]
    sampler = WeightedSampler(weights, 30, independent=independent)
    given = sampler.importance_weights(np.arange(50))
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, weights.sum() / (50 * weights), rtol=1e-5)
    assert given @ weights / weights.sum() == pytest.approx(1, rel=1e-5)  # a draw's is 1 on average
    np.testing.assert_array_equal(sampler.weights_for([3, 4]), [1, 1])  # objective="sampled"


def test_importance_weights_without_replacement():
    weights = WEIGHTS["heavy tail"]
    sampler = WeightedSampler(weights, 12, False, objective="original")
    expected = 12 / (50 * inclusion(weights, 12))
    np.testing.assert_allclose(sampler.weights_for(np.arange(50)), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("replacement", "independent"), [(True, False), (True, True), (False, False)]
)
@pytest.mark.parametrize("num_samples", [6, 20])
def test_original_restores_the_mean_over_the_data(replacement, independent, num_samples):
    weights = np.arange(1.0, 26)
    losses = np.random.default_rng(1).exponential(size=25) * np.arange(25)
    means = {}
    for objective in ("sampled", "original"):
        sampler = WeightedSampler(
            weights, num_samples, replacement, independent=independent, objective=objective
        )
        means[objective] = []
        for epoch in range(600):
            sampler.set_epoch(epoch)
            order = sampler.indices(epoch)
            means[objective].append(float(sampler.reduce(torch.tensor(losses[order]), order)))
    assert_mean(means["original"], losses.mean())
    with pytest.raises(AssertionError, match="standard errors off"):
        assert_mean(means["sampled"], losses.mean())


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("exponent", [-1000, -300, 0, 900, 1015])
def test_only_ratios_of_weights_matter(replacement, exponent):
    plain = np.array([1.0, 2, 4, 0, 8, 16, 32, 64])
    sampler = WeightedSampler(np.ldexp(plain, exponent), 5, replacement)
    same = WeightedSampler(plain, 5, replacement)
    for epoch in range(20):
        np.testing.assert_array_equal(sampler.indices(epoch), same.indices(epoch))


SMALLEST = """
import numpy as np
from sampling.samplers import WeightedSampler
plain = np.array([1.0, 2, 4, 0, 8, 16, 32, 64])
for exponent in (-1074, -1040):  # where 1 / sum overflows
    for settings in ((5, True), (5, False), (1, False)):
        sampler = WeightedSampler(np.ldexp(plain, exponent), *settings)
        same = WeightedSampler(plain, *settings)
        for epoch in range(20):
            np.testing.assert_array_equal(sampler.indices(epoch), same.indices(epoch))
"""


@pytest.mark.slow
def test_the_smallest_weights_there_are():
    """They are finite and positive, so they pass the check. In a process that may crash."""
    done = subprocess.run([sys.executable, "-c", SMALLEST], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-600:]


# ---- the arguments -------------------------------------------------------------------------------


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_the_callers_weights_may_change_afterwards(kind, replacement):
    weights = kind(np.arange(1.0, 9))
    sampler = WeightedSampler(weights, 4, replacement)
    before = WeightedSampler(np.arange(1.0, 9), 4, replacement).indices(3)
    weights[:] = 0
    np.testing.assert_array_equal(sampler.indices(3), before)


@pytest.mark.parametrize(
    "kind", [list, np.float32, np.int64, torch.tensor, lambda w: torch.tensor(w).float()]
)
@pytest.mark.parametrize("replacement", [True, False])
def test_takes_any_array_and_leaves_it_alone(kind, replacement):
    plain = np.array([0.0, 1, 1, 2, 4])
    given = kind(plain)
    orders = [WeightedSampler(each, 3, replacement).indices(0) for each in (given, plain)]
    np.testing.assert_array_equal(*orders)
    np.testing.assert_array_equal(np.asarray(given), [0, 1, 1, 2, 4])


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([1, np.nan, 2], ValueError, "weights must be finite and >= 0, got nan in row 1"),
        ([1, 2, np.inf], ValueError, "weights must be finite and >= 0, got inf in row 2"),
        ([-np.inf, 2], ValueError, "weights must be finite and >= 0, got -inf in row 0"),
        ([1, -2, -3], ValueError, r"finite and >= 0, got -2.0 in row 1 \(2 such rows\)"),
        ([0.0, 0, 0], ValueError, "weights must not all be 0, got 3 zeros"),
        ([], ValueError, "weights must not be empty, got length 0"),
        ([[1.0, 2]], ValueError, r"weights must have shape \(N,\), got \(1, 2\)"),
        ([1e308, 1e308], ValueError, "weights must have a finite sum, got inf"),
        (["a"], TypeError, "weights must hold numbers, got dtype"),
    ],
)
@pytest.mark.parametrize("replacement", [True, False])
def test_refuses_weights(weights, error, message, replacement):
    with pytest.raises(error, match=message):
        WeightedSampler(weights, 1, replacement)


def test_refuses_more_draws_than_samples():
    with pytest.raises(
        ValueError,
        match="num_samples must be at most the number of positive weights without replacement, "
        "2, got 3",
    ):
        WeightedSampler([1, 0, 1], replacement=False)
    assert len(WeightedSampler([1, 0, 1])) == 3  # with replacement it is no matter


@pytest.mark.parametrize("replacement", [True, False])
def test_refuses_the_original_objective_with_zeros(replacement):
    message = "WeightedSampler has no importance weights: 1 of 3 weights are 0"
    with pytest.raises(ValueError, match=message):
        WeightedSampler([1, 0, 1], 2, replacement, objective="original")
    with pytest.raises(ValueError, match=message):
        WeightedSampler([1, 0, 1], 2, replacement).importance_weights([0])


def test_a_sample_of_weight_zero_is_no_draw():
    sampler = WeightedSampler([1, 0, 1])
    with pytest.raises(ValueError, match="indices must be draws of epoch 0, got 1 in row 2"):
        sampler.reduce(torch.ones(3), [0, 2, 1])
