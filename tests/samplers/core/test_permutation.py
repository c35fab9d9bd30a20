"""The order of an epoch: a bijection at every size, and random as far as statistics can see.

Error rates. Keys are fixed, so a test that passes goes on passing. Each threshold is such that a
truly random permutation would break it with a probability below 1e-6 for p-values (`P_MIN`) and
below 4e-8 for z-scores (`Z_MAX`); over all tests of this file together, below 1e-4.

Power. `test_*_would_reject_fewer_rounds` run the same statistics on the same network with fewer
half-rounds. Its weakest point are pairs of positions with equal right halves, whose left halves
keep their difference too often: by a factor 2 after 4 half-rounds (one key shows it), 1 + 1 / b
after 6 (a hundred keys, at any n), 1 + 1 / b**2 after 8 (at n = 65,537, millions of keys).
"""

import functools

import numpy as np
import oracles
import pytest
from numba import config
from scipy import stats
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from sampling import _rng
from sampling.kernels._permute import EXACT, ROUNDS, permute, shuffle
from sampling.samplers.core._permutation import Permutation

pytestmark = pytest.mark.skipif(
    config.DISABLE_JIT, reason="needs millions of positions; tests/kernels has the small cases"
)

P_MIN = 1e-6
Z_MAX = 5.5
BINS = 64


# ---------------------------------------------------------------------- what is measured


def network(rounds):
    """The permutation with another number of half-rounds, in numpy: (key, n, positions) -> (m,)."""

    def permuted(key, n, positions):
        a, b = oracles.halves_by_roots(n)
        round_keys = [
            oracles.mix_in_integers((int(key) + r * 0x9E3779B97F4A7C15) % 2**64)
            for r in range(rounds)
        ]
        out = np.array(positions, np.int64)
        walking = np.arange(out.size)
        while walking.size:
            halves = list(np.divmod(out[walking], b))
            for r, round_key in enumerate(round_keys):
                word = halves[1 - r % 2].astype(np.uint32) ^ np.uint32(round_key & 0xFFFFFFFF)
                word *= np.uint32(0x85EBCA6B)
                word ^= (word >> np.uint32(15)) ^ np.uint32(round_key >> 32)
                word *= np.uint32(0xC2B2AE35)
                word ^= word >> np.uint32(16)
                size = (a, b)[r % 2]
                halves[r % 2] = (halves[r % 2] + (word.astype(np.int64) * size >> 32)) % size
            out[walking] = halves[0] * b + halves[1]
            walking = walking[out[walking] >= n]
        return out

    return permuted


def ours(key, n, positions):
    return Permutation(n, key)(np.ascontiguousarray(positions, np.int64))


def coincidences(out, n):
    """Pairs of positions with one half in common whose places have something in common too.

    For rows in (left half, right half) of the position: how many pairs have equal left halves of
    their places; equal right halves; the same difference of left halves; of right halves.
    """
    a, b = oracles.halves_by_roots(n)
    left, right = np.divmod(np.arange(n), b)
    to_left, to_right = np.divmod(out, b)
    counts = []
    for rows in (left, right):
        for columns in (to_left, to_right, (to_left - left) % a, (to_right - right) % b):
            table = np.bincount(rows * max(a, b) + columns)
            counts.append(int((table * (table - 1)).sum()) // 2)
    return counts


@functools.cache
def expected_coincidences(n):
    """The means of `coincidences` over all permutations, exactly: pairs times probabilities."""
    a, b = oracles.halves_by_roots(n)
    halves = np.divmod(np.arange(n), b)
    places = n * (n - 1)
    means = []
    for half in range(2):
        pairs = np.bincount(halves[half])
        pairs = (pairs * (pairs - 1)).sum() / 2
        for other, modulus in enumerate((a, b)):
            sizes = np.bincount(halves[other], minlength=modulus).astype(np.float64)
            same = (sizes * (sizes - 1)).sum() / places
            means.append(pairs * same)
        for other, modulus in enumerate((a, b)):
            # ordered pairs of places by difference of their halves: a circular autocorrelation
            sizes = np.bincount(halves[other], minlength=modulus).astype(np.float64)
            by_difference = np.array([(sizes * np.roll(sizes, -d)).sum() for d in range(modulus)])
            by_difference[0] -= n
            means.append(
                _pairs_by_difference(halves, half, other, modulus) @ by_difference / places
            )
    return np.array(means)


def _pairs_by_difference(halves, half, other, modulus):
    """Unordered pairs with an equal `half`, by the difference of their `other` half."""
    pairs = np.zeros(modulus)
    if half == other:
        sizes = np.bincount(halves[half])
        pairs[0] = (sizes * (sizes - 1)).sum() / 2
        return pairs
    for size in np.bincount(halves[half]):  # these hold the other halves 0 .. size - 1
        steps = np.arange(1, size)
        np.add.at(pairs, steps % modulus, size - steps)
    # of a pair, both signs of the difference are as good: take the mean
    return (pairs + np.roll(pairs[::-1], 1)) / 2


def coincidence_scores(permuted, n, keys):
    """z of each kind of coincidence, summed over the keys."""
    means = expected_coincidences(n)
    counts = [coincidences(permuted(key, n, np.arange(n)), n) for key in keys]
    return (np.array(counts) - means).sum(axis=0) / np.sqrt(means * len(keys))


def keys_of(count, purpose="order"):
    """Keys of neighbouring seeds and epochs."""
    return [_rng.key(i // 4, i % 4, purpose) for i in range(count)]


KEYS = {65_537: 240, 100_003: 160, 2**20 + 1: 20}
middle = pytest.param(100_003, marks=pytest.mark.full)  # the ends stand for it
sizes = pytest.mark.parametrize("n", [middle if n == 100_003 else n for n in KEYS])


@functools.cache
def measured(n):
    """Everything that is counted on whole permutations, in one pass over the keys."""
    _, b = oracles.halves_by_roots(n)
    lags = (1, 2, b - 1, b, b + 1)
    found = {name: [] for name in ("fixed", "adjacent", "serial", "coincidences", "cycles")}
    steps = {lag: np.zeros(BINS, np.int64) for lag in (1, b)}
    order = np.arange(n)
    previous, found["shared"], found["correlation"] = None, [], []
    for key in keys_of(KEYS[n]):
        out = ours(key, n, order)
        centred = (out - (n - 1) / 2) / np.sqrt((n * n - 1) / 12)
        found["fixed"].append(np.count_nonzero(out == order))
        found["adjacent"].append(np.count_nonzero(np.abs(np.diff(out)) == 1))
        found["serial"].append(
            [(centred[lag:] * centred[:-lag]).sum() / np.sqrt(n - lag) for lag in lags]
        )
        found["coincidences"].append(coincidences(out, n))
        for lag, histogram in steps.items():
            step = (out[lag:] - out[:-lag]) % n
            histogram += np.bincount(step * BINS // n, minlength=BINS)
        if n < 200_000:
            graph = csr_matrix((np.ones(n, np.int8), (order, out)), shape=(n, n))
            found["cycles"].append(connected_components(graph, directed=False)[0])
        if previous is not None:
            found["shared"].append(np.count_nonzero(out == previous[0]))
            found["correlation"].append((centred * previous[1]).sum() / np.sqrt(n))
        previous = out, centred
    return {name: np.array(values) for name, values in found.items()}, steps


def poisson_p(counts, mean=1.0):
    """Chi-square of counts against Poisson(mean), the tail in one class."""
    top = int(stats.poisson.ppf(1 - 5 / len(counts), mean))
    seen = np.bincount(np.minimum(counts, top), minlength=top + 1)
    probabilities = stats.poisson.pmf(np.arange(top + 1), mean)
    probabilities[-1] += stats.poisson.sf(top, mean)
    return stats.chisquare(seen, probabilities * len(counts)).pvalue


# ---------------------------------------------------------------------- bijections


def check_bijection(key, n):
    out = np.empty(n, np.int64)
    permute(np.uint64(key), n, np.arange(n), out)
    assert out.min() >= 0
    assert out.max() < n
    assert np.bincount(out, minlength=n).max() == 1, (key, n)


@pytest.mark.parametrize("seed", [0, 1])
def test_every_size_up_to_600_is_a_bijection(seed):
    for n in range(1, 601):
        check_bijection(_rng.key(seed, n, "order"), n)


@pytest.mark.slow
@pytest.mark.parametrize("exponent", range(1, 23))
def test_sizes_around_powers_of_two_are_bijections(exponent):
    """Every other one is a power of four, where the halves change width."""
    for n in (2**exponent - 1, 2**exponent, 2**exponent + 1):
        check_bijection(_rng.key(exponent, 0, "order"), n)


@pytest.mark.parametrize("root", [255, 256, 257, 600, 1023, 1024])
def test_sizes_around_squares_and_rectangles_are_bijections(root):
    for n in (root**2 - 1, root**2, root**2 + 1, root * (root + 1), root * (root + 1) + 1):
        check_bijection(_rng.key(root, 0, "order"), n)


LARGE = sorted(
    {2**e + d for e in (23, 24, 30, 31, 32, 33, 40, 53, 61) for d in (-1, 0, 1)}
    | {10**9, 10**12, 2**62 - 1, 2**62, (2**31 - 1) ** 2, (2**31 - 1) ** 2 + 1, 2**53 + 3}
)


@pytest.mark.parametrize("n", LARGE)
def test_large_sizes_are_in_range_and_one_to_one_on_samples(n):
    """The twin runs the network backwards and finds each position again."""
    key = _rng.key(0, n, "order")
    a, b = oracles.halves_by_roots(n)
    rng = np.random.default_rng(n)
    positions = np.unique(
        np.concatenate(
            [
                np.arange(2_000),
                n - 1 - np.arange(2_000),
                b * np.arange(min(a, 2_000)),  # equal right halves
                rng.integers(0, n, 4_000),
            ]
        )
    )
    positions = positions[(positions >= 0) & (positions < n)]
    out = ours(key, n, positions)
    assert out.min() >= 0
    assert out.max() < n
    assert np.unique(out).size == positions.size
    some = np.r_[0:3, rng.integers(0, positions.size, 40), positions.size - 3 : positions.size]
    backwards = oracles.unpermute_in_integers(key, n, out[some])
    np.testing.assert_array_equal(backwards, positions[some])


@pytest.mark.parametrize("n", [65_537, 10**6, 10**9, 2**62])
def test_any_position_at_once(n):
    """The place of a position does not depend on which others are asked for."""
    key = _rng.key(0, 0, "order")
    positions = np.r_[0:700, n - 700 : n]
    whole = ours(key, n, positions)
    np.testing.assert_array_equal(ours(key, n, positions[::-1]), whole[::-1])
    np.testing.assert_array_equal(ours(key, n, positions[500:900]), whole[500:900])
    assert ours(key, n, positions[:0]).size == 0


@pytest.mark.parametrize("n", [EXACT - 1, EXACT, EXACT + 1])
def test_where_the_exact_shuffle_ends(n):
    key = _rng.key(5, 0, "order")
    out = ours(key, n, np.arange(n))
    np.testing.assert_array_equal(np.sort(out), np.arange(n))
    other = np.empty(n, np.int64)
    if n <= EXACT:
        shuffle(key, other)
    else:
        permute(key, n, np.arange(n), other)
    np.testing.assert_array_equal(out, other)


def test_golden_places():
    """Another value means another algorithm version: every order ever dealt changes."""
    key = _rng.key(0, 0, "order")
    assert ours(key, 10, range(10)).tolist() == GOLDEN_SHUFFLE
    for n, places in GOLDEN_PLACES.items():
        assert ours(key, n, [0, 1, 2, n - 1]).tolist() == places


GOLDEN_SHUFFLE = [0, 1, 7, 2, 9, 6, 5, 4, 3, 8]
GOLDEN_PLACES = {
    1_000: [262, 215, 845, 827],
    65_536: [53131, 16961, 35617, 21936],
    65_537: [53849, 54066, 8803, 11649],
    1_000_000_000: [818945692, 833813615, 21370210, 569561589],
    4_611_686_018_427_387_904: [
        722400999479367165,
        1094439025861046423,
        814111114238950790,
        2165734986448351749,
    ],
}


def test_the_numpy_network_is_the_kernel():
    for n in (65_537, 100_003, 10**9):
        positions = np.arange(0, n, n // 997)
        out = ours(_rng.key(3, 1, "order"), n, positions)
        np.testing.assert_array_equal(network(ROUNDS)(_rng.key(3, 1, "order"), n, positions), out)


# ---------------------------------------------------------------------- exact shuffles


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_small_orders_are_all_alike(n):
    """All n! orders over 30,000 (seed, epoch) keys: chi-square, p > 1e-6."""
    base = n ** np.arange(n)
    codes = [
        int(ours(_rng.key(i // 100, i % 100, "order"), n, np.arange(n)) @ base)
        for i in range(30_000)
    ]
    seen = np.unique(codes, return_counts=True)[1]
    assert seen.size == [1, 1, 2, 6, 24, 120][n]
    assert stats.chisquare(seen).pvalue > P_MIN


def test_a_shuffle_of_a_thousand():
    """Fixed points and neighbours that stay neighbours, Poisson over 2,000 keys: p > 1e-6."""
    n = 1_000
    outs = np.array([ours(key, n, np.arange(n)) for key in keys_of(2_000)])
    assert poisson_p((outs == np.arange(n)).sum(axis=1)) > P_MIN
    adjacent = (np.abs(np.diff(outs)) == 1).sum(axis=1)
    assert poisson_p(adjacent, 2 * (n - 1) / n) > P_MIN
    bins = np.apply_along_axis(np.bincount, 0, outs * 10 // n, minlength=10)
    assert stats.chi2.sf(((bins - 200) ** 2 / 200).sum(), 9 * n) > P_MIN


# ---------------------------------------------------------------------- many keys, few positions

PROBED = [*KEYS, 10**9, 2**31 + 1, 10**12, 2**62]
NUM_KEYS = 8_000


@functools.cache
def probed(n):
    """Places of 40 positions under many keys: int64 (keys, 40), in neighbouring pairs."""
    _, b = oracles.halves_by_roots(n)
    firsts = [0, 2, b - 1, 2 * b, n // 3, n // 2, n - 2, n - b - 1]
    next_ones = [first + 1 for first in firsts]
    next_rows = [first + b if first + b < n else first - b for first in firsts]
    spread = [int(n * (0.05 + 0.1 * i)) for i in range(8)]
    probes = np.array([*firsts, *next_ones, *next_rows, *spread, *[each + 7 for each in spread]])
    assert np.unique(probes).size >= 38
    return np.array([ours(key, n, probes) for key in keys_of(NUM_KEYS)])


def frequencies_p(columns, bins):
    """Chi-square p of each column of numbers in [0, bins)."""
    counts = np.array([np.bincount(column, minlength=bins) for column in columns.T])
    return stats.chisquare(counts, axis=1).pvalue


@pytest.mark.parametrize("n", PROBED)
def test_every_element_lands_everywhere(n):
    """Each of 40 positions over 64 bins of places: each p > 1e-6 / 40, and the p uniform."""
    p = frequencies_p((probed(n) // -(-n // BINS)).astype(np.int64), BINS)
    # n is no multiple of 64: the last bin is smaller by less than 64 / n <= 0.1 %
    assert p.min() > P_MIN / p.size
    assert stats.kstest(p, "uniform").pvalue > P_MIN


@pytest.mark.parametrize("n", PROBED)
def test_the_low_digits_of_a_place_are_uniform(n):
    p = frequencies_p(probed(n) % 16, 16)
    assert p.min() > P_MIN / p.size


@pytest.mark.parametrize("n", PROBED)
def test_either_of_two_elements_comes_first(n):
    """P(place x < place y) = 1/2, for neighbours, equal right halves and far pairs: |z| < 5.5."""
    places = probed(n)
    for other in (8, 16, 24, 32):
        before = (places[:, :8] < places[:, other : other + 8]).mean(axis=0)
        assert np.abs((before - 0.5) * 2 * np.sqrt(NUM_KEYS)).max() < Z_MAX


@pytest.mark.parametrize("n", PROBED)
def test_the_places_of_two_elements_are_independent(n):
    """8 x 8 bins of (place x, place y): chi-square, each of 32 p > 1e-6 / 32."""
    bins = (probed(n) // -(-n // 8)).astype(np.int64)
    p = [
        frequencies_p(8 * bins[:, :8] + bins[:, other : other + 8], 64) for other in (8, 16, 24, 32)
    ]
    assert np.min(p) > P_MIN / 32


# ---------------------------------------------------------------------- whole permutations


@pytest.mark.slow
@sizes
def test_fixed_points_are_poisson(n):
    assert poisson_p(measured(n)[0]["fixed"]) > P_MIN


@pytest.mark.slow
@sizes
def test_neighbours_stay_neighbours_at_the_expected_rate(n):
    """2 (n - 1) / n of them in each order, Poisson; the total within 5.5 standard deviations."""
    adjacent = measured(n)[0]["adjacent"]
    mean = 2 * (n - 1) / n
    assert poisson_p(adjacent, mean) > P_MIN
    assert abs(adjacent.sum() - mean * adjacent.size) < Z_MAX * np.sqrt(mean * adjacent.size)


@pytest.mark.slow
@sizes
def test_steps_between_neighbours_are_uniform(n):
    """(out[i + lag] - out[i]) mod n for lags 1 and b, over 64 bins: chi-square, p > 1e-6."""
    uniform = np.bincount(np.arange(1, n) * BINS // n, minlength=BINS)
    for histogram in measured(n)[1].values():
        expected = uniform * (histogram.sum() / uniform.sum())
        assert stats.chisquare(histogram, expected).pvalue > P_MIN


@pytest.mark.slow
@sizes
def test_consecutive_places_are_uncorrelated(n):
    """Lags 1, 2, b - 1, b, b + 1: the mean of z over keys, and the sum of its squares."""
    serial = measured(n)[0]["serial"]
    assert np.abs(serial.sum(axis=0) / np.sqrt(len(serial))).max() < Z_MAX
    for squares in (serial**2).sum(axis=0):
        assert (
            min(stats.chi2.sf(squares, len(serial)), stats.chi2.cdf(squares, len(serial))) > P_MIN
        )


@pytest.mark.slow
@pytest.mark.parametrize("n", [65_537, middle])
def test_as_many_cycles_as_a_random_permutation(n):
    """Mean H_n, variance H_n - pi**2 / 6: |z| of the mean < 5.5; even and odd alike."""
    cycles = measured(n)[0]["cycles"]
    harmonic = np.log(n) + np.euler_gamma
    deviation = np.sqrt((harmonic - np.pi**2 / 6) / cycles.size)
    assert abs(cycles.mean() - harmonic) < Z_MAX * deviation
    assert stats.binomtest(int((cycles % 2).sum()), cycles.size).pvalue > P_MIN


@pytest.mark.slow
@sizes
def test_halves_of_positions_and_places_are_unrelated(n):
    """Eight kinds of coincidence among pairs that share a half, where a Feistel network is weakest:
    |z| < 5.5 each.
    """
    counts, means = measured(n)[0]["coincidences"], expected_coincidences(n)
    scores = (counts - means).sum(axis=0) / np.sqrt(means * len(counts))
    assert np.abs(scores).max() < Z_MAX


@pytest.mark.slow
@pytest.mark.parametrize("n", [65_792, 66_049, 70_000])
def test_halves_are_unrelated_without_walking_and_with_most_of_it(n):
    """256 x 257 and 257 x 257 have no walking at all; 70,000 lies between squares."""
    assert np.abs(coincidence_scores(ours, n, keys_of(60))).max() < Z_MAX


@pytest.mark.slow
@pytest.mark.parametrize(("rounds", "num_keys"), [(2, 1), (3, 1), (4, 1), (5, 200), (6, 200)])
def test_coincidences_would_reject_fewer_rounds(rounds, num_keys):
    scores = coincidence_scores(network(rounds), 65_537, keys_of(num_keys))
    assert np.abs(scores).max() > Z_MAX


@pytest.mark.slow
def test_coincidences_are_what_exact_shuffles_have():
    """The means and the standard deviations that the scores are made with."""
    n = 65_537

    def shuffled(key, n, positions):
        out = np.empty(n, np.int64)
        shuffle(key, out)
        return out

    scores = np.array([coincidence_scores(shuffled, n, [key]) for key in keys_of(120)])
    assert np.abs(scores.sum(axis=0) / np.sqrt(120)).max() < Z_MAX
    assert np.abs(scores.std(axis=0) - 1).max() < Z_MAX / np.sqrt(2 * 120)


# ---------------------------------------------------------------------- seeds and epochs


@pytest.mark.slow
@sizes
def test_orders_of_neighbouring_keys_are_unrelated(n):
    """Places in common are Poisson(1), correlations are 0; epochs 0..3 of seeds 0, 1, ..."""
    found = measured(n)[0]
    assert poisson_p(found["shared"]) > P_MIN
    z = found["correlation"]
    assert abs(z.sum()) / np.sqrt(z.size) < Z_MAX
    assert stats.chi2.sf((z**2).sum(), z.size) > P_MIN


@pytest.mark.parametrize("n", [1_000, 65_537, 10**6])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((0, 1), (1, 0)),
        ((0, 0), (0, 1)),
        ((0, 0), (1, 0)),
        ((2**32, 0), (0, 1)),
        ((2**64 - 1, 0), (0, 2**64 - 1)),
        ((5, 7), (7, 5)),
    ],
)
def test_no_two_seeds_and_epochs_share_an_order(n, one, other):
    """At most 12 places in common (Poisson(1): 6e-11), |correlation z| < 5.5."""
    order = np.arange(n)
    outs = [ours(_rng.key(*each, "order"), n, order) for each in (one, other)]
    assert np.count_nonzero(outs[0] == outs[1]) <= 12
    a, b = ((out - (n - 1) / 2) / np.sqrt((n * n - 1) / 12) for out in outs)
    assert abs((a * b).sum()) / np.sqrt(n) < Z_MAX
    shifted = np.count_nonzero(np.diff(outs[0]) == np.diff(outs[1]))
    assert shifted <= 16  # Poisson(2/3): an order moved along would share nearly all steps


@pytest.mark.parametrize("n", [65_537, 10**9])
def test_keys_that_differ_in_one_bit_are_unrelated(n):
    """Also keys one golden step apart, whose half-rounds use the same round keys, one later."""
    base = int(_rng.key(0, 0, "order"))
    neighbours = [base ^ (1 << bit) for bit in range(64)]
    neighbours += [(base + step * 0x9E3779B97F4A7C15) % 2**64 for step in (1, 2, 3, 4, -1, -2)]
    positions = np.arange(0, n, n // 20_000)
    centred = [
        ours(np.uint64(key), n, positions) / (n / np.sqrt(12)) - np.sqrt(3)
        for key in [base, *neighbours]
    ]
    z = np.array([(centred[0] * other).sum() / np.sqrt(positions.size) for other in centred[1:]])
    assert np.abs(z).max() < Z_MAX
