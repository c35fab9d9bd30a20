"""A scoring pass leaves no trace: no statistic, no mode, no random number."""

import copy

import pytest
import torch
from torch import nn

from sampling.batch_selection import frozen_statistics


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))


def state_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_statistics_of_batch_norm_are_those_before(mode):
    model, x = net(), torch.arange(12.0).reshape(4, 3)
    before = state_of(model)
    with torch.no_grad():
        model(x)  # the defect: no_grad alone counts the batch
        assert not same(before, state_of(model))
        before = state_of(model)
        with frozen_statistics(model, mode):
            model(x)
    assert same(before, state_of(model))
    assert model[1].num_batches_tracked == 1


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_each_module_gets_its_own_mode_back_also_after_an_exception(mode):
    model = net()
    model[1].eval()  # as in fine-tuning
    modes = [module.training for module in model.modules()]
    before = state_of(model)
    with pytest.raises(RuntimeError, match="shape"), frozen_statistics(model, mode):
        model[0](torch.zeros(1, 3))
        raise RuntimeError("a bad shape")
    assert [module.training for module in model.modules()] == modes
    assert same(before, state_of(model))


def test_eval_mode_has_no_dropout_and_draws_no_random_number():
    model, x = net(), torch.arange(12.0).reshape(4, 3)
    state = torch.get_rng_state()
    with torch.no_grad(), frozen_statistics(model):
        one, two = model(x), model(x)
        alone = model(x[:1])
    assert torch.equal(one, two)
    torch.testing.assert_close(one[:1], alone)  # a row's loss does not depend on the others
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in model.modules())


def test_train_mode_keeps_dropout_and_the_statistics_of_the_batch():
    model, x = net(), torch.arange(12.0).reshape(4, 3)
    model[2].p = 0.0
    with torch.no_grad(), frozen_statistics(model, "train"):
        found = model(x)
    with torch.no_grad():
        assert torch.equal(found, copy.deepcopy(model)(x))


def test_buffers_that_a_module_replaces_are_put_back():
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, x):
            self.seen = self.seen + 1
            return x

    model = Counter()
    own = model.seen
    with frozen_statistics(model, "train"):
        model(torch.ones(1))
    assert model.seen is own
    assert own == 0


def test_overrides_of_train_and_eval_are_not_called():
    """Some layers merge weights in `eval()`; they would have to be merged out again."""

    class Merging(nn.Linear):
        def train(self, mode=True):
            raise AssertionError("called")

    model = Merging(1, 1)
    with frozen_statistics(model):
        assert not model.training
    assert model.training


def test_bad_arguments():
    with pytest.raises(TypeError, match="model must be a torch.nn.Module, got function"):
        frozen_statistics(lambda: None).__enter__()
    with pytest.raises(ValueError, match="mode must be one of 'eval', 'train', got 'test'"):
        frozen_statistics(net(), "test").__enter__()
