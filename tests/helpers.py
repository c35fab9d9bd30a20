"""What the statistical tests of the samplers share."""

import math

import numpy as np

ERROR = 1e-6  # chance, over seeds, that a right sampler fails one comparison of a whole array


def spread(variance, comparisons=1, bound=1.0):
    """How far a sum of independent centered variables strays but once in 1/ERROR seeds.

    Bernstein's inequality: it holds for any number of terms, not just in the limit. For draws
    without replacement it holds with the variance of draws with replacement (Hoeffding 1963).

    variance    : of the sum, or an array of them
    comparisons : how many sums are looked at together
    bound       : the largest distance of a single term from its mean
    """
    log = math.log(2 * comparisons / ERROR)
    third = bound * log / 3
    return third + np.sqrt(third**2 + 2 * np.asarray(variance) * log)


def assert_hits(hits, trials, probability):
    """Compare counts of independent events with their probabilities, all cells together."""
    probability = np.broadcast_to(probability, np.shape(hits)).astype(float)
    off = np.abs(hits - trials * probability)
    allowed = spread(trials * probability * (1 - probability), off.size)
    allowed = np.where((probability == 0) | (probability == 1), 1e-9, allowed)
    assert (off <= allowed).all(), f"{hits.ravel()[np.argmax(off - allowed)]} hits, {off.max()} off"


def assert_mean(estimates, target, sigmas=5.5):
    """Compare the mean of independent estimates with its target: 4e-8 by the normal law."""
    estimates = np.asarray(estimates, np.float64)
    error = estimates.std(axis=0, ddof=1) / math.sqrt(len(estimates))
    off = np.abs(estimates.mean(axis=0) - target)
    assert (off <= sigmas * error + 1e-12).all(), f"{off / error} standard errors off"


def epochs_of(sampler, epochs):
    """The global orders of the first epochs of a static sampler."""
    return [sampler.indices(epoch) for epoch in range(epochs)]


def counts_of(sampler, epochs):
    """How often each sample is drawn in each of the first epochs: (epochs, N)."""
    return np.stack(
        [np.bincount(each, minlength=sampler.size) for each in epochs_of(sampler, epochs)]
    )


def dealt(sampler, epoch):
    """Plan an epoch of a dynamic sampler and return its order."""
    sampler.set_epoch(epoch)
    return sampler.indices(epoch)
