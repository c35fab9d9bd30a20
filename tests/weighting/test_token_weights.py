"""TLDR and focal weights: formulas, padding, gradients."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sampling.weighting import focal, tldr

P = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0], dtype=torch.float64)


def test_formulas():
    expected = 1 + torch.cos(math.pi * P)
    np.testing.assert_allclose(tldr(torch.ones(5), probabilities=P), expected, atol=1e-12)
    np.testing.assert_allclose(tldr(-torch.log(P[1:])), expected[1:], atol=1e-12)
    for gamma in (0.0, 0.5, 1.0, 2.0, 5.0):
        found = focal(-torch.log(P[1:]), gamma=gamma)
        np.testing.assert_allclose(found, (1 - P[1:]) ** gamma, atol=1e-12)


def test_the_probability_of_cross_entropy_is_that_of_the_right_class():
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    right = logits.softmax(1).gather(1, labels[:, None])[:, 0]
    losses = F.cross_entropy(logits, labels, reduction="none")
    np.testing.assert_allclose(tldr(losses), 1 + torch.cos(math.pi * right), atol=1e-5)


def test_digits_are_kept_where_a_token_is_almost_sure():
    losses = torch.tensor([1e-6])
    assert float(focal(losses)) == pytest.approx(1e-12, rel=1e-5)
    assert float(tldr(losses)) == pytest.approx((math.pi * 1e-6) ** 2 / 2, rel=1e-5)


@pytest.mark.parametrize("function", [tldr, focal])
def test_padding_counts_nowhere(function):
    """The released code takes the mean of p over padding too, and there p is 1 or more."""
    losses = torch.tensor([[0.7, 0.2, 0.0, 0.0], [1.0, 0.1, 0.3, 0.4]])
    mask = torch.tensor([[True, True, False, False], [True] * 4])
    tokens = function(losses, mask=mask)
    assert tokens[0, 2:].tolist() == [0, 0]
    assert torch.equal(tokens[0, :2], function(losses[0, :2]))
    rows = function(losses, mask=mask, level="sequence")
    alone = function(losses[:1, :2], level="sequence")
    assert rows[0].tolist() == [*alone[0].tolist(), 0, 0]
    mean = torch.exp(-losses[0, :2]).mean()
    expected = 1 + math.cos(math.pi * mean) if function is tldr else (1 - mean) ** 2
    assert float(rows[0, 0]) == pytest.approx(float(expected), rel=1e-5)
    filled = torch.where(mask, losses, torch.tensor([torch.nan]))
    assert torch.equal(function(filled, mask=mask, level="sequence"), rows)


def test_a_row_of_padding_has_no_weight():
    losses, mask = torch.zeros(2, 3), torch.tensor([[True] * 3, [False] * 3])
    assert focal(losses + 1, mask=mask, level="sequence")[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("function", [tldr, focal])
def test_the_gradient_flows_through_the_weight_unless_detached(function):
    for detach in (False, True):
        losses = torch.tensor([0.3, 1.2], dtype=torch.float64, requires_grad=True)
        weights = function(losses, detach_weight=detach)
        assert weights.requires_grad is not detach
        (weights * losses).sum().backward()
        x, eps = losses.detach(), 1e-6
        through = x * (function(x + eps) - function(x - eps)) / (2 * eps)
        expected = function(x) + (0 if detach else through)
        np.testing.assert_allclose(losses.grad, expected, rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_gradients_are_finite_where_a_token_is_sure_or_missing(gamma):
    losses = torch.tensor([0.0, 0.5, torch.nan, torch.inf], requires_grad=True)
    weights = focal(losses, gamma=gamma)
    torch.where(torch.isfinite(losses), weights * losses, 0.0).sum().backward()
    assert torch.isfinite(losses.grad).all()
    assert weights[2:].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tldr(torch.tensor([0.5, -0.1])), ValueError, "got -0.1 in row 1$"),
        (
            lambda: focal(torch.tensor([[0.5], [-0.1]])),
            ValueError,
            r"^losses must be >= 0 where p = exp\(-loss\), got -0.1 in position \(1, 0\)$",
        ),
        (
            lambda: tldr(torch.ones(2), probabilities=torch.tensor([0.5, 1.5])),
            ValueError,
            r"^probabilities must be in \[0, 1\], got 1.5 in row 1$",
        ),
        (
            lambda: tldr(torch.ones(2), probabilities=torch.tensor([0.5, torch.nan])),
            ValueError,
            r"^probabilities must be in \[0, 1\], got nan in row 1$",
        ),
        (lambda: tldr(torch.tensor(1.0)), ValueError, r"^losses must have shape \(B,\) or \(B, T"),
        (lambda: tldr(torch.ones(2), level="sequence"), ValueError, r"shape \(B, T\) for sequenc"),
        (lambda: tldr(torch.ones(2), mask=torch.ones(2)), TypeError, "^mask must be bool, got tor"),
        (lambda: tldr(torch.ones(2), mask=torch.ones(3) > 0), ValueError, "^mask must have the sh"),
        (lambda: tldr(torch.ones(2).int()), TypeError, "^losses must be a floating tensor, got"),
        (lambda: focal(torch.ones(2), gamma=-1.0), ValueError, r"^gamma must be in \[0, inf\)"),
        (lambda: tldr(torch.ones(2), level="word"), ValueError, "^level must be one of 'token',"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
