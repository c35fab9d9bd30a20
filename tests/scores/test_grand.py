import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sampling.scores import grand


def net(*layers, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.nn.Sequential(*(layer() for layer in layers))


def perceptron(bias=True):
    return net(
        lambda: torch.nn.Linear(4, 6),
        torch.nn.Tanh,
        lambda: torch.nn.Linear(6, 3, bias=bias),
    )


INPUTS = torch.from_numpy(np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0])


def one_by_one(model, parameters, inputs=INPUTS, labels=LABELS):
    """The length of each sample's gradient, by a backward pass of its own."""
    found = []
    for sample, label in zip(inputs, labels, strict=True):
        model.zero_grad()
        F.cross_entropy(model(sample[None]), label[None]).backward()
        squares = [float(each.grad.double().square().sum()) for each in parameters]
        found.append(np.sqrt(sum(squares)))
    model.zero_grad()
    return found


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_all_parameters(batch_size):
    model = perceptron()
    score = grand(model, F.cross_entropy, INPUTS, LABELS, batch_size=batch_size)
    assert (score.name, score.higher_is) == ("grand", "harder")
    assert score.values.dtype == np.float64
    np.testing.assert_allclose(score.values, one_by_one(model, list(model.parameters())), rtol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_the_last_layer(bias):
    model = perceptron(bias)
    score = grand(model, F.cross_entropy, INPUTS, LABELS, last_layer=True, batch_size=3)
    assert (score.name, score.higher_is) == ("grand_last_layer", "harder")
    expected = one_by_one(model, list(model[2].parameters()))
    np.testing.assert_allclose(score.values, expected, rtol=1e-5)


def test_the_last_layer_by_the_papers_formula():
    model = perceptron()
    score = grand(model, F.cross_entropy, INPUTS, LABELS, last_layer=True)
    with torch.no_grad():
        inward = model[1](model[0](INPUTS))
        errors = model[2](inward).softmax(1) - F.one_hot(LABELS, 3)
        expected = errors.norm(dim=1) * (1 + inward.square().sum(1)).sqrt()
    np.testing.assert_allclose(score.values, expected, rtol=1e-5)


def test_frozen_parameters_do_not_count():
    model = perceptron()
    model[0].requires_grad_(False)
    score = grand(model, F.cross_entropy, INPUTS, LABELS)
    last = grand(model, F.cross_entropy, INPUTS, LABELS, last_layer=True)
    np.testing.assert_allclose(score.values, last.values, rtol=1e-5)
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="model must have trainable parameters"):
        grand(model, F.cross_entropy, INPUTS, LABELS)


@pytest.mark.parametrize("last_layer", [False, True])
def test_batch_norm_and_dropout_are_evaluated_and_the_model_is_left_alone(last_layer):
    model = net(
        lambda: torch.nn.Linear(4, 6),
        lambda: torch.nn.BatchNorm1d(6),
        lambda: torch.nn.Dropout(0.5),
        lambda: torch.nn.Linear(6, 3),
    )
    model[2].eval()  # a mode of its own
    before = {name: each.clone() for name, each in model.state_dict().items()}
    together = grand(model, F.cross_entropy, INPUTS, LABELS, last_layer=last_layer)
    alone = grand(model, F.cross_entropy, INPUTS[:1], LABELS[:1], last_layer=last_layer)
    assert together.values[0] == pytest.approx(alone.values[0])
    assert [layer.training for layer in model] == [True, True, False, True]
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    assert all(each.grad is None for each in model.parameters())


def test_a_model_whose_last_linear_layer_is_not_the_last_thing():
    model = net(lambda: torch.nn.Linear(4, 3), torch.nn.ReLU)
    with pytest.raises(ValueError, match="last torch.nn.Linear must make the outputs"):
        grand(model, F.cross_entropy, INPUTS, LABELS, last_layer=True)
    with pytest.raises(ValueError, match="must have a torch.nn.Linear"):
        grand(net(torch.nn.ReLU), F.cross_entropy, INPUTS, LABELS, last_layer=True)


def test_bad_input_is_refused_and_the_mode_put_back():
    model = perceptron()
    inputs = INPUTS.clone()
    inputs[4, 0] = float("nan")
    with pytest.raises(ValueError, match=r"gradients must be finite, got .* nan in row 4 \(1 such"):
        grand(model, F.cross_entropy, inputs, LABELS)
    assert model.training
    with pytest.raises(ValueError, match="labels must have the length of inputs, 7, got 6"):
        grand(model, F.cross_entropy, INPUTS, LABELS[:6])
    with pytest.raises(ValueError, match="inputs must not be empty"):
        grand(model, F.cross_entropy, INPUTS[:0], LABELS[:0])
    with pytest.raises(ValueError, match="batch_size must be >= 1, got 0"):
        grand(model, F.cross_entropy, INPUTS, LABELS, batch_size=0)
