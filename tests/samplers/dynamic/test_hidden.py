"""Samples left out are listed, looked at forward-only, and brought together over the ranks."""

import copy

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Subset
from two_ranks import on_two_ranks

from sampling import Indexed
from sampling.samplers import (
    IESSampler,
    InfoBatchSampler,
    KakurenboSampler,
    LateStoppingSampler,
    full_state,
    load_full_state,
)
from sampling.scores import ExposureCounter

N = 30


def answers_of(rows, epoch):
    """Losses, logits (B, 3) and labels of samples in an epoch, whoever asks."""
    rows = np.asarray(rows, np.int64)
    grid = np.random.default_rng(epoch).normal(size=(N, 3))
    labels = torch.tensor(rows % 3)
    logits = torch.tensor(grid[rows] + 3.0 * np.eye(3)[rows % 3], dtype=torch.float32)
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    return losses, {"logits": logits, "labels": labels}


def watch(sampler, epoch, rows=None):
    """Record what is dealt of an epoch, and rescore what is hidden; of the given rows only."""
    for part, take in ((sampler.indices(epoch), sampler.record), (sampler.hidden, sampler.rescore)):
        mine = np.unique(part) if rows is None else np.intersect1d(part, rows)
        if mine.size:
            losses, more = answers_of(mine, epoch)
            take(mine, losses, **more)


def watched(epochs, **options):
    sampler = KakurenboSampler(N, 20, **options)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        watch(sampler, epoch)
    sampler.set_epoch(epochs)
    return sampler


def test_hidden_is_what_is_not_dealt():
    sampler = KakurenboSampler(N, 20)
    assert sampler.hidden.size == 0
    assert sampler.hidden.dtype == np.int64
    for epoch in range(1, 6):
        sampler = watched(epoch)
        hidden = sampler.hidden
        assert 0 < hidden.size < N
        assert hidden.dtype == np.int64
        np.testing.assert_array_equal(hidden, np.setdiff1d(np.arange(N), list(sampler)))


def test_dealt_samples_are_recorded_and_hidden_ones_rescored_never_the_other_way():
    sampler = watched(2)
    hidden, dealt = int(sampler.hidden[0]), int(sampler.indices(2)[0])
    before = sampler.scores.copy()
    for rows, message in [
        ([hidden, dealt], f"must be excluded from epoch 2, got {dealt} in row 1, which the epoch"),
        ([N], rf"indices must be in \[0, {N}\), got {N} in row 0"),
        ([-1], rf"indices must be in \[0, {N}\), got -1 in row 0"),
        ([[hidden]], r"indices must have shape \(B,\), got \(1, 1\)"),
    ]:
        losses, more = answers_of(np.zeros(np.size(rows), int), 0)
        with pytest.raises(ValueError, match=message):
            sampler.rescore(rows, losses, **more)
    losses, more = answers_of([hidden], 0)
    with pytest.raises(ValueError, match=f"must be draws of epoch 2, got {hidden} in row 0"):
        sampler.record([hidden], losses, **more)
    with pytest.raises(ValueError, match="2 losses for 1 indices"):
        sampler.rescore([hidden], torch.ones(2), **more)
    with pytest.raises(ValueError, match="excluded from epoch 0"):
        KakurenboSampler(N, 20).rescore([0], losses, **more)
    np.testing.assert_array_equal(sampler.scores, before)
    sampler.rescore(torch.tensor([hidden]), losses.numpy(), **more)
    assert sampler.scores[hidden] == losses.numpy()[0]


def test_nothing_hidden_is_nothing_to_rescore():
    sampler = KakurenboSampler(N, 20)
    assert sampler.hidden.size == 0
    none = torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)
    sampler.rescore(sampler.hidden, torch.zeros(0), logits=none[0], labels=none[1])
    sampler.rescore([], [])


def test_bad_indices_on_a_device_are_named_by_the_next_set_epoch():
    sampler = watched(2)
    sampler._count_bad(torch.tensor(sampler.hidden))
    sampler._report_bad_indices()
    sampler._count_bad(torch.tensor([int(sampler.hidden[0]), int(sampler.indices(2)[0]), N, -1]))
    with pytest.raises(ValueError, match="rescore must be excluded from epoch 2, got 3 on cpu"):
        sampler.set_epoch(3)
    sampler.set_epoch(3)


@pytest.mark.parametrize("make", [
    lambda: KakurenboSampler(N, 20),
    lambda: LateStoppingSampler(N, 20),
    lambda: LateStoppingSampler(N, 20, evaluate=True),
])  # fmt: skip
@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_read_from_a_device(make, there):
    """A tensor on "meta" has no values: whoever waits for one fails."""
    sampler = make()
    losses, more = answers_of(range(N), 0)
    rows = torch.arange(N).to("meta") if there else np.arange(N)
    away = {name: each.to("meta") for name, each in more.items()}
    kept = losses.to("meta").requires_grad_()
    assert sampler.reduce(kept, rows, **away).is_meta
    if getattr(sampler, "evaluate", False):
        sampler.record_answers(rows, **away)
    if isinstance(sampler, KakurenboSampler):
        sampler = watched(2)
        hidden = torch.tensor(sampler.hidden)
        losses, more = answers_of(hidden, 0)
        away = {name: each.half().to("meta") for name, each in more.items() if name == "logits"}
        rows = hidden.to("meta") if there else hidden
        sampler.rescore(rows, losses.to("meta"), **away, labels=more["labels"].to("meta"))


def test_rescored_samples_do_not_count_as_trained_on():
    exposure = ExposureCounter(N)
    sampler = watched(2, exposure=exposure)
    hidden = sampler.hidden
    watch(sampler, 2)
    expected = np.full(N, 3)
    expected[hidden] -= 1
    before = watched(1).hidden
    expected[before] -= 1
    np.testing.assert_array_equal(exposure.counts, expected)


def test_a_batch_that_is_refused_leaves_no_trace():
    exposure = ExposureCounter(N)
    sampler = KakurenboSampler(N, 20, exposure=exposure)
    with pytest.raises(ValueError, match="logits and labels must be given: KakurenboSampler"):
        sampler.reduce(torch.ones(3), [0, 1, 2])
    assert not exposure.counts.any()
    assert np.isnan(sampler.scores).all()


def test_the_loop_of_the_documentation():
    """With a loader over the hidden samples of an indexed dataset."""
    train = Indexed([(torch.ones(1) * i, i % 2) for i in range(20)])
    sampler = IESSampler(train, num_epochs=9, delta=0.5)
    for epoch in range(7):
        sampler.set_epoch(epoch)
        for indices, _ in DataLoader(train, batch_size=4, sampler=sampler):
            sampler.reduce(torch.where(indices < 5, 1.0, float(epoch % 2)), indices)
        hidden = sampler.hidden[sampler.rank :: sampler.num_replicas]
        assert hidden.tolist() == ([] if epoch < 6 else [0, 1, 2, 3, 4])
        with torch.no_grad():
            for indices, _ in DataLoader(Subset(train, hidden), batch_size=2):
                sampler.rescore(indices, torch.ones(indices.numel()))
    sampler.set_epoch(7)
    assert len(sampler) == 15


@pytest.mark.parametrize("done", [0.0, 0.5, 1.0])
def test_a_run_that_stops_amid_the_forward_pass_goes_on(done):
    unbroken = watched(3)
    losses, more = answers_of(np.unique(unbroken.indices(3)), 3)
    unbroken.record(np.unique(unbroken.indices(3)), losses, **more)
    cut = int(done * unbroken.hidden.size)
    first, rest = np.split(unbroken.hidden, [cut])
    if first.size:
        losses, more = answers_of(first, 3)
        unbroken.rescore(first, losses, **more)
    full = copy.deepcopy(full_state(unbroken, consumed=len(unbroken)))
    resumed = KakurenboSampler(N, 20)
    load_full_state(resumed, full)
    np.testing.assert_array_equal(resumed.hidden, unbroken.hidden)
    assert resumed.lr_factor == unbroken.lr_factor
    for sampler in (unbroken, resumed):
        if rest.size:
            losses, more = answers_of(rest, 3)
            sampler.rescore(rest, losses, **more)
        for epoch in (4, 5):
            sampler.set_epoch(epoch)
            watch(sampler, epoch)
    np.testing.assert_array_equal(resumed.confidences, unbroken.confidences)
    np.testing.assert_array_equal(resumed.scores, unbroken.scores)
    np.testing.assert_array_equal(resumed.indices(5), unbroken.indices(5))


def test_other_samplers_have_no_hidden_samples_to_rescore():
    assert not hasattr(InfoBatchSampler(N, 4), "rescore")


# ---- two real ranks ------------------------------------------------------------------------------


def makers():
    return {
        "kakurenbo": lambda **o: KakurenboSampler(N, 20, **o),
        "ies": lambda **o: IESSampler(N, 20, delta=0.2, **o),
        "late": lambda **o: LateStoppingSampler(N, 20, keep=0.8, rounds=(2, 2), warm_up=0, **o),
    }


def by_halves(rank):
    """Each rank records its own draws and rescores its own part of what is hidden."""
    found = {}
    for name, make in makers().items():
        sampler = make()
        for epoch in range(8):
            sampler.set_epoch(epoch)
            mine = np.array(list(sampler))  # one of them pads where the count is odd
            losses, more = answers_of(mine, epoch)
            sampler.record(mine, losses, **more)
            if hasattr(sampler, "rescore"):
                rows = sampler.hidden[rank::2]
                if rows.size:
                    losses, more = answers_of(rows, epoch)
                    sampler.rescore(rows, losses, **more)
        sampler.set_epoch(8)
        found[name] = sampler.indices(8).tolist()
    # One sample that both ranks saw, right here and wrong there: it is not right.
    late = LateStoppingSampler(2, 4, keep=0.5, rounds=(1,), warm_up=0)
    for epoch in range(2):
        late.set_epoch(epoch)
        logits = torch.tensor([[1.0, 0.0], [0.0, 1.0] if rank else [1.0, 0.0]])
        labels = torch.zeros(2, dtype=torch.int64)
        late.record([0, 1], torch.ones(2), logits=logits, labels=labels)
    late.set_epoch(2)
    found["seen twice"] = late.kept.tolist()
    return found


@pytest.mark.distributed
@pytest.mark.slow
def test_two_ranks_plan_what_one_process_plans():
    one, two = on_two_ranks(by_halves)
    assert one == two
    for name, make in makers().items():
        sampler = make()
        for epoch in range(8):
            sampler.set_epoch(epoch)
            if hasattr(sampler, "rescore"):
                watch(sampler, epoch)
            else:
                rows = np.unique(sampler.indices(epoch))
                losses, more = answers_of(rows, epoch)
                sampler.record(rows, losses, **more)
        sampler.set_epoch(8)
        assert sampler.indices(8).tolist() == one[name], name
        assert len(sampler) < N, name
    assert one["seen twice"] == [0]
