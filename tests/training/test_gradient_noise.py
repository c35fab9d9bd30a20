"""Batch sizes from gradient noise, against the formulas written out sample by sample."""

import math

import numpy as np
import pytest
import torch

from sampling.training import (
    per_sample_gradients,
    suggest_batch_size,
    suggest_batch_size_from_ranks,
)


def by_formula(gradients, test, eta, nu):
    rows = [np.array(row, np.float64) for row in gradients.tolist()]
    size, mean = len(rows), sum(map(np.array, gradients.tolist())) / len(gradients)
    power = float(mean @ mean)
    if test == "norm":
        variance = sum(float((row - mean) @ (row - mean)) for row in rows) / (size - 1)
        return variance / (eta**2 * power)
    products = [float(row @ mean) for row in rows]
    middle = sum(products) / size
    inner = sum((p - middle) ** 2 for p in products) / (size - 1) / (eta**2 * power**2)
    if test == "inner_product":
        return inner
    across = [row - (row @ mean) / power * mean for row in rows]
    return max(inner, sum(float(a @ a) for a in across) / (size - 1) / (nu**2 * power))


@pytest.mark.parametrize("test", ["norm", "inner_product", "augmented"])
@pytest.mark.parametrize("seed", range(5))
def test_sizes_equal_the_formula(test, seed):
    gradients = torch.randn(9, 5, generator=torch.Generator().manual_seed(seed)) + 0.4
    wanted = max(9, math.ceil(by_formula(gradients, test, 0.3, 0.7)))
    options = {"test": test, "eta": 0.3, "nu": 0.7}
    assert suggest_batch_size(gradients, max_batch_size=10**9, **options) == wanted
    assert suggest_batch_size(gradients, max_batch_size=10, **options) == min(10, wanted)


def test_all_parameters_enter_together():
    """The released code tests each parameter tensor by itself, and loses their covariance."""
    gradients = torch.tensor([[2.0, 1.0], [1.0, 2.0]])  # <g_i, g> is the same for both samples
    options = {"test": "inner_product", "eta": 0.5, "max_batch_size": 999}
    assert suggest_batch_size(gradients, **options) == 2
    apart = [suggest_batch_size(gradients[:, [i]], **options) for i in range(2)]
    assert apart == [2, 2]
    wide = torch.tensor([[5.0, -3.0], [-3.0, 5.0]])
    assert suggest_batch_size(wide, **options) == 2
    assert suggest_batch_size(wide[:, [0]], **options) == math.ceil(32 * 1 / 0.25)


@pytest.mark.parametrize(
    ("gradients", "expected"),
    [
        ([[1.0]], 1),  # one sample: no variance
        ([[1.0], [-1.0]], 50),  # the mean vanishes: as large as may be
        ([[0.0], [0.0]], 2),  # nothing to see
        ([[1.0], [1.0]], 2),  # no noise: it stays
    ],
)
def test_edges(gradients, expected):
    for test in ("norm", "inner_product", "augmented"):
        assert suggest_batch_size(torch.tensor(gradients), test=test, max_batch_size=50) == expected


def test_bad_input():
    with pytest.raises(ValueError, match=r"gradients must have shape \(b, P\), got \(3,\)"):
        suggest_batch_size(torch.ones(3), max_batch_size=5)
    with pytest.raises(ValueError, match="gradients must be finite"):
        suggest_batch_size(torch.tensor([[math.nan], [1.0]]), max_batch_size=5)
    with pytest.raises(ValueError, match="test must be one of"):
        suggest_batch_size(torch.ones(2, 2), test="other", max_batch_size=5)
    with pytest.raises(ValueError, match="needs at least 2 ranks, got 1"):
        suggest_batch_size_from_ranks([torch.ones(3)], 4, max_batch_size=5)


def test_per_sample_gradients_equal_one_backward_each():
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    model[0].bias.requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(6, 4, generator=generator), torch.tensor([0, 1, 0, 1, 1, 0])
    found = per_sample_gradients(model, torch.nn.functional.cross_entropy, x, y)
    for row in range(6):
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(x[[row]]), y[[row]]).backward()
        own = [p.grad.flatten() for p in model.parameters() if p.requires_grad]
        assert torch.allclose(found[row], torch.cat(own), atol=1e-6)
