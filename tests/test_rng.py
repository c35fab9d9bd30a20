"""Keys, hashes and the numbers made of them: against Python's integers, and frozen values."""

import struct

import numpy as np
import oracles
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from sampling import _rng
from sampling._rng import below, key, mix, subkey, uniform, unit, value, values

words = st.integers(0, 2**64 - 1)
some = settings(deadline=None, derandomize=True, max_examples=200)
EXTREMES = [0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1]


def u64(number):
    return np.uint64(number)


# ---------------------------------------------------------------------- key


def test_key_is_a_64_bit_word_of_all_three_arguments():
    base = key(0, 0, "order")
    assert isinstance(base, np.uint64)
    others = [key(1, 0, "order"), key(0, 1, "order"), key(0, 0, "shuffle"), key(0, 0, "")]
    assert len({int(each) for each in [base, *others]}) == 5


def test_key_golden_values():
    """A change here changes every order ever dealt: it needs another algorithm version."""
    assert [int(key(*words)) for words in GOLDEN_KEYS] == list(GOLDEN_KEYS.values())


GOLDEN_KEYS = {
    (0, 0, "order"): 8624558878136990183,
    (0, 1, "order"): 13837889887368708717,
    (1, 0, "order"): 4211194381206454418,
    (0, 0, "shuffle"): 8845966527587418554,
    (42, 7, "deal"): 3862170494750167787,
    (18446744073709551615, 18446744073709551615, "prune"): 16514472870299443443,
    (9223372036854775808, 4294967296, "weighted"): 4579145845397142962,
}


def test_key_is_blake2b_of_three_words():
    import hashlib

    for seed, epoch, purpose in [(0, 0, "order"), (2**64 - 1, 5, "deal"), (7, 2**63, "é")]:
        name = hashlib.blake2b(purpose.encode("utf-8"), digest_size=8).digest()
        digest = hashlib.blake2b(struct.pack("<2Q", seed, epoch) + name, digest_size=8).digest()
        assert int(key(seed, epoch, purpose)) == struct.unpack("<Q", digest)[0]


def test_seed_and_epoch_do_not_trade_places():
    assert key(0, 1, "order") != key(1, 0, "order")
    grid = {int(key(seed, epoch, "order")) for seed in range(60) for epoch in range(60)}
    assert len(grid) == 3600


def test_words_do_not_run_into_one_another():
    """`numpy.random.SeedSequence` makes [2**32 + 5, 7] and [5, 1 + 7 * 2**32] the same."""
    assert key(2**32 + 5, 7, "order") != key(5, 1 + 7 * 2**32, "order")
    assert key(1, 0, "order") != key(2**32, 0, "order")
    assert key(1, 0, "order") != key(0, 2**32, "order")
    assert key(0, 0, "order") != key(0, 0, "order ")


def test_extremes_of_64_bits_are_all_different():
    grid = {int(key(seed, epoch, "x")) for seed in EXTREMES for epoch in EXTREMES}
    assert len(grid) == len(EXTREMES) ** 2


@pytest.mark.parametrize(("seed", "epoch"), [(-1, 0), (0, -1), (2**64, 0), (0, 2**64)])
def test_a_word_outside_64_bits_is_no_key(seed, epoch):
    with pytest.raises(struct.error):
        key(seed, epoch, "order")


def test_keys_look_uniform():
    """16 bins of each byte of 4,096 neighbouring keys: chi-square, each p > 1e-6."""
    raw = np.array([key(seed, epoch, "order") for seed in range(64) for epoch in range(64)])
    for shift in range(0, 64, 8):
        nibble = ((raw >> u64(shift)) & u64(15)).astype(np.int64)
        assert stats.chisquare(np.bincount(nibble, minlength=16)).pvalue > 1e-6


# ---------------------------------------------------------------------- mix, value, subkey


@some
@given(words)
@example(0)
@example(2**64 - 1)
def test_mix_equals_python_integers(word):
    assert int(mix(u64(word))) == oracles.mix_in_integers(word)


@some
@given(words, words)
@example(0, 0)
@example(2**64 - 1, 2**64 - 1)
@example(0, 2**64 - 1)
def test_value_equals_python_integers(key_, counter):
    assert int(value(u64(key_), u64(counter))) == oracles.value_in_integers(key_, counter)


@pytest.mark.parametrize("key_", EXTREMES)
def test_values_in_numpy_equal_those_of_the_kernel(key_):
    counters = np.array(EXTREMES, np.uint64)
    expected = [oracles.value_in_integers(key_, counter) for counter in EXTREMES]
    assert values(u64(key_), counters).tolist() == expected
    assert [int(subkey(u64(key_), number)) for number in EXTREMES] == expected


def test_values_are_splitmix64():
    """The first outputs of SplitMix64 with seed 1234567, as published with the algorithm."""
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert [int(value(u64(1234567), u64(counter))) for counter in range(5)] == published


def test_value_golden_values():
    assert [int(value(u64(k), u64(c))) for k, c in GOLDEN_VALUES] == list(GOLDEN_VALUES.values())


GOLDEN_VALUES = {
    (0, 0): 16294208416658607535,
    (0, 1): 7960286522194355700,
    (1, 0): 10451216379200822465,
    (18446744073709551615, 0): 16490336266968443936,
    (18446744073709551615, 18446744073709551615): 13029008266876403067,
    (81985529216486895, 1000000000000): 7201297641971247003,
}


def unmix(word):
    """The inverse of mix: it exists, so mix is one to one."""
    word ^= (word >> 31) ^ (word >> 62)
    word = word * pow(0x94D049BB133111EB, -1, 2**64) % 2**64
    word ^= (word >> 27) ^ (word >> 54)
    word = word * pow(0xBF58476D1CE4E5B9, -1, 2**64) % 2**64
    return word ^ (word >> 30) ^ (word >> 60)


@some
@given(words)
def test_mix_is_one_to_one(word):
    assert unmix(int(mix(u64(word)))) == word


def test_every_input_bit_moves_every_output_bit():
    """64 x 64 flip rates over 150 words; each within 1/2 +- 6 standard deviations."""
    inputs = [oracles.mix_in_integers(i + 1) for i in range(150)]
    flips = np.zeros((64, 64))
    for word in inputs:
        plain = oracles.mix_in_integers(word)
        for bit in range(64):
            changed = plain ^ oracles.mix_in_integers(word ^ (1 << bit))
            flips[bit] += [(changed >> shift) & 1 for shift in range(64)]
    assert np.abs(flips / 150 - 0.5).max() < 6 * 0.5 / np.sqrt(150)


def test_subkey_is_a_value():
    for number in (0, 1, 2**40):
        made = subkey(u64(99), number)
        assert isinstance(made, np.uint64)
        assert int(made) == oracles.value_in_integers(99, number)
    assert len({int(subkey(key(0, e, "x"), i)) for e in range(50) for i in range(50)}) == 2500


# ---------------------------------------------------------------------- unit, uniform, below


@some
@given(words)
@example(0)
@example(2**64 - 1)
@example(2**11 - 1)
@example(2**11)
def test_unit_equals_python_integers(word):
    number = unit(u64(word))
    assert number == oracles.unit_in_integers(word) == uniform(u64(word))
    assert 0.0 <= number < 1.0
    assert (number * 2**53).is_integer()


def test_the_ends_of_unit():
    assert unit(u64(0)) == 0.0
    assert unit(u64(2**64 - 1)) == 1.0 - 2.0**-53
    assert uniform(u64(2**64 - 1)) == 1.0 - 2.0**-53


def test_unit_is_uniform():
    """100 bins, 20,000 numbers (2,000 in plain Python): chi-square, p > 1e-6; mean within 5 sd."""
    from numba import config

    n = 2_000 if config.DISABLE_JIT else 20_000
    key_ = key(0, 0, "test")
    numbers = np.array([unit(u64(value(key_, u64(counter)))) for counter in range(n)])
    assert stats.chisquare(np.histogram(numbers, 100, (0, 1))[0]).pvalue > 1e-6
    assert stats.kstest(numbers, "uniform").pvalue > 1e-6
    assert abs(numbers.mean() - 0.5) < 5 * np.sqrt(1 / 12 / n)


@some
@given(words, st.integers(1, 2**32))
@example(2**64 - 1, 2**32)
@example(2**64 - 1, 1)
@example(2**64 - 1, 2**32 - 1)
@example(0, 2**32)
@example(2**32 - 1, 2**32)
def test_below_equals_the_wide_product(word, n):
    drawn = int(below(u64(word), u64(n)))
    assert drawn == oracles.below_in_integers(word, n)
    assert 0 <= drawn < n


@pytest.mark.parametrize("n", [2, 3, 7, 10])
def test_below_reaches_all_alike(n):
    """Chi-square over n values of 4,000 draws, p > 1e-6."""
    key_ = key(1, n, "below")
    drawn = [int(below(u64(value(key_, u64(i))), u64(n))) for i in range(4_000)]
    assert stats.chisquare(np.bincount(drawn, minlength=n)).pvalue > 1e-6


def test_nothing_touches_a_global_generator():
    before = np.random.get_state()[1].tolist()  # noqa: NPY002  # that it stays is the point
    subkey(key(3, 4, "x"), 5)
    uniform(_rng.key(3, 4, "y"))
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
