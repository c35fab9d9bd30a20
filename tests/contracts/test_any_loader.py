"""C lines of our own, beside those of the conformance kit (`tests/testing`)."""

import multiprocessing
import warnings

import numpy as np
import pytest
from products import pairs

from sampling.samplers import (
    ImportanceSampler,
    InfoBatchSampler,
    MixtureSampler,
    RepeatedSubsetSampler,
    ShuffleSampler,
)

from .cases import EVERY, FACTORIES, order, run_to

every = pytest.mark.parametrize("factory", EVERY)


ALONE = pytest.param(1, id="1", marks=pytest.mark.full)


@pairs({"factory": EVERY, "drop_last": [False, True], "pad": [False, True], "ranks": [3, 8, ALONE]})
def test_c4_len_is_true_before_the_epoch(factory, drop_last, pad, ranks):
    for rank in range(ranks):
        sampler = factory(num_replicas=ranks, rank=rank, drop_last=drop_last, pad=pad)
        for epoch in range(4):
            run_to(sampler, epoch)
            expected = len(sampler)
            assert sampler.length(epoch) == expected == sampler.remaining
            assert len(order(sampler)) == expected


@every
def test_c4_length_of_a_static_epoch_is_known_in_advance(factory):
    sampler = factory()
    counts_tokens = getattr(sampler, "num_tokens", None) is not None
    known = isinstance(sampler, ImportanceSampler | MixtureSampler) and not counts_tokens
    if known:  # only their draws depend on scores
        assert sampler.length(5) == len(run_to(sampler, 5).indices(5))
        return
    if sampler.dynamic:
        with pytest.raises(ValueError, match="epoch must be 0, the one that is planned, got 5"):
            sampler.length(5)
        return
    assert sampler.length(5) == len(sampler.indices(5))
    assert sampler.expected_samples(5) == sum(len(sampler.indices(e)) for e in range(5))


@every
def test_c5_a_second_full_pass_is_noticed(factory):
    sampler = factory()
    list(sampler)
    if sampler.dynamic:
        with pytest.raises(RuntimeError, match=r"epoch 0 is over: call set_epoch\(1\)"):
            next(iter(sampler))
        sampler.set_epoch(1)
        assert len(list(sampler)) == len(sampler)
        return
    with pytest.warns(UserWarning, match="epoch 0 is iterated a second time"):
        second = list(sampler)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(sampler) == second  # once is enough


@every
def test_c5_auto_epoch_goes_on_by_itself(factory):
    sampler, reference = factory(auto_epoch=True), factory()
    for epoch in range(3):
        reference.set_epoch(epoch)
        assert list(sampler) == order(reference)
        assert sampler.epoch == epoch


def test_c5_auto_epoch_needs_one_process():
    with pytest.raises(ValueError, match="auto_epoch must be False with several ranks, got True"):
        ShuffleSampler(10, num_replicas=2, rank=0, auto_epoch=True)


@every
def test_c6_epoch_is_read_at_iter_not_at_next(factory):
    sampler = factory()
    expected = order(sampler)
    iterator = iter(sampler)
    sampler.set_epoch(1)
    assert list(iterator) == expected
    assert not sampler._plan(1).finished  # the old iterator's end is not the new epoch's


def full(name):
    return pytest.param(name, marks=pytest.mark.full)


def _first_in_child(sampler, queue):
    queue.put(list(sampler)[:20])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*map(full, ["shuffle", "class balanced"]), "infobatch"])
def test_c9_survives_a_spawned_process(name):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    sampler = run_to(FACTORIES[name](), 2)
    process = context.Process(target=_first_in_child, args=(sampler, queue))
    process.start()
    drawn = queue.get(timeout=120)
    process.join()
    assert drawn == order(sampler)[:20]


@pytest.mark.parametrize("epoch", [-1, 2**64])
def test_c8_epoch_range(epoch):
    with pytest.raises(ValueError, match=f"epoch must be in .*, got {epoch}"):
        ShuffleSampler(3).set_epoch(epoch)


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("drop_last", [False, True])
def test_c10_fewer_samples_than_ranks(size, drop_last):
    for pad in (False, True):
        drawn = [
            list(ShuffleSampler(size, num_replicas=8, rank=r, drop_last=drop_last, pad=pad))
            for r in range(8)
        ]
        counts = [len(each) for each in drawn]
        if drop_last:
            assert counts == [0] * 8
        elif pad:
            assert counts == [1] * 8
        else:
            assert counts == [1] * size + [0] * (8 - size)


@pytest.mark.parametrize("source", [0, []])
def test_c10_nothing_to_sample(source):
    with pytest.raises(ValueError, match="data_source must"):
        ShuffleSampler(source)


def test_c11_large_epochs_cost_no_memory():
    sampler = ShuffleSampler(10**12)
    iterator = iter(sampler)
    drawn = [next(iterator) for _ in range(20_000)]
    assert len(set(drawn)) == 20_000
    assert sampler.indices(3, 10**11, 10**11 + 5).tolist() == [
        int(sampler.indices(3, at, at + 1)[0]) for at in range(10**11, 10**11 + 5)
    ]


@every
def test_random_access_agrees_with_iteration(factory):
    sampler = run_to(factory(), 3)
    whole = sampler.indices(3)
    assert whole.dtype == np.int64
    assert whole.tolist() == order(sampler)
    assert sampler.indices(3, 7, 31).tolist() == whole[7:31].tolist()
    assert sampler.indices(3, 7, 7).size == 0
    with pytest.raises(ValueError, match=r"stop must be in \[0, "):
        sampler.indices(3, 0, len(whole) + 1)
    with pytest.raises(ValueError, match=r"start must be in \[0, 6\), got 6"):
        sampler.indices(3, 6, 5)


@every
def test_an_epoch_is_reached_without_walking_there(factory):
    walked = factory()
    if walked.dynamic:
        return  # its epochs depend on what was recorded
    for epoch in range(6):
        walked.set_epoch(epoch)
        list(walked)
    assert factory().indices(5).tolist() == walked.indices(5).tolist()
    assert walked.indices(1).tolist() == factory().indices(1).tolist()


@every
def test_progress_counts_samples_not_steps(factory):
    sampler = factory()
    draws = len(sampler)
    assert sampler.progress(0, num_epochs=4) == 0.0
    assert sampler.progress(0, draws, num_epochs=4) == 0.25
    assert sampler.progress(3, num_epochs=4) == 0.75
    assert sampler.progress(9, num_epochs=4) == 1.0


def test_indices_of_long_epochs_come_in_one_array():
    sampler = ShuffleSampler(20_001)
    assert sorted(sampler.indices(0).tolist()) == list(range(20_001))
    assert list(sampler) == sampler.indices(0).tolist()


def test_plans_that_differ_have_other_names():
    one, other = InfoBatchSampler(50, 4), InfoBatchSampler(50, 4)
    one.record(np.arange(50), np.arange(50.0))
    other.record(np.arange(50), np.arange(50.0)[::-1].copy())
    for sampler in (one, other):
        sampler.set_epoch(1)
    assert one.state_dict()["plan"] != other.state_dict()["plan"]


def test_windows_of_later_epochs_do_not_disturb_the_current_one():
    sampler = RepeatedSubsetSampler(103, 0.8)
    expected = sampler.indices(0).tolist()
    live = iter(sampler)
    drawn = [next(live) for _ in range(3)]
    sampler.indices(40)
    assert drawn + list(live) == expected
