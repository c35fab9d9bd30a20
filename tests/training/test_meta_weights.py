"""Weights learnt on a core set by the loss of clean samples, and carried over to all."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sampling.selection import k_center, propagate
from sampling.training import meta_weights

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(600, 5, generator=GENERATOR)
TRUE = (X[:, 0] + 0.5 * X[:, 1] > 0).long()
WRONG = torch.rand(600, generator=GENERATOR) < 0.3
Y = torch.where(WRONG, 1 - TRUE, TRUE)
CLEAN_X = torch.randn(60, 5, generator=GENERATOR)
CLEAN_Y = (CLEAN_X[:, 0] + 0.5 * CLEAN_X[:, 1] > 0).long()


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2))


def losses(outputs, targets):
    return F.cross_entropy(outputs, targets, reduction="none")


def learnt(model=None, **arguments):
    model = network() if model is None else model
    return meta_weights(model, losses, X[:200], Y[:200], CLEAN_X, CLEAN_Y, **arguments)


def area(values, positive):
    """Chance that a positive sample has the larger value."""
    ranks = np.argsort(np.argsort(values))
    inside = positive.sum()
    return (ranks[positive].sum() - inside * (inside - 1) / 2) / (inside * (~positive).sum())


def test_the_first_step_is_the_gradient_by_finite_differences():
    """Adam's first step is lr * sign(gradient): signs of differences of the look-ahead loss."""
    model, size, lr = network().double(), 12, 0.5
    x, y, clean_x = X[:size].double(), Y[:size], CLEAN_X.double()

    def ahead(raw):
        made = network().double()
        weights = torch.sigmoid(torch.tensor(raw))
        ((weights / weights.sum()) * losses(made(x), y)).sum().backward()
        with torch.no_grad():
            for each in made.parameters():
                each -= lr * each.grad
            return float(losses(made(clean_x), CLEAN_Y).mean())

    slopes = []
    for at in range(size):
        moved = np.zeros(size)
        moved[at] = 1e-4
        slopes.append(ahead(moved) - ahead(-moved))
    found = meta_weights(model, losses, x, y, clean_x, CLEAN_Y, num_steps=1, lr=lr, weight_lr=0.1)
    raw = np.log(found / (found.max() / (1 / (1 + np.exp(-0.1))) - found))
    assert np.sign(np.round(raw, 6)).tolist() == (-np.sign(slopes)).tolist()


def test_wrong_labels_lose_their_weight_and_so_do_their_neighbours_in_all_rows():
    weights = learnt()
    assert weights.dtype == np.float64
    assert weights.mean() == pytest.approx(1.0)
    wrong = WRONG[:200].numpy()
    assert area(weights, ~wrong) > 0.9
    assert weights[wrong].mean() < 0.6 < 1.1 < weights[~wrong].mean()


def test_propagated_weights_of_a_core_set_distinguish_wrong_labels_in_all_rows():
    core = k_center(X.numpy(), 150).indices
    weights = meta_weights(network(), losses, X[core], Y[core], CLEAN_X, CLEAN_Y)
    whole = propagate(core, weights, X.numpy(), labels=Y.numpy())
    others = np.setdiff1d(np.arange(600), core)
    assert whole.mean() == pytest.approx(1.0)
    assert area(whole[others], ~WRONG.numpy()[others]) > 0.75


def test_the_model_and_its_buffers_are_left_alone():
    model = torch.nn.Sequential(
        torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2)
    )
    model[0].bias.requires_grad_(False)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    learnt(model, num_steps=3)
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    assert all(each.grad is None for each in model.parameters())
    assert model[0].weight.requires_grad and not model[0].bias.requires_grad


def test_inside_no_grad_and_again_the_same():
    with torch.no_grad():
        one = learnt(num_steps=5)
    assert np.array_equal(one, learnt(num_steps=5))


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"loss_fn must return a loss for each sample, \(200,\)"):
        meta_weights(network(), F.cross_entropy, X[:200], Y[:200], CLEAN_X, CLEAN_Y)
    with pytest.raises(ValueError, match="targets must have the length of inputs, 200, got 199"):
        meta_weights(network(), losses, X[:200], Y[:199], CLEAN_X, CLEAN_Y)
    with pytest.raises(ValueError, match="losses must be finite, .* use a smaller lr than 0.1"):
        meta_weights(network(), lambda o, t: losses(o, t) / 0, X[:20], Y[:20], CLEAN_X, CLEAN_Y)
    squared = torch.nn.functional.mse_loss
    rows = torch.ones(4, 2)
    for arguments, message in (
        ((None, squared, rows, rows, rows, rows), "model must be a torch.nn.Module, got NoneType"),
        ((torch.nn.Linear(2, 2), "mse", rows, rows, rows, rows), "loss_fn must be callable, got s"),
        (
            (torch.nn.Linear(2, 2), squared, rows, [1], rows, rows),
            "targets must be a tensor",
        ),
    ):
        with pytest.raises(TypeError, match=message):
            meta_weights(*arguments)
    with pytest.raises(TypeError, match="inputs must be a tensor, got ndarray"):
        meta_weights(network(), losses, X[:2].numpy(), Y[:2], CLEAN_X, CLEAN_Y)
    with pytest.raises(ValueError, match="must not be empty, got 0 and 60"):
        meta_weights(network(), losses, X[:0], Y[:0], CLEAN_X, CLEAN_Y)
    with pytest.raises(ValueError, match="model must have a trainable parameter, got none"):
        meta_weights(torch.nn.Tanh(), losses, X[:2], Y[:2], CLEAN_X, CLEAN_Y)
