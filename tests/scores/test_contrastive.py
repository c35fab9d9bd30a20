"""CAL: neighbours with other predictions."""

import math

import numpy as np
import pytest
import torch

from sampling.clustering import neighbours
from sampling.scores import contrastive
from sampling.selection import bottom, top

RANDOM = np.random.default_rng(3)
ROWS = np.repeat(RANDOM.normal(size=(30, 2)), 2, axis=0)  # each twice: ties
CHANCES = RANDOM.dirichlet([0.3] * 4, size=60)


def by_loops(chances, graph):
    """Mean of KL(p_k || p_i), one pair after another."""
    found = []
    for row, near in zip(chances, graph, strict=True):
        values = [
            sum(
                max(p, 1e-8) * math.log(max(p, 1e-8) / max(q, 1e-8))
                for p, q in zip(chances[k], row, strict=True)
            )
            for k in near
            if k >= 0
        ]
        found.append(max(0.0, sum(values) / len(values)) if values else 0.0)
    return found


@pytest.mark.parametrize("k", [1, 10, 70])
@pytest.mark.parametrize("block", [7, 2**20])
def test_the_definition(k, block, monkeypatch):
    monkeypatch.setattr("sampling.scores._contrastive._NUMBERS", block)
    graph = neighbours(ROWS, k)
    found = contrastive(CHANCES, graph)
    assert (found.higher_is, found.name) == ("keep", "contrastive")
    np.testing.assert_allclose(found.values, by_loops(CHANCES, graph.indices), atol=1e-12)
    assert np.array_equal(contrastive(CHANCES, graph.indices.tolist()).values, found.values)


def test_top_keeps_samples_near_the_boundary():
    """DeepCore adds KL(p_i || p_k) and keeps the lowest values: samples far from it."""
    x = np.linspace(-3, 3, 201)
    right = 1 / (1 + np.exp(-6 * x))
    graph = neighbours(x[:, None], 10)
    score = contrastive(np.stack([1 - right, right], axis=1), graph)
    assert np.abs(x[top(score, 40).indices]).max() < 1.0
    assert np.abs(x[bottom(score, 40).indices]).min() > 2.0
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(score.values, symmetrised(right, graph), rtol=0.01)


def symmetrised(right, graph):
    """The sum of both directions, as DeepCore computes it."""
    p = np.stack([1 - right, right], axis=1)
    near = p[graph.indices]
    both = near * np.log(near / p[:, None]) + p[:, None] * np.log(p[:, None] / near)
    return both.sum(axis=2).mean(axis=1)


def test_which_direction_the_divergence_has():
    """KL(sure || even) = log 2; KL(even || sure) is larger without bound."""
    sure, even = [1.0, 0.0], [0.5, 0.5]
    found = contrastive([sure, even], [[1], [0]]).values
    assert found[1] == pytest.approx(math.log(2), abs=1e-6)
    assert found[0] == pytest.approx(0.5 * math.log(0.5) + 0.5 * math.log(0.5e8), rel=1e-6)


def test_no_neighbours_and_one_row():
    assert contrastive([[0.3, 0.7]], neighbours([[1.0]], 5)).values.tolist() == [0.0]
    found = contrastive([[0.3, 0.7], [0.6, 0.4], [0.1, 0.9]], [[-1, -1], [0, -1], [0, 1]]).values
    assert found[0] == 0.0
    assert found[1] == pytest.approx(0.3 * math.log(0.3 / 0.6) + 0.7 * math.log(0.7 / 0.4))


def test_tensors_and_models_of_one_output():
    graph = neighbours(ROWS, 3)
    right = torch.linspace(0.0, 1.0, 60)
    one, two = contrastive(right, graph), contrastive(torch.stack([1 - right, right], 1), graph)
    assert np.array_equal(one.values, two.values)
    assert np.array_equal(contrastive(right[:, None], graph).values, two.values)
    half = contrastive(torch.stack([1 - right, right], 1).half(), graph)
    np.testing.assert_allclose(half.values, two.values, rtol=0.05, atol=1e-3)


def test_bad_arguments():
    graph = neighbours(ROWS, 3)
    broken = CHANCES.copy()
    broken[7] *= 2
    with pytest.raises(ValueError, match="probabilities must sum to 1 in each row, got 2 in row 7"):
        contrastive(broken, graph)
    broken[7, 1] = np.nan
    with pytest.raises(ValueError, match="must sum to 1 in each row, got nan in row 7"):
        contrastive(broken, graph)
    with pytest.raises(ValueError, match=r"neighbours must have shape \(60, k\).*, got \(59, 3\)"):
        contrastive(CHANCES, graph.indices[1:])
    with pytest.raises(ValueError, match=r"neighbours must .* got 60"):
        contrastive(CHANCES, np.full((60, 1), 60))
    with pytest.raises(TypeError, match="neighbours must .*"):
        contrastive(CHANCES, np.zeros((60, 1)))


def test_neighbours_may_be_a_tensor():
    chances = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    listed = [[1], [0], [1]]
    found = contrastive(chances, torch.tensor(listed)).values
    assert np.array_equal(found, contrastive(chances, listed).values)
