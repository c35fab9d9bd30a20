"""Bootstrap bags: rows with repeats, and those out of the bag."""

from collections import Counter
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from sampling.selection import bags

N = 40
LABELS = np.repeat(["a", "b", "c"], [25, 12, 3])
PATIENTS = np.arange(N) // 3


def test_a_bag_and_its_complement():
    for bag in bags(N, 5, seed=3):
        assert bag.indices.tolist() == sorted(bag.indices.tolist())
        assert len(bag) == bag.indices.size == N
        assert np.array_equal(np.bincount(bag.indices, minlength=N), bag.counts)
        assert set(bag.out_of_bag) == set(range(N)) - set(bag.indices)
        assert bag.out_of_bag.size


def test_any_bag_is_drawn_directly_and_again():
    found, again = bags(N, 2**40, seed=1), bags(N, 7, seed=1)
    assert np.array_equal(found[6].counts, again[6].counts)
    assert np.array_equal(found[-1].counts, found[2**40 - 1].counts)
    assert not np.array_equal(found[0].counts, found[1].counts)
    assert not np.array_equal(found[0].counts, bags(N, 7, seed=2)[0].counts)
    assert [each.counts.tolist() for each in again[2:4]] == [
        each.counts.tolist() for each in list(again)[2:4]
    ]
    with pytest.raises(IndexError):
        again[7]


def test_each_row_is_out_of_one_bag_in_e():
    """(1 - 1/N)^N of 400 bags, N = 200: within four standard deviations of the whole."""
    out = np.mean([each.out_of_bag.size for each in bags(200, 400)]) / 200
    assert out == pytest.approx((1 - 1 / 200) ** 200, abs=4 * 0.0016)


def test_weights_are_probabilities_with_replacement():
    weights = np.array([0.0, 1.0, 2.0, 3.0])
    drawn = bags(4, 1, draws=60_000, weights=weights)[0].counts
    chances = weights / 6
    sigma = np.sqrt(60_000 * chances * (1 - chances))
    assert drawn[0] == 0
    assert (np.abs(drawn - 60_000 * chances) <= 4 * sigma).all()


def test_without_replacement_rows_are_drawn_one_after_the_other_by_weight():
    """Chances of each pair by enumeration of the orders; 6,000 bags, four deviations."""
    weights = [1.0, 2.0, 5.0]
    exact = Counter()
    for first, second, _ in permutations(range(3)):
        left = sum(weights) - weights[first]
        exact[frozenset((first, second))] += weights[first] / 8 * weights[second] / left
    found = bags(3, 6000, draws=2, replacement=False, weights=weights, seed=4)
    seen = Counter(frozenset(each.indices.tolist()) for each in found)
    for pair, chance in exact.items():
        sigma = (chance * (1 - chance) / 6000) ** 0.5
        assert seen[pair] / 6000 == pytest.approx(chance, abs=4 * sigma)


def test_halves_are_distinct_rows():
    for bag in bags(N, 4, draws=0.5, replacement=False):
        assert len(bag) == 20
        assert bag.counts.max() == 1
    assert bags(N, 1, draws=N, replacement=False)[0].counts.tolist() == [1] * N


def test_strata_keep_their_counts():
    for bag in bags(N, 5, strata=LABELS, draws=0.5):
        drawn = Counter(LABELS[bag.indices].tolist())
        assert sum(drawn.values()) == 20
        assert abs(drawn["a"] - 12.5) <= 0.5
        assert abs(drawn["b"] - 6) <= 0.5
        assert abs(drawn["c"] - 1.5) <= 0.5


def test_groups_are_in_a_bag_as_a_whole():
    for bag in bags(N, 5, groups=PATIENTS):
        for patient in range(14):
            assert len(set(bag.counts[patient == PATIENTS].tolist())) == 1
        assert bag.counts[::3].sum() == 14  # one row of each patient: as many draws as patients


def test_groups_within_strata_with_weights():
    sex = pd.Series(np.where(PATIENTS % 2, "f", "m"))
    weights = np.where(PATIENTS == 3, 0.0, 1.0)
    for bag in bags(N, 5, groups=pd.Series(PATIENTS), strata=sex, weights=weights):
        assert bag.counts[PATIENTS == 3].sum() == 0
        assert bag.counts[::3][PATIENTS[::3] % 2 == 1].sum() == 7


def test_the_smallest():
    assert bags(1, 1)[0].counts.tolist() == [1]
    assert bags(1, 1)[0].out_of_bag.size == 0
    assert len(bags(3, 1, draws=1e-9)[0]) == 1
    assert len(bags(["x", "y"], 1, draws=2.5)[0]) == 5


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"strata must be the same .*, got several for group 4"):
        bags(N, 2, groups=PATIENTS, strata=np.arange(N) == 13)
    with pytest.raises(ValueError, match="draws must be at most 40 without replacement, .*got 41"):
        bags(N, 2, draws=41, replacement=False)
    with pytest.raises(ValueError, match="weights must be > 0 for at least 1 rows or groups"):
        bags(N, 2, strata=LABELS, weights=(LABELS != "c").astype(float))
    with pytest.raises(ValueError, match="groups must have the length of data, 40, got 39"):
        bags(N, 2, groups=PATIENTS[1:])
    with pytest.raises(ValueError, match="groups must"):
        bags(3, 2, groups=["a", None, "b"])
    with pytest.raises(ValueError, match=r"draws must be in \(0, 1e6\], got 0.0"):
        bags(N, 2, draws=0.0)
    with pytest.raises(ValueError, match="num_bags must be >= 1, got 0"):
        bags(N, 0)
