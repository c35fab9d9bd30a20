"""Whole draws for constant shares: each epoch, every run of epochs, and far ones at once."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import oracles
import pytest

import sampling.selection  # noqa: F401  # what caps need is imported late: not counted below
from sampling import _rng
from sampling.errors import StateError
from sampling.samplers import (
    ClassBalancedSampler,
    ClusterClipSampler,
    MixtureSampler,
    RepeatedSubsetSampler,
)
from sampling.samplers.core._quotas import _UNIT, Quotas, run_starts
from sampling.testing._every_sampler import SAMPLERS
from sampling.testing._watch import at_once

FAR = 2**40


def quotas_of(case):
    """Shares of a few shapes, and a number of draws."""
    rng = np.random.default_rng(case)
    groups = int(rng.integers(1, 20))
    shares = rng.dirichlet(np.full(groups, [0.3, 1.0, 10.0, 100.0][case % 4]))
    return Quotas(shares, int(rng.integers(1, 150)), _rng.key(case, 0, "quotas"))


def exact_of(quotas):
    return [Fraction(each, 2**64) for each in quotas.exact]


@pytest.mark.parametrize("case", range(24))
def test_every_epoch_and_every_run_of_epochs_has_the_shares(case):
    quotas = quotas_of(case)
    exact = np.array([float(each) for each in exact_of(quotas)])
    counts = np.stack([quotas.of(epoch) for epoch in range(200)])
    assert (counts.sum(axis=1) == quotas.num_samples).all()
    assert (np.floor(exact - 1e-9) <= counts).all()
    assert (counts <= np.ceil(exact + 1e-9)).all()
    runs = np.cumsum(counts, axis=0)
    off = np.abs(runs - np.arange(1, 201)[:, None] * exact)
    assert off.max() < 1.1
    assert (off < 1).mean() > 0.999
    for epoch in (0, 1, 7, 150, 3, 199):  # forward, back, on
        np.testing.assert_array_equal(quotas.before(epoch), [0] * len(exact) if epoch == 0 else
                                      runs[epoch - 1])  # fmt: skip


def test_the_counts_are_those_of_the_oracle():
    for case in range(8):
        quotas = quotas_of(case)
        phases = np.zeros(len(quotas.exact))
        phases[quotas._live] = quotas._phases / float(_UNIT)
        expected = oracles.quotas_by_halving(
            exact_of(quotas), [Fraction(each) for each in phases], 64
        )
        found = [quotas.before(epoch).tolist() for epoch in range(65)]
        assert found == expected


@pytest.mark.parametrize("epoch", [FAR, 2**61 + 12345, 2**62 - 2])
def test_a_far_epoch_is_exact(epoch):
    """2**40 epochs of 10**9 draws are more than int64 holds; floats lose them by thousands."""
    shares, draws = [0.1, 0.25, 0.123456789, 0.5265432109999], 10**9 + 7
    quotas = Quotas(shares, draws, _rng.key(3, 0, "quotas"))
    total = sum(map(Fraction, shares))
    used = [int(each) for each in quotas.before(epoch)]
    assert sum(used) == epoch * draws
    for count, share, found in zip(used, shares, quotas.of(epoch), strict=True):
        wanted = Fraction(share) / total * draws
        assert abs(count - wanted * epoch) < 1.1 + Fraction(epoch, 2**62)
        assert abs(int(found) - wanted) < 1
    after = [int(each) for each in quotas.before(epoch + 1)]
    assert (np.subtract(after, used) == quotas.of(epoch)).all()


def test_whole_quotas_stay_whole():
    """n / N times N is n in every epoch, though n / N is a float."""
    sizes = np.array([50, 20, 8, 1])
    quotas = Quotas(sizes / 79, 79, _rng.key(0, 0, "quotas"))
    for epoch in (0, 5, FAR):
        np.testing.assert_array_equal(quotas.of(epoch), sizes)


def test_which_groups_come_first_depends_on_the_key():
    """The mean over keys is the share, to two tenths of a draw or so."""
    for shares, allowed in (([0.3, 0.7], 0.25), ([0.1] * 10, 0.09), ([0.62, 0.31, 0.07], 0.3)):
        firsts = np.stack(
            [Quotas(shares, 1, _rng.key(seed, 0, "quotas")).of(0) for seed in range(300)]
        )
        assert np.abs(firsts.mean(axis=0) - shares).max() < allowed


def test_a_run_that_ends_keeps_to_its_caps():
    caps = np.array([4, 30, 100])
    quotas = Quotas([4, 30, 46], 8, _rng.key(1, 0, "q"), epochs=10, caps=caps)
    assert quotas.before(10).tolist() == [4, 30, 46]
    assert all((quotas.before(epoch) <= caps).all() for epoch in range(11))


def test_runs_begin_again_before_a_counter_overflows():
    sizes = np.array([7, 10**9])
    used = np.array([2**70, 2**62 + 5], object)
    starts = run_starts(used, sizes)
    assert starts.dtype == np.int64
    assert (starts < 2**62).all()
    assert [int(each) % n for each, n in zip(used, sizes.tolist(), strict=True)] == [
        int(each) % n for each, n in zip(starts, sizes.tolist(), strict=True)
    ]


# ---- samplers ------------------------------------------------------------------------------------

LABELS = np.arange(61) ** 2 % 7
MORE = {
    "progressive": lambda **o: ClassBalancedSampler(LABELS, progressive_epochs=2**41, **o),
    "progressive, over": lambda **o: ClassBalancedSampler(LABELS, progressive_epochs=9, **o),
    "cluster temperature": lambda **o: ClusterClipSampler(LABELS, temperature=2.0, **o),
    "cluster clip": lambda **o: ClusterClipSampler(LABELS, 50, num_epochs=2**42, **o),
    "cluster clip by epoch": lambda **o: ClusterClipSampler(
        LABELS, 50, num_epochs=2**42, schedule="epoch", **o
    ),
    "rs2 of nearly all": lambda **o: RepeatedSubsetSampler(3000, 0.9995, **o),
    "rs2 stratified": lambda **o: RepeatedSubsetSampler(61, 0.7, labels=LABELS, **o),
    "mixture with phases": lambda **o: MixtureSampler(
        [30, 20, 11], phases=[(0, 5.0), (3, 1.0), (2**39, 2.0)], **o
    ),
    "mixture with caps": lambda **o: MixtureSampler(
        [30, 20, 11], weights=[3, 3, 4], max_repeats=2.0**42, **o
    ),
    "mixture, first exhausted": lambda **o: MixtureSampler(
        [30, 20, 11], weights=[3, 3, 4], stop="first_exhausted", compose="shuffled", **o
    ),
}


@pytest.mark.parametrize("name", [*SAMPLERS, *MORE])
def test_a_far_epoch_is_reached_at_once_and_resumed(name):
    make = {**SAMPLERS, **MORE}[name]
    next(iter(make(seed=1)))  # compiles
    for epoch in (FAR, 2**64 - 2):
        sampler = make(seed=2**64 - 1)

        def first(sampler=sampler, epoch=epoch):
            sampler.set_epoch(epoch)
            assert len(sampler) == sampler.length(epoch) > 0
            assert 0 <= sampler.progress(epoch, num_epochs=2**64) <= 1
            return next(iter(sampler))

        try:
            drawn = at_once(first, 500_000)
        except ValueError as over:
            assert "epoch" in str(over)  # the run has an end, and says so
            return
        assert drawn is not None
        sampler.set_epoch(epoch)
        live = iter(sampler)
        given = [next(live) for _ in range(3)]
        assert given[0] == drawn
        state = live.state_dict()
        assert state["epoch"] == epoch
        if not sampler.dynamic:
            again = make(seed=2**64 - 1)
            again.load_state_dict(state)
            assert list(again) == list(live)


@pytest.mark.parametrize("make", [
    lambda: ClassBalancedSampler(LABELS, 33, power=0.3, seed=4),
    lambda: ClusterClipSampler(LABELS, 33, temperature=3.0, seed=4),
    lambda: MixtureSampler(domains=LABELS, num_samples=33, temperature=3.0, seed=4),
    lambda: MixtureSampler(domains=LABELS, num_samples=33, phases=[(0, 5.0), (FAR - 2, 1.0)]),
])  # fmt: skip
def test_far_epochs_continue_their_runs(make):
    """Around epoch 2**40 a sample comes again only after all of its class came."""
    counts = np.cumsum([np.bincount(make().indices(FAR - 5 + each), minlength=61)
                        for each in range(12)], axis=0)  # fmt: skip
    for label in np.unique(LABELS):
        of_class = counts[:, label == LABELS]
        # Where a pass of the class ends within the window it begins in, two are seen in part.
        assert (of_class.max(axis=1) - of_class.min(axis=1) <= 2).all()


def test_progressive_runs_begin_again_every_1024_epochs():
    sampler = ClassBalancedSampler(LABELS, 20, progressive_epochs=5000, seed=1)
    walked = [sampler.indices(epoch) for epoch in (1023, 1024, 2048, 4998, 4999, 5000, 9000)]
    fresh = ClassBalancedSampler(LABELS, 20, progressive_epochs=5000, seed=1)
    for epoch, order in zip((9000, 5000, 4999, 4998, 2048, 1024, 1023), walked[::-1], strict=True):
        np.testing.assert_array_equal(fresh.indices(epoch), order)


def test_mixture_stretches_match_a_walk():
    """Phases, and caps that end domains one after the other: used is what the epochs drew."""
    sampler = MixtureSampler(
        [30, 20, 11], 17, phases=[(0, [3, 3, 4]), (4, 1.0)], max_repeats=3.0, num_epochs=10
    )
    used = np.zeros(3, int)
    for epoch in range(10):
        np.testing.assert_array_equal(sampler._used_before(epoch), used)
        quotas = sampler.quotas(epoch)
        assert quotas.sum() == 17
        used += quotas
        assert (used <= 3 * np.array([30, 20, 11])).all()
        order = sampler.indices(epoch)
        np.testing.assert_array_equal(np.bincount(sampler.domain_of(order), minlength=3), quotas)


def test_rs2_of_nearly_all_has_no_repeats_and_uses_all_evenly():
    sampler = RepeatedSubsetSampler(3000, 0.9995, seed=2)
    rounds = [sampler.indices(epoch) for epoch in range(32)]
    assert all(np.unique(each).size == 2999 for each in rounds)
    for first in (0, 16):
        used = np.bincount(np.concatenate(rounds[first : first + 16]), minlength=3000)
        assert np.ptp(used) <= 1
    assert all(not np.array_equal(a, b) for a, b in pairwise(rounds))


@pytest.mark.parametrize("name", ["ClassBalancedSampler", "MixtureSampler"])
def test_states_of_the_walking_algorithm_are_refused(name):
    sampler = SAMPLERS[name]()
    state = sampler.state_dict(consumed=3)
    assert state.pop("algorithm") == 2
    with pytest.raises(StateError, match=f"must have algorithm 2 of {name}, got 1, which draws"):
        sampler.load_state_dict(state)
    assert SAMPLERS["ShuffleSampler"]().state_dict()["algorithm"] == 1
    old = SAMPLERS["ShuffleSampler"]().state_dict(consumed=3)
    del old["algorithm"]
    SAMPLERS["ShuffleSampler"]().load_state_dict(old)
