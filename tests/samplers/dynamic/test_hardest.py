"""Keep-hardest, epsilon-greedy and UCB: counts, rounds, weights, and a twin in plain Python."""

import copy
import pickle

import numpy as np
import pytest
import torch
from helpers import assert_hits, assert_mean, dealt

from sampling.samplers import (
    EpsilonGreedySampler,
    HardestSampler,
    UCBSampler,
    full_state,
    load_full_state,
)
from sampling.testing import parametrize_with_checks

N = 40
LOSSES = np.random.default_rng(0).exponential(size=N).astype(np.float32)
CLASSES = [HardestSampler, EpsilonGreedySampler, UCBSampler]
every = pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)


def scored(kind, losses=LOSSES, num_epochs=20, **arguments):
    """A sampler that has seen every loss, in epoch 0."""
    sampler = kind(len(losses), num_epochs, **arguments)
    sampler.record(np.arange(len(losses)), losses)
    return sampler


def loss_of(rows, epoch):
    return (1.1 + np.sin(np.asarray(rows) * 7.0 + epoch)).astype(np.float32)


def resumed(sampler, make, consumed=0):
    """Another sampler, brought to where this one stands by its full state."""
    other = make()
    load_full_state(other, copy.deepcopy(full_state(sampler, consumed)))
    return other


@parametrize_with_checks(
    {kind.__name__: lambda kind=kind, **o: kind(N, 8, **o) for kind in CLASSES}
)
def test_keeps_the_contract(factory, check):
    check(factory)


# ---- which samples -------------------------------------------------------------------------------


def test_hardest_keeps_the_highest_losses():
    sampler = scored(HardestSampler, keep=0.3)
    order = dealt(sampler, 1)
    assert sorted(order) == sorted(np.argsort(LOSSES)[-12:])
    assert len(dealt(sampler, 17)) == N  # annealing


@every
@pytest.mark.parametrize("keep", [0.01, 0.1, 0.33, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_counts_are_exact(kind, keep, size):
    losses = np.arange(size, dtype=np.float32) // 3  # ties
    sampler = scored(kind, losses, keep=keep, refresh_every=1)
    for epoch in range(1, 5):
        order = dealt(sampler, epoch)
        assert np.unique(order).size == order.size == len(sampler)
        more = order.size - max(1, round(keep * size))
        # A group due less than one sample keeps one, where ties make groups of the others.
        assert more == 0 or (more == 1 and kind is EpsilonGreedySampler and size == 7)
        sampler.record(order, losses[order])


@every
def test_samples_never_seen_come_first(kind):
    sampler = kind(N, 20, keep=0.5)
    sampler.record(np.arange(8, N), LOSSES[8:])
    order = dealt(sampler, 1)
    assert set(order) >= set(range(8))
    assert len(order) == 20
    sampler = kind(N, 20, keep=0.2)  # fewer than were never seen: all of those all the same
    sampler.record(np.arange(16, N), LOSSES[16:])
    order = dealt(sampler, 1)
    # Epsilon-greedy draws one of the others, without which weights could not make up for them.
    assert len(order) == 16 + (kind is EpsilonGreedySampler)
    assert set(order) >= set(range(16))


def test_ties_are_broken_by_lot_and_afresh():
    sampler = scored(HardestSampler, np.ones(6, np.float32), 1002, keep=0.5, anneal_fraction=0)
    hits = np.stack([np.bincount(dealt(sampler, epoch), minlength=6) for epoch in range(1, 1001)])
    assert_hits(hits.sum(axis=0), 1000, 0.5)
    assert_hits((hits[1::2] & hits[::2]).sum(axis=0), 500, 0.25)


def test_mislabelled_samples_would_be_all_that_is_left():
    """What the docstring warns of: the highest losses of all are kept for certain."""
    losses = LOSSES.copy()
    losses[5] = 100.0
    sampler = scored(HardestSampler, losses, keep=0.05)
    assert 5 in dealt(sampler, 1)


def test_nothing_recorded_keeps_everything():
    for kind in CLASSES:
        assert len(dealt(kind(N, 20), 1)) == N


def test_losses_that_are_not_finite_leave_the_old_score():
    sampler = scored(HardestSampler, keep=0.5)
    sampler.record([0, 1], [np.nan, np.inf])
    np.testing.assert_array_equal(sampler.scores, LOSSES)
    assert sampler.num_nonfinite == 2
    ucb = scored(UCBSampler)
    ucb.record([0, 1], [np.nan, np.inf])
    ucb.set_epoch(1)
    np.testing.assert_array_equal(ucb.scores, LOSSES)


# ---- rounds --------------------------------------------------------------------------------------


@every
def test_a_round_deals_the_same_samples_in_other_orders(kind):
    sampler = scored(kind, keep=0.5, refresh_every=3)
    orders = []
    for epoch in range(1, 7):
        orders.append(dealt(sampler, epoch))
        sampler.record(orders[-1], loss_of(orders[-1], epoch) + 3)  # those kept look harder yet
    for first in (0, 3):
        kept = [set(order) for order in orders[first : first + 3]]
        assert kept[0] == kept[1] == kept[2]
    assert len({tuple(order) for order in orders}) == 6


@every
def test_a_round_of_all_samples_is_shuffled_anew(kind):
    sampler = scored(kind, keep=1.0, refresh_every=5)
    orders = [tuple(dealt(sampler, epoch)) for epoch in range(1, 6)]
    assert len(set(orders)) == 5
    assert all(sorted(order) == list(range(N)) for order in orders)


@every
@pytest.mark.parametrize("keep", [0.5, 1.0])
@pytest.mark.parametrize("copied", ["state", "pickle"])
def test_resumes_in_the_middle_of_a_round(kind, keep, copied):
    def make():
        return kind(N, 20, keep=keep, refresh_every=4)

    sampler = make()
    for epoch in range(12):
        order = dealt(sampler, epoch)
        sampler.record(order[: order.size // 2], loss_of(order[: order.size // 2], epoch))
        if epoch in (2, 3, 6):  # in a round, at its end, in the next one
            position = order.size // 2
            if copied == "pickle":
                sampler = pickle.loads(pickle.dumps(sampler))
            else:
                other = resumed(sampler, make, position)
                assert list(other) == order[position:].tolist()
                sampler = resumed(sampler, make)
        sampler.record(order[order.size // 2 :], loss_of(order[order.size // 2 :], epoch))
    unbroken = make()
    for epoch in range(12):
        order = dealt(unbroken, epoch)
        unbroken.record(order, loss_of(order, epoch))
    np.testing.assert_array_equal(dealt(sampler, 12), dealt(unbroken, 12))
    np.testing.assert_array_equal(sampler.scores, unbroken.scores)
    assert sampler.expected_samples() == unbroken.expected_samples()


# ---- weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [HardestSampler, UCBSampler], ids=lambda kind: kind.__name__)
def test_no_weights_where_samples_are_left_out_for_certain(kind):
    message = f"{kind.__name__} has no importance weights: samples with low losses are certain to"
    with pytest.raises(ValueError, match=message):
        kind(N, 8, objective="original")
    with pytest.raises(ValueError, match=message):
        scored(kind).importance_weights([0])
    assert scored(kind).weights_for([0, 1]).tolist() == [1, 1]


@pytest.mark.parametrize("losses", [LOSSES, np.round(LOSSES)], ids=["distinct", "ties"])
def test_epsilon_greedy_is_unbiased_for_the_epoch(losses):
    """At fixed scores, for gradients that have nothing to do with them; see `assert_mean`."""
    gradients = np.random.default_rng(1).normal(size=(N, 3))
    epochs = 800
    sampler = scored(
        EpsilonGreedySampler,
        losses,
        epochs + 1,
        keep=0.5,
        epsilon=0.3,
        anneal_fraction=0.0,
        objective="original",
        seed=2,
    )
    sums, means, hits = [], [], np.zeros(N, int)
    for epoch in range(1, epochs + 1):
        order = dealt(sampler, epoch)
        hits[order] += 1
        sums.append(sampler.weights_for(order) @ gradients[order])
        means.append(sampler.importance_weights(order) @ gradients[order] / order.size)
    assert_mean(sums, gradients.sum(axis=0))
    assert_mean(means, gradients.mean(axis=0))
    assert hits.min() > 0  # nobody starves


def test_epsilon_greedy_weights_by_hand():
    sampler = scored(
        EpsilonGreedySampler, np.arange(10.0), keep=0.5, epsilon=0.4, objective="original"
    )
    order = np.sort(dealt(sampler, 1))
    assert set(order[-3:]) == {7, 8, 9}
    np.testing.assert_allclose(sampler.weights_for(order), [3.5, 3.5, 1, 1, 1])
    loss = sampler.reduce(torch.ones(5), order)
    assert float(loss) == pytest.approx(10 / 5)


def test_epsilon_greedy_draws_every_other_sample_alike():
    sampler = scored(EpsilonGreedySampler, np.arange(20.0), 1002, epsilon=0.5, anneal_fraction=0)
    hits = np.zeros(20, int)
    for epoch in range(1, 1001):
        hits[dealt(sampler, epoch)] += 1
    assert_hits(hits, 1000, [6 / 14] * 14 + [1] * 6)


def test_epsilon_greedy_keeps_one_of_the_others_at_least():
    sampler = scored(EpsilonGreedySampler, keep=0.5, epsilon=0.001)
    hardest = set(np.argsort(LOSSES)[-19:])
    for epoch in range(1, 10):
        order = set(dealt(sampler, epoch))
        assert len(order) == 20
        assert order > hardest


# ---- UCB -----------------------------------------------------------------------------------------


class Twin:
    """UCB with dictionaries and sorted lists."""

    def __init__(self, keep, decay, bonus, refresh_every, last):
        self.keep, self.decay, self.bonus = keep, decay, bonus
        self.refresh_every, self.last = refresh_every, last
        self.average, self.spread = {}, {}
        self.kept = None

    def end(self, losses):
        for i, loss in losses.items():
            if i not in self.average:
                self.average[i], self.spread[i] = loss, 0.0
                continue
            change = loss - self.average[i]
            self.spread[i] = (1 - self.decay) * self.spread[i] + self.decay * change**2
            self.average[i] = (1 - self.decay) * self.average[i] + self.decay * loss

    def score(self, i):
        return self.average[i] + self.bonus * self.spread[i]

    def choose(self, epoch):
        if epoch == 0 or epoch > self.last:
            return set(range(N))
        if (epoch - 1) % self.refresh_every == 0:
            unseen = [i for i in range(N) if i not in self.average]
            ranked = sorted(self.average, key=self.score, reverse=True)
            count = max(1, round(self.keep * N))
            self.kept = {*unseen, *ranked[: max(0, count - len(unseen))]}
        return self.kept


@pytest.mark.parametrize("refresh_every", [1, 3])
@pytest.mark.parametrize(("decay", "bonus"), [(0.8, 1.0), (0.3, 2.5), (1.0, 0.0)])
def test_ucb_follows_its_twin(refresh_every, decay, bonus):
    random = np.random.default_rng(3)
    settings = {"keep": 0.55, "decay": decay, "bonus": bonus, "refresh_every": refresh_every}
    sampler = UCBSampler(N, 14, **settings)
    twin = Twin(**settings, last=11)
    for epoch in range(14):
        order = dealt(sampler, epoch)
        assert set(order) == twin.choose(epoch)
        for i, score in enumerate(sampler.scores):
            assert np.isnan(score) == (i not in twin.average)
            assert i not in twin.average or score == pytest.approx(twin.score(i), rel=1e-4)
        # Some are never trained on in epoch 0, some losses are lost, some are recorded twice.
        rows = order[order >= 5] if epoch == 0 else order
        first, losses = random.random(rows.size), random.exponential(size=rows.size)
        losses[0] = np.nan
        sampler.record(rows[:10], first[:10])
        for batch in np.array_split(np.arange(rows.size), 3):
            sampler.record(rows[batch], losses[batch])
        trained = dict(zip(rows.tolist(), losses.tolist(), strict=True))
        trained[int(rows[0])] = first[0]
        twin.end(trained)


@pytest.mark.parametrize("decay", [0.8, 1.0])
def test_ucb_survives_losses_whose_squares_are_no_floats(decay):
    sampler = UCBSampler(4, 40, keep=1.0, decay=decay, bonus=3.0, refresh_every=1)
    for epoch, loss in enumerate([1.0, 3e38, -3e38, 1.0, 1.0, 2.0]):
        sampler.set_epoch(epoch)
        sampler.record(range(4), [loss, 1.0, 2.0, 3.0])
    sampler.set_epoch(6)
    assert not np.isnan(sampler.scores).any()
    np.testing.assert_allclose(sampler.scores[1:], [1, 2, 3])
    if decay == 1.0:  # what was huge is forgotten: (2 - 1)^2 is the spread
        assert sampler.scores[0] == 5.0


def test_ucb_forgets_nothing_that_it_did_not_see():
    sampler = UCBSampler(4, 20, keep=0.5, decay=0.5, refresh_every=1)
    sampler.record(range(4), [1.0, 2.0, 3.0, 4.0])
    assert sorted(dealt(sampler, 1)) == [2, 3]
    sampler.record([3], [0.0])
    assert sorted(dealt(sampler, 2)) == [2, 3]
    np.testing.assert_array_equal(sampler.scores, [1, 2, 3, 2 + 8])


# ---- what a run costs ----------------------------------------------------------------------------


@every
@pytest.mark.parametrize("target", [1.0, 0.8, 0.5, 0.4])
@pytest.mark.parametrize("refresh_every", [1, 3])
def test_for_target_takes_what_it_says(kind, target, refresh_every):
    size = 1000
    losses = np.random.default_rng(0).exponential(size=size)
    sampler = kind.for_target(size, 10, target, refresh_every=refresh_every, seed=3)
    assert sampler.keep == pytest.approx(1 - (1 - target) / 0.7)
    assert sampler.expected_samples() == pytest.approx(10 * size * target, abs=10)
    drawn = 0
    for epoch in range(10):
        order = dealt(sampler, epoch)
        drawn += order.size
        assert sampler.expected_samples() == pytest.approx(10 * size * target, abs=10)
        sampler.record(order, losses[order])
    assert drawn == sampler.expected_samples() == pytest.approx(10 * size * target, abs=10)


@every
def test_for_target_says_what_is_out_of_reach(kind):
    with pytest.raises(ValueError, match=r"keep is unreachable: must be >= 0.370 for 10 epochs"):
        kind.for_target(100, 10, 0.2, below_mean=0.7, anneal_fraction=0.2)
    assert kind.for_target(100, 1, 1.0).keep == 1.0


@every
def test_targets_are_part_of_the_state(kind):
    sampler = kind.for_target(N, 10, 0.6)
    other = kind(N, 10, keep=sampler.keep)
    from sampling.errors import StateError

    with pytest.raises(StateError, match="of the same data and arguments"):
        load_full_state(other, full_state(sampler))


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "arguments", "error", "message"),
    [
        (HardestSampler, {"keep": 0.0}, ValueError, r"keep must be in \(0, 1\], got 0.0"),
        (HardestSampler, {"keep": 1.5}, ValueError, r"keep must be in \(0, 1\], got 1.5"),
        (HardestSampler, {"keep": "all"}, TypeError, "keep must be a number, got 'all'"),
        (HardestSampler, {"refresh_every": 0}, ValueError, "refresh_every must be >= 1, got 0"),
        (HardestSampler, {"refresh_every": 1.5}, TypeError, "refresh_every must be an int"),
        (HardestSampler, {"score_ema": 0}, ValueError, r"score_ema must be in \(0, 1\], got 0"),
        (HardestSampler, {"num_epochs": 0}, ValueError, "num_epochs must be >= 1, got 0"),
        (HardestSampler, {"data_source": 0}, ValueError, r"data_source must be in \[1, .*got 0"),
        (EpsilonGreedySampler, {"epsilon": 0}, ValueError, r"epsilon must be in \(0, 1\], got 0"),
        (EpsilonGreedySampler, {"epsilon": np.nan}, ValueError, "epsilon must be in .*got nan"),
        (UCBSampler, {"decay": 0.0}, ValueError, r"decay must be in \(0, 1\], got 0.0"),
        (UCBSampler, {"bonus": -1}, ValueError, r"bonus must be in \[0, inf\), got -1"),
    ],
)
def test_refuses(kind, arguments, error, message):
    with pytest.raises(error, match=message):
        kind(**{"data_source": 10, "num_epochs": 5, **arguments})
