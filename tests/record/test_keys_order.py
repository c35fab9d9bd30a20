"""Orders by value and key, against numpy's sorts."""

import numpy as np
import pytest

from sampling.record.keys import by_digits, by_group, by_value
from sampling.selection.core._order import best, highest

RANDOM = np.random.default_rng(3)
ODD = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -5e-324, 1e308, 1.0, np.nextafter(1, 2)]
VALUES = {
    "distinct": lambda n: RANDOM.normal(size=n),
    "float32": lambda n: RANDOM.normal(size=n).astype(np.float32),
    "ties": lambda n: RANDOM.normal(size=n).round(),
    "equal": np.zeros,
    "odd": lambda n: RANDOM.choice(ODD, n),
    "close": lambda n: 1.0 + RANDOM.integers(0, 50, n) * 2.0**-52,
}


@pytest.mark.parametrize("shift", [0, 60], ids=["keys", "ties of keys"])
@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("size", [0, 1, 2, 3, 100, 1024, 1025])
def test_orders_equal_those_of_numpy(size, kind, shift):
    values = VALUES[kind](size)
    keys = RANDOM.integers(0, 2**64, size, np.uint64) >> np.uint64(shift)
    np.testing.assert_array_equal(by_value(values, keys), np.lexsort((keys, values)))
    np.testing.assert_array_equal(by_digits(keys), np.argsort(keys, kind="stable"))
    codes = RANDOM.integers(0, 7, size)
    np.testing.assert_array_equal(by_group(codes, keys), np.lexsort((keys, codes)))


@pytest.mark.parametrize("kind", [kind for kind in VALUES if kind != "odd"])
@pytest.mark.parametrize("count", [0, 1, 37, 99, 100])
def test_best_is_the_front_of_the_whole_order(kind, count):
    values, keys = VALUES[kind](100), RANDOM.integers(0, 2**64, 100, np.uint64)
    expected = np.lexsort((keys, -values))[:count]
    np.testing.assert_array_equal(best(values, count, keys), expected)
    assert set(highest(values, count, keys).tolist()) == set(expected.tolist())
