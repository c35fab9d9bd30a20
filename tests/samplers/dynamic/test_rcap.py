"""RCAP: exact budgets by class and loss, and draws without replacement within a class."""

import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from helpers import dealt

from sampling.samplers import RCAPSampler, full_state, load_full_state
from sampling.testing import parametrize_with_checks

N = 60
LABELS = np.array(["cat"] * 40 + ["dog"] * 15 + ["owl"] * 5)
LOSSES = np.random.default_rng(0).uniform(0.05, 1.0, N)


def scored(losses=LOSSES, labels=LABELS, **arguments):
    """A sampler that has seen every loss, in epoch 0."""
    sampler = RCAPSampler(len(labels), 10, labels=labels, **arguments)
    sampler.record(np.arange(len(labels)), losses)
    return sampler


def counts_of(order, labels=LABELS):
    return Counter(labels[order].tolist())


def counts_by_hand(losses, labels, budget, aggregate="sum"):
    """Largest remainders of the rule, full classes taken out one after the other."""
    names = sorted(set(labels.tolist()))
    size = {name: int((labels == name).sum()) for name in names}
    most = math.log(len(names))
    weight = {}
    for name in names:
        own = [min(max(each, 0.0), most) for each in losses[labels == name]]
        total = math.fsum(own) / (1 if aggregate == "sum" else len(own))
        weight[name] = math.sqrt(total * size[name])
    given, left = {}, budget
    while True:
        open_ = [name for name in names if name not in given]
        whole = sum(weight[name] for name in open_)
        share = {name: left * weight[name] / whole for name in open_}
        full = [name for name in open_ if share[name] >= size[name]]
        if not full:
            break
        for name in full:
            given[name] = size[name]
            left -= size[name]
    floors = {name: math.floor(share[name]) for name in open_}
    order = sorted(open_, key=lambda name: floors[name] - share[name])
    for name in order[: left - sum(floors.values())]:
        floors[name] += 1
    return {**given, **floors}


@parametrize_with_checks({"RCAPSampler": lambda **o: RCAPSampler(N, 8, labels=LABELS, **o)})
def test_keeps_the_contract(factory, check):
    check(factory)


@pytest.mark.parametrize("aggregate", ["sum", "mean"])
@pytest.mark.parametrize("keep", [0.1, 0.35, 0.6, 0.9, 0.95])
def test_counts_of_classes_are_those_of_the_rule(aggregate, keep):
    sampler = scored(keep=keep, aggregate=aggregate)
    order = dealt(sampler, 1)
    assert order.size == np.unique(order).size == round(keep * N)
    assert counts_of(order) == Counter(counts_by_hand(LOSSES, LABELS, round(keep * N), aggregate))


def test_the_budget_is_exact_where_a_class_is_full():
    """The package divides the whole budget again, so that such an epoch draws too many."""
    losses = np.where(LABELS == "owl", 1.0, 0.01)
    sampler = scored(losses, keep=0.5)
    order = dealt(sampler, 1)
    assert order.size == 30
    assert counts_of(order)["owl"] == 5


def test_losses_decide_and_not_shares_within_the_class():
    """In the package the loss of a class is a sum of softmax shares: 1 for every class."""
    low, high = scored(np.where(LABELS == "dog", 0.01, 0.5)), scored(np.full(N, 0.5))
    assert counts_of(dealt(low, 1))["dog"] < counts_of(dealt(high, 1))["dog"]


def test_draws_within_a_class_are_one_after_the_other_by_exp_loss():
    """Chances of each pair of one class by enumeration; 2,000 epochs, four deviations."""
    losses, beta = np.array([0.0, 0.3, 0.6]), 0.5
    weights = np.exp(losses / beta)
    exact = Counter()
    for first, second, _ in permutations(range(3)):
        chance = weights[first] / weights.sum()
        exact[frozenset((first, second))] += (
            chance * weights[second] / (weights.sum() - weights[first])
        )
    labels = np.array([0, 0, 0, 1, 1, 1])
    both = np.concatenate([losses, losses[::-1]])
    seen = Counter()
    for seed in range(2000):
        sampler = RCAPSampler(6, 10, labels=labels, keep=4 / 6, beta=beta, seed=seed)
        sampler.record(np.arange(6), both)
        seen[frozenset(each for each in dealt(sampler, 1).tolist() if each < 3)] += 1
    for pair, chance in exact.items():
        sigma = math.sqrt(chance * (1 - chance) / 2000)
        assert seen[pair] / 2000 == pytest.approx(chance, abs=4 * sigma)


def test_losses_are_clipped_at_log_c():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    losses = np.array([1e9, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6])
    assert counts_of(dealt(scored(losses, labels, keep=0.5), 1), labels)[1] == 2


def test_a_cold_temperature_draws_the_hardest_and_a_hot_one_uniformly():
    labels = np.zeros(N, int)
    hardest = set(np.argsort(-LOSSES)[:30].tolist())
    assert set(dealt(scored(labels=labels, keep=0.5, beta=1e-6), 1).tolist()) == hardest
    hits = [
        len(hardest & set(dealt(scored(labels=labels, keep=0.5, beta=1e6, seed=s), 1).tolist()))
        for s in range(200)
    ]
    assert np.mean(hits) == pytest.approx(15, abs=4 * np.std(hits) / 200**0.5)


def test_samples_never_seen_come_first_within_an_exact_budget():
    sampler = RCAPSampler(N, 10, labels=LABELS, keep=0.5)
    seen = np.flatnonzero(np.arange(N) % 10)
    sampler.record(seen, LOSSES[seen])
    order = dealt(sampler, 1)
    assert order.size == 30
    assert set(range(0, N, 10)) <= set(order.tolist())


@pytest.mark.parametrize("losses", [np.zeros(N), np.full(N, np.nan), np.full(N, 3.0)])
def test_equal_losses_give_classes_their_shares(losses):
    sampler = RCAPSampler(N, 10, labels=LABELS, keep=0.5)
    sampler.record(np.arange(N), losses.astype(np.float32))
    counts = counts_of(dealt(sampler, 1))
    assert sum(counts.values()) == 30
    assert abs(counts["cat"] - 20) <= 0.5
    assert abs(counts["dog"] - 7.5) <= 0.5


def test_resumes_in_mid_run():
    one, two = scored(keep=0.4), scored(keep=0.4)
    one.set_epoch(3)
    load_full_state(two, full_state(one))
    np.testing.assert_array_equal(one.indices(3), two.indices(3))


def test_the_cost_of_a_run_is_the_target():
    sampler = RCAPSampler.for_target(N, 10, 0.5, labels=LABELS)
    draws = 0
    for epoch in range(10):
        order = dealt(sampler, epoch)
        sampler.record(order, LOSSES[order])
        draws += order.size
    assert draws / (10 * N) == pytest.approx(0.5, abs=0.005)


def test_bad_arguments():
    with pytest.raises(ValueError, match="labels must be given for each sample, got none in row 1"):
        RCAPSampler(3, 5, labels=["a", None, "b"])
    with pytest.raises(ValueError, match="labels must have the length of data_source, 4, got 3"):
        RCAPSampler(4, 5, labels=[0, 1, 1])
    with pytest.raises(ValueError, match=r"beta must be in \(0, inf\), got 0"):
        RCAPSampler(3, 5, labels=[0, 1, 1], beta=0)
    with pytest.raises(ValueError, match="RCAPSampler has no importance weights: the draws within"):
        RCAPSampler(3, 5, labels=[0, 1, 1], objective="original")
