"""Weights 1 / p of observed samples, with a limit."""

import numpy as np
import pandas as pd
import pytest
import torch

from sampling.weighting import clipped_inverse, effective_sample_size


def test_the_limit_of_the_released_code():
    weighting = clipped_inverse([1.0, 0.5, 0.0, 1e-9])
    assert weighting.values.tolist() == pytest.approx([1, 2, 1000, 1000])
    assert weighting.effective_sample_size == pytest.approx(
        effective_sample_size([1, 2, 1000, 1000])
    )
    assert clipped_inverse([0.3, 0.9], stabilize=True).values.mean() == pytest.approx(1.0)


def test_sums_over_observed_samples_are_unbiased():
    """2,000 samples observed with their probabilities, 400 times; four deviations."""
    random = np.random.default_rng(0)
    chances, values = random.uniform(0.05, 1.0, 2000), random.normal(1.0, 1.0, 2000)
    values += 3 * chances  # informative: the plain mean of the observed is wrong
    weights = clipped_inverse(chances).values
    totals = [(weights * values)[random.uniform(size=2000) < chances].sum() for _ in range(400)]
    assert np.mean(totals) == pytest.approx(values.sum(), abs=4 * np.std(totals) / 20)


def test_as_a_weighting_of_a_batch():
    weighting = clipped_inverse(pd.Series([0.5, 0.25, 1.0]))
    assert weighting(torch.ones(2), indices=[1, 2]).tolist() == [4.0, 1.0]


def test_bad_arguments():
    for chances, message in (
        ([0.5, 1.5], r"probabilities must be in \[0, 1\], got 1.5 in row 1"),
        ([0.5, -0.1], "probabilities must be finite and >= 0, got -0.1 in row 1"),
        ([float("nan")], "probabilities must be finite and >= 0, got nan in row 0"),
    ):
        with pytest.raises(ValueError, match=message):
            clipped_inverse(chances)
    with pytest.raises(ValueError, match=r"minimum must be in \(0, 1\], got 0"):
        clipped_inverse([0.5], minimum=0)
