"""Self-paced weights: three forms, by a share of the batch or by a threshold."""

import math

import numpy as np
import pytest
import torch

from sampling.weighting import self_paced

LOSSES = torch.tensor([4.0, 1.0, 3.0, 2.0, 0.5])


def ones(weights):
    """Weights relative to the largest."""
    return (weights / weights.max()).tolist()


@pytest.mark.parametrize(
    ("share", "easy"), [(0.2, 1), (0.21, 2), (0.4, 2), (0.6, 3), (0.8, 4), (1.0, 5), (1e-6, 1)]
)
def test_a_share_of_the_batch_is_easy_rounded_up(share, easy):
    weights = self_paced(LOSSES, share=share)
    assert set(np.flatnonzero(weights)) == set(np.argsort(LOSSES.numpy())[:easy])
    assert float(weights.mean()) == pytest.approx(1)


def test_forms_of_a_threshold_are_those_of_the_papers():
    losses = torch.tensor([0.0, 0.1, 0.25, 0.5, 0.9], dtype=torch.float64)
    assert ones(self_paced(losses, threshold=0.5)) == [1, 1, 1, 0, 0]  # strictly below
    linear = self_paced(losses, threshold=0.5, form="linear")
    assert ones(linear) == pytest.approx([1, 0.8, 0.5, 0, 0])
    logs = [math.log(x + 0.5) / math.log(0.5) for x in (0.0, 0.1, 0.25)]
    found = self_paced(losses, threshold=0.5, form="log")
    assert ones(found) == pytest.approx([*logs, 0, 0])


def test_forms_of_a_share():
    linear = self_paced(LOSSES, share=0.8, form="linear")  # the threshold is 3
    assert ones(linear) == pytest.approx([0, 0.8, 0, 0.4, 1])
    found = self_paced(LOSSES, share=0.8, form="log")
    logs = [1 - math.log2(1 + x / 3) for x in (1.0, 2.0, 0.5)]
    assert ones(found) == pytest.approx([0, logs[0] / logs[2], 0, logs[1] / logs[2], 1])


@pytest.mark.parametrize("form", ["hard", "linear", "log"])
def test_where_nothing_is_easy_the_easiest_are_taken(form):
    few = self_paced(LOSSES, threshold=0.3, form=form)
    assert few.tolist() == [0, 0, 0, 0, 5]
    more = self_paced(LOSSES, threshold=0.3, form=form, at_least=2)
    assert more.tolist() == [0, 2.5, 0, 0, 2.5]
    everybody = self_paced(LOSSES, threshold=0.3, form=form, at_least=99)
    assert everybody.tolist() == [1] * 5


@pytest.mark.parametrize("form", ["linear", "log"])
def test_a_share_of_one_sample_has_no_room_below_its_threshold(form):
    assert self_paced(LOSSES, share=0.1, form=form).tolist() == [0, 0, 0, 0, 5]
    zeros = torch.tensor([0.0, 0.0, 1.0, 2.0])
    assert self_paced(zeros, share=0.5, form=form).tolist() == [2, 2, 0, 0]


def test_ties_at_the_threshold_are_let_in_as_a_whole():
    losses = torch.tensor([1.0, 2.0, 2.0, 2.0])
    assert self_paced(losses, share=0.5).tolist() == [1, 1, 1, 1]


def test_a_growing_threshold_ends_uniform():
    weights = self_paced(LOSSES, threshold=1e6, form="linear")
    np.testing.assert_allclose(weights, 1, atol=1e-5)


def test_losses_that_are_not_finite_are_neither_easy_nor_counted():
    dirty = torch.cat([LOSSES, torch.tensor([torch.nan, -torch.inf, torch.inf])])
    weights = self_paced(dirty, share=0.4, form="hard")
    assert weights.tolist() == [0, 2.5, 0, 0, 2.5, 0, 0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "^share or threshold must be given, got None and None$"),
        ({"share": 0.5, "threshold": 1.0}, "^share or threshold must be given, got 0.5 and 1.0$"),
        ({"share": 0.0}, r"^share must be in \(0, 1\], got 0.0$"),
        ({"threshold": 1.0, "form": "log"}, r"^threshold of the log form must be in \(0, 1\), "),
        ({"share": 0.5, "form": "soft"}, "^form must be one of 'hard', 'linear', 'log', got"),
        ({"share": 0.5, "at_least": 0}, "^at_least must be >= 1, got 0$"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        self_paced(LOSSES, **options)


def test_negative_losses_are_refused_where_they_have_no_meaning():
    losses = torch.tensor([0.5, -0.25, -3.0])
    assert self_paced(losses, share=0.6).tolist() == [0, 1.5, 1.5]
    message = "^losses must be >= 0 for the linear form, got -0.25 in row 1$"
    with pytest.raises(ValueError, match=message):
        self_paced(losses, share=0.6, form="linear")
