import numpy as np
import oracles
import pytest

from sampling.samplers import ClassBalancedSampler, RepeatedSubsetSampler
from sampling.selection import quotas_from_recall, systematic, top

SIZES = [50, 20, 8, 2]
LABELS = np.repeat(["a", "b", "c", "d"], SIZES)
RECALL = dict(zip("abcd", (0.9, 0.7, 0.4, 0.1), strict=True))


@pytest.mark.parametrize("seed", range(40))
def test_the_quotas_are_those_of_the_algorithm(seed):
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 60, random.integers(2, 8)).tolist()
    recalls = random.uniform(0, 0.99, len(sizes)).round(2).tolist()
    labels = np.repeat(np.arange(len(sizes)), sizes)
    budget = int(random.integers(1, labels.size + 1))
    found = quotas_from_recall(labels, recalls, budget, floor=0)
    assert list(found) == list(range(len(sizes)))
    assert sum(found.values()) == budget
    expected = np.multiply(oracles.drop_densities(sizes, recalls, budget / labels.size), sizes)
    assert np.abs(np.array(list(found.values())) - expected).max() < 1.0


def test_whole_numbers_by_hand():
    """Golden: weights 5, 6, 4.8, 1.8; a tenth of 80 rows; d is below its floor of 1 without it."""
    assert quotas_from_recall(LABELS, RECALL, 0.1) == {"a": 2, "b": 3, "c": 2, "d": 1}
    assert quotas_from_recall(LABELS, RECALL, 3, floor=0) == {"a": 1, "b": 1, "c": 1, "d": 0}
    half = quotas_from_recall(LABELS, RECALL, 0.5)  # c and d are whole, a and b share 30 by 5 to 6
    assert half == {"a": 14, "b": 16, "c": 8, "d": 2}


@pytest.mark.parametrize(
    ("recall", "budget", "floor", "quotas"),
    [
        ([1.0, 1.0, 1.0, 1.0], 40, 1, [25, 10, 4, 1]),  # proportional
        ([1.0, 1.0, 1.0, 0.5], 12, 0, [6, 3, 1, 2]),  # the excess by size: 6.4, 2.6, 1.0
        ([1.0, 0.5, 1.0, 1.0], 10, 1, [1, 7, 1, 1]),
        ([0.0, 0.0, 0.0, 0.0], 80, 1, SIZES),
        ([0.9, 0.7, 0.4, 0.1], 9, 5, None),
    ],
)
def test_recalls_at_the_ends(recall, budget, floor, quotas):
    labels = np.repeat(np.arange(4), SIZES)
    if quotas is None:
        with pytest.raises(ValueError, match="floors must add up to at most the budget, 9, got 17"):
            quotas_from_recall(labels, recall, budget, floor=floor)
        return
    assert list(quotas_from_recall(labels, recall, budget, floor=floor).values()) == quotas


def test_what_takes_the_quotas():
    quotas = quotas_from_recall(LABELS, RECALL, 0.5)
    scores = np.random.default_rng(0).random(80)
    for picked in (
        top(scores, 0.5, groups=LABELS, group_budgets=quotas),
        systematic(np.ones(80), 40, groups=LABELS, group_budgets=quotas),
    ):
        kept, counts = np.unique(LABELS[picked.indices], return_counts=True)
        assert dict(zip(kept.tolist(), counts.tolist(), strict=True)) == quotas
    balanced = ClassBalancedSampler(LABELS, 40, target=quotas)
    assert np.unique(LABELS[list(balanced)], return_counts=True)[1].tolist() == [14, 16, 8, 2]


def test_rounds_of_rs2_by_quotas():
    quotas = quotas_from_recall(LABELS, RECALL, 0.5)
    sampler = RepeatedSubsetSampler(80, 0.5, labels=LABELS, quotas=quotas)
    rounds = [sampler.indices(epoch) for epoch in range(25)]
    for each in rounds:
        assert np.unique(each).size == 40
        assert np.unique(LABELS[each], return_counts=True)[1].tolist() == [14, 16, 8, 2]
    counts = np.bincount(np.concatenate(rounds), minlength=80)
    assert np.ptp(counts[:50]) == 0  # 25 rounds of 14 are 7 passes over 50
    weights = sampler.importance_weights(np.array([0, 50, 70]))
    np.testing.assert_allclose(weights, 40 / 80 / np.array([14 / 50, 16 / 20, 1]))
    with pytest.raises(ValueError, match=r"quotas must add up to 40, .*keep=0.5 .* got 39"):
        RepeatedSubsetSampler(80, 0.5, labels=LABELS, quotas={**quotas, "a": 13})
    with pytest.raises(ValueError, match="at most the size .* got 3 for class 'd' of 2 samples"):
        RepeatedSubsetSampler(80, 0.5, labels=LABELS, quotas={**quotas, "d": 3})
    with pytest.raises(ValueError, match=r"quotas must be >= 1 .*got 0 for class 'd'"):
        RepeatedSubsetSampler(80, 0.5, labels=LABELS, quotas={**quotas, "d": 0})
    with pytest.raises(ValueError, match="quotas must be omitted without labels"):
        RepeatedSubsetSampler(80, 0.5, quotas=quotas)


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"recall\['c'\] must be in \[0, 1\], got 40"):
        quotas_from_recall(LABELS, {**RECALL, "c": 40.0}, 8)
    with pytest.raises(ValueError, match="recall"):
        quotas_from_recall(LABELS, {"a": 0.5}, 8)
    with pytest.raises(ValueError, match="labels must name a class, got none in all 3"):
        quotas_from_recall([-1, -1, -1], [0.5], 2)
    assert quotas_from_recall([0, 0, 1, -1], [0.5, 0.5], 1.0) == {0: 2, 1: 1}
