import math

import numpy as np
import pytest
import torch
from helpers import assert_hits, assert_mean, counts_of, epochs_of

from sampling.samplers import ClusterClipSampler

SIZES = [40, 17, 9, 5, 2, 1]
CLUSTERS = np.random.default_rng(0).permutation(np.repeat(np.arange(6), SIZES))
N = CLUSTERS.size  # 74

RUNS = [  # draws an epoch, epochs, cap
    (74, 5, None),
    (74, 5, 8),
    (30, 9, 7),
    (7, 20, 3),
    (1, 40, 1),
    (74, 3, 3),  # the cap that leaves no choice: every sample three times
]


def make(num_samples, num_epochs, max_repeats, **options):
    return ClusterClipSampler(
        CLUSTERS, num_samples, num_epochs=num_epochs, max_repeats=max_repeats, **options
    )


def water_level(caps, draws):
    """Expected draws of each cluster after `draws`, by bisection."""
    low, high = 0.0, float(max(caps))
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(caps, middle).sum() < draws else (low, middle)
    return np.minimum(caps, high)


# ---- the run -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("num_samples", "num_epochs", "max_repeats"), RUNS)
def test_no_sample_passes_the_cap(num_samples, num_epochs, max_repeats):
    for seed in range(5):
        sampler = make(num_samples, num_epochs, max_repeats, seed=seed)
        counts = counts_of(sampler, num_epochs)
        assert (counts.sum(axis=1) == num_samples).all()
        assert counts.sum(axis=0).max() <= sampler.max_repeats


def test_the_tightest_cap_uses_every_sample_alike():
    assert (counts_of(make(74, 3, 3), 3).sum(axis=0) == 3).all()


@pytest.mark.parametrize(("num_samples", "num_epochs", "max_repeats"), RUNS)
def test_clusters_rise_together_to_their_caps(num_samples, num_epochs, max_repeats):
    """At any draw of the run a cluster is within one of the water level."""
    sampler = make(num_samples, num_epochs, max_repeats, seed=2)
    run = CLUSTERS[np.concatenate(epochs_of(sampler, num_epochs))]
    caps = sampler.max_repeats * np.array(SIZES)
    used = np.cumsum(run[:, None] == np.arange(6), axis=0)
    for draws in range(1, run.size + 1):
        off = used[draws - 1] - water_level(caps, draws)
        assert np.abs(off).max() < 1 + 1e-9


def test_early_draws_are_uniform_and_late_ones_are_not():
    sampler = make(74, 5, 8, seed=3)
    run = CLUSTERS[np.concatenate(epochs_of(sampler, 5))]
    for start in range(0, 48, 6):  # until the single sample was used eight times
        assert sorted(run[start : start + 6]) == list(range(6))
    assert 5 not in run[48:]  # knocked out
    assert set(run[-37:]) < {0, 1, 2, 3}
    assert 0 in run[-37:]


def test_every_window_of_active_clusters_is_even():
    """Any stretch, wherever it starts, within two of even while all clusters are active."""
    run = CLUSTERS[np.concatenate(epochs_of(make(74, 5, 40, seed=4), 5))][: 6 * 40]
    for width in (6, 12, 30):
        for start in range(run.size - width):
            counts = np.bincount(run[start : start + width], minlength=6)
            assert np.abs(counts - width / 6).max() <= 1
            assert counts.sum() == width


def test_which_cluster_comes_first_is_random():
    seeds = 1500
    first = [CLUSTERS[make(6, 1, 1, seed=s).indices(0)] for s in range(seeds)]
    for place in range(6):
        assert_hits(np.bincount([each[place] for each in first], minlength=6), seeds, 1 / 6)


@pytest.mark.parametrize("max_repeats", [8, 5])
def test_epochs_are_slices_of_one_schedule(max_repeats):
    whole = np.concatenate(epochs_of(make(370, 1, max_repeats, seed=5), 1))
    for parts in (5, 10, 37, 370):
        sampler = make(370 // parts, parts, max_repeats, seed=5)
        np.testing.assert_array_equal(np.concatenate(epochs_of(sampler, parts)), whole)


def test_any_epoch_is_reached_at_once():
    walked = epochs_of(make(30, 9, 7, seed=6), 9)
    for epoch in (8, 0, 5):
        np.testing.assert_array_equal(make(30, 9, 7, seed=6).indices(epoch), walked[epoch])


@pytest.mark.parametrize("settings", [{}, {"schedule": "epoch"}, {"temperature": math.inf}])
def test_every_sample_of_a_cluster_comes_before_any_comes_again(settings):
    sampler = ClusterClipSampler(CLUSTERS, 33, num_epochs=12, **settings)
    draws = np.concatenate(epochs_of(sampler, 12))
    for cluster, size in enumerate(SIZES):
        if settings:  # shuffled within the epoch: at epoch ends
            used = np.cumsum(counts_of(sampler, 12)[:, cluster == CLUSTERS], axis=0)
            assert (used.max(axis=1) - used.min(axis=1) <= 1).all()
        else:  # in order: anywhere in the run
            own = draws[CLUSTERS[draws] == cluster]
            for start in range(0, own.size - size, size):
                assert len(set(own[start : start + size])) == size


# ---- the cap -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("num_samples", "num_epochs", "cap"),
    [(74, 1, 5), (None, 1, 5), (74, 3, 15), (10, 3, 3), (1, 1, 1)],
)
def test_default_cap_is_five_times_a_uniform_run(num_samples, num_epochs, cap):
    sampler = make(num_samples, num_epochs, None)
    assert sampler.max_repeats == cap == math.ceil(5 * num_epochs * (num_samples or N) / N)


def test_unclustered_do_not_count_for_the_cap():
    clusters = np.concatenate([CLUSTERS, np.full(26, -1)])
    sampler = ClusterClipSampler(clusters, 74)
    assert sampler.max_repeats == 5
    assert len(ClusterClipSampler(clusters)) == 74
    assert (np.concatenate(epochs_of(sampler, 1)) < 74).all()
    with pytest.raises(ValueError, match="indices must be draws of epoch 0, got 80 in row 0"):
        sampler.weights_for([80])


def test_a_cap_too_small_for_the_run_is_refused():
    with pytest.raises(
        ValueError,
        match="max_repeats must be at least 4 for 225 draws of 74 samples in the run, got 3",
    ):
        make(75, 3, 3)
    assert make(74, 3, 3).max_repeats == 3


def test_one_cluster_is_a_plain_shuffle():
    for order in epochs_of(ClusterClipSampler(np.full(9, 4), num_epochs=4), 4):
        assert sorted(order) == list(range(9))


def test_fewer_draws_than_clusters():
    order = ClusterClipSampler(np.arange(50), 7).indices(0)
    assert len(set(order)) == 7


def test_knocked_out_names_the_clusters():
    clusters = np.array([8] * 8 + [2] * 2)
    sampler = ClusterClipSampler(clusters, num_samples=4, num_epochs=4, max_repeats=2)
    assert [sampler.knocked_out(epoch).tolist() for epoch in range(4)] == [[], [], [2], [2]]
    drawn = [set(clusters[order]) for order in epochs_of(sampler, 4)]
    assert drawn == [{2, 8}, {2, 8}, {8}, {8}]


def test_the_run_ends():
    sampler = make(30, 3, None)
    sampler.set_epoch(2)
    with pytest.raises(ValueError, match=r"epoch must be in \[0, 3\), got 3"):
        sampler.set_epoch(3)
    with pytest.raises(ValueError, match=r"epoch must be in \[0, 3\), got 7"):
        sampler.indices(7)
    assert sampler.epoch == 2
    assert len(list(sampler)) == 30


# ---- shares that stay the same -------------------------------------------------------------------


@pytest.mark.parametrize(("tau", "exponent"), [(1, 1.0), (2, 0.5), (4.0, 0.25), (math.inf, 0.0)])
def test_temperature(tau, exponent):
    shares = np.array(SIZES) ** exponent / (np.array(SIZES) ** exponent).sum()
    sampler = ClusterClipSampler(CLUSTERS, 200, temperature=tau, seed=7)
    assert sampler.max_repeats is None
    for counts in counts_of(sampler, 30):  # it has no end and no cap
        drawn = np.bincount(CLUSTERS, weights=counts, minlength=6)
        assert np.abs(drawn - 200 * shares).max() < 1 + 1e-9
    assert sampler.knocked_out(20).size == 0


def test_schedule_epoch_keeps_its_shares():
    """Every epoch alike: the water level of the whole run, spread."""
    sampler = make(40, 9, 7, schedule="epoch", seed=8)
    shares = water_level(7 * np.array(SIZES), 360) / 360
    for order in epochs_of(sampler, 9):
        counts = np.bincount(CLUSTERS[order], minlength=6)
        assert counts.sum() == 40
        assert np.abs(counts - 40 * shares).max() < 1 + 1e-9
    assert sampler.knocked_out(8).size == 0


@pytest.mark.parametrize(("num_samples", "num_epochs", "max_repeats"), RUNS)
def test_schedule_epoch_does_not_pass_the_cap(num_samples, num_epochs, max_repeats):
    for seed in range(20):
        sampler = make(num_samples, num_epochs, max_repeats, schedule="epoch", seed=seed)
        counts = counts_of(sampler, num_epochs)
        assert (counts.sum(axis=1) == num_samples).all()
        assert counts.sum(axis=0).max() <= sampler.max_repeats


# ---- gradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"schedule": "epoch"}, {"temperature": 2}])
def test_original_restores_the_mean_over_the_samples(settings):
    clusters = np.repeat([0, 1, 2], [12, 5, 3])
    losses = np.random.default_rng(1).normal(size=20) + 3 * clusters
    means = {"sampled": [], "original": []}
    for objective, found in means.items():
        for seed in range(300):
            sampler = ClusterClipSampler(
                clusters, 10, num_epochs=2, objective=objective, seed=seed, **settings
            )
            sampler.set_epoch(1)
            order = sampler.indices(1)
            found.append(float(sampler.reduce(torch.tensor(losses[order]), order)))
    assert_mean(means["original"], losses.mean())
    with pytest.raises(AssertionError, match="standard errors off"):
        assert_mean(means["sampled"], losses.mean())


def test_original_ends_with_the_first_knock_out():
    clusters = np.array([8] * 8 + [2] * 2)
    sampler = ClusterClipSampler(
        clusters, num_samples=4, num_epochs=4, max_repeats=2, objective="original"
    )
    sampler.set_epoch(1)
    assert sampler.weights_for([0, 9]).shape == (2,)
    sampler.set_epoch(2)
    message = "no importance weights: cluster 2 is excluded before epoch 2"
    with pytest.raises(ValueError, match=message):
        sampler.reduce(torch.ones(1), [0])


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clusters", "settings", "error", "message"),
    [
        ([], {}, ValueError, "clusters must not be empty, got length 0"),
        ([-1, -1], {}, ValueError, "clusters must label at least one sample, got -1 in all 2"),
        ([0, -5], {}, ValueError, "clusters must be >= 0, or -1 for .*, got -5 in row 1"),
        ([0, 0.5], {}, ValueError, "clusters must be class ids, got 0.5 in row 1"),
        ([0, 1], {"num_samples": 0}, ValueError, "num_samples must be >= 1, got 0"),
        ([0, 1], {"num_epochs": 0}, ValueError, "num_epochs must be >= 1, got 0"),
        ([0, 1], {"max_repeats": 0}, ValueError, "max_repeats must be >= 1, got 0"),
        ([0, 1], {"max_repeats": 2.0}, TypeError, "max_repeats must be an int, got 2.0"),
        ([0, 1], {"temperature": 0.5}, ValueError, r"temperature must be in \[1, inf\), got 0.5"),
        ([0, 1], {"temperature": math.nan}, ValueError, "temperature must be in .*, got nan"),
        ([0, 1], {"schedule": "day"}, ValueError, "schedule must be one of .*, got 'day'"),
        (
            [0, 1],
            {"temperature": 2, "max_repeats": 3},
            ValueError,
            "max_repeats must not be given with temperature, which has no clip, got 3",
        ),
    ],
)
def test_refuses(clusters, settings, error, message):
    with pytest.raises(error, match=message):
        ClusterClipSampler(clusters, **settings)


def test_mean_draws_match_the_expected_ones():
    """What the weights are made of: an epoch that ends within a level."""
    seeds = 800
    counts = np.stack(
        [
            np.bincount(CLUSTERS[make(10, 7, 1, seed=s).indices(1)], minlength=6)
            for s in range(seeds)
        ]
    )
    caps = np.array(SIZES)
    assert_mean(counts, water_level(caps, 20) - water_level(caps, 10))
