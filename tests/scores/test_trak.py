import logging
import sys

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from torch.nn import functional as F
from torch.utils.data import Subset, TensorDataset

from sampling.errors import MissingExtraError
from sampling.scores import trak


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Two threads for models as small as these wait for each other: 3 s in place of 0.1 s."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trained(inputs, labels, seed):
    """A perceptron after 150 steps of plain gradient descent."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10)
    model = torch.nn.Sequential(*layers)
    parameters = list(model.parameters())
    for _ in range(150):
        steps = torch.autograd.grad(F.cross_entropy(model(inputs), labels), parameters)
        with torch.no_grad():
            for parameter, step in zip(parameters, steps, strict=True):
                parameter -= step
    return model


@pytest.fixture(scope="module")
def digits():
    """500 digits of which one in ten is mislabelled, 200 others, and which were mislabelled."""
    return mislabelled(0)


def mislabelled(seed):
    rng = np.random.default_rng(seed)
    inputs, labels = load_digits(return_X_y=True)
    rows = rng.permutation(len(labels))[:700]
    inputs, labels = (
        torch.tensor(inputs[rows] / 16, dtype=torch.float32),
        torch.tensor(labels[rows]),
    )
    flipped = rng.random(500) < 0.1
    shift = torch.from_numpy(rng.integers(1, 10, 500) * flipped)
    labels[:500] = (labels[:500] + shift) % 10
    train = TensorDataset(inputs[:500], labels[:500])
    return train, TensorDataset(inputs[500:], labels[500:]), flipped


@pytest.fixture(scope="module")
def models(digits):
    train = digits[0]
    return [trained(*train.tensors, seed=seed) for seed in range(3)]


def test_digits_of_the_targets_class_help_and_mislabelled_ones_harm(digits, models, tmp_path):
    train, targets, flipped = digits
    states = [model.state_dict() for model in models]
    path = tmp_path / "scores.npy"
    scores = trak(models[0], train, targets, path=path, checkpoints=states, proj_dim=100)
    assert isinstance(scores.matrix.base, np.memmap)
    assert [each.name for each in tmp_path.iterdir()] == ["scores.npy"]
    assert np.load(path).shape == (500, 200)
    same = train.tensors[1][:, None] == targets.tensors[1][None]
    # 0.63 to 0.66, 0.82 to 0.92 and 0.68 to 0.76 over four seeds
    assert roc_auc_score(same.ravel(), scores.matrix.ravel()) > 0.58
    assert roc_auc_score(~flipped, scores.score("mean").values) > 0.75
    assert roc_auc_score(~flipped, scores.score("rank-mean").values) > 0.6
    # ... and the other way round by the best of each target: 0.06 to 0.11
    assert roc_auc_score(~flipped, scores.score("rank-max").values) < 0.3


def logits_of(inputs, weights):
    """Of many linear models at once: (N, 65), (65, M, 3) -> (N, M, 3)."""
    return (inputs @ weights.flatten(1)).unflatten(1, weights.shape[1:])


def test_the_sign_is_that_of_training_without_the_rows():
    """Linear datamodeling score: rows of random halves, summed, against models trained on them."""
    inputs, labels = load_digits(n_class=3, return_X_y=True)
    inputs, labels = (
        torch.tensor(inputs[:180] / 16, dtype=torch.float32),
        torch.tensor(labels[:180]),
    )
    halves = torch.from_numpy(np.random.default_rng(0).random((150, 60)) < 0.5).float()
    halves[:, 0] = 1.0
    biased = torch.cat([inputs, torch.ones(180, 1)], 1)
    weights = torch.zeros(65, 60, 3)
    for _ in range(200):  # all sixty at once, by gradient descent
        errors = logits_of(biased[:150], weights).softmax(-1) - F.one_hot(labels[:150], 3)[:, None]
        steps = (errors * (halves / halves.sum(0))[:, :, None]).flatten(1)
        weights = weights - (biased[:150].T @ steps).view_as(weights) - 0.01 * weights
    probs = logits_of(biased[150:], weights).double().softmax(-1)
    odds = torch.logit(probs[range(30), :, labels[150:]])
    model = torch.nn.Linear(64, 3)
    model.load_state_dict({"weight": weights[:64, 0].T, "bias": weights[64, 0]})
    train, targets = (
        TensorDataset(inputs[:150], labels[:150]),
        TensorDataset(inputs[150:], labels[150:]),
    )
    scores = trak(model, train, targets, proj_dim=150, lambda_reg=1.0)
    summed = halves[:, 1:].T.numpy() @ scores.matrix
    found = [spearmanr(summed[:, j], odds[j, 1:])[0] for j in range(30)]
    assert np.mean(found) > 0.4  # 0.59 to 0.69 over four seeds


def test_neither_batches_nor_the_way_matter(digits, models, tmp_path):
    train, targets = Subset(digits[0], range(120)), Subset(digits[1], range(7))
    expected = trak(models[0], train, targets, proj_dim=20).matrix
    assert expected.shape == (120, 7)
    path = tmp_path / "scores.npy"
    found = trak(models[0], train, targets, proj_dim=20, path=path, batch_size=7).matrix
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=1e-4 * np.abs(expected).max())
    other = trak(models[0], train, targets, proj_dim=20, seed=1).matrix
    assert not np.allclose(other, expected, rtol=0.1)


def test_nothing_of_the_callers_is_changed(digits, models):
    train, targets = Subset(digits[0], range(40)), Subset(digits[1], range(2))
    model = models[0].train()
    model[0].requires_grad_(False)
    model.zero_grad()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    torch_state, handlers = torch.get_rng_state(), list(logging.root.handlers)
    states = [each.state_dict() for each in models]
    found = trak(model, train, targets, proj_dim=16, checkpoints=states).matrix
    assert model.training
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    assert all(each.grad is None for each in model.parameters())
    assert torch.equal(torch_state, torch.get_rng_state())
    assert logging.root.handlers == handlers
    model[0].requires_grad_(True)
    assert not np.allclose(
        trak(model, train, targets, proj_dim=16, checkpoints=states).matrix, found
    )


def test_bad_arguments_are_refused(digits, models, tmp_path):
    train, targets = Subset(digits[0], range(40)), Subset(digits[1], range(2))
    model = models[0]
    with pytest.raises(ValueError, match="proj_dim must be at most 40, the samples or the para"):
        trak(model, train, targets)
    with pytest.raises(ValueError, match="proj_dim must be >= 2, got 1"):
        trak(model, train, targets, proj_dim=1)
    with pytest.raises(ValueError, match=r"lambda_reg must be in \[0, inf\), got -1"):
        trak(model, train, targets, lambda_reg=-1)
    with pytest.raises(ValueError, match="checkpoints must hold at least one state dict"):
        trak(model, train, targets, proj_dim=8, checkpoints=[])
    with pytest.raises(ValueError, match="targets must not be empty"):
        trak(model, train, Subset(digits[1], []), proj_dim=8)
    with pytest.raises(FileNotFoundError, match="must exist"):
        trak(model, train, targets, proj_dim=8, path=tmp_path / "none" / "scores.npy")
    with pytest.raises(ValueError, match="model must have trainable parameters"):
        trak(torch.nn.ReLU(), train, targets, proj_dim=8)
    path = tmp_path / "scores.npy"
    path.write_bytes(b"mine")
    for taken, line in ((path, "must be free"), (tmp_path / "scores.csv", "a suffix of .npy")):
        with pytest.raises(ValueError, match=line):
            trak(model, train, targets, proj_dim=8, path=taken)
    path.unlink()
    with pytest.raises(TypeError, match="samples must be tuples of tensors, got batches of"):
        trak(model, [{"inputs": torch.zeros(64)}] * 40, targets, proj_dim=8, path=path)
    assert not list(tmp_path.iterdir())


def test_a_missing_library_is_named_with_its_extra(digits, models, monkeypatch):
    monkeypatch.setitem(sys.modules, "trak", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sampling\[attribution\]'"):
        trak(models[0], digits[0], digits[1])
