"""What `record_validation` takes, where it is merged and saved, and updaters of one's own."""

import numpy as np
import pytest
import torch
from two_ranks import on_two_ranks

from sampling.errors import StateError
from sampling.samplers import (
    ByPerformance,
    DoReMi,
    EpochBatchSampler,
    MixtureSampler,
    MixtureUpdater,
    SkillIt,
    full_state,
    load_full_state,
)

NAMES = {"web": 50, "code": 30, "books": 20}


class Overfit(MixtureUpdater):
    """Less weight for sources whose validation loss exceeds the training loss."""

    reads = ("losses", "validation_losses")

    def memory(self, weights):
        return {"gap": np.zeros(weights.size)}

    def propose(self, state, values, update):
        gap = values["validation_losses"] - values["losses"]
        gap = 0.5 * state["gap"] + 0.5 * np.nan_to_num(gap)
        return np.exp(-gap), {"gap": gap}


def made(rule=None, **options):
    return MixtureSampler(
        NAMES, 40, updater=Overfit(floor=0.1) if rule is None else rule, **options
    )


def epoch_of(sampler, epoch):
    sampler.set_epoch(epoch)
    rows = sampler.indices(epoch)
    sampler.record(rows, 1.0 + np.cos(rows))
    sampler.record_validation({"web": 1.0, "code": 1.5 + epoch / 3, "books": 0.7})


def test_a_rule_of_ones_own_resumes_exactly():
    one, other = made(), made()
    for epoch in range(3):
        epoch_of(one, epoch)
    load_full_state(other, full_state(one))
    assert (one.updater_state["gap"] != 0).any()
    for epoch in range(3, 6):
        epoch_of(one, epoch)
        epoch_of(other, epoch)
    np.testing.assert_array_equal(one.indices(5), other.indices(5))
    np.testing.assert_array_equal(one.updater_state["gap"], other.updater_state["gap"])
    with pytest.raises(StateError, match="of the same data and arguments"):
        load_full_state(made(Overfit(floor=0.2)), full_state(one))


def test_an_update_waits_for_everything_that_is_read():
    sampler = made()
    sampler.record([0, 50, 80], np.ones(3))
    sampler.set_epoch(1)
    np.testing.assert_allclose(sampler.shares(1), [0.5, 0.3, 0.2])
    sampler.record_validation({"web": 1.0})
    sampler.set_epoch(2)
    np.testing.assert_allclose(sampler.shares(2), [0.5, 0.3, 0.2])
    assert sampler.updater_state["updates"] == 0
    epoch_of(sampler, 2)
    sampler.set_epoch(3)
    assert sampler.updater_state["updates"] == 1


def values_of(sampler):
    sampler._exchange("test")
    return sampler._evaluations.means()["validation_losses"]


@pytest.mark.parametrize(
    "given",
    [
        {"books": 2.0, "web": 1, "code": np.float32(1.5)},
        {"books": torch.tensor(2.0), "web": np.array(1.0), "code": 1.5},
    ],
)
def test_what_is_accepted_by_name(given):
    sampler = made(SkillIt())
    sampler.record_validation(given)
    np.testing.assert_array_equal(values_of(sampler), [1, 1.5, 2])


@pytest.mark.parametrize("given", [[1.0, 2.0], np.array([1, 2], np.float32), torch.tensor([1, 2])])
def test_arrays_for_sources_without_names(given):
    sampler = MixtureSampler([3, 4], updater=SkillIt())
    sampler.record_validation(given)
    np.testing.assert_array_equal(values_of(sampler), [1, 2])
    with pytest.raises(ValueError, match="losses must be a mapping where sources have names"):
        made(SkillIt()).record_validation([1.0, 2.0, 3.0])


def test_a_series_with_missing_values():
    pandas = pytest.importorskip("pandas")
    sampler = made(SkillIt())
    sampler.record_validation(pandas.Series({"web": 1.0, "books": np.nan}))
    np.testing.assert_array_equal(values_of(sampler), [1, np.nan, np.nan])
    assert sampler.num_nonfinite == 1


def test_a_source_may_be_none_for_not_evaluated():
    sampler = made(SkillIt())
    sampler.record_validation({"web": 1.0, "code": None})
    np.testing.assert_array_equal(values_of(sampler), [1, np.nan, np.nan])
    assert sampler.num_nonfinite == 0


def test_calls_are_averaged_by_their_counts():
    sampler = made(SkillIt())
    sampler.record_validation({"web": 1.0, "code": 4.0}, counts={"web": 3, "code": 0})
    sampler.record_validation({"web": 2.0, "code": np.inf})
    np.testing.assert_allclose(values_of(sampler), [1.25, np.nan, np.nan])
    assert sampler.num_nonfinite == 1


def test_nothing_is_recorded_of_what_is_refused():
    sampler = made(SkillIt())
    for arguments, message in [
        (({"web": 1.0, "news": 2.0},), "losses must name sources of .*, got 'news'"),
        (({"web": "high"},), "losses"),
        ((), "must be given what SkillIt reads, 'validation_losses', got nothing"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            sampler.record_validation(*arguments)
    with pytest.raises(ValueError, match=r"counts\['web'\] must be in \[0, inf\), got -1"):
        sampler.record_validation({"web": 1.0}, counts={"web": -1})
    assert np.isnan(values_of(sampler)).all()
    for rule, found in ((DoReMi(), "DoReMi, which learns from training losses"), (None, "none")):
        other = MixtureSampler(NAMES, updater=rule)
        with pytest.raises(ValueError, match=f"needs an updater that reads it, got {found}"):
            other.record_validation({"web": 1.0})
    with pytest.raises(ValueError, match="updater_state needs an updater, got none"):
        MixtureSampler(NAMES).updater_state  # noqa: B018


@pytest.mark.parametrize("whole", [True, False])
def test_ranks_are_synchronized_in_set_epoch(whole, monkeypatch):
    """Each rank with the whole evaluation, or with its share of it: what one process plans."""
    alone = made(SkillIt())
    alone.record_validation({"web": 2.0, "code": 1.0, "books": 3.0})
    ranks = [made(SkillIt()) for _ in range(3)]
    for at, rank in enumerate(ranks):
        if whole:
            rank.record_validation({"web": 2.0, "code": 1.0, "books": 3.0})
        elif at < 2:
            rank.record_validation(
                {"web": [1.0, 2.5][at], "code": 1.0, "books": 3.0},
                counts={"web": [10, 20][at], "code": at, "books": 1},
            )
    parts = [rank._evaluations._own.ravel().copy() for rank in ranks]
    monkeypatch.setattr("sampling.samplers.mixture._evaluations.world_size", lambda group: 3)
    monkeypatch.setattr(
        "sampling.samplers.mixture._evaluations.gather_rows", lambda own, group: parts
    )
    for rank in ranks:
        rank.set_epoch(1)
    monkeypatch.undo()
    alone.set_epoch(1)
    for rank in ranks:
        np.testing.assert_array_equal(rank.indices(1), alone.indices(1))


def by_ranks(rank):
    sampler = made(Overfit(floor=0.1), num_replicas=2, rank=rank)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        rows = np.array(list(sampler))
        sampler.record(rows, 1.0 + np.cos(rows))
        if rank == 0:
            sampler.record_validation({"web": 1.0, "code": 1.5 + epoch / 3, "books": 0.7})
    sampler.set_epoch(3)
    return sampler.indices(3)


@pytest.mark.full
def test_two_ranks_plan_what_one_process_plans():
    alone = made()
    for epoch in range(3):
        epoch_of(alone, epoch)
    alone.set_epoch(3)
    for rows in on_two_ranks(by_ranks):
        np.testing.assert_array_equal(rows, alone.indices(3))


def test_saving_mid_epoch_changes_nothing():
    one, other = made(ByPerformance()), made(ByPerformance())
    for sampler in (one, other):
        sampler.record_validation({"web": 2.0, "code": 1.0})
        if sampler is one:
            full = full_state(sampler)
        sampler.record_validation({"web": 4.0, "books": 1.0})
    resumed = made(ByPerformance())
    load_full_state(resumed, full)
    resumed.record_validation({"web": 4.0, "books": 1.0})
    for sampler in (one, other, resumed):
        sampler.set_epoch(1)
        np.testing.assert_array_equal(sampler.shares(1), one.shares(1))


class Wrong(MixtureUpdater):
    """Returns what it was made with."""

    reads = ("validation_losses",)

    def __init__(self, weights, memory):
        super().__init__()
        self._weights, self._memory = weights, memory

    def memory(self, weights):
        return {"kept": np.zeros(2)}

    def propose(self, state, values, update):
        return self._weights, self._memory


@pytest.mark.parametrize(
    ("weights", "memory", "message"),
    [
        (
            [1.0, 2.0],
            {"kept": np.zeros(2)},
            r"propose of Wrong must return weights of shape \(3,\)",
        ),
        ([1, np.nan, 1], {"kept": np.zeros(2)}, "propose of Wrong must return weights .* finite"),
        ([0, 0, 0], {"kept": np.zeros(2)}, "not all 0"),
        ([1, 1, 1], {}, r"memory of Wrong must hold float64 arrays of shape \(2,\), got NoneType"),
        ([1, 1, 1], {"kept": np.zeros(3)}, r"got float64 of shape \(3,\) for 'kept'"),
        ([1, 1, 1], {"kept": np.zeros(2, int)}, r"got int64 of shape \(2,\) for 'kept'"),
    ],
)
def test_a_rule_that_breaks_the_contract_is_named(weights, memory, message):
    rule = Wrong(weights, memory)
    with pytest.raises(ValueError, match=message):
        rule.step(rule.begin(np.ones(3) / 3), validation_losses=np.ones(3))


def test_weights_of_a_rule_are_normalised():
    rule = Wrong([1, 1, 2], {"kept": np.ones(2)})
    state = rule.step(rule.begin(np.ones(3) / 3), validation_losses=np.ones(3))
    np.testing.assert_allclose(state["weights"], [0.25, 0.25, 0.5], atol=1e-4)
    assert state["kept"].tolist() == [1, 1]


def test_attributes_of_a_rule_are_its_identity():
    class Scaled(Overfit):
        def __init__(self, scale):
            super().__init__()
            self.scale = scale

    full = full_state(made(Scaled(np.ones(3))))
    load_full_state(made(Scaled(np.ones(3))), full)
    with pytest.raises(StateError, match="of the same data and arguments"):
        load_full_state(made(Scaled(np.zeros(3))), full)
    with pytest.raises(
        TypeError, match=r"identity\(\) of Scaled must be defined for 'scale', a func"
    ):
        full_state(made(Scaled(lambda gap: gap)))


def test_reads_is_a_tuple_of_names():
    class Word(Overfit):
        reads = "losses"

    with pytest.raises(TypeError, match=r"reads of Word must be a tuple of names, such as"):
        made(Word())


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (SkillIt(), "nothing was recorded of 'validation_losses': call record_validation before"),
        (DoReMi(), "nothing was recorded of 'losses': call reduce or record before"),
        (DoReMi(excess="token"), "nothing was recorded of 'losses': call record_excess before"),
    ],
)
def test_an_epoch_without_a_first_update_is_told_once(rule, told):
    sampler = MixtureSampler(NAMES, updater=rule)
    sampler.set_epoch(1)  # nothing was trained on
    list(sampler)
    with pytest.warns(UserWarning, match=f"keeps the weights after epoch 1, as {told}"):
        sampler.set_epoch(2)
    list(sampler)
    sampler.set_epoch(3)


def test_an_evaluation_that_is_left_out_later_is_nothing_to_warn_of():
    sampler = made(SkillIt())
    sampler.record_validation({"web": 1.0})
    list(sampler)
    sampler.set_epoch(1)
    list(sampler)
    sampler.set_epoch(2)


def test_batches_say_whose_method_it_is():
    batches = EpochBatchSampler(made(SkillIt()), 2)
    with pytest.raises(
        AttributeError, match=r"its sampler has: batches\.sampler\.record_validation"
    ):
        batches.record_validation({"web": 1.0})
    with pytest.raises(AttributeError, match="has no attribute 'record_loss'$"):
        batches.record_loss({"web": 1.0})
