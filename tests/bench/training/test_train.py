"""One run: its cost, its epochs where that is limited, and the steps of its training."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from sampling import Score, bench
from sampling.bench.methods._method import Method, TrainingPlan
from sampling.bench.results._run import DONE, FAILED, UNREACHABLE
from sampling.bench.tasks._data import data_of
from sampling.bench.training import _train
from sampling.bench.training._train import Bill, Clock, Job, train
from sampling.samplers import ShuffleSampler

CPU = torch.device("cpu")
SIZE = 40
MEASURED = {"sample_seconds": 1e9, "forward_ratio": 0.25}  # selecting costs nothing
FULL = Job("own", 1.0, 0, 1.0, 3, 3, 16)


def data(**changes):
    generator = np.random.RandomState(0)  # noqa: NPY002
    x = generator.normal(size=(SIZE, 3)).astype(np.float32)
    y = np.arange(SIZE) % 2
    given = {"val": (x, y), "epochs": 3, "batch_size": 16, **changes}
    return data_of(bench.Task((x, y), (x, y), lambda: nn.Linear(3, 2), **given))


def own(ask=lambda context: None, **plan):
    """Return a method that shuffles, after it asked for something."""
    built = []

    def build(context):
        built.append(context.epochs)
        ask(context)
        sampler = ShuffleSampler(context.size, round(context.budget * context.size), seed=5)
        return TrainingPlan(lambda epoch: sampler, context.epochs, **plan)

    return Method("one", build), built


def run(job=FULL, method=None, given=None, score=None, calibration=MEASURED):
    made = own()[0] if method is None else method
    return train(job, made, data() if given is None else given, device=CPU,
                 score_of=score, calibration=calibration)  # fmt: skip


@pytest.fixture
def clock(monkeypatch):
    """Replace time; the processor works half of it."""
    now = SimpleNamespace(seconds=0.0)
    fake = SimpleNamespace(perf_counter=lambda: now.seconds, process_time=lambda: now.seconds / 2)
    monkeypatch.setattr(_train, "time", fake)
    return now


# ------------------------------------------------------------------ what it costs


def test_the_total_cost_is_all_that_is_waited_for():
    job = Job("own", 0.5, 0, 0.5, 2, 4, 16)
    bill = Bill(job, 10, SimpleNamespace(count=30), Clock(CPU), Clock(CPU), {})
    assert bill.total == pytest.approx(30 / 3 / 40)
    bill.count(torch.tensor([1, 1, 2, 9]))
    bill.piloted, bill.selecting.seconds, bill.training.seconds = 5, 6.0, 8.0
    assert bill.counts.tolist() == [0, 2, 1, 0, 0, 0, 0, 0, 0, 1]
    assert bill.total == pytest.approx((4 + 5 + 30 / 3 + 6 / 2) / 40)  # two seconds a sample
    bill.calibration.update(sample_seconds=0.5, forward_ratio=0.2)
    assert bill.total == pytest.approx((4 + 5 + 30 * 0.2 + 6 / 0.5) / 40)


def test_a_run_of_more_epochs_is_billed_in_those_of_full_data():
    done, details = run(replace(FULL, budget=0.5, epochs=6))
    assert (done.draws, done.cost, done.budget, done.epochs) == (120, 1.0, 1.0, 6)
    assert details["counts"].sum() == 120
    assert done.cost_curve == pytest.approx(np.arange(1, 7) / 6)
    assert done.total_cost == done.cost_curve[-1]


def test_each_pilot_is_charged_once_and_up_to_its_last_epoch():
    charges = {
        "el2n": {"pilot": 40},
        "aum": {"pilot": 120},
        "grand": {"pilot": 80, "gradients": 40},
    }

    def ask(context):
        for name in ("el2n", "aum", "grand", "aum"):
            context.score(name)

    def score(name):
        return Score(np.arange(SIZE, dtype=float), "harder", name), charges[name]

    done, _ = run(method=own(ask)[0], score=score)
    assert done.piloted == 120 + 40
    assert done.total_cost == pytest.approx(1 + 160 / 120)


def test_seconds_are_of_one_phase_each(clock):
    """Pilot runs and scoring are billed by samples: their seconds are not those of selecting."""

    def forward(model, batch):
        clock.seconds += 2
        return model(batch[0]), batch[1]

    def score(name):
        clock.seconds += 1000
        return Score(np.arange(SIZE, dtype=float), "harder", name), {"pilot": 40}

    def ask(context):
        clock.seconds += 16
        context.score("el2n")
        context.losses(np.arange(SIZE))

    done, _ = run(method=own(ask)[0], given=data(forward=forward), score=score)
    batches = 3  # of 16, in each epoch
    scoring = done.seconds["scoring"]
    assert scoring > 0
    assert done.seconds["selecting"] == pytest.approx(16 / 2)  # of the processor
    assert done.seconds["training"] == pytest.approx(3 * batches * 2 / 2)
    assert done.scored == SIZE
    assert done.total_cost == pytest.approx(1 + (40 + 0.25 * SIZE) / 120)


# ------------------------------------------------------------------ a limited cost


def limited(limit, **changes):
    job = Job("own", limit, 0, 0.5, 8, 8, 16, cost_limit=limit)
    return replace(job, **changes)


def score(name):
    return Score(np.arange(SIZE, dtype=float), "harder", name), {"pilot": SIZE}


def test_a_limited_total_cost_leaves_as_many_epochs_as_fit(clock):
    """Of 0.5, a pilot epoch takes 1/8 and each of ours 0.5 + 0.25 * 1 of one."""
    method, built = own(lambda context: context.score("el2n"), forwards=1.0)
    done, _ = run(limited(0.5), method, score=score)
    assert built == [8, 4]
    assert (done.epochs, done.piloted, done.state) == (4, SIZE, DONE)


def test_a_limit_leaves_no_more_epochs_than_were_asked_for(clock):
    method, built = own()
    done, _ = run(limited(0.4), method)
    assert (built, done.epochs) == ([8, 6], 6)
    assert done.total_cost <= 0.4
    method, built = own()
    done, _ = run(limited(0.5), method)
    assert (built, done.epochs) == ([8], 8)


def test_a_cost_that_selecting_exceeds_is_unreachable(clock):
    method, _ = own(lambda context: context.score("el2n"))
    for limit in (0.125, 0.15):  # nothing is left, or less than half an epoch
        done, details = run(limited(limit), method, score=score)
        assert (done.state, done.draws, details) == (UNREACHABLE, 0, {})
        assert done.reason.startswith("unreachable: selecting and scoring cost 0.12 of a full run")
    assert run(limited(0.19), method, score=score)[0].epochs == 1


# ------------------------------------------------------------------ its training


def groups(parameters):
    weight, bias = parameters
    return torch.optim.SGD([{"params": [weight], "lr": 0.5}, {"params": [bias], "lr": 0.01}])


def test_the_steps_are_those_of_a_plain_loop_with_a_rate_for_each_group():
    made = []

    def model():
        made.append(nn.Linear(3, 2))
        return made[-1]

    given = data(optimizer=groups, schedule=lambda progress: 1 - progress)
    given = replace(given, task=replace(given.task, model=model))
    done, _ = run(method=own(rate=lambda epoch: 1 + epoch)[0], given=given)
    (trained,) = made
    plain = given.task.built_model(int(_train.key(0, 0, "bench model")))
    optimizer = groups(plain.parameters())
    sampler = ShuffleSampler(SIZE, seed=5)
    for epoch in range(3):
        rows = torch.from_numpy(sampler.indices(epoch))
        for at in range(0, SIZE, 16):
            factor = (1 + epoch) * (1 - (epoch + at / SIZE) / 3)
            for group, peak in zip(optimizer.param_groups, (0.5, 0.01), strict=True):
                group["lr"] = factor * peak
            batch = rows[at : at + 16]
            optimizer.zero_grad()
            outputs = plain(given.train.x[batch])
            nn.functional.cross_entropy(outputs, given.train.y[batch]).backward()
            optimizer.step()
    assert done.steps == 9
    for found, wanted in zip(trained.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_fails_the_run(value):
    seen = []

    def loss(outputs, targets):
        seen.append(1)
        bad = value if len(seen) == 5 else 0.0  # in the second batch of the second epoch
        return nn.functional.cross_entropy(outputs, targets, reduction="none") + bad

    done, details = run(given=data(loss=loss))
    assert (done.state, done.reason, details) == (FAILED, f"the loss was {value} in epoch 1", {})
    assert len(seen) == 6  # to the end of that epoch


def test_a_metric_that_is_not_finite_fails_the_run():
    def recall(outputs, targets):
        return float("nan")

    done, _ = run(given=data(metric=recall))
    assert (done.state, done.reason) == (FAILED, "the metric recall was nan")


def test_mixed_precision_is_used_in_training_alone():
    types = []

    def forward(model, batch):
        outputs = model(batch[0])
        types.append((model.training, outputs.dtype))
        return outputs, batch[1]

    done, _ = run(given=data(forward=forward, amp="bfloat16"))
    assert done.state == DONE
    assert set(types) == {(True, torch.bfloat16), (False, torch.float32)}


@pytest.mark.parametrize("metric", ["accuracy", "log-loss"])
def test_accuracy_and_worst_class_come_with_every_metric_of_classes(metric):
    done, details = run(given=data(metric=metric))
    if metric == "accuracy":
        right = details["outcomes"] == details["targets"]
        recalls = [right[details["targets"] == c].mean() for c in (0, 1)]
        assert done.metrics == {
            "accuracy": done.test, "balanced accuracy": np.mean(recalls),
            "worst class": min(recalls),
        }  # fmt: skip
    assert set(done.metrics) == {"accuracy", "balanced accuracy", "worst class"}
    assert done.metrics["worst class"] <= done.metrics["accuracy"]
