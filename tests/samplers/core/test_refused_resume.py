"""A refused resume names the argument that changed, with both values."""

import json
import re

import numpy as np
import pytest

from sampling.batch_selection import RHOLoss, TopKLoss
from sampling.errors import StateError
from sampling.samplers import (
    ODM,
    ClassBalancedSampler,
    ClassesPerBatchSampler,
    ClusterClipSampler,
    EpochSampler,
    InfoBatchSampler,
    KakurenboSampler,
    MixtureSampler,
    ShuffleSampler,
    SubsetSampler,
    TokenBudgetBatchSampler,
    WeightedSampler,
    full_state,
    load_full_state,
)
from sampling.samplers.tables import ShuffledTable
from sampling.testing._every_sampler import SAMPLERS

LABELS = np.arange(12) % 5
CASES = {
    "a part that only one has": (
        lambda p: MixtureSampler({"a": 20, "b": 25}, num_samples=30, **p),
        {},
        {"max_repeats": 2},
        "max_repeats not given, got max_repeats=2$",
    ),
    "a part that only the sampler has": (
        lambda p: MixtureSampler({"a": 20, "b": 25}, num_samples=30, **p),
        {"max_repeats": 2},
        {},
        "max_repeats=2, got the defaults$",
    ),
    "another algorithm for another argument": (
        lambda p: ClusterClipSampler(LABELS, num_epochs=3, temperature=p),
        None,
        3.0,
        r"max_repeats=15, got .*; temperature=None, got temperature='3.0'$",
    ),
    "phases, once": (
        lambda p: MixtureSampler([4, 4], num_epochs=6, phases=p),
        [(0, 1.0), (3, 2.0)],
        [(0, 1.0), (2, 2.0)],
        r"phases=[^=]*, got phases=[^=]*$",
    ),
    "a number": (lambda p: InfoBatchSampler(9, p), 5, 7, "num_epochs=5, got num_epochs=7"),
    "a word": (
        lambda p: KakurenboSampler(9, 5, keep=p),
        0.3,
        0.2,
        "keep=0.3, got keep=0.2",
    ),
    "draws": (lambda p: ShuffleSampler(9, p), 4, 5, "num_samples=4, got num_samples=5"),
    "made of": (
        lambda p: ClassBalancedSampler(LABELS, power=p),
        0.5,
        0.0,
        "power=0.5, got power=0.0",
    ),
    "left out": (
        lambda p: ClassBalancedSampler(LABELS, **p),
        {},
        {"power": 0.5},
        "power, beta and target not given, got power=0.5",
    ),
    "an array": (
        lambda p: ClassBalancedSampler(p),
        LABELS,
        LABELS[::-1],
        r"labels of the values here, <int32 \(12,\)> #\w{8}, got others, <int32 \(12,\)> #\w{8}$",
    ),
    "indices": (
        lambda p: SubsetSampler(np.array(p)),
        [0, 1, 8],
        [0, 2, 8],
        r"selection of the values here, <int64 \(3,\)> #",
    ),
    "a short list": (
        WeightedSampler,
        [1, 2, 3],
        [1, 2, 4],
        r"weights=\[1, 2, 3\], got weights=\[1, 2, 4\]",
    ),
    "two": (
        lambda p: InfoBatchSampler(9, p[0], drop_prob=p[1]),
        (5, 0.5),
        (6, 0.4),
        r"num_epochs=5, got num_epochs=6; drop_prob=0.5, got drop_prob=0.4",
    ),
    "a batch sampler": (
        lambda p: ClassesPerBatchSampler(LABELS, p, 2),
        2,
        3,
        "classes_per_batch=2, got classes_per_batch=3",
    ),
    "not what follows from it": (
        lambda p: TokenBudgetBatchSampler(np.arange(3, 9), p),
        20,
        30,
        r"max_tokens=20.0, got max_tokens=30.0$",
    ),
    "an updater": (
        lambda p: MixtureSampler([3, 4], updater=ODM(exploration=p)),
        0.1,
        0.2,
        r"updater=ODM\(exploration=0.1\), got updater=ODM\(exploration=0.2\)",
    ),
    "a selector": (TopKLoss, 0.5, 0.25, "keep=0.5, got keep=0.25"),
    "an array of a selector": (
        lambda p: RHOLoss(np.array(p)),
        [1.0, 2.0],
        [1.0, 3.0],
        r"irreducible of the values here, <float32 \(2,\)> #",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_argument_is_named_with_both_values(name):
    make, ours, theirs, message = CASES[name]
    sampler, state = make(ours), json.loads(json.dumps(make(theirs).state_dict(), default=list))
    shown = type(sampler).__name__
    with pytest.raises(
        StateError,
        match=f"^state must come from a {shown} of the same data and arguments, {message}",
    ):
        sampler.load_state_dict(state)


def test_a_state_of_an_earlier_release_is_judged_by_its_fingerprint():
    sampler = ClassBalancedSampler(LABELS, power=0.5)
    for other, fits in (
        (ClassBalancedSampler(LABELS, power=0.5), True),
        (ClassBalancedSampler(LABELS), False),
    ):
        state = other.state_dict(3)
        del state["arguments"]
        if fits:
            sampler.load_state_dict(state)
            assert sampler.remaining == len(sampler) - 3
            continue
        with pytest.raises(
            StateError, match="fingerprint .* got .* an earlier release does not say"
        ):
            sampler.load_state_dict(state)
        with pytest.raises(StateError, match="fingerprint"):
            sampler.load_state_dict({**state, "arguments": "no mapping"})


def test_the_fingerprint_decides_and_not_the_text():
    sampler = WeightedSampler([1, 2])
    state = WeightedSampler(np.array([1.0, 2.0])).state_dict(1)
    assert state["arguments"] != sampler.state_dict()["arguments"]
    sampler.load_state_dict(state)
    full = full_state(InfoBatchSampler(9, 5))
    with pytest.raises(StateError, match="num_epochs=6, got num_epochs=5"):
        load_full_state(InfoBatchSampler(9, 6), full)


class Numbered(EpochSampler):
    def __init__(self, n, twist):
        super().__init__(n, n)

    def table(self, epoch):
        return ShuffledTable(self.size, self.num_samples, np.uint64(epoch))


def test_another_objective_is_another_run():
    """Its losses were weighted otherwise, although the same samples are drawn."""
    one, other = (WeightedSampler([1.0, 2.0], objective=o) for o in ("sampled", "original"))
    with pytest.raises(StateError, match="objective='original', got objective='sampled'"):
        other.load_state_dict(one.state_dict())


def test_arguments_that_no_identity_names_are_named():
    message = "Numbered of the same data and arguments, twist=1, got twist=2"
    with pytest.raises(StateError, match=message):
        Numbered(5, 1).load_state_dict(Numbered(5, 2).state_dict())


@pytest.mark.parametrize("name", SAMPLERS)
def test_states_stay_small_fresh_and_name_arguments_there_are(name):
    sampler = SAMPLERS[name](seed=2**64 - 1)
    state = sampler.state_dict()
    assert len(json.dumps(state)) < 1024
    assert all(isinstance(each, str) for each in state["arguments"].values())
    state["arguments"].clear()
    assert sampler.state_dict()["arguments"]


def test_long_arguments_are_cut_to_their_digests():
    sampler = KakurenboSampler(9, 900, schedule=[(i / 100, 0.5) for i in range(99)])
    text = sampler.state_dict()["arguments"]["schedule"]
    assert re.fullmatch(r"\[\[0.0, 0.5\].{20,30}\.\.\. #\w{8}", text)
