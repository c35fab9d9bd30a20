"""What no kernel may see: indices out of range, sums that overflow, counts past 64 bits.

Kernels check nothing, so each of these calls would read or write outside an array, or draw rows
that there are not, if a public function let it through.
"""

import numpy as np
import pytest
import torch

from sampling.clustering import Neighbours, kmeans
from sampling.errors import StateError
from sampling.samplers import (
    ClassBalancedSampler,
    ClusterClipSampler,
    CurriculumSampler,
    InfoBatchSampler,
    MixtureSampler,
    SensitivitySampler,
    ShuffleSampler,
    TokenBudgetBatchSampler,
    VarianceBudgetSampler,
    WeightedSampler,
    full_state,
    load_full_state,
)
from sampling.samplers.core._cumulative import Cumulative
from sampling.scores import ExposureCounter, ScoreTable, TrainingDynamics
from sampling.selection import cluster_sensitivity, d2, quota, systematic, top

FAR = np.array([[0.0, 0.0], [1.0, 1.0], [1e18, 1e18], [5.0, 5.0]])
DISTANT = kmeans(FAR, 1)


def sensitivity(distances=(1.0, 1.0), losses=(1.0, 2.0), constant=1.0, z=1.0):
    return SensitivitySampler(distances, [0, 1], losses, 4, holder_constant=constant, z=z)


def bounded(**options):
    return cluster_sensitivity(
        FAR, 2, center_losses=[1.0], clusters=DISTANT, holder_constant=1.0, **options
    )


def dynamics_with(name, value):
    dynamics = TrainingDynamics(3, 2, fields=["forgetting", "dual"], window=2)
    state = dynamics.state_dict()
    arrays = {key: array.copy() for key, array in state["arrays"].items()}
    arrays[name][:] = value
    dynamics.load_state_dict({**state, "arrays": arrays})


def pruned():
    sampler = InfoBatchSampler(8, 8, drop_prob=0.9)
    sampler.record(np.arange(8), np.arange(8.0))
    sampler.set_epoch(1)
    return sampler


def with_codes(value):
    full = full_state(pruned())
    codes = full["arrays"]["table.codes"].copy()
    codes[0] = value
    shares = np.ones(250)
    load_full_state(pruned(), {**full, "arrays": {**full["arrays"], "table.codes": codes,
                                                  "table.kept_share": shares}})  # fmt: skip


REFUSED = {
    "distance ** z": (lambda: sensitivity([1e300, 1.0], z=1000.0), r"distances \*\* 1000 must be"),
    "constant * distance": (lambda: sensitivity([1e300, 1.0], constant=1e10), "scores .* finite"),
    "sum of scores": (lambda: sensitivity([1.7e308, 1.7e308]), "scores .* must have a finite sum"),
    "losses apart": (lambda: sensitivity(losses=[1e308, -1e308]), "scores .* must be finite"),
    "refreshed losses": (
        lambda: sensitivity().refresh([1e308, -1e308]),
        "scores .* must be finite",
    ),
    "pilot": (
        lambda: SensitivitySampler.from_embeddings(FAR, lambda i: np.ones(len(i)), 1, z=1000.0),
        r"distances \*\* 1000 must be finite",
    ),
    "bounds": (lambda: bounded(exponent=1000.0), "bounds .* must be finite"),
    "bounds drawn again": (lambda: bounded(exponent=1000.0, replacement=True), "bounds .* finite"),
    "cumulated nan": (lambda: Cumulative(np.array([1.0, np.nan])), "weights must be finite"),
    "cumulated zeros": (lambda: Cumulative(np.zeros(2)), "weights must not all be 0"),
    "sum of weights": (lambda: WeightedSampler([1e308, 1e308]), "weights must have a finite sum"),
    "repeats": (lambda: ClusterClipSampler([0, 1, 1], 3, max_repeats=2**62), "max_repeats must be"),
    "epochs of repeats": (lambda: ClusterClipSampler([0, 1], 3, num_epochs=2**62), "max_repeats"),
    "power": (lambda: ClassBalancedSampler([0, 1, 1], power=1e308), r"power must be in \[-1e6"),
    "buckets": (
        lambda: InfoBatchSampler(9, 8, buckets=[(i / 200, 0.5) for i in range(1, 127)]),
        "buckets must be 1 to 125 pairs",
    ),
    "lengths": (
        lambda: TokenBudgetBatchSampler([1e308] * 4, 1.5e308, padded=False),
        "lengths must have a finite sum",
    ),
    "epochs": (lambda: CurriculumSampler([1.0, 2.0], 2**62), r"num_epochs must be in \[1, 2147"),
    "tokens": (
        lambda: MixtureSampler([3, 4], mean_tokens=[1e-308, 1]),
        r"mean_tokens\[0\] must",
    ),
    "exhausted": (
        lambda: MixtureSampler([3, 4], weights=[1, 1e-300], stop="all_exhausted"),
        "stop='all_exhausted' must end after at most 2",
    ),
    "draws": (lambda: ShuffleSampler(5, 2**63), "num_samples must be in"),
    "costs": (lambda: quota([1.0, 2, 3], 4, costs=[2**62] * 3), "costs must add up to less than"),
    "costs of a list": (lambda: top([1.0, 2, 3], 4, costs=[2**62] * 3), "costs must add up"),
    "graph": (
        lambda: d2(
            np.ones(2),
            1,
            embeddings=np.eye(2),
            num_neighbours=Neighbours(np.array([[5], [0]]), np.ones((2, 1), np.float32)),
        ),
        r"indices must be in \[-1, 2\), got 5 in row 0",
    ),
    "index": (lambda: ScoreTable(3).update([3], [1.0]), r"indices must be in \[0, 3\), got 3"),
    "negative": (lambda: ScoreTable(3).update([-1], [1.0]), r"indices must be in \[0, 3\), got -1"),
    "wide": (
        lambda: ScoreTable(3).update(np.array([2**64 - 1], np.uint64), [1.0]),
        r"indices must be in \[0, 3\)",
    ),
    "short": (lambda: ScoreTable(3).update([0, 1], [1.0]), "losses must have the shape of indices"),
    "exposure": (lambda: ExposureCounter(3).update([0, 3]), r"indices must be in \[0, 3\)"),
    "presented": (
        lambda: TrainingDynamics(3, 2).update([0, 3], torch.zeros(2, 2), [0, 1]),
        r"indices must be in \[0, 3\)",
    ),
    "label": (
        lambda: TrainingDynamics(3, 2).update([0, 1], torch.zeros(2, 2), [0, 2]),
        r"labels must be in \[0, 2\)",
    ),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_a_kernel_sees_it(name):
    call, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("name", ["streaks", "presentations", "reached", "events"])
def test_saved_counts_are_not_negative(name):
    with pytest.raises(StateError, match=f"{name} must be >= 0, got -7"):
        dynamics_with(name, -7)


@pytest.mark.parametrize("code", [128, 249])
def test_saved_codes_fit_into_seven_bits(code):
    with pytest.raises(StateError, match=rf"codes must be in \[0, 128\), got {code}"):
        with_codes(code)


@pytest.mark.parametrize("row", [-1, 3, 2**40])
def test_rows_that_were_said_to_be_checked_stay_inside(row):
    table = ScoreTable(3)
    with pytest.raises(ValueError, match=rf"rows must be in \[0, 3\), got {row} in row 1"):
        table.write(np.array([0, row, 2]), [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(table.values, [1.0, np.nan, np.nan])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("weights", "draws"),
    [
        ([1, 1, 1e-17], 2),  # the certain ones take all, to the last digit
        ([1, 5e-324, 5e-324], 2),
        ([1e308, 1e-300, 1e-300], 2),
        ([1e307] * 8, 5),
        ([5e-324] * 8, 5),
        ([1e300, 1.0, 1e-300, 0.0], 3),
    ],
)
def test_distinct_draws_are_distinct_for_weights_of_any_size(weights, draws):
    sampler = WeightedSampler(weights, draws, False)
    for epoch in range(20):
        found = sampler.indices(epoch)
        assert np.unique(found).size == draws
        assert (np.asarray(weights)[found] > 0).all()
    again = WeightedSampler(weights, 9)
    assert set(again.indices(0).tolist()) <= set(np.flatnonzero(weights).tolist())
    if np.count_nonzero(weights) > draws:
        assert np.unique(systematic(weights, draws).indices).size == draws


def test_scores_as_small_as_floats_get_are_drawn_from():
    sampler = SensitivitySampler([1e-310, 0.0], [0, 0], [0.0], 4, holder_constant=1.0)
    assert set(sampler.indices(0).tolist()) <= {0, 1}


def test_as_many_buckets_as_codes_have_room_for():
    sampler = InfoBatchSampler(1000, 8, buckets=[((i + 1) / 126, 0.5) for i in range(125)])
    sampler.record(np.arange(1000), np.arange(1000.0))
    sampler.set_epoch(1)
    dealt = sampler.indices(1)
    assert np.unique(dealt).size == dealt.size == len(sampler)
    assert 490 < dealt.size < 510


def test_losses_at_both_ends_of_float32_have_a_difference():
    sampler = VarianceBudgetSampler(8, 8)
    sampler.record(np.arange(8), np.array([-3e38, 3e38] * 4, np.float32))
    sampler.set_epoch(1)
    dealt = sampler.indices(1)
    assert np.unique(dealt).size == dealt.size == len(sampler)
    assert np.isfinite(sampler.added_variance)


@pytest.mark.parametrize("compose", ["even", "shuffled"])
@pytest.mark.parametrize("repeats", [1e300, 2.0**62])
def test_caps_without_an_end_are_none(compose, repeats):
    free = MixtureSampler([3, 4], 7, weights=[1, 3], compose=compose)
    capped = MixtureSampler([3, 4], 7, weights=[1, 3], compose=compose, max_repeats=repeats)
    assert capped.indices(5).tolist() == free.indices(5).tolist()


def test_limits_of_groups_without_an_end_are_none():
    scores, groups = [1.0, 2.0, 3.0, 4.0], [0, 0, 1, 1]
    assert top(scores, 2, groups=groups, cap=1e300).indices.tolist() == [1, 3]
    with pytest.raises(ValueError, match="floor must be <= cap"):
        top(scores, 2, groups=groups, floor=1e300)
