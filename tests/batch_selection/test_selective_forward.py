"""The whole step: score without a trace, choose, train on the chosen."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from sampling import Indexed
from sampling.batch_selection import (
    RHOLoss,
    SelectionCost,
    SelectiveBackprop,
    SelectiveForward,
    TopKLoss,
)
from sampling.errors import StateError
from sampling.samplers import InfoBatchSampler, ShuffleSampler


def net(dropout=0.5):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(dropout), nn.Linear(4, 1)
        )


def squares(model, batch):
    return (model(batch["x"]).flatten() - batch["y"]).square()


def batch_of(size=8, seed=0):
    draw = np.random.default_rng(seed)
    x, y = draw.normal(size=(size, 3)), draw.normal(size=size)
    return {"x": torch.from_numpy(x).float(), "y": torch.from_numpy(y).float()}


class Line(nn.Module):
    """x -> w x: losses and gradients that can be worked out by hand."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        return self.w * x


def line_loss(model, batch):
    return model(batch)


def test_batch_norm_counts_the_chosen_rows_and_nothing_else():
    """The defect of a scoring pass under no_grad in train mode: statistics counted twice."""
    for scoring in ("eval", "train"):
        model, twin, batch = net(0.0), net(0.0), batch_of()
        step = SelectiveForward(model, squares, TopKLoss(0.5), scoring=scoring)(batch)
        twin(step.batch["x"])
        for name, value in twin.state_dict().items():
            assert torch.equal(value, model.state_dict()[name]), name
        assert model[1].num_batches_tracked == 1


def test_dropout_is_off_while_scoring_and_on_while_training():
    model, batch, seen = net(), batch_of(), []
    model[2].register_forward_hook(lambda module, *_: seen.append(module.training))
    model[1].eval()
    step_of = SelectiveForward(model, squares, TopKLoss(0.5))
    one, two = step_of(batch), step_of(batch)
    assert seen == [False, True, False, True]
    assert torch.equal(one.scores, two.scores)
    assert [model[1].training, model[2].training, model.training] == [False, True, True]


def test_an_exception_in_the_scoring_pass_leaves_modes_as_they_were():
    model = net()

    def fails(model, batch):
        model(batch["x"])
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        SelectiveForward(model, fails, TopKLoss())(batch_of())
    assert all(module.training for module in model.modules())
    assert model[1].num_batches_tracked == 0


def test_the_hardest_rows_are_trained_on():
    model, batch = Line(), torch.tensor([1.0, 5.0, 2.0, 4.0])
    step = SelectiveForward(model, line_loss, TopKLoss(2))(batch, [10, 11, 12, 13])
    assert step.indices.tolist() == [11, 13]
    assert step.batch.tolist() == [5, 4]
    assert step.scores.tolist() == batch.tolist()
    assert step.candidates.tolist() == [10, 11, 12, 13]
    step.loss.backward()
    assert model.w.grad == 4.5


@pytest.mark.parametrize(
    ("pack", "unpack"),
    [
        (lambda x, y: (x, y), lambda b: (b[0], b[1])),
        (lambda x, y: [x, y], lambda b: (b[0], b[1])),
        (lambda x, y: {"in": {"x": x}, "y": [y]}, lambda b: (b["in"]["x"], b["y"][0])),
    ],
)
def test_tuples_lists_and_nests(pack, unpack):
    model, batch = net(0.0), batch_of()

    def loss_fn(model, packed):
        x, y = unpack(packed)
        return squares(model, {"x": x, "y": y})

    step = SelectiveForward(model, loss_fn, TopKLoss(2))(pack(batch["x"], batch["y"]))
    x, y = unpack(step.batch)
    assert x.shape == (2, 3)
    assert y.shape == (2,)


def test_a_take_of_ones_own():
    class Graph:
        def __init__(self, x):
            self.x = x

    step = SelectiveForward(
        Line(),
        lambda model, graph: model(graph.x),
        TopKLoss(1),
        take=lambda graph, rows, size: Graph(graph.x[rows]),
    )(Graph(torch.tensor([1.0, 3.0])))
    assert step.losses.tolist() == [3.0]


def test_reduced_losses_are_refused_in_either_pass():
    with pytest.raises(ValueError, match="got a scalar: compute the loss with reduction='none'"):
        SelectiveForward(Line(), lambda m, b: m(b).mean(), TopKLoss())(torch.ones(3))
    with pytest.raises(ValueError, match="got a scalar"):
        SelectiveForward(Line(), lambda m, b: m(b).mean(), TopKLoss())(torch.ones(3), active=False)
    with pytest.raises(ValueError, match="got a scalar"):  # only while training
        loss_fn = lambda m, b: m(b).mean() if torch.is_grad_enabled() else m(b)  # noqa: E731
        SelectiveForward(Line(), loss_fn, TopKLoss())(torch.ones(3))


def test_gradients_survive_autocast(monkeypatch):
    """Weights cast while scoring, without gradients, must not be used again: torch did so once."""
    model, cleared, clear = nn.Linear(3, 1), [], torch.clear_autocast_cache
    monkeypatch.setattr(torch, "clear_autocast_cache", lambda: cleared.append(clear()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        step = SelectiveForward(model, squares, TopKLoss(0.5))(batch_of())
        assert len(cleared) == 1  # leaving autocast clears the cache too, but that is too late
    step.loss.backward()
    assert model.weight.grad is not None
    assert model.weight.grad.abs().sum() > 0


def test_cost_is_what_was_run():
    model, rows = net(0.0), []
    model[0].register_forward_hook(lambda module, args, out: rows.append(len(args[0])))
    selector = TopKLoss(0.25)
    step_of = SelectiveForward(model, squares, selector)
    step_of(batch_of())
    assert rows == [8, 2]
    assert selector.cost == SelectionCost(8, 8, 2)
    step_of(batch_of(), scores=torch.arange(8.0))
    assert rows == [8, 2, 2]
    assert selector.cost == SelectionCost(16, 8, 4)
    step_of(batch_of(), active=False)
    assert rows == [8, 2, 2, 8]
    assert selector.cost == SelectionCost(24, 8, 12)


def test_known_scores_replace_the_scoring_pass_and_unknown_ones_come_first():
    batch = torch.tensor([1.0, 2.0, 3.0, 4.0])
    step_of = SelectiveForward(Line(), line_loss, TopKLoss(2))
    assert step_of(batch, scores=[5.0, 1.0, 9.0, 2.0]).batch.tolist() == [1, 3]
    assert step_of(batch, scores=[5.0, np.nan, 9.0, 2.0]).batch.tolist() == [2, 3]
    half = torch.tensor([5.0, np.nan, 60000.0, 2.0], dtype=torch.float16)
    assert step_of(batch, scores=half).batch.tolist() == [2, 3]
    assert len(step_of(batch, scores=np.full(4, np.nan)).batch) == 2


def test_a_sampler_learns_from_all_scores_and_weights_the_chosen():
    sampler = InfoBatchSampler(8, num_epochs=8)
    step_of = SelectiveForward(Line(), line_loss, TopKLoss(0.5))
    step = step_of(torch.arange(8.0), torch.arange(8).flip(0))
    sampler.record(step.candidates, step.scores)
    loss = sampler.reduce(step.losses, step.indices, weighting=step.weighting)
    torch.testing.assert_close(loss, step.loss)
    assert sampler.scores.tolist() == list(range(8))[::-1]


def test_the_documented_loop_goes_on_after_a_restart():
    """Sampler, selector and model are saved mid-epoch; the rest of the run is the same."""
    inputs = torch.randn(40, 3, generator=torch.Generator())
    data = Indexed([(inputs[row], row) for row in range(40)])

    def parts():
        sampler, selector = ShuffleSampler(data, seed=3), SelectiveBackprop(0.5, seed=3)
        return sampler, selector, SelectiveForward(net(0.0), pair_loss, selector)

    def pair_loss(model, batch):
        return (model(batch[0]).flatten() - batch[1]).square()

    def run(sampler, selector, step_of, stop=None):
        trained = []
        optimizer = torch.optim.SGD(step_of.model.parameters(), lr=1e-4)
        for epoch in range(sampler.epoch, 2):
            sampler.set_epoch(epoch)
            selector.set_epoch(epoch)
            for indices, batch in DataLoader(data, batch_size=10, sampler=sampler):
                step = step_of(batch, indices)
                loss = sampler.reduce(step.losses, step.indices, weighting=step.weighting)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                trained.append((epoch, step.indices.tolist(), float(loss.detach())))
                if len(trained) == stop:
                    return trained
        return trained

    whole = run(*parts())
    sampler, selector, step_of = parts()
    begun = run(sampler, selector, step_of, stop=6)
    saved = sampler.state_dict(consumed=20), selector.state_dict(), step_of.model.state_dict()
    assert begun == whole[:6]
    sampler, selector, step_of = parts()
    sampler.load_state_dict(saved[0])
    selector.load_state_dict(saved[1])
    step_of.model.load_state_dict(saved[2])
    assert run(sampler, selector, step_of) == whole[6:]


def test_a_model_in_a_wrapper_for_ranks_is_scored_inside(monkeypatch):
    class Wrapper(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, x):
            assert torch.is_grad_enabled()
            return self.module(x)

    monkeypatch.setattr(torch.nn.parallel, "DistributedDataParallel", Wrapper)
    step = SelectiveForward(Wrapper(Line()), line_loss, TopKLoss(1))(torch.ones(3))
    assert step.losses.tolist() == [1.0]


@pytest.mark.parametrize("scoring", ["eval", "train"])
def test_the_whole_step_does_not_wait_for_the_device(scoring):
    """On the meta device nothing can be waited for: there are no values, only shapes."""
    model, selector = net().to("meta"), RHOLoss(np.arange(100.0), 0.5)
    batch = {"x": torch.ones(8, 3, device="meta"), "y": torch.ones(8, device="meta")}
    step = SelectiveForward(model, squares, selector, scoring=scoring)(batch, np.arange(8))
    step.loss.backward()
    assert step.indices.shape == (4,)
    assert step.indices.device.type == "meta"


def test_indices_decide_with_rho():
    selector = RHOLoss([0.0, 4.5, 0.0], keep=1)
    step = SelectiveForward(Line(), line_loss, selector)(torch.tensor([5.0, 1.0, 2.0]), [1, 0, 2])
    assert step.indices.tolist() == [2]


# ------------------------------------------------------------------ collecting


def collector(collect=8, **options):
    return SelectiveBackprop(0.5, form="history", collect=collect, **options)


def steps_of(step_of, first, last):
    for number in range(first, last):
        names = [f"{number}-{row}" for row in range(8)]
        batch = {**batch_of(8, number), "names": names}
        yield step_of(batch, np.arange(8) + 8 * number)


def test_chosen_rows_wait_until_a_batch_is_full():
    selector, seen = collector(), []
    step_of = SelectiveForward(net(), squares, selector)
    ready = [step for step in steps_of(step_of, 0, 20) if step.ready or seen.append(step)]
    assert seen
    assert all(len(step.losses) == 8 for step in ready)
    indices = torch.cat([step.indices for step in ready]).tolist()
    assert indices == sorted(set(indices))  # in the order in which they came, none twice
    for step in ready:
        expected = [f"{index // 8}-{index % 8}" for index in step.indices.tolist()]
        assert step.batch["names"] == expected
    assert selector.cost.trained == len(indices) + len(selector._buffer)
    with pytest.raises(ValueError, match="the step must be ready"):
        _ = seen[0].loss


def test_what_waits_is_saved_with_its_data():
    whole = collector()
    step_of = SelectiveForward(net(0.0), squares, whole)
    list(steps_of(step_of, 0, 5))
    assert len(whole._buffer) > 0
    model, state = copy.deepcopy(step_of.model), copy.deepcopy(whole.state_dict())
    rest = [step for step in steps_of(step_of, 5, 12) if step.ready]
    resumed = collector()
    resumed.load_state_dict(state)
    again = [
        step for step in steps_of(SelectiveForward(model, squares, resumed), 5, 12) if step.ready
    ]
    assert rest
    for one, two in zip(rest, again, strict=True):
        assert torch.equal(one.indices, two.indices)
        assert torch.equal(one.batch["x"], two.batch["x"])
        assert one.batch["names"] == two.batch["names"]
        assert torch.equal(one.losses, two.losses)


def test_lists_of_images_stay_lists_of_images_however_few_are_chosen():
    """Three images of three channels could be taken for a list of tensors with three rows."""
    selector = collector(4)
    step_of = SelectiveForward(
        Line(), lambda model, images: model(torch.stack([i.sum() for i in images])), selector
    )
    for number in range(12):
        step = step_of([torch.full((3, 1 + row, 2), 1.0 + number) for row in range(4)])
        if step.ready:
            assert len(step.batch) == 4
            assert all(len(image) == 3 for image in step.batch)


def test_batches_that_cannot_be_collected():
    with pytest.raises(ValueError, match="take must be take_rows for a selector that collects"):
        SelectiveForward(net(), squares, collector(), take=lambda *_: None)
    with pytest.raises(ValueError, match="collect must be at least the size of a batch, 8, got 4"):
        SelectiveForward(net(), squares, collector(4))(batch_of())
    step_of = SelectiveForward(Line(), lambda m, b: m(b[0]), collector(64))
    step_of([torch.arange(8.0), [{1}] * 8])
    with pytest.raises(StateError, match="buffered rows must be tensors, arrays, strings or num"):
        step_of.selector.state_dict()
    with pytest.raises(ValueError, match="a batch must have the 2 parts of the last one, got 1"):
        step_of([torch.arange(8.0)])


def test_bad_arguments():
    with pytest.raises(TypeError, match="selector must be a BatchSelector, got str"):
        SelectiveForward(net(), squares, "topk")
    with pytest.raises(ValueError, match="scoring must be one of 'eval', 'train', got 'no'"):
        SelectiveForward(net(), squares, TopKLoss(), scoring="no")
    with pytest.raises(ValueError, match="got 8 losses for 3 indices"):
        SelectiveForward(net(), squares, TopKLoss())(batch_of(), [1, 2, 3])
