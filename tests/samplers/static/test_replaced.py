"""Weights and shares that are replaced while a loader lives, from the next `set_epoch` on."""

import pickle

import numpy as np
import pytest

from sampling.errors import StateError
from sampling.samplers import ClassBalancedSampler, WeightedSampler, full_state, load_full_state

OLD, NEW = [1.0, 1, 1, 1, 4], [0.0, 1, 2, 5, 0]
LABELS = np.repeat([0, 1, 2], [20, 5, 5])
MAKERS = {
    "weighted": (lambda: WeightedSampler(OLD, 16, seed=3), lambda s: s.set_weights(NEW)),
    "limited": (
        lambda: WeightedSampler(OLD, 6, max_repeats_per_epoch=4, seed=3),
        lambda s: s.set_weights(NEW),
    ),
    "distinct": (
        lambda: WeightedSampler(OLD, 3, replacement=False, seed=3),
        lambda s: s.set_weights(NEW),
    ),
    "balanced": (
        lambda: ClassBalancedSampler(LABELS, seed=3),
        lambda s: s.set_shares({0: 1, 1: 3, 2: 1}),
    ),
    "progressive": (
        lambda: ClassBalancedSampler(LABELS, progressive_epochs=4, seed=3),
        lambda s: s.set_shares([1, 3, 1]),
    ),
}
all_kinds = pytest.mark.parametrize(("make", "replace"), MAKERS.values(), ids=MAKERS)


def drawn(sampler, epoch):
    sampler.set_epoch(epoch)
    return list(sampler)


@all_kinds
def test_the_running_epoch_is_unchanged_and_the_next_follows(make, replace):
    sampler, old = make(), make()
    sampler.set_epoch(2)
    passed = iter(sampler)
    first = [next(passed), next(passed)]
    replace(sampler)
    assert first + list(passed) == drawn(old, 2)
    assert sampler.dynamic
    assert drawn(sampler, 3) != drawn(old, 3)


@pytest.mark.parametrize("epoch", [1, 4])
def test_new_draws_are_those_of_a_sampler_made_with_the_new_values(epoch):
    sampler = WeightedSampler(OLD, 16, seed=3)
    sampler.set_weights(np.array(NEW, np.float32))
    assert drawn(sampler, epoch) == drawn(WeightedSampler(NEW, 16, seed=3), epoch)
    sampler.set_weights([1, 2, 3, 4, 6])
    sampler.set_epoch(epoch + 1)
    weights = sampler.importance_weights(np.arange(5))
    np.testing.assert_allclose(16 / 5 / weights, [1, 2, 3, 4, 6], rtol=1e-6)
    balanced = ClassBalancedSampler(LABELS, seed=3)
    balanced.set_shares([1, 3, 1])
    made = ClassBalancedSampler(LABELS, target=[1, 3, 1], seed=3)
    assert drawn(balanced, epoch) == drawn(made, epoch)
    np.testing.assert_allclose(balanced.shares(epoch), [0.2, 0.6, 0.2])


@all_kinds
@pytest.mark.parametrize("when", ["before the next epoch", "in the next epoch"])
def test_a_sampler_made_with_the_first_values_resumes_with_the_last(make, replace, when):
    sampler = make()
    sampler.set_epoch(1)
    replace(sampler)
    if when == "in the next epoch":
        sampler.set_epoch(2)
    rest = iter(sampler)
    next(rest)
    state = full_state(sampler, 1)
    again = make()
    load_full_state(again, state)
    assert list(again) == list(rest)
    assert drawn(again, 3) == drawn(sampler, 3)
    load_full_state(again, full_state(sampler))  # any number of times
    assert drawn(again, 4) == drawn(sampler, 4)


@all_kinds
def test_the_light_state_alone_does_not_resume_into_other_values(make, replace):
    sampler = make()
    replace(sampler)
    sampler.set_epoch(1)
    with pytest.raises(StateError):
        make().load_state_dict(sampler.state_dict(0))


@all_kinds
def test_it_travels_to_the_workers_of_a_loader(make, replace):
    sampler = make()
    replace(sampler)
    sampler.set_epoch(1)
    assert list(pickle.loads(pickle.dumps(sampler))) == list(sampler)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: WeightedSampler(OLD).set_weights([1, 2]), "the first weights"),
        (lambda: WeightedSampler(OLD).set_weights([1, 1, 1, 1, np.nan]), "weights"),
        (lambda: WeightedSampler(OLD).set_weights([0] * 5), "weights"),
        (
            lambda: WeightedSampler(OLD, objective="original").set_weights(NEW),
            "for objective='original', got 2 zeros",
        ),
        (
            lambda: WeightedSampler(OLD, 4, replacement=False).set_weights(NEW),
            "positive weights without replacement, 3, got 4",
        ),
        (lambda: ClassBalancedSampler(LABELS).set_shares({0: 1}), "target"),
        (
            lambda: ClassBalancedSampler(LABELS, objective="original").set_shares([1, 1, 0]),
            "for class 2",
        ),
        (
            lambda: ClassBalancedSampler(LABELS, max_repeats_per_epoch=1).set_shares([0, 1, 1]),
            "with a share, 10, got 30",
        ),
    ],
)
def test_values_that_the_constructor_would_refuse_change_nothing(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_frequent_repeats_warn_when_they_are_set():
    with pytest.warns(UserWarning, match="sample 0 is drawn about 200 times"):
        WeightedSampler(np.ones(200)).set_weights([1.0] + [1e-9] * 199)


def test_messages_name_what_was_set():
    sampler = WeightedSampler([1, 1, 1, 1])
    sampler.set_weights([0, 0, 1, 1])
    sampler.set_epoch(1)
    with pytest.raises(
        ValueError, match=r"WeightedSampler depend on the weights that were set bef"
    ):
        sampler.indices(3)
    with pytest.raises(StateError, match=r"it was made from the weights that were set, which a st"):
        WeightedSampler([1, 1, 1, 1]).load_state_dict(sampler.state_dict(1))
    list(sampler)
    with pytest.raises(RuntimeError, match=r"epoch 1 is over.*from the weights that were set; "):
        list(sampler)


def test_shares_need_no_exchange_of_ranks():
    sampler = ClassBalancedSampler([0, 0, 1, 1], num_replicas=2, rank=0)
    list(sampler)
    sampler.set_shares({0: 3, 1: 1})
    sampler.set_epoch(1)
    list(sampler)
    sampler.set_epoch(2)  # warns of nothing
